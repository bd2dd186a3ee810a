"""Japanese: signs in words, haqumei's readings, and morae in the alphabet of Kokoro v1.0.

haqumei (Apache-2.0; Open JTalk's analysis with a dictionary inside) gives each word as it is said, in katakana; it reads
numbers with their counters and Latin words too. Kokoro v1.0 learned Japanese from misaki 0.7's alphabet, which is without
pitch accents: a mora is a consonant and a vowel, and words stand apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.kokoro.phonemes.alphabets import has_sound
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

Match = re.Match[str]

# Numbers and signs in words.

_DIGITS = "零一二三四五六七八九"
_POWERS = ((1000, "千"), (100, "百"), (10, "十"), (1, ""))
_SCALES = ("", "万", "億", "兆", "京")
_MOST_DIGITS = 4 * len(_SCALES)
_DIGIT_NAMES = ["ゼロ", "イチ", "ニー", "サン", "ヨン", "ゴー", "ロク", "ナナ", "ハチ", "キュー"]
_NUMBER = r"\d+(?:\.\d+)?"
_SCALE = "[十百千万億兆]{0,2}"
_MONEY = {
    "¥": "円", "￥": "円", "JPY": "円", "$": "ドル", "US$": "米ドル", "USD": "米ドル", "€": "ユーロ", "EUR": "ユーロ", "£": "ポンド",
    "GBP": "ポンド", "₩": "ウォン", "元": "元", "CNY": "人民元", "₹": "ルピー", "₿": "ビットコイン", "A$": "豪ドル", "HK$": "香港ドル",
    "NT$": "台湾ドル", "C$": "カナダドル", "S$": "シンガポールドル", "R$": "レアル",
}  # fmt: skip
_SIGN = "|".join(map(re.escape, sorted((sign for sign in _MONEY if sign != "元"), key=len, reverse=True)))
_UNITS = {
    "km/h": "キロメートル毎時", "m/s": "メートル毎秒", "km²": "平方キロメートル", "km2": "平方キロメートル", "m²": "平方メートル",
    "m2": "平方メートル", "㎡": "平方メートル", "cm²": "平方センチメートル", "m³": "立方メートル", "m3": "立方メートル", "㎥": "立方メートル",
    "cm³": "立方センチメートル", "km": "キロメートル", "㎞": "キロメートル", "cm": "センチメートル", "㎝": "センチメートル", "mm": "ミリメートル",
    "㎜": "ミリメートル", "μm": "マイクロメートル", "nm": "ナノメートル", "m": "メートル", "kg": "キログラム", "㎏": "キログラム", "mg": "ミリグラム",
    "µm": "マイクロメートル", "μg": "マイクログラム", "µg": "マイクログラム",
    "g": "グラム", "t": "トン", "L": "リットル", "l": "リットル", "ℓ": "リットル", "ml": "ミリリットル", "mL": "ミリリットル", "dL": "デシリットル",
    "cc": "シーシー", "℃": "度", "°C": "度", "℉": "華氏度", "°F": "華氏度", "°": "度", "h": "時間", "min": "分", "ms": "ミリ秒", "s": "秒",
    "Hz": "ヘルツ", "kHz": "キロヘルツ", "MHz": "メガヘルツ", "GHz": "ギガヘルツ", "W": "ワット", "kW": "キロワット", "MW": "メガワット",
    "kWh": "キロワット時", "V": "ボルト", "mAh": "ミリアンペア時", "kcal": "キロカロリー", "kJ": "キロジュール", "Pa": "パスカル",
    "hPa": "ヘクトパスカル", "MPa": "メガパスカル", "dB": "デシベル", "ha": "ヘクタール", "KB": "キロバイト", "MB": "メガバイト", "GB": "ギガバイト",
    "TB": "テラバイト", "Mbps": "メガビーピーエス", "Gbps": "ギガビーピーエス", "fps": "エフピーエス", "dpi": "ディーピーアイ", "px": "ピクセル",
    "mmHg": "ミリメートルエイチジー", "mi": "マイル", "″": "インチ",
}  # fmt: skip
_UNIT = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_COUNTED = "|".join(
    [
        *"年月日時分秒人円度個本回歳名台件倍枚週",
        "ドル",
        "ユーロ",
        "パーセント",
        *sorted(set(_UNITS.values()), key=len, reverse=True),
    ]
)
"""What may stand between a number and the sign of a range."""
_SIGNS = {
    "+": "たす", "-": "ひく", "−": "ひく", "×": "かける", "*": "かける", "÷": "わる", "=": "イコール", "≒": "ニアリーイコール", "≈": "ニアリーイコール",
    "≠": "ノットイコール", "≥": "以上", "≤": "以下", ">": "大なり", "<": "小なり",
}  # fmt: skip
_ADDRESS_SIGNS = {
    ".": "ドット", "@": "アットマーク", "/": "スラッシュ", "-": "ハイフン", "_": "アンダーバー", ":": "コロン", "?": "クエスチョン", "=": "イコール",
    "&": "アンド", "#": "シャープ", "%": "パーセント", "~": "チルダ", "+": "プラス",
}  # fmt: skip
_PLAIN = {code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))} | {
    ord(wide): narrow for wide, narrow in zip("％＋－．／＝＃＠＆＄", "%+-./=#@&$", strict=True)
}  # fmt: skip


def cardinal(number: int) -> str:
    """Return a number from 0 in kanji: 一万二千五百, 一億; digit by digit from 10^20."""
    if number == 0:
        return _DIGITS[0]
    if number >= 10**_MOST_DIGITS:
        return "".join(_DIGITS[int(digit)] for digit in str(number))
    words = ""
    for power in reversed(range(len(_SCALES))):
        section = number // 10 ** (4 * power) % 10_000
        for value, name in _POWERS:
            digit = section // value % 10
            # 千 alone, but 一千万.
            is_silent = digit == 1 and (
                name in ("十", "百") or (name == "千" and (not power or section != 1000))
            )
            words += "" if not digit else name if is_silent else _DIGITS[digit] + name
        words += _SCALES[power] if section else ""
    return words


def spell_out(text: str) -> str:
    """Return a Japanese text with its numbers in kanji and its signs and units in words."""
    return re.sub(_NUMBER, lambda number: _in_kanji(number.group()), _without_signs(text))


def _in_kanji(number: str) -> str:
    whole, _, decimals = number.partition(".")
    words = (
        cardinal(int(whole))
        if len(whole) <= _MOST_DIGITS
        else "".join(_DIGITS[int(digit)] for digit in whole)
    )
    return words + (f"点{''.join(_DIGITS[int(digit)] for digit in decimals)}" if decimals else "")


def _without_signs(text: str) -> str:
    """Return a text with signs and units in words, and numbers in digits: haqumei reads 8本 well, 八本 not always."""
    text = text.translate(_PLAIN)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _one_by_one(digits: str) -> str:
    return "".join(_DIGIT_NAMES[int(digit)] for digit in digits)


def _telephone(found: Match) -> str:
    parts = re.findall(r"\+?\d+", found.group())
    return "、".join(("プラス" if part[0] == "+" else "") + _one_by_one(part.lstrip("+")) for part in parts)


def _date(found: Match) -> str:
    year, month, day = found[1], int(found[2]), int(found[3])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found.group()
    return (f"{year}年" if year else "") + f"{month}月{day}日"


def _clock(found: Match) -> str:
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 24 or minute > 59 or second > 59:
        return found.group()
    return f"{hour}時" + (f"{minute}分" if minute or second else "") + (f"{second}秒" if second else "")


def _fraction(found: Match) -> str:
    top, bottom = int(found[2]), int(found[3])
    if not 0 < top < bottom:
        return found.group()
    return (f"{found[1]}と" if found[1] else "") + f"{bottom}分の{top}"


def _vulgar(found: Match) -> str:
    value = Fraction(unicodedata.numeric(found[2])).limit_denominator(100)
    return (f"{found[1]}と" if found[1] else "") + f"{value.denominator}分の{value.numerator}"


def _address(found: Match) -> str:
    address = re.sub(r"^https?://", "", found.group(), flags=re.IGNORECASE)
    bare = address.rstrip(".,;:!?")
    parts = re.findall(r"[A-Za-z]+|\d+|.", bare.rstrip("/"))
    words = [_one_by_one(part) if part.isdecimal() else _ADDRESS_SIGNS.get(part, part) for part in parts]
    return " ".join(words) + address[len(bare) :]


def _money(found: Match) -> str:
    amount = found["amount"].rstrip("0").rstrip(".") if "." in found["amount"] else found["amount"]
    return f"{amount}{found['scale']}{_MONEY[found['sign']]}"


def _rules() -> Iterator[tuple[str, Callable[[Match], str] | str]]:
    """Yield patterns and what replaces them, in the order in which they are applied."""
    yield rf"\d{{{_MOST_DIGITS + 1},}}", lambda m: _one_by_one(m.group())
    yield "[﹣‐‑]", "-"
    yield r"(?<=\d),(?=\d{3}(?!\d))", ""
    # Addresses, telephone numbers, other numbers that are read digit by digit.
    yield r"(?i)\bhttps?://[!-~]+|\bwww\.[!-~]+", _address
    yield r"(?<![A-Za-z0-9.+_-])[A-Za-z0-9.+_-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+", _address
    yield (
        r"(?<![A-Za-z0-9@.-])(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.)+(?:com|jp|org|net|io|ai|edu|gov|co|app|dev)(?![A-Za-z0-9@-])(?:/[!-~]*)?",
        _address,
    )
    yield r"(?<![A-Za-z0-9.])\+\d{1,3}[ -]?\d[\d -]{5,14}\d(?!\d)", _telephone
    yield r"(?<![\d.-])\(?0\d{1,4}[)-]\s?\d{1,4}-\d{3,4}(?!\d)|(?<![\d.])0[5789]0\d{8}(?!\d)", _telephone
    yield r"(?:〒|(?<=郵便番号)[はが]?)\s?\d{3}-\d{4}(?![\d-])", _telephone
    # Dates and times.
    yield r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)", _date
    yield r"(?<=\d)\.(?=\d{1,4}\.\d)|(?<=\.\d)\.(?=\d)|(?<=\.\d\d)\.(?=\d)", "点"
    yield r"(?<![\d/])()(\d{1,2})/(\d{1,2})(?=\s?[(（][月火水木金土日])", _date
    yield r"(?<![\d:：])(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))?(?![\d:：])", _clock
    yield r"(?<=\d)\s?[:：]\s?(?=\d)", "対"
    yield r"(?<![\d.])0\d+(?![\d.])", lambda m: _one_by_one(m.group())
    # Money, per cent, fractions, units.
    yield r"(?<![A-Za-z:\\])\\(?=\d)", "¥"  # the yen sign of Shift-JIS is the backslash of others
    yield (
        rf"(?<![A-Za-z])(?P<sign>{_SIGN})\s?(?P<amount>{_NUMBER})(?P<scale>{_SCALE})(?:米?ドル|円|ユーロ|ポンド)?",
        _money,
    )
    yield rf"(?P<amount>{_NUMBER})(?P<scale>{_SCALE})\s?(?P<sign>{_SIGN})(?![A-Za-z])", _money
    yield r"\s?%", "パーセント"
    yield r"(?<=\d)\s?‰", "パーミル"
    yield r"(?<![\d./])(?:(\d+) )?(\d{1,4})\s?[/⁄]\s?(\d{1,4})(?![\d./])", _fraction
    yield r"(\d+)?\s?([¼½¾⅐-⅞])", _vulgar
    yield rf"(?<=\d)({_SCALE})\s?({_UNIT})(?![A-Za-z0-9])", lambda m: m[1] + _UNITS[m[2]]
    yield r"(?<=\d)\s?/\s?(?=\d)", "スラッシュ"
    # Ranges and signs.
    yield r"(?<=\d)\s?([+−×*÷=≒≈≠><]|\s-\s)\s?(?=[\d-])", lambda m: _SIGNS[m[1].strip()]
    yield r"(?<![\d-])\d{1,4}(?:-\d{1,4}){2,}(?![\d-])", lambda m: m.group().replace("-", "の")
    yield rf"(\d{_SCALE}(?:{_COUNTED})?)\s?[-~〜～–—]\s?(?=約?-?\d)", r"\1から"
    yield r"約?\s?[~〜～]\s?(?=\d)", "約"
    yield r"(?<![A-Za-z0-9.)-])[-−](?=\d)", "マイナス"
    yield r"(?<![A-Za-z0-9+])\+(?=\d)", "プラス"
    yield r"(?i)(?<![A-Za-z])no\.\s?(?=\d)|№\s?", "ナンバー"
    yield r"(?<![A-Za-z0-9])#(\d+)", r"\1番"
    yield "±", "プラスマイナス"
    yield r"\s?=\s?", "イコール"
    yield r"(?<=\d)\s?≥|(?<=\d)≧", "以上"
    yield r"(?<=\d)\s?≤|(?<=\d)≦", "以下"
    yield r"\s?&\s?", "アンド"
    # What haqumei reads otherwise: 0時 as ゼロジ, 1000万 as センマン, hot food as ツライ.
    yield r"(?<![\d.点])[0零](?=時(?!間))", "レイ"
    yield r"(?<![\d.点])0(?=度(?!目))", "零"
    yield r"(?<![\d.])1000(?=[万億兆])", "一千"
    yield r"辛(?=[いく]?(?:もの|物|料理|味|カレー|食べ物|ラーメン|スープ|ソース|鍋|麺|口|子|党))", "から"
    # haqumei takes "ChatGPT" for one word.
    yield r"(?<=[a-z])(?=[A-Z]{2})", " "


_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _rules()]

# Readings and morae.

_MARKS = {
    "、": ",", "。": ".", "，": ",", "．": ".", "！": "!", "？": "?", "：": ":", "；": ";", "「": "“", "」": "”", "『": "“", "』": "”",
    "（": "(", "）": ")", "【": "“", "】": "”", "《": "“", "》": "”", "〈": "“", "〉": "”", "…": "…", "‥": "…", "―": "—", "—": "—",
    "〜": "—", "～": "—", "“": "“", "”": "”",
    **{mark: mark for mark in ",.!?:;()"},
}  # fmt: skip
_OPENING = "“("


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return a Japanese text in Kokoro's alphabet, and the words and signs in it that have no reading.

    haqumei reads Latin words as Japanese says them (アイフォン); ``foreign`` reads those that it has nothing for.
    """
    phonemes = ""
    skipped: list[str] = []
    for written, said, is_mark in _analysed(_without_signs(text)):
        plain = unicodedata.normalize("NFKC", written).strip()  # haqumei widens signs
        mark = _MARKS.get(written) or _MARKS.get(plain)
        if mark and is_mark:
            phonemes = f"{phonemes.rstrip()} {mark}" if mark in _OPENING else f"{phonemes.rstrip()}{mark} "
            continue
        sounds = "".join(_morae(said))
        if not any(map(str.isalpha, sounds)):
            sounds, unread = foreign(plain) if plain.isascii() and plain.isalpha() else ("", [plain])
            skipped += [word for word in unread if any(map(has_sound, word))]
        if sounds:
            continues = not phonemes or phonemes[-1] in f" {_OPENING}" or sounds[0] in "ːʔN"
            phonemes += sounds if continues else f" {sounds}"
    return re.sub(r"\s+", " ", _NASAL.sub(_nasal, phonemes)).strip(), skipped


def _analysed(text: str) -> list[tuple[str, str, bool]]:
    """Return the words of a text as written, as said in katakana, and whether they are signs."""
    return [
        (word.string, re.sub("['’]", "", word.pron), word.pos == "記号" and not _is_kana(word.pron))
        for word in _reader().run_frontend(unicodedata.normalize("NFC", text))
    ]


@cache
def _reader() -> Any:
    """Return haqumei's analyser, which may be used by several threads at once."""
    try:
        from haqumei import Haqumei
    except ImportError as error:
        raise EngineError("package_missing", f"Japanese text needs haqumei ({error}).") from error
    return Haqumei()


def _is_kana(text: str) -> bool:
    return any("ァ" <= sign <= "ヺ" for sign in text)


_VOWELS = {"a": "a", "i": "i", "u": "ɯ", "e": "e", "o": "o"}
_ROWS = {
    # Kana of the vowels a, i, u, e, o; their consonant; and morae that are not consonant and vowel.
    "アイウエオ": ("", {}),
    "カキクケコ": ("k", {"i": "kʲi"}),
    "ガギグゲゴ": ("ɡ", {"i": "ɡʲi"}),
    "サシスセソ": ("s", {"i": "ɕi", "u": "sɨ"}),
    "ザジズゼゾ": ("ʣ", {"i": "ʥi", "u": "zɨ"}),
    "タチツテト": ("t", {"i": "ʨi", "u": "ʦɨ"}),
    "ダヂヅデド": ("d", {"i": "ʥi", "u": "zɨ"}),
    "ナニヌネノ": ("n", {"i": "ɲi"}),
    "ハヒフヘホ": ("h", {"i": "çi", "u": "ɸɯ"}),
    "バビブベボ": ("b", {"i": "bʲi"}),
    "パピプペポ": ("p", {"i": "pʲi"}),
    "マミムメモ": ("m", {"i": "mʲi"}),
    "ラリルレロ": ("ɾ", {"i": "ɾʲi"}),
}  # fmt: skip
_OTHERS = {
    "ヤ": "ja", "ユ": "jɯ", "ヨ": "jo", "ワ": "βa", "ヰ": "i", "ヱ": "e", "ヲ": "o", "ヴ": "vɯ", "ヮ": "βa", "ヵ": "ka", "ヶ": "ke",
    "ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o", "ャ": "ja", "ュ": "jɯ", "ョ": "jo", "ー": "ː", "ッ": "ʔ", "ン": "N",
    "ティ": "tʲi", "ディ": "dʲi", "トゥ": "tɯ", "ドゥ": "dɯ", "テュ": "tʲɨ", "デュ": "dʲɨ", "フュ": "ɸʲɨ", "ヴュ": "vʲɨ",
}  # fmt: skip
_WITH_Y = {
    "キ": "kʲ", "ギ": "ɡʲ", "シ": "ɕ", "ジ": "ʥ", "チ": "ʨ", "ヂ": "ʥ", "ニ": "ɲ", "ヒ": "ç", "ビ": "bʲ", "ピ": "pʲ", "ミ": "mʲ",
    "リ": "ɾʲ",
}  # fmt: skip
_WITH_SMALL_VOWEL = {
    "フ": "ɸ", "ヴ": "v", "ツ": "ʦ", "テ": "t", "デ": "d", "ト": "t", "ド": "d", "ク": "kᵝ", "グ": "ɡᵝ", "ウ": "β", "イ": "j",
    "ス": "s", "ズ": "z",
}  # fmt: skip


@cache
def _table() -> Mapping[str, str]:
    """Return the sounds of each mora of one or two katakana."""
    table = {
        kana: special.get(vowel, consonant + _VOWELS[vowel])
        for row, (consonant, special) in _ROWS.items()
        for kana, vowel in zip(row, _VOWELS, strict=True)
    }
    for kana, consonant in _WITH_SMALL_VOWEL.items():
        table |= {
            kana + small: consonant + vowel
            for small, vowel in zip("ァィゥェォ", _VOWELS.values(), strict=True)
        }
    for kana, consonant in _WITH_Y.items():
        table |= {kana + small: consonant + vowel for small, vowel in zip("ャュョェ", "aɨoe", strict=True)}
    return table | _OTHERS


def _morae(kana: str) -> Iterator[str]:
    """Yield the sounds of each mora; what is no kana is skipped."""
    table, place = _table(), 0
    while place < len(kana):
        size = 2 if kana[place : place + 2] in table and place + 1 < len(kana) else 1
        yield table.get(kana[place : place + size], "")
        place += size


_NASAL = re.compile(r"N(?=(.?))")
_PLACES = {
    **dict.fromkeys("mpb", "m"), **dict.fromkeys("kɡ", "ŋ"), **dict.fromkeys("ɲʨʥ", "ɲ"), **dict.fromkeys("ntdɾzʦʣ", "n"),
}  # fmt: skip


def _nasal(found: Match) -> str:
    """Return ン at the place of the sound after it."""
    return _PLACES.get(found[1], "ɴ")
