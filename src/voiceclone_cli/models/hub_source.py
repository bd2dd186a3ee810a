"""The model hub as a source: single files of a repository at a pinned commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import is_disk_full
from voiceclone_cli.machine.telemetry import refuse_telemetry
from voiceclone_cli.models.entry import HubRepo, ModelFile
from voiceclone_cli.models.faults import SourceError
from voiceclone_cli.models.hub_hash import has_hub_hash, is_hub_hash, sha256

_CHUNK = 1 << 20


def download(
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


def read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
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
    return replace(file, sha256=sha256(path), size=path.stat().st_size)


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
