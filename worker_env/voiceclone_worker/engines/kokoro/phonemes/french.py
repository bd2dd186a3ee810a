"""French: numbers, signs and abbreviations in words, then phonemes by rules of spelling, liaison and elision.

As espeak-ng writes French, since Kokoro was trained with that: the stress before the last full vowel of a word, light
words without, vowel quality by the syllable. European, Belgian, Swiss and Canadian French ("fr-fr", "fr-ca") are read
the same, with the numbers of France; Kokoro's only voice is French.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from voiceclone_worker.engines.kokoro.phonemes import spelling
from voiceclone_worker.engines.kokoro.phonemes.alphabets import ROMAN, roman_value
from voiceclone_worker.engines.kokoro.phonemes.numbers import Match, Money, Rule, Speller, Wording, one_by_one
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign
from voiceclone_worker.engines.kokoro.phonemes.spelling import Token

_UNITS = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
    "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
]  # fmt: skip
_TENS = {2: "vingt", 3: "trente", 4: "quarante", 5: "cinquante", 6: "soixante", 8: "quatre-vingt"}
_SCALES = (
    (10**12, "un billion", "billions"),
    (10**9, "un milliard", "milliards"),
    (10**6, "un million", "millions"),
)
_BEYOND = 10**15
_MONTHS = [
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
]  # fmt: skip


def cardinal(number: int) -> str:
    """Return a number in French words; from 10**15 on, digit by digit."""
    if number >= _BEYOND:
        return one_by_one(str(number), cardinal)
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        if tens in (7, 9):
            tens, unit = tens - 1, unit + 10
        if unit == 0:
            return _TENS[tens] + ("s" if tens == 8 else "")
        return _TENS[tens] + (" et " if unit in (1, 11) and tens != 8 else "-") + _UNITS[unit]
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        head = "cent" if hundreds == 1 else f"{_UNITS[hundreds]} cent" + ("" if rest else "s")
    elif number < 10**6:
        thousands, rest = divmod(number, 1000)
        # "vingts" and "cents" lose their s before "mille".
        head = "mille" if thousands == 1 else re.sub(r"(vingt|cent)s$", r"\1", cardinal(thousands)) + " mille"
    else:
        scale, one, many = next(row for row in _SCALES if number >= row[0])
        count, rest = divmod(number, scale)
        head = one if count == 1 else f"{cardinal(count)} {many}"
    return head + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int, *, feminine: bool = False) -> str:
    """Return an ordinal number in French words."""
    if number == 1:
        return "première" if feminine else "premier"
    words = re.sub(r"(vingt|cent|million|milliard)s$", r"\1", cardinal(number))
    if words.endswith("cinq"):
        return words + "uième"
    if words.endswith("neuf"):
        return words[:-1] + "vième"
    return words.removesuffix("e") + "ième"


def _date(day: int, month: int, year: int | None) -> str:
    words = f"{'premier' if day == 1 else cardinal(day)} {_MONTHS[month - 1]}"
    return words + (f" {cardinal(year)}" if year is not None else "")


def _clock(hour: int, minutes: int, seconds: int | None) -> str:
    words = f"{_agree(cardinal(hour), 'heure')} heure{'s' if hour > 1 else ''}"
    if minutes:
        words += f" {_agree(cardinal(minutes), 'minute')}"
    if seconds is not None:
        words += f"{' minutes' if minutes else ''} {_agree(cardinal(seconds), 'seconde')} secondes"
    return words


_FEMININE_ENDING = re.compile(
    r"(?:[stx]ion|té|ée|ie|ure|ence|ance|esse|ette|elle|euse|trice|aine|ude|ade|(?<!\bm)ille|onne|ine|ande|ode)s?$"
)


def _agree(words: str, noun: str) -> str:
    noun = noun.lower()
    feminine = noun in spelling.exceptions("french")["feminine nouns"] or _FEMININE_ENDING.search(noun)
    return re.sub(r"\bun$", "une", words) if feminine and "virgule" not in words else words


_FRACTIONS = {2: "demi", 3: "tiers", 4: "quart"}


def _fraction(top: int, bottom: int) -> str | None:
    if not 0 < top < bottom <= 10:
        return None
    name = _FRACTIONS.get(bottom) or ordinal(bottom)
    return f"{cardinal(top)} {name}" + ("s" if top > 1 and not name.endswith("s") else "")


def _half_of(words: str, unit: str) -> str:
    return f"un demi-{unit}" if words == "un demi" else f"{words} de {unit}"


_UNITS_OF_MEASURE = {
    "%": ("pour cent", "pour cent"), "‰": ("pour mille", "pour mille"), "°C": ("degré", "degrés"),
    "°F": ("degré Fahrenheit", "degrés Fahrenheit"), "°": ("degré", "degrés"),
    "km/h": ("kilomètre heure", "kilomètres heure"), "m/s": ("mètre par seconde", "mètres par seconde"),
    "km²": ("kilomètre carré", "kilomètres carrés"), "m²": ("mètre carré", "mètres carrés"),
    "cm²": ("centimètre carré", "centimètres carrés"), "m³": ("mètre cube", "mètres cubes"),
    "cm³": ("centimètre cube", "centimètres cubes"), "km": ("kilomètre", "kilomètres"), "m": ("mètre", "mètres"),
    "cm": ("centimètre", "centimètres"), "mm": ("millimètre", "millimètres"), "kg": ("kilo", "kilos"),
    "g": ("gramme", "grammes"), "mg": ("milligramme", "milligrammes"), "l": ("litre", "litres"), "L": ("litre", "litres"),
    "cl": ("centilitre", "centilitres"), "ml": ("millilitre", "millilitres"), "min": ("minute", "minutes"),
    "s": ("seconde", "secondes"), "h": ("heure", "heures"), "ha": ("hectare", "hectares"), "t": ("tonne", "tonnes"),
    "W": ("watt", "watts"), "kW": ("kilowatt", "kilowatts"), "kWh": ("kilowattheure", "kilowattheures"),
    "V": ("volt", "volts"), "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("mégahertz", "mégahertz"), "GHz": ("gigahertz", "gigahertz"), "Ko": ("kilooctet", "kilooctets"),
    "Mo": ("mégaoctet", "mégaoctets"), "Go": ("gigaoctet", "gigaoctets"), "To": ("téraoctet", "téraoctets"),
    "MB": ("mégaoctet", "mégaoctets"), "GB": ("gigaoctet", "gigaoctets"), "dB": ("décibel", "décibels"),
    "kcal": ("kilocalorie", "kilocalories"),
    "µm": ("micromètre", "micromètres"), "μm": ("micromètre", "micromètres"),
    "µg": ("microgramme", "microgrammes"), "μg": ("microgramme", "microgrammes"),
}  # fmt: skip
_EURO, _DOLLAR = Money("euro", "euros", "centime", "centimes"), Money("dollar", "dollars", "cent", "cents")
_MONEY = {
    "€": _EURO, "EUR": _EURO, "$": _DOLLAR, "US$": Money("dollar américain", "dollars américains", "cent", "cents"),
    "£": Money("livre", "livres", "penny", "pence"), "¥": Money("yen", "yens"), "₹": Money("roupie", "roupies"),
    "R$": Money("réal", "réaux"),
    "NT$": Money("dollar taïwanais", "dollars taïwanais", "cent", "cents"),
    "HK$": Money("dollar de Hong Kong", "dollars de Hong Kong", "cent", "cents"),
    "A$": Money("dollar australien", "dollars australiens", "cent", "cents"),
    "C$": Money("dollar canadien", "dollars canadiens", "cent", "cents"),
    "S$": Money("dollar de Singapour", "dollars de Singapour", "cent", "cents"),
    "CHF": Money("franc suisse", "francs suisses", "centime", "centimes"),
    "₽": Money("rouble", "roubles"), "₿": Money("bitcoin", "bitcoins"), "₩": Money("won", "wons"),
}  # fmt: skip
_SIGNS = {
    "<=": "inférieur ou égal à", ">=": "supérieur ou égal à", "≤": "inférieur ou égal à", "≥": "supérieur ou égal à",
    "->": "vers", "→": "vers", "&": "et", "+": "plus", "=": "égale", "@": "arobase", "#": "dièse", "×": "fois",
    "÷": "divisé par", "±": "plus ou moins", "<": "inférieur à", ">": "supérieur à", "≠": "différent de",
    "≈": "environ", "~": "environ", "∞": "infini", "√": "racine carrée de", "§": "paragraphe", "©": "copyright",
    "%": "pour cent", "‰": "pour mille", "°": "degrés", "²": "au carré", "³": "au cube", "µ": "micro", "π": "pi",
    "^": "puissance", "º": "", "ª": "",
}  # fmt: skip
_ADDRESSES = {
    ".": "point", "/": "slash", "-": "tiret", "_": "tiret bas", "@": "arobase", ":": "deux points", "?": "point d'interrogation",
    "=": "égale", "&": "et", "#": "dièse", "%": "pour cent", "~": "tilde", "+": "plus", "www": "trois w",
}  # fmt: skip
_NO_RULERS = [
    "Je", "Tu", "Il", "Elle", "On", "Nous", "Vous", "Ils", "Le", "La", "Les", "Un", "Une", "De", "Du", "Des",
    "En", "Et", "Ou", "Où", "Que", "Qui", "Si", "Mais", "Non", "Oui", "Pour", "Par", "Avec", "Sans", "Dans",
]  # fmt: skip


def _roman(found: Match) -> str:
    value = roman_value(found["numeral"])
    return f"{found['name']} {'premier' if value == 1 else cardinal(value)}"


def _first() -> Iterator[Rule]:
    yield from {
        r"\bMM\.": "messieurs", r"\bM\.(?=\s(?:[A-ZÉÈ]|l[ea]\b|l['’]))": "monsieur", r"\bM(?:r|\.r)\.?(?=\s[A-ZÉÈ])": "monsieur",
        r"\bMmes\b": "mesdames", r"\bMme\b\.?": "madame", r"\bMlles\b": "mesdemoiselles", r"\bMlle\b\.?": "mademoiselle",
        r"\bDre?\b\.?(?=\s[A-ZÉÈ])": "docteur", r"\bPr\b\.?(?=\s[A-ZÉÈ])": "professeur", r"\bMe\b(?=\s[A-ZÉÈ])": "maître",
        r"\bSt(?=[ -][A-ZÉÈ])": "Saint", r"\bSte(?=[ -][A-ZÉÈ])": "Sainte",
        r"\bp\.\s?ex\.": "par exemple", r"\bc\.-à-d\.": "c'est-à-dire", r"\bcf\.": "confer", r"\betc\b\.?…?": "et cetera",
        r"\bav\.\sJ\.-C\.": "avant Jésus-Christ", r"\bapr\.\sJ\.-C\.": "après Jésus-Christ", r"\bJ\.-C\.": "Jésus-Christ",
        r"\bn[°º]\s?(?=\d)": "numéro ", r"\bN[°º]\s?(?=\d)": "Numéro ", r"\btél\.": "téléphone", r"\bbd\.?(?=\s[A-ZÉÈ])": "boulevard",
        r"\benv\.": "environ", r"\bs\.v\.p\.?|\bsvp\b|\bSVP\b": "s'il vous plaît", r"\bkm/h\b(?<!\d km/h)(?<!\dkm/h)": "kilomètres heure",
        r"\bvol\.(?=\s\d)": "volume", r"\bp\.(?=\s?\d)": "page", r"\bchap\.(?=\s)": "chapitre", r"\bart\.(?=\s\d)": "article",
    }.items()  # fmt: skip
    # Ordinals, also in Roman numerals.
    yield r"\b(1|I)(?:re|ère)s?\b", "première"
    yield r"\b(1|I)ers?\b", "premier"
    yield r"\b2d\b", "second"
    yield r"\b2de\b", "seconde"
    yield r"\b(\d+)(?:e|es|è|ème|èmes|ième|nd)\b", lambda found: ordinal(int(found[1]))
    yield r"\b(?!Les?\b)([IVXL]+)(?:e|ème)s?\b", lambda found: ordinal(roman_value(found[1]))
    yield rf"\b(?P<name>(?i:chapitre|tome|volume|partie|acte|scène|livre|annexe|titre|article|niveau|type|classe|groupe|saison|phase)) (?P<numeral>{ROMAN})\b", lambda found: f"{found['name']} {cardinal(roman_value(found['numeral']))}"  # fmt: skip
    yield rf"\b(?P<name>(?!(?:{'|'.join(_NO_RULERS)})\b)[A-ZÉÈ][a-zàâéèêëîïôûç]+) (?P<numeral>(?!XXX?\b){ROMAN})\b(?!['’.]\w)", _roman  # fmt: skip
    # Dates, numbers with names of their own.
    yield rf"\b1 (?=(?:{'|'.join(_MONTHS)})\b)", "premier "
    yield r"(?<![\d/])24\s?h?/24(?![\d/])", "vingt-quatre heures sur vingt-quatre"
    yield r"(?<![\d/])7\s?j?/7(?![\d/])", "sept jours sur sept"
    yield r"\s?/\s?(?=(?:seconde|minute|heure|jour|nuit|semaine|mois|an|personne|litre|kilo)s?\b)", " par "
    yield r"(?<=\d)\s?[°º](?=\s?[NSEO]\b)", " degrés "


def _cents(count: int, money: Money) -> str | None:
    return cardinal(count) if money is _EURO else None


_speller = Speller(
    Wording(
        cardinal=cardinal, point="virgule", minus="moins", per="par", to="à", over="sur", times="fois",
        signs=_SIGNS, addresses=_ADDRESSES, units=_UNITS_OF_MEASURE, money=_MONEY,
        large={"M": "millions", "Md": "milliards", "Mds": "milliards", "million": "million", "millions": "millions",
               "milliard": "milliard", "milliards": "milliards", "mille": "mille", "k": "mille"},
        date=_date, clock=_clock,
        clock_pattern=r"(?<![\d:,.])(?P<hour>\d{1,2})(?:\s?h(?:eures?)?\s?|:)(?P<minutes>\d{2})(?:(?::|\s?min\s?)(?P<seconds>\d{2})(?:\s?s\b)?)?(?:\s?min\b)?(?![\d:])",
        fractions=_fraction, half_after=_half_of, agree=_agree, cents=_cents, large_link=" de ",
        pairs_in_telephones=True, first=tuple(_first()),
    )
)  # fmt: skip


def spell_out(text: str) -> str:
    """Return a French text with every number, sign and common abbreviation in words."""
    text = _speller(text)
    return re.sub(r"\b((?:million|milliard|billion)s?) de (?=[aeiouéèêhœ])", r"\1 d'", text)


_VOWELS = "aeiouyàâäéèêëîïôöûùüœæ"
_ALPHABET = "abcdefghijklmnopqrstuvwxyzàâäçéèêëîïôöûùüœæ"
_CLASSES = {
    "VOWEL": f"[{_VOWELS}]",
    "CONS": "[bcçdfgjklmnpqrstvwxz]",
    "NASAL": f"(?:n(?![{_VOWELS}nh])|m(?=[pb]))",
    "SOFT": "[eiéèêëîïy]",
    "CLUSTER": "(?:[bcdfgptv][rl]|ch|ph|th|gn|qu)",
    "MUTE": "(?:es?$)",
}
_RULES = spelling.Rules(
    [
        # Letters together, the longest first; e.
        ("e", r"eau", "o"),
        ("e", r"euil(?:l|(?=s?$))", "œj"),
        ("e", r"e[uû](?=[rfl]s?$|CONS?[bcdfglmnprv][lr]?(?:es?$|ent$|CONS)|l|v[er])", "œ"),
        ("e", r"e[uû]", "ø"),
        ("e", r"eil(?:l|(?=s?$))", "ɛj"),
        ("e", r"ei(?:n(?!VOWEL|n)|m(?=[pb]))", "ɛ̃"),
        ("e", r"ey(?=VOWEL)", "ɛj"),
        ("e", r"e[iîy]", "ɛ"),
        ("e", r"emment$", "amɑ̃"),
        ("e", r"(?<=^)e(?=mm|nn)", "ɑ̃"),
        ("e", r"(?<=[iéy])en(?=s?$)", "ɛ̃"),
        ("e", r"(?<=ch)en(?=s?$)", "ɛn"),
        ("e", r"en(?=h[aâé])|eNASAL", "ɑ̃"),
        ("e", r"(?<=v)ers$", "ɛʁ"),
        ("e", r"ers?$", "e"),
        ("e", r"ez$|eds?$|eh$", "e"),
        ("e", r"ex(?=h?VOWEL)(?<=^ex)", "ɛɡz"),
        ("e", r"(?<=^)e(?=(?!x)CONSVOWEL|CLUSTER)", "e"),
        ("e", r"ets?$", "ɛ"),
        ("e", r"(?<=g)e(?=[aoâôu])|(?<=j)e(?=a)|(?<=ss)e(?=oi)", ""),
        ("e", r"(?<=gu)es?$|(?<=qu)es?$", ""),
        ("e", r"es?$", ""),
        ("e", r"ex(?=c[eiéèy])", "ɛk"),
        ("e", r"(?<=^)e(?=ff|ss)|(?<=^d)e(?=ss)|(?<=^n)e(?=c[eé])", "e"),
        ("e", r"(?<=^r)e(?=ss)", "ə"),
        ("e", r"e(?=ch[nr]|x|([bcdfgklmnprstz])\1)", "ɛ"),
        ("e", r"e(?=(?!CLUSTER)CONSCONS)", "ɛ"),
        ("e", r"e(?=CONSs?$)", "ɛ"),
        ("e", r"(?<=^CONS)e|(?<=^CONSCONS)e", "ə"),
        (
            "e",
            r"(?<=VOWELCONS)e(?=CONSVOWEL)|(?<=VOWEL(?:ch|qu|gu|gn|ss|nn|mm|tt|ll|pp|ff|rr))e(?=CONSVOWEL)",
            "",
        ),
        ("e", r"(?<=[nm][cdstgvlrp])e(?=CONSVOWEL)|(?<=nch)e(?=CONSVOWEL)|(?<=VOWEL)e(?=CONSVOWEL)", ""),
        ("e", r"e", "ə"),
        ("é", r"é", "e"),
        ("èêë", r".", "ɛ"),
        # a
        ("a", r"aill|ail(?=s?$)", "aj"),
        ("a", r"ai(?:n(?!VOWEL|n)|m(?=[pb]))", "ɛ̃"),
        ("a", r"ay(?=VOWEL)", "ɛj"),
        ("a", r"(?<=er)ai$", "e"),
        ("a", r"a[iîy]e?(?=s?$)", "ɛ"),
        ("a", r"a[iîy]", "ɛ"),
        ("a", r"a[uû]", "o"),
        ("aâ", r"[aâ]NASAL", "ɑ̃"),
        ("â", r"â(?=CONS*e?s?$)", "aː"),
        ("aàâä", r".", "a"),
        # i, y
        ("i", r"(?<=[bcdfghjklmnpqrstvxz])ill(?=VOWEL)", "ij"),
        ("i", r"(?<=u)ill(?=VOWEL)", "ij"),
        ("i", r"(?<=[bcdfgptv][rl])ien(?=s?$)", "ijɛ̃"),
        ("i", r"ien(?=(?:s|ts?|dr\w*)?$)", "jɛ̃"),
        ("i", r"ien(?=s?$)|(?<=^b)ien(?!n)", "jɛ̃"),
        ("i", r"ie(?=s?$)", "i"),
        ("iî", r"[iî]NASAL", "ɛ̃"),
        ("i", r"(?<=[bcdfgptv][rl])i(?=VOWEL)", "ij"),
        ("i", r"i(?=VOWEL)", "j"),
        ("ï", r"(?<=VOWEL)ï(?=VOWEL)", "j"),
        ("iîï", r".", "i"),
        ("y", r"yNASAL", "ɛ̃"),
        ("y", r"(?<!^)y(?=VOWEL)(?<!CONSy)", "j"),
        ("y", r"(?<=^)y(?=VOWEL)", "j"),
        ("y", r"y", "i"),
        # o
        ("o", r"oeu(?=[rfvil])", "œ"),
        ("o", r"oeu", "ø"),
        ("o", r"oin(?!VOWEL|n)", "wɛ̃"),
        ("o", r"oy(?=VOWEL)", "waj"),
        ("o", r"oy|o[iî]", "wa"),
        ("o", r"ouil(?:l|(?=s?$))", "uj"),
        ("o", r"oue(?=s?$)", "u"),
        ("o", r"(?<![bcdfgptv][rl])ou(?=[aeiéèoâê])(?!oui[ln])", "w"),
        ("o", r"(?<=[bcdfgptv][rl])ou(?=ir)|(?<=^)ou(?=i$)", "w"),
        ("o", r"o[uùû]", "u"),
        ("o", r"oo", "ɔ"),
        ("o", r"oms?$|oNASAL|om(?=t[eéè])", "ɔ̃"),
        ("o", r"o(?=s(?:e|es|er|é|ée|és|ant|ons|ez|ent|ait|ition|itif)?$|t?s?$|tions?$|p$|se$)", "o"),
        ("o", r"o(?=s[aeiéè])", "o"),
        ("o", r"o(?=[bcdgp][lr][aàeéèiy]|[éèï]|phes?$|qs?$)", "ɔ"),
        ("o", r"o(?=(?!CLUSTER(?!MUTE))CONSCONS)", "ɔ"),
        ("o", r"o(?=CONS+MUTE|(?:que|gue|ch|gn)s?e?s?$|[rlcfbkmn]s?$)", "ɔ"),
        ("ô", r"ô(?=CONS*e?s?$)", "oː"),
        ("oôö", r".", "o"),
        # u, œ, æ
        ("u", r"ueil(?:l|(?=s?$))", "œj"),
        ("u", r"um(?=s?$)", "ɔm"),
        ("u", r"uNASAL", "œ̃"),
        ("u", r"uy(?=VOWEL)", "ɥij"),
        ("u", r"u(?=i)", "ɥ"),
        ("û", r"û(?=CONS*e?s?$)", "yː"),
        ("uûùü", r".", "y"),
        ("œ", r"œu(?=[rfvil])", "œ"),
        ("œ", r"œuds?$|œux?$", "ø"),
        ("œ", r"œu", "ø"),
        ("œ", r"œil", "œj"),
        ("œæ", r".", "e"),
        # Consonants that are silent at the end of a word.
        ("c", r"(?<=n)cs?$|(?<=n)cts?$", ""),
        ("t", r"(?<=[scpf])ts?$", "t"),
        ("p", r"p(?=ts?$)(?!ts?$(?<=mpt))", "p"),
        ("dgpstxz", r"(?<=.)(?<!ss)(?:[dgpt]?s|[dgptxz])$", ""),
        ("b", r"(?<=m)bs?$", ""),
        ("p", r"(?<=om)p(?=t)", ""),
        ("g", r"g(?=t)", ""),
        ("m", r"(?<=da)m(?=n)", ""),
        ("s", r"(?<=tran)s(?=[aio])", "z"),
        # Consonants.
        ("c", r"ch(?=[rlnt])|(?<=psy)ch", "k"),
        ("c", r"ch", "ʃ"),
        ("c", r"cc(?=SOFT)", "ks"),
        ("c", r"cqu|ck|cc?(?!SOFT|c)", "k"),
        ("cç", r"[cç]", "s"),
        ("p", r"ph", "f"),
        ("t", r"th", "t"),
        ("t", r"(?<![sx])t(?=ion|ieux|ieus|iel|iaux|ial|i(?:enc|ant|ente|enta))", "s"),
        ("s", r"sch", "ʃ"),
        ("s", r"sc(?=SOFT)|ss", "s"),
        ("s", r"(?<=VOWEL)s(?=h?VOWEL)", "z"),
        ("s", r"sh", "ʃ"),
        ("g", r"gn(?=[aàâoôuéèêëœ]|e(?:[rzu]|ill))", "nj"),
        ("g", r"gn", "ɲ"),
        ("g", r"gg(?=[eéèi])", "ɡʒ"),
        ("g", r"gu(?=SOFT)|gg?(?!SOFT|g)", "ɡ"),
        ("gj", r".", "ʒ"),
        ("q", r"qu?", "k"),
        ("x", r"(?<=^deu)x|(?<=^si)x|(?<=^di)x", "z"),
        ("x", r"(?<=au)x(?=qu)", ""),
        ("x", r"(?<=^)x", "ɡz"),
        ("x", r"x", "ks"),
        ("r", r"rr?h?", "ʁ"),
        ("bdfklmnpstvz", r"(.)\1?", "="),
        ("w", r"w", "w"),
    ],
    _CLASSES,
)
_NUCLEUS = re.compile(r"[aɑeɛəiɔoøœuy]̃?")
_COMES = re.compile(
    r"(?:^|de|re|par|pro|sou|inter|con|sur|sub|pré|main|con|ob|apar|appar|entre|abs|dé|circon)[vt]ient$"
)
_NUMERALS = frozenset(
    " ".join((*_UNITS[2:], *_TENS.values(), "vingts cent cents mille million millions milliard milliards"))
    .replace("-", " ")
    .split()
)
_NO_NOUNS = ("et", "ou", "un", "une", "à", "au", "en")
_BEFORE_CONSONANT = {"six": "sˈi", "dix": "dˈi", "huit": "ɥˈi"}
_BEFORE_VOWEL = {
    "un": "œ̃n", "bon": "bɔn", "six": "sˈiz", "dix": "dˈiz", "prochain": "pʁoʃɛn", "certain": "sɛʁtɛn",
    "ancien": "ɑ̃sjɛn", "premier": "pʁəmjɛʁ", "dernier": "dɛʁnjɛʁ", "vieil": "vjɛj",
}  # fmt: skip
_ENGLISH = re.compile(r"oo|ee(?!s?$)|sh|ck|[wk]|th(?=e?r?$)|[^u]ing$|^y[aeou]")
_LETTER_NAMES = {
    "a": "a", "e": "ə", "i": "i", "o": "o", "u": "y", "y": "iɡʁɛk", "b": "be", "c": "se", "d": "de", "f": "ɛf", "g": "ʒe", "h": "aʃ", "j": "ʒi", "k": "ka", "l": "ɛl", "m": "ɛm", "n": "ɛn",
    "p": "pe", "q": "ky", "r": "ɛʁ", "s": "ɛs", "t": "te", "v": "ve", "w": "dubləve", "x": "iks", "z": "zɛd",
}  # fmt: skip


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return a French text in Kokoro's alphabet, and the words and signs in it that have no reading.

    ``tag`` changes nothing: all of French is read alike.
    """
    found, skipped = spelling.tokens(spell_out(text))
    words = [part for token in found for part in _parts(token)]

    def read(index: int) -> str:
        before = words[index - 1].text.rstrip("'-") if index else ""
        following = words[index + 1] if index + 1 < len(words) else None
        return _sounds_in_context(before, words[index], following, foreign, skipped)

    # What a hyphen joins is said as words of their own ("grand-père"), but for "a-t-il" and "dix-sept".
    line = spelling.read_words(
        words, read, lambda token: token.text.endswith("'") or token.text in ("t-", "dix-")
    )
    return spelling.joined(line), skipped


def _parts(token: Token) -> Iterator[Token]:
    """Yield the words that a hyphen or an apostrophe joins; all but the last end in that sign."""
    known = _tables()[0]
    if token.text.rstrip("'") in known:  # "aujourd'hui'", with a closing quotation mark
        yield token
        return
    for part in spelling.parts(token, known, "[^']+'?"):
        yield from spelling.parts(part, known, "[^-]+-?")


def _sounds_in_context(
    before: str,
    token: Token,
    following: Token | None,
    foreign: Foreign,
    skipped: list[str],
) -> str:
    """Return a word's phonemes before the word that follows: with liaison."""
    word = token.text.rstrip("'-")
    known, unstressed, liaison, aspirated = _tables()
    if not token.is_acronym and spelling.is_english(word, _ENGLISH, known, unstressed):
        return spelling.foreign_word(Token(word, token.written.rstrip("'-")), foreign, skipped)
    sounds = _letter_by_letter(word) if token.is_acronym else _word(word)
    if not sounds:
        skipped.append(token.written)
    if following is None or not following.is_word:  # the last word before a pause is stressed
        return "tˈus" if word == "tous" else sounds if "ˈ" in sounds else _stressed(sounds)
    after = following.text.rstrip("'-")
    joins = after[0] in _VOWELS + "h" and after not in aspirated and not re.match(rf"y[{_VOWELS}]", after)
    if (
        joins
        and token.text.endswith("-")
        and after in ("il", "ils", "elle", "elles", "on")
        and word[-1] in "td"
        and word != "t"
    ):
        sounds += "t"
    elif word == "dix" and after in ("sept", "huit", "neuf"):
        sounds = "dˈi" if after == "sept" else "dˈiz"
    elif joins and word in _BEFORE_VOWEL and after not in ("et", "ou"):
        sounds = _BEFORE_VOWEL[word]
    elif joins and word == "neuf" and after in ("heures", "ans"):
        sounds = "nˈœv"
    elif (
        joins
        and word in liaison
        and after not in ("et", "ou")
        and not (word in _NUMERALS and (after in _NUMERALS or after in _NO_NOUNS))
    ):
        sounds += liaison[word]
    elif word == "vingt" and before != "quatre" and (after in _UNITS[2:10] or after == "et"):
        sounds = "vˈɛ̃t"
    elif not joins and word in _BEFORE_CONSONANT and after not in _MONTHS:
        sounds = _BEFORE_CONSONANT[word]
    return sounds


@cache
def _tables() -> tuple[dict[str, str], dict[str, str], dict[str, str], frozenset[str]]:
    """Return whole words with their readings, unstressed ones, liaison, and words with an aspirated h."""
    sections = spelling.exceptions("french")
    readings = sections["readings"] | sections["english words with a French reading"]
    return readings, sections["unstressed"], sections["liaison"], frozenset(sections["aspirated h"])


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    """Return a word's phonemes by itself."""
    readings, unstressed, _, _ = _tables()
    if word in readings:
        return readings[word]
    if word in unstressed:
        return unstressed[word]
    letters = spelling.known_letters(word, _ALPHABET)
    if letters and not re.search(f"[{_VOWELS}]", letters):
        return _letter_by_letter(letters)
    sounds = _RULES.sounds(_without_plural_of_verbs(letters))
    return _stressed(sounds if not sounds or _NUCLEUS.search(sounds) else sounds + "ə")


def _letter_by_letter(letters: str) -> str:
    return _stressed("".join(_LETTER_NAMES.get(letter, "") for letter in letters))


def _without_plural_of_verbs(word: str) -> str:
    """Return a word in -ent spelled as it sounds: "parlent" as "parle", "client" as "cliant"."""
    stem = re.fullmatch(r"(\w{2,}?)(ent)s?", word)
    if stem is None or _COMES.search(word):
        return word
    sections = spelling.exceptions("french")
    if word.endswith(("ment", "ments")):
        return stem[1] + "e" if word in sections["verbs in -ment"] else word
    if word.removesuffix("s") in sections["nouns and adjectives in -ent"]:
        return re.sub(r"c$", "ç", re.sub(r"sc$", "ss", re.sub(r"g$", "ge", stem[1]))) + "ant"
    return word if word.endswith("s") else stem[1] + "e"


def _stressed(sounds: str) -> str:
    """Put the stress before the last vowel that is no schwa."""
    vowels = list(_NUCLEUS.finditer(sounds))
    full = [vowel for vowel in vowels if vowel[0] != "ə"] or vowels
    return f"{sounds[: full[-1].start()]}ˈ{sounds[full[-1].start() :]}" if full else sounds
