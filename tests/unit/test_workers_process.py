from __future__ import annotations

import io
import os
from contextlib import closing
from pathlib import Path

import pytest

from voiceclone_cli.workers import process
from voiceclone_cli.workers.process import (
    MAX_LINE_BYTES,
    BoundedLog,
    LastWords,
    TaskFiles,
    diagnosis,
    read_lines,
)
from voiceclone_cli.workers.protocol import Lease
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SynthesisTask, read_task


@pytest.mark.parametrize(
    "code, fault, sentence",
    [
        (9, None, "w ended with exit code 9"),
        (-11, None, "w was ended by SIGSEGV"),
        (-9, None, "w was ended by SIGKILL (as the system does where memory runs out)"),
        (-9, "it stalled", "w was ended: it stalled"),
        (1, "it stalled", "w ended with exit code 1: it stalled"),
        (139, None, "w ended with exit code 139 (a shell's way to say SIGSEGV)"),
        (255, None, "w ended with exit code 255"),
        (3221225477, None, "w ended with exit code 0xC0000005"),
        (-99, None, "w was ended by signal 99"),
    ],
)
def test_the_end_is_told_in_one_sentence(code: int, fault: str | None, sentence: str) -> None:
    assert diagnosis("w", code, fault, "") == sentence
    assert diagnosis("w", code, fault, "ouch") == f"{sentence}; it last said: ouch"


def test_the_last_three_lines_are_kept_bounded_and_without_control_characters() -> None:
    words = LastWords()
    for line in ("first", "second", "\x1b[31mthird\x07", "", "   ", "fourth " * 1000):
        words.add(line)
    reported = str(words)
    assert reported.isprintable() and len(reported) <= 400
    words.add("fifth")
    words.add("sixth")
    assert str(words).endswith("| fifth | sixth") and "second" not in str(words)


def test_lines_come_whole() -> None:
    found = list(read_lines(io.BytesIO(b"one\ntwo\n\nno end")))
    assert [data for data, _, _ in found] == [b"one\n", b"two\n", b"\n", b"no end"]
    assert all(first and last for _, first, last in found)


def test_a_line_that_is_too_long_comes_in_pieces() -> None:
    text = b"x" * (2 * MAX_LINE_BYTES + 5) + b"\nnext\n"
    found = list(read_lines(io.BytesIO(text)))
    assert b"".join(data for data, _, _ in found) == text
    assert max(len(data) for data, _, _ in found) == MAX_LINE_BYTES
    assert [(first, last) for _, first, last in found] == [
        (True, False),
        (False, False),
        (False, True),
        (True, True),
    ]


def test_a_log_is_cut_at_its_bound_over_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_LOG_BYTES", 1_000_000)
    path = tmp_path / "worker.log"
    for _ in range(3):
        with closing(BoundedLog(path)) as log:
            for _ in range(60):
                log.write(b"x" * 9_999 + b"\n")
            assert log.fault is None
    lines = path.read_bytes().splitlines()
    assert 95 <= lines.count(b"x" * 9_999) <= 100
    assert path.stat().st_size < 1_000_200
    assert lines[-1] == b"(cut here: the log has reached its 1 MB)"


def test_a_log_that_cannot_be_opened_or_written_is_no_error_but_is_told(tmp_path: Path) -> None:
    with closing(BoundedLog(tmp_path / "nowhere" / "worker.log")) as log:
        log.write(b"line\n")
        assert log.fault is not None and "No such file" in log.fault
    full = Path("/dev/full")
    if full.exists():
        with closing(BoundedLog(full)) as log:
            log.write(b"line\n" * 10_000)
        assert log.fault is not None and "No space left" in log.fault


def test_no_log_is_asked_for() -> None:
    with closing(BoundedLog(None)) as log:
        log.write(b"line\n")
        assert log.fault is None


TASK = SynthesisTask("", EngineSpec("echo"), ReferenceSpec("", "", "", ""), "", ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    return tmp_path / "tasks"


def test_each_task_has_a_file_until_its_lease_is_answered(folder: Path) -> None:
    files = TaskFiles(folder, keep=False)
    first, second = files.write(Lease((TASK, TASK), 0)), files.write(Lease((TASK,), 0))
    assert sorted(folder.iterdir()) == [*first, *second]
    assert all(read_task(path) == TASK for path in first)
    files.remove(first)
    assert list(folder.iterdir()) == second


def test_files_can_be_kept(folder: Path) -> None:
    files = TaskFiles(folder, keep=True)
    written = files.write(Lease((TASK,), 0))
    files.remove(written)
    assert list(folder.iterdir()) == written


def test_where_one_cannot_be_written_none_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == "task-00002.json":
            raise OSError(28, "No space left on device")
        whole(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        TaskFiles(folder, keep=False).write(Lease((TASK, TASK), 0))
    assert list(folder.iterdir()) == []


def test_files_that_are_gone_already_are_no_error(folder: Path) -> None:
    files = TaskFiles(folder, keep=False)
    written = files.write(Lease((TASK,), 0))
    written[0].unlink()
    folder.rmdir()
    files.remove(written)
    assert not folder.exists()
