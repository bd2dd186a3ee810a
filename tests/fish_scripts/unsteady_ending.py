"""Make a generated checkpoint that ends lines by chance only, in place: CHECKPOINT.

The end token then looks away from the balance of text and speech (see benchmarks/random_ending.py): it is about
as likely at any frame, and some lines find it too late.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.random_ending import BALANCE, CONSTANT, CURRENT

LOWER = 3.4
"""So that about one line in three is still being spoken at its cap."""

folder = Path(sys.argv[1])


def unsteady_s1():
    end = json.loads((folder / "special_tokens.json").read_text())["<|im_end|>"]
    weights = torch.load(folder / "model.pth", weights_only=True)
    output = weights["output.weight"]
    output[end, BALANCE] = 0
    output[end, CONSTANT] -= LOWER * 5**0.5 / output.shape[1] ** 0.5
    torch.save(weights, folder / "model.pth")
    return end


def unsteady_s2():
    """Of its embeddings that are the head too only the last norm decides what the head sees."""
    end = json.loads((folder / "config.json").read_text())["eos_token_id"]
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    names = ("text_model.model.norm.weight", "text_model.model.embeddings.weight")
    shards = {index[name]: load_file(folder / index[name]) for name in names}
    norm, embeddings = (shards[index[name]][name] for name in names)
    norm[BALANCE] = 0
    norm[CURRENT] = -LOWER * 5**0.5 / (0.125 * embeddings.shape[1])
    embeddings[end, CURRENT] = 0.125 * embeddings.shape[1] ** 0.5
    for name, weights in shards.items():
        save_file(weights, folder / name)
    return end


print(json.dumps({"end": (unsteady_s1 if (folder / "model.pth").exists() else unsteady_s2)()}))
