"""A random checkpoint of the fish engine: random weights in the published layout, which speak no words.

    python -m benchmarks.random_checkpoint OUT [--size SIZE] [--seed N] [--force] [--json]

To try, to test and to measure the engine without the published weights. The fish environment does the work
(random_weights.py).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchmarks.program import run_program
from voiceclone_cli.cli.progress import Display, ProgressMode, print_line
from voiceclone_cli.config import Settings, path_setting, resolve
from voiceclone_cli.engines.checkpoint import is_generated
from voiceclone_cli.engines.fish import fish_checkout, fish_python, require_fish_speech
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.models.store import megabytes
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import ask_tool, worker_command

PROGRAM = Path(__file__).with_name("random_weights.py")
STAGE = "checkpoint"
_EVERY = ("README.txt", "codec.pth", "codec.yaml", "config.json", "generated.json")
S1_FILES = frozenset((*_EVERY, "model.pth", "special_tokens.json", "tokenizer.tiktoken"))
S2_FILES = frozenset(
    (
        *(*_EVERY, "model.safetensors.index.json", "tokenizer.json"),
        *(f"model-0000{number}-of-00002.safetensors" for number in (1, 2)),
    )
)
"""All that a generated checkpoint consists of."""

_DEADLINE_SECONDS = 1800.0


class Size(StrEnum):
    """``s1-mini`` and ``s2-pro`` have the shapes of the published weights."""

    TINY = "tiny"
    SMALL = "small"
    S1_MINI = "s1-mini"
    S2_TINY = "s2-tiny"
    S2_SMALL = "s2-small"
    S2_PRO = "s2-pro"


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
    force: bool = False,
) -> GeneratedCheckpoint:
    """Make ``folder`` a checkpoint of random weights: all of it, or nothing.

    The same size and seed give the same weights. ``force`` replaces an earlier generated checkpoint;
    nothing else is ever replaced.

    Raises InputError for a folder that cannot be taken (``checkpoint_folder``) or lies in the home of
    an unknown user (``bad_setting``), PreflightError for a fish environment that is not there or does not work and
    for a full disk, RunError for a folder that cannot be written.
    """
    final = path_setting(str(folder))
    with friendly_errors(final):
        _require_usable(final, force)
    python, checkout = fish_python(settings), fish_checkout(settings)
    require_fish_speech(python, checkout)
    command = replace(worker_command(python, threads=settings.threads), program=PROGRAM)

    def show(event: dict[str, Any]) -> None:
        match event:
            case {"event": "making", "completed": int(done), "total": int(total), "note": str(note)}:
                progress(ProgressEvent(STAGE, done, total, note=note))

    progress(ProgressEvent(STAGE, 0, note="starting fish-speech"))
    with friendly_errors(final.parent), _replaced_at_the_end(final.resolve()) as making:
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


def _require_usable(folder: Path, force: bool) -> None:
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
    strange = there - S1_FILES - S2_FILES
    if strange:
        raise _refusal(
            f"{folder} holds files beside its generated checkpoint ({', '.join(sorted(strange)[:3])}): move "
            "them away, or name another folder."
        )
    if not force:
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


def main() -> int:
    asked = _arguments()
    with Display(ProgressMode(asked.progress), quiet=asked.quiet).progress() as show:
        made = make_checkpoint(asked.out, asked.size, resolve({}), show, seed=asked.seed, force=asked.force)
    if asked.json:
        document = {"schema": "voiceclone.checkpoint/1", **asdict(made), "folder": str(made.folder)}
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(made.folder)
    if not asked.quiet:
        print_line(
            f"{made.size}, {megabytes(made.size_bytes)}: {made.model_parameters / 1e6:.1f} M parameters that speak, "
            f"{made.codec_parameters / 1e6:.1f} M in the codec."
        )
        print_line(
            "IT SPEAKS NO WORDS: the weights are random, and every line comes out as a murmur of its length."
        )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.random_checkpoint",
        description="Make a checkpoint of random weights for the fish engine. It speaks no words.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument(
        "--size",
        type=Size,
        choices=list(Size),
        default=Size.TINY,
        help="tiny (27 MB), small (220 MB) or s1-mini (3.6 GB, the published shape); of the S2 generation: s2-tiny "
        "(30 MB), s2-small (750 MB) or s2-pro (11 GB, the published shape)",
    )
    parser.add_argument("--seed", type=_seed, default=0, help="other weights for another seed")
    parser.add_argument("--force", action="store_true", help="replace the random checkpoint in OUT")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("--progress", choices=[str(mode) for mode in ProgressMode], default="auto")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only errors on stderr")
    return parser.parse_args()


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, not {text!r}")
    return int(text)


if __name__ == "__main__":
    run_program(main)
