"""What runs took on this machine: one small file that may be lost, never one that a run fails for."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.machine.state import remember, state_file
from voiceclone_cli.rates.kinds import Kind
from voiceclone_cli.settings import cores

SCHEMA = "voiceclone.rates/1"
KEPT = 9
"""Observations of a kind; the oldest leave."""
MOST_KINDS, MOST_MACHINES = 200, 8
LARGEST_FILE = 4 << 20
"""Bytes. What is larger was not written here."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one run took for one stage."""

    work: float
    seconds: float
    memory_mb: int | None = None
    """Peak of the process, where the stage raised it."""
    typical: float = 0.0
    """Seconds that were typical of it, so that it tells something of other variants too."""


@dataclass(slots=True)
class History:
    """Observations by kind, the latest last. Kinds that were not seen for long leave first."""

    observations: dict[tuple[str, str, str], list[Observation]] = field(default_factory=dict)

    def add(self, kind: Kind, observation: Observation) -> None:
        key = (kind.stage, kind.family, kind.variant)
        earlier = self.observations.pop(key, [])
        compared = replace(observation, typical=kind.typical.seconds(observation.work))
        self.observations[key] = [*earlier, compared][-KEPT:]
        for oldest in list(self.observations)[:-MOST_KINDS]:
            del self.observations[oldest]

    def same_variant(self, kind: Kind) -> Sequence[Observation]:
        return self.observations.get((kind.stage, kind.family, kind.variant), ())

    def same_family(self, kind: Kind) -> Sequence[Observation]:
        of_family = (
            found for key, found in self.observations.items() if key[:2] == (kind.stage, kind.family)
        )
        return [observation for found in of_family for observation in found]


def machine() -> str:
    """What makes it fast or slow. Not its name: a home may be shared by unequal machines, and containers
    on the same one have a new name each time."""
    return f"{_processor()}, {cores()} cores{_graphics()}"


def load() -> History:
    """This machine's; empty where there is none, or where it cannot be read."""
    return _history(_read(state_file("rates.json")).get(machine(), {}))


def save(history: History) -> bool:
    """False where it cannot be written: then the next plan knows as much as this one."""
    path, name = state_file("rates.json"), machine()
    machines = {other: known for other, known in _read(path).items() if other != name}
    latest = dict(list(machines.items())[-(MOST_MACHINES - 1) :])
    document = {"schema": SCHEMA, "machines": {**latest, name: _rows(history)}}
    return remember(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def _read(path: Path) -> dict[str, Any]:
    """What is kept of every machine, by its name."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return {}
        document = json.loads(path.read_text(encoding="utf-8"))
        machines = document["machines"] if document["schema"] == SCHEMA else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return machines if isinstance(machines, dict) else {}


def _rows(history: History) -> list[dict[str, Any]]:
    return [
        {
            "stage": stage,
            "family": family,
            "variant": variant,
            "observed": [_rounded(one) for one in found],
        }
        for (stage, family, variant), found in history.observations.items()
    ]


def _rounded(one: Observation) -> list[float | int | None]:
    """To a fraction that nobody notices."""
    return [float(f"{one.work:.6g}"), float(f"{one.seconds:.6g}"), one.memory_mb, float(f"{one.typical:.6g}")]


def _history(rows: Any) -> History:
    """What of the rows can be believed."""
    history = History()
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, Mapping):
            continue
        key = (row.get("stage"), row.get("family"), row.get("variant"))
        found = list(_believed(row.get("observed")))[-KEPT:]
        if all(isinstance(part, str) for part in key) and found:
            history.observations[(str(key[0]), str(key[1]), str(key[2]))] = found
    return history


def _believed(observed: Any) -> Iterator[Observation]:
    for one in observed if isinstance(observed, list) else ():
        if not (isinstance(one, list) and len(one) == 4):
            continue
        work, seconds, memory_mb, typical = one
        if all(map(_is_amount, (work, seconds, typical, memory_mb or 1))):
            memory_mb = None if memory_mb is None else int(memory_mb)
            yield Observation(float(work), float(seconds), memory_mb, float(typical))


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 < value < 1e9


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        told = []
    names = (row.partition(":")[2].strip() for row in told if row.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _graphics() -> str:
    """NVIDIA's driver names its devices where one can read them without starting anything."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            rows = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        names += [row.partition(":")[2].strip() for row in rows if row.startswith("Model:")]
    return "".join(f", {name}" for name in names)
