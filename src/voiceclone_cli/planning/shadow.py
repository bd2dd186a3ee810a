"""A plan beside a finished run: it may find other turns, lines and references, and none of them may take the
place of those that were spoken with."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.atomic import write_bytes_atomic
from voiceclone_cli.diarization.progress import STAGE as DIARIZATION
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.transcription import STAGE as TRANSCRIPTION

DEAR = (DIARIZATION, TRANSCRIPTION)
"""Stages that take long and stand for themselves: what a plan finds out of them is handed on to the run."""


@contextmanager
def careful(desk: Desk) -> Iterator[Desk]:
    """The desk itself where nothing was spoken yet; else one whose run directory is a shadow of it.

    The shadow holds the same files under second names (hard links), and as every file is written by replacing
    it, what is written there leaves the first as it was. Of what was found out only ``DEAR`` stages go back.
    """
    if not desk.run_dir.has_spoken():
        yield desk
        return
    with tempfile.TemporaryDirectory(prefix="plan-", dir=desk.run_dir.tasks) as folder:
        shadow = RunDir(Path(folder), desk.run_dir.input_sha256, is_new=False)
        _cast(desk.run_dir, shadow)
        stages = Stages(shadow.root, desk.sha256, desk.progress)
        try:
            yield replace(desk, run_dir=shadow, stages=stages)
        finally:
            _hand_on(shadow, desk.run_dir)


def _cast(run_dir: RunDir, shadow: RunDir) -> None:
    for path in run_dir.root.iterdir():
        # Neither what says who holds the directory, nor the folder that the shadow is in.
        if path == run_dir.tasks or path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            shutil.copytree(path, shadow.root / path.name, symlinks=True, copy_function=_link)
        else:
            _link(path, shadow.root / path.name)


def _link(path: str | os.PathLike[str], second: str | os.PathLike[str]) -> None:
    """A second name; a copy where the file system has none."""
    try:
        os.link(path, second)
    except OSError:
        shutil.copy2(path, second)


def _hand_on(shadow: RunDir, run_dir: RunDir) -> None:
    for stage in DEAR:
        found, known = (folder.stages / f"{stage}.json" for folder in (shadow, run_dir))
        if found.is_file() and not (known.is_file() and found.samefile(known)):
            write_bytes_atomic(known, found.read_bytes())
