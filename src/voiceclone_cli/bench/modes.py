"""The ways of speaking that a benchmark compares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from voiceclone_cli.errors import InputError


class Kind(StrEnum):
    ORIGINAL = "original"
    """Upstream's three steps for every segment, a process each."""
    LOOP = "upstream loop"
    """Upstream's functions, the models loaded once, one segment at a time."""
    CUT_LOOP = "upstream loop, same window"
    """The same with the window cut to what our generation needs of it."""
    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"


UPSTREAM = (Kind.ORIGINAL, Kind.LOOP, Kind.CUT_LOOP)
"""What only fish has."""


@dataclass(frozen=True, slots=True)
class Mode:
    kind: Kind
    workers: int = 1

    @property
    def name(self) -> str:
        return f"{self.kind} {self.workers}" if self.kind is Kind.PARALLEL else str(self.kind)

    @property
    def flag(self) -> str:
        """As --modes takes it."""
        return re.sub("[, ]+", "-", self.name)


ALWAYS = (Mode(Kind.SEQUENTIAL), Mode(Kind.PARALLEL, 2), Mode(Kind.PARALLEL, 3))


def default_modes(engine: str) -> tuple[Mode, ...]:
    """Every mode of this engine but the loop with a cut window, which is as dear as the loop itself."""
    return (Mode(Kind.ORIGINAL), Mode(Kind.LOOP), *ALWAYS) if engine == "fish" else ALWAYS


def read_modes(text: str) -> tuple[Mode, ...]:
    """The modes of a list with commas, each once. Raises InputError (``bad_mode``)."""
    modes = [_read(part.strip()) for part in text.split(",") if part.strip()]
    if not modes:
        raise InputError(f"--modes names no mode; there are {_KNOWN}", code="bad_mode")
    return tuple(dict.fromkeys(modes))


def check_modes(modes: Sequence[Mode], engine: str) -> None:
    """Raises InputError (``mode_of_fish``) where a mode was asked for that the engine does not have."""
    alien = [mode.flag for mode in modes if mode.kind in UPSTREAM]
    if alien and engine != "fish":
        raise InputError(
            f"{', '.join(alien)} measures fish-speech's own program, and the engine is {engine}: "
            "choose --engine fish, or only sequential and parallel-N",
            code="mode_of_fish",
        )


_KNOWN = "original, upstream-loop, upstream-loop-same-window, sequential and parallel-N"


def _read(text: str) -> Mode:
    for mode in (Mode(kind) for kind in Kind if kind is not Kind.PARALLEL):
        if text == mode.flag:
            return mode
    parallel = re.fullmatch(r"parallel-([1-9][0-9]?)", text)
    if parallel is None:
        raise InputError(f"--modes: there is no mode {text!r}; there are {_KNOWN}", code="bad_mode")
    return Mode(Kind.PARALLEL, int(parallel[1]))
