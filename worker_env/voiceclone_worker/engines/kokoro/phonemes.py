"""Text to phonemes in Kokoro's alphabet, and phonemes to tokens.

English uses hibari (Apache-2.0; misaki's rules, with which Kokoro was trained), Spanish the rules below, every other
language the espeak-ng program where it is installed; a program and never a library, since it is GPL. Chinese and
Japanese would need Kokoro's own tone and mora alphabets, which espeak-ng does not write.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from voiceclone_worker.engines.base import EngineError, SegmentError

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:—])\s+")
_BLANK = re.compile(r"\s+")
_UNSUPPORTED = ("zh", "cmn", "yue", "ja", "ko")
_lock = threading.Lock()


def to_phonemes(text: str, language: str) -> str:
    """Return ``text`` in Kokoro's alphabet. ``language`` is a BCP 47 code ("en", "en-GB", "es-MX", "fr").

    Raises SegmentError: "nothing_to_speak" for a text without a sound, "language" for an unsupported language.
    """
    words = " ".join(text.split())
    if not any(character.isalnum() for character in words):
        raise SegmentError("nothing_to_speak", f"there is nothing to speak in {text!r:.60}.")
    code = language.lower().replace("_", "-")
    family = code.partition("-")[0]
    if family == "en":
        phonemes = _english(words, british=code in ("en-gb", "en-uk"))
    elif family == "es":
        phonemes = spanish_phonemes(words, seseo=code not in ("es", "es-es"))
    elif family in _UNSUPPORTED:
        raise SegmentError(
            "language", f'the kokoro engine cannot read "{language}": use --engine fish for this language.'
        )
    else:
        phonemes = espeak_phonemes(words, code)
    if not any(character.isalpha() for character in phonemes):
        raise SegmentError("nothing_to_speak", f"there is nothing to speak in {text!r:.60}.")
    return phonemes


def to_tokens(phonemes: str) -> list[int]:
    """Return the ids of the symbols that Kokoro knows, without the others."""
    ids = vocabulary()
    return [ids[symbol] for symbol in phonemes if symbol in ids]


def split(phonemes: str, limit: int) -> list[str]:
    """Split ``phonemes`` into parts of at most ``limit`` symbols.

    They are cut at sentence ends, else at clause ends, else at blanks, and inside a word only when it alone is longer.
    """
    return _split(phonemes.strip(), limit, (_SENTENCE_END, _CLAUSE_END, _BLANK))


@cache
def vocabulary() -> dict[str, int]:
    """Return the ids of Kokoro's symbols."""
    path = Path(__file__).parent / "data" / "vocab.json"
    symbols: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return symbols


def _split(phonemes: str, limit: int, cuts: tuple[re.Pattern[str], ...]) -> list[str]:
    if len(phonemes) <= limit:
        return [phonemes] if phonemes else []
    if not cuts:
        return [phonemes[start : start + limit] for start in range(0, len(phonemes), limit)]
    joined: list[str] = []
    for part in cuts[0].split(phonemes):
        if joined and len(joined[-1]) + 1 + len(part) <= limit:
            joined[-1] = f"{joined[-1]} {part}"
        else:
            joined += _split(part, limit, cuts[1:])
    return joined


def _english(text: str, *, british: bool) -> str:
    from hibari.tts import Hibari

    with (
        _lock
    ):  # the lexicon is loaded once, and its network for unknown words is not known to be thread-safe
        read = _english_reader(british)
        sentences = (read(sentence) for sentence in Hibari.split_sentences(text))
        return " ".join(phonemes for phonemes in sentences if phonemes)


@cache
def _english_reader(british: bool) -> Any:
    try:
        from hibari.g2p import G2P
    except ImportError as error:
        raise EngineError("package_missing", f"English text needs hibari-tts ({error}).") from error
    return G2P(british=british)


_VOICES = {"fr": "fr-fr", "pt": "pt-br", "pt-pt": "pt", "it": "it", "hi": "hi", "no": "nb"}
_TIMEOUT_SECONDS = 30
_ESPEAK_PUNCTUATION = re.compile(r"([;:,.!?—…\"“”()]+)(?=\s|$)|\s([—–-])\s|([¿¡«»“”\"()])")
# Kokoro was trained with misaki, which writes these ties of espeak-ng as one symbol.
_MERGED = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "ɔ^ɪ": "Y",
    "d^z": "ʣ", "d^ʒ": "ʤ", "t^s": "ʦ", "t^ʃ": "ʧ", "s^s": "S",
}  # fmt: skip
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")


def espeak_phonemes(text: str, language: str) -> str:
    """Return ``text`` in Kokoro's alphabet with its punctuation. Raises SegmentError ``language``."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise SegmentError(
            "language",
            f'reading "{language}" needs the espeak-ng program: install it (apt, brew or winget install '
            "espeak-ng) or use --engine fish.",
        )
    voice = _VOICES.get(language, _VOICES.get(language.partition("-")[0], language))
    phonemes = ""
    for part in _ESPEAK_PUNCTUATION.split(text):
        if part and not part.isspace():
            has_words = any(character.isalnum() for character in part)
            phonemes += " " + _ipa(program, voice, language, part) if has_words else _punctuation(part)
    return re.sub(r"\s+", " ", phonemes).strip()


def _ipa(program: str, voice: str, language: str, text: str) -> str:
    command = [program, "-q", "-b", "1", "-v", voice, "--ipa", "--tie=^", "--stdin"]
    try:
        answer = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SegmentError("language", f"espeak-ng did not answer ({error}).") from error
    if answer.returncode != 0:
        raise SegmentError(
            "language", f'espeak-ng cannot read "{language}": use a language it lists, or --engine fish.'
        )
    phonemes = _LANGUAGE_SWITCH.sub("", " ".join(answer.stdout.decode("utf-8", "replace").split()))
    for tied, symbol in _MERGED.items():
        phonemes = phonemes.replace(tied, symbol)
    return phonemes.replace("^", "").replace("-", "")


def _punctuation(marks: str) -> str:
    marks = "".join(mark for mark in marks if mark not in '¿¡"')
    if marks and marks in "–-":
        return " —"
    return {"«": " “", "»": "”"}.get(marks, marks)


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
    """Return a Spanish text with every number, currency sign and common abbreviation in words."""
    for pattern, word in _WORDS.items():
        text = re.sub(pattern, word, text, flags=re.IGNORECASE)
    text = re.sub(r"([€$£])\s?(\d[\d.,]*\d|\d)", r"\2 \1", text)
    text = re.sub(r"\b(\d{1,2}):(\d{2})\b", lambda time: f"{int(time[1])} {_minutes(time[2])}", text)
    text = _NUMBER.sub(lambda number: f" {_number(number.group(), text[number.end() :])} ", text)
    for sign, word in _UNITS_AFTER.items():
        text = re.sub(re.escape(sign), f" {word} ", text, flags=re.IGNORECASE)
    return re.sub(r"\s+([,.;:!?…])", r"\1", re.sub(r"\s+", " ", text)).strip()


def cardinal(number: int) -> str:
    """Return a number from 0 to 999,999,999,999 in Spanish words."""
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
    # "veintiuno" loses its o before a noun.
    if words.endswith("veintiuno"):
        return words[:-3] + "ún"
    return words[:-1] if words.endswith("uno") else words


def _minutes(digits: str) -> str:
    return {"00": "en punto", "15": "y cuarto", "30": "y media"}.get(digits, f"y {int(digits)}")


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


def spanish_phonemes(text: str, *, seseo: bool = False) -> str:
    """Return a Spanish text in Kokoro's alphabet. ``seseo``: z and soft c as s, ll as y, as in the Americas.

    As espeak-ng writes it, since Kokoro was trained with that: stress is written before the stressed vowel, b d g
    soften between open sounds, falling diphthongs are one symbol where Kokoro has one.
    """
    spelled = unicodedata.normalize("NFC", spell_out(text)).lower()
    phonemes = ""
    for token in _TOKEN.findall(spelled):
        if token[0].isalpha():
            phonemes += (" " if phonemes else "") + _word(token, seseo=seseo)
        elif token in _SPANISH_PUNCTUATION:
            phonemes += _MARKS.get(token, token) if phonemes else ""
    return _soften(_NASAL.sub("m", phonemes))


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
