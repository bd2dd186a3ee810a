"""Short talks for a batch: generated ones with turns and script, or excerpts of a recording."""

from __future__ import annotations

import json
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.fixtures import RATE, make_speech

LINE_SECONDS = 3.8
"""Length of a line with the pause after it."""

CUES = 10
"""Lines after which the order of speakers repeats."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A recording, with turns and script if it was generated."""

    wav: Path
    turns: Path | None = None
    script: Path | None = None

    def arguments(self) -> list[str]:
        """Return the arguments of `voiceclone run`."""
        arguments = [str(self.wav)]
        arguments += ["--turns", str(self.turns)] if self.turns else []
        return arguments + (["--script", str(self.script)] if self.script else [])


def make_talk(folder: Path, name: str, *, lines: int, speakers: int, dominant: float) -> Talk:
    """Write a conversation of tones in which one speaker has the share ``dominant`` of the lines."""
    talk = Talk(folder / f"{name}.wav", folder / f"{name}.rttm", folder / f"{name}.json")
    order = [_speaker(line, speakers, dominant) for line in range(lines)]
    speech = [make_speech(number, LINE_SECONDS) for number in range(speakers)]
    with wave.open(str(talk.wav), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        for speaker in order:
            out.writeframes(speech[speaker])
    rows, segments = [], []
    for line, speaker in enumerate(order):
        start, end = round(line * LINE_SECONDS, 3), round((line + 1) * LINE_SECONDS - 0.2, 3)
        rows.append(f"SPEAKER talk 1 {start:.3f} {end - start:.3f} <NA> <NA> S{speaker} <NA> <NA>\n")
        text = f"Line {line + 1} of the talk {name}, of ordinary length."
        segments.append(
            {"id": f"{line + 1:05d}", "speaker": f"S{speaker}", "start": start, "end": end, "text": text}
        )
    assert talk.turns is not None and talk.script is not None
    talk.turns.write_text("".join(rows), encoding="utf-8")
    talk.script.write_text(json.dumps({"language": "en", "segments": segments}), encoding="utf-8")
    return talk


def _speaker(line: int, speakers: int, dominant: float) -> int:
    if speakers == 1 or line % CUES < round(dominant * CUES):
        return 0
    return 1 + line % (speakers - 1)


def cut_talks(folder: Path, recording: Path, count: int, seconds: float) -> list[Talk]:
    """Write excerpts of a recording, each from another position and at another level."""
    with wave.open(str(recording), "rb") as source:
        rate, frames = source.getframerate(), source.getnframes()
        if (source.getnchannels(), source.getsampwidth()) != (1, 2):
            raise SystemExit(f"{recording} is not mono with 16 bits")
        pcm = source.readframes(frames)
    import numpy as np

    samples = np.frombuffer(pcm, "<i2")
    length = round(seconds * rate)
    talks = []
    for number in range(count):
        start = round(number * (frames - length) / max(1, count - 1))
        excerpt = samples[start : start + length] * (0.6 + 0.02 * number)
        talk = Talk(folder / f"excerpt{number + 1:02d}.wav")
        with wave.open(str(talk.wav), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(np.clip(excerpt, -32768, 32767).astype("<i2").tobytes())
        talks.append(talk)
    return talks


def write_list(path: Path, talks: Sequence[Talk]) -> Path:
    """Write a list for `voiceclone run --list`."""
    rows = []
    for talk in talks:
        files = {"input": talk.wav, "turns": talk.turns, "script": talk.script}
        rows.append(json.dumps({name: str(file) for name, file in files.items() if file}) + "\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path
