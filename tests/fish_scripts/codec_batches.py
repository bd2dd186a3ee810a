"""CHECKPOINT: references of different lengths to codes, one by one and as a batch, as a GPU's worker chooses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from voiceclone_worker.engines.fish.checkpoint import open_upstream

CPU = torch.device("cpu")
SECONDS = (0.6, 3.0, 1.7, 5.0)


def signals(rate: int) -> list[torch.Tensor]:
    """Buzzing sounds whose pitch and strength move."""
    sounds = []
    for number, seconds in enumerate(SECONDS):
        time = torch.arange(round(seconds * rate)) / rate
        phase = 2 * torch.pi * ((110 + 30 * number) * time + 5 * torch.sin(3 * time))
        buzz = sum(torch.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
        sounds.append(0.2 * buzz * (0.6 + 0.4 * torch.sin(2 * torch.pi * 3 * time)))
    return sounds


def main(checkpoint: Path) -> dict[str, object]:
    open_upstream()
    from voiceclone_worker.engines.fish.checkpoint import load_codec
    from voiceclone_worker.engines.fish.codec import TRIALS, CodesEncoder, batched_encoding

    dac = load_codec(checkpoint, CPU)
    encoder, sounds = CodesEncoder(dac, CPU, 8), signals(dac.sample_rate)
    alone, together = encoder.alone(sounds), encoder.together(sounds)

    tried: list[str] = []
    encode = batched_encoding(encoder, tried.append)
    rounds = [encode(sounds) for _ in range(TRIALS)]

    class Short(CodesEncoder):
        def together(self, signals: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    class Different(CodesEncoder):
        def together(self, signals: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            codes = super().together(signals)
            codes[-1][3, 5] += 1
            return codes

    short: list[str] = []
    without_memory = batched_encoding(Short(dac, CPU, 8), short.append)(sounds)
    different: list[str] = []
    not_equal = batched_encoding(Different(dac, CPU, 8), different.append)(sounds)
    return {
        "frames": [codes.shape[1] for codes in alone],
        "expected_frames": [-(-len(sound) // int(dac.frame_length)) for sound in sounds],
        "distinct": [len(codes.unique()) for codes in alone],
        "equal": same(together, alone),
        "equal_in_any_order": same(encoder.together(sounds[::-1])[::-1], alone),
        "chosen_equal": [same(codes, alone) for codes in rounds],
        "notes": tried,
        "without_memory": {"equal": same(without_memory, alone), "notes": short},
        "different": {"equal": same(not_equal, alone), "notes": different},
    }


def same(codes: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(codes, others, strict=True))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
