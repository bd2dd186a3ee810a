"""What a file says about itself: that its voices are synthetic, and what made them.

Tags are for whoever looks; anybody can remove them. The word for how the sound came to be is IPTC's
("digital source type"), which the rules on synthetic media point to.
"""

from __future__ import annotations

from collections.abc import Mapping

from voiceclone_cli import __version__
from voiceclone_cli.provenance import SPEAKING_ENGINES

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PROGRAM = f"voiceclone {__version__}"

_SIGN = "made with voiceclone"
_OWN_WORDS = (_SIGN, "voiceclone ", "trainedAlgorithmicMedia")

_LONGEST = 200
"""Characters of a tag that are worth showing."""


def sentence(engine: str) -> str:
    """What a tag says to a person."""
    return f"Synthetic voices, {_SIGN} {__version__} ({engine})"


def wav_info(engine: str) -> dict[str, str]:
    """For the LIST INFO chunk of a wav: comment, software, keywords. Nothing for an engine that makes no speech."""
    if engine not in SPEAKING_ENGINES:
        return {}
    return {"ICMT": sentence(engine), "ISFT": PROGRAM, "IKEY": "synthetic voices; trainedAlgorithmicMedia"}


def container_tags(engine: str) -> dict[str, str]:
    """For the metadata of an mp4, mkv, flac or mp3. Every player shows a comment; the others are for
    programs. Nothing for an engine that makes no speech."""
    if engine not in SPEAKING_ENGINES:
        return {}
    return {
        "comment": sentence(engine),
        "description": sentence(engine),
        "software": PROGRAM,
        "digital_source_type": SOURCE_TYPE,
    }


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those of a file's tags that speak of synthetic voices, by their names in lower case. Fit to be shown: a
    file may come from anybody, and a terminal obeys control characters."""
    return {
        _shown(name.lower()): _shown(text)
        for name, text in tags.items()
        if any(word in text for word in _OWN_WORDS)
    }


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
