"""The audio tracks of a file: their languages, the one that is read, and which of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av import AudioStream as AvAudioStream
from av.container import InputContainer
from av.stream import Disposition

from voiceclone_cli.errors import InputError
from voiceclone_cli.languages import three_letter_code

_MAX_LISTED = 8
_MAX_TITLE = 40


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """The audio track of a file that is read."""

    number: int
    """Among the audio tracks, from 1."""
    stream: AvAudioStream
    notes: tuple[str, ...]
    """A sentence for the user where the file has several tracks."""


def choose_track(container: InputContainer, path: Path, wanted: str | None) -> AudioTrack:
    """Return the track with this number (from 1) or language; None: the one that players choose.

    Players take the first that is marked as the default, else the first. Among several of a language it is the same.
    Raises InputError (``media_no_audio``, ``audio_track``).
    """
    streams = container.streams.audio
    if not streams:
        raise InputError(f"{path} has no audio: give a recording of speech.", code="media_no_audio")
    candidates = list(range(len(streams)))
    if wanted is not None and wanted.isdigit():
        candidates = [index for index in candidates if index + 1 == int(wanted)]
    elif wanted is not None:
        code = language_code(wanted)
        is_code = code != UNKNOWN_LANGUAGE or wanted == UNKNOWN_LANGUAGE
        candidates = [index for index in candidates if is_code and _language(streams[index]) == code]
    if not candidates:
        raise InputError(
            f"{path} has no audio track {wanted!r}; its audio tracks are {_listed(streams)}: "
            "give one of these numbers or languages with --audio-track.",
            code="audio_track",
        )
    index = next((index for index in candidates if _is_default(streams[index])), candidates[0])
    notes: tuple[str, ...] = ()
    if len(streams) > 1:
        notes = (f"{len(streams)} audio tracks: {_listed(streams, index)}; --audio-track chooses another",)
    return AudioTrack(index + 1, streams[index], notes)


def _listed(streams: Sequence[AvAudioStream], taken: int | None = None) -> str:
    """Return "1 eng commentary, 2 eng (default) taken"; of many tracks the first, and the one that is taken."""
    shown = [index for index in range(len(streams)) if index < _MAX_LISTED or index == taken]
    words = [
        f"{index + 1} {_described(streams[index])}{' taken' if index == taken else ''}" for index in shown
    ]
    more = len(streams) - len(shown)
    return ", ".join([*words, *([f"and {more} more"] if more else [])])


def _described(stream: AvAudioStream) -> str:
    title = "".join(c if c.isprintable() else " " for c in stream.metadata.get("title", ""))
    words = [_language(stream), title.strip()[:_MAX_TITLE]]
    roles = {"commentary": Disposition.comment, "audio description": Disposition.visual_impaired}
    words += [role for role, flag in roles.items() if stream.disposition & flag and role not in title.lower()]
    words += ["(default)"] if _is_default(stream) else []
    return " ".join(filter(None, words))


def _is_default(stream: AvAudioStream) -> bool:
    return bool(stream.disposition & Disposition.default)


def _language(stream: AvAudioStream) -> str:
    return language_code(stream.metadata.get("language"))


UNKNOWN_LANGUAGE = "und"


def language_code(language: str | None) -> str:
    """Return the terminological code of ISO 639-2 for ``fr``, ``fre``, ``fra`` or ``fr-CA``, here ``fra``.

    "und" for what is no code of a language.
    """
    return three_letter_code(language or "", bibliographic=False) or UNKNOWN_LANGUAGE


def language_tag(language: str | None, suffix: str) -> str:
    """Return the three-letter code of ``es`` or ``es-419`` in a container, here ``spa``; "und" for unknown languages.

    MP4 takes the terminological code of ISO 639-2, Matroska the bibliographic one (French: fra, fre).
    """
    return three_letter_code(language or "", bibliographic=suffix == ".mkv") or UNKNOWN_LANGUAGE
