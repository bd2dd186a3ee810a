"""A line as a script file gives it, before it has a speaker and an id."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from voiceclone_cli.errors import InputError

SCHEMA = "voiceclone.script/1"
"""What a JSON script calls itself."""
MAX_SECONDS = 100 * 3600 - 0.001
"""The latest time that subtitle files can hold: 99:59:59.999."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d+)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """``where`` names the line for messages ("cue 3"); None stands for what the file does not say."""

    where: str
    start: float
    end: float
    text: str
    speaker: str | None = None
    id: str | None = None
    language: str | None = None


def clean_text(text: str) -> str:
    """The text on one line: line breaks, tabs, control characters and runs of blanks become one blank."""
    return " ".join(_CONTROL.sub(" ", text).split())


def parse_time(value: object, where: str) -> float:
    """Seconds from a number, or from text like ``83.5``, ``1:23.5`` or ``0:01:23,500``."""
    seconds = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A whole number in JSON may be longer than any float.
        seconds = float(value) if abs(value) <= MAX_SECONDS else math.inf
    elif isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        hours, minutes, rest = clock.groups(default="0")
        seconds = float(hours) * 3600 + float(minutes) * 60 + float(rest.replace(",", "."))
    if not 0 <= seconds <= MAX_SECONDS:
        raise InputError(
            f"{where}: {value!r:.40} is not a time; write seconds (83.5) or h:mm:ss.mmm (0:01:23.500), "
            "from 0 to below 100 hours.",
            code="script_time",
        )
    return seconds
