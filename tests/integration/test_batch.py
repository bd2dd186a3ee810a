"""Batches with the same workers: real runs with the echo engine."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from echo_faults import with_faults
from factories import run_request, settings
from short_talk import short_talk
from voiceclone_cli.batch.model import Batch, BatchItem, ItemResult
from voiceclone_cli.batch.run import run_all
from voiceclone_cli.engines.select import ECHO_VARIABLE
from voiceclone_cli.errors import PreflightError, Stopped
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.planning.estimate import record_run
from voiceclone_cli.system import request_stop
from voiceclone_cli.types import ProgressEvent


def item(folder: Path, name: str, root: Path, *, seed: int = 1, **flags: Any) -> BatchItem:
    """Return a talk of ten lines; ``seed`` decides its sound, ``flags`` are settings."""
    talk = short_talk(folder / name, seed, _0003=f"a line of {name}")
    return BatchItem(
        run_request(talk.wav, root / name, script=talk.script, turns=talk.rttm, report=False, **flags), name
    )


def batch(folder: Path, count: int, root: Path | None = None, **flags: Any) -> Batch:
    root = root or folder / "out"
    items = tuple(item(folder, f"talk{number}", root, seed=number, **flags) for number in range(1, count + 1))
    return Batch(items, root, settings(**flags))


def elsewhere(work: Batch, root: Path) -> Batch:
    """Return the same recordings with another root."""
    items = tuple(replace(item, request=replace(item.request, out=root / item.name)) for item in work.items)
    return replace(work, items=items, root=root)


def echo(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    monkeypatch.setenv(ECHO_VARIABLE, json.dumps(options))


def sounds(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every segment and mix by path under ``root``."""
    files = [*root.glob("*/segments/*.wav"), *root.glob("*/mix.wav")]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def states(root: Path, name: str) -> list[str]:
    """Return the statuses of one recording's segments in its manifest."""
    rows = json.loads((root / name / "run.json").read_text(encoding="utf-8"))["segments"]
    return [row["status"] for row in rows]


@pytest.mark.parametrize("flags", [{}, {"mode": "parallel", "workers": 3}], ids=["sequential", "parallel"])
def test_batch_makes_the_same_sounds_as_single_runs(tmp_path: Path, flags: dict[str, object]) -> None:
    together = batch(tmp_path, 6, **flags)
    outcome = run_all(together)
    alone = elsewhere(together, tmp_path / "alone")
    for item in alone.items:
        assert run(item.request).exit_code == 0
    assert [result.item.name for result in outcome.results] == [f"talk{n}" for n in range(1, 7)]
    assert [result.exit_code for result in outcome.results] == [0] * 6
    assert len(sounds(together.root)) == 66 and sounds(together.root) == sounds(alone.root)


def test_workers_are_started_once(tmp_path: Path) -> None:
    together = batch(tmp_path, 5)
    events: list[ProgressEvent] = []
    outcome = run_all(together, events.append)
    assert outcome.workers == 1 and outcome.peak_mb > 0
    assert [event.note for event in events if event.note.startswith("loading")] == ["loading echo"]
    assert outcome.timing["slots_busy"] > 0
    assert sorted(path.name for path in together.root.iterdir()) == [
        "logs",
        *(f"talk{n}" for n in range(1, 6)),
    ]
    assert [path.name for path in (together.root / "logs").iterdir()] == ["worker-1.log"]


def test_stage_times_of_a_batch_are_not_recorded(tmp_path: Path) -> None:
    together = batch(tmp_path, 2)
    run_all(together)
    assert not list((tmp_path / "state").rglob("rates.json"))
    record_run(run(elsewhere(together, tmp_path / "alone").items[0].request))
    assert list((tmp_path / "state").rglob("rates.json"))


def test_each_result_is_reported_once(tmp_path: Path) -> None:
    reported: list[ItemResult] = []
    events: list[ProgressEvent] = []
    outcome = run_all(batch(tmp_path, 4), events.append, reported.append)
    assert sorted(result.item.name for result in reported) == [result.item.name for result in outcome.results]
    assert all(event.input for event in events if event.stage == "synthesis")


def test_second_batch_makes_only_what_changed(tmp_path: Path) -> None:
    together = batch(tmp_path, 3)
    run_all(together)
    before = sounds(together.root)
    script = together.items[1].request.script
    assert script is not None
    script.write_text(script.read_text().replace("line number 4 of the talk", "no"))
    again = run_all(together)
    assert [result.document["reused"] for result in again.results if result.document] == [10, 9, 10]
    changed = {name for name, sha256 in sounds(together.root).items() if before[name] != sha256}
    assert changed == {"talk2/segments/0004.wav", "talk2/mix.wav"}


def test_unreadable_recording_fails_no_other(tmp_path: Path) -> None:
    together = batch(tmp_path, 3)
    together.items[1].request.input.write_bytes(b"no sound at all")
    outcome = run_all(together)
    assert [result.exit_code for result in outcome.results] == [0, 2, 0]
    (failed,) = (result for result in outcome.results if result.error)
    assert failed.document is None and failed.error is not None and failed.error["code"] == "media_not_media"


def test_recording_that_crashes_workers_fails_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines have other ids, so that the faults concern this recording only."""
    together = batch(tmp_path, 4)
    script = together.items[1].request.script
    assert script is not None
    script.write_text(script.read_text().replace("\n00", "\nX0").replace("\r\n00", "\r\nX0"))
    echo(monkeypatch, **with_faults(faults={f"X0{n:02d}": "exit" for n in range(1, 4)}))
    outcome = run_all(together)
    assert [result.exit_code for result in outcome.results] == [0, 3, 0, 0]
    assert states(together.root, "talk2") == ["failed"] * 3 + ["done"] * 7
    assert all(states(together.root, name) == ["done"] * 10 for name in ("talk1", "talk3", "talk4"))


def test_engine_that_fails_to_load_is_tried_a_few_times_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo(monkeypatch, **{"import": "no_such_module"})
    events: list[ProgressEvent] = []
    outcome = run_all(batch(tmp_path, 15), events.append)
    assert {result.exit_code for result in outcome.results} == {4}
    assert sum(event.note == "loading echo" for event in events) <= 10


def test_requirement_of_all_is_checked_before_the_first_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = batch(tmp_path, 2)
    fish = settings(engine="fish", fish_speech_python="/no/such/python")
    with pytest.raises(PreflightError):
        run_all(replace(together, settings=fish))
    assert not (together.root / "talk1").exists()


def test_stopped_batch_can_be_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    echo(monkeypatch, delay=0.05)
    together = batch(tmp_path, 6)

    def stop_when_begun(event: ProgressEvent) -> None:
        if event.stage == "synthesis" and event.input == "talk2" and event.completed >= 2:
            threading.Timer(0.0, request_stop, [Stopped(130)]).start() if not stops else None
            stops.append(event)

    stops: list[ProgressEvent] = []
    outcome = run_all(together, stop_when_begun)
    assert outcome.stopped is not None and outcome.stopped.exit_code == 130
    assert 130 in {result.exit_code for result in outcome.results} <= {0, 130}
    manifest = json.loads((together.root / "talk2" / "run.json").read_text())
    assert manifest["status"] != "success"
    done = [row for row in manifest["segments"] if row["status"] == "done"]
    assert len(done) >= 2
    again = run_all(together)
    assert [result.exit_code for result in again.results] == [0] * 6
    complete = run_all(elsewhere(together, tmp_path / "complete"))
    assert complete.stopped is None and sounds(tmp_path / "complete") == sounds(together.root)


def test_error_of_the_callback_fails_no_recording(tmp_path: Path) -> None:
    together = batch(tmp_path, 3)

    def fail(result: ItemResult) -> None:
        raise OSError("no room to note it")

    with pytest.raises(OSError, match="no room"):
        run_all(together, on_result=fail)
    assert all(states(together.root, f"talk{n}") == ["done"] * 10 for n in (1, 2, 3))
