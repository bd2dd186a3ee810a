"""The interpreter of the fish environment: the one that is set, else the one that was made."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.environment import interpreter
from voiceclone_cli.settings import Settings, path_setting
from voiceclone_cli.workers.local.environment import worker_environment

_ADVICE = (
    "set FISH_SPEECH_PYTHON to the Python of the fish environment, or leave it unset and run "
    "`voiceclone env create`"
)
_PROBE = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""
PROBE_SECONDS = 30.0
"""An interpreter that is slow to start may only be on a busy disk."""


def fish_python(settings: Settings) -> str:
    """The interpreter that fish-speech runs in: FISH_SPEECH_PYTHON, else that of the environment
    which ``voiceclone env create`` has made. Nothing is started.

    Raises PreflightError: ``worker_interpreter`` when the one that is set cannot be one,
    ``fish_environment`` when there is none.
    """
    python = given_python(settings)
    if python is not None:
        return python
    made = interpreter(settings)
    if made is None:
        raise PreflightError(
            "there is no fish environment yet: make one with `voiceclone env create`, "
            "or set FISH_SPEECH_PYTHON to the Python of one",
            code="fish_environment",
        )
    return str(made)


def given_python(settings: Settings) -> str | None:
    """The interpreter in FISH_SPEECH_PYTHON; None when it is not set. Raises PreflightError
    ``worker_interpreter`` when it is no file that can be executed."""
    if settings.fish_speech_python is None:
        return None
    # Not resolved: a virtual environment's interpreter is a link, and knows its packages by its own name.
    path = path_setting(settings.fish_speech_python)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
    elif not os.access(path, os.X_OK):
        problem = "may not be executed"
    else:
        return str(path)
    source = settings.sources["fish_speech_python"]
    raise PreflightError(
        f"FISH_SPEECH_PYTHON ({source}) names {path}, which {problem}: {_ADVICE}", code="worker_interpreter"
    )


def require_fish_speech(python: str, checkout: Path | None, *, seconds: float = PROBE_SECONDS) -> None:
    """Ask the interpreter, in a fraction of a second, whether it has what fish-speech takes; nothing
    heavy is imported.

    Raises PreflightError: ``worker_interpreter`` when it is no Python that answers, ``fish_missing``
    when it lacks packages (fish_speech itself may come from ``checkout``).
    """
    needed = ["torch", "hydra", "audiotools"] + ([] if checkout else ["fish_speech"])
    missing = _missing_packages(python, needed, seconds)
    if missing:
        raise PreflightError(
            f"the interpreter {python} has no {' and no '.join(missing)}, so it is not that of a fish "
            f"environment: {_ADVICE}",
            code="fish_missing",
        )


def _missing_packages(python: str, needed: list[str], seconds: float) -> list[str]:
    try:
        done = subprocess.run(
            [python, "-X", "utf8", "-c", _PROBE, *needed],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env=worker_environment(1, os.environ),
        )
        return [str(name) for name in json.loads(done.stdout)]
    except OSError as error:
        problem = f"cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        problem = f"gave no answer in {seconds:.0f} s"
    except (ValueError, TypeError):
        said = " ".join(done.stderr.split())[-200:]
        problem = f"ended with exit code {done.returncode} and no answer" + (f" ({said})" if said else "")
    raise PreflightError(
        f"{python} is no Python interpreter that works: it {problem}; {_ADVICE}", code="worker_interpreter"
    )
