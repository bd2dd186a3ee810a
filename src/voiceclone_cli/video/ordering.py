"""Decoding times for pictures of Matroska, which keeps only the times when they are shown.

FFmpeg learns them from the decoder, which is not asked here. A muxer wants some all the same: in order, and none
later than any picture that is still to come.
"""

from __future__ import annotations

import typing
from collections import deque

if typing.TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_MOST_REORDERED = 16
"""Pictures that H.264 and H.265 may hold back (the largest ``max_num_reorder_frames``)."""


class DecodingTimes:
    """Gives the packets of one stream a decoding time: the earliest time of what follows.

    They come out later than they went in, by as many packets as have to be looked at.
    """

    def __init__(self) -> None:
        self._held: deque[Packet[Stream]] = deque()

    def push(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """The packets that are ready now."""
        self._held.append(packet)
        return [self._next()] if len(self._held) > _MOST_REORDERED else []

    def finish(self) -> list[Packet[Stream]]:
        """All that are left."""
        return [self._next() for _ in range(len(self._held))]

    def _next(self) -> Packet[Stream]:
        times = [packet.pts for packet in self._held if packet.pts is not None]
        packet = self._held.popleft()
        if times and packet.pts is not None:
            packet.dts = min(times)
        return packet
