"""The actor that listens on a node: models are loaded once and stay from one recording to the next."""

from __future__ import annotations

import queue
import threading
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.cluster.ear_models import found_here
from voiceclone_cli.errors import VoicecloneError
from voiceclone_cli.listening.kept import KeptEars
from voiceclone_cli.listening.wire import Wish, error_row, fulfil, recording_from_row
from voiceclone_cli.types import ProgressEvent

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

Reply = dict[str, Any]
"""As in ``listening.wire``; an ``error`` of this node alone is a ``lack``."""


class EarActor:
    """Made into an actor by the controller; imports no Ray itself. ``hints``: see ``found_here``."""

    def __init__(self, hints: Mapping[str, str]) -> None:
        self._hints = hints
        self._ears = KeptEars()

    def lack(self, version: str) -> str | None:
        """Why this node cannot listen for a controller of that version, one clause; None where it can."""
        if version == __version__:
            return None
        return f"it has voiceclone {__version__}, and this command is {version}: install the same there"

    def hear(self, wish: Wish, row: Mapping[str, Any], samples: Samples) -> Iterator[Reply]:
        """Replies as they come. The samples lie in the object store and can only be read."""
        replies: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

        def listen() -> None:
            try:
                replies.put(self._heard(wish, row, samples, replies))
            except Exception as error:  # raised where it is waited for
                replies.put(error)

        # Libraries call back with their progress; a generator has to be asked for it.
        threading.Thread(target=listen, name="listening", daemon=True).start()
        while True:
            reply = replies.get()
            if isinstance(reply, Exception):
                raise reply
            yield reply
            if "progress" not in reply:
                return

    def _heard(
        self,
        wish: Wish,
        row: Mapping[str, Any],
        samples: Samples,
        replies: queue.SimpleQueue[Reply | Exception],
    ) -> Reply:
        def progress(event: ProgressEvent) -> None:
            replies.put({"progress": asdict(event)})

        try:
            here = found_here(wish, self._hints)
        except VoicecloneError as error:
            return {"lack": error.message}
        try:
            return {"heard": fulfil(here, recording_from_row(row, samples), self._ears, progress)}
        except VoicecloneError as error:
            return {"error": error_row(error)}
