"""The interface of translators: a batch of lines goes out, and what came back for it is returned, unchecked.

- `TranslationRequest` holds the lines to translate (`Line`), those around them (`ContextLine`) and a glossary (`Term`).
- `Translator.translate` returns a `TranslatedLine` for all that came back, or raises `TranslatorError`, whose
  `Failing` says what it means for the next request.
- `Translator.usage` is a `TokenCount`.

A translator is used by one thread, or by as many as it takes requests at a time (`Translator.at_once`). What may pass (a busy server, a program that ended) it tries again itself, within
limits. It checks types and sizes of an answer and nothing else: whether each id came back once, in the right language,
is up to the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from voiceclone_cli.errors import RunError

MAX_ANSWER_BYTES = 4_000_000
"""Size of an answer; a larger one is no translation of a batch of lines."""

MAX_TEXT_CHARACTERS = 10_000
"""Length of a translated line; no line of a script is that long."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to translate."""

    id: str
    speaker: str
    text: str
    budget: int | None = None
    """Most characters of the translation, in the target language; None: no limit."""


@dataclass(frozen=True, slots=True)
class ContextLine:
    """A line before or after those to translate."""

    speaker: str
    text: str
    translation: str | None = None
    """Its translation, where it is known already."""


@dataclass(frozen=True, slots=True)
class Term:
    """An entry of the glossary."""

    term: str
    translation: str | None = None
    """None: it is never translated."""


class Tone(StrEnum):
    """How people are addressed in the translation."""

    FORMAL = "formal"
    INFORMAL = "informal"


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """Lines to translate together."""

    source: str
    """BCP 47 tag of the language of the lines."""
    target: str
    """BCP 47 tag of the language to translate into."""
    lines: tuple[Line, ...]
    """Their ids differ from each other."""
    before: tuple[ContextLine, ...] = ()
    after: tuple[ContextLine, ...] = ()
    glossary: tuple[Term, ...] = ()
    title: str = ""
    notes: str = ""
    """What the user wrote about the recording."""
    tone: Tone | None = None


@dataclass(frozen=True, slots=True)
class TranslatedLine:
    """What came back for a line. The id may be wrong, missing ("") or doubled, the text anything up to
    MAX_TEXT_CHARACTERS."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens that a hosted translator is paid for."""

    input: int = 0
    output: int = 0
    is_estimate: bool = False
    """Whether any of it was estimated from characters, because an answer did not say it."""

    @property
    def total(self) -> int:
        """Tokens of requests and answers together."""
        return self.input + self.output

    def __add__(self, other: TokenCount) -> TokenCount:
        return TokenCount(
            self.input + other.input, self.output + other.output, self.is_estimate or other.is_estimate
        )


class Failing(StrEnum):
    """What an error means for further requests."""

    BUSY = "busy"
    """No answer after all retries; the same request may work later (`TranslatorError.seconds`)."""
    REFUSED = "refused"
    """No request will work: a wrong key, an unknown model, a program that cannot be started, a limit reached."""
    UNUSABLE = "unusable"
    """The answer to this request cannot be read: no JSON, cut off, too large. Smaller requests may work."""


class TranslatorError(RunError):
    """A request to a translator without a usable answer.

    The codes are ``translator_busy``, ``translator_refused``, ``translator_limit`` (of tokens) and
    ``translator_answer``.
    """

    def __init__(self, message: str, *, code: str, failing: Failing, seconds: float | None = None) -> None:
        super().__init__(message, code=code)
        self.failing = failing
        self.seconds = seconds
        """How long the translator asked to wait, where it did."""


Notify = Callable[[str], None]
"""Called with a sentence for the user while a request is on its way: "... is busy; asking again in 8 s."."""


def no_notify(sentence: str) -> None:
    """Ignore a sentence."""


class Translator(Protocol):
    """What translates lines. It is closed by `close`, or at the end of a ``with`` block."""

    name: str
    """Name by which it is chosen."""
    destination: str
    """Where text goes, as part of a sentence: "http://localhost:11434/v1 (model qwen3)", "this computer"."""

    identity: str
    """What tells its translations from those of another: for the key of a cache. Holds no secret."""
    at_once: int = 1
    """How many requests it takes at a time, each from another thread."""

    @property
    def usage(self) -> TokenCount:
        """Tokens of all requests so far; none where they cost nothing."""

    def translate(self, request: TranslationRequest) -> tuple[TranslatedLine, ...]:
        """Return what came back for the lines, in the order of the answer. Raises TranslatorError."""

    def close(self) -> None:
        """End what it has started, and send nothing more; what is on its way comes back. Nothing happens at a second call."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
