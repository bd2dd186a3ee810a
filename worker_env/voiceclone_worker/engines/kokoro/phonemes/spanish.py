"""Spanish: numbers, signs and abbreviations in words, then phonemes by rules of spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from fractions import Fraction

from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, has_sound, roman_value
from voiceclone_worker.engines.kokoro.phonemes.numbers import TILDE_OF_RANGE, TILDE_OF_TONE
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

_UNITS = [
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce",
    "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno",
    "veintidós", "veintitrés", "veinticuatro", "veinticinco", "veintiséis", "veintisiete", "veintiocho",
    "veintinueve",
]  # fmt: skip
_TENS = ["treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"]
_HUNDREDS = (
    "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos"
)
_MOST_DIGITS = 18
_NUMBER = r"(?:\d{1,3}(?:[.\u00a0\u202f]\d{3})+(?:,\d+)?(?!\d)|\d+(?:[.,]\d+)?)"
_MONTHS = [
    "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
    "noviembre", "diciembre",
]  # fmt: skip
_UNITS_AFTER = {
    "€": ("euro", "euros"), "$": ("dólar", "dólares"), "£": ("libra", "libras"), "¥": ("yen", "yenes"),
    "₹": ("rupia", "rupias"), "¢": ("centavo", "centavos"), "US$": ("dólar estadounidense", "dólares estadounidenses"),
    "USD": ("dólar estadounidense", "dólares estadounidenses"), "EUR": ("euro", "euros"), "R$": ("real", "reales"),
    "MXN": ("peso mexicano", "pesos mexicanos"),
    "NT$": ("dólar taiwanés", "dólares taiwaneses"), "HK$": ("dólar de Hong Kong", "dólares de Hong Kong"),
    "A$": ("dólar australiano", "dólares australianos"), "C$": ("dólar canadiense", "dólares canadienses"),
    "S$": ("dólar de Singapur", "dólares de Singapur"), "₽": ("rublo", "rublos"), "₿": ("bitcoin", "bitcoins"),
    "%": ("por ciento", "por ciento"), "‰": ("por mil", "por mil"), "°C": ("grado Celsius", "grados Celsius"),
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
    "cv": ("caballo", "caballos"), "CV": ("caballo", "caballos"), "t": ("tonelada", "toneladas"), "dB": ("decibelio", "decibelios"), "″": ("pulgada", "pulgadas"), "mi": ("milla", "millas"),
}  # fmt: skip
_MONEY = ("US$", "NT$", "HK$", "A$", "C$", "S$", "R$", "USD", "EUR", "MXN", *"€$£¥₹₽₿")
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS_AFTER, key=len, reverse=True))
_SIGN = "|".join(map(re.escape, _MONEY))
_LARGE = {
    "mil": "mil",
    "M": "millones",
    "millón": "millón",
    "millones": "millones",
    "bn": "mil millones",
    "k": "mil",
}
_FRACTIONS = {
    2: "medio",
    3: "tercio",
    4: "cuarto",
    5: "quinto",
    6: "sexto",
    7: "séptimo",
    8: "octavo",
    9: "noveno",
    10: "décimo",
}
_ORDINALS = [
    "primero", "segundo", "tercero", "cuarto", "quinto", "sexto", "séptimo", "octavo", "noveno", "décimo",
]  # fmt: skip
_ORDINAL_TENS = [
    "décimo", "vigésimo", "trigésimo", "cuadragésimo", "quincuagésimo", "sexagésimo", "septuagésimo",
    "octogésimo", "nonagésimo",
]  # fmt: skip
_QUEENS = ("Isabel", "Juana", "María", "Cristina", "Margarita", "Catalina", "Ana")
_NUMBERED = "capítulo|tomo|volumen|parte|acto|escena|libro|fase|anexo|título|artículo|nivel|tipo|clase|grupo|canto|liga|episodio"
_SIGNS_OF_ADDRESSES = {
    ".": "punto", "/": "barra", "-": "guion", "_": "guion bajo", "@": "arroba", ":": "dos puntos", "?": "interrogación",
    "=": "igual", "&": "y", "#": "almohadilla", "%": "por ciento", "~": "tilde", "+": "más", "\\": "barra invertida",
}  # fmt: skip
_DOMAINS = "com|org|net|edu|gov|gob|info|es|mx|ar|co|cl|pe|ve|uy|eu|io|ai|tv|app|dev|cat"
Match = re.Match[str]


def spell_out(text: str) -> str:
    """Return a Spanish text with every number, sign and common abbreviation in words."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return re.sub(r"\s+([,.;:!?…])", r"\1", re.sub(r"\s+", " ", text)).strip()


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


def _address(found: Match) -> str:
    address = re.sub(r"^https?://", "", found.group(), flags=re.IGNORECASE)
    bare = address.rstrip(".,;:!?)\"'…")
    closing, bare = address[len(bare) :], bare.rstrip("/")
    words = [
        _whole(part) if part.isdecimal() else _SIGNS_OF_ADDRESSES.get(part, part)
        for part in re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", bare)
    ]
    return f" {' '.join(words)}{closing} "


def _date(day: str, month: str, year: str | None) -> str | None:
    if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
        return None
    first = "uno" if int(day) == 1 else cardinal(int(day))
    return f"{first} de {_MONTHS[int(month) - 1]}" + (f" de {cardinal(int(year))}" if year else "")


def _long_date(found: Match) -> str:
    return _date(found["day"], found["month"], found["year"]) or found.group()


_NOUN = re.compile(r"\s(?!(?:de|del|y|o|por|para|que|en)\b)([a-záéíóúñ]+)")


def _half(noun: str) -> str:
    return "media" if noun.endswith("a") else "medio"


def _slash(found: Match) -> str:
    top, bottom = int(found["top"]), int(found["bottom"])
    whole = f"{_whole(found['whole'])} y " if found["whole"] else ""
    if 0 < top < bottom <= 10 and found.string.startswith(" parte", found.end()):
        kind = "tercera" if bottom == 3 else _FRACTIONS[bottom][:-1] + "a"
        return whole + (f"una {kind}" if top == 1 else f"{_feminine(cardinal(top))} {kind}s")
    if not whole and (top, bottom) == (1, 2) and (noun := _NOUN.match(found.string, found.end())):
        return _half(noun[1])
    if 0 < top < bottom <= 10:
        return whole + _fraction(top, bottom)
    if not whole and (date := _date(found["top"], found["bottom"], None)):
        return date
    return f"{found['whole'] or ''} {cardinal(top)} sobre {cardinal(bottom)}".strip()


def _fraction(top: int, bottom: int) -> str:
    return f"{'un' if top == 1 else cardinal(top)} {_FRACTIONS[bottom]}{'' if top == 1 else 's'}"


def _vulgar(found: Match) -> str:
    value = Fraction(unicodedata.numeric(found[2])).limit_denominator(100)
    words = _fraction(value.numerator, value.denominator)
    if not found[1]:
        noun = _NOUN.match(found.string, found.end())
        return f" {_half(noun[1] if noun else '') if value == Fraction(1, 2) else words} "
    half, whole = "medio", _whole(found[1])
    if re.match(r"\s\w+as?\b", found.string[found.end() :]):
        half, whole = "media", _feminine(whole)
    return f" {whole} y {half if value == Fraction(1, 2) else words} "


def _part_of_unit(found: Match) -> str:
    value = Fraction(unicodedata.numeric(found[3])).limit_denominator(100) if found[3] else None
    top, bottom = (value.numerator, value.denominator) if value else (int(found[1]), int(found[2]))
    unit = _UNITS_AFTER[found[4]][0]
    if (top, bottom) == (1, 2):
        return f"{'media' if unit.endswith('a') else 'medio'} {unit}"
    return (
        f"{_fraction(top, bottom)} de {unit}" if 0 < top < bottom and bottom in _FRACTIONS else found.group()
    )


def _telephone(number: Match) -> str:
    groups = re.findall(r"\+?\d+", number.group())
    return ", ".join(
        ("más " if group[0] == "+" else "") + " ".join(_UNITS[int(digit)] for digit in group.lstrip("+"))
        for group in groups
    )


def _clock(time: Match) -> str:
    hour, minutes = int(time[1]), time[2]
    return f"{_feminine(cardinal(hour))} {_minutes(minutes)}" if hour <= 24 else time.group()


def _amount(found: Match) -> str:
    """Return a number with its unit, in one order: number, thousands or millions, unit."""
    digits, large, unit = found["digits"], found["large"], found["unit"]
    one, many = _UNITS_AFTER[unit]
    minus = "menos " if found["minus"] else ""
    if large:
        words = _before_noun(_number(digits, ""))
        link = "" if large in ("mil", "k") else " de"
        return f" {minus}{words} {_LARGE[large]}{link} {many} "
    words = _number(digits, "")
    if one == many:
        return f" {minus}{words} {one} "
    words = _feminine(words) if one.endswith("a") else _before_noun(words)
    link = "de " if re.search(r"mill(?:ón|ones)$", words) and unit in _MONEY else ""
    return f" {minus}{words} {link}{one if digits == '1' else many} "


def _feminine(words: str) -> str:
    words = re.sub(r"(cient|quinient)os\b", r"\1as", words)
    return f"{words[:-1]}a" if words.endswith("uno") else words


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


def _rules() -> Iterator[tuple[str, Callable[[Match], str] | str]]:
    """Yield patterns and what replaces them, in the order in which they are applied."""
    # Minus signs, addresses, telephone numbers.
    yield rf"(?<![\d.,])\d{{{_MOST_DIGITS + 1},}}", lambda m: f" {_whole(m.group())} "
    yield r"(?<=\d)\s?−\s?(?=\d)|(?<=\w)\s−\s(?=\w)", " menos "
    yield "[−‐‑‒﹣]", "-"
    yield "⁄", "/"
    yield "[₀-₉]", lambda m: str(ord(m.group()) - ord("₀"))
    yield r"(?<=\d)['’]s\b", ""
    yield r"(\d\s?[kcdm]?m)([23])\b", lambda m: m[1] + "²³"[int(m[2]) - 2]
    yield rf"(?:{_SIGN})\s?(?=[\d.,]+\s?(?:pesos|euros|dólares)\b)", ""
    yield r"\bv(?=\d+\.\d)", "versión "
    yield "℃", "°C"
    yield r"(?i)\bhttps?://[^\s<>\"]+|\bwww\.[^\s<>\"]+", _address
    yield r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", _address
    yield rf"(?<![\w@.-])(?:[a-zA-Z0-9][\w-]{{0,62}}\.)+(?:{_DOMAINS})\b(?![\w@-])(?:/[^\s<>\"]*)?", _address
    yield TILDE_OF_RANGE, " a "
    yield TILDE_OF_TONE, " "
    yield r"(?<![\w.,])\+\d{1,3}[\s.-]?\d+(?:[\s.-]\d{2,})+(?![\w-])", _telephone
    yield r"(?<![\w.,-])[6789]\d{2}[\s-]\d{3}[\s-]\d{3}(?![\w-])", _telephone
    yield r"(?<![\w.,-])\(?[6789]\d{1,2}\)?[\s-]\d{2,3}[\s-]\d{2}[\s-]\d{2}(?![\w-])", _telephone
    yield r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])", _telephone
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
    yield r"\b(\d{1,2})(?:r|d|t|m|v|n)([oa])\b", _ordinal_sign
    yield r"(?i)\b(\d{1,2})\.?(er)\b", _ordinal_sign
    yield r"(?<![\w-])(\d{1,2})\.?\s?([ºª])(?![CF]\b)", _ordinal_sign
    yield (
        r"\b(\d{1,2})(?:\.)?°(?=\s?(?:piso|puesto|lugar|grado|aniversario)\b)(?=())",
        lambda m: ordinal(int(m[1])),
    )
    yield (
        rf"\b({ROMAN})(?=\s(?:Guerra|República|Edición|edición|Conferencia|Cumbre)\b)",
        lambda m: ordinal(roman_value(m[1]), feminine=True),
    )
    yield (
        rf"\b({ROMAN})(?=\s(?i:congreso|festival|concurso|encuentro|concilio|imperio|premio|aniversario|centenario|torneo|maratón)\b)",
        lambda m: re.sub(r"(primer|tercer)o$", r"\1", ordinal(roman_value(m[1]))),
    )
    yield rf"\b(?P<name>[Ss]iglos?) (?P<numeral>{ROMAN})\b", _ruler
    yield rf"\b([Ss]iglos? \w+(?: y| al?| o)) ({ROMAN})\b", lambda m: f"{m[1]} {cardinal(roman_value(m[2]))}"
    yield rf"(?i:\b({_NUMBERED})) ({ROMAN})\b", lambda m: f"{m[1]} {cardinal(roman_value(m[2]))}"
    yield (
        rf"\b(?P<name>(?!(?:Yo|Tú|El|La|Los|Las|Un|Una|Que|En|De|Al|Se|No|Me|Te|Lo|Si|Ya|Le|Por|Con|Pero)\b)[A-ZÁÉÍÓÚÑ][a-záéíóúñ]+) (?P<numeral>(?!XXX?\b){ROMAN})\b(?!['’.]\w)",
        _ruler,
    )
    # Dates and times.
    yield (
        r"(?<![\d/.-])(?P<day>\d{1,2})([/.-])(?P<month>\d{1,2})\2(?P<year>\d{4})(?![\d/]|[.-]\d)",
        _long_date,
    )
    yield r"(?<![\d-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\d-])", _long_date
    yield r"(?<![\d/])24/7(?![\d/])", "veinticuatro siete"
    yield r"(?<![\d/])50/50(?![\d/])", "cincuenta cincuenta"
    yield (
        r"\b(\d{1,2}):(\d{2}):(\d{2})(?![\d:])",
        lambda m: (
            f"{_feminine(cardinal(int(m[1])))} horas {cardinal(int(m[2]))} minutos {cardinal(int(m[3]))} segundos"
        ),
    )
    yield r"\b(\d{1,2})[:.](\d{2})\s?h(?:oras|rs?|s)?\b", _clock
    yield r"\b(\d{1,2}):(\d{2})(?![\d:])", _clock
    yield (
        r"(?<![\d:])(\d{1,3}):(\d{1,2})(?![\d:])",
        lambda m: f"{cardinal(int(m[1]))} a {cardinal(int(m[2]))}",
    )
    # Money, degrees and units.
    minus = r"(?P<minus>(?<![\w.)\]%°'])-)?"
    large = rf"(?:\s?(?P<large>{'|'.join(_LARGE)})\b(?:\s?de\b)?)?"
    yield (
        rf"(?<![\w.,])({_NUMBER})\s?[-–]\s?(?={_NUMBER}\s?(?:{_UNIT})(?![\w²³]))",
        lambda m: f"{_number(m[1], '')} a ",
    )
    yield rf"{minus}(?<!\w)(?P<unit>{_SIGN})\s?(?P<digits>{_NUMBER}){large}", _amount
    yield rf"{minus}(?<![\w.,])(?P<digits>{_NUMBER}){large}\s?(?P<unit>{_SIGN})(?!\w)", _amount
    yield (
        r"(?<![\w.,])(\d{1,2})'\s?(\d{1,2})[\"″”]",
        lambda m: f"{cardinal(int(m[1]))} pies y {cardinal(int(m[2]))} pulgadas",
    )
    yield r"(?<=\d[°º])\s?(\d{1,2})['′’]", lambda m: f" {cardinal(int(m[1]))} minutos"
    yield (
        rf"(?<!\d)\"[^\"]*\"|(?<![\w.,])({_NUMBER})\s?[\"″]",
        lambda m: f"{_feminine(_number(m[1], ''))} pulgadas" if m[1] else m.group(),
    )
    yield (
        rf"(?<![\w.,])(?P<digits>{_NUMBER})\s?(?P<unit>{_UNIT})/(?P<per>{_UNIT})(?![\w²³/])",
        lambda m: f"{_number(m['digits'], '')} {_UNITS_AFTER[m['unit']][1]} por {_UNITS_AFTER[m['per']][0]}",
    )
    yield rf"{minus}(?<![\w.,/])(?P<digits>{_NUMBER})\s?(?P<unit>{_UNIT})(?P<large>(?!))?(?![\w²³/])", _amount
    yield (
        rf"\b(euros?|dólares?|pesos?|libras?|centavos?)\s*/\s?({_UNIT})(?!\w)",
        lambda m: f"{m[1]} por {_UNITS_AFTER[m[2]][0]}",
    )
    yield rf"(?<![\w/.,])(?:(\d{{1,2}})/(\d{{1,2}})|([½¼¾⅓⅔]))\s?({_UNIT})(?![\w²³/])", _part_of_unit
    yield rf"(?<!\w)(?:{_SIGN})(?!\w)", lambda m: f" {_UNITS_AFTER[m.group()][0]} "
    yield r"\s?/\s?(?=(?:segundo|minuto|hora|día|noche|semana|mes|año|persona|noche)s?\b)", " por "
    # Versions, fractions, ranges, sums.
    yield r"(?<![\w.,])(?!\d{1,3}(?:\.\d{3})+(?!\d))\d+(?:\.\d+){2,}(?!\w|\.\d)", _version
    yield r"(?<![\w./])(?:(?P<whole>\d+) )?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\w/]|[.,]\d)", _slash
    yield "(\\d+)?\\s?([¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])", _vulgar
    yield r"(?<=\d)\s?[-–]\s?(?=\d+(?:,\d+)?\s?=)", " menos "
    yield rf"(?<![\w.)\]%°'])-(?={_NUMBER})", "menos "
    yield rf"(?<![\w.,-])({_NUMBER})\s?[-–]\s?(?={_NUMBER}(?![\w-]|[.,]\d))", r"\1 a "
    yield r"(?<=\d)\s?[*×x]\s?(?=\d)", " por "
    yield r"(?<=[\w)])²", " al cuadrado "
    yield r"(?<=[\w)])³", " al cubo "
    yield r"(?<=\w)\s?\^\s?(?=\w)", " elevado a "
    # Signs.
    yield r"(?<!\w)#(?=[^\W\d])", " hashtag "
    yield r"<=|≤", " menor o igual que "
    yield r">=|≥", " mayor o igual que "
    yield r"[-=]>|→", " a "
    yield r"[~≈]\s?(?=\d)", " aproximadamente "
    for sign, word in {
        "&": "y", "+": "más", "=": "igual a", "@": "arroba", "#": "almohadilla", "×": "por", "÷": "dividido entre",
        "±": "más menos", "<": "menor que", ">": "mayor que", "≠": "distinto de", "≈": "aproximadamente", "∞": "infinito",
        "√": "raíz cuadrada de", "§": "sección", "©": "copyright", "°": "grados", "%": "por ciento", "‰": "por mil",
        "¢": "centavos", "~": "tilde", "π": "pi", "µ": "micro", "Ω": "ohmios", "^": "circunflejo",
        "º": "", "ª": "", "∑": "suma de",
    }.items():  # fmt: skip
        yield re.escape(sign), f" {word} " if word else ""
    # Numbers.
    yield r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)", " "
    yield _NUMBER, lambda m: f" {_number(m.group(), m.string[m.end() :])} "


def _version(found: Match) -> str:
    groups = found.group().split(".")
    return " punto ".join(_whole(group) for group in groups)


def cardinal(number: int) -> str:
    """Return a number from 0 in Spanish words; digit by digit from 10**18."""
    if number < 30:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 3] + (f" y {_UNITS[unit]}" if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        if number == 100:
            return "cien"
        return _HUNDREDS.split()[hundreds - 1] + (f" {cardinal(rest)}" if rest else "")
    if number >= 10**_MOST_DIGITS:
        return " ".join(_UNITS[int(digit)] for digit in str(number))
    scale, one, many = next(row for row in _SCALES if number >= row[0])
    count, rest = divmod(number, scale)
    head = one if count == 1 else f"{_before_noun(cardinal(count))} {many}"
    return head + (f" {cardinal(rest)}" if rest else "")


_SCALES = (
    (10**12, "un billón", "billones"),
    (10**6, "un millón", "millones"),
    (1000, "mil", "mil"),
)


def _number(digits: str, after: str) -> str:
    if re.fullmatch(r"\d{1,3}(?:[.\u00a0\u202f]\d{3})+(?:,\d+)?", digits):
        digits = re.sub(r"[.\u00a0\u202f]", "", digits)
    whole, mark, decimals = re.fullmatch(r"(\d+)([.,]?)(\d*)", digits).groups()  # type: ignore[union-attr]
    words = _whole(whole)
    if mark:
        return f"{words} {'coma' if mark == ',' else 'punto'} {_whole(decimals)}"
    noun = re.match(r"\s+(?!(?:de|del|y|o|a|por|más|menos)\b)([a-záéíóúñ]+)", after)
    if noun is None:
        return words
    return _feminine(words) if noun[1].endswith("as") and noun[1] not in _MASCULINE else _before_noun(words)


_MASCULINE = frozenset((
    "días", "problemas", "programas", "sistemas", "temas", "mapas", "planetas", "idiomas", "climas", "poetas", "dramas",
    "poemas", "esquemas", "diagramas", "gramas", "tranvías", "policías", "guías", "atletas", "artistas", "turistas", "tras",
    "mientras", "más", "esquemas", "futbolistas", "periodistas", "dentistas", "telegramas", "fantasmas", "aromas",
))  # fmt: skip
"""Plurals in -as that are not feminine, or no nouns."""


def _whole(digits: str) -> str:
    if len(digits) > _MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(_UNITS[int(digit)] for digit in digits)
    return cardinal(int(digits))


def _before_noun(words: str) -> str:
    # "veintiuno" loses its o before a noun.
    if words.endswith("veintiuno"):
        return words[:-3] + "ún"
    return words[:-1] if words.endswith("uno") else words


def _minutes(digits: str) -> str:
    return {"00": "en punto", "15": "y cuarto", "30": "y media"}.get(digits, f"y {int(digits)}")


_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _rules()]

_TOKEN = re.compile(r"[^\W\d_]+|[;:,.!?…—–\"“”()«»]")
_SPANISH_PUNCTUATION = frozenset(';:,.!?…—–"“”()«»')
_MARKS = {"–": "—", "«": "“", "»": "”"}
_ACCENTS = dict(zip("áéíóú", "aeiou", strict=True))
_UNSTRESSED = frozenset([
    "el", "la", "los", "las", "lo", "un", "al", "del", "de", "que", "y", "e", "o", "u", "ni", "en", "a",
    "por", "con", "sin", "se", "me", "te", "le", "les", "nos", "os", "mi", "mis", "tu", "tus", "su",
    "sus", "si",
])  # fmt: skip
"""Words without stress."""
_LIGHT = frozenset(
    ["para", "sobre", "desde", "hasta", "entre", "pero", "como", "porque", "aunque", "donde", "cuando"]
)
"""Words with a secondary stress only, on their first syllable."""
_SPECIAL = {
    "méxico": "méjico",
    "mexicano": "mejicano",
    "mexicana": "mejicana",
    "texas": "tejas",
    "oaxaca": "oajaca",
}
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

    English words are read by ``foreign``. Outside Spain z and soft c are read as s, ll as y. As espeak-ng writes it, since Kokoro was trained with
    that: stress is written before the stressed vowel, b d g soften between open sounds, falling diphthongs are one
    symbol where Kokoro has one.
    """
    seseo = tag not in ("es", "es-es")
    spelled = unicodedata.normalize("NFC", spell_out(text)).lower()
    phonemes, position = "", 0
    skipped: list[str] = []
    english: list[str] = []
    for token in _TOKEN.finditer(spelled):
        skipped += filter(has_sound, spelled[position : token.start()])
        position = token.end()
        if token.group() in _SPANISH_PUNCTUATION:
            phonemes += _MARKS.get(token.group(), token.group()) if phonemes else ""
            continue
        skipped += (sign for sign in token.group() if not sign.isalpha())  # a power or fraction by itself
        letters = "".join(_NO_BASE.get(letter, letter) for letter in token.group() if letter.isalpha())
        if letters:
            if _ENGLISH.fullmatch(letters):
                sounds, unread = foreign(letters)
                skipped += unread
                english.append(sounds)
                phonemes += (" " if phonemes else "") + _ENGLISH_WORD
                continue
            sounds = _word(letters, seseo=seseo)
            if not any(map(str.isalpha, sounds)) and letters != "h":
                skipped.append(token.group())
            phonemes += (" " if phonemes else "") + sounds
    skipped += filter(has_sound, spelled[position:])
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
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ß": "ss",
    "æ": "e",
    "œ": "e",
    "þ": "z",
    "ð": "d",
    "ı": "i",
    "ħ": "j",
    "ŋ": "ng",
}


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
