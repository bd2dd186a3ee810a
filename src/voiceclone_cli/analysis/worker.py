"""The program of a child that listens: requests line by line on stdin, replies on stdout (see ``wire``).

``python -m voiceclone_cli.analysis.worker``. Models stay loaded from one request to the next.
"""

from __future__ import annotations

import json
import os
import sys
import typing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.analyzer import CachedModels
from voiceclone_cli.analysis.remote import answer_request, error_row, recording_from_row
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.types import ProgressEvent
from voiceclone_worker.runtime import Channel, exit_with_parent

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


def main() -> None:
    """Serve until stdin ends. What is no ``VoicecloneError`` ends the process: its traceback is on stderr."""
    channel = Channel()  # before any library may print
    exit_with_parent(serving=True)
    ears = CachedModels()
    for line in sys.stdin:
        _reply(channel, _answer(json.loads(line), ears, channel))


def _answer(request: dict[str, Any], ears: CachedModels, channel: Channel) -> dict[str, Any]:
    def progress(event: ProgressEvent) -> None:
        _reply(channel, {"progress": asdict(event)})

    recording = recording_from_row(request["recording"], _mapped(Path(request["samples"])))
    try:
        return {"heard": answer_request(request["wish"], recording, ears, progress)}
    except VoicecloneError as error:
        return {"error": error_row(error)}


def _mapped(path: Path) -> Samples:
    """The samples in a file, which lives on without its name: nothing stays, whoever is killed."""
    import numpy as np

    # Copied where it is written to, which nobody does: torch takes no memory that is read-only.
    samples: Samples = np.asarray(np.load(path, mmap_mode="c"))
    if os.name != "nt":
        path.unlink()
    return samples


def _reply(channel: Channel, reply: dict[str, Any]) -> None:
    channel.write_line(json.dumps(reply))


if __name__ == "__main__":
    main()
