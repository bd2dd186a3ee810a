"""fish-speech's own way of speaking, to measure ours against.

    --tool upstream encode JOB.json SPEAKER     a reference to codes      SPEAKER.npy
    --tool upstream generate JOB.json LINE      text to codes             LINE.npy
    --tool upstream decode JOB.json LINE        codes to sound            LINE.wav
    --tool upstream loop JOB.json               all of it, the models loaded once, a line at a time

The first three are the steps of upstream's documentation, a process each.

The job: ``{"checkpoint", "source", "device", "precision", "compile", "sampling": {"temperature",
"top_p", "repetition_penalty", "max_new_tokens"}, "window": "own" | "cut", "folder", "references":
{SPEAKER: {"audio", "text"}}, "lines": [{"id", "speaker", "text", "seed"}]}``. With the window ``own``, attention
runs over the checkpoint's ``max_seq_len``, as upstream does it; ``cut`` shortens that to what our
own engine would need for the longest line.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone_worker.engines.base import Emit, EngineError

if TYPE_CHECKING:
    from voiceclone_worker.tools.upstream_models import Upstream

STEPS = ("encode", "generate", "decode")


def main(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """``{"seconds": {"load", "encode", ...}, "precision", "device", "peak_mb"}``; of a line also its
    ``frames``, of the loop its ``lines`` and ``window``.

    Raises EngineError: ``upstream_usage``, and those of the fish engine's loaders.
    """
    match list(arguments):
        case [step, job, name] if step in STEPS:
            return _step(step, _open(job), name)
        case ["loop", job]:
            return _loop(_open(job), emit)
    raise EngineError("upstream_usage", "say: encode|generate|decode JOB.json NAME, or: loop JOB.json")


def _open(path: str) -> Upstream:
    started = time.perf_counter()
    try:
        job = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError("upstream_usage", f"the job {path} cannot be read: {error}") from error
    # Here, so that the seconds of importing torch count as loading.
    from voiceclone_worker.tools.upstream_models import Upstream

    return Upstream(job, started)


def _step(step: str, upstream: Upstream, name: str) -> dict[str, Any]:
    """One of upstream's three commands."""
    answer: dict[str, Any] = {}
    if step == "encode":
        upstream.load_codec()
        upstream.save(name, upstream.encode(name))
    elif step == "generate":
        line = upstream.line(name)
        upstream.load_model(None)
        codes = upstream.generate(line, upstream.saved(line["speaker"]))
        upstream.save(name, codes)
        answer["frames"] = codes.shape[-1]
    else:
        upstream.load_codec()
        answer["frames"] = upstream.decode(name, upstream.saved(name))
    return answer | upstream.account()


def _loop(upstream: Upstream, emit: Emit) -> dict[str, Any]:
    """Everything in this process, a line after the other; a line that fails is said and passed over."""
    upstream.load_codec()
    voices = {speaker: upstream.encode(speaker) for speaker in upstream.job["references"]}
    window = upstream.cut_window(voices) if upstream.job["window"] == "cut" else None
    upstream.load_model(window)
    lines = []
    for line in upstream.job["lines"]:
        row: dict[str, Any] = {"id": line["id"], "frames": None, "error": None}
        try:
            row["frames"] = upstream.decode(line["id"], upstream.generate(line, voices[line["speaker"]]))
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"
        lines.append(row)
        emit("upstream_line", completed=len(lines), id=line["id"])
    return {"lines": lines, "window": upstream.window} | upstream.account()
