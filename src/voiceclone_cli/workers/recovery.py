"""What becomes of a lease that was not answered as it should have been."""

from __future__ import annotations

import collections
import os
import stat
from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.workers.protocol import Lease, SegmentKey, part
from voiceclone_worker.protocol import (
    Failure,
    ReferenceRow,
    Result,
    SegmentRow,
    SynthesisTask,
    reference_row_from_dict,
    segment_row_from_dict,
)
from voiceclone_worker.validation import ContractError

# When another worker may be started after some have died, and when no more are.


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How many workers may die in a row before no more are started."""

    barren: int = 3
    """Without beginning a row."""
    fruitless: int = 20
    """Having begun rows and finished none: each row is tried twice, then given up, so only where every row
    kills do so many die in a row."""


LIMITS = RestartLimits()
"""Of one caller's leases."""

PATIENT_LIMITS = RestartLimits(barren=9, fruitless=60)
"""Of all callers' together: more than one of them must have met it."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0


@dataclass(slots=True)
class RestartPolicy:
    """Counts deaths in a row. ``not_before`` is the monotonic time from which on another lease
    may be tried."""

    limits: RestartLimits = LIMITS
    not_before: float = 0.0
    _fruitless: int = 0
    _barren: int = 0

    def fruit(self) -> None:
        """A worker finished a row: workers do live here."""
        self._fruitless = self._barren = 0
        self.not_before = 0.0

    def death(self, now: float, *, began: bool) -> int:
        """A worker died, having begun rows or not. How many ended so when no more are to be started, else 0."""
        self._fruitless += 1
        self._barren = 0 if began else self._barren + 1
        self.not_before = now + min(FIRST_PAUSE * 2.0 ** (self._fruitless - 1), LONGEST_PAUSE)
        if self._barren >= self.limits.barren:
            return self._barren
        return self._fruitless if self._fruitless >= self.limits.fruitless else 0


# A lease in a slot's hands: which rows it has begun, which have their outcome.


RowName = tuple[int, str]
"""(number of the task in its lease from 0, segment id or speaker), as the worker names a row."""


class Assignment:
    """A lease that a slot holds; ``number`` is the slot's own count of its leases, from 1."""

    def __init__(self, lease: Lease, worker: str = "nobody", number: int = 0) -> None:
        self.lease = lease
        self.worker = worker
        self.number = number
        self.segments: dict[RowName, SegmentKey] = {}
        self.references: dict[RowName, str] = {}
        """The file that an encoded reference shall be in."""
        self.finished: set[RowName] = set()
        self.encoded: set[RowName] = set()
        self.in_flight: dict[RowName, int] = {}
        """Characters of the rows that are begun and not finished."""
        self._characters: dict[RowName, int] = {}
        for task_number, task in enumerate(lease.tasks):
            if isinstance(task, SynthesisTask):
                for segment in task.segments:
                    name = (task_number, segment.id)
                    self.segments[name] = (task.output_dir, segment.id)
                    self._characters[name] = len(segment.text)
            else:
                for reference in task.references:
                    self.references[task_number, reference.speaker] = reference.codes

    def begin(self, name: RowName) -> None:
        """The worker has begun with this row. A row that is not of this lease is not noticed."""
        if name in self.segments and name not in self.finished:
            self.in_flight[name] = self._characters[name]

    def finish(self, name: RowName) -> SegmentKey | None:
        """The key of a row that has its outcome now; None when it had one, or is not of this lease."""
        key = self.segments.get(name)
        if key is None or name in self.finished:
            return None
        self.finished.add(name)
        self.in_flight.pop(name, None)
        return key

    @property
    def unfinished(self) -> list[RowName]:
        """Segments without an outcome, in the order of the lease."""
        return [name for name in self.segments if name not in self.finished]

    @property
    def unencoded(self) -> list[RowName]:
        """References without an outcome, in the order of the lease."""
        return [name for name in self.references if name not in self.encoded]


# What a worker says of its rows, and how much of it is believed.
#
# A worker is another program, perhaps a damaged one. A row is believed when it is one of the lease's and,
# if it says that speech was made, the very file that was asked for is there and as long as it says.


WAV_HEADER = 44
"""Bytes before the samples of a mono PCM_16 file as the worker writes it."""

NAMES_TOLD = 3


@dataclass(slots=True)
class ValidatedResult:
    """A result against its lease."""

    segments: list[SegmentRow] = field(default_factory=list)
    """Rows to believe."""
    references: list[ReferenceRow] = field(default_factory=list)
    faults: dict[RowName, Failure] = field(default_factory=dict)
    """Rows that have no outcome that could be believed, and why."""
    notes: list[str] = field(default_factory=list)
    """Sentences about rows that were ignored."""


def new_rows(event: dict[str, Any]) -> SegmentRow | ReferenceRow | RowName | None:
    """What an event says of a lease: an outcome, or the name of a row that is begun.

    Raises ContractError or KeyError for a damaged event.
    """
    match event["event"]:
        case "segment_started":
            task, segment_id = event["task"], event["id"]
            if not isinstance(task, int) or not isinstance(segment_id, str):
                raise ContractError("a row is named by a number and a text")
            return task, segment_id
        case "segment_done" | "segment_failed":
            return segment_row_from_dict(event)
        case "encoded":
            return reference_row_from_dict(event)
    return None


def segment_fault(row: SegmentRow, key: SegmentKey) -> str | None:
    """Why a row is not to be believed; None where it is."""
    if row.status != "done":
        return None
    folder, segment_id = key
    wanted = os.path.join(folder, f"{segment_id}.wav")
    if not _same(row.file, wanted):
        return f"it says that it wrote {row.file}, not {wanted}"
    size = _size(wanted)
    if size is None:
        return f"it says that it wrote {wanted}, where no file is"
    if row.frames is None or size != WAV_HEADER + 2 * row.frames:
        return f"{wanted} has {size} bytes, which are not the {row.frames} samples that it says it wrote"
    return None


def reference_fault(row: ReferenceRow, codes: str) -> str | None:
    """Why the row of a reference is not to be believed; None where it is."""
    if row.status != "done":
        return None
    if not _same(row.file, codes):
        return f"it says that it wrote {row.file}, not {codes}"
    return None if _size(codes) else f"it says that it wrote {codes}, where no file is"


def validate_result(held: Assignment, result: Result) -> ValidatedResult:
    """Every row of the lease that has no outcome yet: believed, or at fault."""
    found = ValidatedResult()
    told = _Told(held)
    for row in result.segments:
        name = (row.task, row.id)
        if told.first(name, held.segments) and name not in held.finished:
            doubt = segment_fault(row, held.segments[name])
            if doubt is None:
                found.segments.append(row)
            else:
                found.faults[name] = _wrong(held, doubt)
    for reference in result.references:
        name = (reference.task, reference.speaker)
        if told.first(name, held.references) and name not in held.encoded:
            doubt = reference_fault(reference, held.references[name])
            if doubt is None:
                found.references.append(reference)
            else:
                found.faults[name] = _wrong(held, doubt)
    for name in (*held.unfinished, *held.unencoded):
        if name not in told.seen:
            found.faults[name] = Failure("no_outcome", f"{held.worker} gave no outcome for it")
    found.notes += told.notes()
    return found


class _Told:
    """Which rows a result has named, and which it should not have."""

    def __init__(self, held: Assignment) -> None:
        self._worker = held.worker
        self.seen: set[RowName] = set()
        self._doubled: list[str] = []
        self._unknown: list[str] = []

    def first(self, name: RowName, given: Container[RowName]) -> bool:
        """Whether this is the first row for one of the ``given``."""
        if name not in given:
            self._unknown.append(name[1])
        elif name in self.seen:
            self._doubled.append(name[1])
        else:
            self.seen.add(name)
            return True
        return False

    def notes(self) -> list[str]:
        notes = []
        if self._doubled:
            notes.append(
                f"{self._worker} answered twice for {name_segments(self._doubled)}: the first answer counts"
            )
        if self._unknown:
            notes.append(
                f"{self._worker} answered for {name_segments(self._unknown)}, which it was not given: ignored"
            )
        return notes


def _wrong(held: Assignment, doubt: str) -> Failure:
    return Failure("result_wrong", f"{held.worker} cannot be believed: {doubt}")


def name_segments(names: Iterable[str]) -> str:
    """A few of the names, and how many more there are."""
    every = list(names)
    told = ", ".join(repr(name)[1:-1][:60] for name in every[:NAMES_TOLD])
    return told if len(every) <= NAMES_TOLD else f"{told} and {len(every) - NAMES_TOLD} more"


def _same(told: str | None, wanted: str) -> bool:
    return told == wanted or (told is not None and Path(told) == Path(wanted))


def _size(path: str) -> int | None:
    """Bytes of a file; None where there is none, or a link."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


# How long a worker may take, and whether it has taken longer.
#
# Two clocks run for each. Silence: a worker's heartbeat comes every second whatever its engine does, so a
# process that is silent is stopped or hung beyond help. Progress: an engine may hang while the heart
# beats on; how long is too long depends on the phase. The limits are wide, since an 860 M model on a
# CPU may take most of a second for a character, and a healthy worker must never be ended: they find what
# would wait for ever.


SILENT_SECONDS = 60.0
LOADING_SECONDS = 900.0
ENCODING_SECONDS, SECONDS_PER_REFERENCE = 300.0, 120.0
GENERATING_SECONDS, SECONDS_PER_CHARACTER = 300.0, 2.0
LOAD_TIMES = 10.0
"""A machine that is slow to load is slow at all: so many times its loading is added to what comes after."""

LEAST_SILENCE, LEAST_SILENCE_AT_START = 3.0, 15.0
"""However little patience is asked for, a heartbeat may be late, and an interpreter takes time to start."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The limits in seconds, ``patience`` times what they usually are."""

    patience: float = 1.0

    def silence(self, *, greeted: bool) -> float:
        """Between two signs of life; ``greeted``: the worker's program has said that it runs."""
        return max(SILENT_SECONDS * self.patience, LEAST_SILENCE if greeted else LEAST_SILENCE_AT_START)

    def loading(self) -> float:
        return LOADING_SECONDS * self.patience

    def encoding(self, references: int, load_seconds: float) -> float:
        """Between two steps of encoding so many references."""
        own = ENCODING_SECONDS + SECONDS_PER_REFERENCE * references
        return (own + LOAD_TIMES * load_seconds) * self.patience

    def generating(self, characters: int, load_seconds: float) -> float:
        """Between two steps of speaking so many characters at a time."""
        own = GENERATING_SECONDS + SECONDS_PER_CHARACTER * characters
        return (own + LOAD_TIMES * load_seconds) * self.patience


class DeadlineWatch:
    """What a worker was last heard of doing, and when. ``now`` is a monotonic time in seconds."""

    def __init__(self, deadlines: Deadlines, now: float) -> None:
        self._deadlines = deadlines
        self._heard = self._progressed = now
        self._greeted = self._loaded = False
        self._load_seconds = 0.0

    def begin_lease(self, now: float) -> None:
        self._heard = self._progressed = now

    def end_lease(self) -> None:
        """Whoever has answered has loaded its engine."""
        self._loaded = True

    def hear(self, event: Mapping[str, Any], now: float, *, of_lease: bool) -> None:
        """An event; a step forward when it is news of the lease that the worker holds."""
        self._greeted = True
        if not of_lease or event["event"] == "heartbeat":
            return
        self._progressed = now
        if event["event"] == "loading":
            self._loaded = False
        elif event["event"] == "ready":
            self._loaded = True
            seconds = event.get("seconds")
            if isinstance(seconds, (int, float)) and 0 <= seconds <= LOADING_SECONDS:
                self._load_seconds = float(seconds)

    def forgive(self, seconds: float) -> None:
        """This process itself was suspended for so long: it could not listen."""
        self._heard += seconds
        self._progressed += seconds

    def overdue(self, held: Assignment, last_event: float, now: float) -> str | None:
        """Why the worker has to be ended; None while it does not. ``last_event`` is when one was read,
        whether or not anybody has had the time to look at it."""
        limit = self._deadlines.silence(greeted=self._greeted)
        self._heard = max(self._heard, last_event)
        if now - self._heard > limit:
            return f"it gave no sign of life for {limit:.0f} s"
        limit, doing = self._phase(held)
        if now - self._progressed > limit:
            return f"it made no progress for {limit:.0f} s while {doing}"
        return None

    def _phase(self, held: Assignment) -> tuple[float, str]:
        if not self._loaded:
            return self._deadlines.loading(), "loading its engine"
        references = len(held.references) - len(held.encoded)
        if references and not held.in_flight:
            return self._deadlines.encoding(references, self._load_seconds), "encoding references"
        characters = sum(held.in_flight.values())
        return self._deadlines.generating(characters, self._load_seconds), "speaking"


MAX_CRASHES = 2
"""A row that went wrong with two workers gets no third."""

MAX_LOSSES = 5
"""A row whose machine went away so many times is given up: perhaps it is not by chance."""


@dataclass(slots=True)
class RetryPlan:
    """What is left of a lease: to be done next, to be done when there is nothing else, not to be done."""

    first: list[Lease] = field(default_factory=list)
    last: list[Lease] = field(default_factory=list)
    given_up: list[RowName] = field(default_factory=list)


class FailureCounter:
    """Counts, for each row, the workers it went wrong with."""

    def __init__(self) -> None:
        self._counted: collections.Counter[Hashable] = collections.Counter()
        self._lost: collections.Counter[Hashable] = collections.Counter()

    def of_dead(self, held: Assignment) -> RetryPlan:
        """The worker is gone. Any row it was speaking may be what killed it: each of these goes alone to
        another worker, so that the guilty one takes no other with it; what it had not begun goes first."""
        remains = RetryPlan()
        for name in sorted(held.in_flight):
            if self._again(held, name):
                remains.last += part(held.lease, {name})
            else:
                remains.given_up.append(name)
        rest = {name for name in held.unfinished if name not in held.in_flight}
        if held.unencoded:
            rest |= held.references.keys()  # fitted together, so they are made again together
        remains.first += part(held.lease, rest)
        return remains

    def of_lost(self, held: Assignment) -> RetryPlan:
        """The machine of the worker is gone, which is no row's fault."""
        remains = RetryPlan()
        rest: set[RowName] = set()
        for name in (*held.unfinished, *held.unencoded):
            key = _key(held, name)
            self._lost[key] += 1
            if self._lost[key] < MAX_LOSSES:
                rest |= held.references.keys() if name in held.references else {name}
            else:
                remains.given_up.append(name)
        remains.first += part(held.lease, rest)
        return remains

    def of_answered(self, held: Assignment, faults: Iterable[RowName]) -> RetryPlan:
        """The worker answered, but not for these rows, or not as could be believed: another may try."""
        remains = RetryPlan()
        again: set[RowName] = set()
        for name in faults:
            if not self._again(held, name):
                remains.given_up.append(name)
            elif name in held.references:
                again |= {other for other in held.references if other[0] == name[0]}
            else:
                again.add(name)
        remains.first += part(held.lease, again)
        return remains

    def _again(self, held: Assignment, name: RowName) -> bool:
        """One more strike; whether the row may be tried again."""
        key = _key(held, name)
        self._counted[key] += 1
        return self._counted[key] < MAX_CRASHES


def _key(held: Assignment, name: RowName) -> Hashable:
    return held.segments.get(name, ("a reference", held.references.get(name)))
