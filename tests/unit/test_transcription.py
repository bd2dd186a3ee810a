from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.transcription import drop_outside_speech, transcribe
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
        transcribe(recording, tmp_path)
    assert caught.value.code == "asr_model_incomplete"
