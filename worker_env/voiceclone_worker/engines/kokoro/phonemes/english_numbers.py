"""English numbers in words: cardinals, ordinals, decimals, fractions, and rules for what is counted and measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from voiceclone_worker.engines.kokoro.phonemes.numbers import Match, Rule, vulgar_value

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ["", "thousand", "million", "billion", "trillion"]
MOST_DIGITS = 15
"""Longer numbers are read digit by digit."""


def cardinal(number: int) -> str:
    """Return a number from 0 in English words; digit by digit from 10**15."""
    if number >= 10**MOST_DIGITS:
        return digits_words(str(number))
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_ONES[unit]}" if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred" + (f" {cardinal(rest)}" if rest else "")
    words: list[str] = []
    scale = 0
    while number:
        number, group = divmod(number, 1000)
        if group:
            words.insert(0, f"{cardinal(group)} {_SCALES[scale]}".strip())
        scale += 1
    return " ".join(words)


_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def ordinal(number: int) -> str:
    """Return an ordinal number in English words."""
    head, _, last = cardinal(number).rpartition(" ")
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head} {_ORDINALS.get(last, regular)}".strip()


def year(number: int) -> str:
    """Return a year of four digits in English words, "nineteen oh five"; others than years are read the same."""
    century, rest = divmod(number, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def number_words(digits: str) -> str:
    """Return a number as it is written ("1,234.50", "007", ".5") in words: a count, never a year."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    if len(whole) > MOST_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        words = digits_words(whole)
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits_words(decimals)}".strip() if decimals else words


def digits_words(digits: Iterable[str]) -> str:
    """Return digits in words, one after the other."""
    return " ".join(_ONES[int(digit)] for digit in digits if digit.isdecimal())


_PARTS = {2: ("half", "halves"), 4: ("quarter", "quarters")}


def fraction_words(value: Fraction, top: int | None = None, bottom: int | None = None) -> str:
    """Return a fraction in words, "three quarters"; ``top`` and ``bottom`` where it is not in lowest terms."""
    top, bottom = top or value.numerator, bottom or value.denominator
    one, many = _PARTS.get(bottom) or (ordinal(bottom), f"{ordinal(bottom)}s")
    return f"{cardinal(top)} {one if top == 1 else many}"


def _with_article(fraction: str) -> str:
    """Return a fraction as it follows a whole number: "a half"."""
    return "a half" if fraction == "one half" else fraction


_VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
"""Fractions that are one character."""


def _mixed_number(digits: str) -> str:
    """Return a number that may have a fraction: "5", "5½", "5 1/4"."""
    if "/" in digits:
        whole, _, fraction = digits.rpartition(" ")
        top, bottom = map(int, fraction.split("/"))
        words = fraction_words(Fraction(top, max(1, bottom)), top, max(1, bottom))
        return f"{number_words(whole)} and {_with_article(words)}" if whole else words
    if digits[-1].isdecimal():
        return number_words(digits)
    fraction = fraction_words(vulgar_value(digits[-1]))
    return f"{number_words(digits[:-1])} and {_with_article(fraction)}" if digits[:-1] else fraction


_NUMBER = r"(?:\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_MINUS = r"(?<![\w.)\]%°'\"])-"
"""A minus sign: nothing before it could be the beginning of a range."""


# Money.
_MONEY = {
    "$": ("dollar", "dollars", "cent"), "US$": ("U S dollar", "U S dollars", "cent"),
    "USD": ("U S dollar", "U S dollars", "cent"), "C$": ("Canadian dollar", "Canadian dollars", "cent"),
    "CA$": ("Canadian dollar", "Canadian dollars", "cent"), "CAD": ("Canadian dollar", "Canadian dollars", "cent"),
    "A$": ("Australian dollar", "Australian dollars", "cent"), "AU$": ("Australian dollar", "Australian dollars", "cent"),
    "AUD": ("Australian dollar", "Australian dollars", "cent"), "NZ$": ("New Zealand dollar", "New Zealand dollars", "cent"),
    "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent"), "NT$": ("Taiwan dollar", "Taiwan dollars", "cent"),
    "S$": ("Singapore dollar", "Singapore dollars", "cent"), "R$": ("real", "reais", "centavo"),
    "€": ("euro", "euros", "cent"), "EUR": ("euro", "euros", "cent"), "£": ("pound", "pounds", "penny"),
    "GBP": ("pound", "pounds", "penny"), "¥": ("yen", "yen", ""), "JPY": ("yen", "yen", ""), "￥": ("yen", "yen", ""),
    "CN¥": ("yuan", "yuan", ""), "CNY": ("yuan", "yuan", ""), "RMB": ("yuan", "yuan", ""), "₹": ("rupee", "rupees", "paisa"),
    "INR": ("rupee", "rupees", "paisa"), "₩": ("won", "won", ""), "₽": ("ruble", "rubles", "kopek"),
    "₺": ("lira", "lira", ""), "₴": ("hryvnia", "hryvnias", ""), "₫": ("dong", "dong", ""), "₪": ("shekel", "shekels", ""),
    "₱": ("peso", "pesos", "centavo"), "₦": ("naira", "naira", ""), "฿": ("baht", "baht", ""), "₿": ("bitcoin", "bitcoins", ""),
    "CHF": ("Swiss franc", "Swiss francs", ""),
}  # fmt: skip
_CURRENCY = "|".join(re.escape(sign) for sign in sorted(_MONEY, key=len, reverse=True))
_LARGE = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "mio": "million", "b": "billion",
    "B": "billion", "bn": "billion", "Bn": "billion", "BN": "billion", "tn": "trillion", "T": "trillion",
    **{word: word for word in ("hundred", "thousand", "million", "billion", "trillion")},
}  # fmt: skip
_LARGE_WORD = "|".join(sorted(_LARGE, key=len, reverse=True))
_AMOUNT = r"(?:\d{1,3}(?:[,.]\d{3})+(?:[.,]\d{1,2})?|\d+[.,]\d+|\d+|\.\d+)"


def _english_amount(digits: str) -> str:
    """Return an amount with a point for decimals: a comma before one or two last digits is one."""
    if re.search(r",\d{1,2}$", digits):
        return digits.replace(".", "").replace(",", ".")
    return digits.replace(".", "") if re.search(r"\.\d{3}\.\d{3}$", digits) else digits


def _money_words(sign: str, digits: str, large: str | None, *, as_adjective: bool = False) -> str:
    one, many, hundredth = _MONEY[sign]
    amount = _english_amount(digits)
    whole, _, cents = amount.partition(".")
    if large:
        return f"{number_words(amount)} {_LARGE[large]} {one if as_adjective else many}"
    if len(cents) == 2 and hundredth:
        parts = [_count(whole or "0", one, many)] if int(whole.replace(",", "") or 0) else []
        plural = {"penny": "pence", "paisa": "paise"}.get(hundredth, f"{hundredth}s")
        parts += [_count(cents.lstrip("0"), hundredth, plural)] if int(cents) else []
        return " and ".join(parts) or f"zero {many}"
    unit = one if as_adjective or amount in ("1", "1.00") else many
    return f"{number_words(amount)} {unit}"


def _count(digits: str, one: str, many: str) -> str:
    return f"{number_words(digits)} {one if digits == '1' else many}"


def _money(found: Match) -> str:
    sign, digits, large = (found["sign"] or found["after"]), found["digits"], found["large"]
    end = found.string[found.end() :]
    before = found.string[: found.start()]
    as_adjective = bool(
        re.search(r"\b(?:an?|another|one)\s$", before, re.IGNORECASE) and re.match(r"[\s-][a-z]", end)
    )
    if re.match(r"\s(?:a|per|each|and|or|to|for|in|on|at|is|was|from|by|an)\b", end):
        as_adjective = False
    minus = "minus " if found["minus"] else ""
    return f"{minus}{_money_words(sign, digits, large, as_adjective=as_adjective)}"


_SHORT_TIMES = {"hr": "hour", "h": "hour", "yr": "year", "mo": "month", "wk": "week", "min": "minute"}
_MONEY_WORDS = "dollars?|cents?|euros?|pounds?|pence"

# Degrees, feet and inches.
_SCALES_OF_HEAT = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin"}
_POINTS = {"N": " north", "S": " south", "E": " east", "W": " west"}


def _position(found: Match) -> str:
    words = _count(found["degrees"], "degree", "degrees")
    words += f" {_count(found['minutes'], 'minute', 'minutes')}" if found["minutes"] else ""
    words += f" {_count(found['seconds'], 'second', 'seconds')}" if found["seconds"] else ""
    return words + _POINTS.get(found["point"] or "", "")


def _degrees(found: Match) -> str:
    minus = "minus " if found[1] == "-" else "plus " if found[1] == "+" else ""
    return minus + _count(found[2], "degree", "degrees") + _SCALES_OF_HEAT.get((found[3] or "").upper(), "")


def _inches(found: Match) -> str:
    if found["length"] is None:  # a quotation, whose last word may be a number
        return found.group()
    is_adjective = re.match(
        r"-|\s(?!(?:tall|long|wide|deep|high|thick|and|or|of|from|apart|away)\b)[a-zA-Z]",
        found.string[found.end() :],
    )
    length = found["length"]
    is_single = is_adjective or length == "1" or not re.match(r"\d+(?: |\.|$)", length)
    return f"{_mixed_number(length)} {'inch' if is_single else 'inches'}"


_LENGTHS = rf"(?:(?:\d+ )?\d+/\d+|\d+(?:\.\d+)?[{_VULGAR}]?|[{_VULGAR}])"

# Units that hibari does not know.
_UNITS = {
    "m": ("meter", "meters"), "g": ("gram", "grams"), "l": ("liter", "liters"), "L": ("liter", "liters"),
    "km": ("kilometer", "kilometers"), "cm": ("centimeter", "centimeters"), "mm": ("millimeter", "millimeters"),
    "kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"), "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"), "cl": ("centiliter", "centiliters"), "ft": ("foot", "feet"), "mi": ("mile", "miles"),
    "yd": ("yard", "yards"), "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"),
    "kcal": ("kilocalorie", "kilocalories"), "cal": ("calorie", "calories"), "kJ": ("kilojoule", "kilojoules"),
    "W": ("watt", "watts"), "kW": ("kilowatt", "kilowatts"), "kWh": ("kilowatt hour", "kilowatt hours"),
    "V": ("volt", "volts"), "dB": ("decibel", "decibels"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"), "h": ("hour", "hours"), "hr": ("hour", "hours"),
    "min": ("minute", "minutes"), "s": ("second", "seconds"), "ms": ("millisecond", "milliseconds"),
    "KB": ("kilobyte", "kilobytes"), "kB": ("kilobyte", "kilobytes"), "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes"), "Mbit": ("megabit", "megabits"),
    "Gbit": ("gigabit", "gigabits"), "px": ("pixel", "pixels"), "ha": ("hectare", "hectares"), "t": ("ton", "tons"),
    "hPa": ("hectopascal", "hectopascals"), "Pa": ("pascal", "pascals"), "N": ("newton", "newtons"),
    "μm": ("micrometer", "micrometers"), "µm": ("micrometer", "micrometers"), "nm": ("nanometer", "nanometers"),
    "µg": ("microgram", "micrograms"), "μg": ("microgram", "micrograms"), "mA": ("milliamp", "milliamps"),
    "Ω": ("ohm", "ohms"), "kΩ": ("kilohm", "kilohms"), "sq ft": ("square foot", "square feet"),
}  # fmt: skip
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_ALONE = "|".join(
    unit
    for unit in sorted(map(re.escape, _UNITS), key=len, reverse=True)
    if unit not in ("t", "s", "h", "N", "V", "W", "K", "min")
)
_POWERS = {"²": "square ", "³": "cubic ", "2": "square ", "3": "cubic ", "": ""}


def _unit(found: Match) -> str:
    digits, unit, power, per, per_power = found.group("digits", "unit", "power", "per", "per_power")
    one, many = _UNITS[unit]
    before = found.string[: found.start()]
    as_adjective = re.search(r"\b(?:an?|another)\s$", before, re.IGNORECASE) and re.match(
        r"\s[a-z]", found.string[found.end() :]
    )
    singular = digits in ("1", "-1") or as_adjective
    words = f"{_mixed_number(digits.lstrip('-'))} {_POWERS[power or '']}{one if singular else many}"
    if digits.startswith("-"):
        words = f"minus {words}"
    if per == "s" and per_power:
        return f"{words} per second {'squared' if per_power == '²' else 'cubed'}"
    return f"{words} per {_POWERS[per_power or '']}{_UNITS[per][0]}" if per else words


def _part_of_unit(found: Match) -> str:
    digits, (one, many) = found[1], _UNITS[found[2]]
    if " " in digits:
        return f"{_mixed_number(digits)} {many}"
    fraction = "half" if digits in ("1/2", "½") else f"{_mixed_number(digits)} of"
    return f"{fraction} {'an' if one[0] in 'aeiou' or one == 'hour' else 'a'} {one}"


_SIGNED = rf"(?<![\w.,/])(?P<digits>(?:{_MINUS})?(?:{_NUMBER}[{_VULGAR}]?|[{_VULGAR}]))"


def _version(found: Match) -> str:
    groups = found.group().split(".")
    if len(groups) == 4:
        return " dot ".join(map(number_words, groups))
    if all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3:  # 1.234.567, as in Europe
        return number_words("".join(groups))
    return " point ".join(number_words(group) for group in groups)


def _slash(found: Match) -> str:
    """Return two numbers with a slash as a fraction where hibari would take them for a date."""
    top, bottom = int(found["top"]), int(found["bottom"])
    if found["whole"] and 0 < top < bottom:
        return f"{number_words(found['whole'])} and {_with_article(fraction_words(Fraction(top, bottom), top, bottom))}"
    if top == bottom > 1:
        return f"{found['whole'] or ''} {cardinal(top)} out of {cardinal(bottom)}".strip()
    measured = re.match(
        r"\s?(?:of|inch|mile|cup|teaspoon|tablespoon|second|pound|scale)\b", found.string[found.end() :]
    )
    if 0 < top < bottom and (bottom <= 10 or measured or bottom > 31 or found["part"]):
        words = fraction_words(Fraction(top, bottom), top, bottom)
        return f"{found['whole'] or ''} {words}".strip()
    if top <= 12 and bottom <= 31:
        return found.group()  # a date
    return f"{found['whole'] or ''} {cardinal(top)} over {cardinal(bottom)}".strip()


# Minus, ranges and sums.
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))


def _power(found: Match) -> str:
    minus = "minus " if found[1].startswith("⁻") else ""
    digits = "".join(_SUPERSCRIPTS.get(sign, "") for sign in found[1])
    if not minus and digits in ("2", "3"):
        return " squared " if digits == "2" else " cubed "
    return f" to the power of {minus}{number_words(digits)} "


def rules() -> Iterator[Rule]:
    """Yield the rules for money, degrees, lengths, units, versions, decimals, fractions, ranges and sums, in their order."""
    # Money.
    yield rf"(?<!\w)({_CURRENCY})\s?-(?=\d)", r"-\1"
    yield (
        rf"(?<!\w)(?P<sign>{_CURRENCY})\s?(?P<low>{_AMOUNT})(?:\s?(?P<lower>{_LARGE_WORD}))?\s?[-–]\s?(?:{_CURRENCY})?"
        rf"(?P<high>{_AMOUNT})(?:\s?(?P<large>{_LARGE_WORD})\b)?",
        lambda m: (
            f"{number_words(_english_amount(m['low']))} {_LARGE.get(m['lower'] or '', '')} to "
            f"{_money_words(m['sign'], m['high'], m['large'])}"
        ),
    )
    yield (
        rf"(?P<minus>{_MINUS})?(?<!\w)(?P<sign>{_CURRENCY})\s?(?P<digits>{_AMOUNT})(?:[\s-]?(?P<large>{_LARGE_WORD})\b)?"
        r"(?P<after>(?!))?",
        _money,
    )
    yield (
        rf"(?<![\w.,])(?P<low>{_AMOUNT})\s?[-–]\s?(?=(?:{_AMOUNT})\s?(?:(?:{_LARGE_WORD})\s?)?(?:{_CURRENCY}|¢)(?!\w))",
        lambda m: f"{number_words(_english_amount(m['low']))} to ",
    )
    yield (
        rf"(?P<minus>{_MINUS})?(?<![\w.,])(?P<digits>{_AMOUNT})\s?(?:(?P<large>{_LARGE_WORD})\s?)?(?P<after>{_CURRENCY})"
        r"(?!\w|\d)(?P<sign>(?!))?",
        _money,
    )
    yield rf"({_NUMBER})\s?¢", lambda m: _count(m[1], "cent", "cents")
    yield r"(?<=\w)\s?/\s?(?=(?:second|minute|hour|day|night|week|month|year|person)s?\b)", " per "
    yield (
        rf"\b({_MONEY_WORDS})\s?/\s?({'|'.join(_SHORT_TIMES)})\b",
        lambda m: f"{m[1]} per {_SHORT_TIMES[m[2]]}",
    )
    yield rf"(?<!\w)(?:{_CURRENCY})(?!\w)", lambda m: f" {_MONEY[m.group()][0]} "
    yield "¢", " cent "
    yield r"\b(\d+(?:\.\d+)?)\s?(bn|mn|tn)\b", lambda m: f"{number_words(m[1])} {_LARGE[m[2]]}"
    yield r"\b(\d+(?:\.\d+)?)([MB])(?=\s[a-z])", lambda m: f"{number_words(m[1])} {_LARGE[m[2]]}"
    # Degrees, feet and inches.
    yield (
        rf"(?P<degrees>{_NUMBER})\s?[°º]\s?(?P<minutes>\d{{1,2}})['′’](?:\s?(?P<seconds>\d+(?:\.\d+)?)[\"″”])?(?:\s?(?P<point>[NSEW])\b)?",
        _position,
    )
    yield rf"(?P<degrees>{_NUMBER})\s?°\s?(?P<point>[NSEW])\b(?P<minutes>(?!))?(?P<seconds>(?!))?", _position
    yield r"([°º]\s?[CF]?)\s?[-–]\s?(?=\d)", r"\1 to "
    yield rf"(?<![\w.])({_NUMBER})\s?[-–]\s?(?={_NUMBER}\s?[°º])", lambda m: f"{number_words(m[1])} to "
    yield rf"((?<![\w.])[-+])?(?<![\d.,])({_NUMBER})\s?[°º](?:\s?([CFKcf])\b)?", _degrees
    yield "°", " degrees "
    yield (
        rf"(?<![\w.])(\d{{1,3}})\s?'\s?({_LENGTHS})\s?(?:[\"″”]|'')",
        lambda m: f"{number_words(m[1])} foot {_mixed_number(m[2])}",
    )
    yield (
        r"(?<![\w.'])([3-8])['′’](\d|1[01])(?![\w'])",
        lambda m: f"{number_words(m[1])} foot {number_words(m[2])}",
    )
    yield (
        r"\b(\d+)[\s-]?(?:ft|feet|foot)\.?\s(\d+)[\s-]?in(?:ches)?\b",
        lambda m: f"{_count(m[1], 'foot', 'feet')} {_count(m[2], 'inch', 'inches')}",
    )
    yield rf"(?<![\d{_VULGAR}])\"[^\"]*\"|(?<![\w./])(?P<length>{_LENGTHS})\s?[\"″]", _inches
    yield (
        rf"(?<![\w.'])({_LENGTHS})['′’](?=\s(?:tall|long|wide|deep|high|x|by)\b)",
        lambda m: f"{_mixed_number(m[1])} feet",
    )
    yield rf"(?<=x )({_LENGTHS})['’](?!\w)", lambda m: f"{_mixed_number(m[1])} feet"
    yield r"(?<=feet|inch) x (?=\w)", " by "
    yield rf"({_LENGTHS})′", lambda m: f"{_mixed_number(m[1])} feet"
    # Units that hibari does not know.
    yield (
        rf"(?<![\w./])((?:\d+ )?\d{{1,2}}/\d{{1,2}}|(?<!\d )[{_VULGAR}])\s?({_UNIT})(?![\w²³/'’-])",
        _part_of_unit,
    )
    yield (
        rf"(?<![\w.])({_NUMBER})\s?[-–]\s?(?={_NUMBER}\s?(?:{_UNIT})[²³]?(?![\w²³]))",
        lambda m: f"{number_words(m[1])} to ",
    )
    yield (
        rf"{_SIGNED}\s?(?P<unit>{_UNIT})(?P<power>[²³])?/(?P<per>{_UNIT})(?P<per_power>[²³])?(?![\w²³/])",
        _unit,
    )
    yield rf"{_SIGNED}\s?(?P<unit>{_UNIT})(?P<power>[²³])(?P<per>(?!))?(?P<per_power>(?!))?(?![\w²³/])", _unit
    yield (
        rf"{_SIGNED}\s?(?P<unit>{_ALONE})(?P<power>(?!))?(?P<per>(?!))?(?P<per_power>(?!))?(?![\w²³/'’-])",
        _unit,
    )
    yield rf"\b({_MONEY_WORDS})/({_UNIT})(?![\w²³/])", lambda m: f"{m[1]} per {_UNITS[m[2]][0]}"
    yield rf"(?<![\w.,])({_NUMBER})h(?![\w'’])", lambda m: _count(m[1], "hour", "hours")
    yield r"(?<=\d)\s?‰", " per mille"
    # Versions, decimals and numbers that lose digits.
    yield r"(?<![\w.])v(?:er)?\.?\s?(?=\d+(?:\.\d+)*(?![\w]))", "version "
    yield (
        r"(?<![\w.,])\d{1,3}(?:\.\d{3})+,\d+(?![\w,]|\.\d)",
        lambda m: number_words(m.group().replace(".", "").replace(",", ".")),
    )
    yield (
        r"(?<![\w.,])\d{1,3}(?:(?: \d{3}){2,}| 000)(?![\w,]|\.\d| \d)",
        lambda m: number_words(m.group().replace(" ", "")),
    )
    yield (
        rf"({_MINUS})?(?<![\w.])\.\d+(?![\w.])",
        lambda m: f"{'minus ' if m[1] else ''}{number_words(m.group().lstrip('-'))}",
    )
    yield r"(?<![\w.,])\d+(?:\.\d+){2,}(?![\w]|\.\d)", _version
    yield r"(?<![\w.,])\d+(?:,\d{3})*\.\d*0(?!\d|\.\d)", lambda m: number_words(m.group())
    yield r"(?<![\w.,])(\d),(\d)(?![\d,.]?\d|\s?%|\s[mb]illion)", r"\1, \2"
    yield r"(?<![\w.,])(\d+),(\d{1,2})(?![\d,]|\.\d)", lambda m: number_words(f"{m[1]}.{m[2]}")
    yield r"(?<![\w.,:/-])0\d+(?![\w:/-]|[.,]\d)", lambda m: digits_words(m.group())
    # Fractions.
    yield r"(\d)\s?/\s?(?=\d+(?:\.\d+)?\s?=)", r"\1 divided by "
    yield (
        r"(?<![\w./])(?:(?P<whole>\d+)[ -])?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?P<part>(?:th|nd|rd)s?\b)?(?![\w/]|\.\d)",
        _slash,
    )
    yield (
        r"(?<![\w./])(\d+\.\d+)/(\d+)(?![\w/]|\.\d)",
        lambda m: f"{number_words(m[1])} out of {number_words(m[2])}",
    )
    yield rf"(?<![\w.])(\d+)\s?([{_VULGAR}])", lambda m: _mixed_number(m[1] + m[2])
    yield rf"[{_VULGAR}]", lambda m: f" {_mixed_number(m.group())} "
    # Minus, ranges and sums.
    yield r"(?<=\d)\s?[-–]\s?(?=\d+(?:\.\d+)?\s?=)", " minus "
    yield rf"{_MINUS}(?={_NUMBER})", "minus "
    yield rf"(?<![\w.-])({_NUMBER})\s?[-–]\s?({_NUMBER})(?![\w-]|[.,]\d)", r"\1 to \2"
    yield r"(?<=\d)\s?[-–]\s?(?=\d+(?:\.\d+)?(?:[kKMx]|bn|mn)\b)", " to "
    yield r"(?<![\w-])([A-Z])\s?[-–]\s?([A-Z])(?![\w-])", r"\1 to \2"
    yield r"(?<=[\w)])(⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)", _power
    yield r"(?<=[\w)])\s?\^\s?(?=[\w(-])", " to the power of "
    yield r"(?<=\d)\s?\*\s?(?=\d)|(?<=\w)\s\*\s(?=\w)", " times "
    yield r"\b(\d+)\s?x\s?(?=\d)", r"\1 by "
    yield (
        r"(?<=\d)\s?×\s?(?=\d+\s?(?:cm|mm|m|km|ft|in|px|inch\w*|centimeters|meters|millimeters|feet|pixels)\b)",
        " by ",
    )
