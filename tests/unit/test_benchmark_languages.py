"""The sentences of the benchmark of languages, and what its errors are counted in."""

from pathlib import Path

import pytest

from benchmarks.languages import FOLDER, KINDS, Row, interval, rate, sentences, skeleton, table_row, units
from voiceclone_worker.engines.kokoro.phonemes.reader import read

LARGE = {(language, "held-out-3"): 40 for language in ("it", "hi", "zh", "ja")} | {("es", "held-out-3"): 24}
SETS = sorted(path.name.removesuffix(".txt").rsplit(".", 1) for path in Path(FOLDER).glob("*.txt"))


@pytest.mark.parametrize(("language", "name"), SETS)
def test_kokoro_reads_the_sixteen_sentences_or_more_of_a_set_in_full(language: str, name: str) -> None:
    found = sentences(language, name)
    assert len(found) == LARGE.get((language, name), 16) and {sentence.kind for sentence in found} <= set(
        KINDS
    )
    for sentence in found:
        assert read(sentence.written, language).skipped == ()
        assert units(sentence.in_words, language)


def test_no_sentence_is_in_both_sets() -> None:
    texts = [sentence.written for language, name in SETS for sentence in sentences(language, name)]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("zh", "她有２個，50%", "他有两个百分之五十"),
        ("ja", "子供は3時半", "こどもは三時半"),
        ("es", "¿Cuesta 15 €?", "cuesta quince euros"),
        ("fr", "À quelle heure ?", "A quelle heure"),
        ("en", "It's 12,500!", "its twelve thousand five hundred"),
    ],
)
def test_what_only_differs_in_spelling_is_no_error(language: str, one: str, other: str) -> None:
    assert units(one, language) == units(other, language)


def test_hindi_in_urdu_letters_has_the_same_consonants() -> None:
    assert skeleton("सड़क") == skeleton("سڑک") != skeleton("किताब")


def test_errors_are_counted_over_units_not_over_sentences() -> None:
    rows = [Row("plain", "", "", "", "", 1, 10, 1.0, 1.0), Row("numbers", "", "", "", "", 3, 30, 1.0, 1.0)]
    assert rate(rows) == 10 and rate(rows, "numbers") == 10 and rate(rows, "english") is None


def test_the_interval_of_a_rate_narrows_with_the_sentences() -> None:
    rows = [Row("plain", "", "", "", "", errors, 10, 1.0, 1.0) for errors in (0, 1, 0, 3)]
    few, many = interval(rows), interval(rows * 25)
    assert few[0] == 0 < many[0] < rate(rows) == 10 < many[1] < few[1] <= 30
    assert f"| 10.0 (4/40) | {few[0]:.1f} to {few[1]:.1f} | 10.0 |" in table_row("it", "held-out-3", rows)


def test_sentences_that_are_all_alike_have_an_interval_of_no_width() -> None:
    assert interval([Row("plain", "", "", "", "", 1, 10, 1.0, 1.0)] * 3) == (10, 10)
