"""Ids and speaker names that name files: the same ones on every system."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from properties import examples, expect_one_sentence
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.files import (
    are_safe_names,
    check_speaker_names,
    check_writable,
    friendly_errors,
    write_error,
    write_text_atomic,
)
from voiceclone_worker.protocol import task_from_json
from voiceclone_worker.validation import MAX_BYTES, MAX_CHARACTERS, ContractError, name_fault


def test_text_is_utf8_and_keeps_its_line_ends(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a.txt", "señal\r\nzwei\n")
    assert (tmp_path / "a.txt").read_bytes() == "señal\r\nzwei\n".encode()


def test_a_write_error_becomes_one_sentence_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    with pytest.raises(RunError) as caught, friendly_errors(folder):
        write_text_atomic(folder / "note.txt", "x")
    assert caught.value.code == "output_unwritable"
    assert str(folder) in caught.value.message
    assert re.search("Not a directory|exists", caught.value.message), "as the system says it"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so_and_what_to_do(tmp_path: Path, number: int) -> None:
    error = write_error(tmp_path, OSError(number, os.strerror(number)))
    assert error.code == "disk_full" and error.exit_code == 1
    assert str(tmp_path) in error.message and "make room" in error.message


def test_a_folder_that_vanished_differs_from_one_that_cannot_be_written(tmp_path: Path) -> None:
    missing = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    assert write_error(tmp_path / "removed", missing).code == "output_vanished"
    assert write_error(tmp_path, missing).code == "output_unwritable"


def test_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    error = OSError(errno.ENAMETOOLONG, "File name too long", f"{tmp_path}/{'x' * 300}.srt")
    assert (
        "is longer than the file system allows: choose a shorter one" in write_error(tmp_path, error).message
    )


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
