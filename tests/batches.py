"""Batches of short talks, which need no model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from short_talk import short_talk
from voiceclone_cli.batch.model import Batch, BatchItem
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import ECHO_VARIABLE
from voiceclone_cli.pipeline.request import RunRequest


def item(folder: Path, name: str, root: Path, *, seed: int = 1, **flags: Any) -> BatchItem:
    """Return a talk of ten lines; ``seed`` decides its sound, ``flags`` are settings."""
    talk = short_talk(folder / name, seed, _0003=f"a line of {name}")
    settings = resolve({"engine": "echo", **flags})
    request = RunRequest(talk.wav, settings, root / name, script=talk.script, turns=talk.rttm, report=False)
    return BatchItem(request, name)


def batch(folder: Path, count: int, root: Path | None = None, **flags: Any) -> Batch:
    root = root or folder / "out"
    items = tuple(item(folder, f"talk{number}", root, seed=number, **flags) for number in range(1, count + 1))
    return Batch(items, root, resolve({"engine": "echo", **flags}))


def elsewhere(work: Batch, root: Path) -> Batch:
    """Return the same recordings with another root."""
    items = tuple(replace(item, request=replace(item.request, out=root / item.name)) for item in work.items)
    return replace(work, items=items, root=root)


def echo(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    monkeypatch.setenv(ECHO_VARIABLE, json.dumps(options))


def sounds(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every segment and mix by path under ``root``."""
    files = [*root.glob("*/segments/*.wav"), *root.glob("*/mix.wav")]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def states(root: Path, name: str) -> list[str]:
    """Return the statuses of one recording's segments in its manifest."""
    rows = json.loads((root / name / "run.json").read_text(encoding="utf-8"))["segments"]
    return [row["status"] for row in rows]
