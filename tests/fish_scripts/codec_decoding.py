"""CHECKPOINT: what our decoding makes of four rows, beside upstream's of the same, and beside a batch."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.checkpoint import open_upstream

CPU = torch.device("cpu")
LENGTHS = (40, 17, 9, 1)


def main(checkpoint: Path) -> dict[str, object]:
    open_upstream()
    from voiceclone_worker.engines.fish.checkpoint import load_codec
    from voiceclone_worker.engines.fish.codec import Codec, SpeechDecoder

    rows = rows_of(LENGTHS)
    notes: list[str] = []
    codec = Codec(checkpoint, CPU, notes.append)
    spoken = codec.decode(rows)
    reordered = codec.decode(rows[::-1])[::-1]
    dac = load_codec(checkpoint, CPU)
    together = SpeechDecoder(dac, CPU, 8).together(rows)
    theirs = [upstream(dac, row) for row in rows]
    odd = codec.decode([rows[1], rows[1][:, :0], rows_of((5000,))[0]])
    return {
        "rate": codec.rate,
        "lengths": [len(line) // 2 for line in spoken if isinstance(line, bytes)],
        "expected_lengths": [length * codec.frame_length for length in LENGTHS],
        "loudest": int(max(np.abs(steps(line)).max() for line in spoken)),
        "same_in_any_order": spoken == reordered,
        "steps_from_upstream": max(apart(ours, other) for ours, other in zip(spoken, theirs, strict=True)),
        "steps_from_batch": max(apart(ours, other) for ours, other in zip(spoken, together, strict=True)),
        "sha256": hashlib.sha256(b"".join(line for line in spoken if isinstance(line, bytes))).hexdigest(),
        "threads": torch.get_num_threads(),
        "good_row_beside_bad_ones": odd[0] == spoken[1],
        "bad_rows": [row.code for row in odd if isinstance(row, SegmentError)],
        "notes": notes,
    }


def rows_of(lengths: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randint(0, 1024, (10, length), generator=generator) for length in lengths]


@torch.inference_mode()
def upstream(dac: torch.nn.Module, row: torch.Tensor) -> bytes:
    speech = dac.decode(row[None], torch.tensor([row.shape[-1]]))[0][0, 0]
    return (speech * 32767).round().to(torch.int16).numpy().tobytes()


def steps(pcm: bytes | SegmentError) -> np.ndarray:
    assert isinstance(pcm, bytes), pcm
    return np.frombuffer(pcm, "<i2").astype(int)


def apart(ours: bytes | SegmentError, other: bytes | SegmentError) -> int:
    return int(np.abs(steps(ours) - steps(other)).max())


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps(main(Path(sys.argv[1]))))
