"""Checks of whether a run with some settings would work. Nothing is downloaded, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voiceclone_cli import models as registry
from voiceclone_cli.doctor import appetite, interpreters, machine, models, trial
from voiceclone_cli.doctor.checkpoint import can_be_downloaded, checkpoint_row
from voiceclone_cli.doctor.interpreters import Answer
from voiceclone_cli.doctor.rows import Row, State, rows_of
from voiceclone_cli.engines import EngineReport, probe
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkpoint import PUBLISHED, no_checkpoint
from voiceclone_cli.fish.environment.folders import place
from voiceclone_cli.machine.memory import machine_memory
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

__all__ = ["Row", "State", "examine"]

EXAMINE_SECONDS = 24.0
"""Importing torch and fish-speech takes three seconds; from a cold disk, several times that."""

TRIAL_SECONDS = 5.0
"""A tone takes less than one."""


def examine(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    examine_seconds: float = EXAMINE_SECONDS,
    trial_seconds: float = TRIAL_SECONDS,
) -> list[Row]:
    """Check interpreters, engine, devices, memory, models, disk and a worker.

    As far as can be seen, a run with these settings works where no row is ``State.FAIL``.

    Each of the two interpreters has ``examine_seconds`` to say what it has, a worker
    ``trial_seconds`` to speak. Progress stage "doctor".
    """
    _tell(progress, 0, "both interpreters")
    # Both import torch, which is mostly waiting for the disk the first time.
    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(interpreters.examine, None, None, settings, seconds=examine_seconds)
        report = probe(settings, seconds=examine_seconds)
        environment = _environment(report, settings, examine_seconds)
        own = asked.result()
    _tell(progress, 1, "the machine and its models")
    rows = [engine_row(report, settings), *interpreters.own_rows(own)]
    rows += _fish_rows(report, environment, settings)
    rows += _machine_rows(report, environment, own, settings)
    _tell(progress, 2, "a worker")
    rows += rows_of(trial.CHECK, _trial(report, trial_seconds), State.FAIL)
    _tell(progress, 3, "done")
    return rows


def engine_row(report: EngineReport, settings: Settings) -> Row:
    """Return the engine of the run, and what to do where ``auto`` cannot use fish."""
    if settings.engine != "auto":
        return Row("engine", State.OK, f"{report.engine} is asked for")
    if report.engine == "fish":
        return Row("engine", State.OK, "fish: its environment and a checkpoint are here")
    found = "kokoro, the embedded voice matching: what fish needs is not all here"
    return Row("engine", State.NOTE, found, "to have fish, do what its rows below say")


def trouble_of(report: EngineReport) -> State:
    """Return how bad it is when a part of fish is missing."""
    return State.FAIL if report.engine == "fish" else State.NOTE


def _environment(report: EngineReport, settings: Settings, seconds: float) -> Answer | PreflightError:
    """Return what the interpreter of fish has, or why that is not known."""
    if isinstance(report.fish_python, PreflightError):
        return report.fish_python
    source = None if isinstance(report.checkout, PreflightError) else report.checkout
    return interpreters.examine(report.fish_python, source, settings, seconds=seconds)


def _fish_rows(
    report: EngineReport, environment: Answer | PreflightError, settings: Settings
) -> Iterator[Row]:
    trouble = trouble_of(report)
    yield from interpreters.fish_rows(environment, interpreters.fish_origin(settings), trouble)
    if isinstance(report.checkout, PreflightError):
        yield Row("FISH_SPEECH_DIR", trouble, "cannot be used", report.checkout.message)
        return
    lacks_it = report.checkpoint is None and not can_be_downloaded(settings)
    yield checkpoint_row(no_checkpoint() if lacks_it else report.checkpoint, trouble)


def _machine_rows(
    report: EngineReport,
    environment: Answer | PreflightError,
    own: Answer | PreflightError,
    settings: Settings,
) -> Iterator[Row]:
    trouble = trouble_of(report)
    is_fish = not isinstance(environment, PreflightError)
    answer = environment if is_fish else own
    if isinstance(answer, PreflightError):
        advice = "do what the rows of the interpreters say, one of which must answer"
        yield Row("devices", State.NOTE, "not known, nor what memory a run takes", advice)
    else:
        yield machine.device_row(answer, settings)
        if is_fish and "version" in answer["torch"]:
            yield machine.place_row(answer, settings, trouble)
        yield from rows_of("memory", _memory_rows(report, answer, settings), trouble)
    yield from rows_of("models", models.model_rows(settings), State.FAIL)
    yield models.hub_row(settings)
    yield from rows_of("disk", _disk_rows(report, settings), State.FAIL)
    yield machine.espeak_row()


def _memory_rows(report: EngineReport, answer: Answer, settings: Settings) -> Iterator[Row]:
    memory = machine_memory()
    if report.engine != "fish":
        yield appetite.kokoro_row(memory, settings)
        return
    if not isinstance(report.checkpoint, Path) or "error" in answer["place"]:
        return  # rows above say what to do first
    eats = appetite.fish_appetite(report.checkpoint, answer["place"]["precision"], settings.batch_size)
    smaller = appetite.smaller_precisions(answer["place"])
    if answer["place"]["device"].startswith("cuda"):
        yield appetite.beside_cuda_row(memory, settings, smaller)
        yield appetite.cuda_row(answer, eats, settings, smaller)
    else:
        yield appetite.cpu_row(memory, eats, settings, smaller)


def _disk_rows(report: EngineReport, settings: Settings) -> Iterator[Row]:
    downloads = report.engine == "fish" and report.checkpoint is None and can_be_downloaded(settings)
    fetched = models.lacking_bytes(settings, (*registry.embedded(), *([PUBLISHED] if downloads else [])))
    yield machine.models_disk_row(models.home_of(settings), fetched)
    if isinstance(report.fish_python, PreflightError) and settings.fish_speech_python is None:
        yield machine.environment_disk_row(place(settings))
    yield machine.working_directory_row()


def _trial(report: EngineReport, seconds: float) -> Iterator[Row]:
    if isinstance(report.python, PreflightError):
        yield Row(trial.CHECK, State.FAIL, "not tried", "do what the row of the worker interpreter says")
        return
    yield trial.worker_answers(report.python, seconds=seconds)


def _tell(progress: Progress, done: int, what: str) -> None:
    progress(ProgressEvent("doctor", done, 3, note=what))
