"""The tokenizer's files: a token for every byte, and no words."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

BYTES = 256


def write_vocabulary(folder: Path, special: Sequence[str], size: int) -> None:
    """Write ``tokenizer.tiktoken`` and ``special_tokens.json`` with ``size`` tokens in all.

    ``special`` takes the last ids, in its order. What remains between the bytes and them is filled
    with byte sequences that no text holds, so that each byte of a text is one token.
    """
    fillers = size - BYTES - len(special)
    if fillers < 0:
        raise ValueError(f"{size} tokens are too few for {BYTES} bytes and {len(special)} special tokens")
    ranks = [bytes([byte]) for byte in range(BYTES)]
    ranks += [b"\x00\x01" + number.to_bytes(4, "big") for number in range(fillers)]
    lines = (f"{base64.b64encode(token).decode('ascii')} {rank}\n" for rank, token in enumerate(ranks))
    (folder / "tokenizer.tiktoken").write_text("".join(lines), encoding="ascii", newline="\n")
    ids = {token: len(ranks) + place for place, token in enumerate(special)}
    text = json.dumps(ids, indent=1) + "\n"
    (folder / "special_tokens.json").write_text(text, encoding="utf-8", newline="\n")
