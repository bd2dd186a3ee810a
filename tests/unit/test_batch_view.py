"""What a batch shows, on its way and when it ends."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
import typer

from voiceclone_cli.batch.running import BatchResult
from voiceclone_cli.cli.batch_progress import BATCH_VIEW, BatchBars, BatchLines, Sum
from voiceclone_cli.cli.batch_view import MOST_ROWS, closing, show_batch, table, wanted_output
from voiceclone_cli.cli.render import ProgressMode, shown_progress
from voiceclone_cli.types import ProgressEvent, Until


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
    return {"status": status, "root": "/out", "inputs": list(rows), "errors": [], "timing": {"total": 20.0}}


def test_the_table_has_a_line_for_each_input() -> None:
    assert list(table([row("talk"), row("a-longer-name", 2, "it is empty"), row("later", None)])) == [
        "  name           status   segments  seconds",
        "  talk           success    4 of 4     12.3",
        "  a-longer-name  error      4 of 4     12.3  it is empty",
        "  later          planned         -        -",
    ]


def test_of_many_inputs_only_those_that_are_not_whole_have_a_line() -> None:
    rows = [row(f"n{number}") for number in range(MOST_ROWS)]
    assert list(table([*rows, row("whole")])) == []
    assert [line.split()[0] for line in table([*rows, row("bad", 1, "no")])] == ["name", "bad"]


def test_the_last_lines_name_what_failed_and_what_was_left() -> None:
    assert list(closing(document(row("a"), row("b")))) == ["success: 2 of 2 inputs, 20.0 s, in /out"]
    lost = [row(name, 1, "no") for name in "bcdefgh"]
    assert list(closing(document(row("a"), *lost, row("i", None), status="partial"))) == [
        "partial: 1 of 9 inputs, not whole: b, c, d, e, f and 2 more, 1 not begun, 20.0 s, in /out",
        "the same command again makes what is missing",
    ]


def test_the_last_line_tells_how_busy_the_workers_were() -> None:
    timing = {"total": 20.0, "slots_busy": 36.0, "slots_idle": 4.0}
    (line,) = closing({**document(row("a")), "timing": timing, "slots": 2})
    assert line == "success: 1 of 1 inputs, 20.0 s (2 workers, busy 90% of the time), in /out"


def test_stdout_has_a_path_for_each_input_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    result = BatchResult(document(row("a"), row("b", 2, "no"), status="partial"), 3)
    with pytest.raises(typer.Exit) as end:
        show_batch(result, until=None, as_json=False, quiet=False)
    out, err = capsys.readouterr()
    assert end.value.exit_code == 3
    assert out == "/out/a/mix.wav\n"
    assert "no" in err and "not whole: b" in err


def test_json_is_the_document_alone(capsys: pytest.CaptureFixture[str]) -> None:
    result = BatchResult(document(row("a")), 0)
    with pytest.raises(typer.Exit):
        show_batch(result, until=None, as_json=True, quiet=True)
    out, err = capsys.readouterr()
    assert json.loads(out) == result.document and err == ""


def test_what_is_wanted_is_where_the_runs_were_told_to_stop() -> None:
    outputs = {"mix": "/m", "video": None, "rttm": "/r", "script": "/s"}
    assert wanted_output(outputs, None) == "/m"
    assert wanted_output({**outputs, "video": "/v"}, None) == "/v"
    assert wanted_output(outputs, Until.DIARIZATION) == "/r"
    assert wanted_output(outputs, Until.SPEAKING) == "/s"
    assert wanted_output({}, None) is None


def test_lines_tell_each_file_s_begin_and_end_and_tenths_of_the_whole() -> None:
    lines: list[str] = []
    show = BatchLines(lines.append)
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
    with shown_progress(ProgressMode.JSON, view=BATCH_VIEW) as show:
        show(ProgressEvent("media", 1, 2, input="talk"))
        show(ProgressEvent("models", 1, 2))
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["input"] == "talk" and "input" not in second


def test_a_stage_is_summed_over_the_files_that_have_come_to_it() -> None:
    found = Sum()
    found.take(ProgressEvent("synthesis", 0, 10, input="a"))
    found.take(ProgressEvent("synthesis", 2, 20, input="b"))
    found.take(ProgressEvent("synthesis", 4, 10, input="a"))
    assert (found.completed, found.total, found.is_busy) == (6, 30, True)
    found.close("a")  # it failed: what is left of it will not be done
    assert (found.completed, found.total) == (6, 24)
    found.take(ProgressEvent("synthesis", 20, 20, input="b"))
    found.close("b")
    assert (found.completed, found.total, found.is_busy) == (24, 24, False)


def test_bars_are_ten_at_most_however_many_files_and_workers() -> None:
    pytest.importorskip("rich")
    from rich.console import Console
    from rich.progress import Progress

    bars = Progress(console=Console(file=io.StringIO()))
    show = BatchBars(bars)
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


def test_bars_take_names_that_look_like_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown_progress(ProgressMode.RICH, view=BATCH_VIEW) as show:
        show(ProgressEvent("files", 0, 1))
        show(ProgressEvent("synthesis", 1, 2, worker="worker 1", note="0001", input="[/red] talk"))
        show(ProgressEvent("note", 1, 1, note="[bold", input="[/red] talk"))
        show(ProgressEvent("files", 1, 1, note="success", input="[/red] talk"))
    assert "files" in screen.getvalue() and "[/red] talk: [bold" in screen.getvalue()
    assert "can no longer" not in screen.getvalue()
