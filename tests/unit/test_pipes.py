from __future__ import annotations

import io
from pathlib import Path

import pytest

from voiceclone_cli.workers.local import pipes
from voiceclone_cli.workers.local.pipes import LONGEST_LINE, BoundedLog, pieces


def test_lines_come_whole() -> None:
    found = list(pieces(io.BytesIO(b"one\ntwo\n\nno end")))
    assert [piece.data for piece in found] == [b"one\n", b"two\n", b"\n", b"no end"]
    assert all(piece.first and piece.last for piece in found)


def test_a_line_that_is_too_long_comes_in_pieces() -> None:
    text = b"x" * (2 * LONGEST_LINE + 5) + b"\nnext\n"
    found = list(pieces(io.BytesIO(text)))
    assert b"".join(piece.data for piece in found) == text
    assert max(len(piece.data) for piece in found) == LONGEST_LINE
    assert [(piece.first, piece.last) for piece in found] == [
        (True, False),
        (False, False),
        (False, True),
        (True, True),
    ]


def test_a_log_is_cut_at_its_bound_over_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "LONGEST_LOG", 1_000_000)
    path = tmp_path / "worker.log"
    for _ in range(3):
        with BoundedLog(path) as log:
            for _ in range(60):
                log.write(b"x" * 9_999 + b"\n")
            assert log.fault is None
    lines = path.read_bytes().splitlines()
    assert 95 <= lines.count(b"x" * 9_999) <= 100
    assert path.stat().st_size < 1_000_200
    assert lines[-1] == b"(cut here: the log has reached its 1 MB)"


def test_a_log_that_cannot_be_opened_or_written_is_no_error_but_is_told(tmp_path: Path) -> None:
    with BoundedLog(tmp_path / "nowhere" / "worker.log") as log:
        log.write(b"line\n")
        assert log.fault is not None and "No such file" in log.fault
    full = Path("/dev/full")
    if full.exists():
        with BoundedLog(full) as log:
            log.write(b"line\n" * 10_000)
        assert log.fault is not None and "No space left" in log.fault


def test_no_log_is_asked_for() -> None:
    with BoundedLog(None) as log:
        log.write(b"line\n")
        assert log.fault is None
