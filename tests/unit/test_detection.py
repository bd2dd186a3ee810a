"""From windows to a verdict, and from a stream to windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from media_samples import syllables, tone
from voiceclone_cli.provenance.detection import (
    Detection,
    Verdict,
    Window,
    _is_narrow,
    _signals,
    summed_up,
)
from voiceclone_cli.provenance.perth import RATE


def found(*presences: float, narrow: tuple[int, ...] = (), quiet: tuple[int, ...] = ()) -> Detection:
    """A window for each presence, one a second."""
    return summed_up(
        Window(float(n), n + 2.0, n not in quiet, n in narrow, presence)
        for n, presence in enumerate(presences)
    )


def test_a_sure_window_makes_a_stretch_of_its_likely_neighbours() -> None:
    detection = found(0.1, 0.6, 0.95, 0.6, 0.2)
    (stretch,) = detection.stretches
    assert (stretch.start, stretch.end, stretch.presence) == (1.0, 5.0, 0.95)
    assert detection.verdict is Verdict.WATERMARKED and detection.marked == 3


def test_likely_windows_without_a_sure_one_are_no_mark() -> None:
    assert found(0.6, 0.8, 0.89, 0.7).verdict is Verdict.NOT_FOUND


def test_stretches_are_apart_where_the_mark_is_lost_between_them() -> None:
    assert [s.start for s in found(1.0, 0.1, 0.1, 1.0).stretches] == [0.0, 3.0]


def test_where_most_of_the_sound_is_narrow_nobody_can_tell() -> None:
    assert found(0.0, 0.0, 0.95, narrow=(0, 1)).verdict is Verdict.CANNOT_TELL
    assert found(0.0, 0.95, 0.95, narrow=(0,)).verdict is Verdict.WATERMARKED


def test_where_nobody_speaks_nobody_can_tell() -> None:
    assert found(0.0, 0.0, quiet=(0, 1)).verdict is Verdict.CANNOT_TELL
    assert found().verdict is Verdict.CANNOT_TELL


def blocks(signal: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (signal[start : start + size] for start in range(0, len(signal), size))


@pytest.mark.parametrize("seconds", [0.1, 1.5, 2.0, 2.01, 3.0, 7.3])
@pytest.mark.parametrize("size", [777, RATE, 10 * RATE])
def test_windows_cover_a_signal_whatever_its_blocks(seconds: float, size: int) -> None:
    signal = np.arange(round(seconds * RATE), dtype=np.float32)
    windows = list(_signals(blocks(signal, size)))
    heard = np.zeros(len(signal), bool)
    for start, window in windows:
        first = round(start * RATE)
        assert np.array_equal(window, signal[first : first + len(window)])
        heard[first : first + len(window)] = True
    assert heard.all()
    assert all(len(window) == min(len(signal), 2 * RATE) for _, window in windows)


def test_too_little_for_a_mark_makes_no_window() -> None:
    assert list(_signals(iter([np.ones(100, np.float32)]))) == []


def test_a_band_that_ends_below_the_mark_s_end_is_narrow() -> None:
    speech = syllables(2.0, RATE)
    spectrum = np.fft.rfft(speech)
    spectrum[round(1800 * 2.0) :] = 0
    assert not _is_narrow(speech)
    assert _is_narrow(np.fft.irfft(spectrum, len(speech)).astype(np.float32))
    assert _is_narrow(tone(2.0, RATE))
