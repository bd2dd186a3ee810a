from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.batch.model import (
    Batch,
    BatchItem,
    BatchRun,
    ItemResult,
    batch_document,
    batch_failure,
    earlier_names,
    ended_row,
    exit_code,
    finished,
    planned_row,
    write_batch,
)
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import InputError, Stopped
from voiceclone_cli.pipeline.request import RunRequest


def batch_of(root: Path, *names: str) -> Batch:
    settings = resolve({"engine": "echo"}, environ={}, dotenv=root / "none")
    items = (BatchItem(RunRequest(root / f"{name}.wav", settings, out=root / name), name) for name in names)
    return Batch(tuple(items), root, settings)


def run_document(*statuses: str, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    whole = all(status == "done" for status in statuses)
    return {
        "status": "success" if whole else "partial",
        "engine": "echo",
        "segments": [{"status": status} for status in statuses],
        "reused": 1,
        "outputs": {"mix": "/out/mix.wav", "video": None},
        "errors": errors or [],
    }


def row(code: int | None) -> dict[str, Any]:
    return {"exit_code": code}


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], 0),
        ([0, 2], 3),
        ([3, 0], 3),
        ([3, 1], 3),
        ([2, 2], 2),
        ([4, 4], 4),
        ([1, 2], 1),
        ([3, 3], 3),
    ],
)
def test_the_exit_code_is_that_of_the_whole(codes: list[int], code: int) -> None:
    assert exit_code([row(code) for code in codes], None) == code


def test_a_batch_that_was_stopped_ends_as_its_signal_says() -> None:
    assert exit_code([row(0), row(None)], Stopped(143)) == 143


def test_a_row_tells_what_the_run_came_to(tmp_path: Path) -> None:
    (item,) = batch_of(tmp_path, "talk").items
    errors = [{"code": "language", "message": "no such", "segment": "0002"}]
    end = ItemResult(item, run_document("done", "failed", errors=errors), 3, None, 1.23456)
    assert ended_row(end) == {
        "name": "talk",
        "input": str(tmp_path / "talk.wav"),
        "run_dir": str(tmp_path / "talk"),
        "status": "partial",
        "exit_code": 3,
        "engine": "echo",
        "segments": {"total": 2, "done": 1, "failed": 1, "kept": 1},
        "seconds": 1.235,
        "outputs": {"mix": "/out/mix.wav", "video": None},
        "error": {"code": "language", "message": "no such"},
    }


def test_a_row_of_what_came_to_nothing_has_its_reason(tmp_path: Path) -> None:
    (item,) = batch_of(tmp_path, "talk").items
    reason = {"code": "media_missing", "message": "talk.wav does not exist"}
    found = ended_row(ItemResult(item, None, 2, reason, 0.1))
    assert (found["status"], found["error"], found["outputs"]) == ("error", reason, {})
    stopped = ended_row(ItemResult(item, run_document("done", "planned"), 130, None, 0.1))
    assert stopped["status"] == "interrupted"


def test_the_document_grows_from_planned_to_its_end(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "one", "two")
    rows = [planned_row(item) for item in batch.items]
    before = batch_document(batch, rows)
    assert before["status"] == "running" and before["errors"] == []
    assert [found["status"] for found in before["inputs"]] == ["planned", "planned"]
    reason = {"code": "media_empty", "message": "it is empty"}
    ends = (
        ItemResult(batch.items[0], run_document("done"), 0, None, 2.0),
        ItemResult(batch.items[1], None, 2, reason, 0.0),
    )
    outcome = BatchRun(ends, None, {"total": 2.5, "slots_busy": 2.0, "slots_idle": 0.5}, 123, 1)
    after = finished(batch, [ended_row(end) for end in ends], outcome)
    assert (after["schema"], after["status"]) == ("voiceclone.batch/1", "partial")
    assert (after["executor"], after["engine"], after["root"]) == ("local", "echo", str(tmp_path))
    assert after["timing"] == {"total": 2.5, "slots_busy": 2.0, "slots_idle": 0.5}
    assert after["peak_memory_mb"] == {"largest worker": 123}
    assert after["errors"] == [{**reason, "input": "two"}]


def test_a_stop_stands_in_the_document(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "one", "two")
    rows = [
        ended_row(ItemResult(batch.items[0], run_document("done"), 0, None, 1)),
        planned_row(batch.items[1]),
    ]
    content = finished(batch, rows, BatchRun((), Stopped(130), {"total": 1}, 0, 0))
    assert content["status"] == "interrupted"
    assert [error["code"] for error in content["errors"]] == ["interrupted"]
    assert content["inputs"][1]["status"] == "planned"


def test_what_is_written_is_json_with_a_line_for_each_input(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "one", "zwei\udcff")
    content = batch_document(batch, [planned_row(item) for item in batch.items])
    write_batch(tmp_path, content)
    text = (tmp_path / "batch.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert sum('"run_dir"' in line for line in text.splitlines()) == 2
    assert earlier_names(tmp_path)[str(tmp_path / "one.wav")] == "one"
    assert [path.name for path in tmp_path.glob("*batch*")] == ["batch.json"]


def test_there_are_no_earlier_names_before_the_first_batch(tmp_path: Path) -> None:
    assert earlier_names(tmp_path / "new") == {}


def test_a_batch_that_was_not_begun_has_a_document_too() -> None:
    told = batch_failure(InputError("no such list", code="list_unreadable"))
    assert (told["schema"], told["status"], told["inputs"]) == ("voiceclone.batch/1", "error", [])
    assert told["errors"] == [{"code": "list_unreadable", "message": "no such list", "input": None}]
