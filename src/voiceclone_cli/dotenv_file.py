"""The ``.env`` file: read without trust in what it is, and never quoted, since it may hold secrets."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.redaction import holds_secret

_LARGEST = 1_000_000
"""Bytes."""


@dataclass(frozen=True, slots=True)
class DotenvFile:
    """What a ``.env`` says."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By name, without the empty ones."""
    notes: tuple[str, ...] = ()
    """Sentences for the user: others can read its secrets, lines that say nothing."""


def read_dotenv(path: Path, ours: Iterable[str]) -> DotenvFile:
    """The variables in ``path``; none where there is no file, or something else of that name (a folder,
    a pipe, a link to nowhere). In values of ``ours`` backslashes are kept.

    Raises InputError where it cannot be read, is too large or is no UTF-8 text.
    """
    try:
        opened = _open(path)
        if opened is None:
            return DotenvFile()
        data, mode = opened
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): give yourself the right to, or remove it.",
            code="bad_dotenv",
        ) from error
    if len(data) > _LARGEST:
        raise InputError(
            f"{path} is larger than {_LARGEST // 1_000_000} MB, so it is no file of settings: remove it, "
            "or start the command elsewhere.",
            code="bad_dotenv",
        )
    values, bad_lines = _parsed(path, data, ours)
    return DotenvFile(values, (*_bad_line_notes(path, bad_lines), *_exposure_notes(path, mode, values)))


def _open(path: Path) -> tuple[bytes, int] | None:
    """The first bytes of a regular file, one more than may be, and its mode; None where there is none."""
    try:
        # A pipe without a writer must not hold the command up.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError:
        # Windows denies the opening of folders; sockets and devices have errors of their own.
        if path.exists() and not path.is_file():
            return None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST + 1), mode
    finally:
        os.close(descriptor)


def _parsed(path: Path, data: bytes, ours: Iterable[str]) -> tuple[dict[str, str], list[int]]:
    """The values, and the numbers of the lines that are no ``NAME=value``."""
    from dotenv.parser import parse_stream

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        # Not as its cause: that error carries the whole file.
        raise InputError(
            f"{path} is not UTF-8 text (line {line}): save it as UTF-8.", code="bad_dotenv"
        ) from None
    values: dict[str, str] = {}
    bad_lines: list[int] = []
    # Nothing is interpolated: a Windows path or a token may hold a $.
    for binding in parse_stream(io.StringIO(_backslashes_kept(text, ours))):
        if binding.error:
            bad_lines.append(binding.original.line)
        elif binding.key and binding.value:
            values[binding.key] = binding.value
    return values, bad_lines


def _backslashes_kept(text: str, ours: Iterable[str]) -> str:
    r"""``text`` with every backslash of our own quoted values doubled.

    In quotes a .env file knows escapes, so ``"C:\new\tools"`` would come out with a line break and a
    tab, and ``"C:\tools\"`` would not end. None of our values needs an escape; all may be Windows paths.
    """
    names = "|".join(map(re.escape, ours))
    quoted = rf"""^(\s*(?:export\s+)?(?:{names})\s*=[^\S\n]*)("[^"\n]*"|'[^'\n]*')"""
    return re.sub(quoted, lambda found: found[1] + found[2].replace("\\", r"\\"), text, flags=re.MULTILINE)


def _bad_line_notes(path: Path, lines: list[int]) -> list[str]:
    if not lines:
        return []
    which = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
    return [
        f"{path}: no NAME=value begins in line {which}, which says nothing therefore: correct or remove it."
    ]


def _exposure_notes(path: Path, mode: int, values: Mapping[str, str]) -> list[str]:
    """On Windows a file's mode does not tell who may read it."""
    secrets = [name for name, value in values.items() if holds_secret(name, value)]
    if os.name == "nt" or not secrets or not mode & 0o077:
        return []
    held = ", ".join(secrets[:3]) + (", ..." if len(secrets) > 3 else "")
    return [
        f"{path} holds a secret ({held}) and is open to other users of this machine: run `chmod 600 {path}`."
    ]
