"""The coordinator's work on each recording of a batch, except for leases."""

from __future__ import annotations

import numpy as np

from scale.events import Clock, Event
from scale.parts import File, Lease
from scale.rates import Cost, Rates
from scale.servers import Server, Servers
from scale.work import Work, shapes
from voiceclone_cli.batch.run import EXTRA_OPEN, MAX_OPEN


class Recordings:
    """Start, read, analyze, prepare references, lease, mark lines, mix."""

    def __init__(
        self, clock: Clock, rates: Rates, work: Work, workers: int, *, batch_size: int, seed: int
    ) -> None:
        self._clock, self._rates, self._work, self._workers = clock, rates, work, workers
        self._chance = np.random.default_rng(seed)
        self._shapes = shapes(work, batch_size, self._chance)
        self._files: dict[int, File] = {}
        self._begun = self._ended = 0
        nodes = -(-workers // rates.faults.workers_a_node)
        self._ears = nodes if rates.transport.isolated else 1
        self._listeners = Servers(self._ears)
        self._markers = Servers(rates.coordinator.threads)
        self._computing = Server()
        self.last_end = 0.0
        self.needed = self.speech = 0.0
        """Seconds that all leases take in the hands of usual workers, and of the speech in them."""
        self.rows = 0

    def __getitem__(self, number: int) -> File:
        return self._files[number]

    @property
    def left(self) -> int:
        return self._work.files - self._ended

    def begin_first(self, now: float) -> None:
        for _ in range(min(EXTRA_OPEN, MAX_OPEN + self._workers, self._work.files)):
            self._begin(now)

    def _begin(self, now: float) -> None:
        if self._begun < self._work.files:
            self._clock.schedule(now, Event.BEGIN, self._begun)
            self._begun += 1

    def read(self, now: float, number: int) -> None:
        self._files[number] = File(self._shapes[number % len(self._shapes)])
        self._compute(now, self._rates.coordinator.reading, Event.READ, number)

    def analyze(self, now: float, number: int) -> None:
        cost = self._rates.coordinator.listening.of(self._files[number].shape.audio)
        self._clock.schedule(self._listeners.serve(now, cost), Event.ANALYZED, number)

    def prepare(self, now: float, number: int) -> None:
        self._compute(now, self._rates.coordinator.casting, Event.PREPARED, number)

    def mix(self, now: float, number: int) -> None:
        self._compute(now, self._rates.coordinator.timeline, Event.MIXED, number)

    def _compute(self, now: float, cost: Cost, then: Event, number: int) -> None:
        """Files are read, cast and mixed one at a time."""
        work = cost.of(self._files[number].shape.audio)
        self._clock.schedule(self._computing.serve(now, work), then, number)

    def end(self, now: float, number: int) -> None:
        del self._files[number]
        self.last_end = now
        self._ended += 1
        self._begin(now)

    def cut(self, number: int) -> list[Lease]:
        """The leases of a file, with the seconds that this time they will take."""
        engine, file = self._rates.engine, self._files[number]
        cut = file.shape.cut(self._workers_for_each())
        file.leases = file.left = len(cut.rows)
        spread = engine.spread / np.sqrt(cut.rows)
        noise = np.exp(self._chance.normal(-(spread**2) / 2, spread))
        seconds = engine.lease + noise * (engine.row.fixed * cut.rows + engine.row.each * cut.speech)
        self.needed += float(seconds.sum())
        self.speech += float(cut.speech.sum())
        self.rows += int(cut.rows.sum())
        parts = (cut.rows.tolist(), cut.speech.tolist(), cut.speaker.tolist(), seconds.tolist())
        return [Lease(number, *each) for each in zip(*parts, strict=True)]

    def _workers_for_each(self) -> int:
        """For how many workers a file is cut: those that there are for each file that is left (batch/conducting.py).
        A single local worker is the sequential mode."""
        if self._workers == 1 and not self._rates.transport.isolated:
            return 0
        return max(1, -(-self._workers // max(1, self.left)))

    def take(self, now: float, lease: Lease) -> bool:
        """The lines of a lease are here, to be marked by their file's own thread; whether they were the last."""
        file, coordinator = self._files[lease.file], self._rates.coordinator
        if self._rates.engine.marking:
            model = coordinator.marking_model if file.left == file.leases else 0.0
            file.marked = self._markers.serve(now, self._rates.engine.marking * lease.speech + model)
        file.left -= 1
        if file.left == 0:
            self._clock.schedule(max(now, file.marked), Event.SYNTHESIZED, lease.file)
        return file.left == 0

    def busy(self, seconds: float) -> dict[str, float]:
        """Shares of so many seconds."""
        return {
            "listening": self._listeners.busy / seconds / self._ears,
            "marking": self._markers.busy / seconds / self._rates.coordinator.threads,
            "files": self._computing.busy / seconds,
        }
