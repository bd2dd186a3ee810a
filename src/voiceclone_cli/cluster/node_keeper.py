"""Whoever keeps the ears of a node: hands them questions, and replaces them when they are lost."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.cluster.ear_actor import LONGEST_WAIT, EarActor
from voiceclone_cli.cluster.preflight import on_node
from voiceclone_cli.cluster.sizing import Node
from voiceclone_cli.listening.questions import LOOK_SECONDS, Question, Questions
from voiceclone_cli.listening.wire import error_from_row, recording_row
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import ProgressEvent

TRIES = 3
"""Nodes that a recording may take with it."""

MOST_BARREN = 3
"""Times in a row that a node may be lost without an answer before it is left alone."""

START_SECONDS = 60.0
"""In which an actor must have said that it runs, times the patience that is set."""


class _Lost(Exception):
    """The node, or the actor on it, is gone in the middle of a recording."""


class _Unfit(Exception):
    """This node cannot listen; one clause says why."""


class NodeKeeper(threading.Thread):
    """Answers questions through an actor on one node, which is started for the first of them.

    It leaves when its node cannot listen (any more): ``on_leaving`` is told why, and the question goes to others.
    """

    def __init__(
        self,
        questions: Questions,
        node: Node,
        settings: Settings,
        hints: Mapping[str, str],
        on_leaving: Callable[[NodeKeeper, str], None],
    ) -> None:
        super().__init__(name=f"listening on {node.host}", daemon=True)
        self.node = node
        self._questions = questions
        self._settings = settings
        self._hints = dict(hints)
        self._on_leaving = on_leaving
        self._actor: Any = None
        self._barren = 0

    def run(self) -> None:
        while (question := self._questions.take()) is not None:
            why = self._answer(question)
            if why is not None:
                self._end_actor()
                self._on_leaving(self, why)
                return
        self._end_actor()

    def _answer(self, question: Question) -> str | None:
        """Tell the question its answer, or leave it to others; why this node is no good, if it is not."""
        try:
            question.tell(self._heard(question))
            self._barren = 0
        except _Unfit as unfit:
            self._questions.put_back(question)
            return str(unfit)
        except _Lost as lost:
            self._end_actor()
            if question.dropped:
                return None
            self._barren += 1
            question.tries += 1
            if question.tries < TRIES:
                self._questions.put_back(question)
            else:
                question.tell(question.died(f"{lost}, as on the nodes that tried before"))
            return str(lost) if self._barren >= MOST_BARREN else None
        except Exception as error:  # raised where it is waited for, not in this thread
            self._end_actor()
            question.tell(error)
        return None

    def _heard(self, question: Question) -> dict[str, Any] | BaseException:
        """What was heard, or what is wrong with the recording. Raises _Unfit and _Lost."""
        import ray

        actor = self._actor = self._actor or self._start_actor()
        samples = ray.put(question.recording.samples)  # freed with this reference
        begun = actor.listen.remote(self._wish(question), recording_row(question.recording), samples)
        self._got(begun, question)
        waited = 0.0
        while waited <= question.longest_silence:
            replies = self._got(actor.replies.remote(), question)
            waited = 0.0 if replies else waited + LONGEST_WAIT
            for reply in replies:
                if "heard" in reply:
                    heard: dict[str, Any] = reply["heard"]
                    return heard
                if "error" in reply:
                    return error_from_row(reply["error"])
                if "lack" in reply:
                    raise _Unfit(reply["lack"])
                question.tell(ProgressEvent(**reply["progress"]))
        raise self._silent(question)

    def _wish(self, question: Question) -> dict[str, Any]:
        """As nodes are told it: each has a token of its own, and as many threads as CPUs."""
        given = self._settings.sources["threads"] != "default"
        threads = self._settings.threads if given else max(1, int(self.node.cpus))
        return {**question.wish, "token": None, "threads": threads}

    def _start_actor(self) -> Any:
        """A new actor that says it runs. Raises _Unfit."""
        import ray

        # It counts no CPU: slots may have taken all of them by now, and would never give one back.
        options = ray.remote(EarActor).options(
            num_cpus=0, scheduling_strategy=on_node(self.node.id), max_restarts=0, max_task_retries=0
        )
        actor = self._actor = options.remote(self._hints)
        asked = actor.lack.remote(__version__)
        deadline = time.monotonic() + START_SECONDS * max(1.0, self._settings.patience)
        while not ray.wait([asked], timeout=LOOK_SECONDS)[0]:
            if self._questions.ending:
                raise _Unfit("the command is ending")
            if time.monotonic() > deadline:
                raise _Unfit(f"nothing was started there in {START_SECONDS:.0f} s")
        try:
            lack = ray.get(asked, timeout=0)
        except ray.exceptions.RayError as error:
            raise _Unfit(_said(error)) from error
        if lack is not None:
            raise _Unfit(lack)
        return actor

    def _got(self, asked: Any, question: Question) -> Any:
        """What the actor answers. Raises _Lost."""
        import ray

        waited = 0.0
        while waited <= question.longest_silence:
            there, _ = ray.wait([asked], timeout=LOOK_SECONDS)
            if question.dropped or self._questions.ending:
                raise _Lost("nobody waits for its answer")
            if there:
                try:
                    return ray.get(asked)
                except ray.exceptions.RayError as error:
                    raise _Lost(f"the ears on {self.node.host} were lost ({_said(error)})") from error
            waited += LOOK_SECONDS
        raise self._silent(question)

    def _silent(self, question: Question) -> _Lost:
        return _Lost(
            f"the ears on {self.node.host} gave no sign of life for {question.longest_silence:.0f} s"
        )

    def _end_actor(self) -> None:
        import ray

        actor, self._actor = self._actor, None
        if actor is not None:
            ray.kill(actor)


def _said(error: BaseException) -> str:
    """What led to it. Of an actor that died Ray says so first, and then its names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("The actor died"):
        lines = [line for line in lines[1:] if not re.match(r"\w+: ", line)] or lines
    return " ".join(lines)[:300] or type(error).__name__
