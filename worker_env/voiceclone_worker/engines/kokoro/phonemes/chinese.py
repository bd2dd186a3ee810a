"""Mandarin Chinese: pypinyin's readings of rjieba's words, tone sandhi, and syllables in the alphabet of Kokoro v1.0.

Kokoro v1.0 learned Chinese from misaki's first alphabet: a syllable in IPA with an arrow for its tone behind the vowel,
and a blank between words. (Kokoro v1.1's bopomofo belongs to another model.) Traditional characters are read as their
simplified ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.kokoro.phonemes.alphabets import HAN, clean, has_sound
from voiceclone_worker.engines.kokoro.phonemes.chinese_numbers import cardinal as cardinal
from voiceclone_worker.engines.kokoro.phonemes.chinese_numbers import spell_out as spell_out
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

_DATA = Path(__file__).parent / "data"
_HAN = f"{HAN}〇"
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
_RUN = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<latin>[{_LATIN}]+(?:(?:['’]|\s?[&+]\s?|[ .-])?[{_LATIN}]+)*\+*)|(?P<other>[^{_HAN}{_LATIN}]+)"
)
_MARKS = {
    "，": ",", "、": ",", "。": ".", "．": ".", "！": "!", "？": "?", "：": ":", "；": ";", "「": "“", "」": "”", "『": "“",
    "』": "”", "《": "“", "》": "”", "〈": "“", "〉": "”", "【": "“", "】": "”", "（": "(", "）": ")", "⋯": "…", "–": "—",
    "[": "(", "]": ")",
}  # fmt: skip
_PUNCTUATION = frozenset(",.!?:;“”()…—")
_GREEK = dict(
    zip(
        "αβγδεθλμπρσφω",
        [
            "阿尔法",
            "贝塔",
            "伽马",
            "德尔塔",
            "伊普西龙",
            "西塔",
            "兰姆达",
            "缪",
            "派",
            "柔",
            "西格马",
            "斐",
            "欧米伽",
        ],
        strict=True,
    )
)


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return a Chinese text in Kokoro's alphabet, and the words and signs in it that have no reading.

    English words are read by ``foreign``; abbreviations of capitals are read letter by letter.
    """
    spelled = re.sub("[αβγδεθλμπρσφω]", lambda sign: _GREEK[sign.group()], spell_out(simplified(text)))
    parts: list[str] = []
    skipped: list[str] = []
    for run in _RUN.finditer(spelled):
        if run["han"]:
            phonemes, unread = _han(run["han"])
        elif run["latin"]:
            phonemes, unread = _latin(run["latin"], foreign)
        else:
            phonemes, unread = "".join(map(_mark, run["other"])), list(filter(has_sound, run["other"]))
        parts.append(phonemes)
        skipped += unread
    joined = re.sub(r"\s+", " ", " ".join(parts))
    joined = re.sub(r" (?=[,.!?:;”)…])", "", joined)
    return re.sub(r"(?<=[“(]) ", "", joined).strip(), skipped


def simplified(text: str) -> str:
    """Return a text with simplified characters for traditional ones, one for one; other text is unchanged.

    著 and 乾 stay in the words that have them in simplified Chinese too (著名, 乾隆).
    """
    return (
        text
        if text.isascii()
        else _AMBIGUOUS.sub(lambda sign: _FOLDED[sign.group()], text.translate(_folds()))
    )


_FOLDED = {"著": "着", "乾": "干"}
_AMBIGUOUS = re.compile("(?<![显名原编专论巨拙昭卓土合遗译])著(?![名作称书述者录])|乾(?![坤隆])")


@cache
def _folds() -> Mapping[int, str]:
    """Return the simplified character of each traditional one."""
    pairs = "".join(_lines("traditional.txt"))
    found = zip(pairs[::2], pairs[1::2], strict=True)
    return {ord(old): new for old, new in found if old not in _FOLDED}


def _lines(name: str) -> list[str]:
    lines = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _mark(sign: str) -> str:
    mark = _MARKS.get(sign, sign)
    return f"{mark} " if mark in _PUNCTUATION else " "


def _han(text: str) -> tuple[str, list[str]]:
    """Return the phonemes of a run of Chinese characters, and the characters that have no reading."""
    words = _words(text.replace("〇", "零"))
    toned = _with_sandhi(words, [_readings(words, place) for place in range(len(words))])
    phonemes, skipped = [], []
    for word, readings in zip(words, toned, strict=True):
        sounds = [syllable(reading) for reading in readings]
        skipped += [sign for sign, sound in zip(word, sounds, strict=True) if not sound]
        phonemes.append("".join(sounds))
    return " ".join(filter(None, phonemes)), skipped


_AFTER_PARTICLE = re.compile("(?<=..地)(?=道歉|道别|道谢|面对|点头)")
"""Where rjieba would see 地道, 地面 or 地点 (诚实地|道歉)."""


def _words(text: str) -> list[str]:
    """Return the words of a text.

    rjieba joins characters to names that no dictionary has, and so particles and verbs too (他|高兴|地说): where one of
    several readings is among them, only words of its dictionary count.
    """
    try:
        import rjieba
    except ImportError as error:
        raise EngineError("package_missing", f"Chinese text needs rjieba ({error}).") from error
    words: list[str] = []
    for word in (word for part in _AFTER_PARTICLE.split(text) for word in rjieba.cut(part)):
        is_doubtful = len(word) > 1 and not _contexts().keys().isdisjoint(word) and not rjieba.has_word(word)
        words += rjieba.cut(word, False) if is_doubtful else [word]
    return words


@cache
def _pypinyin() -> tuple[Callable[[str], list[str]], Callable[[str], list[str]]]:
    """Return what reads a phrase (syllables with the number of their tone, 5 for none), and what cuts into phrases."""
    try:
        from pypinyin import Style, lazy_pinyin
        from pypinyin.seg.mmseg import seg
    except ImportError as error:
        raise EngineError("package_missing", f"Chinese text needs pypinyin ({error}).") from error

    def read(phrase: str) -> list[str]:
        readings = lazy_pinyin(phrase, style=Style.TONE3, neutral_tone_with_five=True)
        # pypinyin keeps a run of characters that it cannot read in one piece.
        return list(readings) if len(readings) == len(phrase) else [read(sign)[0] for sign in phrase]

    return read, lambda word: [word] if len(word) == 1 else list(seg.cut(word))


# Readings.

_NEUTRAL = frozenset("的了着吗呢吧啊嘛呀哇啦呐哟喽嘞咯们么")
"""Neutral wherever pypinyin knows no other reading of the word that they end."""
_DOUBLED = frozenset(
    "妈爸哥弟姐妹爷奶公婆叔伯舅姑姨娃宝星猩太谢看试说想听走坐问聊尝等歇逛笑找读写练猜数摸查用玩学动敲擦洗讲教转"
)
"""What is said twice with a neutral second syllable: 妈妈, 看看; not 常常, 天天."""
_BEFORE_FULL_ZI = frozenset("男女电原量质中核粒离因王君才孔老孟庄天父母游浪赤莲瓜鱼松五独公皇棋精光导")
_BEFORE_FULL_ER = frozenset("女婴幼孤少胎健宠患生育产托")


@cache
def _table() -> Mapping[str, tuple[str, ...]]:
    """Return the words whose reading is not pypinyin's."""
    found: dict[str, tuple[str, ...]] = {}
    for line in _lines("chinese_words.txt"):
        word, *readings = line.split()
        if not readings:  # neutral in its last syllable
            *first, last = _pypinyin()[0](word)
            readings = [*first, f"{last[:-1]}5"]
        found[word] = tuple(readings)
    return found


@dataclass(frozen=True)
class _Context:
    """A reading of a character by what stands before and after it (patterns; "-": anything)."""

    before: str
    after: str
    reading: str

    @property
    def fits_any(self) -> bool:
        return self.before == self.after == "-"

    def fits(self, before: str, after: str) -> bool:
        return (self.before == "-" or re.search(f"(?:{self.before})$", before) is not None) and (
            self.after == "-" or re.match(self.after, after) is not None
        )


@cache
def _contexts() -> Mapping[str, list[_Context]]:
    """Return the contexts of each character that has some; the first that fits counts."""
    found: dict[str, list[_Context]] = {}
    for line in _lines("chinese_contexts.txt"):
        sign, before, after, reading = line.split()
        found.setdefault(sign, []).append(_Context(before, after, reading))
    return found


def _readings(words: Sequence[str], place: int) -> list[str]:
    """Return the reading of a word among others, before sandhi: a syllable for each of its characters.

    A word that no dictionary of readings has is read in the phrases that it consists of.
    """
    word = words[place]
    if word in _table():
        return list(_table()[word])
    if len(word) == 1:
        before, after = "".join(words[max(0, place - 2) : place]), "".join(words[place + 1 : place + 3])
        return _phrase(word, before, after, is_word=True)
    readings: list[str] = []
    for phrase in _pypinyin()[1](word):
        start = len(readings)
        readings += _phrase(phrase, word[:start], word[start + len(phrase) :], is_word=False)
    return readings


def _phrase(phrase: str, before: str, after: str, *, is_word: bool) -> list[str]:
    """Return the reading of a phrase, or of a character that is a word or a part of one."""
    if phrase in _table():
        return list(_table()[phrase])
    if len(phrase) == 1:
        for context in _contexts().get(phrase, ()):
            if context.fits(before, after) and (is_word or not context.fits_any):
                return [context.reading]
    readings = _pypinyin()[0](phrase)
    last, previous = phrase[-1], (before + phrase)[-2:-1]
    if last == "子" and previous and previous in _BEFORE_FULL_ZI:
        readings[-1] = "zi3"
    elif last == "儿" and previous and previous not in _BEFORE_FULL_ER:
        readings[-1] = "er5"
    elif (
        (last in _NEUTRAL and readings[-1] == _pypinyin()[0](last)[0])
        or (previous == last and last in _DOUBLED)
        or (last == "子" and previous)
        or (last == "里" and len(phrase) == 1 and before)
        or (last == "个" and previous)
        or (last == "地" and len(phrase) == 3 and phrase[0] == phrase[1])
    ):
        readings[-1] = f"{'de' if last == '地' else readings[-1][:-1]}5"
    return readings


# Tone sandhi.

_NUMERALS = "零一二三四五六七八九十百千万亿两点"
_SCALES = "百千万亿"


def _with_sandhi(words: Sequence[str], readings: Sequence[list[str]]) -> list[list[str]]:
    """Return the readings with the tones that 一, 不 and third tones have among others."""
    signs = "".join(words)
    flat = [reading for word in readings for reading in word]
    for place, sign in enumerate(signs):
        following = flat[place + 1] if place + 1 < len(flat) else ""
        if sign == "不" and flat[place][:-1] == "bu":
            flat[place] = _tone_of_not(signs, place, following)
        elif sign == "一" and flat[place][:-1] == "yi":
            flat[place] = _tone_of_one(signs, place, following)
    result, start = [], 0
    for word in words:
        result.append(_third_tones(flat[start : start + len(word)]))
        start += len(word)
    for left, right in pairwise(result):
        # Over the edge of two words where one is short: 我很好, 买水果.
        if left[-1][-1] == right[0][-1] == "3" and 1 in (len(left), len(right)):
            left[-1] = f"{left[-1][:-1]}2"
    return result


def _is_between_two(signs: str, place: int) -> bool:
    return 0 < place < len(signs) - 1 and signs[place - 1] == signs[place + 1]


def _tone_of_not(signs: str, place: int, following: str) -> str:
    """Return the reading of 不: neutral in 好不好, rising before a falling tone."""
    return "bu5" if _is_between_two(signs, place) else "bu2" if following.endswith("4") else "bu4"


def _tone_of_one(signs: str, place: int, following: str) -> str:
    """Return the reading of 一: level where it counts or names the first, neutral in 看一看, else rising or falling."""
    before, after = signs[place - 1 : place], signs[place + 1 : place + 2]
    is_scaled = bool(after) and after in _SCALES
    is_in_number = bool(before) and before in _NUMERALS[:-1] and not is_scaled
    is_digit = bool(after) and after in _NUMERALS and not is_scaled and after != "点"
    is_decimal = after == "点" and signs[place + 2 : place + 3] in tuple(_NUMERALS)
    is_first = before in ("第", "周", "初", "期", "拜") or after in ("月", "号", "日", "楼", "班", "")
    if is_in_number or is_digit or is_decimal or is_first:
        return "yi1"
    if _is_between_two(signs, place):
        return "yi5"
    # 个 falls by itself, also where it is neutral.
    return "yi2" if following.endswith("4") or after == "个" else "yi4"


def _third_tones(word: list[str]) -> list[str]:
    """Return a word in which no third tone stands before another one."""
    changed = list(word)
    for place in range(len(word) - 1):
        if word[place][-1] == word[place + 1][-1] == "3":
            changed[place] = f"{word[place][:-1]}2"
    return changed


# Syllables.

_INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x",
    "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip
_FINALS = {
    "a": "a_", "ai": "ai_", "an": "a_n", "ang": "a_ŋ", "ao": "au_", "e": "ɤ_", "ei": "ei_", "en": "ə_n", "eng": "ə_ŋ",
    "i": "i_", "ia": "ja_", "iai": "jai_", "ian": "jɛ_n", "iang": "ja_ŋ", "iao": "jau_", "ie": "je_", "in": "i_n",
    "iou": "jou_", "ing": "i_ŋ", "iong": "jʊ_ŋ", "ong": "ʊ_ŋ", "ou": "ou_", "u": "u_", "uei": "wei_", "ua": "wa_",
    "uai": "wai_", "uan": "wa_n", "uen": "wə_n", "uang": "wa_ŋ", "ueng": "wə_ŋ", "uo": "wo_", "o": "wo_", "v": "y_",
    "ve": "ɥe_", "van": "ɥɛ_n", "vn": "y_n",
}  # fmt: skip
"""By the finals of pinyin in full; "_" is where the tone stands."""
_WITHOUT_INITIAL = {
    "yi": "i", "ya": "ia", "yai": "iai", "yan": "ian", "yang": "iang", "yao": "iao", "ye": "ie", "yin": "in", "you": "iou",
    "ying": "ing", "yong": "iong", "wu": "u", "wei": "uei", "wa": "ua", "wai": "uai", "wan": "uan", "wen": "uen",
    "wang": "uang", "weng": "ueng", "wo": "uo", "yu": "v", "yue": "ve", "yuan": "van", "yun": "vn",
}  # fmt: skip
_INTERJECTIONS = {
    "er": "ɚ_", "yo": "jɔ_", "o": "ɔ_", "ê": "ɛ_", "hm": "hm_", "hng": "hŋ_", "m": "m_", "n": "n_", "ng": "ŋ_",
    "wong": "wʊ_ŋ",
}  # fmt: skip
_SHORTENED = {"iu": "iou", "ui": "uei", "un": "uen", "ue": "ve"}
_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}


def syllable(pinyin: str) -> str:
    """Return a syllable of pinyin with its tone's number ("zhong1", "lv4") in Kokoro's alphabet; "" for other text."""
    letters, tone = (pinyin[:-1], pinyin[-1]) if pinyin[-1:] in _TONES else (pinyin, "5")
    letters = letters.replace("ü", "v")
    initial = next((letters[:size] for size in (2, 1) if letters[:size] in _INITIALS), "")
    final = letters[len(initial) :]
    if letters in _INTERJECTIONS:
        initial, sound = "", _INTERJECTIONS[letters]
    elif letters in _WITHOUT_INITIAL:
        initial, sound = "", _FINALS[_WITHOUT_INITIAL[letters]]
    elif final == "i" and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        sound = "ɨ_"
    else:
        if initial in ("j", "q", "x") and final.startswith("u"):
            final = f"v{final[1:]}"
        sound = _FINALS.get(_SHORTENED.get(final, final), "")
    return _INITIALS.get(initial, "") + sound.replace("_", _TONES[tone]) if sound else ""


# English inside Chinese.

_ABBREVIATION = re.compile(
    r"(?<![A-Za-z])(?:apps?|ppt|pdf|vip|ai|ip|ktv|id|tv|vs|ceo|cpu|gpu|usb)(?![A-Za-z])", re.IGNORECASE
)
"""Read letter by letter also where they are not in capitals."""
_DOTTED = {"APP": "A.P.P.", "APPS": "A.P.P.", "VS": "V.S."}
"""Words to hibari, letters to Chinese."""


def has_english_words(text: str) -> bool:
    """Return whether English words, or letters, are left in a Chinese text whose units and signs are in words."""
    return re.search(f"[{_LATIN}]", spell_out(simplified(clean(text)))) is not None


def _latin(text: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return the phonemes of English words, and what has none."""
    capitals = _ABBREVIATION.sub(lambda word: word.group().upper(), text)
    return foreign(_DOTTED.get(capitals, capitals))
