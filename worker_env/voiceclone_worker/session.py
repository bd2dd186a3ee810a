"""Tasks -> rows -> engine -> writer, with an outcome for every segment and reference."""

from __future__ import annotations

import errno
import hashlib
import importlib
import io
import json
import os
import threading
import time
import traceback
import wave
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from voiceclone_worker.atomic import write_bytes_atomic, write_failure
from voiceclone_worker.engines.base import Emit, Engine, EngineError, Load, SegmentError, Speech, SpeechRow
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    Failure,
    ReferenceRow,
    Result,
    SegmentRow,
    SynthesisTask,
    Task,
    read_task,
)
from voiceclone_worker.validation import ContractError, file_key

# Wav files, written beside the computing.
#
# A segment's wav is whole as soon as it has its name, and stays so whatever happens to the process. It is not
# flushed to the disk: after a power cut a wav that does not have the sha256 of its row is made again.


BACKLOG = 32
"""Finished segments that may wait for the disk before the engine has to."""

_OF_THE_FOLDER = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
)
"""What is wrong with the place rather than with one file: the next one would meet it too."""


class Writer:
    """Writes each segment's wav in a thread of its own. ``finished`` hears of every outcome."""

    def __init__(self, finished: Callable[[SegmentRow], None]) -> None:
        self._finished = finished
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._room = threading.BoundedSemaphore(BACKLOG)
        self._jobs: deque[Future[None]] = deque()
        self.seconds = 0.0
        self.blocked: Failure | None = None
        """Why nothing more can be written: a full disk, a folder that is gone. To go on is computing for nothing."""

    def make_folders(self, folders: Iterable[str]) -> None:
        """Once, before the work: a folder that somebody removes later is not made again."""
        for folder in folders:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                self.blocked = write_failure(Path(folder), error)

    def submit(self, row: SpeechRow, speech: Speech, path: str) -> None:
        """Hand over a segment. Waits where ``BACKLOG`` of them have not been written yet."""
        self._room.acquire()
        while self._jobs and self._jobs[0].done():  # one thread: they end in order
            self._jobs.popleft().result()
        self._jobs.append(self._thread.submit(self._write, row, speech, Path(path)))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        for job in self._jobs:
            job.result()

    def _write(self, row: SpeechRow, speech: Speech, path: Path) -> None:
        started = time.perf_counter()
        try:
            sha256 = write_wav(path, speech)
            outcome = SegmentRow(
                task=row.task,
                id=row.segment.id,
                status="done",
                file=str(path),
                seconds=round(speech.frames / speech.rate, 6),
                frames=speech.frames,
                seed=speech.seed,
                attempts=speech.attempts,
                sha256=sha256,
            )
        except OSError as error:
            failure = write_failure(path, error)
            if error.errno in _OF_THE_FOLDER:
                self.blocked = failure
            outcome = failed(row, failure)
        finally:
            self._room.release()
        self.seconds += time.perf_counter() - started
        self._finished(outcome)


def write_wav(path: Path, speech: Speech) -> str:
    """Mono PCM_16. Returns the file's SHA-256; raises OSError."""
    content = io.BytesIO()
    with wave.open(content, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(speech.rate)
        out.writeframes(speech.pcm)
    data = content.getvalue()
    write_bytes_atomic(path, data, sync=False, make_folder=False)
    return hashlib.sha256(data).hexdigest()


def failed(row: SpeechRow, failure: Failure) -> SegmentRow:
    """The row of a segment that did not come to be."""
    return SegmentRow(row.task, row.segment.id, "failed", seed=row.segment.seed, error=failure)


ENGINES = ("echo", "kokoro", "fish")

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What only writing meets: engines let it through, and it is told as what it is."""


class Session:
    """Runs leases; keeps each engine it has loaded."""

    def __init__(self, emit: Emit) -> None:
        self._leases = 0
        self._lease: _LeaseRun | None = None

        def emit_in_lease(event: str, **fields: Any) -> None:
            if self._lease is not None:
                self._lease.hear(event, fields)
            emit(event, lease=self._leases, **fields)

        # Events may be read after the result of their lease, so each says which lease it is of.
        self._emit: Emit = emit_in_lease
        self._engines: dict[str, Engine] = {}

    def run(self, paths: Sequence[str]) -> Result:
        """Do all task files of a lease: first every reference, then every segment as one pool.

        A task that cannot be read, or an engine that cannot be loaded, is the result's ``error``;
        whatever goes wrong with a single row stands in that row.
        """
        self._leases += 1
        try:
            tasks = [read_task(path) for path in paths]
            _check_outputs(tasks)
        except ContractError as error:
            return Result(error=Failure("task_unusable", str(error)), lease=self._leases)
        lease = self._lease = _LeaseRun(self._leases, tasks, self._emit)
        for spec, numbers in _by_engine(tasks):
            try:
                engine = self._engine(spec, lease)
            except EngineError as error:
                lease.refuse(numbers, Failure(error.code, error.message))
            else:
                lease.encode(engine, numbers)
                lease.generate(engine, numbers)
        return lease.result()

    def refuse(self, why: str) -> Result:
        """The answer to a request that names no tasks. It counts, as it does for whoever asked."""
        self._leases += 1
        return Result(error=Failure("bad_request", why), lease=self._leases)

    def _engine(self, spec: EngineSpec, lease: _LeaseRun) -> Engine:
        key = json.dumps(asdict(spec), sort_keys=True)
        if key not in self._engines:
            self._emit("loading", engine=spec.name)
            started = time.perf_counter()
            self._engines[key] = _load(spec, self._emit)
            seconds = time.perf_counter() - started
            lease.spend("load", seconds)
            self._emit("ready", engine=spec.name, seconds=round(seconds, 3))
        return self._engines[key]


def _load(spec: EngineSpec, emit: Emit) -> Engine:
    if spec.name not in ENGINES:
        raise EngineError(
            "unknown_engine", f"no engine is called {spec.name!r}; there are {', '.join(ENGINES)}"
        )
    try:
        load: Load = importlib.import_module(f"voiceclone_worker.engines.{spec.name}").load
        return load(spec, emit)
    except ImportError as error:
        raise EngineError(
            "engine_not_installed", f"engine {spec.name} cannot be imported in this interpreter: {error}"
        ) from error
    except EngineError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise EngineError(
            "engine_load_failed", f"engine {spec.name} did not load: {_sentence(error)}"
        ) from error


class _LeaseRun:
    """The outcomes of one lease while they come in."""

    def __init__(self, number: int, tasks: Sequence[Task], emit: Emit) -> None:
        self._number = number
        self._tasks = tasks
        self._emit = emit
        self._segments: dict[tuple[int, str], SegmentRow] = {}
        self._references: dict[tuple[int, str], ReferenceRow] = {}
        self._timing: dict[str, float] = {}
        self._notes: list[str] = []
        self._error: Failure | None = None

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """What an engine says of its own accord stands in the result too: ``note`` (message), and
        ``spent`` (stage, seconds) for a stage of its own within speaking."""
        if event == "note" and fields["message"] not in self._notes:
            self._notes.append(fields["message"])
        elif event == "spent":
            self.spend(fields["stage"], fields["seconds"])

    def spend(self, stage: str, seconds: float) -> None:
        self._timing[stage] = self._timing.get(stage, 0.0) + seconds

    def refuse(self, numbers: Sequence[int], failure: Failure) -> None:
        """Nothing of these tasks can be done."""
        self._error = failure
        self._fail_rest(numbers, failure)

    def encode(self, engine: Engine, numbers: Sequence[int]) -> None:
        for number in numbers:
            task = self._tasks[number]
            if isinstance(task, EncodeTask):
                started = time.perf_counter()
                self._fail_rest([number], self._encode(engine, number, task))
                self.spend("encode", time.perf_counter() - started)

    def _encode(self, engine: Engine, number: int, task: EncodeTask) -> Failure:
        """Why a reference that has no outcome afterwards has none."""
        before = time.perf_counter()
        try:
            for reference, error in engine.encode(task.references):
                failure = None if error is None else Failure(error.code, error.message)
                status, file = ("done", reference.codes) if failure is None else ("failed", None)
                now = time.perf_counter()
                seconds = round(now - before, 3)
                self._encoded(ReferenceRow(number, reference.speaker, status, file, seconds, failure))
                before = now
        except EngineError as error:
            return Failure(error.code, error.message)
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                return write_failure(Path(task.references[0].codes), error)
            return Failure("engine_crashed", f"encoding failed: {_sentence(error)}")
        return Failure("no_outcome", "the engine gave no outcome for this reference")

    def generate(self, engine: Engine, numbers: Sequence[int]) -> None:
        rows = self._rows(numbers)
        if not rows:
            return
        started, spent_before = time.perf_counter(), sum(self._timing.values())
        with Writer(self._finish) as writer:
            writer.make_folders({str(self._path(row).parent) for row in rows})
            problem = self._generate(engine, rows, writer)
        if writer.blocked is not None:
            problem = self._error = writer.blocked
        self._fail_rest(numbers, problem)
        own_stages = sum(self._timing.values()) - spent_before
        self.spend("generate", time.perf_counter() - started - own_stages)
        self.spend("write", writer.seconds)

    def _generate(self, engine: Engine, rows: Sequence[SpeechRow], writer: Writer) -> Failure:
        """Why a segment that has no outcome afterwards has none."""
        try:
            outcomes = iter(engine.generate(rows)) if writer.blocked is None else iter(())
            for row, outcome in outcomes:
                if isinstance(outcome, SegmentError):
                    self._finish(failed(row, Failure(outcome.code, outcome.message)))
                else:
                    writer.submit(row, outcome, str(self._path(row)))
                if writer.blocked is not None:
                    break
        except Exception as error:
            traceback.print_exc()
            return Failure("engine_crashed", f"the engine failed: {_sentence(error)}")
        return Failure("no_outcome", "the engine gave no outcome for this segment")

    def result(self) -> Result:
        """Rows in the order of the tasks."""
        every = self._rows(range(len(self._tasks)))
        return Result(
            segments=tuple(self._segments[row.task, row.segment.id] for row in every),
            references=tuple(self._references.values()),
            timing=self._timing,
            notes=tuple(self._notes),
            error=self._error,
            lease=self._number,
        )

    def _path(self, row: SpeechRow) -> Path:
        task = self._tasks[row.task]
        assert isinstance(task, SynthesisTask)
        return Path(task.output_dir, f"{row.segment.id}.wav")

    def _fail_rest(self, numbers: Sequence[int], failure: Failure) -> None:
        """What has no outcome yet of these tasks fails."""
        for row in self._rows(numbers):
            if (row.task, row.segment.id) not in self._segments:
                self._finish(failed(row, failure))
        for number in numbers:
            task = self._tasks[number]
            for reference in task.references if isinstance(task, EncodeTask) else ():
                if (number, reference.speaker) not in self._references:
                    self._encoded(ReferenceRow(number, reference.speaker, "failed", error=failure))

    def _finish(self, row: SegmentRow) -> None:
        self._segments[row.task, row.id] = row
        self._emit("segment_done" if row.status == "done" else "segment_failed", **asdict(row))

    def _encoded(self, row: ReferenceRow) -> None:
        self._references[row.task, row.speaker] = row
        self._emit("encoded", **asdict(row))

    def _rows(self, numbers: Sequence[int]) -> list[SpeechRow]:
        rows = []
        for number in numbers:
            task = self._tasks[number]
            if isinstance(task, SynthesisTask):
                rows += [SpeechRow(number, segment, task.reference) for segment in task.segments]
        return rows


def _by_engine(tasks: Sequence[Task]) -> list[tuple[EngineSpec, list[int]]]:
    """Task numbers under their engine, in order; one engine is the rule."""
    groups: list[tuple[EngineSpec, list[int]]] = []
    for number, task in enumerate(tasks):
        for spec, numbers in groups:
            if spec == task.engine:
                numbers.append(number)
                break
        else:
            groups.append((task.engine, [number]))
    return groups


def _check_outputs(tasks: Sequence[Task]) -> None:
    """Two segments of a pool must not write the same file."""
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        if isinstance(task, SynthesisTask):
            folder = os.path.realpath(task.output_dir)
            for segment in task.segments:
                key = (folder, file_key(segment.id))
                if key in seen:
                    raise ContractError(
                        f"two segments would write {os.path.join(task.output_dir, segment.id)}.wav"
                    )
                seen.add(key)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
