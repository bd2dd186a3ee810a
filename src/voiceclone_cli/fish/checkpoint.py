"""The checkpoint of the fish engine: where it is, that it is whole, and what may be done with it."""

from __future__ import annotations

import json
from pathlib import Path

from voiceclone_cli import models
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkout import fish_checkout
from voiceclone_cli.settings import Settings, models_home, path_setting
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

PUBLISHED = "openaudio-s1-mini"
REQUIRED_FILES = ("config.json", "model.pth", "tokenizer.tiktoken", "special_tokens.json", "codec.pth")

_LONGEST_CONFIG = 1 << 20
"""Bytes. That of a model has a thousand."""


def find_checkpoint(settings: Settings, progress: Progress = no_progress) -> Path:
    """The folder of the fish engine's checkpoint, every file there: the one that is set, that of the
    checkout in FISH_SPEECH_DIR, or the registry's, fetched from the hub where a token opens it.

    That the weights were generated is told as a note of the progress. Raises PreflightError:
    ``checkpoint_missing``, ``checkpoint_incomplete``, ``checkpoint_generation``, ``checkpoint_unusable``,
    those of ``fish_checkout``, and the model registry's when fetching fails.
    """
    folder = _named_checkpoint(settings) or _registered(settings, progress)
    if is_generated(folder):
        progress(ProgressEvent("note", 1, 1, note=generated_note(folder)))
    return folder


def local_checkpoint(settings: Settings) -> Path | None:
    """The folder that ``find_checkpoint`` would take without fetching anything; None when there is
    none. Raises PreflightError as ``find_checkpoint`` does."""
    named = _named_checkpoint(settings)
    if named is not None:
        return named
    (status,) = models.status([PUBLISHED], home=models_home(settings))
    if status.state in (models.ModelState.READY, models.ModelState.UNVERIFIED):
        return _checked(status.folder, "the model registry's checkpoint")
    return None


def no_checkpoint() -> PreflightError:
    """What to do where there is no checkpoint at all."""
    (entry,) = (entry for entry in models.entries() if entry.name == PUBLISHED)
    assert entry.hub is not None
    return PreflightError(
        f"the fish engine has no checkpoint here: name its folder with --checkpoint, or accept the conditions on "
        f"{entry.hub.page}, set HF_TOKEN and run `voiceclone models pull {PUBLISHED}` "
        f"({models.megabytes(entry.size)})",
        code="checkpoint_missing",
    )


def missing_files(folder: Path) -> list[str]:
    """Which files of a checkpoint are not in ``folder``; a file that git left as a pointer is not there."""
    return [name for name in REQUIRED_FILES if not _is_there(folder / name)]


def is_generated(folder: Path) -> bool:
    """Whether the weights are random ones, made by `python -m benchmarks.random_checkpoint`."""
    return (folder / "generated.json").is_file()


def generated_note(folder: Path) -> str:
    return f"the checkpoint {folder} was generated: it speaks no words"


def _named_checkpoint(settings: Settings) -> Path | None:
    checkout = fish_checkout(settings)
    if settings.checkpoint is not None:
        source = settings.sources["checkpoint"]
        what = "--checkpoint" if source == "flag" else f"VOICECLONE_CHECKPOINT ({source})"
        return _checked(path_setting(settings.checkpoint), what)
    if checkout is not None and (checkout / "checkpoints" / PUBLISHED).is_dir():
        return _checked(checkout / "checkpoints" / PUBLISHED, "the checkpoint in FISH_SPEECH_DIR")
    return None


def _registered(settings: Settings, progress: Progress) -> Path:
    if local_checkpoint(settings) is None and not models.has_hub_access(settings.token):
        raise no_checkpoint()
    folders = models.ensure([PUBLISHED], progress, home=models_home(settings), token=settings.token)
    return _checked(folders[PUBLISHED], "the model registry's checkpoint")


def _checked(folder: Path, what: str) -> Path:
    """``folder``, when it holds a whole checkpoint of the S1 generation."""
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
            f"name one in the layout of {PUBLISHED}",
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
            content = json.loads(file.read(_LONGEST_CONFIG))
        return bool(content["model_type"] == "fish_qwen3_omni")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PreflightError(
            f"config.json of {what}, {folder}, is not that of a fish-speech model: download it again",
            code="checkpoint_unusable",
        ) from error


def _is_there(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        # What a clone without git-lfs leaves in the place of a large file.
        return not file.read(40).startswith(b"version https://git-lfs")
