"""References cut from a real recording, compared with a human reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.analysis.diarization import SpeakerCount, choose_diarizer, diarize
from voiceclone_cli.analysis.turns import read_rttm
from voiceclone_cli.audio import reader
from voiceclone_cli.references.build import build_references
from voiceclone_cli.types import Diarization, Recording, Reference, Turn, no_progress

pytestmark = [pytest.mark.engine, pytest.mark.numerical]


@pytest.fixture(scope="module")
def recording(sample_wav: Path) -> Recording:
    return reader.read_recording(sample_wav)


@pytest.fixture(scope="module")
def references(
    recording: Recording, model_folders: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Reference]:
    stack = choose_diarizer(
        "embedded", models=lambda names: {name: model_folders[name] for name in names}, token=None
    )
    found: Diarization = diarize(recording, stack, token=None, count=SpeakerCount(), threads=1)
    out = tmp_path_factory.mktemp("speakers")
    return build_references(
        recording, found, [], language="", out=out, given={}, speakers=found.speakers, progress=no_progress
    )


def seconds_by_speaker(turns: list[Turn], start: float, end: float) -> dict[str, float]:
    """Seconds of each speaker within a span."""
    seconds: dict[str, float] = {}
    for turn in turns:
        shared = min(end, turn.end) - max(start, turn.start)
        if shared > 0:
            seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + shared
    return seconds


def test_a_reference_has_the_speech_of_one_person(references: dict[str, Reference], sample_wav: Path) -> None:
    turns = read_rttm(sample_wav.with_suffix(".rttm").read_text(encoding="utf-8"))
    owners = set()
    for reference in references.values():
        seconds: dict[str, float] = {}
        for start, end in reference.spans:
            for person, shared in seconds_by_speaker(turns, start, end).items():
                seconds[person] = seconds.get(person, 0.0) + shared
        owner = max(seconds, key=lambda person: seconds[person])
        assert seconds[owner] / sum(seconds.values()) > 0.95
        owners.add(owner)
    assert len(owners) == 2


def test_there_are_5_to_15_seconds_of_it_without_a_warning(references: dict[str, Reference]) -> None:
    for reference in references.values():
        assert 5 <= reference.seconds <= 15
        assert reference.warnings == ()


def test_the_wav_holds_the_recordings_own_samples_at_its_own_rate(
    references: dict[str, Reference], recording: Recording
) -> None:
    for reference in references.values():
        written = reader.read_recording(reference.audio)
        assert written.source_rate == recording.source_rate
        start, end = reference.spans[0]
        (original,) = reader.read_spans(recording.path, [(start + 0.01, end - 0.01)])
        (copy,) = reader.read_spans(reference.audio, [(0.01, end - start - 0.01)])
        length = min(len(original), len(copy))
        assert length > 0.9 * (end - start) * recording.source_rate
        assert np.abs(original[:length] - copy[:length]).max() <= 2 / 32768
