"""Ears on the nodes of a Ray cluster: recordings are listened to side by side, one on each node."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from voiceclone_cli.cluster.connect import connected
from voiceclone_cli.cluster.ear_models import ELSEWHERE, of_recogniser, of_stack
from voiceclone_cli.cluster.here import hints_of
from voiceclone_cli.cluster.node_keeper import NodeKeeper
from voiceclone_cli.cluster.preflight import nodes_of_cluster
from voiceclone_cli.cluster.sizing import Node
from voiceclone_cli.diarization import SpeakerCount, Stack
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.listening.findings import diarization_from_dict, transcript_from_dict
from voiceclone_cli.listening.keeper import Keeper
from voiceclone_cli.listening.questions import LOOK_SECONDS, Question, Questions
from voiceclone_cli.listening.wire import Wish, wish_for_turns, wish_for_words
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Diarization, Progress, ProgressEvent, Recording, Transcript

ENDING_SECONDS = 10.0
"""How long ears may take to be ended: a Ray that has lost its head may not answer at all."""


class ClusterEars:
    """``StoppableEars`` to be used as a context. Nothing is connected or started before the first question.

    A recording whose node or actor is lost is heard by another, up to three times, then RunError
    (``listener_died``). Where no node can listen the controller does, in a child process.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._hints = hints_of(settings)
        self._asked = threading.Event()
        self._questions = Questions(self._asked.set)
        self._keepers: list[NodeKeeper] = []
        self._tried: set[str] = set()
        self._own: Keeper | None = None
        self._connection = ExitStack()
        self._is_connected = False
        self._staffing = threading.Thread(target=self._staff, name="listening", daemon=True)

    def __enter__(self) -> ClusterEars:
        self._staffing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def turns(
        self,
        recording: Recording,
        stack: Stack,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """As ``Ears``; also raises RunError, PreflightError (no cluster), and Stopped when :meth:`stop` was called."""
        wish = {**wish_for_turns(stack, count, settings), ELSEWHERE: of_stack(stack)}
        return diarization_from_dict(self._ask(recording, wish, progress))

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """As ``Ears``; also raises RunError, PreflightError (no cluster), and Stopped when :meth:`stop` was called."""
        wish = {**wish_for_words(recogniser, settings), ELSEWHERE: of_recogniser(recogniser, settings)}
        return transcript_from_dict(self._ask(recording, wish, progress))

    def stop(self, stopped: Stopped) -> None:
        """As ``StoppableEars``."""
        self._questions.end(stopped)
        if self._own is not None:
            self._own.end_child()

    def close(self) -> None:
        """End all ears, and leave the cluster. Whoever still asks gets a RunError."""
        self._questions.close(0)
        self._asked.set()
        self._staffing.join(ENDING_SECONDS)
        keepers: list[threading.Thread] = [*self._keepers]
        if self._own is not None:
            self._own.end_child()
            keepers.append(self._own)
        self._questions.close(len(keepers))
        for keeper in keepers:
            keeper.join(ENDING_SECONDS)
        self._connection.close()

    def _ask(self, recording: Recording, wish: Wish, progress: Progress) -> dict[str, object]:
        return self._questions.ask(Question(recording, wish, self._settings.patience), progress)

    # ------------------------------------------------------------------------------ who answers

    def _staff(self) -> None:
        """As long as more is asked than there are ears for, find others. In a thread of its own, since a cluster
        may take long to answer."""
        while not self._questions.ending:
            self._asked.wait()
            self._asked.clear()
            while self._questions.open > len(self._at_work()) and not self._questions.ending:
                try:
                    found = self._hire()
                except VoicecloneError as error:  # there is no cluster
                    self._questions.end(error)
                    return
                if not found:
                    break
            self._pause()

    def _pause(self) -> None:
        """Before looking again for nodes that have come."""
        if self._questions.open > len(self._at_work()):
            self._asked.wait(LOOK_SECONDS)
            self._asked.set()  # more may be open than there are ears, though nobody has asked since

    def _at_work(self) -> list[threading.Thread]:
        there: list[threading.Thread] = [keeper for keeper in self._keepers if keeper.is_alive()]
        return there + ([self._own] if self._own is not None else [])

    def _hire(self) -> bool:
        """Ears on a node that has none, else (where there are none at all) here; False where there are no more.
        Raises PreflightError."""
        if not self._is_connected:
            self._connection.enter_context(connected(self._settings.ray_address))
            self._is_connected = True
        node = next((node for node in self._fit_nodes() if node.id not in self._tried), None)
        if node is not None:
            self._tried.add(node.id)
            keeper = NodeKeeper(self._questions, node, self._settings, self._hints, self._left)
            self._keepers.append(keeper)
            keeper.start()
            return True
        if self._at_work():
            return False
        self._tell("no node of the Ray cluster can listen: this machine does")
        self._own = Keeper(self._questions)
        self._own.start()
        return True

    def _fit_nodes(self) -> list[Node]:
        """Those that compute (a head often has no CPUs), and have what slots are asked to be given."""
        asked = self._settings.ray_resources.items()
        nodes = [
            node
            for node in nodes_of_cluster()
            if all(node.resources.get(name, 0.0) >= amount for name, amount in asked)
        ]
        return [node for node in nodes if node.cpus > 0] or nodes

    def _left(self, keeper: NodeKeeper, why: str) -> None:
        """Told by the keeper, in its own thread."""
        if not self._questions.ending:
            self._tell(f"the node {keeper.node.host} does not listen: {why}")
        self._keepers.remove(keeper)
        self._asked.set()

    def _tell(self, note: str) -> None:
        self._progress(ProgressEvent("note", 1, 1, note=note))
