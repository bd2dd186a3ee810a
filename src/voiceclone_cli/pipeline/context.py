"""The context of a run, from its first stage to its last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from voiceclone_cli.audio import reader
from voiceclone_cli.engines.select import EngineChoice, choose_engine, fit_to_device
from voiceclone_cli.errors import InputError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import file_sha256, friendly_errors
from voiceclone_cli.languages import main_language
from voiceclone_cli.mixing.background import separation_model_folders
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.resources import Resources
from voiceclone_cli.provenance.consent import read_consent
from voiceclone_cli.provenance.watermark import watermark_folder, watermark_of
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import RunDir, open_run_dir
from voiceclone_cli.system import Clock
from voiceclone_cli.translation.job import Asking
from voiceclone_cli.translation.registry import chosen_translator
from voiceclone_cli.types import AudioChoice, Progress, ProgressEvent, Recording, Until
from voiceclone_cli.video.source import output_suffix


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run in progress: its request and recording, where it writes, and what it computes with."""

    request: RunRequest
    recording: Recording
    sha256: str
    """Of the input file."""
    engine: EngineChoice
    video_suffix: str | None
    """Of the container of the video; None without pictures that can be copied."""
    run_dir: RunDir
    cache: StageCache
    clock: Clock
    notes: list[str]
    """Sentences for the manifest."""
    progress: Progress
    resources: Resources = Resources()  # noqa: RUF009

    def show(self, sentence: str, *, shared: bool = False) -> None:
        """Show a sentence now. What belongs into the manifest goes into ``notes``."""
        self.progress(ProgressEvent("note", 1, 1, note=sentence, shared=shared))

    def warn(self, sentence: str) -> None:
        """Show a sentence now, and keep it for the manifest."""
        self.notes.append(sentence)
        self.show(f"note: {sentence}")


@contextmanager
def open_run(
    request: RunRequest, progress: Progress, resources: Resources | None = None
) -> Iterator[RunContext]:
    """Read the recording, choose the engine, and open the run directory, locked for the block.

    Raises InputError and PreflightError. An error of the block is recorded in the manifest; a new directory without
    any result is deleted.
    """
    _check_files(request)
    resources = resources or Resources()
    clock = Clock()
    with resources.cpu_lock, clock.stage("media"):
        recording = reader.read_recording(request.input, progress, AudioChoice(request.settings.audio_track))
        sha256 = _sha256_of(request.input)
    with clock.stage("preflight"):
        engine = choose_engine(request.settings, progress)
        settings, fitting = fit_to_device(request.settings, engine)
        request = replace(request, settings=settings)
        _check_requirements(request, engine, progress)
        suffix, video_notes = _video_suffix(request, recording)
    with _run_dir(request, sha256) as run_dir:
        cache = StageCache(run_dir.root, cache_input(sha256, recording), progress)
        notes = [*request.settings.notes, *recording.notes, *engine.notes, *fitting, *video_notes]
        ctx = RunContext(
            request, recording, sha256, engine, suffix, run_dir, cache, clock, notes, progress, resources
        )
        ctx.show(f"engine: {engine.why}", shared=True)
        yield ctx


def cache_input(sha256: str, recording: Recording) -> str:
    """Return what identifies the sound of an input in the cache, also when one file holds several."""
    return f"{sha256} {recording.identity}" if recording.identity else sha256


def _check_files(request: RunRequest) -> None:
    """Check before any work that the files which are read late are there, and a translator where one is needed.

    None is needed for a plan, for a script that may be in the language already, and where a run directory may have all
    translations.
    """
    if request.script is not None and not request.script.exists():
        raise InputError(f"Script {request.script}: does not exist; check the path.", code="script_not_found")
    if request.turns is not None and not request.turns.exists():
        raise InputError(
            f"--turns {request.turns} cannot be read (No such file or directory); check the path.",
            code="turns_unreadable",
        )
    for path in request.references.values():
        if not path.exists():
            raise InputError(f"{path} does not exist: check the path.", code="media_missing")
    wanted, language = request.translation, request.settings.language
    if wanted is None or wanted.asking is Asking.NONE or request.until is Until.DIARIZATION:
        return
    is_translated = language is not None and main_language(language) == main_language(wanted.to)
    if request.script is None and not is_translated and not request.run_dir.exists():
        chosen_translator(request.settings)


def _check_requirements(request: RunRequest, engine: EngineChoice, progress: Progress) -> None:
    """Check before any work what is needed late: the models of watermark and background, and the consent file."""
    if request.consent is not None:
        read_consent(request.consent, (), request.settings.encoding)
    if request.until is None:
        separation_model_folders(request.settings, progress)
    synthesizes = request.until in (None, Until.SYNTHESIS)
    if synthesizes and watermark_of(engine.name, wanted=request.settings.watermark):
        watermark_folder(request.settings, progress)


def _video_suffix(request: RunRequest, recording: Recording) -> tuple[str | None, list[str]]:
    """Return the suffix of the new video; None, and a note, where its pictures cannot be copied."""
    if not recording.has_video:
        return None, []
    try:
        return output_suffix(request.input, keep_original_audio=request.keep_original_audio), []
    except InputError as error:
        return None, [f"no video is made: {error.message}"]


@contextmanager
def _run_dir(request: RunRequest, sha256: str) -> Iterator[RunDir]:
    """Open the run directory; when the run fails, record that in its manifest or delete what is new and empty."""
    with open_run_dir(request.run_dir, sha256) as run_dir:
        try:
            with friendly_errors(run_dir.root):
                if request.force:
                    run_dir.delete_cache()
                yield run_dir
        except (VoicecloneError, Stopped) as reason:
            if isinstance(reason, VoicecloneError) and run_dir.is_new and not run_dir.has_results():
                run_dir.discard()
            elif (manifest := run_dir.running()) is not None:  # else that of an earlier run is still valid
                manifest.add_failure(reason)
                with suppress(
                    RunError
                ):  # a full disk: the manifest is still that of a run that did not finish
                    manifest.save(run_dir.root)
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
