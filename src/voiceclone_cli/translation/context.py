"""What a translator is told besides the lines: title and notes of the recording, the glossary, and the tone."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from voiceclone_cli.encodings import DecodedText
from voiceclone_cli.errors import InputError
from voiceclone_cli.script import parsers
from voiceclone_cli.translation.translator import Term, Tone

MAX_TERMS = 5_000
MAX_TERM = 200
"""Characters of a term, and of its translation."""
MAX_NOTES = 20_000
"""Characters of the notes, which go out with every request."""
_DELIMITERS = ",;\t"
_HEADINGS = (("term", "translation"), ("source", "target"))
"""First rows that are no entry."""
_STEM = 3
"""Letters of a glossary's word that its inflected forms have at least."""
_ENDING = 2
"""Letters at the end of a word that may differ: cases, numbers, genders."""


@dataclass(frozen=True)
class TranslationContext:
    """Title, notes, glossary and tone of one translation."""

    title: str = ""
    notes: str = ""
    glossary: tuple[Term, ...] = ()
    tone: Tone | None = None

    _found: dict[str, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Entries in each text so far: a line is looked through for its key, for each request near it and for its answer."""

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_pattern(term.term) for term in self.glossary)

    def terms_in(self, texts: Iterable[str]) -> tuple[Term, ...]:
        """Return the entries of the glossary that occur in these texts, in its order."""
        return tuple(self.glossary[n] for n in sorted({n for text in texts for n in self._entries_in(text)}))

    def _entries_in(self, text: str) -> tuple[int, ...]:
        found = self._found.get(text)
        if found is None:
            found = tuple(n for n, pattern in enumerate(self._patterns) if pattern.search(text))
            self._found[text] = found
        return found

    def broken_term(self, text: str, translation: str) -> Term | None:
        """Return an entry that occurs in ``text`` and was not followed in its translation."""
        return next((term for term in self.terms_in([text]) if not _is_followed(term, translation)), None)


def read_context(path: Path, encoding: str | None = None) -> tuple[str, str, tuple[str, ...]]:
    """Return the title, which is the first line of the file, the notes, which are the others, and what was guessed.

    Raises InputError where it is no text, and where the notes are longer than MAX_NOTES.
    """
    contents = _read("--context", path, encoding)
    title, _, notes = contents.text.strip().partition("\n")
    if len(title) + len(notes) > MAX_NOTES:
        raise InputError(
            f"--context {path} has {len(title) + len(notes):,} characters, more than {MAX_NOTES:,}, and goes out with "
            "every request; shorten it.",
            code="context_too_long",
        )
    return title.lstrip("# ").strip(), notes.strip(), contents.notes(path.name)


def read_glossary(path: Path, encoding: str | None = None) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """Return the entries of a table of terms and their translations, and what was guessed while reading.

    An empty translation means that the term is never translated. A row that names the columns is left out. Raises
    InputError with the row.
    """
    contents = _read("--glossary", path, encoding)
    rows = contents.text.split("\n")
    delimiter = max(_DELIMITERS, key=next((row for row in rows if row.strip()), "").count)
    terms: dict[str, Term] = {}
    reader = csv.reader(rows, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            term = _term([parsers.clean_text(cell) for cell in cells], first=not terms)
            if term is None:
                continue
            known = terms.setdefault(term.term.casefold(), term)
            if known.translation != term.translation:
                raise InputError(f"has two translations of {term.term!r}; keep one", code="bad_glossary")
            if len(terms) > MAX_TERMS:
                raise InputError(f"is beyond {MAX_TERMS:,} terms; shorten the table", code="bad_glossary")
    except csv.Error as error:
        raise InputError(
            f"--glossary {path}: line {reader.line_num} is not valid CSV ({error}).", code="bad_glossary"
        ) from error
    except InputError as error:
        raise InputError(
            f"--glossary {path}: line {reader.line_num} {error.message}.", code=error.code
        ) from error
    if not terms:
        raise InputError(
            f"--glossary {path} has no entry; write a term and its translation in each row.",
            code="bad_glossary",
        )
    return tuple(terms.values()), contents.notes(path.name)


def _read(option: str, path: Path, encoding: str | None) -> DecodedText:
    try:
        return parsers.read_text(path, encoding)
    except InputError as error:
        raise InputError(f"{option} {path} {error.message}", code=error.code) from error


def _term(cells: Sequence[str], *, first: bool) -> Term | None:
    """Return the entry of a row; None of an empty row and of one that names the columns."""
    term, translation = [*cells, "", ""][:2]
    if not any(cells) or (first and (term.casefold(), translation.casefold()) in _HEADINGS):
        return None
    if not term:
        raise InputError("has a translation without a term", code="bad_glossary")
    if max(len(term), len(translation)) > MAX_TERM:
        raise InputError(f"has a term of more than {MAX_TERM} characters", code="bad_glossary")
    if any(cells[2:]):
        raise InputError(
            'has more than two cells; put text that contains the delimiter in "quotes"', code="bad_glossary"
        )
    return Term(term, translation or None)


def _pattern(term: str) -> re.Pattern[str]:
    """Return what finds a term as a whole word; within words where its writing has no blanks between them."""
    before = r"(?<!\w)" if _is_letter_of_words(term[0]) else ""
    after = r"(?!\w)" if _is_letter_of_words(term[-1]) else ""
    return re.compile(before + re.escape(term) + after, re.IGNORECASE)


def _is_letter_of_words(character: str) -> bool:
    # Chinese, Japanese and Thai have no blanks between words.
    return character.isalnum() and not "\u0e00" <= character <= "\u0eff" and character < "\u2e80"


def _is_followed(term: Term, translation: str) -> bool:
    wanted, found = (term.translation or term.term).casefold(), translation.casefold()
    if wanted in found:
        return True
    # The word as the grammar of its sentence wants it.
    words = re.findall(r"\w+", found)
    return term.translation is not None and all(
        any(word.startswith(part[: max(_STEM, len(part) - _ENDING)]) for word in words)
        for part in re.findall(r"\w+", wanted)
    )
