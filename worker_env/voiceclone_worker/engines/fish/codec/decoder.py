"""Codes to samples, with upstream's DAC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.codec.spreading import spread
from voiceclone_worker.engines.fish.codec.stretches import Stretches, upsampling_context

_FAST_BLOCKS = 3
"""The decoder's last blocks, those at the highest rates, are computed in stretches. What comes before them
looks back so far that stretches would cost more than they save."""


class SpeechDecoder:
    """Rows of codes, int64 [codebooks, frames], to 16-bit little-endian mono PCM.

    ``stretch_frames``: how many frames of speech the last blocks make at a time.
    """

    def __init__(self, dac: Any, device: torch.device, stretch_frames: int) -> None:
        self._dac = dac
        self._device = device
        rates = list(dac.decoder_rates)
        slow = 1 + len(rates) - _FAST_BLOCKS
        up = math.prod(rates[-_FAST_BLOCKS:])
        self._slow_layers = dac.decoder.model[:slow]
        self._fast = Stretches(
            layers=dac.decoder.model[slow:],
            length=stretch_frames * int(dac.frame_length) // up,
            context=upsampling_context(rates[-_FAST_BLOCKS:]),
            up=up,
        )

    def alone(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """Each row for itself: its bytes depend on its own codes only."""
        made: list[bytes | SegmentError] = []
        together = torch.get_num_threads() if self._device.type == "cpu" else 1
        for first in range(0, len(rows), together):
            made += self._at_a_time(rows[first : first + together])
        return made

    def together(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """All rows as one batch, padded on the right: nothing causal looks there."""
        padded = torch.nn.utils.rnn.pad_sequence([row.T for row in rows], batch_first=True)
        slow = spread(self._slow, [padded.mT], self._device)[0]
        starts = self._fast.starts(slow)
        parts = spread(lambda start: self._fast.one(slow, start), starts, self._device)
        speech = torch.cat(parts, dim=-1)[:, 0]
        frame_length = int(self._dac.frame_length)
        return [_pcm(line[: row.shape[-1] * frame_length]) for line, row in zip(speech, rows, strict=True)]

    def _at_a_time(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        slow = spread(lambda row: self._slow(row[None]), rows, self._device)
        pieces = [(row, start) for row, signal in enumerate(slow) for start in self._fast.starts(signal)]
        parts = spread(lambda piece: self._fast.one(slow[piece[0]], piece[1]), pieces, self._device)
        lines: list[list[torch.Tensor]] = [[] for _ in rows]
        for (row, _), part in zip(pieces, parts, strict=True):
            lines[row].append(part[0, 0])
        return [_pcm(torch.cat(line)) for line in lines]

    def _slow(self, codes: torch.Tensor) -> torch.Tensor:
        signal: torch.Tensor = self._slow_layers(self._dac.quantizer.decode(codes.to(self._device)))
        return signal


def _pcm(samples: torch.Tensor) -> bytes | SegmentError:
    """Full scale is 32767; what goes beyond is cut there, the rest rounded to the nearest step."""
    if not torch.isfinite(samples).all():
        return SegmentError(
            "speech_unusable",
            "the codec made values that are no numbers of this line; if other lines end like this too, "
            "the checkpoint's codec.pth is damaged: fetch it again",
        )
    steps = (samples.clamp(-1.0, 1.0) * 32767.0).round().to(torch.int16)
    pcm: bytes = steps.cpu().numpy().astype("<i2").tobytes()
    return pcm
