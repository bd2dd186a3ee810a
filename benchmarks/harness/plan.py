"""Plans of faulty runs: faults and their times, drawn from (seed, number), so that any run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

SEGMENTS = 24
"""Lines of the generated conversation."""

LATEST = 0.85
"""Share of the reference time; faster runs might end before later faults."""

ECHO_FAULTS = (
    *("kill", "segv", "exit", "loud", "hang", "stall", "slow"),
    *("garbage", "utf8", "longline", "torn", "missing", "doubled", "unknown"),
)
"""Faults that the echo engine causes in its worker; see tests/echo_faults.py."""

INSIDE = tuple(f"worker: {fault}" for fault in ECHO_FAULTS)
OUTSIDE = ("worker: SIGKILL from outside", "worker: SIGSEGV from outside", "worker: SIGSTOP from outside")
COMMAND = (
    *("command: SIGINT", "command: SIGINT twice", "command: SIGTERM", "command: SIGHUP"),
    "command: SIGKILL",
)
STREAMS = (
    *("stdout closed", "stderr closed", "stdout's reader gone", "stderr's reader gone"),
    *("terminal gone", "terminal gone under nohup"),
)
STORAGE = ("disk full", "output read-only", "segments/ removed", "run directory removed")
TAMPERING = ("segment cut", "segment replaced", "note torn", "manifest torn", "stage file torn")
RIVAL = ("second run at once",)

FAMILIES = (INSIDE, OUTSIDE, COMMAND, STREAMS, STORAGE, TAMPERING, RIVAL)
KINDS = tuple(kind for family in FAMILIES for kind in family)
NEED_MOUNTS = ("disk full", "output read-only")
ONCE_A_ROUND = (COMMAND, STREAMS, STORAGE, RIVAL)
"""Families with at most one fault for each command."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a fault is injected: after a share of the reference time, a number of segments, or a stage."""

    share: float = 0.0
    segments: int = 0
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and its trigger."""

    kind: str
    trigger: Trigger
    choice: float
    """In [0, 1): selects among alternatives (which worker, how much space, where to cut)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One faulty run: the faults of each round, in which the command runs once."""

    number: int
    workers: int
    """0: sequential."""
    rounds: tuple[tuple[Fault, ...], ...]

    @property
    def faults(self) -> list[Fault]:
        return [fault for faults in self.rounds for fault in faults]


def draw(seed: int, number: int, kinds: Sequence[str]) -> Plan:
    """Draw the plan of a run: one to three of ``kinds``, the first one in rotation, so that all occur.

    Even numbers are sequential, odd ones parallel.
    """
    chance = random.Random(f"{seed}:{number}")
    first = kinds[number // 2 % len(kinds)]
    return _plan(chance, number, [first, *chance.choices(kinds, k=chance.randint(0, 2))])


def deal(seed: int, runs: int, kinds: Sequence[str]) -> list[Plan]:
    """Distribute every kind once over ``runs`` plans."""
    return [_plan(random.Random(f"{seed}:{number}"), number, kinds[number::runs]) for number in range(runs)]


def _plan(chance: random.Random, number: int, kinds: Sequence[str]) -> Plan:
    rounds: list[list[Fault]] = [[]]
    for kind in kinds:
        fault = Fault(kind, _moment(chance), chance.random())
        if chance.random() < 0.25 or _excluded(kind, rounds[-1]):
            rounds.append([])
        rounds[-1].append(fault)
    workers = chance.choice((2, 3)) if number % 2 else 0
    return Plan(number, workers, tuple(tuple(faults) for faults in rounds if faults))


def _moment(chance: random.Random) -> Trigger:
    which = chance.random()
    if which < 0.5:
        return Trigger(share=LATEST * chance.random())
    if which < 0.85:
        return Trigger(segments=chance.randint(1, SEGMENTS))
    return Trigger(stage=chance.choice(("casting", "encoding", "timeline")))


def _excluded(kind: str, faults: Sequence[Fault]) -> bool:
    family = next(family for family in FAMILIES if kind in family)
    return family in ONCE_A_ROUND and any(fault.kind in family for fault in faults)
