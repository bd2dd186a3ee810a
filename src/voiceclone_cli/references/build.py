"""References that an earlier run has cut are taken over when they would come out the same."""

from __future__ import annotations

import os
import re
import shutil
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from voiceclone_cli.audio.reader import read_recording, read_spans
from voiceclone_cli.audio.writer import write_wav
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import (
    check_speaker_names,
    explain_write_errors,
    file_sha256,
    text_sha256,
    write_text_atomic,
)
from voiceclone_cli.references.selection import ENOUGH, CleanSpan, choose_pieces, join_spans, quietest
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import Diarization, Progress, ProgressEvent, Recording, Reference, Turn, Word

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


# A voice that the user gave: an audio file, and beside it the words that are spoken in it.


MOST_CHARACTERS = 5_000
"""Of the words of a voice: five minutes' worth, where 15 s are used."""
LONGEST = 15.0
"""Seconds. More is cut off, at a quiet moment after EARLIEST_CUT."""
EARLIEST_CUT = 10.0


@dataclass(frozen=True, slots=True)
class UserReference:
    """Mono audio at the file's own rate and its words, empty where they are not known."""

    audio: Samples
    rate: int
    text: str
    warnings: tuple[str, ...] = ()


def read_user_references(path: Path) -> UserReference:
    """The voice in a file, its first 15 s at most; its words are those of ``voice.txt`` beside ``voice.wav``.

    Raises InputError when either cannot be read.
    """
    recording = read_recording(path)
    rate = recording.source_rate
    (audio,) = read_spans(path, [(0.0, min(recording.seconds, LONGEST))])
    text = _text_beside(path)
    if recording.seconds <= LONGEST:
        return UserReference(audio, rate, text)
    end = quietest(audio, rate, (EARLIEST_CUT, LONGEST))
    warning = f"{path.name} is longer than {LONGEST:.0f} s: only its first {end:.1f} s are used"
    if text:
        warning += f", without the words of {path.with_suffix('.txt').name}, which are those of the whole"
    return UserReference(audio[: round(end * rate)], rate, "", (warning + ".",))


def _text_beside(path: Path) -> str:
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return ""
    try:
        with beside.open(encoding="utf-8-sig") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{beside} holds the words of {path.name} but cannot be read as UTF-8 text; mend or remove it.",
            code="bad_reference_text",
        ) from error
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{beside} should hold the words of {path.name}, but has more than {MOST_CHARACTERS:,} characters; "
            "keep the words that are spoken in it, or remove the file.",
            code="bad_reference_text",
        )
    return " ".join(text.split())


# From turns and words to a reference for every speaker.


STAGE = "casting"
VERSION = 1
"""To be counted up when the same inputs give other references."""

FAR_TOO_LITTLE = 3.0
"""Seconds of speech under which a clone hardly resembles its speaker."""


def build_references(
    recording: Recording,
    diarization: Diarization,
    words: Sequence[Word],
    *,
    out: Path,
    given: Mapping[str, Path],
    speakers: Sequence[str],
    progress: Progress,
) -> dict[str, Reference]:
    """Write ``out/<speaker>/reference.wav`` and ``reference.txt`` for each speaker; mono, at the rate of its source.

    words: those of the whole recording, empty where they are not known. given: files of the user's own
    that take the place of the recording's speech. speakers: whom to cast (those of a script).

    Raises InputError for a given name that nobody bears, for a speaker without turns and without a given
    file, and for a given file that cannot be used.
    """
    names = list(dict.fromkeys(speakers))
    _check_names(names, diarization, given)
    own = [name for name in names if name not in given]
    in_order = sorted(words, key=lambda word: (word.start, word.end))
    chosen = {name: choose_pieces(recording.samples, diarization, name, in_order) for name in own}
    spans = [(piece.start, piece.end) for pieces, _ in chosen.values() for piece in pieces]
    sounds = iter(read_spans(recording.path, spans) if spans else [])
    references = {}
    for done, name in enumerate(names):
        progress(ProgressEvent(STAGE, done, len(names), note=name))
        folder = out / name
        if name in given:
            references[name] = _write_given(name, given[name], folder)
        else:
            pieces, disturbed = chosen[name]
            audio = join_spans([next(sounds) for _ in pieces], recording.source_rate)
            references[name] = _write_own(name, pieces, disturbed, audio, recording.source_rate, folder)
    progress(ProgressEvent(STAGE, len(names), len(names)))
    return references


def _check_names(names: Sequence[str], diarization: Diarization, given: Mapping[str, Path]) -> None:
    known = {*names, *diarization.speakers}
    for name in given:
        if name not in known:
            raise InputError(
                f"--reference names {name}, but the speakers are {', '.join(sorted(known))}; use one of these names.",
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


def _write_own(
    name: str, pieces: Sequence[CleanSpan], disturbed: bool, audio: Samples, rate: int, folder: Path
) -> Reference:
    seconds = sum(piece.seconds for piece in pieces)
    warnings = _scarcity(name, seconds)
    if disturbed:
        warnings = (
            f"{name} never speaks alone: the reference holds other voices too; "
            f"give --reference {name}=voice.wav with 5 to 15 s of clean speech.",
            *warnings,
        )
    text = "".join(word.text for piece in pieces for word in piece.words).strip()
    return Reference(
        speaker=name,
        audio=_write(folder, audio, rate, text),
        text=text,
        seconds=round(seconds, 3),
        spans=tuple((round(piece.start, 3), round(piece.end, 3)) for piece in pieces),
        warnings=warnings,
    )


def _write_given(name: str, path: Path, folder: Path) -> Reference:
    voice = read_user_references(path)
    seconds = len(voice.audio) / voice.rate
    return Reference(
        speaker=name,
        audio=_write(folder, voice.audio, voice.rate, voice.text),
        text=voice.text,
        seconds=round(seconds, 3),
        spans=(),
        warnings=(*voice.warnings, *_scarcity(name, seconds)),
    )


def _scarcity(name: str, seconds: float) -> tuple[str, ...]:
    if seconds < FAR_TOO_LITTLE:
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
    with explain_write_errors(folder):
        write_text_atomic(folder / "reference.txt", text + "\n")
    return path


# References of speakers who have another name by now: their folders move, nothing is cut or encoded again.


def rename_references(
    references: Sequence[Reference], names: Sequence[str], out: Path, cache: StageCache
) -> list[Reference]:
    """The references under these names, in their order; each folder of ``out`` moves with what it holds, and
    what is remembered of its files with it. Raises RunError.

    A run that is killed in between finds files missing, and makes them again.
    """
    renamed = []
    for reference, name in zip(references, names, strict=True):
        if reference.speaker != name:
            old, new = out / reference.speaker, out / name
            with explain_write_errors(out):
                _move(old, new)
            cache.rename_folder(old, new)
            reference = replace(
                reference,
                speaker=name,
                audio=new / reference.audio.name,
                warnings=tuple(_said_of(name, reference.speaker, text) for text in reference.warnings),
            )
        renamed.append(reference)
    return renamed


def _move(old: Path, new: Path) -> None:
    # Some earlier run may have left a folder of this name. Where case makes no difference it is the same one.
    if new.is_symlink() or new.is_file():
        new.unlink()
    elif new.exists() and not new.samefile(old):
        shutil.rmtree(new)
    os.rename(old, new)


def _said_of(new: str, old: str, sentence: str) -> str:
    """A sentence about a speaker under another name."""
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, sentence)


def cached_references(
    recording: Recording,
    diarization: Diarization,
    words: Sequence[Word],
    *,
    out: Path,
    given: Mapping[str, Path],
    speakers: Sequence[str],
    first_names: Mapping[str, str],
    cache: StageCache,
    progress: Progress,
) -> dict[str, Reference]:
    """As :func:`cast`, which says what it takes and raises.

    ``first_names``: what those speakers were called who were renamed since. References are known again by
    these, and folders of ``out`` move to the names of today.
    """
    first = partial(_first_named, first_names)
    inputs = {
        "turns": [asdict(first(turn)) for turn in diarization.turns],
        "exclusive": [asdict(first(turn)) for turn in diarization.exclusive],
        "words": [asdict(word) for word in words],
        "given": {first_names.get(name, name): _given_sha256(path) for name, path in given.items()},
        "speakers": [first_names.get(name, name) for name in speakers],
    }

    def build() -> list[Reference]:
        built = build_references(
            recording, diarization, words, out=out, given=given, speakers=speakers, progress=progress
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


def _first_named(first_names: Mapping[str, str], turn: Turn) -> Turn:
    return replace(turn, speaker=first_names.get(turn.speaker, turn.speaker))


def _files(references: Sequence[Reference]) -> dict[Path, str]:
    """Return the SHA-256 of every file of these references."""
    files: dict[Path, str] = {}
    for reference in references:
        files[reference.audio] = file_sha256(reference.audio)
        files[reference.audio.with_suffix(".txt")] = text_sha256(reference.text + "\n")
    return files


def _to_dict(references: Sequence[Reference]) -> dict[str, Any]:
    return {"references": [{**asdict(reference), "audio": reference.audio.name} for reference in references]}


def _given_sha256(path: Path) -> list[str | None]:
    """Of a given voice and of the words beside it; None for what cannot be read, which ``cast`` will tell."""
    return [file_sha256(p) if p.is_file() else None for p in (path, path.with_suffix(".txt"))]


def _reference(row: Mapping[str, Any], out: Path) -> Reference:
    return Reference(
        speaker=row["speaker"],
        audio=out / row["speaker"] / row["audio"],
        text=row["text"],
        seconds=row["seconds"],
        spans=tuple((start, end) for start, end in row["spans"]),
        warnings=tuple(row["warnings"]),
    )
