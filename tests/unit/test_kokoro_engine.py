"""A line's speed is fitted to its slot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voiceclone_worker.engines import kokoro
from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.kokoro.engine import FASTEST, fit_length
from voiceclone_worker.engines.kokoro.model import DECODER_FILE, FRONT_FILE, RATE, Floats
from voiceclone_worker.protocol import EngineSpec


def renderer(seconds: float, speeds: list[float]) -> Callable[[float], Floats]:
    """Return a function that renders a line of ``seconds`` at speed 1, and records the speeds."""

    def render(speed: float) -> Floats:
        speeds.append(speed)
        return np.ones(round(seconds / speed * RATE), np.float32)

    return render


def test_a_line_that_fits_is_rendered_once_at_the_speakers_speed() -> None:
    speeds: list[float] = []
    fit_length(renderer(2.0, speeds), 0.9, 5.0)
    fit_length(renderer(2.0, speeds), 1.1, None)
    assert speeds == [0.9, 1.1]


def test_a_longer_line_is_rendered_faster_until_it_fits() -> None:
    speeds: list[float] = []
    signal = fit_length(renderer(2.4, speeds), 1.0, 2.0)
    assert len(signal) / RATE <= 2.0
    assert len(speeds) == 2


def test_speed_has_a_limit_and_the_rest_is_kept() -> None:
    speeds: list[float] = []
    signal = fit_length(renderer(4.0, speeds), 1.0, 1.0)
    assert max(speeds) == FASTEST
    assert len(signal) == round(4.0 / FASTEST * RATE)
    assert len(speeds) <= 3


def test_a_checkpoint_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voiceclone models pull kokoro") as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path)), lambda *event, **fields: None)
    assert refused.value.code == "checkpoint_missing"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    for name in (FRONT_FILE, DECODER_FILE):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError) as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path)), lambda *event, **fields: None)
    assert refused.value.code == "checkpoint_unusable"


@pytest.mark.parametrize("threads", [-1, "two", 1.5, True])
def test_threads_must_be_a_number(tmp_path: Path, threads: object) -> None:
    with pytest.raises(EngineError) as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path), options={"threads": threads}), lambda *e, **f: None)
    assert refused.value.code == "bad_option"
