"""Digits, units and abbreviations of a Spanish text as words."""

from __future__ import annotations

import re

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
_MOST_DIGITS = 12
_WORDS = {
    r"\bsr\.": "señor", r"\bsra\.": "señora", r"\bsrta\.": "señorita", r"\bdr\.": "doctor", r"\bdra\.": "doctora",
    r"\buds\.": "ustedes", r"\bud\.": "usted", r"\bee\.\s?uu\.": "estados unidos", r"\betc\.": "etcétera",
    r"&": " y ", r"\+": " más ", r"=": " igual a ", r"@": " arroba ", r"º": "", r"ª": "",
}  # fmt: skip
_UNITS_AFTER = {"€": "euros", "$": "dólares", "£": "libras", "%": "por ciento", "°c": "grados", "°": "grados"}
_NUMBER = re.compile(r"\d{1,3}(?:[.\u00a0\u202f]\d{3})+(?:,\d+)?(?!\d)|\d+(?:[.,]\d+)?")


def spell_out(text: str) -> str:
    """``text`` with every number, currency sign and common abbreviation in words."""
    for pattern, word in _WORDS.items():
        text = re.sub(pattern, word, text, flags=re.IGNORECASE)
    text = re.sub(r"([€$£])\s?(\d[\d.,]*\d|\d)", r"\2 \1", text)
    text = re.sub(r"\b(\d{1,2}):(\d{2})\b", lambda time: f"{int(time[1])} {_minutes(time[2])}", text)
    text = _NUMBER.sub(lambda number: f" {_number(number.group(), text[number.end() :])} ", text)
    for sign, word in _UNITS_AFTER.items():
        text = re.sub(re.escape(sign), f" {word} ", text, flags=re.IGNORECASE)
    return re.sub(r"\s+([,.;:!?…])", r"\1", re.sub(r"\s+", " ", text)).strip()


def cardinal(number: int) -> str:
    """0 to 999,999,999,999 in words."""
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
    scale, one, many = (1000, "mil", "mil") if number < 10**6 else (10**6, "un millón", "millones")
    count, rest = divmod(number, scale)
    head = one if count == 1 else f"{_before_noun(cardinal(count))} {many}"
    return head + (f" {cardinal(rest)}" if rest else "")


def _number(digits: str, after: str) -> str:
    if re.fullmatch(r"\d{1,3}(?:[.\u00a0\u202f]\d{3})+(?:,\d+)?", digits):
        digits = re.sub(r"[.\u00a0\u202f]", "", digits)
    whole, mark, decimals = re.fullmatch(r"(\d+)([.,]?)(\d*)", digits).groups()  # type: ignore[union-attr]
    words = _whole(whole)
    if mark:
        return f"{words} {'coma' if mark == ',' else 'punto'} {_whole(decimals)}"
    counts = re.match(r"\s*[€$£°]|\s+(?!(?:de|del|y|o|a|por|más|menos)\b)[a-záéíóúñ]", after)
    return _before_noun(words) if counts else words


def _whole(digits: str) -> str:
    if len(digits) > _MOST_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(_UNITS[int(digit)] for digit in digits)
    return cardinal(int(digits))


def _before_noun(words: str) -> str:
    """ "veintiuno" loses its o before what it counts."""
    if words.endswith("veintiuno"):
        return words[:-3] + "ún"
    return words[:-1] if words.endswith("uno") else words


def _minutes(digits: str) -> str:
    return {"00": "en punto", "15": "y cuarto", "30": "y media"}.get(digits, f"y {int(digits)}")
