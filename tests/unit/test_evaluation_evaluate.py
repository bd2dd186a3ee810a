"""Which voice a clone is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceclone_cli.evaluation.evaluate import (
    Originals,
    ReferenceVoice,
    Sample,
    choose_reference_voices,
    describe_speakers,
    likeness,
    score_segments,
    summarise,
)
from voiceclone_cli.evaluation.metrics import MeasuredSegments, SegmentMetrics, embedding_to_text
from voiceclone_cli.evaluation.model import (
    BaselineDifference,
    EvaluatedLine,
    Evaluation,
    FinishedRun,
    Flag,
    GateLimits,
    SegmentScore,
)
from voiceclone_cli.evaluation.output import evaluation_document

# From what was heard of a wav to the row of its segment.


ANNA, BERT = np.eye(192, dtype=np.float32)[:2]
STANDARDS = {
    "ANNA": ReferenceVoice(Sample(ANNA, 10.0), BaselineDifference.RECORDING),
    "BERT": ReferenceVoice(Sample(BERT, 10.0), BaselineDifference.RECORDING),
}
LINE = EvaluatedLine(
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
HEARD = SegmentMetrics(2.0, -30.0, -6.0, 0, embedding_to_text(ANNA), 3.2, "we meet at noon")


def judged(line: dict[str, Any] | None = None, **heard: Any) -> SegmentScore:
    listened = MeasuredSegments("as written", replace(HEARD, **heard))
    return score_segments(replace(LINE, **(line or {})), listened, STANDARDS, -26.0)


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
        ({}, {"embedding": embedding_to_text(BERT)}, Flag.WRONG_SPEAKER),
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
    row = judged(seconds=1.0, embedding=embedding_to_text(BERT))
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
        "0001": MeasuredSegments("a", replace(HEARD, seconds=3.0)),
        "0002": MeasuredSegments("b", replace(HEARD, seconds=1.0, embedding=embedding_to_text(BERT))),
    }
    rows = [score_segments(line, listened[line.id], STANDARDS, None) for line in lines]
    anna, bert = describe_speakers(rows, listened, STANDARDS)
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
    row = score_segments(LINE, None, STANDARDS, None)
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
    check = Evaluation(
        Path("/run"), rows, (), summarise(rows), GateLimits(), (), {"mos": "dnsmos"}, ("a note",)
    )
    document = evaluation_document(check)
    assert (document["schema"], document["status"]) == ("voiceclone.check/1", "passed")
    assert document["segments"][0]["mos"] == 3.1235
    assert document["segments"][0]["flags"] == []
    assert document["gates"]["baseline"] is None


RECORDING, REFERENCE = BaselineDifference.RECORDING, BaselineDifference.REFERENCE


def direction(degrees: float) -> np.ndarray:
    """Voices of a plane: their cosine is that of the angle between them."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def voices(**degrees: float) -> dict[str, Sample]:
    return {name: Sample(direction(angle), 10.0) for name, angle in degrees.items()}


def finished(*speakers: str, given: tuple[str, ...] = ()) -> FinishedRun:
    lines = tuple(
        EvaluatedLine(f"{n}", name, 0, 1, "a", "en", Path("a.wav"), True, None, None, 0.0, None, None)
        for n, name in enumerate(speakers)
    )
    return FinishedRun(Path("/run"), "", lines, (), {}, frozenset(given), None)


def sources(
    run: FinishedRun, own: Mapping[str, Sample], references: Mapping[str, Sample]
) -> dict[str, BaselineDifference]:
    standards, _ = choose_reference_voices(run, Originals(own, references, {}), BaselineDifference.AUTO)
    return {name: standard.source for name, standard in standards.items()}


def test_the_recording_decides_for_whom_no_reference_was_given() -> None:
    own, cut = voices(ANNA=0, BERT=60), voices(ANNA=5, BERT=65)
    assert sources(finished("ANNA", "BERT"), own, cut) == {"ANNA": RECORDING, "BERT": RECORDING}


def test_a_given_reference_decides_for_its_speaker() -> None:
    own, references = voices(ANNA=0, BERT=60), voices(ANNA=150, BERT=65)
    run = finished("ANNA", "BERT", given=("ANNA",))
    assert sources(run, own, references) == {"ANNA": REFERENCE, "BERT": RECORDING}


def test_swapped_references_do_not_decide_and_are_told() -> None:
    own, swapped = voices(ANNA=0, BERT=60), voices(ANNA=58, BERT=3)
    run = finished("ANNA", "BERT", given=("ANNA", "BERT"))
    standards, notes = choose_reference_voices(run, Originals(own, swapped, {}), BaselineDifference.AUTO)
    assert {name: standard.source for name, standard in standards.items()} == {
        "ANNA": RECORDING,
        "BERT": RECORDING,
    }
    assert "the reference given for ANNA is the voice of BERT" in notes[0]
    # A clone of the swapped reference is nearer to the other speaker.
    like = likeness(direction(58), "ANNA", standards)
    assert like.margin is not None and like.margin < -0.3 and like.nearest_other == "BERT"


def test_an_exchange_that_is_meant_can_be_asked_for() -> None:
    own, swapped = voices(ANNA=0, BERT=60), voices(ANNA=58, BERT=3)
    run = finished("ANNA", "BERT", given=("ANNA", "BERT"))
    standards, notes = choose_reference_voices(run, Originals(own, swapped, {}), REFERENCE)
    assert notes == []
    like = likeness(direction(58), "ANNA", standards)
    assert like.similarity == pytest.approx(1.0) and like.margin is not None and like.margin > 0.3


def test_without_the_recording_the_references_decide() -> None:
    assert sources(finished("ANNA"), {}, voices(ANNA=0)) == {"ANNA": REFERENCE}


def test_a_speaker_with_too_little_speech_is_not_judged() -> None:
    own = {"ANNA": Sample(direction(0), 1.0)}
    standards, notes = choose_reference_voices(
        finished("ANNA"), Originals(own, {}, {}), BaselineDifference.AUTO
    )
    assert standards == {}
    assert "there are not 2 s of speech of ANNA" in notes[0]
    assert likeness(direction(0), "ANNA", standards).similarity is None


def test_the_margin_is_over_the_nearest_of_the_others() -> None:
    run, own = finished("ANNA", "BERT", "CARLA"), voices(ANNA=0, BERT=60, CARLA=90)
    standards, _ = choose_reference_voices(run, Originals(own, {}, {}), BaselineDifference.AUTO)
    like = likeness(direction(10), "ANNA", standards)
    assert like.nearest_other == "BERT"
    assert like.margin == pytest.approx(np.cos(np.radians(10)) - np.cos(np.radians(50)), abs=1e-6)


def test_one_speaker_alone_has_no_margin() -> None:
    standards, _ = choose_reference_voices(
        finished("ANNA"), Originals(voices(ANNA=0), {}, {}), BaselineDifference.AUTO
    )
    like = likeness(direction(10), "ANNA", standards)
    assert like.similarity is not None and like.margin is None


def test_two_speakers_with_one_voice_are_not_held_against_each_other() -> None:
    run, references = finished("ANNA", "BERT", given=("ANNA", "BERT")), voices(ANNA=0, BERT=1)
    standards, _ = choose_reference_voices(run, Originals({}, references, {}), BaselineDifference.AUTO)
    assert likeness(direction(10), "ANNA", standards).margin is None
