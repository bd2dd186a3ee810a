"""run.json: what a run directory says of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.paths import MANIFEST
from voiceclone_worker.contract import dump_json

RUN_SCHEMA = "voiceclone.run/1"


def write_manifest(root: Path, content: Mapping[str, Any]) -> None:
    """Raises RunError when it cannot be written."""
    with explain_write_errors(root):
        write_text_atomic(root / MANIFEST, dump_json(content, indent=1) + "\n")


def read_manifest(root: Path) -> dict[str, Any]:
    """An object of RUN_SCHEMA; what else it holds is the caller's to look at, since a hand may have edited it.

    Raises InputError: ``not_a_run_directory``, ``manifest_damaged``, ``run_schema``.
    """
    try:
        content = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        schema = content["schema"]
    except OSError as error:
        raise InputError(
            f"{root} is not a run directory: there is no {MANIFEST} in it that can be read "
            f"({error.strerror}); give the folder that `voiceclone run` wrote",
            code="not_a_run_directory",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(root, error) from error
    if schema != RUN_SCHEMA:
        raise InputError(
            f"{root} was written by another version ({schema!r:.40}): give its `voiceclone run` again with this one",
            code="run_schema",
        )
    return dict(content)


def damaged(root: Path, error: Exception) -> InputError:
    """For whoever finds out that the manifest does not hold what it should."""
    return InputError(
        f"{root / MANIFEST} is damaged ({type(error).__name__}: {error}): give its `voiceclone run` again",
        code="manifest_damaged",
    )


def json_object(path: Path) -> dict[str, Any]:
    """What a file of the run directory holds; empty where there is none, or it is torn."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
