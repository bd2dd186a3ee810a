"""`voiceclone translate`: the script of a recording, a file or a run directory in another language, as a file to edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.files import check_writable, file_sha256, friendly_errors
from voiceclone_cli.languages import language_of
from voiceclone_cli.pipeline.request import RunRequest, default_run_dir
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.rundir.manifest import ERROR, EXIT_CODES, MANIFEST, PARTIAL, SUCCESS, Manifest, RunPaths
from voiceclone_cli.script import script_file
from voiceclone_cli.script.language import choose_language
from voiceclone_cli.script.parsers import MAX_SECONDS
from voiceclone_cli.translation.cache import TranslationCache
from voiceclone_cli.translation.job import translate
from voiceclone_cli.translation.result import LineStatus, LineTranslation, ScriptTranslation
from voiceclone_cli.types import Diarization, Progress, Script, Turn, Until, no_progress

SCHEMA = "voiceclone.translation/1"
_NO_ONE = "SPEAKER"
"""Speaker of the lines of a file that names none."""


@dataclass(frozen=True, slots=True)
class TranslatedFile:
    """A script that was written in another language."""

    path: Path
    translation: ScriptTranslation
    notes: tuple[str, ...]

    @property
    def status(self) -> str:
        """Whether every line is translated."""
        return PARTIAL if self.translation.with_status(LineStatus.FAILED) else SUCCESS

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_CODES[self.status]

    @property
    def document(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "output": str(self.path.absolute()),
            **self.translation.document(),
            "errors": [],
            "notes": list(self.notes),
        }


def translation_failure(reason: VoicecloneError | Stopped) -> dict[str, Any]:
    """Return what ``--json`` prints of a translation that was not written."""
    if isinstance(reason, Stopped):
        error = {"code": "interrupted", "message": "the translation was stopped"}
    else:
        error = {"code": reason.code, "message": reason.message}
    return {"schema": SCHEMA, "status": ERROR, "output": None, "errors": [error], "notes": []}


@dataclass(frozen=True, slots=True)
class _Source:
    """A script to translate, and what is known of its recording."""

    script: Script
    seconds: float
    engine: str
    """That will speak it; empty where it is not known."""
    notes: tuple[str, ...]


def translate_source(
    request: RunRequest, output: Path | None, *, force: bool = False, progress: Progress = no_progress
) -> TranslatedFile:
    """Write the script of ``request.input`` in the language of its translation.

    The input is a recording, whose script is found in a run directory as ``run --until script`` does, a script file or a
    run directory. ``output`` None: ``NAME.LANGUAGE.json`` in the working directory. What was answered is kept beside it,
    in ``NAME.LANGUAGE.translation.json``: the same command goes on where the last one ended, and asks only for lines that
    have changed. A file that was edited since is not replaced, unless with ``force``.

    Raises InputError for a source, an option or a file that cannot be used, PreflightError without a translator,
    TranslatorError where no line could be translated.
    """
    options, source = request.translation, request.input
    assert options is not None
    path = output or Path(f"{_title(source)}.{options.to}.json")
    script_file.check_format(path)
    with friendly_errors(path.absolute().parent):
        check_writable(path)
    cache_file = path.with_name(f"{path.stem}.translation.json")
    _check_unedited(path, cache_file, force=force)
    if (source / MANIFEST).is_file():
        found = _of_run(source, request)
    elif source.suffix.lower() in script_file.FORMATS and source.is_file():
        found = _of_file(source, request)
    else:
        found = _of_recording(request, progress)
    translation = translate(
        found.script,
        options,
        request.settings,
        cache_file,
        recording_seconds=found.seconds,
        engine=found.engine,
        progress=progress,
    )
    with friendly_errors(path.absolute().parent):
        script_file.write_script(path, translation.script, _more_keys(translation))
        cache = TranslationCache(cache_file)
        cache.output = file_sha256(path)
        cache.save()
    return TranslatedFile(path, translation, (*request.settings.notes, *found.notes, *translation.notes))


def _title(source: Path) -> str:
    """Return the name of a source without its suffix, and without the language that the name of a script ends in."""
    title, _, tag = source.stem.rpartition(".")
    return (
        title if title and source.suffix.lower() in script_file.FORMATS and language_of(tag) else source.stem
    )


def _check_unedited(path: Path, cache_file: Path, *, force: bool) -> None:
    """Raise InputError where a file is there that this command did not write, or that was edited since."""
    if force or not path.exists() or TranslationCache(cache_file).output == file_sha256(path):
        return
    raise InputError(
        f"{path} is there already, and was edited or written by another command: choose another file with --output, or "
        "replace it with --force.",
        code="output_edited",
    )


def _of_run(run_dir: Path, request: RunRequest) -> _Source:
    manifest = Manifest.load(run_dir)
    found = _of_file(RunPaths(run_dir).script_json, request)
    seconds = manifest.input.get("seconds")
    return replace(
        found,
        seconds=float(seconds) if isinstance(seconds, int | float) else found.seconds,
        engine=manifest.engine,
    )


def _of_file(path: Path, request: RunRequest) -> _Source:
    """Read a script file. Where it names no speaker, its lines have none."""
    settings = request.settings

    def read(diarization: Diarization | None) -> Script:
        return script_file.read_script(
            path,
            diarization,
            language="",
            labels=settings.speaker_labels,
            sounds=settings.speak_sounds,
            strict=settings.strict,
            encoding=settings.encoding,
        )

    try:
        script = read(None)
    except InputError as error:
        if error.code != "script_speaker_missing":
            raise
        turns = (Turn(0.0, MAX_SECONDS, _NO_ONE),)
        script = read(Diarization(turns, turns, "given"))
        nameless = (
            replace(line, speaker="") if line.speaker == _NO_ONE else line for line in script.segments
        )
        script = replace(script, segments=tuple(nameless))
    given_by = settings.origin("language") if settings.language else ""
    script, language = choose_language(
        script, path, given=settings.language, given_by=given_by, encoding=settings.encoding
    )
    engine = "" if settings.engine == "auto" else settings.engine
    end = max(line.end for line in script.segments)
    return _Source(script, end, engine, (*script.notes, *language.warnings))


def _of_recording(request: RunRequest, progress: Progress) -> _Source:
    finding = replace(
        request,
        translation=None,
        until=Until.SCRIPT,
        out=request.out or Path(default_run_dir(request.input.stem)),
    )
    result = run(finding, progress)
    return _Source(
        result.job.script, result.ctx.recording.seconds, result.ctx.engine.name, tuple(result.manifest.notes)
    )


def _more_keys(translation: ScriptTranslation) -> Mapping[str, Mapping[str, Any]]:
    """Return what the script says of each line besides the segment: how it fits, and why it is not translated."""
    return {line.segment.id: _line_keys(line) for line in translation.lines}


def _line_keys(line: LineTranslation) -> dict[str, Any]:
    keys: dict[str, Any] = {"translation": line.status.value}
    if line.reason:
        keys["reason"] = line.reason
    if line.fit is not None:
        keys |= {
            "expected_seconds": round(line.fit.seconds, 3),
            "slot_seconds": round(line.fit.slot, 3),
            "fits": line.fit.fits,
            "budget": line.fit.budget,
        }
    return keys
