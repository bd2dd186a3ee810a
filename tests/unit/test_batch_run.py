"""The record of a batch, with a fake ``run_all`` that only returns results."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factories import run_request, settings
from platforms import needs_symlinks
from voiceclone_cli.batch.model import Batch, BatchItem, BatchRun, ItemResult
from voiceclone_cli.batch.run import run_batch
from voiceclone_cli.errors import InputError, PreflightError, Stopped
from voiceclone_cli.types import Progress, ProgressEvent

OnResult = Callable[[ItemResult], None]
RunAll = Callable[[Batch, Progress, OnResult], BatchRun]


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    root = tmp_path / "out"
    items = (BatchItem(run_request(Path(f"/{name}.wav"), root / name), name) for name in ("one", "two"))
    return Batch(tuple(items), root, settings(), notes=("a note",))


@pytest.fixture
def fake_run_all(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunAll], None]:
    def patch(run_all: RunAll) -> None:
        monkeypatch.setattr("voiceclone_cli.batch.run.run_all", run_all)

    return patch


def complete(item: BatchItem) -> ItemResult:
    document = {
        "status": "success",
        "engine": "echo",
        "segments": [{"status": "done"}],
        "reused": 0,
        "outputs": {"mix": "/mix.wav"},
        "errors": [],
    }
    return ItemResult(item, document, 0, None, 1.0)


def record(batch: Batch) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((batch.root / "batch.json").read_text(encoding="utf-8"))
    return found


def batch_run(*results: ItemResult, stopped: Stopped | None = None) -> BatchRun:
    return BatchRun(results, stopped, {"total": 1.0}, 10, 1)


def test_record_is_written_at_the_start_and_at_each_result(
    batch: Batch, fake_run_all: Callable[[RunAll], None]
) -> None:
    seen = []

    def run_all(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        seen.append([row["status"] for row in record(batch)["inputs"]])
        results = [complete(item) for item in batch.items]
        on_result(results[1])
        seen.append([row["status"] for row in record(batch)["inputs"]])
        on_result(results[0])
        return batch_run(*results)

    fake_run_all(run_all)
    events: list[ProgressEvent] = []
    result = run_batch(batch, events.append)
    assert seen == [["planned", "planned"], ["planned", "success"]]
    assert result.exit_code == 0 and result.document["status"] == "success"
    assert record(batch) == result.document
    shown = [(event.stage, event.completed, event.total, event.input) for event in events]
    assert shown == [("note", 1, 1, ""), ("files", 0, 2, ""), ("files", 1, 2, "two"), ("files", 2, 2, "one")]
    assert events[-1].note == "success, 1 of 1 segments, 1.0 s"


def test_results_may_come_from_any_thread(batch: Batch, fake_run_all: Callable[[RunAll], None]) -> None:
    def run_all(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        threads = [threading.Thread(target=on_result, args=(complete(item),)) for item in batch.items]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return batch_run(*map(complete, batch.items))

    fake_run_all(run_all)
    assert [row["status"] for row in run_batch(batch).document["inputs"]] == ["success", "success"]


def test_one_input_that_fails_is_named_and_the_other_is_whole(
    batch: Batch, fake_run_all: Callable[[RunAll], None]
) -> None:
    def run_all(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        reason = {"code": "media_missing", "message": "it does not exist"}
        results = complete(batch.items[0]), ItemResult(batch.items[1], None, 2, reason, 0.0)
        for result in results:
            on_result(result)
        return batch_run(*results)

    fake_run_all(run_all)
    events: list[ProgressEvent] = []
    result = run_batch(batch, events.append)
    assert result.exit_code == 3 and result.document["status"] == "partial"
    assert result.document["errors"][0]["input"] == "two"
    assert events[-1].note == "error, it does not exist"


def test_stop_is_in_the_record(batch: Batch, fake_run_all: Callable[[RunAll], None]) -> None:
    fake_run_all(lambda batch, progress, on_result: batch_run(complete(batch.items[0]), stopped=Stopped(130)))
    assert run_batch(batch).exit_code == 130
    assert record(batch)["status"] == "interrupted"

    def stopped_early(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        raise Stopped(143)

    fake_run_all(stopped_early)
    with pytest.raises(Stopped):
        run_batch(batch)
    assert record(batch)["status"] == "interrupted"


def test_failed_requirement_of_all_inputs_is_in_the_record(
    batch: Batch, fake_run_all: Callable[[RunAll], None]
) -> None:
    def run_all(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        raise PreflightError("no engine", code="no_engine")

    fake_run_all(run_all)
    with pytest.raises(PreflightError):
        run_batch(batch)
    assert record(batch)["status"] == "error"
    assert record(batch)["errors"] == [{"code": "no_engine", "message": "no engine", "input": None}]


def test_unwritable_record_fails_no_recording(batch: Batch, fake_run_all: Callable[[RunAll], None]) -> None:
    def run_all(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        (batch.root / "batch.json").unlink()
        (batch.root / "batch.json").mkdir()
        results = [complete(item) for item in batch.items]
        for result in results:
            on_result(result)
        return batch_run(*results)

    fake_run_all(run_all)
    events: list[ProgressEvent] = []
    result = run_batch(batch, events.append)
    assert result.exit_code == 1 and result.document["errors"][0]["code"] == "output_unwritable"
    assert [row["status"] for row in result.document["inputs"]] == ["success", "success"]
    assert sum("Cannot write" in event.note for event in events) == 1


def test_batches_in_one_folder_exclude_each_other(
    batch: Batch, fake_run_all: Callable[[RunAll], None]
) -> None:
    def run_all(batch: Batch, progress: Progress, on_result: OnResult) -> BatchRun:
        with pytest.raises(PreflightError, match="in use"):
            run_batch(batch)
        return batch_run(*map(complete, batch.items))

    fake_run_all(run_all)
    assert run_batch(batch).exit_code == 0


def test_folder_that_cannot_be_created_is_reported_first(
    batch: Batch, fake_run_all: Callable[[RunAll], None]
) -> None:
    batch.root.write_text("a file")
    with pytest.raises(PreflightError, match="cannot be created"):
        run_batch(batch)


@needs_symlinks
def test_lock_of_the_folder_is_not_taken_through_a_link(batch: Batch, tmp_path: Path) -> None:
    batch.root.mkdir()
    (batch.root / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link"):
        run_batch(batch)
    assert not (tmp_path / "elsewhere").exists()
