"""From what was heard of a segment, and what should have been, to its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from voiceclone_cli.checking.edits import edit_distance
from voiceclone_cli.checking.embedding import from_text
from voiceclone_cli.checking.flags import flags_of
from voiceclone_cli.checking.hearing import Heard
from voiceclone_cli.checking.memory import Listened
from voiceclone_cli.checking.model import Flag, Row
from voiceclone_cli.checking.reading import Line
from voiceclone_cli.checking.voices import Standard, is_long_enough, likeness
from voiceclone_cli.checking.words import words_of


def judge(
    line: Line, listened: Listened | None, standards: Mapping[str, Standard], original_level: float | None
) -> Row:
    """The row of one segment; ``listened`` is None for one that the run did not speak."""
    wanted = words_of(line.text, line.language)
    if listened is None or listened.heard is None:
        return _unheard(line, listened, len(wanted))
    heard = listened.heard
    like = likeness(from_text(heard.embedding) if heard.embedding else None, line.speaker, standards)
    found = None if heard.words is None else words_of(heard.words, line.language)
    errors = None if found is None or not wanted else edit_distance(wanted, found)
    row = Row(
        id=line.id,
        speaker=line.speaker,
        text=line.text,
        words=len(wanted),
        flags=(),
        sha256=listened.sha256,
        similarity=like.similarity,
        margin=like.margin,
        nearest_other=like.nearest_other,
        wer=None if errors is None else errors / len(wanted),
        word_errors=errors,
        heard=heard.words,
        mos=heard.mos,
        duration_ratio=_duration_ratio(line, heard),
        loudness_db=_loudness(line, heard, original_level),
        peak_db=heard.peak_db,
        clipped_samples=heard.clipped_samples,
        seconds=heard.seconds,
        judged=is_long_enough(heard.seconds),
    )
    return replace(row, flags=flags_of(row, line, wanted, found))


def _unheard(line: Line, listened: Listened | None, words: int) -> Row:
    error = line.error
    if listened is not None and listened.error is not None:
        error = {"code": listened.error.code, "message": listened.error.message}
    flag = Flag.FAILED if listened is None else Flag.UNREADABLE
    return Row(line.id, line.speaker, line.text, words, (flag,), error=error)


def _duration_ratio(line: Line, heard: Heard) -> float | None:
    room = line.end - line.start
    return (line.placed_seconds or heard.seconds) / room if room > 0 else None


def _loudness(line: Line, heard: Heard, original_level: float | None) -> float | None:
    if heard.level_db is None or original_level is None or line.gain_db is None:
        return None
    return heard.level_db + line.gain_db - original_level
