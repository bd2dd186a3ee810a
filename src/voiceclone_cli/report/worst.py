"""Which lines want an ear first."""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone_cli.report.loose import Document, number, texts

FAILED, PLANNED, LOST = "failed", "planned", "file missing"
OVERFLOW, STRETCHED, WARNING, UNMARKED = "overflow", "stretched", "warning", "no watermark"

_HEARD_OVERFLOW = 0.05
"""Seconds past the slot. Less than that nobody notices."""

_WEIGHTS = {
    FAILED: 1000.0,
    LOST: 900.0,
    "silent": 200.0,
    "wrong speaker": 150.0,
    "wrong words": 120.0,
    "clipped": 60.0,
    OVERFLOW: 30.0,
    WARNING: 20.0,
    UNMARKED: 15.0,
    STRETCHED: 10.0,
    PLANNED: 0.0,
}
_OTHER_WEIGHT = 40.0


def flags_of(row: Document, check: Document, *, lost: bool, max_stretch: float | None) -> list[str]:
    """What is the matter with a line, by its manifest row and by what a check found; in words, worst first."""
    status = row.get("status")
    flags = [status] if status in (FAILED, PLANNED) else [LOST] if lost else []
    if (number(row.get("overflow_seconds")) or 0.0) > _HEARD_OVERFLOW:
        flags.append(OVERFLOW)
    if (
        max_stretch is not None
        and max_stretch > 1
        and (number(row.get("stretch")) or 0.0) >= max_stretch - 1e-6
    ):
        flags.append(STRETCHED)
    if texts(row.get("warnings")):
        flags.append(WARNING)
    if row.get("unmarked"):
        flags.append(UNMARKED)
    flags += [flag.replace("_", " ") for flag in texts(check.get("flags"))]
    return sorted(dict.fromkeys(flags), key=lambda flag: -_WEIGHTS.get(flag, _OTHER_WEIGHT))


def badness(flags: Sequence[str], row: Document, check: Document) -> float:
    """Larger is worse: first by what is flagged, then by how far each measure lies from what one would wish.

    The scale means nothing by itself; it only orders.
    """
    # A second of speech is too little to tell a voice by.
    voice = {} if check.get("judged") is False else check
    of_flags = sum(_WEIGHTS.get(flag, _OTHER_WEIGHT) for flag in flags)
    wishes = (
        (20.0, number(check.get("wer")), 0.0),
        (-10.0, number(voice.get("similarity")), 1.0),
        (-10.0, number(voice.get("margin")), 1.0),
        (-2.0, number(voice.get("mos")), 5.0),
        (5.0, number(row.get("stretch")), 1.0),
        (10.0, number(row.get("overflow_seconds")), 0.0),
    )
    of_measures = sum(weight * (value - wish) for weight, value, wish in wishes if value is not None)
    return round(of_flags + of_measures, 4)
