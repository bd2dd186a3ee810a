"""Tokens of text for a language model, estimated from its characters.

Every model has its own tokens. For the lines of examples/ in eight languages and for requests in English, the estimate
of a text is 0.57 to 1.32 times the number in vocabularies of 100,000 and 200,000 tokens (cl100k, o200k), and 0.74 to 1.82
times for a sentence in Arabic, German, Korean, Russian and Thai. That of an answer is meant to be too high.
"""

from __future__ import annotations

import json
import math

from voiceclone_cli.languages import main_language
from voiceclone_cli.translation.message import request_document
from voiceclone_cli.translation.translator import TokenCount, TranslationRequest

_TOKENS_OF_LINE = 16
"""Of a line's id and punctuation in an answer."""

_MESSAGE_TOKENS = 16
"""Of the marks around the messages of a request."""

_GROWTH = {
    **dict.fromkeys(("en", "zh", "ja", "ko"), 1.2),
    **dict.fromkeys(
        ("hi", "bn", "ta", "te", "th", "my", "km", "am", "ka", "hy", "ar", "fa", "he", "ur"), 2.0
    ),
}
"""Tokens of a translation for each token of the original, by target language; of any other, 1.5."""


def text_tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return math.ceil(sum(map(_weight, text)))


def estimate_tokens(request: TranslationRequest, prompt: str = "") -> TokenCount:
    """Return about how many tokens a request and its answer have; ``prompt`` is what is sent besides."""
    sent = f"{prompt}{json.dumps(request_document(request), ensure_ascii=False)}"
    growth = _GROWTH.get(main_language(request.target), 1.5)
    answer = sum(_TOKENS_OF_LINE + math.ceil(growth * text_tokens(line.text)) for line in request.lines)
    return TokenCount(_MESSAGE_TOKENS + text_tokens(sent), answer, is_estimate=True)


def _weight(character: str) -> float:
    """Return the tokens of a character."""
    code = ord(character)
    if code < 0x80:
        return 0.28
    if code < 0x600:  # letters with accents, Greek, Cyrillic, Hebrew
        return 0.5
    if code < 0x1100:  # Arabic, the scripts of India and South East Asia
        return 0.7
    return 1.0 if code < 0x10000 else 2.0
