"""Models for diarization and transcription on the nodes of a Ray cluster.

A node uses its own models, which must be those of the coordinator. Models of the registry are the same where their
SHA-256 is the registry's, which is verified when they are used. A folder of the user has to be on the node under the
same path, with the same files.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis import diarization
from voiceclone_cli.analysis.analyzer import DIARIZE, model_identity
from voiceclone_cli.cluster.node import node_settings, require_models
from voiceclone_cli.config import Settings, expanded, models_home
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import download
from voiceclone_cli.workers.protocol import AnalysisTask

FILES = "files"
"""Key of a request on its way: SHA-256 of the files in the user's folders, by folder; None for registry models."""


def portable_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request that a node can check: without the coordinator's token. Raises OSError."""
    model = request["model"]
    if request["op"] == DIARIZE:
        in_registry = model["name"] in (diarization.EMBEDDED_DIARIZER, diarization.COMMUNITY_DIARIZER)
    else:
        in_registry = not expanded(model["name"]).is_dir()
    files = (
        None if in_registry else {folder: folder_sha256(Path(folder)) for folder in model["folders"].values()}
    )
    return {**request, "token": None, FILES: files}


def node_analysis(task: AnalysisTask, hints: Mapping[str, str], threads: int) -> AnalysisTask:
    """Return the task with this node's own folders, token and threads; nothing is downloaded.

    ``hints``: see ``node_settings``. Raises PreflightError where a model is missing here or is another.
    """
    files, model = task.request[FILES], task.request["model"]
    settings = node_settings(hints)
    if files is not None:
        _require_same(files)
        folders = model["folders"]
    elif task.request["op"] == DIARIZE:
        chosen = diarization.choose_diarizer(
            model["name"], models=lambda names: _present(names, settings), token=settings.token
        )
        folders = chosen.folders
    else:
        folders = _present([model["name"]], settings)
    here = {**model, "folders": {name: str(folder) for name, folder in folders.items()}}
    return replace(task, request={**task.request, "model": here, "token": settings.token, "threads": threads})


def folder_sha256(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder, by its path there. Raises OSError."""
    return dict(_folder_sha256(folder, tuple(map(tuple, model_identity(folder)))))


@functools.lru_cache(maxsize=32)
def _folder_sha256(folder: Path, _identity: tuple[tuple[Any, ...], ...]) -> dict[str, str]:
    """As above; gigabytes are not read again while names, sizes and times are the same."""
    files = (Path(path) for path, *_ in model_identity(folder))
    return {file.relative_to(folder).as_posix(): file_sha256(file) for file in files}


def _present(names: Sequence[str], settings: Settings) -> Mapping[str, Path]:
    require_models(names, settings)
    return download.ensure_models(names, home=models_home(settings))


def _require_same(files: Mapping[str, Mapping[str, str]]) -> None:
    for folder, wanted in files.items():
        here = folder_sha256(Path(folder)) if Path(folder).is_dir() else {}
        other = [name for name, sha256 in wanted.items() if here.get(name) != sha256]
        if other:
            raise PreflightError(
                f"{folder} has no {other[0]} there, or another one than here: copy the folder to the same path",
                code="models_missing",
            )
