"""What a segment's id and a speaker's name may be: both name files, on every system the same ones.

The rule itself is the worker's (``voiceclone_worker.contract``), which checks task files by it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from voiceclone_cli.errors import InputError
from voiceclone_worker.contract import clash, file_key, name_fault, shown

__all__ = ["are_safe", "check_speakers", "file_key", "shown"]


def are_safe(names: Collection[str]) -> bool:
    """Whether each of these names can name a file of its own."""
    return not any(map(name_fault, names)) and clash(names) is None


def check_speakers(names: Iterable[str]) -> None:
    """Raises InputError (``unsafe_name``) for a speaker's name that cannot name a file or a folder, and for two
    different ones that some system takes for the same."""
    distinct = sorted(set(names))
    for name in distinct:
        fault = name_fault(name)
        if fault is not None:
            raise InputError(
                f"the speaker name {shown(name)} cannot name a folder, because it {fault}; "
                "use letters, digits, blanks, - and _.",
                code="unsafe_name",
            )
    pair = clash(distinct)
    if pair is not None:
        raise InputError(
            f"the speaker names {shown(pair[0])} and {shown(pair[1])} would name one folder on some systems; "
            "write one of them for both, or rename one.",
            code="unsafe_name",
        )
