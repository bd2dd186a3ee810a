"""Random checkpoints, as far as they need no fish environment: which folders are taken, and the refusals."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.random_checkpoint import Size, make_checkpoint
from benchmarks.random_weights import SIZES, require_space
from platforms import needs_posix_paths, needs_symlinks
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_worker.engines.base import EngineError


@pytest.fixture
def settings() -> Settings:
    """With an interpreter that works and has no fish-speech: pytest's own."""
    return resolve({}, {"FISH_SPEECH_PYTHON": sys.executable})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    (tmp_path / "tiny").mkdir()
    return tmp_path / "tiny"


def test_both_environments_know_the_same_sizes() -> None:
    assert [size.value for size in Size] == list(SIZES)


def test_every_size_leaves_room_for_a_prompt() -> None:
    assert all(size.config["max_seq_len"] >= 2560 for size in SIZES.values())


@pytest.mark.parametrize("name", ["voices-int8", "int4/tiny"])
def test_a_path_that_upstream_takes_for_quantised_weights_is_refused(
    name: str, tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(InputError, match=r"'int\d'.*choose another name") as raised:
        make_checkpoint(tmp_path / name, Size.TINY, settings)
    assert raised.value.code == "checkpoint_folder"
    assert not list(tmp_path.glob("*int*"))


@needs_symlinks
def test_a_link_into_such_a_path_is_refused_too(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "int8").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "int8")
    with pytest.raises(InputError, match="int8"):
        make_checkpoint(tmp_path / "link", Size.TINY, settings)


@needs_posix_paths  # Windows makes a path of any name
def test_the_home_of_nobody_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match="the home of a user who is not known on this machine"):
        make_checkpoint(Path("~nobody-of-this-name/tiny"), Size.TINY, settings)


def test_a_file_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "voice").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        make_checkpoint(tmp_path / "voice", Size.TINY, settings)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_other_files_is_never_replaced(folder: Path, settings: Settings, force: bool) -> None:
    (folder / "model.pth").write_text("trained for a year")
    with pytest.raises(InputError, match="holds no generated checkpoint: name another folder"):
        make_checkpoint(folder, Size.TINY, settings, force=force)
    assert (folder / "model.pth").read_text() == "trained for a year"


def test_a_generated_checkpoint_is_replaced_only_when_asked(folder: Path, settings: Settings) -> None:
    (folder / "generated.json").write_text("{}")
    with pytest.raises(InputError, match="replace it with --force"):
        make_checkpoint(folder, Size.TINY, settings)


def test_files_put_beside_a_generated_checkpoint_are_not_lost(folder: Path, settings: Settings) -> None:
    (folder / "generated.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"beside its generated checkpoint \(notes.txt\)"):
        make_checkpoint(folder, Size.TINY, settings, force=True)
    assert (folder / "notes.txt").read_text() == "mine"


def test_an_interpreter_without_fish_speech_leaves_no_trace(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(PreflightError) as raised:
        make_checkpoint(tmp_path / "tiny", Size.TINY, settings)
    assert raised.value.code == "fish_missing"
    assert "voiceclone env create" in raised.value.message
    assert list(tmp_path.iterdir()) == [tmp_path / "cwd"]


def test_a_full_disk_is_said_before_anything_large_is_drawn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(folder)._replace(free=2_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    require_space(folder, 1_000_000_000)
    with pytest.raises(EngineError, match=r"takes 3600 MB and 2000 MB are free .*: make room") as raised:
        require_space(folder, 3_600_000_000)
    assert raised.value.code == "disk_full"
