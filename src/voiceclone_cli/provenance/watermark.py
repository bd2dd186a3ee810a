"""Watermark and tags of synthesized speech: writing them into segments, and the networks of the watermark."""

from __future__ import annotations

import contextlib
import time
import typing
import wave
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import soxr
from numpy.typing import NDArray

from voiceclone_cli import __version__
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.writer import open_wav, to_pcm16
from voiceclone_cli.children import wait_in_steps
from voiceclone_cli.config import Settings, models_home
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.files import write_error
from voiceclone_cli.models import download
from voiceclone_cli.system import torch_threads
from voiceclone_cli.types import Progress
from voiceclone_worker.atomic import atomic_path
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.protocol import Failure, SegmentRow

if typing.TYPE_CHECKING:
    from torch import Tensor

    Convolutions = list[tuple[Tensor, Tensor]]
    """Weights and bias of each, in order."""

WATERMARK = "perth"
"""Name of the watermark in manifests, and of its model in the registry."""

SPEAKING_ENGINES = frozenset(name for name, info in ENGINES.items() if info.is_speech)
"""Engines whose segments are marked and tagged. The echo engine makes tones, not speech."""

OnProcessed = Callable[[SegmentRow, str | None], None]
"""Called with the final result of a segment, and the reason why it carries no mark although it should."""

_MAX_IDS = 5


def watermark_of(engine: str, *, wanted: bool) -> str | None:
    """Return the watermark of this engine's segments; None if it is disabled or the engine makes no speech."""
    return WATERMARK if wanted and engine in SPEAKING_ENGINES else None


class Postprocessor:
    """A thread that marks and tags segments while the workers go on, so that their environment needs no models.

    A segment counts only after this: one that a killed run left unprocessed has no note and is made again.
    Use it as a context manager: at its end, also after an error, every accepted segment has been processed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postprocessor")
        self._jobs: deque[Future[None]] = deque()
        self._loaded: dict[Path, Watermark] = {}
        self.seconds = 0.0

    def process(self, result: SegmentRow, engine: str, model: Path | None, on_processed: OnProcessed) -> None:
        """Mark and tag a worker's result, and pass the final one to ``on_processed`` in the thread.

        ``model`` is the folder of the watermark's model; None: tags only. Failed results and those of engines that
        make no speech are passed on at once. Errors of ``on_processed`` are raised by a later call, or at the end.
        """
        while self._jobs and self._jobs[0].done():  # one thread: they end in order
            self._jobs.popleft().result()
        if engine not in SPEAKING_ENGINES or result.status != "done":
            on_processed(result, None)
        else:
            self._jobs.append(self._thread.submit(self._process, result, engine, model, on_processed))

    def __enter__(self) -> Postprocessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wait_in_steps(lambda step: not wait(self._jobs, step).not_done)
        self._thread.shutdown()
        if kind is None:
            for job in self._jobs:
                job.result()

    def _process(
        self, result: SegmentRow, engine: str, model: Path | None, on_processed: OnProcessed
    ) -> None:
        started = time.perf_counter()
        path = Path(result.file or "")
        unmarked = None
        try:
            watermark = None if model is None else self._watermark(model)
            sha256, unmarked = watermark_and_tag(path, engine, watermark)
            result = replace(result, sha256=sha256)
        except Exception as error:
            failure = _failure(path, error)
            result = SegmentRow(result.task, result.id, "failed", seed=result.seed, error=failure)
            # An unmarked file must not be taken for a marked one.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self.seconds += time.perf_counter() - started
        on_processed(result, unmarked)

    def _watermark(self, folder: Path) -> Watermark:
        """Load the model for the first segment: without one, torch is not even imported."""
        if folder not in self._loaded:
            self._loaded[folder] = load_watermark(folder, threads=1)
        return self._loaded[folder]


def watermark_and_tag(path: Path, engine: str, watermark: Watermark | None) -> tuple[str, str | None]:
    """Mark and tag a mono 16-bit wav in place, atomically.

    Returns its SHA-256, and the reason why it could not be marked (None if it was, or without a watermark).
    Raises OSError, ValueError for other formats, and what the model raises.
    """
    samples, rate = _read(path)
    unmarked = None
    if watermark is not None:
        unmarked = why_unmarkable(samples, rate)
        samples = watermark.mark(samples, rate)
    with (
        atomic_path(path, sync=False) as temporary,
        open_wav(temporary, rate, len(samples), info=wav_info(engine)) as file,
    ):
        file.write(to_pcm16(samples))
    return file.sha256, unmarked


def _read(path: Path) -> tuple[Samples, int]:
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path.name} is not mono with 16 bits")
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return pcm.astype(np.float32) / np.float32(32768), file.getframerate()


def _failure(path: Path, error: Exception) -> Failure:
    if isinstance(error, FileNotFoundError) and path.parent.is_dir():
        return Failure("output_vanished", f"{path} was written, but does not exist any more")
    if isinstance(error, OSError):
        explained = write_error(path.parent, error)
        return Failure(explained.code, explained.message)
    return Failure(
        "watermark_failed",
        f"{path.name} could not be watermarked ({error}): run the same command again, or disable the watermark "
        "with --no-watermark",
    )


def unmarked_notes(unmarked: Mapping[str, str]) -> list[str]:
    """Return a sentence for each reason in ``unmarked``, the reasons why segments carry no mark by their ids."""
    notes = []
    for reason in sorted(set(unmarked.values())):
        ids = sorted(id for id, why in unmarked.items() if why == reason)
        more = f" and {len(ids) - _MAX_IDS} more" if len(ids) > _MAX_IDS else ""
        notes.append(f"no watermark is on {', '.join(ids[:_MAX_IDS])}{more}: {reason}")
    return notes


# Tags: anybody can remove them. The term for the origin of the sound is IPTC's "digital source type", which the rules
# on synthetic media refer to.

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PROGRAM = f"voiceclone {__version__}"

_SIGNATURE = "made with voiceclone"
_OWN_WORDS = (_SIGNATURE, "voiceclone ", "trainedAlgorithmicMedia")
_MAX_TAG = 200
"""Characters of a tag that are shown."""


def sentence(engine: str) -> str:
    """Return the text of a tag for people."""
    return f"Synthetic voices, {_SIGNATURE} {__version__} ({engine})"


def wav_info(engine: str) -> dict[str, str]:
    """Return comment, software and keywords for the LIST INFO chunk of a wav; empty if the engine makes no speech."""
    if engine not in SPEAKING_ENGINES:
        return {}
    return {"ICMT": sentence(engine), "ISFT": PROGRAM, "IKEY": "synthetic voices; trainedAlgorithmicMedia"}


def container_tags(engine: str) -> dict[str, str]:
    """Return tags for the metadata of an mp4, mkv, flac or mp3; empty if the engine makes no speech.

    Every player shows a comment; the others are for programs.
    """
    if engine not in SPEAKING_ENGINES:
        return {}
    return {
        "comment": sentence(engine),
        "description": sentence(engine),
        "software": PROGRAM,
        "digital_source_type": SOURCE_TYPE,
    }


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags about synthetic voices by lower-case name, without control characters for the terminal."""
    return {
        _printable(name.lower()): _printable(text)
        for name, text in tags.items()
        if any(word in text for word in _OWN_WORDS)
    }


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_MAX_TAG])


# The watermark: Perth's implicit one ("perceptual threshold", Resemble AI, 2023). It changes magnitudes below 2 kHz by
# a few decibels, in a pattern that convolutions derive from the speech and that the speech masks. Encoder and
# decoder are seven convolutions over time; weights and sizes are those of the published model (resemble-perth
# 1.0.1, MIT).

PERTH_FILE = "perth_net_250000.pth.tar"
PERTH_RATE = 32_000
"""Hz. The networks were trained at this rate."""
PERTH_HOP = 320
MIN_SAMPLES = 3_200
"""Samples at PERTH_RATE, a tenth of a second: half a window of the transform, and a few hops."""

_WINDOW = 2_048
_BANDS = 128
"""Of the transform's 1025 bins, those below 2 kHz."""
_FLOOR_DB, _RANGE_DB = -180.0, 195.0
"""The networks take magnitudes of -180 to +15 dB as 0 to 1."""
_AUDIBLE = 0.05
"""Frames below this share of the loudest one carry no mark."""
_TEMPI = (("slow", 1.25), ("normal", 1.0), ("fast", 0.75))
"""The decoder analyzes three tempi, and weights them by its confidence."""


class Watermark:
    """Perth for signals at any rate. Made by ``load_watermark``."""

    def __init__(self, networks: Perth, threads: int) -> None:
        self._networks = networks
        self._threads = threads

    def mark(self, samples: Samples, rate: int) -> Samples:
        """Return a marked copy of a mono signal, of the same length; the signal itself if it cannot carry a mark.

        Only the difference is resampled to the signal's rate and added: above 2 kHz nothing changes but rounding.
        """
        import torch

        if why_unmarkable(samples, rate) is not None:
            return samples
        signal = resample(samples, rate, PERTH_RATE)
        # The transform needs whole hops, and room to fade out after the last sample.
        padded = np.pad(signal, (0, -len(signal) % PERTH_HOP + 2 * PERTH_HOP))
        # Always one thread: more change the last bit of some samples, and with it the file's hash.
        with torch.inference_mode(), torch_threads(1):
            residual = self._networks.residual(torch.from_numpy(padded)).numpy()
        added = resample(residual[: len(signal)], PERTH_RATE, rate)
        # Resampling may round the length by a few samples.
        added = np.pad(added, (0, max(0, len(samples) - len(added))))[: len(samples)]
        return samples + added

    def confidences(self, signals: Samples) -> NDArray[np.float32]:
        """Return the confidence, 0 to 1, that each whole signal carries the mark; 0 for silence.

        ``signals`` at PERTH_RATE, (signals, samples), to (signals,). Long signals should be cut into windows. Raises
        ValueError for signals under a tenth of a second.
        """
        import torch

        if signals.shape[1] < MIN_SAMPLES:
            raise ValueError(f"a signal of {signals.shape[1]} samples is too short to carry a watermark")
        with torch.inference_mode(), torch_threads(self._threads):
            found: NDArray[np.float32] = self._networks.confidence(torch.from_numpy(signals)).numpy()
        return np.where(np.isnan(found), np.float32(0), found)


def load_watermark(folder: Path, threads: int) -> Watermark:
    """Load the watermark from its model's folder; detection uses ``threads``.

    Raises PreflightError (``watermark_unusable``).
    """
    try:
        import torch

        # Tensors only: no code in the file is run.
        saved = torch.load(folder / PERTH_FILE, map_location="cpu", weights_only=True)
        return Watermark(Perth(saved["model"]), threads)
    except Exception as error:
        raise PreflightError(
            f"the watermark's model in {folder} cannot be loaded ({error}): run `voiceclone models verify` to find "
            f"damaged files, and `voiceclone models pull {WATERMARK}` to replace them.",
            code="watermark_unusable",
        ) from error


def watermark_folder(settings: Settings, progress: Progress) -> Path:
    """Return the folder of the watermark's model, downloaded if necessary. Raises PreflightError."""
    home = models_home(settings)
    return download.ensure_models([WATERMARK], progress, home=home, token=settings.token)[WATERMARK]


def why_unmarkable(samples: Samples, rate: int) -> str | None:
    """Return why a signal cannot carry the mark, "too short" or "silent"; None if it can."""
    if len(samples) < MIN_SAMPLES / PERTH_RATE * rate:
        return "too short"
    return None if samples.any() else "silent"


def resample(samples: Samples, rate: int, target: int) -> Samples:
    """Return a whole signal at another rate (soxr, HQ), float32."""
    found: Samples = samples if rate == target else soxr.resample(samples, rate, target, "HQ")
    return np.ascontiguousarray(found, dtype=np.float32)


class Perth:
    """Both networks. Signals are float32 at PERTH_RATE, of at least MIN_SAMPLES."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._encoder = _convolutions(weights, "encoder.layers")
        self._decoder = [
            (_convolutions(weights, f"decoder.{tempo}_layers"), stretch) for tempo, stretch in _TEMPI
        ]

    def residual(self, signal: Tensor) -> Tensor:
        """Return what marks a signal, (samples,), when it is added. Nothing is above 2 kHz."""
        import torch

        window = torch.hann_window(_WINDOW)
        spectrum = _spectrum(signal[None], window)
        magnitudes = _normalised(spectrum)
        audible = _audible(magnitudes)
        change_db = _RANGE_DB * _run(self._encoder, magnitudes[:, :_BANDS]) * audible
        added = torch.zeros_like(spectrum)
        # A change of magnitude under the same phase is a factor.
        added[:, :_BANDS] = spectrum[:, :_BANDS] * (10 ** (change_db / 20) - 1)
        whole: Tensor = torch.istft(added, _WINDOW, PERTH_HOP, window=window, length=len(signal))[0]
        return whole

    def confidence(self, signals: Tensor) -> Tensor:
        """Return the confidence, 0 to 1, that each signal carries the mark; NaN for digital silence.

        (signals, samples) to (signals,).
        """
        import torch

        magnitudes = _normalised(_spectrum(signals, torch.hann_window(_WINDOW)))
        audible = _audible(magnitudes)
        outputs = [
            _decode(network, magnitudes[:, :_BANDS], audible, stretch) for network, stretch in self._decoder
        ]
        weights, marks = torch.stack(outputs, dim=2).unbind(dim=1)
        return (marks * torch.softmax(weights, dim=1)).sum(dim=1).clip(0.0, 1.0)


def _convolutions(weights: Mapping[str, Tensor], name: str) -> Convolutions:
    return [(weights[f"{name}.{n}.conv.weight"], weights[f"{name}.{n}.conv.bias"]) for n in range(7)]


def _run(network: Convolutions, frames: Tensor) -> Tensor:
    """Apply the convolutions to (signals, bands, frames); the number of frames stays."""
    from torch.nn import functional

    for number, (weight, bias) in enumerate(network):
        if number:
            frames = functional.leaky_relu(frames)
        frames = functional.conv1d(frames, weight, bias, padding="same")
    return frames


def _decode(network: Convolutions, bands: Tensor, audible: Tensor, stretch: float) -> Tensor:
    """Return the weight of this tempo and its detection of the mark, (signals, 2)."""
    from torch.nn import functional

    frames = int(bands.shape[2] * stretch)
    if stretch != 1.0:
        bands = functional.interpolate(bands, size=frames, mode="linear", align_corners=True)
        audible = functional.interpolate(audible, size=frames, mode="nearest")
    return (_run(network, bands) * audible).sum(dim=2) / audible.sum(dim=2)


def _spectrum(signals: Tensor, window: Tensor) -> Tensor:
    import torch

    return torch.stft(signals, _WINDOW, PERTH_HOP, window=window, pad_mode="reflect", return_complex=True)


def _normalised(spectrum: Tensor) -> Tensor:
    import torch

    decibels = 20 * torch.log10(spectrum.abs().clip(10 ** (_FLOOR_DB / 20)))
    return (decibels - _FLOOR_DB) / _RANGE_DB


def _audible(magnitudes: Tensor) -> Tensor:
    """Return 1 for audible frames, else 0, (signals, 1, frames)."""
    loudness = magnitudes.sum(dim=1, keepdim=True)
    return (loudness > _AUDIBLE * loudness.amax(dim=2, keepdim=True)).float()
