from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.analysis.transcription import drop_outside_speech, split_at_silence, transcribe
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import Recording, Turn, Word


def word(start: float, end: float, text: str = " word") -> Word:
    return Word(start, end, text, 0.9)


def test_words_farther_than_half_a_second_from_speech_are_dropped() -> None:
    before, near, inside, after = word(0.0, 0.4), word(0.8, 1.0), word(2.0, 2.3), word(3.6, 3.9)
    kept, dropped = drop_outside_speech([before, near, inside, after], [Turn(1.2, 3.0, "A")])
    assert kept == (near, inside)
    assert dropped == (before, after)


def test_all_words_are_dropped_where_nobody_speaks() -> None:
    assert drop_outside_speech([word(0.0, 1.0)], []) == ((), (word(0.0, 1.0),))


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    recording = Recording(tmp_path / "a.wav", np.zeros(16000, np.float32), 16000, 16000, 1, False)
    with pytest.raises(PreflightError, match=r"no model\.bin, tokenizer\.json, vocabulary\.txt") as caught:
        transcribe(recording, tmp_path, language=None, threads=1)
    assert caught.value.code == "asr_model_incomplete"


@pytest.mark.parametrize("seconds", [0, 1, 899, 900])
def test_a_recording_up_to_a_quarter_of_an_hour_is_one_part(seconds: int) -> None:
    samples = np.zeros(seconds * 16_000, np.float32)
    assert split_at_silence(samples) == [(0, len(samples))]


def test_a_longer_one_is_cut_where_it_is_quiet_and_nothing_is_lost() -> None:
    samples = np.random.default_rng(0).standard_normal(2000 * 16_000, np.float32)
    for pause in (585, 1201):
        samples[pause * 16_000 : (pause + 1) * 16_000] *= 0.01
    found = split_at_silence(samples)
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(samples)
    first, second = (end / 16_000 for _, end in found[:-1])
    assert 585 <= first <= 586 and 1201 <= second <= 1202
