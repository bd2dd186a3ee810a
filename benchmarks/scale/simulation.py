"""Event simulation of a batch.

It schedules like the pool (workers/pool.py): references first, then files in the order of their analysis; a worker
that has finished gets the next lease; the unfinished lines of a lost worker return to the front. The leases are those
of workers/protocol.py.

An event is the end of a lease, not of a line: the coordinator's work for all but its last line is queued after the
result, where it delays others as it would have done during the lease. So ten million lines are two million events.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Callable

from scale.events import Clock, Event
from scale.outcome import Outcome, SlotSeconds
from scale.parts import ENCODING, Assignment, Lease
from scale.rates import Rates
from scale.recordings import Recordings
from scale.servers import Server
from scale.work import Work


class Simulation:
    """One batch on a number of workers."""

    def __init__(self, rates: Rates, work: Work, workers: int, *, batch_size: int = 5, seed: int = 1) -> None:
        self._rates, self._work = rates, work
        self._chance = random.Random(seed)
        self._clock = Clock()
        self._files = Recordings(self._clock, rates, work, workers, batch_size=batch_size, seed=seed)
        self._queue: collections.deque[Lease] = collections.deque()
        self._encodes: collections.deque[Lease] = collections.deque()
        self._loop = Server()
        self._uplink, self._downlink = Server(), Server()
        slow = round(rates.faults.slow_share * workers)
        self._pace = [rates.faults.slow_times] * slow + [1.0] * (workers - slow)
        self._assignments: list[Assignment | None] = [None] * workers
        self._cold = [True] * workers
        self._has_started = False
        self._idle: dict[int, float] = {}
        """Idle workers, and since when."""
        self._last_arrival = self._synthesized_at = 0.0
        self._seconds = SlotSeconds()
        self._leases = self._deaths = self._losses = 0

    def run(self) -> Outcome:
        files, workers = self._files, len(self._assignments)
        files.begin_first(self._rates.coordinator.command)
        self._plan_losses()
        acts: dict[Event, Callable[[float, int, Assignment | None], None]] = {
            Event.BEGIN: lambda now, number, assignment: files.read(now, number),
            Event.READ: lambda now, number, assignment: files.analyze(now, number),
            Event.ANALYZED: lambda now, number, assignment: files.prepare(now, number),
            Event.PREPARED: lambda now, number, assignment: self._admit(now, number),
            Event.SYNTHESIZED: lambda now, number, assignment: files.mix(now, number),
            Event.MIXED: lambda now, number, assignment: files.end(now, number),
            Event.DONE: self._finish,
            Event.LOST: lambda now, number, assignment: self._lose(now, number),
            Event.MISSED: lambda now, number, assignment: self._requeue(now, assignment),
            Event.BACK: lambda now, number, assignment: self._free(now, number),
        }
        while files.left:
            now, event, number, assignment = self._clock.next()
            acts[event](now, number, assignment)
        end = files.last_end + self._rates.coordinator.command
        for since in self._idle.values():
            self._seconds.starved += max(0.0, self._last_arrival - since)
            self._seconds.tail += max(0.0, self._synthesized_at - max(since, self._last_arrival))
        self._seconds.finish = workers * (end - self._synthesized_at)
        return self._outcome(end)

    # ------------------------------------------------------------------------- leases

    def _admit(self, now: float, number: int) -> None:
        seconds = self._rates.engine.encode.of(self._work.speakers)
        self._encodes.append(Lease(number, 0, 0.0, ENCODING, seconds))
        if not self._has_started:
            self._has_started = True
            self._seconds.start = now * len(self._assignments)
            self._idle = dict.fromkeys(range(len(self._assignments)), now)
        self._assign_idle(now)

    def _assign_idle(self, now: float) -> None:
        """Give new leases to idle workers."""
        self._last_arrival = now
        while self._idle and (self._encodes or self._queue):
            worker, since = self._idle.popitem()
            self._seconds.starved += max(0.0, now - since)
            self._assign(max(now, since), worker)

    def _assign(self, now: float, worker: int) -> None:
        self._lease(now, worker, self._encodes.popleft() if self._encodes else self._queue.popleft())

    def _lease(self, now: float, worker: int, lease: Lease) -> Assignment:
        transport = self._rates.transport
        there = self._loop.serve(now, transport.hand_out) + transport.trip
        begins = self._send(there, worker, lease)
        load = transport.start + self._rates.engine.load if self._cold[worker] else 0.0
        self._cold[worker] = False
        self._leases += 1
        self._seconds.answering += there - now
        self._seconds.network += begins - there
        seconds = lease.seconds * self._pace[worker]
        assignment = Assignment(lease, begins, load, seconds, begins + load + seconds)
        if rate := self._rates.faults.worker_deaths:
            dies = begins + self._chance.expovariate(rate / 3600)
            assignment.dies = dies < assignment.ends
            assignment.ends = min(dies, assignment.ends)
        self._assignments[worker] = assignment
        self._clock.schedule(assignment.ends, Event.DONE, worker, assignment)
        return assignment

    def _send(self, now: float, worker: int, lease: Lease) -> float:
        """Return the time at which the worker's node has the reference of the speaker."""
        transport = self._rates.transport
        sent, node = self._files[lease.file].sent, worker // self._rates.faults.workers_a_node
        if not transport.isolated or (node, lease.speaker) in sent:
            return now
        sent.add((node, lease.speaker))
        return self._uplink.serve(now, self._rates.engine.reference_bytes / transport.bytes_a_second)

    def _carry(self, now: float, lease: Lease) -> float:
        """Return the arrival of the last line of a lease; the others arrive before."""
        transport = self._rates.transport
        if not transport.isolated or not lease.rows:
            return now
        a_row = lease.speech * self._rates.engine.speech_bytes / transport.bytes_a_second / lease.rows
        arrived = self._downlink.serve(now, a_row)
        self._downlink.serve(now, a_row * (lease.rows - 1))
        return arrived

    def _finish(self, now: float, worker: int, assignment: Assignment | None) -> None:
        assert assignment is not None
        if self._assignments[worker] is not assignment:
            return  # its node was lost
        self._assignments[worker] = None
        self._account(now, assignment)
        if assignment.dies:
            self._deaths += 1
            self._requeue(now, assignment)
            self._restart(now, worker, 0.0)
            return
        lease, transport = assignment.lease, self._rates.transport
        arrived = self._carry(now, lease)
        written = transport.store * lease.speech * self._rates.engine.speech_bytes
        a_row = transport.hear + written / max(1, lease.rows)
        received = self._loop.serve(arrived, a_row * min(1, lease.rows))
        self._seconds.network += arrived - now
        self._seconds.answering += received - arrived
        self._complete(received, assignment)
        self._free(received, worker)
        self._loop.serve(received, a_row * max(0, lease.rows - 1))

    def _account(self, now: float, assignment: Assignment) -> None:
        """Account for a worker's time with a lease."""
        spent = now - assignment.begins
        load = min(assignment.load, spent)
        self._seconds.loading += load
        if assignment.dies:
            self._seconds.lost += spent - load
        elif assignment.lease.speaker == ENCODING:
            self._seconds.encoding += spent - load
        else:
            self._seconds.speaking += spent - load

    def _complete(self, now: float, assignment: Assignment) -> None:
        lease = assignment.lease
        if lease.speaker == ENCODING:
            self._queue.extend(self._files.cut(lease.file))
            self._assign_idle(now)
            return
        if self._files.take(now, lease):
            self._synthesized_at = now

    def _free(self, now: float, worker: int) -> None:
        if self._encodes or self._queue:
            self._assign(now, worker)
            return
        self._idle[worker] = now

    # ------------------------------------------------------------------------- faults

    def _requeue(self, now: float, assignment: Assignment | None) -> None:
        assert assignment is not None
        lease = assignment.unfinished(now)
        (self._encodes if lease.speaker == ENCODING else self._queue).appendleft(lease)
        self._assign_idle(now)

    def _restart(self, now: float, worker: int, seconds: float) -> None:
        self._cold[worker] = True
        self._seconds.lost += seconds
        self._clock.schedule(now + seconds, Event.BACK, worker)

    def _plan_losses(self) -> None:
        if self._rates.faults.node_losses:
            for node in range(-(-len(self._assignments) // self._rates.faults.workers_a_node)):
                self._plan_loss(0.0, node)

    def _plan_loss(self, now: float, node: int) -> None:
        self._clock.schedule(
            now + self._chance.expovariate(self._rates.faults.node_losses / 3600), Event.LOST, node
        )

    def _lose(self, now: float, node: int) -> None:
        faults = self._rates.faults
        self._losses += 1
        first = node * faults.workers_a_node
        for worker in range(first, min(first + faults.workers_a_node, len(self._assignments))):
            assignment, self._assignments[worker] = self._assignments[worker], None
            if assignment is not None:
                assignment.dies = True
                self._account(now, assignment)
                self._clock.schedule(now + faults.notice, Event.MISSED, worker, assignment)
            elif (since := self._idle.pop(worker, None)) is not None:
                self._seconds.starved += max(0.0, now - since)
            else:
                continue  # it is not running
            self._restart(now, worker, faults.back)
        self._plan_loss(now + faults.back, node)

    def _outcome(self, end: float) -> Outcome:
        capacity = sum(1 / pace for pace in self._pace)
        network = max(self._uplink.busy, self._downlink.busy)
        return Outcome(
            workers=len(self._assignments),
            segments=self._files.rows,
            files=self._work.files,
            wall=end,
            spoken=self._synthesized_at,
            perfect=self._files.needed / capacity,
            leases=self._leases,
            seconds=self._seconds,
            busy={
                "loop": self._loop.busy / end,
                "network": network / end,
                **self._files.busy(end),
            },
            deaths=self._deaths,
            losses=self._losses,
        )
