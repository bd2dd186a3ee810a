"""The original under the new voices: its channels at the mix's rate, block by block."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.background.removal import without_voices
from voiceclone_cli.background.voices import Voices
from voiceclone_cli.media.layout import Layout
from voiceclone_cli.media.opening import open_audio
from voiceclone_cli.types import Turn

if typing.TYPE_CHECKING:
    from voiceclone_cli.media.decoder import AudioStream, Channels

NONE, DUCK, KEEP = "none", "duck", "keep"
"""What is heard under the new voices: nothing, the original lowered, or the original without its voices."""


class Underlay:
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
def open_underlay(
    path: Path,
    layout: Layout,
    rate: int,
    *,
    kind: str,
    turns: Sequence[Turn],
    models: Mapping[str, Path],
    threads: int,
) -> Iterator[Underlay]:
    """What is heard of the original at ``rate``, a whole multiple of its own: DUCK, not lowered yet, or KEEP.

    ``models`` are the folders of voices.MODELS, for KEEP. Raises InputError as media.opening does.
    """
    with open_audio(path) as stream:
        blocks = _channel_blocks(stream, layout)
        if kind == KEEP:
            voices = Voices(models, layout, stream.rate, threads)
            spans = [(turn.start, turn.end) for turn in turns]
            blocks = without_voices(blocks, stream.rate, spans, voices)
        yield Underlay(_resampled(blocks, stream.rate, rate, layout.channels), layout.channels)


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
