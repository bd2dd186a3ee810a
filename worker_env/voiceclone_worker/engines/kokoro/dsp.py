"""Signal processing: trimming, long-term spectra, and the equaliser that gives a line the spectrum of its speaker.

The equaliser works on the short-time spectrum with zero phase, so it keeps the network's waveform intact. Only numpy
is used: synthesis must start fast, and scipy.signal takes a second to import.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.kokoro.model import RATE, Floats

_FRAME_SECONDS = 0.01
_ENDS_BELOW_DB, _PAUSES_BELOW_DB = 40.0, 35.0
"""Below the loudest frame: what is quieter is not speech."""
_PAUSE_SECONDS = 0.15
_DIGITAL_SILENCE = 1e-4


def trim(signal: Floats, rate: int, *, keep_seconds: float = 0.0) -> Floats:
    """Return ``signal`` without ends that are 40 dB below its loudest 10 ms; ``keep_seconds`` of each end stay."""
    power = _frame_power(signal, rate)
    if len(power) < 3:
        return signal
    frame, kept = round(rate * _FRAME_SECONDS), round(rate * keep_seconds)
    loud = np.flatnonzero(power > power.max() * 10 ** (-_ENDS_BELOW_DB / 10))
    if not len(loud):
        return signal
    return signal[max(0, loud[0] * frame - kept) : (loud[-1] + 1) * frame + kept]


def speech_seconds(signal: Floats, rate: int) -> float:
    """Return the duration of speech in ``signal``: without its ends and its pauses of 0.15 s or longer."""
    power = _frame_power(signal, rate)
    if not len(power):
        return 0.0
    loud = np.flatnonzero(power > power.max() * 10 ** (-_PAUSES_BELOW_DB / 10))
    if not len(loud):
        return 0.0
    gaps = np.diff(loud) - 1
    pauses = gaps[gaps * _FRAME_SECONDS >= _PAUSE_SECONDS].sum()
    return float((loud[-1] - loud[0] + 1 - pauses) * _FRAME_SECONDS)


def without_gaps(signal: Floats, rate: int) -> Floats:
    """Return ``signal`` without its 10 ms frames of digital silence, as between the parts of a reference.

    No recording of a voice has them, and the logarithm of zero would weigh heavily in its embedding.
    """
    frame = round(rate * _FRAME_SECONDS)
    whole = len(signal) // frame * frame
    frames = signal[:whole].reshape(-1, frame)
    audible = np.abs(frames).max(1) > _DIGITAL_SILENCE
    return np.concatenate([frames[audible].ravel(), signal[whole:]])


def level(signal: Floats) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0


def _frame_power(signal: Floats, rate: int) -> Floats:
    frame = round(rate * _FRAME_SECONDS)
    count = len(signal) // frame
    power: Floats = np.square(signal[: count * frame].reshape(count, frame)).mean(1)
    return power


FFT = 1024
HOP = 256
BINS = FFT // 2 + 1
_WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
_CEPSTRA = 40
_LIMIT = 5.0
"""In units of log power: 5 is 22 dB."""
_MAX_EXAGGERATION = 1.5
"""6.5 dB: speakers who differ by more (another microphone, another room) need no exaggeration."""
_SPEECH_BINS = slice(round(60 / (RATE / FFT)), round(8000 / (RATE / FFT)))

Doubles = NDArray[np.float64]


def short_time_spectrum(signal: Floats) -> NDArray[np.complex128]:
    """Return (frames, BINS): Hann window, HOP apart, the first frame centred on the first sample."""
    frames = -(-len(signal) // HOP) + 1
    padded = np.zeros((frames - 1) * HOP + FFT)
    padded[FFT // 2 : FFT // 2 + len(signal)] = signal
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    return np.fft.rfft(windows * _WINDOW / _WINDOW.sum())


def resynthesize(spectrum: NDArray[np.complex128], samples: int) -> Doubles:
    """Return the signal of a short-time spectrum by weighted overlap-add (Griffin and Lim, 1984)."""
    frames = np.fft.irfft(spectrum, FFT) * _WINDOW * _WINDOW.sum()
    signal, weight = np.zeros((len(frames) - 1) * HOP + FFT), np.zeros((len(frames) - 1) * HOP + FFT)
    for index, frame in enumerate(frames):
        signal[index * HOP : index * HOP + FFT] += frame
        weight[index * HOP : index * HOP + FFT] += _WINDOW**2
    inside = slice(FFT // 2, FFT // 2 + samples)
    return signal[inside] / np.maximum(weight[inside], 1e-10)


def long_term_spectrum(signal: Floats) -> Doubles:
    """Return (BINS,): mean log power of the louder frames of a signal at RATE, at equal weight, smoothed to 40 cepstra."""
    power = np.abs(short_time_spectrum(signal)) ** 2 + 1e-12
    energy = power.sum(1)
    speaking = energy > energy.max() * 1e-5
    loud = energy >= np.quantile(energy[speaking], 0.4)
    power = power[loud]
    mean = np.log(power / power.sum(1, keepdims=True) + 1e-9).mean(0)
    cepstrum = np.fft.irfft(mean, FFT)
    cepstrum[_CEPSTRA : FFT - _CEPSTRA + 1] = 0.0
    return np.fft.rfft(cepstrum).real


def exaggerate_spectrum(own: Doubles, others: Sequence[Doubles]) -> Doubles:
    """Return (BINS,): a speaker's long-term spectrum, with twice its difference from the mean of the other speakers.

    The difference is increased by at most 6.5 dB in each bin. A mixture of Kokoro's voices keeps little of what
    distinguishes two similar speakers, so it is exaggerated. Measured with an encoder that takes no part in the fit, on
    pyannote's sample and two pairs of Kokoro voices that were left out of the table and sent through a telephone band:
    nearer to its own speaker than to the other by .092 instead of .056 in the mean, and as similar to its own (.740,
    before .735). The strength was chosen on these same cases.
    """
    if not others:
        return own
    difference = own - np.mean(others, axis=0)
    difference = difference - difference[_SPEECH_BINS].mean()
    return np.asarray(own + np.clip(difference, -_MAX_EXAGGERATION, _MAX_EXAGGERATION), np.float64)


def design_equaliser(target: Doubles, own: Doubles) -> Floats:
    """Return (BINS,) gains from the long-term spectrum ``own`` to ``target``, none above 8 kHz.

    Many recordings have nothing above 8 kHz.
    """
    frequency = np.linspace(0, RATE / 2, BINS)
    band = np.clip((8000 - frequency) / 600, 0, 1)
    difference = target - own
    difference = difference - np.average(difference, weights=band * (frequency > 200))
    return np.asarray(np.exp(0.5 * np.clip(difference, -_LIMIT, _LIMIT) * band), np.float32)


def apply_equaliser(signal: Floats, gains: Floats, level: float) -> Floats:
    """Return ``signal`` with the gains, at the root mean square ``level``, its peak at most .98."""
    shaped = resynthesize(short_time_spectrum(signal) * gains, len(signal))
    shaped *= level / (np.sqrt(np.mean(shaped**2)) + 1e-9)
    return np.asarray(shaped * min(1.0, 0.98 / (np.abs(shaped).max() + 1e-9)), np.float32)
