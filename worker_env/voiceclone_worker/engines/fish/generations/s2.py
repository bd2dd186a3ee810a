"""The S2 generation (s2-pro): its tokenizer, its prompt, its tensors.

Weights are shards of safetensors with an index, the configuration has a part for each transformer, and the tokenizer is
Qwen's in tokenizer.json. Written from the published layout; fish-speech's own code for it is never imported.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import torch
from torch import Tensor

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.checkpoint import check_sizes, friendly_errors
from voiceclone_worker.engines.fish.configuration import CheckpointConfig, read_config
from voiceclone_worker.engines.fish.layout import INDEX, S2, WHOLE, read_index
from voiceclone_worker.engines.fish.weights import SpeechTokens, Weights, read_weights

_SPEAKER = re.compile(r"<\|speaker:\d+\|>")


class S2Tokenizer:
    """tokenizer.json of a checkpoint."""

    def __init__(self, folder: Path) -> None:
        """Read the file. Raises ValueError, OSError, and what tokenizers raises."""
        from tokenizers import Tokenizer

        document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        added = document.pop("added_tokens", None) if isinstance(document, dict) else None
        if not isinstance(added, list):
            raise ValueError("it has no added_tokens")
        self._control = {str(token["content"]): int(token["id"]) for token in added}
        # Without them a text is only ever a text, whatever looks like a control token in it.
        self._tokenizer = Tokenizer.from_str(json.dumps(document))
        # Either would change the length of a prompt.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def speech_tokens(self, config: CheckpointConfig, vocabulary: int, codebook_size: int) -> SpeechTokens:
        """Return the ids of codes and end.

        Raises ValueError where they are not there, codes have gaps, or config.json states others.
        """
        if codebook_size > len(self._control):
            raise ValueError(
                f"it has {len(self._control)} tokens beside text, and config.json {codebook_size} codes"
            )
        named = ["<|im_end|>", *(f"<|semantic:{code}|>" for code in range(codebook_size))]
        end, *codes = (self.control(name) for name in named)
        if codes != list(range(codes[0], codes[0] + codebook_size)):
            raise ValueError("the tokens of the codes do not follow one another")
        lowest = min(self._control.values())
        highest = max(*self._control.values(), *self._tokenizer.get_vocab().values())
        if lowest < 0 or highest >= vocabulary:
            raise ValueError(f"it has tokens from {lowest} to {highest}, and config.json {vocabulary} in all")
        for key, token in (
            ("eos_token_id", end),
            ("semantic_start_token_id", codes[0]),
            ("semantic_end_token_id", codes[-1]),
        ):
            stated = config.whole(key, token)
            if stated != token:
                raise ValueError(f"{key} of config.json is {stated}, and the tokenizer says {token}")
        return SpeechTokens(codes[0], codes[-1], end)

    def text(self, text: str) -> list[int]:
        """Return the tokens of a text, among which there is no control token."""
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tokens

    def control(self, name: str) -> int:
        """Return a control token. Raises ValueError."""
        token = self._control.get(name)
        if token is None:
            raise ValueError(f"it has no token {name}")
        return token


class S2Prompts:
    """Prompts of S2: a system turn with the reference, the line as the user's turn, and the head of the answer.

    Each part is tokenised for itself. The speaker's tag is no control token, and is tokenised together with its words.
    """

    def __init__(self, tokenizer: S2Tokenizer, tokens: SpeechTokens, codebooks: int) -> None:
        text, control = tokenizer.text, tokenizer.control
        self._tokenizer, self._begin, self._codebooks = tokenizer, tokens.begin, codebooks
        self._end = [control("<|im_end|>"), *text("\n")]
        task = "convert the provided text to speech reference to the following:\n\nText:\n"
        self._system = [control("<|im_start|>"), *text("system\n"), *text(task)]
        self._speech = text("\n\nSpeech:\n")
        self._user = [control("<|im_start|>"), *text("user\n")]
        self._answer = [control("<|im_start|>"), *text("assistant\n"), control("<|voice|>")]

    def voice(self, text: str, codes: Tensor) -> Tensor:
        """Return the prompt [codebooks + 1, tokens] of a reference: its codes [codebooks, frames] and their words."""
        head = self._system + self._words(text) + self._speech
        frames = torch.cat([codes[:1] + self._begin, codes]).long()
        return torch.cat([self._row(head), frames, self._row(self._end + self._user)], 1)

    def line(self, text: str) -> Tensor:
        """Return the prompt [codebooks + 1, tokens] of a line, which follows that of the voice."""
        return self._row(self._words(text) + self._end + self._answer)

    def _words(self, text: str) -> list[int]:
        return self._tokenizer.text(f"<|speaker:0|>{without_speakers(text)}")

    def _row(self, tokens: list[int]) -> Tensor:
        row = torch.zeros(self._codebooks + 1, len(tokens), dtype=torch.long)
        row[0] = torch.tensor(tokens, dtype=torch.long)
        return row


def without_speakers(text: str) -> str:
    """Return ``text`` without the tags with which a line would change its speaker."""
    while (shorter := _SPEAKER.sub("", text)) != text:
        text = shorter
    return text


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[Weights, S2Prompts]:
    """Return the weights and the prompts of a checkpoint.

    Raises EngineError ``checkpoint_unusable``, and ``fish_missing`` in an environment of before S2.
    """
    _require_packages()
    with friendly_errors(folder, "config.json"):
        config = read_config(folder, S2.model_type)
        shape = S2.shape(config)
    with friendly_errors(folder, "tokenizer.json"):
        check_sizes(folder, "tokenizer.json")
        tokenizer = S2Tokenizer(folder)
        tokens = tokenizer.speech_tokens(config, shape.vocabulary, shape.codebook_size)
        prompts = S2Prompts(tokenizer, tokens, shape.codebooks)
    with friendly_errors(folder, "the weights (*.safetensors)"):
        tensors, size = _tensors(folder)
        weights = read_weights(tensors, size, shape, tokens, device, dtype)
    return weights, prompts


def _require_packages() -> None:
    for name in ("safetensors", "tokenizers"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise EngineError(
                "fish_missing",
                f"{name}, which S2 needs, cannot be imported in {sys.executable} ({error}); make the fish environment "
                "again with `voiceclone env create`, or install it there",
            ) from error


def _tensors(folder: Path) -> tuple[dict[str, Tensor], int]:
    """Return the tensors of all shards, mapped from the files and named as in S1's model.pth, and the files' bytes."""
    from safetensors import safe_open

    table = read_index(folder) if (folder / INDEX).is_file() else None
    names = [WHOLE] if table is None else sorted(set(table.values()))
    tensors: dict[str, Tensor] = {}
    for name in names:
        with safe_open(folder / name, framework="pt") as shard:
            for key in shard.keys():  # noqa: SIM118 (it is no mapping)
                if table is not None and table.get(key) != name:
                    raise ValueError(f"{name} has {key:.80}, which the index does not say")
                tensors[_named(key)] = shard.get_tensor(key)
    missing = set(map(_named, table or ())) - tensors.keys()
    if missing:
        raise ValueError(f"{len(missing)} weights of the index are in no file, {min(missing):.80} for one")
    return tensors, sum((folder / name).stat().st_size for name in names)


def _named(key: str) -> str:
    """Return what S1's model.pth calls a tensor."""
    audio = key.removeprefix("audio_decoder.")
    if audio == key:
        return key.removeprefix("text_model.model.")
    return audio if audio.startswith("codebook_embeddings.") else f"fast_{audio}"
