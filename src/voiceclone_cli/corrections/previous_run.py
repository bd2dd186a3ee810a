"""What a run directory says of the run that made it, so that the same run can be made again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.config import SETTINGS, Settings, resolve
from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.manifest import MANIFEST, read_manifest

_HEARD = ("engine", "diarizer", "asr_model", "language", "max_stretch", "background", "watermark", "seed")
_HEARD_OF_FISH = ("checkpoint", "device", "precision")
_ASKED_FOR = ("mode", "workers", "batch_size", "compile", "fish_speech_dir", "fish_speech_python")
"""Not heard, so they hold only where somebody had set them; what is in no list is this machine's own matter."""
_FOLDERS = ("diarizer", "asr_model", "checkpoint", "fish_speech_dir")
"""May be given relative to where the run was started."""
SOURCE = MANIFEST
"""Where a setting of the earlier run comes from."""


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """The manifest of a run; open it with :func:`read_recorded`."""

    root: Path
    """Where the run directory is now."""
    manifest: Mapping[str, Any]

    @property
    def request(self) -> Mapping[str, Any]:
        request: Mapping[str, Any] = self.manifest["request"]
        return request

    def path(self, key: str) -> Path | None:
        """A file that the request names."""
        return self.find(self.request.get(key))

    def references(self) -> dict[str, Path]:
        given = self.request.get("references") or {}
        return {name: path for name, text in given.items() if (path := self.find(text)) is not None}

    def find(self, recorded: str | None) -> Path | None:
        """Where a file of the run is by now: the directory may have moved, alone or with what lay about it."""
        if recorded is None:
            return None
        path, old_root = Path(recorded), Path(self.manifest.get("run_dir") or self.root)
        if path.is_relative_to(old_root):
            return self.root / path.relative_to(old_root)
        if not path.exists():
            # On another drive nothing is relative to anything.
            with suppress(ValueError):
                beside = Path(os.path.normpath(self.root / os.path.relpath(path, old_root)))
                return beside if beside.exists() else path
        return path

    def settings(self) -> Settings:
        """The run's settings, whatever the environment says of them by now; threads, token and where models
        are kept are this machine's. Raises InputError."""
        resolve({})  # what is wrong with the environment is not the manifest's fault
        recorded = {name: value for name, value in self._settings().items() if value is not None}
        try:
            here = resolve(recorded)
        except InputError as error:
            raise InputError(f"{self.root / MANIFEST}: {error.message}", code="bad_manifest") from error
        optional = [name for name in SETTINGS if getattr(Settings(), name) is None]
        unset: dict[str, Any] = {name: None for name in optional if self._settings().get(name, "") is None}
        sources = {**here.sources, **dict.fromkeys(self._settings(), SOURCE)}
        return replace(here, **unset, sources=sources)

    def _settings(self) -> dict[str, Any]:
        """By name, those that hold on."""
        rows: Mapping[str, Mapping[str, Any]] = self.manifest["settings"]
        known = [name for name in SETTINGS if name in rows]
        kept = {
            name: self._anchored(name, rows[name]["value"])
            for name in known
            if name in (*_HEARD, *_HEARD_OF_FISH) or (name in _ASKED_FOR and rows[name]["from"] != "default")
        }
        # Not "auto": where fish was installed since, the lines that stay would be spoken by another engine.
        return {**kept, "engine": self.manifest["engine"]}

    def _anchored(self, name: str, value: Any) -> Any:
        started_in = self.request.get("working_dir")
        if name in _FOLDERS and value is not None and started_in and (Path(started_in) / value).is_dir():
            return str(Path(started_in) / value)
        return value


def read_previous_run(run_dir: Path) -> PreviousRun:
    """Raises InputError where there is no run, or none that says what was asked for."""
    root = run_dir.absolute()
    manifest = read_manifest(root)
    faults = [key for key in ("request", "settings", "input") if not isinstance(manifest.get(key), dict)]
    if faults or not isinstance(manifest.get("engine"), str):
        raise InputError(
            f"{root / MANIFEST} does not say what was asked for; give the command of that run again "
            f"(voiceclone run ... --out {root.name}), and correct it then.",
            code="bad_manifest",
        )
    return PreviousRun(root, manifest)
