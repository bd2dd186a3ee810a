"""Tags: what a text has in square brackets, which is no speech. Standard library only: both environments use it."""

from __future__ import annotations

import re

TAG = re.compile(r"\[[^\[\]\n]{0,500}\]")
"""A longer stretch is text with a bracket that was left open."""

_WITH_BLANKS = re.compile(rf"(\s*){TAG.pattern}(\s*)")


def without_tags(text: str) -> str:
    """Return ``text`` without what stands in square brackets of plain width, also within one another."""
    words = text
    while (shorter := _WITH_BLANKS.sub(_joined, words)) != words:
        words = shorter.strip()
    return words


def _joined(tag: re.Match[str]) -> str:
    before, after = tag.groups()
    # A space before the tag is not needed before a full stop.
    return after if after or not tag.string[tag.end() : tag.end() + 1].isalnum() else before
