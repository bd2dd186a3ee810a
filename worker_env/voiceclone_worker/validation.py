"""Checks of values from outside: JSON that stays small; texts, paths and numbers within bounds; names of files.

Task files, scripts and lists may come from strangers. Everything raises :class:`ContractError` with one short
sentence, which shows no more of a value than fits in it. Standard library only: both environments use it.
"""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

MAX_TEXT = 5_000
"""Characters of a segment's text and of a reference's words: about six minutes of speech."""
MAX_NAME = 200
MAX_PATH = 4_096
MAX_SENTENCE = 2_000
MAX_SECONDS = 360_000.0
"""100 hours, the latest time of subtitle files."""
MAX_INTEGER = 2**63 - 1
MAX_JSON = 64 * 2**20
"""Characters of a JSON text."""
MAX_VALUES = 4_000_000
"""Commas and brackets of a JSON text, its strings included. Python takes up to 100 bytes for each value."""
MAX_DEPTH = 8
"""Nesting of an engine's own option."""
MAX_CHARACTERS = 100
"""Of a name that names files."""
MAX_BYTES = 200
"""Of such a name in UTF-8. File systems take 255; the rest is for suffixes and temporary names."""

Row = Mapping[str, Any]
_T = TypeVar("_T")


class ContractError(ValueError):
    """A task file, result, event or other document that breaks its contract."""


def parse_json(text: str) -> Any:
    """Parse a JSON text of at most MAX_JSON characters and MAX_VALUES values, all numbers finite."""
    if len(text) > MAX_JSON:
        raise ContractError(f"longer than {MAX_JSON // 2**20} million characters")
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise ContractError(f"holds more than {MAX_VALUES:,} values")
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ContractError("not JSON (it nests too deeply)") from error
    except ContractError:
        raise
    except ValueError as error:
        raise ContractError(f"not JSON ({error})") from error


def document(text: str, schema: str) -> Row:
    """Parse a JSON object with this ``schema``."""
    found = parse_json(text)
    if not isinstance(found, dict):
        raise ContractError("must be a JSON object")
    if found.get("schema") != schema:
        raise ContractError(f'"schema" must be "{schema}", not {shown(found.get("schema"))}')
    return found


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ContractError(f"the number {digits:.20} is too large")
    return value


def _no_constant(name: str) -> float:
    raise ContractError(f"not JSON ({name} is no number)")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


def dump_json(document: Mapping[str, Any], indent: int | None = None) -> str:
    """Return the JSON text of a document, with escapes only where a path is not Unicode."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return text if is_unicode(text) else json.dumps(document, indent=indent)


def shown(value: object) -> str:
    """Return a value as a message can show it: short, on one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return repr(value[:40]) + ("..." if len(value) > 40 else "")
    return f"{value!r:.40}"


def text(row: Row, key: str, default: str | None = None, *, most: int = MAX_TEXT) -> str:
    """Return a Unicode text of at most ``most`` characters. Here and below, a key without default is required."""
    value: str = _value(row, key, default, str, "a text")
    if len(value) > most:
        raise ContractError(f'"{key}" has {len(value):,} characters, more than {most:,}')
    if not is_unicode(value):
        raise ContractError(f'"{key}" holds half a character (an unpaired surrogate)')
    return value


def path(row: Row, key: str, default: str | None = None) -> str:
    """Return an absolute path, whose bytes need not be Unicode; an empty one only by default."""
    value: str = _value(row, key, default, str, "a path")
    if value == default:
        return value
    if len(value) > MAX_PATH or "\0" in value or not os.path.isabs(value):
        raise ContractError(f'"{key}" must be an absolute path, not {shown(value)}')
    return value


def whole(row: Row, key: str, low: int = 0, high: int = MAX_INTEGER, default: int | None = None) -> int:
    """Return a whole number from ``low`` to ``high``."""
    value: int = _value(row, key, default, int, "a whole number")
    if not low <= value <= high:
        raise ContractError(f'"{key}" must be from {low:,} to {high:,}, not {shown(value)}')
    return value


def number(row: Row, key: str, high: float = MAX_SECONDS) -> float:
    """Return a number from 0 to ``high`` as a float."""
    value = _value(row, key, None, (int, float), "a number")
    if not 0 <= value <= high:
        raise ContractError(f'"{key}" must be from 0 to {high:,.0f}, not {shown(value)}')
    return float(value)


def sentence(row: Row, key: str) -> str:
    """Return a message: on one line, without control characters, cut to MAX_SENTENCE characters."""
    return one_line(_value(row, key, None, str, "a text"))


def one_line(value: str) -> str:
    """Return at most MAX_SENTENCE characters of a text, without what a terminal or a log would obey."""
    whole_characters = value[:MAX_SENTENCE].encode("utf-8", errors="replace").decode("utf-8")
    visible = (c if c.isprintable() else " " for c in whole_characters)
    return " ".join("".join(visible).split())


def optional(read: Callable[..., _T], row: Row, key: str, *bounds: Any) -> _T | None:
    """Read a key that may be missing or null."""
    return None if row.get(key) is None else read(row, key, *bounds)


def fields(row: Row, key: str, default: Row | None = None) -> Row:
    """Return an object."""
    value: Row = _value(row, key, default, dict, "an object")
    return value


def items(row: Row, key: str, most: int, default: list[Any] | None = None) -> list[Any]:
    """Return a list of at most ``most`` entries."""
    value: list[Any] = _value(row, key, default, list, "a list")
    if len(value) > most:
        raise ContractError(f'"{key}" has {len(value):,} entries, more than {most:,}')
    return value


def rows(row: Row, key: str, most: int, default: list[Any] | None = None) -> list[Row]:
    """Return a list of at most ``most`` objects."""
    found = items(row, key, most, default)
    if not all(isinstance(item, dict) for item in found):
        raise ContractError(f'"{key}" must be a list of objects')
    return found


def is_unicode(value: str) -> bool:
    """Return whether the text can be written as UTF-8: it has no unpaired surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def shallow(value: object, depth: int = MAX_DEPTH) -> bool:
    """Return whether lists and objects nest at most ``depth`` deep."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(shallow(item, depth - 1) for item in inner)


def _value(row: Row, key: str, default: Any, kind: Any, kind_name: str) -> Any:
    value = row.get(key, default)
    if value is None and key not in row:
        raise ContractError(f'"{key}" is missing')
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ContractError(f'"{key}" must be {kind_name}, not {shown(value)}')
    return value


_FORBIDDEN = '/\\:*?"<>|[]'
"""Forbidden by some system; and brackets, which subtitles put around a speaker's name."""
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}
"""Unicode categories: control and format characters (text direction, zero width), line and paragraph ends."""
_DEVICE = re.compile(r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]")
"""Windows: these are devices in every folder, with any suffix."""


def name_fault(name: str) -> str | None:
    """Return why a name cannot name a file on every system, to follow "it": "is empty", "holds '/'"; else None.

    A name without fault stays in its folder: it has no separator, no drive letter and no leading dot.
    """
    if not name:
        return "is empty"
    if len(name) > MAX_CHARACTERS:
        return f"has {len(name):,} characters, more than {MAX_CHARACTERS}"
    for character in name:
        if character in _FORBIDDEN:
            return f"holds {character!r}"
        if unicodedata.category(character) in _INVISIBLE:
            return f"holds the invisible character U+{ord(character):04X}"
        if "\ud800" <= character <= "\udfff":
            return "holds half a character (an unpaired surrogate)"
    if len(name.encode()) > MAX_BYTES:
        return f"takes {len(name.encode())} bytes, more than {MAX_BYTES}"
    if name[0] == "." or name[-1] == "." or name != name.strip():
        return "begins or ends with a dot or a blank"
    if _DEVICE.fullmatch(name.partition(".")[0].rstrip().upper()):
        return "is the name of a device on some systems"
    return None


def file_key(name: str) -> str:
    """Return a key that is equal for names that some system takes for one file.

    Such names differ only in case, or in how Unicode composes their accents.
    """
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def clash(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that would be one file on some system; None when there are none."""
    seen: dict[str, str] = {}
    for name in names:
        key = file_key(name)
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None
