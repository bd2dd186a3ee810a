"""Lines from subtitle files, parsed by pysubs2 and checked for what it passes over in silence."""

from __future__ import annotations

import html
import re
import typing
import warnings
from collections.abc import Iterator

from voiceclone_cli.errors import InputError
from voiceclone_cli.script.line import Line

if typing.TYPE_CHECKING:
    from pysubs2 import SSAEvent

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^}]*\}")
_TIME_TAG = re.compile(r"<\d[\d:.]*>")
_BREAK = re.compile(r"\\[Nnh]")
_VOICE = re.compile(r"<v(?:\.[^\s<>]+)*\s+([^<>]+)>")
_SRT_STAMP = re.compile(r"\d{1,2}:\d{1,2}:\d{1,2}[.,]\d{1,3}")
_SRT_TIMES = re.compile(rf"\s*{_SRT_STAMP.pattern}\s*-->\s*{_SRT_STAMP.pattern}(?:\s.*)?")
_VTT_STAMP = re.compile(r"(?:\d{1,4}:)?\d{2}:\d{2}\.\d{2,3}")
_VTT_TIMES = re.compile(
    r"\s*(?:\d{1,4}:)?\d{2}:\d{2}\.\d{3}\s+-->\s+(?:\d{1,4}:)?\d{2}:\d{2}\.\d{3}(?:\s.*)?"
)
_ASS_STAMP = re.compile(r"\s*\d{1,2}:\d{1,2}:\d{1,2}\.\d{1,3}\s*")


def parse_srt(text: str) -> list[Line]:
    """A line for every cue; its number becomes the id."""
    rows = text.split("\n")
    numbers: list[str | None] = []
    for at, row in enumerate(rows):
        if looks_like_times(row):
            _check_times(row, at + 1, _SRT_TIMES, _SRT_STAMP, "00:00:01,500 --> 00:00:03,000")
            above = rows[at - 1].strip() if at else ""
            numbers.append(above if re.fullmatch("[0-9]{1,9}", above) else None)
    # pysubs2 takes a number at the end of a cue for that of the next cue: give the last cue one to lose.
    events = _events(text + "\n\n0\n", "srt", keep_html_tags=True)
    return [
        _cue(event, at, number) for at, (event, number) in enumerate(zip(events, numbers, strict=True), 1)
    ]


def parse_vtt(text: str) -> list[Line]:
    """A line for every cue, with the speaker of its voice tag (``<v Anna>``)."""
    events = _events("\n".join(_vtt_cue_rows(text)) + "\n\n0\n", "vtt", keep_html_tags=True)
    return [_cue(event, at, None) for at, event in enumerate(events, 1)]


def _vtt_cue_rows(text: str) -> Iterator[str]:
    """The rows of the cues alone: pysubs2 would add names, notes and styles to the cue before them."""
    in_cue = False
    for number, row in enumerate(text.split("\n"), 1):
        row = _TIME_TAG.sub("", row)
        if "-->" in row or (in_cue and len(_VTT_STAMP.findall(row)) == 2):
            _check_times(row, number, _VTT_TIMES, _VTT_STAMP, "00:00:01.500 --> 00:00:03.000")
            in_cue = True
            yield ""
        in_cue = in_cue and bool(row.strip())
        if in_cue:
            yield row


def parse_ass(text: str) -> list[Line]:
    """A line for every Dialogue that is text, with its Name (actor) as speaker. For ASS and SSA."""
    for number, row in enumerate(text.split("\n"), 1):
        if row.strip().startswith("Dialogue:"):
            fields = row.split(":", 1)[1].split(",", 9)
            if len(fields) < 10 or not all(map(_ASS_STAMP.fullmatch, fields[1:3])):
                raise InputError(
                    f"line {number} is not a Dialogue line of ten fields with times like 0:00:01.50.",
                    code="script_time",
                )
    events = [event for event in _events(text, "ass") if event.is_text]
    return [
        Line(
            f"dialogue {at}",
            event.start / 1000,
            event.end / 1000,
            event.plaintext,
            event.name.strip() or None,
        )
        for at, event in enumerate(events, 1)
    ]


def plain(text: str) -> str:
    """The text of a cue without formatting: no tags, no entities, blanks for line breaks."""
    return html.unescape(_BREAK.sub(" ", _TAG.sub("", text)))


def looks_like_times(row: str) -> bool:
    """Whether pysubs2, or a person, may take a row of an SRT file for the times of a cue."""
    return "-->" in row or len(_SRT_STAMP.findall(row)) == 2


def _check_times(row: str, number: int, times: re.Pattern[str], stamp: re.Pattern[str], example: str) -> None:
    # pysubs2 takes a row of three stamps for text, whatever stands between them.
    if not times.fullmatch(row) or len(stamp.findall(row)) != 2:
        raise InputError(
            f'line {number} should give the times of a cue, like "{example}", but is {row.strip()!r:.60}.',
            code="script_time",
        )


def _cue(event: SSAEvent, position: int, number: str | None) -> Line:
    where = f"cue {number or position}"
    voices = {clean for voice in _VOICE.findall(event.text) if (clean := html.unescape(voice).strip())}
    if len(voices) > 1:
        raise InputError(
            f"{where} is spoken by {' and '.join(sorted(voices))}; write a cue for each of them.",
            code="script_speaker",
        )
    return Line(
        where,
        event.start / 1000,
        event.end / 1000,
        plain(event.text),
        speaker=voices.pop() if voices else None,
        id=number,
    )


def _events(text: str, format_name: str, **options: bool) -> list[SSAEvent]:
    import pysubs2

    try:
        # It warns about styles, which nobody will see.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pysubs2.SSAFile.from_string(text, format_=format_name, **options).events
    # Broken files make it fail in many ways (ValueError, KeyError, TypeError...), none of them documented.
    except Exception as error:
        raise InputError(
            f"cannot be read as {format_name.upper()} ({error}); save it again with a subtitle editor.",
            code="script_format",
        ) from error
