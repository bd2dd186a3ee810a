"""What misses a gate, and what does not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from check_samples import failed_row, row, voice
from voiceclone_cli.checking import Flag, Gates, Offence, Row, Voice
from voiceclone_cli.checking.gates import check_gates, missed
from voiceclone_cli.checking.summary import summarise
from voiceclone_cli.errors import InputError

ALL = Gates(min_similarity=0.5, min_margin=0.0, max_wer=0.2, min_mos=3.0)


def offences(
    gates: Gates, rows: Sequence[Row], voices: Sequence[Voice] = ()
) -> list[tuple[str, str | None, str | None]]:
    found: tuple[Offence, ...] = missed(gates, rows, voices, summarise(rows))
    return [(offence.gate, offence.segment, offence.speaker) for offence in found]


def test_a_good_run_misses_no_gate() -> None:
    assert offences(ALL, [row("0001"), row("0002")], [voice()]) == []


def test_without_gates_nothing_is_missed() -> None:
    assert offences(Gates(), [failed_row("0001"), row("0002", margin=-1.0)]) == []


@pytest.mark.parametrize(
    ("gate", "changes"),
    [
        ("min_similarity", {"similarity": 0.4}),
        ("min_margin", {"margin": -0.1}),
        ("min_mos", {"mos": 2.5}),
    ],
)
def test_each_measure_has_its_gate(gate: str, changes: dict[str, float]) -> None:
    assert offences(ALL, [row("0001"), row("0002", **changes)]) == [(gate, "0002", "ANNA")]


def test_what_is_exactly_as_asked_passes() -> None:
    assert offences(ALL, [row(similarity=0.5, margin=0.0, wer=0.2, mos=3.0)]) == []


def test_wrong_words_are_told_with_what_was_heard() -> None:
    rows = [row("0001", words=100), row("0002", wer=0.5, word_errors=2, heard="We eat at one.")]
    (offence,) = missed(ALL, rows, [], summarise(rows))
    assert offence == Offence(
        "max_wer", "0002", "ANNA", "wer 0.50, wanted at most 0.2: heard 'We eat at one.'"
    )


def test_one_wrong_word_is_the_recognisers_unless_the_line_is_another() -> None:
    rows = [row("0001", words=100), row("0002", wer=0.25, word_errors=1)]
    assert offences(ALL, rows) == []
    rows[1] = row("0002", wer=1.0, word_errors=1, words=1, flags=(Flag.WRONG_WORDS,))
    assert offences(ALL, rows) == [("max_wer", "0002", "ANNA")]


def test_the_words_of_the_whole_run_have_the_same_gate() -> None:
    rows = [row(f"{n:04d}", wer=0.25, word_errors=1, words=4) for n in range(9)]
    assert offences(ALL, rows) == [("max_wer", None, None)]


def test_a_short_line_misses_no_gate_by_its_measures() -> None:
    assert offences(ALL, [row("0001"), row("0002", judged=False, similarity=0.1, margin=-1.0, mos=1.5)]) == []


def test_a_line_without_a_measure_is_not_held_to_its_gate() -> None:
    """One speaker alone has no margin."""
    assert offences(ALL, [row(margin=None, nearest_other=None)]) == []


@pytest.mark.parametrize("flag", [Flag.FAILED, Flag.UNREADABLE, Flag.SILENT])
def test_a_line_that_is_not_there_misses_any_gate(flag: Flag) -> None:
    assert offences(Gates(min_mos=1.0), [row(flags=(flag,), judged=False)]) == [(str(flag), "0001", "ANNA")]


def test_a_line_that_failed_is_told_with_its_reason() -> None:
    rows = [failed_row("0001")]
    (offence,) = missed(ALL, rows, [], summarise(rows))
    assert offence.message == "was not spoken: the worker died"


def test_all_lines_of_a_speaker_have_the_gates_of_voices() -> None:
    voices = [voice("ANNA", margin=-0.1), voice("BERT", similarity=0.2, judged=False)]
    assert offences(ALL, [row()], voices) == [("min_margin", None, "ANNA")]


@pytest.mark.parametrize("value", [math.nan, math.inf, -2.5])
@pytest.mark.parametrize("name", ["min_similarity", "min_margin", "max_wer", "min_mos"])
def test_a_gate_that_means_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must be a number"):
        check_gates(Gates(**{name: value}))
