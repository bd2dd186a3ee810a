"""Make a checkpoint of random weights; see ``voiceclone_worker.engines.fish.making``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish.making.sizes import SIZES


def main(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """``FOLDER SIZE SEED [SOURCE]``: an empty folder, a name of ``SIZES``, a whole number, and a
    checkout of fish-speech to use instead of the installed package.

    Raises EngineError: ``checkpoint_usage``, and what ``open_upstream`` and ``make_checkpoint`` raise.
    """
    match list(arguments):
        case [folder, size, seed, *source] if size in SIZES and seed.isdecimal() and len(source) < 2:
            return _made(Path(folder), size, int(seed), "".join(source), emit)
    raise EngineError("checkpoint_usage", f"say: FOLDER {'|'.join(SIZES)} SEED [SOURCE]")


def _made(folder: Path, size: str, seed: int, source: str, emit: Emit) -> dict[str, Any]:
    if not folder.is_dir() or any(folder.iterdir()):
        raise EngineError("checkpoint_usage", f"{folder} must be an empty folder")
    from voiceclone_worker.engines.fish.upstream import open_upstream

    open_upstream(source)
    from voiceclone_worker.engines.fish.making.writing import make_checkpoint

    return make_checkpoint(folder, SIZES[size], seed, emit)
