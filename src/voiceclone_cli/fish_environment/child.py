"""The processes that build the environment: what they see, where their words go, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_LEFT_BEHIND = {
    # Another interpreter's paths.
    *("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV"),
    # Where packages go, and which have their dependencies, is decided here; pip's other settings stay.
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_NO_DEPS"),
    # No installer needs the hub's token.
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
}
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


class ChildFailedError(Exception):
    """A step's process that did not end well; its text is the line that says why."""


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of a process that builds: all but what would lead it to another environment."""
    kept = {name: value for name, value in environ.items() if name not in _LEFT_BEHIND}
    return kept | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONUTF8": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }


def run_logged(command: Sequence[str], log: Path, heard: Callable[[str], None]) -> None:
    """Run ``command`` and append all it writes to ``log``; ``heard`` gets each line as it comes.

    Raises ChildFailedError. Whatever makes the caller leave, ``errors.Stopped`` too, ends the process
    and those it started.
    """
    # The process writes the file itself, so that there is no pipe to be drained and no word is lost.
    with log.open("ab") as sink, log.open("rb") as source:
        source.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        said: list[str] = []
        try:
            while not _ended(process):
                said += _new_lines(source, heard)
            said += _new_lines(source, heard)
        finally:
            _end(process)
    if process.returncode != 0:
        raise ChildFailedError(_reason(said) or f"it ended with exit code {process.returncode}")


def _ended(process: subprocess.Popen[Any]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _new_lines(source: BinaryIO, heard: Callable[[str], None]) -> list[str]:
    text = source.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        heard(line)
    return lines


def _reason(said: Sequence[str]) -> str:
    """The last line that pip calls an error, else the last line: hints and notices follow errors, and
    ResolutionImpossible follows the error that names the packages."""
    errors = [
        line for line in said if line.lower().startswith("error:") and "ResolutionImpossible" not in line
    ]
    last = (errors or said or [""])[-1]
    return (last[len("error:") :] if errors else last).strip()[:300]


def _end(process: subprocess.Popen[Any]) -> None:
    """End the process if it still runs, with the builds that pip starts: they are of its group."""
    if process.poll() is not None:
        return
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        process.wait()


def _signal_group(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    if not hasattr(os, "killpg"):
        process.terminate()
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        # It ended between the look and the signal.
        return
