"""From turns and words to a reference for every speaker."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

from voiceclone_cli.atomic import explain_write_errors, write_text_atomic
from voiceclone_cli.casting.choosing import ENOUGH, choose_pieces
from voiceclone_cli.casting.given import read_given
from voiceclone_cli.casting.joining import join
from voiceclone_cli.casting.pieces import Piece
from voiceclone_cli.errors import InputError
from voiceclone_cli.media import read_spans, write_wav
from voiceclone_cli.names import check_speakers
from voiceclone_cli.types import (
    Diarization,
    Progress,
    ProgressEvent,
    Recording,
    Reference,
    Word,
)

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

STAGE = "casting"

FAR_TOO_LITTLE = 3.0
"""Seconds of speech under which a clone hardly resembles its speaker."""


def cast(
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
            audio = join([next(sounds) for _ in pieces], recording.source_rate)
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
    check_speakers(names)
    for name in names:
        if name not in given and name not in diarization.speakers:
            raise InputError(
                f"{name} speaks nowhere in the recording; give --reference {name}=voice.wav "
                f"or use one of {', '.join(diarization.speakers)}.",
                code="speaker_without_voice",
            )


def _write_own(
    name: str, pieces: Sequence[Piece], disturbed: bool, audio: Samples, rate: int, folder: Path
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
    voice = read_given(path)
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
