"""Reading and writing of script files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import are_safe_names, write_text_atomic
from voiceclone_cli.script import parsers
from voiceclone_cli.script.sounds import omitted_note
from voiceclone_cli.script.speakers import assign_speakers
from voiceclone_cli.types import Diarization, Script, Segment
from voiceclone_worker.validation import MAX_TEXT, is_unicode, shown

MAX_LINES = 100_000
MAX_NOTES = 50
END_TOLERANCE = 0.5
"""Seconds by which a line may end after the recording; it is then cut to the end of the recording."""

_PARSERS: dict[str, Callable[[str], Iterable[parsers.ScriptLine]]] = {
    ".srt": parsers.parse_srt,
    ".vtt": parsers.parse_vtt,
    ".ass": parsers.parse_ass,
    ".ssa": parsers.parse_ass,
    ".json": parsers.parse_json,
    ".csv": parsers.parse_csv,
    ".tsv": parsers.parse_csv,
}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,4}")


def read_script(
    path: Path,
    diarization: Diarization | None,
    *,
    language: str,
    speakers: Collection[str] = (),
    recording_seconds: float | None = None,
    labels: bool = True,
    sounds: bool = False,
    strict: bool = False,
) -> Script:
    """Read the lines of a script file, sorted by their start.

    ``language`` is the default for lines without one; ``speakers`` are names with a voice besides those of
    the diarization; ``recording_seconds`` is the length of the recording, if known. For the speaker of a
    line see :mod:`voiceclone_cli.script.speakers`, also for ``labels``, ``sounds`` and ``strict``. Text that is not
    spoken is in ``omitted``; ids are renumbered, with a note, if some are missing, duplicate or cannot name a file.

    Raises only InputError, with the name of the file and the line.
    """
    try:
        parse = _PARSERS.get(path.suffix.lower())
        if parse is None:
            raise InputError(
                f"has an unknown format; use one of {', '.join(_PARSERS)}.", code="script_format"
            )
        # The parsers are lazy, so that a file of millions of lines is rejected early.
        lines = list(islice(parse(parsers.read_text(path)), MAX_LINES + 1))
        return _build_script(
            lines,
            diarization,
            language,
            speakers,
            recording_seconds,
            labels=labels,
            sounds=sounds,
            strict=strict,
        )
    except InputError as error:
        raise InputError(f"Script {path}: {error.message}", code=error.code) from error


def _build_script(
    lines: Sequence[parsers.ScriptLine],
    diarization: Diarization | None,
    language: str,
    speakers: Collection[str],
    recording_seconds: float | None,
    *,
    labels: bool,
    sounds: bool,
    strict: bool,
) -> Script:
    if len(lines) > MAX_LINES:
        raise InputError(f"has more than {MAX_LINES:,} lines; split it.", code="script_too_long")
    for line in lines:
        _check_text(line)
    timed = sorted(
        (_with_checked_times(line, recording_seconds) for line in lines), key=lambda line: line.start
    )
    assigned = assign_speakers(timed, diarization, speakers, labels=labels, sounds=sounds, strict=strict)
    kept, notes, omitted = assigned.lines, assigned.notes, assigned.omitted
    if not kept:
        raise InputError("has no line with words; check that it is the right file.", code="script_empty")
    ids, id_notes = _ids([line.id for line in kept])
    segments = [_segment(line, id, language) for line, id in zip(kept, ids, strict=True)]
    more = len(notes) - MAX_NOTES
    if more > 0:
        notes[MAX_NOTES:] = [f"And {more:,} more notes like these."]
    if omitted:
        id_notes = [*id_notes, omitted_note(omitted)]
    return Script(tuple(segments), (*notes, *id_notes), tuple(omitted), dict(assigned.found_by))


def _check_text(line: parsers.ScriptLine) -> None:
    if not is_unicode(line.text):
        raise InputError(f"{line.where} has text that is not Unicode; write it again.", code="script_text")
    if len(line.text) > MAX_TEXT and len(parsers.clean_text(line.text)) > MAX_TEXT:
        raise InputError(
            f"{line.where} has {len(line.text):,} characters, more than {MAX_TEXT:,}; split it.",
            code="script_text",
        )


def _with_checked_times(line: parsers.ScriptLine, recording_seconds: float | None) -> parsers.ScriptLine:
    """Return the line with times in whole milliseconds, within the recording."""
    start, end = round(line.start, 3), round(line.end, 3)
    if max(start, end) > parsers.MAX_SECONDS:
        raise InputError(f"{line.where} is after 100 hours; correct its times.", code="script_time")
    if end <= start:
        raise InputError(
            f"{line.where} ends at {end:.3f} s, not after its start at {start:.3f} s; correct its times.",
            code="script_time",
        )
    limit = math.inf if recording_seconds is None else round(recording_seconds, 3)
    if end > limit:
        if start >= limit or end > limit + END_TOLERANCE:
            raise InputError(
                f"{line.where} ({start:.3f} to {end:.3f} s) exceeds the recording, which ends at "
                f"{limit:.3f} s; correct its times or check that it is the right script.",
                code="script_time",
            )
        end = limit
    return replace(line, start=start, end=end)


def _ids(given: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Return the ids, with numbers padded to four digits, and a note if they were renumbered."""
    numbered = [f"{number:04d}" for number in range(1, len(given) + 1)]
    if not any(given):
        return numbered, []
    ids = [id.zfill(4) if id.isdecimal() else id for id in (id or "" for id in given)]
    if are_safe_names(ids):
        return ids, []
    return numbered, ["The ids were renumbered: some were missing, duplicate or cannot name a file."]


def _segment(line: parsers.ScriptLine, id: str, language: str) -> Segment:
    if line.language is not None and not _LANGUAGE.fullmatch(line.language):
        raise InputError(
            f'{line.where}: {shown(line.language)} is not a language code; write one like "en" or "es".',
            code="script_language",
        )
    return Segment(
        id, line.speaker or "", line.start, line.end, line.text, line.language or language, line.seed
    )


def write_script(path: Path, script: Script) -> None:
    """Write a script as JSON or SRT, by the extension, without its notes; read_script reads it without loss.

    SRT has no language, and its ids are the numbers of cues: unless all ids are numbers of four or more
    digits, they are renumbered.
    """
    check_format(path)
    to_text = to_json if path.suffix.lower() == ".json" else to_srt
    write_text_atomic(path, to_text(script))


def check_format(path: Path) -> None:
    """Check that write_script supports the extension. Raises InputError."""
    if path.suffix.lower() not in (".json", ".srt"):
        raise InputError(
            f"{path.name!r} is not a script format for writing: choose a name that ends in .json or .srt.",
            code="script_format",
        )


def to_json(script: Script) -> str:
    """Return a script as JSON (schema ``voiceclone.script/1``), without its notes."""
    document = {
        "schema": parsers.SCHEMA,
        "language": script.language,
        "segments": [
            {key: value for key, value in asdict(segment).items() if key != "seed" or value is not None}
            for segment in script.segments
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def to_srt(script: Script) -> str:
    """Return a script as SRT, with texts like ``[SPEAKER_00] Hello.``."""
    ids = [segment.id for segment in script.segments]
    numbers: Sequence[int] = range(1, len(ids) + 1)
    if all(id.isascii() and id.isdecimal() and id == f"{int(id):04d}" for id in ids):
        numbers = [int(id) for id in ids]
    cues = (
        f"{number}\n{_clock(segment.start)} --> {_clock(segment.end)}\n{_cue_text(segment)}\n"
        for number, segment in zip(numbers, script.segments, strict=True)
    )
    return "\n".join(cues)


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def _cue_text(segment: Segment) -> str:
    """Return ``[SPEAKER_00] text``, with entities if it would otherwise be read as formatting or times."""
    text = f"[{segment.speaker}] {segment.text}"
    if parsers.plain_text(text) == text and not parsers.resembles_srt_times(text):
        return text
    return "".join(f"&#{ord(character)};" if character in "&<>{\\:" else character for character in text)
