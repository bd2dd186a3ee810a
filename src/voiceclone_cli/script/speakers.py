"""Speakers of script lines: named in the file, or else speaking at that time in the recording.

A line may name its speaker in a field (JSON, CSV, ASS, ``<v Anna>``) or in a label, as ``[Anna] text`` or
``Anna: text``. Subtitles also begin with sounds (``[laughs]``) and words like ``Note:``, so a label counts as
a name only if

- it is a known speaker, or has the form SPEAKER_00, or
- it begins at least two lines, and such labels begin at least half of the file's lines, or
- it is in brackets and no speakers are known, so that the line would have no speaker without it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names
from voiceclone_cli.script.parsers import ScriptLine, clean_text
from voiceclone_cli.types import Diarization, Turn
from voiceclone_worker.validation import file_key


class SpeakerShares:
    """The time that each speaker speaks within a span, in O(log n) for spans of any length.

    It sums whole microseconds, so that equal shares compare equal.
    """

    def __init__(self, turns: Iterable[Turn]) -> None:
        by_speaker: dict[str, list[Turn]] = {}
        for turn in turns:
            by_speaker.setdefault(turn.speaker, []).append(turn)
        self._starts = {name: _ElapsedSums(turn.start for turn in own) for name, own in by_speaker.items()}
        self._ends = {name: _ElapsedSums(turn.end for turn in own) for name, own in by_speaker.items()}

    def most(self, start: float, end: float) -> str | None:
        """Return who speaks most from ``start`` to ``end`` (seconds), first by name; None for silence."""
        first, last = _microseconds(start), _microseconds(end)
        best, longest = None, 0
        for name in sorted(self._starts):
            starts, ends = self._starts[name], self._ends[name]
            share = starts.at(last) - ends.at(last) - starts.at(first) + ends.at(first)
            if share > longest:
                best, longest = name, share
        return best


class _ElapsedSums:
    """The sum of the times elapsed since given moments, at any time."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._moments = sorted(map(_microseconds, seconds))
        self._sums = list(accumulate(self._moments, initial=0))

    def at(self, time: int) -> int:
        """Return the sum of time - moment over the moments before this time."""
        count = bisect_left(self._moments, time)
        return count * time - self._sums[count]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


_BRACKETED = re.compile(r"\[([^\[\]]{1,100})\]\s*(.*)")
_BEFORE_COLON = re.compile(r"([^\W\d_][\w .'’-]{0,39}?)\s*:(?:\s+(.*)|$)")
_DIARIZER_NAME = re.compile(r"speaker_\d+")


@dataclass(frozen=True, slots=True)
class _Label:
    """A name in brackets or before a colon at the start of a line, and the text after it."""

    name: str
    text: str
    bracketed: bool

    @property
    def key(self) -> str:
        return file_key(self.name)

    @property
    def shown(self) -> str:
        return f"[{self.name}]" if self.bracketed else f"{self.name}:"


def assign_speakers(
    lines: Sequence[ScriptLine], diarization: Diarization | None, extra: Collection[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return speaker and text of every line (empty text: no words), and notes on uncertain speakers.

    ``extra`` are names with a voice in addition to those of the diarization.
    Raises InputError if a line names a speaker without a voice, or no speaker is found.
    """
    turns = diarization.turns if diarization is not None else ()
    diarized = diarization.speakers if diarization is not None else ()
    known = {file_key(name): name for name in (*diarized, *extra)}
    labels = [None if line.speaker else _label(clean_text(line.text)) for line in lines]
    names = _name_keys(labels, known, len(lines))
    shares, index = SpeakerShares(turns), TurnIndex(turns)
    spellings = dict(known)
    assigned: list[tuple[str, str]] = []
    ignored = [label.shown for label in labels if label and label.text and label.key not in names]
    notes = (
        [f"Read as text, not as speakers: {_list_names(list(dict.fromkeys(ignored)))}."] if ignored else []
    )
    for line, label in zip(lines, labels, strict=True):
        speaker, text = line.speaker, clean_text(line.text)
        if label and label.key in names:
            speaker, text = label.name, label.text
        elif label and not label.text:
            text = ""  # a sound, "[music]"
        if not any(character.isalnum() for character in text):
            speaker, text = "", ""
        elif speaker:
            speaker = clean_text(speaker)
            speaker = spellings.setdefault(file_key(speaker), speaker)
        else:
            speaker, note = _speaker_at(line, shares, index)
            notes += note
        assigned.append((speaker, text))
    _check_voices({speaker for speaker, _ in assigned if speaker}, known, diarization is not None)
    return assigned, notes


def _label(text: str) -> _Label | None:
    for pattern, bracketed in ((_BRACKETED, True), (_BEFORE_COLON, False)):
        if found := pattern.fullmatch(text):
            return _Label(found[1].strip(), found[2] or "", bracketed)
    return None


def _name_keys(labels: Sequence[_Label | None], known: Collection[str], lines: int) -> set[str]:
    """Return the keys of the labels that name a speaker, by the rule at the top of this file."""
    found = [label for label in labels if label is not None]
    counts = Counter(label.key for label in found)
    certain = {
        label.key
        for label in found
        if label.key in known or _DIARIZER_NAME.fullmatch(label.key) or (label.bracketed and not known)
    }
    recurring = {key for key, count in counts.items() if count >= 2}
    if 2 * sum(counts[key] for key in certain | recurring) >= lines:
        return certain | recurring
    return certain


def _speaker_at(line: ScriptLine, shares: SpeakerShares, index: TurnIndex) -> tuple[str, list[str]]:
    """Return who speaks most during a line, or else the nearest speaker and a note."""
    speaker = shares.most(line.start, line.end)
    if speaker is not None:
        return speaker, []
    nearest = index.nearest(line.start, line.end)
    if nearest is None:
        raise InputError(
            f'{line.where} names no speaker, and no turns are known; write "[SPEAKER_00] " before its text.',
            code="script_speaker_missing",
        )
    turn, distance = nearest
    note = (
        f"{line.where} is in silence: assigned to {turn.speaker}, the nearest speaker, {distance:.2f} s away."
    )
    return turn.speaker, [note]


def _check_voices(names: Collection[str], known: dict[str, str], diarized: bool) -> None:
    unknown = sorted(name for name in names if file_key(name) not in known)
    check_speaker_names(unknown)
    if unknown and (diarized or known):
        raise InputError(
            f"{_list_names(unknown)} {'has' if len(unknown) == 1 else 'have'} no voice; the voices are "
            f"{_list_names(sorted(known.values())) if known else 'none'}: use one of those, or give a voice "
            f'with --reference "{unknown[0]:.40}=voice.wav".',
            code="script_speaker",
        )


def _list_names(names: Sequence[str], limit: int = 5) -> str:
    return ", ".join(f"{name:.24}" for name in names[:limit]) + (
        f" and {len(names) - limit} more" if len(names) > limit else ""
    )
