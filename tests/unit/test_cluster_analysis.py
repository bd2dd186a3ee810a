"""A node listens with the controller's models, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.analysis.remote import AnalysisRequest, diarization_request, transcription_request
from voiceclone_cli.cluster.analysis import ELSEWHERE, found_here, model_payloads, of_recogniser, of_stack
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import PreflightError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own models"
    (folder / "below").mkdir(parents=True)
    (folder / "config.yaml").write_text("pipeline: own", encoding="utf-8")
    (folder / "below" / "model.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def settings() -> Settings:
    return resolve({}, {})


def turns_with(folder: Path, settings: Settings) -> AnalysisRequest:
    stack = DiarizationModel(str(folder), {str(folder): folder}, "it was asked for")
    return {**diarization_request(stack, SpeakerCount(), settings), ELSEWHERE: of_stack(stack)}


def test_a_folder_is_known_by_what_its_files_hold(folder: Path) -> None:
    before = model_payloads(folder)
    assert sorted(before) == ["below/model.bin", "config.yaml"]
    (folder / "below" / "model.bin").write_bytes(b"another")
    after = model_payloads(folder)
    assert [name for name in before if before[name] != after[name]] == ["below/model.bin"]


def test_a_folder_that_is_the_same_here_is_used(folder: Path, settings: Settings) -> None:
    wish = turns_with(folder, settings)
    assert found_here(wish, {}) == wish


@pytest.mark.parametrize("change", ["another", "gone"])
def test_a_folder_that_is_another_one_here_is_not_used(folder: Path, settings: Settings, change: str) -> None:
    wish = turns_with(folder, settings)
    weights = folder / "below" / "model.bin"
    if change == "gone":
        weights.unlink()
    else:
        weights.write_bytes(b"another")
    with pytest.raises(PreflightError, match=r"has no below/model\.bin there, or another one"):
        found_here(wish, {})


def test_models_of_the_registry_are_told_by_their_names_and_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "a node's own"))
    recogniser = tmp_path / "whisper-base"
    elsewhere = of_recogniser(recogniser, settings)
    assert elsewhere == {"model": "whisper-base", "files": None}
    wish = {**transcription_request(recogniser, settings), ELSEWHERE: elsewhere}
    with pytest.raises(PreflightError, match="voiceclone models pull whisper-base") as caught:
        found_here(wish, {"home": str(tmp_path)})
    assert caught.value.code == "models_missing"
    stack = DiarizationModel("embedded", {}, "it was asked for")
    assert of_stack(stack) == {"files": None}
