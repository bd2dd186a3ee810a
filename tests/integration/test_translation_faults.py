"""A thousand lines through each fault of a server: none is lost, none changes its id, and each status is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import segment
from local_server import serving
from translation_server import Fault, TranslationServer, sentence
from voiceclone_cli.translation.cache import TranslationCache
from voiceclone_cli.translation.context import TranslationContext
from voiceclone_cli.translation.endpoint import Endpoint
from voiceclone_cli.translation.openai import OpenAiTranslator
from voiceclone_cli.translation.result import LineStatus, ScriptTranslation
from voiceclone_cli.translation.translate import translate_script
from voiceclone_cli.translation.translator import TranslatorError, no_notify
from voiceclone_cli.types import Script

LINES = Script(
    tuple(segment(f"{n + 1:04d}", "AB"[n % 2], 3.0 * n, 3.0 * n + 2.5, sentence(n)) for n in range(1000))
)
HARMLESS = {Fault.PROSE, Fault.FENCED, Fault.REASONING, Fault.INSTRUCTIONS, Fault.TOO_LONG}
"""A whole answer can be found in these; without budgets no line is too long."""


@pytest.fixture(scope="module")
def server() -> Iterator[TranslationServer]:
    with serving(TranslationServer()) as server:
        yield server


@pytest.fixture(params=[1, 4], ids=["one at a time", "four at a time"])
def at_once(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def translated(
    server: TranslationServer, at_once: int, cache: Path | None = None, seconds: float = 30.0
) -> ScriptTranslation:
    server.requests.clear()
    translator = OpenAiTranslator(
        Endpoint(server.api, None, seconds),
        "tiny",
        10**9,
        no_notify,
        pause=lambda seconds: None,
        at_once=at_once,
    )
    return translate_script(
        LINES, "es", translator, context=TranslationContext(), cache=TranslationCache(cache)
    )


def check(found: ScriptTranslation) -> None:
    assert [(line.segment.id, line.segment.speaker, line.segment.start) for line in found.lines] == [
        (line.id, line.speaker, line.start) for line in LINES.segments
    ]
    for n, line in enumerate(found.lines):
        if line.status is LineStatus.DONE:
            assert line.segment.original == sentence(n)
            # One that was to be too long says it three times.
            assert set(line.segment.text.split(". ")) <= {sentence(n, "es"), sentence(n, "es")[:-1]}
        else:
            assert (line.status, line.segment.text) == (LineStatus.FAILED, sentence(n))
            assert line.reason


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_a_fault_of_some_answers_costs_no_line(server: TranslationServer, at_once: int, fault: Fault) -> None:
    def plan(number: int) -> Fault | None:
        lines = json.loads(server.requests[number]["messages"][-1]["content"])["lines"]
        return fault if len(lines) > 1 and number % 16 == 3 else None

    server.plan = plan
    found = translated(server, at_once, seconds=0.5 if fault is Fault.HANG else 30.0)
    check(found)
    assert len(found.with_status(LineStatus.DONE)) == 1000
    assert not found.with_status(LineStatus.FAILED)


@pytest.mark.parametrize("fault", sorted(set(Fault) - HARMLESS - {Fault.HANG}), ids=lambda fault: fault.name)
def test_a_fault_of_every_answer_from_the_third_on_ends_the_asking(
    server: TranslationServer, at_once: int, fault: Fault, tmp_path: Path
) -> None:
    server.plan = lambda number: fault if number >= 2 else None
    found = translated(server, at_once, cache=tmp_path / "lines.json")
    check(found)
    assert len(found.with_status(LineStatus.FAILED)) == 1000 - len(found.with_status(LineStatus.DONE))
    assert 40 <= len(found.with_status(LineStatus.DONE)) < 1000
    if fault not in (Fault.DOUBLED, Fault.LOST, Fault.MERGED, Fault.WRONG_TYPES):  # these have good lines too
        assert len(server.requests) < 20
    server.plan = lambda number: None
    again = translated(server, at_once, cache=tmp_path / "lines.json")
    check(again)
    assert len(again.with_status(LineStatus.DONE)) == 1000


def test_a_server_that_only_fails_is_the_error(server: TranslationServer, at_once: int) -> None:
    server.plan = lambda number: Fault.FAILING
    with pytest.raises(TranslatorError, match="HTTP 500"):
        translated(server, at_once)
    assert len(server.requests) <= 10
