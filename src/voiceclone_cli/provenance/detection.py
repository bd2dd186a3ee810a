"""Where in a recording the watermark is heard: windows of two seconds, one after the other.

Only windows in which somebody speaks are believed: electronic music often looks marked. The window and the
thresholds were chosen on 33 minutes of speech from 26 sources (docs/provenance.md): no window of unmarked
full-band speech reached SURE.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from voiceclone_cli.media.reading import resample_blocks
from voiceclone_cli.provenance import perth
from voiceclone_cli.provenance.speech import speech_share
from voiceclone_cli.provenance.watermark import Watermark
from voiceclone_cli.types import Progress, ProgressEvent

if typing.TYPE_CHECKING:
    from voiceclone_cli.media.decoder import AudioStream
    from voiceclone_cli.types import Samples

STAGE = "verify"
WINDOW_SECONDS = 2.0
HOP_SECONDS = 1.0
SURE = 0.9
"""A stretch has at least one window of this presence."""
LIKELY = 0.5
"""And goes on for as long as its windows keep this one."""

_QUIET_DB = -60.0
"""Windows that are softer than this, in dB of full scale, are passed over."""
_SPEECH_SHARE = 0.1
"""Of a window. A single spoken letter fills .14 of it; music that looks marked at most .06."""
_NARROW_DB = -55.0
"""Where 2 to 3 kHz lie so far below 0.1 to 1 kHz, somebody has cut the band. Below 2 kHz, where the mark
is, the detector then sees it in anything: speech that ends at 1.8 kHz is "marked" from end to end."""
_LOW_BAND, _HIGH_BAND = (100.0, 1000.0), (2000.0, 3000.0)
_BATCH = 8


class Verdict(StrEnum):
    WATERMARKED = "watermarked"
    NOT_FOUND = "not_found"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Window:
    """What was found in one window; times in seconds."""

    start: float
    end: float
    speaks: bool
    """Whether somebody does."""
    is_narrow: bool
    presence: float
    """From 0 to 1; 0 where nobody speaks or the band is too narrow to tell."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Marked speech; times in seconds, right to about one."""

    start: float
    end: float
    presence: float
    """The surest window's."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What was heard in a recording."""

    seconds: float
    speech: int
    """Windows in which somebody speaks."""
    narrow: int
    """Those of them whose band is too narrow to tell."""
    marked: int
    """Those of them that lie in a stretch."""
    stretches: tuple[Stretch, ...]

    @property
    def verdict(self) -> Verdict:
        if 2 * self.narrow >= self.speech:  # also where nobody speaks
            return Verdict.CANNOT_TELL
        return Verdict.WATERMARKED if self.stretches else Verdict.NOT_FOUND


def detect(stream: AudioStream, watermark: Watermark, progress: Progress) -> Detection:
    """Listen to a whole stream, block by block: memory holds some windows, however long it is.

    Progress: stage "verify", in seconds. Raises what the stream's blocks raise.
    """
    found: list[Window] = []
    share = speech_share()
    for batch in _batches(_signals(resample_blocks(stream.blocks(), stream.rate, perth.RATE))):
        found += _listen(batch, watermark, share)
        progress(ProgressEvent(STAGE, found[-1].end, stream.promised_seconds))
    return summed_up(found)


def summed_up(windows: Iterable[Window]) -> Detection:
    """Windows in order, as one finding."""
    windows = list(windows)
    stretches, marked = [], 0
    for run in _runs_of_likely(windows):
        surest = max(window.presence for window in run)
        if surest >= SURE:
            stretches.append(Stretch(run[0].start, run[-1].end, surest))
            marked += len(run)
    return Detection(
        seconds=windows[-1].end if windows else 0.0,
        speech=sum(window.speaks for window in windows),
        narrow=sum(window.is_narrow for window in windows),
        marked=marked,
        stretches=tuple(stretches),
    )


def _runs_of_likely(windows: Iterable[Window]) -> Iterator[list[Window]]:
    run: list[Window] = []
    for window in windows:
        if window.presence >= LIKELY:
            run.append(window)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _listen(
    batch: list[tuple[float, Samples]], watermark: Watermark, share: Callable[[Samples], float]
) -> list[Window]:
    import numpy as np

    presences = watermark.presences(np.stack([signal for _, signal in batch]))
    windows = []
    for (start, signal), presence in zip(batch, presences, strict=True):
        loud = 10 * np.log10(np.mean(signal**2) + 1e-12) > _QUIET_DB
        speaks = bool(loud) and share(signal) >= _SPEECH_SHARE
        is_narrow = speaks and _is_narrow(signal)
        believed = float(presence) if speaks and not is_narrow else 0.0
        windows.append(Window(start, start + len(signal) / perth.RATE, speaks, is_narrow, believed))
    return windows


def _is_narrow(signal: Samples) -> bool:
    import numpy as np

    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    frequencies = np.fft.rfftfreq(len(signal), 1 / perth.RATE)
    low, high = (
        power[(frequencies >= first) & (frequencies < last)].mean() for first, last in (_LOW_BAND, _HIGH_BAND)
    )
    return bool(10 * np.log10((high + 1e-20) / (low + 1e-20)) < _NARROW_DB)


def _signals(blocks: Iterable[Samples]) -> Iterator[tuple[float, Samples]]:
    """(start in seconds, samples) of each window at perth.RATE. The last one ends with the signal; a signal
    that is shorter than a window is one, if it can carry a mark at all."""
    import numpy as np

    size, hop = round(WINDOW_SECONDS * perth.RATE), round(HOP_SECONDS * perth.RATE)
    held, start = np.zeros(0, np.float32), 0
    last: Samples | None = None
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= size:
            last = held[:size]
            yield start / perth.RATE, last
            held, start = held[hop:], start + hop
    end = start + len(held)
    if last is None and len(held) >= perth.SHORTEST:
        yield 0.0, held
    elif last is not None and len(held) > size - hop:  # the rest lies in the last window already
        yield (end - size) / perth.RATE, np.concatenate([last, held[size - hop :]])[-size:]


def _batches(signals: Iterable[tuple[float, Samples]]) -> Iterator[list[tuple[float, Samples]]]:
    """Windows of one length, some at a time."""
    batch: list[tuple[float, Samples]] = []
    for start, signal in signals:
        if batch and (len(batch) == _BATCH or len(signal) != len(batch[0][1])):
            yield batch
            batch = []
        batch.append((start, signal))
    if batch:
        yield batch
