"""Lines from SRT and WebVTT files. Every pattern takes time in proportion to the text, whatever that holds."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from voiceclone_cli.errors import InputError
from voiceclone_cli.names import shown
from voiceclone_cli.script.line import Line, check_markup, clock_seconds

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_TIME_TAG = re.compile(r"<\d[\d:.]*>")
_BREAK = re.compile(r"\\[Nnh]")
_VOICE = re.compile(r"<v(?:\.[^\s<>.]*)*\s+([^\s<>][^<>]*)>")


class _Times:
    """How a format writes a cue's times; ``example`` is for messages."""

    def __init__(self, strict: str, loose: str, example: str) -> None:
        self._row = re.compile(rf"\s*{strict}\s*-->\s*{strict}(?:\s.*)?", re.ASCII)
        self._stamp = re.compile(loose, re.ASCII)
        self._example = example

    def seem_to_be(self, row: str) -> bool:
        """Whether a person, or another program, may take a row for the times of a cue."""
        return "-->" in row or len(self._stamp.findall(row)) == 2

    def read(self, row: str, number: int) -> tuple[float, float]:
        found = self._row.fullmatch(row)
        # A third stamp is a slip too.
        if found is None or len(self._stamp.findall(row)) != 2:
            raise InputError(
                f'line {number} should give the times of a cue, like "{self._example}", '
                f"but is {shown(row.strip())}.",
                code="script_time",
            )
        stamps = found.groups(default="0")
        return clock_seconds(*stamps[:4]), clock_seconds(*stamps[4:])


_SRT = _Times(
    r"(\d{1,2}):(\d{1,2}):(\d{1,2})[.,](\d{1,3})",
    r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}",
    "00:00:01,500 --> 00:00:03,000",
)
_VTT = _Times(
    r"(?:(\d{1,4}):)?(\d{2}):(\d{2})\.(\d{3})",
    r"(?:\d{1,4}:)?\d{2}:\d{2}\.\d{2,3}",
    "00:00:01.500 --> 00:00:03.000",
)


@dataclass(slots=True)
class _Cue:
    where: str
    times: tuple[float, float]
    number: str | None = None
    rows: list[str] = field(default_factory=list)


def parse_srt(text: str) -> Iterator[Line]:
    """A line for every cue; its number becomes the id."""
    cue: _Cue | None = None
    above = ""
    cues = 0
    for row_number, row in enumerate(text.split("\n"), 1):
        if _SRT.seem_to_be(row):
            times = _SRT.read(row, row_number)
            if cue is not None:
                _drop_next_number(cue.rows)
                yield _line(cue)
            cues += 1
            number = above.strip() if re.fullmatch(r"\s*[0-9]{1,9}\s*", above) else None
            cue = _Cue(f"cue {number or cues}", times, number)
        elif cue is not None:
            cue.rows.append(row)
        above = row
    if cue is not None:
        yield _line(cue)


def _drop_next_number(rows: list[str]) -> None:
    """Take the number of the cue that follows off the end of a cue's text, which is never that number alone."""
    while rows and not rows[-1].strip():
        rows.pop()
    if len(rows) > 1 and rows[-1].strip().isdecimal():
        rows.pop()


def parse_vtt(text: str) -> Iterator[Line]:
    """A line for every cue, with the speaker of its voice tag (``<v Anna>``)."""
    cue: _Cue | None = None
    cues = 0
    for row_number, raw in enumerate(text.split("\n"), 1):
        row = _TIME_TAG.sub("", raw)
        # Outside of a cue, names, notes and styles may hold anything but an arrow.
        if "-->" in row or (cue is not None and _VTT.seem_to_be(row)):
            times = _VTT.read(row, row_number)
            if cue is not None:
                yield _line(cue)
            cues += 1
            cue = _Cue(f"cue {cues}", times)
        elif cue is not None and row.strip():
            cue.rows.append(row)
        elif cue is not None:
            yield _line(cue)
            cue = None
    if cue is not None:
        yield _line(cue)


def plain(text: str) -> str:
    """The text of a cue without formatting: no tags, no entities, blanks for line breaks."""
    return _unescaped(_BREAK.sub(" ", _TAG.sub("", text)))


def looks_like_times(row: str) -> bool:
    """Whether a row of an SRT file would be taken for the times of a cue."""
    return _SRT.seem_to_be(row)


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character number of thousands of digits
        return text


def _line(cue: _Cue) -> Line:
    text = "\n".join(cue.rows)
    check_markup(text, cue.where)
    voices = {name for voice in _VOICE.findall(text) if (name := _unescaped(voice).strip())}
    if len(voices) > 1:
        named = " and ".join(sorted(voices)) if len(voices) == 2 else f"{len(voices)} speakers"
        raise InputError(
            f"{cue.where} is spoken by {named:.100}; write a cue for each of them.", code="script_speaker"
        )
    return Line(cue.where, *cue.times, plain(text), speaker=voices.pop() if voices else None, id=cue.number)
