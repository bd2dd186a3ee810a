"""A reference's audio file as the codec wants it: mono, at the codec's rate, not too long."""

from __future__ import annotations

import math
from dataclasses import dataclass

import soundfile
import torch
from julius.resample import resample_frac

from voiceclone_worker.engines.base import SegmentError

LONGEST = 30.0
"""Seconds: what fits into the prompt beside the text to be spoken."""

SHORTEST = 0.5
"""Seconds: less is no voice."""

_SILENT = 1e-3
_KERNEL_VALUES = 50_000_000


@dataclass(frozen=True)
class ReferenceAudio:
    """``samples``: float32 [samples]. ``cut``: whether the file was longer than ``LONGEST``."""

    samples: torch.Tensor
    cut: bool


def read_reference(path: str, rate: int) -> ReferenceAudio:
    """The first ``LONGEST`` seconds of a file at ``rate`` Hz, all channels mixed.

    Raises SegmentError ``reference_unusable``: unreadable, shorter than ``SHORTEST``, silent, with
    values that are no numbers, or at a sampling rate that cannot be converted.
    """
    try:
        # Opened here: libsndfile's wrapper takes no name that is not Unicode.
        with open(path, "rb") as opened, soundfile.SoundFile(opened) as file:
            own_rate = int(file.samplerate)
            limit = int(LONGEST * own_rate)
            heard = file.read(limit, dtype="float32", always_2d=True)
            cut = file.frames > limit
    except (OSError, RuntimeError, ValueError) as error:
        raise _unusable(path, f"cannot be read ({error}); give a wav or flac file") from error
    samples = torch.from_numpy(heard).mean(dim=1)
    if len(samples) < SHORTEST * own_rate:
        raise _unusable(
            path, f"is {len(samples) / own_rate:.2f} s long; give at least {SHORTEST} s of speech"
        )
    if not torch.isfinite(samples).all():
        raise _unusable(path, "holds values that are no numbers; write it anew, as 16-bit PCM for instance")
    if samples.abs().max() < _SILENT:
        raise _unusable(path, "is silent; give a file with speech")
    if _kernel_values(own_rate, rate) > _KERNEL_VALUES:
        raise _unusable(path, f"has a sampling rate of {own_rate} Hz; convert it to {rate} Hz")
    return ReferenceAudio(resample_frac(samples, own_rate, rate), cut)


def _kernel_values(own_rate: int, rate: int) -> int:
    # One filter for each of the positions that the two rates can have to each other.
    common = math.gcd(own_rate, rate)
    return (own_rate // common) * (rate // common)


def _unusable(path: str, what: str) -> SegmentError:
    return SegmentError("reference_unusable", f"the reference {path} {what}")
