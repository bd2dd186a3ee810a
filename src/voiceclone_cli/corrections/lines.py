"""Corrections that make other lines: a line split or dropped, two lines joined.

A split or joined line ends, and lines with numbers of their own follow it: from FIRST_ID on, which no line of a script
is likely to have, and which stay as they are in subtitles. What was corrected in a line before thus stays apart from
what is corrected in the lines that follow it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypedDict

from voiceclone_cli.errors import InputError
from voiceclone_cli.messages import listed
from voiceclone_cli.script.parsers import clean_text, parse_time
from voiceclone_cli.script.typography import break_points
from voiceclone_cli.types import OmittedText, Segment, Word
from voiceclone_worker.speech_units import speech_units
from voiceclone_worker.validation import MAX_TEXT, shown

FIRST_ID = 9001
SHORTEST = 0.1
"""Seconds of the shortest part of a split line."""
DROPPED = "dropped with redo"
"""Reason of text that is not spoken."""


@dataclass(frozen=True, slots=True)
class Split:
    """A line to split: at a time, or before the words."""

    id: str
    seconds: float | None = None
    """From the start of the recording."""
    words: str = ""


class NewLine(TypedDict):
    """A line that follows another one."""

    id: str
    text: str
    start: float
    end: float
    """Seconds."""


class LineChange(TypedDict):
    """Lines that ended, and those that follow them."""

    kind: str
    """"split", "join" or "drop"."""
    ids: list[str]
    texts: list[str]
    """Of the lines that ended. Lines that say something else by now stay as they are."""
    parts: list[NewLine]
    in_script: bool
    """Whether the script, fed back from the run directory, has the change already."""


def parse_split(value: str) -> Split:
    """Return what ``ID@TIME``, or ``ID@WORDS`` with or without quotes, asks for. Raises InputError."""
    id, sign, at = (part.strip() for part in value.partition("@"))
    quoted = re.fullmatch(r"""(["'“‘「])(.+)(["'”’」])""", at)
    words = clean_text(quoted[2] if quoted else at)
    if not (id and sign and any(character.isalnum() for character in words)):
        raise InputError(
            f"--split takes ID@TIME or ID@WORDS, as in --split 0007@12.5 or --split '0007@and then', not {value!r:.60}.",
            code="bad_pair",
        )
    if not quoted:
        try:
            return Split(id, parse_time(at))
        except InputError:
            pass  # words
    return Split(id, words=words)


def parse_move(value: str) -> tuple[str, float, bool]:
    """Return the id of ``ID=TIME``, its seconds, and whether they are relative (``+0.4``, ``-0.4``). Raises InputError."""
    id, _, at = (part.strip() for part in value.partition("="))
    try:
        if id:
            return id, parse_time(at.removeprefix("+")), at[:1] in ("+", "-")
    except InputError:
        pass  # told below, with an example
    raise InputError(
        f"--move takes ID=TIME, as in --move 0007=12.5, or --move 0007=-0.4 for earlier, not {value!r:.60}.",
        code="bad_pair",
    )


def split(segment: Segment, at: Split, recognised: Sequence[Word], new_ids: Iterator[str]) -> LineChange:
    """Return the change that splits a line in two.

    The place in the text, or in time, is that of the recognised words (of the whole recording) where the line says
    just these; else both are shared by units of speech. ``new_ids``: of `free_ids`. Raises InputError
    where a part would be empty or shorter than SHORTEST.
    """
    words = _words_of(segment, recognised)
    if at.seconds is None:
        cut = _position(segment, at.words)
        end, start = _times_at(segment, words, cut)
    else:
        start = end = round(at.seconds, 3)
        if not segment.start + SHORTEST <= start <= segment.end - SHORTEST:
            raise InputError(
                f"{segment.id} lasts from {segment.start:.3f} to {segment.end:.3f} s and cannot be split at "
                f"{start:.3f} s; give a time between them.",
                code="bad_split",
            )
        cut = _position_at(segment, words, start)
    texts = segment.text[:cut].strip(), segment.text[cut:].strip()
    if not all(any(character.isalnum() for character in text) for text in texts):
        raise InputError(
            f"{segment.id} cannot be split there, because a part would have no words; give the words that the second "
            f"part begins with, as in --split '{segment.id}@and then'.",
            code="bad_split",
        )
    if end - segment.start < SHORTEST or segment.end - start < SHORTEST:
        raise InputError(
            f"{segment.id} cannot be split there, because a part would be shorter than {SHORTEST} s.",
            code="bad_split",
        )
    parts = [
        NewLine(id=next(new_ids), text=texts[0], start=segment.start, end=end),
        NewLine(id=next(new_ids), text=texts[1], start=start, end=segment.end),
    ]
    return LineChange(kind="split", ids=[segment.id], texts=[segment.text], parts=parts, in_script=False)


def join(first: Segment, second: Segment, others: Sequence[Segment], new_ids: Iterator[str]) -> LineChange:
    """Return the change that joins two lines of a speaker, of whom ``others`` has no line between them.

    Raises InputError where they cannot be one line.
    """
    first, second = sorted((first, second), key=lambda segment: (segment.start, segment.end))
    if first.speaker != second.speaker:
        raise InputError(
            f"{first.id} is spoken by {first.speaker}, {second.id} by {second.speaker}; give one of them to the other "
            f"speaker too: --speaker {second.id}={first.speaker} --join {first.id} {second.id}.",
            code="bad_join",
        )
    if first.language != second.language:
        raise InputError(
            f"{first.id} is in the language {first.language}, {second.id} in {second.language}; lines of two languages "
            "cannot be joined.",
            code="bad_join",
        )
    between = [
        segment.id
        for segment in others
        if segment.speaker == first.speaker and first.start < segment.start < second.start
    ]
    if between:
        raise InputError(
            f"{first.speaker} says {between[0]} between {first.id} and {second.id}; join {first.id} and {between[0]} "
            "first.",
            code="bad_join",
        )
    text = clean_text(f"{first.text}\n{second.text}")
    if len(text) > MAX_TEXT:
        raise InputError(
            f"{first.id} and {second.id} have {len(text):,} characters together, more than {MAX_TEXT:,}.",
            code="bad_join",
        )
    return LineChange(
        kind="join",
        ids=[first.id, second.id],
        texts=[first.text, second.text],
        parts=[NewLine(id=next(new_ids), text=text, start=first.start, end=max(first.end, second.end))],
        in_script=False,
    )


def drop(segment: Segment) -> LineChange:
    """Return the change that drops a line."""
    return LineChange(kind="drop", ids=[segment.id], texts=[segment.text], parts=[], in_script=False)


def fits(change: LineChange, segments: Mapping[str, Segment]) -> bool:
    """Return whether the lines that a change replaces are there and say what they said, and its new ids are free."""
    found = [segments.get(id) for id in change["ids"]]
    return (
        [segment.text if segment else None for segment in found] == change["texts"]
        and len({segment.speaker for segment in found if segment}) == 1
        and not any(part["id"] in segments for part in change["parts"])
    )


def parts_of(change: LineChange, segments: Mapping[str, Segment]) -> list[Segment]:
    """Return the lines that follow those which a change replaces; where these have moved by now, so have the parts."""
    replaced = [segments[id] for id in change["ids"]]
    start, end = min(old.start for old in replaced), max(old.end for old in replaced)
    made = change["parts"]
    if not made:
        return []
    first, last = made[0]["start"], max(part["end"] for part in made)
    scale = (end - start) / (last - first) if last > first else 1.0

    # Of a line that is split, either part may be said by any of its words.
    original = clean_text("\n".join(old.original for old in replaced if old.original))

    def moved(seconds: float) -> float:
        return seconds if (start, end) == (first, last) else round(start + (seconds - first) * scale, 3)

    return [
        replace(
            replaced[0],
            id=part["id"],
            text=part["text"],
            start=moved(part["start"]),
            end=moved(part["end"]),
            seed=None,
            original=original,
        )
        for part in made
    ]


def _omitted(segment: Segment) -> OmittedText:
    """Return a dropped line as text that is not spoken."""
    return OmittedText(f"line {segment.id}", segment.start, segment.end, segment.text, DROPPED)


class CorrectedLines:
    """The lines of a script with corrections, which may be added to: each edit of a command sees those before it.

    ``segments``: lines without corrections. ``changes``: what makes other lines, the oldest first. ``correction_of``
    returns a line as its correction says by now; None without one that fits it. ``unfit``: ids of lines with
    corrections.
    """

    def __init__(
        self,
        segments: Iterable[Segment],
        changes: Iterable[LineChange],
        correction_of: Callable[[Segment], Segment | None],
        unfit: Iterable[str],
    ) -> None:
        self._correction_of = correction_of
        self._originals: dict[str, Segment] = {}
        """Also parts that were made of other lines."""
        self.segments: dict[str, Segment] = {}
        self.dropped: list[OmittedText] = []
        self.seen: set[str] = set()
        """Ids of all lines that there are, or were before they were replaced."""
        self.unfit = set(unfit)
        """Ids of lines whose corrections fit no line."""
        for segment in segments:
            self._add(segment)
        for change in changes:
            self.change(change)

    def _add(self, segment: Segment) -> None:
        self.seen.add(segment.id)
        self._originals[segment.id] = segment
        self.correct(segment.id)

    def correct(self, id: str) -> None:
        """Let a line be as its correction says by now."""
        corrected = self._correction_of(self._originals[id])
        if corrected:
            self.unfit.discard(id)
        self.segments[id] = corrected or self._originals[id]

    def change(self, change: LineChange) -> None:
        """Replace lines, or note that they are not those which the change was made for."""
        if not fits(change, self.segments):
            self.unfit.update(change["ids"])
            return
        parts = parts_of(change, self.segments)
        replaced = [self.segments.pop(id) for id in change["ids"]]
        if not parts:
            self.dropped += map(_omitted, replaced)
        for part in parts:
            self._add(part)

    def find(self, id: str) -> Segment:
        """Return a line by its id, or by the number in it. Raises InputError."""
        found = self.segments.get(id) or self.segments.get(id.zfill(4))
        if found is None:
            raise InputError(
                f"there is no line {shown(id)}; the lines are {listed(in_id_order(self.segments))}.",
                code="unknown_line",
            )
        return found

    def in_order(self) -> tuple[Segment, ...]:
        """Return the lines by their start."""
        return tuple(sorted(self.segments.values(), key=lambda segment: segment.start))


def in_id_order(ids: Iterable[str]) -> list[str]:
    """Return ids by their numbers: "9001" comes before "10000"."""
    return sorted(ids, key=lambda id: (len(id), id))


def free_ids(taken: Collection[str]) -> Iterator[str]:
    """Yield numbers from FIRST_ID on, without those that lines have or had."""
    number = FIRST_ID
    while True:
        if (id := str(number)) not in taken:
            yield id
        number += 1


def _position(segment: Segment, words: str) -> int:
    """Return where in the text the words begin. Raises InputError where they are not found once, behind others."""
    text, wanted = segment.text.casefold(), words.casefold()
    # In scripts with blanks no word is cut; the text's own length may differ from that of its folded form.
    edge = r"(?<!\w)" if wanted[0].isascii() else ""
    found = [match.start() for match in re.finditer(edge + re.escape(wanted), text)]
    if len(text) != len(segment.text):
        found = [match.start() for match in re.finditer(re.escape(words), segment.text)]
    if not found:
        raise InputError(
            f"{segment.id} does not say {shown(words)}; its text is {shown(segment.text)}.", code="bad_split"
        )
    if len(found) > 1:
        raise InputError(
            f"{segment.id} says {shown(words)} {len(found)} times; give more of the words that the second part begins "
            "with.",
            code="bad_split",
        )
    return found[0]


def _words_of(segment: Segment, recognised: Sequence[Word]) -> list[Word]:
    """Return the recognised words of a line; none where it does not say just these."""
    words = [
        word
        for word in recognised
        if segment.start <= (word.start + word.end) / 2 <= segment.end and word.text.strip()
    ]
    said, written = (
        "".join(character for character in text.casefold() if character.isalnum())
        for text in ("".join(word.text for word in words), segment.text)
    )
    return words if said == written else []


def _ends_of(words: Sequence[Word]) -> list[int]:
    """Return how many letters and digits there are up to the end of each word."""
    return list(accumulate(sum(map(str.isalnum, word.text)) for word in words))


def _times_at(segment: Segment, words: Sequence[Word], cut: int) -> tuple[float, float]:
    """Return when the text before a position ends and the text behind it starts, in seconds."""
    before = sum(map(str.isalnum, segment.text[:cut]))
    at = bisect_right(_ends_of(words), before)
    if 0 < at < len(words):
        return round(words[at - 1].end, 3), round(words[at].start, 3)
    shares = speech_units(segment.text[:cut]), speech_units(segment.text)
    seconds = round(segment.start + (segment.end - segment.start) * shares[0] / max(1, shares[1]), 3)
    return seconds, seconds


def _position_at(segment: Segment, words: Sequence[Word], seconds: float) -> int:
    """Return where in the text to cut at a time: at the beginning of the word that is spoken then, or nearest to it."""

    def distance(cut: int) -> float:
        end, start = _times_at(segment, words, cut)
        return max(end - seconds, seconds - start, 0.0)

    points = break_points(segment.text, segment.language)
    return min(points, key=distance, default=len(segment.text))
