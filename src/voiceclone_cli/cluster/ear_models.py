"""The models that listen, on a node: by its own settings, and the same ones as the controller's.

Models of the registry are the same where their SHA-256 is the registry's, which is proven when they are used.
A folder of the user's own has to be there on the node under the same path, with the same files.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voiceclone_cli import models
from voiceclone_cli.cluster.here import require_models, settings_here
from voiceclone_cli.diarization import Stack, choice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.listening.choosing import identity
from voiceclone_cli.listening.wire import WORDS, Wish
from voiceclone_cli.settings import Settings, expanded, models_home

ELSEWHERE = "elsewhere"
"""The part of a wish that tells nodes how to find its models."""


def of_stack(stack: Stack) -> dict[str, Any]:
    """What nodes are told of a diarization stack."""
    own = stack.name not in (choice.EMBEDDED, choice.COMMUNITY)
    return {"files": {str(folder): contents(folder) for folder in stack.folders.values()} if own else None}


def of_recogniser(folder: Path, settings: Settings) -> dict[str, Any]:
    """What nodes are told of a recogniser."""
    own = expanded(settings.asr_model).is_dir()
    return {"model": settings.asr_model, "files": {str(folder): contents(folder)} if own else None}


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by its path there. Raises OSError."""
    return dict(_contents(folder, tuple(map(tuple, identity(folder)))))


@functools.lru_cache(maxsize=32)
def _contents(folder: Path, _as_it_is: tuple[tuple[Any, ...], ...]) -> dict[str, str]:
    """Gigabytes are not read again while names, sizes and times are as they were."""
    return {
        Path(path).relative_to(folder).as_posix(): file_sha256(Path(path)) for path, *_ in identity(folder)
    }


def found_here(wish: Wish, hints: Mapping[str, str]) -> Wish:
    """The wish with this node's own folders; nothing is fetched. ``hints``: see ``settings_here``. Raises
    PreflightError where a model is missing here or is another."""
    files = wish[ELSEWHERE]["files"]
    if files is not None:
        _require_same(files)
        return wish
    settings = settings_here(hints)
    if wish["op"] == WORDS:
        name = wish[ELSEWHERE]["model"]
        return {**wish, "recogniser": str(_present([name], settings)[name])}
    stack = choice.choose(
        wish["stack"]["name"], models=lambda names: _present(names, settings), token=settings.token
    )
    folders = {name: str(folder) for name, folder in stack.folders.items()}
    return {**wish, "stack": {**wish["stack"], "folders": folders}, "token": settings.token}


def _present(names: Sequence[str], settings: Settings) -> Mapping[str, Path]:
    require_models(names, settings)
    return models.ensure(names, home=models_home(settings))


def _require_same(files: Mapping[str, Mapping[str, str]]) -> None:
    for folder, wanted in files.items():
        here = contents(Path(folder)) if Path(folder).is_dir() else {}
        other = [name for name, sha256 in wanted.items() if here.get(name) != sha256]
        if other:
            raise PreflightError(
                f"{folder} has no {other[0]} there, or another one than here: copy the folder to the same path",
                code="models_missing",
            )
