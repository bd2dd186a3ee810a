"""How long stages will take, by how long they took."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fish_checkpoints import S2_SHARDS, make_s1, make_s2
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.memory import fish_memory
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.files import state_file
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.synthesize import SynthesisResult
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.planning import estimate as planning_estimate
from voiceclone_cli.planning.estimate import (
    MAX_FILE_BYTES,
    MAX_MEASUREMENTS,
    Measurement,
    StageCost,
    estimate,
    load_measurements,
    record,
    speech_seconds,
    stage_costs,
)
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.system import Clock
from voiceclone_cli.types import Diarization, Recording, Reference, Script, Segment, no_progress
from voiceclone_worker.protocol import Failure, SegmentRow

COST = StageCost("diarization, embedded, 2 threads", 5.0, 0.2, 1200)
"""11 s for 30 s of audio, typically."""
ECHO = EngineChoice("echo", "asked", None)


def measured(seconds: float, work: float = 30.0, memory_mb: int | None = None) -> dict[str, Measurement]:
    return {COST.key: Measurement(work, seconds, memory_mb)}


# -------------------------------------------------------------------------------------- estimates


def test_without_a_measurement_the_machine_is_a_typical_one_and_the_bounds_are_wide() -> None:
    found = estimate({}, COST, 30.0)
    assert found.seconds == pytest.approx(11.0) and found.runs == 0
    assert found.low < 5 and found.high > 25 and found.memory_mb == 1200


def test_what_was_measured_is_expected_again() -> None:
    found = estimate(measured(22.0), COST, 30.0)
    assert found.seconds == pytest.approx(22.0) and found.runs == 1
    assert found.low < 22.0 < found.high


def test_a_longer_recording_takes_longer_by_the_part_that_grows_with_it() -> None:
    assert estimate(measured(22.0), COST, 60.0).seconds == pytest.approx(2 * (5.0 + 0.2 * 60))


def test_the_more_is_known_the_narrower_it_gets() -> None:
    def width(known: Mapping[str, Measurement], work: float = 30.0) -> float:
        found = estimate(known, COST, work)
        return found.high / found.low

    assert width(measured(10.0)) < width({})
    assert width(measured(10.0), work=3000.0) > width(measured(10.0)), "so much longer than what was measured"
    assert width(measured(10.0), work=3.0) > width(measured(10.0)), "so much shorter"


def test_the_same_stage_in_another_way_is_not_measured() -> None:
    other = COST._replace(key="diarization, community-1, 2 threads", each=0.5)
    found = estimate(measured(22.0), other, 30.0)
    assert found.runs == 0 and found.seconds == pytest.approx(20.0)


def test_the_memory_is_the_one_that_was_measured() -> None:
    assert estimate(measured(10.0, memory_mb=1500), COST, 30.0).memory_mb == 1500
    assert estimate(measured(10.0, memory_mb=None), COST, 30.0).memory_mb == 1200


def test_a_checkpoint_of_s2_counts_with_all_its_shards_and_reads_more_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning_estimate, "has_nvidia_gpu", lambda: False)
    s1, s2 = make_s1(tmp_path / "one"), make_s2(tmp_path / "two")
    for path, size in ((s1 / "model.pth", 10**8), *((s2 / name, 5 * 10**7) for name in S2_SHARDS)):
        os.truncate(path, size)  # a hole in the file takes no room

    def costs(folder: Path, **flags: Any) -> dict[str, StageCost]:
        engine = EngineChoice(
            "fish", "asked", "python", str(folder), precision=flags.pop("precision", "auto")
        )
        return stage_costs(resolve({"engine": "fish"}), engine, "embedded")

    one, two = costs(s1), costs(s2)
    assert two["speech"].each == pytest.approx(1.53 * one["speech"].each, rel=0.01)
    assert "two of 1000" in two["speech"].key and two["speech"].key != one["speech"].key
    for precision in ("float32", "bf16"):
        memory = fish_memory(s2, precision, 5, threads=resolve({}).threads_each)
        found = costs(s2, precision=precision)["loading"].memory_mb
        assert found == round((memory.total + memory.mapped) / 1e6), "as doctor states it"
    assert one["loading"].memory_mb == 2800, "its model.pth is no file of weights"
    monkeypatch.setattr(planning_estimate, "has_nvidia_gpu", lambda: True)
    assert costs(s2)["loading"].memory_mb == 2800, "the weights are on the card"


def test_what_the_speed_depends_on_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys(engine: EngineChoice = ECHO, diarizer: str = "embedded", **flags: Any) -> dict[str, str]:
        costs = stage_costs(resolve({"engine": "echo", "threads": 4, **flags}), engine, diarizer)
        return {stage: cost.key for stage, cost in costs.items()}

    def changed(other: Mapping[str, str]) -> set[str]:
        return {stage for stage, key in keys().items() if other[stage] != key}

    fish = EngineChoice("fish", "asked", "python", checkpoint="/nowhere")
    in_workers = {"loading", "encoding", "speech"}
    assert changed(keys()) == set()
    assert len(set(keys().values())) == len(keys())
    assert changed(keys(engine=fish)) == in_workers
    assert changed(keys(diarizer="community-1")) == {"diarization"}
    assert changed(keys(diarizer="given")) == {"diarization", "transcription"}, (
        "nothing runs beside the words"
    )
    assert changed(keys(asr_model="whisper-tiny")) == {"transcription"}
    assert changed(keys(batch_size=9)) == {"speech"}
    assert changed(keys(mode="parallel", workers=2)) == in_workers
    assert changed(keys(background="duck")) == {"timeline"}
    before = keys()
    monkeypatch.setattr(planning_estimate, "cores", lambda: 777)
    assert changed(before) == before.keys(), "another machine that shares the home"


# ----------------------------------------------------------------------------------------- the file


def write(document: Any) -> None:
    path = state_file("rates.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")


ROW = [30.0, 10.0, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 5000,
        "null",
        '"voiceclone.rates/3"',
        '{"schema": "voiceclone.rates/1", "machines": {}}',
        '{"schema": "voiceclone.rates/3", "measured": []}',
        "\x00\x01",
        json.dumps({"schema": "voiceclone.rates/3", "measured": {"a": ROW}}) + " " * MAX_FILE_BYTES,
    ],
)
def test_a_file_that_cannot_be_read_is_replaced_by_the_next_run(tmp_path: Path, text: str) -> None:
    write(text)
    assert load_measurements() == {}
    run = ctx(tmp_path, media=0.2)
    record(run, job(run), speech(timing={}))
    assert observed("media") == [(10.0, 0.2, 500)]


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        "30",
        [],
        [30.0, 10.0],
        [30.0, -1, None],
        [0, 1.0, None],
        [30.0, float("inf"), None],
        [float("nan"), 1.0, None],
        ["a", 1.0, None],
        [30.0, 1.0, "much"],
        [30.0, 1.0, 0],
        [30.0, 1e300, None],
    ],
)
def test_an_invalid_measurement_is_skipped(row: Any) -> None:
    write({"schema": "voiceclone.rates/3", "measured": {"bad": row, "good": ROW}})
    assert load_measurements() == {"good": Measurement(30.0, 10.0, None)}


def test_an_unwritable_file_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for variable in ("XDG_STATE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "file"))
    run = ctx(tmp_path, media=0.2)
    record(run, job(run), speech())
    assert load_measurements() == {}


def test_the_file_stays_small_and_the_oldest_measurements_are_dropped(tmp_path: Path) -> None:
    write({"schema": "voiceclone.rates/3", "measured": {str(n): ROW for n in range(MAX_MEASUREMENTS)}})
    run = ctx(tmp_path, media=0.2, casting=0.1)
    record(run, job(run), speech(timing={}))
    kept = load_measurements()
    assert len(kept) == MAX_MEASUREMENTS and not {"0", "1"} & kept.keys() and "2" in kept
    assert observed("media") and observed("casting")


def test_characters_that_are_syllables_take_longer_than_letters() -> None:
    def seconds(text: str) -> float:
        return speech_seconds([Segment("0001", "S", 0.0, 1.0, text, "en")])

    assert seconds("你好吗") == pytest.approx(seconds("nine lettr"))
    assert seconds("one, two!") < seconds("one, two, three!")


# ------------------------------------------------------------------------- what a run leaves


def ctx(folder: Path, **stages: float) -> RunContext:
    wav = folder / "talk.wav"
    clock = Clock()
    clock.seconds = dict(stages)
    clock.peak_mb = dict.fromkeys(stages, 500)
    recording = Recording(wav, np.zeros(160_000, np.float32), 16_000, 160_000, 1, has_video=False)
    request = RunRequest(wav, resolve({"engine": "echo"}))
    run_dir = resume_directory(folder / "run", "abc")
    return RunContext(
        request, recording, "abc", ECHO, None, run_dir, StageCache(None), clock, [], no_progress
    )


def job(ctx: RunContext) -> SynthesisJob:
    segments = tuple(Segment(f"000{n}", "S", n, n + 0.5, f"this is line {n}", "en") for n in (1, 2))
    reference = Reference("S", ctx.run_dir.speakers / "reference.wav", "", 9.5, ())
    return SynthesisJob(
        Script(segments),
        {"S": reference},
        {"0001": 2.0, "0002": 3.0},
        ctx.run_dir,
        ECHO,
        ctx.request.settings,
        Diarization((), (), "embedded"),
    )


def speech(**changes: Any) -> SynthesisResult:
    rows = {id: SegmentRow(0, id, "done", f"/{id}.wav", 0.5) for id in ("0001", "0002")}
    return SynthesisResult(
        **{
            "segments": rows,
            "timing": {"load": 1.0, "encode": 2.0, "generate": 3.0},
            "peak_mb": 70,
            **changes,
        }
    )


def observed(stage: str) -> list[tuple[float, float, int | None]]:
    """Work, seconds and memory."""
    return [tuple(found) for key, found in load_measurements().items() if key.split(",")[0] == stage]


def stages_observed() -> set[str]:
    return {key.split(",")[0] for key in load_measurements()}


def test_a_run_records_the_time_of_each_stage(tmp_path: Path) -> None:
    run = ctx(tmp_path, media=0.2, diarization=7.0, script=3.0, casting=0.1, speaking=7.0, timeline=0.3)
    record(run, job(run), speech())
    assert observed("diarization") == [(10.0, 7.0, None)]
    assert observed("transcription") == [(10.0, 3.0, None)]
    assert observed("media") == [(10.0, 0.2, 500)], "the first that raised the memory"
    assert observed("loading") == [(1.0, 1.0, 70)]
    assert observed("encoding") == [(1.0, 2.0, 70)]
    assert [seconds for _, seconds, _ in observed("speech")] == [4.0], "the rest of speaking"
    assert not observed("script") and not observed("speaking")


def test_voices_for_each_language_of_the_script_are_counted_where_the_engine_fits_them(
    tmp_path: Path,
) -> None:
    run = ctx(tmp_path, speaking=9.0)
    one = job(run)
    script = Script(
        tuple(
            replace(line, language=tag) for line, tag in zip(one.script.segments, ("en", "zh"), strict=True)
        )
    )
    for engine, voices in ((ECHO, 1.0), (EngineChoice("kokoro", "asked", None), 2.0)):
        used = replace(run, engine=engine)
        record(used, replace(one, script=script, engine=engine), speech())
        assert observed("encoding")[-1] == (voices, 2.0, 70)
        cost = stage_costs(run.request.settings, engine, "embedded")["encoding"]
        assert estimate(load_measurements(), cost, voices).seconds == pytest.approx(2.0)


def test_a_run_that_is_planned_after_one_is_expected_to_take_as_long(tmp_path: Path) -> None:
    run = ctx(tmp_path, diarization=7.0, speaking=7.0, timeline=0.3)
    record(run, job(run), speech())
    costs, known = stage_costs(run.request.settings, ECHO, "embedded"), load_measurements()
    seconds = speech_seconds(job(run).script.segments)
    works = {"diarization": 10.0, "loading": 1.0, "encoding": 1.0, "speech": seconds, "timeline": 10.0}
    total = sum(estimate(known, costs[stage], work).seconds for stage, work in works.items())
    assert total == pytest.approx(14.3, abs=0.01)


def test_the_last_run_counts_and_a_peak_is_remembered_until_the_next(tmp_path: Path) -> None:
    first, second = ctx(tmp_path, casting=0.2), ctx(tmp_path, media=0.1, casting=0.4)
    record(first, job(first), speech())
    assert observed("casting") == [(10.0, 0.2, 500)]
    second.clock.peak_mb["media"] = 900
    record(second, job(second), speech())
    assert observed("casting") == [(10.0, 0.4, 500)]


def test_reused_and_given_stages_measure_nothing(tmp_path: Path) -> None:
    run = ctx(tmp_path, media=0.2, diarization=0.01, script=0.01, timeline=0.01, speaking=0.01)
    run.cache.reused.extend(["diarization", "transcription", "timeline"])
    record(run, job(run), speech(reused={"0001", "0002"}, timing={}))
    assert stages_observed() == {"media"}


def test_words_that_are_recognized_alone_are_no_measure_of_words_beside_the_turns(tmp_path: Path) -> None:
    beside, alone = ctx(tmp_path, diarization=7.0, script=3.0), ctx(tmp_path, diarization=0.01, script=9.0)
    alone.cache.reused.append("diarization")
    for run in (beside, alone):
        record(run, job(run), speech())
    known = load_measurements()
    expected = {}
    for diarizer in ("embedded", "given"):
        cost = stage_costs(beside.request.settings, ECHO, diarizer)["transcription"]
        expected[diarizer] = estimate(known, cost, 10.0).seconds
    assert expected == pytest.approx({"embedded": 3.0, "given": 9.0})


@pytest.mark.parametrize(
    "trouble",
    [
        {"errors": [Failure("worker_died", "it did")]},
        {"segments": {"0001": SegmentRow(0, "0001", "failed", error=Failure("x", "y"))}},
    ],
)
def test_a_failed_synthesis_measures_nothing(tmp_path: Path, trouble: dict[str, Any]) -> None:
    run = ctx(tmp_path, media=0.2, speaking=60.0, timeline=0.1)
    record(run, job(run), speech(**trouble))
    assert stages_observed() == {"media"}
