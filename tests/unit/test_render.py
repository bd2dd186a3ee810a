from __future__ import annotations

import io
import json
import sys

import pytest

from voiceclone_cli.cli.render import PlainLines, ProgressMode, shown_progress
from voiceclone_cli.types import ProgressEvent


def test_plain_lines_tell_each_tenth_once_and_no_worker() -> None:
    lines: list[str] = []
    show = PlainLines(lines.append)
    for done in (0, 1, 2, 2, 15, 20):
        show(ProgressEvent("synthesis", done, 20))
        show(ProgressEvent("synthesis", done, 20, worker="worker 1"))
    show(ProgressEvent("note", 1, 1, note="engine: kokoro"))
    assert lines == [f"synthesis: {share} %" for share in (0, 10, 70, 100)] + ["engine: kokoro"]


def test_an_unknown_total_is_no_division(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(ProgressMode.PLAIN) as show:
        show(ProgressEvent("models", 5, None))
        show(ProgressEvent("models", 5, 0))
    assert capsys.readouterr().err == "models: ...\n"


def test_json_is_a_document_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(ProgressMode.JSON) as show:
        show(ProgressEvent("synthesis", 3, 9, worker="worker 1", note="0003"))
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "stage": "synthesis",
        "completed": 3.0,
        "total": 9.0,
        "worker": "worker 1",
        "note": "0003",
    }


def test_bars_take_text_that_looks_like_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown_progress(ProgressMode.RICH) as show:
        show(ProgressEvent("encoding", 1, 2, note="[/red] [SPEAKER"))
        show(ProgressEvent("synthesis", 1, 2, worker="worker 1", note="0001"))
        show(ProgressEvent("synthesis", 2, 2))
    assert "encoding" in screen.getvalue() and "worker 1" in screen.getvalue()
    assert "can no longer" not in screen.getvalue()


def test_nothing_is_shown_when_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    for mode, quiet in ((ProgressMode.NONE, False), (ProgressMode.PLAIN, True)):
        with shown_progress(mode, quiet=quiet) as show:
            show(ProgressEvent("media", 1, 2))
    assert capsys.readouterr() == ("", "")


def test_a_rendering_error_is_said_once_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(ProgressMode.PLAIN) as show:
        for _ in range(3):
            show(ProgressEvent("media", "three", 4))  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("can no longer be shown") == 1


def test_a_closed_stderr_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with shown_progress(ProgressMode.PLAIN) as show:
        show(ProgressEvent("media", 1, 2))
    assert sys.stderr is not closed
