"""The actor that listens on a node: models are loaded once and stay from one recording to the next."""

from __future__ import annotations

import queue
import threading
import typing
from collections.abc import Mapping
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

LONGEST_WAIT = 0.5
"""Seconds for which an actor has nothing to say before it says so."""

Reply = dict[str, Any]
"""As in ``listening.wire``; what only this node lacks is a ``lack``."""


class EarActor:
    """Made into an actor by the controller; imports no Ray itself. ``hints``: see ``found_here``.

    It is asked for its replies again and again: Ray's streaming generators do not bear several threads.
    """

    def __init__(self, hints: Mapping[str, str]) -> None:
        self._hints = hints
        self._ears = KeptEars()
        self._replies: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

    def lack(self, version: str) -> str | None:
        """Why this node cannot listen for a controller of that version, one clause; None where it can."""
        if version == __version__:
            return None
        return f"it has voiceclone {__version__}, and this command is {version}: install the same there"

    def listen(self, wish: Wish, row: Mapping[str, Any], samples: Samples) -> None:
        """Begin. The samples lie in the object store and can only be read."""

        def listen() -> None:
            try:
                self._replies.put(self._heard(wish, row, samples))
            except Exception as error:  # raised where replies are asked for
                self._replies.put(error)

        threading.Thread(target=listen, name="listening", daemon=True).start()

    def replies(self) -> list[Reply]:
        """Those since the last time; none where nothing has happened for a while."""
        found: list[Reply] = []
        try:
            reply = self._replies.get(timeout=LONGEST_WAIT)
            while True:
                if isinstance(reply, Exception):
                    raise reply
                found.append(reply)
                reply = self._replies.get_nowait()
        except queue.Empty:
            return found

    def _heard(self, wish: Wish, row: Mapping[str, Any], samples: Samples) -> Reply:
        def progress(event: ProgressEvent) -> None:
            self._replies.put({"progress": asdict(event)})

        try:
            here = found_here(wish, self._hints)
        except VoicecloneError as error:
            return {"lack": error.message}
        try:
            return {"heard": fulfil(here, recording_from_row(row, samples), self._ears, progress)}
        except VoicecloneError as error:
            return {"error": error_row(error)}
