"""Identification of the language that is spoken, with an analyzer that answers as it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceclone_cli.analysis.analyzer import identify_language_cached
from voiceclone_cli.config import Settings
from voiceclone_cli.types import Diarization, Progress, Recording, Turn, no_progress
from voiceclone_cli.workers.protocol import AnalysisTask

TURNS = (Turn(10.0, 90.0, "A"), Turn(100.0, 180.0, "B"), Turn(190.0, 300.0, "A"))


class TestAnalyzer:
    __test__ = False

    def __init__(self, language: str, probability: float) -> None:
        self.answer = {"language": language, "probability": probability}
        self.tasks: list[AnalysisTask] = []

    def run(self, task: AnalysisTask, progress: Progress) -> dict[str, Any]:
        self.tasks.append(task)
        return self.answer


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.bin").write_bytes(b"weights")
    return replace(Settings(), asr_model=str(tmp_path / "model"))


def identify(settings: Settings, analyzer: TestAnalyzer, turns: tuple[Turn, ...] = TURNS) -> str:
    samples = np.zeros(320 * 16_000, np.float32)
    for turn in TURNS:
        samples[round(turn.start * 16_000) : round(turn.end * 16_000)] = 1.0
    recording = Recording(Path("talk.wav"), samples, 16_000, len(samples), 1, False)
    found = Diarization(turns, turns, "test", "it is a test", ())
    return identify_language_cached(recording, found, settings, no_progress, analyzer=analyzer)


def test_it_is_that_of_speech_alone_and_of_two_or_three_minutes_at_most(settings: Settings) -> None:
    analyzer = TestAnalyzer("zh", 0.98)
    assert identify(settings, analyzer) == "zh"
    (task,) = analyzer.tasks
    assert task.samples.min() == 1.0
    assert 120 <= len(task.samples) / 16_000 <= 160


def test_a_doubtful_language_is_none(settings: Settings) -> None:
    assert identify(settings, TestAnalyzer("zh", 0.3)) == ""


def test_where_nobody_speaks_alone_nothing_is_asked(settings: Settings) -> None:
    analyzer = TestAnalyzer("zh", 0.98)
    assert identify(settings, analyzer, turns=()) == ""
    assert not analyzer.tasks


def test_without_the_model_nothing_is_downloaded_for_it(tmp_path: Path) -> None:
    analyzer = TestAnalyzer("zh", 0.98)
    settings = replace(Settings(), asr_model="whisper-base", home=tmp_path)
    assert identify(settings, analyzer) == ""
    assert not analyzer.tasks
    assert not list(tmp_path.rglob("model.bin"))
