"""Rows taken together: for each speaker, and for the run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from voiceclone_cli.checking.embedding import from_text, weighted_mean
from voiceclone_cli.checking.hearing import Heard
from voiceclone_cli.checking.memory import Listened
from voiceclone_cli.checking.model import Row, Summary, Voice
from voiceclone_cli.checking.voices import Standard, is_long_enough, likeness


def summarise(rows: Sequence[Row]) -> Summary:
    judged = [row for row in rows if row.judged]
    counted = [row for row in rows if row.word_errors is not None]
    words = sum(row.words for row in counted)
    ratios = [row.duration_ratio for row in rows if row.duration_ratio is not None]
    return Summary(
        segments=len(rows),
        done=sum(row.sha256 is not None for row in rows),
        judged=len(judged),
        flagged=sum(bool(row.flags) for row in rows),
        similarity=_mean(judged, lambda row: row.similarity),
        margin=_mean(judged, lambda row: row.margin),
        wer=sum(row.word_errors or 0 for row in counted) / words if words else None,
        mos=_mean(judged, lambda row: row.mos),
        duration_ratio=statistics.median(ratios) if ratios else None,
    )


def describe_voices(
    rows: Sequence[Row], listened: Mapping[str, Listened], standards: Mapping[str, Standard]
) -> tuple[Voice, ...]:
    """How all lines of a speaker together compare with their voice: that tells more than any one of them."""
    heard: dict[str, list[Heard]] = {speaker: [] for speaker in standards}
    for row in rows:
        found = listened.get(row.id)
        if row.speaker in heard and found is not None and found.heard is not None:
            heard[row.speaker].append(found.heard)
    return tuple(_voice(speaker, standards, heard[speaker]) for speaker in standards)


def _voice(speaker: str, standards: Mapping[str, Standard], heard: Sequence[Heard]) -> Voice:
    standard = standards[speaker]
    parts = [(from_text(wav.embedding), wav.seconds) for wav in heard if wav.embedding]
    like = likeness(weighted_mean(parts) if parts else None, speaker, standards)
    return Voice(
        speaker=speaker,
        source=standard.source,
        seconds=standard.sample.seconds,
        similarity=like.similarity,
        margin=like.margin,
        nearest_other=like.nearest_other,
        judged=is_long_enough(sum(seconds for _, seconds in parts)),
    )


def _mean(rows: Sequence[Row], measure: Callable[[Row], float | None]) -> float | None:
    """Weighted by seconds, over the rows that have the measure."""
    weighted = [(value, row.seconds or 0.0) for row in rows if (value := measure(row)) is not None]
    total = sum(seconds for _, seconds in weighted)
    return sum(value * seconds for value, seconds in weighted) / total if total else None
