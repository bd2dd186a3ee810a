from __future__ import annotations

import os
from pathlib import Path

import pytest

from voiceclone_cli.batch.inputs import find_inputs, names_many
from voiceclone_cli.errors import InputError


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as people have them: two seasons, notes, hidden files, and an earlier run's directory."""
    for name in (
        "S02/E01.mp4",
        "S01/E02.MKV",
        "S01/E01.mp4",
        "S01/notes.txt",
        "S01/.E01.mp4",
        ".trash/old.wav",
        "E01.voiceclone/mix.wav",
        "E01.voiceclone/stems/SPEAKER_00.wav",
        "jingle.wav",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    (tmp_path / "E01.voiceclone" / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str) -> list[str]:
    return [path.as_posix() for path in find_inputs(map(Path, arguments))]


def test_a_folder_is_its_recordings_to_its_depths_in_order(archive: Path) -> None:
    assert found(".") == ["S01/E01.mp4", "S01/E02.MKV", "S02/E01.mp4", "jingle.wav"]


def test_arguments_keep_their_order(archive: Path) -> None:
    assert found("jingle.wav", "S02", "S01/E01.mp4") == ["jingle.wav", "S02/E01.mp4", "S01/E01.mp4"]


def test_a_pattern_takes_what_a_shell_would(archive: Path) -> None:
    assert found("S*/*.mp4") == ["S01/E01.mp4", "S02/E01.mp4"]
    assert found("**/*.mp4") == ["S01/E01.mp4", "S02/E01.mp4"]
    assert found("S01/E0[12].*") == ["S01/E01.mp4", "S01/E02.MKV"]


def test_a_pattern_with_an_open_end_takes_recordings_only(archive: Path) -> None:
    assert found("**") == ["S01/E01.mp4", "S01/E02.MKV", "S02/E01.mp4", "jingle.wav"]
    assert found("S01/*.txt") == ["S01/notes.txt"]


def test_a_pattern_goes_into_the_folders_that_fit_it(archive: Path) -> None:
    assert found("S0?") == ["S01/E01.mp4", "S01/E02.MKV", "S02/E01.mp4"]


def test_a_run_directory_is_passed_over_unless_it_is_named(archive: Path) -> None:
    assert found("**/*.wav") == ["jingle.wav"]
    assert found("E01.voiceclone/*.wav") == ["E01.voiceclone/mix.wav"]
    with pytest.raises(InputError, match="run directory") as caught:
        found("E01.voiceclone")
    assert caught.value.code == "run_directory_as_input"


@pytest.mark.parametrize("argument", ["empty", "*.flac", "S01/*.doc", "nowhere/**"])
def test_what_names_no_recording_is_refused(archive: Path, argument: str) -> None:
    (archive / "empty").mkdir()
    with pytest.raises(InputError, match="no audio or video file") as caught:
        found("S01", argument)
    assert caught.value.code == "no_input"


def test_a_file_that_is_named_is_taken_as_it_is(archive: Path) -> None:
    (archive / "talk [1].wav").touch()
    assert found("talk [1].wav", "missing.wav", "S01/notes.txt") == [
        "talk [1].wav",
        "missing.wav",
        "S01/notes.txt",
    ]
    assert not names_many(Path("talk [1].wav")) and not names_many(Path("missing.wav"))
    assert names_many(Path("S01")) and names_many(Path("talk [2].wav"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(archive: Path) -> None:
    (archive / "S02").chmod(0)
    try:
        with pytest.raises(InputError, match="S02 cannot be read"):
            found(".")
    finally:
        (archive / "S02").chmod(0o755)
