"""Rates of the model: durations, sizes and frequencies of failures.

The defaults stand in rates.json, each part with where it was measured. Yours go over them: a JSON file of the same
form that names only what differs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

DEFAULTS = Path(__file__).with_name("rates.json")

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that something takes whatever its size, and for each unit of it."""

    fixed: float
    each: float

    def of(self, amount: float) -> float:
        return self.fixed + self.each * amount


@dataclass(frozen=True, slots=True)
class Engine:
    """A worker that holds this engine. Seconds, but for ``spread``."""

    load: float
    encode: Cost
    """A lease of references; a unit is a speaker."""
    row: Cost
    """A line; a unit is a second of its speech."""
    lease: float
    """Once for a lease, however many lines it has: what a batch shares."""
    spread: float
    """Of a line's seconds around what its length lets expect: the standard deviation of their logarithm."""
    speech_bytes: float
    """A second of speech as a file."""
    reference_bytes: float
    """What a node must have of a speaker."""
    marking: float
    """Seconds of the coordinator for a second of speech: the watermark. 0: none."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Between the coordinator and a worker: pipes here, Ray there."""

    start: float
    """Seconds until a worker can load its engine."""
    trip: float
    """Seconds between a worker's result and its next lease, without the coordinator's time."""
    hand_out: float
    """Seconds of the coordinator for a lease: its task file, its result."""
    hear: float
    """Seconds of the coordinator for a line: its events, its note."""
    store: float
    """Seconds of the coordinator for a byte that it has to write itself."""
    bytes_a_second: float
    """Of the coordinator's network, each way; 0: files are shared, nothing travels."""

    @property
    def isolated(self) -> bool:
        """Whether files travel between the coordinator and the nodes."""
        return self.bytes_a_second > 0


@dataclass(frozen=True, slots=True)
class Coordinator:
    """The process of the command. A unit is a second of the recording."""

    command: float
    """Seconds from the start of the command to its first file, and from the last file to its end."""
    reading: Cost
    listening: Cost
    casting: Cost
    timeline: Cost
    marking_model: float
    """Seconds to load the watermark's model, once a file."""
    threads: int
    """Files whose speech can be marked at once: the coordinator's cores."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Failures and slow workers."""

    worker_deaths: float
    """A worker and hour."""
    node_losses: float
    """A node and hour."""
    workers_a_node: int
    notice: float
    """Seconds until a lost node is missed."""
    back: float
    """Seconds until a lost node is there again."""
    slow_share: float
    """Of the workers."""
    slow_times: float
    """How much longer those take."""


@dataclass(frozen=True, slots=True)
class Rates:
    engine: Engine
    transport: Transport
    coordinator: Coordinator
    faults: Faults


def read_tables(own: Path | None = None, settings: Sequence[str] = ()) -> dict[str, Any]:
    """The defaults, over them those of the file ``own``, over them single values:
    ``engines.kokoro.row.each=0.05``. Raises SystemExit with a sentence for what cannot be read."""
    tables = _read(DEFAULTS)
    if own is not None:
        tables = _over(tables, _read(own))
    for setting in settings:
        path, _, number = setting.partition("=")
        try:
            patch: Any = float(number)
        except ValueError:
            raise SystemExit(f"--set wants NAME.NAME=NUMBER, not {setting!r}") from None
        for name in reversed(path.split(".")):
            patch = {name: patch}
        tables = _over(tables, patch)
    return tables


def rates_of(tables: Mapping[str, Any], engine: str, executor: str) -> Rates:
    """Raises SystemExit with a sentence for a name or a value that cannot be."""
    try:
        return Rates(
            _part(Engine, tables["engines"][engine], f"engines.{engine}"),
            _part(Transport, tables["executors"][executor], f"executors.{executor}"),
            _part(Coordinator, tables["coordinator"], "coordinator"),
            _part(Faults, tables["faults"], "faults"),
        )
    except KeyError as error:
        raise SystemExit(f"the rates have nothing for {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read as rates: {error}") from None
    if not isinstance(tables, dict):
        raise SystemExit(f"{path} must hold an object")
    return tables


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for name, value in above.items():
        old = made.get(name)
        made[name] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def _part(kind: type[Part], table: Mapping[str, Any], where: str) -> Part:
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    given = {name: value for name, value in table.items() if name != "measured"}
    if unknown := given.keys() ^ types.keys():
        raise SystemExit(f"{where} must name {', '.join(types)}, each once: look at {', '.join(unknown)}")
    values = {name: _value(value, f"{where}.{name}") for name, value in given.items()}
    return kind(**{name: int(value) if types[name] == "int" else value for name, value in values.items()})


def _value(value: Any, where: str) -> Any:
    if isinstance(value, dict) and value.keys() == {"fixed", "each"}:
        return Cost(_value(value["fixed"], where), _value(value["each"], where))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise SystemExit(f"{where} must be a number from 0, not {value!r}")
    return value
