"""The parts that the fish engine needs on this machine: an interpreter, a checkout of fish-speech, a checkpoint.

Nothing of fish-speech is imported here; files are recognised by their content.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from voiceclone_cli.config import Settings, models_home, path_setting
from voiceclone_cli.engines.environment import environment_python
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download, hub, store
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import worker_environment

PUBLISHED_MODEL = "openaudio-s1-mini"
REQUIRED_FILES = ("config.json", "model.pth", "tokenizer.tiktoken", "special_tokens.json", "codec.pth")

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
_MAX_CONFIG_BYTES = 1 << 20
"""That of a model has a thousand."""


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


def require_fish_speech(python: str, checkout: Path | None, *, seconds: float = PROBE_SECONDS) -> None:
    """Check in a fraction of a second that the interpreter has the packages of fish-speech; nothing heavy is
    imported.

    Raises PreflightError: ``worker_interpreter`` when it is no Python that answers, ``fish_missing``
    when it lacks packages (fish_speech itself may come from ``checkout``).
    """
    needed = ["torch", "hydra", "audiotools"] + ([] if checkout else ["fish_speech"])
    missing = _missing_packages(python, needed, seconds)
    if missing:
        raise PreflightError(
            f"the interpreter {python} has no {' and no '.join(missing)}, so it is not that of a fish "
            f"environment: {_PYTHON_ADVICE}",
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
        output = " ".join(done.stderr.split())[-200:]
        problem = f"ended with exit code {done.returncode} and no answer" + (f" ({output})" if output else "")
    raise PreflightError(
        f"{python} is no Python interpreter that works: it {problem}; {_PYTHON_ADVICE}",
        code="worker_interpreter",
    )


# The checkout of fish-speech


def fish_checkout(settings: Settings) -> Path | None:
    """Return the checkout to take fish-speech's code from; None when FISH_SPEECH_DIR is not set.

    Raises PreflightError: ``fish_checkout`` when the folder is no checkout, ``fish_generation`` when its models
    are others than S1's.
    """
    if settings.fish_speech_dir is None:
        return None
    folder = path_setting(settings.fish_speech_dir)
    named = f"FISH_SPEECH_DIR ({settings.sources['fish_speech_dir']}) names {folder}"
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
    if _is_s2(folder, named):
        raise PreflightError(
            f"{named}, which is a fish-speech of the S2 generation, whose models are others and whose code and "
            f"weights are under the Fish Audio Research License (no commercial use): {_CHECKOUT_ADVICE}",
            code="fish_generation",
        )
    return folder


def _is_s2(folder: Path, named: str) -> bool:
    """Return whether there is what S2 added: another kind of configuration, or a codec that decodes from indices."""
    marks = {_MODEL: "fish_qwen3_omni", _CODEC: "def from_indices"}
    try:
        return any(mark in (folder / path).read_text("utf-8", "replace") for path, mark in marks.items())
    except OSError as error:
        raise PreflightError(
            f"{named}, which cannot be read ({error.strerror}): {_CHECKOUT_ADVICE}", code="fish_checkout"
        ) from error


# The checkpoint


def find_checkpoint(settings: Settings, progress: Progress = no_progress) -> Path:
    """Return the folder of the fish engine's checkpoint, with every file there: the one that is set, that of the
    checkout in FISH_SPEECH_DIR, or the registry's, fetched from the hub where a token opens it.

    Generated weights are reported as a note of the progress. Raises PreflightError: ``checkpoint_missing``, ``checkpoint_incomplete``, ``checkpoint_generation``, ``checkpoint_unusable``,
    those of ``fish_checkout``, and the model registry's when fetching fails.
    """
    folder = _named_checkpoint(settings) or _registered_checkpoint(settings, progress)
    if is_generated(folder):
        progress(ProgressEvent("note", 1, 1, note=generated_note(folder)))
    return folder


def local_checkpoint(settings: Settings) -> Path | None:
    """Return the folder that ``find_checkpoint`` would take without fetching anything; None when there is none.
    Raises PreflightError as ``find_checkpoint`` does."""
    named = _named_checkpoint(settings)
    if named is not None:
        return named
    (status,) = download.models_status([PUBLISHED_MODEL], home=models_home(settings))
    if status.state in (store.ModelState.READY, store.ModelState.UNVERIFIED):
        return _checked(status.folder, "the model registry's checkpoint")
    return None


def no_checkpoint() -> PreflightError:
    """Return the error for a machine without any checkpoint, which says how to get one."""
    (entry,) = (entry for entry in download.model_entries() if entry.name == PUBLISHED_MODEL)
    assert entry.hub is not None
    return PreflightError(
        f"the fish engine has no checkpoint here: name its folder with --checkpoint, or accept the conditions on "
        f"{entry.hub.page}, set HF_TOKEN and run `voiceclone models pull {PUBLISHED_MODEL}` "
        f"({store.megabytes(entry.size)})",
        code="checkpoint_missing",
    )


def missing_files(folder: Path) -> list[str]:
    """Return the files of a checkpoint that are not in ``folder``; a pointer of git-lfs does not count."""
    return [name for name in REQUIRED_FILES if not _exists(folder / name)]


def is_generated(folder: Path) -> bool:
    """Return whether the weights are random, made by `python -m benchmarks.random_checkpoint`."""
    return (folder / "generated.json").is_file()


def generated_note(folder: Path) -> str:
    """Return the sentence for the user of a generated checkpoint."""
    return f"the checkpoint {folder} was generated: it speaks no words"


def _named_checkpoint(settings: Settings) -> Path | None:
    checkout = fish_checkout(settings)
    if settings.checkpoint is not None:
        source = settings.sources["checkpoint"]
        what = "--checkpoint" if source == "flag" else f"VOICECLONE_CHECKPOINT ({source})"
        return _checked(path_setting(settings.checkpoint), what)
    if checkout is not None and (checkout / "checkpoints" / PUBLISHED_MODEL).is_dir():
        return _checked(checkout / "checkpoints" / PUBLISHED_MODEL, "the checkpoint in FISH_SPEECH_DIR")
    return None


def _registered_checkpoint(settings: Settings, progress: Progress) -> Path:
    if local_checkpoint(settings) is None and not hub.has_hub_access(settings.token):
        raise no_checkpoint()
    folders = download.ensure_models(
        [PUBLISHED_MODEL], progress, home=models_home(settings), token=settings.token
    )
    return _checked(folders[PUBLISHED_MODEL], "the model registry's checkpoint")


def _checked(folder: Path, what: str) -> Path:
    """Return ``folder``, which must hold a whole checkpoint of the S1 generation. Raises PreflightError."""
    if not folder.is_dir():
        problem = "is a file, not the folder of a checkpoint" if folder.exists() else "does not exist"
        raise PreflightError(
            f"{what}, {folder}, {problem}: name a folder with {', '.join(REQUIRED_FILES)}",
            code="checkpoint_missing",
        )
    try:
        newer, missing = _is_newer(folder, what), missing_files(folder)
    except OSError as error:
        raise PreflightError(
            f"{what}, {folder}, cannot be read ({error.strerror}): give yourself the right to, or name another",
            code="checkpoint_unusable",
        ) from error
    if newer:
        raise PreflightError(
            f"{what}, {folder}, is of a newer generation than this engine speaks (S2, not S1): "
            f"name one in the layout of {PUBLISHED_MODEL}",
            code="checkpoint_generation",
        )
    if missing:
        raise PreflightError(
            f"{what}, {folder}, lacks {', '.join(missing)}: download it again as a whole, "
            "or name another with --checkpoint",
            code="checkpoint_incomplete",
        )
    return folder


def _is_newer(folder: Path, what: str) -> bool:
    if not (folder / "model.pth").exists() and any(folder.glob("*.safetensors")):
        return True
    config = folder / "config.json"
    if not config.is_file():
        return False
    try:
        with config.open(encoding="utf-8") as file:
            content = json.loads(file.read(_MAX_CONFIG_BYTES))
        return bool(content["model_type"] == "fish_qwen3_omni")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PreflightError(
            f"config.json of {what}, {folder}, is not that of a fish-speech model: download it again",
            code="checkpoint_unusable",
        ) from error


def _exists(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        # A clone without git-lfs has such a pointer instead of a large file.
        return not file.read(40).startswith(b"version https://git-lfs")
