from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from factories import run_request, settings
from voiceclone_cli.batch.model import (
    Batch,
    BatchItem,
    BatchRun,
    ItemResult,
    batch_document,
    batch_failure,
    earlier_names,
    exit_code,
    finished_document,
    planned_entry,
    result_entry,
    write_batch,
)
from voiceclone_cli.errors import InputError, Stopped


def batch_of(root: Path, *names: str) -> Batch:
    items = (BatchItem(run_request(root / f"{name}.wav", root / name), name) for name in names)
    return Batch(tuple(items), root, settings())


def run_document(*statuses: str, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    complete = all(status == "done" for status in statuses)
    return {
        "status": "success" if complete else "partial",
        "engine": "echo",
        "segments": [{"status": status} for status in statuses],
        "reused": 1,
        "outputs": {"mix": "/out/mix.wav", "video": None},
        "errors": errors or [],
    }


def entry(code: int | None) -> dict[str, Any]:
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
def test_exit_code_of_a_batch(codes: list[int], code: int) -> None:
    assert exit_code([entry(code) for code in codes], None) == code


def test_stopped_batch_has_the_exit_code_of_its_signal() -> None:
    assert exit_code([entry(0), entry(None)], Stopped(143)) == 143


def test_entry_of_a_partial_run(tmp_path: Path) -> None:
    (item,) = batch_of(tmp_path, "talk").items
    errors = [{"code": "language", "message": "no such", "segment": "0002"}]
    result = ItemResult(item, run_document("done", "failed", errors=errors), 3, None, 1.23456)
    assert result_entry(result) == {
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


def test_entry_of_a_failed_run_has_its_reason(tmp_path: Path) -> None:
    (item,) = batch_of(tmp_path, "talk").items
    reason = {"code": "media_missing", "message": "talk.wav does not exist"}
    found = result_entry(ItemResult(item, None, 2, reason, 0.1))
    assert (found["status"], found["error"], found["outputs"]) == ("error", reason, {})
    stopped = result_entry(ItemResult(item, run_document("done", "planned"), 130, None, 0.1))
    assert stopped["status"] == "interrupted"


def test_document_before_and_after_the_batch(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "one", "two")
    entries = [planned_entry(item) for item in batch.items]
    before = batch_document(batch, entries)
    assert before["status"] == "running" and before["errors"] == []
    assert [entry["status"] for entry in before["inputs"]] == ["planned", "planned"]
    reason = {"code": "media_empty", "message": "it is empty"}
    results = (
        ItemResult(batch.items[0], run_document("done"), 0, None, 2.0),
        ItemResult(batch.items[1], None, 2, reason, 0.0),
    )
    run = BatchRun(results, None, {"total": 2.5, "slots_busy": 2.0, "slots_idle": 0.5}, 123, 1)
    after = finished_document(batch, [result_entry(result) for result in results], run)
    assert (after["schema"], after["status"]) == ("voiceclone.batch/1", "partial")
    assert (after["executor"], after["engine"], after["root"]) == ("local", "echo", str(tmp_path))
    assert after["timing"] == {"total": 2.5, "slots_busy": 2.0, "slots_idle": 0.5}
    assert after["peak_memory_mb"] == {"largest worker": 123}
    assert after["errors"] == [{**reason, "input": "two"}]


def test_document_of_a_stopped_batch(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "one", "two")
    entries = [
        result_entry(ItemResult(batch.items[0], run_document("done"), 0, None, 1)),
        planned_entry(batch.items[1]),
    ]
    content = finished_document(batch, entries, BatchRun((), Stopped(130), {"total": 1}, 0, 0))
    assert content["status"] == "interrupted"
    assert [error["code"] for error in content["errors"]] == ["interrupted"]
    assert content["inputs"][1]["status"] == "planned"


def test_written_json_has_a_line_for_each_input(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "one", "zwei\udcff")
    content = batch_document(batch, [planned_entry(item) for item in batch.items])
    write_batch(tmp_path, content)
    text = (tmp_path / "batch.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert sum('"run_dir"' in line for line in text.splitlines()) == 2
    assert earlier_names(tmp_path)[str(tmp_path / "one.wav")] == "one"
    assert [path.name for path in tmp_path.glob("*batch*")] == ["batch.json"]


def test_no_earlier_names_before_the_first_batch(tmp_path: Path) -> None:
    assert earlier_names(tmp_path / "new") == {}


def test_document_of_a_batch_that_was_not_started() -> None:
    document = batch_failure(InputError("no such list", code="list_unreadable"))
    assert (document["schema"], document["status"], document["inputs"]) == ("voiceclone.batch/1", "error", [])
    assert document["errors"] == [{"code": "list_unreadable", "message": "no such list", "input": None}]
