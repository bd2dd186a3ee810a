"""How long things will take, told from how long they took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.machine.clock import Clock
from voiceclone_cli.machine.state import state_file
from voiceclone_cli.rates import History, Kind, estimate, load, record
from voiceclone_cli.rates.effort import speech_seconds
from voiceclone_cli.rates.history import KEPT, MOST_KINDS, Observation, machine, save
from voiceclone_cli.rates.kinds import kinds
from voiceclone_cli.rates.typical import Typical
from voiceclone_cli.rundir.directory import take_up
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.settings import resolve
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.steps.speaking import Spoken
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Recording, Reference, Script, Segment, no_progress
from voiceclone_worker.contract import Failure, SegmentRow

STAGE = Kind("diarization", "embedded", "2 threads", Typical(5.0, 0.2, 1200))
"""11 s for 30 s of audio, typically."""
ECHO = EngineChoice("echo", "asked", None, "codes.txt")


def measured(*seconds: float, work: float = 30.0, memory_mb: int | None = None) -> History:
    history = History()
    for one in seconds:
        history.add(STAGE, Observation(work, one, memory_mb))
    return history


def test_a_machine_without_a_history_is_taken_for_a_typical_one_and_nobody_is_sure() -> None:
    found = estimate(History(), STAGE, 30.0)
    assert found.seconds == pytest.approx(11.0) and found.runs == 0
    assert found.low < 5 and found.high > 25 and found.memory_mb == 1200


def test_what_was_measured_once_is_expected_again() -> None:
    found = estimate(measured(22.0), STAGE, 30.0)
    assert found.seconds == pytest.approx(22.0) and found.runs == 1
    assert found.low < 22.0 < found.high


def test_a_longer_recording_takes_longer_by_the_part_that_grows_with_it() -> None:
    assert estimate(measured(22.0), STAGE, 60.0).seconds == pytest.approx(2 * (5.0 + 0.2 * 60))


def test_one_odd_run_among_several_changes_little() -> None:
    found = estimate(measured(10.0, 10.5, 90.0, 9.8), STAGE, 30.0)
    assert found.seconds < 11.0 and found.high >= 90.0


def test_of_many_runs_those_of_about_the_same_length_count() -> None:
    history = measured(*[11.0] * 5, work=30.0)
    for _ in range(4):
        history.add(STAGE, Observation(3600.0, 1450.0))
    assert estimate(history, STAGE, 3500.0).seconds == pytest.approx(1410, rel=0.02)
    assert estimate(history, STAGE, 30.0).seconds == pytest.approx(11.0)


def test_a_machine_that_got_faster_is_believed_after_a_few_runs() -> None:
    history = measured(*[40.0] * 5, *[10.0] * 4)
    assert estimate(history, STAGE, 30.0).seconds == pytest.approx(10.0)


def test_the_more_is_known_the_narrower_it_gets() -> None:
    def width(history: History, work: float = 30.0) -> float:
        found = estimate(history, STAGE, work)
        return found.high / found.low

    one, three = measured(10.0), measured(10.0, 10.4, 9.9)
    assert width(three) < width(one) < width(History())
    assert width(three, work=3000.0) > width(three), "so much longer than anything that was measured"


def test_the_same_stage_in_another_way_tells_something_but_not_for_sure() -> None:
    other = Kind(STAGE.stage, STAGE.family, "1 threads", Typical(5.0, 0.3, 1200))
    found = estimate(measured(22.0, 22.0, 22.0), other, 30.0)
    assert found.runs == 0 and found.seconds == pytest.approx(2 * 14.0), "twice as slow as typical, again"
    assert found.high / found.low > 2
    stranger = Kind(STAGE.stage, "community-1", "2 threads", Typical(5.0, 0.5, 1200))
    assert estimate(measured(22.0), stranger, 30.0).seconds == pytest.approx(20.0)


def test_the_memory_is_the_highest_that_was_seen() -> None:
    history = measured(10.0, memory_mb=900)
    history.add(STAGE, Observation(30.0, 10.0, 1500))
    history.add(STAGE, Observation(30.0, 10.0, None))
    assert estimate(history, STAGE, 30.0).memory_mb == 1500


def test_a_history_is_kept_from_run_to_run() -> None:
    assert load() == History()
    assert save(measured(10.0, 12.0, memory_mb=900))
    assert load() == measured(10.0, 12.0, memory_mb=900)


def test_a_history_stays_small() -> None:
    history = measured(*range(1, 3 * KEPT))
    assert [one.seconds for one in history.same_variant(STAGE)] == list(range(2 * KEPT, 3 * KEPT))
    for number in range(MOST_KINDS + 50):
        history.add(Kind("speech", str(number), "", STAGE.typical), Observation(1.0, 1.0))
    assert len(history.observations) == MOST_KINDS and not history.same_variant(STAGE)


def test_other_machines_that_share_the_folder_keep_theirs() -> None:
    save(measured(10.0))
    path = state_file("rates.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["machines"] = {"another": document["machines"][machine()]}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert load() == History()
    save(measured(12.0))
    kept = json.loads(path.read_text(encoding="utf-8"))["machines"]
    assert kept.keys() == {"another", machine()} and load() == measured(12.0)


ROW = {"stage": "diarization", "family": "embedded", "variant": "2 threads", "observed": [[30, 10, None, 11]]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 5000,
        "null",
        '"voiceclone.rates/1"',
        '{"schema": "voiceclone.rates/2", "machines": {}}',
        '{"schema": "voiceclone.rates/1", "machines": []}',
        "\x00\x01",
    ],
)
def test_a_file_that_cannot_be_read_is_no_history(text: str) -> None:
    path = state_file("rates.json")
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert load() == History()
    assert save(measured(10.0)) and load() == measured(10.0)


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {**ROW, "stage": 7},
        {**ROW, "observed": "30"},
        {**ROW, "observed": [[30, 11]]},
        {
            **ROW,
            "observed": [[30, -1, None, 1], [0, 1, None, 1], [30, float("inf"), None, 1], ["a", 1, None, 1]],
        },
        {**ROW, "observed": [[30, 1, "much", 1]]},
        {**ROW, "observed": [[True, 1e300, None, 0]]},
    ],
)
def test_what_cannot_be_believed_is_left_out(row: Any) -> None:
    path = state_file("rates.json")
    path.parent.mkdir(parents=True)
    document = {"schema": "voiceclone.rates/1", "machines": {machine(): [row, ROW]}}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert load() == measured(10.0)


def test_a_place_that_cannot_be_written_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not save(measured(10.0)) and load() == History()


def test_signs_that_stand_for_a_syllable_take_longer_than_letters() -> None:
    def seconds(text: str) -> float:
        return speech_seconds([Segment("0001", "S", 0.0, 1.0, text, "en")])

    assert seconds("你好吗") == pytest.approx(seconds("nine lettr"))
    assert seconds("one, two!") < seconds("one, two, three!")


# ------------------------------------------------------------------------- what a run leaves


def desk(folder: Path, **stages: float) -> Desk:
    wav = folder / "talk.wav"
    clock = Clock()
    clock.seconds = dict(stages)
    clock.peak_mb = dict.fromkeys(stages, 500)
    recording = Recording(wav, np.zeros(160_000, np.float32), 16_000, 160_000, 1, has_video=False)
    request = RunRequest(wav, resolve({"engine": "echo"}))
    run_dir = take_up(folder / "run", "abc")
    return Desk(request, recording, "abc", ECHO, None, run_dir, Stages(None), clock, [], no_progress)


def job(desk: Desk) -> Job:
    segments = tuple(Segment(f"000{n}", "S", n, n + 0.5, f"this is line {n}", "en") for n in (1, 2))
    reference = Reference("S", desk.run_dir.speakers / "reference.wav", "", 9.5, ())
    return Job(
        Script(segments),
        {"S": reference},
        {"0001": 2.0, "0002": 3.0},
        desk.run_dir,
        ECHO,
        desk.request.settings,
    )


def spoken(**changes: Any) -> Spoken:
    rows = {id: SegmentRow(0, id, "done", f"/{id}.wav", 0.5) for id in ("0001", "0002")}
    return Spoken(
        **{"rows": rows, "timing": {"load": 1.0, "encode": 2.0, "generate": 3.0}, "peak_mb": 70, **changes}
    )


def observed(stage: str) -> list[tuple[float, float, int | None]]:
    """Work, seconds and memory."""
    found = (found for key, found in load().observations.items() if key[0] == stage)
    return [(one.work, one.seconds, one.memory_mb) for of_kind in found for one in of_kind]


def test_a_run_leaves_what_each_of_its_stages_took(tmp_path: Path) -> None:
    run = desk(tmp_path, media=0.2, diarization=7.0, script=3.0, casting=0.1, speaking=7.0, timeline=0.3)
    record(run, "embedded", job(run), spoken())
    assert observed("diarization") == [(10.0, 7.0, None)]
    assert observed("transcription") == [(10.0, 3.0, None)]
    assert observed("media") == [(10.0, 0.2, 500)], "the first that raised the memory"
    assert observed("loading") == [(1.0, 1.0, 70)]
    assert observed("encoding") == [(1.0, 2.0, 70)]
    assert [seconds for _, seconds, _ in observed("speech")] == [4.0], "the rest of speaking"
    assert not observed("script") and not observed("speaking")


def test_a_run_that_is_planned_after_one_is_expected_to_take_as_long(tmp_path: Path) -> None:
    run = desk(tmp_path, diarization=7.0, speaking=7.0, timeline=0.3)
    record(run, "embedded", job(run), spoken())
    of, history = kinds(run.request.settings, ECHO, "embedded"), load()
    speech = speech_seconds(job(run).script.segments)
    works = {"diarization": 10.0, "loading": 1.0, "encoding": 1.0, "speech": speech, "timeline": 10.0}
    total = sum(estimate(history, of[stage], work).seconds for stage, work in works.items())
    assert total == pytest.approx(14.3, abs=0.01)


def test_what_was_taken_over_or_given_measures_nothing(tmp_path: Path) -> None:
    run = desk(tmp_path, media=0.2, diarization=0.01, script=0.01, timeline=0.01, speaking=0.01)
    run.stages.reused.extend(["diarization", "transcription", "timeline"])
    record(run, "embedded", job(run), spoken(kept={"0001", "0002"}, timing={}))
    assert {key[0] for key in load().observations} == {"media"}


@pytest.mark.parametrize(
    "trouble",
    [
        {"errors": [Failure("worker_died", "it did")]},
        {"rows": {"0001": SegmentRow(0, "0001", "failed", error=Failure("x", "y"))}},
    ],
)
def test_speaking_that_went_wrong_says_nothing_of_speed(tmp_path: Path, trouble: dict[str, Any]) -> None:
    run = desk(tmp_path, media=0.2, speaking=60.0, timeline=0.1)
    record(run, "embedded", job(run), spoken(**trouble))
    assert {key[0] for key in load().observations} == {"media"}
