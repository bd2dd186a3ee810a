"""Chinese numbers and signs in words: cardinals, dates, times, money, units, fractions, ranges, telephone numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from fractions import Fraction

from voiceclone_worker.engines.kokoro.phonemes.alphabets import HAN

DIGITS = "零一二三四五六七八九"
_POWERS = ((1000, "千"), (100, "百"), (10, "十"), (1, ""))
_SCALES = ("", "万", "亿", "万亿")
MOST_DIGITS = 16
"""Longer numbers are read digit by digit."""
_HAN = f"{HAN}〇"
_NUMBER = r"\d+(?:\.\d+)?"
_SCALE = "[十百千万亿]{0,2}"
Match = re.Match[str]

_MONEY = {
    "¥": "元", "￥": "元", "RMB": "元", "CNY": "元", "$": "美元", "US$": "美元", "USD": "美元", "€": "欧元", "EUR": "欧元",
    "£": "英镑", "GBP": "英镑", "HK$": "港元", "HKD": "港元", "NT$": "新台币", "JPY": "日元", "JP¥": "日元", "₩": "韩元",
    "₹": "卢比", "₽": "卢布", "A$": "澳元", "C$": "加元", "S$": "新加坡元", "R$": "雷亚尔", "₿": "比特币",
}  # fmt: skip
_UNITS = {
    "km/h": "公里每小时", "m/s": "米每秒", "m/s²": "米每二次方秒", "kg/m³": "千克每立方米", "mg/L": "毫克每升", "g/L": "克每升",
    "km²": "平方公里", "km2": "平方公里", "m²": "平方米", "m2": "平方米", "㎡": "平方米", "cm²": "平方厘米", "cm2": "平方厘米",
    "m³": "立方米", "m3": "立方米", "㎥": "立方米", "cm³": "立方厘米", "cm3": "立方厘米",
    "km": "公里", "KM": "公里", "cm": "厘米", "mm": "毫米", "μm": "微米", "um": "微米", "nm": "纳米", "m": "米", "㎝": "厘米",
    "㎜": "毫米", "㎞": "公里", "kg": "公斤", "KG": "公斤", "Kg": "公斤", "㎏": "公斤", "mg": "毫克", "g": "克", "t": "吨",
    "L": "升", "l": "升", "ml": "毫升", "mL": "毫升", "ML": "毫升", "℃": "度", "°C": "度", "℉": "华氏度", "°F": "华氏度",
    "°": "度", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒", "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫兹",
    "W": "瓦", "kW": "千瓦", "KW": "千瓦", "MW": "兆瓦", "GW": "吉瓦", "kWh": "千瓦时", "V": "伏", "mAh": "毫安时", "mA": "毫安",
    "kcal": "千卡", "kJ": "千焦", "Pa": "帕", "kPa": "千帕", "MPa": "兆帕", "dB": "分贝", "hPa": "百帕", "ha": "公顷",
    "µm": "微米", "μg": "微克", "µg": "微克", "mmHg": "毫米汞柱", "rpm": "转每分", "Mbps": "兆比特每秒", "″": "英寸",
}  # fmt: skip
"""Others (GB, TB, fps) are said letter by letter, as they are written."""
_UNIT = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_SIGN = "|".join(map(re.escape, sorted(_MONEY, key=len, reverse=True)))
_MEASURES = (
    "个位名次天年只条张件块点本双对套辆家间所座棵颗粒片碗杯瓶盒包袋支枝把台部架艘栋步口匹群组种类项篇首句段页趟遍回场轮倍岁周秒"
    "米斤吨升元毛人国份声股站届封根滴顿笔户头节课辈排行列层"
)
_COUNTED = rf"(?:[{_MEASURES}]|小时|分钟|公里|公斤|千米|千克|平方|立方|美元|欧元|英镑|星期|礼拜|厘米|毫米|毫升|英里|英尺|英寸)"
"""What is counted with 两, not with 二. 月, 日, 号, 楼, 班 and 路 name the second one."""
_SIGNS = {
    "+": "加", "×": "乘", "*": "乘", "÷": "除以", "=": "等于", "≈": "约等于", "≠": "不等于", "≥": "大于等于", "≤": "小于等于",
    ">": "大于", "<": "小于",
}  # fmt: skip
_ADDRESS_SIGNS = {".": "点", "@": " at ", "/": "斜杠", "-": "杠", "_": "下划线", "~": "波浪号", ":": "冒号"}
_PLAIN = {
    **{ord("０") + digit: str(digit) for digit in range(10)},
    **{code: code - 0xFEE0 for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))},
    **dict(zip(map(ord, "％＋－．／＝＃＠＆～＄"), "%+-./=#@&~$", strict=True)),
}


def cardinal(number: int) -> str:
    """Return a number from 0 in Chinese words, digit by digit from 10^16: 两千二百二十二, 两万, 一亿零二万."""
    if number == 0:
        return DIGITS[0]
    if number >= 10**MOST_DIGITS:
        return in_digits(str(number))
    words, is_gap = "", False
    for power in reversed(range(len(_SCALES))):
        section = number // 10 ** (4 * power) % 10_000
        if not section:
            is_gap = bool(words)
            continue
        if words and (is_gap or section < 1000):
            words += DIGITS[0]
        # 万亿 is one scale where both of its sections stand for themselves.
        scale = "万" if power == 3 and number // 10**8 % 10_000 else _SCALES[power]
        words += ("二" if section == 2 else _section(section)) + scale
        is_gap = False
    if words.startswith("一十"):
        return words[1:]
    return f"两{words[1:]}" if re.match("二[百千万亿]", words) else words


def in_digits(digits: str, *, one: str = "一") -> str:
    """Return digits one by one; ``one`` is 幺 in telephone numbers."""
    return "".join(one if digit == "1" else DIGITS[int(digit)] for digit in digits)


def spell_out(text: str) -> str:
    """Return a Chinese text, in simplified letters, with its numbers, signs and units in words."""
    text = text.translate(_PLAIN)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _section(section: int) -> str:
    """Return 1 to 9999 in words."""
    words, is_gap = "", False
    for power, name in _POWERS:
        digit = section // power % 10
        if digit:
            words += ("零" if is_gap and words else "") + DIGITS[digit] + name
        is_gap = not digit
    return words


def _number(number: str) -> str:
    """Return a number with or without decimals in words; one that begins with 0, or a long one, in digits."""
    whole, _, decimals = number.partition(".")
    is_name = len(whole) > MOST_DIGITS or (len(whole) > 1 and whole[0] == "0")
    return (in_digits(whole) if is_name else cardinal(int(whole))) + (
        f"点{in_digits(decimals)}" if decimals else ""
    )


def _date(found: Match) -> str:
    year, month, day = found[1], int(found[2]), int(found[3])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found.group()
    return f"{in_digits(year)}年{cardinal(month)}月{cardinal(day)}日"


def _clock(found: Match) -> str:
    hour, minute, second = int(found[1]), int(found[2]), found[3]
    if hour > 24 or minute > 59 or int(second or 0) > 59:
        return found.group()
    words = "两点" if hour == 2 else f"{cardinal(hour)}点"
    if minute == 30 and hour <= 12 and not second:
        return f"{words}半"
    if minute or second:
        words += ("零" if 0 < minute < 10 else "") + f"{cardinal(minute)}分"
    return words + (f"{cardinal(int(second))}秒" if second else "")


def _fraction(found: Match) -> str:
    top, bottom = int(found[2]), int(found[3])
    if not 0 < top < bottom:
        return found.group()
    words = f"{cardinal(bottom)}分之{cardinal(top)}"
    return f"{_number(found[1])}又{words}" if found[1] else words


def _vulgar(found: Match) -> str:
    value = Fraction(unicodedata.numeric(found[2])).limit_denominator(100)
    words = f"{cardinal(value.denominator)}分之{cardinal(value.numerator)}"
    return f"{_number(found[1])}又{words}" if found[1] else words


def _telephone(found: Match) -> str:
    parts = re.findall(r"\+?\d+", found.group())
    return ", ".join(
        ("加" if part[0] == "+" else "") + in_digits(part.lstrip("+"), one="幺") for part in parts
    )


def _version(found: Match) -> str:
    parts = found.group().split(".")
    is_address = len(parts) == 4 and any(len(part) == 3 for part in parts)
    return "点".join(in_digits(part) if is_address or len(part) > 2 else _number(part) for part in parts)


def _address(found: Match) -> str:
    address = re.sub(r"^https?://", "", found.group(), flags=re.IGNORECASE)
    bare = address.rstrip(".,;:!?")
    parts = re.findall(r"[A-Za-z]+|\d+|.", bare.rstrip("/"))
    words = [in_digits(part) if part.isdecimal() else _ADDRESS_SIGNS.get(part, part) for part in parts]
    return " ".join(words) + address[len(bare) :]


def _money(found: Match) -> str:
    amount = (
        re.sub(r"(\.\d*?)0+$", r"\1", found["amount"]).rstrip(".")
        if "." in found["amount"]
        else found["amount"]
    )
    return f"{amount}{found['scale']}{_MONEY[found['sign']]}"


def _below_zero(found: Match) -> str:
    return f"零下{found[1]}{found[2]}"


def _year(found: Match) -> str:
    year = found[1]
    is_count = year.endswith("00") and re.match(
        r"(?:多|余)?年(?:前|以前|之前|的?历史|以上|后|的?文明)", found.string[found.end() :]
    )
    return year if is_count else in_digits(year)


def _rules() -> Iterator[tuple[str, Callable[[Match], str] | str]]:
    """Yield patterns and what replaces them, in the order in which they are applied."""
    yield rf"\d{{{MOST_DIGITS + 1},}}", lambda m: in_digits(m.group())
    yield r"(?<=\d)\s?−\s?(?=\d+(?:\.\d+)?\s?=)", "减"
    yield "[−﹣‐‑]", "-"
    yield r"(?<=\d),(?=\d{3}(?!\d))", ""
    # Addresses.
    yield r"(?i)(?<![a-z0-9])(?:https?://|www\.)[!-~]+", _address
    yield r"(?<![A-Za-z0-9.+_-])[A-Za-z0-9.+_-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+", _address
    yield (
        r"(?<![A-Za-z0-9@.-])(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.)+(?:com|cn|org|net|io|ai|edu|gov|hk|tw|co|app|dev|top)(?![A-Za-z0-9@-])(?:/[!-~]*)?",
        _address,
    )
    # Telephone numbers, and other numbers that are read digit by digit.
    yield r"(?<![A-Za-z0-9.])\+\d{1,3}[ -]?\d[\d -]{5,14}\d(?!\d)", _telephone
    yield r"(?<![\d.])1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)", _telephone
    yield r"(?<![\d.])\(?0\d{2,3}\)?[ -]\d{3,4}[ -]?\d{4}(?!\d)|(?<!\d)[48]00-?\d{3}-?\d{4}(?!\d)", _telephone
    yield r"(?<=[打拨])(?:通)?(\d{3,12})(?!\d)", lambda m: m.group().replace(m[1], in_digits(m[1], one="幺"))
    yield (
        r"(?:电话|手机|热线|号码|客服|致电|传真)(?:是|为|号码|[:：])?\s?(\d{3,12})(?![\d.%])",
        lambda m: m.group().replace(m[1], in_digits(m[1], one="幺")),
    )
    yield (
        r"(?:编号|学号|工号|账号|帐号|验证码|密码|邮编|尾号|单号|证号|代码|房号|车牌)(?:是|为|[:：])?\s?([A-Za-z]*)(\d{3,})",
        lambda m: m.group()[: -len(m[2])] + in_digits(m[2]),
    )
    yield r"(?<![\d.])(\d{3,4})(?=号?(?:房间|房(?!子)|室|病房|教室))", lambda m: in_digits(m[1], one="幺")
    yield r"(?<![A-Za-z])([A-Z]{1,2})(\d{3,4})(?=次|航班|号?列车)", lambda m: m[1] + in_digits(m[2], one="幺")
    yield (
        r"(?<=[A-Za-z])([ -]?)(\d{3,})(?![\d.])(?!\s?(?:元|美元|块|万|个|人|年|次|家|台|名|位|%))",
        lambda m: (m[1] and " ") + in_digits(m[2]),
    )
    yield r"(?<![\d.])\d{1,3}(?:\.\d{1,4}){2,}(?![\d.])", _version
    # Dates and times.
    yield r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)", _date
    yield (
        r"(?<!\d)([12]\d{3})\s?[-–—~～至到]\s?([12]\d{3})(?=年)",
        lambda m: f"{in_digits(m[1])}到{in_digits(m[2])}",
    )
    yield r"(?<![\d.])([12]\d{3})(?=年(?!级))", _year
    yield r"(?<=公元)(前?)(\d{1,3})(?=年)", lambda m: m[1] + in_digits(m[2])
    yield r"(?<![\d.])(\d{2})(?=年(?:\d{1,2}月|出生|生人?|毕业|春|夏|秋|冬))", lambda m: in_digits(m[1])
    yield r"(?<![\d.])([0-9]0)(?=后(?!面|来|续|期|方))", lambda m: in_digits(m[1])
    yield (
        r"(?:比分|战胜|击败|比率|比例|领先|落后|大胜|险胜|战平)[^\d，。]{0,6}\d+\s?[:：]\s?\d+",
        lambda m: re.sub(r"\s?[:：]\s?(?=\d)", "比", m.group()),
    )
    yield r"(?<=[:：]\d\d)\s?[-–—~]\s?(?=\d{1,2}[:：]\d\d)", "到"
    yield r"(?<![\d:：.])(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))?(?![\d:：])", _clock
    yield r"(?<=\d)\s?[:：]\s?(?=\d)", "比"
    # Money, per cent, fractions, units.
    yield (
        rf"(?<![A-Za-z])(?P<sign>{_SIGN})\s?(?P<amount>{_NUMBER})(?P<scale>{_SCALE}[多余几]?)(?:(?:人民币|美|欧|日|港)?元|块钱?)?",
        _money,
    )
    yield rf"(?P<amount>{_NUMBER})(?P<scale>{_SCALE}[多余几]?)\s?(?P<sign>{_SIGN})(?![A-Za-z])", _money
    yield rf"(?<=[元块钱分人次])/(?=[{_HAN}])", "每"
    yield rf"(?<![A-Za-z0-9.])-({_NUMBER})(?=\s?[-~～至到]\s?-?{_NUMBER}\s?(?:℃|°C|°|度))", r"零下\1"
    yield rf"(?<![A-Za-z0-9.])-({_NUMBER})(?=\s?[-~～至到]\s?-?\d)", r"负\1"
    yield rf"(?<![A-Za-z0-9.])-({_NUMBER})\s?(℃|°C|°|度)", _below_zero
    yield (
        rf"({_NUMBER})\s?[-–—~～至到]\s?({_NUMBER})\s?([%‰])",
        lambda m: ("百" if m[3] == "%" else "千") + f"分之{_number(m[1])}到{_number(m[2])}",
    )
    yield rf"(?<![A-Za-z\d.])-({_NUMBER})\s?%", lambda m: f"负百分之{_number(m[1])}"
    yield rf"({_NUMBER})\s?([%‰])", lambda m: ("百" if m[2] == "%" else "千") + f"分之{_number(m[1])}"
    yield r"(?<![\d./])(?:(\d+) )?(\d{1,4})\s?[/⁄]\s?(\d{1,4})(?![\d./])", _fraction
    yield r"(?<=\d)\s?/\s?(?=\d)", " "
    yield r"(\d+)?\s?([¼½¾⅐-⅞])", _vulgar
    yield rf"(?<=\d)({_SCALE})\s?({_UNIT})(?![A-Za-z0-9])", lambda m: m[1] + _UNITS[m[2]]
    # Ranges, signs.
    yield (
        r"(?<![\d.])((?:19|20)\d{2})\s?[-–—~～]\s?((?:19|20)\d{2})(?![\d.])",
        lambda m: f"{in_digits(m[1])}到{in_digits(m[2])}",
    )
    yield r"(?<=\d)\s-\s(?=\d+\s?=)", "减"
    yield rf"(?<=[\d十百千万亿{_MEASURES}米度号日月点分半])\s?[-–—~～]\s?(?=(?:负|零下)?\d)", "到"
    yield r"(?<![A-Za-z0-9.)-])-(?=\d)", "负"
    yield r"(?<=约)\s?~\s?(?=\d)", ""
    yield rf"(?<![A-Za-z0-9.{_MEASURES}])~\s?(?=\d)", "约"
    # Behind a word it is a drawl: a pause, where the sentence goes on.
    yield rf"(?<=[A-Za-z{_HAN}])~+(?=[A-Za-z{_HAN}])", "，"
    yield rf"(?<=[A-Za-z{_HAN}，。！？!?])~+", ""
    yield r"(?i)(?<![A-Za-z])no\.\s?(?=\d)|№\s?", "第"
    yield r"(?<![A-Za-z0-9])#(\d+)", r"\1号"
    yield r"(\d+)(?:st|nd|rd|th)(?![A-Za-z])", r"第\1"
    yield "±", "正负"
    yield r"(?<=[\d十百千万亿元米克度])\s?([+×*÷=≈≠≥≤><])\s?(?=[\d负])", lambda m: _SIGNS[m[1]]
    yield r"([≥≤≈><])(?=\s?\d)", lambda m: _SIGNS[m[1]]
    yield r"(?<![A-Za-z0-9+])\+(?=\d)", "加"
    yield rf"(?<=[{_HAN}])\s?&\s?(?=[{_HAN}])", "和"
    yield r"(?<=[A-Za-z])-(?=\d)", " "
    # Numbers.
    yield r"(?<![\d.])2(?=到\d+" + _COUNTED + ")", "两"
    yield rf"(?<![A-Za-z第初\d.周期])2(?={_COUNTED})(?!年级)", "两"
    yield r"(?<![A-Za-z第\d.万亿千])2(?=[千万亿])", "两"
    yield _NUMBER, lambda m: _number(m.group())


_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _rules()]
