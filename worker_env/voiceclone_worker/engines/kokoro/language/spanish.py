"""Spanish spelling to Kokoro's phonemes. The spelling says nearly all: sounds, syllables and stress.

Written as espeak-ng would, since Kokoro learned Spanish from it: stress stands before the stressed
vowel, b d g soften between open sounds, falling diphthongs are one symbol where Kokoro has one.
"""

from __future__ import annotations

import re
import unicodedata

from voiceclone_worker.engines.kokoro.language import spanish_numbers

_TOKEN = re.compile(r"[^\W\d_]+|[;:,.!?…—–\"“”()«»]")
_PUNCTUATION = frozenset(';:,.!?…—–"“”()«»')
_MARKS = {"–": "—", "«": "“", "»": "”"}
_ACCENTS = dict(zip("áéíóú", "aeiou", strict=True))
_UNSTRESSED = frozenset([
    "el", "la", "los", "las", "lo", "un", "al", "del", "de", "que", "y", "e", "o", "u", "ni", "en", "a",
    "por", "con", "sin", "se", "me", "te", "le", "les", "nos", "os", "mi", "mis", "tu", "tus", "su",
    "sus", "si",
])  # fmt: skip
"""Words that lean on the next one."""
_LIGHT = frozenset(
    ["para", "sobre", "desde", "hasta", "entre", "pero", "como", "porque", "aunque", "donde", "cuando"]
)
"""Words with a light stress only, on their first syllable."""
_SPECIAL = {
    "méxico": "méjico",
    "mexicano": "mejicano",
    "mexicana": "mejicana",
    "texas": "tejas",
    "oaxaca": "oajaca",
}
"""Written with the x of old."""
_LETTERS = {
    "f": "f", "k": "k", "q": "k", "l": "l", "m": "m", "n": "n", "ñ": "ɲ", "p": "p", "s": "s", "t": "t", "w": "w",
    "b": "b", "v": "b", "d": "d", "g": "ɡ", "j": "x", "c": "k", "ç": "s", "h": "",
}  # fmt: skip
_FALLING = {"ai": "I", "au": "W", "ei": "A", "eu": "eʊ", "oi": "oɪ", "ou": "O"}
_MARKED = " ˈˌ"
_SOFT = {"b": "β", "d": "ð", "ɡ": "ɣ"}
_VOWELS = "aeiouáéíóú"
_NASAL = re.compile(r"n(?= ?[pbmf])")


def to_phonemes(text: str, *, seseo: bool = False) -> str:
    """``text`` in Kokoro's alphabet. ``seseo``: z and soft c as s, ll as y, as in the Americas."""
    spelled = unicodedata.normalize("NFC", spanish_numbers.spell_out(text)).lower()
    phonemes = ""
    for token in _TOKEN.findall(spelled):
        if token[0].isalpha():
            phonemes += (" " if phonemes else "") + _word(token, seseo=seseo)
        elif token in _PUNCTUATION:
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
    """One entry a consonant, glide or vowel; an accented vowel carries ´."""
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
    """The sound of the consonant at ``index`` and how many letters write it."""
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
    """A run of vowels as glides and nuclei: weak i and u lean on the vowel beside them."""
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
    """b, d and g are stops after a pause and a nasal (d after l too), and soft elsewhere, across words as well."""
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
