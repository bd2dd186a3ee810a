"""English numbers, signs and abbreviations in words: what hibari's own normaliser drops or reads wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, roman_value
from voiceclone_worker.engines.kokoro.phonemes.english_numbers import (
    MOST_DIGITS,
    VULGAR,
    cardinal,
    digits_words,
    fraction_words,
    mixed_number,
    number_words,
    ordinal,
    with_article,
)
from voiceclone_worker.engines.kokoro.phonemes.numbers import TILDE_OF_RANGE, TILDE_OF_TONE

_NUMBER = r"(?:\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_MINUS = r"(?<![\w.)\]%°'\"])-"
"""A minus sign: nothing before it could be the beginning of a range."""


def in_readable_words(text: str, *, british: bool = False) -> str:
    """Return an English text with the numbers and signs in words that hibari drops or reads wrong."""
    if british:  # hibari takes the month to be first
        text = re.sub(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b", _month_first, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return re.sub(r" +([,.;:!?…])(?!\d)", r"\1", re.sub(r" {2,}", " ", text)).strip()


Match = re.Match[str]
_RULES: list[tuple[re.Pattern[str], Callable[[Match], str] | str]] = []


def _rule(pattern: str, replacement: Callable[[Match], str] | str, flags: re.RegexFlag = re.NOFLAG) -> None:
    """Add a rule; they are applied in their order."""
    _RULES.append((re.compile(pattern, flags), replacement))


def _month_first(date: Match) -> str:
    day, month, year = date.groups()
    return f"{month}/{day}/{year}" if int(month) <= 12 else date.group()


# 1. One character for what has many: minus signs, blanks between groups of three digits.
_rule(rf"(?<![\d.,])\d{{{MOST_DIGITS + 1},}}", lambda m: f" {digits_words(m.group())} ")
_rule(r"(?<=[\d)])\s?−\s?(?=\d)|(?<=\w)\s−\s(?=\w)", " minus ")
_rule("[−‐‑‒﹣－]", "-")
_rule("⁄", "/")
_rule("[\u00a0\u2007\u2009\u202f](?=\\d{3}(?!\\d))(?<=\\d.)", ",")
_rule("[\u00a0\u2000-\u200a\u202f]", " ")
_rule("℃", "°C")
_rule("℉", "°F")
_rule('[′’](?=\\s?\\d{1,2}\\s?["″”])(?<=\\d.)', "'")
_rule("№", "No. ")

# 2. Addresses of the web, files and paths.
_SPELLED_SIGNS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", ":": "colon", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "%": "percent", "~": "tilde", "+": "plus", "\\": "backslash",
}  # fmt: skip
_DOMAINS = "com|org|net|edu|gov|mil|int|info|biz|app|dev|io|ai|tv|fm|co|eu|uk|de|fr|es|it|ch|at|nl|ca|au|jp|cn|in|br|mx"
_WORDS_OF_DOMAINS = ("com", "org", "net", "info", "biz", "app", "dev", "gov", "mil", "co")
_FILE_TYPES = "pdf|txt|docx?|xlsx?|pptx?|csv|json|xml|html?|md|py|js|ts|exe|zip|gz|mp[34]|mkv|wav|flac|ogg|jpe?g|png|gif|svg|srt|vtt"


def _address(found: Match) -> str:
    address = re.sub(r"^(?:https?|ftp)://", "", found.group(), flags=re.IGNORECASE)
    end = re.search(r"[.,;:!?)\"'…]+$", address)
    closing = end.group() if end else ""
    address = address[: len(address) - len(closing)].rstrip("/")
    words = []
    for part in re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", address):
        if part.isdecimal():
            words.append(number_words(part) if len(part) < 5 else digits_words(part))
        elif not part.isalpha():
            words.append(_SPELLED_SIGNS.get(part, " "))
        else:
            is_short = (
                len(part) < 3
                or not re.search("[aeiouy]", part, re.I)
                or part.lower() == "edu"
                or re.fullmatch(_FILE_TYPES, part, re.I)
            )
            as_word = part.lower() in _WORDS_OF_DOMAINS or (len(part) == 2 and part.lower() in _SHORT_WORDS)
            words.append(" ".join(part.upper()) if is_short and not as_word else part)
    after = "" if re.match(r"['’]s\b", found.string[found.end() :]) else " "
    return f" {' '.join(words)}{closing}{after}"


_SHORT_WORDS = frozenset(
    [
        "a",
        "an",
        "as",
        "at",
        "be",
        "by",
        "do",
        "go",
        "he",
        "hi",
        "i",
        "if",
        "in",
        "is",
        "it",
        "me",
        "my",
        "no",
        "of",
        "on",
        "or",
        "so",
        "to",
        "up",
        "us",
        "we",
    ]
)
_HOST = rf"(?:[a-zA-Z0-9][\w-]{{0,62}}\.)+(?:{_DOMAINS})\b(?![\w@-])"
_rule(r"\b(?:https?|ftp)://[^\s<>\"]+|\bwww\.[^\s<>\"]+", _address, re.IGNORECASE)
_rule(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", _address)
_rule(rf"(?<![\w@.-]){_HOST}(?:/[^\s<>\"]*)?", _address)
_rule(rf"(?<![\w/-])(?=[\d_-]{{0,80}}[A-Za-z])[\w-]{{1,80}}\.(?:{_FILE_TYPES})\b(?!\.\w)", _address)
_rule(r"\b[A-Za-z]:\\[^\s<>\"]*", _address)
_rule(r"(?<![\w/.])(?:/[\w.-]+){2,}/?(?!\w)", _address)
_rule(r"(?<![\w<])@(?=\w)", " at ")
_rule(r"(?<=\w)\\(?=\w)", " backslash ")

# 3. Ranges with a tilde, dates and times.
_rule(r"(?<=\d)(?:[~～〜∼]\s?|\s[~～〜∼]\s)(?=\d)", "–")
_rule(TILDE_OF_RANGE, " to ")
_rule(TILDE_OF_TONE, " ")
_MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
]  # fmt: skip


def _dotted_date(date: Match) -> str:
    day, month, year = date.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return date.group()
    return f"{_MONTHS[int(month) - 1]} {ordinal(int(day))}, {year}"


def _clock(time: Match) -> str:
    hour, minute = int(time["hour"]), int(time["minute"])
    if hour > 24 or minute > 59:
        return time.group()
    if minute:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    else:
        words = "midnight" if hour == 0 else f"{cardinal(hour)} hundred"
    return words


_TIME = r"(?:[01]?\d|2[0-4]):[0-5]\d"
_rule(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\d.]\d)", _dotted_date)
_rule(rf"\b({_TIME})\s?[-–—]\s?(?={_TIME})", r"\1 to ")
_rule(r"\b(\d{1,2})\.(\d{2})(?=\s?[ap]\.?m\b)", r"\1:\2", re.IGNORECASE)
_rule(r"(?<![\d:])(?P<hour>00|0|1[3-9]|2[0-4]):(?P<minute>\d{2})(?![\d:]|\s?[ap]\.?m)", _clock, re.IGNORECASE)
_rule(r"(?<![\d:.])(\d{1,3}):(\d)(?![\d:])", lambda m: f"{number_words(m[1])} to {number_words(m[2])}")
_rule(
    r"(?<![\d/])24\s?/\s?7(?:/365)?(?![\d/])",
    lambda m: "twenty four seven" + (" three sixty five" if "365" in m[0] else ""),
)
_rule(r"(?<![\d/])9/11(?![\d/])", "nine eleven")
_rule(r"(?<![\d/])50/50(?![\d/])", "fifty fifty")
_rule(r"(?<!\w)['‘’](\d0)s\b", r"\1s")
_rule(r"\b(1[1-9]\d\d|20\d\d)\s?[-–]\s?(\d\d)\b(?![-/.:]?\d)", r"\1 to \2")


_rule(r"(?<![\d/])(\d{4})/(\d{1,2})/(\d{1,2})(?![\d/])", lambda m: f"{m[1]}-{m[2]:0>2}-{m[3]:0>2}")
_rule(r"(\d)\s?([AaPp])\.?[Mm]\b\.?\s?[-–]\s?(?=\d)", lambda m: f"{m[1]} {m[2].upper()}M to ")
_rule(r"(\d(?:st|nd|rd|th))\s?[-–]\s?(?=\d+(?:st|nd|rd|th)\b)", r"\1 to ")
_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Fri": "Friday", "Sat": "Saturday",
    "Sun": "Sunday",
}  # fmt: skip
_DAY = "|".join(_DAYS)
_rule(rf"\b({_DAY})\.?\s?[-–]\s?({_DAY})\b", lambda m: f"{_DAYS[m[1]]} to {_DAYS[m[2]]}")


# 4. Telephone numbers, digit by digit.
def _telephone(number: Match) -> str:
    groups = re.findall(r"\+?\d+", number.group())
    return ", ".join(("plus " if group[0] == "+" else "") + digits_words(group) for group in groups)


_rule(r"(?<![\w.])\+\d{1,3}[\s.-]?(?:\(\d+\)[\s.-]?)?\d+(?:[\s.-]\d{2,})+(?![\w-])", _telephone)
_rule(r"(?<![\w.-])(?:1[-.\s])?(?:\(\d{3}\)\s?|\d{3}[-.\s])\d{3}[-.]\d{4}(?![\w-]|\.\d)", _telephone)
_rule(r"(?<![\w.-])\(?0\d{2,4}\)?[\s-]\d{3,4}(?:[\s-]\d{3,4})?(?![\w-]|\.\d)", _telephone)
_rule(r"(?<![\w.-])\d{3}-\d{4}(?![\w-]|\.\d)", _telephone)
_rule(r"(?<![\w.-])(?!\d{4}-\d\d-\d\d(?![\d-]))\d+(?:-\d+){2,}(?![\w-]|\.\d)", _telephone)
_rule(r"(?i)(?<=\b(?:call|dial)\s)(?:911|999|112|411)\b", lambda m: digits_words(m.group()))

# 5. Money.
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


_rule(rf"(?<!\w)({_CURRENCY})\s?-(?=\d)", r"-\1")


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


_rule(
    rf"(?<!\w)(?P<sign>{_CURRENCY})\s?(?P<low>{_AMOUNT})(?:\s?(?P<lower>{_LARGE_WORD}))?\s?[-–]\s?(?:{_CURRENCY})?"
    rf"(?P<high>{_AMOUNT})(?:\s?(?P<large>{_LARGE_WORD})\b)?",
    lambda m: (
        f"{number_words(_english_amount(m['low']))} {_LARGE.get(m['lower'] or '', '')} to "
        f"{_money_words(m['sign'], m['high'], m['large'])}"
    ),
)
_rule(
    rf"(?P<minus>{_MINUS})?(?<!\w)(?P<sign>{_CURRENCY})\s?(?P<digits>{_AMOUNT})(?:[\s-]?(?P<large>{_LARGE_WORD})\b)?"
    r"(?P<after>(?!))?",
    _money,
)
_rule(
    rf"(?<![\w.,])(?P<low>{_AMOUNT})\s?[-–]\s?(?=(?:{_AMOUNT})\s?(?:(?:{_LARGE_WORD})\s?)?(?:{_CURRENCY}|¢)(?!\w))",
    lambda m: f"{number_words(_english_amount(m['low']))} to ",
)
_rule(
    rf"(?P<minus>{_MINUS})?(?<![\w.,])(?P<digits>{_AMOUNT})\s?(?:(?P<large>{_LARGE_WORD})\s?)?(?P<after>{_CURRENCY})"
    r"(?!\w|\d)(?P<sign>(?!))?",
    _money,
)
_rule(rf"({_NUMBER})\s?¢", lambda m: _count(m[1], "cent", "cents"))
_rule(r"(?<=\w)\s?/\s?(?=(?:second|minute|hour|day|night|week|month|year|person)s?\b)", " per ")
_SHORT_TIMES = {"hr": "hour", "h": "hour", "yr": "year", "mo": "month", "wk": "week", "min": "minute"}
_MONEY_WORDS = "dollars?|cents?|euros?|pounds?|pence"
_rule(rf"\b({_MONEY_WORDS})\s?/\s?({'|'.join(_SHORT_TIMES)})\b", lambda m: f"{m[1]} per {_SHORT_TIMES[m[2]]}")
_rule(rf"(?<!\w)(?:{_CURRENCY})(?!\w)", lambda m: f" {_MONEY[m.group()][0]} ")
_rule("¢", " cent ")
_rule(r"\b(\d+(?:\.\d+)?)\s?(bn|mn|tn)\b", lambda m: f"{number_words(m[1])} {_LARGE[m[2]]}")
_rule(r"\b(\d+(?:\.\d+)?)([MB])(?=\s[a-z])", lambda m: f"{number_words(m[1])} {_LARGE[m[2]]}")

# 6. Degrees, feet and inches.
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
    return f"{mixed_number(length)} {'inch' if is_single else 'inches'}"


_LENGTHS = rf"(?:(?:\d+ )?\d+/\d+|\d+(?:\.\d+)?[{VULGAR}]?|[{VULGAR}])"
_rule(
    rf"(?P<degrees>{_NUMBER})\s?[°º]\s?(?P<minutes>\d{{1,2}})['′’](?:\s?(?P<seconds>\d+(?:\.\d+)?)[\"″”])?(?:\s?(?P<point>[NSEW])\b)?",
    _position,
)
_rule(
    rf"(?P<degrees>{_NUMBER})\s?°\s?(?P<point>[NSEW])\b(?P<minutes>(?!))?(?P<seconds>(?!))?",
    _position,
)
_rule(r"([°º]\s?[CF]?)\s?[-–]\s?(?=\d)", r"\1 to ")
_rule(rf"(?<![\w.])({_NUMBER})\s?[-–]\s?(?={_NUMBER}\s?[°º])", lambda m: f"{number_words(m[1])} to ")
_rule(rf"((?<![\w.])[-+])?(?<![\d.,])({_NUMBER})\s?[°º](?:\s?([CFKcf])\b)?", _degrees)
_rule("°", " degrees ")
_rule(
    rf"(?<![\w.])(\d{{1,3}})\s?'\s?({_LENGTHS})\s?(?:[\"″”]|'')",
    lambda m: f"{number_words(m[1])} foot {mixed_number(m[2])}",
)
_rule(
    r"(?<![\w.'])([3-8])['′’](\d|1[01])(?![\w'])", lambda m: f"{number_words(m[1])} foot {number_words(m[2])}"
)
_rule(
    r"\b(\d+)[\s-]?(?:ft|feet|foot)\.?\s(\d+)[\s-]?in(?:ches)?\b",
    lambda m: f"{_count(m[1], 'foot', 'feet')} {_count(m[2], 'inch', 'inches')}",
)
_rule(rf"(?<![\d{VULGAR}])\"[^\"]*\"|(?<![\w./])(?P<length>{_LENGTHS})\s?[\"″]", _inches)
_rule(
    rf"(?<![\w.'])({_LENGTHS})['′’](?=\s(?:tall|long|wide|deep|high|x|by)\b)",
    lambda m: f"{mixed_number(m[1])} feet",
)
_rule(rf"(?<=x )({_LENGTHS})['’](?!\w)", lambda m: f"{mixed_number(m[1])} feet")
_rule(r"(?<=feet|inch) x (?=\w)", " by ")
_rule(rf"({_LENGTHS})′", lambda m: f"{mixed_number(m[1])} feet")

# 7. Units that hibari does not know.
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
    digits, unit, power, per, per_power = (
        found["digits"],
        found["unit"],
        found["power"],
        found["per"],
        found["per_power"],
    )
    one, many = _UNITS[unit]
    before = found.string[: found.start()]
    as_adjective = re.search(r"\b(?:an?|another)\s$", before, re.IGNORECASE) and re.match(
        r"\s[a-z]", found.string[found.end() :]
    )
    singular = digits in ("1", "-1") or as_adjective
    words = f"{mixed_number(digits.lstrip('-'))} {_POWERS[power or '']}{one if singular else many}"
    if digits.startswith("-"):
        words = f"minus {words}"
    if per == "s" and per_power:
        return f"{words} per second {'squared' if per_power == '²' else 'cubed'}"
    return f"{words} per {_POWERS[per_power or '']}{_UNITS[per][0]}" if per else words


def _part_of_unit(found: Match) -> str:
    digits, (one, many) = found[1], _UNITS[found[2]]
    if " " in digits:
        return f"{mixed_number(digits)} {many}"
    fraction = "half" if digits in ("1/2", "½") else f"{mixed_number(digits)} of"
    return f"{fraction} {'an' if one[0] in 'aeiou' or one == 'hour' else 'a'} {one}"


_rule(
    rf"(?<![\w./])((?:\d+ )?\d{{1,2}}/\d{{1,2}}|(?<!\d )[{VULGAR}])\s?({_UNIT})(?![\w²³/'’-])", _part_of_unit
)
_SIGNED = rf"(?<![\w.,/])(?P<digits>(?:{_MINUS})?(?:{_NUMBER}[{VULGAR}]?|[{VULGAR}]))"
_rule(
    rf"(?<![\w.])({_NUMBER})\s?[-–]\s?(?={_NUMBER}\s?(?:{_UNIT})[²³]?(?![\w²³]))",
    lambda m: f"{number_words(m[1])} to ",
)
_rule(
    rf"{_SIGNED}\s?(?P<unit>{_UNIT})(?P<power>[²³])?/(?P<per>{_UNIT})(?P<per_power>[²³])?(?![\w²³/])", _unit
)
_rule(rf"{_SIGNED}\s?(?P<unit>{_UNIT})(?P<power>[²³])(?P<per>(?!))?(?P<per_power>(?!))?(?![\w²³/])", _unit)
_rule(
    rf"{_SIGNED}\s?(?P<unit>{_ALONE})(?P<power>(?!))?(?P<per>(?!))?(?P<per_power>(?!))?(?![\w²³/'’-])", _unit
)
_rule(rf"\b({_MONEY_WORDS})/({_UNIT})(?![\w²³/])", lambda m: f"{m[1]} per {_UNITS[m[2]][0]}")
_rule(rf"(?<![\w.,])({_NUMBER})h(?![\w'’])", lambda m: _count(m[1], "hour", "hours"))
_rule(r"(?<=\d)\s?‰", " per mille")

# 8. Versions, decimals and numbers that lose digits.
_rule(r"(?<![\w.])v(?:er)?\.?\s?(?=\d+(?:\.\d+)*(?![\w]))", "version ")


def _version(found: Match) -> str:
    groups = found.group().split(".")
    if len(groups) == 4:
        return " dot ".join(map(number_words, groups))
    if all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3:  # 1.234.567, as in Europe
        return number_words("".join(groups))
    return " point ".join(number_words(group) for group in groups)


_rule(
    r"(?<![\w.,])\d{1,3}(?:\.\d{3})+,\d+(?![\w,]|\.\d)",
    lambda m: number_words(m.group().replace(".", "").replace(",", ".")),
)
_rule(
    r"(?<![\w.,])\d{1,3}(?:(?: \d{3}){2,}| 000)(?![\w,]|\.\d| \d)",
    lambda m: number_words(m.group().replace(" ", "")),
)
_rule(
    rf"({_MINUS})?(?<![\w.])\.\d+(?![\w.])",
    lambda m: f"{'minus ' if m[1] else ''}{number_words(m.group().lstrip('-'))}",
)
_rule(r"(?<![\w.,])\d+(?:\.\d+){2,}(?![\w]|\.\d)", _version)
_rule(r"(?<![\w.,])\d+(?:,\d{3})*\.\d*0(?!\d|\.\d)", lambda m: number_words(m.group()))
_rule(r"(?<![\w.,])(\d),(\d)(?![\d,.]?\d|\s?%|\s[mb]illion)", r"\1, \2")
_rule(r"(?<![\w.,])(\d+),(\d{1,2})(?![\d,]|\.\d)", lambda m: number_words(f"{m[1]}.{m[2]}"))
_rule(r"(?<![\w.,:/-])0\d+(?![\w:/-]|[.,]\d)", lambda m: digits_words(m.group()))


# 9. Fractions.
def _slash(found: Match) -> str:
    """Return two numbers with a slash as a fraction where hibari would take them for a date."""
    top, bottom = int(found["top"]), int(found["bottom"])
    if found["whole"] and 0 < top < bottom:
        return f"{number_words(found['whole'])} and {with_article(fraction_words(Fraction(top, bottom), top, bottom))}"
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


_rule(r"(\d)\s?/\s?(?=\d+(?:\.\d+)?\s?=)", r"\1 divided by ")
_rule(
    r"(?<![\w./])(?:(?P<whole>\d+)[ -])?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?P<part>(?:th|nd|rd)s?\b)?(?![\w/]|\.\d)",
    _slash,
)
_rule(
    r"(?<![\w./])(\d+\.\d+)/(\d+)(?![\w/]|\.\d)",
    lambda m: f"{number_words(m[1])} out of {number_words(m[2])}",
)
_rule(rf"(?<![\w.])(\d+)\s?([{VULGAR}])", lambda m: mixed_number(m[1] + m[2]))
_rule(rf"[{VULGAR}]", lambda m: f" {mixed_number(m.group())} ")

# 10. Minus, ranges and sums.
_rule(r"(?<=\d)\s?[-–]\s?(?=\d+(?:\.\d+)?\s?=)", " minus ")
_rule(rf"{_MINUS}(?={_NUMBER})", "minus ")
_rule(rf"(?<![\w.-])({_NUMBER})\s?[-–]\s?({_NUMBER})(?![\w-]|[.,]\d)", r"\1 to \2")
_rule(r"(?<=\d)\s?[-–]\s?(?=\d+(?:\.\d+)?(?:[kKMx]|bn|mn)\b)", " to ")
_rule(r"(?<![\w-])([A-Z])\s?[-–]\s?([A-Z])(?![\w-])", r"\1 to \2")
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))


def _power(found: Match) -> str:
    minus = "minus " if found[1].startswith("⁻") else ""
    digits = "".join(_SUPERSCRIPTS.get(sign, "") for sign in found[1])
    if not minus and digits in ("2", "3"):
        return " squared " if digits == "2" else " cubed "
    return f" to the power of {minus}{number_words(digits)} "


_rule(r"(?<=[\w)])(⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)", _power)
_rule(r"(?<=[\w)])\s?\^\s?(?=[\w(-])", " to the power of ")
_rule(r"(?<=\d)\s?\*\s?(?=\d)|(?<=\w)\s\*\s(?=\w)", " times ")
_rule(r"\b(\d+)\s?x\s?(?=\d)", r"\1 by ")
_rule(
    r"(?<=\d)\s?×\s?(?=\d+\s?(?:cm|mm|m|km|ft|in|px|inch\w*|centimeters|meters|millimeters|feet|pixels)\b)",
    " by ",
)

# 11. Roman numerals.
_RULERS = (
    "Pope|King|Queen|Emperor|Tsar|Czar|Henry|Louis|Edward|George|William|Charles|James|Richard|Elizabeth|Napoleon|Pius|"
    "Benedict|Leo|John Paul|Paul|John|Ramses|Ramesses|Frederick|Friedrich|Wilhelm|Philip|Felipe|Alexander|Nicholas|Peter|"
    "Catherine|Ivan|Umberto|Victor Emmanuel|Gustav|Christian|Ferdinand|Francis|Franz|Gregory|Innocent|Urban|Clement|Otto|"
    "Ludwig|Leopold|Albert|Alfonso|Juan Carlos|Carlos|Haakon|Harald|Olav|Rama|Selim|Mehmed|Suleiman|Murad|Constantine|"
    "Robert|David|Stephen|Mary|Margaret|Isabella|Maria|Joseph|Maximilian|Sigismund|Casimir|Ptolemy|Cleopatra|"
    "Darius|Cyrus|Xerxes|Thutmose|Amenhotep|Seti|Adrian|Hadrian|Sixtus|Julius|Boniface|Celestine|Martin|Eugene|Baldwin|"
    "Baudouin|Rainier|Hussein|Abdullah|Mohammed|Hassan|Haile|Theodore|Michael|Basil|Justinian|Andrew|Edmund|Ethelred"
)
_NUMBERED = (
    "Chapter|Part|Act|Scene|Section|Volume|Vol|Book|Phase|Article|World War|Mark|Type|Level|Stage|Class|Grade|"
    "Super Bowl|Apollo|Gemini|Final Fantasy|Episode|Round|Rocky|Appendix|Figure|Table|Annex|Title|Canto|Psalm|"
    "Symphony|Sonata|Quartet|Concerto|Opus|Saturn|Vatican|Schedule|Step|Rule|Theorem|Group|Zone|Tier"
)
_NOT_BEFORE_NUMERALS = "The|A|An|And|Or|But|In|On|At|Of|To|For|With|By|If|When|So|Then|This|That|My|Your|His|Her|Our|Their|Is|Was|No|Yes|Dr|Mr|Mrs|Ms"


PRONOUN = "\ue000"
"""Stands for an I that hibari would take for a numeral."""


_SENTENCE_BEGINNINGS = "The|A|An|He|She|It|They|We|You|I|In|On|At|By|For|From|But|And|Or|So|His|Her|Their|This|That|These|When|After|Then"


def _is_initial(found: Match) -> bool:
    """Return whether a letter is that of a name ("James L. Brooks"), not a numeral at the end of a sentence."""
    after = found.string[found.end() :]
    return len(found["numeral"]) == 1 and bool(
        re.match(rf"\.\s?(?!(?:{_SENTENCE_BEGINNINGS})\b)[A-Z]", after)
    )


def _ruler(found: Match) -> str:
    if _is_initial(found):
        return found.group()
    follows = re.match(
        r"\s(?!of\b|was\b|is\b|and\b|in\b|who\b|died\b|reigned\b|ruled\b|became\b|had\b)[a-z]",
        found.string[found.end() :],
    )
    if found["numeral"] == "I" and follows:  # a verb that is no ruler's: "James I think is late."
        return f"{found['name']} {PRONOUN}"
    return f"{found['name']} the {ordinal(roman_value(found['numeral']))}"


def _numbered(found: Match) -> str:
    if (
        found["numeral"] == "I"
        and found["name"].islower()
        and re.match(r"\s[a-z]", found.string[found.end() :])
    ):
        return f"{found['name']} {PRONOUN}"  # "the book I read"
    return f"{found['name']} {cardinal(roman_value(found['numeral']))}"


_rule(rf"\b(?P<name>{_RULERS}) (?P<numeral>{ROMAN})\b(?:(?=['’]s\b)|(?![.'’]\w))", _ruler)
_rule(rf"\b(?P<name>(?i:{_NUMBERED})\.?) (?P<numeral>{ROMAN})\b(?:(?=['’]s\b)|(?![.'’]\w))", _numbered)
_rule(
    rf"\b({ROMAN})(?=(?:st|nd|rd|th)?\s(?:century|centuries|Century|Olympics|Olympiad|Congress|Amendment|Dynasty|dynasty|Corps)\b)",
    lambda m: ordinal(roman_value(m[1])),
)
_rule(
    rf"\b(?P<name>(?!(?:{_NOT_BEFORE_NUMERALS})\b)[A-Z][\w'’]+) (?P<numeral>(?=[IVX]{{2,}})(?!XX\b|XXX\b){ROMAN})\b(?:(?=['’]s\b)|(?![.'’]\w))",
    _numbered,
)

# 12. Abbreviations.
_rule(r"\bNo\.\s*(?=\d)", "Number ")
_rule(r"\bNos\.\s*(?=\d)", "Numbers ")
_rule(r"\bno\.\s*(?=\d)", "number ")
for _short, _long in {
    r"e\.\s?g\.,?": "for example", r"i\.\s?e\.,?": "that is", r"vs\.": "versus", r"approx\.": "approximately",
    r"c/o": "care of", r"n/a": "not applicable", r"w/o": "without", r"b/c": "because", r"dept\.": "department",
    r"a\.k\.a\.": "also known as", r"fl\.\s?oz\.?": "fluid ounces", r"r\.s\.v\.p\.": "R S V P", r"incl\.": "including",
}.items():  # fmt: skip
    _rule(rf"(?<![\w.]){_short}(?!\w)", _long, re.IGNORECASE)
_rule(r"(?<![\w.])w/\s?(?=\w)", "with ")
_rule(r"\bp\.\s?(?=\d)", "page ")
_rule(r"\bpp\.\s?(?=\d)", "pages ")

# 13. Letters and digits together.
_rule("[₀-₉]", lambda m: str(ord(m.group()) - ord("₀")))
_rule(r"\b(?![BCGP]2[BCGP]\b)([A-Za-z]+)2(?=[A-Z])", r"\1 two ")
_rule(r"\b([CHNSO])O2\b", r"\1 O two")
_rule(r"(?<![\w+])C\+\+(?!\w)", "C plus plus")
_rule(r"\b([CFA-G])#(?!\w)", r"\1 sharp")

# 14. Signs.
_rule(r"(?<!\w)#(?=\d)", " number ")
_rule(r"(?<!\w)#(?=[^\W\d])", " hashtag ")
_rule(r"(?<=[\w)])\s?\+\s?(?=[\w(])", " plus ")
_rule(r"\+", " plus ")
_rule(r"\*+|_+", " ")
_rule(r"<=|≤", " less than or equal to ")
_rule(r">=|≥", " greater than or equal to ")
_rule(r"!=|≠", " is not equal to ")
_rule(r"[-=]>|[→⇒➜➔]", " to ")
_rule(r"<[-=]|[←⇐]", " from ")
_rule(r"[~≈∼]\s?(?=\d|[a-z])", " about ")
for _sign, _word in {
    "&": "and", "@": "at", "#": "hash", "=": "equals", "<": "less than", ">": "greater than", "~": "tilde", "≈": "about",
    "×": "times", "÷": "divided by", "±": "plus or minus", "∓": "minus or plus", "∞": "infinity", "√": "square root of",
    "∑": "the sum of", "∏": "the product of", "∫": "the integral of", "∂": "partial", "∆": "delta", "∇": "nabla",
    "∈": "in", "∉": "not in", "⊂": "is a subset of", "∪": "union", "∩": "intersection", "∀": "for all",
    "∃": "there exists", "¬": "not", "∧": "and", "∨": "or", "≡": "is equivalent to", "∝": "is proportional to",
    "⋅": "times", "∙": "times", "§": "section", "¶": "paragraph", "©": "copyright", "µ": "micro", "^": "caret",
    "†": " ", "‡": " ", "™": " ", "®": " ", "•": " ", "·": " ", "|": ", ", "`": " ", "↔": "to and from",
}.items():  # fmt: skip
    # Between letters, an ampersand is hibari's: AT&T, Q&A.
    _rule(
        r"(?<!\w)&|&(?!\w)" if _sign == "&" else re.escape(_sign),
        f" {_word} " if _word.strip(" ,") else _word,
    )
_rule(r"(?<=\d{4})/(?=\d)", " slash ")
_rule(r"(?<!\w)/(?!\w)", " slash ")
_GREEK = dict(zip(
    "αβγδεζηθικλμνξοπρσςτυφχψω",
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"],
    strict=True,
))  # fmt: skip
_rule("[Α-Ωα-ωΩ]", lambda m: f" {_GREEK.get(m.group().lower(), 'omega')} ")
