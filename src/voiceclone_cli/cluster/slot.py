"""The controller's side of a slot on a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voiceclone_cli.cluster.depot import Depot
from voiceclone_cli.cluster.parcel import pack
from voiceclone_cli.cluster.reports import Answered, Ended, Fetched, Logged, Report, Started, Told
from voiceclone_cli.cluster.sizing import Node
from voiceclone_cli.workers.leases import Lease, make_folders
from voiceclone_cli.workers.local.pipes import BoundedLog
from voiceclone_cli.workers.slot import (
    EventMessage,
    GoneMessage,
    Inbox,
    LogMessage,
    Message,
    ResultMessage,
    WakeMessage,
)

POLL_SECONDS = 1.0
"""An actor that has nothing to tell says so after this long."""

LOST_POLLS = 20
"""So many times POLL_SECONDS without any answer, and its node is given up."""

MOST_UNREAD = 500
"""Events, files among them, that may wait for the pool."""


class RaySlot:
    """A worker process on ``node``, held there by the actor that ``make`` makes; that is not waited for here, since
    it asks the head. ``on_end`` hears of its end, why, and whether that is to nobody's blame, before the inbox
    does."""

    def __init__(
        self,
        name: str,
        node: Node,
        make: Callable[[], Any],
        depot: Depot,
        inbox: Inbox,
        log: Path | None,
        on_end: Callable[[RaySlot, str, bool], None],
    ) -> None:
        self.name = name
        self.node = node
        self.last_event = time.monotonic()
        self.ready = False
        self.stillborn = False
        """Whether Ray could not even start it."""
        self.fetched = 0
        """Contents that its node has taken out of the object store for it."""
        self.actor_pid: int | None = None
        self.worker_pid: int | None = None
        self._make = make
        self._actor: Any = None
        self._depot = depot
        self._inbox = inbox
        self._log = log
        self._on_end = on_end
        self._leases = 0
        self._peak_mb: int | None = None
        self._unread = threading.Semaphore(MOST_UNREAD)
        self._ended = threading.Event()
        self._ending = threading.Lock()
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
        self._thread.start()

    def give(self, lease: Lease) -> int:
        make_folders(lease)  # files come back as bytes, and nothing on its node writes here
        self._leases += 1
        self._actor.give.remote(self._leases, pack(lease, self._depot.content))
        return self._leases

    def answered(self) -> None:
        """Its node clears away by itself."""

    def taken(self, message: Message) -> None:
        if isinstance(message, EventMessage):
            self._unread.release()

    def peak_mb(self) -> int | None:
        return self._peak_mb

    def finish(self) -> None:
        if self.ready:
            self._actor.finish.remote()
        else:
            self._end(f"{self.name} was not needed", blameless=True)

    def kill(self, reason: str) -> None:
        self._end(f"{self.name} was ended: {reason}", blameless=False)

    def lose(self, why: str) -> None:
        """Its node has gone, or cannot be reached: nothing that it did is to blame."""
        self._end(f"{self.name} was lost: {why}", blameless=True)

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    # ------------------------------------------------------------------------------ following

    def _follow(self) -> None:
        """Until its end: ask for what there is to tell, and pass it on."""
        from ray.exceptions import RayError

        with BoundedLog(self._log) as log:
            try:
                self._actor = self._make()
                while not self._ended.is_set():
                    for report in self._polled():
                        self._hear(report, log)
            except RayError as error:
                self.stillborn = not self.ready
                self.lose(_why(error))
        self._release()

    def _polled(self) -> list[Report]:
        """[] too when it has ended, or nothing is known yet. Raises RayError."""
        import ray
        from ray.exceptions import GetTimeoutError

        asked = self._actor.poll.remote(POLL_SECONDS)
        silent = 0
        while not self._ended.is_set():
            try:
                reports: list[Report] = ray.get(asked, timeout=POLL_SECONDS)
            except GetTimeoutError:
                # Counted, not timed: this process itself may have been suspended meanwhile.
                silent += 1
                if self.ready and silent > LOST_POLLS:
                    self.lose("its node gives no sign of life")
                continue
            self.last_event = time.monotonic() if reports else self.last_event
            return reports
        return []

    def _hear(self, report: Report, log: BoundedLog) -> None:
        match report:
            case Started(pid, worker_pid):
                self.actor_pid, self.worker_pid = pid, worker_pid
                self.ready = True
                self._put(WakeMessage())
            case Told(event, payload):
                self._unread.acquire()
                self._put(EventMessage(self, event, payload))
            case Logged(line):
                log.write(f"{line}\n".encode())
                self._put(LogMessage(self, line))
            case Fetched(contents):
                self.fetched += contents
            case Answered(result, peak_mb):
                self._peak_mb = max(self._peak_mb or 0, peak_mb or 0) or None
                self._put(ResultMessage(self, result))
            case Ended(reason):
                self._end(reason, blameless=False)

    def _put(self, message: Message) -> None:
        with self._ending:
            if not self._ended.is_set():
                self._inbox.put(message)

    def _end(self, reason: str, *, blameless: bool) -> None:
        """Once, by whoever is first: the pool hears nothing of it after this."""
        with self._ending:
            if self._ended.is_set():
                return
            self._ended.set()
        self._on_end(self, reason, blameless)
        self._inbox.put(GoneMessage(self, reason, blameless))
        if blameless or self._actor is None or threading.current_thread() is self._thread:
            return  # the thread that follows it lets go of the actor
        # At once, and by another thread: it asks the head, which may be silent.
        threading.Thread(target=self._release, name=f"{self.name} release", daemon=True).start()

    def _release(self) -> None:
        import ray

        try:
            ray.kill(self._actor, no_restart=True)
        except Exception:
            return  # it is gone, or the connection is; actors end with their command's connection


def _why(error: Exception) -> str:
    """One clause for what Ray says in many lines."""
    from ray.exceptions import ActorDiedError, ActorUnavailableError, ActorUnschedulableError

    match error:
        case ActorUnschedulableError():
            return "its node has gone, or offers too little"
        case ActorUnavailableError():
            return "its node cannot be reached any more"
        case ActorDiedError():
            return "its node or its actor has ended"
    return f"Ray failed ({type(error).__name__})"
