"""English numbers, signs and abbreviations in words: what hibari's own normaliser drops or reads wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voiceclone_worker.engines.kokoro.phonemes import english_numbers
from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, roman_value
from voiceclone_worker.engines.kokoro.phonemes.english_numbers import (
    MOST_DIGITS,
    cardinal,
    digits_words,
    number_words,
    ordinal,
)
from voiceclone_worker.engines.kokoro.phonemes.numbers import TILDE_OF_RANGE, TILDE_OF_TONE, Match, Rule


def in_readable_words(text: str, *, british: bool = False) -> str:
    """Return an English text with the numbers and signs in words that hibari drops or reads wrong."""
    if british:  # hibari takes the month to be first
        text = re.sub(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b", _month_first, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return re.sub(r" +([,.;:!?…])(?!\d)", r"\1", re.sub(r" {2,}", " ", text)).strip()


def _month_first(date: Match) -> str:
    day, month, year = date.groups()
    return f"{month}/{day}/{year}" if int(month) <= 12 else date.group()


# Addresses of the web, files and paths.
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


_SHORT_WORDS = frozenset((
    "a", "an", "as", "at", "be", "by", "do", "go", "he", "hi", "i", "if", "in", "is", "it", "me", "my", "no", "of", "on",
    "or", "so", "to", "up", "us", "we",
))  # fmt: skip
_HOST = rf"(?:[a-zA-Z0-9][\w-]{{0,62}}\.)+(?:{_DOMAINS})\b(?![\w@-])"

# Ranges with a tilde, dates and times.
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
_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", "Fri": "Friday", "Sat": "Saturday",
    "Sun": "Sunday",
}  # fmt: skip
_DAY = "|".join(_DAYS)


def _telephone(number: Match) -> str:
    groups = re.findall(r"\+?\d+", number.group())
    return ", ".join(("plus " if group[0] == "+" else "") + digits_words(group) for group in groups)


# Roman numerals.
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


# Signs.
_GREEK = dict(zip(
    "αβγδεζηθικλμνξοπρσςτυφχψω",
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"],
    strict=True,
))  # fmt: skip


def _rules() -> Iterator[Rule]:
    """Yield patterns and what replaces them, in the order in which they are applied."""
    # One character for what has many: minus signs, blanks between groups of three digits.
    yield rf"(?<![\d.,])\d{{{MOST_DIGITS + 1},}}", lambda m: f" {digits_words(m.group())} "
    yield r"(?<=[\d)])\s?−\s?(?=\d)|(?<=\w)\s−\s(?=\w)", " minus "
    yield "[−‐‑‒﹣－]", "-"
    yield "⁄", "/"
    yield "[\u00a0\u2007\u2009\u202f](?=\\d{3}(?!\\d))(?<=\\d.)", ","
    yield "[\u00a0\u2000-\u200a\u202f]", " "
    yield "℃", "°C"
    yield "℉", "°F"
    yield '[′’](?=\\s?\\d{1,2}\\s?["″”])(?<=\\d.)', "'"
    yield "№", "No. "
    # Addresses of the web, files and paths.
    yield r"(?i)\b(?:https?|ftp)://[^\s<>\"]+|\bwww\.[^\s<>\"]+", _address
    yield r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", _address
    yield rf"(?<![\w@.-]){_HOST}(?:/[^\s<>\"]*)?", _address
    yield rf"(?<![\w/-])(?=[\d_-]{{0,80}}[A-Za-z])[\w-]{{1,80}}\.(?:{_FILE_TYPES})\b(?!\.\w)", _address
    yield r"\b[A-Za-z]:\\[^\s<>\"]*", _address
    yield r"(?<![\w/.])(?:/[\w.-]+){2,}/?(?!\w)", _address
    yield r"(?<![\w<])@(?=\w)", " at "
    yield r"(?<=\w)\\(?=\w)", " backslash "
    # Ranges with a tilde, dates and times.
    yield r"(?<=\d)(?:[~～〜∼]\s?|\s[~～〜∼]\s)(?=\d)", "–"
    yield TILDE_OF_RANGE, " to "
    yield TILDE_OF_TONE, " "
    yield r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\d.]\d)", _dotted_date
    yield rf"\b({_TIME})\s?[-–—]\s?(?={_TIME})", r"\1 to "
    yield r"(?i)\b(\d{1,2})\.(\d{2})(?=\s?[ap]\.?m\b)", r"\1:\2"
    yield r"(?i)(?<![\d:])(?P<hour>00|0|1[3-9]|2[0-4]):(?P<minute>\d{2})(?![\d:]|\s?[ap]\.?m)", _clock
    yield r"(?<![\d:.])(\d{1,3}):(\d)(?![\d:])", lambda m: f"{number_words(m[1])} to {number_words(m[2])}"
    yield (
        r"(?<![\d/])24\s?/\s?7(?:/365)?(?![\d/])",
        lambda m: "twenty four seven" + (" three sixty five" if "365" in m[0] else ""),
    )
    yield r"(?<![\d/])9/11(?![\d/])", "nine eleven"
    yield r"(?<![\d/])50/50(?![\d/])", "fifty fifty"
    yield r"(?<!\w)['‘’](\d0)s\b", r"\1s"
    yield r"\b(1[1-9]\d\d|20\d\d)\s?[-–]\s?(\d\d)\b(?![-/.:]?\d)", r"\1 to \2"
    yield r"(?<![\d/])(\d{4})/(\d{1,2})/(\d{1,2})(?![\d/])", lambda m: f"{m[1]}-{m[2]:0>2}-{m[3]:0>2}"
    yield r"(\d)\s?([AaPp])\.?[Mm]\b\.?\s?[-–]\s?(?=\d)", lambda m: f"{m[1]} {m[2].upper()}M to "
    yield r"(\d(?:st|nd|rd|th))\s?[-–]\s?(?=\d+(?:st|nd|rd|th)\b)", r"\1 to "
    yield rf"\b({_DAY})\.?\s?[-–]\s?({_DAY})\b", lambda m: f"{_DAYS[m[1]]} to {_DAYS[m[2]]}"
    # Telephone numbers, digit by digit.
    yield r"(?<![\w.])\+\d{1,3}[\s.-]?(?:\(\d+\)[\s.-]?)?\d+(?:[\s.-]\d{2,})+(?![\w-])", _telephone
    yield r"(?<![\w.-])(?:1[-.\s])?(?:\(\d{3}\)\s?|\d{3}[-.\s])\d{3}[-.]\d{4}(?![\w-]|\.\d)", _telephone
    yield r"(?<![\w.-])\(?0\d{2,4}\)?[\s-]\d{3,4}(?:[\s-]\d{3,4})?(?![\w-]|\.\d)", _telephone
    yield r"(?<![\w.-])\d{3}-\d{4}(?![\w-]|\.\d)", _telephone
    yield r"(?<![\w.-])(?!\d{4}-\d\d-\d\d(?![\d-]))\d+(?:-\d+){2,}(?![\w-]|\.\d)", _telephone
    yield r"(?i)(?<=\b(?:call|dial)\s)(?:911|999|112|411)\b", lambda m: digits_words(m.group())
    yield from english_numbers.rules()
    # Roman numerals.
    yield rf"\b(?P<name>{_RULERS}) (?P<numeral>{ROMAN})\b(?:(?=['’]s\b)|(?![.'’]\w))", _ruler
    yield rf"\b(?P<name>(?i:{_NUMBERED})\.?) (?P<numeral>{ROMAN})\b(?:(?=['’]s\b)|(?![.'’]\w))", _numbered
    yield (
        rf"\b({ROMAN})(?=(?:st|nd|rd|th)?\s(?:century|centuries|Century|Olympics|Olympiad|Congress|Amendment|Dynasty|dynasty|Corps)\b)",
        lambda m: ordinal(roman_value(m[1])),
    )
    yield (
        rf"\b(?P<name>(?!(?:{_NOT_BEFORE_NUMERALS})\b)[A-Z][\w'’]+) (?P<numeral>(?=[IVX]{{2,}})(?!XX\b|XXX\b){ROMAN})\b(?:(?=['’]s\b)|(?![.'’]\w))",
        _numbered,
    )
    # Abbreviations.
    yield r"\bNo\.\s*(?=\d)", "Number "
    yield r"\bNos\.\s*(?=\d)", "Numbers "
    yield r"\bno\.\s*(?=\d)", "number "
    for short, long in {
        r"e\.\s?g\.,?": "for example", r"i\.\s?e\.,?": "that is", r"vs\.": "versus", r"approx\.": "approximately",
        r"c/o": "care of", r"n/a": "not applicable", r"w/o": "without", r"b/c": "because", r"dept\.": "department",
        r"a\.k\.a\.": "also known as", r"fl\.\s?oz\.?": "fluid ounces", r"r\.s\.v\.p\.": "R S V P", r"incl\.": "including",
    }.items():  # fmt: skip
        yield rf"(?i)(?<![\w.]){short}(?!\w)", long
    yield r"(?<![\w.])w/\s?(?=\w)", "with "
    yield r"\bp\.\s?(?=\d)", "page "
    yield r"\bpp\.\s?(?=\d)", "pages "
    # Letters and digits together.
    yield "[₀-₉]", lambda m: str(ord(m.group()) - ord("₀"))
    yield r"\b(?![BCGP]2[BCGP]\b)([A-Za-z]+)2(?=[A-Z])", r"\1 two "
    yield r"\b([CHNSO])O2\b", r"\1 O two"
    yield r"(?<![\w+])C\+\+(?!\w)", "C plus plus"
    yield r"\b([CFA-G])#(?!\w)", r"\1 sharp"
    # Signs.
    yield r"(?<!\w)#(?=\d)", " number "
    yield r"(?<!\w)#(?=[^\W\d])", " hashtag "
    yield r"(?<=[\w)])\s?\+\s?(?=[\w(])", " plus "
    yield r"\+", " plus "
    yield r"\*+|_+", " "
    yield r"<=|≤", " less than or equal to "
    yield r">=|≥", " greater than or equal to "
    yield r"!=|≠", " is not equal to "
    yield r"[-=]>|[→⇒➜➔]", " to "
    yield r"<[-=]|[←⇐]", " from "
    yield r"[~≈∼]\s?(?=\d|[a-z])", " about "
    for sign, word in {
        "&": "and", "@": "at", "#": "hash", "=": "equals", "<": "less than", ">": "greater than", "~": "tilde", "≈": "about",
        "×": "times", "÷": "divided by", "±": "plus or minus", "∓": "minus or plus", "∞": "infinity", "√": "square root of",
        "∑": "the sum of", "∏": "the product of", "∫": "the integral of", "∂": "partial", "∆": "delta", "∇": "nabla",
        "∈": "in", "∉": "not in", "⊂": "is a subset of", "∪": "union", "∩": "intersection", "∀": "for all",
        "∃": "there exists", "¬": "not", "∧": "and", "∨": "or", "≡": "is equivalent to", "∝": "is proportional to",
        "⋅": "times", "∙": "times", "§": "section", "¶": "paragraph", "©": "copyright", "µ": "micro", "^": "caret",
        "†": " ", "‡": " ", "™": " ", "®": " ", "•": " ", "·": " ", "|": ", ", "`": " ", "↔": "to and from",
    }.items():  # fmt: skip
        # Between letters, an ampersand is hibari's: AT&T, Q&A.
        yield (
            r"(?<!\w)&|&(?!\w)" if sign == "&" else re.escape(sign),
            f" {word} " if word.strip(" ,") else word,
        )
    yield r"(?<=\d{4})/(?=\d)", " slash "
    yield r"(?<!\w)/(?!\w)", " slash "
    yield "[Α-Ωα-ωΩ]", lambda m: f" {_GREEK.get(m.group().lower(), 'omega')} "


_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _rules()]
