"""Reading and writing of script files."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import are_safe_names, write_text_atomic
from voiceclone_cli.languages import EXAMPLES, language_of
from voiceclone_cli.script import parsers, subtitles
from voiceclone_cli.script.labels import COLONS
from voiceclone_cli.script.parsers import DamagedLine, ScriptLine
from voiceclone_cli.script.repeats import remove_repeats
from voiceclone_cli.script.sounds import OPENING, omitted_note, omitted_summary
from voiceclone_cli.script.speakers import assign_speakers
from voiceclone_cli.types import Diarization, OmittedText, Script, Segment
from voiceclone_worker.validation import MAX_TEXT, is_unicode, name_fault, shown

MAX_LINES = 100_000
MAX_NOTES = 50
END_TOLERANCE = 0.5
"""Seconds by which a line may end after the recording without a note; it is cut to the end of the recording."""
MAX_FAULTS = 10
"""Damaged lines that one message names."""
MAX_FAULT_TEXT = 400
"""Characters of these in one message."""

_OPTIONAL = ("seed", "original")
"""Keys of a segment that most have not."""

_PARSERS: dict[str, Callable[[str], Iterable[parsers.Parsed]]] = {
    ".srt": subtitles.parse_srt,
    ".vtt": subtitles.parse_vtt,
    ".ass": subtitles.parse_ass,
    ".ssa": subtitles.parse_ass,
    ".json": parsers.parse_json,
    ".csv": parsers.parse_csv,
    ".tsv": parsers.parse_csv,
}
FORMATS = tuple(_PARSERS)
"""Suffixes of script files."""


def read_script(
    path: Path,
    diarization: Diarization | None,
    *,
    language: str,
    speakers: Collection[str] = (),
    recording_seconds: float | None = None,
    labels: bool = True,
    sounds: bool = False,
    tags: bool = False,
    strict: bool = False,
    encoding: str | None = None,
) -> Script:
    """Read the lines of a script file, sorted by their start.

    ``language`` is the default for lines without one; ``speakers`` are names with a voice besides those of
    the diarization; ``recording_seconds`` is the length of the recording, if known; ``encoding`` that of a file that is
    not UTF-8, if the user said it. For the speaker of a
    line see :mod:`voiceclone_cli.script.speakers`, also for ``labels``, ``sounds`` and ``tags``; for repeated text see
    :mod:`voiceclone_cli.script.repeats`. Text that is not spoken is in ``omitted``, with its reason; a damaged line
    costs only itself, or with ``strict`` the file. Ids are renumbered if some are missing, duplicate or cannot name
    a file. The notes of the script report all this.

    Raises only InputError, with the name of the file and the line.
    """
    try:
        parse = _PARSERS.get(path.suffix.lower())
        if parse is None:
            raise InputError(
                f"has an unknown format; use one of {', '.join(_PARSERS)}.", code="script_format"
            )
        found = _Contents(recording_seconds)
        contents = parsers.read_text(path, encoding)
        found.notes.update(dict.fromkeys(contents.notes(path.name)))
        for item in parse(contents.text):
            found.add(item)
        return _build_script(
            found, diarization, language, speakers, labels=labels, sounds=sounds, tags=tags, strict=strict
        )
    except InputError as error:
        raise InputError(f"Script {path}: {error.message}", code=error.code) from error


@dataclass(slots=True)
class _Contents:
    """What a parser found in a file, checked against the bounds of a script and of the recording."""

    recording_seconds: float | None
    lines: list[ScriptLine] = field(default_factory=list)
    omitted: list[OmittedText] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    """Each note once, in order."""
    cut: list[DamagedLine] = field(default_factory=list)
    language: str = ""
    """What the file says its language is."""
    order: dict[str, int] = field(default_factory=dict)
    """Position of a line in the file, by its name."""

    def add(self, item: parsers.Parsed) -> None:
        """Check and add an item. Raises InputError for too many."""
        if isinstance(item, str):
            self.notes[item] = None
            return
        if isinstance(item, parsers.NamedLanguage):
            self.language = item.text
            return
        self.order.setdefault(item.where, len(self.order))
        # Checked for each item, so that a file of millions of lines is rejected early.
        if len(self.order) > MAX_LINES:
            raise InputError(f"has more than {MAX_LINES:,} lines; split it.", code="script_too_long")
        if isinstance(item, OmittedText):
            self.omitted.append(item)
            return
        try:
            _check_text(item)
            self.lines.append(self._within_recording(item))
        except InputError as error:
            self.omitted.append(parsers.damaged(item.where, item.text, error, (item.start, item.end)))

    def _within_recording(self, line: ScriptLine) -> ScriptLine:
        """Return the line with times in whole milliseconds, within the recording. Raises InputError."""
        start, end = round(line.start, 3), round(line.end, 3)
        if max(start, end) > parsers.MAX_SECONDS:
            raise InputError("is after 100 hours", code="script_time")
        if end <= start:
            raise InputError(f"ends at {end:.3f} s, not after its start at {start:.3f} s", code="script_time")
        limit = math.inf if self.recording_seconds is None else round(self.recording_seconds, 3)
        if start >= limit:
            raise InputError(
                f"starts at {start:.3f} s, after the recording, which ends at {limit:.3f} s",
                code="script_time",
            )
        if end <= 0:
            raise InputError(f"ends at {end:.3f} s, before the recording", code="script_time")
        if start < 0 or end > limit + END_TOLERANCE:
            fault = InputError(
                f"lasts from {start:.3f} to {end:.3f} s, beyond the recording", code="script_time"
            )
            self.cut.append(parsers.damaged(line.where, line.text, fault, (start, end)))
        start, end = max(0.0, start), min(end, limit)
        return line if (start, end) == (line.start, line.end) else replace(line, start=start, end=end)

    @property
    def damaged(self) -> list[DamagedLine]:
        """The damaged lines that are omitted."""
        return [item for item in self.omitted if isinstance(item, DamagedLine)]

    def in_order(self, omitted: Iterable[OmittedText]) -> tuple[OmittedText, ...]:
        """Return omitted text in the order of the file, as Unicode."""
        ordered = sorted(omitted, key=lambda item: self.order.get(item.where, len(self.order)))
        return tuple(
            OmittedText(item.where, item.start, item.end, _as_unicode(item.text), item.reason)
            for item in ordered
        )


def _check_text(line: ScriptLine) -> None:
    """Check text, speaker and language of a line. Raises InputError with a clause."""
    if not is_unicode(line.text):
        raise InputError("has text that is not Unicode", code="script_text")
    if len(line.text) > MAX_TEXT and len(parsers.clean_text(line.text)) > MAX_TEXT:
        raise InputError(
            f"has {len(line.text):,} characters, more than {MAX_TEXT:,}; split it", code="script_text"
        )
    if line.speaker is not None and (fault := name_fault(parsers.clean_text(line.speaker))) is not None:
        raise InputError(
            f"the speaker name {shown(line.speaker)} cannot name a folder, because it {fault}",
            code="unsafe_name",
        )
    if line.language is not None and language_of(line.language) is None:
        raise InputError(
            f"{shown(line.language)} is not a language code; write one like {EXAMPLES}",
            code="script_language",
        )


def _as_unicode(text: str) -> str:
    return text if is_unicode(text) else text.encode("utf-8", errors="replace").decode("utf-8")


def _list_faults(faults: Sequence[DamagedLine]) -> str:
    """Return where and what the faults are, and how many more there are, as parts of a sentence."""
    parts: list[str] = []
    for fault in faults[:MAX_FAULTS]:
        part = f"{fault.where}: {_as_unicode(fault.reason)}"
        if parts and len("; ".join((*parts, part))) > MAX_FAULT_TEXT:
            break
        parts.append(part[:MAX_FAULT_TEXT])
    more = len(faults) - len(parts)
    return "; ".join(parts) + (f"; and {more:,} more" if more else "")


def _fault_code(faults: Sequence[DamagedLine]) -> str:
    """Return the commonest code of the faults."""
    return Counter(fault.code for fault in faults).most_common(1)[0][0]


def _build_script(
    found: _Contents,
    diarization: Diarization | None,
    language: str,
    speakers: Collection[str],
    *,
    labels: bool,
    sounds: bool,
    tags: bool,
    strict: bool,
) -> Script:
    faults = found.damaged
    if strict and (faults or found.cut):
        every = sorted([*faults, *found.cut], key=lambda fault: found.order[fault.where])
        raise InputError(f"is refused because of --strict: {_list_faults(every)}.", code=_fault_code(every))
    notes = list(found.notes)
    if faults:
        lines = "1 line is" if len(faults) == 1 else f"{len(faults):,} lines are"
        notes.append(f"{lines} damaged and not spoken: {_list_faults(faults)}.")
    if found.cut:
        notes.append(f"Cut to the length of the recording: {_list_faults(found.cut)}.")
    timed = sorted(found.lines, key=lambda line: line.start)
    timed, repeated, repeat_notes = remove_repeats(timed)
    assigned = assign_speakers(
        timed, diarization, speakers, labels=labels, sounds=sounds, tags=tags, strict=strict
    )
    notes += [*repeat_notes, *assigned.notes]
    omitted = found.in_order([*found.omitted, *repeated, *assigned.omitted])
    kept = assigned.lines
    if not kept:
        if faults:
            raise InputError(
                f"has no line that can be spoken: {_list_faults(faults)}.", code=_fault_code(faults)
            )
        if any(character.isalnum() for omission in omitted for character in omission.text):
            summary = omitted_summary([omission.reason for omission in omitted])
            raise InputError(
                f"has no line of speech, only {summary}; check that it is the right file, or give --speak-sounds.",
                code="script_empty",
            )
        raise InputError("has no line with words; check that it is the right file.", code="script_empty")
    ids, id_notes = _ids([line.id for line in kept])
    segments = [
        Segment(
            id,
            line.speaker or "",
            line.start,
            line.end,
            line.text,
            (line.language and language_of(line.language)) or language,
            line.seed,
            line.original or "",
        )
        for line, id in zip(kept, ids, strict=True)
    ]
    more = len(notes) - MAX_NOTES
    if more > 0:
        notes[MAX_NOTES:] = [f"And {more:,} more notes like these."]
    if len(omitted) > len(faults):
        id_notes = [*id_notes, omitted_note([omission.reason for omission in omitted])]
    return Script(
        tuple(segments), (*notes, *id_notes), omitted, dict(assigned.found_by), named_language=found.language
    )


def _ids(given: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """Return the ids, with numbers padded to four digits, and a note if they were renumbered."""
    numbered = [f"{number:04d}" for number in range(1, len(given) + 1)]
    if not any(given):
        return numbered, []
    ids = [id.zfill(4) if id.isdecimal() else id for id in (id or "" for id in given)]
    are_numbers = all(len(id) < 10 and id.isascii() and id.isdecimal() for id in ids)
    if len(set(ids)) == len(ids) if are_numbers else are_safe_names(ids):
        return ids, []
    return numbered, ["The ids were renumbered: some were missing, duplicate or cannot name a file."]


def write_script(path: Path, script: Script, more: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write a script as JSON, SRT or WebVTT, by the extension, without its notes; read_script reads it without loss.

    SRT has no language, and the ids of subtitles are the numbers of cues: unless all ids are numbers of four or more
    digits, they are renumbered. ``more``: further keys of segments for JSON, by id.
    """
    check_format(path)
    suffix = path.suffix.lower()
    text = to_json(script, more) if suffix == ".json" else _WRITERS[suffix](script)
    write_text_atomic(path, text)


def is_script(path: Path) -> bool:
    """Return whether a file is a script, by its extension."""
    return path.suffix.lower() in _PARSERS


def check_format(path: Path) -> None:
    """Check that write_script supports the extension. Raises InputError."""
    if path.suffix.lower() not in (".json", *_WRITERS):
        raise InputError(
            f"{path.name!r} is not a script format for writing: choose a name that ends in .json, .srt or .vtt.",
            code="script_format",
        )


def to_json(script: Script, more: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Return a script as JSON (schema ``voiceclone.script/1``), without its notes; ``more`` as in ``write_script``."""
    document = {
        "schema": parsers.SCHEMA,
        "language": script.language,
        "segments": [
            {
                key: value
                for key, value in asdict(segment).items()
                if key not in _OPTIONAL or value not in (None, "")
            }
            | dict((more or {}).get(segment.id, {}))
            for segment in script.segments
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def to_srt(script: Script) -> str:
    """Return a script as SRT, with texts like ``[SPEAKER_00] Hello.``."""
    cues = (
        f"{number}\n{_clock(segment.start)} --> {_clock(segment.end)}\n{_cue_text(segment)}\n"
        for number, segment in zip(_cue_ids(script), script.segments, strict=True)
    )
    return "\n".join(cues)


def to_vtt(script: Script) -> str:
    """Return a script as WebVTT, with its language, and texts like ``<v SPEAKER_00>Hello.``."""
    cues = (
        f"{number}\n{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_voice_text(segment)}\n"
        for number, segment in zip(_cue_ids(script), script.segments, strict=True)
    )
    header = f"WEBVTT\nLanguage: {script.language}\n" if script.language else "WEBVTT\n"
    return "\n".join((header, *cues))


_WRITERS: dict[str, Callable[[Script], str]] = {".srt": to_srt, ".vtt": to_vtt}


def _cue_ids(script: Script) -> Sequence[int]:
    ids = [segment.id for segment in script.segments]
    if all(id.isascii() and id.isdecimal() and id == f"{int(id):04d}" for id in ids):
        return [int(id) for id in ids]
    return range(1, len(ids) + 1)


def _voice_text(segment: Segment) -> str:
    text = "".join(
        f"&#{ord(character)};" if character in "&<>{\\" else character for character in segment.text
    )
    return f"<v {segment.speaker}>{text}" if segment.speaker else text


def _clock(seconds: float, point: str = ",") -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return (
        f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
    )


def _cue_text(segment: Segment) -> str:
    """Return ``[SPEAKER_00] text``, with entities if it would otherwise be read as formatting or times."""
    # Without a colon, what follows could belong to the label: a colon, or a description in brackets.
    colon = ":" if segment.text[0] in f"{OPENING}{COLONS}" else ""
    text = f"[{segment.speaker}]{colon} {segment.text}" if segment.speaker else segment.text
    if subtitles.is_plain(text):
        return text
    return "".join(f"&#{ord(character)};" if character in "&<>{\\:" else character for character in text)
