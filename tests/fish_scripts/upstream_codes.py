"""CHECKPOINT WAV: the codes that upstream's own encode makes of a file at the codec's rate."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import soundfile
import torch

from voiceclone_worker.engines.fish.checkpoint import open_upstream


@torch.inference_mode()
def main(checkpoint: Path, wav: str) -> dict[str, object]:
    open_upstream()
    from voiceclone_worker.engines.fish.checkpoint import load_codec

    samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    mono = torch.from_numpy(samples).mean(dim=1)
    codes, _ = load_codec(checkpoint, torch.device("cpu")).encode(mono[None], torch.tensor([len(mono)]))
    return {"rate": rate, "codes": codes[0].tolist()}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
