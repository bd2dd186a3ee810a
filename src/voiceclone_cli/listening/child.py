"""The program of a child that listens: requests line by line on stdin, replies on stdout (see ``wire``).

``python -m voiceclone_cli.listening.child``. Models stay loaded from one request to the next.
"""

from __future__ import annotations

import json
import os
import sys
import typing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.listening.kept import KeptEars
from voiceclone_cli.listening.wire import error_row, fulfil, recording_from_row
from voiceclone_cli.types import ProgressEvent
from voiceclone_worker.channel import Channel
from voiceclone_worker.lifeline import hold_on_to_coordinator

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


def main() -> None:
    """Serve until stdin ends. What is no ``VoicecloneError`` ends the process: its traceback is on stderr."""
    channel = Channel()  # before any library may print
    hold_on_to_coordinator(serving=True)
    ears = KeptEars()
    for line in sys.stdin:
        _reply(channel, _answer(json.loads(line), ears, channel))


def _answer(request: dict[str, Any], ears: KeptEars, channel: Channel) -> dict[str, Any]:
    def progress(event: ProgressEvent) -> None:
        _reply(channel, {"progress": asdict(event)})

    recording = recording_from_row(request["recording"], _mapped(Path(request["samples"])))
    try:
        return {"heard": fulfil(request["wish"], recording, ears, progress)}
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
    channel.answer_line(json.dumps(reply))


if __name__ == "__main__":
    main()
