"""config.json of a checkpoint, which may come from a stranger: each value is checked when it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MOST_OF = (
    (("n_layer", "n_fast_layer", "num_codebooks", "n_codebooks", "transformer_layers"), 1_024),
    (("max_seq_len", "block_size"), 32_768),
    (("",), 2**31 - 1),
)
"""Largest number for names with these endings: how often a layer is repeated, how long a context is (its mask is a
square), anything else. The size of the weights does not limit these."""

_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class CheckpointConfig:
    """Values by name. A value that is null counts as absent, as upstream has it."""

    values: Mapping[str, Any]
    name: str = "config.json"

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number. Raises ValueError."""
        return int(self._value(key, default, int, "a whole number"))

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number. Raises ValueError."""
        return float(self._value(key, default, (int, float), "a number"))

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Return whether ``key`` is true. Raises ValueError."""
        return bool(self._value(key, default, bool, "true or false"))

    def part(self, key: str) -> CheckpointConfig:
        """Return the object below ``key``. Raises ValueError."""
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise ValueError(f"it has no {key}")
        return CheckpointConfig(value, key)

    def _value(self, key: str, default: Any, kind: type | tuple[type, ...], meant: str) -> Any:
        value = self.values.get(key)
        if value is None:
            if default is None:
                raise ValueError(f"{self.name} has no {key}")
            return default
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise ValueError(f"{key} is {value!r:.40}, where {meant} belongs")
        check_value(key, value)
        return value


def read_config(folder: Path, *kinds: str) -> CheckpointConfig:
    """Return config.json, of one of the ``kinds`` (its model_type). Raises ValueError, OSError."""
    path = folder / "config.json"
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, more than {_MOST_BYTES:,}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    kind = config.get("model_type") if isinstance(config, dict) else type(config).__name__
    if not isinstance(config, dict) or kind not in kinds:
        expected = " or ".join(repr(name) for name in kinds)
        raise ValueError(f"it is of model_type {kind!s:.40}, not {expected}")
    return CheckpointConfig(config)


def check_value(key: str, value: Any) -> None:
    """Check that a value and those in it are texts, or numbers of a size that can be meant. Raises ValueError."""
    for name, leaf in leaves(key, value):
        if not isinstance(leaf, (str, int, float, type(None))):
            raise ValueError(f"{name:.40} is no number")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError(f"{name:.40} is {leaf}")
        if isinstance(leaf, int):
            # -1 stands for "as many as there are heads".
            most = next(most for ends, most in _MOST_OF if name.endswith(ends))
            if not -1 <= leaf <= most:
                raise ValueError(f"{name:.40} is {leaf:.4g}, not between 0 and {most}")


def leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every scalar value with the nearest name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(str(name), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(key, inner)
    else:
        yield key, value
