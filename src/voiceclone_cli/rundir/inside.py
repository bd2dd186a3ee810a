"""What a run writes stays in its own folder, also where somebody has put links into it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from voiceclone_cli.errors import InputError


def refuse_links(root: Path, names: Iterable[str]) -> None:
    """Refuse each of ``names`` directly under ``root`` that is a link, and a folder that is one anywhere below
    them; take away the links to files there.

    ``names`` are folders, and files that are opened in place (a lock); those that are not there are fine.
    ``root`` itself may be a link: that is where its owner wants it. Other files need no check, because they are
    replaced and never written through; a log, though, is appended to, so a link in its place has to go.
    This guards against what lies there, not against somebody who changes it meanwhile.

    Raises InputError (``link_in_run_dir``), and OSError.
    """
    for name in names:
        path = root / name
        if path.is_symlink():
            raise _refusal(path)
        for parent, folders, files in os.walk(path):
            for entry in (Path(parent, folder) for folder in folders):
                if entry.is_symlink():
                    raise _refusal(entry)
            for entry in (Path(parent, file) for file in files):
                if entry.is_symlink():
                    entry.unlink()


def _refusal(link: Path) -> InputError:
    return InputError(
        f"{link} is a link, and nothing of a run is written through one: remove the link, or choose another "
        "folder with --out",
        code="link_in_run_dir",
    )
