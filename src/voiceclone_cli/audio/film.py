"""The time line of a film: where it starts, and where the decoded sound lies on it.

A film is a file with pictures. Its times count from the first moment that a player shows, and its sound has time
stamps: it may start late or early, and have holes. Sound without pictures has no such line: its first sample is 0.
"""

from __future__ import annotations

import math
import typing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
from av import AudioFrame, Packet
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition, Stream

TOLERANCE_SECONDS = 0.03
"""Smaller offsets between time stamps and samples are rounding or jitter."""
START_TOLERANCE_SECONDS = 0.002
"""The same for the first sample: containers round times to milliseconds."""
MAX_HOLE_SECONDS = 1800.0
"""A longer hole in the sound, without pictures in it, is a wrong time stamp: a few bytes could ask for hours."""
_MAX_CUT_SECONDS = 2.0
_MAX_CUT_SHARE = 0.01
"""Sound is cut for later sound with the same times up to these two together. A clock that goes back further was set
anew, or its time stamps are wrong."""
_LOOKAHEAD_SECONDS = 1.0
"""Later sound that has to agree with a jump. In broadcasts, one time stamp counts for up to half a second."""
_MIN_LOOKAHEAD_SECONDS = 0.25
_DELAY_SECONDS = 0.05
"""The longest delay of a sound encoder, which a muxer that cannot mark it puts before the first picture."""
ROUND_SECONDS = Fraction(2**33, 90_000)
"""After this time, the clock of a broadcast starts anew."""
_MAX_LEAD_SECONDS = 60.0
"""Time by which a broadcast may start earlier than FFmpeg takes it to; more is a wrong time stamp."""
_TAIL_SECONDS = 0.5
"""Pictures nearly always end a little before or after the sound."""
_NOTABLE_SECONDS = 0.1
_MAX_LISTED = 5


def picture_streams(container: InputContainer) -> list[Stream]:
    """Return the streams of moving pictures: no covers and no pictures of chapters."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]


def film_zero(container: InputContainer) -> Fraction:
    """Return the time in seconds, on the clock of a film's container, at which the film starts.

    It is the start of the container: broadcasts (MPEG-TS and the like) have a clock with any start, and recordings of
    streams too. It is the first picture instead where the sound starts earlier by no more than an encoder's delay;
    else it is moved by less than a millisecond, so that the first picture keeps a whole number of Matroska's
    milliseconds.
    """
    start = Fraction(container.start_time or 0, av.time_base)
    if start <= 0 and not is_broadcast(container):
        return Fraction(0)
    pictures, sounds = (
        [
            stream.start_time * typing.cast("Fraction", stream.time_base)
            for stream in streams
            if stream.start_time is not None
        ]
        for streams in (picture_streams(container), container.streams.audio)
    )
    if is_broadcast(container):
        pictures, sounds = ([near(time, start) for time in times] for times in (pictures, sounds))
        start = min([start, *(time for time in pictures + sounds if start - time < _MAX_LEAD_SECONDS)])
    first = min(pictures, default=start)
    if 0 <= first - start <= _DELAY_SECONDS:
        return first
    return first - Fraction(math.ceil((first - start) * 1000), 1000)


def is_broadcast(container: InputContainer) -> bool:
    """Return whether a container is MPEG-TS or similar, whose clock has any start and starts anew at its end."""
    return bool(container.format.flags & typing.cast(int, Flags.ts_discont.value))


def near(time: Fraction, other: Fraction) -> Fraction:
    """Return a time in seconds of a broadcast's clock, moved by whole rounds of it to be near another time.

    A clock of 33 bits at 90 kHz has the time -0.01 s as 95443.71 s.
    """
    return time - ROUND_SECONDS * round((time - other) / ROUND_SECONDS)


class ShownPictures:
    """The pictures of a film that were read so far, without decoding them."""

    def __init__(self, zero: Fraction) -> None:
        """``zero`` is that of :func:`film_zero`."""
        self.zero = zero
        self.end = 0.0
        """End of the last of them in seconds of the film."""

    def add(self, packet: Packet[Stream]) -> None:
        """Add a packet of moving pictures."""
        if packet.pts is None or packet.time_base is None or packet.is_discard:
            return
        end = float((packet.pts + (packet.duration or 0)) * packet.time_base - self.zero)
        # A leap is a wrong time stamp.
        if end < self.end + MAX_HOLE_SECONDS:
            self.end = max(self.end, end)


class FilmClock:
    """Puts the frames of a film's sound on its time line, with silence where the film has none.

    Only a jump of the time stamps that a second of later sound confirms is followed. A hole that is longer than
    MAX_HOLE_SECONDS without pictures or leaves the film, and a clock that goes back, are not: the sound continues there.
    """

    def __init__(
        self, pictures: ShownPictures, rate: int, longest: float, clock_round: float = math.inf
    ) -> None:
        """``rate`` is in Hz, ``longest`` the seconds that the film may last.

        ``clock_round`` is the time in seconds after which the clock of the file starts anew.
        """
        self._zero = float(pictures.zero * rate)
        self._rate = rate
        self._longest = longest
        self._pictures = pictures
        self._round = clock_round * rate
        self._position = 0
        self._shift = 0
        """Samples by which time stamps are later after jumps that are not followed."""
        self._excess = 0
        """Samples still to be cut."""
        self._is_started = False
        self._start = self._tail = 0
        self._cut = 0
        self._holes: list[tuple[float, float]] = []
        self._jumps: list[tuple[float, float]] = []

    @property
    def moved(self) -> int:
        """The samples of silence that were inserted, plus those that were cut: 0 where the sound is as decoded."""
        silence = self._tail + max(0, self._start) + sum(round(s * self._rate) for _, s in self._holes)
        return silence + max(0, -self._start) + self._cut

    @property
    def notes(self) -> tuple[str, ...]:
        """What was inserted and cut, in sentences for the user."""
        start = self._start / self._rate
        notes = []
        if start >= _NOTABLE_SECONDS:
            notes.append(
                f"the sound of the film starts {start:.2f} s late: times count from the film's start, "
                "with silence before the sound"
            )
        elif start <= -_NOTABLE_SECONDS:
            notes.append(
                f"the first {-start:.2f} s of the sound are before the film's start and are not used"
            )
        listed = [hole for hole in self._holes if hole[1] >= _NOTABLE_SECONDS][:_MAX_LISTED]
        notes += [
            f"a hole of {length:.2f} s in the sound at {at:.2f} s is taken as silence"
            for at, length in listed
        ]
        others = [hole for hole in self._holes if hole not in listed]
        if sum(length for _, length in others) >= _NOTABLE_SECONDS:
            notes.append(
                f"{len(others)} more holes in the sound, {sum(length for _, length in others):.2f} s together, "
                "are taken as silence"
            )
        if self._cut >= _NOTABLE_SECONDS * self._rate:
            notes.append(
                f"{self._cut / self._rate:.2f} s of the sound have the times of earlier sound and are not used"
            )
        if len(self._jumps) > _MAX_LISTED:
            notes.append(
                f"the time stamps of the sound are wrong in {len(self._jumps)} places and not followed there: "
                "check that the new voices fit the pictures"
            )
        else:
            notes += [
                f"the time stamps of the sound jump by {jump:+.1f} s at {at:.2f} s, which is not followed: "
                "the sound continues there"
                for at, jump in self._jumps
            ]
        if self._tail:
            notes.append(
                f"the pictures last {self._tail / self._rate:.2f} s longer than the sound: the rest is taken as silence"
            )
        return tuple(notes)

    def arrange(self, frames: Iterable[AudioFrame]) -> Iterator[tuple[int, AudioFrame, int]]:
        """Yield each frame with the samples of silence before it, and the samples to cut from its start."""
        upcoming: deque[tuple[AudioFrame, int | None]] = deque()
        samples = 0
        for frame in frames:
            upcoming.append((frame, self._due(frame)))
            samples += frame.samples
            while samples - upcoming[0][0].samples >= _LOOKAHEAD_SECONDS * self._rate:
                samples -= upcoming[0][0].samples
                yield self._next(upcoming)
        while upcoming:
            yield self._next(upcoming)

    def tail(self) -> int:
        """Return the samples of silence after all frames, up to the end of the pictures."""
        missing = round(min(self._pictures.end, self._longest) * self._rate) - self._position
        self._tail = missing if missing > _TAIL_SECONDS * self._rate else 0
        return self._tail

    def _due(self, frame: AudioFrame) -> int | None:
        if frame.pts is None or frame.time_base is None:
            return None
        unit = frame.time_base
        due = frame.pts * unit.numerator * self._rate / unit.denominator - self._zero
        return round(due - self._round if due > self._round / 2 else due)

    def _next(self, upcoming: deque[tuple[AudioFrame, int | None]]) -> tuple[int, AudioFrame, int]:
        frame, due = upcoming.popleft()
        silence = 0
        if due is not None and not self._excess:
            silence = self._follow(due, frame.samples, upcoming)
        cut = min(self._excess, frame.samples)
        self._excess -= cut
        self._is_started = self._is_started or cut < frame.samples
        self._position += silence + frame.samples - cut
        return silence, frame, cut

    def _follow(self, due: int, samples: int, upcoming: Sequence[tuple[AudioFrame, int | None]]) -> int:
        """Return the silence before a frame that is due at this sample, or note that samples are to be cut."""
        offset = due - self._shift - self._position
        limit = round((TOLERANCE_SECONDS if self._is_started else START_TOLERANCE_SECONDS) * self._rate)
        if abs(offset) <= limit:
            return 0
        jump = self._confirmed(offset, samples, upcoming)
        if abs(jump) <= limit:
            return 0
        seconds, at = jump / self._rate, self._position / self._rate
        is_believable = seconds <= MAX_HOLE_SECONDS or at + seconds <= self._pictures.end
        is_too_long = not is_believable or at + seconds > self._longest
        cut = self._cut / self._rate - seconds
        is_backward = self._is_started and cut > _MAX_CUT_SECONDS + _MAX_CUT_SHARE * at
        if is_too_long or is_backward:
            self._shift += jump
            self._jumps.append((at, seconds))
            return 0
        if not self._is_started:
            self._start = jump
        elif jump > 0:
            self._holes.append((at, seconds))
        else:
            self._cut -= jump
        self._excess = max(0, -jump)
        return max(0, jump)

    def _confirmed(self, offset: int, samples: int, upcoming: Sequence[tuple[AudioFrame, int | None]]) -> int:
        """Return the part of an offset that all later frames have too; 0 where the sound ends too soon."""
        position = self._position + self._shift + samples
        offsets = [offset]
        for frame, due in upcoming:
            if due is not None:
                offsets.append(due - position)
            position += frame.samples
        later = position - self._position - self._shift
        if self._is_started and later < _MIN_LOOKAHEAD_SECONDS * self._rate:
            return 0
        least = max(0, min(offsets)) if offset > 0 else min(0, max(offsets))
        # Times of later frames are rounded as well.
        return offset if abs(offset - least) <= START_TOLERANCE_SECONDS * self._rate else least
