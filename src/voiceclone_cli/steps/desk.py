"""What a run has before it from its first stage to its last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli import media
from voiceclone_cli.atomic import explain_write_errors
from voiceclone_cli.background import model_folders
from voiceclone_cli.engines import EngineChoice, choose_engine
from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.machine.clock import Clock
from voiceclone_cli.means import OWN, Means
from voiceclone_cli.provenance import mark_of
from voiceclone_cli.provenance.consent import read_consent
from voiceclone_cli.provenance.watermark import watermark_folder
from voiceclone_cli.rundir.directory import RunDir, open_run_dir
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.steps.failure import record_failure
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.types import Progress, ProgressEvent, Recording, Until
from voiceclone_cli.video import output_suffix


@dataclass(frozen=True, slots=True)
class Desk:
    """A run that is under way: what was asked, the recording, where it is put, who speaks, whom to tell."""

    request: RunRequest
    recording: Recording
    sha256: str
    """Of the input file."""
    engine: EngineChoice
    video_suffix: str | None
    """Of the container that takes the pictures; None without any that can be copied."""
    run_dir: RunDir
    stages: Stages
    clock: Clock
    notes: list[str]
    progress: Progress
    means: Means = OWN

    def tell(self, sentence: str) -> None:
        """Say a sentence now. What belongs into the manifest goes into ``notes``."""
        self.progress(ProgressEvent("note", 1, 1, note=sentence))


@contextmanager
def open_desk(request: RunRequest, progress: Progress, means: Means = OWN) -> Iterator[Desk]:
    """Read the recording, choose the engine, and take up the run directory, locked for the block.

    Raises InputError and PreflightError. What ends the block early stands in the manifest of a directory
    that is worth keeping.
    """
    clock = Clock()
    with means.computing, clock.stage("media"):
        recording = media.read_recording(request.input, progress)
        sha256 = _sha256_of(request.input)
    with clock.stage("preflight"):
        engine = choose_engine(request.settings, progress)
        _look_ahead(request, engine, progress)
        suffix, video_notes = _video_suffix(request, recording)
    with _run_dir(request, sha256) as run_dir:
        stages = Stages(run_dir.root, sha256, progress)
        notes = [*request.settings.notes, *engine.notes, *video_notes]
        desk = Desk(
            request, recording, sha256, engine, suffix, run_dir, stages, clock, notes, progress, means
        )
        desk.tell(f"engine: {engine.why}")
        yield desk


def _look_ahead(request: RunRequest, engine: EngineChoice, progress: Progress) -> None:
    """What is needed late is missed before the work: the models of mark and background, a consent that can be read."""
    if request.consent is not None:
        read_consent(request.consent, ())
    if request.until is None:
        model_folders(request.settings, progress)
    speaks = request.until in (None, Until.SPEAKING)
    if speaks and mark_of(engine.name, wanted=request.settings.watermark):
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
            with explain_write_errors(run_dir.root):
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
