"""Separation of voices from a recording's channels with two networks: DeepFilterNet and Spleeter.

DeepFilterNet separates speech from noise, but mistakes some music for speech; Spleeter separates voices from
music, but mistakes some noise for voices. The speech found by the first is removed, and from the rest the
voices found by the second (benchmarks/background.py compares this with each of them alone).

Both are written after the papers for the published weights: H. Schröter, A. N. Escalante-B., T. Rosenkranz,
A. Maier, "DeepFilterNet: Perceptually Motivated Real-Time Speech Enhancement", Interspeech 2023, equal in its
results to the library libDF; A. Jansson et al., "Singing voice separation with deep U-net convolutional
networks", ISMIR 2017, and R. Hennequin, A. Khlif, F. Voituret, M. Moussallam, "Spleeter: a fast and efficient
music source separation tool with pre-trained models", JOSS 2020.
"""

from __future__ import annotations

import functools
import math
import tarfile
import typing
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.system import torch_threads

if typing.TYPE_CHECKING:
    import torch
    from onnxruntime import InferenceSession

    from voiceclone_cli.audio.reader import Channels

    Spectra = NDArray[np.complex64]
    """Shape (frames, BINS)."""
    Features = NDArray[np.float32]
    Shape = tuple[int, ...]


DEEPFILTER_MODEL = "deepfilternet"
DEEPFILTER_ARCHIVE = "DeepFilterNet3_onnx.tar.gz"
SPLEETER_MODEL = "spleeter-2stems"
SEPARATION_MODELS = (DEEPFILTER_MODEL, SPLEETER_MODEL)

_SILENT = 1e-4
"""-80 dBFS. A channel with a lower peak has no voices."""

DEEPFILTER_RATE = 48_000
WINDOW = 960
"""20 ms."""
HOP = 480
BINS = WINDOW // 2 + 1
BANDS = 32
MIN_BINS_OF_BAND = 2
FILTERED_BINS = 96
"""Bins up to 4.8 kHz, which are filtered over several frames; higher bands have one gain each."""

NORM_DECAY = 0.99
"""Decay of the running means per frame: a time constant of one second."""

_FIRST_BAND_DB = (-60.0, -90.0)
_FIRST_BIN_SIZE = (0.001, 0.0001)
"""Initial running means of the lowest and the highest band or bin."""


class VoiceRemover:
    """Both networks for one recording; ``folders`` maps SEPARATION_MODELS to their folders."""

    def __init__(self, folders: Mapping[str, Path], layout: Layout, rate: int, threads: int) -> None:
        self._deepfilter = DeepFilter(folders[DEEPFILTER_MODEL], threads)
        self._spleeter = Spleeter(folders[SPLEETER_MODEL])
        self._groups = layout.groups
        self._rate = rate
        self._threads = threads

    def __call__(self, samples: Channels) -> Channels:
        """Return the voices in the samples, with the same shape; none in low-frequency channels."""
        voices = np.zeros_like(samples)
        for group in self._groups:
            channels = samples[:, group]
            if np.abs(channels).max(initial=0.0) > _SILENT:
                voices[:, group] = self._voices(channels)
        return voices

    def _voices(self, samples: Channels) -> Channels:
        length = len(samples)
        inputs = _resample(samples, self._rate, DEEPFILTER_RATE)
        speech = np.stack([self._deepfilter.speech(channel) for channel in inputs.T], axis=1)
        found = _with_length(_resample(speech, DEEPFILTER_RATE, self._rate), length)
        rest = _resample(samples - found, self._rate, SPLEETER_RATE)
        with torch_threads(self._threads):
            voices = self._spleeter.voices(rest)
        return found + _with_length(_resample(voices, SPLEETER_RATE, self._rate), length)


def analyse(samples: Samples) -> Spectra:
    """Return spectra of 20 ms windows, from 10 ms before the signal to after its end.

    Every sample is in two windows, so that :func:`synthesise` restores the signal.
    """
    frames = -(-len(samples) // HOP) + 1
    padded = np.zeros((frames + 1) * HOP, np.float32)
    padded[HOP : HOP + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra: Spectra = (np.fft.rfft(windows * _window(), axis=1) / WINDOW).astype(np.complex64)
    return spectra


def synthesise(spectra: Spectra, length: int) -> Samples:
    """Return the signal of the spectra of :func:`analyse`, by overlap and add."""
    halves = (np.fft.irfft(spectra, WINDOW, axis=1) * WINDOW * _window()).reshape(-1, 2, HOP)
    signal: Samples = (halves[1:, 0] + halves[:-1, 1]).ravel()[:length].astype(np.float32)
    return signal


def band_features(spectra: Spectra) -> Features:
    """Return the level of each band in dB minus its running mean, divided by 40: shape (frames, BANDS)."""
    power = np.square(np.abs(spectra.astype(np.complex128)))
    edges = band_edges()
    level = 10 * np.log10(np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges) + 1e-10)
    mean = _running_mean(level, np.linspace(*_FIRST_BAND_DB, BANDS))
    return ((level - mean) / 40).astype(np.float32)


def bin_features(spectra: Spectra) -> Features:
    """Return the lowest bins over the root of their mean magnitude: shape (2, frames, FILTERED_BINS)."""
    lowest = spectra[:, :FILTERED_BINS].astype(np.complex128)
    mean = _running_mean(np.abs(lowest), np.linspace(*_FIRST_BIN_SIZE, FILTERED_BINS))
    unit = lowest / np.sqrt(mean)
    return np.stack([unit.real, unit.imag]).astype(np.float32)


@functools.cache
def band_edges() -> NDArray[np.intp]:
    """Return the first bin of each band, and BINS.

    The bands are equally wide in equivalent rectangular bandwidths, but at least two bins wide.
    """
    low_frequency_slope = 9.265
    per_hertz = 24.7 * low_frequency_slope
    highest = low_frequency_slope * np.log1p(DEEPFILTER_RATE / 2 / per_hertz)
    corners = per_hertz * np.expm1(np.arange(1, BANDS + 1) * highest / BANDS / low_frequency_slope)
    wanted = np.rint(corners * WINDOW / DEEPFILTER_RATE).astype(int)
    edges = [0]
    for corner in wanted:
        edges.append(max(int(corner), edges[-1] + MIN_BINS_OF_BAND))
    edges[-1] = BINS
    return np.array(edges, np.intp)


@functools.cache
def _window() -> Samples:
    """Return the power-complementary window of Vorbis."""
    sine = np.sin(0.5 * np.pi * (np.arange(WINDOW) + 0.5) / HOP)
    return np.sin(0.5 * np.pi * np.square(sine)).astype(np.float32)


def _running_mean(values: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.signal import lfilter

    averages, _ = lfilter([1 - NORM_DECAY], [1, -NORM_DECAY], values, axis=0, zi=(NORM_DECAY * first)[None])
    result: NDArray[np.float64] = averages
    return result


_LOOKAHEAD = 2
"""Frames by which the network's output lags behind its input."""
_ORDER = 5
"""Taps of the filters of the lowest bins: two frames before the filtered one to two after it."""


class DeepFilter:
    """DeepFilterNet3, from the published ONNX files in a model folder. Not thread-safe."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._encoder, self._gains, self._filters = _load_networks(folder / DEEPFILTER_ARCHIVE, threads)

    def speech(self, samples: Samples) -> Samples:
        """Return the speech in a mono signal at 48 kHz, sample by sample."""
        spectra = analyse(np.pad(samples, (0, _LOOKAHEAD * (BINS - 1))))
        return synthesise(self._enhance(spectra), len(samples))

    def _enhance(self, spectra: Spectra) -> Spectra:
        """Return the spectra of the speech, without the last frames, which are lookahead."""
        gains, filters = self._predict(band_features(spectra), bin_features(spectra))
        frames = len(gains)
        edges = band_edges()
        speech: Spectra = spectra[:frames] * np.repeat(gains, np.diff(edges), axis=1)
        context = np.pad(spectra[:, :FILTERED_BINS], ((_ORDER - 1 - _LOOKAHEAD, 0), (0, 0)))
        filtered = np.zeros((frames, FILTERED_BINS), np.complex64)
        for tap in range(_ORDER):
            filtered += context[tap : tap + frames] * filters[:, :, tap]
        speech[:, :FILTERED_BINS] = filtered
        return speech

    def _predict(self, bands: Features, bins: Features) -> tuple[Features, NDArray[np.complex64]]:
        """Return gains, (frames, BANDS), and filters of the lowest bins, (frames, FILTERED_BINS, taps)."""
        names = ("e0", "e1", "e2", "e3", "emb", "c0")
        inputs = {"feat_erb": bands[None, None], "feat_spec": bins[None]}
        encoded = dict(zip(names, self._encoder.run(names, inputs), strict=True))
        (gains,) = self._gains.run(["m"], {name: encoded[name] for name in ("emb", "e3", "e2", "e1", "e0")})
        (filters,) = self._filters.run(["coefs"], {name: encoded[name] for name in ("emb", "c0")})
        # The last axis has a real and an imaginary part for each tap.
        return gains[0, 0, _LOOKAHEAD:], filters[0, _LOOKAHEAD:].view("complex64")


def _load_networks(
    archive: Path, threads: int
) -> tuple[InferenceSession, InferenceSession, InferenceSession]:
    """Load encoder, gain decoder and filter decoder from the archive, which was verified when downloaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def session(tar: tarfile.TarFile, name: str) -> InferenceSession:
        file = tar.extractfile(f"tmp/export/{name}.onnx")
        assert file is not None
        return onnxruntime.InferenceSession(file.read(), options, providers=["CPUExecutionProvider"])

    with tarfile.open(archive) as tar:
        return session(tar, "enc"), session(tar, "erb_dec"), session(tar, "df_dec")


VOICES, REST = 0, 1

STEP = 64
"""Numbers of frames and bins are multiples of it: each of six layers halves them."""

_WIDTHS = (16, 32, 64, 128, 256, 512)
_CHANNELS = 2
_LEAK = 0.2
_NORM_EPSILON = 1e-3
"""The default of Keras, with which the network was trained."""


class UNets:
    """The U-nets of Spleeter's two stems, which estimate the magnitudes of the voices and of the rest."""

    def __init__(self, weights: Path) -> None:
        self._weights = _read_weights(weights)

    def magnitudes(self, spectrogram: torch.Tensor, which: int) -> torch.Tensor:
        """Return the magnitudes of the VOICES or the REST of a mix: shape (2 channels, frames, bins)."""
        import torch

        with torch.inference_mode():
            mask = self._mask(spectrogram[None], which)[0]
        return mask * spectrogram

    def _mask(self, x: torch.Tensor, which: int) -> torch.Tensor:
        import torch
        from torch.nn import functional

        skipped = []
        for layer in range(len(_WIDTHS)):
            kernel, bias = self._convolution("conv2d", 7 * which + layer)
            # TensorFlow's "same" padding: the larger half of an odd number is at the end.
            x = functional.conv2d(functional.pad(x, (1, 2, 1, 2)), kernel, bias, stride=2)
            skipped.append(x)
            x = functional.leaky_relu(self._normalise(x, 12 * which + layer), _LEAK)
        x = skipped.pop()
        for layer in range(len(_WIDTHS)):
            kernel, bias = self._convolution("conv2d_transpose", 6 * which + layer)
            height, width = 2 * x.shape[2], 2 * x.shape[3]
            x = functional.conv_transpose2d(x, kernel, bias, stride=2)[:, :, 1 : 1 + height, 1 : 1 + width]
            x = self._normalise(functional.relu(x), 12 * which + 6 + layer)
            if skipped:
                x = torch.cat([skipped.pop(), x], dim=1)
        kernel, bias = self._convolution("conv2d", 7 * which + 6)
        return torch.sigmoid(functional.conv2d(functional.pad(x, (3, 3, 3, 3)), kernel, bias, dilation=2))

    def _convolution(self, kind: str, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        name = _name(kind, index)
        return self._weights[f"{name}/kernel"].permute(3, 2, 0, 1), self._weights[f"{name}/bias"]

    def _normalise(self, x: torch.Tensor, index: int) -> torch.Tensor:
        from torch.nn import functional

        name = _name("batch_normalization", index)
        mean, variance, gamma, beta = (
            self._weights[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=_NORM_EPSILON)


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the data file of a TensorFlow checkpoint: the numbers of all tensors in order of their names."""
    import torch

    numbers = np.fromfile(path, "<f4")
    tensors: dict[str, torch.Tensor] = {}
    position = 0
    for name, shape in sorted(_shapes().items()):
        size = math.prod(shape)
        tensors[name] = torch.from_numpy(numbers[position : position + size].reshape(shape))
        position += size
    return tensors


def _shapes() -> dict[str, Shape]:
    """Return the shape of every tensor of both networks."""
    shapes: dict[str, Shape] = {}
    for which in (VOICES, REST):
        down = list(zip((_CHANNELS, *_WIDTHS), _WIDTHS, strict=False))
        for layer, (inputs, outputs) in enumerate(down):
            _add_convolution(shapes, _name("conv2d", 7 * which + layer), (5, 5, inputs, outputs), outputs)
        _add_convolution(shapes, _name("conv2d", 7 * which + 6), (4, 4, 1, _CHANNELS), _CHANNELS)
        up = (*_WIDTHS[-2::-1], 1)
        # Skip connections double the inputs from the second layer on.
        up_inputs = (_WIDTHS[-1], *(2 * width for width in up[:-1]))
        for layer, (inputs, outputs) in enumerate(zip(up_inputs, up, strict=True)):
            name = _name("conv2d_transpose", 6 * which + layer)
            _add_convolution(shapes, name, (5, 5, outputs, inputs), outputs)
        for layer, width in enumerate((*_WIDTHS, *up)):
            name = _name("batch_normalization", 12 * which + layer)
            for part in ("beta", "gamma", "moving_mean", "moving_variance"):
                shapes[f"{name}/{part}"] = (width,)
    return shapes


def _add_convolution(shapes: dict[str, Shape], name: str, kernel: Shape, width: int) -> None:
    shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = kernel, (width,)


def _name(kind: str, index: int) -> str:
    """Return the name of a layer: Keras numbers them over both networks, but not the first one."""
    return f"{kind}_{index}" if index else kind


SPLEETER_RATE = 44_100

_WEIGHTS = "model.data"
_WINDOW = 4096
_HOP = 1024
_INPUT_BINS = 1024
"""Bins up to 11 kHz. Higher bins have the mean mask of the highest ones of these."""
_HIGHEST_BINS = 64
_EPSILON = 1e-10


class Spleeter:
    """Spleeter with two stems, from a model folder. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._nets = UNets(folder / _WEIGHTS)

    def voices(self, samples: Channels) -> Channels:
        """Return the voices in one or two channels at 44.1 kHz, sample by sample.

        The rest is the background: the masks of both add up to one.
        """
        import torch

        length, channels = samples.shape
        # Mono has two equal channels, as in training.
        stereo = torch.from_numpy(np.ascontiguousarray(samples.T, np.float32)).expand(2, length)
        window = torch.hann_window(_WINDOW)
        padded = torch.nn.functional.pad(stereo, (_WINDOW, _WINDOW + _HOP))
        spectra = torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True)
        voices = torch.istft(spectra * self._voice_mask(spectra.abs()), _WINDOW, _HOP, window=window)
        # istft assumes centred spectra and drops the first half window.
        start = _WINDOW // 2
        return voices[:channels, start : start + length].numpy().T

    def _voice_mask(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """Return the share of voices in the power, shape (2, bins, frames)."""
        import torch
        from torch.nn import functional

        frames = magnitudes.shape[2]
        inputs = functional.pad(magnitudes[:, :_INPUT_BINS], (0, -frames % STEP)).transpose(1, 2)
        voice, rest = (self._nets.magnitudes(inputs, which).square() for which in (VOICES, REST))
        mask = ((voice + _EPSILON / 2) / (voice + rest + _EPSILON)).transpose(1, 2)[:, :, :frames]
        high = mask[:, -_HIGHEST_BINS:].mean(dim=1, keepdim=True)
        return torch.cat([mask, high.expand(-1, magnitudes.shape[1] - _INPUT_BINS, -1)], dim=1)


def _resample(samples: Channels, rate: int, target: int) -> Channels:
    resampled: Channels = soxr.resample(samples, rate, target) if rate != target else samples
    return resampled


def _with_length(samples: Channels, length: int) -> Channels:
    """Cut or pad by the sample that the rounding of two resamplings may leave."""
    return np.pad(samples[:length], ((0, max(0, length - len(samples))), (0, 0)))
