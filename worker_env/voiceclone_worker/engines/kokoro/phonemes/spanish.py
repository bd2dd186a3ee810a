"""Spanish: numbers, signs and abbreviations in words, then phonemes by rules of spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

from voiceclone_worker.engines.kokoro.phonemes import spelling
from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, roman_value
from voiceclone_worker.engines.kokoro.phonemes.numbers import (
    Match,
    Money,
    Rule,
    Speller,
    Wording,
    one_by_one,
    vulgar_value,
)
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

_UNITS = [
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce",
    "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno",
    "veintidós", "veintitrés", "veinticuatro", "veinticinco", "veintiséis", "veintisiete", "veintiocho",
    "veintinueve",
]  # fmt: skip
_TENS = ["treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"]
_HUNDREDS = [
    "ciento", "doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos", "setecientos", "ochocientos",
    "novecientos",
]  # fmt: skip
_SCALES = ((10**12, "un billón", "billones"), (10**6, "un millón", "millones"), (1000, "mil", "mil"))
_MOST_DIGITS = 18
_MONTHS = [
    "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
    "noviembre", "diciembre",
]  # fmt: skip
_ORDINALS = [
    "primero", "segundo", "tercero", "cuarto", "quinto", "sexto", "séptimo", "octavo", "noveno", "décimo",
]  # fmt: skip
_ORDINAL_TENS = [
    "décimo", "vigésimo", "trigésimo", "cuadragésimo", "quincuagésimo", "sexagésimo", "septuagésimo",
    "octogésimo", "nonagésimo",
]  # fmt: skip


def cardinal(number: int) -> str:
    """Return a number from 0 in Spanish words; digit by digit from 10**18."""
    if number >= 10**_MOST_DIGITS:
        return one_by_one(str(number), cardinal)
    if number < 30:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 3] + (f" y {_UNITS[unit]}" if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        head = "cien" if number == 100 else _HUNDREDS[hundreds - 1]
    else:
        scale, one, many = next(row for row in _SCALES if number >= row[0])
        count, rest = divmod(number, scale)
        head = one if count == 1 else f"{_agree(cardinal(count), many)} {many}"
    return head + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int, *, feminine: bool = False) -> str:
    """Return an ordinal number from 1 to 99 in Spanish words."""
    tens, unit = divmod(number, 10)
    if number in (11, 12):
        word = ("undécimo", "duodécimo")[number - 11]
    elif tens == 0 or unit == 0:
        word = _ORDINALS[unit - 1] if tens == 0 else _ORDINAL_TENS[tens - 1]
    elif tens == 1:
        word = f"decimo{_ORDINALS[unit - 1]}"
    else:
        word = f"{_ORDINAL_TENS[tens - 1]} {_ORDINALS[unit - 1]}"
    return re.sub(r"o\b", "a", word) if feminine else word


def _date(day: int, month: int, year: int | None) -> str:
    words = f"{cardinal(day)} de {_MONTHS[month - 1]}"
    return words + (f" de {cardinal(year)}" if year is not None else "")


_MINUTES = {0: "en punto", 15: "y cuarto", 30: "y media"}


def _clock(hour: int, minutes: int, seconds: int | None) -> str:
    if seconds is None:
        return f"{_agree(cardinal(hour), 'horas')} {_MINUTES.get(minutes) or f'y {cardinal(minutes)}'}"
    parts = (hour, "hora"), (minutes, "minuto"), (seconds, "segundo")
    return " ".join(f"{_agree(cardinal(n), f'{unit}s')} {unit}{'' if n == 1 else 's'}" for n, unit in parts)


_MASCULINE = frozenset((
    "aroma", "artista", "atleta", "clima", "dentista", "diagrama", "drama", "día", "esquema", "fantasma", "futbolista",
    "guía", "idioma", "mapa", "periodista", "planeta", "poema", "poeta", "policía", "problema", "programa", "sistema",
    "telegrama", "tema", "tranvía", "turista",
))  # fmt: skip
"""Nouns in -a that are not feminine."""
_NO_NOUNS = frozenset((
    "a", "al", "con", "cuando", "de", "del", "desde", "e", "el", "en", "entre", "es", "está", "fue", "hasta", "la", "las",
    "lo", "los", "mientras", "menos", "más", "ni", "no", "o", "para", "pero", "por", "que", "se", "según", "sin", "sobre",
    "son", "tras", "u", "un", "una", "y", "ya",
))  # fmt: skip
"""Words that no number before them counts."""


def _agree(words: str, noun: str) -> str:
    """Return a number in the gender of the noun behind it; before a masculine one "uno" loses its o."""
    if not noun[:1].islower() or noun in _NO_NOUNS:
        return words
    if _is_feminine(noun) and (words == "uno" or noun.endswith("s")):
        return _feminine(words)
    return re.sub("uno$", "un", re.sub("veintiuno$", "veintiún", words))


def _is_feminine(noun: str) -> bool:
    return noun.islower() and noun.endswith(("a", "as")) and noun.removesuffix("s") not in _MASCULINE


def _feminine(words: str) -> str:
    return re.sub("uno$", "una", re.sub(r"(cient|quinient)os\b", r"\1as", words))


def _decimals(mark: str, digits: str) -> str:
    is_read_whole = digits[0] != "0" and len(digits) <= _MOST_DIGITS
    words = cardinal(int(digits)) if is_read_whole else one_by_one(digits, cardinal)
    return f"{'coma' if mark == ',' else 'punto'} {words}"


_FRACTIONS = {2: "medio", 3: "tercio"}


def _fraction(top: int, bottom: int) -> str | None:
    if not 0 < top < bottom <= 10:
        return None
    name = _FRACTIONS.get(bottom) or ordinal(bottom)
    return f"{'un' if top == 1 else cardinal(top)} {name}{'' if top == 1 else 's'}"


def _half(noun: str) -> str:
    return "media" if _is_feminine(noun) else "medio"


def _half_of(words: str, unit: str) -> str:
    return f"{_half(unit)} {unit}" if words == "un medio" else f"{words} de {unit}"


def _noun_behind(found: Match) -> str:
    word = re.match(r"\s([a-záéíóúñ]+)", found.string[found.end() :])
    return word[1] if word and word[1] not in _NO_NOUNS else ""


def _slash(found: Match) -> str:
    """Return parts ("tres cuartas partes"), half a thing or a date; other numbers with a slash as they are."""
    top, bottom, noun = int(found["top"]), int(found["bottom"]), _noun_behind(found)
    if 0 < top < bottom <= 10:
        if noun.startswith("parte"):
            whole = f"{cardinal(int(found['whole']))} y " if found["whole"] else ""
            kind = ordinal(bottom, feminine=True) if bottom > 2 else "media"
            return f"{whole}{_feminine(cardinal(top))} {kind}{'' if top == 1 else 's'}"
        return _half(noun) if noun and (top, bottom) == (1, 2) and not found["whole"] else found.group()
    is_date = not found["whole"] and 1 <= top <= 31 and 1 <= bottom <= 12
    return _date(top, bottom, None) if is_date else found.group()


def _vulgar(found: Match) -> str:
    """Return a number and a fraction, or half a thing."""
    noun, value = _noun_behind(found), vulgar_value(found["sign"] or "½")
    part = _half(noun) if value == Fraction(1, 2) else _fraction(value.numerator, value.denominator)
    if not found["whole"]:
        return f" {part} "
    whole = cardinal(int(found["whole"]))
    return f" {_feminine(whole) if _is_feminine(noun) else whole} y {part} "


_UNITS_OF_MEASURE = {
    "¢": ("centavo", "centavos"), "%": ("por ciento", "por ciento"), "‰": ("por mil", "por mil"), "°C": ("grado Celsius", "grados Celsius"),
    "°F": ("grado Fahrenheit", "grados Fahrenheit"), "ºC": ("grado Celsius", "grados Celsius"),
    "º": ("grado", "grados"), "ºF": ("grado Fahrenheit", "grados Fahrenheit"), "°": ("grado", "grados"), "km": ("kilómetro", "kilómetros"),
    "km/h": ("kilómetro por hora", "kilómetros por hora"), "m/s": ("metro por segundo", "metros por segundo"),
    "km²": ("kilómetro cuadrado", "kilómetros cuadrados"), "m²": ("metro cuadrado", "metros cuadrados"),
    "cm²": ("centímetro cuadrado", "centímetros cuadrados"), "m³": ("metro cúbico", "metros cúbicos"),
    "cm³": ("centímetro cúbico", "centímetros cúbicos"), "m": ("metro", "metros"), "cm": ("centímetro", "centímetros"),
    "mm": ("milímetro", "milímetros"), "kg": ("kilogramo", "kilogramos"), "g": ("gramo", "gramos"),
    "mg": ("miligramo", "miligramos"), "l": ("litro", "litros"), "L": ("litro", "litros"), "ml": ("mililitro", "mililitros"),
    "h": ("hora", "horas"), "min": ("minuto", "minutos"), "s": ("segundo", "segundos"), "GB": ("gigabyte", "gigabytes"),
    "MB": ("megabyte", "megabytes"), "TB": ("terabyte", "terabytes"), "KB": ("kilobyte", "kilobytes"), "W": ("vatio", "vatios"),
    "kW": ("kilovatio", "kilovatios"), "kWh": ("kilovatio hora", "kilovatios hora"), "V": ("voltio", "voltios"),
    "Hz": ("hercio", "hercios"), "kHz": ("kilohercio", "kilohercios"), "MHz": ("megahercio", "megahercios"),
    "GHz": ("gigahercio", "gigahercios"), "kcal": ("kilocaloría", "kilocalorías"), "ha": ("hectárea", "hectáreas"),
    "cv": ("caballo", "caballos"), "CV": ("caballo", "caballos"), "t": ("tonelada", "toneladas"), "dB": ("decibelio", "decibelios"),
    "Ω": ("ohmio", "ohmios"), "″": ("pulgada", "pulgadas"), "mi": ("milla", "millas"),
    "µm": ("micrómetro", "micrómetros"), "μm": ("micrómetro", "micrómetros"),
    "µg": ("microgramo", "microgramos"), "μg": ("microgramo", "microgramos"),
}  # fmt: skip
_MONEY = {
    "€": Money("euro", "euros"), "EUR": Money("euro", "euros"), "$": Money("dólar", "dólares"),
    "US$": Money("dólar estadounidense", "dólares estadounidenses"), "USD": Money("dólar estadounidense", "dólares estadounidenses"),
    "NT$": Money("dólar taiwanés", "dólares taiwaneses"), "HK$": Money("dólar de Hong Kong", "dólares de Hong Kong"),
    "A$": Money("dólar australiano", "dólares australianos"), "C$": Money("dólar canadiense", "dólares canadienses"),
    "S$": Money("dólar de Singapur", "dólares de Singapur"), "R$": Money("real", "reales"),
    "MXN": Money("peso mexicano", "pesos mexicanos"), "£": Money("libra", "libras"), "¥": Money("yen", "yenes"),
    "₹": Money("rupia", "rupias"), "₽": Money("rublo", "rublos"), "₿": Money("bitcoin", "bitcoins"),
}  # fmt: skip
_UNIT = "|".join(map(re.escape, sorted(_UNITS_OF_MEASURE, key=len, reverse=True)))
_SIGN = "|".join(map(re.escape, sorted(_MONEY, key=len, reverse=True)))
_SIGNS = {
    "<=": "menor o igual que", "≤": "menor o igual que", ">=": "mayor o igual que", "≥": "mayor o igual que", "->": "a",
    "=>": "a", "→": "a", "&": "y", "+": "más", "=": "igual a", "@": "arroba", "#": "almohadilla", "×": "por",
    "÷": "dividido entre", "±": "más menos", "<": "menor que", ">": "mayor que", "≠": "distinto de", "≈": "aproximadamente",
    "~": "aproximadamente", "∞": "infinito", "√": "raíz cuadrada de", "§": "sección", "©": "copyright", "°": "grados",
    "%": "por ciento", "‰": "por mil", "¢": "centavos", "²": "al cuadrado", "³": "al cubo", "π": "pi", "µ": "micro",
    "Ω": "ohmios", "^": "circunflejo", "º": "", "ª": "", "∑": "suma de",
}  # fmt: skip
_ADDRESSES = {
    ".": "punto", "/": "barra", "-": "guion", "_": "guion bajo", "@": "arroba", ":": "dos puntos", "?": "interrogación",
    "=": "igual", "&": "y", "#": "almohadilla", "%": "por ciento", "~": "tilde", "+": "más", "\\": "barra invertida",
}  # fmt: skip
_QUEENS = ("Isabel", "Juana", "María", "Cristina", "Margarita", "Catalina", "Ana")
_NUMBERED = "capítulo|tomo|volumen|parte|acto|escena|libro|fase|anexo|título|artículo|nivel|tipo|clase|grupo|canto|liga|episodio"
_NO_RULERS = "Yo|Tú|El|La|Los|Las|Un|Una|Que|En|De|Al|Se|No|Me|Te|Lo|Si|Ya|Le|Por|Con|Pero"


def _ordinal_sign(found: Match) -> str:
    number, sign = int(found[1]), found[2].lower()
    if not 1 <= number <= 99 or (
        number > 12 and sign == "º" and not re.match(r"\s\w", found.string[found.end() :])
    ):
        return found.group()  # degrees
    words = ordinal(number, feminine=sign in ("ª", "a"))
    return re.sub(r"(primer|tercer)o$", r"\1", words) if sign == "er" else words


def _ruler(found: Match) -> str:
    number = roman_value(found["numeral"])
    is_queen = found["name"] in _QUEENS
    return f"{found['name']} {ordinal(number, feminine=is_queen) if number <= 10 else cardinal(number)}"


def _first() -> Iterator[Rule]:
    # One character for what has many.
    yield "[‐‑‒﹣]", "-"
    yield "⁄", "/"
    yield "℃", "°C"
    yield "[₀-₉]", lambda found: str(ord(found.group()) - ord("₀"))
    yield r"(?<=\d)['’]s\b", ""
    yield r"(\d\s?[kcdm]?m)([23])\b", lambda found: found[1] + "²³"[int(found[2]) - 2]
    # Abbreviations.
    for pattern, word in {
        r"\bsr\.": "señor", r"\bsra\.": "señora", r"\bsrta\.": "señorita", r"\bsres\.": "señores", r"\bdr\.": "doctor",
        r"\bdra\.": "doctora", r"\b[uv]ds\.": "ustedes", r"\b[uv]d\.": "usted", r"\bee\.\s?uu\.": "estados unidos",
        r"\betc\.": "etcétera", r"\bp\.\s?ej\.": "por ejemplo", r"\bavd?a?\.(?=\s)": "avenida", r"\bpágs\.": "páginas",
        r"\bpág\.": "página", r"\bart\.(?=\s?\d)": "artículo", r"\btel\.": "teléfono", r"\baprox\.": "aproximadamente",
        r"\ba\.\s?c\.": "antes de Cristo", r"\bd\.\s?c\.": "después de Cristo", r"\ba\.\s?m\.": "a eme",
        r"\bp\.\s?m\.": "pe eme", r"\blic\.(?=\s)": "licenciado", r"\bing\.(?=\s)": "ingeniero", r"\bprof\.": "profesor",
        r"\bs\.(?=\s[IVX]+\b)": "siglo", r"\bvol\.": "volumen", r"\bmín\.": "mínimo", r"\bmáx\.": "máximo", r"\bc/(?=\s?[A-Z])": "calle", r"\bcap\.(?=\s)": "capítulo", r"\bdña\.": "doña",
    }.items():  # fmt: skip
        yield f"(?i){pattern}", word
    yield r"\b[nN](?:\.?\s?[º°o]\.?|úm\.|ro\.)\s?(?=\d)|№\s?|(?<!\w)#(?=\d)", " número "
    # Ordinal and Roman numerals.
    yield r"\b(\d{1,2})(?:e?r|d|t|m|v|n)([oa])\b", _ordinal_sign
    yield r"(?i)\b(\d{1,2})\.?(er)\b", _ordinal_sign
    yield r"(?<![\w−-])(\d{1,2})\.?\s?([ºª])(?![CF]\b)", _ordinal_sign
    yield (
        r"\b(\d{1,2})(?:\.)?°(?=\s?(?:piso|puesto|lugar|grado|aniversario)\b)(?=())",
        lambda found: ordinal(int(found[1])),
    )
    yield (
        rf"\b({ROMAN})(?=\s(?:Guerra|República|Edición|edición|Conferencia|Cumbre)\b)",
        lambda found: ordinal(roman_value(found[1]), feminine=True),
    )
    yield (
        rf"\b({ROMAN})(?=\s(?i:congreso|festival|concurso|encuentro|concilio|imperio|premio|aniversario|centenario|torneo|maratón)\b)",
        lambda found: re.sub(r"(primer|tercer)o$", r"\1", ordinal(roman_value(found[1]))),
    )
    yield rf"\b(?P<name>[Ss]iglos?) (?P<numeral>{ROMAN})\b", _ruler
    yield (
        rf"\b([Ss]iglos? \w+(?: y| al?| o)) ({ROMAN})\b",
        lambda found: f"{found[1]} {cardinal(roman_value(found[2]))}",
    )
    yield rf"(?i:\b({_NUMBERED})) ({ROMAN})\b", lambda found: f"{found[1]} {cardinal(roman_value(found[2]))}"
    yield (
        rf"\b(?P<name>(?!(?:{_NO_RULERS})\b)[A-ZÁÉÍÓÚÑ][a-záéíóúñ]+) (?P<numeral>(?!XXX?\b){ROMAN})\b(?!['’.]\w)",
        _ruler,
    )
    # Money and what is said without its sign, rates.
    yield rf"(?:{_SIGN})\s?(?=[\d.,]+\s?(?:pesos|euros|dólares)\b)", ""
    yield (
        rf"\b((?i:el|al|del|un|una|la|cada|por)) ({_SIGN})(?!\w|\s?\d)",
        lambda found: f"{found[1]} {_MONEY[found[2]].one}",
    )
    yield rf"((?:{_SIGN})(?:\s?[\d.,]*\d)?|\b(?:euro|dólare?|peso|libra|centavo)s?)\s?/\s?({_UNIT})(?!\w)", lambda found: f"{found[1]} por {_UNITS_OF_MEASURE[found[2]][0]}"  # fmt: skip
    yield (
        rf"(?<!\d)(?<!\d )(?:½|(?<![\w/.,])1/2)\s?({_SIGN})(?!\w)",
        lambda found: _half_of("un medio", _MONEY[found[1]].one),
    )
    yield r"\s?/\s?(?=(?:segundo|minuto|hora|día|noche|semana|mes|año|persona)s?\b)", " por "
    # Feet, inches, minutes of a degree.
    yield r"(?<![\w.,])(\d{1,2})'\s?(\d{1,2})[\"″”]", r"\1 pies y \2 pulgadas"
    yield r"(?<=\d[°º])\s?(\d{1,2})['′’]", r" \1 minutos"
    yield r"(?<!\d)\"[^\"]*\"|(?<![\w.,])(\d+(?:[.,]\d+)?)\s?[\"″]", lambda found: f"{found[1]} pulgadas" if found[1] else found.group()  # fmt: skip
    # Versions, ratios, fractions, powers, sums.
    yield r"\bv(?=\d+\.\d)", "versión "
    yield r"(?<=\bversión )\d{1,4}(?:\.\d{1,4}){2,}", lambda found: " punto ".join(cardinal(int(part)) for part in found.group().split("."))  # fmt: skip
    yield r"(?<![\d:])(?!(?:[01]?\d|2[0-4]):[0-5]\d(?!\d))(\d{1,3}):(\d{1,2})(?![\d:])", lambda found: f"{cardinal(int(found[1]))} a {cardinal(int(found[2]))}"  # fmt: skip
    yield r"(?<![\d/])24/7(?![\d/])", "veinticuatro siete"
    yield r"(?<![\d/])50/50(?![\d/])", "cincuenta cincuenta"
    yield rf"(?<![\w./])(?:(?P<whole>\d+) )?(?P<top>\d{{1,3}})/(?P<bottom>\d{{1,3}})(?![\w/]|[.,]\d|\s?(?:{_UNIT})(?![\w²³]))", _slash  # fmt: skip
    yield rf"(?P<whole>\d+)\s?(?P<sign>[¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])|½(?!\s?(?:{_UNIT})(?![\w²³/]))", _vulgar
    yield r"(?<=\w)\s?\^\s?(?=\w)", " elevado a "
    yield r"(?<=\d)\s?[-–]\s?(?=\d+(?:,\d+)?\s?=)", " menos "


_speller = Speller(
    Wording(
        cardinal=cardinal, point="coma", minus="menos", per="por", to="a", over="sobre", times="por",
        signs=_SIGNS, addresses=_ADDRESSES, units=_UNITS_OF_MEASURE, money=_MONEY,
        large={"mil": "mil", "M": "millones", "millón": "millón", "millones": "millones", "mil millones": "mil millones",
               "billón": "billón", "billones": "billones", "bn": "mil millones", "k": "mil"},
        date=_date, clock=_clock,
        clock_pattern=r"(?<![\d:,.])(?P<hour>\d{1,2})(?::|\.(?=\d\d\s?h(?:oras|rs?|s)?\b))(?P<minutes>\d{2})(?::(?P<seconds>\d{2}))?(?![\d:])(?:\s?h(?:oras|rs?|s)?\b)?",
        fractions=_fraction, half_after=_half_of, agree=_agree, decimals=_decimals, large_link=" de ",
        domains="com|org|net|edu|gov|gob|info|es|mx|ar|co|cl|pe|ve|uy|eu|io|ai|tv|app|dev|cat",
        telephone=r"[+0].+|.*\(.+|[6789]\d\d([ -])\d{3}\1\d{3}|[6789]\d{1,2}[ -]\d{2,3}[ -]\d\d[ -]\d\d|\d{3}-\d{4}",
        first=tuple(_first()),
    )
)  # fmt: skip


def spell_out(text: str) -> str:
    """Return a Spanish text with every number, sign and common abbreviation in words."""
    return _speller(text)


_ACCENTS = dict(zip("áéíóú", "aeiou", strict=True))
_UNSTRESSED = frozenset([
    "el", "la", "los", "las", "lo", "un", "al", "del", "de", "que", "y", "e", "o", "u", "ni", "en", "a",
    "por", "con", "sin", "se", "me", "te", "le", "les", "nos", "os", "mi", "mis", "tu", "tus", "su",
    "sus", "si",
])  # fmt: skip
"""Words without stress."""
_LIGHT = frozenset([
    "para", "sobre", "desde", "hasta", "entre", "pero", "como", "porque", "aunque", "donde", "cuando",
])  # fmt: skip
"""Words with a secondary stress only, on their first syllable."""
_SPECIAL = {
    "méxico": "méjico", "mexicano": "mejicano", "mexicana": "mejicana", "texas": "tejas", "oaxaca": "oajaca",
}  # fmt: skip
"""Words with an x that is pronounced as j."""
_LETTERS = {
    "f": "f", "k": "k", "q": "k", "l": "l", "m": "m", "n": "n", "ñ": "ɲ", "p": "p", "s": "s", "t": "t", "w": "w",
    "b": "b", "v": "b", "d": "d", "g": "ɡ", "j": "x", "c": "k", "ç": "s", "h": "",
}  # fmt: skip
_FALLING = {"ai": "I", "au": "W", "ei": "A", "eu": "eʊ", "oi": "oɪ", "ou": "O"}
_MARKED = " ˈˌ"
_SOFT = {"b": "β", "d": "ð", "ɡ": "ɣ"}
_VOWELS = "aeiouáéíóú"
_NASAL = re.compile(r"n(?= ?[pbmf])")


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return a Spanish text in Kokoro's alphabet, and the words and signs in it that have no reading.

    English words are read by ``foreign``. Outside Spain z and soft c are read as s, ll as y. As espeak-ng writes it,
    since Kokoro was trained with that: stress is written before the stressed vowel, b d g soften between open sounds,
    falling diphthongs are one symbol where Kokoro has one.
    """
    seseo = tag not in ("es", "es-es")
    found, skipped = spelling.tokens(spell_out(text))
    phonemes = ""
    english: list[str] = []
    for token in (part for whole in found for part in spelling.parts(whole, (), "[^'-]+")):
        if not token.is_word:
            phonemes += spelling.mark(token.text) if phonemes else ""
            continue
        letters = "".join(_NO_BASE.get(letter, letter) for letter in token.text)
        if _ENGLISH.fullmatch(letters):
            sounds, unread = foreign(letters)
            skipped += unread
            english.append(sounds)
            sounds = _ENGLISH_WORD
        else:
            sounds = _word(letters, seseo=seseo)
            if not any(map(str.isalpha, sounds)) and letters != "h":
                skipped.append(token.text)
        phonemes += f" {sounds}" if phonemes else sounds
    softened = _soften(_NASAL.sub("m", phonemes))
    return re.sub(_ENGLISH_WORD, lambda _: english.pop(0), softened), skipped


_ENGLISH_WORD = "\ue001"
"""Stands for the sounds of an English word while the Spanish ones around it are joined."""
_ENGLISH = re.compile(
    r"(?=.*[aeiouy])(?!kiwi)[a-z]*?"
    r"(?:w|sh|th|ck|ph|ight|[lnrs]k$|ee[pt]s?$|^you|[^u]ing$|oo(?:[dfklmnt]$|[gk]|ls$|t[bhs]|d[^aeiou]))[a-z]*"
)
"""A word with letters side by side as in English and hardly in Spanish, and without an accent."""

_NO_BASE = {
    "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "e", "œ": "e", "þ": "z", "ð": "d", "ı": "i", "ħ": "j", "ŋ": "ng",
}  # fmt: skip
"""Letters of other alphabets as they are read in Spanish."""


def _word(word: str, *, seseo: bool) -> str:
    sounds = _sounds(_SPECIAL.get(word, word), seseo=seseo)
    syllables = [index for index, sound in enumerate(sounds) if _nucleus(sound)]
    if not syllables:
        return "".join(_spell_letter(letter) for letter in word)
    if word in _LIGHT:
        sounds[syllables[0]] = "ˌ" + sounds[syllables[0]]
    elif word not in _UNSTRESSED:
        marked = [index for index in syllables if "´" in sounds[index]]
        plain = word[-1] in "aeiouns" and len(syllables) > 1
        stressed = marked[0] if marked else syllables[-2 if plain else -1]
        sounds[stressed] = "ˈ" + sounds[stressed]
        if syllables.index(stressed) > 1:
            sounds[syllables[0]] = "ˌ" + sounds[syllables[0]]
    return "".join(sounds).replace("´", "")


def _sounds(word: str, *, seseo: bool) -> list[str]:
    """Return one entry for each consonant, glide or vowel; an accented vowel has ´."""
    sounds: list[str] = []
    index = 0
    while index < len(word):
        run = re.match(rf"[{_VOWELS}]+(y$)?|y$", word[index:])
        if run:
            sounds += _vowels(run.group().replace("y", "i"))
            index += run.end()
        else:
            sound, used = _consonant(word, index, seseo=seseo)
            sounds += [sound] if sound else []
            index += used
    return sounds


def _consonant(word: str, index: int, *, seseo: bool) -> tuple[str, int]:
    """Return the sound of the consonant at ``index`` and its number of letters."""
    two, letter, following = word[index : index + 2], word[index], word[index + 1 : index + 2]
    front = following in tuple("eiéí")
    sibilant = "s" if seseo else "θ"
    if two == "ch":
        return "ʧ", 2
    if two == "ll":
        return "ʝ" if seseo else "ʎ", 2
    if two == "rr":
        return "r", 2
    if two == "sh":
        return "ʃ", 2
    if two == "gü":
        return "ɡw", 2
    if two in ("qu", "gu") and word[index + 2 : index + 3] in tuple("eiéí"):
        return "k" if letter == "q" else "ɡ", 2
    if letter == "z" or (letter == "c" and front):
        return sibilant, 1
    if letter == "g" and front:
        return "x", 1
    if letter == "x":
        return "s" if index == 0 else "ks", 1
    if letter == "y":
        return "ʝ" if following else "i", 1
    if letter == "r":
        return "r" if index == 0 or word[index - 1] in "nls" else "ɾ", 1
    if letter == "n" and following in tuple("ckgqjx"):
        return "n" if front and following != "q" else "ŋ", 1
    plain = unicodedata.normalize("NFD", letter)[0]
    return _LETTERS.get(letter, plain if plain in _VOWELS else _LETTERS.get(plain, "")), 1


def _vowels(run: str) -> list[str]:
    """Return a run of vowels as glides and nuclei; weak i and u join the adjacent vowel."""
    sounds: list[str] = []
    while run:
        if len(run) > 1 and run[0] in "iu" and run[0] != run[1]:
            glide = {"i": "j", "u": "w"}[run[0]]
            sounds.append("ʝ" if glide == "j" and sounds else glide)
            run = run[1:]
        nucleus = _ACCENTS.get(run[0], run[0])
        accent = "´" if run[0] in _ACCENTS else ""
        falls = nucleus + run[1:2] in _FALLING and len(run) < 3
        sounds.append(_FALLING[nucleus + run[1]] + accent if falls else nucleus + accent)
        run = run[2 if falls else 1 :]
    return sounds


def _nucleus(sound: str) -> bool:
    return sound[0] in "aeiouIWAO"


def _spell_letter(letter: str) -> str:
    names = {
        "b": "bˈe", "c": "θˈe", "d": "dˈe", "f": "ˈefe", "g": "xˈe", "h": "ˈaʧe", "j": "xˈota", "k": "kˈa", "l": "ˈele",
        "m": "ˈeme", "n": "ˈene", "ñ": "ˈeɲe", "p": "pˈe", "q": "kˈu", "r": "ˈere", "s": "ˈese", "t": "tˈe", "v": "ˈube",
        "w": "ˈubeðˈoble", "x": "ˈekis", "y": "i", "z": "θˈeta",
    }  # fmt: skip
    return names.get(letter, "")


def _soften(phonemes: str) -> str:
    """Soften b, d and g except after a pause and a nasal (d also after l), across words as well."""
    softened, before = [], ""
    for symbol, following in zip(phonemes, (phonemes + " ")[1:], strict=True):
        stop = before in ("", "m", "n", "ɲ", "ŋ") or (
            symbol == "d" and (before == "l" or not following.isalpha())
        )
        softened.append(symbol if stop else _SOFT.get(symbol, symbol))
        if symbol in _MARKED:
            continue
        before = symbol if symbol.isalpha() else ""
    return "".join(softened)
