"""From what was heard of a wav to the row of its segment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceclone_cli.checking import Against, Flag, Gates, Row, to_document
from voiceclone_cli.checking.embedding import to_text
from voiceclone_cli.checking.hearing import Heard
from voiceclone_cli.checking.judging import judge
from voiceclone_cli.checking.memory import Listened
from voiceclone_cli.checking.model import Check
from voiceclone_cli.checking.originals import Sample
from voiceclone_cli.checking.reading import Line
from voiceclone_cli.checking.summary import describe_voices, summarise
from voiceclone_cli.checking.voices import Standard

ANNA, BERT = np.eye(192, dtype=np.float32)[:2]
STANDARDS = {
    "ANNA": Standard(Sample(ANNA, 10.0), Against.RECORDING),
    "BERT": Standard(Sample(BERT, 10.0), Against.RECORDING),
}
LINE = Line(
    id="0001",
    speaker="ANNA",
    start=1.0,
    end=3.0,
    text="We meet at noon.",
    language="en",
    wav=Path("0001.wav"),
    is_done=True,
    sha256="as written",
    placed_seconds=2.0,
    overflow_seconds=0.0,
    gain_db=4.0,
    error=None,
)
HEARD = Heard(2.0, -30.0, -6.0, 0, to_text(ANNA), 3.2, "we meet at noon")


def judged(line: dict[str, Any] | None = None, **heard: Any) -> Row:
    listened = Listened("as written", replace(HEARD, **heard))
    return judge(replace(LINE, **(line or {})), listened, STANDARDS, -26.0)


def test_a_good_line_has_its_measures_and_no_flag() -> None:
    row = judged()
    assert row.flags == ()
    assert (row.similarity, row.margin, row.nearest_other) == (1.0, 1.0, "BERT")
    assert (row.wer, row.word_errors, row.words) == (0.0, 0, 4)
    assert (row.duration_ratio, row.loudness_db, row.judged) == (1.0, 0.0, True)


@pytest.mark.parametrize(
    ("line", "heard", "flag"),
    [
        ({"sha256": "another"}, {}, Flag.ALTERED),
        ({}, {"clipped_samples": 3}, Flag.CLIPPED),
        ({}, {"embedding": to_text(BERT)}, Flag.WRONG_SPEAKER),
        ({}, {"words": "the weather is fine today"}, Flag.WRONG_WORDS),
        ({"overflow_seconds": 0.5}, {}, Flag.TOO_LONG),
        ({"placed_seconds": 0.5}, {}, Flag.TOO_SHORT),
        ({"gain_db": 15.0}, {}, Flag.OFF_LEVEL),
    ],
)
def test_each_fault_has_its_flag(line: dict[str, Any], heard: dict[str, Any], flag: Flag) -> None:
    assert judged(line, **heard).flags == (flag,)


def test_silence_is_silent_and_nothing_else() -> None:
    row = judged(level_db=None, peak_db=None, embedding=None, mos=None, words="")
    assert row.flags == (Flag.SILENT,)
    assert (row.wer, row.similarity, row.loudness_db) == (1.0, None, None)


def test_a_short_line_in_the_wrong_voice_is_measured_and_not_flagged() -> None:
    row = judged(seconds=1.0, embedding=to_text(BERT))
    assert (row.margin, row.judged, row.flags) == (-1.0, False, ())


def test_a_language_that_the_recogniser_does_not_know_has_no_word_errors() -> None:
    row = judged(words=None)
    assert (row.wer, row.heard, row.flags) == (None, None, ())


def test_a_line_without_words_has_no_word_errors() -> None:
    row = judged({"text": "..."}, words="hm")
    assert (row.wer, row.words, row.flags) == (None, 0, ())


def test_a_line_that_was_never_placed_is_measured_by_its_wav() -> None:
    row = judged({"placed_seconds": None, "gain_db": None})
    assert (row.duration_ratio, row.loudness_db) == (1.0, None)


def test_all_lines_of_a_speaker_are_one_voice_weighted_by_seconds() -> None:
    lines = [replace(LINE, id="0001"), replace(LINE, id="0002")]
    listened = {
        "0001": Listened("a", replace(HEARD, seconds=3.0)),
        "0002": Listened("b", replace(HEARD, seconds=1.0, embedding=to_text(BERT))),
    }
    rows = [judge(line, listened[line.id], STANDARDS, None) for line in lines]
    anna, bert = describe_voices(rows, listened, STANDARDS)
    assert anna.margin == pytest.approx((3 - 1) / np.hypot(3, 1))
    assert (bert.similarity, bert.judged) == (None, False)


def test_the_summary_weighs_rows_by_seconds_and_words_by_number() -> None:
    rows = [
        judged(seconds=3.0, mos=4.0),
        judged(seconds=2.0, mos=3.0, words="we eat at noon"),
        judged(seconds=1.0, mos=1.0),
    ]
    summary = summarise(rows)
    assert summary.mos == pytest.approx((3 * 4 + 2 * 3) / 5)
    assert summary.wer == pytest.approx(1 / 12)
    assert (summary.segments, summary.done, summary.judged, summary.flagged) == (3, 3, 2, 0)


def test_nothing_measured_has_no_means() -> None:
    row = judge(LINE, None, STANDARDS, None)
    summary = summarise([row])
    assert row.flags == (Flag.FAILED,)
    assert (summary.done, summary.similarity, summary.wer, summary.mos, summary.duration_ratio) == (
        0,
        None,
        None,
        None,
        None,
    )


def test_the_document_has_plain_values_rounded_to_four_digits() -> None:
    rows = (judged(mos=3.123456),)
    check = Check(Path("/run"), rows, (), summarise(rows), Gates(), (), {"mos": "dnsmos"}, ("a note",))
    document = to_document(check)
    assert (document["schema"], document["status"]) == ("voiceclone.check/1", "passed")
    assert document["segments"][0]["mos"] == 3.1235
    assert document["segments"][0]["flags"] == []
    assert document["gates"]["baseline"] is None
