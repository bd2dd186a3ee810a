"""Script files at random, in every format, with the words that a reader must find in them.

Everything that people and programs do to such files is in here: markup, entities, labels, sounds, numbers at the end
of a text, rolling rows, layers, files that were joined, damaged times.
"""

from __future__ import annotations

import csv
import html
import io
import json
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

FORMATS = (".srt", ".vtt", ".ass", ".csv", ".json")

WORDS = [
    "hello",
    "there",
    "no",
    "yes",
    "never",
    "house",
    "drawings",
    "señora",
    "façade",
    "Straße",
    "привет",
    "мир",
    "你好",
    "今天",
    "नमस्ते",
    "שלום",
    "it's",
    "R&D",
    "AT&T",
    "1984",
    "12",
    "3.5",
    "24/7",
    "100%",
    "<3",
    "e-mail",
    "hello@example.org",
    "a",
    "b",
    "I",
]
ODD = (
    r"C:\new\house", "if a < b", "x<y and z>w", "<b and c>", "5 > 3", "{smiles}", "Q&A", "a -> b", "#1", "10:30", "--",
    "...", "half (of it)", "Note: this", "(or not)", "50 * 2", "&notes", "<i'm here>", "home --> work",
)  # fmt: skip
SOUNDS = (
    "(door slams)",
    "[music]",
    "♪ la la la ♪",
    "*laughs*",
    "[SIREN WAILS]",
    "(sighs)",
    "♪",
    "# tra la #",
)
LABELS = ("SPEAKER_00: ", "[SPEAKER_01] ", "Anna: ", "BEN: ", "(Anna) ", "【Ben】")


@dataclass(slots=True)
class Sample:
    """A file's content, the words of its text, and those of its labels, which may be text or speaker."""

    suffix: str
    content: str
    words: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    is_numbered: bool = False


def words_of(text: str) -> Counter[str]:
    """Return the words of a text: letters and digits, normalised; each Chinese character is one."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return Counter(re.findall(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+", normal))


@dataclass(slots=True)
class _Cue:
    start: int
    end: int
    rows: list[str]
    label: str = ""
    times: str | None = None
    """Damaged times to write instead."""


def make_sample(seed: int) -> Sample:
    """Return the file of this seed."""
    chooser = random.Random(seed)
    suffix = chooser.choice(FORMATS)
    cues = _cues(chooser, seconds=0)
    sample = Sample(suffix, "")
    write = {".srt": _srt, ".vtt": _vtt, ".ass": _ass, ".csv": _csv, ".json": _json}[suffix]
    sample.content = write(chooser, cues, sample)
    if suffix in (".srt", ".vtt", ".ass") and chooser.random() < 0.2:
        # A number that follows a text without a blank row, in a file that numbers some cues, may be either.
        joint = chooser.choice(["\n\n", "\n\n\ufeff"] if suffix == ".srt" else ["\n\n", "\n", "\ufeff"])
        if cues[-1].rows == [""]:
            joint = "\n\n"  # what follows the times of a cue without a row between is its text
        more = write(chooser, _cues(chooser, seconds=chooser.choice([0, 100])), sample)
        sample.content = sample.content.rstrip("\n") + joint + more
    elif sample.is_numbered and chooser.random() < 0.1:
        sample.content = sample.content.replace("\n", "\n\n")
    if chooser.random() < 0.2:
        sample.content = sample.content.replace("\n", "\r\n")
    if chooser.random() < 0.2:
        sample.content = "\ufeff" + sample.content
    return sample


def _cues(chooser: random.Random, seconds: int) -> list[_Cue]:
    cues: list[_Cue] = []
    at = seconds * 1000 + chooser.choice([-500, 0, 1000])
    labelled = chooser.random() < 0.4
    for _ in range(chooser.randint(1, 8)):
        length = chooser.choice([0, 10, 900, 2000, -300]) if chooser.random() < 0.2 else 1500
        rows = [_row(chooser) for _ in range(chooser.choice([1, 1, 1, 2, 2, 3]))]
        if chooser.random() < 0.15:
            rows.append(str(chooser.choice([12, 1984, 7])))
        if chooser.random() < 0.05:
            rows = [chooser.choice(["...", "♪", ""])]
        label = ""
        if labelled and chooser.random() < 0.8 and not rows[0].startswith(("-", "–", ">>")):
            label = chooser.choice(LABELS)
        cue = _Cue(at, at + length, rows, label)
        if chooser.random() < 0.05:
            cue.times = chooser.choice(["00:00:05,000 --> soon", "00:01 --> soon", "00:00:05,000 -->"])
        cues.append(cue)
        if chooser.random() < 0.1:  # a layer, or the same people again
            cues.append(_Cue(at, at + length, list(rows), label))
        at += chooser.choice([1500, 2000, 100])
    if chooser.random() < 0.2:
        cues = _rolling(cues)
    return cues


def _rolling(cues: Sequence[_Cue]) -> list[_Cue]:
    """Return the cues as a video site writes them: the last row again above the next one."""
    rolling: list[_Cue] = []
    for at, cue in enumerate(cues):
        above = [cues[at - 1].rows[-1]] if at else []
        rolling.append(_Cue(at * 2000, at * 2000 + 1990, [*above, *cue.rows], times=cue.times))
        rolling.append(_Cue(at * 2000 + 1990, at * 2000 + 2000, [cue.rows[-1]]))
    return rolling


def _row(chooser: random.Random) -> str:
    parts = chooser.choices(WORDS, k=chooser.randint(1, 6))
    if chooser.random() < 0.25:
        parts.insert(chooser.randint(0, len(parts)), chooser.choice(ODD))
    if chooser.random() < 0.15:
        parts.insert(chooser.choice([0, len(parts)]), chooser.choice(SOUNDS))
    if chooser.random() < 0.1:
        parts.insert(0, chooser.choice(["-", "–", ">>", "- "]))
    return " ".join(parts) + chooser.choice(["", ".", "?", "!"])


def _mark_up(chooser: random.Random, row: str, tags: Sequence[tuple[str, str]]) -> str:
    """Write some signs as references and put tags around some words."""
    words = []
    for word in row.split(" "):
        written = word
        if "&" in word and chooser.random() < 0.5:
            written = word.replace("&", "&amp;")
        elif "<" in word and chooser.random() < 0.5:
            written = html.escape(word)
        elif word.isalpha() and chooser.random() < 0.1:
            before, after = chooser.choice(tags)
            written = f"{before}{word}{after}"
        elif word.isalpha() and chooser.random() < 0.05:
            written = "".join(f"&#{ord(sign)};" for sign in word)
        words.append(written)
    return " ".join(words)


_TAGS = (
    ("<i>", "</i>"),
    ("<B>", "</B>"),
    ('<font color="#fff">', "</font>"),
    ("{\\an8}", ""),
    ("<u>", "</u>"),
    ("", "<br>"),
)
_VTT_TAGS = (
    *_TAGS[:2],
    ("<c.red>", "</c>"),
    ("<00:00:01.000>", ""),
    ("<b.loud>", "</b>"),
    ("<lang en>", "</lang>"),
)


def _count(sample: Sample, cue: _Cue) -> None:
    for row in cue.rows:
        sample.words += words_of(row)
    sample.labels += words_of(cue.label)
    if cue.times is not None:
        sample.labels += Counter({"soon": 1})  # the words of damaged times may be text


def _clock(milliseconds: int, separator: str = ",") -> str:
    sign, rest = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    minutes, rest = divmod(rest, 60_000)
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{separator}{rest % 1000:03d}"


def _srt(chooser: random.Random, cues: Sequence[_Cue], sample: Sample) -> str:
    numbered = chooser.choice(["all", "all", "none", "some"])
    blank = "\n" if numbered != "all" or chooser.random() < 0.7 else ""
    parts = []
    for number, cue in enumerate(cues, chooser.choice([1, 1, 0])):
        _count(sample, cue)
        rows = [_mark_up(chooser, row, _TAGS) for row in cue.rows]
        times = cue.times or f"{_clock(cue.start)} --> {_clock(cue.end)}"
        if numbered == "all" or (numbered == "some" and chooser.random() < 0.6):
            times = f"{number}\n{times}"
        if cue.times is None and chooser.random() < 0.05:
            times += " behind the times"
            sample.words += words_of("behind the times")
        # Some programs leave the breaks of ASS; they are breaks if the cue has no other backslash.
        row_end = "\\N" if "\\" not in "".join(cue.rows) and chooser.random() < 0.1 else "\n"
        text = cue.label + row_end.join(rows)
        parts.append(f"{times}\n{text}\n{blank}")
    sample.is_numbered = numbered == "all"
    return "".join(parts)


def _vtt(chooser: random.Random, cues: Sequence[_Cue], sample: Sample) -> str:
    parts = [chooser.choice(["WEBVTT\n\n", "WEBVTT\nKind: captions\nLanguage: en\n\n"])]
    for number, cue in enumerate(cues, 1):
        _count(sample, cue)
        rows = [_mark_up(chooser, row, _VTT_TAGS) for row in cue.rows]
        if chooser.random() < 0.1:
            rows[-1] += f" <ruby>漢<rt>kan{number}</rt></ruby>"
            sample.words += words_of(f"漢 kan{number}")
        if chooser.random() < 0.1:
            rows.insert(0, "<v Anna>")
            rows.append("<v SPEAKER_01>well</v>")
            sample.words += words_of("well")
        if chooser.random() < 0.1:
            rows.append(" ")
        if chooser.random() < 0.1:
            rows.append(f"\nstray{number} words")  # an empty row ends the cue
            sample.words += words_of(f"stray{number} words")
        if chooser.random() < 0.1:
            parts.append("NOTE not spoken\nat all\n\n")
        name = chooser.choice(["", "", f"{number}\n", "intro\n"])
        times = cue.times or f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')} align:start"
        text = cue.label + "\n".join(rows)
        parts.append(f"{name}{times}\n{text}\n\n")
    return "".join(parts)


def _ass(chooser: random.Random, cues: Sequence[_Cue], sample: Sample) -> str:
    parts = ["[Script Info]\nTitle: x\n\n[V4+ Styles]\nStyle: Default\n\n[Events]\nFormat: Layer, Start, End, Style, "
             "Name, MarginL, MarginR, MarginV, Effect, Text\n"]  # fmt: skip
    for cue in cues:
        # Here \n is a break by the format, and braces hide what is in them.
        cue.rows = [row.replace("\\", "/").replace("{", "(").replace("}", ")") for row in cue.rows]
        _count(sample, cue)
        rows = [row.replace(" ", chooser.choice([" ", "\\h", " {\\i1}"]), 1) for row in cue.rows]
        if chooser.random() < 0.1:
            rows[-1] += "{a pun}"
            sample.words += words_of("a pun")
        if chooser.random() < 0.1:
            rows[-1] += "{\\p1}m 0 0 l 10 10{\\p0}"
        position = chooser.choice(["", "", "{\\pos(10,20)}"])
        text = position + cue.label + chooser.choice(["\\N", "\\n"]).join(rows)
        start, end = (_clock(time // 10 * 10, ".")[:-1] for time in (cue.start, cue.end))
        times = cue.times.replace(",", ".").replace("-->", ",") if cue.times else f"{start},{end}"
        name = chooser.choice(["", "", "Anna"])
        parts.append(f"Dialogue: 0,{times},Default,{name},0,0,0,,{text}\n")
        if chooser.random() < 0.1:
            parts.append("Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not spoken\n")
    return "".join(parts)


def _table(cues: Sequence[_Cue], sample: Sample) -> list[dict[str, object]]:
    for cue in cues:
        _count(sample, cue)
    return [
        {
            "start": cue.times or cue.start / 1000,
            "end": cue.end / 1000,
            "text": cue.label + "\n".join(cue.rows),
        }
        for cue in cues
    ]


def _csv(chooser: random.Random, cues: Sequence[_Cue], sample: Sample) -> str:
    table = io.StringIO()
    delimiter = chooser.choice(",;\t")
    writer = csv.DictWriter(table, ["start", "end", "text"], delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_table(cues, sample))
    if chooser.random() < 0.1:
        table.write(f'9{delimiter}10{delimiter}"broken "quotes" here\n')
        sample.words += words_of("9 10 broken quotes here")
    return table.getvalue()


def _json(chooser: random.Random, cues: Sequence[_Cue], sample: Sample) -> str:
    rows: list[object] = [*_table(cues, sample)]
    if chooser.random() < 0.1:
        rows.append({"start": 1, "end": 2, "text": "seedy words", "seed": -1})
        sample.words += words_of("seedy words")
    return json.dumps(rows, ensure_ascii=chooser.random() < 0.5)
