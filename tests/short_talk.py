"""A short recording whose turns and words are given, so that a run needs no model: for the echo engine."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from media_samples import syllables, write_wav
from voiceclone_cli.diarization import write_rttm
from voiceclone_cli.types import Turn

SECONDS = 12.0


@dataclass(frozen=True)
class ShortTalk:
    """The files of a talk of two people, A and B, who say a line of a second each in turn."""

    wav: Path
    rttm: Path
    script: Path

    def arguments(self, out: Path, *more: object) -> tuple[object, ...]:
        given = ("--turns", self.rttm, "--script", self.script)
        return ("run", self.wav, *given, "--engine", "echo", "--out", out, "--json", *more)


def short_talk(folder: Path, **texts: str) -> ShortTalk:
    """``texts`` replaces lines by their id: ``_0003="something else"``."""
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
        write_wav(wav, syllables(SECONDS, seed=1))
    return ShortTalk(wav, folder / "talk.rttm", folder / "talk.csv")
