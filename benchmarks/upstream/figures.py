"""Modes and measures of a benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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
"""Modes of fish only."""


@dataclass(frozen=True, slots=True)
class Mode:
    kind: Kind
    workers: int = 1

    @property
    def name(self) -> str:
        return f"{self.kind} {self.workers}" if self.kind is Kind.PARALLEL else str(self.kind)

    @property
    def flag(self) -> str:
        """The name in --modes."""
        return re.sub("[, ]+", "-", self.name)


ALWAYS = (Mode(Kind.SEQUENTIAL), Mode(Kind.PARALLEL, 2), Mode(Kind.PARALLEL, 3))


def default_modes(engine: str) -> tuple[Mode, ...]:
    """Every mode of this engine but the loop with a cut window, which takes as long as the loop itself."""
    return (Mode(Kind.ORIGINAL), Mode(Kind.LOOP), *ALWAYS) if engine == "fish" else ALWAYS


def read_modes(text: str) -> tuple[Mode, ...]:
    """The modes of a list with commas, each once. Raises InputError (``bad_mode``)."""
    modes = [_read(part.strip()) for part in text.split(",") if part.strip()]
    if not modes:
        raise InputError(f"--modes names no mode; there are {_KNOWN}", code="bad_mode")
    return tuple(dict.fromkeys(modes))


def check_modes(modes: Sequence[Mode], engine: str) -> None:
    """Raises InputError (``mode_of_fish``) for a mode that the engine does not have."""
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


# Figures

FISH_FRAME = 2048
"""Samples of sound in a frame of fish-speech's codec."""
FISH_RATE = 44_100

STAGES = ("load", "encode", "generate", "decode", "write")


@dataclass(frozen=True, slots=True)
class Failed:
    """A segment that failed in a mode; id "" is the whole mode."""

    id: str
    code: str
    message: str


@dataclass(slots=True)
class Measure:
    """A mode's figures, for all segments of the benchmark; of a sample,
    scaled to all."""

    mode: Mode
    segments: int
    measured: int
    """Segments that were synthesized, or tried."""
    wall: float | None = None
    """Seconds from nothing to the last file: starting processes, imports, loading and all work."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, summed over the mode's processes."""
    frames: float | None = None
    """Of fish-speech's codec."""
    speech_seconds: float | None = None
    peak_mb: int | None = None
    """Of all the mode's processes together, at one time."""
    largest_mb: int | None = None
    """Of its largest process."""
    failed: list[Failed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    precision: str | None = None
    device: str | None = None
    window: int | None = None
    """Positions over which attention runs, where it is always the same."""
    load_average: tuple[float | None, float | None] = (None, None)
    """The machine's, over a minute, before and after."""

    @property
    def sampled(self) -> dict[str, int] | None:
        of_all = self.measured == self.segments
        return None if of_all else {"of": self.segments, "measured": self.measured}

    @property
    def frames_per_second(self) -> float | None:
        """Of wall time."""
        return _ratio(self.frames, self.wall)

    @property
    def generated_per_second(self) -> float | None:
        """Frames for each second that a process spends on generating."""
        return _ratio(self.frames, self.stages.get("generate"))

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of wall time for a second of speech."""
        return _ratio(self.wall, self.speech_seconds)


def scaled(value: float, of: int, measured: int) -> float:
    """``value`` of ``measured`` segments, for ``of``."""
    return value * of / measured


def document_row(measure: Measure, all_measures: Sequence[Measure]) -> dict[str, Any]:
    """Return a mode as in the JSON document; unknown values are None."""
    original = _of_kind(all_measures, Kind.ORIGINAL)
    loop = _of_kind(all_measures, Kind.LOOP)
    return {
        "mode": measure.mode.name,
        "workers": measure.mode.workers,
        "segments": measure.segments,
        "wall": _rounded(measure.wall),
        **{stage: _rounded(measure.stages.get(stage)) for stage in STAGES},
        "frames": None if measure.frames is None else round(measure.frames),
        "speech_seconds": _rounded(measure.speech_seconds),
        "frames_per_second": _rounded(measure.frames_per_second),
        "generated_per_second": _rounded(measure.generated_per_second),
        "real_time_factor": _rounded(measure.real_time_factor),
        "peak_mb": measure.peak_mb,
        "largest_mb": measure.largest_mb,
        "sampled": measure.sampled,
        "ratio_over_original": _rounded(faster(measure, original)),
        "ratio_over_upstream_loop": _rounded(faster(measure, loop)),
        "frames_ratio_over_original": _rounded(more_frames(measure, original)),
        "frames_ratio_over_upstream_loop": _rounded(more_frames(measure, loop)),
        "failed": [{"id": row.id, "code": row.code, "message": row.message} for row in measure.failed],
        "notes": measure.notes,
        "precision": measure.precision,
        "device": measure.device,
        "window": measure.window,
        "load_average": list(measure.load_average),
    }


def faster(measure: Measure, than: Measure | None) -> float | None:
    """How many times shorter its wall time is, over the same segments."""
    return None if than is None else _ratio(than.wall, measure.wall)


def more_frames(measure: Measure, than: Measure | None) -> float | None:
    """How many times more frames it makes in a second of wall time."""
    return None if than is None else _ratio(measure.frames_per_second, than.frames_per_second)


def _of_kind(measures: Sequence[Measure], kind: Kind) -> Measure | None:
    return next((measure for measure in measures if measure.mode.kind is kind), None)


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _rounded(value: float | None) -> float | None:
    """Round to four significant digits."""
    return None if value is None else float(f"{value:.4g}") if abs(value) < 1000 else round(value, 1)
