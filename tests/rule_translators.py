"""Translators for tests that follow a rule, well or badly, in this process: what the stage does with their answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Self

from voiceclone_cli.translation.translator import (
    Line,
    TokenCount,
    TranslatedLine,
    TranslationRequest,
)

WORDS = [
    "la",
    "casa",
    "de",
    "mi",
    "hermano",
    "está",
    "cerca",
    "del",
    "mar",
    "y",
    "hoy",
    "hace",
    "mucho",
    "calor",
    "en",
    "toda",
    "la",
    "ciudad",
    "así",
    "que",
    "vamos",
    "a",
    "comer",
    "juntos",
    "porque",
    "nadie",
    "quiere",
    "quedarse",
    "solo",
    "cuando",
    "empieza",
    "la",
    "fiesta",
    "de",
    "los",
    "vecinos",
]


def spanish(text: str) -> str:
    """Return as many Spanish words as a text has, its names and numbers where they were."""
    found = re.findall(r"\w+|[^\w\s]", text)
    start = sum(map(ord, text))
    words = []
    for at, word in enumerate(found):
        is_name = (at > 0 and word[:1].isupper()) or any(map(str.isdigit, word))
        is_word = word[0].isalnum() and not is_name
        words.append(WORDS[(start + at) % len(WORDS)] if is_word else word)
    return re.sub(r" (?=[.,!?;:])", "", " ".join(words)).capitalize()


def within_budget(line: Line) -> str:
    """Return a translation of whole words that honours the budget of a line."""
    text = spanish(line.text)
    while line.budget is not None and len(text) > line.budget and " " in text:
        text = text.rpartition(" ")[0]
    return text


class RuleTranslator:
    """Answers each request with what ``rule`` makes of its lines."""

    name = "rule"
    destination = "this computer"

    def __init__(
        self,
        rule: Callable[[TranslationRequest], Sequence[TranslatedLine]] | None = None,
        identity: str = "rule/1",
        at_once: int = 1,
    ) -> None:
        self.identity, self.at_once = identity, at_once
        self.requests: list[TranslationRequest] = []
        self._rule = rule or (lambda request: each_line(request, lambda line: spanish(line.text)))

    @property
    def usage(self) -> TokenCount:
        return TokenCount(10 * len(self.requests), 5 * len(self.requests))

    def translate(self, request: TranslationRequest) -> tuple[TranslatedLine, ...]:
        self.requests.append(request)
        return tuple(self._rule(request))

    def close(self) -> None:
        """Nothing was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def each_line(request: TranslationRequest, text_of: Callable[[Line], str]) -> list[TranslatedLine]:
    """Return an answer with each line's text by a rule."""
    return [TranslatedLine(line.id, text_of(line)) for line in request.lines]
