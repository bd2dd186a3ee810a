"""Short recordings whose turns and words are given, so that a run needs nobody to listen to them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from media_samples import syllables, write_wav
from voiceclone_cli.analysis.turns import write_rttm
from voiceclone_cli.types import Turn

TWO_TURNS = """\
SPEAKER talk 1 0.500 7.000 <NA> <NA> ANNA <NA> <NA>
SPEAKER talk 1 8.000 7.000 <NA> <NA> BERT <NA> <NA>
"""
TWO_LINES = """\
1
00:00:00,500 --> 00:00:03,500
[ANNA] This is the first line.

2
00:00:08,000 --> 00:00:11,000
[BERT] And this is the second one.
"""


@dataclass(frozen=True)
class ShortTalk:
    """The files of a talk."""

    wav: Path
    rttm: Path
    script: Path

    @property
    def inputs(self) -> tuple[object, ...]:
        """What `voiceclone run` is given of it."""
        return (self.wav, "--turns", self.rttm, "--script", self.script)

    def arguments(self, out: Path, *more: object) -> tuple[object, ...]:
        return ("run", *self.inputs, "--engine", "echo", "--out", out, "--json", *more)


def two_lines(folder: Path) -> ShortTalk:
    """ANNA and BERT say a line each (16 s); their turns are long enough for an engine that clones voices."""
    talk = ShortTalk(folder / "talk.wav", folder / "talk.rttm", folder / "talk.srt")
    write_wav(talk.wav, syllables(16.0))
    talk.rttm.write_text(TWO_TURNS, encoding="utf-8")
    talk.script.write_text(TWO_LINES, encoding="utf-8")
    return talk


def short_talk(folder: Path, seed: int = 1, **texts: str) -> ShortTalk:
    """Two people, A and B, say five lines of a second each in turn: for the echo engine.

    ``seed`` tells the sound, ``texts`` replaces lines by their id: ``_0003="something else"``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        (f"{n:04d}", "AB"[n % 2], float(n), n + 0.9, f"line number {n} of the talk") for n in range(1, 11)
    ]
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["id", "speaker", "start", "end", "text"])
    writer.writerows([*line[:4], texts.get(f"_{line[0]}", line[4])] for line in lines)
    (folder / "talk.csv").write_text(table.getvalue(), encoding="utf-8")
    turns = [Turn(start, end, speaker) for _, speaker, start, end, _ in lines]
    (folder / "talk.rttm").write_text(write_rttm(turns, "talk"), encoding="utf-8")
    wav = folder / "talk.wav"
    if not wav.exists():
        write_wav(wav, syllables(12.0, seed=seed))
    return ShortTalk(wav, folder / "talk.rttm", folder / "talk.csv")
