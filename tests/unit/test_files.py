"""Ids and speaker names that name files: the same ones on every system."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from properties import examples, expect_one_sentence
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.files import (
    are_safe_names,
    atomic_path,
    atomic_path_unsynced,
    check_speaker_names,
    check_writable,
    friendly_errors,
    write_bytes_atomic,
    write_error,
    write_text_atomic,
    write_text_unsynced,
)
from voiceclone_worker.protocol import task_from_json
from voiceclone_worker.validation import MAX_BYTES, MAX_CHARACTERS, ContractError, name_fault


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
    with pytest.raises(RunError) as caught, friendly_errors(folder):
        write_text_atomic(folder / "note.txt", "x")
    assert caught.value.code == "output_unwritable"
    assert str(folder) in caught.value.message
    assert "Not a directory" in caught.value.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_what_to_do(tmp_path: Path, number: int) -> None:
    error = write_error(tmp_path, OSError(number, os.strerror(number)))
    assert error.code == "disk_full" and error.exit_code == 1
    assert str(tmp_path) in error.message and "make room" in error.message


def test_a_folder_that_went_away_is_told_from_one_that_cannot_be_written(tmp_path: Path) -> None:
    gone = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    assert write_error(tmp_path / "gone", gone).code == "output_vanished"
    assert write_error(tmp_path, gone).code == "output_unwritable"


@pytest.mark.parametrize("write", [write_text_atomic, write_text_unsynced])
def test_a_link_in_the_place_of_a_file_is_replaced_and_its_target_left_alone(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    for target in ("elsewhere", "nowhere"):
        final = tmp_path / "mix.txt"
        final.unlink(missing_ok=True)
        final.symlink_to(tmp_path / target)
        write(final, "ours")
        assert final.read_text() == "ours" and not final.is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "theirs"
    assert not (tmp_path / "nowhere").exists()


def test_without_waiting_for_the_disk_it_is_whole_or_not_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flushed(descriptor: int) -> None:
        raise AssertionError("it waited for the disk")

    monkeypatch.setattr(os, "fsync", flushed)
    write_text_unsynced(tmp_path / "note.txt", "old")
    with pytest.raises(OSError, match="full"), atomic_path_unsynced(tmp_path / "note.txt") as temporary:
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
    with pytest.raises(Stopped), atomic_path(tmp_path / "note.txt"):
        raise Stopped(130)


def test_what_writing_would_meet_can_be_met_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "script.json")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    for refused in (tmp_path, tmp_path / "file" / "script.json"):
        with pytest.raises(OSError):
            check_writable(refused)


@pytest.mark.parametrize(
    "name",
    ["SPEAKER_00", "0001", "Anna", "Anna Lee", "José", "王芳", "x.y", "COM10", "console", "null", "a" * 100],
)
def test_ordinary_names_are_taken(name: str) -> None:
    check_speaker_names([name])
    assert are_safe_names([name])


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("../x", "holds '/'"),
        ("/etc/passwd", "holds '/'"),
        ("a\\b", "holds"),
        ("C:x", "holds ':'"),
        ("what?", r"holds '\?'"),
        ("[x]", r"holds '\['"),
        (".", "begins or ends with a dot"),
        ("..", "begins or ends with a dot"),
        (".hidden", "begins or ends with a dot"),
        ("x.", "begins or ends with a dot"),
        (" x", "or a blank"),
        ("x\u00a0", "or a blank"),
        ("CON", "device"),
        ("con", "device"),
        ("nul.txt", "device"),
        ("Com1.wav.bak", "device"),
        ("lpt¹", "device"),
        ("aux .txt", "device"),
        ("a\0b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("a\x1b[31m", r"U\+001B"),
        ("a\x85b", r"U\+0085"),
        ("a\u202eb", r"U\+202E"),
        ("a\u200fb", r"U\+200F"),
        ("a\u200bb", r"U\+200B"),
        ("\ufeffa", r"U\+FEFF"),
        ("a\u2028b", r"U\+2028"),
        ("a\ud800", "unpaired surrogate"),
        ("a" * 101, "101 characters, more than 100"),
        ("a" * 300, "300 characters, more than 100"),
        ("王" * 67, "201 bytes, more than 200"),
    ],
)
def test_names_that_are_no_files_are_refused_in_one_sentence(name: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as refusal:
        check_speaker_names(["Anna", name])
    assert refusal.value.code == "unsafe_name"
    expect_one_sentence(refusal.value)
    assert not are_safe_names([name])


@pytest.mark.parametrize(
    "pair", [("Anna", "ANNA"), ("Jos\u00e9", "Jose\u0301"), ("STRASSE", "straße"), ("\u212bsa", "\u00e5sa")]
)
def test_two_names_for_one_file_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="would name one folder") as refusal:
        check_speaker_names([*pair, "Ben"])
    assert refusal.value.code == "unsafe_name"
    assert not are_safe_names(pair)


def test_the_same_name_again_is_the_same_speaker() -> None:
    check_speaker_names(["Anna", "Ben", "Anna"])


def test_an_id_that_comes_twice_has_no_file_of_its_own() -> None:
    assert not are_safe_names(["0001", "0001"])


@examples
@example("CON.a")
@given(st.text(max_size=120) | st.text("./\\:CONnul ..~$\u202e", max_size=12))
def test_a_name_without_fault_is_one_file_in_its_folder(name: str) -> None:
    if name_fault(name) is not None:
        return
    assert 0 < len(name) <= MAX_CHARACTERS and len(os.fsencode(name)) <= MAX_BYTES
    assert Path("/run", f"{name}.wav").parent == Path("/run")
    windows = PureWindowsPath("C:\\run", f"{name}.wav")
    assert windows.parent == PureWindowsPath("C:\\run") and not windows.is_reserved()


@examples
@given(st.text(max_size=120))
def test_the_worker_and_the_command_agree_on_ids(name: str) -> None:
    try:
        check_speaker_names([name])
        safe = True
    except InputError:
        safe = False
    segment = {"id": name, "text": "a"}
    task = {
        "schema": "voiceclone.task/1",
        "speaker": "A",
        "engine": {"name": "echo"},
        "reference": {},
        "output_dir": os.path.abspath(os.sep),
        "segments": [segment],
    }
    try:
        task_from_json(json.dumps(task))
        taken = True
    except ContractError as error:
        expect_one_sentence(error)
        taken = False
    assert taken == safe
