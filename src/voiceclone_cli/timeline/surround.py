"""The original around the new voices: its channels, where each speaker stands in them, and what stays of it."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from voiceclone_cli.background import DUCK, NONE, Underlay, open_underlay
from voiceclone_cli.background.ducking import ducking_gains
from voiceclone_cli.background.presence import Span
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.media.layout import MONO, MOST_CHANNELS, Layout
from voiceclone_cli.media.opening import open_audio
from voiceclone_cli.timeline.panning import gains
from voiceclone_cli.types import Recording, Turn

if typing.TYPE_CHECKING:
    from voiceclone_cli.media.decoder import Channels
    from voiceclone_cli.timeline.panning import Gains


class Surround:
    """Made by :func:`open_surround`."""

    def __init__(
        self,
        layout: Layout,
        gains: Mapping[str, Gains],
        rate: int,
        turns: Sequence[Turn],
        underlay: Underlay | None,
        *,
        ducked: bool,
    ) -> None:
        self.layout = layout
        self.gains = gains
        self._rate = rate
        self._turns = [(turn.start, turn.end) for turn in turns]
        self._underlay = underlay
        self._ducked = ducked

    def under(self, start: int, end: int, placed: Iterable[Span]) -> Channels:
        """What is heard of the original from frame ``start`` to ``end``; blocks are asked for in order.

        ``placed`` are the spans of the new voices, those that begin soon after ``end`` with them.
        """
        import numpy as np

        if self._underlay is None:
            return np.zeros((end - start, self.layout.channels), np.float32)
        original = self._underlay.next_frames(end - start)
        if self._ducked:
            spoken = [*self._turns, *placed]
            original *= ducking_gains(spoken, start, end, self._rate)[:, None]
        return original


@contextmanager
def open_surround(
    recording: Recording,
    rate: int,
    turns: Sequence[Turn],
    speakers: Sequence[str],
    background: str,
    models: Mapping[str, Path],
    threads: int,
) -> Iterator[Surround]:
    """Read the recording as far as the mix needs it: not at all for a mono one with nothing under the voices.

    Raises RunError with the codes of media.opening: what could be read at first has gone.
    """
    with _still_readable():
        layout, gains_in_it = _layout_and_gains(recording, turns, speakers)
    ducked = background == DUCK
    underlay = (
        nullcontext()
        if background == NONE
        else open_underlay(
            recording.path, layout, rate, kind=background, turns=turns, models=models, threads=threads
        )
    )
    with _still_readable(), underlay as opened:
        yield Surround(layout, gains_in_it, rate, turns, opened, ducked=ducked)


def _layout_and_gains(
    recording: Recording, turns: Sequence[Turn], speakers: Sequence[str]
) -> tuple[Layout, Mapping[str, Gains]]:
    """The mix's channels and each speaker's gains in them; more channels than people listen to become one."""
    import numpy as np

    if not 1 < recording.channels <= MOST_CHANNELS:
        return MONO, {speaker: np.ones(1, np.float32) for speaker in speakers}
    with open_audio(recording.path) as stream:
        layout = Layout.of(stream.layout)
        return layout, gains(stream.channel_blocks(), stream.rate, layout, turns, speakers)


@contextmanager
def _still_readable() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise RunError(error.message, code=error.code) from error
