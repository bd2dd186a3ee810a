"""What languages read by rules of spelling share: tables of exceptions, ordered rules, words and marks of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from voiceclone_worker.engines.kokoro.phonemes.alphabets import has_sound
from voiceclone_worker.engines.kokoro.phonemes.registry import Foreign

PUNCTUATION = frozenset(';:,.!?…—–"“”()«»')
_MARKS = {"–": "—", "«": "“", "»": "”"}
_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*['’]?|[;:,.!?…—–\"“”()«»]")
_SECTION = re.compile(r"\[(.+)\]")
_LONGEST_ACRONYM = 3
_SAID_WHOLE = frozenset({"ONU", "UE", "OK", "NON", "OUI", "SIM", "NÃO", "PIN"})
_NO_BASE = {
    "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "þ": "th", "ð": "d", "ı": "i", "ħ": "h", "ŋ": "ng", "ĸ": "k",
}  # fmt: skip
"""Letters of other Latin alphabets that have no base letter in Unicode."""


@cache
def exceptions(language: str) -> dict[str, dict[str, str]]:
    """Return a language's tables of exceptions, ``data/<language>.txt``, by the name of the section.

    "#" begins a comment. A section is a list of words, or of pairs "word = reading"; in a list each word has an empty
    reading.
    """
    path = Path(__file__).parent / "data" / f"{language}.txt"
    sections: dict[str, dict[str, str]] = {}
    table: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        content = line.partition("#")[0].strip()
        if section := _SECTION.fullmatch(content):
            table = sections.setdefault(section[1], {})
        elif "=" in content:
            word, _, reading = content.partition("=")
            table[word.strip()] = reading.strip()
        else:
            table.update(dict.fromkeys(content.split(), ""))
    return sections


class Rules:
    """Spelling to sounds: at each letter the first rule that fits is used, and the next letter not in it follows.

    A rule is a pattern, which may look behind and ahead in the word, and the sounds of what it matches ("=": its first
    letter). Rules are tried in the order given, only those for the letter in question.
    """

    def __init__(self, rules: Iterable[tuple[str, str, str]], classes: dict[str, str]) -> None:
        """Take triples (first letters, pattern, sounds); names in capitals in a pattern are replaced by ``classes``."""
        self._by_letter: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for letters, pattern, sounds in rules:
            for name, characters in classes.items():
                pattern = pattern.replace(name, characters)
            compiled = re.compile(pattern)
            for letter in letters:
                self._by_letter.setdefault(letter, []).append((compiled, sounds))

    def sounds(self, word: str) -> str:
        """Return the sounds of a word; letters without a rule are silent."""
        found = ""
        position = 0
        while position < len(word):
            for pattern, sounds in self._by_letter.get(word[position], ()):
                match = pattern.match(word, position)
                if match and match.end() > position:
                    found += sounds.replace("=", word[position])
                    position = match.end()
                    break
            else:
                position += 1
        return found


@dataclass(frozen=True)
class Token:
    """A word in small letters, or a mark."""

    text: str
    written: str
    is_acronym: bool = False
    """Whether it is said letter by letter: up to three capitals in a text that is not all capitals."""

    @property
    def is_word(self) -> bool:
        """Whether it is a word."""
        return self.text[0].isalpha()


def tokens(text: str) -> tuple[list[Token], list[str]]:
    """Return the words and marks of a text, and the signs in it that are neither."""
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    found: list[Token] = []
    skipped: list[str] = []
    position = 0
    shouted = text.isupper()
    for match in _TOKEN.finditer(text):
        skipped += filter(has_sound, text[position : match.start()])
        position = match.end()
        skipped += filter(str.isnumeric, match.group())  # a power or fraction that is not in words
        word = "".join(character for character in match.group() if not character.isnumeric()).lstrip("'-")
        if not word:
            continue
        is_acronym = (
            not shouted and 1 < len(word) <= _LONGEST_ACRONYM and word.isupper() and word not in _SAID_WHOLE
        )
        found.append(Token(word.lower(), word, is_acronym))
    skipped += filter(has_sound, text[position:])
    return found, skipped


def parts(token: Token, whole: Container[str], pattern: str) -> Iterator[Token]:
    """Yield the parts of a word that fit ``pattern``: what a hyphen or an apostrophe joins. A word in ``whole`` stays."""
    if not token.is_word or token.text in whole:
        yield token
        return
    for part in re.findall(pattern, token.written):
        yield Token(part.lower(), part, token.is_acronym)


def read_words(
    words: Sequence[Token], read: Callable[[int], str], elides: Callable[[Token], bool] = lambda token: False
) -> list[str]:
    """Return the sounds of each word, which ``read`` returns by its place, and the marks between them.

    A word that ``elides`` is one with the next: their sounds stand together.
    """
    line: list[str] = []
    elided = False
    for index, token in enumerate(words):
        sounds = read(index) if token.is_word else mark(token.text)
        if elided and line and token.is_word:
            line[-1] += sounds
        else:
            line.append(sounds)
        elided = token.is_word and elides(token)
    return line


def letter_names(letters: str, names: Mapping[str, str], *, stressed: int = -1) -> str:
    """Return the names of letters as one word with the stress on its last vowel, or on ``stressed`` of its vowels."""
    word = "".join(names.get(letter, "") for letter in letters)
    vowels = [match.start() for match in re.finditer("[aeiouɛɔ]", word)]
    place = vowels[max(stressed, -len(vowels))] if vowels else len(word)
    return f"{word[:place]}ˈ{word[place:]}" if vowels else word


def is_english(word: str, pattern: re.Pattern[str], *known: Container[str]) -> bool:
    """Return whether a word that is not in ``known`` is spelled as in English, which ``pattern`` finds."""
    return len(word) > 2 and bool(pattern.search(word)) and not any(word in table for table in known)


def mark(sign: str) -> str:
    """Return a mark as Kokoro knows it."""
    return _MARKS.get(sign, sign)


def known_letters(word: str, alphabet: str) -> str:
    """Return a word in a language's own letters: others lose their accents ("ř" as "r")."""
    if all(letter in alphabet for letter in word):
        return word
    kept = ""
    for letter in word:
        if letter in alphabet:
            kept += letter
        else:
            base = _NO_BASE.get(letter) or unicodedata.normalize("NFKD", letter)[0]
            kept += "".join(part for part in base if part in alphabet)
    return kept


def foreign_word(token: Token, foreign: Foreign, skipped: list[str]) -> str:
    """Return the phonemes of an English word in a text, and put what has none into ``skipped``."""
    phonemes, unread = foreign(token.written)
    skipped += unread
    return phonemes.strip()


def joined(parts: Iterable[str]) -> str:
    """Join words and marks: no blank before a closing mark and behind an opening one."""
    line = ""
    for part in parts:
        if part in PUNCTUATION and part not in "“(":
            line += part if line else ""
        elif part:
            line += part if not line or line[-1] in "“(" else f" {part}"
    return line
