from __future__ import annotations

import os
from pathlib import Path

import pytest

from voiceclone_cli.atomic import atomic_path, explain_write_errors, write_bytes_atomic, write_text_atomic
from voiceclone_cli.errors import RunError


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
    write_text_atomic(final, "old")
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
    write_text_atomic(final, "x")
    assert final.read_text() == "x"


def test_text_is_utf8_and_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "señal\r\nzwei\n")
    assert (tmp_path / "a.txt").read_bytes() == "señal\r\nzwei\n".encode()


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / "a.bin", b"\x00\xff\r\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff\r\n"


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_the_file_is_as_readable_as_any_other_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_text_atomic(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_write_error_becomes_one_sentence_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    with pytest.raises(RunError) as caught, explain_write_errors(folder):
        write_text_atomic(folder / "note.txt", "x")
    assert caught.value.code == "output_unwritable"
    assert str(folder) in caught.value.message
    assert "Not a directory" in caught.value.message
