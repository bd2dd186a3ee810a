"""The model hub: single files of a repository at a pinned commit, through the hub's own client."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.files import file_sha256
from voiceclone_cli.models.registry import HubRepo, ModelFile
from voiceclone_cli.models.store import SourceError
from voiceclone_worker.atomic import is_disk_full
from voiceclone_worker.telemetry import refuse_telemetry

OnBytes = Callable[[int], None]
"""Called with the number of bytes of a download that have arrived so far."""


def download_from_hub(
    repo: HubRepo,
    files: Sequence[ModelFile],
    scratch: Path,
    on_bytes: OnBytes,
    token: str | None,
) -> Iterator[tuple[ModelFile, Path]]:
    """Fetch ``files`` from the hub's own cache on this machine, else from the hub, and yield the path of each.

    A file without a known sha256 is compared with the hash that the hub gives it at the pinned commit, and is
    yielded with its own sha256. One of the hub's own cache is taken as it is where the hub does not tell its hash: the
    hub's library has put it there, whole, as that of this commit.

    ``token`` None leaves the choice to the hub's library (HF_TOKEN, or a login). Raises SourceError when the hub
    does not deliver. What the hub and its library said stays out of it, of its causes too: a request holds the
    token, and what answers may repeat it.
    """
    refuse_telemetry()
    before, is_reached = 0, False
    on_bytes(before)
    for file in files:
        cached = _cached(repo, file)
        if cached is None and not is_reached:
            _require_hub(repo, file, token)
            is_reached = True
        path = cached or _download(repo, file, scratch, _counter(on_bytes, before, file.size), token)
        if file.sha256 is None:
            _require_published(repo, file, path, token, is_cached=cached is not None)
            yield replace(file, sha256=file_sha256(path), size=path.stat().st_size), path
        else:
            yield file, path
        before += file.size
        on_bytes(before)


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


def _require_published(
    repo: HubRepo, file: ModelFile, path: Path, token: str | None, *, is_cached: bool
) -> None:
    """Raise SourceError where ``path`` does not hold the published bytes, or they cannot be known."""
    # The hub's own cache keeps its files under the hash they were published with. On Windows it has copies instead,
    # where the user has no right to make links.
    published = path.resolve().name
    if not _is_hub_hash(published):
        if is_cached and is_offline():
            return
        try:
            published = _published_hash(repo, file, token)
        except SourceError:
            if is_cached:
                return
            raise
    if (file_sha256(path) if len(published) == 64 else _git_blob_sha1(path)) != published:
        raise SourceError(
            f"{file.path} of {repo.repo} came with another hash than the hub gives it",
            advice="try again, and if it stays so report it",
            code="model_hash_mismatch",
        )


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
