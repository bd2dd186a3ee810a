"""A run directory as a report sees it: its documents, and links to what lies in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from voiceclone_cli.report.loose import Document, text
from voiceclone_cli.rundir.manifest import json_object, read_manifest
from voiceclone_cli.rundir.paths import CHECK_SCHEMA, RunPaths


@dataclass(frozen=True, slots=True)
class Folder:
    """A run directory and what its documents say. Open it with :func:`open_folder`."""

    root: Path
    run: Document
    """run.json."""
    check: Document
    """check.json; empty where nothing was checked."""
    notes: tuple[str, ...] = ()
    """Sentences for whoever looks at the report."""

    def find(self, named: object) -> Path | None:
        """The file that a manifest names; None where it is not in this directory.

        Manifests hold absolute paths, and a directory may have been moved since: what lay in the old one is
        looked for in this one. Nothing outside is ever linked to, whatever a manifest says.
        """
        if not text(named):
            return None
        path = Path(text(named))
        old_root = Path(text(self.run.get("run_dir")) or self.root)
        if path.is_relative_to(old_root):
            path = path.relative_to(old_root)
        path = self.root / path
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        inside = path.is_relative_to(self.root) and real.is_relative_to(self.root.resolve())
        return path if inside and real.is_file() else None

    def link(self, path: Path | None) -> str | None:
        """A relative URL for a file of this directory, safe whatever its name holds."""
        if path is None:
            return None
        return "/".join(quote(os.fsencode(part), safe="") for part in path.relative_to(self.root).parts)


def open_folder(root: Path) -> Folder:
    """Read the documents of a run directory.

    Raises InputError, as ``read_manifest`` does.
    """
    root = root.absolute()
    run = read_manifest(root)
    file = RunPaths(root).check
    check = json_object(file)
    if check.get("schema") == CHECK_SCHEMA:
        return Folder(root, run, check)
    notes = ("check.json cannot be read: make it anew with `voiceclone check`.",) if file.exists() else ()
    return Folder(root, run, {}, notes)
