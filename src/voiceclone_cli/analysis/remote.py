"""Ears in child processes of this interpreter, which keep their models from one recording to the next.

torch and pyannote are imported there only, and once. Any number of threads may ask; their questions are
answered in the order in which they came.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from voiceclone_cli.analysis.analyzer import CachedModels, diarization_from_dict, transcript_from_dict
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError, PreflightError, RunError, Stopped, VoicecloneError
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.system import peak_memory_mb
from voiceclone_cli.types import Diarization, Progress, ProgressEvent, Recording, Transcript
from voiceclone_cli.workers.process import LastWords, diagnosis, end_group, own_group, read_lines
from voiceclone_worker.telemetry import SILENCE

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


# One child that listens, seen from the controller: start, requests, replies, end.


ANALYSIS_NAME = "the listening process"
ANALYSIS_PROGRAM = ("-m", "voiceclone_cli.analysis.worker")

DRAIN_SECONDS = 2.0
"""A grandchild may keep a dead child's pipes open: their end is not waited for longer."""


class AnalysisWorkerDied(Exception):
    """The child is gone; one sentence says how, as far as it is known."""


class AnalysisProcess:
    """A running child. Linux ends it with the thread that makes it. Raises RunError when it cannot be started.

    It has this process's environment and import path: what works here works there.
    """

    def __init__(self) -> None:
        self._fault: str | None = None
        self._last_words = LastWords()
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._process = _start()
        self._readers = [
            threading.Thread(target=target, name=f"{ANALYSIS_NAME} {name}", daemon=True)
            for target, name in ((self._read_replies, "stdout"), (self._read_log, "stderr"))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def peak_mb(self) -> int:
        """Peak resident memory; 0 where it is not known."""
        return peak_memory_mb(self.pid) or 0

    def send(self, request: Mapping[str, Any]) -> None:
        """Raises ChildDied."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # ValueError: closed meanwhile
            raise AnalysisWorkerDied(self.end()) from None

    def reply(self, seconds: float) -> dict[str, Any] | None:
        """What it says within so many seconds; None when that is nothing. Raises ChildDied."""
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            return None
        if reply is None:
            raise AnalysisWorkerDied(self.end())
        return reply

    def kill(self, reason: str) -> None:
        """End it at once, from any thread; ``reason`` becomes its diagnosis."""
        self._fault = self._fault or reason
        if self._process.poll() is None:
            end_group(self._process)

    def end(self) -> str:
        """End it and wait until it is gone: how it ended, in one sentence."""
        try:
            # It may be about to end by itself, and to say why.
            self._process.wait(timeout=0.0 if self._fault else DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            end_group(self._process)
        code = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=DRAIN_SECONDS)
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:  # a request that it did not take
            self._last_words.add(f"(stdin: {error})")
        return diagnosis(ANALYSIS_NAME, code, self._fault, str(self._last_words))

    def _read_replies(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                try:
                    reply = json.loads(line)
                except ValueError:  # its last line, cut short
                    break
                self._replies.put(reply)
        self._replies.put(None)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for piece in read_lines(stream):
                if piece.first:
                    self._last_words.add(piece.data.decode("utf-8", errors="replace"))


def _start() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            # -P: a numpy.py in the working directory is nothing to import.
            [sys.executable, "-X", "utf8", "-P", *ANALYSIS_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            **own_group(),
        )
    except OSError as error:
        raise RunError(
            f"{ANALYSIS_NAME} cannot be started ({error.strerror or error}): end other programs, and give the same "
            "command again",
            code="listener_died",
        ) from error


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        **SILENCE,
        "VOICECLONE_COORDINATED": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Threads that spin while they wait cost ten times their work on a busy machine.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


# What passes between the controller and a child that listens: lines of JSON.
#
#     request  {"wish": {"op": "turns", ...}, "recording": {...}, "samples": ".../x.npy"}
#     replies  {"progress": {...}}, any number of times, then {"heard": {...}} or {"error": {...}}
#
# The samples are a file that the child maps into its memory and not a part of the line: an hour has 230 MB.


AnalysisRequest = Mapping[str, Any]
"""What is to be heard, as plain data; it holds the hub token and is not to be shown."""

TURNS, WORDS = "turns", "words"

_KINDS = {kind.__name__: kind for kind in (InputError, PreflightError, RunError)}


def diarization_request(stack: DiarizationModel, count: SpeakerCount, settings: Settings) -> AnalysisRequest:
    return {
        "op": TURNS,
        "stack": {
            "name": stack.name,
            "folders": {name: str(folder) for name, folder in stack.folders.items()},
            "why": stack.why,
        },
        "count": asdict(count),
        "token": settings.token,
        "threads": settings.threads,
    }


def transcription_request(recogniser: Path, settings: Settings) -> AnalysisRequest:
    return {
        "op": WORDS,
        "recogniser": str(recogniser),
        "language": settings.language,
        "threads": settings.threads,
    }


def answer_request(
    wish: AnalysisRequest, recording: Recording, ears: CachedModels, progress: Progress
) -> dict[str, Any]:
    """What is heard, as plain data. Raises what ``ears`` raise."""
    if wish["op"] == WORDS:
        words = ears.words(
            recording,
            Path(wish["recogniser"]),
            language=wish["language"],
            threads=wish["threads"],
            progress=progress,
        )
        return asdict(words)
    folders = {name: Path(folder) for name, folder in wish["stack"]["folders"].items()}
    turns = ears.turns(
        recording,
        DiarizationModel(wish["stack"]["name"], folders, wish["stack"]["why"]),
        SpeakerCount(**wish["count"]),
        token=wish["token"],
        threads=wish["threads"],
        progress=progress,
    )
    return asdict(turns)


def recording_row(recording: Recording) -> dict[str, Any]:
    """A recording without its samples."""
    return {
        "path": str(recording.path),
        "source_rate": recording.source_rate,
        "source_frames": recording.source_frames,
        "channels": recording.channels,
        "has_video": recording.has_video,
    }


def recording_from_row(row: Mapping[str, Any], samples: Samples) -> Recording:
    return Recording(**{**row, "path": Path(row["path"]), "samples": samples})


def error_row(error: VoicecloneError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": error.message, "code": error.code}


def error_from_row(row: Mapping[str, str]) -> VoicecloneError:
    return _KINDS.get(row["kind"], VoicecloneError)(row["message"], code=row["code"])


# Questions to ears elsewhere: asked in any number of threads, answered by others in the order of arrival.


SILENT_SECONDS, SILENT_TIMES = 600.0, 5.0
"""How long healthy ears may say nothing: they load models, and some steps take as long as a recording is.
Wide, since a large model on a busy CPU is slow: this finds what would wait for ever."""

LEAST_SILENCE = 15.0
"""However little patience is asked for, an interpreter takes time to start."""

LOOK_SECONDS = 0.5
"""Between two looks for a reply. Silence is counted in looks that were in vain, so that a controller that was
suspended blames nobody."""

Message = ProgressEvent | dict[str, Any] | BaseException


class Request:
    """What is to be heard of a recording."""

    def __init__(self, recording: Recording, wish: AnalysisRequest, patience: float) -> None:
        self.recording = recording
        self.wish = wish
        self.longest_silence = max(
            LEAST_SILENCE, patience * (SILENT_SECONDS + SILENT_TIMES * recording.seconds)
        )
        self.dropped = False
        """Nobody waits for the answer any more."""
        self.tries = 0
        """How many nodes have not lived to answer it."""
        self._told: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def tell(self, message: Message) -> None:
        """A step forward, the answer, or the error that ends the question. From any thread."""
        self._told.put(message)

    def answer(self, progress: Progress) -> dict[str, Any]:
        """Wait for the answer. ``progress`` is called in this thread."""
        while True:
            message = self._told.get()
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, ProgressEvent):
                progress(message)
            else:
                return message

    def died(self, how: str) -> RunError:
        """That it is given up."""
        return RunError(f"{self.recording.path.name} could not be listened to: {how}", code="listener_died")


class RequestQueue:
    """Those that are open. Whoever answers takes them one by one, until there are to be no more.

    ``on_ask`` is called when one more is open, in the thread that asks.
    """

    def __init__(self, on_ask: Callable[[], None] = lambda: None) -> None:
        self._on_ask = on_ask
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._open: set[Request] = set()
        self._ending: BaseException | None = None

    @property
    def ending(self) -> bool:
        """Nobody waits for any answer any more."""
        return self._ending is not None

    @property
    def open(self) -> int:
        """How many have no answer yet."""
        return len(self._open)

    def ask(self, question: Request, progress: Progress) -> dict[str, Any]:
        """The answer. Raises what it is answered with, and what the questions are ended with."""
        self._open.add(question)
        try:
            if self._ending is not None:  # looked at when it is open already, so that no end passes it by
                question.tell(_again(self._ending))
            else:
                self._waiting.put(question)
                self._on_ask()
            return question.answer(progress)
        finally:
            self._open.discard(question)
            question.dropped = True

    def take(self) -> Request | None:
        """The next one that is worth an answer, as soon as there is one; None: there will be no more."""
        while (question := self._waiting.get()) is not None:
            if not question.dropped:
                return question
        return None

    def put_back(self, question: Request) -> None:
        """Others shall answer it."""
        self._waiting.put(question)

    def end(self, reason: BaseException) -> None:
        """Whoever waits gets ``reason``, whoever asks later too. Never blocks: fit for a signal's handler."""
        self._ending = self._ending or reason
        for question in self._open.copy():
            question.tell(_again(self._ending))

    def close(self, takers: int) -> None:
        """No more questions: each of so many takers is told so. Whoever still asks gets a RunError."""
        self.end(RunError("nobody listens any more: the command is ending", code="listener_closed"))
        for _ in range(takers):
            self._waiting.put(None)


def _again(error: BaseException) -> BaseException:
    """An error of one's own for each thread that raises it."""
    if isinstance(error, Stopped):
        return Stopped(error.exit_code)
    assert isinstance(error, VoicecloneError)
    return type(error)(error.message, code=error.code)


# Whoever keeps a child that listens: hands it questions, and replaces it when it dies.


TRIES = 2
"""Children that a recording may take with it."""

ENDING = "the command is ending"


class Supervisor(threading.Thread):
    """Answers questions through a child, which is started for the first one.

    A thread of its own, because Linux ends a child with the thread that started it: whoever asks may be gone
    when the next question comes.
    """

    def __init__(self, questions: RequestQueue, number: int = 1) -> None:
        super().__init__(name=f"listening {number}", daemon=True)
        self._questions = questions
        self._child: AnalysisProcess | None = None
        self.peak_mb = 0

    @property
    def pid(self) -> int | None:
        child = self._child
        return child.pid if child is not None else None

    def run(self) -> None:
        while (question := self._questions.take()) is not None:
            question.tell(self._heard(question))
        self._lose_child()

    def end_child(self) -> None:
        """At once, from any thread; the questions are ended already. Never blocks."""
        if (child := self._child) is not None:
            child.kill(ENDING)

    def _heard(self, question: Request) -> dict[str, Any] | BaseException:
        """What was heard, or why not."""
        how = ENDING
        for _ in range(TRIES):
            if self._questions.ending or question.dropped:
                break
            try:
                return self._try(question)
            except AnalysisWorkerDied as error:
                self._lose_child()
                how = str(error)
            except VoicecloneError as error:
                return error
            except Exception as error:  # raised where it is waited for, not in this thread
                self._lose_child()
                return error
        return question.died(how)

    def _try(self, question: Request) -> dict[str, Any]:
        """What was heard. Raises ChildDied, what the child raised, and RunError."""
        if self._child is not None and self._child.has_ended:
            self._lose_child()  # between two recordings: neither is to blame
        child = self._child = self._child or AnalysisProcess()
        if self._questions.ending:  # perhaps since before there was this child to end
            child.kill(ENDING)
        with _samples_file(question.recording) as samples:
            child.send(
                {
                    "wish": question.wish,
                    "recording": recording_row(question.recording),
                    "samples": str(samples),
                }
            )
            while True:
                reply = self._reply(child, question)
                if "heard" in reply:
                    heard: dict[str, Any] = reply["heard"]
                    return heard
                if "error" in reply:
                    raise error_from_row(reply["error"])
                question.tell(ProgressEvent(**reply["progress"]))

    def _reply(self, child: AnalysisProcess, question: Request) -> dict[str, Any]:
        """The next one. Raises ChildDied."""
        waited = 0.0
        while True:
            reply = child.reply(LOOK_SECONDS)
            self.peak_mb = max(self.peak_mb, child.peak_mb())
            if question.dropped:
                child.kill("nobody waits for its answer")
            if reply is not None:
                return reply
            waited += LOOK_SECONDS
            if waited > question.longest_silence:
                child.kill(f"it gave no sign of life for {question.longest_silence:.0f} s")

    def _lose_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill("it is not needed any more")
            child.end()


@contextlib.contextmanager
def _samples_file(recording: Recording) -> Iterator[Path]:
    """A file that holds the samples until they are mapped; the child takes its name away. Raises RunError."""
    import numpy as np

    folder = Path(tempfile.gettempdir())
    with friendly_errors(folder):
        descriptor, name = tempfile.mkstemp(prefix="voiceclone-listening-", suffix=".npy", dir=folder)
    try:
        with friendly_errors(folder), os.fdopen(descriptor, "wb") as file:
            np.save(file, recording.samples, allow_pickle=False)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


class ProcessAnalyzer:
    """``StoppableEars`` to be used as a context; a child is started when the first question comes.

    A child that dies, or is silent for too long, is replaced and its recording tried once more; then RunError
    (``listener_died``). When the context ends the children do, at once; they also end with this process,
    however that does.
    """

    def __init__(self, children: int) -> None:
        self._children = children
        self._questions = RequestQueue()
        self._keepers = [Supervisor(self._questions, number) for number in range(1, children + 1)]

    def __enter__(self) -> ProcessAnalyzer:
        for keeper in self._keepers:
            keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def peak_mb(self) -> int:
        """Peak resident memory of the largest child so far; 0 where it is not known."""
        return max(keeper.peak_mb for keeper in self._keepers)

    @property
    def pids(self) -> list[int]:
        """Of the children that are there now."""
        return [pid for keeper in self._keepers if (pid := keeper.pid) is not None]

    def turns(
        self,
        recording: Recording,
        stack: DiarizationModel,
        count: SpeakerCount,
        settings: Settings,
        progress: Progress,
    ) -> Diarization:
        """As ``Ears``; also raises RunError, and Stopped when :meth:`stop` was called."""
        question = Request(
            recording, diarization_request(stack, count, self._shared_out(settings)), settings.timeout_scale
        )
        return diarization_from_dict(self._questions.ask(question, progress))

    def words(
        self, recording: Recording, recogniser: Path, settings: Settings, progress: Progress
    ) -> Transcript:
        """As ``Ears``; also raises RunError, and Stopped when :meth:`stop` was called."""
        question = Request(
            recording, transcription_request(recogniser, self._shared_out(settings)), settings.timeout_scale
        )
        return transcript_from_dict(self._questions.ask(question, progress))

    def _shared_out(self, settings: Settings) -> Settings:
        """Each child gets its share of the threads."""
        return replace(settings, threads=max(1, settings.threads // self._children))

    def stop(self, stopped: Stopped) -> None:
        """As ``StoppableEars``; the children are ended."""
        self._questions.end(stopped)
        for keeper in self._keepers:
            keeper.end_child()

    def close(self) -> None:
        """End the children and wait until they are gone. Whoever still asks gets a RunError."""
        self._questions.close(len(self._keepers))
        for keeper in self._keepers:
            if keeper.ident is not None:
                keeper.end_child()
                keeper.join()
