"""What a platform lacks that a test is about, as marks with the reason."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

HOME_VARIABLE = "USERPROFILE" if os.name == "nt" else "HOME"
"""Names the user's folder to Python."""


def _has_symlinks() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "link"
        try:
            link.symlink_to(folder, target_is_directory=True)
        except (OSError, NotImplementedError):
            return False
        return link.is_symlink()  # wine makes one, and does not know it again


needs_symlinks = pytest.mark.skipif(
    not _has_symlinks(), reason="no symbolic links: Windows asks for a right, wine has none"
)
needs_permission_bits = pytest.mark.skipif(os.name != "posix", reason="permission bits of POSIX")
needs_shell_scripts = pytest.mark.skipif(
    os.name != "posix", reason="a program of the test is a script for /bin/sh"
)
needs_posix_paths = pytest.mark.skipif(os.name != "posix", reason="paths, folders and quotes of POSIX")


def write_program(
    path: Path, output: str = "", *, error: str = "", code: int = 0, log: Path | None = None
) -> Path:
    """Write a program that prints ``output`` and ``error``, and adds a line to the file ``log``.

    Returns its path, which ends with .bat on Windows.
    """
    if os.name == "posix":
        lines = ["#!/bin/sh", f"echo '{output}'", f"echo '{error}' >&2"]
        lines += [f"echo asked >> '{log}'"] if log else []
        path.write_text("\n".join([*lines, f"exit {code}", ""]), encoding="utf-8")
        path.chmod(0o755)
        return path
    lines = ["@echo off", f"echo {output}", f"echo {error or '.'} 1>&2"]
    lines += [f'echo asked>> "{log}"'] if log else []
    path = path.with_name(f"{path.name}.bat")
    path.write_text("\r\n".join([*lines, f"exit /b {code}", ""]), encoding="utf-8", newline="")
    return path
