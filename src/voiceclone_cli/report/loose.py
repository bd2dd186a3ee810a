"""Values of a document that an older version, or somebody's editor, may have written.

A report shows what there is: what is missing, or of another kind than it should be, is None or empty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Document]:
    """The objects of a list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def number(value: object) -> float | None:
    """None also for what JSON has no word for: nan and the infinities, which Python's reader lets in."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def plain(value: object) -> str:
    """Any value as a few words, for tables whose rows others define."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value)
