"""What is heard under the new voices: nothing, the original lowered, or its music and ambience alone."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.config import Settings, models_home
from voiceclone_cli.mixing.separation import SEPARATION_MODELS, VoiceRemover
from voiceclone_cli.models import download
from voiceclone_cli.types import Progress, Turn

if typing.TYPE_CHECKING:
    from voiceclone_cli.audio.reader import AudioStream, Channels
    from voiceclone_cli.types import Samples


# When somebody speaks, as spans of time, and as an envelope with ramps.


Span = tuple[float, float]
"""Start and end in seconds."""


def merge_spans(spans: Iterable[Span], gap: float) -> list[Span]:
    """The union of ``spans`` in order; pauses shorter than ``gap`` seconds belong to what is around them."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] < gap:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif end > start:
            result.append((start, end))
    return result


def activity(spans: Sequence[Span], first: int, last: int, rate: int, rise: float, fall: float) -> Samples:
    """1 within the spans, 0 elsewhere, for the frames from ``first`` to ``last`` at ``rate``.

    Straight ramps lead up to a span in the ``rise`` seconds before it and down in the ``fall`` seconds
    after it. ``spans`` are :func:`merged` with a gap of at least both together, so that ramps never meet.
    """
    import numpy as np

    near = [span for span in spans if span[0] - rise < last / rate and span[1] + fall > first / rate]
    times = [time for start, end in near for time in (start - rise, start, end, end + fall)]
    if not times:
        return np.zeros(last - first, np.float32)
    values = np.interp(np.arange(first, last) / rate, times, [0.0, 1.0, 1.0, 0.0] * len(near))
    return values.astype(np.float32)


# The original under the new voices, lowered while somebody speaks.


DEPTH_DB = 18.0
"""How much lower the original is then: still there, and no longer to be followed."""

ATTACK_SECONDS = 0.15
"""Before a word, so that its beginning is free already."""
RELEASE_SECONDS = 0.5
GAP_SECONDS = 0.8
"""Pauses shorter than this stay lowered: music that pumps between words is worse than none."""


def ducking_gains(active: Iterable[Span], first: int, last: int, rate: int) -> Samples:
    """Amplitude for each frame of the original from ``first`` to ``last``; ramps are straight in decibels.

    ``active`` are the spans in which anybody speaks, in any order. Those that begin more than GAP_SECONDS
    after ``last`` change nothing.
    """
    import numpy as np

    spoken = activity(merge_spans(active, GAP_SECONDS), first, last, rate, ATTACK_SECONDS, RELEASE_SECONDS)
    gains: Samples = np.power(np.float32(10), -DEPTH_DB / 20 * spoken, dtype=np.float32)
    return gains


# Voices taken out of a stream of blocks where somebody speaks; elsewhere it passes as it is.


PADDING_SECONDS = 0.15
"""Around each turn: a diarizer's edges are not those of the first and the last sound."""
FADE_SECONDS = 0.1
REMOVAL_GAP_SECONDS = 1.0
"""Pauses shorter than this are taken with what is around them."""

PIECE_SECONDS = 15.0
CONTEXT_SECONDS = 2.5
"""Before a piece: the networks remember, and are given something to remember."""
LOOKAHEAD_SECONDS = 0.5


def remove_voices(
    blocks: Iterable[Channels], rate: int, turns: Iterable[Span], voices: Callable[[Channels], Channels]
) -> Iterator[Channels]:
    """The blocks with what ``voices`` finds taken out of them during ``turns``.

    Pieces of at most PIECE_SECONDS are looked into at a time, with what is around them; memory holds one.
    The samples outside of padded turns are the very ones that came.
    """
    spans = merge_spans(
        ((start - PADDING_SECONDS, end + PADDING_SECONDS) for start, end in turns), REMOVAL_GAP_SECONDS
    )
    window = _Window(blocks, round(CONTEXT_SECONDS * rate))
    for start, end in _pieces(spans, rate):
        yield from window.pass_until(start)
        around = window.look(end + round(LOOKAHEAD_SECONDS * rate))
        before = window.kept
        if len(around) == before:
            return
        found = voices(around)[before : before + end - start]
        presence = activity(spans, start, start + len(found), rate, FADE_SECONDS, FADE_SECONDS)
        yield around[before : before + len(found)] - presence[:, None] * found
        window.advance(len(found))
    yield from window.pass_until(sys.maxsize)


def _pieces(spans: Sequence[Span], rate: int) -> Iterator[tuple[int, int]]:
    """The frames to look into, in order: each span with its fades, in equal parts that are not too long."""
    for start, end in spans:
        first, last = max(0, round((start - FADE_SECONDS) * rate)), round((end + FADE_SECONDS) * rate)
        parts = -(-(last - first) // round(PIECE_SECONDS * rate))
        edges = [first + (last - first) * part // parts for part in range(parts + 1)]
        yield from pairwise(edges)


class _Window:
    """The samples of a stream that are still to be given on, and up to ``most_kept`` that were before them."""

    def __init__(self, blocks: Iterable[Channels], most_kept: int) -> None:
        self._blocks = iter(blocks)
        self._most_kept = most_kept
        self._held: Channels | None = None
        self._position = 0
        self.kept = 0
        """So many of the held samples were given on already."""

    def pass_until(self, frame: int) -> Iterator[Channels]:
        """Give on, as it is, what comes before ``frame``."""
        while self._position < frame:
            held = self._read_until(self._position + 1)
            piece = held[self.kept : self.kept + frame - self._position]
            if not len(piece):
                return
            yield piece
            self.advance(len(piece))

    def look(self, frame: int) -> Channels:
        """What is held and goes on, up to ``frame`` or the end of the stream."""
        return self._read_until(frame)[: self.kept + frame - self._position]

    def advance(self, frames: int) -> None:
        """So many samples more were given on."""
        assert self._held is not None
        self._position += frames
        self.kept += frames
        spare = max(0, self.kept - self._most_kept)
        self._held = self._held[spare:]
        self.kept -= spare

    def _read_until(self, frame: int) -> Channels:
        import numpy as np

        held = [] if self._held is None else [self._held]
        missing = frame - self._position + self.kept - sum(map(len, held))
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            held.append(block)
            missing -= len(block)
        self._held = np.concatenate(held) if held else np.zeros((0, 0), np.float32)
        return self._held


# The original under the new voices: its channels at the mix's rate, block by block.


NONE, DUCK, KEEP = "none", "duck", "keep"
"""What is heard under the new voices: nothing, the original lowered, or the original without its voices."""


class BackgroundTrack:
    """Blocks of an original, in order. Made by :func:`open_underlay`."""

    def __init__(self, blocks: Iterator[Channels], channels: int) -> None:
        self._blocks = blocks
        self._channels = channels
        self._left: Channels | None = None

    def next_frames(self, frames: int) -> Channels:
        """The next ``frames``, shape (frames, channels); silence where the original has ended."""
        import numpy as np

        result = np.zeros((frames, self._channels), np.float32)
        filled = 0
        while filled < frames:
            block = next(self._blocks, None) if self._left is None else self._left
            if block is None:
                break
            taken = min(len(block), frames - filled)
            result[filled : filled + taken] = block[:taken]
            filled += taken
            self._left = block[taken:] if taken < len(block) else None
        return result


@contextmanager
def open_background(
    path: Path,
    layout: Layout,
    rate: int,
    *,
    kind: str,
    turns: Sequence[Turn],
    models: Mapping[str, Path],
    threads: int,
) -> Iterator[BackgroundTrack]:
    """What is heard of the original at ``rate``, a whole multiple of its own: DUCK, not lowered yet, or KEEP.

    ``models`` are the folders of voices.MODELS, for KEEP. Raises InputError as media.opening does.
    """
    with open_audio(path) as stream:
        blocks = _channel_blocks(stream, layout)
        if kind == KEEP:
            voices = VoiceRemover(models, layout, stream.rate, threads)
            spans = [(turn.start, turn.end) for turn in turns]
            blocks = remove_voices(blocks, stream.rate, spans, voices)
        yield BackgroundTrack(_resampled(blocks, stream.rate, rate, layout.channels), layout.channels)


def _channel_blocks(stream: AudioStream, layout: Layout) -> Iterator[Channels]:
    """A file's channels, or their mean where ``layout`` is mono."""
    if layout.channels == stream.channels:
        return stream.channel_blocks()
    return (block[:, None] for block in stream.blocks())


def _resampled(blocks: Iterable[Channels], rate: int, target: int, channels: int) -> Iterator[Channels]:
    import numpy as np
    import soxr

    if rate == target:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate, target, channels, dtype="float32")
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def separation_model_folders(settings: Settings, progress: Progress) -> Mapping[str, Path]:
    """The models that ``settings.background`` takes, fetched where they are missing: none, but for "keep".

    Raises PreflightError when they cannot be had.
    """
    if settings.background != KEEP:
        return {}
    return download.ensure_models(
        SEPARATION_MODELS, progress, home=models_home(settings), token=settings.token
    )
