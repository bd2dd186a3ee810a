"""Turns have margins, and a requested number of speakers is compared with the voices."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from voiceclone_cli.analysis.analyzer import diarization_from_dict
from voiceclone_cli.analysis.evidence import Speakers, contradiction, uncertain_note, with_margins
from voiceclone_cli.types import Diarization, Turn


def test_the_margin_of_a_turn_is_the_mean_of_what_it_shares_with_pieces_of_speech() -> None:
    pieces = [(0.0, 2.0, 0.4), (2.0, 3.0, 0.1), (5.0, 6.0, 0.3)]
    turns = [Turn(0.0, 3.0, "A"), Turn(1.0, 2.5, "A"), Turn(3.2, 4.8, "B"), Turn(5.5, 9.0, "B")]
    found = with_margins(turns, pieces)
    assert [turn.margin for turn in found] == pytest.approx([0.3, 0.3, 0.0, 0.3])
    assert [(turn.start, turn.end, turn.speaker) for turn in found] == [
        (turn.start, turn.end, turn.speaker) for turn in turns
    ]


def test_uncertain_turns_are_told_in_one_sentence_the_longest_by_name() -> None:
    certain = [Turn(0.0, 9.0, "A", 0.4), Turn(9.0, 12.0, "B")]
    assert uncertain_note(certain) == ()
    doubtful = [Turn(20.0 + start, 20.5 + start + start / 10, "B", 0.01) for start in range(6)]
    (note,) = uncertain_note([*certain, *doubtful[:1]])
    assert note == "the speaker of 1 of 3 turns is uncertain: B 20.0-20.5 s"
    (note,) = uncertain_note([*certain, *doubtful])
    assert note.startswith("the speaker of 6 of 8 turns is uncertain: B 21.0-21.6 s, ")
    assert note.endswith("B 25.0-26.0 s, and 1 shorter")


def test_margins_survive_the_cache_and_a_turn_without_one_has_none() -> None:
    turns = (Turn(0.0, 1.0, "A", 0.25), Turn(1.0, 2.0, "B"))
    found = Diarization(turns, turns, "embedded")
    assert diarization_from_dict(asdict(found)) == found
    assert [turn.is_uncertain for turn in turns] == [False, False]


def speakers(labels: list[int], *angles: float) -> Speakers:
    """Return speakers whose means lie at these angles, in degrees: similarity is the cosine between them."""
    radians = np.radians(angles)
    return Speakers(np.array(labels), np.stack((np.cos(radians), np.sin(radians)), axis=1))


def test_too_few_speakers_are_told_where_different_voices_had_to_become_one() -> None:
    free = speakers([0, 0, 1, 1, 2, 2], 0, 60, 130)
    note = contradiction(speakers([0, 0, 0, 0, 1, 1], 30, 130), free, np.full(6, 2.0))
    assert note is not None
    assert note.startswith("the voices are those of about 3 speakers, not of 2 as requested: ")
    assert "a similarity of 0.50" in note
    # Three seconds of speech are the least that proves anything.
    assert contradiction(speakers([0, 0, 0, 0, 1, 1], 30, 130), free, np.full(6, 1.0)) is None


def test_too_many_speakers_are_told_where_two_of_them_have_one_voice() -> None:
    free = speakers([0, 0, 0, 0, 1, 1], 0, 70)
    note = contradiction(speakers([0, 0, 1, 1, 2, 2], 0, 20, 70), free, np.full(6, 2.0))
    assert note is not None
    assert note.startswith("the voices are those of about 2 speakers, not of 3 as requested: ")
    assert "a similarity of 0.94" in note


@pytest.mark.parametrize(
    ("requested", "free"),
    [
        (speakers([0, 0, 1, 1], 0, 70), speakers([0, 0, 1, 1], 0, 70)),
        (speakers([0, 0, 0, 0], 15), speakers([0, 0, 1, 1], 0, 30)),
        (speakers([0, 0, 1, 1], 0, 50), speakers([0, 0, 0, 0], 25)),
    ],
)
def test_a_number_that_may_be_right_is_not_contradicted(requested: Speakers, free: Speakers) -> None:
    assert contradiction(requested, free, np.full(4, 5.0)) is None
