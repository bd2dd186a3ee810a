"""Whether a run will find room on its disk: a look ahead, since a full disk is survived but costs the wait."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from voiceclone_cli.media.layout import MOST_CHANNELS
from voiceclone_cli.timeline import mix_rate
from voiceclone_cli.types import Recording, Segment

_RATE = 44_100
"""Hz; the highest of any engine's."""
_SPARE = 4 << 20
"""Bytes for references, notes and logs."""


def bytes_of_run(
    recording: Recording, segments: Sequence[Segment], slot_ends: Mapping[str, float], voices: int
) -> int:
    """About what the wavs of a run take at most: every slot filled, the mix, and a stem for each voice.

    ``slot_ends``: seconds, by segment id. 16 bit, at the rate that is highest for the mix, which has the
    recording's channels; the stems are mono.
    """
    rate = mix_rate(recording.source_rate, [_RATE])
    spoken = sum(slot_ends[segment.id] - segment.start for segment in segments)
    tracks = voices + (recording.channels if recording.channels <= MOST_CHANNELS else 1)
    return round(2 * (spoken * _RATE + tracks * recording.seconds * rate)) + _SPARE


def free_bytes(folder: Path) -> int | None:
    """Where ``folder`` is, or will be; None where nobody can tell."""
    there = next((place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def free_space_note(folder: Path, needed: int) -> str | None:
    """One sentence when fewer than ``needed`` bytes are free where ``folder`` is, or will be; None when all is
    well, or nobody can tell."""
    free = free_bytes(folder)
    if free is None or free >= needed:
        return None
    return (
        f"the disk of {folder} may become full: the run needs up to {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB "
        "are free; if it does, make room and give the same command again"
    )
