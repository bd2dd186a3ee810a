"""What was heard, back from plain data: ``dataclasses.asdict`` and JSON are the way there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceclone_cli.types import Diarization, Transcript, Turn, Word


def diarization_from_dict(known: Mapping[str, Any]) -> Diarization:
    turns, exclusive = (tuple(Turn(**turn) for turn in known[name]) for name in ("turns", "exclusive"))
    return Diarization(turns, exclusive, known["diarizer"], known["why"], tuple(known["notes"]))


def transcript_from_dict(known: Mapping[str, Any]) -> Transcript:
    words = tuple(Word(**word) for word in known["words"])
    return Transcript(words, known["language"], known["language_probability"], known["model"])
