"""Whose lease is next, and when nobody gets any more."""

from __future__ import annotations

import time

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.workers.faults.restarts import PATIENT, Restarts
from voiceclone_cli.workers.work import Work
from voiceclone_worker.contract import Failure

RESERVE = 2
"""Leases of lines for each slot that shall wait, so that nobody is idle while references are encoded."""


class WorkList:
    """The works that are not over, in order of arrival.

    A worker's death is held against the caller whose lease it was, and, more patiently, against all of them: what
    happens whoever's lease it is would happen to every other.
    """

    def __init__(self) -> None:
        self._works: list[Work] = []
        self._restarts = Restarts(PATIENT)
        self._given_up: Failure | None = None

    @property
    def leases(self) -> int:
        """How many wait."""
        return sum(len(work.waiting) for work in self._works)

    def admit(self, work: Work) -> None:
        """One more. Where workers have been given up, its rows fail at once with the reason."""
        self._works.append(work)
        given_up = work.account.given_up or self._given_up
        if given_up is not None and work.waiting:
            work.abandon(given_up)
        self.conclude(work)

    def conclude(self, work: Work) -> None:
        """Let it go if it is over: whoever waits for it goes on."""
        if work.over and work in self._works:
            self._works.remove(work)
            work.done.set()

    def end(self, work: Work, error: BaseException) -> None:
        work.end(error)
        self.conclude(work)

    def end_all(self, error: BaseException) -> None:
        for work in list(self._works):
            self.end(work, error)

    def next(self, slots: int) -> Work | None:
        """Whose lease is next: in order of arrival, so that recordings end one by one; but where the lines that
        wait would soon be used up by so many slots, references, which open the way to more. Who has just lost a
        worker waits a little."""
        now = time.monotonic()
        waiting = [work for work in self._works if work.waiting and work.account.restarts.not_before <= now]
        lines = sum(len(work.waiting) for work in waiting if not work.encodes)
        if lines < RESERVE * slots:
            waiting.sort(key=lambda work: not work.encodes)  # stable: by arrival within
        return waiting[0] if waiting else None

    def fruit(self) -> None:
        """A worker has done something: workers do live here."""
        self._restarts.fruit()

    def cannot_start(self, error: PreflightError, *, ever_could: bool) -> None:
        """No worker can be started."""
        for work in [work for work in self._works if work.waiting]:
            if ever_could:
                # Memory, processes or machines have run out, perhaps for a moment.
                self.count_death(Failure("worker_died", error.message), work, began=False)
            else:
                self.end(work, error)

    def count_refusal(self, failure: Failure) -> None:
        """A worker has answered that its lease is impossible as a whole; the rows of that have failed already."""
        if self._restarts.death(time.monotonic(), began=False):
            self._give_up(failure)

    def count_death(self, failure: Failure, work: Work, *, began: bool) -> None:
        """A worker has died with a lease of this work, having begun rows of it or not."""
        now, account = time.monotonic(), work.account
        everywhere = self._restarts.death(now, began=began)
        deaths = account.restarts.death(now, began=began) or everywhere
        if deaths:
            message = f"{failure.message}; {deaths} workers ended so: `voiceclone doctor` looks for why"
            work.outcome.drop_notes(account.deaths)  # this sentence stands for them
            account.given_up = Failure(failure.code, message)
            work.abandon(account.given_up)
            if everywhere:
                self._give_up(account.given_up)
        self.conclude(work)

    def _give_up(self, failure: Failure) -> None:
        self._given_up = failure
        for work in [work for work in self._works if work.waiting]:
            work.abandon(failure)
            self.conclude(work)
