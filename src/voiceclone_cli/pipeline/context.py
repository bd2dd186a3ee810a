"""What a run has before it from its first stage to its last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.audio import reader
from voiceclone_cli.engines.select import EngineChoice, choose_engine
from voiceclone_cli.errors import InputError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import file_sha256, friendly_errors
from voiceclone_cli.mixing.background import separation_model_folders
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.resources import LOCAL_RESOURCES, Resources
from voiceclone_cli.pipeline.synthesize import ERROR
from voiceclone_cli.provenance.consent import read_consent
from voiceclone_cli.provenance.watermark import watermark_folder, watermark_of
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import RunDir, open_run_dir
from voiceclone_cli.rundir.manifest import RUN_SCHEMA, write_manifest
from voiceclone_cli.system import Clock
from voiceclone_cli.types import Progress, ProgressEvent, Recording, Until
from voiceclone_cli.video.source import output_suffix

# The manifest of a run that ended before a segment was spoken.


def failure_document(end: VoicecloneError | Stopped) -> dict[str, Any]:
    """What ``--json`` prints of it."""
    if isinstance(end, Stopped):
        code, message = "interrupted", "the run was stopped"
    else:
        code, message = end.code, end.message
    return {
        "schema": RUN_SCHEMA,
        "status": ERROR,
        "run_dir": None,
        "segments": [],
        "outputs": {},
        "errors": [{"code": code, "message": message, "segment": None}],
    }


def record_failure(run_dir: RunDir, end: VoicecloneError | Stopped) -> None:
    """Write it, unless that of an earlier run still holds."""
    claim = run_dir.claimed()
    if claim is not None:
        owner = {"run_dir": str(run_dir.root), "input": {"sha256": run_dir.input_sha256}}
        content = {**claim, **failure_document(end), **owner}
        # Where the disk does not take it either, the claim stands: a run that was never finished.
        with contextlib.suppress(RunError):
            write_manifest(run_dir.root, content)


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run that is under way: what was asked, the recording, where it is put, who speaks, whom to tell."""

    request: RunRequest
    recording: Recording
    sha256: str
    """Of the input file."""
    engine: EngineChoice
    video_suffix: str | None
    """Of the container that takes the pictures; None without any that can be copied."""
    run_dir: RunDir
    cache: StageCache
    clock: Clock
    notes: list[str]
    progress: Progress
    means: Resources = LOCAL_RESOURCES

    def tell(self, sentence: str, *, shared: bool = False) -> None:
        """Say a sentence now. What belongs into the manifest goes into ``notes``."""
        self.progress(ProgressEvent("note", 1, 1, note=sentence, shared=shared))


@contextmanager
def open_run(
    request: RunRequest, progress: Progress, means: Resources = LOCAL_RESOURCES
) -> Iterator[RunContext]:
    """Read the recording, choose the engine, and take up the run directory, locked for the block.

    Raises InputError and PreflightError. What ends the block early stands in the manifest of a directory
    that is worth keeping.
    """
    clock = Clock()
    with means.computing, clock.stage("media"):
        recording = reader.read_recording(request.input, progress)
        sha256 = _sha256_of(request.input)
    with clock.stage("preflight"):
        engine = choose_engine(request.settings, progress)
        _look_ahead(request, engine, progress)
        suffix, video_notes = _video_suffix(request, recording)
    with _run_dir(request, sha256) as run_dir:
        cache = StageCache(run_dir.root, sha256, progress)
        notes = [*request.settings.notes, *engine.notes, *video_notes]
        ctx = RunContext(
            request, recording, sha256, engine, suffix, run_dir, cache, clock, notes, progress, means
        )
        ctx.tell(f"engine: {engine.why}", shared=True)
        yield ctx


def _look_ahead(request: RunRequest, engine: EngineChoice, progress: Progress) -> None:
    """What is needed late is missed before the work: the models of mark and background, a consent that can be read."""
    if request.consent is not None:
        read_consent(request.consent, ())
    if request.until is None:
        separation_model_folders(request.settings, progress)
    speaks = request.until in (None, Until.SPEAKING)
    if speaks and watermark_of(engine.name, wanted=request.settings.watermark):
        watermark_folder(request.settings, progress)


def _video_suffix(request: RunRequest, recording: Recording) -> tuple[str | None, list[str]]:
    """The container for the new video, and why there will be none where the pictures cannot be copied."""
    if not recording.has_video:
        return None, []
    try:
        return output_suffix(request.input, keep_original_audio=request.keep_original_audio), []
    except InputError as error:
        return None, [f"no video is made: {error.message}"]


@contextmanager
def _run_dir(request: RunRequest, sha256: str) -> Iterator[RunDir]:
    """The run directory, and what stays in it when the run comes to nothing."""
    with open_run_dir(request.run_dir, sha256) as run_dir:
        try:
            with friendly_errors(run_dir.root):
                if request.force:
                    run_dir.forget()
                yield run_dir
        except (VoicecloneError, Stopped) as end:
            if isinstance(end, VoicecloneError) and run_dir.is_new and not run_dir.remembers():
                run_dir.discard()
            else:
                record_failure(run_dir, end)
            raise
        finally:
            with suppress(OSError):  # it holds task files that are to be kept, or is gone
                run_dir.tasks.rmdir()


def _sha256_of(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}).", code="media_unreadable"
        ) from error
