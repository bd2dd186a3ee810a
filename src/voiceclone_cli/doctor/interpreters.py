"""The two interpreters, each told by the worker's tool ``examine``."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import Settings
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.tool import ask_tool

Answer = Mapping[str, Any]
"""What ``examine`` says; see there."""

UI_PYTHONS = ((3, 11), (3, 13))
FISH_PYTHONS = ((3, 10), (3, 12))
"""First and last version that the pinned packages have been seen to work with."""

SILENT = "worker_silent"
"""The code of the error for an interpreter that does not answer in time."""

ANOTHER_PYTHON = (
    "set FISH_SPEECH_PYTHON to a Python 3.10 to 3.12 that has fish-speech, or leave it unset and run "
    "`voiceclone env create`"
)
_REINSTALL = "install voiceclone again in a fresh environment (`make env` in a checkout)"
_REMAKE = "run `voiceclone env create`, or install what is missing there"


def examine(
    python: str | None, checkout: Path | None, settings: Settings, *, seconds: float
) -> Answer | PreflightError:
    """What the interpreter ``python`` (None: this one) has, with fish-speech taken from ``checkout``
    where there is one; or why it does not say."""
    arguments = [str(checkout or ""), settings.device, settings.precision]
    try:
        return ask_tool(worker_command(python, threads=1), "examine", arguments, seconds=seconds)
    except PreflightError as error:
        return error


def own_rows(answer: Answer | PreflightError) -> Iterator[Row]:
    """The interpreter that this command runs in."""
    if isinstance(answer, PreflightError):
        # It runs this very command, so slowness says nothing against it.
        slow = answer.code == SILENT
        advice = "try again when the machine is less busy" if slow else _REINSTALL
        yield Row("this interpreter", State.NOTE if slow else State.FAIL, answer.message, advice)
        return
    found = f"Python {answer['python']}, {answer['executable']}"
    yield _python_row("this interpreter", found, answer, UI_PYTHONS, State.FAIL)
    yield _pyannote()
    protobuf = answer["protobuf"]
    if "version" in protobuf and _numbers(protobuf["version"]) < (5,):
        found = f"{protobuf['version']}; pyannote.audio needs 5 or newer"
        yield Row("protobuf", State.FAIL, found, _REINSTALL)
    else:
        yield _package("protobuf", protobuf, State.FAIL, _REINSTALL)
    yield _package("torch", answer["torch"], State.FAIL, _REINSTALL)


def fish_rows(answer: Answer | PreflightError, origin: str, trouble: State) -> Iterator[Row]:
    """The worker's interpreter. ``origin`` says who named it; what is wrong is in state ``trouble``."""
    if isinstance(answer, PreflightError):
        yield _no_answer(answer, trouble)
        return
    found = f"Python {answer['python']}, {answer['executable']} ({origin})"
    # Whether it works is told by what can be imported; an unusual version alone stops nothing.
    yield _python_row("worker interpreter", found, answer, FISH_PYTHONS, State.NOTE)
    protobuf = answer["protobuf"]
    if "version" in protobuf and _numbers(protobuf["version"]) >= (4,):
        yield Row(
            "worker protobuf",
            State.NOTE,
            f"{protobuf['version']}; descript-audiotools asks for less than 3.20",
            "where anything fails, run `voiceclone env create`, which takes 3.19.6",
        )
    else:
        yield _package("worker protobuf", protobuf, trouble, _REMAKE)
    yield _package("worker torch", answer["torch"], trouble, _REMAKE)
    yield _fish_speech(answer["fish_speech"], trouble)


def fish_origin(settings: Settings) -> str:
    """Who named the worker's interpreter."""
    if settings.fish_speech_python is None:
        return "voiceclone env"
    return f"FISH_SPEECH_PYTHON, {settings.sources['fish_speech_python']}"


def _no_answer(error: PreflightError, trouble: State) -> Row:
    if error.code in ("fish_environment", "worker_interpreter"):
        found = "none" if error.code == "fish_environment" else "cannot be used"
        return Row("worker interpreter", trouble, found, error.message)
    again = "when the machine is less busy try again, or " if error.code == SILENT else ""
    return Row("worker interpreter", trouble, error.message, f"{again}{ANOTHER_PYTHON}")


def _python_row(
    check: str, found: str, answer: Answer, span: tuple[tuple[int, int], tuple[int, int]], trouble: State
) -> Row:
    first, last = span
    if first <= _numbers(answer["python"])[:2] <= last:
        return Row(check, State.OK, found)
    wanted = f"Python {first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return Row(check, trouble, found, f"use {wanted}: the pinned packages were tried with these")


def _package(check: str, answer: Mapping[str, str], trouble: State, advice: str) -> Row:
    if "error" in answer:
        return Row(check, trouble, f"cannot be imported ({answer['error']})", advice)
    return Row(check, State.OK, answer["version"])


def _pyannote() -> Row:
    # Not imported: that takes many seconds, most of them for torch, which is imported elsewhere.
    try:
        return Row("pyannote.audio", State.OK, importlib.metadata.version("pyannote.audio"))
    except importlib.metadata.PackageNotFoundError:
        return Row("pyannote.audio", State.FAIL, "not installed", _REINSTALL)


def _fish_speech(answer: Mapping[str, str | None], trouble: State) -> Row:
    if "error" in answer:
        return Row("fish-speech", trouble, f"its DAC cannot be imported ({answer['error']})", _REMAKE)
    version = answer["version"] or "of a version it does not tell"
    return Row("fish-speech", State.OK, f"{version}, DAC can be imported, {answer['where']}")


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (3, 19, 6)."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
