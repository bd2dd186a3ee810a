"""A node analyzes with the coordinator's models, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from factories import recording
from voiceclone_cli.analysis.analyzer import diarization_task, transcription_task
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.cluster.analysis import FILES, folder_sha256, node_analysis, portable_request
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.protocol import AnalysisTask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own models"
    (folder / "below").mkdir(parents=True)
    (folder / "config.yaml").write_text("pipeline: own", encoding="utf-8")
    (folder / "below" / "model.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def settings() -> Settings:
    return resolve({"token": "hf_secret"}, {})


def sent(task: AnalysisTask) -> AnalysisTask:
    """Return the task as a node gets it."""
    return AnalysisTask(task.id, portable_request(task.request), task.samples, task.seconds)


def diarization_with(folder: Path, settings: Settings) -> AnalysisTask:
    model = DiarizationModel(str(folder), {str(folder): folder}, "it was requested")
    return sent(diarization_task(recording(), model, SpeakerCount(), settings))


def test_a_folder_is_known_by_what_its_files_hold(folder: Path) -> None:
    before = folder_sha256(folder)
    assert sorted(before) == ["below/model.bin", "config.yaml"]
    (folder / "below" / "model.bin").write_bytes(b"another")
    after = folder_sha256(folder)
    assert [name for name in before if before[name] != after[name]] == ["below/model.bin"]


def test_a_folder_that_is_the_same_here_is_used_with_the_nodes_threads_and_token(
    folder: Path, settings: Settings
) -> None:
    task = diarization_with(folder, settings)
    assert "hf_secret" not in str(task.request)
    here = node_analysis(task, {}, 7)
    assert here.request == {**task.request, "threads": 7, "token": resolve({}).token}


@pytest.mark.parametrize("change", ["another", "missing"])
def test_a_folder_that_is_another_one_here_is_not_used(folder: Path, settings: Settings, change: str) -> None:
    task = diarization_with(folder, settings)
    weights = folder / "below" / "model.bin"
    if change == "missing":
        weights.unlink()
    else:
        weights.write_bytes(b"another")
    with pytest.raises(PreflightError, match=r"has no below/model\.bin there, or another one"):
        node_analysis(task, {}, 1)


def test_models_of_the_registry_are_named_and_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "a node's own"))
    task = sent(transcription_task(recording(), tmp_path / "whisper-base", settings))
    assert (task.request["model"]["name"], task.request[FILES]) == ("whisper-base", None)
    with pytest.raises(PreflightError, match="voiceclone models pull whisper-base") as caught:
        node_analysis(task, {"home": str(tmp_path)}, 1)
    assert caught.value.code == "models_missing"
    model = DiarizationModel("embedded", {}, "it was requested")
    assert (
        portable_request(diarization_task(recording(), model, SpeakerCount(), settings).request)[FILES]
        is None
    )
