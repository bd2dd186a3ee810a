"""Generated conversations: a recording of tone syllables, its turns, and a script."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from pathlib import Path

RATE = 16_000


@dataclass(frozen=True, slots=True)
class Fixture:
    """Files for `voiceclone run INPUT --turns ... --script ...`."""

    wav: Path
    turns: Path
    script: Path
    lines: int


def make_fixture(
    folder: Path, *, speakers: int, turns: int, turn_seconds: float, lines_a_turn: int
) -> Fixture:
    """Write a conversation with turns of ``turn_seconds``, one by one, so that any length fits into memory."""
    made = Fixture(folder / "input.wav", folder / "turns.rttm", folder / "script.json", turns * lines_a_turn)
    rows, segments = [], []
    with wave.open(str(made.wav), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        speech = [make_speech(number, turn_seconds) for number in range(speakers)]
        for turn in range(turns):
            speaker, start = f"SPEAKER_{turn % speakers:02d}", turn * turn_seconds
            out.writeframes(speech[turn % speakers])
            rows.append(
                f"SPEAKER talk 1 {start:.3f} {turn_seconds - 0.1:.3f} <NA> <NA> {speaker} <NA> <NA>\n"
            )
            segments += _lines(turn, lines_a_turn, start, turn_seconds, speaker)
    made.turns.write_text("".join(rows), encoding="utf-8")
    made.script.write_text(json.dumps({"language": "en", "segments": segments}), encoding="utf-8")
    return made


def _lines(turn: int, count: int, start: float, seconds: float, speaker: str) -> list[dict[str, object]]:
    """Return ``count`` lines of one turn; every third one is too long for its slot."""
    length = seconds / count
    lines: list[dict[str, object]] = []
    for place in range(count):
        number = turn * count + place + 1
        text = f"Line {number}." + " And then some more words." * (number % 3 == 0)
        begin = start + place * length
        lines.append(
            {
                "id": f"{number:04d}",
                "speaker": speaker,
                "start": round(begin, 3),
                "end": round(begin + length - 0.1, 3),
                "text": text,
            }
        )
    return lines


def make_speech(speaker: int, seconds: float) -> bytes:
    """Return 16-bit samples: four syllables a second at the speaker's pitch, a little noise, a pause at the end."""
    import numpy as np

    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 100.0 * 1.13**speaker
    voiced = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 8))
    noise = np.random.default_rng(speaker).standard_normal(len(time))
    envelope = np.clip(np.sin(2 * np.pi * 2.0 * time) ** 2, 0.02, None) * (time < seconds - 0.1)
    samples = 0.2 * envelope * (voiced + 0.02 * noise) + 0.0003 * noise
    return bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
