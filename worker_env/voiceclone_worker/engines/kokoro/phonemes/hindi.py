"""Hindi: numbers, signs and abbreviations in words, then phonemes of Devanagari.

As espeak-ng writes Hindi, since Kokoro was trained with that: stress before the stressed vowel, a stressed schwa as ʌ,
aspiration as ʰ, long vowels with ː. The spelling does not show which inherent vowels are silent: they are by the usual
rule (Ohala 1983), the one at the end of a word and, from the right, every one between single consonants with vowels on
both sides. English words in Latin letters are read as English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from voiceclone_worker.engines.kokoro.phonemes import spelling
from voiceclone_worker.engines.kokoro.phonemes.alphabets import has_sound
from voiceclone_worker.engines.kokoro.phonemes.numbers import Match, Money, Rule, Speller, Wording, one_by_one
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign
from voiceclone_worker.engines.kokoro.phonemes.spelling import Token

_BELOW_100 = [
    "शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ", "दस", "ग्यारह", "बारह", "तेरह", "चौदह",
    "पंद्रह", "सोलह", "सत्रह", "अठारह", "उन्नीस", "बीस", "इक्कीस", "बाईस", "तेईस", "चौबीस", "पच्चीस", "छब्बीस",
    "सत्ताईस", "अट्ठाईस", "उनतीस", "तीस", "इकतीस", "बत्तीस", "तैंतीस", "चौंतीस", "पैंतीस", "छत्तीस", "सैंतीस",
    "अड़तीस", "उनतालीस", "चालीस", "इकतालीस", "बयालीस", "तैंतालीस", "चवालीस", "पैंतालीस", "छियालीस", "सैंतालीस",
    "अड़तालीस", "उनचास", "पचास", "इक्यावन", "बावन", "तिरपन", "चौवन", "पचपन", "छप्पन", "सत्तावन", "अट्ठावन",
    "उनसठ", "साठ", "इकसठ", "बासठ", "तिरसठ", "चौंसठ", "पैंसठ", "छियासठ", "सड़सठ", "अड़सठ", "उनहत्तर", "सत्तर",
    "इकहत्तर", "बहत्तर", "तिहत्तर", "चौहत्तर", "पचहत्तर", "छिहत्तर", "सतहत्तर", "अठहत्तर", "उन्यासी", "अस्सी",
    "इक्यासी", "बयासी", "तिरासी", "चौरासी", "पचासी", "छियासी", "सत्तासी", "अट्ठासी", "नवासी", "नब्बे",
    "इक्यानवे", "बानवे", "तिरानवे", "चौरानवे", "पचानवे", "छियानवे", "सत्तानवे", "अट्ठानवे", "निन्यानवे",
]  # fmt: skip
_SCALES = (
    (10**13, "नील"), (10**11, "खरब"), (10**9, "अरब"), (10**7, "करोड़"), (10**5, "लाख"), (10**3, "हज़ार"), (100, "सौ"),
)  # fmt: skip
_BEYOND = 10**15
_MONTHS = ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्टूबर", "नवंबर", "दिसंबर"]
_ORDINALS = {1: "पहला", 2: "दूसरा", 3: "तीसरा", 4: "चौथा", 6: "छठा"}


def cardinal(number: int) -> str:
    """Return a number in Hindi words, in lakh and crore; from 10**15 on, digit by digit."""
    if number >= _BEYOND:
        return one_by_one(str(number), cardinal)
    if number < 100:
        return _BELOW_100[number]
    scale, name = next(row for row in _SCALES if number >= row[0])
    count, rest = divmod(number, scale)
    return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int, ending: str = "ा") -> str:
    """Return an ordinal number in Hindi words; ``ending``: the sign of its last vowel, ा, ी or े."""
    if number in _ORDINALS:
        return _ORDINALS[number][:-1] + ending
    return cardinal(number) + {"ा": "वाँ", "ी": "वीं", "े": "वें"}[ending]


def _year(year: int) -> str:
    hundreds, rest = divmod(year, 100)
    if 11 <= hundreds <= 19:
        return f"{cardinal(hundreds)} सौ" + (f" {cardinal(rest)}" if rest else "")
    return cardinal(year)


def _date(day: int, month: int, year: int | None) -> str:
    return f"{cardinal(day)} {_MONTHS[month - 1]}" + (f" {_year(year)}" if year is not None else "")


def _clock(hour: int, minutes: int, seconds: int | None) -> str:
    """Return a time as it is said: quarters have words of their own up to twelve."""
    if seconds is None and 1 <= hour <= 12:
        if minutes == 0:
            return f"{cardinal(hour)} बजे"
        if minutes == 15:
            return f"सवा {cardinal(hour)} बजे"
        if minutes == 30:
            return f"{ {1: 'डेढ़', 2: 'ढाई'}.get(hour) or 'साढ़े ' + cardinal(hour) } बजे"
        if minutes == 45:
            return f"पौने {cardinal(hour % 12 + 1)} बजे"
    words = (
        f"{cardinal(hour)} बजे"
        if minutes == 0 and seconds is None
        else f"{cardinal(hour)} बजकर {cardinal(minutes)} मिनट"
    )
    return words + (f" {cardinal(seconds)} सेकंड" if seconds is not None else "")


_FRACTIONS = {(1, 2): "आधा", (1, 3): "एक तिहाई", (2, 3): "दो तिहाई", (1, 4): "एक चौथाई", (3, 4): "तीन चौथाई"}


def _fraction(top: int, bottom: int) -> str | None:
    return _FRACTIONS.get((top, bottom))


_UNITS_OF_MEASURE = {
    "%": ("प्रतिशत", "प्रतिशत"), "°C": ("डिग्री सेल्सियस", "डिग्री सेल्सियस"), "°F": ("डिग्री फ़ारेनहाइट", "डिग्री फ़ारेनहाइट"),
    "°": ("डिग्री", "डिग्री"), "km/h": ("किलोमीटर प्रति घंटा", "किलोमीटर प्रति घंटा"), "km": ("किलोमीटर", "किलोमीटर"),
    "किमी": ("किलोमीटर", "किलोमीटर"), "कि.मी.": ("किलोमीटर", "किलोमीटर"), "m²": ("वर्ग मीटर", "वर्ग मीटर"),
    "km²": ("वर्ग किलोमीटर", "वर्ग किलोमीटर"), "m": ("मीटर", "मीटर"), "cm": ("सेंटीमीटर", "सेंटीमीटर"),
    "mm": ("मिलीमीटर", "मिलीमीटर"), "kg": ("किलो", "किलो"), "किग्रा": ("किलोग्राम", "किलोग्राम"), "g": ("ग्राम", "ग्राम"),
    "mg": ("मिलीग्राम", "मिलीग्राम"), "l": ("लीटर", "लीटर"), "L": ("लीटर", "लीटर"), "ml": ("मिलीलीटर", "मिलीलीटर"),
    "h": ("घंटा", "घंटे"), "min": ("मिनट", "मिनट"), "s": ("सेकंड", "सेकंड"), "W": ("वाट", "वाट"), "kW": ("किलोवाट", "किलोवाट"),
    "V": ("वोल्ट", "वोल्ट"), "KB": ("किलोबाइट", "किलोबाइट"), "MB": ("मेगाबाइट", "मेगाबाइट"), "GB": ("गीगाबाइट", "गीगाबाइट"),
    "TB": ("टेराबाइट", "टेराबाइट"),
    "µm": ("माइक्रोमीटर", "माइक्रोमीटर"), "μm": ("माइक्रोमीटर", "माइक्रोमीटर"),
    "µg": ("माइक्रोग्राम", "माइक्रोग्राम"), "μg": ("माइक्रोग्राम", "माइक्रोग्राम"),
}  # fmt: skip
_RUPEE = Money("रुपया", "रुपये", "पैसा", "पैसे")
_MONEY = {
    "₹": _RUPEE, "INR": _RUPEE, "$": Money("डॉलर", "डॉलर", "सेंट", "सेंट"),
    "US$": Money("अमेरिकी डॉलर", "अमेरिकी डॉलर", "सेंट", "सेंट"), "€": Money("यूरो", "यूरो", "सेंट", "सेंट"),
    "£": Money("पाउंड", "पाउंड", "पेंस", "पेंस"), "¥": Money("येन", "येन"), "R$": Money("रियल", "रियल"),
    "NT$": Money("ताइवानी डॉलर", "ताइवानी डॉलर", "सेंट", "सेंट"),
    "HK$": Money("हांगकांग डॉलर", "हांगकांग डॉलर", "सेंट", "सेंट"),
    "A$": Money("ऑस्ट्रेलियाई डॉलर", "ऑस्ट्रेलियाई डॉलर", "सेंट", "सेंट"),
    "C$": Money("कनाडाई डॉलर", "कनाडाई डॉलर", "सेंट", "सेंट"),
    "S$": Money("सिंगापुर डॉलर", "सिंगापुर डॉलर", "सेंट", "सेंट"),
    "₽": Money("रूबल", "रूबल"), "₿": Money("बिटकॉइन", "बिटकॉइन"), "₩": Money("वॉन", "वॉन"),
}  # fmt: skip
_SIGNS = {
    "≤": "से कम या बराबर", "≥": "से अधिक या बराबर", "→": "से", "&": "और", "+": "प्लस", "=": "बराबर", "@": "ऐट", "#": "हैश",
    "×": "गुणा", "÷": "भाग", "±": "प्लस माइनस", "<": "से कम", ">": "से अधिक", "≠": "बराबर नहीं", "≈": "लगभग", "~": "लगभग",
    "∞": "अनंत", "√": "वर्गमूल", "§": "धारा", "©": "कॉपीराइट", "%": "प्रतिशत", "‰": "प्रति हज़ार", "°": "डिग्री", "²": "का वर्ग",
    "³": "का घन", "µ": "माइक्रो", "π": "पाई", "^": "की घात",
}  # fmt: skip
_ADDRESSES = {
    ".": "डॉट", "/": "स्लैश", "-": "डैश", "_": "अंडरस्कोर", "@": "ऐट", ":": "कोलन", "?": "प्रश्नचिह्न", "=": "बराबर",
    "&": "और", "#": "हैश", "%": "प्रतिशत", "~": "टिल्ड", "+": "प्लस",
}  # fmt: skip
_NOT_IN_WORD = r"(?![\u0900-\u0963])"


def _ordinal_in_digits(found: Match) -> str:
    return ordinal(int(found[1]), {"ी": "ी", "े": "े"}.get(found[2].rstrip("\u0902\u0901")[-1], "ा"))


def _first() -> Iterator[Rule]:
    yield from {
        r"डॉ\.": "डॉक्टर", r"प्रो\.": "प्रोफ़ेसर", r"कि\.\s?मी\.": "किलोमीटर", r"कि\.\s?ग्रा\.": "किलोग्राम", r"ई\.\s?पू\.": "ईसा पूर्व",
        r"सं\.(?=\s?\d)": "संख्या", r"पृ\.(?=\s?\d)": "पृष्ठ", r"मि\.(?=\s)": "मिस्टर", r"नं\.\s?(?=\d)": "नंबर ",
    }.items()  # fmt: skip
    yield (
        rf"(?<![\d,.])(\d{{1,3}})\s?-?(वाँ|वां|वा|वीं|वें|ला|ली|ले|रा|री|रे|था|थी|थे|ठा|ठी|ठे){_NOT_IN_WORD}",
        _ordinal_in_digits,
    )
    yield r"(?<![\w\u0900-\u0963])(?:रु|Rs)\.?\s?(?=\d)", "₹"
    yield rf"(?<=\d)\s?(?:रु\.?|Rs\.?)(?!\w){_NOT_IN_WORD}", " ₹"
    # Years: after a month or a word for year, or before "in, until, of".
    named = "|".join((*_MONTHS, "फरवरी", "सितम्बर", "नवम्बर", "दिसम्बर", "सन्", "सन", "वर्ष", "साल"))
    yield (
        rf"(?<![\u0900-\u0963])((?:{named}),? )(1[1-9]\d\d)(?![\d,.:])",
        lambda found: found[1] + _year(int(found[2])),
    )
    yield (
        rf"(?<![\d,.:])(1[1-9]\d\d)(?=\s?(?:में|ई\.|ईस्वी|तक|वाले){_NOT_IN_WORD})",
        lambda found: _year(int(found[1])),
    )
    yield r"(?<![\d,.])[6-9]\d{9}(?![\d,.])", lambda found: one_by_one(found.group(), cardinal)  # a telephone
    yield r"\s?/\s?(?=(?:सेकंड|मिनट|घंटा|दिन|माह|महीना|साल|व्यक्ति))", " प्रति "
    # Halves: one and a half, two and a half, others.
    yield r"(?<![\d,.])(\d+)\s?½|(?<![\d,./])(\d+) 1/2(?![\d/])", _and_a_half
    yield rf"(?<![\d:,.])(\d{{1,2}})\.(\d{{2}})(?=\s?बजे{_NOT_IN_WORD})", r"\1:\2"


def _and_a_half(found: Match) -> str:
    number = int(found[1] or found[2])
    return {1: "डेढ़", 2: "ढाई"}.get(number) or f"साढ़े {cardinal(number)}"


_speller = Speller(
    Wording(
        cardinal=cardinal, point="दशमलव", minus="माइनस", per="प्रति", to="से", over="बटा", times="गुणा",
        signs=_SIGNS, addresses=_ADDRESSES, units=_UNITS_OF_MEASURE, money=_MONEY,
        large={"हज़ार": "हज़ार", "लाख": "लाख", "करोड़": "करोड़", "अरब": "अरब", "खरब": "खरब", "मिलियन": "मिलियन", "बिलियन": "बिलियन"},
        date=_date, clock=_clock,
        clock_pattern=rf"(?<![\d:,.])(?P<hour>\d{{1,2}}):(?P<minutes>\d{{2}})(?::(?P<seconds>\d{{2}}))?(?![\d:])(?:\s?बजे{_NOT_IN_WORD})?",
        fractions=_fraction, half_after=lambda words, unit: f"{words} {unit}", groups=",", decimal=".",
        grouping=r"\d{1,3}(?:[GROUP]\d{2,3})*[GROUP]\d{3}", decimals=lambda mark, digits: f"दशमलव {one_by_one(digits, cardinal)}",
        first=tuple(_first()),
    )
)  # fmt: skip
_DIGITS = {ord("०") + digit: str(digit) for digit in range(10)}


def spell_out(text: str) -> str:
    """Return a Hindi text with every number, sign and common abbreviation in words; digits of either system."""
    return _speller(unicodedata.normalize("NFC", text).translate(_DIGITS))


_CONSONANTS = {
    "क": "k", "ख": "kʰ", "ग": "ɡ", "घ": "ɡʰ", "ङ": "ŋ", "च": "c", "छ": "cʰ", "ज": "ɟ", "झ": "ɟʰ", "ञ": "ɲ",
    "ट": "ʈ", "ठ": "ʈʰ", "ड": "ɖ", "ढ": "ɖʰ", "ण": "ɳ", "त": "t", "थ": "tʰ", "द": "d", "ध": "dʰ", "न": "n",
    "प": "p", "फ": "pʰ", "ब": "b", "भ": "bʰ", "म": "m", "य": "j", "र": "ɾ", "ल": "l", "व": "ʋ", "श": "ʃ",
    "ष": "ʂ", "स": "s", "ह": "h", "ळ": "l",
}  # fmt: skip
_WITH_NUKTA = {"क": "q", "ख": "x", "ग": "ɣ", "ज": "z", "फ": "f", "ड": "ɖ", "ढ": "ɖʰ", "झ": "ʒ"}
"""ड़ and ढ़ are flaps, ɽ. Kokoro says its ɽ as l, and ɖ between vowels as the flap (whisper writes it ڑ)."""
_VOWELS = {
    "अ": "ə", "आ": "aː", "इ": "ɪ", "ई": "iː", "उ": "ʊ", "ऊ": "uː", "ऋ": "ɾɪ", "ए": "eː", "ऐ": "ɛː", "ओ": "oː", "औ": "ɔː",
    "ऑ": "ɔː", "ऍ": "æ", "ऎ": "e", "ऒ": "o",
}  # fmt: skip
_SIGNS_OF_VOWELS = {
    "ा": "aː", "ि": "ɪ", "ी": "iː", "ु": "ʊ", "ू": "uː", "ृ": "ɾɪ", "े": "eː", "ै": "ɛː", "ो": "oː", "ौ": "ɔː", "ॉ": "ɔː",
    "ॅ": "æ", "ॆ": "e", "ॊ": "o",
}  # fmt: skip
_NUKTA, _VIRAMA = "\u093c", "\u094d"
_NASAL_SIGN, _NASAL_VOWEL, _BREATH = "\u0902", "\u0901", "\u0903"
_TILDE = "\u0303"
_HOMORGANIC = {
    **dict.fromkeys(("p", "b", "ʋ", ""), "m"), **dict.fromkeys("kɡqxɣ", "ŋ"), **dict.fromkeys("cɟ", "ɲ"),
    **dict.fromkeys("ʈɖ", "ɳ"),
}  # fmt: skip
"""The nasal behind an inherent vowel with a dot above, by the consonant that follows ("": none), else n; all other vowels
are nasal ones."""
_FREQUENT = {
    "है": "hɛː", "हैं": "hɛ̃", "में": "mẽː", "का": "kaː", "के": "keː", "को": "koː", "से": "seː", "ने": "neː", "की": "ki",
    "पर": "pˈʌɾ", "और": "ɔːɾ", "कि": "kˈɪ", "यह": "jˌəh", "वह": "ʋˌəh", "ये": "jeː", "वे": "ʋeː", "मैं": "mɛ̃", "ही": "hi",
    "भी": "bʰi", "तक": "tˌək", "हूँ": "hũ", "हूं": "hũ", "हो": "hoː", "था": "tʰaː", "थी": "tʰi", "थे": "tʰeː", "थीं": "tʰĩ",
    "एक": "ˈeːk", "नहीं": "nˈʌhĩ", "जनवरी": "ɟˈʌnʋəɾi", "फ़रवरी": "fˈʌɾʋəɾi", "फरवरी": "fˈʌɾʋəɾi", "सिंह": "sˈɪŋɡʰ",
}  # fmt: skip
"""Words that are not stressed, or not read by the rules."""
_ENGLISH_SOUNDS = str.maketrans({
    "A": "eː", "I": "aːɪ", "W": "aːʊ", "Y": "ɔːɪ", "O": "oː", "Q": "oː", "ᵊ": "ə", "ɜ": "ə", "æ": "ɛː", "ɑ": "aː",
    "ɔ": "ɔː", "ɛ": "e", "i": "iː", "u": "uː", "ɹ": "ɾ", "t": "ʈ", "T": "ʈ", "d": "ɖ", "θ": "tʰ", "ð": "d", "w": "ʋ",
    "v": "ʋ", "ʧ": "c", "ʤ": "ɟ", "ʒ": "ɟ",
})  # fmt: skip
"""English sounds as they are said in Hindi: t and d as retroflex ones, long vowels for diphthongs."""
_TOKEN = re.compile(
    r"[\u0900-\u0963\u0970-\u097f]+|[^\W\d_\u0900-\u097f](?:[^\W\d_\u0900-\u097f]|['’-](?=[^\W\d_]))*|[;:,.!?…—–\"“”()«»।॥]"
)


def to_phonemes(text: str, tag: str, foreign: Foreign) -> tuple[str, list[str]]:
    """Return a Hindi text in Kokoro's alphabet, and the words and signs in it that have no reading."""
    spelled = re.sub("[\u200c\u200d]", "", spell_out(text))
    line: list[str] = []
    skipped: list[str] = []
    position = 0
    for found in _TOKEN.finditer(spelled):
        skipped += filter(has_sound, spelled[position : found.start()])
        position = found.end()
        skipped += filter(str.isnumeric, found.group())  # a power or fraction that is not in words
        token = "".join(character for character in found.group() if not character.isnumeric()).lstrip("'’-")
        if not token:
            continue
        if "\u0900" <= token[0] <= "\u097f" and token not in "।॥":
            sounds = _FREQUENT.get(token) or _word(token)
            if not sounds:
                skipped.append(token)
            line.append(sounds)
        elif token[0].isalpha():
            english = spelling.foreign_word(Token(token.lower(), token), foreign, skipped)
            line.append(english.translate(_ENGLISH_SOUNDS))
        elif token[0].isnumeric():  # a power or fraction that is not in words
            skipped.append(token)
        else:
            line.append("." if token in "।॥" else spelling.mark(token))
    skipped += filter(has_sound, spelled[position:])
    return unicodedata.normalize("NFD", spelling.joined(line)).replace("c\u0327", "ç"), skipped


@dataclass
class _Letter:
    """A consonant (or none) with the vowel behind it (or none)."""

    consonant: str
    vowel: str
    is_inherent: bool = False
    nasal: str = ""


_DOTTED = """
फ़िल्म फ़ोन टेलीफ़ोन ऑफ़िस कॉफ़ी फ़ेसबुक फ़ीस फ़ैशन फ़ुटबॉल फ़ाइल फ़ाइनल फ़ैन फ़ंड फ़ोटो फ़र्म फ़्रांस अफ़्रीका अफ़ग़ानिस्तान साफ़ माफ़ सिर्फ़ तरफ़ काफ़ी फ़ैसला फ़ायदा
बर्फ़ तारीफ़ सफ़र सफ़ेद सफ़ाई दफ़्तर हफ़्ता मुफ़्त गिरफ़्तार गिरफ़्तारी अफ़सर अफ़सोस अफ़वाह फ़ौज फ़ौरन फ़र्क नफ़रत ख़िलाफ़ फ़िक्र ट्रैफ़िक प्रोफ़ेसर सॉफ़्टवेयर स्टाफ़ ग्राफ़ गोल्फ़
स्मार्टफ़ोन यूनिफ़ॉर्म प्लेटफ़ॉर्म फ़ॉर्म फ़ॉर्मूला इन्फ़ेक्शन ज़िंदगी ज़िन्दगी ज़िंदा ज़रूर ज़रूरत ज़रूरी ज़रा ज़्यादा बाज़ार ज़मीन आवाज़ चीज़ रोज़ रोज़ाना नाराज़ नाराज़गी मज़दूर मज़बूत मज़बूती मज़ा मज़ाक
हज़ार ज़माना ज़हर इजाज़त काग़ज़ अंदाज़ अंदाज़ा नज़र नज़दीक आज़ाद आज़ादी ताज़ा दरवाज़ा रोज़गार इंतज़ार इंतज़ाम तेज़ तेज़ी मेज़ ज़ोर अंग्रेज़ अंग्रेज़ी मरीज़ नमाज़ ज़िला ज़िम्मेदार
ज़िम्मेदारी वज़न मंज़िल मंज़ूर मंज़ूरी ब्राज़ील न्यूज़ीलैंड न्यूज़ क्रूज़ जहाज़ तूफ़ान ख़राब ज़बान सब्ज़ी ज़िक्र मेज़बान
"""
"""Words that are often written without the dot below, which changes फ and ज to f and z (क, ख and ग are mostly said so too)."""


_ENDING = re.compile(r"(?:[ािीेो]|ियों|ियाँ|ियां)?[\u0901\u0902]?")


@cache
def _dotted() -> dict[str, str]:
    """Return words with their dots by what is written without them; a last ा stands for every ending."""
    words = unicodedata.normalize("NFC", _DOTTED).split()
    words += [word[:-1] for word in words if word.endswith("ा")]
    return {re.sub(f"(?<=[फज]){_NUKTA}", "", word): word for word in words}


def _with_dots(word: str) -> str:
    """Return a word with the dots below that writers leave out: "जमीनें" with that of "ज़मीन"."""
    for size in range(len(word), max(1, len(word) - 5), -1):
        dotted = _dotted().get(word[:size])
        if dotted and _ENDING.fullmatch(word[size:]):
            return dotted + word[size:]
    return word


@lru_cache(maxsize=4096)
def _word(word: str) -> str:
    """Return a word's phonemes by itself."""
    letters = _letters(_with_dots(unicodedata.normalize("NFC", word)))
    closed = _closed_syllables(letters)
    if word.endswith("पति") and len(word) > len("पति"):  # the second half of a compound keeps its vowel
        letters[-2].is_inherent = False
    _silence_inherent_vowels(letters)
    sounds = [(letter.consonant, _nasal_vowel(letters, index)) for index, letter in enumerate(letters)]
    vowels = [index for index, (_, vowel) in enumerate(sounds) if vowel]
    if not vowels:
        return "".join(consonant for consonant, _ in sounds)
    stressed = _stressed_vowel(sounds, vowels, closed)
    said = ""
    for index, (consonant, vowel) in enumerate(sounds):
        if index == stressed:
            vowel = "ˈ" + ("ʌ" + vowel[1:] if vowel.startswith("ə") else vowel)
        if index == len(sounds) - 1 and vowel.endswith("iː"):
            vowel = vowel[:-1]
        said += consonant + vowel
    said = re.sub("^ə", "ʌ", said.replace("kʂ", "kʃ").replace("ɾɾ", "ɾ"))
    for doubled, written in _DOUBLED:
        said = doubled.sub(written, said)
    return said


def _split_vowel(sounds: str) -> tuple[str, str]:
    """Return the consonant with which a vowel letter or sign begins (that of ऋ: "ɾ" and "ɪ"), and its vowel."""
    vowel = sounds.removeprefix("ɾ")
    return sounds.removesuffix(vowel), vowel


_BEFORE_CONSONANT = {"ɾ": "r"}
_OBSTRUENTS = frozenset("kɡcɟʈɖtdpbqxɣfzsʃʂ")


def _letters(word: str) -> list[_Letter]:
    letters: list[_Letter] = []
    index = 0
    while index < len(word):
        character = word[index]
        index += 1
        if character in _CONSONANTS:
            sound = _CONSONANTS[character]
            if word[index : index + 1] == _NUKTA:
                sound, index = _WITH_NUKTA.get(character, sound), index + 1
            if word[index - 1 : index + 2] == "ज" + _VIRAMA + "ञ":
                sound, index = "ɡj", index + 2
            following = word[index : index + 1]
            if following == _VIRAMA:
                index += 1
                is_long = sound in ("k", "p", "t") and word[index : index + 1] == "य"
                letters.append(_Letter(f"{sound}ː" if is_long else _BEFORE_CONSONANT.get(sound, sound), ""))
            elif following in _SIGNS_OF_VOWELS:
                consonant, vowel = _split_vowel(_SIGNS_OF_VOWELS[following])
                letters.append(_Letter(sound + consonant, vowel))
                index += 1
            else:
                letters.append(_Letter(sound, "ə", is_inherent=True))
        elif character in _VOWELS:
            letters.append(_Letter(*_split_vowel(_VOWELS[character])))
        elif character in (_NASAL_SIGN, _NASAL_VOWEL) and letters:
            letters[-1].nasal = character
            letters[-1].is_inherent = False
        elif character == _BREATH:
            letters.append(_Letter("h", ""))
    return letters


def _silence_inherent_vowels(letters: list[_Letter]) -> None:
    """Silence the inherent vowel at the end, and from the right each one between single consonants and vowels."""
    if len(letters) > 1 and letters[-1].is_inherent:
        before, last = letters[-2], letters[-1]
        is_hard_cluster = not before.vowel and (
            last.consonant in ("ɾ", "ɳ", "j")
            or (last.consonant in ("n", "m", "l") and before.consonant[0] in _OBSTRUENTS)
        )
        if not is_hard_cluster:
            last.vowel = ""
        if last.consonant == "j" and before.is_inherent:
            before.vowel, before.is_inherent = "ɛ", False
    for index in range(len(letters) - 2, 0, -1):
        before, letter, after = letters[index - 1 : index + 2]
        follows_cluster = before.vowel == "" or (before.nasal == _NASAL_SIGN and before.vowel == "ə")
        is_between_vowels = not follows_cluster and after.vowel != "" and after.consonant != ""
        if (
            letter.is_inherent
            and is_between_vowels
            and not (after.is_inherent and index + 1 == len(letters) - 1)
        ):
            letter.vowel = ""


def _nasal_vowel(letters: list[_Letter], index: int) -> str:
    """Return a letter's vowel with the nasal above it, as a nasal vowel or with a nasal consonant behind it."""
    letter = letters[index]
    following = letters[index + 1].consonant[:1] if index + 1 < len(letters) else ""
    if letter.nasal == _NASAL_SIGN and letter.vowel == "ə":
        return letter.vowel + _HOMORGANIC.get(following, "n")
    if letter.nasal:
        vowel = {"ɪ": "i", "ʊ": "u"}.get(letter.vowel, letter.vowel.removesuffix("ː"))
        return vowel + _TILDE + ("ː" if letter.vowel == "eː" else "")
    return letter.vowel


_DOUBLED = (
    (re.compile(r"([td])\1(ʰ?)"), r"\1\2ː"),
    (re.compile(r"([kɡcɟp])\1(?!ʰ)"), r"\1ː"),
    (re.compile(r"([cʈ])\1ʰ"), r"\1ʰ\1ʰ"),
)
"""How espeak-ng writes doubled consonants; the others (ʈʈ, bb, kkʰ) stay as they are."""


def _closed_syllables(letters: Sequence[_Letter]) -> frozenset[int]:
    """Return the letters whose vowel stands before a nasal or a consonant that is written without a vowel."""
    return frozenset(
        index
        for index, (letter, after) in enumerate(pairwise(letters))
        if letter.vowel and (letter.nasal or not after.vowel)
    )


def _stressed_vowel(sounds: Sequence[tuple[str, str]], vowels: Sequence[int], closed: Container[int]) -> int:
    """Return the vowel with the stress: of a last syllable that is long and closed, or closed by two consonants; else the
    last one before the last syllable that is long or closed; else the first (after Pandey 1989).
    """
    last = vowels[-1]
    closing = len(sounds) - 1 - last + len(sounds[last][1].rstrip("ː" + _TILDE)) - 1
    if closing > 1 or (closing == 1 and _is_long(sounds[last][1])):
        return last
    return next(
        (index for index in reversed(vowels[:-1]) if _is_long(sounds[index][1]) or index in closed), vowels[0]
    )


def _is_long(vowel: str) -> bool:
    return "ː" in vowel or _TILDE in vowel
