"""`voiceclone redo`: the run of a directory again, with corrections; only what they change is made anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.diarization import SpeakerCount
from voiceclone_cli.config import SETTINGS, Settings, resolve
from voiceclone_cli.corrections.edits import Edits
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.results import RunResult
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.rundir.manifest import MANIFEST, Manifest, RunPaths
from voiceclone_cli.translation.job import Asking, TranslationOptions
from voiceclone_cli.types import Progress, no_progress

_AUDIBLE = (
    *("engine", "diarizer", "asr_model", "language"),
    *("max_stretch", "borrow", "background", "watermark", "seed", "tone", "fit"),
)
_AUDIBLE_OF_FISH = ("checkpoint", "tags", "device", "precision")
_INAUDIBLE = ("mode", "workers", "batch_size", "compile", "fish_speech_dir", "fish_speech_python")
"""Taken over only where the user had set them. Settings that are in no list are this machine's."""
_TRANSLATOR = ("translator", "translator_url", "translator_model", "max_tokens")
"""Taken over where the run had them, for lines that were not asked for yet; the key and the program are this machine's."""
_FOLDERS = ("diarizer", "asr_model", "checkpoint", "fish_speech_dir")
"""May have been given relative to the working directory of the run."""


def redo(
    run_dir: Path, edits: Edits | None = None, *, input: Path | None = None, progress: Progress = no_progress
) -> RunResult:
    """Correct a run and make what is missing then. ``input``: the recording, where it has moved.

    The corrections are kept in the run directory as soon as they are known to be possible, so that a run that is
    stopped, and every later one, has them too. Raises what :func:`run` raises.
    """
    request = previous_request(run_dir, edits or Edits(), input=input)
    try:
        return run(request, progress)
    except InputError as error:
        if error.code != "run_of_another_input":
            raise
        raise InputError(
            f"{request.input} is not the recording that {run_dir} was made of: it has changed since. "
            "Give that recording with --input FILE.",
            code=error.code,
        ) from error


def previous_request(run_dir: Path, edits: Edits, *, input: Path | None = None) -> RunRequest:
    """Return the request that a run directory was made by, with corrections.

    Raises InputError where the manifest, or the recording, is missing or damaged.
    """
    root = run_dir.absolute()
    manifest = Manifest.load(root)
    request, started_in = manifest.request, Path(manifest.run_dir or root)
    try:

        def moved(recorded: str | None) -> Path | None:
            return None if recorded is None else _find(Path(recorded), started_in, root)

        return RunRequest(
            input=_recording(moved(request["input"]), manifest.input, run_dir, input),
            settings=_settings(root, manifest),
            out=root,
            script=_script(moved(request.get("script")), root),
            turns=moved(request.get("turns")),
            references={
                name: path
                for name, text in (request.get("references") or {}).items()
                if (path := moved(text))
            },
            speakers=SpeakerCount(**request["speakers"]),
            consent=_consent(moved(request.get("consent")), root),
            translation=_translation(request.get("translation"), moved),
            edits=edits,
            keep_original_audio=bool(request.get("keep_original_audio")),
            report=bool(request.get("report", True)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{root / MANIFEST} does not say how the run was started ({type(error).__name__}: {error}); repeat the "
            f"command of that run (voiceclone run ... --out {root.name}), and correct it then.",
            code="bad_manifest",
        ) from error


def _translation(
    row: Mapping[str, Any] | None, moved: Callable[[str | None], Path | None]
) -> TranslationOptions | None:
    """Return the translation of the run; lines that failed in it stay as they are."""
    if row is None:
        return None
    return TranslationOptions(
        row["to"], moved(row.get("context")), moved(row.get("glossary")), asking=Asking.NEW
    )


def _find(path: Path, old_root: Path, root: Path) -> Path:
    """Return where a file of the run is now: the run directory may have moved, alone or with its neighbours."""
    if path.is_relative_to(old_root):
        return root / path.relative_to(old_root)
    if not path.exists():
        with suppress(ValueError):  # on another drive nothing is relative
            beside = Path(os.path.normpath(root / os.path.relpath(path, old_root)))
            return beside if beside.exists() else path
    return path


def _recording(path: Path | None, recorded: Mapping[str, Any], run_dir: Path, given: Path | None) -> Path:
    """Return the recording, where ``path`` says that it is or where the user says. Raises InputError."""
    if given is None:
        if path is None or not path.is_file():
            raise InputError(
                f"the recording that {run_dir} was made of is no longer at {path}; give its new path with "
                "--input FILE.",
                code="input_moved",
            )
        return path
    try:
        is_same = file_sha256(given) == recorded["sha256"]
    except OSError as error:
        raise InputError(
            f"--input {given} cannot be read ({error.strerror or error}); check the path.",
            code="media_unreadable",
        ) from error
    if not is_same:
        raise InputError(
            f"--input {given} is not the recording that {run_dir} was made of; give that very file.",
            code="run_of_another_input",
        )
    return given


def _script(path: Path | None, root: Path) -> Path | None:
    """Return the script of the run; of one that was fed back its copy, since the run overwrites the file."""
    if path is not None and path.parent == root and path.stem == "script":
        copy = RunPaths(root).script_given(path.suffix.lower())
        return copy if copy.exists() else path
    return path


def _consent(path: Path | None, root: Path) -> Path | None:
    """Return the consent file as it was given, or else the run directory's copy."""
    copy = RunPaths(root).consent
    return copy if path is not None and not path.exists() and copy.exists() else path


def _settings(root: Path, manifest: Manifest) -> Settings:
    """Return the settings of the run, whatever the environment says today. Raises InputError.

    Threads, the token and where models are kept are this machine's.
    """
    rows, started_in = manifest.settings, manifest.request.get("working_dir")
    recorded: dict[str, Any] = {}
    for name in (name for name in SETTINGS if name in rows):
        value, source = rows[name]["value"], rows[name]["from"]
        if name in (*_AUDIBLE, *_AUDIBLE_OF_FISH, *_TRANSLATOR) or (
            name in _INAUDIBLE and source != "default"
        ):
            recorded[name] = value
            if name in _FOLDERS and value is not None and started_in and (Path(started_in) / value).is_dir():
                recorded[name] = str(Path(started_in) / value)
    # Not "auto": where fish was installed since, kept lines and new ones would be of two engines, or of two
    # checkpoints where another one fits the device by now.
    recorded["engine"] = manifest.engine
    if recorded.get("checkpoint") is None:
        recorded["checkpoint"] = manifest.request.get("checkpoint")
    resolve({})  # faults of the environment are not the manifest's
    try:
        settings = resolve({name: value for name, value in recorded.items() if value is not None})
    except InputError as error:
        raise InputError(f"{root / MANIFEST}: {error.message}", code="bad_manifest") from error
    optional = [name for name in SETTINGS if getattr(Settings(), name) is None]
    unset: dict[str, Any] = {name: None for name in optional if recorded.get(name, "") is None}
    return replace(settings, **unset, sources={**settings.sources, **dict.fromkeys(recorded, MANIFEST)})
