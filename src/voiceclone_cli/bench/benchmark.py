"""The story of a benchmark: the same lines in each way of speaking, one after the other."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from voiceclone_cli.bench.machine import describe_machine, load_average, read_through
from voiceclone_cli.bench.material import LONGEST, Material, make_material
from voiceclone_cli.bench.measure import Failed, Measure, document_row
from voiceclone_cli.bench.modes import UPSTREAM, Kind, Mode, check_modes, default_modes
from voiceclone_cli.bench.ours import measure_ours
from voiceclone_cli.bench.roofline import measure_roofline
from voiceclone_cli.bench.theirs import Upstream
from voiceclone_cli.engines import EngineChoice, choose_engine
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.tool import ask_tool

BENCH_SCHEMA = "voiceclone.bench/1"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured."""

    settings: Settings
    modes: tuple[Mode, ...] | None = None
    """None: the usual ones of the engine."""
    speakers: int = 6
    segments: int = 100
    original_sample: int = 10
    """Segments that the original really speaks; its figures are scaled to all."""
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
    """0: every segment of every mode was spoken, 3: some were not, 1: none was."""


def run_benchmark(plan: Plan, progress: Progress = no_progress) -> Benchmark:
    """Measure every mode of the plan on this machine.

    A segment or a mode that fails stands in the document, and the other modes go on. Raises InputError
    and PreflightError before anything is measured.
    """
    # Before the engine is looked for: a mode that it does not have is said at once.
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
        material = make_material(
            home,
            plan.speakers,
            plan.segments,
            seed=plan.settings.seed,
            skewed=plan.skewed,
            longest=plan.longest,
        )
        measures = [_measure(mode, plan, engine, material, home / mode.flag, progress) for mode in modes]
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
    mode: Mode, plan: Plan, engine: EngineChoice, material: Material, folder: Path, progress: Progress
) -> Measure:
    before = load_average()
    folder.mkdir()
    upstream = Upstream(material, engine, plan.settings, folder, progress)
    try:
        if mode.kind is Kind.ORIGINAL:
            measure = upstream.original(plan.original_sample)
        elif mode.kind in UPSTREAM:
            measure = upstream.loop(mode, plan.loop_sample or plan.segments)
        else:
            measure = measure_ours(mode, material, engine, plan.settings, folder, progress)
    except PreflightError as error:
        measure = Measure(mode, plan.segments, plan.segments)
        measure.failed.append(Failed("", error.code, error.message))
    finally:
        shutil.rmtree(folder)
    measure.load_average = before, load_average()
    # Said at once: who stops a long benchmark has seen what was measured by then.
    ended = "could not be measured" if measure.wall is None else f"{measure.wall:.1f} s"
    progress(ProgressEvent("note", 1, 1, note=f"{mode.name}: {ended}"))
    return measure


def _worker(engine: EngineChoice, settings: Settings) -> dict[str, Any]:
    """The worker's interpreter and what it computes with."""
    answer = ask_tool(worker_command(engine.python, threads=settings.threads), "examine")
    return {
        "executable": answer["executable"],
        "python": answer["python"],
        "torch": answer["torch"].get("version"),
        "cuda": answer["cuda"],
    }


def _settings(plan: Plan, engine: EngineChoice) -> dict[str, Any]:
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
