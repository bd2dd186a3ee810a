"""Speakers of script lines: named in the file, or else speaking at that time in the recording.

A line may name its speaker in a field (JSON, CSV, ASS, ``<v Anna>``) or in a label in its text
(:mod:`voiceclone_cli.script.labels`). Without either it goes to who speaks most at that time by the diarizer's turns,
or in silence to the nearest speaker. Dialogue dashes say that two rows are by two people: where the turns do not, the
other speaker who is nearest takes the row that the turns contradict least.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names
from voiceclone_cli.messages import listed
from voiceclone_cli.script.labels import DASHES, Part, label_key, learn_labels, strip_marks
from voiceclone_cli.script.parsers import ScriptLine, clean_text, share_time
from voiceclone_cli.script.sounds import (
    CREDIT,
    DIRECTION,
    EDGE_LINES,
    LABEL,
    NO_WORDS,
    is_credit,
    omit_sounds,
)
from voiceclone_cli.types import Diarization, OmittedText, Span, Turn
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
            share = self._share(name, first, last)
            if share > longest:
                best, longest = name, share
        return best

    def share(self, name: str, start: float, end: float) -> int:
        """Return the microseconds that a speaker speaks from ``start`` to ``end`` (seconds)."""
        return self._share(name, _microseconds(start), _microseconds(end)) if name in self._starts else 0

    def _share(self, name: str, first: int, last: int) -> int:
        starts, ends = self._starts[name], self._ends[name]
        return starts.between(first, last) - ends.between(first, last)


class _ElapsedSums:
    """The sum of the times elapsed since given moments, at any time."""

    def __init__(self, seconds: Iterable[float]) -> None:
        self._moments = sorted(map(_microseconds, seconds))
        self._sums = list(accumulate(self._moments, initial=0))

    def between(self, first: int, last: int) -> int:
        """Return by how much the sum of time - moment, over the moments before a time, grows from one to the other."""
        before = bisect_left(self._moments, first)
        count = bisect_left(self._moments, last, before)
        return count * last - self._sums[count] - before * first + self._sums[before]


class _Distances:
    """The distance in seconds of one speaker's turns from any span; 0.0 where they touch or overlap."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._index = TurnIndex(turns)

    def distance(self, start: float, end: float) -> float:
        nearest = self._index.nearest(start, end)
        return math.inf if nearest is None else nearest[1]


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


MAX_DISTANCE = 10.0
"""Seconds from a row to the turn of another speaker who can be meant by a dialogue dash."""
_DASH_ROW = re.compile(rf"^\s*[{DASHES}]\s*\w", re.MULTILINE)

BY_LABEL, BY_TIME, BY_DASH, BY_DISTANCE = "label", "time", "dash", "nearest"
"""Ways to find the speaker of a segment; also the keys of Script.found_by."""


_WAYS = {
    BY_LABEL: "by label",
    BY_TIME: "by time",
    BY_DASH: "by dashes against the turns",
    BY_DISTANCE: "in silence by the nearest",
}


def describe_found_by(found_by: Mapping[str, int]) -> str:
    """Return how speakers were found, and how often: "12 by label, 3 by time"."""
    return ", ".join(f"{found_by[way]:,} {words}" for way, words in _WAYS.items() if found_by.get(way))


@dataclass(slots=True)
class SpeakerAssignment:
    """What is spoken of a script's lines, by whom, and what is not."""

    lines: list[ScriptLine] = field(default_factory=list)
    """Each with its speaker."""
    omitted: list[OmittedText] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found_by: Counter[str] = field(default_factory=Counter)


def assign_speakers(
    lines: Sequence[ScriptLine],
    diarization: Diarization | None,
    extra: Collection[str],
    *,
    labels: bool = True,
    sounds: bool = False,
    tags: bool = False,
    strict: bool = False,
) -> SpeakerAssignment:
    """Return the lines that are spoken with their speakers, one for each speaker of a cue, and all other text.

    ``extra`` are names with a voice in addition to those of the diarization. Without ``labels`` names before a text
    are part of it; with ``sounds`` everything with words is spoken, with ``tags`` what a line has in square brackets is
    a stage direction of its text. Raises InputError if a line names a speaker
    without a voice (``strict``: also if only a label does, as MAN), or no speaker is found.
    """
    return _Assigner(lines, diarization, extra, labels=labels, sounds=sounds, tags=tags, strict=strict).run()


class _Assigner:
    def __init__(
        self,
        lines: Sequence[ScriptLine],
        diarization: Diarization | None,
        extra: Collection[str],
        *,
        labels: bool,
        sounds: bool,
        tags: bool,
        strict: bool,
    ) -> None:
        self._lines = [
            line if line.text.isascii() else replace(line, text=strip_marks(line.text)) for line in lines
        ]
        turns = diarization.turns if diarization is not None else ()
        diarized = diarization.speakers if diarization is not None else ()
        self._known = {file_key(name): name for name in (*diarized, *extra)}
        self._dresses = {label_key(name): name for name in (*diarized, *extra)}
        self._has_voices = diarization is not None or bool(self._known)
        self._shares, self._index = SpeakerShares(turns), TurnIndex(turns)
        self._by_speaker = {
            name: _Distances(turn for turn in turns if turn.speaker == name) for name in diarized
        }
        self._sounds, self._tags, self._strict, self._has_labels = sounds, tags, strict, labels
        self._spellings = dict(self._known)
        free = [line.text for line in self._lines if not line.speaker]
        self._reader, self._read_as_text = learn_labels(free, self._known.values(), tags=tags)
        self._voiceless: list[str] = []
        self._dialogues: defaultdict[bool, list[str]] = defaultdict(list)
        """Cues whose turns contradict their dashes, by whether another speaker was found."""
        self._result = SpeakerAssignment()

    def run(self) -> SpeakerAssignment:
        result = self._result
        if self._has_labels and self._read_as_text:
            result.notes.append(f"Read as text, not as speakers: {_list_names(self._read_as_text)}.")
        last = len(self._lines) - 1
        for number, line in enumerate(self._lines):
            is_edge = number < EDGE_LINES or number > last - EDGE_LINES
            if not self._sounds and is_credit(line.text, at_edge=is_edge):
                self._omit(line, clean_text(line.text), CREDIT)
            else:
                self._assign(line)
        result.lines.sort(key=lambda line: line.start)
        _check_voices({line.speaker or "" for line in result.lines}, self._known, self._has_voices)
        self._add_notes()
        return result

    def _assign(self, line: ScriptLine) -> None:
        """Add the segments of a line, and what is not spoken of it."""
        omitted_before = len(self._result.omitted)
        parts = []
        for part in self._parts(line):
            for label in part.labels:
                self._voiceless.append(label.name)
                self._omit(line, label.shown, LABEL)
            if part.others:
                names = ", ".join(filter(None, map(self._spelled, (part.name, *part.others))))
                self._result.notes.append(
                    f"{line.where} is said by {names} together: the first says it alone."
                )
            text = self._speech(line, part)
            if any(character.isalnum() for character in text):
                parts.append((part, text))
        if not parts:
            if len(self._result.omitted) == omitted_before:
                self._omit(line, clean_text(line.text), NO_WORDS)
            return
        given = [self._spelled(part.name) for part, _ in parts]
        if len(parts) == 1:
            ((_, text),) = parts
            (speaker,) = self._speakers(line, [part for part, _ in parts], given, [(line.start, line.end)])
            self._result.lines.append(replace(line, text=text, speaker=speaker))
            return
        lines = share_time(line, [text for _, text in parts])
        spans = [(each.start, each.end) for each in lines]
        speakers = self._speakers(line, [part for part, _ in parts], given, spans)
        for each, speaker in zip(lines, speakers, strict=True):
            self._result.lines.append(replace(each, speaker=speaker))

    def _parts(self, line: ScriptLine) -> list[Part]:
        if line.speaker:
            return self._field_parts(line)
        if self._has_labels:
            return self._reader.parts(line.text)
        return [Part(None, line.text.split("\n"))]

    def _field_parts(self, line: ScriptLine) -> list[Part]:
        """Return the parts of a line whose speaker is a field.

        A known name in its text is a label all the same, and of two rows with dialogue dashes the field names the
        first one's speaker.
        """
        text = line.text
        is_dialogue = len(_DASH_ROW.findall(text)) > 1
        if not self._has_labels or not (is_dialogue or self._reader.has_known_label(text)):
            return [Part(line.speaker, text.split("\n"))]
        parts = self._reader.parts(text)
        return [
            part if part.name or (number and is_dialogue) else replace(part, name=line.speaker)
            for number, part in enumerate(parts)
        ]

    def _speech(self, line: ScriptLine, part: Part) -> str:
        """Return what is spoken of a part, and list the rest."""
        rows = "\n".join(part.rows)
        if self._sounds:
            return clean_text(" ".join((*part.descriptions, rows)))
        for description in part.descriptions:
            self._omit(line, description, DIRECTION)
        names = None if self._has_labels else self._is_name
        text, omissions = omit_sounds(rows, names, tags=self._tags)
        for omission, reason in omissions:
            self._omit(line, clean_text(omission), reason)
        return clean_text(text)

    def _is_name(self, content: str) -> bool:
        return label_key(content) in self._dresses

    def _omit(self, line: ScriptLine, text: str, reason: str) -> None:
        self._result.omitted.append(OmittedText(line.where, line.start, line.end, text, reason))

    def _spelled(self, name: str | None) -> str | None:
        """Return a name as the voices have it, or as the file had it first."""
        if name is None:
            return None
        name = clean_text(name)
        known = self._known.get(file_key(name)) or self._dresses.get(label_key(name))
        return known or self._spellings.setdefault(file_key(name), name)

    def _speakers(
        self, line: ScriptLine, parts: Sequence[Part], given: Sequence[str | None], spans: Sequence[Span]
    ) -> list[str]:
        """Return the speaker of each part of a line; ``given`` by the file, ``spans`` in seconds."""
        speakers, ways, distances = [], [], []
        for name, span in zip(given, spans, strict=True):
            speaker, distance = (name, 0.0) if name else self._speaker_at(line, span)
            speakers.append(speaker)
            distances.append(distance)
            ways.append(BY_LABEL if name else BY_DISTANCE if distance else BY_TIME)
        changes = [number > 0 and part.is_change for number, part in enumerate(parts)]
        if any(change and a == b for change, (a, b) in zip(changes[1:], pairwise(speakers), strict=True)):
            others = self._as_dialogue(given, spans, changes)
            self._dialogues[others is not None].append(line.where)
            for number, other in enumerate(others or speakers):
                if other != speakers[number]:
                    speakers[number], ways[number] = other, BY_DASH
        for speaker, way, distance in zip(speakers, ways, distances, strict=True):
            if way == BY_DISTANCE:
                self._result.notes.append(
                    f"{line.where} is in silence: assigned to {speaker}, the nearest speaker, {distance:.2f} s away."
                )
        self._result.found_by.update(ways)
        return speakers

    def _speaker_at(self, line: ScriptLine, span: Span) -> tuple[str, float]:
        """Return who speaks most in a span, or else the nearest speaker, and the distance in seconds."""
        speaker = self._shares.most(*span)
        if speaker is not None:
            return speaker, 0.0
        nearest = self._index.nearest(*span)
        if nearest is None:
            raise InputError(
                f'{line.where} names no speaker, and no turns are known; write "[SPEAKER_00] " before its text.',
                code="script_speaker_missing",
            )
        turn, distance = nearest
        return turn.speaker, max(distance, 1e-3)

    def _as_dialogue(
        self, given: Sequence[str | None], spans: Sequence[Span], changes: Sequence[bool]
    ) -> list[str] | None:
        """Return the speakers that agree best with the turns and change wherever they should; None if none do."""
        start, end = spans[0][0], spans[-1][1]
        distances = {name: index.distance(start, end) for name, index in self._by_speaker.items()}
        near = sorted(distances, key=lambda name: (distances[name], name))
        here = [name for name in near if distances[name] == 0.0 and self._shares.share(name, start, end)]
        candidates = here if len(here) > 1 else [name for name in near[:2] if distances[name] <= MAX_DISTANCE]
        # The best sum of agreement for each speaker of the part so far, with the speakers up to there.
        best: dict[str, tuple[float, list[str]]] = {}
        for name, span, change in zip(given, spans, changes, strict=True):
            reached: dict[str, tuple[float, list[str]]] = {}
            for speaker in [name] if name else candidates:
                earlier = [value for other, value in best.items() if not (change and other == speaker)]
                if earlier or not best:
                    sum_before, path = max(earlier, key=lambda value: value[0], default=(0.0, []))
                    reached[speaker] = (sum_before + self._agreement(speaker, span), [*path, speaker])
            if not reached:
                return None
            best = reached
        return max(best.values(), key=lambda value: value[0])[1]

    def _agreement(self, speaker: str, span: Span) -> float:
        """Return how long a speaker speaks in a span, in seconds; in silence less than 0, the farther the less."""
        if shared := self._shares.share(speaker, *span):
            return shared / 1_000_000
        index = self._by_speaker.get(speaker)
        return -0.001 * index.distance(*span) if index else 0.0

    def _add_notes(self) -> None:
        notes = self._result.notes
        for was_found, cues in sorted(self._dialogues.items(), reverse=True):
            dashes = f"The dialogue dashes of {_list_names(cues)} change the speaker where the turns do not"
            notes.append(
                f"{dashes}: the nearest other speaker says one of the rows."
                if was_found
                else f"{dashes}, and no other speaker is near: one speaker says the rows."
            )
        if self._voiceless:
            counts = Counter(self._voiceless)
            names = _list_names(
                [f"{name:.24}" + f" ({n})" * (n > 1) for name, n in counts.items()], length=32
            )
            example = f'--reference "{next(iter(counts)):.40}=voice.wav"'
            if self._strict:
                raise InputError(
                    f"has labels that name no voice: {names}; give them one, as {example}, or leave --strict out.",
                    code="script_speaker",
                )
            notes.append(
                f"Labels that name no voice: {names}; their lines go to the speaker of their time, unless you give a "
                f"voice with {example}."
            )


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


def _list_names(names: Sequence[str], length: int = 24) -> str:
    return listed([name[:length] for name in names])
