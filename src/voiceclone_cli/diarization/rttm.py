"""RTTM, the plain text format of diarizations: one turn a line, times in seconds.

The format is that of NIST's RT-09 evaluation plan, appendix A: ten fields separated by blanks,
``SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>``.
"""

from __future__ import annotations

from collections.abc import Iterable

from voiceclone_cli.errors import InputError
from voiceclone_cli.names import check_speakers, shown
from voiceclone_cli.types import Turn

MAX_TURNS = 100_000
MAX_SECONDS = 100 * 3600
"""The latest end of a turn, as in scripts."""

_COMMENT = ";;"
_OTHER_TYPES = {"SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER"}
_OTHER_TYPES |= {"EDIT", "SU", "IP", "CB", "A/P", "SPKR-INFO"}
"""Lines that RTTM allows and that say nothing about who speaks when."""


def write_rttm(turns: Iterable[Turn], uri: str) -> str:
    """The turns as RTTM, times to the millisecond.

    ``uri`` names the recording; blanks in it become underscores, since blanks separate fields.
    Raises InputError for a speaker whose name is empty or holds a blank.
    """
    # A file's name need not be Unicode; RTTM is.
    recording = "_".join(uri.encode("utf-8", "replace").decode("utf-8").split()) or "<NA>"
    lines = []
    for turn in turns:
        if turn.speaker.split() != [turn.speaker]:
            raise InputError(
                f"Speaker {shown(turn.speaker)} cannot be written to RTTM: "
                "a name there is one word without blanks; rename the speaker.",
                code="rttm_speaker",
            )
        lines.append(
            f"SPEAKER {recording} 1 {turn.start:.3f} {_to_the_millisecond(turn.seconds):.3f} "
            f"<NA> <NA> {turn.speaker} <NA> <NA>\n"
        )
    return "".join(lines)


def read_rttm(text: str) -> list[Turn]:
    """The turns of one recording, in the order of their start.

    Raises InputError, with the number of the line, for anything that is not RTTM, when the text speaks of
    more than one recording or has more than MAX_TURNS turns; and for speakers that cannot name a folder.
    """
    turns: list[Turn] = []
    recordings: set[str] = set()
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        fields = line.split()
        if not fields or fields[0].startswith(_COMMENT) or fields[0] in _OTHER_TYPES:
            continue
        if fields[0] != "SPEAKER" or len(fields) not in (9, 10):
            raise _bad_line(number, "a turn has ten fields, the first of them SPEAKER")
        recordings.add(fields[1])
        if len(recordings) > 1:
            raise _bad_line(number, "it speaks of a second recording; keep the lines of one only")
        if len(turns) == MAX_TURNS:
            raise _bad_line(number, f"there are more than {MAX_TURNS:,} turns")
        turns.append(_turn(fields, number))
    check_speakers(turn.speaker for turn in turns)
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


def _turn(fields: list[str], number: int) -> Turn:
    start, duration = (_seconds(field, number) for field in fields[3:5])
    end = _to_the_millisecond(start + duration)
    # Not the duration alone: less than half a millisecond is none.
    if end <= start:
        raise _bad_line(number, "the turn has no length")
    return Turn(start=start, end=end, speaker=fields[7])


def _seconds(field: str, number: int) -> float:
    try:
        seconds = float(field)
    except ValueError:
        raise _bad_line(number, f"{shown(field)} is not a number of seconds") from None
    if not 0 <= seconds <= MAX_SECONDS:
        raise _bad_line(number, f"{shown(field)} is not a time from 0 seconds to 100 hours")
    return _to_the_millisecond(seconds)


def _to_the_millisecond(seconds: float) -> float:
    return round(seconds, 3)


def _bad_line(number: int, reason: str) -> InputError:
    return InputError(f"RTTM line {number} cannot be read: {reason}.", code="bad_rttm")
