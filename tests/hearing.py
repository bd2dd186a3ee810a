"""What tests compare the clones with: the original speakers, and words without their dress."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceclone_cli.diarization import read_rttm
from voiceclone_cli.types import Turn

Floats = NDArray[np.float32]


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
