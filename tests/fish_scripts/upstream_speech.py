"""Lines spoken by upstream's own loaders and generation: CHECKPOINT DATATYPE LINES.json.

A line is {"text", "seed", "reference" (seed of random codes), "reference_frames"}. Prints the ``codes`` of
each line (those of the first codebook), and what upstream misses in the file or does not know of it.
"""

import json
import sys
from pathlib import Path

import torch

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

from fish_speech.models.text2semantic import inference  # noqa: E402
from fish_speech.models.text2semantic.llama import DualARTransformer  # noqa: E402

folder, datatype, lines = (
    Path(sys.argv[1]),
    getattr(torch, sys.argv[2]),
    json.loads(Path(sys.argv[3]).read_text()),
)
# A window shorter than the checkpoint's own: upstream attends to all of it at every step.
model = DualARTransformer.from_pretrained(str(folder), load_weights=True, max_length=3200).to(datatype).eval()
weights = torch.load(folder / "model.pth", weights_only=True)


def speak(line):
    random = torch.Generator().manual_seed(line["reference"])
    frames = line["reference_frames"]
    first = torch.randint(0, model.config.codebook_size, (1, frames), generator=random)
    rest = torch.randint(0, 1024, (model.config.num_codebooks - 1, frames), generator=random)
    torch.manual_seed(line["seed"])
    answers = inference.generate_long(
        model=model,
        device="cpu",
        decode_one_token=inference.decode_one_token_ar,
        text=line["text"],
        prompt_text=["Words of the reference, as many as it has seconds."],
        prompt_tokens=[torch.cat([first, rest])],
        max_new_tokens=1024,
        top_p=0.7,
        temperature=0.7,
        repetition_penalty=1.2,
    )
    (codes,) = (answer.codes for answer in answers if answer.action == "sample")
    return codes[0].tolist()


known = set(model.state_dict())
print(
    json.dumps(
        {
            "missing": sorted(key for key in known - weights.keys() if "kv_cache" not in key),
            "unknown": sorted(weights.keys() - known),
            "datatypes": sorted({str(weight.dtype) for weight in weights.values()}),
            "codes": [speak(line) for line in lines],
        }
    )
)
