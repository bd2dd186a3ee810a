"""A script file becomes a Script."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.names import are_safe, shown
from voiceclone_cli.script.csv_format import parse_csv
from voiceclone_cli.script.files import read_text
from voiceclone_cli.script.json_format import parse_json
from voiceclone_cli.script.line import MAX_SECONDS, Line, clean_text
from voiceclone_cli.script.speakers import cast_lines
from voiceclone_cli.script.substation import parse_ass
from voiceclone_cli.script.subtitles import parse_srt, parse_vtt
from voiceclone_cli.types import Diarization, Script, Segment
from voiceclone_worker.contract import MAX_TEXT, is_unicode

MAX_LINES = 100_000
MAX_NOTES = 50
END_TOLERANCE = 0.5
"""Seconds. A last subtitle may stand a little longer than its film; it is then cut to the film's end."""

_PARSERS: dict[str, Callable[[str], Iterable[Line]]] = {
    ".srt": parse_srt,
    ".vtt": parse_vtt,
    ".ass": parse_ass,
    ".ssa": parse_ass,
    ".json": parse_json,
    ".csv": parse_csv,
    ".tsv": parse_csv,
}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}")


def read(
    path: Path,
    diarization: Diarization | None,
    *,
    language: str,
    speakers: Collection[str] = (),
    recording_seconds: float | None = None,
) -> Script:
    """The lines of a script file, in the order of their start.

    ``language`` holds where the file says nothing; ``speakers`` are names that have a voice beside those of
    the diarization; ``recording_seconds`` is where the recording ends, when that is known. How a line gets
    its speaker stands in :mod:`voiceclone_cli.script.speakers`. Lines without a letter or digit are dropped,
    ids that are missing in part, doubled or unfit to name a file are numbered anew; both are noted.

    Raises InputError, and nothing else, with the file's name and the line it is about.
    """
    try:
        parse = _PARSERS.get(path.suffix.lower())
        if parse is None:
            raise InputError(
                f"is none of the formats a script may have: {', '.join(_PARSERS)}.", code="script_format"
            )
        # The parsers give line by line, so that a file of millions is refused at once.
        lines = list(islice(parse(read_text(path)), MAX_LINES + 1))
        return _script(lines, diarization, language, speakers, recording_seconds)
    except InputError as error:
        raise InputError(f"Script {path}: {error.message}", code=error.code) from error


def _script(
    lines: Sequence[Line],
    diarization: Diarization | None,
    language: str,
    speakers: Collection[str],
    recording_seconds: float | None,
) -> Script:
    if len(lines) > MAX_LINES:
        raise InputError(f"has more than {MAX_LINES:,} lines; split it.", code="script_too_long")
    for line in lines:
        _check_text(line)
    timed = sorted((_with_times(line, recording_seconds) for line in lines), key=lambda line: line.start)
    cast, notes = cast_lines(timed, diarization, speakers)
    spoken = []
    for line, (speaker, text) in zip(timed, cast, strict=True):
        if text:
            spoken.append(replace(line, speaker=speaker, text=text))
        else:
            notes.append(f"{line.where} left out: it has nothing to speak.")
    if not spoken:
        raise InputError("has no line to speak; check that it is the right file.", code="script_empty")
    ids, renumbered = _ids([line.id for line in spoken])
    segments = [_segment(line, id, language) for line, id in zip(spoken, ids, strict=True)]
    return Script(tuple(segments), (*_few(notes), *renumbered))


def _check_text(line: Line) -> None:
    if not is_unicode(line.text):
        raise InputError(f"{line.where} has text that is not Unicode; write it anew.", code="script_text")
    if len(line.text) > MAX_TEXT and len(clean_text(line.text)) > MAX_TEXT:
        raise InputError(
            f"{line.where} has {len(line.text):,} characters, more than {MAX_TEXT:,}; split it.",
            code="script_text",
        )


def _few(notes: Sequence[str]) -> list[str]:
    """The first notes, and how many more there were."""
    more = len(notes) - MAX_NOTES
    return [*notes[:MAX_NOTES], f"And {more:,} more notes like these."] if more > 0 else [*notes]


def _with_times(line: Line, recording_seconds: float | None) -> Line:
    """The line with times in whole milliseconds, inside the recording."""
    start, end = round(line.start, 3), round(line.end, 3)
    if max(start, end) > MAX_SECONDS:
        raise InputError(f"{line.where} lies beyond 100 hours; correct its times.", code="script_time")
    if end <= start:
        raise InputError(
            f"{line.where} ends at {end:.3f} s, not after its start at {start:.3f} s; correct its times.",
            code="script_time",
        )
    last = math.inf if recording_seconds is None else round(recording_seconds, 3)
    if end > last:
        if start >= last or end > last + END_TOLERANCE:
            raise InputError(
                f"{line.where} ({start:.3f} to {end:.3f} s) goes beyond the recording, which ends at "
                f"{last:.3f} s; correct its times or check that it is the right script.",
                code="script_time",
            )
        end = last
    return replace(line, start=start, end=end)


def _ids(given: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """The ids, numbers at four digits or more; and a note if those of the file could not be kept."""
    numbered = [f"{number:04d}" for number in range(1, len(given) + 1)]
    if not any(given):
        return numbered, []
    ids = [id.zfill(4) if id.isdecimal() else id for id in (id or "" for id in given)]
    if are_safe(ids):
        return ids, []
    return numbered, ["The ids were numbered anew: some were missing, doubled or unfit to name a file."]


def _segment(line: Line, id: str, language: str) -> Segment:
    if line.language is not None and not _LANGUAGE.fullmatch(line.language):
        raise InputError(
            f'{line.where}: {shown(line.language)} is not a language code; write one like "en" or "es".',
            code="script_language",
        )
    return Segment(
        id, line.speaker or "", line.start, line.end, line.text, line.language or language, line.seed
    )
