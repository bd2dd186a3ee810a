"""The model hub as a source: single files of a repository at a pinned commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voiceclone_cli.models.faults import SourceError, is_disk_full
from voiceclone_cli.models.registry import HubRepo, ModelFile

_CHUNK = 1 << 20


def download(
    repo: HubRepo,
    files: Sequence[ModelFile],
    scratch: Path,
    arrived: Callable[[int], None],
    token: str | None,
) -> dict[ModelFile, Path]:
    """Fetch ``files`` from the hub's own cache on this machine, else from the hub, and return where each is.

    ``arrived`` hears the number of bytes that have come so far. ``token`` None leaves the choice to
    the hub's library (HF_TOKEN, or a login). Raises SourceError when the hub does not deliver; what
    the hub said stays out of the message, since a request can hold a token.
    """
    found: dict[ModelFile, Path] = {}
    before = 0
    arrived(before)
    for file in files:
        found[file] = _cached(repo, file) or _download(
            repo, file, scratch, _counter(arrived, before, file.size), token
        )
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


def _cached(repo: HubRepo, file: ModelFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repo.repo, file.path, revision=repo.revision)
    # A file that was known to be absent comes back as a marker object, an unknown one as None.
    return Path(path) if isinstance(path, str) and Path(path).stat().st_size == file.size else None


def _download(repo: HubRepo, file: ModelFile, scratch: Path, bar: type[Any], token: str | None) -> Path:
    if is_offline():
        raise SourceError(
            f"HF_HUB_OFFLINE forbids the hub and its cache here lacks {repo.repo}",
            advice="unset HF_HUB_OFFLINE and try again",
            code="hub_offline",
        )
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
        raise _explain(error, repo) from error
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

    # What the hub answered may stand behind "not found in the local cache either".
    answers = (getattr(each, "response", None) for each in (error, error.__cause__))
    status = next((answer.status_code for answer in answers if answer is not None), None)
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
