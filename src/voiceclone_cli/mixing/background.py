"""The background of a mix: nothing, the original lowered during speech, or the original without voices."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.audio.reader import open_audio, resample_blocks
from voiceclone_cli.config import Settings, models_home
from voiceclone_cli.mixing.separation import SEPARATION_MODELS, VoiceRemover
from voiceclone_cli.models import download
from voiceclone_cli.types import Progress, Recording, Span

if typing.TYPE_CHECKING:
    from voiceclone_cli.audio.reader import Channels


NONE, DUCK, KEEP = "none", "duck", "keep"
"""Backgrounds: nothing, the original lowered during speech, or the original without its voices."""

DEPTH_DB = 18.0
"""Attenuation of the original during speech: still audible, but too low to follow."""
ATTACK_SECONDS = 0.15
"""Ramp before a word, so that its beginning is clear."""
RELEASE_SECONDS = 0.5
GAP_SECONDS = 0.8
"""Pauses shorter than this stay lowered, so that music does not pump between words."""

PADDING_SECONDS = 0.15
"""Extension of each turn for the removal of voices: turns end before the last sound."""
FADE_SECONDS = 0.1
REMOVAL_GAP_SECONDS = 1.0
"""Voices are removed in pauses shorter than this too."""

CHUNK_SECONDS = 15.0
CONTEXT_SECONDS = 2.5
"""Audio before a chunk, since the networks are recurrent."""
LOOKAHEAD_SECONDS = 0.5


def separation_model_folders(settings: Settings, progress: Progress) -> Mapping[str, Path]:
    """Return the models that ``settings.background`` needs, downloaded if necessary: none except for "keep".

    Raises PreflightError if they are not available.
    """
    if settings.background != KEEP:
        return {}
    return download.ensure_models(
        SEPARATION_MODELS, progress, home=models_home(settings), token=settings.token
    )


@contextmanager
def open_background(
    recording: Recording,
    layout: Layout,
    rate: int,
    *,
    kind: str,
    turns: Sequence[Span],
    models: Mapping[str, Path],
    threads: int,
) -> Iterator[BackgroundTrack]:
    """Open the original at ``rate``, a whole multiple of its rate, for DUCK (not lowered yet) or KEEP.

    The voices are removed during ``turns``; ``models`` are those of separation_model_folders. Raises
    InputError as open_audio does.
    """
    with open_audio(recording.path, recording.audio) as stream:
        blocks = stream.channel_blocks()
        if layout.channels != stream.channels:
            blocks = (block[:, None] for block in stream.blocks())
        if kind == KEEP:
            voices = VoiceRemover(models, layout, stream.rate, threads)
            blocks = remove_voices(blocks, stream.rate, turns, voices)
        yield BackgroundTrack(resample_blocks(blocks, stream.rate, rate), layout.channels)


class BackgroundTrack:
    """The original as a stream of frames; see :func:`open_background`."""

    def __init__(self, blocks: Iterator[Channels], channels: int) -> None:
        self._blocks = blocks
        self._channels = channels
        self._rest: Channels | None = None

    def read(self, frames: int) -> Channels:
        """Return the next frames, shape (frames, channels); silence after the end of the original."""
        result = np.zeros((frames, self._channels), np.float32)
        filled = 0
        while filled < frames:
            block = next(self._blocks, None) if self._rest is None else self._rest
            if block is None:
                break
            count = min(len(block), frames - filled)
            result[filled : filled + count] = block[:count]
            filled += count
            self._rest = block[count:] if count < len(block) else None
        return result


def ducking_gains(active: Iterable[Span], first: int, last: int, rate: int) -> Samples:
    """Return the gain of the original for the frames from ``first`` to ``last``, with ramps linear in dB.

    ``active`` are the spans of all speech, in any order; those that start more than GAP_SECONDS after
    ``last`` have no effect.
    """
    speech = activity(merge_spans(active, GAP_SECONDS), first, last, rate, ATTACK_SECONDS, RELEASE_SECONDS)
    gains: Samples = np.power(np.float32(10), -DEPTH_DB / 20 * speech, dtype=np.float32)
    return gains


def remove_voices(
    blocks: Iterable[Channels], rate: int, turns: Iterable[Span], voices: Callable[[Channels], Channels]
) -> Iterator[Channels]:
    """Remove the voices that ``voices`` finds during ``turns`` from a stream of blocks.

    Memory holds a chunk of at most CHUNK_SECONDS with its context. The samples outside of the padded turns
    stay the same, to the bit.
    """
    spans = merge_spans(
        ((start - PADDING_SECONDS, end + PADDING_SECONDS) for start, end in turns), REMOVAL_GAP_SECONDS
    )
    window = _Window(blocks, round(CONTEXT_SECONDS * rate))
    for start, end in _chunks(spans, rate):
        yield from window.pass_until(start)
        context = window.peek(end + round(LOOKAHEAD_SECONDS * rate))
        before = window.kept
        if len(context) == before:
            return
        found = voices(context)[before : before + end - start]
        weights = activity(spans, start, start + len(found), rate, FADE_SECONDS, FADE_SECONDS)
        yield context[before : before + len(found)] - weights[:, None] * found
        window.advance(len(found))
    yield from window.pass_until(sys.maxsize)


def _chunks(spans: Sequence[Span], rate: int) -> Iterator[tuple[int, int]]:
    """Yield the frames to process: each span with its fades, in equal parts of at most CHUNK_SECONDS."""
    for start, end in spans:
        first, last = max(0, round((start - FADE_SECONDS) * rate)), round((end + FADE_SECONDS) * rate)
        parts = -(-(last - first) // round(CHUNK_SECONDS * rate))
        edges = [first + (last - first) * part // parts for part in range(parts + 1)]
        yield from pairwise(edges)


class _Window:
    """The frames of a stream from ``context`` frames before the current position on.

    ``kept`` is the number of frames in memory before the current position.
    """

    def __init__(self, blocks: Iterable[Channels], context: int) -> None:
        self._blocks = iter(blocks)
        self._context = context
        self._buffer: Channels | None = None
        self._position = 0
        self.kept = 0

    def pass_until(self, frame: int) -> Iterator[Channels]:
        """Yield the frames before ``frame`` unchanged and advance to it."""
        while self._position < frame:
            buffer = self._read_until(self._position + 1)
            part = buffer[self.kept : self.kept + frame - self._position]
            if not len(part):
                return
            yield part
            self.advance(len(part))

    def peek(self, frame: int) -> Channels:
        """Return the frames in memory up to ``frame`` or the end of the stream."""
        return self._read_until(frame)[: self.kept + frame - self._position]

    def advance(self, frames: int) -> None:
        """Move the current position."""
        assert self._buffer is not None
        self._position += frames
        self.kept += frames
        excess = max(0, self.kept - self._context)
        self._buffer = self._buffer[excess:]
        self.kept -= excess

    def _read_until(self, frame: int) -> Channels:
        parts = [] if self._buffer is None else [self._buffer]
        missing = frame - self._position + self.kept - sum(map(len, parts))
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            missing -= len(block)
        self._buffer = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
        return self._buffer


def merge_spans(spans: Iterable[Span], gap: float) -> list[Span]:
    """Return the union of spans, sorted; pauses shorter than ``gap`` seconds are filled."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] < gap:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        elif end > start:
            result.append((start, end))
    return result


def activity(spans: Sequence[Span], first: int, last: int, rate: int, rise: float, fall: float) -> Samples:
    """Return 1 within the spans and 0 elsewhere, for the frames from ``first`` to ``last`` at ``rate``.

    Linear ramps rise in the ``rise`` seconds before a span and fall in the ``fall`` seconds after it.
    ``spans`` come from merge_spans with a gap of at least both together, so that ramps do not overlap.
    """
    near = [span for span in spans if span[0] - rise < last / rate and span[1] + fall > first / rate]
    times = [time for start, end in near for time in (start - rise, start, end, end + fall)]
    if not times:
        return np.zeros(last - first, np.float32)
    values = np.interp(np.arange(first, last) / rate, times, [0.0, 1.0, 1.0, 0.0] * len(near))
    return values.astype(np.float32)
