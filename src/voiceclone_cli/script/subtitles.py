"""Parsers of subtitle files: SubRip, WebVTT and ASS/SSA.

What counts as text is decided in favour of the text: a tag, an entity or a number of a cue is removed only if it
is well-formed and stands where the format has it. Text that is not shown, such as the reading above a ruby
character, becomes OmittedText.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html.entities import html5

from voiceclone_cli.errors import InputError
from voiceclone_cli.script.parsers import (
    MAX_MARKUP,
    DamagedLine,
    NamedLanguage,
    Parsed,
    ScriptLine,
    damaged,
    share_time,
)
from voiceclone_cli.types import OmittedText
from voiceclone_worker.validation import shown

_TIME = r"(-?)(?:(\d{1,4})\s?:\s?)?(\d{1,2})\s?:\s?(\d{1,2})(?:\s?[.,]\s?(\d{1,3}))?"
_FULL_TIME = r"(-?)(\d{1,4}):(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s+(.*))?", re.ASCII)
_TIMES_WITHOUT_ARROW = re.compile(rf"\s*{_FULL_TIME}\s*(?:\s|-{{1,2}}\s?>|[–—]\s?>|→)\s*{_FULL_TIME}()\s*")
_TIMES_LIKE = re.compile(r"\s*(?:-?\d{1,4}\s?:\s?\d|-->\s*\d+:\d)", re.ASCII)
_ANY_FULL_TIME = re.compile(r"\d:\d{2}:\d{2}[.,]\d", re.ASCII)
_TIME_TAG = re.compile(r"<\d{1,4}:\d{2}(?::\d{2})?[.,]\d{1,3}>", re.ASCII)
_THIRD_TIME = re.compile(r"-?\d+:\d+[:.,]", re.ASCII)
_CUE_SETTING = re.compile(r"[A-Za-z][\w-]*:\S+", re.ASCII)
_NUMBER = re.compile(r"\s*(\d{1,9})\s*", re.ASCII)
_EXAMPLE = "00:00:01,500 --> 00:00:03,000"


@dataclass(frozen=True, slots=True)
class _Times:
    """A row with the times of a cue, the text behind them, and what is wrong with them."""

    start: float
    end: float
    text: str
    fault: InputError | None = None


def _parse_times(row: str) -> _Times | None:
    """Return the times in a row; None if it does not look like the times of a cue."""
    if ":" not in row:
        return None
    if "-->" in row:
        match = _TIMES.fullmatch(row)
        if match is None:
            row = _TIME_TAG.sub("", row)
            if not _TIMES_LIKE.match(row) and not _ANY_FULL_TIME.search(row):
                return None
    elif row.count(":", 0, 80) >= 4:
        match = _TIMES_WITHOUT_ARROW.fullmatch(row)
        if match is None:
            return None
    else:
        return None
    tail = (match[11] or "").strip() if match else ""
    if match is None or "-->" in tail or _THIRD_TIME.match(tail):
        fault = InputError(f"its times are {shown(row.strip())}, not like {_EXAMPLE}", code="script_time")
        words = [word for word in row.split() if any(map(str.isalpha, word))]
        return _Times(0.0, 0.0, " ".join(words), fault)
    if all(_CUE_SETTING.fullmatch(word) for word in tail.split()):
        tail = ""
    fields = match.groups(default="0")
    return _Times(_seconds(*fields[:5]), _seconds(*fields[5:10]), tail)


def _seconds(sign: str, hours: str, minutes: str, seconds: str, fraction: str) -> float:
    """Return the seconds of a time given by its digits; the fraction has up to three."""
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    milliseconds = whole * 1000 + int(fraction.ljust(3, "0"))
    return (-milliseconds if sign == "-" else milliseconds) / 1000


def parse_srt(text: str) -> Iterator[Parsed]:
    """Parse the cues of a SubRip file; their numbers become the ids.

    A number above the times of a cue is the number of the cue only if it fits the numbers of the file, and the
    last word of the cue before otherwise.
    """
    rows = text.split("\n")
    for at in _heading_rows(rows):
        rows[at] = ""
    found = [
        (at, times) for at, row in enumerate(rows) if ":" in row and (times := _parse_times(row)) is not None
    ]
    numbers = _cue_numbers(rows, [at for at, _ in found])
    where_of = _Names()
    ends = [number[0] if number else at for number, (at, _) in zip(numbers, found, strict=True)]
    yield from _outside(rows, 0, ends[0] if ends else len(rows))
    last_number, last_start = -1, 0.0
    for count, (at, times) in enumerate(found):
        number = numbers[count]
        id = number[1] if number else None
        where = where_of.name(f"cue {id or count + 1}", at + 1)
        if number is not None:
            if int(number[1]) <= min(1, last_number) and times.start < last_start:
                yield _joined_note(number[0] + 1)
            last_number = int(number[1])
        last_start = times.start
        until = ends[count + 1] if count + 1 < len(ends) else len(rows)
        cue = ScriptLine(where, times.start, times.end, "", id=id)
        yield from _cue_lines(cue, times, rows[at + 1 : until], _SRT_MARKUP)


class _Names:
    """Names of cues in messages; a name that comes again has the number of its row."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def name(self, name: str, row: int) -> str:
        if name in self._used:
            name = f"{name} (line {row})"
        self._used.add(name)
        return name


def _joined_note(row: int) -> str:
    return (
        f"Another file begins in line {row}, as if files had been joined: its times are taken as they are, "
        "from the start of the recording."
    )


_BREAKS_NOTE = "\\N in the text is read as a line break, as in ASS files; write &#92;N to keep it."
_BACKSLASH = re.compile(r"\\(.?)")
_PATH = re.compile(r"[A-Za-z]:\\|\\\\")


def _has_ass_breaks(text: str) -> bool:
    r"""Tell whether ``\N`` in the text of a cue is a line break, which some converters leave there.

    It is one if the cue has no other backslash, and no path such as ``C:\New``.
    """
    if "\\N" not in text:
        return False
    text = _OVERRIDES.sub("", text)
    return all(found[1] == "N" for found in _BACKSLASH.finditer(text)) and not _PATH.search(text)


def _heading_rows(rows: Sequence[str]) -> Iterator[int]:
    """Yield the positions of the rows in headings of WebVTT files, also of those that were joined."""
    at = 0
    while at < len(rows):
        if not rows[at].startswith("WEBVTT"):
            at += 1
            continue
        # In the middle of a file, only a row of this word alone, or one with the usual rows below it.
        after = rows[at + 1].strip() if at + 1 < len(rows) else ""
        is_first = not any(row.strip() for row in rows[:at]) if at < 10 else False
        is_word = rows[at].strip() == "WEBVTT"
        is_alone = is_word and _parse_times(rows[at - 1]) is None
        is_followed = (is_word or not rows[at - 1].strip()) and _HEADING.match(after) is not None
        if not (is_first or is_alone or is_followed) or _parse_times(rows[at]) is not None:
            at += 1
            continue
        while at < len(rows) and rows[at].strip() and _parse_times(rows[at]) is None:
            yield at
            at += 1


_HEADING = re.compile(r"(?:Kind|Language|X-TIMESTAMP-MAP|Region|Style)\s*[:=]", re.IGNORECASE)


def _cue_numbers(rows: Sequence[str], times: Sequence[int]) -> list[tuple[int, str] | None]:
    """Return the position and the digits of each cue's number; None if it has none.

    ``times`` are the positions of the rows with times. A number stands directly above them; in files that have
    a blank row after every row, one blank row lies between. It is the number of the cue if it fits: above the
    first cue, or in sequence with other numbers of the file, or below a blank row of a file that numbers its
    cues. The rest of the numbers is text.
    """
    distance = 2 if _is_double_spaced(rows, times) else 1
    found: list[tuple[int, str] | None] = []
    for at in times:
        row = at - distance
        match = _NUMBER.fullmatch(rows[row]) if row >= 0 else None
        found.append((row, match[1]) if match else None)
    spaced = [number is not None and (number[0] == 0 or not rows[number[0] - 1].strip()) for number in found]
    values = [int(number[1]) if number else None for number in found]
    offsets = Counter(
        value - count for count, value in enumerate(values) if value is not None and spaced[count]
    )
    is_numbered = bool(values) and (values[0] is not None or None not in values[1:])
    complete = None not in values
    accepted: list[tuple[int, str] | None] = []
    expected: int | None = None
    for count, value in enumerate(values):
        following = values[count + 1] if count + 1 < len(values) else None
        fits = value is not None and (
            count == 0
            or complete
            or value == expected
            or (following == value + 1 and (is_numbered or spaced[count]))
            or (value in (0, 1) and (spaced[count] or values[0] is not None))  # another file begins
            or (spaced[count] and (is_numbered or value <= count + 1 or offsets[value - count] > 1))
        )
        accepted.append(found[count] if fits else None)
        expected = value + 1 if fits and value is not None else expected + 1 if expected is not None else None
    return accepted


def _is_double_spaced(rows: Sequence[str], times: Sequence[int]) -> bool:
    """Tell whether every row of a file is followed by a blank one, the number of the first cue too."""
    if not times or times[0] < 2 or rows[times[0] - 1].strip() or not _NUMBER.fullmatch(rows[times[0] - 2]):
        return False
    return all(
        not rows[at].strip() for start in times[:50] for at in (start - 1, start + 1) if at < len(rows)
    )


_LANGUAGE = re.compile(r"^Language:[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)


def parse_vtt(text: str) -> Iterator[Parsed]:
    """Parse the cues of a WebVTT file, with the name in a voice tag (``<v Anna>``) as speaker.

    Only an empty row ends a cue. Text outside of cues that is no note, style or name of a cue is omitted.
    """
    header = text.lstrip("\n").partition("\n\n")[0]
    if named := _LANGUAGE.search(header):
        yield NamedLanguage(named[1])
    rows = text.split("\n")
    headings = list(_heading_rows(rows))
    for at in headings:
        rows[at] = ""
    for before, at in zip([-1, *headings], headings, strict=False):
        if at != before + 1 and before >= 0:
            yield _joined_note(at + 1)
    found = {
        at: times for at, row in enumerate(rows) if ":" in row and (times := _parse_times(row)) is not None
    }
    # Without an empty row above it, the number of a cue would be text of the cue before.
    for number in _cue_numbers(rows, list(found)):
        if number is not None:
            rows[number[0]] = ""
    count = 0
    block = 0
    cue: tuple[ScriptLine, _Times, int] | None = None
    for at, row in enumerate(rows):
        times = found.get(at)
        if times is None and row:
            continue
        # An empty row or the times of a cue: the rows since ``block`` are complete.
        if cue is not None:
            yield from _cue_lines(*cue[:2], rows[cue[2] : at], _VTT_MARKUP)
            cue = None
        elif block < at and not _COMMENT.match(rows[block]):
            # The row above the times is the name of the cue.
            yield from _outside(rows, block, at - 1 if times is not None else at)
        block = at + 1
        if times is not None:
            count += 1
            cue = ScriptLine(f"cue {count}", times.start, times.end, ""), times, at + 1
    if cue is not None:
        yield from _cue_lines(*cue[:2], rows[cue[2] :], _VTT_MARKUP)
    elif block < len(rows) and not _COMMENT.match(rows[block]):
        yield from _outside(rows, block, len(rows))


_COMMENT = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


def _outside(rows: Sequence[str], first: int, last: int) -> Iterator[Parsed]:
    """Yield the rows from ``first`` to before ``last`` that have a word, as one text that belongs to no cue."""
    kept = [at for at in range(first, last) if any(map(str.isalnum, rows[at]))]
    if kept:
        sections, hidden = _read_markup("\n".join(rows[at] for at in kept), _VTT_MARKUP, False)
        text = "\n".join([*(part for _, part in sections), *(part for part, _ in hidden)])
        yield DamagedLine(f"line {kept[0] + 1}", None, None, text, "it stands outside of a cue")


_ATTRIBUTES = r"""(?:\s+[\w-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s<>"']+))*\s*"""
_NAMES = "b|i|u|s|c|em|strong|strike|del|ins|small|big|sub|sup|span|div|p|tt|br|ruby|rt|rp|rb|rtc|lang|BR"
_OVERRIDE_NAMES = (
    "an?|[bius]|[xy]?bord|[xy]?shad|be|blur|fsc[xy]|fsp|fs|fr[xyz]?|fa[xy]|fe|[1-4]?c|[1-4]a|alpha|q|pos|move|org"
    "|fade?|t|i?clip|pbo|p|[kK]|k[fo]"
)
_OVERRIDE = rf"\{{(?:\\(?:(?:{_OVERRIDE_NAMES})(?![A-Za-z])|fn|r)[^\\{{}}]*)+\}}"
_OVERRIDES = re.compile(_OVERRIDE)
_MARKUP = (
    rf"<(/?)({_NAMES})(?:\.[A-Za-z][\w-]*)*{_ATTRIBUTES}/?>"
    r"|</?font\b[^<>]*>|<a\s[^<>]*>|</a>|<lang\s+[\w-]+>|</v>"
    rf"|<\d{{1,4}}:\d{{2}}(?::\d{{2}})?[.,]\d{{1,3}}>|{_OVERRIDE}"
)
_VOICE = r"<v(?:\.[^\s<>]*)?\s+([^\s<>][^<>]*)>"
_VTT_MARKUP = re.compile(rf"{_MARKUP}|{_VOICE}", re.IGNORECASE | re.ASCII)
_SRT_MARKUP = re.compile(
    rf"{_MARKUP}|(?:^|(?<=</v>)|(?<=</v>\s)){_VOICE}", re.IGNORECASE | re.ASCII | re.MULTILINE
)
"""Here ``<v Anna>`` is a voice only at the start of a row, or after the end of another one."""
_DASHES = re.compile(r"^[-–—]+(?![-–—.,]?\d)\s*|\s*\n[-–—]+\Z")
_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MARKUP_SIGNS = re.compile(r"[<&{\\]")


def _cue_lines(
    cue: ScriptLine, times: _Times, rows: Sequence[str], markup: re.Pattern[str]
) -> Iterator[Parsed]:
    """Yield the cue with the plain text of its rows, a line for each of its voices, and its hidden text."""
    text = "\n".join(row for row in (times.text, *rows) if row and not row.isspace())
    if len(text) > MAX_MARKUP:
        fault = InputError(
            f"has {len(text):,} characters with its formatting, more than {MAX_MARKUP:,}", code="script_text"
        )
        yield damaged(cue.where, text, fault, (cue.start, cue.end))
        return
    breaks = _has_ass_breaks(text)
    if breaks:
        yield _BREAKS_NOTE
    sections, hidden = _read_markup(text, markup, breaks)
    if times.fault is not None:
        yield damaged(
            cue.where,
            "\n".join([*(part for _, part in sections), *(part for part, _ in hidden)]),
            times.fault,
        )
        return
    if len(sections) == 1:
        ((voice, part),) = sections
        yield ScriptLine(cue.where, cue.start, cue.end, part, voice, cue.id)
    else:
        lines = share_time(cue, [part for _, part in sections])
        for line, (voice, _) in zip(lines, sections, strict=True):
            yield replace(line, speaker=voice)
    for part, reason in hidden:
        yield OmittedText(cue.where, cue.start, cue.end, part, reason)


def _read_markup(
    text: str, markup: re.Pattern[str], breaks: bool
) -> tuple[list[tuple[str | None, str]], list[tuple[str, str]]]:
    """Return the sections of a cue, each with its voice and plain text, and the hidden text with its reason."""
    if not _MARKUP_SIGNS.search(text):
        return [(None, _tidy(text))], []
    sections: list[tuple[str | None, list[str]]] = [(None, [])]
    hidden: list[list[str]] = []
    in_ruby = is_hidden = False
    at = 0
    for tag in markup.finditer(text):
        (hidden[-1] if is_hidden else sections[-1][1]).append(text[at : tag.start()])
        at = tag.end()
        name = (tag[2] or "").lower()
        opens = not tag[1]
        if tag[3]:
            sections.append((_unescape(tag[3]).strip() or None, []))
        elif name == "br":
            sections[-1][1].append("\n")
        elif name == "ruby":
            in_ruby, is_hidden = opens, False
        elif name in ("rt", "rp", "rb", "rtc"):
            is_hidden = in_ruby and opens and name in ("rt", "rp")
            if is_hidden:
                hidden.append([])
    (hidden[-1] if is_hidden else sections[-1][1]).append(text[at:])

    def plain(parts: Sequence[str]) -> str:
        whole = "".join(parts)
        return _tidy(_unescape(whole.replace("\\N", "\n") if breaks else whole))

    merged: list[tuple[str | None, str]] = []
    for voice, parts in sections:
        section = plain(parts)
        if len(sections) > 1:  # the dashes of a dialogue stand outside of its voices
            section = _DASHES.sub("", section)
        if merged and (merged[-1][0] == voice or not any(map(str.isalnum, section))):
            merged[-1] = merged[-1][0], f"{merged[-1][1]} {section}".strip()
        elif merged and not any(map(str.isalnum, merged[-1][1])):
            merged[-1] = voice, f"{merged[-1][1]} {section}".strip()
        else:
            merged.append((voice, section))
    texts = [plain(parts) for parts in hidden]
    return merged, [(part, "the reading of a ruby text") for part in texts if any(map(str.isalnum, part))]


def _tidy(text: str) -> str:
    """Remove blanks around rows, and rows without anything else."""
    if "\n" not in text:
        return text.strip()
    return "\n".join(row for row in map(str.strip, text.split("\n")) if row)


def _unescape(text: str) -> str:
    """Replace character references; only whole ones, since ``Q&A`` and ``&notes`` are text."""
    return _ENTITY.sub(_referenced, text) if "&" in text else text


def _referenced(reference: re.Match[str]) -> str:
    name = reference[1]
    if name[0] != "#":
        return html5.get(f"{name};", reference[0])
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    is_character = 0 < code < 0x110000 and not 0xD800 <= code < 0xE000
    return chr(code) if is_character else reference[0]


def is_plain(text: str) -> bool:
    """Tell whether a text on one row of an SRT cue would be read as it is."""
    if "\\N" in text or _parse_times(text) is not None:
        return False
    return not _MARKUP_SIGNS.search(text) or _read_markup(text, _SRT_MARKUP, False) == ([(None, text)], [])


_ASS_FORMAT = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_ASS_TIME = re.compile(r"\s*(-?)(\d{1,3}):(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?\s*", re.ASCII)
_ASS_KINDS = re.compile(r"\s*(?:(Dialogue|Format)|Comment|Picture|Sound|Movie|Command)\s*:", re.IGNORECASE)
_ASS_BREAK = re.compile(r"\\[Nn]")
_ASS_DRAWING_MODE = re.compile(r"\\p(\d+)")
_ASS_DRAWING = re.compile(r"[\smnlbspc\d.eE+-]*")
_ASS_POSITION = re.compile(r"\\(?:pos|move|org|i?clip)\s*\(")


def parse_ass(text: str) -> Iterator[Parsed]:
    """Parse the Dialogue lines of an ASS or SSA file, with their Name (actor) as speaker; skip drawings.

    Lines with the same times are shown one above the other, like the rows of a cue: they share their time,
    except those with a given position on the picture.
    """
    found: list[tuple[Parsed, bool]] = []
    fields: Sequence[str] = _ASS_FORMAT
    in_events = False
    count = 0
    for number, row in enumerate(text.split("\n"), 1):
        if row.startswith("["):
            in_events = row.strip().casefold() == "[events]"
            continue
        kind = _ASS_KINDS.match(row)
        if kind is None:
            if in_events and any(map(str.isalnum, row)) and not row.lstrip().startswith((";", "!")):
                stray = DamagedLine(f"line {number}", None, None, row.strip(), "is not a Dialogue line")
                found.append((stray, False))
            continue
        rest = row[kind.end() :]
        if (kind[1] or "").casefold() == "format":
            if in_events:
                fields = _ass_fields(rest) or fields
        elif (kind[1] or "").casefold() == "dialogue":
            items, has_position = _dialogue(rest, fields, f"line {number}", count + 1)
            count += any(isinstance(item, ScriptLine) for item in items)
            found += [(item, has_position) for item in items]
    lines = [item for item, has_position in found if isinstance(item, ScriptLine) and not has_position]
    shared = _shared_times(lines)
    for item, _ in found:
        yield shared.get(item.where, item) if isinstance(item, ScriptLine) else item


def _ass_fields(names: str) -> Sequence[str] | None:
    """Return the fields of a Format row, with the name of older files for the actor; None if they are unusable."""
    fields = ["name" if (name := cell.strip().casefold()) == "actor" else name for cell in names.split(",")]
    return fields if fields[-1] == "text" and {"start", "end"} <= set(fields) else None


def _dialogue(row: str, fields: Sequence[str], where: str, count: int) -> tuple[list[Parsed], bool]:
    """Return the line and the hidden text of a Dialogue row, and whether it has a given position."""
    cells = row.split(",", len(fields) - 1)
    values = dict(zip(fields, cells, strict=False))
    times = [_ASS_TIME.fullmatch(values.get(name, "")) for name in ("start", "end")]
    if len(cells) < len(fields) or None in times:
        fault = InputError(
            f"is not a Dialogue line of {len(fields)} fields with times like 0:00:01.50", code="script_time"
        )
        text, hidden, _ = _read_overrides(values.get("text", row))
        return [damaged(where, "\n".join([text, *(part for part, _ in hidden)]), fault)], False
    start, end = (_seconds(*time.groups(default="0")) for time in times if time is not None)
    if len(cells[-1]) > MAX_MARKUP:
        fault = InputError(
            f"has {len(cells[-1]):,} characters with its formatting, more than {MAX_MARKUP:,}",
            code="script_text",
        )
        return [damaged(where, cells[-1], fault, (start, end))], False
    plain, hidden, is_drawing = _read_overrides(cells[-1])
    items: list[Parsed] = []
    name = f"dialogue {count}"
    if plain or not is_drawing:
        items.append(ScriptLine(name, start, end, plain, values.get("name", "").strip() or None))
    items += [OmittedText(name, start, end, part, reason) for part, reason in hidden]
    return items, "\\" in cells[-1] and _ASS_POSITION.search(cells[-1]) is not None


def _read_overrides(text: str) -> tuple[str, list[tuple[str, str]], bool]:
    r"""Return a text without its overrides (``{\i1}``), the hidden text with its reason, and if it is a drawing."""
    if "}" not in text:
        return _ass_plain(text), [], False
    plain: list[str] = []
    hidden: list[tuple[str, str]] = []
    is_drawing = has_drawing = False

    def add(part: str) -> None:
        if not is_drawing:
            plain.append(part)
        elif not _ASS_DRAWING.fullmatch(part):
            hidden.append((_ass_plain(part), "text in a drawing"))

    *closed, last = text.split("}")
    for part in closed:
        before, brace, inside = part.partition("{")
        add(before if brace else f"{part}}}")
        comment = inside.partition("\\")[0].strip()
        if any(map(str.isalnum, comment)):
            hidden.append((comment, "a comment in braces"))
        for mode in _ASS_DRAWING_MODE.findall(inside):
            is_drawing = int(mode) > 0
            has_drawing |= is_drawing
    add(last)
    return _ass_plain("".join(plain)), hidden, has_drawing


def _ass_plain(text: str) -> str:
    if "\\" not in text:
        return text.strip()
    return _tidy(_ASS_BREAK.sub("\n", text).replace("\\h", " "))


def _shared_times(lines: Sequence[ScriptLine]) -> dict[str, ScriptLine]:
    """Return the lines, by name, that share the time of others; the same text takes the same part of it."""
    counts = Counter((line.start, line.end) for line in lines)
    groups: dict[tuple[float, float], dict[str, list[ScriptLine]]] = {}
    for line in lines:
        if counts[line.start, line.end] > 1 and any(map(str.isalnum, line.text)):
            groups.setdefault((line.start, line.end), {}).setdefault(line.text, []).append(line)
    return {
        line.where: replace(line, start=part.start, end=part.end)
        for same in groups.values()
        if len(same) > 1
        for part, copies in zip(
            share_time(next(iter(same.values()))[0], list(same)), same.values(), strict=True
        )
        for line in copies
    }
