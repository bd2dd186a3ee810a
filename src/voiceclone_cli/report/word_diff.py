"""Differences between the text of a line and what was recognised, as the report shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from enum import StrEnum

from voiceclone_cli.evaluation.text import units_of
from voiceclone_worker.engines.kokoro.phonemes.alphabets import HAN

_WITHOUT_BLANKS = rf"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff{HAN}"
"""Thai and Lao, Burmese, Khmer, kana and Chinese characters: each is a word."""
_TOKEN = re.compile(rf"[{_WITHOUT_BLANKS}]\s*|[^\s{_WITHOUT_BLANKS}]+\s*")


class DiffOp(StrEnum):
    """Kind of a part of a word difference."""

    SAME = "same"
    MISSING = "missing"
    """In the script only."""
    EXTRA = "extra"
    """In the transcript only."""


_WIDEST = 5
"""Operations that are compared as one: 子供 and 子ども share 子, and are one word."""


def word_diff(text: str, transcript: str, language: str = "") -> list[tuple[DiffOp, str]]:
    """Return the parts that lead from the text to the transcript, in reading order.

    Case and punctuation are ignored, and what `check` counts as the same: numbers in digits and in words, spellings of
    one Chinese or Japanese sound. SAME parts are spelled as in the text.
    """
    if transcript and units_of(text, language) == units_of(transcript, language):
        return [(DiffOp.SAME, text.strip())]
    expected, found = _TOKEN.findall(text.strip()), _TOKEN.findall(transcript.strip())
    matcher = SequenceMatcher(None, list(map(_letters, expected)), list(map(_letters, found)), autojunk=False)
    steps: list[_Step] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            steps += [
                (True, [expected[i]], [found[j]]) for i, j in zip(range(i1, i2), range(j1, j2), strict=True)
            ]
        else:
            steps.append((False, expected[i1:i2], found[j1:j2]))
    parts: list[tuple[DiffOp, str]] = []
    for is_same, missing, extra in _joined(steps, language):
        if is_same:
            before = parts.pop()[1] if parts and parts[-1][0] is DiffOp.SAME else ""
            parts.append((DiffOp.SAME, before + "".join(missing)))
        else:
            parts.append((DiffOp.MISSING, "".join(filter(_letters, missing))))
            parts.append((DiffOp.EXTRA, "".join(filter(_letters, extra))))
    return [part for part in parts if part[1]]


_Step = tuple[bool, list[str], list[str]]
"""Whether the words are the same, those of the text, and those of the transcript."""


def _joined(steps: Sequence[_Step], language: str) -> list[_Step]:
    """Return the steps, those that say the same together as one step."""
    steps = list(steps)
    for width in range(1, _WIDEST + 1):
        at = 0
        while at + width <= len(steps):
            window = steps[at : at + width]
            if not all(is_same for is_same, _, _ in window):
                missing = [token for _, tokens, _ in window for token in tokens]
                extra = [token for _, _, tokens in window for token in tokens]
                if missing and extra and _are_same("".join(missing), "".join(extra), language):
                    steps[at : at + width] = [(True, missing, extra)]
            at += 1
    return steps


def _are_same(one: str, other: str, language: str) -> bool:
    units = units_of(one, language)
    return bool(units) and units == units_of(other, language)


def _letters(token: str) -> str:
    """Return what is compared of a word: nothing of a dash that stands alone."""
    return "".join(character for character in token.casefold() if character.isalnum())
