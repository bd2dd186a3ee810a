"""Speaker labels in the text of a cue: who says which of its rows.

A row may begin with a dialogue dash or ``>>`` (another speaker than before), and with a label: ``[ANNA] text``,
``(ANNA)``, ``【ANNA】``, ``ANNA: text``, ``ANNA (on the phone): text``, each with or without a colon and a blank after
it, in full-width characters too. A row without either continues the row before it.

Subtitles also begin with sounds (``[laughs]``) and words such as ``Note:``, so a label counts as a name only if

- it is a known speaker, or has the form SPEAKER_00, or
- it begins at least two rows, and such labels begin at least half of the file's lines, or
- it is in square brackets and no speakers are known, so that the line would have no speaker without it.

Subtitles for the hard of hearing name people who need not have a voice. Such a label is not read aloud either: a role
(``MAN:``, ``NARRATOR:``), a name with a description (``Anna (on the phone):``), a name after ``>>``, and a name in
capitals where the file has several and is not written in capitals throughout.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from voiceclone_cli.script.sounds import CLOSING, OPENING, PARENTHESES, SOUND_WORDS, TAG_OPENING
from voiceclone_worker.validation import file_key

_PAIRS = frozenset(zip(OPENING, CLOSING, strict=True))
COLONS = ":：﹕︰∶"
DASHES = "\\-‐‑‒–—―−⁃﹘﹣－"
_SENTENCE_END = '.?!…。？！｡♪♫)\\]）】"”’»」』'
_ENDS = frozenset(_SENTENCE_END.replace("\\", ""))

_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_SEPARATORS = re.compile(r"[\s_-]+")
_EDGE_JOINERS = re.compile("(?:(?<=\\s)|^)[\u200c\u200d]+|[\u200c\u200d]+(?=\\s|$)")
"""Joiners are part of the spelling within a word, as in Persian and Hindi, and nothing at its edges."""

_SIGNIFICANT = re.compile(rf"[{re.escape(OPENING)}{COLONS}{DASHES}>＞≫]|&gt;")
"""What no row without a label, a dash or a chevron contains."""
_CHEVRONS = r"(?:>{2,}|＞{2,}|(?:&gt;){2,}|≫)"
_CHANGE = re.compile(rf"\s*{_CHEVRONS}\s*")
_INNER_CHANGE = re.compile(rf"(?<=[{_SENTENCE_END}\-–—])\s+(?={_CHEVRONS})")
_DASH = re.compile(rf"\s*[{DASHES}]{{1,2}}(\s*)(?=\S)")
_INNER_DASH = re.compile(rf"(?<=[{_SENTENCE_END}])\s+(?=[{DASHES}]\s|[{DASHES}][^\W\d_])")
_BRACKETED = re.compile(
    rf"\s*([{re.escape(OPENING)}])\s*([^{re.escape(OPENING + CLOSING)}]{{1,100}}?(?:\s*[(（][^()（）\[\]]{{1,60}}[)）])?)"
    rf"\s*([{re.escape(CLOSING)}])\s*"
    rf"(?:[(（\[]([^()（）\[\]]{{1,60}})[)）\]]\s*(?=[{COLONS}]))?[{COLONS}]?\s*(.*)",
    re.DOTALL,
)
_BEFORE_COLON = re.compile(
    rf"\s*([^{COLONS}{re.escape(OPENING + CLOSING)}]{{1,100}}?)\s*(?:[(（\[]([^()（）\[\]]{{1,60}})[)）\]]\s*)?"
    rf"([{COLONS}])(?!//)(\s*)(.*)",
    re.DOTALL,
)
_NAME = re.compile(r"(?=\w*[^\W\d_])[\w][\w .'’&,/#-]{0,39}")
_MAX_NAME_WORDS = 5
_ACTION = re.compile(r".*\s(?:[a-z]\w*|\w+(?:ing|ING))")
"""Descriptions in brackets: "[TIRES SCREECHING]", "[Dog runs off]"."""
_DIARIZER_NAME = re.compile(r"speaker_\d+")

_ROLES = re.compile(
    r"(?:.*\b)?(?:man|woman|boy|girl|child|children|kid|kids|baby|men|women|people|crowd|audience|narrator|announcer|"
    r"reporter|newsreader|anchor|interviewer|host|presenter|voice|voice-?over|speaker|operator|dispatcher|driver|"
    r"officer|policeman|policewoman|soldier|guard|nurse|doctor|teacher|student|students|waiter|waitress|all|both|"
    r"everyone|together|chorus|radio|tv|pa|computer|hombre|mujer|ni[ñn]o|ni[ñn]a|narrador|narradora|todos|locutor|"
    r"homme|femme|enfant|narrateur|narratrice|tous|mann|frau|kind|junge|m[äa]dchen|erz[äa]hler|alle|homem|mulher|"
    r"uomo|donna|ragazzo|ragazza|narratore|tutti|мужчина|женщина|диктор|все)(?:\s*(?:#|no\.?)?\s*\d+)?|"
    r".*(?:男人|女人|男子|女子|男声|女声|旁白|众人|主持人|记者|男性|女性|ナレーター|ナレーション|全員|一同|남자|여자|해설)\d*",
    re.IGNORECASE,
)
"""People that subtitles name without a name."""

_STRONG_ROLES = re.compile(
    r"narrat|narrad|announcer|reporter|interviewer|presenter|voice-?over|erzähler", re.IGNORECASE
)
"""Roles that are not also the topic of a sentence: "Narrator: ...", but not "Man: a short history"."""

_HEADINGS = frozenset(
    [
        "note",
        "notes",
        "warning",
        "attention",
        "caution",
        "danger",
        "important",
        "notice",
        "hint",
        "tip",
        "tips",
        "example",
        "examples",
        "question",
        "questions",
        "answer",
        "answers",
        "remember",
        "fact",
        "facts",
        "update",
        "news",
        "breaking",
        "subject",
        "title",
        "chapter",
        "part",
        "episode",
        "step",
        "total",
        "result",
        "results",
        "summary",
        "conclusion",
        "problem",
        "solution",
        "reason",
        "rule",
        "rules",
        "reminder",
        "ps",
        "p.s.",
        "fyi",
        "time",
        "date",
        "place",
        "price",
        "today",
        "tonight",
        "tomorrow",
        "now",
        "then",
        "first",
        "second",
        "third",
        "finally",
        "also",
        "nota",
        "notas",
        "aviso",
        "atención",
        "advertencia",
        "ejemplo",
        "pregunta",
        "preguntas",
        "respuesta",
        "peligro",
        "importante",
        "resumen",
        "remarque",
        "exemple",
        "réponse",
        "avertissement",
        "résumé",
        "hinweis",
        "achtung",
        "warnung",
        "beispiel",
        "frage",
        "fragen",
        "antwort",
        "vorsicht",
        "wichtig",
        "atenção",
        "exemplo",
        "pergunta",
        "resposta",
        "attenzione",
        "esempio",
        "domanda",
        "risposta",
        "внимание",
        "вопрос",
        "ответ",
        "пример",
        "注意",
        "问题",
        "問題",
        "问",
        "答",
        "例如",
        "提示",
        "警告",
        "质问",
        "質問",
        "回答",
        "注",
        "例",
        "答え",
        "질문",
        "답",
        "주의",
    ]
)
"""Words before a colon that begin ordinary sentences, and name no person unless a speaker has this very name."""


def strip_marks(text: str) -> str:
    """Remove invisible marks: of direction, zero width, and byte order; joiners within words stay."""
    if text.isascii():
        return text
    return _EDGE_JOINERS.sub("", _INVISIBLE.sub("", text))


@lru_cache(maxsize=8192)
def label_key(name: str) -> str:
    """Return a key that is equal for a name in any case, width and accent composition, and with any separator."""
    return _SEPARATORS.sub("_", file_key(unicodedata.normalize("NFKC", name)).strip())


@dataclass(frozen=True, slots=True)
class Label:
    """A possible name at the start of a row, and the text after it."""

    name: str
    text: str
    shown: str
    """As the file has it."""
    opening: str = ""
    """Its bracket; empty before a colon."""
    description: str = ""
    """As the file has it: "(on the phone)"."""
    is_tight: bool = False
    """Whether text follows the colon without a blank, as in 12:30."""
    is_marked: bool = False
    """Whether ``>>`` stands before it."""

    @property
    def key(self) -> str:
        """Key of the name, as of ``label_key``."""
        return label_key(self.name)


def parse_label(row: str, *, is_marked: bool = False) -> Label | None:
    """Return the label at the start of a row without its dash; None where there is nothing like one."""
    if found := _BRACKETED.fullmatch(row):
        opening, name, closing, _, text = found.groups()
        if (opening, closing) in _PAIRS:
            shown = row[found.start(1) : found.end(3)]
            return Label(name, text, shown, opening, _description(found, 4), is_marked=is_marked)
    if found := _BEFORE_COLON.fullmatch(row):
        name, _, colon, blank, text = found.groups()
        # Chinese, Japanese and Korean often have no blank there.
        is_wide = unicodedata.east_asian_width(name[-1]) in "WF"
        is_tight = colon == ":" and not blank and bool(text) and not is_wide
        shown = row[found.start(1) : found.end(3)]
        return Label(name, text, shown, "", _description(found, 2), is_tight, is_marked)
    return None


_DECORATION = '*_"“”«»'
_TOGETHER = re.compile(r"\s*(?:[&+/,、]|\b(?:and|und|y|et|e|и)\b|和|与)\s*")
_ADDITION = re.compile(r"\s*[,;(（:]|\s+[-–—]\s")


def _known_names(label: Label, known: Collection[str]) -> tuple[list[str], str]:
    """Return the known speakers whom a label names, and what else it holds; ``known`` are keys."""
    name = label.name.strip(_DECORATION)
    if label_key(name) in known:
        return [name], ""
    together = _TOGETHER.split(name)
    if len(together) > 1 and all(label_key(each) in known for each in together):
        return together, ""
    # Before a colon, "Anna, listen:" speaks to Anna.
    if label.opening and (found := _ADDITION.search(name)) and label_key(name[: found.start()]) in known:
        return [name[: found.start()]], name[found.start() :].strip(" ,;:-–—")
    return [], ""


def _description(found: re.Match[str], group: int) -> str:
    return found.string[found.start(group) - 1 : found.end(group) + 1] if found[group] else ""


@dataclass(slots=True)
class Part:
    """Consecutive rows of a cue by one speaker."""

    name: str | None
    """As the label has it; None without a label that names a voice."""
    rows: list[str]
    is_change: bool = False
    """Whether a dash or ``>>`` says that the part before it is by someone else."""
    labels: list[Label] = field(default_factory=list)
    """Labels without a voice."""
    descriptions: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Known speakers whom the label names besides ``name``."""


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    mark: str = ""
    """"dash", "minus" (a dash before a digit) or "chevron"; empty without."""
    raw: str = ""


class LabelReader:
    """Reads the labels of a file, knowing which of them name someone. Made by ``learn_labels``."""

    def __init__(self, known: Collection[str], names: Collection[str], voiceless: Collection[str]) -> None:
        self._known = {*map(label_key, known)}
        self._names = frozenset(names) | self._known
        self._voiceless = frozenset(voiceless)

    def parts(self, text: str) -> list[Part]:
        """Return the parts of a cue's text, whose rows are separated by line breaks."""
        if not _SIGNIFICANT.search(text):
            return [Part(None, text.split("\n"))]
        parts: list[Part] = []
        rows = [row for line in text.split("\n") for row in self._split_labels(line)]
        marked = _marked_rows(rows)
        dashes = sum(row.mark == "dash" for row in marked)
        for row in marked:
            part = self._part(row.text, is_marked=row.mark == "chevron")
            has_label = part.name is not None or bool(part.labels)
            if parts and not has_label and _is_label_alone(parts[-1]):
                parts[-1].rows += [row.raw] if row.mark == "minus" else part.rows
                continue
            begins = has_label or not parts
            if (
                row.mark == "chevron"
                or (row.mark == "minus" and dashes)
                or (row.mark == "dash" and (has_label or dashes >= 2 or _begins_sentence(row, parts)))
            ):
                begins = part.is_change = True
            elif row.mark and not has_label and (parts or row.mark == "minus"):
                part = Part(None, [row.raw])  # a dash within a sentence, or before a number
            if begins:
                part.is_change &= bool(parts)
                parts.append(part)
            else:
                parts[-1].rows += part.rows
        return parts

    def has_known_label(self, text: str) -> bool:
        """Return whether a row of a cue has a label of a known speaker."""
        return _SIGNIFICANT.search(text) is not None and any(
            part.name is not None and label_key(part.name) in self._known for part in self.parts(text)
        )

    def _part(self, row: str, *, is_marked: bool) -> Part:
        """Read the labels at the start of a row; of several, the last one names the speaker."""
        part, before, rest = Part(None, []), [], row
        while label := parse_label(rest, is_marked=is_marked):
            names, addition = _known_names(label, self._known)
            text = label.text
            if names:
                part.name, part.others = names[0], names[1:]
                part.descriptions += [addition] if addition else []
                text = text.lstrip("*_ ") if label.name[0] in "*_" else text
            elif label.key in self._names and not label.is_tight and part.name is None:
                part.name = label.name
            elif part.name is None and _is_voiceless(label, self._voiceless):
                part.labels.append(label)
            elif label.opening and self._names_after(label.text):
                before.append(label.shown)
            else:
                break
            if label.description and not part.labels:
                part.descriptions.append(label.description)
            rest = text
        part.rows = [" ".join((*before, rest))] if before else [rest]
        return part

    def _names_after(self, text: str) -> bool:
        """Return whether a label that counts follows, perhaps after sounds."""
        while label := parse_label(text):
            if (
                _known_names(label, self._known)[0]
                or label.key in self._names
                or _is_voiceless(label, self._voiceless)
            ):
                return True
            if not label.opening:
                return False
            text = label.text
        return False

    def _split_labels(self, row: str) -> Iterator[str]:
        """Yield the row in parts, each but the first from a known name in square brackets on."""
        start = 0
        for found in _SQUARE.finditer(row):
            before = row[start : found.start()]
            # After a mark or a sound, the name belongs to what stands before it.
            if label_key(found[1]) in self._known and not _ONLY_MARKS.fullmatch(before):
                yield before.rstrip(" /|-–—")
                start = found.start()
        yield row[start:]


_SQUARE = re.compile(r"[\[【［]\s*([^\[\]【】［］]{1,100}?)\s*[\]】］]")
_ONLY_MARKS = re.compile(rf"(?:[{DASHES}>＞≫\s♪♫*]|&gt;|[\[(（【［][^\])）】］]*[\])）】］])*")


def _marked_rows(lines: Iterable[str]) -> list[_Row]:
    """Return the rows with their marks, split where a mark stands within a row."""
    rows: list[_Row] = []
    for line in lines:
        if not _SIGNIFICANT.search(line):
            rows.append(_Row(line, raw=line))
            continue
        for change in _INNER_CHANGE.split(line):
            starts_with_dash = _DASH.match(change) is not None
            for row in _INNER_DASH.split(change) if starts_with_dash else [change]:
                if found := _CHANGE.match(row):
                    rows.append(_Row(row[found.end() :], "chevron", row))
                elif found := _DASH.match(row):
                    is_minus = not found[1] and row[found.end()].isdecimal()
                    rows.append(_Row(row[found.end() :], "minus" if is_minus else "dash", row))
                else:
                    rows.append(_Row(row, raw=row))
    return [row for row in rows if row.raw.strip()]


def _is_label_alone(part: Part) -> bool:
    """Return whether a part has a label, and its text is in the next row."""
    has_text = any(character.isalnum() for row in part.rows for character in row)
    return not has_text and (part.name is not None or bool(part.labels))


def _begins_sentence(row: _Row, parts: Sequence[Part]) -> bool:
    """Return whether a dash can begin what another person says, and is not one within a sentence."""
    before = parts[-1].rows[-1].rstrip() if parts else ""
    return before[-1:] in _ENDS and not row.text[:1].islower()


def learn_labels(
    texts: Sequence[str], known: Collection[str], *, tags: bool = False
) -> tuple[LabelReader, list[str]]:
    """Return a reader of these cues' labels, by the rules at the top of this file, and what it reads as text.

    ``known`` are names with a voice. With ``tags`` nothing else in square brackets is a name: they hold stage
    directions.
    """
    keys = {label_key(name) for name in known}
    first = [
        label
        for text in texts
        if _SIGNIFICANT.search(text)
        for row in _marked_rows(text.split("\n"))
        if (label := parse_label(row.text, is_marked=row.mark == "chevron")) is not None
        and not (tags and label.opening == TAG_OPENING and not _is_certain(label, keys))
    ]
    certain = {
        label.key
        for label in first
        if _is_certain(label, keys)
        or (not keys and _could_name(label) and (label.opening not in ("", *PARENTHESES) or _is_role(label)))
    }
    counts = Counter(label.key for label in first)
    candidates = [label for label in first if label.key in certain or _could_name(label)]
    recurring = {
        label.key
        for label in candidates
        if counts[label.key] >= 2 and label.opening not in tuple(PARENTHESES)
    }
    if keys:
        recurring -= {label.key for label in candidates if _ROLES.fullmatch(label.name)}
        # Where a file has names in one style, a word in another style is not one.
        styles = {_style(label) for label in first if label.key in certain}
        recurring &= {label.key for label in candidates if not styles or _style(label) in styles}
    names = certain
    if 2 * sum(label.key in certain | recurring for label in candidates) >= len(texts):
        names = certain | recurring
    voiceless = _voiceless_keys(first, names) if keys else set()
    read_as_text = [
        label.shown
        for label in first
        if not label.opening
        and label.text
        and not label.is_tight
        and _NAME.fullmatch(label.name)
        and not (label.key in names or _is_voiceless(label, voiceless))
    ]
    return LabelReader(known, names, voiceless), list(dict.fromkeys(read_as_text))


def _is_certain(label: Label, known: Collection[str]) -> bool:
    """Return whether a label is a known name, or one that diarization gives."""
    return bool(_known_names(label, known)[0]) or _DIARIZER_NAME.fullmatch(label.key) is not None


def _could_name(label: Label) -> bool:
    """Return whether a label that is not a known name can be one by its form."""
    name = label.name.strip()
    if label.is_tight or not _NAME.fullmatch(name) or len(name.split()) > _MAX_NAME_WORDS:
        return False
    if label.opening and (name[0].islower() or SOUND_WORDS.search(name) or _ACTION.fullmatch(name)):
        return False
    return file_key(name) not in _HEADINGS


def _style(label: Label) -> tuple[bool, bool]:
    """Return whether a label is in brackets, and whether it is in capitals."""
    return bool(label.opening), label.name.isupper()


def _is_role(label: Label) -> bool:
    return (
        _could_be_role(label)
        # "Man: a short history" is a title, "MAN:" and "[Man]" are not.
        and (bool(label.opening or label.description) or label.name.upper() == label.name)
    )


def _could_be_role(label: Label) -> bool:
    return (
        not (label.is_tight or label.name[0].islower())
        and len(label.name.split()) <= _MAX_NAME_WORDS
        and _ROLES.fullmatch(label.name) is not None
        and not SOUND_WORDS.search(label.name)
    )


def _voiceless_keys(labels: Sequence[Label], names: Collection[str]) -> set[str]:
    """Return the keys of labels before a colon that name people without a voice; ``names`` are those of speakers."""
    letters = [character for label in labels for character in label.text[:100] if character.isalpha()]
    shouts = sum(map(str.isupper, letters)) > 0.6 * len(letters)
    counts = Counter(label.key for label in labels)
    possible = [label for label in labels if not label.opening and _could_name(label)]
    capitals = [label for label in possible if _is_capital(label.name)]
    found = {
        label.key
        for label in possible
        if (
            (label.is_marked or label.description)
            and not any(word[0].islower() for word in label.name.split())
        )
        or (_could_be_role(label) and (counts[label.key] >= 2 or _STRONG_ROLES.match(label.name)))
    }
    if len(capitals) >= 2 and not shouts:
        found |= {label.key for label in capitals}
    return found - set(names)


def _is_capital(name: str) -> bool:
    return name.isupper() and sum(map(str.isalpha, name)) >= 2


def _is_voiceless(label: Label, keys: Collection[str]) -> bool:
    return _is_role(label) or (not label.opening and not label.is_tight and label.key in keys)
