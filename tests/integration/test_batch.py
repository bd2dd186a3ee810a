"""Many recordings with the same workers: real runs with the echo engine."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from batches import batch, echo, elsewhere, sounds, states
from echo_faults import with_faults
from voiceclone_cli.batch.model import ItemResult
from voiceclone_cli.batch.run import run_all
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import PreflightError, Stopped
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.system import request_stop
from voiceclone_cli.types import ProgressEvent


@pytest.mark.parametrize("flags", [{}, {"mode": "parallel", "workers": 3}], ids=["sequential", "parallel"])
def test_every_recording_gets_what_its_own_run_would_give(tmp_path: Path, flags: dict[str, object]) -> None:
    together = batch(tmp_path, 6, **flags)
    outcome = run_all(together)
    alone = elsewhere(together, tmp_path / "alone")
    for item in alone.items:
        assert run(item.request).exit_code == 0
    assert [end.item.name for end in outcome.ends] == [f"talk{n}" for n in range(1, 7)]
    assert [end.exit_code for end in outcome.ends] == [0] * 6
    assert len(sounds(together.root)) == 66 and sounds(together.root) == sounds(alone.root)


def test_workers_are_started_once_for_all(tmp_path: Path) -> None:
    together = batch(tmp_path, 5)
    events: list[ProgressEvent] = []
    outcome = run_all(together, events.append)
    assert outcome.slots == 1 and outcome.peak_mb > 0
    assert [event.note for event in events if event.note.startswith("loading")] == ["loading echo"]
    assert outcome.timing["slots_busy"] > 0
    assert sorted(path.name for path in together.root.iterdir()) == [
        "logs",
        *(f"talk{n}" for n in range(1, 6)),
    ]
    assert [path.name for path in (together.root / "logs").iterdir()] == ["worker-1.log"]


def test_what_stages_take_beside_others_is_not_remembered_of_the_machine(tmp_path: Path) -> None:
    together = batch(tmp_path, 2)
    run_all(together)
    assert not list((tmp_path / "state").rglob("rates.json"))
    run(elsewhere(together, tmp_path / "alone").items[0].request)
    assert list((tmp_path / "state").rglob("rates.json"))


def test_each_end_is_told_once_as_soon_as_it_is_known(tmp_path: Path) -> None:
    told: list[ItemResult] = []
    events: list[ProgressEvent] = []
    outcome = run_all(batch(tmp_path, 4), events.append, told.append)
    assert sorted(end.item.name for end in told) == [end.item.name for end in outcome.ends]
    assert all(event.input for event in events if event.stage == "synthesis")


def test_again_keeps_everything_and_a_changed_recording_is_its_own_trouble(tmp_path: Path) -> None:
    together = batch(tmp_path, 3)
    run_all(together)
    before = sounds(together.root)
    script = together.items[1].request.script
    assert script is not None
    script.write_text(script.read_text().replace("line number 4 of the talk", "no"))
    again = run_all(together)
    assert [end.document["reused"] for end in again.ends if end.document] == [10, 9, 10]
    changed = {name for name, sha256 in sounds(together.root).items() if before[name] != sha256}
    assert changed == {"talk2/segments/0004.wav", "talk2/mix.wav"}


def test_a_recording_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    together = batch(tmp_path, 3)
    together.items[1].request.input.write_bytes(b"no sound at all")
    outcome = run_all(together)
    assert [end.exit_code for end in outcome.ends] == [0, 2, 0]
    (failed,) = (end for end in outcome.ends if end.error)
    assert failed.document is None and failed.error is not None and failed.error["code"] == "media_not_media"


def test_a_recording_that_kills_workers_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines have ids of their own, so that the faults are its alone."""
    together = batch(tmp_path, 4)
    script = together.items[1].request.script
    assert script is not None
    script.write_text(script.read_text().replace("\n00", "\nX0").replace("\r\n00", "\r\nX0"))
    echo(monkeypatch, **with_faults(faults={f"X0{n:02d}": "exit" for n in range(1, 4)}))
    outcome = run_all(together)
    assert [end.exit_code for end in outcome.ends] == [0, 3, 0, 0]
    assert states(together.root, "talk2") == ["failed"] * 3 + ["done"] * 7
    assert all(states(together.root, name) == ["done"] * 10 for name in ("talk1", "talk3", "talk4"))


def test_an_engine_that_loads_nowhere_is_tried_a_few_times_not_once_for_each_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo(monkeypatch, **{"import": "no_such_module"})
    events: list[ProgressEvent] = []
    outcome = run_all(batch(tmp_path, 15), events.append)
    assert {end.exit_code for end in outcome.ends} == {4}
    assert sum(event.note == "loading echo" for event in events) <= 10


def test_what_all_need_is_missed_before_the_first_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = batch(tmp_path, 2)
    fish = resolve({"engine": "fish", "fish_speech_python": "/no/such/python"})
    with pytest.raises(PreflightError):
        run_all(replace(together, settings=fish))
    assert not (together.root / "talk1").exists()


def test_a_stop_leaves_every_recording_to_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo(monkeypatch, delay=0.05)
    together = batch(tmp_path, 6)

    def stop_when_begun(event: ProgressEvent) -> None:
        if event.stage == "synthesis" and event.input == "talk2" and event.completed >= 2:
            threading.Timer(0.0, request_stop, [Stopped(130)]).start() if not asked else None
            asked.append(event)

    asked: list[ProgressEvent] = []
    outcome = run_all(together, stop_when_begun)
    assert outcome.stopped is not None and outcome.stopped.exit_code == 130
    assert 130 in {end.exit_code for end in outcome.ends} <= {0, 130}
    manifest = json.loads((together.root / "talk2" / "run.json").read_text())
    assert manifest["status"] != "success"
    done = [row for row in manifest["segments"] if row["status"] == "done"]
    assert len(done) >= 2
    again = run_all(together)
    assert [end.exit_code for end in again.ends] == [0] * 6
    whole = run_all(elsewhere(together, tmp_path / "whole"))
    assert whole.stopped is None and sounds(tmp_path / "whole") == sounds(together.root)


def test_who_is_told_of_ends_may_fail_and_costs_no_recording(tmp_path: Path) -> None:
    together = batch(tmp_path, 3)

    def fail(end: ItemResult) -> None:
        raise OSError("no room to note it")

    with pytest.raises(OSError, match="no room"):
        run_all(together, on_end=fail)
    assert all(states(together.root, f"talk{n}") == ["done"] * 10 for n in (1, 2, 3))
