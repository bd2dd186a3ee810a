"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from platforms import needs_symlinks
from voiceclone_cli.files import write_error
from voiceclone_worker import atomic
from voiceclone_worker.atomic import atomic_path, write_bytes_atomic, write_failure


def test_a_file_appears_whole_with_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    final = tmp_path / "new" / "folder" / "note.txt"
    with atomic_path(final) as temporary:
        temporary.write_text("half")
        assert not final.exists()
        temporary.write_text("whole")
    assert final.read_text() == "whole"
    assert list(final.parent.iterdir()) == [final]


def test_the_temporary_name_keeps_the_folder_and_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "sound.wav") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".wav"


def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    final = tmp_path / "out" / "note.txt"
    write_bytes_atomic(final, b"old")
    with pytest.raises(KeyboardInterrupt), atomic_path(final) as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert final.read_text() == "old"
    assert list(final.parent.iterdir()) == [final]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    final = tmp_path / "out" / "note.txt"
    with atomic_path(final) as first, atomic_path(final) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert final.read_text() == "first"  # The outer one ends last.
    assert list(final.parent.iterdir()) == [final]


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    final = tmp_path / ("n" * 251 + ".txt")
    write_bytes_atomic(final, b"x")
    assert final.read_text() == "x"


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / "a.bin", b"\x00\xff\r\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff\r\n"


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_the_file_is_as_readable_as_any_other_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_bytes_atomic(tmp_path / "atomic", b"x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "usual").stat().st_mode


@needs_symlinks
@pytest.mark.parametrize("sync", [True, False])
def test_a_link_in_the_place_of_a_file_is_replaced_and_its_target_left_alone(
    tmp_path: Path, sync: bool
) -> None:
    (tmp_path / "elsewhere").write_text("target")
    for target in ("elsewhere", "nowhere"):
        final = tmp_path / "mix.txt"
        final.unlink(missing_ok=True)
        final.symlink_to(tmp_path / target)
        write_bytes_atomic(final, b"new", sync=sync)
        assert final.read_bytes() == b"new" and not final.is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "target"
    assert not (tmp_path / "nowhere").exists()


def test_without_make_folder_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes_atomic(tmp_path / "gone" / "0001.wav", b"x", make_folder=False)
    assert not (tmp_path / "gone").exists()


def test_without_waiting_for_the_disk_it_is_whole_or_not_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flushed(descriptor: int) -> None:
        raise AssertionError("it waited for the disk")

    monkeypatch.setattr(os, "fsync", flushed)
    write_bytes_atomic(tmp_path / "note.txt", b"old", sync=False)
    with pytest.raises(OSError, match="full"), atomic_path(tmp_path / "note.txt", sync=False) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "full")
    assert (tmp_path / "note.txt").read_text() == "old"
    assert [path.name for path in tmp_path.glob("*note*")] == ["note.txt"]


def test_a_temporary_file_that_cannot_be_removed_does_not_hide_why_the_writing_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "note.txt"):
        raise KeyboardInterrupt


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "speaker"
    folder.mkdir()
    write_bytes_atomic(folder / "codes.npy", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes_atomic(folder / "codes.npy", b"new")
    assert [path.name for path in folder.iterdir()] == ["codes.npy"]
    assert (folder / "codes.npy").read_bytes() == b"old"


def test_a_full_disk_is_told_from_other_failures() -> None:
    path = Path("/out/segments/0001.wav")
    full = write_failure(path, OSError(errno.ENOSPC, "No space left on device"))
    assert full.code == "disk_full" and str(path.parent) in full.message and "make room" in full.message
    other = write_failure(path, OSError(errno.EROFS, "Read-only file system"))
    assert (other.code, other.message) == (
        "write_failed",
        f"{path} could not be written: Read-only file system",
    )


class HeldOpen:
    """``os.replace`` as on Windows: it fails as long as another program has the file open."""

    def __init__(self, times: int) -> None:
        self.left = times
        self._real = os.replace

    def __call__(self, source: Path, target: Path) -> None:
        if self.left:
            self.left -= 1
            raise PermissionError(errno.EACCES, "Access denied", str(source))
        self._real(source, target)


def test_a_file_that_is_held_for_a_moment_on_windows_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(os, "replace", HeldOpen(3))
    atomic.replace_file(tmp_path / "new", tmp_path / "old", "win32")
    assert (tmp_path / "old").read_text() == "new"


def test_a_file_that_stays_open_in_another_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "mix.wav"
    final.touch()
    (tmp_path / "new").touch()
    monkeypatch.setattr(os, "replace", HeldOpen(10**9))
    monkeypatch.setattr(atomic, "REPLACE_SECONDS", 0.1)
    with pytest.raises(OSError) as caught:
        atomic.replace_file(tmp_path / "new", final, "win32")
    failure = write_failure(tmp_path, caught.value)
    assert failure.code == "file_in_use"
    assert failure.message.startswith(f"{final} is open in another program: close it")
    error = write_error(tmp_path, caught.value)
    assert (error.code, error.message) == ("file_in_use", f"{failure.message}.")


def test_a_file_that_may_not_be_replaced_is_no_open_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", HeldOpen(10**9))
    monkeypatch.setattr(atomic, "REPLACE_SECONDS", 0)
    (tmp_path / "new").touch()
    for platform in ("linux", "win32"):  # there is no file in the way
        with pytest.raises(PermissionError) as caught:
            atomic.replace_file(tmp_path / "new", tmp_path / "missing", platform)
        assert write_failure(tmp_path, caught.value).code == "write_failed"
