"""A Script becomes a file to edit."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import are_safe_names, write_text_atomic
from voiceclone_cli.script.parsers import (
    MAX_SECONDS,
    SCHEMA,
    ScriptLine,
    clean_text,
    looks_like_times,
    parse_ass,
    parse_csv,
    parse_json,
    parse_srt,
    parse_vtt,
    plain,
    read_text,
)
from voiceclone_cli.script.speakers import assign_speakers
from voiceclone_cli.types import Diarization, Script, Segment
from voiceclone_worker.validation import MAX_TEXT, is_unicode, shown

# A script file becomes a Script.


MAX_LINES = 100_000
MAX_NOTES = 50
END_TOLERANCE = 0.5
"""Seconds. A last subtitle may stand a little longer than its film; it is then cut to the film's end."""

_PARSERS: dict[str, Callable[[str], Iterable[ScriptLine]]] = {
    ".srt": parse_srt,
    ".vtt": parse_vtt,
    ".ass": parse_ass,
    ".ssa": parse_ass,
    ".json": parse_json,
    ".csv": parse_csv,
    ".tsv": parse_csv,
}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}")


def read_script(
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
    lines: Sequence[ScriptLine],
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
    cast, notes = assign_speakers(timed, diarization, speakers)
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


def _check_text(line: ScriptLine) -> None:
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


def _with_times(line: ScriptLine, recording_seconds: float | None) -> ScriptLine:
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
    if are_safe_names(ids):
        return ids, []
    return numbered, ["The ids were numbered anew: some were missing, doubled or unfit to name a file."]


def _segment(line: ScriptLine, id: str, language: str) -> Segment:
    if line.language is not None and not _LANGUAGE.fullmatch(line.language):
        raise InputError(
            f'{line.where}: {shown(line.language)} is not a language code; write one like "en" or "es".',
            code="script_language",
        )
    return Segment(
        id, line.speaker or "", line.start, line.end, line.text, line.language or language, line.seed
    )


def write_script(path: Path, script: Script) -> None:
    """Write a script as JSON or SRT, by the extension; ``read`` takes either back without loss.

    In SRT the id is the cue's number and the language is the reader's to know; ids that are not numbers of
    four digits or more are lost there, all of them. The notes are not written.
    """
    check_format(path)
    to_text = to_json if path.suffix.lower() == ".json" else to_srt
    write_text_atomic(path, to_text(script))


def check_format(path: Path) -> None:
    """Raises InputError for a name that ``write`` would not take: to be known before the work."""
    if path.suffix.lower() not in (".json", ".srt"):
        raise InputError(
            f"A script is written as .json or .srt, not as {path.name!r}; choose one of those endings.",
            code="script_format",
        )


def to_json(script: Script) -> str:
    document = {
        "schema": SCHEMA,
        "language": script.language,
        "segments": [_row(segment) for segment in script.segments],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _row(segment: Segment) -> dict[str, Any]:
    """Without a seed, unless the line has its own."""
    return {key: value for key, value in asdict(segment).items() if key != "seed" or value is not None}


def to_srt(script: Script) -> str:
    cues = (
        f"{number}\n{_clock(segment.start)} --> {_clock(segment.end)}\n{_spoken(segment)}\n"
        for number, segment in zip(_numbers(script.segments), script.segments, strict=True)
    )
    return "\n".join(cues)


def _numbers(segments: Sequence[Segment]) -> Sequence[int]:
    ids = [segment.id for segment in segments]
    if all(id.isascii() and id.isdecimal() and id == f"{int(id):04d}" for id in ids):
        return [int(id) for id in ids]
    return range(1, len(ids) + 1)


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def _spoken(segment: Segment) -> str:
    """``[SPEAKER_00] text``, with entities in the rare case that some of it reads as formatting."""
    text = f"[{segment.speaker}] {segment.text}"
    if plain(text) == text and not looks_like_times(text):
        return text
    return "".join(f"&#{ord(character)};" if character in "&<>{\\:" else character for character in text)
