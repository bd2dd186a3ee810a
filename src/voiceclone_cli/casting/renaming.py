"""References of speakers who have another name by now: their folders move, nothing is cut or encoded again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.atomic import explain_write_errors
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.types import Reference


def rename_references(
    references: Sequence[Reference], names: Sequence[str], out: Path, stages: Stages
) -> list[Reference]:
    """The references under these names, in their order; each folder of ``out`` moves with what it holds, and
    what is remembered of its files with it. Raises RunError.

    A run that is killed in between finds files missing, and makes them again.
    """
    renamed = []
    for reference, name in zip(references, names, strict=True):
        if reference.speaker != name:
            old, new = out / reference.speaker, out / name
            with explain_write_errors(out):
                _move(old, new)
            stages.moved(old, new)
            reference = replace(
                reference,
                speaker=name,
                audio=new / reference.audio.name,
                warnings=tuple(_said_of(name, reference.speaker, text) for text in reference.warnings),
            )
        renamed.append(reference)
    return renamed


def _move(old: Path, new: Path) -> None:
    # Some earlier run may have left a folder of this name. Where case makes no difference it is the same one.
    if new.is_symlink() or new.is_file():
        new.unlink()
    elif new.exists() and not new.samefile(old):
        shutil.rmtree(new)
    os.rename(old, new)


def _said_of(new: str, old: str, sentence: str) -> str:
    """A sentence about a speaker under another name."""
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, sentence)
