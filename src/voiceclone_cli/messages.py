"""The language in which people are addressed: the report, and what a command says on stderr.

The code, the documents that it writes and JSON are in English. What people read is translated on its way out, with
the catalogue of the language that was chosen: one file, ``catalogues/LANGUAGE.json``, and none for English. What a
catalogue does not have stays English.
"""

from __future__ import annotations

import json
import locale
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

ENGLISH, CHINESE = "en", "zh"
LANGUAGES = (ENGLISH, CHINESE)

_PLACEHOLDER = re.compile(r"\{([+#!,@]?)(\w+)\}")
_VALUES = {"": ".*?", "+": ".+?", "#": r"[-+−]?\d[\d.,]*%?", ",": ".+?", "@": r"\S+"}
"""What a placeholder stands for: any text, a name or a sentence to translate, a number, a list of the user's names, a
word."""
_TAGGED = re.compile(r"(.+) \(([A-Za-z0-9-]+)\)")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_SHORTENED = re.compile(r"(.*?)[,;]? and ([\d,]+) more", re.DOTALL)
"""A list that is not printed as a whole."""


@dataclass(frozen=True)
class Catalogue:
    """Texts of one language by their English ones."""

    language: str = ENGLISH
    tag: str = "en"
    """BCP 47 tag, for HTML."""
    page: Mapping[str, str] = field(default_factory=dict)
    """Texts in the source of the report's page; {0}, {1} stand for the expressions in them."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the code names by an English word: states, flags, stages, sources."""
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Sentences and lines, with {name} for what differs, {#name} for a number, {@name} for a word, {+name} for a name or a sentence
    that is translated itself, and {,names} for a list of which only the end, "and 3 more", is. In a translation,
    {!code} is what the error of this code means."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What an error means and what to do, by its code."""
    shortened: str = "{names} and {number} more"
    """A list of names of which some are left out."""

    def name(self, english: str) -> str:
        """Return the translation of a name."""
        return self.names.get(english, english)

    def sentence(self, english: str) -> str:
        """Return the translation of a sentence, a name or a list of either, with the spaces around it.

        Names of a list have commas between them, sentences semicolons.
        """
        text = english.strip()
        if not text or not self.sentences:
            return english
        translated = self._listed(text) or self._in_a_row(text) or self._translated(text)
        return english if translated is None else english.replace(text, translated, 1)

    def error(self, code: str, message: str) -> str:
        """Return what an error means, followed by its English message, which has the details."""
        meaning = self.meaning(code, message)
        return f"{meaning}（{code}）\n  {message}" if meaning == self.errors.get(code) else meaning

    def meaning(self, code: str, message: str) -> str:
        """Return what an error means and what to do, in one sentence."""
        translated = self.sentence(message)
        return self.errors.get(code, message) if translated == message else translated

    def _listed(self, text: str) -> str | None:
        """Return the translation of names with commas between them; None where one of them is not known."""
        found = []
        for part in text.split(", "):
            name = self._name_with_tag(part)
            if name is None and part != text:
                name = self._translated(part)
            if name is None:
                return None
            found.append(name)
        return "、".join(found)

    def _name_with_tag(self, text: str) -> str | None:
        """Return the translation of a name, also of one with a tag: "Spanish (es-419)"."""
        name = self.names.get(text.replace("_", " "))
        if name is None and (found := _TAGGED.fullmatch(text)) and found[1] in self.names:
            name = f"{self.names[found[1]]}（{found[2]}）"
        return name

    def _in_a_row(self, text: str) -> str | None:
        """Return the translation of sentences with semicolons between them; None where one of them is not known."""
        parts = text.split("; ")
        found = [self._listed(part) or self._translated(part) for part in parts] if len(parts) > 1 else [None]
        return None if None in found else "；".join(filter(None, found))

    def _translated(self, text: str) -> str | None:
        for pattern, translation in self._patterns:
            if found := pattern.fullmatch(text):
                return self._filled(translation, found.groupdict())
        return None

    def _filled(self, translation: str, values: Mapping[str, str]) -> str:
        def value(placeholder: re.Match[str]) -> str:
            text = values[placeholder[2]]
            if placeholder[1] == "!":
                return self.errors.get(text, "")
            if placeholder[1] == "," and (cut := _SHORTENED.fullmatch(text)):
                return self.shortened.format(names=cut[1], number=cut[2])
            text = self.sentence(text) if placeholder[1] == "+" else text
            # Between a Chinese character and a letter or number stands a space.
            before = translation[: placeholder.start()][-1:]
            return (
                f" {text}" if _CHINESE.match(before) and text[:1].isascii() and text[:1].isalnum() else text
            )

        return _PLACEHOLDER.sub(value, translation)

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Patterns of the English sentences, those that begin with the most fixed text first."""
        return [
            (_pattern(english), self.sentences[english]) for english in sorted(self.sentences, key=_fixed)
        ]


def _fixed(template: str) -> tuple[int, int]:
    """Return how much of a template is fixed text, at its start and in all; less than zero, to sort by."""
    return -len(_PLACEHOLDER.split(template, 1)[0]), -len(_PLACEHOLDER.sub("", template))


def _pattern(template: str) -> re.Pattern[str]:
    parts, end = [], 0
    for name in _PLACEHOLDER.finditer(template):
        parts += [re.escape(template[end : name.start()]), f"(?P<{name[2]}>{_VALUES[name[1]]})"]
        end = name.end()
    return re.compile("".join([*parts, re.escape(template[end:])]), re.DOTALL)


def placeholders(template: str) -> Iterator[str]:
    """Yield the names of what differs in a template."""
    return (name[2] for name in _PLACEHOLDER.finditer(template))


@lru_cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language; that of English is empty."""
    if language == ENGLISH:
        return ENGLISH_TEXTS
    from importlib.resources import files

    text = files("voiceclone_cli").joinpath("catalogues", f"{language}.json").read_text(encoding="utf-8")
    return Catalogue(language, **json.loads(text))


MAX_NAMED = 8
"""Lines, speakers or files that a sentence names; of the others it says how many there are."""


def listed(names: Sequence[str], more: int = 0, *, between: str = ", ") -> str:
    """Return "0001, 0002 and 5 more": the first MAX_NAMED of these names, and how many others there are.

    The names come in the order in which people look for them. ``more``: others that are not among them.
    """
    more += len(names[MAX_NAMED:])
    return between.join(names[:MAX_NAMED]) + (f" and {more:,} more" if more else "")


ENGLISH_TEXTS = Catalogue()
_chosen: list[str] = []


def choose(language: str | None) -> None:
    """Choose the language of this process; None leaves it to the locale."""
    _chosen[:] = [language] if language else []


def current() -> Catalogue:
    """Return the catalogue of the language that was chosen, else of the locale's."""
    return catalogue(_chosen[0] if _chosen else locale_language())


def locale_language(environ: Mapping[str, str] = os.environ) -> str:
    """Return the language of the user's locale, as GNU gettext finds it; on Windows that of the system."""
    set_to = next(filter(None, map(environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    if set_to.partition(".")[0] in ("C", "POSIX"):
        return ENGLISH
    if set_to:
        # A list of languages, which counts where the locale is any but C.
        set_to = environ.get("LANGUAGE", "").partition(":")[0] or set_to
    elif os.name == "nt":
        set_to = locale.getlocale()[0] or ""
    return CHINESE if set_to.lower().startswith(("zh", "chinese")) else ENGLISH
