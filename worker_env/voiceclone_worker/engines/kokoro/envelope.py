"""Conversion of the spectral envelope of a line, frame by frame, to that of the speaker's reference.

Fitted once for a speaker, from the reference and a probe of the mixture that will speak:

1. Both become log energies in 32 mel bands every 8 ms, each frame relative to its own energy.
2. A linear map carries mean and covariance of the one onto those of the other (optimal transport between Gaussians).
3. A frame of a line, through that map, finds the frames of the reference that are nearest to it in cepstrum, with those
   24 ms before and after; their mean is its new envelope, or a share of it (``Conversion.lookup``).

The phases, the harmonics and the energy of every frame stay those of the line. So a consonant is not raised over the
vowels, which an equaliser for the whole line does in a telephone voice. No line depends on another one. All products of
a line are sums in a fixed order, without BLAS, so its bytes depend on no number of threads.

Only numpy is used: synthesis must start fast, and scipy takes a second to import.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.kokoro.model import RATE, Floats

Doubles = NDArray[np.float64]

BANDS = 32
CEPSTRA = 14
KEYS = 3 * CEPSTRA
MAX_FRAMES = 1500
"""Frames of a reference that are kept, evenly spread."""
NEIGHBOURS = 3

_FFT, _HOP = 768, 192
_BINS = _FFT // 2 + 1
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7900.0
_END_HZ, _FADE_HZ = 8600.0, 600.0
"""Above, nothing is known of a reference at 16 kHz, and a line is left as it is."""
_AROUND = 3
"""Frames between a frame and its context: 24 ms."""
_CONTEXT = 0.5
"""Weight of the context."""
_RIDGE = 0.15
"""Share of the mean variance that is added to each band's."""
_SMOOTHED = 5
"""Frames over which gains are averaged."""
_LIMIT = 5.0
"""Of gains, in units of log power: 5 is 22 dB."""
_VOWELS, _CONSONANTS = 3.0, 5.5
"""Log power under the line's loud frames (its 90 % quantile): 13 dB, where the lookup has its full weight, and 24 dB,
where it has none."""
_GENTLE = 0.6
"""Share of the strength that the linear map has in quiet frames. Consonants carry the words and little of the voice."""
_LOUD = 6.9
"""Log power under the loudest frame: 30 dB. What is quieter is no speech."""
_QUIETEST_SHARE = 0.3
"""Of the frames of speech, which are not used in a fit."""
_CHUNK = 64
"""Frames that are looked up at a time, for the processor's cache; every chunk gives the same bits."""

_WINDOW = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT))
_FREQUENCY = np.linspace(0, RATE / 2, _BINS)
_COSINES = np.cos(np.pi * np.arange(CEPSTRA)[:, None] * (np.arange(BANDS) + 0.5) / BANDS)


@dataclass(frozen=True)
class Conversion:
    """What a line is converted with; see the module.

    Without ``frames`` there is the linear map alone, and with an identity as the map only the mean is carried over.
    """

    own: Floats
    """(BANDS,): mean envelope of the mixture."""
    target: Floats
    """(BANDS,): that of the reference."""
    matrix: Floats
    """(BANDS, BANDS): the linear map between what differs from these means."""
    frames: NDArray[np.float16]
    """(frames, BANDS): envelopes of the reference."""
    keys: NDArray[np.float16]
    """(frames, KEYS): what each of them is found by."""
    strength: float = 1.0
    """Of four people, with consonants as here: .725 similar, 1 of 140 words misheard, DNSMOS 3.08; at 0.85, with less of
    consonants moved (9 to 20 dB, 0.4): .704, 3 of 140, 3.21."""

    lookup: float = 1.0
    """Share of the nearest frames in a new envelope; the rest is of the linear map."""

    def without_frames(self) -> Conversion:
        """Return the linear map alone."""
        return replace(self, frames=self.frames[:0], keys=self.keys[:0], lookup=1.0)

    def mean_only(self) -> Conversion:
        """Return what carries over the mean alone."""
        return replace(self.without_frames(), matrix=np.eye(BANDS, dtype=np.float32))


@dataclass(frozen=True)
class Envelopes:
    """Envelopes of a signal's speech, without its quiet frames: (frames, BANDS), and (frames, KEYS)."""

    bands: Doubles
    keys: Doubles

    @property
    def mean(self) -> Doubles:
        """The mean envelope, (BANDS,)."""
        return np.asarray(self.bands.mean(0), np.float64)


def measure(signal: Floats) -> Envelopes:
    """Return the envelopes of speech at RATE."""
    bands, energy = _bands(_short_time_spectrum(signal))
    loud = energy > energy.max() - _LOUD
    loud &= energy >= np.quantile(energy[loud], _QUIETEST_SHARE)
    return Envelopes(bands[loud], _keys(bands)[loud])


def fit(reference: Envelopes, probe: Envelopes) -> Conversion:
    """Return the conversion of the voice of ``probe`` to that of ``reference``, with every step."""
    kept = np.linspace(0, len(reference.bands) - 1, min(len(reference.bands), MAX_FRAMES)).astype(int)
    return Conversion(
        own=probe.mean.astype(np.float32),
        target=reference.mean.astype(np.float32),
        matrix=_transport(_covariance(probe.bands), _covariance(reference.bands)).astype(np.float32),
        frames=reference.bands[kept].astype(np.float16),
        keys=reference.keys[kept].astype(np.float16),
    )


def convert(signal: Floats, voice: Conversion) -> Doubles:
    """Return ``signal`` at RATE with the envelopes of the speaker; its length and the energy of each frame stay."""
    spectrum = _short_time_spectrum(signal)
    bands, energy = _bands(spectrum)
    mapped = voice.target + np.einsum("tb,cb->tc", bands - voice.own, voice.matrix.astype(np.float64))
    wanted = mapped
    if len(voice.frames):
        wanted = voice.lookup * _nearest(mapped, voice) + (1 - voice.lookup) * mapped
    gains = np.clip(voice.strength * _smooth(wanted - bands), -_LIMIT, _LIMIT)
    gentle = np.clip(voice.strength * _GENTLE * (mapped - bands), -_LIMIT, _LIMIT)
    vowels = np.clip((energy - np.quantile(energy, 0.9) + _CONSONANTS) / (_CONSONANTS - _VOWELS), 0, 1)[
        :, None
    ]
    gains = vowels * gains + (1 - vowels) * gentle
    shaped = spectrum * np.exp(0.5 * _to_bins(gains))
    before, after = (np.square(np.abs(each)).sum(1, keepdims=True) for each in (spectrum, shaped))
    return _resynthesize(shaped * np.sqrt(before / (after + 1e-12)), len(signal))


def _nearest(mapped: Doubles, voice: Conversion) -> Doubles:
    """Return the mean of the NEIGHBOURS reference frames nearest to each frame, (frames, BANDS)."""
    known = np.ascontiguousarray(voice.keys.T, np.float64)
    frames = voice.frames.astype(np.float64)
    neighbours = min(NEIGHBOURS, len(frames))
    queries = _keys(mapped)
    found = np.zeros_like(mapped)
    for start in range(0, len(queries), _CHUNK):
        rows = queries[start : start + _CHUNK]
        distance = np.zeros((len(rows), len(frames)))
        for key in range(KEYS):
            difference = rows[:, key, None] - known[key]
            distance += difference * difference
        each = np.arange(len(rows))
        for _ in range(neighbours):
            index = distance.argmin(1)  # of equal ones the first, on every processor
            found[start : start + _CHUNK] += frames[index]
            distance[each, index] = np.inf
    return np.asarray(found / neighbours, np.float64)


def _bands(spectrum: NDArray[np.complex128]) -> tuple[Doubles, Doubles]:
    """Return log energies in bands, (frames, BANDS), relative to each frame's own, and that, (frames,)."""
    filters, _ = _filters()
    power = np.square(np.abs(spectrum))
    bands = np.stack([(power[:, used] * weights).sum(1) for used, weights in filters], 1) + 1e-10
    energy = np.log(bands.sum(1))
    return np.log(bands) - energy[:, None], energy


@cache
def _filters() -> tuple[list[tuple[slice, Doubles]], Doubles]:
    """Return the triangle of each band (its bins, and their weights), and the bands' centres in mel."""
    edges = 700 * (10 ** (np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2) / 2595) - 1)
    filters = []
    for left, centre, right in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        rising, falling = (_FREQUENCY - left) / (centre - left), (right - _FREQUENCY) / (right - centre)
        weights = np.maximum(0, np.minimum(rising, falling))
        inside = np.flatnonzero(weights)
        used = slice(int(inside[0]), int(inside[-1]) + 1)
        filters.append((used, weights[used] / weights.sum()))
    return filters, _mel(edges[1:-1])


def _mel(hertz: float | Doubles) -> Doubles:
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))


def _to_bins(gains: Doubles) -> Doubles:
    """Return gains (frames, BANDS) at the bins of the spectrum, none above 8.6 kHz."""
    _, centres = _filters()
    place = np.clip(np.interp(_mel(_FREQUENCY), centres, np.arange(BANDS)), 0, BANDS - 1)
    left = np.minimum(place.astype(int), BANDS - 2)
    share = place - left
    fine = gains[:, left] * (1 - share) + gains[:, left + 1] * share
    return np.asarray(fine * np.clip((_END_HZ - _FREQUENCY) / _FADE_HZ, 0, 1), np.float64)


def _keys(bands: Doubles) -> Doubles:
    """Return (frames, KEYS): the cepstra of each frame, and those of its context."""
    cepstra = np.einsum("tb,cb->tc", bands, _COSINES)
    padded = np.pad(cepstra, ((_AROUND, _AROUND), (0, 0)), "edge")
    context = (padded[: len(cepstra)], padded[2 * _AROUND :])
    return np.concatenate([cepstra, *(_CONTEXT * each for each in context)], 1)


def _smooth(gains: Doubles) -> Doubles:
    window = np.hanning(_SMOOTHED + 2)[1:-1]
    half = _SMOOTHED // 2
    padded = np.pad(gains, ((half, half), (0, 0)), "edge")
    total = np.zeros_like(gains)
    for index, weight in enumerate(window / window.sum()):
        total += weight * padded[index : index + len(gains)]
    return total


def _covariance(bands: Doubles) -> Doubles:
    """Return (BANDS, BANDS) with a ridge. The sum is in a fixed order: BLAS divides it among threads."""
    centred = bands - bands.mean(0)
    covariance = np.einsum("ta,tb->ab", centred, centred) / max(1, len(bands) - 1)
    return np.asarray(covariance + _RIDGE * np.trace(covariance) / BANDS * np.eye(BANDS), np.float64)


def _transport(source: Doubles, wanted: Doubles) -> Doubles:
    """Return the linear map that carries a Gaussian onto another at the least cost (Olkin and Pukelsheim, 1982)."""
    root = _root(source)
    back = np.linalg.inv(root)
    return np.asarray(back @ _root(root @ wanted @ root) @ back, np.float64)


def _root(matrix: Doubles) -> Doubles:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 1e-9))) @ vectors.T, np.float64)


def _short_time_spectrum(signal: Floats) -> NDArray[np.complex128]:
    """Return (frames, bins): root of a Hann window, the first frame centred on the first sample."""
    frames = -(-len(signal) // _HOP) + 1
    padded = np.zeros((frames - 1) * _HOP + _FFT)
    padded[_FFT // 2 : _FFT // 2 + len(signal)] = signal
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP] * _WINDOW)


def _resynthesize(spectrum: NDArray[np.complex128], samples: int) -> Doubles:
    """Return the signal of a short-time spectrum by weighted overlap-add (Griffin and Lim, 1984)."""
    frames = np.fft.irfft(spectrum, _FFT) * _WINDOW
    signal, weight = np.zeros((2, (len(frames) - 1) * _HOP + _FFT))
    for index, frame in enumerate(frames):
        signal[index * _HOP : index * _HOP + _FFT] += frame
        weight[index * _HOP : index * _HOP + _FFT] += _WINDOW**2
    inside = slice(_FFT // 2, _FFT // 2 + samples)
    return np.asarray(signal[inside] / np.maximum(weight[inside], 1e-9), np.float64)
