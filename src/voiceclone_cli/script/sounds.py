"""Text of a script that is not speech: sounds, music, stage directions and credits.

- Square brackets of any width (``[door slams]``, ``【音乐】``) always hold a description, wherever they stand.
- Parentheses hold one if they stand where a sentence could (``(sighs) All right.``). Within a sentence
  (``He left (I think) at nine.``), before one that they begin (``(I think) he left.``), and around a whole sentence
  with its full stop they hold speech, unless their words are those of a sound (``All right (sighs) then``).
- Asterisks hold one if they are all of a row, or begin in lower case where a sentence could stand (``*laughs* No!``);
  otherwise they stress a word (``I *really* mean it.``).
- Between notes (♪ ♫ 🎵), and between ``#`` with a blank, is a song, up to the closing note or the end of the cue.
- Italics alone say nothing: they also mark speech that is off-screen.
- A cue is a credit (``Subtitles by ...``) only as a whole, and only among the first and last lines of a file or with
  an address.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from voiceclone_cli.script.typography import join_rows
from voiceclone_worker.tags import TAG

OPENING, CLOSING = "[(（［【〔〖﹙﹝", "])）］】〕〗﹚﹞"
PARENTHESES = "(（﹙"
TAG_OPENING = "["
"""Begins a stage direction for an engine that reads them, such as [whisper]."""
SENTENCE_END = ".?!…。？！｡"

SOUND, MUSIC, CREDIT, DIRECTION, NO_WORDS, LABEL = (
    "sound",
    "music",
    "credit",
    "stage direction",
    "no words",
    "label",
)
REPEATED_CUE = "repeated from the cue before"
REPEATED_AT_ONCE = "the same text is spoken at the same time"
"""Reasons of OmittedText."""
REPEATED, OTHER = "repeated", "other"
_PLURALS = {
    SOUND: "sounds",
    MUSIC: "music",
    CREDIT: "credits",
    DIRECTION: "stage directions",
    NO_WORDS: "without words",
    LABEL: "labels",
    REPEATED: "repeated",
    OTHER: "others",
}
_KINDS = {
    **{reason: reason for reason in (SOUND, MUSIC, CREDIT, DIRECTION, NO_WORDS, LABEL)},
    REPEATED_AT_ONCE: REPEATED,
    REPEATED_CUE: REPEATED,
}
"""Kinds of reasons in a summary; damage has a reason for each line."""

SOUND_WORDS = re.compile(
    r"\b(?:laugh|chuckl|giggl|cackl|snicker|sigh|gasp|groan|moan|grunt|pant(?:s|ing)\b|exhal|inhal|sob(?:s|bing)\b|"
    r"cry(?:ing)\b|cries\b|scream|shout(?:s|ing)\b|yell(?:s|ing)\b|whisper|mutter|mumbl|murmur|sniff|cough|sneez|"
    r"clears (?:his |her |their )?throat|applau|clapping|cheering|music\b|singing\b|humming\b|hums\b|whistl(?:es|ing)|"
    r"knock(?:s|ing)\b|rings\b|ringing\b|buzz(?:es|ing)\b|beep|thud|thunder|gunshot|gunfire|explosion|siren|bark(?:s|ing)"
    r"\b|snor(?:es|ing)\b|footsteps|inaudible|indistinct|chatter(?:s|ing)?\b|slam(?:s|ming)\b|creak|speaking \w+|"
    r"(?:growl|howl|roar|hiss|squeal|screech|whimper|whin|gulp|burp|belch|snort|scoff|yawn|hiccup|slurp|clatter|rattl|"
    r"rustl|rumbl|splash|clink|clank|clang|jingl|tick|honk|crackl|click|crash|bang|thump|whoosh|explod|grumbl|cackl)"
    r"(?:e?s|ing)\b|"
    r"voice-?over|off-?screen|softly\b|loudly\b|quietly\b|risas?\b|r[íi]e\b|suspir|música|aplausos|grita\b|llora\b|"
    r"susurr|tose\b|rires?\b|soupir|musique|applaudissements|chuchot|tousse\b|lacht?\b|lachen|gelächter|seufz|musik\b|"
    r"applaus|weint\b|schreit\b|flüster|hustet|risos|chora\b|sussurr|risata|ride\b|sospir|musica\b|applausi|piange\b|"
    r"смех|сме[её]тся|вздыха|музыка|аплодисменты|плачет|шепч)"
    r"|v\.o\.|o\.s\.|笑|音乐|音樂|音楽|掌声|掌聲|拍手|叹气|嘆氣|叹息|ため息|哭泣|喘息|咳嗽|敲门|敲門|铃声|鈴聲|雷声|枪声|枪响|"
    r"歓声|泣き声|足音|悲鳴|노래|음악|웃음|박수|한숨",
    re.IGNORECASE,
)
"""Words of descriptions, to decide where the form alone does not."""
_FIRST_PERSON = re.compile(r"\b(?:I|I'm|I’m|you|we)\b")
_ACTION = re.compile(r"\w+(?:ly|ing)|\w{3,}s")
"""Last words of descriptions such as "door opens", where they begin a sentence in lower case."""
_MIN_SENTENCE_WORDS = 4

_HASH = "\ue000"
"""Stands for a # that is a note while a cue is read."""
_NOTES = f"♩♪♫♬🎵🎶{_HASH}"
_NOTE_RUN = re.compile(rf"([{_NOTES}](?:\s*[{_NOTES}])*)")
_HASH_OPENING = re.compile(r"^(\s*)#(?=\s+[^\W\d_])", re.MULTILINE)
_HASH_CLOSING = re.compile(r"(?<=\s)#(?=\s*$)", re.MULTILINE)
_MUSIC_WORDS = re.compile(
    rf"[{_NOTES}]|music|musik|músic|musique|音[乐樂楽]|歌|музык|음악|노래", re.IGNORECASE
)
_WIDE_SQUARE = re.compile(
    r"［[^［］\n]{0,500}］|【[^【】\n]{0,500}】|〔[^〔〕\n]{0,500}〕|〖[^〖〗\n]{0,500}〗"
)
_SQUARE = re.compile(f"{TAG.pattern}|{_WIDE_SQUARE.pattern}")
_STARRED = re.compile(r"(?<![\w*])\*(?![\s*])([^*\n]{1,100})(?<!\s)\*(?![\w*])")
_ROUND = re.compile(r"\([^()\n]{0,500}\)|（[^（）\n]{0,500}）|﹙[^﹙﹚\n]{0,500}﹚")
_SIGNIFICANT = re.compile(rf"[{re.escape(OPENING)}{_NOTES}#*]")
"""What no text without sounds and music contains."""

Omission = tuple[str, str]
"""A text that is not speech, and the reason."""


def omit_sounds(
    text: str, names: Callable[[str], bool] | None = None, *, tags: bool = False
) -> tuple[str, list[Omission]]:
    """Return the speech in the text of a cue, whose rows are separated by line breaks, and what else it holds.

    Square brackets with one of ``names`` are part of the text; with ``tags`` all of plain width are, beside words
    that are spoken.
    """
    if tags:
        speech, _ = omit_sounds(text, names)
        tags = any(character.isalnum() for character in speech)
    square = _WIDE_SQUARE if tags else _SQUARE
    found: list[Omission] = []
    if not _SIGNIFICANT.search(text):
        return text, found
    text = _join_open_brackets(text)
    number = -1
    # What stands within or beside another one can be read when that is gone.
    while len(found) != number:
        number = len(found)
        text = _omit_music(text, found)
        text = _omit(text, square, lambda content, before, after: names is None or not names(content), found)
        text = _omit(text, _STARRED, _is_starred_sound, found)
        text = _omit(text, _ROUND, _is_round_sound, found)
    return text, found


def _omit_music(text: str, found: list[Omission]) -> str:
    """Return the text without songs, which go from a note to the next one, or to the end of the cue."""
    if _HASH_OPENING.search(text):
        text = _HASH_CLOSING.sub(_HASH, _HASH_OPENING.sub(rf"\1{_HASH}", text))
    parts = _NOTE_RUN.split(text)
    if len(parts) == 1:
        return text
    speech, song = parts[0], ""
    for notes, words in zip(parts[1::2], parts[2::2], strict=True):
        begins_row = (song or speech).rpartition("\n")[2].strip() == ""
        ends_row = words.lstrip(" ")[:1] in ("", "\n")
        if song and ("\n" in notes or (begins_row and not ends_row)):
            song += notes + words  # each row of a song can begin with a note
        elif song:
            _record(song + notes, MUSIC, found)
            song, speech = "", f"{speech} {words}"
        elif not begins_row and ends_row:
            before, line_break, row = speech.rpartition("\n")
            if row.rstrip()[-1] in SENTENCE_END:
                speech += words  # speech, and music after it
            else:
                _record(row + notes, MUSIC, found)  # a song that began in another cue
                speech = before + line_break + words
        else:
            song = notes + words
    if song:
        _record(song, MUSIC, found)
    return speech


def _record(text: str, reason: str, found: list[Omission]) -> None:
    if any(character.isalnum() for character in text):
        found.append((" ".join(text.replace(_HASH, "#").split()), reason))


def _join_open_brackets(text: str) -> str:
    """Return the text without the line breaks within brackets."""
    joined, depth = "", 0
    for row in text.split("\n"):
        if joined and depth > 0:
            joined = joined[:-1] + join_rows(f"{joined[-1]}\n{row}")
        else:
            joined += f"\n{row}" if joined else row
        depth += sum((character in OPENING) - (character in CLOSING) for character in row)
    return joined


def _omit(
    text: str, pattern: re.Pattern[str], is_sound: Callable[[str, str, str], bool], found: list[Omission]
) -> str:
    """Return the text without the matches that are sounds by their content, and by the text before and after them."""
    speech, rest = "", text
    while match := pattern.search(rest):
        before, after = speech + rest[: match.start()], rest[match.end() :]
        if is_sound(match[0].strip(f"*{OPENING}{CLOSING}").strip(), before, after):
            _record(match[0], MUSIC if _MUSIC_WORDS.search(match[0]) else SOUND, found)
            speech, rest = _closed(before, after)
        else:
            speech, rest = before + match[0], after
    return speech + rest


def _closed(before: str, after: str) -> tuple[str, str]:
    """Return the two sides of a gap as they follow each other without it."""
    if not before.strip():
        return before, after.lstrip(" :：,;，、-–—")
    if after.lstrip(" ")[:1] in (",", ".", "!", "?", ";", ":", "…"):
        return before.rstrip(" "), after.lstrip(" ")
    if before[-1:].isspace():
        return before, after.lstrip(" ")
    joins = before[-1].isalnum() and after[:1].isalnum() and min(before[-1], after[0]) < _FIRST_EAST_ASIAN
    return before, f" {after}" if joins else after


_FIRST_EAST_ASIAN = "\u2e80"
"""Words in scripts from here on are written without blanks."""


def _is_round_sound(content: str, before: str, after: str) -> bool:
    """Return whether parentheses hold a description, by the rules at the top of this file."""
    words = content.split()
    if SOUND_WORDS.search(content) or not words:
        return True
    is_sentence = content[-1] in SENTENCE_END and not content.endswith(("..", "…"))
    if _FIRST_PERSON.search(content) or (is_sentence and len(words) >= _MIN_SENTENCE_WORDS):
        return False
    following = after.lstrip()
    if before.rpartition("\n")[2].strip() == "" and after.partition("\n")[0].strip() == "":
        return True
    if not _can_begin_sentence(before):
        return False
    return not following[:1].islower() or _ACTION.fullmatch(words[-1]) is not None


def _is_starred_sound(content: str, before: str, after: str) -> bool:
    if SOUND_WORDS.search(content):
        return True
    if before.rpartition("\n")[2].strip() == "" and after.partition("\n")[0].strip() == "":
        return content[-1:] not in SENTENCE_END
    return content[:1].islower() and _can_begin_sentence(before) and not after.lstrip()[:1].islower()


def _can_begin_sentence(before: str) -> bool:
    return before.rstrip()[-1:] in ("", *SENTENCE_END, *'"”’»」』-–—')


_CREDIT_START = re.compile(
    r"\W*(?:(?:(?:\w+\s+){0,2}(?:subtitl(?:es?|ing)|captions?|captioning|transcripts?|transcription)|"
    r"(?:subtitl|caption|transcrib|translat|resync|sync|encod|edit|provid|upload|correct)\w*|ripped|timing|timed)"
    r"(?:[\s,&+]+\w+){0,4}?\s*\bby\b|"
    r"(?:\w+\s+)?(?:subtitles|captions|translation|translated|sync(?:ed)?)"
    r"(?:[\s,&+]+(?:and|translation|sync|corrections?|timing))*\s*:|"
    r"downloaded from\b|sous-titr\w*(?:\s+\w+){0,3}?\s*(?:par\b|:)|traduction\b.{0,30}?(?:par\b|:)|"
    r"untertitel\w*(?:\s+\w+){0,3}?\s*(?:von\b|:|im auftrag)|übersetz\w*(?:\s+\w+){0,2}?\s*(?:von\b|:)|"
    r"subt[íi]tul\w*(?:\s+\w+){0,3}?\s*(?:por\b|:)|legend\w*(?:\s+\w+){0,3}?\s*(?:por\b|:)|"
    r"tradu(?:cido|cción|zido|ção)(?:\s+\w+){0,3}?\s*(?:por\b|:)|sottotitol\w*(?:\s+\w+){0,3}?\s*(?:di\b|da\b|"
    r"a cura|:)|traduzione(?:\s+\w+){0,3}?\s*(?:di\b|a cura|:)|ondertitel\w*(?:\s+\w+){0,2}?\s*(?:door\b|:)|"
    r"napisy(?:\s+\w+){0,2}?\s*(?::|przez)|субтитры\b|перев[её]л\b|перевод(?:\s+\w+){0,2}?\s*:|"
    r"字幕(?:组|組|制作|製作|翻译|翻譯|校对|校對|由|by|[:：])|翻译[:：]|翻譯[:：]|校对[:：]|时间轴[:：]|"
    r".{0,12}字幕(?:组|組)|자막\s*(?:제작|[:：]))",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|org|net|tv|io|me|info|co|eu|ru|cn|es|fr|de|it)\b", re.IGNORECASE
)
_DOT_IN_WORD = re.compile(r"\w\.\w|://")
_SITES = re.compile(
    r"open\s?subtitles|addic7ed|subscene|podnapisi|tvsubtitles|subdl|amara\.org|yts\.|yify|argenteam|subtitulos\.es|"
    r"legendas\.tv|zimuku|subhd|assrt|人人影视|射手网|shooter\.cn|titulky|napiprojekt|titlovi|moviesubtitles|subf2m",
    re.IGNORECASE,
)
EDGE_LINES = 3
"""Lines at each end of a file that can be credits without an address."""
_MAX_CREDIT_LENGTH = 250


def is_credit(text: str, *, at_edge: bool) -> bool:
    """Return whether a whole cue names those who made the subtitles, not the film's people."""
    if len(text) > _MAX_CREDIT_LENGTH or not (at_edge or _DOT_IN_WORD.search(text)):
        return False
    text = " ".join(text.split())
    has_address = _ADDRESS.search(text) is not None
    if _SITES.search(text) and (has_address or at_edge):
        return True
    return (at_edge or has_address) and _CREDIT_START.match(text) is not None


def omitted_summary(reasons: Sequence[str]) -> str:
    """Return the number of texts that are not spoken, and of each kind: "3 texts (2 sounds, 1 credit)"."""
    counts = Counter(_KINDS.get(reason, OTHER) for reason in reasons)
    kinds = ", ".join(f"{count:,} {_noun(kind, count)}" for kind, count in counts.most_common())
    return f"{len(reasons):,} text{'' if len(reasons) == 1 else 's'} ({kinds})"


def omitted_note(reasons: Sequence[str]) -> str:
    """Return a sentence about the texts of a script that are not spoken."""
    return f"Not spoken: {omitted_summary(reasons)}; run.json and the report list them."


def _noun(kind: str, count: int) -> str:
    return _PLURALS[kind] if count > 1 or kind == NO_WORDS else kind
