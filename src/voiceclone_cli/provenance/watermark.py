"""The inaudible mark of cloned speech: put on, and looked for."""

from __future__ import annotations

import contextlib
import time
import typing
import wave
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from voiceclone_cli import __version__
from voiceclone_cli.audio.writer import open_wav, to_pcm16
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
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples


# Perth's implicit watermark: the network that writes it into a spectrum, and the one that looks for it.
#
# Perth ("perceptual threshold", Resemble AI, 2023) changes the magnitudes below 2 kHz by a few decibels, in a
# pattern that convolutions make of the speech itself and that speech masks. Both networks are seven
# convolutions over time; weights and sizes are those of the published model (resemble-perth 1.0.1, MIT).


PERTH_FILE = "perth_net_250000.pth.tar"
PERTH_RATE = 32_000
"""Hz. At no other rate do the networks hear what they were trained on."""
PERTH_HOP = 320
PERTH_SHORTEST = 3_200
"""Samples at RATE, a tenth of a second. Half a window of the transform has to fit in, and a few hops."""

_WINDOW = 2_048
_BANDS = 128
"""Of the transform's 1025 bins, those below 2 kHz."""
_FLOOR_DB, _RANGE_DB = -180.0, 195.0
"""The networks know a magnitude as its place between -180 and +15 dB, from 0 to 1."""
_AUDIBLE = 0.05
"""Frames that are less than this share of the loudest one carry no mark."""
_TEMPI = (("slow", 1.25), ("normal", 1.0), ("fast", 0.75))
"""The decoder looks at three tempi, and believes the one it is surest of."""


class Perth:
    """Both networks, ready to be called. Signals are float32 at RATE, of at least SHORTEST samples."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._encoder = _convolutions(weights, "encoder.layers")
        self._decoder = [
            (_convolutions(weights, f"decoder.{tempo}_layers"), stretch) for tempo, stretch in _TEMPI
        ]

    def residual(self, signal: Tensor) -> Tensor:
        """What has to be added to a signal, (samples,), to mark it. Nothing above 2 kHz."""
        import torch

        window = torch.hann_window(_WINDOW)
        spectrum = _spectrum(signal[None], window)
        magnitudes = _normalised(spectrum)
        audible = _audible(magnitudes)
        change_db = _RANGE_DB * _run(self._encoder, magnitudes[:, :_BANDS]) * audible
        added = torch.zeros_like(spectrum)
        # A change of magnitude under the same phase is a factor. What the transform keeps is not touched.
        added[:, :_BANDS] = spectrum[:, :_BANDS] * (10 ** (change_db / 20) - 1)
        whole: Tensor = torch.istft(added, _WINDOW, PERTH_HOP, window=window, length=len(signal))[0]
        return whole

    def presence(self, signals: Tensor) -> Tensor:
        """How surely each of the signals, (signals, samples), carries the mark: (signals,) from 0 to 1.
        NaN for digital silence."""
        import torch

        magnitudes = _normalised(_spectrum(signals, torch.hann_window(_WINDOW)))
        audible = _audible(magnitudes)
        answers = [
            _answer(network, magnitudes[:, :_BANDS], audible, stretch) for network, stretch in self._decoder
        ]
        trust, marks = torch.stack(answers, dim=2).unbind(dim=1)
        return (marks * torch.softmax(trust, dim=1)).sum(dim=1).clip(0.0, 1.0)


def load_perth(folder: Path) -> Perth:
    """The networks, from FILE in the folder. Nothing in the file is run: it is read as tensors alone.

    Raises OSError, and what torch and a missing tensor raise for a file that is not the published one.
    """
    import torch

    saved = torch.load(folder / PERTH_FILE, map_location="cpu", weights_only=True)
    return Perth(saved["model"])


def _convolutions(weights: Mapping[str, Tensor], name: str) -> Convolutions:
    return [(weights[f"{name}.{n}.conv.weight"], weights[f"{name}.{n}.conv.bias"]) for n in range(7)]


def _run(network: Convolutions, frames: Tensor) -> Tensor:
    """(signals, bands, frames) through the convolutions, as many frames as before."""
    from torch.nn import functional

    for number, (weight, bias) in enumerate(network):
        if number:
            frames = functional.leaky_relu(frames)
        frames = functional.conv1d(frames, weight, bias, padding="same")
    return frames


def _answer(network: Convolutions, bands: Tensor, audible: Tensor, stretch: float) -> Tensor:
    """(signals, 2): how far this tempo is to be trusted, and whether it sees the mark."""
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
    """1 for the frames that something can be heard in, (signals, 1, frames)."""
    loudness = magnitudes.sum(dim=1, keepdim=True)
    return (loudness > _AUDIBLE * loudness.amax(dim=2, keepdim=True)).float()


# Cloned speech says that it is: an inaudible mark, tags, hashes, and a record of who agreed.


WATERMARK = "perth"
"""The mark's name in notes and manifests, and its model's in the registry."""

SPEAKING_ENGINES = frozenset(name for name, info in ENGINES.items() if info.is_speech)
"""Whose segments are somebody's voice. The echo engine's are tones: there is nothing to mark."""


def watermark_of(engine: str, *, wanted: bool) -> str | None:
    """The mark that this engine's segments carry: none where it is not wanted, or nothing is speech."""
    return WATERMARK if wanted and engine in SPEAKING_ENGINES else None


# What a file says about itself: that its voices are synthetic, and what made them.
#
# Tags are for whoever looks; anybody can remove them. The word for how the sound came to be is IPTC's
# ("digital source type"), which the rules on synthetic media point to.


SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PROGRAM = f"voiceclone {__version__}"

_SIGN = "made with voiceclone"
_OWN_WORDS = (_SIGN, "voiceclone ", "trainedAlgorithmicMedia")

_LONGEST = 200
"""Characters of a tag that are worth showing."""


def sentence(engine: str) -> str:
    """What a tag says to a person."""
    return f"Synthetic voices, {_SIGN} {__version__} ({engine})"


def wav_info(engine: str) -> dict[str, str]:
    """For the LIST INFO chunk of a wav: comment, software, keywords. Nothing for an engine that makes no speech."""
    if engine not in SPEAKING_ENGINES:
        return {}
    return {"ICMT": sentence(engine), "ISFT": PROGRAM, "IKEY": "synthetic voices; trainedAlgorithmicMedia"}


def container_tags(engine: str) -> dict[str, str]:
    """For the metadata of an mp4, mkv, flac or mp3. Every player shows a comment; the others are for
    programs. Nothing for an engine that makes no speech."""
    if engine not in SPEAKING_ENGINES:
        return {}
    return {
        "comment": sentence(engine),
        "description": sentence(engine),
        "software": PROGRAM,
        "digital_source_type": SOURCE_TYPE,
    }


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of a file's tags that speak of synthetic voices, by their names in lower case. Fit to be shown: a
    file may come from anybody, and a terminal obeys control characters."""
    return {
        _shown(name.lower()): _shown(text)
        for name, text in tags.items()
        if any(word in text for word in _OWN_WORDS)
    }


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_LONGEST])


_SHORTEST_SECONDS = PERTH_SHORTEST / PERTH_RATE


class Watermark:
    """Perth, for signals at any rate. Made by :func:`load_watermark`."""

    def __init__(self, networks: Perth, threads: int) -> None:
        self._networks = networks
        self._threads = threads

    def mark(self, samples: Samples, rate: int) -> Samples:
        """A marked copy of a mono signal, of the same length.

        Only the difference is brought to the signal's rate and added: what is above 2 kHz stays as it
        was, to the bit but for rounding. Unchanged where nothing can be carried (see ``why_unmarkable``).
        """
        import numpy as np
        import torch

        if why_unmarkable(samples, rate) is not None:
            return samples
        signal = resampled(samples, rate, PERTH_RATE)
        # The transform needs whole hops, and room to fade out behind the last sample.
        padded = np.pad(signal, (0, -len(signal) % PERTH_HOP + 2 * PERTH_HOP))
        # One thread always: more of them move the last bit of some samples, and with it the file's hash.
        with torch.inference_mode(), torch_threads(1):
            residual = self._networks.residual(torch.from_numpy(padded)).numpy()
        return samples + _fitted(resampled(residual[: len(signal)], PERTH_RATE, rate), len(samples))

    def presences(self, signals: Samples) -> NDArray[np.float32]:
        """How surely each of several signals of one length at perth.RATE carries the mark, from 0 to 1; 0 for
        silence: (signals, samples) to (signals,).

        One answer for the whole of each: of a long signal give windows (see ``detection``). Raises ValueError
        for signals under a tenth of a second.
        """
        import numpy as np
        import torch

        if signals.shape[1] < PERTH_SHORTEST:
            raise ValueError(f"a signal of {signals.shape[1]} samples is too short to carry a watermark")
        with torch.inference_mode(), torch_threads(self._threads):
            found: NDArray[np.float32] = self._networks.presence(torch.from_numpy(signals)).numpy()
        return np.where(np.isnan(found), np.float32(0), found)


def load_watermark(folder: Path, threads: int) -> Watermark:
    """The watermark from its model's folder; ``threads`` look for it. Raises PreflightError
    (``watermark_unusable``)."""
    try:
        return Watermark(load_perth(folder), threads)
    except Exception as error:
        raise PreflightError(
            f"the watermark's model in {folder} cannot be loaded ({error}): "
            f"`voiceclone models verify` finds what is damaged, `voiceclone models pull {WATERMARK}` mends it.",
            code="watermark_unusable",
        ) from error


def watermark_folder(settings: Settings, progress: Progress) -> Path:
    """The folder of the watermark's model, fetched if it is not there. Raises PreflightError."""
    return download.ensure_models([WATERMARK], progress, home=models_home(settings), token=settings.token)[
        WATERMARK
    ]


def why_unmarkable(samples: Samples, rate: int) -> str | None:
    """Why a signal cannot carry the mark, "too short" or "silent"; None where it can."""
    if len(samples) < _SHORTEST_SECONDS * rate:
        return "too short"
    return None if samples.any() else "silent"


def resampled(samples: Samples, rate: int, target: int) -> Samples:
    """A whole signal at another rate (soxr, HQ), float32."""
    import numpy as np
    import soxr

    found: Samples = samples if rate == target else soxr.resample(samples, rate, target, "HQ")
    return np.ascontiguousarray(found, dtype=np.float32)


def _fitted(samples: Samples, length: int) -> Samples:
    """Cut or padded by the few samples that the resampler's rounding leaves."""
    import numpy as np

    return np.pad(samples, (0, max(0, length - len(samples))))[:length]


# What is done to a spoken segment before it counts: it is watermarked, and says what it is.
#
# The worker writes plain speech; this end seals it while the worker speaks on, so that the worker's environment
# needs nothing of it. A segment that a killed run left unsealed has no note and is made again.


OnProcessed = Callable[[SegmentRow, str | None], None]
"""Called with a row that has its outcome, and why it could not be marked (None: it is, or nobody wanted it)."""

_IDS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Watermarking:
    """What the segments of one engine get."""

    engine: str
    model: Path | None
    """Folder of the watermark's model; None: tags alone."""


class Postprocessor:
    """Seals rows in a thread of its own.

    Use as a context manager: when it ends, also early, every row that was taken is settled.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sealer")
        self._jobs: deque[Future[None]] = deque()
        self._loaded: dict[Path, Watermark] = {}
        self.seconds = 0.0

    def take(self, row: SegmentRow, seal: Watermarking | None, settle: OnProcessed) -> None:
        """Hand over a row of a worker. ``settle`` hears of its outcome from the thread; at once where the row
        failed or there is no ``seal``. What it raises is raised by a later ``take``, or at the end."""
        while self._jobs and self._jobs[0].done():  # one thread: they end in order
            self._jobs.popleft().result()
        if seal is None or row.status != "done":
            settle(row, None)
        else:
            self._jobs.append(self._thread.submit(self._seal, row, seal, settle))

    def __enter__(self) -> Postprocessor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            for job in self._jobs:
                job.result()

    def _seal(self, row: SegmentRow, seal: Watermarking, settle: OnProcessed) -> None:
        started = time.perf_counter()
        path = Path(row.file or "")
        try:
            watermark = None if seal.model is None else self._watermark(seal.model)
            sha256, unmarked = watermark_and_tag(path, seal.engine, watermark)
            row = replace(row, sha256=sha256)
        except Exception as error:
            unmarked = None
            row = SegmentRow(row.task, row.id, "failed", seed=row.seed, error=_failure(path, error))
            # What is not sealed must not be taken for what is.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self.seconds += time.perf_counter() - started
        settle(row, unmarked)

    def _watermark(self, folder: Path) -> Watermark:
        """Loaded for the first segment: where nothing is to be marked, torch is not even imported."""
        if folder not in self._loaded:
            self._loaded[folder] = load_watermark(folder, threads=1)
        return self._loaded[folder]


def watermark_and_tag(path: Path, engine: str, watermark: Watermark | None) -> tuple[str, str | None]:
    """Mark a mono 16-bit wav and tag it, in place, whole or not at all: its SHA-256, and why it could not
    be marked (None where it was, or nobody wanted it). Raises OSError, and whatever stands in the way."""
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
    import numpy as np

    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path.name} is not mono with 16 bits")
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return pcm.astype(np.float32) / np.float32(32768), file.getframerate()


def _failure(path: Path, error: Exception) -> Failure:
    if isinstance(error, FileNotFoundError) and path.parent.is_dir():
        return Failure("output_vanished", f"{path} was written, and is gone")
    if isinstance(error, OSError):
        explained = write_error(path.parent, error)
        return Failure(explained.code, explained.message)
    return Failure(
        "watermark_failed",
        f"{path.name} could not be watermarked ({error}): give the same command again, or do without by "
        "--no-watermark",
    )


def unmarked_notes(unmarked: Mapping[str, str]) -> list[str]:
    """A sentence for each reason why segments carry no mark."""
    notes = []
    for reason in sorted(set(unmarked.values())):
        ids = sorted(id for id, why in unmarked.items() if why == reason)
        more = f" and {len(ids) - _IDS_TOLD} more" if len(ids) > _IDS_TOLD else ""
        told = ", ".join(ids[:_IDS_TOLD]) + more
        notes.append(f"no watermark is on {told}: {reason}")
    return notes
