"""Machines for the pool's tests: workers that are threads, whose files come as bytes, and that can be slow or lost."""

from __future__ import annotations

import io
import threading
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli.workers.protocol import (
    EventMessage,
    Inbox,
    Lease,
    Message,
    ResultMessage,
    WorkerExited,
    make_folders,
)
from voiceclone_worker.protocol import Result, SegmentRow, SynthesisTask


def tone(text: str) -> bytes:
    """A wav that says which text it is of."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(text.encode().ljust(200, b"\0"))
    return content.getvalue()


@dataclass
class FarLauncher:
    """A launcher of ``workers`` machines; ``delay`` (by the worker's number) is what one takes for a segment."""

    workers: int = 2
    delay: Callable[[int], float] = lambda number: 0.0
    dies: Callable[[FarWorker, str], bool] = lambda worker, id: False
    """Whether the machine goes away instead of speaking this segment."""
    ready_after: Callable[[int], float] = lambda number: 0.0
    started: list[FarWorker] = field(default_factory=list)
    synthesized: list[tuple[str, str]] = field(default_factory=list)
    """(worker, segment id) of everything that was synthesized anywhere."""
    closed: bool = False

    def room(self) -> int:
        return self.workers

    def start(self, name: str, number: int, inbox: Inbox) -> FarWorker:
        worker = FarWorker(name, number, inbox, self)
        self.started.append(worker)
        return worker

    def close(self) -> None:
        self.closed = True


class FarWorker:
    def __init__(self, name: str, number: int, inbox: Inbox, machines: FarLauncher) -> None:
        self.name = name
        self.number = number
        self.ready = False
        self.last_event = time.monotonic()
        self._inbox = inbox
        self._machines = machines
        self._leases = 0
        self._ended = threading.Event()
        threading.Timer(machines.ready_after(number), self._get_ready).start()

    def give(self, lease: Lease) -> int:
        assert self.ready, "nothing is leased to a machine that is not there yet"
        make_folders(lease)
        self._leases += 1
        threading.Thread(target=self._work, args=(lease, self._leases), daemon=True).start()
        return self._leases

    def release(self) -> None:
        pass

    def taken(self, message: Message) -> None:
        pass

    def peak_mb(self) -> int | None:
        return None

    def finish(self) -> None:
        self._ended.set()

    def kill(self, reason: str) -> None:
        self.lose(reason, node_lost=False)

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def lose(self, reason: str, *, node_lost: bool = True) -> None:
        if not self._ended.is_set():
            self._ended.set()
            self._inbox.put(WorkerExited(self, f"{self.name} {reason}", node_lost))

    def _get_ready(self) -> None:
        self.ready = True
        self._inbox.put(None)

    def _work(self, lease: Lease, number: int) -> None:
        rows = []
        for task_number, task in enumerate(lease.tasks):
            assert isinstance(task, SynthesisTask)
            for segment in task.segments:
                begun = {"event": "segment_started", "task": task_number, "id": segment.id}
                self._report({**begun, "lease": number})
                if self._ended.wait(self._machines.delay(self.number)):
                    return
                if self._machines.dies(self, segment.id):
                    self.lose("went away")
                    return
                file = str(Path(task.output_dir) / f"{segment.id}.wav")
                self._machines.synthesized.append((self.name, segment.id))
                rows.append(SegmentRow(task_number, segment.id, "done", file, 0.0125, 100, segment.seed))
                reported = {
                    "task": task_number,
                    "id": segment.id,
                    "status": "done",
                    "file": file,
                    "frames": 100,
                }
                self._report({"event": "segment_done", "lease": number, **reported}, tone(segment.text))
        self._inbox.put(ResultMessage(self, Result(segments=tuple(rows), lease=number)))

    def _report(self, event: dict[str, object], payload: bytes | None = None) -> None:
        self.last_event = time.monotonic()
        self._inbox.put(EventMessage(self, event, payload))
