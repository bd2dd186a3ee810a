"""The voices in a recording's channels, by two networks that know different things.

DeepFilterNet knows speech from noise, and takes some music for speech; Spleeter knows voices from music, and
takes some noise for a voice. What the first one calls speech is taken out, and from what is left, what the
second one calls a voice (benchmarks/background.py compares this with either of them alone).
"""

from __future__ import annotations

import functools
import math
import tarfile
import typing
from collections.abc import Mapping
from pathlib import Path

from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.system import torch_threads

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

    Spectra = NDArray[np.complex64]
    """Shape (frames, BINS)."""
    Features = NDArray[np.float32]
    import torch
    from onnxruntime import InferenceSession

    Shape = tuple[int, ...]
    from voiceclone_cli.audio.reader import Channels


# DeepFilterNet's view of a signal: its short-time spectra, and the features its network is given.
#
# As in the published runtime (Schröter et al., "DeepFilterNet: Perceptually Motivated Real-Time Speech
# Enhancement", Interspeech 2023, and its library libDF): 20 ms windows every 10 ms at 48 kHz.


DEEPFILTER_RATE = 48_000
WINDOW = 960
HOP = 480
BINS = WINDOW // 2 + 1
BANDS = 32
MIN_BINS_OF_BAND = 2
FILTERED_BINS = 96
"""The lowest 4.8 kHz, which are filtered over several frames; above, bands get a gain each."""

NORM_DECAY = 0.99
"""Of the running means: a time constant of one second."""

_FIRST_BAND_DB = (-60.0, -90.0)
_FIRST_BIN_SIZE = (0.001, 0.0001)
"""Where the running means begin, at the lowest and the highest band or bin."""


def analyse(samples: Samples) -> Spectra:
    """Spectra of 20 ms windows; the first one begins 10 ms before the signal, the last one ends after it.

    Every sample lies in two windows, so that :func:`synthesise` gives the signal back.
    """
    import numpy as np

    frames = -(-len(samples) // HOP) + 1
    padded = np.zeros((frames + 1) * HOP, np.float32)
    padded[HOP : HOP + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectra: Spectra = (np.fft.rfft(windows * _window(), axis=1) / WINDOW).astype(np.complex64)
    return spectra


def synthesise(spectra: Spectra, length: int) -> Samples:
    """The signal of spectra that lie as those of :func:`analyse` do, by overlap and add."""
    import numpy as np

    halves = (np.fft.irfft(spectra, WINDOW, axis=1) * WINDOW * _window()).reshape(-1, 2, HOP)
    signal: Samples = (halves[1:, 0] + halves[:-1, 1]).ravel()[:length].astype(np.float32)
    return signal


def band_features(spectra: Spectra) -> Features:
    """Level of each band in dB, less its running mean, over 40: shape (frames, BANDS)."""
    import numpy as np

    power = np.square(np.abs(spectra.astype(np.complex128)))
    edges = band_edges()
    level = 10 * np.log10(np.add.reduceat(power, edges[:-1], axis=1) / np.diff(edges) + 1e-10)
    mean = _running_mean(level, np.linspace(*_FIRST_BAND_DB, BANDS))
    return ((level - mean) / 40).astype(np.float32)


def bin_features(spectra: Spectra) -> Features:
    """The lowest bins over the root of their running mean size: shape (2, frames, FILTERED_BINS)."""
    import numpy as np

    lowest = spectra[:, :FILTERED_BINS].astype(np.complex128)
    mean = _running_mean(np.abs(lowest), np.linspace(*_FIRST_BIN_SIZE, FILTERED_BINS))
    unit = lowest / np.sqrt(mean)
    return np.stack([unit.real, unit.imag]).astype(np.float32)


@functools.cache
def band_edges() -> NDArray[np.intp]:
    """First bin of each band, and BINS: bands equally wide in equivalent rectangular bandwidths.

    A band narrower than two bins takes from the next one.
    """
    import numpy as np

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
    """Vorbis' power-complementary window."""
    import numpy as np

    sine = np.sin(0.5 * np.pi * (np.arange(WINDOW) + 0.5) / HOP)
    return np.sin(0.5 * np.pi * np.square(sine)).astype(np.float32)


def _running_mean(values: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.signal import lfilter

    means, _ = lfilter([1 - NORM_DECAY], [1, -NORM_DECAY], values, axis=0, zi=(NORM_DECAY * first)[None])
    result: NDArray[np.float64] = means
    return result


# DeepFilterNet3: what of a signal is speech.
#
# H. Schröter, A. N. Escalante-B., T. Rosenkranz, A. Maier: "DeepFilterNet: Perceptually Motivated Real-Time
# Speech Enhancement", Interspeech 2023. The network is run from the published ONNX files; what is around it
# is written after the paper and the behaviour of the published library, to which the result is equal.


DEEPFILTER_MODEL = "deepfilternet"
DEEPFILTER_ARCHIVE = "DeepFilterNet3_onnx.tar.gz"

_LOOKAHEAD = 2
"""Frames. What the network says when it has heard a frame is about the one two before it."""
_ORDER = 5
"""Frames that a filter of the lowest bins spans: two before the filtered one, and two after it."""


class DeepFilter:
    """The network of one model folder. Not to be used by two threads at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._encoder, self._gains, self._filters = _networks(folder / DEEPFILTER_ARCHIVE, threads)

    def speech(self, samples: Samples) -> Samples:
        """The speech in a mono signal at 48 kHz, in as many samples, each at its place."""
        import numpy as np

        heard = np.pad(samples, (0, _LOOKAHEAD * (BINS - 1)))
        spectra = analyse(heard)
        speech = self._enhanced(spectra)
        return synthesise(speech, len(samples))

    def _enhanced(self, spectra: Spectra) -> Spectra:
        """Shape (frames - lookahead, BINS): the last frames only served to look ahead."""
        import numpy as np

        gains, filters = self._asked(band_features(spectra), bin_features(spectra))
        frames = len(gains)
        edges = band_edges()
        speech: Spectra = spectra[:frames] * np.repeat(gains, np.diff(edges), axis=1)
        around = np.pad(spectra[:, :FILTERED_BINS], ((_ORDER - 1 - _LOOKAHEAD, 0), (0, 0)))
        filtered = np.zeros((frames, FILTERED_BINS), np.complex64)
        for tap in range(_ORDER):
            filtered += around[tap : tap + frames] * filters[:, :, tap]
        speech[:, :FILTERED_BINS] = filtered
        return speech

    def _asked(self, bands: Features, bins: Features) -> tuple[Features, NDArray[np.complex64]]:
        """A gain for each band, (frames, BANDS), and a filter for each of the lowest bins,
        (frames, FILTERED_BINS, taps)."""
        names = ("e0", "e1", "e2", "e3", "emb", "c0")
        inputs = {"feat_erb": bands[None, None], "feat_spec": bins[None]}
        heard = dict(zip(names, self._encoder.run(names, inputs), strict=True))
        (gains,) = self._gains.run(["m"], {name: heard[name] for name in ("emb", "e3", "e2", "e1", "e0")})
        (filters,) = self._filters.run(["coefs"], {name: heard[name] for name in ("emb", "c0")})
        # The last axis holds a real and an imaginary part for each tap.
        return gains[0, 0, _LOOKAHEAD:], filters[0, _LOOKAHEAD:].view("complex64")


def _networks(archive: Path, threads: int) -> tuple[InferenceSession, InferenceSession, InferenceSession]:
    """Encoder, gain decoder and filter decoder. The archive's bytes were verified when it was fetched."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def session(tar: tarfile.TarFile, name: str) -> InferenceSession:
        member = tar.extractfile(f"tmp/export/{name}.onnx")
        assert member is not None
        return onnxruntime.InferenceSession(member.read(), options, providers=["CPUExecutionProvider"])

    with tarfile.open(archive) as tar:
        return session(tar, "enc"), session(tar, "erb_dec"), session(tar, "df_dec")


# The U-nets of Spleeter's two stems: how large the voices are in a spectrogram, and how large the rest is.
#
# A. Jansson et al.: "Singing voice separation with deep U-net convolutional networks", ISMIR 2017;
# R. Hennequin, A. Khlif, F. Voituret, M. Moussallam: "Spleeter: a fast and efficient music source separation
# tool with pre-trained models", JOSS 2020. Written after the papers, for the published weights.


VOICES, REST = 0, 1

STEP = 64
"""Frames and bins come in multiples of it: each of six layers halves them."""

_WIDTHS = (16, 32, 64, 128, 256, 512)
_CHANNELS = 2
_LEAK = 0.2
_NORM_EPSILON = 1e-3
"""Keras' own, with which the network was trained."""


class UNets:
    """Both networks of one weights file."""

    def __init__(self, weights: Path) -> None:
        self._weights = _read(weights)

    def magnitudes(self, spectrogram: torch.Tensor, which: int) -> torch.Tensor:
        """Magnitudes of the VOICES or the REST in those of a mix: shape (2 channels, frames, bins)."""
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
            # Tensorflow's "same": an odd number of zeros has its larger half behind.
            x = functional.conv2d(functional.pad(x, (1, 2, 1, 2)), kernel, bias, stride=2)
            skipped.append(x)
            x = functional.leaky_relu(self._normalised(x, 12 * which + layer), _LEAK)
        x = skipped.pop()
        for layer in range(len(_WIDTHS)):
            kernel, bias = self._convolution("conv2d_transpose", 6 * which + layer)
            height, width = 2 * x.shape[2], 2 * x.shape[3]
            x = functional.conv_transpose2d(x, kernel, bias, stride=2)[:, :, 1 : 1 + height, 1 : 1 + width]
            x = self._normalised(functional.relu(x), 12 * which + 6 + layer)
            if skipped:
                x = torch.cat([skipped.pop(), x], dim=1)
        kernel, bias = self._convolution("conv2d", 7 * which + 6)
        return torch.sigmoid(functional.conv2d(functional.pad(x, (3, 3, 3, 3)), kernel, bias, dilation=2))

    def _convolution(self, kind: str, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        name = _name(kind, index)
        return self._weights[f"{name}/kernel"].permute(3, 2, 0, 1), self._weights[f"{name}/bias"]

    def _normalised(self, x: torch.Tensor, index: int) -> torch.Tensor:
        from torch.nn import functional

        name = _name("batch_normalization", index)
        mean, variance, gamma, beta = (
            self._weights[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=_NORM_EPSILON)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's data file holds its numbers bare, one tensor after the other in the order of names."""
    import numpy as np
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
    """Of every tensor of both networks."""
    shapes: dict[str, Shape] = {}
    for which in (VOICES, REST):
        down = list(zip((_CHANNELS, *_WIDTHS), _WIDTHS, strict=False))
        for layer, (taken, given) in enumerate(down):
            _add_convolution(shapes, _name("conv2d", 7 * which + layer), (5, 5, taken, given), given)
        _add_convolution(shapes, _name("conv2d", 7 * which + 6), (4, 4, 1, _CHANNELS), _CHANNELS)
        up = (*_WIDTHS[-2::-1], 1)
        # From the second layer on, what the way down had at the same size comes beside it.
        taken_up = (_WIDTHS[-1], *(2 * width for width in up[:-1]))
        for layer, (taken, given) in enumerate(zip(taken_up, up, strict=True)):
            name = _name("conv2d_transpose", 6 * which + layer)
            _add_convolution(shapes, name, (5, 5, given, taken), given)
        for layer, width in enumerate((*_WIDTHS, *up)):
            name = _name("batch_normalization", 12 * which + layer)
            for part in ("beta", "gamma", "moving_mean", "moving_variance"):
                shapes[f"{name}/{part}"] = (width,)
    return shapes


def _add_convolution(shapes: dict[str, Shape], name: str, kernel: Shape, width: int) -> None:
    shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = kernel, (width,)


def _name(kind: str, index: int) -> str:
    """Keras counts layers of a kind over both networks, and leaves the first one's zero out."""
    return f"{kind}_{index}" if index else kind


# Spleeter's two stems: voices and the rest of a stereo signal, told apart in its spectrogram.


SPLEETER_MODEL = "spleeter-2stems"
SPLEETER_RATE = 44_100

_WEIGHTS = "model.data"
_WINDOW = 4096
_HOP = 1024
_HEARD_BINS = 1024
"""Up to 11 kHz. What lies above shares the fate of the highest bins below."""
_HIGHEST_BINS = 64
_EPSILON = 1e-10


class Spleeter:
    """The separation of one model folder. Not to be used by two threads at once."""

    def __init__(self, folder: Path) -> None:
        self._nets = UNets(folder / _WEIGHTS)

    def voices(self, samples: Channels) -> Channels:
        """The voices in one or two channels at 44.1 kHz, in as many samples, each at its place.

        Taking what is left as the background is the same as masking it, since both add up.
        """
        import numpy as np
        import torch

        length, channels = samples.shape
        # Both channels are asked for at once; mono is the same on both sides, as in training.
        stereo = torch.from_numpy(np.ascontiguousarray(samples.T, np.float32)).expand(2, length)
        window = torch.hann_window(_WINDOW)
        padded = torch.nn.functional.pad(stereo, (_WINDOW, _WINDOW + _HOP))
        spectra = torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True)
        voices = torch.istft(spectra * self._voice_mask(spectra.abs()), _WINDOW, _HOP, window=window)
        # istft takes the spectra for centred ones and drops the first half window itself.
        start = _WINDOW // 2
        return voices[:channels, start : start + length].numpy().T

    def _voice_mask(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """Share of the power that is voice, shape (2, bins, frames)."""
        import torch
        from torch.nn import functional

        frames = magnitudes.shape[2]
        heard = functional.pad(magnitudes[:, :_HEARD_BINS], (0, -frames % STEP)).transpose(1, 2)
        voice, rest = (self._nets.magnitudes(heard, which).square() for which in (VOICES, REST))
        mask = ((voice + _EPSILON / 2) / (voice + rest + _EPSILON)).transpose(1, 2)[:, :, :frames]
        above = mask[:, -_HIGHEST_BINS:].mean(dim=1, keepdim=True)
        return torch.cat([mask, above.expand(-1, magnitudes.shape[1] - _HEARD_BINS, -1)], dim=1)


SEPARATION_MODELS = (DEEPFILTER_MODEL, SPLEETER_MODEL)
"""What ``models.ensure`` is asked for."""

_SILENT = 1e-4
"""-80 dBFS. A channel that never passes it is not looked into."""


class VoiceRemover:
    """Finds the voices in pieces of one recording. ``folders`` holds the folder of each of MODELS."""

    def __init__(self, folders: Mapping[str, Path], layout: Layout, rate: int, threads: int) -> None:
        self._speech = DeepFilter(folders[DEEPFILTER_MODEL], threads)
        self._spleeter = Spleeter(folders[SPLEETER_MODEL])
        self._groups = layout.groups
        self._rate = rate
        self._threads = threads

    def __call__(self, samples: Channels) -> Channels:
        """The part of the samples that is voice, in the same shape. Bass channels have none."""
        import numpy as np

        voices = np.zeros_like(samples)
        for group in self._groups:
            heard = samples[:, group]
            if np.abs(heard).max(initial=0.0) > _SILENT:
                voices[:, group] = self._voices(heard)
        return voices

    def _voices(self, samples: Channels) -> Channels:
        import numpy as np

        length = len(samples)
        fine = _resampled(samples, self._rate, DEEPFILTER_RATE)
        speech = np.stack([self._speech.speech(channel) for channel in fine.T], axis=1)
        found = _fitted(_resampled(speech, DEEPFILTER_RATE, self._rate), length)
        coarse = _resampled(samples - found, self._rate, SPLEETER_RATE)
        with torch_threads(self._threads):
            voices = self._spleeter.voices(coarse)
        return found + _fitted(_resampled(voices, SPLEETER_RATE, self._rate), length)


def _resampled(samples: Channels, rate: int, target: int) -> Channels:
    import soxr

    resampled: Channels = soxr.resample(samples, rate, target) if rate != target else samples
    return resampled


def _fitted(samples: Channels, length: int) -> Channels:
    """Cut or padded by the sample that the rounding of two resamplings may leave."""
    import numpy as np

    return np.pad(samples[:length], ((0, max(0, length - len(samples))), (0, 0)))
