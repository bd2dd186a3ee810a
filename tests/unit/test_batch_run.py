"""The record of a batch, with a conductor that only says what came to what."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.batch.model import Batch, BatchItem, BatchRun, ItemResult
from voiceclone_cli.batch.run import run_batch
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import InputError, PreflightError, Stopped
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.types import Progress, ProgressEvent

OnEnd = Callable[[ItemResult], None]
Conduct = Callable[[Batch, Progress, OnEnd], BatchRun]


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    settings = resolve({"engine": "echo"}, environ={}, dotenv=tmp_path / "none")
    root = tmp_path / "out"
    items = (BatchItem(RunRequest(Path(f"/{n}.wav"), settings, out=root / n), n) for n in ("one", "two"))
    return Batch(tuple(items), root, settings, notes=("a note",))


@pytest.fixture
def conducted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Conduct], None]:
    def conduct_by(conduct: Conduct) -> None:
        monkeypatch.setattr("voiceclone_cli.batch.run.run_all", conduct)

    return conduct_by


def whole(item: BatchItem) -> ItemResult:
    document = {
        "status": "success",
        "engine": "echo",
        "segments": [{"status": "done"}],
        "reused": 0,
        "outputs": {"mix": "/mix.wav"},
        "errors": [],
    }
    return ItemResult(item, document, 0, None, 1.0)


def kept(batch: Batch) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((batch.root / "batch.json").read_text(encoding="utf-8"))
    return found


def outcome(*ends: ItemResult, stopped: Stopped | None = None) -> BatchRun:
    return BatchRun(ends, stopped, {"total": 1.0}, 10, 1)


def test_the_record_is_there_from_the_start_and_at_each_end(
    batch: Batch, conducted: Callable[[Conduct], None]
) -> None:
    seen = []

    def conduct(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        seen.append([row["status"] for row in kept(batch)["inputs"]])
        ends = [whole(item) for item in batch.items]
        on_end(ends[1])
        seen.append([row["status"] for row in kept(batch)["inputs"]])
        on_end(ends[0])
        return outcome(*ends)

    conducted(conduct)
    events: list[ProgressEvent] = []
    result = run_batch(batch, events.append)
    assert seen == [["planned", "planned"], ["planned", "success"]]
    assert result.exit_code == 0 and result.document["status"] == "success"
    assert kept(batch) == result.document
    told = [(event.stage, event.completed, event.total, event.input) for event in events]
    assert told == [("note", 1, 1, ""), ("files", 0, 2, ""), ("files", 1, 2, "two"), ("files", 2, 2, "one")]
    assert events[-1].note == "success, 1 of 1 segments, 1.0 s"


def test_ends_may_come_from_any_thread(batch: Batch, conducted: Callable[[Conduct], None]) -> None:
    def conduct(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        threads = [threading.Thread(target=on_end, args=(whole(item),)) for item in batch.items]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcome(*map(whole, batch.items))

    conducted(conduct)
    assert [row["status"] for row in run_batch(batch).document["inputs"]] == ["success", "success"]


def test_one_input_that_fails_is_named_and_the_other_is_whole(
    batch: Batch, conducted: Callable[[Conduct], None]
) -> None:
    def conduct(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        reason = {"code": "media_missing", "message": "it does not exist"}
        ends = whole(batch.items[0]), ItemResult(batch.items[1], None, 2, reason, 0.0)
        for end in ends:
            on_end(end)
        return outcome(*ends)

    conducted(conduct)
    events: list[ProgressEvent] = []
    result = run_batch(batch, events.append)
    assert result.exit_code == 3 and result.document["status"] == "partial"
    assert result.document["errors"][0]["input"] == "two"
    assert events[-1].note == "error, it does not exist"


def test_a_stop_leaves_a_record_that_says_so(batch: Batch, conducted: Callable[[Conduct], None]) -> None:
    conducted(lambda batch, progress, on_end: outcome(whole(batch.items[0]), stopped=Stopped(130)))
    assert run_batch(batch).exit_code == 130
    assert kept(batch)["status"] == "interrupted"

    def stopped_early(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        raise Stopped(143)

    conducted(stopped_early)
    with pytest.raises(Stopped):
        run_batch(batch)
    assert kept(batch)["status"] == "interrupted"


def test_what_keeps_all_of_them_from_being_spoken_stands_in_the_record(
    batch: Batch, conducted: Callable[[Conduct], None]
) -> None:
    def conduct(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        raise PreflightError("no engine", code="no_engine")

    conducted(conduct)
    with pytest.raises(PreflightError):
        run_batch(batch)
    assert kept(batch)["status"] == "error"
    assert kept(batch)["errors"] == [{"code": "no_engine", "message": "no engine", "input": None}]


def test_a_record_that_cannot_be_written_ends_no_recording(
    batch: Batch, conducted: Callable[[Conduct], None]
) -> None:
    def conduct(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        (batch.root / "batch.json").unlink()
        (batch.root / "batch.json").mkdir()
        ends = [whole(item) for item in batch.items]
        for end in ends:
            on_end(end)
        return outcome(*ends)

    conducted(conduct)
    events: list[ProgressEvent] = []
    result = run_batch(batch, events.append)
    assert result.exit_code == 1 and result.document["errors"][0]["code"] == "output_unwritable"
    assert [row["status"] for row in result.document["inputs"]] == ["success", "success"]
    assert sum("Cannot write" in event.note for event in events) == 1


def test_two_batches_in_one_folder_exclude_each_other(
    batch: Batch, conducted: Callable[[Conduct], None]
) -> None:
    def conduct(batch: Batch, progress: Progress, on_end: OnEnd) -> BatchRun:
        with pytest.raises(PreflightError, match="in use"):
            run_batch(batch)
        return outcome(*map(whole, batch.items))

    conducted(conduct)
    assert run_batch(batch).exit_code == 0


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_begun(
    batch: Batch, conducted: Callable[[Conduct], None]
) -> None:
    batch.root.write_text("a file")
    with pytest.raises(PreflightError, match="cannot be made"):
        run_batch(batch)


def test_the_folder_s_lock_is_not_taken_through_a_link(batch: Batch, tmp_path: Path) -> None:
    batch.root.mkdir()
    (batch.root / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is a link"):
        run_batch(batch)
    assert not (tmp_path / "elsewhere").exists()
