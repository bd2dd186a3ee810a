"""Our own modes, measured through the very code of a run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.bench.material import Material
from voiceclone_cli.bench.measure import FISH_FRAME, Failed, Measure
from voiceclone_cli.bench.memory import ChildMemory
from voiceclone_cli.bench.modes import Kind, Mode
from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.rundir.directory import open_run_dir
from voiceclone_cli.settings import PARALLEL, SEQUENTIAL, Settings
from voiceclone_cli.steps.speaking import Spoken, speak
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Progress, ProgressEvent
from voiceclone_cli.workers.progress import SYNTHESIS


def measure_ours(
    mode: Mode, material: Material, engine: EngineChoice, settings: Settings, folder: Path, progress: Progress
) -> Measure:
    """Speak all of the material from nothing, into a run directory in ``folder``."""
    how = PARALLEL if mode.kind is Kind.PARALLEL else SEQUENTIAL
    settings = replace(settings, mode=how, workers=mode.workers, watermark=False)
    slots = {segment.id: segment.end for segment in material.script.segments}
    with open_run_dir(folder, "benchmark") as run_dir, ChildMemory() as memory:
        for speaker in material.references:
            (run_dir.speakers / speaker).mkdir()
        job = Job(material.script, material.references, slots, run_dir, engine, settings)
        started = time.perf_counter()
        spoken = speak(job, _one_bar(progress, mode))
        wall = time.perf_counter() - started
    if spoken.stopped is not None:
        raise spoken.stopped
    return _measure(mode, engine, spoken, wall, memory.peak_mb)


def _measure(mode: Mode, engine: EngineChoice, spoken: Spoken, wall: float, peak_mb: int | None) -> Measure:
    done = [row for row in spoken.rows.values() if row.status == "done"]
    measure = Measure(mode, segments=len(spoken.rows), measured=len(spoken.rows))
    for row in spoken.rows.values():
        if row.error is not None:
            measure.failed.append(Failed(row.id, row.error.code, row.error.message))
    measure.notes = list(spoken.notes)
    if done:
        measure.wall = wall
        measure.stages = dict(spoken.timing)
        measure.speech_seconds = sum(row.seconds or 0.0 for row in done)
        if engine.name == "fish":
            measure.frames = sum(row.frames or 0 for row in done) / FISH_FRAME
    measure.largest_mb = spoken.peak_mb or None
    # One process is its own sum, also where nobody could watch.
    measure.peak_mb = peak_mb or (measure.largest_mb if mode.workers == 1 else None)
    return measure


def _one_bar(progress: Progress, mode: Mode) -> Progress:
    """The stages of a run as one bar of the mode's name."""

    def show(event: ProgressEvent) -> None:
        if event.stage == SYNTHESIS and event.worker is None:
            progress(ProgressEvent(mode.name, event.completed, event.total, note=event.note))
        elif event.stage == "note":
            progress(event)

    return show
