"""The two hashes by which a hub names its files: SHA-256 for large ones, git's own for small ones."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path


def is_hub_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) is not None


def has_hub_hash(path: Path, published: str) -> bool:
    """Whether a file's bytes are those that the hub published under this hash."""
    return (sha256(path) if len(published) == 64 else git_blob_sha1(path)) == published


def sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def git_blob_sha1(path: Path) -> str:
    """What git calls the file: it hashes the length together with the bytes."""
    head = f"blob {path.stat().st_size}\0".encode()
    with path.open("rb") as source:
        return hashlib.file_digest(source, lambda: hashlib.sha1(head, usedforsecurity=False)).hexdigest()
