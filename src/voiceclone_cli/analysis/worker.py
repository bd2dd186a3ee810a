"""The program of an analysis worker: ``python -m voiceclone_cli.analysis.worker``.

Requests come line by line on stdin; the events of each (``analysis_started``, ``analysis_progress``, ``analyzed``)
are lines of JSON on stdout, in order. The heartbeat is on stderr, as with speech workers. Models stay loaded from
one request to the next.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_cli.analysis.analyzer import CachedModels, run_task
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.types import ProgressEvent
from voiceclone_cli.workers.protocol import AnalysisTask
from voiceclone_worker.runtime import Channel, exit_with_parent


def main() -> None:
    """Serve until stdin ends. An error that is not a ``VoicecloneError`` ends the process with a traceback."""
    channel = Channel()  # before any library may print
    exit_with_parent(serving=True)
    channel.emit("hello", pid=os.getpid())
    channel.start_heartbeat()
    models = CachedModels()
    for lease, line in enumerate(sys.stdin, 1):
        _serve(json.loads(line), lease, models, channel)


def _serve(request: dict[str, Any], lease: int, models: CachedModels, channel: Channel) -> None:
    def emit(event: str, **fields: Any) -> None:
        row = {"event": event, "task": 0, "id": request["id"], "lease": lease}
        channel.write_line(json.dumps({**row, **fields}))

    def progress(event: ProgressEvent) -> None:
        emit("analysis_progress", progress=asdict(event))

    emit("analysis_started")
    task = AnalysisTask(request["id"], request, _take_samples(Path(request["samples"])), 0.0)
    try:
        document = {"result": run_task(task, progress, models.load_pipeline, models.load_whisper)}
    except VoicecloneError as error:
        document = {"error": {"kind": type(error).__name__, "message": error.message, "code": error.code}}
    emit("analyzed", document=document)


def _take_samples(path: Path, platform: str = sys.platform) -> Samples:
    """Return the samples in a file, and remove the file: nothing stays, whatever is killed.

    They are mapped, and live on without the file's name; on Windows, which removes no file that is mapped, they are
    read.
    """
    # Copy on write, although nothing is written: torch takes no memory that is read-only.
    samples: Samples = np.asarray(np.load(path, mmap_mode=None if platform == "win32" else "c"))
    path.unlink()
    return samples


if __name__ == "__main__":
    main()
