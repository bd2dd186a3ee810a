"""Whether everything is there that a run needs: looked at, started, and told in rows.

Nothing is fetched, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voiceclone_cli.doctor import appetite, interpreters, machine, models, trial
from voiceclone_cli.doctor.checkpoint import checkpoint_row
from voiceclone_cli.doctor.interpreters import Answer
from voiceclone_cli.doctor.memory import machine_memory
from voiceclone_cli.doctor.plan import Plan, engine_row, look_at_fish, make_plan
from voiceclone_cli.doctor.rows import Row, State, rows_of
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.environment.folders import place
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
    """What was found. As far as can be seen, a run with these settings works where no row is
    ``State.FAIL``.

    Each of the two interpreters has ``examine_seconds`` to say what it has, a worker
    ``trial_seconds`` to speak. Progress stage "doctor".
    """
    _tell(progress, 0, "both interpreters")
    # Both import torch, which is mostly waiting for the disk the first time.
    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(interpreters.examine, None, None, settings, seconds=examine_seconds)
        fish = look_at_fish(settings, seconds=examine_seconds)
        own = asked.result()
    plan = make_plan(settings, fish)
    _tell(progress, 1, "the machine and its models")
    seen = own if isinstance(fish.environment, PreflightError) else fish.environment
    rows = [engine_row(plan), *interpreters.own_rows(own), *_fish_rows(plan, settings)]
    rows += _machine_rows(plan, seen, settings)
    _tell(progress, 2, "a worker")
    rows += rows_of(trial.CHECK, _trial(plan, trial_seconds), State.FAIL)
    _tell(progress, 3, "done")
    return rows


def _fish_rows(plan: Plan, settings: Settings) -> Iterator[Row]:
    fish = plan.fish
    yield from interpreters.fish_rows(fish.environment, interpreters.fish_origin(settings), plan.trouble)
    if isinstance(fish.checkout, PreflightError):
        yield Row("FISH_SPEECH_DIR", plan.trouble, "cannot be used", fish.checkout.message)
    else:
        yield checkpoint_row(fish.checkpoint, plan.trouble)


def _machine_rows(plan: Plan, answer: Answer | PreflightError, settings: Settings) -> Iterator[Row]:
    if isinstance(answer, PreflightError):
        advice = "do what the rows of the interpreters say, one of which must answer"
        yield Row("devices", State.NOTE, "not known, nor what memory a run takes", advice)
    else:
        yield machine.device_row(answer, settings)
        if answer is plan.fish.environment and "version" in answer["torch"]:
            yield machine.place_row(answer, settings, plan.trouble)
        yield from rows_of("memory", _memory_rows(plan, answer, settings), plan.trouble)
    yield from rows_of("models", models.model_rows(settings), State.FAIL)
    yield models.hub_row(settings)
    yield from rows_of("disk", _disk_rows(plan, settings), State.FAIL)
    yield machine.espeak_row()


def _memory_rows(plan: Plan, answer: Answer, settings: Settings) -> Iterator[Row]:
    memory = machine_memory()
    if not plan.uses_fish:
        yield appetite.kokoro_row(memory, settings)
        return
    if not isinstance(plan.fish.checkpoint, Path) or "error" in answer["place"]:
        return  # rows above say what to do first
    eats = appetite.fish_appetite(plan.fish.checkpoint, answer["place"]["precision"], settings.batch_size)
    smaller = appetite.smaller_precisions(answer["place"])
    if answer["place"]["device"].startswith("cuda"):
        yield appetite.beside_cuda_row(memory, settings, smaller)
        yield appetite.cuda_row(answer, eats, settings, smaller)
    else:
        yield appetite.cpu_row(memory, eats, settings, smaller)


def _disk_rows(plan: Plan, settings: Settings) -> Iterator[Row]:
    fetched = models.lacking_bytes(settings, plan.fetched)
    yield machine.models_disk_row(models.home_of(settings), fetched)
    if isinstance(plan.fish.python, PreflightError) and settings.fish_speech_python is None:
        yield machine.environment_disk_row(place(settings))
    yield machine.working_directory_row()


def _trial(plan: Plan, seconds: float) -> Iterator[Row]:
    if isinstance(plan.python, PreflightError):
        yield Row(trial.CHECK, State.FAIL, "not tried", "do what the row of the worker interpreter says")
        return
    yield trial.worker_answers(plan.python, seconds=seconds)


def _tell(progress: Progress, done: int, what: str) -> None:
    progress(ProgressEvent("doctor", done, 3, note=what))
