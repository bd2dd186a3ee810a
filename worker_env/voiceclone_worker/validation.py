"""Which names may name a file, the same on every system."""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

# What a value that came from outside may be: JSON that stays small, texts, paths and numbers within bounds.
#
# Everything raises :class:`ContractError` with one short sentence, and shows no more of a value than fits in it.


MAX_TEXT = 5_000
"""Characters of a line to speak, and of a reference's words: some six minutes of speech."""
MAX_NAME = 200
MAX_PATH = 4_096
MAX_SENTENCE = 2_000
MAX_SECONDS = 360_000.0
"""100 hours, the latest time of subtitle files."""
MAX_JSON = 64 * 2**20
"""Characters of a JSON text."""
MAX_VALUES = 4_000_000
"""Commas and brackets of a JSON text, texts included. What Python makes of each takes up to 100 bytes."""
MAX_DEPTH = 8
"""Of an engine's own option."""

Row = Mapping[str, Any]
_T = TypeVar("_T")


class ContractError(ValueError):
    """A task file, result or event that does not say what the contract asks for."""


# ------------------------------------------------------------------------------------------ JSON


def parse_json(text: str) -> Any:
    """The value of a JSON text of at most MAX_JSON characters and MAX_VALUES values, all numbers finite."""
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
    """A JSON object that calls itself by this schema."""
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
    """The text of a document, readable; with escapes only where a path is not Unicode."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return text if is_unicode(text) else json.dumps(document, indent=indent)


def shown(value: object) -> str:
    """A value as a message can show it: short, in one line, whatever it holds."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return repr(value[:40]) + ("..." if len(value) > 40 else "")
    return f"{value!r:.40}"


# ---------------------------------------------------------------------------------------- fields


def text(row: Row, key: str, default: str | None = None, *, most: int = MAX_TEXT) -> str:
    """Unicode text of at most ``most`` characters. Here and below, a key without default must be there."""
    value: str = _value(row, key, default, str, "a text")
    if len(value) > most:
        raise ContractError(f'"{key}" has {len(value):,} characters, more than {most:,}')
    if not is_unicode(value):
        raise ContractError(f'"{key}" holds half a character (an unpaired surrogate)')
    return value


def path(row: Row, key: str, default: str | None = None) -> str:
    """An absolute path; its bytes need not be Unicode. An empty one only by default."""
    value: str = _value(row, key, default, str, "a path")
    if value == default:
        return value
    if len(value) > MAX_PATH or "\0" in value or not os.path.isabs(value):
        raise ContractError(f'"{key}" must be an absolute path, not {shown(value)}')
    return value


def whole(row: Row, key: str, low: int, high: int, default: int | None = None) -> int:
    value: int = _value(row, key, default, int, "a whole number")
    if not low <= value <= high:
        raise ContractError(f'"{key}" must be from {low:,} to {high:,}, not {shown(value)}')
    return value


def number(row: Row, key: str, high: float = MAX_SECONDS) -> float:
    """A number from 0 to ``high``, as a float."""
    value = _value(row, key, None, (int, float), "a number")
    if not 0 <= value <= high:
        raise ContractError(f'"{key}" must be from 0 to {high:,.0f}, not {shown(value)}')
    return float(value)


def sentence(row: Row, key: str) -> str:
    """A text for people: on one line, without control characters, cut where it is overlong."""
    return one_line(_value(row, key, None, str, "a text"))


def one_line(value: str) -> str:
    """The text without what a terminal or a log would take for a command, at most MAX_SENTENCE characters."""
    whole_characters = value[:MAX_SENTENCE].encode("utf-8", errors="replace").decode("utf-8")
    visible = (c if c.isprintable() else " " for c in whole_characters)
    return " ".join("".join(visible).split())


def optional(read: Callable[..., _T], row: Row, key: str, *bounds: Any) -> _T | None:
    """What ``read`` makes of a key that may be missing or null."""
    return None if row.get(key) is None else read(row, key, *bounds)


def fields(row: Row, key: str, default: Row | None = None) -> Row:
    value: Row = _value(row, key, default, dict, "an object")
    return value


def items(row: Row, key: str, most: int, default: list[Any] | None = None) -> list[Any]:
    value: list[Any] = _value(row, key, default, list, "a list")
    if len(value) > most:
        raise ContractError(f'"{key}" has {len(value):,} entries, more than {most:,}')
    return value


def rows(row: Row, key: str, most: int, default: list[Any] | None = None) -> list[Row]:
    found = items(row, key, most, default)
    if not all(isinstance(item, dict) for item in found):
        raise ContractError(f'"{key}" must be a list of objects')
    return found


def is_unicode(value: str) -> bool:
    """Whether the text holds whole characters only, so that it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def shallow(value: object, depth: int = MAX_DEPTH) -> bool:
    """Whether lists and objects nest at most ``depth`` deep."""
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(shallow(item, depth - 1) for item in inner)


def _value(row: Row, key: str, default: Any, kind: Any, called: str) -> Any:
    value = row.get(key, default)
    if value is None and key not in row:
        raise ContractError(f'"{key}" is missing')
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ContractError(f'"{key}" must be {called}, not {shown(value)}')
    return value


MAX_CHARACTERS = 100
MAX_BYTES = 200
"""In UTF-8. File systems take 255; the rest is for endings and temporary names."""

_FORBIDDEN = '/\\:*?"<>|[]'
"""What some system forbids; and brackets, which subtitles put around a speaker's name."""
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}
"""Unicode categories: control and format characters (text direction, zero width), line and paragraph ends."""
_DEVICE = re.compile(r"CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]")
"""Windows: these are devices in every folder, whatever ending follows."""


def name_fault(name: str) -> str | None:
    """What keeps a name from being that of a file on any system, to follow "it": "is empty", "holds '/'".

    None when nothing does. A name without fault stays in its folder: it has no separator, no drive letter
    and no leading dot.
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
    """Equal for two names that some systems take for one file: they differ at most in case or in how
    Unicode composes their accents."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def clash(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two of these names that would be one file; None when each has its own."""
    seen: dict[str, str] = {}
    for name in names:
        key = file_key(name)
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None
