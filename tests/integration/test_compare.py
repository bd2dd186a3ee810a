"""`python -m benchmarks.compare` with real processes: the echo engine, and upstream's own program."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.upstream.bench import TOOLS, ChildMemory, Upstream, measure_voiceclone
from benchmarks.upstream.figures import Kind, Mode
from benchmarks.upstream.fixtures import BenchmarkScript, make_fixtures
from command import benchmark
from echo_faults import with_faults
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import FISH_SAMPLING, EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import ProgressEvent, no_progress
from voiceclone_cli.workers.process import ask_tool, worker_command

FIGURES = ("wall", "load", "encode", "generate", "write", "speech_seconds", "real_time_factor")


def by_mode(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["mode"]: row for row in document["modes"]}


def test_the_modes_of_an_engine_are_measured_over_the_same_lines() -> None:
    ended = benchmark("compare", "--engine", "echo", "--segments", 12, "--speakers", 3, "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert document["schema"] == "voiceclone.bench/1"
    modes = by_mode(document)
    assert list(modes) == ["sequential", "parallel 2", "parallel 3"]
    for row in modes.values():
        assert all(row[key] > 0 for key in FIGURES) and row["failed"] == []
        assert row["wall"] > row["generate"] / row["workers"], "starting processes counts too"
        assert row["ratio_over_original"] is None and row["decode"] is None
    assert len({row["speech_seconds"] for row in modes.values()}) == 1
    assert document["machine"]["cores"] >= 1 and document["machine"]["worker"]["torch"]
    assert (document["settings"]["segments"], document["roofline"]) == (12, None)
    assert "parallel 3: 100 %" in ended.err


def test_without_json_a_table_is_printed() -> None:
    ended = benchmark("compare", "--engine", "echo", "--segments", 2, "--modes", "sequential", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    head, wall, *_ = ended.out.splitlines()
    assert head.split() == ["sequential"] and wall.startswith("wall, s")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--engine", "kokoro", "--modes", "upstream-loop"], "choose --engine fish"),
        (["--modes", "fast"], "there is no mode 'fast'"),
        (["--engine", "none"], "must be one of"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(arguments: list[str], sentence: str) -> None:
    ended = benchmark("compare", *arguments)
    assert ended.code == 2 and ended.out == ""
    assert sentence in ended.err and len(ended.err.splitlines()) == 1


def test_fish_without_its_interpreter_ends_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(tmp_path / "no-python"))
    ended = benchmark("compare", "--segments", 2)
    assert ended.code == 4 and "FISH_SPEECH_PYTHON" in ended.err.splitlines()[-1]


def test_failed_segments_are_counted_and_the_figures_are_those_of_the_others(tmp_path: Path) -> None:
    fixtures = make_fixtures(tmp_path, 2, 6, seed=0, skewed=False)
    engine = EngineChoice("echo", "", None, options=with_faults(faults={"0002": "fail"}))
    shown: list[ProgressEvent] = []
    measure = measure_voiceclone(
        Mode(Kind.PARALLEL, 2), fixtures, engine, resolve({}, {}), tmp_path / "run", shown.append
    )
    assert [(row.id, row.code) for row in measure.failed] == [("0002", "asked_to_fail")]
    spoken = sum(len(s.text) * 0.06 for s in fixtures.script.segments if s.id != "0002")
    assert measure.speech_seconds == pytest.approx(spoken, rel=0.01) and measure.wall is not None
    assert {event.stage for event in shown} == {"parallel 2"}, "one bar a mode"
    assert (shown[-1].completed, shown[-1].total) == (6, 6)


def test_a_mode_in_which_nothing_was_spoken_has_no_figures(tmp_path: Path) -> None:
    fixtures = make_fixtures(tmp_path, 1, 2, seed=0, skewed=False)
    engine = EngineChoice("echo", "", None, options={"import": "no_such_module"})
    mode = Mode(Kind.SEQUENTIAL)
    measure = measure_voiceclone(mode, fixtures, engine, resolve({}, {}), tmp_path / "run", no_progress)
    assert measure.wall is None and measure.speech_seconds is None and len(measure.failed) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of another process's memory")
def test_memory_is_that_of_all_children_together() -> None:
    code = "import time; held = bytearray(60_000_000); time.sleep(1.5)"
    with ChildMemory() as memory:
        children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
        for child in children:
            child.wait()
    assert memory.peak_mb is not None and 120 <= memory.peak_mb < 300


def test_a_wrong_call_of_the_upstream_tool_is_a_sentence() -> None:
    for arguments in (["shout", "job.json"], ["loop", "/no/such/job.json"]):
        with pytest.raises(PreflightError) as raised:
            ask_tool(replace(worker_command(None, threads=1), program=TOOLS), "upstream", arguments)
        assert raised.value.code == "upstream_usage"


# -------------------------------------------------------------------------------------- upstream


@pytest.fixture
def fish(fish_python: Path, tiny_checkpoint: Path) -> EngineChoice:
    return EngineChoice("fish", "", str(fish_python), checkpoint=str(tiny_checkpoint), options=FISH_SAMPLING)


@pytest.fixture
def fixtures(tmp_path: Path) -> BenchmarkScript:
    return make_fixtures(tmp_path, 2, 6, seed=0, skewed=False, longest=40)


@pytest.mark.engine
def test_upstreams_ways_speak_the_same_bytes(
    fish: EngineChoice, fixtures: BenchmarkScript, tmp_path: Path
) -> None:
    """Three processes for a line, one process for all, and a shorter window: only the time differs."""
    heard = {}
    for kind in (Kind.ORIGINAL, Kind.LOOP, Kind.CUT_LOOP):
        folder = tmp_path / kind.name
        folder.mkdir()
        upstream = Upstream(fixtures, fish, resolve({}, {}), folder, no_progress)
        measure = upstream.original(2) if kind is Kind.ORIGINAL else upstream.loop(Mode(kind), 2)
        assert measure.failed == [] and (measure.measured, measure.segments) == (2, 6)
        assert measure.frames and measure.wall and measure.peak_mb
        assert {"load", "encode", "generate", "decode", "write"} == measure.stages.keys()
        heard[kind] = {path.name: path.read_bytes() for path in folder.glob("*.wav")}
    assert len(heard[Kind.LOOP]) == 2
    assert heard[Kind.ORIGINAL] == heard[Kind.LOOP] == heard[Kind.CUT_LOOP]


@pytest.mark.engine
def test_a_line_that_upstream_cannot_speak_is_a_failure_of_that_line(
    fish: EngineChoice, fixtures: BenchmarkScript, tmp_path: Path
) -> None:
    first, *others = fixtures.script.segments
    long = type(first)(first.id, first.speaker, 0.0, 1.0, "far too long " * 2000, "en")
    broken = BenchmarkScript(type(fixtures.script)((long, *others)), fixtures.references)
    measure = Upstream(broken, fish, resolve({}, {}), tmp_path, no_progress).loop(Mode(Kind.LOOP), 6)
    assert [row.id for row in measure.failed] == [first.id] and "too long" in measure.failed[0].message
    assert measure.wall is not None


@pytest.mark.engine
def test_fish_is_compared_with_upstream(fish: EngineChoice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish.python))
    monkeypatch.setenv("VOICECLONE_CHECKPOINT", fish.checkpoint)
    started = time.perf_counter()
    ended = benchmark(
        "compare",
        *("--speakers", 2, "--segments", 6, "--longest", 40, "--original-sample", 1, "--json"),
        *("--loop-sample", 3),
        *("--modes", "original,upstream-loop,upstream-loop-same-window,sequential,parallel-2"),
    )
    assert ended.code == 0, ended.err
    modes = by_mode(ended.document)
    assert sum(row["wall"] for row in modes.values() if not row["sampled"]) < time.perf_counter() - started
    for name, row in modes.items():
        assert all(row[key] > 0 for key in (*FIGURES, "decode", "frames", "peak_mb")), (name, row)
    assert modes["original"]["sampled"] == {"of": 6, "measured": 1}
    assert modes["original"]["ratio_over_original"] == 1.0
    assert modes["upstream loop, same window"]["window"] < modes["upstream loop"]["window"]
    ours = modes["sequential"]
    assert ours["ratio_over_original"] == pytest.approx(modes["original"]["wall"] / ours["wall"], rel=1e-3)
    assert ours["ratio_over_original"] > 1, "three processes for each line cost more than one for all"
    roofline = ended.document["roofline"]
    assert roofline["bandwidth_gb_per_second"] > 0.5 and roofline["bytes_per_frame"] > 0
    assert [row["batch_size"] for row in roofline["measured"]] == [1, 5]


def test_the_document_is_json_without_surprises() -> None:
    ended = benchmark("compare", "--engine", "echo", "--segments", 1, "--modes", "sequential", "--json", "-q")
    json.loads(ended.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
