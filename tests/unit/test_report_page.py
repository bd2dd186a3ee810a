"""The report's colours can be read: contrast by WCAG 2.2, in both themes."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

THEMES = {"light": ":root {", "dark": ':root[data-theme="dark"] {'}
GROUNDS = ("ground", "card", "raised", "choice")


def colours(theme: str) -> dict[str, str]:
    style = files("voiceclone_cli.report").joinpath("page", "theme.css").read_text(encoding="utf-8")
    block = style.split(THEMES[theme], 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_words_stand_out_from_their_ground(theme: str) -> None:
    found = colours(theme)
    pairs = [(word, ground) for word in ("text", "muted", "accent") for ground in GROUNDS]
    pairs += [(word, ground) for word in ("bad", "warn") for ground in (*GROUNDS, f"{word}-ground")]
    pairs += [
        ("good", "good-ground"),
        ("text", "warn-ground"),
        ("text", "bad-ground"),
        ("on-accent", "accent"),
    ]
    pairs += [("muted", "bad-ground"), ("muted", "warn-ground")]
    for word, ground in pairs:
        assert contrast(found[word], found[ground]) >= 4.5, (theme, word, ground)


@pytest.mark.parametrize("theme", THEMES)
def test_waveforms_and_marks_stand_out_from_their_ground(theme: str) -> None:
    found = colours(theme)
    for mark in ("original", "firm", *(f"s{n}" for n in range(8))):
        assert contrast(found[mark], found["card"]) >= 3.0, (theme, mark)
