"""What translators are sent, and what is read from answers that are not quite what was asked for."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from voiceclone_cli.translation.message import find_document, read_document, request_document
from voiceclone_cli.translation.translator import (
    MAX_TEXT_CHARACTERS,
    ContextLine,
    Failing,
    Line,
    Term,
    Tone,
    TranslatedLine,
    TranslationRequest,
    TranslatorError,
)

HOLA = (TranslatedLine("1", "Hola."),)
DOCUMENT = '{"lines": [{"id": "1", "text": "Hola."}]}'


def test_a_request_has_what_is_known_and_nothing_else() -> None:
    lines = (Line("1", "ANNA", "Hello.", 12), Line("2", "BEN", "Hi."))
    assert request_document(TranslationRequest("en", "es", lines)) == {
        "to": "es",
        "from": "en",
        "lines": [
            {"id": "1", "speaker": "ANNA", "text": "Hello.", "budget": 12},
            {"id": "2", "speaker": "BEN", "text": "Hi."},
        ],
        "before": [],
        "after": [],
        "glossary": [],
    }


def test_a_request_has_its_context() -> None:
    document = request_document(
        TranslationRequest(
            "en",
            "es",
            (),
            before=(ContextLine("ANNA", "Hello.", "Hola."),),
            after=(ContextLine("BEN", "Hi."),),
            glossary=(Term("Kokoro"), Term("voice", "voz")),
            title="A talk",
            notes="Anna is a doctor.",
            tone=Tone.FORMAL,
        )
    )
    assert document["before"] == [{"speaker": "ANNA", "text": "Hello.", "translation": "Hola."}]
    assert document["after"] == [{"speaker": "BEN", "text": "Hi."}]
    assert document["glossary"] == [
        {"term": "Kokoro", "translation": "Kokoro"},
        {"term": "voice", "translation": "voz"},
    ]
    assert json.loads(json.dumps(document))["tone"] == "formal"
    assert (document["title"], document["notes"]) == ("A talk", "Anna is a doctor.")


@pytest.mark.parametrize(
    "answer",
    [
        DOCUMENT,
        f"Here you are:\n{DOCUMENT}\nAnything else?",
        f"```json\n{DOCUMENT}\n```",
        f"<think>Is it {{x}} or {DOCUMENT.replace('Hola', 'No')}?</think>{DOCUMENT}",
        f"{DOCUMENT.replace('Hola', 'Ola')}\nThat was wrong:\n{DOCUMENT}",
        f"[1] {{see}} {DOCUMENT} [end",
        '[{"id": "1", "text": "Hola."}]',
        '{"id": "1", "text": "Hola."}',
        f'<think>{DOCUMENT.replace("Hola", "No")}</think>{{"id": "1", "text": "Hola."}}',
        '{"1": "Hola."}',
        '{"lines": {"1": "Hola."}}',
        '{"lines": [{"id": 1, "text": "Hola.", "note": "greeting"}], "status": "failed"}',
    ],
)
def test_the_document_is_found_in_what_a_model_writes(answer: str) -> None:
    assert find_document(answer, "It") == HOLA


@pytest.mark.parametrize(
    "answer", ["", "I cannot do that.", '{"lines": "none"}', '{"error": 1}', "[1, 2]", DOCUMENT[:-4]]
)
def test_an_answer_without_lines_is_an_error_that_begins_with_its_words(answer: str) -> None:
    with pytest.raises(TranslatorError) as caught:
        find_document(answer, "The model x")
    assert caught.value.failing is Failing.UNUSABLE
    assert "The model x answered without" in caught.value.message
    assert " ".join(answer.split())[:20] in caught.value.message


def test_a_mark_of_reasoning_in_a_line_is_text() -> None:
    rows = [{"id": "1", "text": "It ends with </think>."}, {"id": "2", "text": "And that is all."}]
    assert [line.text for line in find_document(json.dumps({"lines": rows}), "It")] == [
        row["text"] for row in rows
    ]


def test_an_empty_answer_after_reasoning_is_none_of_the_drafts_before_it() -> None:
    assert find_document(f'<think>{DOCUMENT}</think>{{"lines": []}}', "It") == ()


def test_a_program_answers_with_the_document_alone() -> None:
    assert read_document(DOCUMENT, "It") == HOLA
    with pytest.raises(TranslatorError, match="it begins 'ok "):
        read_document(f"ok {DOCUMENT}", "It")


def test_lines_are_returned_as_they_came_with_strings_for_types() -> None:
    rows = [
        {"id": "1", "text": "a"},
        {"id": "1", "text": "b"},
        {"id": None, "text": 7},
        {"id": True, "text": ["c"]},
        {"text": "d"},
        {"id": "5"},
        {"id": "6", "text": "x" * (MAX_TEXT_CHARACTERS + 1)},
        {"id": "7", "text": "a \ud800 b \ud83d\ude00"},
        "e",
    ]  # fmt: skip
    found = find_document(json.dumps({"lines": rows}), "It")
    assert [(line.id, line.text) for line in found] == [
        *(("1", "a"), ("1", "b"), ("", ""), ("", ""), ("", "d"), ("5", ""), ("6", ""), ("7", "a \ufffd b 😀"))
    ]


@pytest.mark.parametrize("bad", ["[" * 3_000_000, '{"a":' * 500_000, '["' * 1_000_000, "<think>" * 400_000])
def test_text_made_to_take_time_takes_none(bad: str) -> None:
    started = time.perf_counter()
    with pytest.raises(TranslatorError):
        find_document(bad, "It")
    assert time.perf_counter() - started < 10


@examples
@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_comes_through_prose(before: str, name: str, text: str, after: str) -> None:
    plain = str.maketrans("{[<", "((-")
    document = json.dumps({"lines": [{"id": name, "text": text}]})
    (line,) = find_document(f"{before.translate(plain)}{document}{after.translate(plain)}", "It")
    assert line.text == text and line.id in (name, "")
