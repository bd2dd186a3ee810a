"""Which names may name a file, the same on every system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

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
