"""A line as a script file gives it, before it has a speaker and an id."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from voiceclone_cli.errors import InputError
from voiceclone_cli.names import shown

SCHEMA = "voiceclone.script/1"
"""What a JSON script calls itself."""
MAX_SECONDS = 100 * 3600 - 0.001
"""The latest time that subtitle files can hold: 99:59:59.999."""
MAX_MARKUP = 100_000
"""Characters of a line's text before its formatting is taken away."""

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
    seed: int | None = None


def clean_text(text: str) -> str:
    """The text on one line: line breaks, tabs, control characters and runs of blanks become one blank."""
    return " ".join(_CONTROL.sub(" ", text).split())


def parse_time(value: object, where: str) -> float:
    """Seconds from a number, or from text like ``83.5``, ``1:23.5`` or ``0:01:23,500``. Raises InputError."""
    seconds = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # A whole number in JSON may be longer than any float.
        seconds = float(value) if abs(value) <= MAX_SECONDS else math.inf
    elif isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        hours, minutes, rest = clock.groups(default="0")
        seconds = float(hours) * 3600 + float(minutes) * 60 + float(rest.replace(",", "."))
    if not 0 <= seconds <= MAX_SECONDS:
        raise InputError(
            f"{where}: {shown(value)} is not a time; write seconds (83.5) or h:mm:ss.mmm (0:01:23.500), "
            "from 0 to below 100 hours.",
            code="script_time",
        )
    return seconds


def check_markup(text: str, where: str) -> None:
    """Raises InputError for a line's text, formatting included, that is beyond any use."""
    if len(text) > MAX_MARKUP:
        raise InputError(
            f"{where} has {len(text):,} characters, more than {MAX_MARKUP:,} with its formatting; split it.",
            code="script_text",
        )


def clock_seconds(hours: str, minutes: str, seconds: str, fraction: str) -> float:
    """Seconds from the digits of a time; the fraction has up to three."""
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000
