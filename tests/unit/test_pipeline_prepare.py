from __future__ import annotations

from pathlib import Path

import numpy as np

from voiceclone_cli.pipeline.prepare import bytes_of_run, free_space_note
from voiceclone_cli.types import Recording, Segment


def test_the_estimate_holds_every_slot_the_mix_and_the_stems() -> None:
    recording = Recording(Path("a.wav"), np.zeros(16_000, np.float32), 480_000, 48_000, 1, False)
    line = Segment("0001", "S0", 1.0, 2.0, "hello", "en")
    wavs = 2 * 44_100 * 3 + 3 * 2 * 48_000 * 10
    assert wavs <= bytes_of_run(recording, [line], {"0001": 4.0}, speakers=2) <= wavs + 5_000_000


def test_enough_room_needs_no_words(tmp_path: Path) -> None:
    assert free_space_note(tmp_path / "not" / "there yet", 1) is None


def test_too_little_room_is_one_sentence_with_the_folder_and_the_figures(tmp_path: Path) -> None:
    note = free_space_note(tmp_path / "run", 10**18)
    assert note is not None and str(tmp_path / "run") in note and "1000000000000 MB" in note
