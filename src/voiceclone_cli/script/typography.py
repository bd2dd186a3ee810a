"""How lines are written in their language: full-width punctuation, rows that are joined, and where a row may end.

Chinese and Japanese have no blanks between words. Where their words begin is told by dictionaries (rjieba,
haqumei); without these, each character counts as a word.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any

from voiceclone_cli.languages import main_language
from voiceclone_worker.engines.kokoro.phonemes.alphabets import HAN

_CHINESE = ("zh", "yue", "wuu", "nan", "hak")
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HAN = f"\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3100-\u312f\u31a0-\u31bf{HAN}"
"""Chinese characters with radicals, signs of repetition, numerals and zhuyin."""
_LETTER = f"[{_HAN}{_KANA}]"
_LETTERS = re.compile(f"{_LETTER}+")
_HAS_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_FULL_WIDTH = "\u3001-\u3003\u3008-\u301f\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_CJK = f"[{_HAN}{_KANA}{_FULL_WIDTH}]"
_IS_CJK = re.compile(_CJK)


def has_cjk(text: str) -> bool:
    """Return whether a text has characters of Chinese or Japanese, which stand without blanks between them."""
    return not text.isascii() and _LETTERS.search(text) is not None


_ROW_END = re.compile(r"[ \t\u3000]*[\n\r\v\f\x85\u2028\u2029]\s*")


def join_rows(text: str) -> str:
    """Join the rows of a text: without a blank beside a character of Chinese or Japanese, with one elsewhere."""

    def joint(end: re.Match[str]) -> str:
        beside = text[max(0, end.start() - 1) : end.start()] + text[end.end() : end.end() + 1]
        return "" if _IS_CJK.search(beside) else " "

    return _ROW_END.sub(joint, text)


# Punctuation

_FORMS = {",": "，", "?": "？", "!": "！", ":": "：", ";": "；", ".": "。"}
_JAPANESE_FORMS = {**_FORMS, ",": "、"}
_MARKS = re.compile(r"[ ]*(\.{3,}|[,?!:;.])(?![.])[ ]*")
_BESIDE_MARK = re.compile(f" *([{_FULL_WIDTH}]) *")
_CLOSERS = "\"'”’»)]）」』】〉》〕］｝"
_LATIN_END = re.compile(rf"{_CJK} ?(?:[^\s{_HAN}{_KANA}{_FULL_WIDTH},?!;]+ ?){{1,3}}$")
"""One to three words of other letters, which are part of a Chinese or Japanese sentence."""


def full_width(text: str, language: str) -> str:
    """Return a line with its Chinese or Japanese punctuation in full width, without blanks beside it.

    Lines of other languages stay as they are, and so does what stands in numbers (``10:30``), addresses and Latin
    phrases. Recognisers write ``早上好,今天`` and ``吗?``.
    """
    main = main_language(language)
    if not has_cjk(text) or (main != "ja" and main not in _CHINESE):
        return text
    forms = _JAPANESE_FORMS if main == "ja" else _FORMS
    written = ""
    position = 0
    for mark in _MARKS.finditer(text):
        written += text[position : mark.start()]
        sign, position = mark[1], mark.end()
        if _is_cjk_mark(mark[0], sign, written.rstrip(_CLOSERS), text[position : position + 1]):
            written += "……" if len(sign) > 1 else forms[sign]
        else:
            written += mark[0]
    return _BESIDE_MARK.sub(r"\1", written + text[position:])


def _is_cjk_mark(spaced: str, sign: str, before: str, after: str) -> bool:
    """Return whether a mark belongs to Chinese or Japanese text; ``spaced`` is the mark with the blanks around it."""
    if before and _IS_CJK.match(before[-1]):
        # In "会议.mp4" it is part of a name.
        return sign != "." or spaced != sign or not (after.isascii() and after.isalnum())
    if not before or len(sign) > 1:
        return False
    if after and _IS_CJK.match(after):
        return sign in ",?!;" or (sign == ":" and not before[-1].isdecimal())
    is_end = not after and sign in "?!."
    return is_end and _LATIN_END.search(before) is not None and has_cjk(before)


def mixes_characters(text: str) -> bool:
    """Return whether a Chinese text has characters that only simplified, and some that only traditional texts have."""
    characters = {character for character in text if not character.isascii() and character.isalpha()}
    # The national standards of the two scripts: what only one of them has belongs to that script.
    simplified = {character for character in characters if _is_in(character, "gb2312")}
    traditional = {character for character in characters if _is_in(character, "big5")}
    return bool(simplified - traditional) and bool(traditional - simplified)


def _is_in(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


# Where a row may end

_NO_START = frozenset(
    "、。，．・：；？！ー…‥—～〜％‰℃々〻ゝゞヽヾぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ﹐﹑﹒｡､･ｰ"
    ",.!?:;%°" + _CLOSERS
)
"""What never begins a row (JIS X 4051, GB/T 15834)."""
_MAY_START = frozenset("\"'—…")
"""Of these what may begin a row behind a blank."""
_NO_END = frozenset("（「『【〈《〔［｛“‘«([{￥¥$＄#@№")
_ENCLITICS = frozenset("的地得了着著过過吗嗎呢吧啊呀嘛们們么麼之等")
"""Chinese words that are spoken with the word before them."""
_JAPANESE_ENCLITICS = ("助詞", "助動詞")
_JAPANESE_SUFFIXES = ("接尾", "非自立")


def break_points(text: str, language: str) -> list[int]:
    """Return the positions, without 0, at which a new row may begin.

    That is where a word begins, but not a particle, punctuation that closes, or what punctuation opens.
    Blanks belong to the row before.
    """
    starts = {match.end() for match in re.finditer(r"\s+", text)}
    if has_cjk(text):
        is_japanese = main_language(language) == "ja" or _HAS_KANA.search(text) is not None
        for run in _LETTERS.finditer(text):
            words = _japanese_words(run[0]) if is_japanese else _chinese_words(run[0])
            starts.update(run.start() + at for at in words)
            starts.add(run.end())
        for mark in re.finditer(f"[{_FULL_WIDTH}…—]", text):
            starts.add(mark.start())
            # What follows a bracket may be a particle.
            if mark[0] not in _CLOSERS or not _LETTERS.match(text, mark.end()):
                starts.add(mark.end())
    return sorted(at for at in starts if 0 < at < len(text) and _may_break(text, at))


def _may_break(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at]
    if before.isspace():
        # French has blanks before "?" and after "«".
        opens = after in _MAY_START or after not in _NO_START
        return opens and not after.isspace() and text[:at].rstrip()[-1:] not in _NO_END
    if after in _NO_START or before in _NO_END or after.isspace():
        return False
    is_word = [_IS_CJK.match(character) is None for character in (before, after)]
    # "10:30", "example.com" and "万" behind a number are one word with what is before them.
    return not (all(is_word) and before not in "…—") and not (before.isdecimal() and not is_word[1])


def _chinese_words(run: str) -> list[int]:
    """Return where the words of a run of characters begin."""
    try:
        import rjieba
    except ImportError:
        return list(range(len(run)))
    words: list[str] = rjieba.cut(run)
    starts = accumulate(map(len, words), initial=0)
    if "".join(words) != run:
        return list(range(len(run)))
    return [at for at, word in zip(starts, words, strict=False) if word not in _ENCLITICS]


_haqumei_lock = threading.Lock()


@cache
def _haqumei() -> Any:
    try:
        from haqumei import Haqumei
    except ImportError:
        return None
    return Haqumei()


_KANA_TO_OTHER = re.compile(f"(?<=[\u3041-\u309f])(?=[{_HAN}\u30a1-\u30fa])")


def _japanese_words(run: str) -> list[int]:
    """Return where the words of a run of characters begin, each with its particles and endings."""
    with _haqumei_lock:
        dictionary = _haqumei()
    found = [] if dictionary is None else dictionary.run_frontend(run)
    words = [str(word.string) for word in found]
    if "".join(words) != run:
        # Without a dictionary, words end where hiragana do.
        return [0, *(match.start() for match in _KANA_TO_OTHER.finditer(run))]
    starts = accumulate(map(len, words), initial=0)
    return [
        at
        for at, word in zip(starts, found, strict=False)
        if not (
            word.chain_flag == 1 or word.pos in _JAPANESE_ENCLITICS or word.pos_group1 in _JAPANESE_SUFFIXES
        )
    ]


# Rows of a caption

CJK_ROW, ROW = 40, 42
"""Cells of a row: 20 full-width characters, or 42 letters, as is usual in subtitles."""
ROWS = 2
"""Rows of a caption."""
_SENTENCE_ENDS, _CLAUSE_ENDS = ".?!…。？！؟।", ",;:，；：、،"
_SENTENCE_BONUS, _CLAUSE_BONUS = 16.0, 10.0
"""Cells by which a row may be farther from its best length to end with a sentence or a clause."""


def cell_width(text: str) -> int:
    """Return the width of a text in cells of a terminal or a caption; a full-width character takes two."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def captions(text: str, language: str, most: int) -> list[str]:
    """Divide a line into at most ``most`` captions of two rows each, with line breaks between the rows.

    A row has at most 20 full-width characters or 42 letters. Where more than ``most`` captions would be needed, they
    have more rows.
    """
    text = " ".join(text.split())
    limit = CJK_ROW if has_cjk(text) else ROW
    points = break_points(text, language)
    for count in range(max(1, -(-cell_width(text) // (ROWS * limit))), max(most, 1)):
        parts = list(_divide(text, points, count))
        rows = [_rows(text, start, end, points, limit) for start, end in parts]
        if all(len(each) <= ROWS for each in rows):
            break
    else:
        parts = list(_divide(text, points, max(most, 1)))
        rows = [_rows(text, start, end, points, limit) for start, end in parts]
    return ["\n".join(each) for each in rows]


def _divide(text: str, points: list[int], count: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of ``count`` parts of about the same width, or fewer where the text has no more."""
    start = 0
    for remaining in range(count, 1, -1):
        best = _best_break(text, start, len(text), points, cell_width(text[start:]) / remaining)
        if best is None:
            break
        yield start, best
        start = best
    yield start, len(text)


def _best_break(
    text: str, start: int, end: int, points: list[int], wanted: float, least: int = 1, most: int = 1_000_000
) -> int | None:
    """Return the best position for a part of about ``wanted`` cells, from ``least`` to ``most`` cells wide."""
    best, lowest = None, float("inf")
    widths = list(accumulate(map(_cells, text[start:end]), initial=0))
    for at in points:
        if not start < at < end:
            continue
        stripped = len(text[start:at].rstrip())
        width = widths[stripped]
        if not least <= width <= most:
            continue
        last = text[start : start + stripped].rstrip(_CLOSERS)[-1:]
        bonus = _SENTENCE_BONUS if last in _SENTENCE_ENDS else _CLAUSE_BONUS if last in _CLAUSE_ENDS else 0.0
        if abs(width - wanted) - bonus < lowest:
            best, lowest = at, abs(width - wanted) - bonus
    return best


def _rows(text: str, start: int, end: int, points: list[int], limit: int) -> list[str]:
    """Return a part of a text in rows of at most ``limit`` cells, two of about the same width where that is enough."""
    whole = cell_width(text[start:end].strip())
    if whole <= limit:
        return [text[start:end].strip()]
    if whole <= 2 * limit:
        at = _best_break(text, start, end, points, whole / 2, whole - limit, limit)
        if at is not None:
            return [text[start:at].strip(), text[at:end].strip()]
    rows = []
    while cell_width(text[start:end].strip()) > limit:
        at = _best_break(text, start, end, points, limit, 1, limit)
        if at is None:
            # A word that is longer than a row.
            widths = accumulate(map(_cells, text[start:end]))
            at = start + max(1, sum(width <= limit for width in widths))
        rows.append(text[start:at].strip())
        start = at
    return [*rows, text[start:end].strip()]
