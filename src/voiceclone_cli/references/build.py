"""References of all speakers: cut from the recording or audio files of the user, and cached."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_cli import types
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.reader import SILENCE_PEAK, read_recording, read_spans
from voiceclone_cli.audio.writer import write_wav
from voiceclone_cli.encodings import decode_whole
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import (
    check_speaker_names,
    file_sha256,
    friendly_errors,
    text_sha256,
    write_text_atomic,
)
from voiceclone_cli.language_detection import TextLook
from voiceclone_cli.references.selection import ENOUGH, join_spans, quietest_time, select_spans
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.script.parsers import clean_text

STAGE = "casting"
VERSION = 2
"""Increase this when the same inputs give other references."""

TOO_SHORT = 3.0
"""Seconds of speech below which a clone hardly resembles its speaker."""

MAX_CHARACTERS = 5_000
"""Characters of a user reference's text: five minutes of speech, of which 15 s are used."""
_MAX_TEXT_BYTES = 4 * MAX_CHARACTERS
"""No encoding has more for each character."""
LONGEST = 15.0
"""Seconds. A longer user reference is cut at its quietest moment after EARLIEST_CUT."""
EARLIEST_CUT = 10.0

_OVERLAP_WARNING = (
    "{name} never speaks alone, so the reference has other voices too; "
    "give --reference {name}=voice.wav with 5 to 15 s of clean speech."
)


def build_references(
    recording: types.Recording,
    diarization: types.Diarization,
    words: Sequence[types.Word],
    *,
    language: str,
    out: Path,
    given: Mapping[str, Path],
    speakers: Sequence[str],
    progress: types.Progress,
    encoding: str | None = None,
) -> dict[str, types.Reference]:
    """Write ``out/<speaker>/reference.wav`` and ``reference.txt`` for each speaker.

    The audio is mono, at the rate of its source. ``words`` are those of the whole recording (empty if not
    known), ``language`` is spoken in it (a BCP 47 tag, empty if not known); ``given`` maps speakers to audio files of
    the user that replace the recording's speech; ``encoding`` as in :func:`read_user_reference`.

    Raises InputError for a name in ``given`` that no speaker has, for a speaker without turns and without a
    given file, and for a given file that cannot be used.
    """
    names = list(dict.fromkeys(speakers))
    _check_names(names, diarization, given)
    sorted_words = sorted(words, key=lambda word: (word.start, word.end))
    selected = {
        name: select_spans(recording.samples, diarization, name, sorted_words)
        for name in names
        if name not in given
    }
    times = [(span.start, span.end) for spans, _ in selected.values() for span in spans]
    parts = iter(read_spans(recording.path, times, recording.audio) if times else [])
    references = {}
    for done, name in enumerate(names):
        progress(types.ProgressEvent(STAGE, done, len(names), note=name))
        spans: tuple[types.Span, ...] = ()
        if name in given:
            audio, rate, text, warnings = read_user_reference(given[name], encoding)
            seconds = len(audio) / rate
            speech_language = _language_of_text(text, language)
        else:
            selection, overlapped = selected[name]
            audio = join_spans([next(parts) for _ in selection], recording.source_rate)
            rate = recording.source_rate
            text = "".join(word.text for span in selection for word in span.words).strip()
            seconds = sum(span.seconds for span in selection)
            spans = tuple((round(span.start, 3), round(span.end, 3)) for span in selection)
            warnings = (_OVERLAP_WARNING.format(name=name),) if overlapped else ()
            speech_language = language
        references[name] = types.Reference(
            speaker=name,
            audio=_write(out / name, audio, rate, text),
            text=text,
            seconds=round(seconds, 3),
            spans=spans,
            warnings=(*warnings, *_length_warnings(name, seconds)),
            language=speech_language,
        )
    progress(types.ProgressEvent(STAGE, len(names), len(names)))
    return references


def _check_names(names: Sequence[str], diarization: types.Diarization, given: Mapping[str, Path]) -> None:
    known = {*names, *diarization.speakers}
    for name in given:
        if name not in known:
            raise InputError(
                f"--reference names {name}, but the speakers are {', '.join(sorted(known))}; "
                "use one of these names.",
                code="unknown_speaker",
            )
    check_speaker_names(names)
    for name in names:
        if name not in given and name not in diarization.speakers:
            raise InputError(
                f"{name} speaks nowhere in the recording; give --reference {name}=voice.wav "
                f"or use one of {', '.join(diarization.speakers)}.",
                code="speaker_without_voice",
            )


def read_user_reference(path: Path, encoding: str | None = None) -> tuple[Samples, int, str, tuple[str, ...]]:
    """Read at most the first 15 s of an audio file, and its text from ``voice.txt`` next to ``voice.wav``.

    ``encoding`` is that of a text that is not UTF-8, if the user said it.

    Returns mono samples, their rate, the text (empty if not known) and warnings. Raises InputError if a file
    cannot be read.
    """
    recording = read_recording(path)
    rate = recording.source_rate
    start, end = _sounding(recording)
    is_whole = end - start <= LONGEST
    (audio,) = read_spans(path, [(start, min(end, start + LONGEST))], recording.audio)
    text, notes = _text_beside(path, encoding)
    if is_whole:
        return audio, rate, text, notes
    end = quietest_time(audio, rate, (EARLIEST_CUT, LONGEST))
    warning = f"{path.name} is longer than {LONGEST:.0f} s: only its first {end:.1f} s are used"
    if text:
        warning += f", and not {path.with_suffix('.txt').name}, which is the text of the whole file"
    return audio[: round(end * rate)], rate, "", (warning + ".",)


def _sounding(recording: types.Recording) -> types.Span:
    """Return the recording's span without the silence that fills a film before and after its sound."""
    # Beside the sound, resampling leaves values near 0.
    (sounding,) = np.nonzero(np.abs(recording.samples) > SILENCE_PEAK)
    if not (recording.moved_frames and len(sounding)):
        return 0.0, recording.seconds
    return sounding[0] / types.ANALYSIS_RATE, min(recording.seconds, (sounding[-1] + 1) / types.ANALYSIS_RATE)


def _text_beside(path: Path, encoding: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the text of a user's reference, and what the user has to know about it."""
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return "", ()
    try:
        with beside.open("rb") as file:
            data = file.read(_MAX_TEXT_BYTES + 1)
        contents = decode_whole(data if len(data) <= _MAX_TEXT_BYTES else b"", encoding)
    except OSError as error:
        raise InputError(
            f"{beside} (the text of {path.name}) cannot be read ({error.strerror or error}); correct or remove it.",
            code="bad_reference_text",
        ) from error
    except InputError as error:
        raise InputError(
            f"{beside} (the text of {path.name}) {error.message}", code="bad_reference_text"
        ) from error
    text = contents.text
    if len(data) > _MAX_TEXT_BYTES or len(text) > MAX_CHARACTERS:
        raise InputError(
            f"{beside} (the text of {path.name}) has more than {MAX_CHARACTERS:,} characters; "
            "keep only the words in the audio, or remove the file.",
            code="bad_reference_text",
        )
    return clean_text(text), contents.notes(beside.name)


def _language_of_text(text: str, language: str) -> str:
    """Return the language of a user reference's text: that of the recording, unless the text looks like another."""
    look = TextLook.of([text]) if text else TextLook()
    if not look.best:
        return ""
    if not language:
        return "" if look.is_short else look.best
    return look.best if look.is_unlikely(language) else language


def _length_warnings(name: str, seconds: float) -> tuple[str, ...]:
    if seconds < TOO_SHORT:
        return (
            f"Only {seconds:.1f} s of clean speech of {name}: the clone will hardly resemble them; "
            f"give --reference {name}=voice.wav with 5 to 15 s.",
        )
    if seconds < ENOUGH:
        return (f"{seconds:.1f} s of clean speech of {name}: with 5 s or more the clone would be closer.",)
    return ()


def _write(folder: Path, audio: Samples, rate: int, text: str) -> Path:
    path = folder / "reference.wav"
    write_wav(path, audio, rate)
    with friendly_errors(folder):
        write_text_atomic(folder / "reference.txt", text + "\n")
    return path


def rename_references(
    references: Sequence[types.Reference], names: Sequence[str], out: Path, cache: StageCache
) -> list[types.Reference]:
    """Rename references to these names, in order, with their folders and the cache entries of their files.

    A run that is killed in between finds files missing, and builds them again. Raises RunError.
    """
    renamed = []
    for reference, name in zip(references, names, strict=True):
        if reference.speaker != name:
            old, new = out / reference.speaker, out / name
            with friendly_errors(out):
                _move(old, new)
            cache.rename_folder(old, new)
            reference = replace(
                reference,
                speaker=name,
                audio=new / reference.audio.name,
                warnings=tuple(_rename_in_text(name, reference.speaker, text) for text in reference.warnings),
            )
        renamed.append(reference)
    return renamed


def _move(old: Path, new: Path) -> None:
    # An earlier run may have left the folder. On a case-insensitive disk it may be the same folder.
    if new.is_symlink() or new.is_file():
        new.unlink()
    elif new.exists() and not new.samefile(old):
        shutil.rmtree(new)
    os.rename(old, new)


def _rename_in_text(new: str, old: str, text: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, text)


def cached_references(
    recording: types.Recording,
    diarization: types.Diarization,
    words: Sequence[types.Word],
    *,
    language: str,
    out: Path,
    given: Mapping[str, Path],
    speakers: Sequence[str],
    first_names: Mapping[str, str],
    cache: StageCache,
    progress: types.Progress,
    encoding: str | None = None,
) -> dict[str, types.Reference]:
    """Return cached references, or those of :func:`build_references`, which explains the parameters.

    ``first_names`` maps renamed speakers to their first names, which identify cached references; their
    folders in ``out`` are renamed.
    """

    def first(name: str) -> str:
        return first_names.get(name, name)

    inputs = {
        "turns": [asdict(replace(turn, speaker=first(turn.speaker))) for turn in diarization.turns],
        "exclusive": [asdict(replace(turn, speaker=first(turn.speaker))) for turn in diarization.exclusive],
        "words": [asdict(word) for word in words],
        "language": language,
        "given": {first(name): _user_sha256(path) for name, path in given.items()},
        "speakers": [first(name) for name in speakers],
    }
    if encoding is not None and given:
        inputs["encoding"] = encoding

    def build() -> list[types.Reference]:
        built = build_references(
            recording,
            diarization,
            words,
            language=language,
            out=out,
            given=given,
            speakers=speakers,
            progress=progress,
            encoding=encoding,
        )
        return list(built.values())

    references = cache.cached(
        STAGE,
        VERSION,
        inputs,
        build,
        serialize=_to_dict,
        parse=lambda entry: [_reference(row, out) for row in entry["references"]],
        files=_files,
    )
    if [reference.speaker for reference in references] != list(dict.fromkeys(speakers)):
        references = rename_references(references, speakers, out, cache)
        cache.save(STAGE, VERSION, inputs, _to_dict(references), _files(references))
    return {reference.speaker: reference for reference in references}


def _files(references: Sequence[types.Reference]) -> dict[Path, str]:
    """Return the SHA-256 of every file of these references."""
    files: dict[Path, str] = {}
    for reference in references:
        files[reference.audio] = file_sha256(reference.audio)
        files[reference.audio.with_suffix(".txt")] = text_sha256(reference.text + "\n")
    return files


def _to_dict(references: Sequence[types.Reference]) -> dict[str, Any]:
    return {"references": [{**asdict(reference), "audio": reference.audio.name} for reference in references]}


def _user_sha256(path: Path) -> list[str | None]:
    """Return the SHA-256 of a user's audio file and its text; None for a missing file."""
    return [file_sha256(p) if p.is_file() else None for p in (path, path.with_suffix(".txt"))]


def _reference(row: Mapping[str, Any], out: Path) -> types.Reference:
    return types.Reference(
        speaker=row["speaker"],
        audio=out / row["speaker"] / row["audio"],
        text=row["text"],
        seconds=row["seconds"],
        spans=tuple((start, end) for start, end in row["spans"]),
        warnings=tuple(row["warnings"]),
        language=row["language"],
    )
