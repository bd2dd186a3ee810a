"""Ears on the nodes of a Ray cluster: recordings are listened to side by side, one on each node."""

from __future__ import annotations

import functools
import queue
import re
import threading
import time
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from voiceclone_cli import __version__
from voiceclone_cli.analysis import diarization
from voiceclone_cli.analysis.analyzer import (
    CachedModels,
    diarization_from_dict,
    model_identity,
    transcript_from_dict,
)
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.analysis.remote import (
    LOOK_SECONDS,
    WORDS,
    AnalysisRequest,
    Request,
    RequestQueue,
    Supervisor,
    answer_request,
    diarization_request,
    error_from_row,
    error_row,
    recording_from_row,
    recording_row,
    transcription_request,
)
from voiceclone_cli.cluster.connection import connected
from voiceclone_cli.cluster.node import node_settings, path_hints, require_models
from voiceclone_cli.cluster.nodes import Node, nodes_of_cluster, on_node
from voiceclone_cli.config import Settings, expanded, models_home
from voiceclone_cli.errors import PreflightError, Stopped, VoicecloneError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import download
from voiceclone_cli.types import Diarization, Progress, ProgressEvent, Recording, Transcript

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


# The models that listen, on a node: by its own settings, and the same ones as the controller's.
#
# Models of the registry are the same where their SHA-256 is the registry's, which is proven when they are used.
# A folder of the user's own has to be there on the node under the same path, with the same files.


ELSEWHERE = "elsewhere"
"""The part of a wish that tells nodes how to find its models."""


def of_stack(stack: DiarizationModel) -> dict[str, Any]:
    """What nodes are told of a diarization stack."""
    own = stack.name not in (diarization.EMBEDDED_DIARIZER, diarization.COMMUNITY_DIARIZER)
    return {
        "files": {str(folder): model_payloads(folder) for folder in stack.folders.values()} if own else None
    }


def of_recogniser(folder: Path, settings: Settings) -> dict[str, Any]:
    """What nodes are told of a recogniser."""
    own = expanded(settings.asr_model).is_dir()
    return {"model": settings.asr_model, "files": {str(folder): model_payloads(folder)} if own else None}


def model_payloads(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by its path there. Raises OSError."""
    return dict(_contents(folder, tuple(map(tuple, model_identity(folder)))))


@functools.lru_cache(maxsize=32)
def _contents(folder: Path, _as_it_is: tuple[tuple[Any, ...], ...]) -> dict[str, str]:
    """Gigabytes are not read again while names, sizes and times are as they were."""
    return {
        Path(path).relative_to(folder).as_posix(): file_sha256(Path(path))
        for path, *_ in model_identity(folder)
    }


def found_here(wish: AnalysisRequest, hints: Mapping[str, str]) -> AnalysisRequest:
    """The wish with this node's own folders; nothing is fetched. ``hints``: see ``settings_here``. Raises
    PreflightError where a model is missing here or is another."""
    files = wish[ELSEWHERE]["files"]
    if files is not None:
        _require_same(files)
        return wish
    settings = node_settings(hints)
    if wish["op"] == WORDS:
        name = wish[ELSEWHERE]["model"]
        return {**wish, "recogniser": str(_present([name], settings)[name])}
    stack = diarization.choose_diarizer(
        wish["stack"]["name"], models=lambda names: _present(names, settings), token=settings.token
    )
    folders = {name: str(folder) for name, folder in stack.folders.items()}
    return {**wish, "stack": {**wish["stack"], "folders": folders}, "token": settings.token}


def _present(names: Sequence[str], settings: Settings) -> Mapping[str, Path]:
    require_models(names, settings)
    return download.ensure_models(names, home=models_home(settings))


def _require_same(files: Mapping[str, Mapping[str, str]]) -> None:
    for folder, wanted in files.items():
        here = model_payloads(Path(folder)) if Path(folder).is_dir() else {}
        other = [name for name, sha256 in wanted.items() if here.get(name) != sha256]
        if other:
            raise PreflightError(
                f"{folder} has no {other[0]} there, or another one than here: copy the folder to the same path",
                code="models_missing",
            )


# The actor that listens on a node: models are loaded once and stay from one recording to the next.


LONGEST_WAIT = 0.5
"""Seconds for which an actor has nothing to say before it says so."""

Reply = dict[str, Any]
"""As in ``listening.wire``; what only this node lacks is a ``lack``."""


class AnalysisActor:
    """Made into an actor by the controller; imports no Ray itself. ``hints``: see ``found_here``.

    It is asked for its replies again and again: Ray's streaming generators do not bear several threads.
    """

    def __init__(self, hints: Mapping[str, str]) -> None:
        self._hints = hints
        self._ears = CachedModels()
        self._replies: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

    def lack(self, version: str) -> str | None:
        """Why this node cannot listen for a controller of that version, one clause; None where it can."""
        if version == __version__:
            return None
        return f"it has voiceclone {__version__}, and this command is {version}: install the same there"

    def listen(self, wish: AnalysisRequest, row: Mapping[str, Any], samples: Samples) -> None:
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

    def _heard(self, wish: AnalysisRequest, row: Mapping[str, Any], samples: Samples) -> Reply:
        def progress(event: ProgressEvent) -> None:
            self._replies.put({"progress": asdict(event)})

        try:
            here = found_here(wish, self._hints)
        except VoicecloneError as error:
            return {"lack": error.message}
        try:
            return {"heard": answer_request(here, recording_from_row(row, samples), self._ears, progress)}
        except VoicecloneError as error:
            return {"error": error_row(error)}


# Whoever keeps the ears of a node: hands them questions, and replaces them when they are lost.


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


class NodeSupervisor(threading.Thread):
    """Answers questions through an actor on one node, which is started for the first of them.

    It leaves when its node cannot listen (any more): ``on_leaving`` is told why, and the question goes to others.
    """

    def __init__(
        self,
        questions: RequestQueue,
        node: Node,
        settings: Settings,
        hints: Mapping[str, str],
        on_leaving: Callable[[NodeSupervisor, str], None],
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

    def _answer(self, question: Request) -> str | None:
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

    def _heard(self, question: Request) -> dict[str, Any] | BaseException:
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

    def _wish(self, question: Request) -> dict[str, Any]:
        """As nodes are told it: each has a token of its own, and as many threads as CPUs."""
        given = self._settings.sources["threads"] != "default"
        threads = self._settings.threads if given else max(1, int(self.node.cpus))
        return {**question.wish, "token": None, "threads": threads}

    def _start_actor(self) -> Any:
        """A new actor that says it runs. Raises _Unfit."""
        import ray

        # It counts no CPU: slots may have taken all of them by now, and would never give one back.
        options = ray.remote(AnalysisActor).options(
            num_cpus=0, scheduling_strategy=on_node(self.node.id), max_restarts=0, max_task_retries=0
        )
        actor = self._actor = options.remote(self._hints)
        asked = actor.lack.remote(__version__)
        deadline = time.monotonic() + START_SECONDS * max(1.0, self._settings.timeout_scale)
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

    def _got(self, asked: Any, question: Request) -> Any:
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

    def _silent(self, question: Request) -> _Lost:
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


ENDING_SECONDS = 10.0
"""How long ears may take to be ended: a Ray that has lost its head may not answer at all."""


class RemoteAnalyzer:
    """``StoppableEars`` to be used as a context. Nothing is connected or started before the first question.

    A recording whose node or actor is lost is heard by another, up to three times, then RunError
    (``listener_died``). Where no node can listen the controller does, in a child process.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._hints = path_hints(settings)
        self._asked = threading.Event()
        self._questions = RequestQueue(self._asked.set)
        self._keepers: list[NodeSupervisor] = []
        self._tried: set[str] = set()
        self._own: Supervisor | None = None
        self._connection = ExitStack()
        self._is_connected = False
        self._staffing = threading.Thread(target=self._staff, name="listening", daemon=True)

    def __enter__(self) -> RemoteAnalyzer:
        self._staffing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def turns(
        self,
        recording: Recording,
        stack: DiarizationModel,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """As ``Ears``; also raises RunError, PreflightError (no cluster), and Stopped when :meth:`stop` was called."""
        wish = {**diarization_request(stack, count, settings), ELSEWHERE: of_stack(stack)}
        return diarization_from_dict(self._ask(recording, wish, progress))

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """As ``Ears``; also raises RunError, PreflightError (no cluster), and Stopped when :meth:`stop` was called."""
        wish = {**transcription_request(recogniser, settings), ELSEWHERE: of_recogniser(recogniser, settings)}
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

    def _ask(self, recording: Recording, wish: AnalysisRequest, progress: Progress) -> dict[str, object]:
        return self._questions.ask(Request(recording, wish, self._settings.timeout_scale), progress)

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
            keeper = NodeSupervisor(self._questions, node, self._settings, self._hints, self._left)
            self._keepers.append(keeper)
            keeper.start()
            return True
        if self._at_work():
            return False
        self._tell("no node of the Ray cluster can listen: this machine does")
        self._own = Supervisor(self._questions)
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

    def _left(self, keeper: NodeSupervisor, why: str) -> None:
        """Told by the keeper, in its own thread."""
        if not self._questions.ending:
            self._tell(f"the node {keeper.node.host} does not listen: {why}")
        self._keepers.remove(keeper)
        self._asked.set()

    def _tell(self, note: str) -> None:
        self._progress(ProgressEvent("note", 1, 1, note=note))
