"""A generated codec in the worker's loader and in upstream's way: CHECKPOINT.

Prints how many of its weights upstream does not find or know, which codes two sounds become, and how
two lines of codes sound.
"""

import json
import math
import sys
from pathlib import Path

import torch

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

from hydra.utils import instantiate  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from voiceclone_worker.engines.fish.checkpoint import load_codec  # noqa: E402

folder = Path(sys.argv[1])
saved = torch.load(folder / "codec.pth", weights_only=True)
weights = {key.removeprefix("generator."): value for key, value in saved.items()}
fresh = instantiate(OmegaConf.load(folder / "codec.yaml"))
tables = {
    key: value for key, value in fresh.state_dict().items() if key.endswith(("freqs_cis", "causal_mask"))
}
tables_agree = all(torch.equal(value, weights[key]) for key, value in tables.items())
fit = fresh.load_state_dict(weights, strict=False)

codec = load_codec(folder, torch.device("cpu"))
frames = 20
with torch.inference_mode():
    times = torch.arange(frames * codec.frame_length) / codec.sample_rate
    sounds = [0.1 * torch.sin(2 * math.pi * pitch * times * (1 + 0.2 * times)) for pitch in (150, 400)]
    encoded = [codec.encode(sound[None], torch.tensor([len(sound)]))[0][0] for sound in sounds]
    random = torch.Generator().manual_seed(0)
    spoken = []
    for _ in range(2):
        first = torch.randint(
            0, codec.quantizer.semantic_quantizer.codebook_size, (1, 1, frames), generator=random
        )
        rest = torch.randint(0, 1024, (1, 9, frames), generator=random)
        sound, _ = codec.decode(torch.cat([first, rest], 1), torch.tensor([frames]))
        spoken.append(sound[0, 0])

print(
    json.dumps(
        {
            "prefixed": all(key.startswith("generator.") for key in saved),
            "tables": len(tables),
            "tables_agree": tables_agree,
            "missing": fit.missing_keys,
            "unknown": fit.unexpected_keys,
            "rate": codec.sample_rate,
            "frames": [codes.shape[-1] for codes in encoded],
            "codebooks": [codes.shape[0] for codes in encoded],
            "distinct": [len(set(codes[0].tolist())) for codes in encoded],
            "alike": float((encoded[0] == encoded[1]).float().mean()),
            "samples": [len(sound) for sound in spoken],
            "offset": max(abs(float(sound.mean())) for sound in spoken),
            "loudness": [float(sound.std()) for sound in spoken],
            "difference": float((spoken[0] - spoken[1]).std()),
        }
    )
)
