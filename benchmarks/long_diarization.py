"""Time, memory and error of diarizing hours of conversation between twelve people.

    python -m benchmarks.long_diarization [--hours 3] [--work FOLDER]

People are those of ``benchmarks.conversations``. They meet in scenes of some minutes, two to five at a time, so that
nobody speaks all the time; each turn is another choice of that person's utterances. ``voiceclone diarize`` then runs
in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.conversations import RATE, Speaker, kokoro_speakers, recorded_speakers, speech_spans
from voiceclone_cli.analysis.turns import read_rttm, write_rttm
from voiceclone_cli.types import Turn

RECORDED = (
    "allison",
    "june",
    "carlo",
    "menardi",
    "ivr-ru",
    "colombia",
    "armelle",
    "small-fish",
    "large-fish",
)
KOKORO = ("heart", "emma", "michael")
_SCENE = (120.0, 600.0)
"""Shortest and longest scene, in seconds."""
_OVERLAP = 0.05
"""Share of turns that begin before the last one ends."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--work", type=Path, default=Path("diarization-set"))
    parser.add_argument("--speakers", type=int, help="passed on to voiceclone diarize")
    arguments = parser.parse_args()
    file = arguments.work / f"long-{arguments.hours:g}h.wav"
    if not file.with_suffix(".rttm").is_file():
        everyone = [*recorded_speakers(arguments.work), *kokoro_speakers(arguments.work)]
        people = [person for person in everyone if person.name in (*RECORDED, *KOKORO)]
        write_conversation(file, people, arguments.hours * 3600)
    truth = read_rttm(file.with_suffix(".rttm").read_text(encoding="utf-8"))

    command = [sys.executable, "-m", "voiceclone_cli", "diarize", str(file), "--diarizer", "embedded"]
    if arguments.speakers:
        command += ["--speakers", str(arguments.speakers)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rttm = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"voiceclone diarize ended with status {status}")
    found = read_rttm(rttm)
    cpu = usage.ru_utime + usage.ru_stime
    print(
        f"{arguments.hours:g} h: {wall:.0f} s, CPU {cpu:.0f} s ({cpu / arguments.hours / 3600:.3f} of real time), "
        f"peak {usage.ru_maxrss * (1 if sys.platform == 'darwin' else 1024) / 1e6:.0f} MB"
    )
    people_in, people_out = ({turn.speaker for turn in turns} for turns in (truth, found))
    print(
        f"{len(people_in)} speakers, {len(people_out)} found; error {error_rate(truth, found):.3f} without collar"
    )


def write_conversation(path: Path, people: Sequence[Speaker], seconds: float) -> None:
    """Write ``path`` (16-bit mono at RATE) and its turns as .rttm beside it."""
    rng = np.random.default_rng(16)
    mixed = np.zeros(int((seconds + 60) * RATE), np.float32)
    turns: list[Turn] = []
    clock = 0.5
    gains = 10 ** (rng.uniform(-4, 4, len(people)) / 20)
    while clock < seconds:
        present = rng.permutation(len(people))[: rng.integers(2, 6)]
        until = min(seconds, clock + float(rng.uniform(*_SCENE)))
        last = -1
        while clock < until:
            who = int(rng.choice([index for index in present if index != last]))
            signal = _turn(people[who], rng) * gains[who]
            if turns and rng.uniform() < _OVERLAP:
                clock -= float(rng.uniform(0.3, 1.0))
            else:
                clock += float(rng.uniform(0.1, 1.2))
            start = int(clock * RATE)
            mixed[start : start + len(signal)] += signal
            spans = speech_spans(signal, floor=-25, pause=0.3)
            turns += [Turn(clock + a, clock + b, people[who].name) for a, b in spans]
            clock += len(signal) / RATE
            last = who
    mixed = mixed[: int(clock * RATE)]
    mixed += rng.normal(0, 0.0005, len(mixed)).astype(np.float32)
    soundfile.write(path, mixed * (0.7 / np.abs(mixed).max()), RATE, subtype="PCM_16")
    ordered = sorted(turns, key=lambda turn: (turn.start, turn.end))
    path.with_suffix(".rttm").write_text(write_rttm(ordered, path.stem), encoding="utf-8")


def _turn(person: Speaker, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one to four utterances with short pauses."""
    pieces: list[NDArray[np.float32]] = []
    for index in rng.permutation(len(person.utterances))[: rng.integers(1, 5)]:
        pieces += [person.utterances[index], np.zeros(int(rng.uniform(0.1, 0.3) * RATE), np.float32)]
    return np.concatenate(pieces[:-1])


def error_rate(truth: Sequence[Turn], found: Sequence[Turn]) -> float:
    """Return the diarization error rate in frames of 10 ms, overlaps counted, without collar."""
    from scipy.optimize import linear_sum_assignment

    length = int(100 * max(turn.end for turn in (*truth, *found))) + 1
    right, ours = _activity(truth, length), _activity(found, length)
    shared = right.astype(np.float32) @ ours.T.astype(np.float32)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    most = np.maximum(right.sum(axis=0, dtype=np.int64), ours.sum(axis=0, dtype=np.int64)).sum()
    return float((most - shared[rows, columns].sum()) / right.sum(dtype=np.int64))


def _activity(turns: Sequence[Turn], length: int) -> NDArray[np.bool_]:
    names = sorted({turn.speaker for turn in turns})
    active = np.zeros((len(names), length), bool)
    for turn in turns:
        active[names.index(turn.speaker), round(100 * turn.start) : round(100 * turn.end)] = True
    return active


if __name__ == "__main__":
    main()
