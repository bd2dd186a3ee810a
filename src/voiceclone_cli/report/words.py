"""What was to be said against what was understood, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from enum import StrEnum

_TOKEN = re.compile(
    # A character is a word where writing knows no blanks: Thai to Burmese, Khmer, kana, Han.
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]\s*"
    r"|[^\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+\s*"
)


class Op(StrEnum):
    SAME = "same"
    MISSING = "missing"
    """To be said, but not understood."""
    EXTRA = "extra"
    """Understood, but not to be said."""


Piece = tuple[Op, str]


def word_diff(wanted: str, heard: str) -> list[Piece]:
    """The pieces that lead from ``wanted`` to ``heard``, in reading order.

    Case and punctuation make no difference; SAME pieces are spelt as in ``wanted``.
    """
    ours, theirs = _TOKEN.findall(wanted.strip()), _TOKEN.findall(heard.strip())
    matcher = SequenceMatcher(None, [_key(t) for t in ours], [_key(t) for t in theirs], autojunk=False)
    pieces: list[Piece] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            _add(pieces, Op.SAME, ours[i1:i2])
        else:
            _add(pieces, Op.MISSING, [token for token in ours[i1:i2] if _key(token)])
            _add(pieces, Op.EXTRA, [token for token in theirs[j1:j2] if _key(token)])
    return pieces


def _key(token: str) -> str:
    """What of a word is heard: nothing of a dash that stands alone."""
    return "".join(character for character in token.casefold() if character.isalnum())


def _add(pieces: list[Piece], op: Op, tokens: list[str]) -> None:
    if tokens:
        pieces.append((op, "".join(tokens)))
