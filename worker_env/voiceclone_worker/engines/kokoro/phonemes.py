"""Text to phonemes in Kokoro's alphabet, and phonemes to tokens.

English goes through hibari (Apache-2.0; misaki's rules, which Kokoro was trained on), Spanish through
rules of our own, every other language through the espeak-ng program where it is installed. Chinese and
Japanese would need Kokoro's own tone and mora alphabets, which espeak-ng does not write.
"""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from pathlib import Path
from typing import Any

from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.kokoro.language import espeak, spanish

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:—])\s+")
_BLANK = re.compile(r"\s+")
_WITHOUT_ROUTE = ("zh", "cmn", "yue", "ja", "ko")
_lock = threading.Lock()


def to_phonemes(text: str, language: str) -> str:
    """``text`` in Kokoro's alphabet. ``language`` is a BCP 47 code ("en", "en-GB", "es-MX", "fr").

    Raises SegmentError: "nothing_to_speak" for a text without a sound, "language" without a route.
    """
    words = " ".join(text.split())
    if not any(character.isalnum() for character in words):
        raise SegmentError("nothing_to_speak", f"there is nothing to speak in {text!r:.60}.")
    code = language.lower().replace("_", "-")
    family = code.partition("-")[0]
    if family == "en":
        phonemes = _english(words, british=code in ("en-gb", "en-uk"))
    elif family == "es":
        phonemes = spanish.to_phonemes(words, seseo=code not in ("es", "es-es"))
    elif family in _WITHOUT_ROUTE:
        raise SegmentError(
            "language", f'the kokoro engine cannot read "{language}": use --engine fish for this language.'
        )
    else:
        phonemes = espeak.to_phonemes(words, code)
    if not any(character.isalpha() for character in phonemes):
        raise SegmentError("nothing_to_speak", f"there is nothing to speak in {text!r:.60}.")
    return phonemes


def to_tokens(phonemes: str) -> list[int]:
    """Ids of the symbols Kokoro knows; others are left out."""
    ids = vocabulary()
    return [ids[symbol] for symbol in phonemes if symbol in ids]


def split(phonemes: str, limit: int) -> list[str]:
    """``phonemes`` in pieces of ``limit`` symbols at most, cut at sentence ends where there are any.

    Else at clause ends, else at blanks, and inside a word only when it alone is longer than that.
    """
    return _split(phonemes.strip(), limit, (_SENTENCE_END, _CLAUSE_END, _BLANK))


@cache
def vocabulary() -> dict[str, int]:
    path = Path(__file__).parent / "data" / "vocab.json"
    symbols: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return symbols


def _split(phonemes: str, limit: int, cuts: tuple[re.Pattern[str], ...]) -> list[str]:
    if len(phonemes) <= limit:
        return [phonemes] if phonemes else []
    if not cuts:
        return [phonemes[start : start + limit] for start in range(0, len(phonemes), limit)]
    pieces: list[str] = []
    for part in cuts[0].split(phonemes):
        if pieces and len(pieces[-1]) + 1 + len(part) <= limit:
            pieces[-1] = f"{pieces[-1]} {part}"
        else:
            pieces += _split(part, limit, cuts[1:])
    return pieces


def _english(text: str, *, british: bool) -> str:
    from hibari.tts import Hibari

    with _lock:  # the lexicon is loaded once, and its unknown-word network is not ours to share
        read = _english_reader(british)
        sentences = (read(sentence) for sentence in Hibari.split_sentences(text))
        return " ".join(phonemes for phonemes in sentences if phonemes)


@cache
def _english_reader(british: bool) -> Any:
    try:
        from hibari.g2p import G2P
    except ImportError as error:
        raise EngineError("package_missing", f"English text needs hibari-tts ({error}).") from error
    return G2P(british=british)
