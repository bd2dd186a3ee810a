"""A small recording that needs nobody to listen to it: who speaks when and what is said come with it."""

from __future__ import annotations

from pathlib import Path

from media_samples import syllables, write_wav

TURNS = """\
SPEAKER talk 1 0.500 7.000 <NA> <NA> ANNA <NA> <NA>
SPEAKER talk 1 8.000 7.000 <NA> <NA> BERT <NA> <NA>
"""
SCRIPT = """\
1
00:00:00,500 --> 00:00:03,500
[ANNA] This is the first line.

2
00:00:08,000 --> 00:00:11,000
[BERT] And this is the second one.
"""


def talk(folder: Path) -> list[object]:
    """What to give to `voiceclone run`: the recording (16 s), its turns and its script."""
    wav = write_wav(folder / "talk.wav", syllables(16.0))
    turns, script = folder / "talk.rttm", folder / "talk.srt"
    turns.write_text(TURNS, encoding="utf-8")
    script.write_text(SCRIPT, encoding="utf-8")
    return [wav, "--turns", turns, "--script", script]
