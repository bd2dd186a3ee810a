"""The lines of a run as the page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.report.folder import Folder
from voiceclone_cli.report.loose import Document, mapping, number, rows, text, texts
from voiceclone_cli.report.peaks import read_peaks
from voiceclone_cli.report.words import word_diff
from voiceclone_cli.report.worst import LOST, badness, flags_of

_MEASURES = (
    "similarity",
    "margin",
    "wer",
    "mos",
    "duration_ratio",
    "loudness_db",
    "peak_db",
    "clipped_samples",
)


def lines_of(folder: Folder) -> Iterator[dict[str, Any]]:
    """One row for each segment of the manifest, in its order."""
    checks = {text(row.get("id")): row for row in rows(folder.check.get("segments"))}
    stretch = mapping(mapping(folder.run.get("settings")).get("max_stretch"))
    max_stretch = number(stretch.get("value"))
    for row in rows(folder.run.get("segments")):
        yield _line(folder, row, checks.get(text(row.get("id")), {}), max_stretch)


def _line(folder: Folder, row: Document, found: Document, max_stretch: float | None) -> dict[str, Any]:
    spoken = row.get("status") == "done"
    wav = folder.find(row.get("file")) if spoken else None
    peaks = read_peaks(wav) if wav else None
    check = found if wav and _is_fresh(wav, found) else {}
    flags = flags_of(row, check, lost=spoken and peaks is None, max_stretch=max_stretch)
    return {
        "id": text(row.get("id")),
        "speaker": text(row.get("speaker")),
        "text": text(row.get("text")),
        "language": text(row.get("language")),
        "status": LOST if LOST in flags else text(row.get("status")) or "unknown",
        "file": folder.link(wav),
        "peaks": asdict(peaks) if peaks else None,
        "flags": flags,
        "badness": badness(flags, row, check),
        "warnings": texts(row.get("warnings")) + _unmarked(row),
        "error": text(mapping(row.get("error")).get("message")),
        "seed": row.get("seed") if isinstance(row.get("seed"), int) else None,
        "gain_db": number(row.get("gain_db")),
        **_times(row, peaks.seconds if peaks else None),
        "check": _check(text(row.get("text")), check),
        "stale": bool(found) and not check,
    }


def _unmarked(row: Document) -> list[str]:
    why = text(row.get("unmarked"))
    return [f"It carries no watermark: {why}."] if why else []


def _times(row: Document, seconds: float | None) -> dict[str, float | None]:
    """In seconds of the recording. Older manifests say neither where a slot ends nor where a clone lies."""
    start = number(row.get("start")) or 0.0
    end = max(start, number(row.get("end")) or start)
    stretch = number(row.get("stretch"))
    placed_seconds = number(row.get("placed_seconds"))
    if placed_seconds is None and seconds is not None and stretch:
        placed_seconds = seconds / stretch
    placed_at = number(row.get("placed_at"))
    if placed_at is None and placed_seconds is not None and "placed_at" not in row:
        placed_at = start
    return {
        "start": start,
        "end": end,
        "slot_end": max(end, number(row.get("slot_end")) or end),
        "placed_at": placed_at,
        "placed_seconds": placed_seconds if placed_at is not None else None,
        "seconds": seconds,
        "stretch": stretch,
        "overflow": number(row.get("overflow_seconds")),
    }


def _is_fresh(wav: Path, check: Document) -> bool:
    """Whether a check heard this very sound."""
    try:
        return bool(check) and check.get("sha256") == file_sha256(wav)
    except OSError:
        return False


def _check(wanted: str, check: Document) -> dict[str, Any] | None:
    """What a check measured; None where there was none of this sound."""
    if not check:
        return None
    heard = check.get("heard")
    return {
        **{name: number(check.get(name)) for name in _MEASURES},
        "judged": check.get("judged") is not False,
        "nearest_other": text(check.get("nearest_other")),
        "error": text(check.get("error")) or text(mapping(check.get("error")).get("message")),
        "heard": heard if isinstance(heard, str) else None,
        "diff": word_diff(wanted, heard) if isinstance(heard, str) else None,
    }
