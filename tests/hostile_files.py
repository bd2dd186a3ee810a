"""What strangers put into model files: programs, and archives with members of any name."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import Any


class Program:
    """What pickle makes of it on loading is a file called ``canary``."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._canary),)


def archive(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        for name, target in (links or {}).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            wheel.writestr(link, target)
    return path
