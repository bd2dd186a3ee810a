"""Numbers, money, units, dates, times and signs in words, by one table for each language.

A language gives its words as a ``Wording``; the order of the rules, from the longest form to the plain number, is the
same for all. Text without digits and signs stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

Match = re.Match[str]
_MOST_DIGITS = 30
"""Longer numbers have a word in no language, and Python refuses to parse some thousands of digits."""
Rule = tuple[str, str | Callable[[Match], str]]
"""A pattern and what replaces it."""
_FEWEST_DIGITS_OF_TELEPHONE = 7
TILDE_OF_RANGE = r"(?<=[\w%°²³€$£¥])[~～〜∼](?=[-−]?\d)|(?<=\d)\s?[~～〜∼]\s(?=[-−]?\d)"
TILDE_OF_TONE = r"(?<=[^\W\d_])[~～〜∼]+(?!\d)"
"""A drawl, not a word: what sticks to a word, with no number behind it. Any other tilde is "about"."""


@dataclass(frozen=True)
class Money:
    """A currency: its words for one and for more, and those of its hundredth part, if that is ever named."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""


@dataclass(frozen=True)
class Wording:
    """How one language says what is written in digits and signs.

    ``agree`` gets the words of a number and the word behind it as it is written (empty if there is none), and returns
    them in that noun's gender. ``decimals`` gets the mark and the digits behind it, and returns both in words.
    ``money_link`` stands between a sum and its hundredth parts ("doze reais *e* dez centavos"), ``large_link`` behind a
    word as "millions" and before a noun.
    """

    cardinal: Callable[[int], str]
    point: str
    minus: str
    per: str
    to: str
    over: str
    times: str
    signs: Mapping[str, str]
    addresses: Mapping[str, str]
    units: Mapping[str, tuple[str, str]]
    money: Mapping[str, Money]
    large: Mapping[str, str]
    date: Callable[[int, int, int | None], str]
    clock: Callable[[int, int, int | None], str]
    clock_pattern: str
    fractions: Callable[[int, int], str | None]
    half_after: Callable[[str, str], str]
    agree: Callable[[str, str], str] = lambda words, noun: words
    cents: Callable[[int, Money], str | None] | None = None
    money_link: str = " "
    large_link: str = " "
    groups: str = ". \u00a0\u202f"
    decimal: str = ",."
    grouping: str = r"\d{1,3}(?:[GROUP]\d{3})+"
    decimals: Callable[[str, str], str] | None = None
    domains: str = "com|org|net|fr|it|br|pt|in|eu|io"
    """Ends of an address that begins with neither "www." nor "https:"."""
    telephone: str = r"[+0].+|.*\(.+"
    """What groups of digits must be to be a telephone number; they have seven digits at least."""
    pairs_in_telephones: bool = False
    first: Iterable[Rule] = field(default_factory=tuple)
    """The language's own rules, used before all others but that of addresses: abbreviations, ordinals, Roman numerals."""


class Speller:
    """Says a text's digits and signs in words of one language. Instances do not change: any thread may call them."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        grouped = wording.grouping.replace("GROUP", re.escape(wording.groups))
        self._grouped = re.compile(rf"({grouped})(?:([{wording.decimal}])(\d+))?")
        self._number = rf"(?:{grouped}(?!\d)(?:[{wording.decimal}]\d+)?|\d+(?:[{wording.decimal}]\d+)?)"
        self._money = wording.money
        address = rf"\b(?:https?://|www\.)[^\s<>\"]+|\b[\w.+-]+@[\w-]+\.[\w.-]*\w|\b[\w-]+(?:\.[\w-]+)*\.(?:{wording.domains})\b(?:/[^\s<>\"]*)?"  # fmt: skip
        tildes = (TILDE_OF_RANGE, f" {wording.to} "), (TILDE_OF_TONE, " ")
        rules: tuple[Rule, ...] = ((address, self._address), *tildes, *wording.first, *self._shared())
        self._rules = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def __call__(self, text: str) -> str:
        """Return the text with its digits and signs in words."""
        for pattern, replacement in self._rules:
            text = pattern.sub(replacement, text)
        text = re.sub(r"\s+", " ", text)
        return re.sub(r" (?=[,.](?:\s|$))", "", text).strip()

    def _shared(self) -> Iterator[Rule]:
        wording, number = self._wording, self._number
        units = "|".join(map(re.escape, sorted(wording.units, key=len, reverse=True)))
        signs = "|".join(map(re.escape, sorted(self._money, key=len, reverse=True)))
        large = rf"(?:\s?(?P<large>{'|'.join(sorted(wording.large, key=len, reverse=True))})(?!\w)(?:\s(?:d[eo']|di)\b)?)?"
        minus = r"(?P<minus>(?<![\w.)\]%°])[-−])?"
        elided = r"['’][^\W\d_]"  # an article or pronoun, not a unit: 1969 l'uomo
        if "," not in wording.groups:  # a number as English writes it, when it cannot be read otherwise
            yield (
                r"(?<![\d.,])\d{1,3}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})(?![\d.,]\d)",
                self._written_in_english,
            )
        yield r"(?<![\d/.-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\d-])", self._date
        yield r"(?<![\d/.-])(?P<day>\d{1,2})([/.-])(?P<month>\d{1,2})\2(?P<year>\d{4}|\d{2})(?![\d/]|[.-]\d)", self._date  # fmt: skip
        yield r"(?<![\w.,])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .-]\d{2,5})+(?![\w/]|[.,-]\d)", self._telephone  # fmt: skip
        yield wording.clock_pattern, self._clock
        # Ranges with one unit, money, units.
        yield (
            rf"(?<![\w.,])({number})\s?[-–]\s?(?={number}\s?(?:{units}|{signs})(?![\w²³]|{elided}))",
            rf"\1 {wording.to} ",
        )
        yield rf"{minus}(?<!\w)(?P<sign>{signs})\s?(?P<digits>{number}){large}", self._sum
        yield rf"{minus}(?<![\w.,])(?P<digits>{number}){large}\s?(?P<sign>{signs})(?!\w)", self._sum
        yield (
            rf"(?<![\w.,])(?P<digits>{number})\s?(?P<unit>{units})/(?P<per>{units})(?![\w²³/]|{elided})",
            self._rate,
        )
        yield rf"(?<![\w.,/])(?:(?P<top>\d{{1,2}})/(?P<bottom>\d{{1,2}})|(?P<sign>[½¼¾⅓⅔]))\s?(?P<unit>{units})(?![\w²³/]|{elided})", self._part  # fmt: skip
        yield (
            rf"{minus}(?<![\w.,/])(?P<digits>{number})\s?(?P<unit>{units})(?![\w²³/]|{elided})",
            self._quantity,
        )
        yield rf"(?<!\w)(?P<sign>{signs})(?!\w)", lambda found: f" {self._money[found['sign']].many} "
        # Fractions, versions, ranges, sums.
        yield (
            r"(?<![\w./])(?:(?P<whole>\d+) )?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\w/]|[.,]\d)",
            self._slash,
        )
        yield r"(?P<whole>\d+)?\s?(?P<sign>[¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])", self._vulgar
        yield rf"(?<![\w.,])(?!{self._grouped.pattern}(?!\d))\d+(?:\.\d+){{2,}}(?![\w]|\.\d)", self._version
        yield rf"(?<![\w.)\]%°])[-−](?={number})", f"{wording.minus} "
        yield rf"(?<![\w.,-])({number})\s?[-–]\s?(?={number}(?![\w-]|[.,]\d))", rf"\1 {wording.to} "
        yield r"(?<=\d)\s?[*×x]\s?(?=\d)", f" {wording.times} "
        yield r"(?<=[^\W\d_])−(?=[^\W\d_])", "-"
        yield r"\s?−\s?", f" {wording.minus} "
        yield r"(?<!\w)#(?=[^\W\d])", " hashtag "
        for sign, words in wording.signs.items():
            yield re.escape(sign), f" {words} " if words else " "
        yield r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)", " "
        yield number, self._plain

    def _number_words(self, digits: str, noun: str = "") -> str:
        """Return a number as it is written ("1.234,5") in words, in the gender of ``noun``."""
        whole, mark, decimals = self._parts(digits)
        words = self._whole(whole)
        if mark:
            words += f" {(self._wording.decimals or self._decimals)(mark, decimals)}"
        return self._wording.agree(words, noun)

    def _parts(self, number: str) -> tuple[str, str, str]:
        """Return the digits of a number without its groups, its mark, and the digits behind that."""
        if grouped := self._grouped.fullmatch(number):
            return re.sub(r"\D", "", grouped[1]), grouped[2] or "", grouped[3] or ""
        plain = re.match(rf"(\d+)(?:([{self._wording.decimal}])(\d+))?", number)
        whole, mark, decimals = plain.groups("") if plain else (number, "", "")
        return whole, mark, decimals

    def _decimals(self, mark: str, digits: str) -> str:
        is_read_whole = digits[0] != "0" and len(digits) <= 2
        words = self._wording.cardinal(int(digits)) if is_read_whole else self._one_by_one(digits)
        return f"{self._wording.point} {words}"

    def _whole(self, digits: str) -> str:
        if len(digits) > _MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
            return self._one_by_one(digits)
        return self._wording.cardinal(int(digits))

    def _one_by_one(self, digits: str) -> str:
        return one_by_one(digits, self._wording.cardinal)

    def _written_in_english(self, found: Match) -> str:
        return found.group().replace(",", "").replace(".", self._wording.decimal[0])

    def _plain(self, found: Match) -> str:
        noun = re.match(r"\s([^\W\d_]+)", found.string[found.end() :])
        _, mark, _ = self._parts(found.group())
        return self._number_words(found.group(), noun[1] if noun and not mark else "")

    def _sum(self, found: Match) -> str:
        """Return money in one order: number, thousands or millions, currency, hundredths."""
        minus = f"{self._wording.minus} " if found["minus"] else ""
        is_stuck = found.string[found.end() : found.end() + 1].isalpha()  # "$5c/u"
        words = self._money_words(found["digits"], found["large"], self._money[found["sign"]])
        return f"{minus}{words}{' ' if is_stuck else ''}"

    def _money_words(self, digits: str, large: str | None, money: Money) -> str:
        wording = self._wording
        if large:
            scale = wording.large[large]
            link = " " if wording.cardinal(2000).endswith(scale) else wording.large_link
            return f"{self._number_words(digits, scale)} {scale}{link}{money.many}"
        cents = re.fullmatch(rf"(.*)[{wording.decimal}](\d\d)", digits)
        if not cents or not money.cent:
            return self._counted(digits, money.one, money.many)
        whole = re.sub(r"\D", "", cents[1])
        count = int(cents[2])
        parts = [self._counted(whole, money.one, money.many)] if int(whole) or not count else []
        if count:
            named = wording.cents(count, money) if wording.cents and parts else None
            parts.append(named or self._counted(str(count), money.cent, money.cents))
        return wording.money_link.join(parts)

    def _counted(self, digits: str, one: str, many: str) -> str:
        noun = one if re.fullmatch("0*1", digits) else many
        whole = re.sub(rf"[{self._wording.groups}](?=\d{{3}})", "", digits)
        link = self._wording.large_link if re.fullmatch(r"[1-9]\d*?0{6,}", whole) else " "
        return f"{self._number_words(digits, noun.split()[0])}{link}{noun}"

    def _quantity(self, found: Match) -> str:
        minus = f"{self._wording.minus} " if found["minus"] else ""
        one, many = self._wording.units[found["unit"]]
        if found["unit"] in "%‰":  # no noun
            return f"{minus}{self._number_words(found['digits'])} {one}"
        return f"{minus}{self._counted(found['digits'], one, many)}"

    def _rate(self, found: Match) -> str:
        units = self._wording.units
        if whole := units.get(f"{found['unit']}/{found['per']}"):
            return self._counted(found["digits"], *whole)
        return f"{self._counted(found['digits'], *units[found['unit']])} {self._wording.per} {units[found['per']][0]}"

    def _part(self, found: Match) -> str:
        value = vulgar_value(found["sign"]) if found["sign"] else None
        top, bottom = (
            (value.numerator, value.denominator) if value else (int(found["top"]), int(found["bottom"]))
        )
        words = self._wording.fractions(top, bottom)
        unit = self._wording.units[found["unit"]][0]
        return self._wording.half_after(words, unit) if words else found.group()

    def _slash(self, found: Match) -> str:
        wording = self._wording
        top, bottom = int(found["top"]), int(found["bottom"])
        whole = wording.cardinal(int(found["whole"])) if found["whole"] else ""
        if 0 < top < bottom and (words := wording.fractions(top, bottom)):
            return _with_whole(whole, words, wording)
        if not whole and 1 <= top <= 31 and 1 <= bottom <= 12 and len(found["bottom"]) == 2:
            return wording.date(top, bottom, None)
        return f"{whole} {wording.cardinal(top)} {wording.over} {wording.cardinal(bottom)}".strip()

    def _vulgar(self, found: Match) -> str:
        value = vulgar_value(found["sign"])
        words = self._wording.fractions(value.numerator, value.denominator) or found["sign"]
        whole = self._wording.cardinal(int(found["whole"])) if found["whole"] else ""
        return f" {_with_whole(whole, words, self._wording)} "

    def _version(self, found: Match) -> str:
        dot = self._wording.addresses["."]
        return f" {dot} ".join(self._whole(part) for part in found.group().split("."))

    def _date(self, found: Match) -> str:
        day, month, year = int(found["day"]), int(found["month"]), int(found["year"])
        if not (1 <= day <= 31 and 1 <= month <= 12):
            return found.group()
        if len(found["year"]) == 2:
            year += 2000 if year < 50 else 1900
        return self._wording.date(day, month, year)

    def _clock(self, found: Match) -> str:
        hour, minutes, seconds = int(found["hour"]), int(found["minutes"] or 0), found["seconds"]
        if (hour > 24 and not seconds) or minutes > 59 or (seconds and int(seconds) > 59):
            return found.group()
        return self._wording.clock(hour, minutes, int(seconds) if seconds else None)

    def _telephone(self, found: Match) -> str:
        text = found.group()
        digits = re.sub(r"\D", "", text)
        if not re.fullmatch(self._wording.telephone, text) or len(digits) < _FEWEST_DIGITS_OF_TELEPHONE:
            return text
        groups = re.findall(r"\+?\d+", text)
        return ", ".join(self._group_of_telephone(group) for group in groups)

    def _group_of_telephone(self, group: str) -> str:
        plus, digits = ("+", group[1:]) if group[0] == "+" else ("", group)
        pair = self._wording.pairs_in_telephones and len(digits) == 2 and digits[0] != "0"
        words = self._wording.cardinal(int(digits)) if pair else self._one_by_one(digits)
        return f"{self._wording.signs['+']} {words}" if plus else words

    def _address(self, found: Match) -> str:
        bare = found.group().rstrip(".,;:!?)\"'…")
        closing = found.group()[len(bare) :]
        bare = re.sub(r"^https?://", "", bare).rstrip("/")
        words = [
            self._whole(part) if part.isdecimal() else self._wording.addresses.get(part, part)
            for part in re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", bare)
        ]
        return f"{' '.join(words)}{closing}"


def one_by_one(digits: str, cardinal: Callable[[int], str]) -> str:
    """Return each digit as a word."""
    return " ".join(cardinal(int(digit)) for digit in digits)


def _with_whole(whole: str, words: str, wording: Wording) -> str:
    return f"{whole} {wording.signs['&']} {words}" if whole else words


def vulgar_value(sign: str) -> Fraction:
    """Return the value of a fraction that is one character."""
    return Fraction(unicodedata.numeric(sign)).limit_denominator(100)
