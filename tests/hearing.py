"""What tests compare speech with: the original speakers, and the words of the sample recording."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceclone_cli.analysis.turns import read_rttm
from voiceclone_cli.evaluation.text import edit_distance
from voiceclone_cli.evaluation.text import words_of as spoken_words
from voiceclone_cli.script import script_file
from voiceclone_cli.types import Turn

Floats = NDArray[np.float32]

SAMPLE_SCRIPT = Path(__file__).parents[1] / "examples" / "sample.en.srt"
"""What is said in the sample recording, written down by people."""


def sample_text(start: float = 0.0, end: float = 30.0) -> str:
    """Return what is said in the sample recording by the lines that lie within ``start`` and ``end`` seconds."""
    lines = script_file.read_script(SAMPLE_SCRIPT, None, language="en", recording_seconds=30.0).segments
    return " ".join(line.text for line in lines if start <= line.start and line.end <= end)


def word_error_rate(truth: str, heard: str, language: str = "en") -> float:
    """Return the words of ``truth`` that were replaced, left out or put in, as a share of its words.

    The words that a recogniser finds differ between kinds of CPU, so a test holds them by a bound of this.
    """
    wanted = spoken_words(truth, language)
    return edit_distance(wanted, spoken_words(heard, language)) / len(wanted)


def original_speech(wav: Path, segments: Sequence[Mapping[str, Any]]) -> dict[str, Floats]:
    """Each speaker's own speech in the recording, where nobody else speaks, by the human reference
    beside it; under the names that the run gave them (those they share most time with)."""
    turns = read_rttm(wav.with_suffix(".rttm").read_text(encoding="utf-8"))
    samples, rate = soundfile.read(wav, dtype="float32")
    speakers = sorted({turn.speaker for turn in turns})
    active = {speaker: np.zeros(len(samples), bool) for speaker in speakers}
    for turn in turns:
        active[turn.speaker][int(turn.start * rate) : int(turn.end * rate)] = True
    alone = sum(mask.astype(int) for mask in active.values()) == 1
    return {
        _named(speaker, turns, segments): np.ascontiguousarray(samples[active[speaker] & alone])
        for speaker in speakers
    }


def _named(speaker: str, turns: Sequence[Turn], segments: Sequence[Mapping[str, Any]]) -> str:
    shared: dict[str, float] = {}
    for row in segments:
        for turn in turns:
            if turn.speaker == speaker:
                overlap = min(turn.end, row["end"]) - max(turn.start, row["start"])
                shared[row["speaker"]] = shared.get(row["speaker"], 0.0) + max(0.0, overlap)
    return max(shared, key=lambda name: shared[name])


def words_of(text: str) -> str:
    """Lower case, no punctuation, no accents: what a word error rate is counted on."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"[\w']+", kept))
