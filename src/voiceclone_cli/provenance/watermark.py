"""The inaudible mark of cloned speech: put on, and looked for."""

from __future__ import annotations

import typing
from pathlib import Path

from voiceclone_cli import models
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.machine.torch_threads import torch_threads
from voiceclone_cli.provenance import WATERMARK, perth
from voiceclone_cli.settings import Settings, models_home
from voiceclone_cli.types import Progress

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

_SHORTEST_SECONDS = perth.SHORTEST / perth.RATE


class Watermark:
    """Perth, for signals at any rate. Made by :func:`load_watermark`."""

    def __init__(self, networks: perth.Perth, threads: int) -> None:
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
        signal = resampled(samples, rate, perth.RATE)
        # The transform needs whole hops, and room to fade out behind the last sample.
        padded = np.pad(signal, (0, -len(signal) % perth.HOP + 2 * perth.HOP))
        # One thread always: more of them move the last bit of some samples, and with it the file's hash.
        with torch.inference_mode(), torch_threads(1):
            residual = self._networks.residual(torch.from_numpy(padded)).numpy()
        return samples + _fitted(resampled(residual[: len(signal)], perth.RATE, rate), len(samples))

    def presences(self, signals: Samples) -> NDArray[np.float32]:
        """How surely each of several signals of one length at perth.RATE carries the mark, from 0 to 1; 0 for
        silence: (signals, samples) to (signals,).

        One answer for the whole of each: of a long signal give windows (see ``detection``). Raises ValueError
        for signals under a tenth of a second.
        """
        import numpy as np
        import torch

        if signals.shape[1] < perth.SHORTEST:
            raise ValueError(f"a signal of {signals.shape[1]} samples is too short to carry a watermark")
        with torch.inference_mode(), torch_threads(self._threads):
            found: NDArray[np.float32] = self._networks.presence(torch.from_numpy(signals)).numpy()
        return np.where(np.isnan(found), np.float32(0), found)


def load_watermark(folder: Path, threads: int) -> Watermark:
    """The watermark from its model's folder; ``threads`` look for it. Raises PreflightError
    (``watermark_unusable``)."""
    try:
        return Watermark(perth.load(folder), threads)
    except Exception as error:
        raise PreflightError(
            f"the watermark's model in {folder} cannot be loaded ({error}): "
            f"`voiceclone models verify` finds what is damaged, `voiceclone models pull {WATERMARK}` mends it.",
            code="watermark_unusable",
        ) from error


def watermark_folder(settings: Settings, progress: Progress) -> Path:
    """The folder of the watermark's model, fetched if it is not there. Raises PreflightError."""
    return models.ensure([WATERMARK], progress, home=models_home(settings), token=settings.token)[WATERMARK]


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
