"""Leases of a worker: task files to engines, speech to wav files, and a result for every segment and reference."""

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

from voiceclone_worker import protocol
from voiceclone_worker.atomic import write_bytes_atomic, write_failure
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.base import Emit, Engine, EngineError, Load, SegmentError, Speech, SpeechRow
from voiceclone_worker.validation import ContractError, file_key

BACKLOG = 32
"""Finished segments that may wait for the disk before the engine waits."""

DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors that only writing can raise, wherever in an engine they come from."""

DIRECTORY_ERRNOS = (
    *(*DISK_ERRNOS, errno.EACCES, errno.EPERM),
    *(errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.ESTALE),
)
"""Errors of the directory rather than of one file: the next file would fail in the same way."""


class Session:
    """A worker's leases, one at a time, and the engines that it has loaded."""

    def __init__(self, emit: Emit) -> None:
        self._leases = 0
        self._lease: LeaseRun | None = None
        self._engines: dict[str, Engine] = {}

        def emit_in_lease(event: str, **fields: Any) -> None:
            if self._lease is not None:
                self._lease.record_event(event, fields)
            # Events may be read after the result of their lease, so each carries its lease.
            emit(event, lease=self._leases, **fields)

        self._emit: Emit = emit_in_lease

    def run(self, paths: Sequence[str]) -> protocol.Result:
        """Run the task files of a lease: first every reference, then all segments in one go.

        A task that cannot be read or an engine that cannot be loaded is the result's ``error``; the failure of
        a single segment or reference is in its row.
        """
        self._leases += 1
        try:
            tasks = [protocol.read_task(path) for path in paths]
            _check_output_files(tasks)
        except ContractError as error:
            return protocol.Result(error=protocol.Failure("task_unusable", str(error)), lease=self._leases)
        lease = self._lease = LeaseRun(self._leases, tasks, self._emit)
        for spec, numbers in _group_by_engine(tasks):
            try:
                engine = self._engine(spec, lease)
            except EngineError as error:
                lease.fail(numbers, error.failure)
            else:
                lease.encode(engine, numbers)
                lease.generate(engine, numbers)
        return lease.result()

    def refuse(self, reason: str) -> protocol.Result:
        """Return the result of a request that names no task files; it counts as a lease, as for the coordinator."""
        self._leases += 1
        return protocol.Result(error=protocol.Failure("bad_request", reason), lease=self._leases)

    def _engine(self, spec: protocol.EngineSpec, lease: LeaseRun) -> Engine:
        key = json.dumps(asdict(spec), sort_keys=True)
        if key not in self._engines:
            self._emit("loading", engine=spec.name)
            started = time.perf_counter()
            self._engines[key] = _load_engine(spec, self._emit)
            seconds = time.perf_counter() - started
            lease.add_seconds("load", seconds)
            self._emit("ready", engine=spec.name, seconds=round(seconds, 3))
        return self._engines[key]


def _load_engine(spec: protocol.EngineSpec, emit: Emit) -> Engine:
    if spec.name not in ENGINES:
        names = ", ".join(ENGINES)
        raise EngineError("unknown_engine", f"no engine is called {spec.name!r}; there are {names}")
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
            "engine_load_failed", f"engine {spec.name} did not load: {_describe(error)}"
        ) from error


class LeaseRun:
    """The rows of one lease while they are made."""

    def __init__(self, number: int, tasks: Sequence[protocol.Task], emit: Emit) -> None:
        self._number = number
        self._tasks = tasks
        self._emit = emit
        self._segments: dict[tuple[int, str], protocol.SegmentRow] = {}
        self._references: dict[tuple[int, str], protocol.ReferenceRow] = {}
        self._timing: dict[str, float] = {}
        self._notes: list[str] = []
        self._error: protocol.Failure | None = None

    def record_event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Put an engine's ``note`` (message) and ``spent`` (stage, seconds) into the result."""
        if event == "note" and fields["message"] not in self._notes:
            self._notes.append(fields["message"])
        elif event == "spent":
            self.add_seconds(fields["stage"], fields["seconds"])

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Add to the time of a stage."""
        self._timing[stage] = self._timing.get(stage, 0.0) + seconds

    def fail(self, numbers: Sequence[int], failure: protocol.Failure) -> None:
        """Fail the lease, and everything in the tasks of these numbers."""
        self._error = failure
        self._fail_rest(numbers, failure)

    def encode(self, engine: Engine, numbers: Sequence[int]) -> None:
        """Encode the references of the encode tasks among ``numbers``."""
        for number in numbers:
            task = self._tasks[number]
            if isinstance(task, protocol.EncodeTask):
                started = time.perf_counter()
                self._fail_rest([number], self._encode(engine, number, task))
                self.add_seconds("encode", time.perf_counter() - started)

    def _encode(self, engine: Engine, number: int, task: protocol.EncodeTask) -> protocol.Failure:
        """Return the reason of every reference that has no row afterwards."""
        before = time.perf_counter()
        try:
            for reference, error in engine.encode(task.references):
                now = time.perf_counter()
                status, file = ("done", reference.codes) if error is None else ("failed", None)
                failure = None if error is None else error.failure
                self._add_reference(
                    protocol.ReferenceRow(
                        number, reference.speaker, status, file, round(now - before, 3), failure
                    )
                )
                before = now
        except EngineError as error:
            return error.failure
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, OSError) and error.errno in DISK_ERRNOS:
                return write_failure(Path(task.references[0].codes), error)
            return protocol.Failure("engine_crashed", f"encoding failed: {_describe(error)}")
        return protocol.Failure("no_outcome", "the engine gave no outcome for this reference")

    def generate(self, engine: Engine, numbers: Sequence[int]) -> None:
        """Synthesize the segments of the tasks of these numbers."""
        rows = self._rows(numbers)
        if not rows:
            return
        started, other_stages = time.perf_counter(), sum(self._timing.values())
        with Writer(self._add_segment) as writer:
            writer.make_folders({str(self._path(row).parent) for row in rows})
            failure = self._generate(engine, rows, writer)
        if writer.fatal_error is not None:
            failure = self._error = writer.fatal_error
        self._fail_rest(numbers, failure)
        engine_stages = sum(self._timing.values()) - other_stages
        self.add_seconds("generate", time.perf_counter() - started - engine_stages)
        self.add_seconds("write", writer.seconds)

    def _generate(self, engine: Engine, rows: Sequence[SpeechRow], writer: Writer) -> protocol.Failure:
        """Return the reason of every segment that has no row afterwards."""
        try:
            outcomes = iter(engine.generate(rows)) if writer.fatal_error is None else iter(())
            for row, outcome in outcomes:
                if isinstance(outcome, SegmentError):
                    self._add_segment(failed_row(row, outcome.failure))
                else:
                    writer.submit(row, outcome, self._path(row))
                if writer.fatal_error is not None:
                    break
        except Exception as error:
            traceback.print_exc()
            return protocol.Failure("engine_crashed", f"the engine failed: {_describe(error)}")
        return protocol.Failure("no_outcome", "the engine gave no outcome for this segment")

    def result(self) -> protocol.Result:
        """Return the result, with its rows in the order of the tasks."""
        return protocol.Result(
            segments=tuple(
                self._segments[row.task, row.segment.id] for row in self._rows(range(len(self._tasks)))
            ),
            references=tuple(self._references.values()),
            timing=self._timing,
            notes=tuple(self._notes),
            error=self._error,
            lease=self._number,
        )

    def _path(self, row: SpeechRow) -> Path:
        task = self._tasks[row.task]
        assert isinstance(task, protocol.SynthesisTask)
        return Path(task.output_dir, f"{row.segment.id}.wav")

    def _rows(self, numbers: Sequence[int]) -> list[SpeechRow]:
        rows = []
        for number in numbers:
            task = self._tasks[number]
            if isinstance(task, protocol.SynthesisTask):
                rows += [SpeechRow(number, segment, task.reference) for segment in task.segments]
        return rows

    def _fail_rest(self, numbers: Sequence[int], failure: protocol.Failure) -> None:
        """Fail what has no row yet in the tasks of these numbers."""
        for row in self._rows(numbers):
            if (row.task, row.segment.id) not in self._segments:
                self._add_segment(failed_row(row, failure))
        for number in numbers:
            task = self._tasks[number]
            for reference in task.references if isinstance(task, protocol.EncodeTask) else ():
                if (number, reference.speaker) not in self._references:
                    self._add_reference(
                        protocol.ReferenceRow(number, reference.speaker, "failed", error=failure)
                    )

    def _add_segment(self, row: protocol.SegmentRow) -> None:
        self._segments[row.task, row.id] = row
        self._emit("segment_done" if row.status == "done" else "segment_failed", **asdict(row))

    def _add_reference(self, row: protocol.ReferenceRow) -> None:
        self._references[row.task, row.speaker] = row
        self._emit("encoded", **asdict(row))


class Writer:
    """Wav files of segments, written in a thread beside the computation; ``finished`` gets a row for each.

    A wav is whole as soon as it has its name, but it is not flushed to the disk: after a power cut, one without
    the sha256 of its row is made again.
    """

    def __init__(self, finished: Callable[[protocol.SegmentRow], None]) -> None:
        self._finished = finished
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._backlog = threading.BoundedSemaphore(BACKLOG)
        self._jobs: deque[Future[None]] = deque()
        self.seconds = 0.0
        self.fatal_error: protocol.Failure | None = None
        """Why no further file can be written: a full disk, a directory that was removed. The lease stops then."""

    def make_folders(self, folders: Iterable[str]) -> None:
        """Create the output directories, once: one that a user removes later is not made again."""
        for folder in folders:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                self.fatal_error = write_failure(Path(folder), error)

    def submit(self, row: SpeechRow, speech: Speech, path: Path) -> None:
        """Queue a segment for writing; wait where ``BACKLOG`` of them are not written yet."""
        self._backlog.acquire()
        while self._jobs and self._jobs[0].done():  # with one thread they end in order
            self._jobs.popleft().result()
        self._jobs.append(self._thread.submit(self._write, row, speech, path))

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
            result = protocol.SegmentRow(
                task=row.task,
                id=row.segment.id,
                status="done",
                file=str(path),
                seconds=round(speech.frames / speech.rate, 6),
                frames=speech.frames,
                seed=speech.seed,
                attempts=speech.attempts,
                sha256=write_wav(path, speech),
                warnings=speech.warnings,
            )
        except OSError as error:
            failure = write_failure(path, error)
            if error.errno in DIRECTORY_ERRNOS:
                self.fatal_error = failure
            result = failed_row(row, failure)
        finally:
            self._backlog.release()
        self.seconds += time.perf_counter() - started
        self._finished(result)


def write_wav(path: Path, speech: Speech) -> str:
    """Write mono PCM_16 and return the SHA-256 of the file. Raises OSError."""
    content = io.BytesIO()
    with wave.open(content, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(speech.rate)
        out.writeframes(speech.pcm)
    data = content.getvalue()
    write_bytes_atomic(path, data, sync=False, make_folder=False)
    return hashlib.sha256(data).hexdigest()


def failed_row(row: SpeechRow, failure: protocol.Failure) -> protocol.SegmentRow:
    """Return the row of a segment that failed."""
    return protocol.SegmentRow(row.task, row.segment.id, "failed", seed=row.segment.seed, error=failure)


def _group_by_engine(tasks: Sequence[protocol.Task]) -> list[tuple[protocol.EngineSpec, list[int]]]:
    """Return the numbers of the tasks of each engine, in order; usually there is one engine."""
    groups: list[tuple[protocol.EngineSpec, list[int]]] = []
    for number, task in enumerate(tasks):
        for spec, numbers in groups:
            if spec == task.engine:
                numbers.append(number)
                break
        else:
            groups.append((task.engine, [number]))
    return groups


def _check_output_files(tasks: Sequence[protocol.Task]) -> None:
    """Raise ContractError where two segments of a lease would write the same file."""
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        if isinstance(task, protocol.SynthesisTask):
            folder = os.path.realpath(task.output_dir)
            for segment in task.segments:
                key = (folder, file_key(segment.id))
                if key in seen:
                    raise ContractError(
                        f"two segments would write {os.path.join(task.output_dir, segment.id)}.wav"
                    )
                seen.add(key)


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
