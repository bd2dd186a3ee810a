"""Run directories that can be evaluated, and folders that cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from check_samples import finished_run, load_manifest, save_manifest
from voiceclone_cli.errors import InputError
from voiceclone_cli.evaluation.model import read_finished_run
from voiceclone_cli.types import Turn


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        read_finished_run(folder)
    assert str(folder) in raised.value.message
    return raised.value.code


def test_every_line_is_read_with_its_wav_beside_the_manifest(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone")
    finished = read_finished_run(folder)
    assert [(row["id"], row["speaker"]) for row in finished.manifest.segments] == [
        ("0001", "ANNA"),
        ("0002", "BERT"),
    ]
    assert finished.wav("0001") == folder / "segments" / "0001.wav"
    assert finished.turns == (Turn(0.5, 7.5, "ANNA"), Turn(8.0, 15.0, "BERT"))
    assert finished.user_references == frozenset()
    assert finished.recording == tmp_path / "talk.wav"


def test_a_directory_that_was_moved_is_read_where_it_is_now(tmp_path: Path) -> None:
    finished_run(tmp_path / "before")
    moved = tmp_path / "now"
    shutil.move(tmp_path / "before", moved)
    finished = read_finished_run(moved)
    assert finished.wav("0002") == moved / "segments" / "0002.wav"
    references = {name: moved / "speakers" / name / "reference.wav" for name in ("ANNA", "BERT")}
    assert finished.references() == references


def test_the_copy_of_the_recording_comes_before_the_input(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone")
    shutil.copy(tmp_path / "talk.wav", folder / "original.flac")
    assert read_finished_run(folder).recording == folder / "original.flac"


def test_an_input_that_has_changed_is_not_the_recording(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone")
    (tmp_path / "talk.wav").write_bytes(b"another")
    assert read_finished_run(folder).recording is None
    (tmp_path / "talk.wav").unlink()
    assert read_finished_run(folder).recording is None


def test_a_reference_without_spans_in_the_recording_was_given(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone")
    manifest = load_manifest(folder)
    manifest["speakers"][1]["reference_spans"] = []
    save_manifest(folder, manifest)
    assert read_finished_run(folder).user_references == {"BERT"}


def test_another_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == "not_a_run_directory"
    assert refused(tmp_path / "nowhere") == "not_a_run_directory"


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone", status="running")
    assert refused(folder) == "run_not_ended"


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone", schema="voiceclone.run/99")
    assert refused(folder) == "run_schema"


def test_a_run_without_speech_is_refused(tmp_path: Path) -> None:
    assert refused(finished_run(tmp_path / "one", segments=[])) == "nothing_to_check"
    folder = finished_run(tmp_path / "two")
    manifest = load_manifest(folder)
    for line in manifest["segments"]:
        line["status"] = "planned"
    save_manifest(folder, manifest)
    assert refused(folder) == "nothing_to_check"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("start", float("nan")),
        ("id", "../../etc/passwd"),
        ("speaker", "../.."),
        ("end", "soon"),
        ("gain_db", []),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, field: str, value: object) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone")
    manifest = load_manifest(folder)
    manifest["segments"][0][field] = value
    save_manifest(folder, manifest)
    assert refused(folder) == "manifest_damaged"


def test_a_manifest_without_its_input_is_refused(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone", input={})
    shutil.copy(tmp_path / "talk.wav", folder / "original.flac")
    assert refused(folder) == "manifest_damaged"


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "[" * 5000, '{"schema": "voiceclone.run/1"}'])
def test_another_document_is_refused(tmp_path: Path, text: str) -> None:
    folder = finished_run(tmp_path / "talk.voiceclone")
    (folder / "run.json").write_text(text, encoding="utf-8")
    assert refused(folder) == "manifest_damaged"
