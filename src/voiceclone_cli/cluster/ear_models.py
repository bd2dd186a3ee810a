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
from voiceclone_cli.diarization import Stack, choice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.listening.choosing import identity
from voiceclone_cli.listening.wire import WORDS, Wish
from voiceclone_cli.settings import Settings, models_home, resolve

ELSEWHERE = "elsewhere"
"""The part of a wish that tells nodes how to find its models."""


def of_stack(stack: Stack) -> dict[str, Any]:
    """What nodes are told of a diarization stack."""
    own = stack.name not in (choice.EMBEDDED, choice.COMMUNITY)
    return {"files": {str(folder): contents(folder) for folder in stack.folders.values()} if own else None}


def of_recogniser(folder: Path, settings: Settings) -> dict[str, Any]:
    """What nodes are told of a recogniser."""
    own = Path(settings.asr_model).expanduser().is_dir()
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
    """The wish with this node's own folders. ``hints``: where the controller has its models, for a node that
    sees the same path and has no setting of its own. Raises PreflightError where a model is missing here or is
    another; nothing is fetched."""
    files = wish[ELSEWHERE]["files"]
    if files is not None:
        _require_same(files)
        return wish
    settings = _own_settings(hints)
    if wish["op"] == WORDS:
        name = wish[ELSEWHERE]["model"]
        return {**wish, "recogniser": str(_present([name], settings)[name])}
    stack = choice.choose(
        wish["stack"]["name"], models=lambda names: _present(names, settings), token=settings.token
    )
    folders = {name: str(folder) for name, folder in stack.folders.items()}
    return {**wish, "stack": {**wish["stack"], "folders": folders}, "token": settings.token}


def _own_settings(hints: Mapping[str, str]) -> Settings:
    own = resolve({})
    home = hints.get("home")
    if home is not None and own.sources["home"] == "default" and Path(home).is_dir():
        return resolve({"home": home})
    return own


def _present(names: Sequence[str], settings: Settings) -> Mapping[str, Path]:
    """A node is not the place to fetch hundreds of megabytes unasked."""
    home = models_home(settings)
    ready = (models.ModelState.READY, models.ModelState.UNVERIFIED)
    missing = [status.entry.name for status in models.status(names, home=home) if status.state not in ready]
    if missing:
        raise PreflightError(
            f"the model files of {' and '.join(missing)} are not there: run `voiceclone models pull "
            f"{' '.join(missing)}` on it, or set VOICECLONE_HOME where Ray is started",
            code="models_missing",
        )
    return models.ensure(names, home=home)


def _require_same(files: Mapping[str, Mapping[str, str]]) -> None:
    for folder, wanted in files.items():
        here = contents(Path(folder)) if Path(folder).is_dir() else {}
        other = [name for name, sha256 in wanted.items() if here.get(name) != sha256]
        if other:
            raise PreflightError(
                f"{folder} has no {other[0]} there, or another one than here: copy the folder to the same path",
                code="models_missing",
            )
