"""Spoken segments as the blocks of a timeline: fitted when it reaches them, let go when it has passed them."""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable, Sequence

from voiceclone_cli.media.wav import to_pcm16
from voiceclone_cli.timeline.fitting import FittedSpeech
from voiceclone_cli.timeline.loudness import limit
from voiceclone_cli.types import Placement, Segment

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SpeechByBlock:
    """``starts`` are the segments with their first frames, in order; ``ahead`` so many frames before a block
    needs them they are fitted, and known in ``placements``."""

    def __init__(
        self,
        starts: Sequence[tuple[int, Segment]],
        fitted: Callable[[Segment], FittedSpeech],
        ahead: int,
    ) -> None:
        self.placements: list[Placement] = []
        self._waiting = deque(starts)
        self._fitted = fitted
        self._ahead = ahead
        self._sounding: list[tuple[str, FittedSpeech]] = []

    def block(self, start: int, end: int, speakers: Sequence[str]) -> dict[str, NDArray[np.int16]]:
        """Every speaker's part of the frames from ``start`` to ``end``. Blocks are asked for in order."""
        import numpy as np

        self._take_until(end + self._ahead)
        sums = {speaker: np.zeros(end - start, np.float32) for speaker in speakers}
        still_sounding = []
        for speaker, speech in self._sounding:
            first = speech.placement.start_frame
            piece = speech.samples[max(0, start - first) : max(0, end - first)]
            at = max(0, first - start)
            sums[speaker][at : at + len(piece)] += piece
            if first + len(speech.samples) > end:
                still_sounding.append((speaker, speech))
        self._sounding = still_sounding
        return {speaker: to_pcm16(limit(total)) for speaker, total in sums.items()}

    def spans(self, rate: int) -> list[tuple[float, float]]:
        """Where the segments that were fitted so far are heard, in seconds."""
        return [(p.start_frame / rate, (p.start_frame + p.frames) / rate) for p in self.placements]

    def _take_until(self, end: int) -> None:
        # "At the end" counts: a segment that starts where the mix ends is taken too, and told so.
        while self._waiting and self._waiting[0][0] <= end:
            _, segment = self._waiting.popleft()
            speech = self._fitted(segment)
            self.placements.append(speech.placement)
            self._sounding.append((segment.speaker, speech))
