"""What of the fish engine decides how a segment sounds, and what does not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.engines import FISH_SAMPLING, EngineChoice
from voiceclone_cli.rundir.directory import take_up
from voiceclone_cli.settings import resolve
from voiceclone_cli.tasks import Job, segment_fingerprints
from voiceclone_cli.types import Script, Segment


@pytest.fixture
def fish(tmp_path: Path) -> EngineChoice:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    for name in ("model.pth", "codec.pth"):
        (checkpoint / name).write_bytes(b"weights")
    return EngineChoice(
        "fish", "asked", "python", "codes.npy", str(checkpoint), FISH_SAMPLING, "cuda:0", "bf16"
    )


def heard(folder: Path, engine: EngineChoice, **flags: Any) -> dict[str, str]:
    segment = Segment("0001", "S0", 0.0, 1.0, "a line", "en")
    run_dir = take_up(folder / "run", "input")
    return segment_fingerprints(Job(Script((segment,)), {}, {"0001": 1.0}, run_dir, engine, resolve(flags)))


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "int8"},
        {"device": "cpu"},
        {"options": {**FISH_SAMPLING, "temperature": 0.9}},
        {"options": {**FISH_SAMPLING, "max_new_tokens": 500}},
        {"options": {**FISH_SAMPLING, "source": "/another/fish-speech"}},
    ],
)
def test_what_changes_the_numbers_is_heard(
    tmp_path: Path, fish: EngineChoice, change: dict[str, Any]
) -> None:
    assert heard(tmp_path, replace(fish, **change)) != heard(tmp_path, fish)


@pytest.mark.parametrize("change", [{"device": "cuda:3"}, {"options": {**FISH_SAMPLING, "compile": True}}])
def test_which_gpu_it_was_and_how_it_was_compiled_is_not(
    tmp_path: Path, fish: EngineChoice, change: dict[str, Any]
) -> None:
    assert heard(tmp_path, replace(fish, **change)) == heard(tmp_path, fish)


@pytest.mark.parametrize("flags", [{"threads": 7}, {"mode": "parallel", "workers": 4}, {"batch_size": 9}])
def test_how_the_work_is_shared_is_not(tmp_path: Path, fish: EngineChoice, flags: dict[str, Any]) -> None:
    assert heard(tmp_path, fish, **flags) == heard(tmp_path, fish)


@pytest.mark.parametrize("name", ["model.pth", "codec.pth"])
def test_other_weights_under_the_same_name_are_heard(tmp_path: Path, fish: EngineChoice, name: str) -> None:
    before = heard(tmp_path, fish)
    weights = Path(fish.checkpoint) / name
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1_000_000_000))
    assert heard(tmp_path, fish) != before
