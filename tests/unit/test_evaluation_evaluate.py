"""Scores of segments and speakers, and the voices that clones are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from factories import manifest_segment
from voiceclone_cli.evaluation.evaluate import (
    VoiceSample,
    choose_voices,
    compare_voices,
    score_segment,
    score_speakers,
    summarise,
)
from voiceclone_cli.evaluation.metrics import Measured, SegmentMetrics, embedding_to_text
from voiceclone_cli.evaluation.model import (
    Evaluation,
    FinishedRun,
    Flag,
    GateLimits,
    SegmentScore,
    VoiceSource,
)
from voiceclone_cli.evaluation.output import evaluation_document
from voiceclone_cli.rundir.manifest import Manifest, ManifestSegment

AUTO, RECORDING, REFERENCE = VoiceSource
ANNA, BERT = np.eye(192, dtype=np.float32)[:2]
VOICES = {"ANNA": VoiceSample(ANNA, 10.0, RECORDING), "BERT": VoiceSample(BERT, 10.0, RECORDING)}
SEGMENT = manifest_segment(
    "0001",
    speaker="ANNA",
    start=1.0,
    end=3.0,
    text="We meet at noon.",
    sha256="as written",
    placed_seconds=2.0,
    overflow_seconds=0.0,
    gain_db=4.0,
)
METRICS: SegmentMetrics = {
    "seconds": 2.0,
    "level_db": -30.0,
    "peak_db": -6.0,
    "clipped_samples": 0,
    "embedding": embedding_to_text(ANNA),
    "mos": 3.2,
    "words": "we meet at noon",
}


def metrics(**changes: Any) -> SegmentMetrics:
    return cast(SegmentMetrics, {**METRICS, **changes})


def scored(segment: dict[str, Any] | None = None, **measured: Any) -> SegmentScore:
    changed = cast(ManifestSegment, {**SEGMENT, **(segment or {})})
    return score_segment(changed, ("as written", metrics(**measured)), VOICES, -26.0)


def test_a_good_line_has_its_measures_and_no_flag() -> None:
    row = scored()
    assert row.flags == ()
    assert (row.similarity, row.margin, row.nearest_other) == (1.0, 1.0, "BERT")
    assert (row.wer, row.word_errors, row.words) == (0.0, 0, 4)
    assert (row.duration_ratio, row.loudness_db, row.scored) == (1.0, 0.0, True)


@pytest.mark.parametrize(
    ("segment", "measured", "flag"),
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
def test_each_fault_has_its_flag(segment: dict[str, Any], measured: dict[str, Any], flag: Flag) -> None:
    assert scored(segment, **measured).flags == (flag,)


def test_silence_is_silent_and_nothing_else() -> None:
    row = scored(level_db=None, peak_db=None, embedding=None, mos=None, words="")
    assert row.flags == (Flag.SILENT,)
    assert (row.wer, row.similarity, row.loudness_db) == (1.0, None, None)


def test_a_short_line_in_the_wrong_voice_is_measured_and_not_flagged() -> None:
    row = scored(seconds=1.0, embedding=embedding_to_text(BERT))
    assert (row.margin, row.scored, row.flags) == (-1.0, False, ())


def test_a_language_that_the_recogniser_does_not_know_has_no_word_errors() -> None:
    row = scored(words=None)
    assert (row.wer, row.transcript, row.flags) == (None, None, ())


def test_chinese_has_a_character_error_rate() -> None:
    row = scored({"text": "她增长了15%。", "language": "zh"}, words="他增長了百分之十四")
    assert (row.error_rate, row.words, row.word_errors) == ("CER", 8, 1)
    assert summarise([row]).error_rate == "CER"
    assert summarise([row, scored()]).error_rate == "WER/CER"


@pytest.mark.parametrize(
    ("recogniser", "words"),
    [
        ("whisper-base", "مجھے نہیں لگتا"),
        ("faster-whisper-tiny", "मुझे नहीं"),
        ("whisper-small", "مجھے نہیں لگتا"),
    ],
)
def test_hindi_in_urdu_letters_is_not_scored_by_its_words(recogniser: str, words: str) -> None:
    segment = cast(ManifestSegment, {**SEGMENT, "text": "मुझे नहीं लगता", "language": "hi"})
    row = score_segment(segment, ("as written", metrics(words=words)), VOICES, -26.0, recogniser=recogniser)
    assert (row.wer, row.word_errors, row.flags) == (None, None, ())
    assert row.words_not_scored == f"{recogniser} writes Hindi in Urdu letters" and row.transcript == words
    assert row.similarity == 1.0


def test_hindi_in_its_own_letters_is_scored_by_a_larger_model() -> None:
    segment = cast(ManifestSegment, {**SEGMENT, "text": "मुझे नहीं लगता", "language": "hi"})
    measured = ("as written", metrics(words="मुझे नहीं लगता।"))
    row = score_segment(segment, measured, VOICES, -26.0, recogniser="whisper-small")
    assert (row.wer, row.words_not_scored) == (0.0, None)


def test_stage_directions_are_no_words_of_an_engine_that_reads_them() -> None:
    tagged = cast(ManifestSegment, {**SEGMENT, "text": f"[in small voice] {SEGMENT['text']}"})
    spoken, read = (
        score_segment(tagged, ("as written", metrics()), VOICES, -26.0, reads_tags=reads_tags)
        for reads_tags in (False, True)
    )
    assert (spoken.words, spoken.word_errors) == (7, 3)
    assert (read.words, read.word_errors, read.text) == (4, 0, tagged["text"])


def test_a_line_without_words_has_no_word_errors() -> None:
    row = scored({"text": "..."}, words="hm")
    assert (row.wer, row.words, row.flags) == (None, 0, ())


def test_a_line_that_was_never_placed_is_measured_by_its_wav() -> None:
    row = scored({"placed_seconds": None, "gain_db": None})
    assert (row.duration_ratio, row.loudness_db) == (1.0, None)


def test_all_lines_of_a_speaker_are_one_voice_weighted_by_seconds() -> None:
    measured: dict[str, Measured] = {
        "0001": ("a", metrics(seconds=3.0)),
        "0002": ("b", metrics(seconds=1.0, embedding=embedding_to_text(BERT))),
    }
    rows = [
        score_segment(cast(ManifestSegment, {**SEGMENT, "id": id}), found, VOICES, None)
        for id, found in measured.items()
    ]
    anna, bert = score_speakers(rows, measured, VOICES)
    assert anna.margin == pytest.approx((3 - 1) / np.hypot(3, 1))
    assert (bert.similarity, bert.scored) == (None, False)


def test_the_summary_weighs_rows_by_seconds_and_words_by_number() -> None:
    rows = [
        scored(seconds=3.0, mos=4.0),
        scored(seconds=2.0, mos=3.0, words="we eat at noon"),
        scored(seconds=1.0, mos=1.0),
    ]
    summary = summarise(rows)
    assert summary.mos == pytest.approx((3 * 4 + 2 * 3) / 5)
    assert summary.wer == pytest.approx(1 / 12)
    assert (summary.segments, summary.done, summary.scored, summary.flagged) == (3, 3, 2, 0)


def test_nothing_measured_has_no_means() -> None:
    row = score_segment(SEGMENT, None, VOICES, None)
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
    rows = (scored(mos=3.123456),)
    evaluation = Evaluation(
        Path("/run"), rows, (), summarise(rows), GateLimits(), (), {"mos": "dnsmos"}, ("a note",)
    )
    document = evaluation_document(evaluation)
    assert (document["schema"], document["status"]) == ("voiceclone.check/1", "passed")
    assert document["segments"][0]["mos"] == 3.1235
    assert document["segments"][0]["flags"] == []
    assert document["gates"]["baseline"] is None


def direction(degrees: float) -> np.ndarray:
    """An embedding in a plane: the cosine of two is that of the angle between them."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def samples(source: VoiceSource, **degrees: float) -> dict[VoiceSource, dict[str, VoiceSample]]:
    """Samples of 10 s from one source; the other has none."""
    found = {name: VoiceSample(direction(angle), 10.0, source) for name, angle in degrees.items()}
    return {RECORDING: {}, REFERENCE: {}, source: found}


def both(own: dict[str, float], references: dict[str, float]) -> dict[VoiceSource, dict[str, VoiceSample]]:
    return {
        RECORDING: samples(RECORDING, **own)[RECORDING],
        REFERENCE: samples(REFERENCE, **references)[REFERENCE],
    }


def finished(*speakers: str, given: tuple[str, ...] = ()) -> FinishedRun:
    segments = [manifest_segment(f"{n}", speaker=name) for n, name in enumerate(speakers)]
    manifest = Manifest("success", "/run", segments=segments)
    return FinishedRun(Path("/run"), manifest, (), frozenset(given), None)


def sources(run: FinishedRun, found: dict[VoiceSource, dict[str, VoiceSample]]) -> dict[str, VoiceSource]:
    voices, _ = choose_voices(run, found, AUTO)
    return {name: voice.source for name, voice in voices.items()}


def test_without_a_given_reference_the_recording_counts() -> None:
    found = both({"ANNA": 0, "BERT": 60}, {"ANNA": 5, "BERT": 65})
    assert sources(finished("ANNA", "BERT"), found) == {"ANNA": RECORDING, "BERT": RECORDING}


def test_a_given_reference_counts_for_its_speaker() -> None:
    found = both({"ANNA": 0, "BERT": 60}, {"ANNA": 150, "BERT": 65})
    run = finished("ANNA", "BERT", given=("ANNA",))
    assert sources(run, found) == {"ANNA": REFERENCE, "BERT": RECORDING}


def test_swapped_references_do_not_count_and_are_noted() -> None:
    found = both({"ANNA": 0, "BERT": 60}, {"ANNA": 58, "BERT": 3})
    run = finished("ANNA", "BERT", given=("ANNA", "BERT"))
    voices, notes = choose_voices(run, found, AUTO)
    assert {name: voice.source for name, voice in voices.items()} == {
        "ANNA": RECORDING,
        "BERT": RECORDING,
    }
    assert "the reference given for ANNA is the voice of BERT" in notes[0]
    # A clone of the swapped reference is nearer to the other speaker.
    _, margin, nearest_other = compare_voices(direction(58), "ANNA", voices)
    assert margin is not None and margin < -0.3 and nearest_other == "BERT"


def test_an_intended_exchange_can_be_compared() -> None:
    found = both({"ANNA": 0, "BERT": 60}, {"ANNA": 58, "BERT": 3})
    run = finished("ANNA", "BERT", given=("ANNA", "BERT"))
    voices, notes = choose_voices(run, found, REFERENCE)
    assert notes == []
    similarity, margin, _ = compare_voices(direction(58), "ANNA", voices)
    assert similarity == pytest.approx(1.0) and margin is not None and margin > 0.3


def test_without_the_recording_the_references_count() -> None:
    assert sources(finished("ANNA"), samples(REFERENCE, ANNA=0)) == {"ANNA": REFERENCE}


def test_a_speaker_with_too_little_speech_is_not_scored() -> None:
    short = {RECORDING: {"ANNA": VoiceSample(direction(0), 1.0, RECORDING)}, REFERENCE: {}}
    voices, notes = choose_voices(finished("ANNA"), short, AUTO)
    assert voices == {}
    assert "there are not 2 s of speech of ANNA" in notes[0]
    assert compare_voices(direction(0), "ANNA", voices) == (None, None, None)


def test_the_margin_is_over_the_nearest_of_the_others() -> None:
    run = finished("ANNA", "BERT", "CARLA")
    voices, _ = choose_voices(run, samples(RECORDING, ANNA=0, BERT=60, CARLA=90), AUTO)
    _, margin, nearest_other = compare_voices(direction(10), "ANNA", voices)
    assert nearest_other == "BERT"
    assert margin == pytest.approx(np.cos(np.radians(10)) - np.cos(np.radians(50)), abs=1e-6)


def test_one_speaker_alone_has_no_margin() -> None:
    voices, _ = choose_voices(finished("ANNA"), samples(RECORDING, ANNA=0), AUTO)
    similarity, margin, _ = compare_voices(direction(10), "ANNA", voices)
    assert similarity is not None and margin is None


def test_two_speakers_with_one_voice_are_not_compared_with_each_other() -> None:
    run = finished("ANNA", "BERT", given=("ANNA", "BERT"))
    voices, _ = choose_voices(run, samples(REFERENCE, ANNA=0, BERT=1), AUTO)
    assert compare_voices(direction(10), "ANNA", voices)[1] is None
