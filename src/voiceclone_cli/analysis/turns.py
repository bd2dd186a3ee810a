"""Turns: their RTTM files, overlaps, and a quick search among thousands.

RTTM is the format of NIST's RT-09 evaluation plan, appendix A: one turn a line, ten fields separated by blanks,
``SPEAKER <recording> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>``, times in seconds.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.encodings import decode_whole
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names
from voiceclone_cli.types import Diarization, Turn
from voiceclone_worker.validation import shown

GIVEN_TURNS = "given"
"""The diarizer of turns that the user gave."""
MAX_TURNS = 100_000
MAX_SECONDS = 100 * 3600
"""The latest end of a turn, as in scripts."""

_COMMENT = ";;"
_OTHER_TYPES = {"SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER"}
_OTHER_TYPES |= {"EDIT", "SU", "IP", "CB", "A/P", "SPKR-INFO"}
"""Lines that RTTM allows and that are not turns."""


def write_rttm(turns: Iterable[Turn], uri: str) -> str:
    """Return the turns as RTTM, times to the millisecond.

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
    """Return the turns of one recording, ordered by start.

    Raises InputError, with the number of the line, for anything that is not RTTM, for a second recording
    and for more than MAX_TURNS turns; and for speakers that cannot name a folder.
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
            raise _bad_line(number, "it names a second recording; keep the lines of one only")
        if len(turns) == MAX_TURNS:
            raise _bad_line(number, f"there are more than {MAX_TURNS:,} turns")
        turns.append(_turn(fields, number))
    check_speaker_names(turn.speaker for turn in turns)
    return sorted(turns, key=lambda turn: (turn.start, turn.end))


def _turn(fields: list[str], number: int) -> Turn:
    start, duration = (_seconds(field, number) for field in fields[3:5])
    end = _to_the_millisecond(start + duration)
    # Not the duration alone: less than half a millisecond is rounded away.
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


_MAX_BYTES = 50 * 2**20


def given_turns(path: Path, seconds: float, encoding: str | None = None) -> Diarization:
    """Return the turns of an RTTM file, for a recording that lasts ``seconds``.

    ``encoding``: that of a file that is not UTF-8, if the user said it.

    Raises InputError when the file cannot be read, is not RTTM, or has no turn within the recording.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InputError(f"--turns {path} is larger than 50 MB, which is not RTTM.", code="bad_rttm")
        contents = decode_whole(data, encoding)
        found = read_rttm(contents.text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--turns {path} cannot be read ({reason}); check the path.",
            code="turns_unreadable",
        ) from error
    except InputError as error:
        code = "bad_rttm" if error.code == "text_encoding" else error.code
        raise InputError(f"--turns {path}: {error.message}", code=code) from error
    end = round(seconds, 3)
    turns = tuple(replace(turn, end=min(turn.end, end)) for turn in found if turn.start < end)
    if not turns:
        raise InputError(
            f"--turns {path} has no turn within the recording, which lasts {seconds:.1f} s; "
            "check that it is the right file.",
            code="no_speech",
        )
    return Diarization(
        turns, exclusive_turns(turns), GIVEN_TURNS, f"{path} was given", contents.notes(path.name)
    )


def exclusive_turns(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Return the turns without overlaps: the speaker who began first keeps the floor until the turn ends."""
    # Per turn: when it may have the floor, when it began, its end, its speaker.
    waiting = sorted((turn.start, turn.start, turn.end, turn.speaker) for turn in turns)
    heapq.heapify(waiting)
    exclusive: list[Turn] = []
    reached = 0.0
    while waiting:
        start, began, end, speaker = heapq.heappop(waiting)
        if start >= reached:
            exclusive.append(Turn(start, end, speaker))
            reached = end
        elif end > reached:
            # What is left of it waits until the floor is free.
            heapq.heappush(waiting, (reached, began, end, speaker))
    return tuple(exclusive)


class TurnIndex:
    """Index of turns, which may overlap, by time."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self.turns = sorted(turns, key=lambda turn: (turn.start, turn.end))
        self._starts = [turn.start for turn in self.turns]
        # The turn that ends last among the first i + 1: where a walk back can stop.
        self._latest_end: list[Turn] = []
        for turn in self.turns:
            last = self._latest_end[-1] if self._latest_end else turn
            self._latest_end.append(turn if turn.end > last.end else last)

    def overlapping(self, start: float, end: float) -> Iterator[tuple[Turn, float]]:
        """Yield the turns that share time with start..end, and how many seconds, latest first."""
        position = bisect_left(self._starts, end) - 1
        while position >= 0 and self._latest_end[position].end > start:
            turn = self.turns[position]
            shared = min(end, turn.end) - max(start, turn.start)
            if shared > 0:
                yield turn, shared
            position -= 1

    def most_shared(self, start: float, end: float) -> Turn | None:
        """Return the turn that shares most time with start..end; the earliest of equals."""
        best, most = None, 0.0
        for turn, shared in self.overlapping(start, end):
            if shared >= most:
                best, most = turn, shared
        return best

    def nearest(self, start: float, end: float) -> tuple[Turn, float] | None:
        """Return the nearest turn and its distance in seconds (0.0 when they touch); None without turns."""
        following = bisect_right(self._starts, end)
        candidates = []
        if following > 0:
            turn = self._latest_end[following - 1]
            candidates.append((turn, max(0.0, start - turn.end)))
        if following < len(self.turns):
            turn = self.turns[following]
            candidates.append((turn, turn.start - end))
        return min(candidates, key=lambda candidate: candidate[1], default=None)
