"""The processes that build the environment: what they see, where their words go, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.machine.child_variables import (
    BUILDING,
    INTERPRETERS,
    NETWORK,
    PIP_FILES,
    PIP_PREFIXES,
    SYSTEM,
    passed_on,
)
from voiceclone_cli.redaction import redacted

# Where packages go, and which have their dependencies, is decided here; pip's other settings stay.
_DECIDED_HERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_NO_DEPS")
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


class ChildFailedError(Exception):
    """A step's process that did not end well; its text is the line that says why."""


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of an interpreter that is asked or checked: nothing of another environment's paths,
    no secret."""
    return passed_on(environ, (*SYSTEM, *INTERPRETERS)) | {"PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


def pip_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of pip, which installs and compiles: also its settings, the way to its index (whose
    URL may hold a login) and a compiler's."""
    kept = passed_on(environ, (*NETWORK, *PIP_FILES, *BUILDING), PIP_PREFIXES)
    settings = {name: value for name, value in kept.items() if name not in _DECIDED_HERE}
    return child_environment(environ) | settings | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run_logged(
    command: Sequence[str], environment: Mapping[str, str], log: Path, heard: Callable[[str], None]
) -> None:
    """Run ``command`` and append all it writes to ``log``; ``heard`` gets each line as it comes. Secrets
    among our own variables are in neither.

    Raises ChildFailedError. Whatever makes the caller leave, ``errors.Stopped`` too, ends the process
    and those it started.
    """
    try:
        _run(command, environment, log, heard)
    finally:
        _without_secrets(log)


def _run(
    command: Sequence[str], environment: Mapping[str, str], log: Path, heard: Callable[[str], None]
) -> None:
    # The process writes the file itself, so that there is no pipe to be drained and no word is lost.
    with log.open("ab") as sink, log.open("rb") as source:
        source.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            env=dict(environment),
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


def _without_secrets(log: Path) -> None:
    """Write the log anew where a secret got into it. Pip hides logins, but not those of a proxy whose URL
    is malformed."""
    text = log.read_text(encoding="utf-8", errors="replace")
    clean = redacted(text)
    if clean != text:
        write_text_atomic(log, clean)


def _ended(process: subprocess.Popen[Any]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _new_lines(source: BinaryIO, heard: Callable[[str], None]) -> list[str]:
    text = source.read().decode("utf-8", errors="replace")
    lines = [redacted(line.strip()) for line in text.splitlines() if line.strip()]
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
