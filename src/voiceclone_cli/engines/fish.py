"""The parts that the fish engine needs on this machine: an interpreter, perhaps a checkout of fish-speech, a checkpoint.

Nothing of fish-speech is imported here; files are recognised by their content.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from voiceclone_cli.children import run_child
from voiceclone_cli.config import Settings, models_home, path_setting
from voiceclone_cli.engines.checkpoint import GENERATIONS, S1_MINI, S2, Checkpoint, checked, generated_note
from voiceclone_cli.engines.environment import environment_python
from voiceclone_cli.engines.memory import EXAMINE_SECONDS, DeviceMemory, choose, device_memory
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download, hub, store
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import worker_environment

PROBE_SECONDS = 30.0
"""An interpreter that is slow to start may only be on a busy disk."""

_PYTHON_ADVICE = (
    "set FISH_SPEECH_PYTHON to the Python of the fish environment, or leave it unset and run "
    "`voiceclone env create`"
)
_PROBE = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""
_MODEL = Path("fish_speech/models/text2semantic/llama.py")
_CODEC = Path("fish_speech/models/dac/modded_dac.py")
_OLD_CODEC = Path("fish_speech/models/vqgan")
"""What versions 1.5 and before had instead of the codec."""
_CHECKOUT_ADVICE = (
    "set FISH_SPEECH_DIR to a checkout of version 0.1.0 with S1's model code (June to November 2025, 80db25e "
    "for one), or leave it unset to use the fish-speech of its environment"
)


# The interpreter


def fish_python(settings: Settings) -> str:
    """Return the interpreter that fish-speech runs in: FISH_SPEECH_PYTHON, else that of the environment which
    ``voiceclone env create`` has made. Nothing is started.

    Raises PreflightError: ``worker_interpreter`` when the one that is set cannot be one,
    ``fish_environment`` when there is none.
    """
    python = given_python(settings)
    if python is not None:
        return python
    built = environment_python(settings)
    if built is None:
        raise PreflightError(
            "there is no fish environment yet: make one with `voiceclone env create`, "
            "or set FISH_SPEECH_PYTHON to the Python of one",
            code="fish_environment",
        )
    return str(built)


def given_python(settings: Settings) -> str | None:
    """Return the interpreter in FISH_SPEECH_PYTHON; None when it is not set.

    Raises PreflightError ``worker_interpreter`` when it is no file that can be executed.
    """
    if settings.fish_speech_python is None:
        return None
    # Not resolved: a virtual environment's interpreter is a link, and finds its packages by its own path.
    path = path_setting(settings.fish_speech_python)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
    elif not os.access(path, os.X_OK):
        problem = "may not be executed"
    else:
        return str(path)
    source = settings.sources["fish_speech_python"]
    raise PreflightError(
        f"FISH_SPEECH_PYTHON ({source}) names {path}, which {problem}: {_PYTHON_ADVICE}",
        code="worker_interpreter",
    )


def require_fish_speech(
    python: str,
    checkout: Path | None,
    checkpoint: Checkpoint | None = None,
    *,
    seconds: float = PROBE_SECONDS,
) -> None:
    """Check in a fraction of a second that the interpreter has the packages of fish-speech, and what the checkpoint
    is read with; nothing heavy is imported.

    Raises PreflightError: ``worker_interpreter`` when it is no Python that answers, ``fish_missing``
    when it lacks packages (fish_speech itself may come from ``checkout``).
    """
    needed = ["torch", "hydra", "audiotools"] + ([] if checkout else ["fish_speech"])
    if checkpoint is not None and checkpoint.generation is S2:
        needed += ["tokenizers", "safetensors"]
    missing = _missing_packages(python, needed, seconds)
    if missing:
        raise PreflightError(
            f"the interpreter {python} has no {' and no '.join(missing)}, so it is not that of a fish "
            f"environment: {_PYTHON_ADVICE}",
            code="fish_missing",
        )


def _missing_packages(python: str, needed: list[str], seconds: float) -> list[str]:
    try:
        command = [python, "-X", "utf8", "-c", _PROBE, *needed]
        done = run_child(command, environment=worker_environment(python, 1, os.environ), seconds=seconds)
        return [str(name) for name in json.loads(done.stdout)]
    except OSError as error:
        problem = f"cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        problem = f"gave no answer in {seconds:.0f} s"
    except (ValueError, TypeError):
        output = " ".join(done.stderr.decode("utf-8", errors="replace").split())[-200:]
        problem = f"ended with exit code {done.returncode} and no answer" + (f" ({output})" if output else "")
    raise PreflightError(
        f"{python} is no Python interpreter that works: it {problem}; {_PYTHON_ADVICE}",
        code="worker_interpreter",
    )


# The checkout of fish-speech


def fish_checkout(settings: Settings) -> Path | None:
    """Return the checkout to take fish-speech's code from; None when FISH_SPEECH_DIR is not set, or is a checkout
    whose code is not used (`s2_checkout`).

    Raises PreflightError: ``fish_checkout`` when the folder is no checkout, ``fish_generation`` when it is of the
    1.5 generation.
    """
    folder = _checkout_folder(settings)
    return None if folder is None or _is_s2(folder, settings) else folder


def s2_checkout(settings: Settings) -> Path | None:
    """Return the checkout in FISH_SPEECH_DIR if it is of the S2 generation, whose checkpoints are used and whose
    code is not. Raises PreflightError as ``fish_checkout`` does."""
    folder = _checkout_folder(settings)
    return folder if folder is not None and _is_s2(folder, settings) else None


def checkout_note(folder: Path) -> str:
    """Return the sentence for the user of a checkout of the S2 generation."""
    return (
        f"FISH_SPEECH_DIR ({folder}) is a fish-speech of the S2 generation: its checkpoints are used, its code is not, "
        "since voiceclone has its own"
    )


def _checkout_folder(settings: Settings) -> Path | None:
    if settings.fish_speech_dir is None:
        return None
    folder = path_setting(settings.fish_speech_dir)
    named = _named_checkout(settings)
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise PreflightError(f"{named}, which {problem}: {_CHECKOUT_ADVICE}", code="fish_checkout")
    if not (folder / _MODEL).is_file():
        raise PreflightError(
            f"{named}, which is no checkout of fish-speech (it has no {_MODEL.as_posix()}): {_CHECKOUT_ADVICE}",
            code="fish_checkout",
        )
    if not (folder / _CODEC).is_file():
        kind = "a fish-speech of the 1.5 generation" if (folder / _OLD_CODEC).is_dir() else "incomplete"
        raise PreflightError(
            f"{named}, which is {kind} (it has no {_CODEC.as_posix()}): {_CHECKOUT_ADVICE}",
            code="fish_generation",
        )
    return folder


def _named_checkout(settings: Settings) -> str:
    assert settings.fish_speech_dir is not None
    return f"FISH_SPEECH_DIR ({settings.sources['fish_speech_dir']}) names {path_setting(settings.fish_speech_dir)}"


def _is_s2(folder: Path, settings: Settings) -> bool:
    """Return whether there is what S2 added: another kind of configuration, or a codec that decodes from indices."""
    marks = {_MODEL: "fish_qwen3_omni", _CODEC: "def from_indices"}
    try:
        return any(mark in (folder / path).read_text("utf-8", "replace") for path, mark in marks.items())
    except OSError as error:
        raise PreflightError(
            f"{_named_checkout(settings)}, which cannot be read ({error.strerror}): {_CHECKOUT_ADVICE}",
            code="fish_checkout",
        ) from error


# The checkpoint


def local_checkpoint(
    settings: Settings, python: str | None = None, *, seconds: float = EXAMINE_SECONDS
) -> Checkpoint | None:
    """Return the checkpoint that is taken without fetching anything, whole; None when there is none.

    It is the one that is set, by its folder or by the name of published weights; else the best that the device has
    the memory for, of those in FISH_SPEECH_DIR and in the model registry. ``python`` is the workers' interpreter,
    which is started only where the device decides; it has ``seconds`` to answer.

    Raises PreflightError: ``checkpoint_missing`` for a folder that does not exist, ``checkpoint_incomplete``,
    ``checkpoint_unusable``, and those of ``fish_checkout``.
    """
    _checkout_folder(settings)  # its faults are not passed over, whatever is set besides
    if settings.checkpoint is not None and checkpoint_name(settings) is None:
        source = settings.sources["checkpoint"]
        what = "--checkpoint" if source == "flag" else f"VOICECLONE_CHECKPOINT ({source})"
        return checked(path_setting(settings.checkpoint), what)
    names = [name] if (name := checkpoint_name(settings)) else list(GENERATIONS)
    found = {name: checkpoint for name in names if (checkpoint := _published(name, settings)) is not None}
    return choose(found, settings, _looker(settings, python, seconds)) if found else None


def find_checkpoint(
    settings: Settings, found: Checkpoint | None, progress: Progress = no_progress
) -> Checkpoint:
    """Return the checkpoint of the fish engine, with every file there: ``found`` (see `local_checkpoint`), else
    that of the registry, fetched from the hub where a token opens it.

    Generated weights are reported as a note of the progress. Raises PreflightError: ``checkpoint_missing``, and
    the model registry's when fetching fails or a licence was not accepted.
    """
    name = found.name if found is not None else wanted_model(settings)
    statuses = download.models_status([name], home=models_home(settings)) if name else ()
    if found is None and statuses[0].lacking and not hub.has_hub_access(settings.token):
        raise no_checkpoint(settings)
    if found is None or found.folder in [status.folder for status in statuses]:
        # Also where it is here: its hashes are compared.
        folders = download.ensure_models(
            [name],
            progress,
            home=models_home(settings),
            token=settings.token,
            accept_license=settings.accept_license,
        )
        found = found or checked(folders[name], _REGISTERED, name)
    if found.is_generated:
        progress(ProgressEvent("note", 1, 1, note=generated_note(found.folder)))
    return found


def checkpoint_name(settings: Settings) -> str | None:
    """Return the name of the published weights that --checkpoint asks for; None for a folder, or without one.

    A folder of that name in the working directory is a folder.
    """
    wanted = settings.checkpoint
    return wanted if wanted in GENERATIONS and not path_setting(wanted).is_dir() else None


def wanted_model(settings: Settings) -> str:
    """Return the name of the published weights that a run fetches where it finds no checkpoint."""
    return checkpoint_name(settings) or S1_MINI


def no_checkpoint(settings: Settings) -> PreflightError:
    """Return the error for a machine without any checkpoint, or without that which is asked for; it says how to get
    one."""
    name = wanted_model(settings)
    (entry,) = (entry for entry in download.model_entries() if entry.name == name)
    assert entry.hub is not None
    return PreflightError(
        f"the fish engine has no checkpoint here: name its folder with --checkpoint, or accept the conditions on "
        f"{entry.hub.page}, set HF_TOKEN and run `voiceclone models pull {name}` "
        f"({store.megabytes(entry.size)})",
        code="checkpoint_missing",
    )


_REGISTERED = "the model registry's checkpoint"


def _published(name: str, settings: Settings) -> Checkpoint | None:
    """Return the published weights of this name that are here: in FISH_SPEECH_DIR, else in the registry's folder."""
    checkout = _checkout_folder(settings)
    if checkout is not None and (checkout / "checkpoints" / name).is_dir():
        return checked(checkout / "checkpoints" / name, "the checkpoint in FISH_SPEECH_DIR", name)
    (status,) = download.models_status([name], home=models_home(settings))
    if status.state in (store.ModelState.READY, store.ModelState.UNVERIFIED) and status.is_usable:
        return checked(status.folder, _REGISTERED, name)
    return None


def _looker(settings: Settings, python: str | None, seconds: float) -> Callable[[], DeviceMemory | str]:
    """Return what finds out the device of the workers, when it is called."""

    def look() -> DeviceMemory | str:
        if python is None:
            return "there is no interpreter of a fish environment to ask"
        return device_memory(python, settings.device, settings.precision, seconds)

    return look
