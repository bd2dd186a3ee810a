"""The same run again, with corrections: only what they change is made anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.diarization import SpeakerCount
from voiceclone_cli.corrections.edits import Edit
from voiceclone_cli.corrections.previous_run import PreviousRun, read_previous_run
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.results import RunResult
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.rundir.manifest import MANIFEST, RunPaths
from voiceclone_cli.types import Progress, no_progress


def redo(
    run_dir: Path,
    wishes: Sequence[Edit] = (),
    *,
    input: Path | None = None,
    progress: Progress = no_progress,
) -> RunResult:
    """Correct a run and make what is missing then. ``input``: where the recording is, should it have moved.

    The corrections are kept in the run directory from the moment they are known to fit, so that a run
    that is stopped, and every later one, has them too. Raises what :func:`run` does.
    """
    request = previous_request(run_dir, wishes, input=input)
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


def previous_request(run_dir: Path, wishes: Sequence[Edit] = (), *, input: Path | None = None) -> RunRequest:
    """The request that a run directory was made by, with corrections. Raises InputError."""
    recorded = read_previous_run(run_dir)
    try:
        return RunRequest(
            input=_recording(recorded, run_dir, input),
            settings=recorded.settings(),
            out=recorded.root,
            script=_script(recorded),
            turns=recorded.path("turns"),
            references=recorded.references(),
            speakers=SpeakerCount(**recorded.request["speakers"]),
            consent=_consent(recorded),
            corrections=tuple(wishes),
            keep_original_audio=bool(recorded.request.get("keep_original_audio")),
            report=bool(recorded.request.get("report", True)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{recorded.root / MANIFEST} was edited and cannot be used ({error}); give the command of that "
            "run again, and correct it then.",
            code="bad_manifest",
        ) from error


def _recording(recorded: PreviousRun, run_dir: Path, given: Path | None) -> Path:
    if given is not None:
        _check_same(given, recorded.manifest["input"], run_dir)
        return given
    path = recorded.path("input")
    if path is None or not path.is_file():
        raise InputError(
            f"the recording that {run_dir} was made of is not at {path} any more; say where it is with "
            "--input FILE.",
            code="input_moved",
        )
    return path


def _check_same(path: Path, recorded: dict[str, Any], run_dir: Path) -> None:
    try:
        same = file_sha256(path) == recorded["sha256"]
    except OSError as error:
        raise InputError(
            f"--input {path} cannot be read ({error.strerror or error}); check the path.",
            code="media_unreadable",
        ) from error
    if not same:
        raise InputError(
            f"--input {path} is not the recording that {run_dir} was made of; give that very file.",
            code="run_of_another_input",
        )


def _script(recorded: PreviousRun) -> Path | None:
    """Of a script that was fed back from the run directory what it said then: a run writes its own there."""
    path = recorded.path("script")
    if path is not None and path.parent == recorded.root and path.stem == "script":
        given = RunPaths(recorded.root).script_given(path.suffix.lower())
        return given if given.exists() else path
    return path


def _consent(recorded: PreviousRun) -> Path | None:
    """As it was given, or the run directory's copy."""
    path, copy = recorded.path("consent"), RunPaths(recorded.root).consent
    return copy if path is not None and not path.exists() and copy.exists() else path
