"""The JSON that translators are sent, and what is read from their answers.

A request is ``{"to", "from", "lines": [{"id", "speaker", "text", "budget"}], "before", "after", "glossary", "title",
"notes", "tone"}``, an answer ``{"lines": [{"id", "text"}]}``. An answer may come with text around it, as models write
it; of its types and sizes nothing is taken on trust.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from voiceclone_cli.translation.translator import (
    MAX_TEXT_CHARACTERS,
    Failing,
    TranslatedLine,
    TranslationRequest,
    TranslatorError,
)

_MAX_LINES = 10_000
"""Lines of an answer that are read: a request has some dozens."""

_MAX_ID_CHARACTERS = 200

_MAX_STARTS = 200
"""Places of a text at which a JSON document is looked for."""

_REASONING_ENDS = ("</think>", "</thinking>", "</reasoning>")
"""After what a model with reasoning writes before its answer, where the server does not take it out."""


def request_document(request: TranslationRequest) -> dict[str, Any]:
    """Return a request as JSON data. ``budget`` and what is empty are left out where there are none."""
    document: dict[str, Any] = {"to": request.target, "from": request.source}
    document["lines"] = [
        {"id": line.id, "speaker": line.speaker, "text": line.text}
        | ({} if line.budget is None else {"budget": line.budget})
        for line in request.lines
    ]
    for name, lines in (("before", request.before), ("after", request.after)):
        document[name] = [
            {"speaker": line.speaker, "text": line.text}
            | ({} if line.translation is None else {"translation": line.translation})
            for line in lines
        ]
    document["glossary"] = [
        {"term": entry.term, "translation": entry.term if entry.translation is None else entry.translation}
        for entry in request.glossary
    ]
    more = {"title": request.title, "notes": request.notes, "tone": request.tone}
    return document | {name: str(value) for name, value in more.items() if value}


def read_document(text: str, who: str) -> tuple[TranslatedLine, ...]:
    """Return the lines of an answer that is one JSON document.

    Raises TranslatorError (UNUSABLE) for any other text; ``who`` begins its sentence.
    """
    found = _lines_of_whole(text)
    if found is None:
        raise _no_document(text, who)
    return found


def find_document(text: str, who: str) -> tuple[TranslatedLine, ...]:
    """Return the lines of the JSON document in an answer, with prose or a code fence around it.

    Of several documents it is the one with the most lines; the last, if they have as many: models repeat the
    question, and correct themselves. Raises TranslatorError (UNUSABLE) where there is none.
    """
    best = _lines_of_whole(text)  # in which a line may have such a mark
    if best is None:
        end = max(text.rfind(mark) + len(mark) if mark in text else 0 for mark in _REASONING_ENDS)
        best = _longest(text[end:])
    if best is None:
        best = _longest(text)
    if best is None:
        raise _no_document(text, who)
    return best


def _lines_of_whole(text: str) -> tuple[TranslatedLine, ...] | None:
    """Return the lines of a text that is one document; None of any other text."""
    try:
        return _lines_of(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _longest(text: str) -> tuple[TranslatedLine, ...] | None:
    best: tuple[TranslatedLine, ...] | None = None
    for document in _documents(text):
        found = _lines_of(document)
        if found is not None and (best is None or len(found) >= len(best)):
            best = found
    return best


def _no_document(text: str, who: str) -> TranslatorError:
    """Return the error for an answer without lines, with its first words."""
    words = " ".join(text.split())
    start = f"it begins {words[:80]!r}" if words else "it is empty"
    return TranslatorError(
        f"{who} answered without the JSON document that it was asked for; {start}.",
        code="translator_answer",
        failing=Failing.UNUSABLE,
    )


def _documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents in a text, each as long as it can be."""
    decoder = json.JSONDecoder()
    position = 0
    for _ in range(_MAX_STARTS):
        start = re.compile(r"[{\[]").search(text, position)
        if start is None:
            return
        try:
            document, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
        else:
            yield document


def _lines_of(document: object) -> tuple[TranslatedLine, ...] | None:
    """Return the lines of a document; None where it is something else.

    Besides what is asked for, models answer with the bare list, with a bare line, or with texts by their ids.
    """
    if isinstance(document, Mapping):
        document = document.get("lines", document)
    if isinstance(document, Mapping) and document.keys() == {"id", "text"}:
        document = [document]
    if isinstance(document, Mapping):
        if not document or not all(isinstance(text, str) for text in document.values()):
            return None
        document = [{"id": name, "text": text} for name, text in document.items()]
    if not isinstance(document, list) or len(document) > _MAX_LINES:
        return None
    found = [_line(row) for row in document if isinstance(row, Mapping) and {"id", "text"} & row.keys()]
    return tuple(found) if found or not document else None


def _line(row: Mapping[str, object]) -> TranslatedLine:
    """Return a line. An id that is a number becomes its digits; what is no text, or no line's, becomes none."""
    name, text = row.get("id"), row.get("text")
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or len(name) > _MAX_ID_CHARACTERS:
        name = ""
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARACTERS:
        text = ""
    # JSON can spell half a character, which no file can hold.
    return TranslatedLine(
        *(part.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for part in (name, text))
    )
