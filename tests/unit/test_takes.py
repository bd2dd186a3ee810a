"""Other takes of a line: what the engines that do not sample make of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.rundir.directory import take_up
from voiceclone_cli.settings import resolve
from voiceclone_cli.tasks import Job, segment_seed, synthesis_tasks
from voiceclone_cli.types import Reference, Script, Segment
from voiceclone_worker.contract import SegmentSpec
from voiceclone_worker.engines.kokoro.speaking import BRISKER, CALMER, reading_of
from voiceclone_worker.engines.kokoro.voices import ACOUSTIC, voice_table

LINE = Segment("0001", "A", 0.0, 1.0, "a line", "en")


def spec(folder: Path, line: Segment, seed: int) -> SegmentSpec:
    job = Job(
        Script((line,)),
        {"A": Reference("A", folder / "a.wav", "", 1.0, ())},
        {"0001": 1.0},
        take_up(folder / "run", "input"),
        EngineChoice("kokoro", "asked", None, "voice.npz"),
        resolve({"seed": seed}),
    )
    ((segment,),) = [task.segments for task in synthesis_tasks(job, [line])]
    return segment


def test_a_run_of_the_default_seed_is_the_first_take(tmp_path: Path) -> None:
    assert spec(tmp_path, LINE, 0).take == 0


def test_a_line_with_its_own_seed_is_the_take_of_a_run_with_that_seed(tmp_path: Path) -> None:
    own = spec(tmp_path, replace(LINE, seed=segment_seed(5, "0001")), 0)
    assert own == spec(tmp_path, LINE, 5) and own.take != 0


def test_the_first_take_is_read_as_long_as_it_is_and_others_are_clearly_not() -> None:
    assert reading_of(0) == 1.0
    readings = [reading_of(take) for take in range(1, 500)]
    assert len(set(readings)) == len(readings) and readings == [reading_of(take) for take in range(1, 500)]
    brisk, calm = [r for r in readings if r < 1], [r for r in readings if r > 1]
    assert len(brisk) == pytest.approx(len(calm), abs=2)
    assert min(brisk) >= BRISKER[0] and max(brisk) <= BRISKER[1]
    assert min(calm) >= CALMER[0] and max(calm) <= CALMER[1]


def test_another_reading_has_the_same_timbre_and_another_prosody() -> None:
    table = voice_table()
    one = np.zeros(len(table.names), np.float32)
    one[3] = 1.0
    first, other = table.style(one, one, 40), table.style(one, one, 40, reading=1.5)
    assert np.array_equal(first[:ACOUSTIC], other[:ACOUSTIC])
    assert np.array_equal(other[ACOUSTIC:], table.style(one, one, 60)[ACOUSTIC:])
    assert not np.array_equal(first[ACOUSTIC:], other[ACOUSTIC:])
    assert table.style(one, one, 1, reading=0.1).shape == table.style(one, one, 10**6, reading=9.0).shape
