from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys

import pytest

from voiceclone_cli.cli.render import PlainLines, ProgressMode, shown_progress
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import ProgressEvent

COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-9]|9[0-9]|4[0-9])[0-9;]*m")
ANY_CONTROL = "\x1b"


def on_a_terminal(*arguments: str, **environ: str) -> str:
    """What the command draws on a terminal, both streams together."""
    pty = pytest.importorskip("pty")
    controller, terminal = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "voiceclone_cli", *arguments]
    settings = {**plain, "TERM": "xterm-256color", **environ}
    with subprocess.Popen(command, env=settings, stdin=terminal, stdout=terminal, stderr=terminal):
        os.close(terminal)
        drawn = b""
        while True:
            try:
                data = os.read(controller, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not data:
                break
            drawn += data
    os.close(controller)
    return drawn.decode("utf-8")


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


@pytest.mark.parametrize("mode", [ProgressMode.PLAIN, ProgressMode.RICH, ProgressMode.JSON])
def test_what_workers_log_is_shown_only_when_it_is_asked_for(
    mode: ProgressMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verbose, quiet in ((False, False), (True, False), (True, True)):
        screen = io.StringIO()
        monkeypatch.setattr(sys, "stderr", screen)
        with shown_progress(mode, verbose=verbose, quiet=quiet) as show:
            show(ProgressEvent("log", 0, worker="worker 2", note="model loaded [bold]"))
            show(ProgressEvent("log", 1, 1, note="casting: done again"))
        said = screen.getvalue()
        assert ("model loaded [bold]" in said) == ("casting: done again" in said) == (verbose and not quiet)
        assert ("worker 2" in said) == (verbose and not quiet)


def test_where_an_error_came_from_is_shown_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    for verbose in (False, True):
        with pytest.raises(RunError), shown_progress(ProgressMode.PLAIN, verbose=verbose):
            try:
                raise OSError("no room for hf_very_secret")
            except OSError as error:
                raise RunError("the disk is full", code="disk_full") from error
        said = capsys.readouterr().err
        assert ("OSError: no room for ****" in said) == verbose
        assert "very_secret" not in said


def test_a_terminal_without_colours_gets_none() -> None:
    assert ANY_CONTROL in on_a_terminal("config", "show", VOICECLONE_SEED="3")
    assert not COLOUR.search(on_a_terminal("doctor", "--engine", "echo", "--quiet", NO_COLOR="1"))
    assert COLOUR.search(on_a_terminal("doctor", "--engine", "echo", "--quiet"))


@pytest.mark.parametrize("words", [("config", "show"), ("run", "--bogus"), ("diarize", "nothing.wav")])
def test_a_dumb_terminal_is_sent_text_alone(words: tuple[str, ...]) -> None:
    assert ANY_CONTROL not in on_a_terminal(*words, TERM="dumb")


@pytest.mark.parametrize("words", [("run", "--bogus"), ("run",), ("diarize", "nothing.wav")])
def test_errors_carry_no_colour(words: tuple[str, ...]) -> None:
    assert not COLOUR.search(on_a_terminal(*words))
