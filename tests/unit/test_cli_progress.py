from __future__ import annotations

import io
import itertools
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import typer
from rich.cells import cell_len

from voiceclone_cli import messages
from voiceclone_cli.batch.run import BatchResult
from voiceclone_cli.cli.output import MAX_BATCH_ROWS, batch_summary, batch_table, main_output, show_batch
from voiceclone_cli.cli.progress import (
    Bars,
    Display,
    Lines,
    ProgressMode,
    StageSum,
)
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import ProgressEvent, Until

# What a batch shows, on its way and when it ends.


def row(name: str, code: int | None = 0, message: str = "", done: int = 4) -> dict[str, Any]:
    return {
        "name": name,
        "input": f"/in/{name}.wav",
        "status": {0: "success", None: "planned"}.get(code, "error"),
        "exit_code": code,
        "segments": {"total": 4 if code is not None else 0, "done": done, "failed": 0, "kept": 0},
        "seconds": None if code is None else 12.345,
        "outputs": {"mix": f"/out/{name}/mix.wav", "video": None, "rttm": "/r", "script": "/s"}
        if not code
        else {},
        "error": {"code": "x", "message": message} if message else None,
    }


def document(*rows: dict[str, Any], status: str = "success") -> dict[str, Any]:
    whole = {"status": status, "root": "/out", "errors": [], "videos": [], "timing": {"total": 20.0}}
    return {**whole, "inputs": list(rows)}


def test_the_table_has_a_line_for_each_input() -> None:
    assert list(batch_table([row("talk"), row("a-longer-name", 2, "it is empty"), row("later", None)])) == [
        "  name           status   segments  seconds",
        "  talk           success    4 of 4     12.3",
        "  a-longer-name  error      4 of 4     12.3  it is empty",
        "  later          planned         -        -",
    ]


def test_chinese_names_are_as_wide_as_two_letters_each() -> None:
    long = "市场部门每周例会的会议录音第一部分以及第二部分"
    lines = list(batch_table([row("talk"), row("会议录音"), row(long, 1, "它是空的")]))
    assert [line[: line.index("4 of 4")].rstrip() for line in lines[1:]] == [
        f"  talk{' ' * 35}  success",
        f"  会议录音{' ' * 31}  success",
        "  市场部门每周例会的会议录音第一部分以...  error",
    ]
    assert len({cell_len(line[: line.index("4 of 4")]) for line in lines[1:]}) == 1


def test_of_many_inputs_only_incomplete_ones_have_a_line() -> None:
    rows = [row(f"n{number}") for number in range(MAX_BATCH_ROWS)]
    assert list(batch_table([*rows, row("whole")])) == []
    assert [line.split()[0] for line in batch_table([*rows, row("bad", 1, "no")])] == ["name", "bad"]


def test_the_last_lines_name_what_failed_and_what_was_left() -> None:
    assert list(batch_summary(document(row("a"), row("b")))) == ["success: 2 of 2 inputs, 20.0 s, in /out"]
    lost = [row(name, 1, "no") for name in "bcdefghijk"]
    assert list(batch_summary(document(row("a"), *lost, row("l", None), status="partial"))) == [
        "partial: 1 of 12 inputs, incomplete: b, c, d, e, f, g, h, i and 2 more, 1 not started, 20.0 s, in /out",
        "the same command again makes what is missing",
    ]


def test_the_last_line_shows_how_busy_the_workers_were() -> None:
    timing = {"total": 20.0, "slots_busy": 36.0, "slots_idle": 4.0}
    (line,) = batch_summary({**document(row("a")), "timing": timing, "slots": 2})
    assert line == "success: 1 of 1 inputs, 20.0 s (2 workers, busy 90% of the time), in /out"


def test_stdout_has_a_path_for_each_input_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    result = BatchResult(document(row("a"), row("b", 2, "no"), status="partial"), 3)
    with pytest.raises(typer.Exit) as end:
        show_batch(result, until=None, as_json=False, display=Display())
    out, err = capsys.readouterr()
    assert end.value.exit_code == 3
    assert out == "/out/a/mix.wav\n"
    assert "no" in err and "incomplete: b" in err


def test_json_is_the_document_alone(capsys: pytest.CaptureFixture[str]) -> None:
    result = BatchResult(document(row("a")), 0)
    with pytest.raises(typer.Exit):
        show_batch(result, until=None, as_json=True, display=Display(quiet=True))
    out, err = capsys.readouterr()
    assert json.loads(out) == result.document and err == ""


def test_the_main_output_is_that_of_the_last_stage() -> None:
    outputs = {"mix": "/m", "video": None, "rttm": "/r", "script": "/s"}
    assert main_output(outputs, None) == "/m"
    assert main_output({**outputs, "video": "/v"}, None) == "/v"
    assert main_output(outputs, Until.DIARIZATION) == "/r"
    assert main_output(outputs, Until.SYNTHESIS) == "/s"
    assert main_output({}, None) is None


def test_lines_show_start_and_end_of_each_file_and_tenths_of_the_whole() -> None:
    lines: list[str] = []
    show = Lines(lines.append)
    show(ProgressEvent("files", 0, 2))
    for done in (0, 5, 10):
        show(ProgressEvent("media", done, 10, input="talk"))
        show(ProgressEvent("synthesis", done, 10, worker="worker 1", input="talk"))
    show(ProgressEvent("note", 1, 1, note="short of memory", input="talk"))
    show(ProgressEvent("files", 1, 2, note="success, 4 of 4 segments, 1.0 s", input="talk"))
    show(ProgressEvent("models", 1, 1))
    assert lines == [
        "files: 0 %",
        "talk: begins",
        "talk: short of memory",
        "talk: success, 4 of 4 segments, 1.0 s",
        "files: 50 %",
        "models: 100 %",
    ]


def test_json_lines_name_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.JSON).progress() as show:
        show(ProgressEvent("media", 1, 2, input="talk"))
        show(ProgressEvent("models", 1, 2))
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["input"] == "talk" and "input" not in second


def test_a_stage_is_summed_over_the_files_that_have_come_to_it() -> None:
    found = StageSum()
    found.add(ProgressEvent("synthesis", 0, 10, input="a"))
    found.add(ProgressEvent("synthesis", 2, 20, input="b"))
    found.add(ProgressEvent("synthesis", 4, 10, input="a"))
    assert (found.completed, found.total, found.is_active) == (6, 30, True)
    found.close("a")  # it failed: what is left of it will not be done
    assert (found.completed, found.total) == (6, 24)
    found.add(ProgressEvent("synthesis", 20, 20, input="b"))
    found.close("b")
    assert (found.completed, found.total, found.is_active) == (24, 24, False)


def test_bars_are_ten_at_most_however_many_files_and_workers() -> None:
    pytest.importorskip("rich")
    from rich.console import Console
    from rich.progress import Progress

    bars = Progress(console=Console(file=io.StringIO()))
    show = Bars(bars)
    show(ProgressEvent("files", 0, 100))
    stages = ("media", "diarization", "transcription", "casting", "encoding", "timeline", "video", "report")
    for number in range(40):
        for stage in stages:
            show(ProgressEvent(stage, 1, 2, input=f"file {number}"))
        show(ProgressEvent("synthesis", 1, 3, input=f"file {number}"))
        show(ProgressEvent("synthesis", 1, 3, worker=f"worker {number}", note="0001", input=f"file {number}"))
    shown = [task for task in bars.tasks if task.visible]
    assert len(shown) <= 10
    by_name = {task.description: task for task in shown}
    assert (by_name["files"].completed, by_name["files"].total) == (0, 100)
    assert (by_name["synthesis"].completed, by_name["synthesis"].total) == (40, 120)
    assert by_name["  worker 0"].fields["note"] == "file 0: 0001"
    show(ProgressEvent("synthesis", 1, 3, input="file 0"))
    assert "36 more workers" in by_name["synthesis"].fields["note"]
    for number in range(40):
        show(ProgressEvent("files", number + 1, 100, note="success", input=f"file {number}"))
    by_name = {task.description: task for task in bars.tasks if task.visible}
    assert set(by_name) == {"files", "synthesis", *(f"  worker {number}" for number in range(4))}
    assert by_name["files"].completed == 40


def test_a_worker_s_bar_ends_with_its_stage_and_no_other() -> None:
    from rich.console import Console
    from rich.progress import Progress

    bars = Progress(console=Console(file=io.StringIO()))
    show = Bars(bars)
    show(ProgressEvent("encoding", 0, 1))
    show(ProgressEvent("synthesis", 0, 3, worker="worker 1", note="loading"))
    show(ProgressEvent("encoding", 1, 1))
    show(ProgressEvent("synthesis", 3, 3, worker="worker 1", note="0003"))
    (worker,) = (task for task in bars.tasks if task.description == "  worker 1")
    assert (worker.completed, worker.finished, worker.fields["note"]) == (3, False, "0003")
    show(ProgressEvent("synthesis", 3, 3))
    assert (worker.completed, worker.finished, worker.fields["note"]) == (3, True, "3 done")
    assert [task.description for task in bars.tasks if task.finished] == [
        "encoding",
        "  worker 1",
        "synthesis",
    ]


def test_bars_take_names_that_look_like_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with Display(ProgressMode.RICH).progress() as show:
        show(ProgressEvent("files", 0, 1))
        show(ProgressEvent("synthesis", 1, 2, worker="worker 1", note="0001", input="[/red] talk"))
        show(ProgressEvent("note", 1, 1, note="[bold", input="[/red] talk"))
        show(ProgressEvent("files", 1, 1, note="success", input="[/red] talk"))
    assert "files" in screen.getvalue() and "[/red] talk: [bold" in screen.getvalue()
    assert "can no longer" not in screen.getvalue()


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


def test_lines_show_each_tenth_once_and_no_worker() -> None:
    lines: list[str] = []
    show = Lines(lines.append, clock=itertools.count().__next__)
    for done in (0, 1, 2, 2, 15, 20):
        show(ProgressEvent("synthesis", done, 20))
        show(ProgressEvent("synthesis", done, 20, worker="worker 1"))
    show(ProgressEvent("note", 1, 1, note="engine: kokoro"))
    assert lines == [f"synthesis: {share} %" for share in (0, 10, 70, 100)] + ["engine: kokoro"]


def test_a_fast_stage_has_a_line_for_its_start_and_one_for_its_end() -> None:
    lines: list[str] = []
    times = iter([0.0, 0.1, 0.2, 1.3, 1.4])
    show = Lines(lines.append, clock=lambda: next(times))
    for done in (0, 10, 20, 30, 100):
        show(ProgressEvent("media", done, 100))
    assert lines == ["media: 0 %", "media: 30 %", "media: 100 %"]


def test_an_unknown_total_is_no_division(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.PLAIN).progress() as show:
        show(ProgressEvent("models", 5, None))
        show(ProgressEvent("models", 5, 0))
    assert capsys.readouterr().err == "models: ...\n"


def test_json_is_a_document_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.JSON).progress() as show:
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
    with Display(ProgressMode.RICH).progress() as show:
        show(ProgressEvent("encoding", 1, 2, note="[/red] [SPEAKER"))
        show(ProgressEvent("synthesis", 1, 2, worker="worker 1", note="0001"))
        show(ProgressEvent("synthesis", 2, 2))
    assert "encoding" in screen.getvalue() and "worker 1" in screen.getvalue()
    assert "can no longer" not in screen.getvalue()


def test_nothing_is_shown_when_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    for mode, quiet in ((ProgressMode.NONE, False), (ProgressMode.PLAIN, True)):
        with Display(mode, quiet=quiet).progress() as show:
            show(ProgressEvent("media", 1, 2))
    assert capsys.readouterr() == ("", "")


def test_a_rendering_error_is_reported_once_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(ProgressMode.PLAIN).progress() as show:
        for _ in range(3):
            show(ProgressEvent("media", "three", 4))  # type: ignore[arg-type]
    assert capsys.readouterr().err.count("can no longer be shown") == 1


def test_a_closed_stderr_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with Display(ProgressMode.PLAIN).progress() as show:
        show(ProgressEvent("media", 1, 2))
    assert sys.stderr is not closed


@pytest.mark.parametrize("mode", [ProgressMode.PLAIN, ProgressMode.RICH, ProgressMode.JSON])
def test_log_lines_of_workers_are_shown_with_verbose_only(
    mode: ProgressMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for verbose, quiet in ((False, False), (True, False), (True, True)):
        screen = io.StringIO()
        monkeypatch.setattr(sys, "stderr", screen)
        with Display(mode, verbose=verbose, quiet=quiet).progress() as show:
            show(ProgressEvent("log", 0, worker="worker 2", note="model loaded [bold]"))
            show(ProgressEvent("log", 1, 1, note="casting: done again"))
        shown = screen.getvalue()
        assert ("model loaded [bold]" in shown) == ("casting: done again" in shown) == (verbose and not quiet)
        assert ("worker 2" in shown) == (verbose and not quiet)


def test_the_traceback_of_an_error_is_shown_with_verbose_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    for verbose in (False, True):
        with pytest.raises(RunError), Display(ProgressMode.PLAIN, verbose=verbose).progress():
            try:
                raise OSError("no room for hf_very_secret")
            except OSError as error:
                raise RunError("the disk is full", code="disk_full") from error
        shown = capsys.readouterr().err
        assert ("OSError: no room for ****" in shown) == verbose
        assert "very_secret" not in shown


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


# In Chinese


def test_progress_and_notes_are_in_the_language_that_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    messages.choose("zh")
    with Display(ProgressMode.PLAIN).progress() as show:
        show(ProgressEvent("diarization", 1, 2, note="kept from before"))
        show(ProgressEvent("note", 1, 1, note="engine: echo is requested: tones, no speech"))
    assert capsys.readouterr().err.splitlines() == [
        "说话人分离：50 %（沿用以前的）",
        "引擎：按要求使用 echo：只有音调，没有语音",
    ]


def test_progress_for_programs_is_english_in_every_language(capsys: pytest.CaptureFixture[str]) -> None:
    messages.choose("zh")
    with Display(ProgressMode.JSON).progress() as show:
        show(ProgressEvent("diarization", 1, 2, note="kept from before"))
    event = json.loads(capsys.readouterr().err)
    assert (event["stage"], event["note"]) == ("diarization", "kept from before")


def test_bars_are_in_the_language_that_was_chosen() -> None:
    from rich.console import Console
    from rich.progress import Progress

    messages.choose("zh")
    bars = Progress(console=Console(file=io.StringIO()))
    show = Bars(bars)
    show(ProgressEvent("transcription", 1, 2, note="kept from before"))
    (task,) = bars.tasks
    assert (task.description, task.fields["note"]) == ("语音识别", "沿用以前的")


def test_a_table_is_aligned_in_chinese() -> None:
    messages.choose("zh")
    empty = {**row("空", 2), "error": {"code": "media_empty", "message": "空.wav is empty"}}
    assert list(batch_table([row("failed"), row("会议", 2, "it is empty"), empty, row("later", None)])) == [
        "  名称    状态       句数    秒",
        "  failed  全部完成  4 / 4  12.3",
        "  会议    失败      4 / 4  12.3  it is empty",
        "  空      失败      4 / 4  12.3  文件是空的，请重新复制或下载。",
        "  later   待合成        -     -",
    ]
