"""Which voice a clone is held against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.checking import Against
from voiceclone_cli.checking.originals import Originals, Sample
from voiceclone_cli.checking.reading import Finished, Line
from voiceclone_cli.checking.voices import choose_standards, likeness

RECORDING, REFERENCE = Against.RECORDING, Against.REFERENCE


def direction(degrees: float) -> np.ndarray:
    """Voices of a plane: their cosine is that of the angle between them."""
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


def voices(**degrees: float) -> dict[str, Sample]:
    return {name: Sample(direction(angle), 10.0) for name, angle in degrees.items()}


def finished(*speakers: str, given: tuple[str, ...] = ()) -> Finished:
    lines = tuple(
        Line(f"{n}", name, 0, 1, "a", "en", Path("a.wav"), True, None, None, 0.0, None, None)
        for n, name in enumerate(speakers)
    )
    return Finished(Path("/run"), "", lines, (), {}, frozenset(given), None)


def sources(run: Finished, own: Mapping[str, Sample], references: Mapping[str, Sample]) -> dict[str, Against]:
    standards, _ = choose_standards(run, Originals(own, references, {}), Against.AUTO)
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
    standards, notes = choose_standards(run, Originals(own, swapped, {}), Against.AUTO)
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
    standards, notes = choose_standards(run, Originals(own, swapped, {}), REFERENCE)
    assert notes == []
    like = likeness(direction(58), "ANNA", standards)
    assert like.similarity == pytest.approx(1.0) and like.margin is not None and like.margin > 0.3


def test_without_the_recording_the_references_decide() -> None:
    assert sources(finished("ANNA"), {}, voices(ANNA=0)) == {"ANNA": REFERENCE}


def test_a_speaker_with_too_little_speech_is_not_judged() -> None:
    own = {"ANNA": Sample(direction(0), 1.0)}
    standards, notes = choose_standards(finished("ANNA"), Originals(own, {}, {}), Against.AUTO)
    assert standards == {}
    assert "there are not 2 s of speech of ANNA" in notes[0]
    assert likeness(direction(0), "ANNA", standards).similarity is None


def test_the_margin_is_over_the_nearest_of_the_others() -> None:
    run, own = finished("ANNA", "BERT", "CARLA"), voices(ANNA=0, BERT=60, CARLA=90)
    standards, _ = choose_standards(run, Originals(own, {}, {}), Against.AUTO)
    like = likeness(direction(10), "ANNA", standards)
    assert like.nearest_other == "BERT"
    assert like.margin == pytest.approx(np.cos(np.radians(10)) - np.cos(np.radians(50)), abs=1e-6)


def test_one_speaker_alone_has_no_margin() -> None:
    standards, _ = choose_standards(finished("ANNA"), Originals(voices(ANNA=0), {}, {}), Against.AUTO)
    like = likeness(direction(10), "ANNA", standards)
    assert like.similarity is not None and like.margin is None


def test_two_speakers_with_one_voice_are_not_held_against_each_other() -> None:
    run, references = finished("ANNA", "BERT", given=("ANNA", "BERT")), voices(ANNA=0, BERT=1)
    standards, _ = choose_standards(run, Originals({}, references, {}), Against.AUTO)
    assert likeness(direction(10), "ANNA", standards).margin is None
