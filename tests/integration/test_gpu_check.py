"""The check of the fish engine on a GPU, tried on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from command import benchmark

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def interpreter(fish_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish_python))


def test_the_check_itself_runs_on_the_cpu() -> None:
    done = benchmark("gpu", "--device", "cpu", "--size", "tiny", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["equal_to_cpu"] == {"lines": 8, "plain": 8, "captured": 8}
    assert found["out_of_memory"] == {"lines": 8, "decoded": 8, "tried": [8, 4], "simulated": True}
    rows = found["shapes"]["tiny"]["frames"]
    assert [(row["mode"], row["batch"]) for row in rows] == [
        (mode, batch) for mode in ("plain", "captured") for batch in (1, 4)
    ]
    assert all(row["frames_a_second"] > 0 for row in rows)
    assert found["lines"]["segments"] == 8 and found["lines"]["failed"] == []
    assert found["omitted"] == ["tiny, compiled: only on a GPU"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    done = benchmark("gpu")
    assert (done.code, done.out) == (4, "")
    (sentence,) = done.err.splitlines()
    assert "there is no GPU" in sentence and "--device cpu --size tiny" in sentence


def test_the_published_shapes_are_refused_on_the_cpu() -> None:
    done = benchmark("gpu", "--device", "cpu")
    assert done.code == 2
    assert "add --size tiny" in done.err
