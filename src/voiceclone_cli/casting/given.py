"""A voice that the user gave: an audio file, and beside it the words that are spoken in it."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.casting.sound import quietest
from voiceclone_cli.errors import InputError
from voiceclone_cli.media import read_recording, read_spans

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

MOST_CHARACTERS = 5_000
"""Of the words of a voice: five minutes' worth, where 15 s are used."""
LONGEST = 15.0
"""Seconds. More is cut off, at a quiet moment after EARLIEST_CUT."""
EARLIEST_CUT = 10.0


@dataclass(frozen=True, slots=True)
class GivenVoice:
    """Mono audio at the file's own rate and its words, empty where they are not known."""

    audio: Samples
    rate: int
    text: str
    warnings: tuple[str, ...] = ()


def read_given(path: Path) -> GivenVoice:
    """The voice in a file, its first 15 s at most; its words are those of ``voice.txt`` beside ``voice.wav``.

    Raises InputError when either cannot be read.
    """
    recording = read_recording(path)
    rate = recording.source_rate
    (audio,) = read_spans(path, [(0.0, min(recording.seconds, LONGEST))])
    text = _text_beside(path)
    if recording.seconds <= LONGEST:
        return GivenVoice(audio, rate, text)
    end = quietest(audio, rate, (EARLIEST_CUT, LONGEST))
    warning = f"{path.name} is longer than {LONGEST:.0f} s: only its first {end:.1f} s are used"
    if text:
        warning += f", without the words of {path.with_suffix('.txt').name}, which are those of the whole"
    return GivenVoice(audio[: round(end * rate)], rate, "", (warning + ".",))


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
