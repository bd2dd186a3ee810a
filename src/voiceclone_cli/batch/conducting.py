"""Many runs side by side: each tells its own story, and all share the same ears and voices.

While one recording is spoken, the next is listened to and the one before is placed on its timeline. Models and
workers are loaded once. What goes wrong with a recording is its own end and nobody else's.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from voiceclone_cli.atomic import explain_write_errors
from voiceclone_cli.batch.types import Batch, BatchItem, BatchOutcome, ItemEnd
from voiceclone_cli.engines import choose_engine
from voiceclone_cli.errors import Stopped, VoicecloneError
from voiceclone_cli.executors import open_ears, open_launcher
from voiceclone_cli.listening import Ears
from voiceclone_cli.means import Means
from voiceclone_cli.run import run
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.client import Client
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import Outcome
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.progress import WorkerProgress
from voiceclone_cli.workers.slot import Launcher
from voiceclone_cli.workers.work import OnSegment

OPEN_BESIDE = 2
"""Recordings in work beside one for each slot: one that is listened to, and one that is placed."""

MOST_OPEN = 64
"""An open recording is in memory: 230 MB an hour."""

ENDING_SECONDS = 20.0
"""How long recordings may take to leave their run directories in order once a stop was asked for."""

_SAID_ONCE = ("engine: ", "diarizer: ")
"""Sentences that are the same for every recording."""

_KNOWN = "diarizer: given"
"""Whoever wrote the list knows whose turns stand in it."""

OnEnd = Callable[[ItemEnd], None]


def conduct(batch: Batch, progress: Progress = no_progress, on_end: OnEnd = lambda end: None) -> BatchOutcome:
    """Run every recording of the batch; each has its end in the outcome, whatever happens to it.

    ``on_end`` hears of each, one at a time, as soon as it is known. Being stopped is part of the outcome.
    Raises PreflightError for what all of them need, before the first is begun; what else ends a recording stands
    in its end.
    """
    started = time.perf_counter()
    engine = choose_engine(batch.settings, progress)
    keep_tasks = any(item.request.keep_tasks for item in batch.items)
    stopped: Stopped | None = None
    with ExitStack() as held:
        tasks, logs = (held.enter_context(_folder(batch.root / name)) for name in ("tasks", "logs"))
        launcher = held.enter_context(
            open_launcher(
                batch.settings, engine, tasks, log_dir=logs, keep_tasks=keep_tasks, progress=progress
            )
        )
        ears = held.enter_context(open_ears(batch.settings, progress))
        pool = held.enter_context(Pool(launcher, patience=batch.settings.patience))
        conductor = _Conductor(batch.items, ears, launcher, pool, progress, on_end, logs)
        try:
            conductor.begin(min(MOST_OPEN, OPEN_BESIDE + launcher.room()))
            pool.serve(lambda: conductor.left == 0)
        except Stopped as stop:
            stopped = stop
            ears.stop(stop)
            conductor.stop(stop)
    if conductor.fault is not None:
        raise conductor.fault
    usage = pool.usage
    idle = max(0.0, usage.slots * usage.span_seconds - usage.busy_seconds)
    timing = {
        "total": time.perf_counter() - started,
        "slots_busy": usage.busy_seconds,
        "slots_idle": idle,
    }
    return BatchOutcome(
        ends=tuple(conductor.ends[item.name] for item in batch.items if item.name in conductor.ends),
        stopped=stopped,
        timing={name: round(seconds, 3) for name, seconds in timing.items()},
        peak_mb=pool.peak_mb,
        slots=usage.slots,
    )


class _Conductor:
    """Threads that take one recording after the other."""

    def __init__(
        self,
        items: Sequence[BatchItem],
        ears: Ears,
        launcher: Launcher,
        pool: Pool,
        progress: Progress,
        on_end: OnEnd,
        logs: Path,
    ) -> None:
        self._waiting: queue.SimpleQueue[BatchItem] = queue.SimpleQueue()
        for item in items:
            self._waiting.put(item)
        self._ears = ears
        self.launcher = launcher
        self.pool = pool
        self._progress = progress
        self._on_end = on_end
        self._logs = logs
        self._lock = threading.Lock()
        self._computing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._total = len(items)
        self._said: set[str] = set()
        self.stopped: Stopped | None = None
        self.ends: dict[str, ItemEnd] = {}
        self.fault: Exception | None = None
        """Of whoever is told of ends: it costs no recording."""

    @property
    def left(self) -> int:
        """Recordings without an end."""
        return self._total - len(self.ends)

    def begin(self, side_by_side: int) -> None:
        """So many recordings at a time."""
        for number in range(min(side_by_side, self._total)):
            # Daemons: a library that hangs in one of them cannot hold up a command that was stopped.
            thread = threading.Thread(target=self._take_items, name=f"recording {number + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, stop: Stopped) -> None:
        """No other recording is begun; those in work end where they are, as a single run does."""
        self.stopped = stop
        deadline = time.monotonic() + ENDING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _take_items(self) -> None:
        while self.stopped is None:
            try:
                item = self._waiting.get_nowait()
            except queue.Empty:
                return
            end = self._play(item)
            with self._lock:
                try:
                    self._on_end(end)
                except Exception as fault:
                    self.fault = self.fault or fault
                self.ends[item.name] = end

    def _play(self, item: BatchItem) -> ItemEnd:
        """The run of one recording, from its first word to its last."""
        started = time.perf_counter()
        document, error = None, None
        try:
            telling = _Telling(item.name, self)
            means = Means(self._ears, telling.open_voices, self._computing, undisturbed=False)
            result = run(item.request, telling, means)
            document, exit_code = result.document, result.exit_code
        except VoicecloneError as problem:
            exit_code, error = problem.exit_code, {"code": problem.code, "message": problem.message}
        except Stopped as stop:
            exit_code = stop.exit_code
            error = {"code": "interrupted", "message": "the batch was stopped before it was whole"}
        except Exception as defect:
            exit_code, error = 1, self._defect(item, defect)
        return ItemEnd(item, document, exit_code, error, round(time.perf_counter() - started, 3))

    def _defect(self, item: BatchItem, defect: Exception) -> dict[str, str]:
        """One of ours; the other recordings are not to blame, and go on."""
        where = self._logs / f"{item.name}.traceback.txt"
        with suppress(OSError):  # a disk that is full, too: the recording must have its end all the same
            where.write_text("".join(traceback.format_exception(defect)), encoding="utf-8", errors="replace")
        kind = type(defect).__name__
        return {
            "code": "defect",
            "message": f"voiceclone has a defect ({kind}: {defect}): please report {where}",
        }

    def show_once(self, event: ProgressEvent) -> None:
        """What every recording has to say, but not each of them needs to."""
        if event.note not in self._said:
            self._said.add(event.note)
            self.show(event)

    def show(self, event: ProgressEvent) -> None:
        with self._lock:
            self._progress(event)


class _Telling:
    """The progress of one recording, with its name; where a stop reaches it, once."""

    def __init__(self, name: str, conductor: _Conductor) -> None:
        self._name = name
        self._conductor = conductor
        self._knows_of_stop = False
        """From then on it only leaves its run directory in order."""

    def __call__(self, event: ProgressEvent) -> None:
        stop = self._conductor.stopped
        if stop is not None and not self._knows_of_stop:
            self._knows_of_stop = True
            raise stop
        if event.stage == "note" and event.note.startswith(_SAID_ONCE):
            if not event.note.startswith(_KNOWN):
                self._conductor.show_once(event)
        else:
            self._conductor.show(replace(event, input=self._name))

    @contextmanager
    def open_voices(
        self, job: Job, progress: Progress, report: WorkerProgress, keep_tasks: bool
    ) -> Iterator[_Voices]:
        try:
            yield _Voices(Client(self._conductor.pool, report, report.log), self._conductor)
        except Stopped:
            self._knows_of_stop = True
            raise


@dataclass(frozen=True, slots=True)
class _Voices:
    """The pool in the hands of one recording."""

    client: Client
    conductor: _Conductor

    @property
    def slots(self) -> int:
        """Its share: while others wait for slots too, leases are whole batches; the last ones are cut as a
        recording alone would be, so that no slot is idle at the end."""
        return max(1, -(-self.conductor.launcher.room() // max(1, self.conductor.left)))

    def warm_up(self, job: Job) -> Sequence[Lease]:
        """None: a slot that is busy with another recording has its engine loaded, and an idle one loads it
        for the first lease that comes."""
        return ()

    def run(self, leases: Sequence[Lease], on_segment: OnSegment = lambda row: None) -> Outcome:
        return self.client.run(leases, on_segment)


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A folder of the batch, which goes when nothing is left in it."""
    with explain_write_errors(path.parent):
        path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.rmdir()
