"""A generated checkpoint of the fish engine: random weights in the published layout, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import explain_write_errors
from voiceclone_cli.errors import InputError
from voiceclone_cli.fish.checkout import fish_checkout
from voiceclone_cli.fish.checkpoint import is_generated
from voiceclone_cli.fish.interpreter import fish_python, require_fish_speech
from voiceclone_cli.settings import Settings, path_setting
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.tool import ask_tool

STAGE = "checkpoint"
FILES = frozenset(
    (
        "README.txt",
        "codec.pth",
        "codec.yaml",
        "config.json",
        "generated.json",
        "model.pth",
        "special_tokens.json",
        "tokenizer.tiktoken",
    )
)
"""All that a generated checkpoint consists of."""

_DEADLINE_SECONDS = 1800.0


class Size(StrEnum):
    """``s1-mini`` has the shape of the published weights."""

    TINY = "tiny"
    SMALL = "small"
    S1_MINI = "s1-mini"


@dataclass(frozen=True, slots=True)
class GeneratedCheckpoint:
    """What was made. ``size_bytes`` counts all files."""

    folder: Path
    size: Size
    seed: int
    model_parameters: int
    codec_parameters: int
    size_bytes: int


def make_checkpoint(
    folder: Path,
    size: Size,
    settings: Settings,
    progress: Progress = no_progress,
    *,
    seed: int = 0,
    replace: bool = False,
) -> GeneratedCheckpoint:
    """Make ``folder`` a checkpoint of random weights: all of it, or nothing.

    The same size and seed give the same weights. ``replace`` lets an earlier generated checkpoint go;
    nothing else is ever replaced. The fish environment does the work.

    Raises InputError for a folder that cannot be taken (``checkpoint_folder``) or lies in the home of
    nobody (``bad_setting``), PreflightError for a fish environment that is not there or does not work and
    for a full disk, RunError for a folder that cannot be written.
    """
    final = path_setting(str(folder))
    with explain_write_errors(final):
        _require_usable(final, replace)
    python, checkout = fish_python(settings), fish_checkout(settings)
    require_fish_speech(python, checkout)
    command = worker_command(python, threads=settings.threads)

    def show(event: dict[str, Any]) -> None:
        match event:
            case {"event": "making", "completed": int(done), "total": int(total), "note": str(note)}:
                progress(ProgressEvent(STAGE, done, total, note=note))

    progress(ProgressEvent(STAGE, 0, note="starting fish-speech"))
    with explain_write_errors(final.parent), _replaced_at_the_end(final.resolve()) as making:
        arguments = [str(making), size, str(seed), *([str(checkout)] if checkout else [])]
        answer = ask_tool(command, "make_checkpoint", arguments, seconds=_DEADLINE_SECONDS, on_event=show)
    return GeneratedCheckpoint(
        folder=final,
        size=size,
        seed=seed,
        model_parameters=int(answer["model_parameters"]),
        codec_parameters=int(answer["codec_parameters"]),
        size_bytes=int(answer["bytes"]),
    )


def _require_usable(folder: Path, replace: bool) -> None:
    for mark in ("int8", "int4"):
        if mark in f"{folder} {folder.resolve()}":
            raise _refusal(
                f"A checkpoint cannot be called {folder}, because fish-speech takes every path with {mark!r} in "
                "it for quantised weights: choose another name."
            )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise _refusal(f"{folder} is a file: name a folder for the checkpoint.")
    there = {path.name for path in folder.iterdir()}
    if not there:
        return
    if not is_generated(folder):
        raise _refusal(f"{folder} is not empty and holds no generated checkpoint: name another folder.")
    if there - FILES:
        raise _refusal(
            f"{folder} holds files beside its generated checkpoint ({', '.join(sorted(there - FILES)[:3])}): move "
            "them away, or name another folder."
        )
    if not replace:
        raise _refusal(f"{folder} holds a generated checkpoint already: replace it with --force.")


def _refusal(sentence: str) -> InputError:
    return InputError(sentence, code="checkpoint_folder")


@contextmanager
def _replaced_at_the_end(final: Path) -> Iterator[Path]:
    """An empty folder beside ``final``, which takes its place when the block ends well and is removed
    when it does not."""
    final.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{final.name[:40]}.{secrets.token_hex(4)}"
    making, old = final.with_name(f".{mark}.part"), final.with_name(f".{mark}.old")
    making.mkdir()
    try:
        yield making
        if final.exists():
            os.rename(final, old)
        os.rename(making, final)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        if old.exists() and not final.exists():
            os.rename(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True)
