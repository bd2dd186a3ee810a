"""The S1 generation (openaudio-s1-mini): its tokenizer, its prompt, its tensors.

The layout of model.pth, how the tokenizer cuts a text and the prompt are those of fish-speech 0.1.0, whose own classes the
tests compare with.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.checkpoint import check_sizes, friendly_errors, load_tensors
from voiceclone_worker.engines.fish.configuration import read_config
from voiceclone_worker.engines.fish.layout import S1
from voiceclone_worker.engines.fish.weights import SpeechTokens, Weights, read_weights

SPLIT_PATTERN = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"\p{P}",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(\?!\S)",
        r"\s+",
    )
)
"""How a text is cut before its bytes are merged: the model was trained with it as it is, slip in the last but one line
included."""

_PARTS = frozenset(
    f"{fast}{part}"
    for fast in ("", "fast_")
    for part in ("embeddings", "layers", "norm", "output", "project_in")
) | {"codebook_embeddings"}
"""Parts of the model, as model.pth calls them."""

_MOST_CHARACTERS = 400_000
"""That tiktoken takes at once."""


class S1Tokenizer:
    """tokenizer.tiktoken and special_tokens.json of a checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Read the files. Raises ValueError, OSError, and what tiktoken raises."""
        import tiktoken

        special = json.loads((folder / "special_tokens.json").read_text(encoding="utf-8"))
        if not isinstance(special, dict):
            raise ValueError("special_tokens.json is no table of tokens")
        lines = (folder / "tokenizer.tiktoken").read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if line]
        if not rows or any(len(row) != 2 for row in rows):
            raise ValueError("tokenizer.tiktoken does not hold a token and its number in each line")
        ranks = {base64.b64decode(text): int(rank) for text, rank in rows if text != "="}
        # By their order, as upstream numbers them, whatever numbers stand there.
        self._special = {name: number for number, name in enumerate(special, len(ranks))}
        self._encoding = tiktoken.Encoding(
            "fish-speech", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens=self._special
        )

    def speech_tokens(self, vocabulary: int, codebook_size: int) -> SpeechTokens:
        """Return the ids of codes and end. Raises ValueError where they are not there, or codes have gaps."""
        if codebook_size > len(self._special):
            raise ValueError(f"{len(self._special)} tokens beside text are too few for {codebook_size} codes")
        named = ["<|im_end|>", *(f"<|semantic:{code}|>" for code in range(codebook_size))]
        missing = [name for name in named if name not in self._special]
        if missing:
            raise ValueError(f"{len(missing)} tokens are missing, {missing[0]} for one")
        end, *codes = (self._special[name] for name in named)
        if codes != list(range(codes[0], codes[0] + codebook_size)):
            raise ValueError("the tokens of the codes do not follow one another")
        for name, token in (("<|im_end|>", end), ("the first code", codes[0]), ("the last code", codes[-1])):
            if not 0 <= token < vocabulary:
                raise ValueError(f"{name} is token {token} of {vocabulary}")
        return SpeechTokens(codes[0], codes[-1], end)

    def text(self, text: str) -> list[int]:
        """Return the tokens of a text. What looks like a control token in it (``<|im_end|>``) is text."""
        parts = (text[at : at + _MOST_CHARACTERS] for at in range(0, len(text), _MOST_CHARACTERS))
        return [
            token
            for part in parts
            for token in self._encoding.encode(part, allowed_special=set(), disallowed_special=())
        ]

    def control(self, text: str) -> list[int]:
        """Return the tokens of a text of control tokens."""
        tokens: list[int] = self._encoding.encode(text, allowed_special="all")
        return tokens


class S1Prompts:
    """Prompts of S1: ``<|interleave|>``, then for the reference and the line the speaker, the words and the codes."""

    def __init__(self, tokenizer: S1Tokenizer, tokens: SpeechTokens, codebooks: int) -> None:
        self._tokenizer, self._begin, self._codebooks = tokenizer, tokens.begin, codebooks

    def voice(self, text: str, codes: Tensor) -> Tensor:
        """Return the prompt [codebooks + 1, tokens] of a reference: its codes [codebooks, frames] and their words."""
        control = self._tokenizer.control
        head = control("<|interleave|>") + control("<|speaker:0|>") + self._tokenizer.text(text)
        frames = torch.cat([codes[:1] + self._begin, codes])
        end = control("<|im_end|>")
        return torch.cat([self._row(head), frames.long(), self._row(end)], 1)

    def line(self, text: str) -> Tensor:
        """Return the prompt [codebooks + 1, tokens] of a line, which follows that of the voice."""
        return self._row(self._tokenizer.control("<|speaker:0|>") + self._tokenizer.text(text))

    def _row(self, tokens: list[int]) -> Tensor:
        row = torch.zeros(self._codebooks + 1, len(tokens), dtype=torch.long)
        row[0] = torch.tensor(tokens, dtype=torch.long)
        return row


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[Weights, S1Prompts]:
    """Return the weights and the prompts of a checkpoint. Raises EngineError ``checkpoint_unusable``."""
    with friendly_errors(folder, "config.json"):
        shape = S1.shape(read_config(folder, S1.model_type))
    with friendly_errors(folder, "the tokenizer (tokenizer.tiktoken, special_tokens.json)"):
        check_sizes(folder, "tokenizer.tiktoken", "special_tokens.json")
        tokenizer = S1Tokenizer(folder)
        tokens = tokenizer.speech_tokens(shape.vocabulary, shape.codebook_size)
    with friendly_errors(folder, "model.pth"):
        path = folder / "model.pth"
        tensors = _named(load_tensors(path))
        weights = read_weights(tensors, path.stat().st_size, shape, tokens, device, dtype)
    return weights, S1Prompts(tokenizer, tokens, shape.codebooks)


def _named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the model's own parts, which a file that training left calls ``model.``.

    Other parts are passed over: the published file has 15 MB of them (of an audio encoder, which is not used to speak),
    and upstream does not read them either.
    """
    named = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name.partition(".")[0] in _PARTS}
