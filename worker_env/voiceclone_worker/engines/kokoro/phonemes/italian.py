"""Italian: numbers, signs and abbreviations in words, then phonemes by rules of spelling.

As espeak-ng writes Italian, since Kokoro was trained with that: stress before the stressed vowel, long stops and
affricates, final unstressed i as ɪ. Where a word is stressed, and whether its e or o is open, is written only on the last
vowel: the others are by endings and by a table of frequent words (``data/italian.txt``). Swiss Italian ("it-ch") is read
the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from voiceclone_worker.engines.kokoro.phonemes import spelling
from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, roman_value
from voiceclone_worker.engines.kokoro.phonemes.numbers import Match, Money, Rule, Speller, Wording, one_by_one
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign
from voiceclone_worker.engines.kokoro.phonemes.spelling import Token

_UNITS = [
    "zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "undici",
    "dodici", "tredici", "quattordici", "quindici", "sedici", "diciassette", "diciotto", "diciannove",
]  # fmt: skip
_TENS = ["venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"]
_SCALES = (
    (10**12, "un bilione", "bilioni"),
    (10**9, "un miliardo", "miliardi"),
    (10**6, "un milione", "milioni"),
)
_BEYOND = 10**15
_MONTHS = [
    "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre",
    "novembre", "dicembre",
]  # fmt: skip
_ORDINALS = ["primo", "secondo", "terzo", "quarto", "quinto", "sesto", "settimo", "ottavo", "nono", "decimo"]


def cardinal(number: int) -> str:
    """Return a number in Italian words; from 10**15 on, digit by digit."""
    if number >= _BEYOND:
        return one_by_one(str(number), cardinal)
    # "tre" at the end of a longer word has an accent.
    return re.sub(r"(?<=\w)tre$", "tré", _compound(number))


def _compound(number: int) -> str:
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        head = _TENS[tens - 2][:-1] if unit in (1, 8) else _TENS[tens - 2]
        return head + (_UNITS[unit] if unit else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        head = ("" if hundreds == 1 else _UNITS[hundreds]) + "cento"
        return (head[:-1] if rest == 8 or 80 <= rest < 90 else head) + (_compound(rest) if rest else "")
    if number < 10**6:
        thousands, rest = divmod(number, 1000)
        return ("mille" if thousands == 1 else f"{_compound(thousands)}mila") + (
            _compound(rest) if rest else ""
        )
    scale, one, many = next(row for row in _SCALES if number >= row[0])
    count, rest = divmod(number, scale)
    return (one if count == 1 else f"{cardinal(count)} {many}") + (f" {_compound(rest)}" if rest else "")


def ordinal(number: int, *, feminine: bool = False) -> str:
    """Return an ordinal number in Italian words."""
    if number <= 10:
        word = _ORDINALS[number - 1]
    else:
        words = _compound(number)
        keeps_vowel = words.endswith(("tre", "sei")) and number > 20
        word = (words if keeps_vowel else words[:-1]) + "esimo"
    return word[:-1] + "a" if feminine else word


def _date(day: int, month: int, year: int | None) -> str:
    words = f"{'primo' if day == 1 else cardinal(day)} {_MONTHS[month - 1]}"
    return words + (f" {cardinal(year)}" if year is not None else "")


def _clock(hour: int, minutes: int, seconds: int | None) -> str:
    words = "una" if hour == 1 else cardinal(hour)
    if minutes or seconds is not None:
        words += f" e {cardinal(minutes)}"
    return words + (f" minuti e {cardinal(seconds)} secondi" if seconds is not None else "")


_IMPURE = re.compile(r"s[^aeiouàèéìòù]|z|gn|ps|x|y")


def _agree(words: str, noun: str) -> str:
    if words != "uno" or not noun:
        return words
    noun = noun.lower()
    if re.search(r"(?:a|ione|tà)$", noun):
        return "un'" if noun[0] in "aeiou" else "una"
    return "uno" if _IMPURE.match(noun) else "un"


_FRACTIONS = {2: "mezzo", 3: "terzo", 4: "quarto"}


def _fraction(top: int, bottom: int) -> str | None:
    if not 0 < top < bottom <= 10:
        return None
    name = _FRACTIONS.get(bottom) or ordinal(bottom)
    return f"{'un' if top == 1 else cardinal(top)} {name if top == 1 else name[:-1] + 'i'}"


def _half_of(words: str, unit: str) -> str:
    return f"mezz{'a' if unit.endswith('a') else 'o'} {unit}" if words == "un mezzo" else f"{words} di {unit}"


_UNITS_OF_MEASURE = {
    "%": ("per cento", "per cento"), "‰": ("per mille", "per mille"), "°C": ("grado", "gradi"),
    "°F": ("grado Fahrenheit", "gradi Fahrenheit"), "km/h": ("chilometro orario", "chilometri orari"),
    "m/s": ("metro al secondo", "metri al secondo"), "km²": ("chilometro quadrato", "chilometri quadrati"),
    "m²": ("metro quadrato", "metri quadrati"), "mq": ("metro quadrato", "metri quadrati"),
    "cm²": ("centimetro quadrato", "centimetri quadrati"), "m³": ("metro cubo", "metri cubi"),
    "km": ("chilometro", "chilometri"), "m": ("metro", "metri"), "cm": ("centimetro", "centimetri"),
    "mm": ("millimetro", "millimetri"), "kg": ("chilo", "chili"), "g": ("grammo", "grammi"),
    "mg": ("milligrammo", "milligrammi"), "l": ("litro", "litri"), "L": ("litro", "litri"),
    "ml": ("millilitro", "millilitri"), "min": ("minuto", "minuti"), "s": ("secondo", "secondi"), "h": ("ora", "ore"),
    "ha": ("ettaro", "ettari"), "t": ("tonnellata", "tonnellate"), "W": ("watt", "watt"), "kW": ("chilowatt", "chilowatt"),
    "kWh": ("chilowattora", "chilowattora"), "V": ("volt", "volt"), "Hz": ("hertz", "hertz"),
    "MHz": ("megahertz", "megahertz"), "GHz": ("gigahertz", "gigahertz"), "KB": ("kilobyte", "kilobyte"),
    "MB": ("megabyte", "megabyte"), "GB": ("gigabyte", "gigabyte"), "TB": ("terabyte", "terabyte"),
    "dB": ("decibel", "decibel"), "kcal": ("chilocaloria", "chilocalorie"), "°": ("grado", "gradi"),
    "µm": ("micrometro", "micrometri"), "μm": ("micrometro", "micrometri"),
    "µg": ("microgrammo", "microgrammi"), "μg": ("microgrammo", "microgrammi"),
}  # fmt: skip
_EURO, _DOLLAR = (
    Money("euro", "euro", "centesimo", "centesimi"),
    Money("dollaro", "dollari", "centesimo", "centesimi"),
)
_MONEY = {
    "€": _EURO, "EUR": _EURO, "$": _DOLLAR, "US$": Money("dollaro americano", "dollari americani", "centesimo", "centesimi"),
    "£": Money("sterlina", "sterline", "penny", "pence"), "¥": Money("yen", "yen"), "₹": Money("rupia", "rupie"),
    "R$": Money("real", "real"),
    "NT$": Money("dollaro taiwanese", "dollari taiwanesi", "centesimo", "centesimi"),
    "HK$": Money("dollaro di Hong Kong", "dollari di Hong Kong", "centesimo", "centesimi"),
    "A$": Money("dollaro australiano", "dollari australiani", "centesimo", "centesimi"),
    "C$": Money("dollaro canadese", "dollari canadesi", "centesimo", "centesimi"),
    "S$": Money("dollaro di Singapore", "dollari di Singapore", "centesimo", "centesimi"),
    "CHF": Money("franco svizzero", "franchi svizzeri", "centesimo", "centesimi"),
    "₽": Money("rublo", "rubli"), "₿": Money("bitcoin", "bitcoin"), "₩": Money("won", "won"),
}  # fmt: skip
_SIGNS = {
    "<=": "minore o uguale a", ">=": "maggiore o uguale a", "≤": "minore o uguale a", "≥": "maggiore o uguale a",
    "->": "verso", "→": "verso", "&": "e", "+": "più", "=": "uguale", "@": "chiocciola", "#": "cancelletto", "×": "per",
    "÷": "diviso", "±": "più o meno", "<": "minore di", ">": "maggiore di", "≠": "diverso da", "≈": "circa", "~": "circa",
    "∞": "infinito", "√": "radice quadrata di", "§": "paragrafo", "©": "copyright", "%": "per cento", "‰": "per mille",
    "°": "gradi", "²": "al quadrato", "³": "al cubo", "µ": "micro", "π": "pi greco", "^": "elevato a", "º": "", "ª": "",
}  # fmt: skip
_ADDRESSES = {
    ".": "punto", "/": "barra", "-": "trattino", "_": "trattino basso", "@": "chiocciola", ":": "due punti",
    "?": "punto interrogativo", "=": "uguale", "&": "e", "#": "cancelletto", "%": "per cento", "~": "tilde", "+": "più",
}  # fmt: skip
_NO_RULERS = [
    "Io", "Tu", "Lui", "Lei", "Noi", "Voi", "Il", "Lo", "La", "Le", "Gli", "Un", "Una", "Di", "Da", "In", "Con",
    "Su", "Per", "Tra", "Fra", "Ma", "Se", "Che", "Chi", "Non", "Sì", "No",
]  # fmt: skip
_FEMININE_NUMBERED = ("parte", "scena", "fase", "edizione", "guerra", "classe")


_ARTICLES = {"l": "il", "dell": "del", "all": "al", "dall": "dal", "nell": "nel", "sull": "sul"}


def _ruler(found: Match) -> str:
    feminine = found["name"].endswith("a") or found["name"].lower() in _FEMININE_NUMBERED
    return f"{found['name']} {ordinal(roman_value(found['numeral']), feminine=feminine)}"


def _first() -> Iterator[Rule]:
    yield from {
        r"(?i)\bsig\.ra\b": "signora", r"(?i)\bsig\.na\b": "signorina", r"(?i)\bsigg\.": "signori", r"(?i)\bsig\.": "signor",
        r"(?i)\bdott\.ssa\b": "dottoressa", r"(?i)\b(?:dott|dr)\.": "dottor", r"(?i)\bprof\.ssa\b": "professoressa",
        r"(?i)\bprof\.(?=\s)": "professor", r"(?i)\bavv\.": "avvocato", r"(?i)\bing\.(?=\s[A-Z])": "ingegner",
        r"(?i)\becc\.?(?!\w)": "eccetera", r"(?i)\bpagg\.(?=\s?\d)": "pagine", r"(?i)\bpag\.(?=\s?\d)": "pagina",
        r"(?i)\b(?:n|nr|num)[.°º]\s?(?=\d)": "numero ", r"(?i)\btel\.": "telefono", r"(?i)\bad es\.|\bp\.\s?es\.": "ad esempio",
        r"\ba\.\s?C\.": "avanti Cristo", r"\bd\.\s?C\.": "dopo Cristo", r"(?i)\bcfr\.": "confronta", r"(?i)\bart\.(?=\s?\d)": "articolo",
        r"(?i)\bcap\.(?=\s?\d)": "capitolo", r"(?i)\bvol\.(?=\s?\d)": "volume", r"(?i)\bca\.(?=\s\d)": "circa", r"\bP\.za\b|\bP\.zza\b": "Piazza",
    }.items()  # fmt: skip
    # Ordinals, also in Roman numerals.
    yield r"\b([1-9]\d{0,2})(?:º|°(?=\s(?!(?:a|di|e|in|nord|sud|est|ovest|sotto|sopra|C|F)\b)[a-zà-ù]))", lambda found: ordinal(int(found[1]))  # fmt: skip
    yield r"\b(?i:(il|lo|al|del|nel|dal|sul)) ([1-9]\d{0,2})°(?!\s?[CF]\b)", lambda found: f"{found[1]} {ordinal(int(found[2]))}"  # fmt: skip
    yield r"\b([1-9]\d?)a(?=\s[a-z])", lambda found: ordinal(int(found[1]), feminine=True)
    yield r"\b([1-9]\d{0,2})ª", lambda found: ordinal(int(found[1]), feminine=True)
    yield rf"\b({ROMAN})(?=\s(?:secolo|capitolo|congresso|centenario|anniversario|concilio|premio|piano|posto)\b)", lambda found: ordinal(roman_value(found[1]))  # fmt: skip
    yield rf"\b({ROMAN})(?=\s(?i:guerra|edizione|conferenza|repubblica|giornata|parte|legislatura)\b)", lambda found: ordinal(roman_value(found[1]), feminine=True)  # fmt: skip
    yield rf"\b(?P<name>(?i:secolo|capitolo|tomo|volume|parte|atto|scena|libro|fase|titolo|articolo|livello|tipo|gruppo|canto)) (?P<numeral>{ROMAN})\b", _ruler  # fmt: skip
    yield rf"\b(?P<name>(?!(?:{'|'.join(_NO_RULERS)})\b)[A-Z][a-zàèéìòù]+) (?P<numeral>(?!XXX?\b){ROMAN})\b(?!['’.]\w)", _ruler  # fmt: skip
    yield rf"\b(?i:(l|dell|all|dall|nell|sull))['’]1 (?=(?:{'|'.join(_MONTHS)})\b)", lambda found: f"{_ARTICLES[found[1].lower()]} primo "  # fmt: skip
    yield rf"\b1 (?=(?:{'|'.join(_MONTHS)})\b)", "primo "
    yield r"(?<=anni )['’](?=\d0\b)", ""
    yield r"\bS\.(?=\s(?!Andrea|Luca|Nicola|Mattia)[A-Z]\w+a\b)", "Santa"
    yield r"\bS\.(?=\s[A-Z]\w)", "San"
    yield r"\s?/\s?(?=(?:secondo|minuto|giorno|mese|metro|litro|chilo)\b)", " al "
    yield r"\s?/\s?(?=(?:ora|anno)\b)", " all'"
    yield r"\s?/\s?(?=(?:persona|testa|notte|settimana)\b)", " a "
    yield r"(?i)\b(alle|ore|dalle|verso le|entro le) (\d{1,2})\.(\d{2})(?![\d.,])", r"\1 \2:\3"
    yield r"(?<![\d/])24/24(?![\d/])", "ventiquattro ore su ventiquattro"


_speller = Speller(
    Wording(
        cardinal=cardinal, point="virgola", minus="meno", per="al", to="a", over="su", times="per",
        signs=_SIGNS, addresses=_ADDRESSES, units=_UNITS_OF_MEASURE, money=_MONEY,
        large={"mln": "milioni", "mld": "miliardi", "M": "milioni", "milione": "milione", "milioni": "milioni",
               "miliardo": "miliardo", "miliardi": "miliardi", "mila": "mila", "k": "mila"},
        date=_date, clock=_clock,
        clock_pattern=r"(?<![\d:,.])(?P<hour>\d{1,2}):(?P<minutes>\d{2})(?::(?P<seconds>\d{2}))?(?![\d:])",
        fractions=_fraction, half_after=_half_of, agree=_agree, money_link=" e ", large_link=" di ", first=tuple(_first()),
    )
)  # fmt: skip


def spell_out(text: str) -> str:
    """Return an Italian text with every number, sign and common abbreviation in words."""
    return re.sub(r"\b(un') ", r"\1", _speller(text))


_VOWELS = "aeiouàèéìíòóùú"
_ALPHABET = "abcdefghijklmnopqrstuvwxyzàèéìíòóùú"
_OPENED = {"à": "a", "è": "ɛ", "é": "e", "ì": "i", "í": "i", "ò": "ɔ", "ó": "o", "ù": "u", "ú": "u"}
_CLOSED = {"à": "a", "è": "e", "é": "e", "ì": "i", "í": "i", "ò": "o", "ó": "o", "ù": "u", "ú": "u"}
_RULES = spelling.Rules(
    [
        # Vowels stay as they are written until the stress is known; glides: j w, and ĭ ŭ behind a vowel.
        ("i", r"(?<=[^VOWELcgq])i(?=[ao]$)|(?<=r)i(?=e$)", "ĭ"),
        ("i", r"(?<=[^VOWELrl][rl])i(?=[aeouàèéòóù])|(?<=[VOWEL][rl])i(?=[aeouàèéòóù])", "ĭ"),
        ("i", r"(?<=z)i(?=on)|(?<=[VOWEL]s)i(?=on)|(?<=[VOWEL][^VOWEL])i(?=er[aeio]$)", "ĭ"),
        ("i", r"(?<=[VOWEL][^VOWEL][^VOWEL])i(?=er[aeio]$)", "ĭ"),
        ("i", r"(?<![VOWEL])i(?=[aeouàèéòóù])", "j"),
        ("i", r"(?<=[VOWEL])i(?=[aeouàèéòóù])", "j"),
        ("i", r"(?<=[aeoàèéòó])i", "ĭ"),
        ("u", r"(?<=[qg])u(?=[VOWEL])|(?<=^)u(?=[VOWEL])", "w"),
        ("u", r"(?<=[^VOWEL])u(?=[oò])(?!o$)", "ʊ"),
        ("u", r"(?<=[ae])u", "ŭ"),
        ("aeiouàèéìíòóùú", r".", "="),
        # Consonants, the longest spelling first.
        ("c", r"cch", "kː"),
        ("c", r"cqu(?=[VOWEL])", "kːw"),
        ("c", r"cci(?=[aeouàèéòóù])|cc(?=[eièéìí])", "ʧː"),
        ("c", r"ch", "k"),
        ("c", r"ci(?=[aeouàèéòóù])|c(?=[eièéìí])", "ʧ"),
        ("c", r"cc", "kː"),
        ("c", r"ck?", "k"),
        ("g", r"ggh", "ɡː"),
        ("g", r"ggi(?=[aeouàèéòóù])|gg(?=[eièéìí])", "ʤː"),
        ("g", r"gh", "ɡ"),
        ("g", r"(?<=[n])gl(?=i[cf])|(?<=^)gl(?=i[cfs])|(?<=ne)gl(?=ig)", "ɡl"),
        ("g", r"gli(?=[aeouàèéòóù])|gl(?=i)", "ʎ"),
        ("g", r"gn", "ɲ"),
        ("g", r"gi(?=[aeouàèéòóù])|g(?=[eièéìí])", "ʤ"),
        ("g", r"gg", "ɡː"),
        ("g", r"g", "ɡ"),
        ("j", r"j", "ʤ"),
        ("n", r"n(?=gh|g[aouàòùlr])", "ŋ"),
        ("q", r"qqu", "kːw"),
        ("q", r"qu(?=[VOWEL])", "kw"),
        ("qk", r"k?k|q", "k"),
        ("s", r"sci(?=[aeouàèéòóù])|sc(?=[eièéìí])", "ʃ"),
        ("s", r"sh", "ʃ"),
        ("s", r"ss", "S"),
        ("s", r"(?<=^buona)s(?=[eé]r)|(?<=^sotto)s(?=[ei])", "s"),
        (
            "s",
            r"(?<=venti)s(?=e)|(?<=[ea]nta)s(?=e)|(?<=cento)s(?=e)|(?<=mil[ael])s(?=e)|(?<=mille)s(?=e)",
            "s",
        ),
        ("s", r"(?<=[VOWEL])s(?=[VOWEL])|s(?=[bdgvmnlr])", "z"),
        (
            "z",
            r"(?<=m[eè])zz|(?<=a)zz(?=urr|ar[di])|(?<=^ga)zz|(?<=maga)zz|(?<=ori)zz(?=ont|[oi]$)|(?<=^do)zz|(?<=^bi)zz|"
            r"(?<=li)zz(?=[oi]$)|(?<=gani)zz(?=[oi]$)|(?<!indir[iì])(?<!pol[iì])(?<!^n[iì])(?<![dt]r[iì])(?<!^att[iì])(?<=[dlmnrtv][iì])zz(?=a|e|i[aeo])|(?<=ra)zz(?=[oi]$)(?<=^razz)|(?<=ro)zz(?=[oi]$)",
            "ʣː",
        ),
        ("z", r"zz", "ʦː"),
        (
            "z",
            r"(?<=^)z(?!ucch|ampa|itt|oppo|i)|(?<=pran)z|(?<=roman)z|(?<=br[oó]n)z|(?<=ben)z(?=in)|(?<=^man)z(?=[oi]$)|(?<=^gar)z|(?<=^zan)z|(?<=^o)z|(?<=ban)z|(?<=^a)z(?=iend)",
            "ʣ",
        ),
        ("z", r"z", "ʦ"),
        ("r", r"rr", "rɾ"),
        ("r", r"(?<=a)r(?=[aoàò])|(?<=[VOWEL])r(?=[àò]$)", "ɾ"),
        ("bdpt", r"(.)\1", "=ː"),
        ("flmnv", r"(.)\1", "=="),
        ("bdflmnprstv", r".", "="),
        ("x", r"x", "ks"),
        ("y", r"y(?=[VOWEL])", "j"),
        ("y", r"y", "i"),
        ("w", r"w", "w"),
    ],
    {"VOWEL": _VOWELS},
)
_THIRD_FROM_END = re.compile(
    r"""(?: [aio]bil[ei] | atil[ei] | evol[ei] | issim[oaie] | esim[oaie] | ttim[oaie] | [aeiou]nim[oaie]
    | log[oaie] | logh[ie] | graf[oaie] | [ol]sof[oaie] | metr[oi] | fon[oi] | tudin[ei] | [aiu]ggin[ei] | [aiu]gine | rdine
    | ic(?:[oa]|h[ie]) | [dgmflst]ici | n?nici | (?:un|do|tre|tor|quin|se)dici
    | [bcgpt]ol[oaie] | [^aeiou]ul[oaie] | fer[oi] | gen[oaie] | [ai]ne[oai] | [tn]u[oaei] | idu[oaei]
    | [rn]alis[ie] | [aeiou]lisi | [aeo]tesi | ndit[aei]
    | [ae]ndo(?:si|[mtcv]i|l[oaie]|ne) | [aiu]tosi | [aei]r[mtscv]e(?:ne|l[oaie]) | [aei]ssimo
    | [^i]ano | [aeis]rono | [aeio]ssero | ebbero | [^aeiou]+ono | (?<!i)ere
    )$""",
    re.VERBOSE,
)
"""Endings of words that are stressed on the third syllable from the end: verbs in the plural, infinitives, adjectives."""
_PENULTIMATE = re.compile(
    r"(?:ved|ten|av|pot|dov|vol|sap|cad|sed|tem|god|piac|tac|giac|val|par|man|ol)ere$|[td]ric[ei]$"
)
"""Endings among them that are not."""
_WITH_PRONOUN = re.compile(
    r"(\w*(?:tt|nd|gg|rd|cc|[irne]ed|sc|ss|mp|[ln]g|criv|viv|[ucr][iu]d)er)(?:l[oaie]|[cmstv]i|ne)"
)
_CLOSED_E = re.compile(
    r"""(?: ment[eoi] | ezz[ae] | ett[oaie] | es[eai] | esche? | esc[oai] | evol[ei] | ess[ae] | ere | ete | emo | esti | evo
    | evano | emmo | eggi[oa]? | esim[oaie] | eness[ae] | es[oi] | esa | egn[oaie] | entr[ea]
    )$""",
    re.VERBOSE,
)
_CLOSED_O = re.compile(
    r"""(?: on[eio] | or[ei]? | os[aoie] | ond[aoie] | om[eio] | oce | oci | ogn[aoie] | ont[eaoi] | ors[aoie] | orn[oiae] | (?<!nt)ott[oaie]
    | olt[aoi] | ogli[oae] | onn[oi] | omp[aeoi] | omb[aeoir] | ossi | osse | osser[oe] | ogni
    )$""",
    re.VERBOSE,
)
_STRESSED_IA = re.compile(r"(?:log|graf|sof|nom|metr|pat|craz|arch|fon|tom|scop|er|fob|lat|iatr|urg)i[ae]$")
_ENGLISH = re.compile(r"(?<!^c)oo|ee(?!$)|th|sh|ck|[wkyxj]|ou|ph|[^aeiounlrdàèéìòù]$")
_FOREIGN_END = re.compile(r"(?<!av|ov)(?<!pot|vol|sap|ved)er$|[tsdl]on$|(?<!b)en$|[mg]an$")
"""Endings of names as Boston, Miller, Allen, which are not stressed as avér and dovér are."""
_SHORTENED = ("po'", "mo'", "fa'", "va'", "di'", "da'", "sta'")
"""Words that end in an apostrophe, and are not joined to the next one."""
_BEFORE_STRESSED_IS = ("dov'", "com'", "cos'", "quand'", "qual'")
_LETTER_NAMES = {
    "a": "a", "b": "bi", "c": "ʧi", "d": "di", "e": "e", "f": "ɛffe", "g": "ʤi", "h": "akːa", "i": "i",
    "j": "illuŋɡa", "k": "kapːa", "l": "ɛlle", "m": "ɛmme", "n": "ɛnne", "o": "o", "p": "pi", "q": "ku",
    "r": "ɛrɾe", "s": "ɛSe", "t": "ti", "u": "u", "v": "vu", "w": "dopːjavu", "x": "iks", "y": "ipsilon",
    "z": "ʣɛta",
}  # fmt: skip


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return an Italian text in Kokoro's alphabet, and the words and signs in it that have no reading.

    ``tag`` changes nothing: all of Italian is read alike.
    """
    found, skipped = spelling.tokens(spell_out(text))
    whole = _table("english words with an Italian reading")
    words = [part for token in found for part in spelling.parts(token, whole, "[^'-]+'?")]
    line = spelling.read_words(words, lambda index: _sounds(words, index, foreign, skipped), _is_elided)
    return spelling.joined(line), skipped


def _sounds(words: Sequence[Token], index: int, foreign: Foreign, skipped: list[str]) -> str:
    """Return the phonemes of a word in its place: stressed before a pause, without stress where it is elided."""
    token, word = words[index], words[index].text.rstrip("'")
    if token.is_acronym or (word in _LETTER_NAMES and word not in _VOWELS and not token.text.endswith("'")):
        sounds = _letter_by_letter(word)
    elif token.text == "c'":  # ci before è, era, erano
        sounds = "ʧ"
    elif word == "è" and index and words[index - 1].text in _BEFORE_STRESSED_IS:
        sounds = "ˈɛ"
    elif not token.text.endswith("'") and _is_english(word):
        sounds = spelling.foreign_word(Token(word, token.written.rstrip("'")), foreign, skipped)
    else:
        sounds = _word(word)
        if not sounds and word != "h":
            skipped.append(token.written)
    is_last = index + 1 == len(words) or not words[index + 1].is_word
    if _is_elided(token):
        sounds = re.sub("[ˈˌ]", "", sounds)
    elif "ˈ" not in sounds and is_last:
        sounds = sounds.replace("ˌ", "ˈ").replace("ˈʊ", "ˈu")
    return sounds


def _is_elided(token: Token) -> bool:
    return token.text.endswith("'") and token.text not in _SHORTENED


def _table(name: str) -> dict[str, str]:
    return spelling.exceptions("italian")[name]


def _is_english(word: str) -> bool:
    names = ("english words with an Italian reading", "unstressed", "readings")
    return spelling.is_english(word, _ENGLISH, *map(_table, names))


@cache
def _accents() -> dict[str, str]:
    """Return words with an accent on their stressed vowel, by the word without it, in all their endings."""
    found: dict[str, str] = {}
    for word in _table("accents"):
        for form in _endings(word):
            found.setdefault("".join(_PLAIN.get(letter, letter) for letter in form), form)
    return found


def _endings(word: str) -> Iterator[str]:
    """Yield an accented word in all its endings: "tècnico, tècnica, tècnici, tècniche"."""
    if word.endswith("io"):
        yield from (word, word[:-1], word[:-1] + "a", word[:-1] + "e")
        return
    for ending in {"o": "oaie", "e": "ei", "a": "ae"}.get(word[-1], word[-1]):
        # c and g stay hard before e, and before i in some words: "mèdici, càrichi".
        is_hard = word[-1] in "oa" and word[-2] in "cg" and ending in "ie"
        if not is_hard or ending == "i":
            yield word[:-1] + ending
        if is_hard:
            yield f"{word[:-1]}h{ending}"


_PLAIN = {"à": "a", "è": "e", "é": "e", "ì": "i", "í": "i", "ò": "o", "ó": "o", "ù": "u", "ú": "u"}


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    """Return a word's phonemes by itself."""
    for name in ("readings", "english words with an Italian reading"):
        if word in _table(name):
            return _table(name)[word]
    letters = spelling.known_letters(word, _ALPHABET)
    if not re.search(f"[{_VOWELS}y]", letters):
        return _RULES.sounds(letters) if word in _table("unstressed") else _letter_by_letter(letters)
    if word in _table("stressed -ia") or (
        _STRESSED_IA.search(word) and word not in _table("unstressed -ia") and word not in _accents()
    ):
        letters = re.sub(r"i(?=[ae]$)", "ì", letters)
    spelled = _accents().get(word, letters)
    stress = "" if word in _table("unstressed") else "ˌ" if word in _table("half stressed") else "ˈ"
    return _stressed(_RULES.sounds(spelled), spelled, stress)


def _stressed(sounds: str, word: str, stress: str) -> str:
    """Put the stress before its vowel, and give every vowel its quality."""
    vowels = [match.start() for match in re.finditer(f"[{_VOWELS}]", sounds)]
    if not vowels:
        return sounds.replace("ĭ", "i").replace("ŭ", "ʊ")
    stressed = _stressed_vowel(sounds, vowels, word)
    said = ""
    for index, symbol in enumerate(sounds):
        if symbol not in _VOWELS:
            said += symbol
        elif index == stressed and stress:
            quality = _quality(symbol, sounds[:index], word)
            said += stress + ("ʊ" if stress == "ˌ" and quality == "u" else quality)
        elif _CLOSED.get(symbol, symbol) == "u":
            said += "ʊ"
        else:
            is_last = index == len(sounds) - 1
            said += "ɪ" if symbol == "i" and is_last and len(vowels) > 1 else _CLOSED.get(symbol, symbol)
    said = said.replace("ĭ", "i").replace("ŭ", "ʊ")
    return re.sub(r"(?<=ˈ[aeɛioɔu])ɲ", "ɲɲ", said)


def _stressed_vowel(sounds: str, vowels: list[int], word: str) -> int:
    accented = [index for index in vowels if sounds[index] in _OPENED]
    if accented:
        return accented[-1]
    if len(vowels) == 1 or sounds.endswith("ĭ") or (word[-1] in "rnl" and not _FOREIGN_END.search(word)):
        return vowels[-1]
    if (infinitive := _WITH_PRONOUN.fullmatch(word)) and _is_stressed_third(f"{infinitive[1]}e"):
        return vowels[-3] if len(vowels) > 2 else vowels[0]
    return vowels[-3] if len(vowels) > 2 and _is_stressed_third(word) else vowels[-2]


def _is_stressed_third(word: str) -> bool:
    """Return whether a word is stressed on the third syllable from its end, by its ending."""
    if word in _table("penultimate stress") or _PENULTIMATE.search(word):
        return False
    return bool(_THIRD_FROM_END.search(word))


def _quality(vowel: str, before: str, word: str) -> str:
    """Return the sound of the stressed vowel: e and o are open or closed by their word's ending."""
    if vowel in _OPENED:
        return _OPENED[vowel]
    if vowel == "e":
        return "e" if not before.endswith(("j", "ĭ")) and _CLOSED_E.search(word) else "ɛ"
    if vowel == "o":
        return "o" if not before.endswith(("ʊ", "w")) and _CLOSED_O.search(word) else "ɔ"
    return vowel


def _letter_by_letter(letters: str) -> str:
    stressed = -2 if letters.endswith(tuple("fhlmnrsz")) else -1
    return spelling.letter_names(letters, _LETTER_NAMES, stressed=stressed)
