"""A batch as events in time.

What the pool does is done here the same way: references first, then files in the order in which they were heard;
a slot that has answered gets the next lease; what a lost slot had not finished goes back to the front (see
workers/pool.py). The leases are those that workers/leases.py cuts.

An event is the end of a lease, not of a line: the controller's work for all but its last line is put into its queue
behind the answer, where it holds up others as it would have done while the lease was spoken. So ten million
lines are two million events.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Callable

from scale.events import Clock, Event
from scale.outcome import Outcome, SlotSeconds
from scale.parts import ENCODING, Held, Lease
from scale.rates import Rates
from scale.recordings import Recordings
from scale.servers import Server
from scale.work import Work


class Simulation:
    def __init__(self, rates: Rates, work: Work, slots: int, *, batch_size: int = 5, seed: int = 1) -> None:
        self._rates, self._work = rates, work
        self._chance = random.Random(seed)
        self._clock = Clock()
        self._files = Recordings(self._clock, rates, work, slots, batch_size=batch_size, seed=seed)
        self._queue: collections.deque[Lease] = collections.deque()
        self._encodes: collections.deque[Lease] = collections.deque()
        self._loop = Server()
        self._uplink, self._downlink = Server(), Server()
        slow = round(rates.faults.slow_share * slots)
        self._pace = [rates.faults.slow_times] * slow + [1.0] * (slots - slow)
        self._held: list[Held | None] = [None] * slots
        self._cold = [True] * slots
        self._heard = False
        self._idle: dict[int, float] = {}
        """Slots without a lease, and since when."""
        self._last_arrival = self._spoken_at = 0.0
        self._seconds = SlotSeconds()
        self._leases = self._deaths = self._losses = 0

    def run(self) -> Outcome:
        files, slots = self._files, len(self._held)
        files.begin_first(self._rates.controller.command)
        self._plan_losses()
        acts: dict[Event, Callable[[float, int, Held | None], None]] = {
            Event.BEGIN: lambda now, number, held: files.read(now, number),
            Event.READ: lambda now, number, held: files.listen(now, number),
            Event.HEARD: lambda now, number, held: files.cast(now, number),
            Event.CAST: lambda now, number, held: self._admit(now, number),
            Event.SPOKEN: lambda now, number, held: files.mix(now, number),
            Event.MIXED: lambda now, number, held: files.end(now, number),
            Event.DONE: self._answer,
            Event.LOST: lambda now, number, held: self._lose(now, number),
            Event.MISSED: lambda now, number, held: self._put_back(now, held),
            Event.BACK: lambda now, number, held: self._free(now, number),
        }
        while files.left:
            now, event, number, held = self._clock.next()
            acts[event](now, number, held)
        end = files.last_end + self._rates.controller.command
        for since in self._idle.values():
            self._seconds.starved += max(0.0, self._last_arrival - since)
            self._seconds.tail += max(0.0, self._spoken_at - max(since, self._last_arrival))
        self._seconds.finish = slots * (end - self._spoken_at)
        return self._outcome(end)

    # ------------------------------------------------------------------------- leases

    def _admit(self, now: float, number: int) -> None:
        seconds = self._rates.engine.encode.of(self._work.speakers)
        self._encodes.append(Lease(number, 0, 0.0, ENCODING, seconds))
        if not self._heard:
            self._heard = True
            self._seconds.start = now * len(self._held)
            self._idle = dict.fromkeys(range(len(self._held)), now)
        self._deal(now)

    def _deal(self, now: float) -> None:
        """Leases that have just come, to slots that wait."""
        self._last_arrival = now
        while self._idle and (self._encodes or self._queue):
            slot, since = self._idle.popitem()
            self._seconds.starved += max(0.0, now - since)
            self._hand_out(max(now, since), slot)

    def _hand_out(self, now: float, slot: int) -> None:
        self._lease(now, slot, self._encodes.popleft() if self._encodes else self._queue.popleft())

    def _lease(self, now: float, slot: int, lease: Lease) -> Held:
        way = self._rates.way
        there = self._loop.serve(now, way.hand_out) + way.trip
        begins = self._send(there, slot, lease)
        load = way.start + self._rates.engine.load if self._cold[slot] else 0.0
        self._cold[slot] = False
        self._leases += 1
        self._seconds.answering += there - now
        self._seconds.network += begins - there
        seconds = lease.seconds * self._pace[slot]
        held = Held(lease, begins, load, seconds, begins + load + seconds)
        if rate := self._rates.faults.worker_deaths:
            dies = begins + self._chance.expovariate(rate / 3600)
            held.dies = dies < held.ends
            held.ends = min(dies, held.ends)
        self._held[slot] = held
        self._clock.tell(held.ends, Event.DONE, slot, held)
        return held

    def _send(self, now: float, slot: int, lease: Lease) -> float:
        """When a slot's node has what it needs of the lease's speaker."""
        way = self._rates.way
        sent, node = self._files[lease.file].sent, slot // self._rates.faults.slots_a_node
        if not way.isolated or (node, lease.speaker) in sent:
            return now
        sent.add((node, lease.speaker))
        return self._uplink.serve(now, self._rates.engine.reference_bytes / way.bytes_a_second)

    def _carry(self, now: float, lease: Lease) -> float:
        """When the last line of a lease is here; those before it have travelled meanwhile."""
        way = self._rates.way
        if not way.isolated or not lease.rows:
            return now
        a_row = lease.speech * self._rates.engine.speech_bytes / way.bytes_a_second / lease.rows
        arrived = self._downlink.serve(now, a_row)
        self._downlink.serve(now, a_row * (lease.rows - 1))
        return arrived

    def _answer(self, now: float, slot: int, held: Held | None) -> None:
        assert held is not None
        if self._held[slot] is not held:
            return  # its node was lost
        self._held[slot] = None
        self._account(now, held)
        if held.dies:
            self._deaths += 1
            self._put_back(now, held)
            self._restart(now, slot, 0.0)
            return
        lease, way = held.lease, self._rates.way
        arrived = self._carry(now, lease)
        written = way.store * lease.speech * self._rates.engine.speech_bytes
        a_row = way.hear + written / max(1, lease.rows)
        heard = self._loop.serve(arrived, a_row * min(1, lease.rows))
        self._seconds.network += arrived - now
        self._seconds.answering += heard - arrived
        self._settle(heard, held)
        self._free(heard, slot)
        self._loop.serve(heard, a_row * max(0, lease.rows - 1))

    def _account(self, now: float, held: Held) -> None:
        """Where a slot's time with a lease went."""
        spent = now - held.begins
        load = min(held.load, spent)
        self._seconds.loading += load
        if held.dies:
            self._seconds.lost += spent - load
        elif held.lease.speaker == ENCODING:
            self._seconds.encoding += spent - load
        else:
            self._seconds.speaking += spent - load

    def _settle(self, now: float, held: Held) -> None:
        lease = held.lease
        if lease.speaker == ENCODING:
            self._queue.extend(self._files.cut(lease.file))
            self._deal(now)
            return
        if self._files.take(now, lease):
            self._spoken_at = now

    def _free(self, now: float, slot: int) -> None:
        if self._encodes or self._queue:
            self._hand_out(now, slot)
            return
        self._idle[slot] = now

    # ------------------------------------------------------------------------- faults

    def _put_back(self, now: float, held: Held | None) -> None:
        assert held is not None
        lease = held.remains(now)
        (self._encodes if lease.speaker == ENCODING else self._queue).appendleft(lease)
        self._deal(now)

    def _restart(self, now: float, slot: int, seconds: float) -> None:
        self._cold[slot] = True
        self._seconds.lost += seconds
        self._clock.tell(now + seconds, Event.BACK, slot)

    def _plan_losses(self) -> None:
        if self._rates.faults.node_losses:
            for node in range(-(-len(self._held) // self._rates.faults.slots_a_node)):
                self._plan_loss(0.0, node)

    def _plan_loss(self, now: float, node: int) -> None:
        self._clock.tell(
            now + self._chance.expovariate(self._rates.faults.node_losses / 3600), Event.LOST, node
        )

    def _lose(self, now: float, node: int) -> None:
        faults = self._rates.faults
        self._losses += 1
        first = node * faults.slots_a_node
        for slot in range(first, min(first + faults.slots_a_node, len(self._held))):
            held, self._held[slot] = self._held[slot], None
            if held is not None:
                held.dies = True
                self._account(now, held)
                self._clock.tell(now + faults.notice, Event.MISSED, slot, held)
            elif (since := self._idle.pop(slot, None)) is not None:
                self._seconds.starved += max(0.0, now - since)
            else:
                continue  # it is down already
            self._restart(now, slot, faults.back)
        self._plan_loss(now + faults.back, node)

    def _outcome(self, end: float) -> Outcome:
        capacity = sum(1 / pace for pace in self._pace)
        network = max(self._uplink.busy, self._downlink.busy)
        return Outcome(
            slots=len(self._held),
            segments=self._files.rows,
            files=self._work.files,
            wall=end,
            spoken=self._spoken_at,
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
