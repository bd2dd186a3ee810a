"""Brazilian Portuguese: numbers, signs and abbreviations in words, then phonemes by rules of spelling.

As espeak-ng writes Brazilian Portuguese, since Kokoro was trained with that: stress before the stressed vowel, e and o at
the end raised to y and ʊ, t and d before i as ʧ and ʤ, l at the end of a syllable as a glide. Kokoro's Portuguese voices
are Brazilian: European and African Portuguese ("pt-pt", "pt-ao") are read by the same rules, so with a Brazilian accent
and Brazilian number words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from voiceclone_worker.engines.kokoro.phonemes import spelling
from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, roman_value
from voiceclone_worker.engines.kokoro.phonemes.numbers import Match, Money, Rule, Speller, Wording, one_by_one
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign
from voiceclone_worker.engines.kokoro.phonemes.spelling import Token

_UNITS = [
    "zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "onze", "doze",
    "treze", "quatorze", "quinze", "dezesseis", "dezessete", "dezoito", "dezenove",
]  # fmt: skip
_TENS = ["vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"]
_HUNDREDS = [
    "cento", "duzentos", "trezentos", "quatrocentos", "quinhentos", "seiscentos", "setecentos", "oitocentos",
    "novecentos",
]  # fmt: skip
_SCALES = (
    (10**12, "um trilhão", "trilhões"),
    (10**9, "um bilhão", "bilhões"),
    (10**6, "um milhão", "milhões"),
)
_BEYOND = 10**15
_MONTHS = [
    "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro",
    "novembro", "dezembro",
]  # fmt: skip
_ORDINALS = ["primeiro", "segundo", "terceiro", "quarto", "quinto", "sexto", "sétimo", "oitavo", "nono"]
_ORDINAL_TENS = [
    "décimo", "vigésimo", "trigésimo", "quadragésimo", "quinquagésimo", "sexagésimo", "septuagésimo",
    "octogésimo", "nonagésimo",
]  # fmt: skip
_ORDINAL_HUNDREDS = [
    "centésimo", "ducentésimo", "trecentésimo", "quadringentésimo", "quingentésimo", "sexcentésimo",
    "septingentésimo", "octingentésimo", "noningentésimo",
]  # fmt: skip


def cardinal(number: int) -> str:
    """Return a number in Brazilian Portuguese words; from 10**15 on, digit by digit."""
    if number >= _BEYOND:
        return one_by_one(str(number), cardinal)
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 2] + (f" e {_UNITS[unit]}" if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return "cem" if number == 100 else _HUNDREDS[hundreds - 1] + (f" e {cardinal(rest)}" if rest else "")
    if number < 10**6:
        thousands, rest = divmod(number, 1000)
        head = "mil" if thousands == 1 else f"{cardinal(thousands)} mil"
    else:
        scale, one, many = next(row for row in _SCALES if number >= row[0])
        count, rest = divmod(number, scale)
        head = one if count == 1 else f"{cardinal(count)} {many}"
    if not rest:
        return head
    return f"{head} {'e ' if _is_last_part(rest) else ''}{cardinal(rest)}"


def _is_last_part(rest: int) -> bool:
    """Return whether "e" stands before a rest: one group of digits only, which is below 100 or full hundreds."""
    while rest % 1000 == 0:
        rest //= 1000
    return rest < 100 or (rest < 1000 and rest % 100 == 0)


def ordinal(number: int, *, feminine: bool = False) -> str:
    """Return an ordinal number from 1 to 999 in Portuguese words."""
    hundreds, tens, unit = number // 100, number // 10 % 10, number % 10
    words = [_ORDINAL_HUNDREDS[hundreds - 1]] if hundreds else []
    words += [_ORDINAL_TENS[tens - 1]] if tens else []
    words += [_ORDINALS[unit - 1]] if unit else []
    return " ".join(word[:-1] + "a" if feminine else word for word in words)


def _date(day: int, month: int, year: int | None) -> str:
    words = f"{'primeiro' if day == 1 else cardinal(day)} de {_MONTHS[month - 1]}"
    return words + (f" de {cardinal(year)}" if year is not None else "")


def _clock(hour: int, minutes: int, seconds: int | None) -> str:
    words = f"{_agree(cardinal(hour), 'horas')} hora{'s' if hour != 1 else ''}"
    if minutes:
        words += f" e {cardinal(minutes)}"
    return words + (
        f"{' minutos' if minutes else ''} e {cardinal(seconds)} segundos" if seconds is not None else ""
    )


def _agree(words: str, noun: str) -> str:
    """Return a number in the gender of the noun behind it."""
    tables = spelling.exceptions("portuguese")
    noun = noun.lower()
    feminine = noun in tables["feminine nouns"] or (
        re.search(r"(?:as?|[çs]ão|[çs]ões|dades?|gem|gens)$", noun)
        and noun not in tables["masculine nouns in -a"]
    )
    if not feminine or "vírgula" in words:
        return words
    return re.sub(r"entos\b", "entas", re.sub(r"\bum$", "uma", re.sub(r"\bdois$", "duas", words)))


_FRACTIONS = {2: "meio", 3: "terço", 4: "quarto"}


def _fraction(top: int, bottom: int) -> str | None:
    if not 0 < top < bottom <= 10:
        return None
    name = _FRACTIONS.get(bottom) or ordinal(bottom)
    return "meio" if (top, bottom) == (1, 2) else f"{cardinal(top)} {name}{'s' if top > 1 else ''}"


def _half_of(words: str, unit: str) -> str:
    return f"mei{'a' if unit.endswith('a') else 'o'} {unit}" if words == "meio" else f"{words} de {unit}"


_UNITS_OF_MEASURE = {
    "%": ("por cento", "por cento"), "‰": ("por mil", "por mil"), "°C": ("grau Celsius", "graus Celsius"),
    "ºC": ("grau Celsius", "graus Celsius"), "°F": ("grau Fahrenheit", "graus Fahrenheit"), "°": ("grau", "graus"),
    "km/h": ("quilômetro por hora", "quilômetros por hora"), "m/s": ("metro por segundo", "metros por segundo"),
    "km²": ("quilômetro quadrado", "quilômetros quadrados"), "m²": ("metro quadrado", "metros quadrados"),
    "cm²": ("centímetro quadrado", "centímetros quadrados"), "m³": ("metro cúbico", "metros cúbicos"),
    "km": ("quilômetro", "quilômetros"), "m": ("metro", "metros"), "cm": ("centímetro", "centímetros"),
    "mm": ("milímetro", "milímetros"), "kg": ("quilo", "quilos"), "g": ("grama", "gramas"),
    "mg": ("miligrama", "miligramas"), "l": ("litro", "litros"), "L": ("litro", "litros"), "ml": ("mililitro", "mililitros"),
    "min": ("minuto", "minutos"), "s": ("segundo", "segundos"), "ha": ("hectare", "hectares"), "t": ("tonelada", "toneladas"),
    "W": ("watt", "watts"), "kW": ("quilowatt", "quilowatts"), "kWh": ("quilowatt-hora", "quilowatts-hora"),
    "V": ("volt", "volts"), "Hz": ("hertz", "hertz"), "MHz": ("mega-hertz", "mega-hertz"), "GHz": ("giga-hertz", "giga-hertz"),
    "KB": ("quilobyte", "quilobytes"), "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"), "dB": ("decibel", "decibéis"), "kcal": ("quilocaloria", "quilocalorias"),
    "µm": ("micrômetro", "micrômetros"), "μm": ("micrômetro", "micrômetros"),
    "µg": ("micrograma", "microgramas"), "μg": ("micrograma", "microgramas"),
}  # fmt: skip
_MONEY = {
    "R$": Money("real", "reais", "centavo", "centavos"), "US$": Money("dólar", "dólares", "centavo", "centavos"),
    "$": Money("dólar", "dólares", "centavo", "centavos"), "€": Money("euro", "euros", "centavo", "centavos"),
    "£": Money("libra", "libras", "centavo", "centavos"), "¥": Money("iene", "ienes"), "₹": Money("rupia", "rupias"),
    "NT$": Money("dólar taiwanês", "dólares taiwaneses", "centavo", "centavos"),
    "HK$": Money("dólar de Hong Kong", "dólares de Hong Kong", "centavo", "centavos"),
    "A$": Money("dólar australiano", "dólares australianos", "centavo", "centavos"),
    "C$": Money("dólar canadense", "dólares canadenses", "centavo", "centavos"),
    "S$": Money("dólar de Singapura", "dólares de Singapura", "centavo", "centavos"),
    "₽": Money("rublo", "rublos"), "₿": Money("bitcoin", "bitcoins"), "₩": Money("won", "wons"),
}  # fmt: skip
_SIGNS = {
    "<=": "menor ou igual a", ">=": "maior ou igual a", "≤": "menor ou igual a", "≥": "maior ou igual a", "->": "para",
    "→": "para", "&": "e", "+": "mais", "=": "igual a", "@": "arroba", "#": "jogo da velha", "×": "vezes",
    "÷": "dividido por", "±": "mais ou menos", "<": "menor que", ">": "maior que", "≠": "diferente de",
    "≈": "aproximadamente", "~": "aproximadamente", "∞": "infinito", "√": "raiz quadrada de", "§": "parágrafo",
    "©": "copyright", "%": "por cento", "‰": "por mil", "°": "graus", "²": "ao quadrado", "³": "ao cubo", "µ": "micro",
    "π": "pi", "^": "elevado a", "º": "", "ª": "",
}  # fmt: skip
_ADDRESSES = {
    ".": "ponto", "/": "barra", "-": "hífen", "_": "sublinhado", "@": "arroba", ":": "dois pontos", "?": "interrogação",
    "=": "igual", "&": "e", "#": "cerquilha", "%": "por cento", "~": "til", "+": "mais",
}  # fmt: skip
_NO_RULERS = [
    "Eu", "Tu", "Ele", "Ela", "Nós", "Vós", "O", "A", "Os", "As", "Um", "Uma", "De", "Do", "Da", "Em", "No",
    "Na", "Por", "Com", "Sem", "E", "Ou", "Mas", "Se", "Que", "Não", "Sim",
]  # fmt: skip
_WEEKDAYS = ("segunda", "terça", "quarta", "quinta", "sexta")
_QUEENS = ("Elizabeth", "Isabel", "Beatriz")


def _ruler(found: Match) -> str:
    """Return a numeral behind a name: an ordinal up to ten, a cardinal from eleven on."""
    value, name = roman_value(found["numeral"]), found["name"]
    feminine = name.endswith("a") or name in _QUEENS
    return f"{name} {ordinal(value, feminine=feminine) if value <= 10 else cardinal(value)}"


def _first() -> Iterator[Rule]:
    yield from {
        r"(?i)\bsrtas?\.": "senhorita", r"(?i)\bsras\.": "senhoras", r"(?i)\bsra\.": "senhora", r"(?i)\bsrs\.": "senhores",
        r"(?i)\bsr\.": "senhor", r"(?i)\bdra\.": "doutora", r"(?i)\bdr\.": "doutor", r"(?i)\bprof\.ª|\bprofa\.": "professora",
        r"(?i)\bprof\.": "professor", r"\bD\.(?=\s[A-ZÁÉÍÓÚ])": "Dom", r"(?i)\betc\b\.?": "etcétera", r"(?i)\bp\.\s?ex\.": "por exemplo",
        r"(?i)\bpágs?\.(?=\s?\d)|\bp\.(?=\s?\d)": "página", r"(?i)\bn\.?[º°]\s?(?=\d)": "número ", r"(?i)\btel\.": "telefone",
        r"(?i)\bav\.(?=\s[A-ZÁÉÍÓÚ])": "avenida", r"\bR\.(?=\s[A-ZÁÉÍÓÚ][a-z])": "rua", r"(?i)\bcap\.(?=\s?\d)": "capítulo",
        r"(?i)\bvol\.(?=\s?\d)": "volume", r"(?i)\bart\.(?=\s?\d)": "artigo", r"\ba\.\s?C\.": "antes de Cristo",
        r"\bd\.\s?C\.": "depois de Cristo", r"\bvc\b": "você", r"\bvcs\b": "vocês", r"\bkg\b(?<!\d kg)(?<!\dkg)": "quilos",
    }.items()  # fmt: skip
    # Ordinals, also in Roman numerals.
    yield r"\b([1-9]\d{0,2})\.?(?:º|°(?=\s(?!(?:a|de|e|em|ao|no|na|C|F)\b)[a-zà-ú]))(?!C)", lambda found: ordinal(int(found[1]))  # fmt: skip
    yield r"\b([1-9]\d{0,2})\.?ª(?![ -]feira)", lambda found: ordinal(int(found[1]), feminine=True)
    yield rf"\b({ROMAN})(?=\s(?i:guerra|edição|conferência|república|bienal|jornada)\b)", lambda found: ordinal(roman_value(found[1]), feminine=True)  # fmt: skip
    yield rf"\b({ROMAN})(?=\s(?i:congresso|festival|encontro|concílio|império|prêmio|século)\b)", lambda found: ordinal(roman_value(found[1]))  # fmt: skip
    yield rf"\b(?P<name>(?i:séculos?)) (?P<numeral>{ROMAN})\b", _ruler
    yield rf"\b(?P<name>(?i:capítulo|tomo|volume|parte|ato|cena|livro|fase|anexo|título|artigo|nível|tipo|classe|grupo)) (?P<numeral>{ROMAN})\b", lambda found: f"{found['name']} {cardinal(roman_value(found['numeral']))}"  # fmt: skip
    yield rf"\b(?P<name>(?!(?:{'|'.join(_NO_RULERS)})\b)[A-ZÁÉÍÓÚ][a-zà-ú]+) (?P<numeral>(?!XXX?\b){ROMAN})\b(?!['’.]\w)", _ruler  # fmt: skip
    yield r"\b([2-6])[aª][ -]feira\b", lambda found: f"{_WEEKDAYS[int(found[1]) - 2]}-feira"
    yield r"\s?/\s?(?=(?:segundo|minuto|hora|dia|noite|semana|mês|ano|pessoa|litro|quilo)s?\b)", " por "
    yield rf"\b1 (?=de (?:{'|'.join(_MONTHS)})\b)", "primeiro "
    yield r"(?<![\d/])24/7(?![\d/])", "vinte e quatro horas por dia"
    yield r"(?<![\w.,:])(\d{1,2})\s?h\b(?!\s?\d)", lambda found: _clock(int(found[1]), 0, None)


_speller = Speller(
    Wording(
        cardinal=cardinal, point="vírgula", minus="menos", per="por", to="a", over="sobre", times="vezes",
        signs=_SIGNS, addresses=_ADDRESSES, units=_UNITS_OF_MEASURE, money=_MONEY,
        large={"mi": "milhões", "bi": "bilhões", "M": "milhões", "mil": "mil", "milhão": "milhão", "milhões": "milhões",
               "bilhão": "bilhão", "bilhões": "bilhões", "k": "mil"},
        date=_date, clock=_clock,
        clock_pattern=r"(?<![\d:,.])(?P<hour>\d{1,2})(?:\s?h\s?|:)(?P<minutes>\d{2})(?:(?::|\s?min\s?)(?P<seconds>\d{2})(?:\s?s\b)?)?(?:\s?(?:min|h)\b)?(?![\d:])",
        fractions=_fraction, half_after=_half_of, agree=_agree, money_link=" e ", large_link=" de ", first=tuple(_first()),
    )
)  # fmt: skip


def spell_out(text: str) -> str:
    """Return a Portuguese text with every number, sign and common abbreviation in words."""
    return _speller(text)


_VOWELS = "aeiouáéíóúâêôãõàü"
_ALPHABET = "abcçdefghijklmnopqrstuvwxyzáéíóúâêôãõàü"
_RULES = spelling.Rules(
    [
        # Vowels stay as they are written until the stress is known, nasal ones with ~; ĭ and ŭ are the second half of a
        # diphthong.
        ("ã", r"ão", "ãŭ"),
        ("ã", r"ãe", "ãĭ"),
        ("õ", r"õe", "õĭ"),
        ("a", r"am$", "ãŭ"),
        ("aeiouáéíóúâêô", r".[mn](?![VOWELh])", "=~"),
        ("i", r"(?<=[aeouáéóâêôãõ])i(?!u$)(?!(?:[nmlrz](?![VOWEL])|nh))(?<![qg]ui)", "ĭ"),
        ("u", r"(?<=[aeoiáéíóâêô])u(?!(?:[nmlrz](?![VOWEL])|nh))", "ŭ"),
        ("aeiouáéíóúâêôãõàü", r".", "="),
        # Consonants, the longest spelling first; D and T wait for the vowel behind them.
        ("c", r"ch", "ʃ"),
        ("c", r"ck", "k"),
        ("cç", r"ç|c(?=[eiéíêy])", "s"),
        ("c", r"c", "k"),
        ("s", r"sc(?=[eiéíê])|sç|ss", "s"),
        ("s", r"sh", "ʃ"),
        ("s", r"(?<=[VOWEL])s(?=[VOWEL])|(?<=tr[aâ]n)s(?=[VOWEL])|s(?=[bdgmnvlr])", "z"),
        ("s", r"s", "s"),
        ("x", r"xc(?=[eiéíê])", "s"),
        ("x", r"(?<=se)x(?=[ou])|(?<=[fp]le)x(?=[aeioõ])|(?<=galá)x|(?<=ne)x(?=[aoõ])|(?<=tó)x", "ks"),
        (
            "x",
            r"(?<=^[eê])x(?=h?[VOWEL])|(?<=ine)x(?=[VOWEL])|(?<=^he)x(?=[VOWEL])|(?<=coe)x(?=[VOWEL])",
            "z",
        ),
        ("x", r"x(?=[ptckfs])|(?<=pro)x(?=im)|(?<=ma)x(?=im)", "s"),
        ("x", r"x$", "ks"),
        ("x", r"x", "ʃ"),
        ("z", r"z$", "s"),
        ("l", r"lh", "lj"),
        ("l", r"(?<=u)l(?=[^VOWEL])", "w"),
        ("l", r"(?<=[oóô])l$|(?<=[uú])l(?=[^VOWEL])|ll?(?=[VOWEL])", "l"),
        ("l", r"(?<=[VOWEL])ll?", "ŭ"),
        ("l", r"ll?", "l"),
        ("n", r"nh", "ɲ"),
        (
            "q",
            r"(?<=fre)qu|(?<=se)qu(?=[eê]n)|(?<=cin)qu(?=en)|(?<=tran)qu|(?<=elo)qu|(?<=delin)qu|qu(?=[aoáóâã])",
            "kw",
        ),
        ("q", r"qu?", "k"),
        ("k", r"k", "k"),
        ("g", r"(?<=lin)gu(?=[ií])|(?<=pin)gu(?=i)|(?<=^a)gu(?=en)|(?<=bilín)gu|gu(?=[aoáóâã])|gü", "ɡw"),
        ("g", r"gu(?=[eiéíê])", "ɡ"),
        ("gj", r"j|g(?=[eiéíêy])", "ʒ"),
        ("g", r"g", "ɡ"),
        ("r", r"rr|(?<=^)r|(?<=[nls])r", "x"),
        ("r", r"(?<=[VOWEL])r(?=[VOWEL])", "ɾ"),
        ("r", r"(?<=[VOWEL])r(?=[^VOWEL])", "ɾə"),
        ("r", r"r", "r"),
        ("d", r"dd?", "D"),
        ("t", r"tt?h?", "T"),
        ("p", r"ph", "f"),
        ("bfmnpvz", r"(.)\1?", "="),
        ("w", r"w", "w"),
        ("y", r"y", "i"),
    ],
    {"VOWEL": _VOWELS},
)
_PLAIN_ENDING = re.compile(r"(?:[aeo]s?|am|ens?|em)$")
_OPEN = {"á": "a", "à": "a", "é": "ɛ", "í": "i", "ó": "ɔ", "ú": "u", "â": "ɐ\u0303", "ê": "e", "ô": "o", "ã": "ɐ\u0303", "õ": "o\u0303", "ü": "u"}  # fmt: skip
_DIPHTHONGS = {
    "aĭ": "I", "aŭ": "W", "eĭ": "A", "eŭ": "eʊ", "oĭ": "oɪ", "oŭ": "ow", "uĭ": "uɪ", "iŭ": "iʊ", "ɛĭ": "ɛɪ", "ɛŭ": "ɛʊ",
    "ɔĭ": "ɔɪ", "uŭ": "uw", "ɐ\u0303ŭ": "ɐ\u0303ʊ\u0303", "ɐ\u0303ĭ": "ɐ\u0303j", "o\u0303ĭ": "o\u0303j",
}  # fmt: skip
_NASALS = {"a": "ɐ\u0303", "e": "A", "i": "i", "o": "o", "u": "u\u0303"}
_AT_THE_END = {"a": "æ", "e": "y", "o": "ʊ"}
_OPEN_ENDING = re.compile(
    r"(?:[^m]ece[ms]?|(?:iv|iz|ud|iss|uis|ouv|oub|vi)esse[ms]?|(?:iv|iz|ud|iss|uis|ouv|oub|d)eram|el|ol|ela|elas|osa|osas|ete|etes|essa|etro|ério|ógic[oa]|erno|erna|ersos?|ersas?|erva|ert[ao]s?|erra|orre|orte)$"
)
_CLOSED_ENDING = re.compile(r"(?:governo|estrelas?|dora|dores|sora|tora|ezas?)$")
_ENGLISH = re.compile(r"oo(?!s?$|p|r)|ee(?!m$)|th|sh|ck|[wky]|ph|[^aeiouáéíóúâêôãõmnlrszx]$")
_LETTER_NAMES = {
    "a": "a", "b": "be", "c": "se", "d": "de", "e": "ɛ", "f": "ɛfy", "g": "ʒe", "h": "aɡa", "i": "i", "j": "ʒɔtæ",
    "k": "ka", "l": "ɛly", "m": "ɛmy", "n": "ɛny", "o": "o", "p": "pe", "q": "ke", "r": "ɛxy", "s": "ɛsy",
    "t": "te", "u": "u", "v": "ve", "w": "dablju", "x": "ʃis", "y": "ipsiloŋ", "z": "ze",
}  # fmt: skip
_VOICED = tuple("aeiouɐɛɔæʊIAWOybdɡmnvzʒʤlɾ")


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return a Portuguese text in Kokoro's alphabet, and the words and signs in it that have no reading.

    ``tag`` changes nothing: all of Portuguese is read with the rules of Brazil.
    """
    found, skipped = spelling.tokens(spell_out(text))
    whole = _table("english words with a Portuguese reading")
    words = [part for token in found for part in spelling.parts(token, whole, "[^'-]+")]
    line = spelling.read_words(words, lambda index: _sounds(words, index, foreign, skipped))
    # s at the end is voiced before a vowel and a voiced consonant.
    for index, (sounds, following) in enumerate(pairwise(line)):
        if sounds.endswith("s") and following.lstrip("ˈˌ").startswith(_VOICED):
            line[index] = f"{sounds[:-1]}z"
    return unicodedata.normalize("NFD", spelling.joined(line)), skipped


def _sounds(words: Sequence[Token], index: int, foreign: Foreign, skipped: list[str]) -> str:
    """Return the phonemes of a word in its place: stressed before a pause."""
    token = words[index]
    if token.is_acronym:
        sounds = _letter_by_letter(token.text)
    elif _is_english(token.text):
        sounds = spelling.foreign_word(token, foreign, skipped)
    else:
        sounds = _word(token.text)
        if not sounds and token.text != "h":
            skipped.append(token.written)
    is_last = index + 1 == len(words) or not words[index + 1].is_word
    return sounds.replace("ˌ", "ˈ") if is_last and "ˈ" not in sounds else sounds


def _table(name: str) -> dict[str, str]:
    return spelling.exceptions("portuguese")[name]


def _is_english(word: str) -> bool:
    names = ("english words with a Portuguese reading", "readings", "unstressed")
    return spelling.is_english(word, _ENGLISH, *map(_table, names))


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    """Return a word's phonemes by itself."""
    for name in ("unstressed", "readings", "english words with a Portuguese reading"):
        if word in _table(name):
            return _table(name)[word]
    letters = spelling.known_letters(word, _ALPHABET)
    sounds = _RULES.sounds(letters)
    if word in _table("x as ks"):
        sounds = _RULES.sounds(letters.replace("x", "ks"))
    nuclei = [match.start() for match in re.finditer(f"[{_VOWELS}]", sounds)]
    if not nuclei:
        return _letter_by_letter(letters)
    stressed = _stressed_vowel(sounds, nuclei, letters)
    return _said(sounds, nuclei, stressed, word)


def _stressed_vowel(sounds: str, nuclei: list[int], word: str) -> int:
    for accents in ("áéíóúâêô", "ãõ"):
        if accented := [
            index
            for index in nuclei
            if sounds[index] in accents and not (accents == "ãõ" and word.endswith("am"))
        ]:
            return accented[-1]
    is_plain = bool(_PLAIN_ENDING.search(word)) and not re.search(
        "ĭs?$|ŭ$", sounds.removesuffix("ãŭ") if word.endswith("am") else sounds
    )
    return nuclei[-2] if is_plain and len(nuclei) > 1 else nuclei[-1]


def _said(sounds: str, nuclei: list[int], stressed: int, word: str) -> str:
    """Return the phonemes of a word whose vowels are still letters."""
    parts: list[str] = []
    position = 0
    while position < len(sounds):
        if position not in nuclei:
            parts.append({"ĭ": "ɪ", "ŭ": "ʊ"}.get(sounds[position], sounds[position]))
            position += 1
            continue
        mark = sounds[position + 1 : position + 2]
        width = 2 if mark in ("~", "ĭ", "ŭ") and mark else 1
        is_last = not sounds[position + width :].strip("sz")
        vowel = _vowel(
            sounds,
            position,
            mark if width == 2 else "",
            is_stressed=position == stressed,
            is_last=is_last,
            word=word,
        )
        # Every second syllable before the stressed one, from the first on: "ˌuniˌversiˈdade", but "você".
        place, distance = nuclei.index(position), nuclei.index(stressed) - nuclei.index(position)
        is_lone = distance == 1 and stressed == nuclei[-1]
        is_secondary = place % 2 == 0 and (distance > 1 or (distance == 1 and place == 0 and not is_lone))
        parts.append(("ˈ" if position == stressed else "ˌ" if is_secondary else "") + vowel)
        position += width
    joined = "".join(parts)
    joined = re.sub(r"[DT](?=[ˈˌ]?[iyɪ])", lambda found: {"D": "ʤ", "T": "ʧ"}[found.group()], joined)
    joined = joined.replace("D", "d").replace("T", "t")
    if not re.search("[^aeou]i[aeo]s?$", word):
        return joined
    # An unstressed i before the last vowel is a glide.
    return re.sub(r"(ˈ.*[^aeɛiɔouɐæʊAIWyˈˌ])i(?=[æʊy]s?$)", r"\1j", joined)


def _vowel(sounds: str, position: int, mark: str, *, is_stressed: bool, is_last: bool, word: str) -> str:
    letter = sounds[position]
    following = sounds[position + 1 + len(mark) : position + 2 + len(mark)]
    plain = unicodedata.normalize("NFD", letter)[0]
    if mark == "~":
        return _NASALS[plain] + ("m" if following in tuple("bp") else "ŋ")
    sound = _OPEN.get(letter, letter)
    if letter == "â" and following not in tuple("mnɲ"):
        sound = "ɐ"
    if is_stressed and letter in "eo" and _is_open(word):
        sound = {"e": "ɛ", "o": "ɔ"}[letter]
    if mark:
        return _DIPHTHONGS.get(sound + mark, sound + {"ĭ": "ɪ", "ŭ": "ʊ"}[mark])
    if letter in "auú" and (following == "ɲ" or (is_stressed and letter == "a" and following in tuple("mn"))):
        return "ɐ\u0303" if letter == "a" else "u\u0303"
    if is_stressed:
        return sound
    if is_last:
        return _AT_THE_END.get(letter, sound)
    return "æ" if letter == "a" and following in tuple("mnɲ") else sound


def _is_open(word: str) -> bool:
    return word in _table("open vowels") or (
        bool(_OPEN_ENDING.search(word)) and not _CLOSED_ENDING.search(word)
    )


def _letter_by_letter(letters: str) -> str:
    return spelling.letter_names(letters, _LETTER_NAMES)
