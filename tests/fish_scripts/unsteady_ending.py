"""Make a generated checkpoint that ends lines by chance only, in place: CHECKPOINT.

The end token then looks away from the balance of text and speech (see benchmarks/random_ending.py): it is about
as likely at any frame, and some lines find it too late.
"""

import json
import sys
from pathlib import Path

import torch

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

from fish_speech.tokenizer import FishTokenizer  # noqa: E402

from benchmarks.random_ending import BALANCE, CONSTANT  # noqa: E402

LOWER = 3.4
"""So that about one line in three is still being spoken at its cap."""

folder = Path(sys.argv[1])
end = FishTokenizer.from_pretrained(str(folder)).get_token_id("<|im_end|>")
weights = torch.load(folder / "model.pth", weights_only=True)
width = weights["output.weight"].shape[1]
weights["output.weight"][end, BALANCE] = 0
weights["output.weight"][end, CONSTANT] -= LOWER * 5**0.5 / width**0.5
torch.save(weights, folder / "model.pth")
print(json.dumps({"end": end}))
