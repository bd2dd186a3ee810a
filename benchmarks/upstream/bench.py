"""A benchmark: synthesis of the same lines in each mode, one after the other, on this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from benchmarks.upstream.figures import (
    FISH_FRAME,
    FISH_RATE,
    UPSTREAM,
    Failed,
    Kind,
    Measure,
    Mode,
    check_modes,
    default_modes,
    document_row,
    scaled,
)
from benchmarks.upstream.fixtures import LONGEST, BenchmarkScript, make_fixtures, spread_sample
from voiceclone_cli import __version__
from voiceclone_cli.config import PARALLEL, SEQUENTIAL, Settings, cores
from voiceclone_cli.engines.select import FISH_SAMPLING, EngineChoice, choose_engine
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.pipeline.synthesize import SynthesisResult, synthesize
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.rundir.directory import open_run_dir
from voiceclone_cli.system import add_seconds, peak_memory_mb
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment, no_progress, segment_seed
from voiceclone_cli.workers.process import OnToolEvent, WorkerCommand, ask_tool, worker_command
from voiceclone_cli.workers.queue import SYNTHESIS

TOOLS = Path(__file__).with_name("worker_tools.py")
"""The program whose tools run in the worker's interpreter."""

BENCH_SCHEMA = "voiceclone.bench/1"


@dataclass(frozen=True, slots=True)
class BenchmarkPlan:
    """Modes, lines and options of a benchmark."""

    settings: Settings
    modes: tuple[Mode, ...] | None = None
    """None: the default ones of the engine."""
    speakers: int = 6
    segments: int = 100
    original_sample: int = 10
    """Segments that the original synthesizes; its figures are scaled to all."""
    loop_sample: int | None = None
    """The same for the loops; None is all."""
    skewed: bool = False
    longest: int = LONGEST
    """Characters of a line; the shortest have 20."""
    roofline: bool = True


@dataclass(frozen=True, slots=True)
class Benchmark:
    document: dict[str, Any]
    """``voiceclone.bench/1``."""
    exit_code: int
    """0: every segment of every mode was synthesized, 3: some were not, 1: none was."""


def run_benchmark(plan: BenchmarkPlan, progress: Progress = no_progress) -> Benchmark:
    """Measure every mode of the plan on this machine.

    Failed segments and modes are in the document, and the other modes go on. Raises InputError
    and PreflightError before anything is measured.
    """
    # Before the engine is searched, so that an invalid mode is reported at once.
    if plan.modes is not None and plan.settings.engine != "auto":
        check_modes(plan.modes, plan.settings.engine)
    engine = choose_engine(plan.settings, progress)
    modes = plan.modes or default_modes(engine.name)
    check_modes(modes, engine.name)
    progress(ProgressEvent("note", 1, 1, note=f"engine: {engine.why}"))
    before, worker = load_average(), _worker(engine, plan.settings)
    if engine.checkpoint:
        read_through(path for path in Path(engine.checkpoint).iterdir() if path.is_file())
    with TemporaryDirectory(prefix="voiceclone-bench-") as folder:
        home = Path(folder)
        fixtures = make_fixtures(
            home,
            plan.speakers,
            plan.segments,
            seed=plan.settings.seed,
            skewed=plan.skewed,
            longest=plan.longest,
        )
        measures = [_measure(mode, plan, engine, fixtures, home / mode.flag, progress) for mode in modes]
        with_roofline = engine.name == "fish" and plan.roofline
        roofline = measure_roofline(engine, plan.settings, home, progress) if with_roofline else None
    load = {"before": before, "after": load_average()}
    document = {
        "schema": BENCH_SCHEMA,
        "modes": [document_row(measure, measures) for measure in measures],
        "roofline": roofline,
        "machine": {**describe_machine(), "worker": worker, "load_average": load},
        "settings": _settings(plan, engine),
        "notes": list(engine.notes),
    }
    return Benchmark(document, _exit_code(measures))


def _measure(
    mode: Mode,
    plan: BenchmarkPlan,
    engine: EngineChoice,
    fixtures: BenchmarkScript,
    folder: Path,
    progress: Progress,
) -> Measure:
    before = load_average()
    folder.mkdir()
    upstream = Upstream(fixtures, engine, plan.settings, folder, progress)
    try:
        if mode.kind is Kind.ORIGINAL:
            measure = upstream.original(plan.original_sample)
        elif mode.kind in UPSTREAM:
            measure = upstream.loop(mode, plan.loop_sample or plan.segments)
        else:
            measure = measure_voiceclone(mode, fixtures, engine, plan.settings, folder, progress)
    except PreflightError as error:
        measure = Measure(mode, plan.segments, plan.segments)
        measure.failed.append(Failed("", error.code, error.message))
    finally:
        shutil.rmtree(folder)
    measure.load_average = before, load_average()
    # Reported at once, for users who stop a long benchmark.
    ended = "could not be measured" if measure.wall is None else f"{measure.wall:.1f} s"
    progress(ProgressEvent("note", 1, 1, note=f"{mode.name}: {ended}"))
    return measure


def _worker(engine: EngineChoice, settings: Settings) -> dict[str, Any]:
    """Return the worker's interpreter and its libraries."""
    answer = ask_tool(worker_command(engine.python, threads=settings.threads), "examine")
    return {
        "executable": answer["executable"],
        "python": answer["python"],
        "torch": answer["torch"].get("version"),
        "cuda": answer["cuda"],
    }


def _tools_command(engine: EngineChoice, settings: Settings) -> WorkerCommand:
    """The command of the benchmark's tools in the worker's interpreter."""
    return replace(worker_command(engine.python, threads=settings.threads), program=TOOLS)


def _settings(plan: BenchmarkPlan, engine: EngineChoice) -> dict[str, Any]:
    spec = engine.spec(batch_size=plan.settings.batch_size, threads=plan.settings.threads)
    return {
        "engine": spec.name,
        "checkpoint": spec.checkpoint,
        "device": spec.device,
        "precision": spec.precision,
        "batch_size": spec.batch_size,
        "options": dict(spec.options),
        "speakers": plan.speakers,
        "segments": plan.segments,
        "longest": plan.longest,
        "skewed": plan.skewed,
        "seed": plan.settings.seed,
        "original_sample": plan.original_sample,
        "loop_sample": plan.loop_sample,
    }


def _exit_code(measures: list[Measure]) -> int:
    if not any(measure.failed for measure in measures):
        return 0
    return 3 if any(measure.wall is not None for measure in measures) else 1


# Modes of voiceclone


def measure_voiceclone(
    mode: Mode,
    fixtures: BenchmarkScript,
    engine: EngineChoice,
    settings: Settings,
    folder: Path,
    progress: Progress,
) -> Measure:
    """Measure the synthesis of all lines in a new run directory in ``folder``."""
    how = PARALLEL if mode.kind is Kind.PARALLEL else SEQUENTIAL
    settings = replace(settings, mode=how, workers=mode.workers, watermark=False)
    slots = {segment.id: segment.end for segment in fixtures.script.segments}
    with open_run_dir(folder, "benchmark") as run_dir, ChildMemory() as memory:
        for speaker in fixtures.references:
            (run_dir.speakers / speaker).mkdir()
        job = SynthesisJob(fixtures.script, fixtures.references, slots, run_dir, engine, settings)
        started = time.perf_counter()
        result = synthesize(job, _one_bar(progress, mode))
        wall = time.perf_counter() - started
    if result.stopped is not None:
        raise result.stopped
    return _measured(mode, engine, result, wall, memory.peak_mb)


def _measured(
    mode: Mode, engine: EngineChoice, result: SynthesisResult, wall: float, peak_mb: int | None
) -> Measure:
    done = [row for row in result.segments.values() if row.status == "done"]
    measure = Measure(mode, segments=len(result.segments), measured=len(result.segments))
    for row in result.segments.values():
        if row.error is not None:
            measure.failed.append(Failed(row.id, row.error.code, row.error.message))
    measure.notes = list(result.notes)
    if done:
        measure.wall = wall
        measure.stages = dict(result.timing)
        measure.speech_seconds = sum(row.seconds or 0.0 for row in done)
        if engine.name == "fish":
            measure.frames = sum(row.frames or 0 for row in done) / FISH_FRAME
    measure.largest_mb = result.peak_mb or None
    # A single process is the sum, also without a measurement.
    measure.peak_mb = peak_mb or (measure.largest_mb if mode.workers == 1 else None)
    return measure


def _one_bar(progress: Progress, mode: Mode) -> Progress:
    """Return a progress that shows the stages of a run as one bar with the mode's name."""

    def show(event: ProgressEvent) -> None:
        if event.stage == SYNTHESIS and event.worker is None:
            progress(ProgressEvent(mode.name, event.completed, event.total, note=event.note))
        elif event.stage == "note":
            progress(event)

    return show


# Modes of upstream

UPSTREAM_SECONDS = 86_400.0
"""Timeout of one process: on a laptop upstream takes minutes for a line, hours for a hundred lines."""

PER_LINE = ("generate", "decode", "write")
"""The stages of the loop that grow with the number of lines."""


class Upstream:
    """Upstream's program and the lines to synthesize. ``folder`` is for its files."""

    def __init__(
        self,
        fixtures: BenchmarkScript,
        engine: EngineChoice,
        settings: Settings,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._fixtures = fixtures
        self._engine = engine
        self._settings = settings
        self._folder = folder
        self._progress = progress

    def original(self, sample: int) -> Measure:
        """Its three steps for each segment of a sample, a process each."""
        mode = Mode(Kind.ORIGINAL)
        script = self._sample(sample)
        measure = self._begin(mode, script)
        job = self._write_job(script, window="own")
        frames = done = 0
        with ChildMemory() as memory:
            started = time.perf_counter()
            for number, segment in enumerate(script.segments):
                self._progress(ProgressEvent(mode.name, number, measure.measured, note=segment.id))
                try:
                    frames += self._three_steps(segment, job, measure)
                    done += 1
                except PreflightError as error:
                    measure.failed.append(Failed(segment.id, error.code, error.message))
            wall = time.perf_counter() - started
        self._progress(ProgressEvent(mode.name, measure.measured, measure.measured))
        measure.peak_mb = memory.peak_mb or measure.largest_mb
        if done:
            measure.wall = scaled(wall, measure.segments, measure.measured)
            measure.stages = {
                stage: scaled(seconds, measure.segments, measure.measured)
                for stage, seconds in measure.stages.items()
            }
            _count_frames(measure, frames)
        return measure

    def _three_steps(self, segment: Segment, job: Path, measure: Measure) -> int:
        """The frames of the segment, which then has its wav. Raises PreflightError."""
        frames = 0
        for step, name in (
            ("encode", segment.speaker),
            ("generate", segment.id),
            ("decode", segment.id),
        ):
            answer = self._ask(step, job, name)
            _account(answer, measure)
            frames = answer.get("frames", 0)
        return frames

    def loop(self, mode: Mode, sample: int) -> Measure:
        """Its functions in one process that has loaded the models once, a segment at a time."""
        script = self._sample(sample)
        measure = self._begin(mode, script)
        job = self._write_job(script, window="cut" if mode.kind is Kind.CUT_LOOP else "own")

        def show(event: dict[str, Any]) -> None:
            if event["event"] == "upstream_line":
                self._progress(ProgressEvent(mode.name, event["completed"], measure.measured))

        self._progress(ProgressEvent(mode.name, 0, measure.measured))
        with ChildMemory() as memory:
            started = time.perf_counter()
            answer = self._ask("loop", job, on_event=show)
            wall = time.perf_counter() - started
        _account(answer, measure)
        measure.peak_mb = memory.peak_mb or measure.largest_mb
        measure.window = answer["window"]
        for row in answer["lines"]:
            if row["error"] is not None:
                measure.failed.append(Failed(row["id"], "upstream_failed", row["error"]))
        if len(measure.failed) < measure.measured:
            _scale_lines(measure, wall)
            _count_frames(measure, sum(row["frames"] or 0 for row in answer["lines"]))
        return measure

    def _sample(self, count: int) -> Script:
        return self._fixtures.only(spread_sample(self._fixtures.script, count))

    def _begin(self, mode: Mode, script: Script) -> Measure:
        measure = Measure(mode, len(self._fixtures.script.segments), len(script.segments))
        if self._engine.precision == "int8":
            measure.notes.append("upstream has no int8 of this kind and used bf16, its default")
        return measure

    def _write_job(self, script: Script, window: str) -> Path:
        """The file that the worker's tool reads; see its documentation."""
        spec = self._engine.spec(batch_size=1, threads=self._settings.threads)
        job = {
            "checkpoint": spec.checkpoint,
            "source": spec.options.get("source", ""),
            "device": spec.device,
            "precision": spec.precision,
            "compile": bool(spec.options.get("compile", False)),
            "sampling": {key: spec.options[key] for key in FISH_SAMPLING},
            "window": window,
            "folder": str(self._folder),
            # All speakers', also for a sample: encoding then costs what it costs for all lines.
            "references": {
                name: {"audio": str(reference.audio), "text": reference.text}
                for name, reference in self._fixtures.references.items()
            },
            "lines": [
                {
                    "id": segment.id,
                    "speaker": segment.speaker,
                    "text": segment.text,
                    "seed": segment_seed(self._settings.seed, segment.id),
                }
                for segment in script.segments
            ],
        }
        path = self._folder / "job.json"
        path.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
        return path

    def _ask(
        self, step: str, job: Path, *names: str, on_event: OnToolEvent = lambda event: None
    ) -> dict[str, Any]:
        command = _tools_command(self._engine, self._settings)
        return ask_tool(
            command, "upstream", [step, str(job), *names], seconds=UPSTREAM_SECONDS, on_event=on_event
        )


def _account(answer: dict[str, Any], measure: Measure) -> None:
    """Add what one process has needed."""
    add_seconds(measure.stages, answer["seconds"])
    measure.largest_mb = max(measure.largest_mb or 0, answer["peak_mb"] or 0) or None
    measure.precision, measure.device = answer["precision"], answer["device"]


def _scale_lines(measure: Measure, wall: float) -> None:
    """Lines are scaled to all; loading and encoding happen once, however many lines there are."""
    result = sum(measure.stages.get(stage, 0.0) for stage in PER_LINE)
    for stage in PER_LINE:
        if stage in measure.stages:
            measure.stages[stage] = scaled(measure.stages[stage], measure.segments, measure.measured)
    measure.wall = wall - result + scaled(result, measure.segments, measure.measured)


def _count_frames(measure: Measure, frames: int) -> None:
    measure.frames = scaled(frames, measure.segments, measure.measured)
    measure.speech_seconds = measure.frames * FISH_FRAME / FISH_RATE


# Roofline

ROOFLINE_STAGE = "roofline"
ROOFLINE_SECONDS = 7200.0


def measure_roofline(
    engine: EngineChoice, settings: Settings, folder: Path, progress: Progress
) -> dict[str, Any]:
    """What the worker's ``roofline`` tool answers (see there); ``{"error": {"code", "message"}}`` where
    it could not be measured, which takes nothing from the modes."""
    spec = engine.spec(batch_size=settings.batch_size, threads=settings.threads)
    job = folder / "roofline.json"
    job.write_text(
        json.dumps(
            {
                "checkpoint": spec.checkpoint,
                "source": spec.options.get("source", ""),
                "device": spec.device,
                "precision": spec.precision,
                "compile": bool(spec.options.get("compile", False)),
                "batch_sizes": sorted({1, spec.batch_size}),
            },
            ensure_ascii=False,
        ),
        encoding="utf-8",
    )
    progress(ProgressEvent(ROOFLINE_STAGE, 0, 1))
    command = _tools_command(engine, settings)
    try:
        answer = ask_tool(command, "roofline", [str(job)], seconds=ROOFLINE_SECONDS)
    except PreflightError as error:
        answer = {"error": {"code": error.code, "message": error.message}}
    progress(ProgressEvent(ROOFLINE_STAGE, 1, 1))
    return answer


# The machine

_BLOCK = 1 << 24


def load_average() -> float | None:
    """Processes that wanted to compute, averaged over the last minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe_machine() -> dict[str, Any]:
    return {
        "cores": cores(),
        "cpu": _cpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "voiceclone": __version__,
    }


def read_through(files: Iterable[Path]) -> None:
    """Read files to their end, so that the first mode does not pay for a cold disk."""
    for path in files:
        with path.open("rb") as stream:
            while stream.read(_BLOCK):
                pass


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((row.partition(":")[2].strip() for row in lines if row.startswith("model name")), "unknown")


SECONDS_BETWEEN = 0.25


class ChildMemory:
    """Watches the child processes of this one while the block runs. On Linux only; elsewhere
    ``peak_mb`` stays None."""

    def __init__(self) -> None:
        self.peak_mb: int | None = None
        """The largest sum, over the children alive at one time, of each one's peak so far (MB)."""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="child memory", daemon=True)

    def __enter__(self) -> ChildMemory:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        if not Path("/proc/self/stat").is_file():
            return
        while not self._done.wait(SECONDS_BETWEEN):
            together = sum(peak_memory_mb(pid) or 0 for pid in _children(os.getpid()))
            if together:
                self.peak_mb = max(self.peak_mb or 0, together)


def _children(parent: int) -> list[int]:
    # /proc/PID/task/TID/children would tell, but not every kernel is built with it.
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _parent_of(entry) == parent:
            found.append(int(entry))
    return found


def _parent_of(pid: str) -> int | None:
    try:
        stat = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has just ended
        return None
    # "PID (name) state parent ...": the name may hold blanks and parentheses.
    return int(stat.rpartition(")")[2].split()[1])
