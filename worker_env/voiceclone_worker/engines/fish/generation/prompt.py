"""Text and references as the tokens that fish-speech reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Voice:
    """A speaker's reference as a prompt: [codebooks + 1, tokens]. Compared by identity."""

    name: str
    tokens: Tensor = field(repr=False)


def voice(name: str, text: str, codes: Tensor, tokenizer: Any) -> Voice:
    """``codes`` [codebooks, frames] and the words that are heard in them."""
    from fish_speech.content_sequence import ContentSequence, TextPart, VQPart

    sequence = ContentSequence(modality="interleave")
    words = TextPart(tokens=_words(text, tokenizer))
    sequence.append([words, VQPart(codes=codes)], add_end=True, speaker=0)
    tokens, _, _ = sequence.encode_for_inference(tokenizer, num_codebooks=len(codes))
    return Voice(name, tokens.long())


def line(text: str, tokenizer: Any, codebooks: int) -> Tensor:
    """What follows the voice's prompt: [codebooks + 1, tokens]."""
    from fish_speech.content_sequence import ContentSequence, TextPart

    sequence = ContentSequence()
    sequence.append([TextPart(tokens=_words(text, tokenizer))], add_end=False, speaker=0)
    tokens: Tensor = sequence.encode_for_inference(tokenizer, num_codebooks=codebooks)[0]
    return tokens.long()


def _words(text: str, tokenizer: Any) -> list[int]:
    """A text is read as a text: what looks like a control token in it (``<|im_end|>``) is none."""
    tokens: list[int] = tokenizer.encode(text, allowed_special=False)
    return tokens
