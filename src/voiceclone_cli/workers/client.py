"""How callers in other threads reach the pool."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from voiceclone_cli.workers.crew import LOOK_SECONDS
from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.outcome import Outcome
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.work import Account, OnEvent, OnLog, OnSegment, Work, nobody_listens


class Client:
    """A caller in another thread, while ``Pool.serve`` goes on; what goes wrong with its leases is its own trouble."""

    def __init__(
        self, pool: Pool, on_event: OnEvent = nobody_listens, on_log: OnLog = nobody_listens
    ) -> None:
        self._pool = pool
        self._account = Account(on_event, on_log)

    def run(self, leases: Iterable[Lease], on_segment: OnSegment = lambda row: None) -> Outcome:
        """As ``Pool.run``, whose thread does the work; ``on_segment`` is called there."""
        work = Work(self._account, collections.deque(leases), on_segment)
        self._pool.submit(work)
        while not work.done.wait(LOOK_SECONDS):
            if self._pool.stopped is not None:  # nobody may be there any more who takes it
                raise self._pool.stopped
        return work.result()
