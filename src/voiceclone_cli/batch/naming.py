"""What the run directories of a batch are called: after their recordings, and each by a name of its own."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from voiceclone_worker.contract import file_key, name_fault

RESERVED = ("batch.json", "logs", "tasks")
"""Names in the root that no run directory may have."""
_MOST_PARENTS = 3
_DIGITS = (8, 32)
"""Of the SHA-256 of a path, where nothing else tells two recordings apart."""
_LEVELS = 2 + _MOST_PARENTS + len(_DIGITS)
_LONGEST = 80
"""Characters of a name that was cut; the contract allows 100, and 200 bytes."""


def give_names(paths: Sequence[Path], earlier: Mapping[str, str], taken: Collection[str]) -> list[str]:
    """A name for each of these different absolute paths, the same whatever their order.

    It is the file's name without its suffix where no other has that; else the first of these that is unique:
    the whole file name, the name with one, two or three folders before it, the name with digits of the path's
    SHA-256. ``earlier`` holds the names of an earlier batch by path: they are kept, and given to no other.
    ``taken`` are names that cannot be had.
    """
    used = {file_key(name) for name in (*RESERVED, *taken)}
    names = _kept(paths, earlier, used)
    used.update(map(file_key, earlier.values()))
    for level in range(_LEVELS):
        proposed = {path: _proposal(path, level) for path in paths if path not in names}
        wanted = Counter(map(file_key, proposed.values()))
        for path, name in proposed.items():
            key = file_key(name)
            if wanted[key] == 1 and key not in used:
                names[path] = name
                used.add(key)
    return [names[path] for path in paths]


def _kept(paths: Sequence[Path], earlier: Mapping[str, str], used: set[str]) -> dict[Path, str]:
    """The names that stay. One that a list once gave is no name of the file itself, and is not kept."""
    names = {}
    for path in paths:
        name = earlier.get(str(path))
        if name is None or file_key(name) in used:
            continue
        if any(name == _proposal(path, level) for level in range(_LEVELS)):
            names[path] = name
            used.add(file_key(name))
    return names


def _proposal(path: Path, level: int) -> str:
    if level == 0:
        return _safe(path.stem)
    if level == 1:
        return _safe(path.name)
    parents = level - 1
    if parents <= _MOST_PARENTS:
        return _safe("-".join([*path.parts[1:-1][-parents:], path.stem]))
    digits = hashlib.sha256(os.fsencode(path)).hexdigest()
    return f"{_safe(path.stem)[:60]}-{digits[: _DIGITS[parents - _MOST_PARENTS - 1]]}"


def _safe(name: str) -> str:
    """The name, or the nearest to it that can name a folder on every system."""
    if name_fault(name) is None:
        return name
    allowed = "".join(character if name_fault(f"a{character}a") is None else "_" for character in name)
    cut = allowed.strip(" .")[:_LONGEST]
    while len(cut.encode()) > 2 * _LONGEST:
        cut = cut[:-1]
    cut = cut.strip(" .") or "recording"
    return cut if name_fault(cut) is None else f"_{cut}"
