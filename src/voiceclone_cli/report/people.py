"""The speakers of a run, their references, and when each of them spoke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from voiceclone_cli.diarization import read_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.report.folder import Folder
from voiceclone_cli.report.loose import Document, number, rows, text, texts
from voiceclone_cli.report.peaks import read_peaks


def speakers_of(folder: Folder, lines: Sequence[Document], turns: Sequence[Document]) -> list[dict[str, Any]]:
    """Those of the manifest, then whoever else a line or a turn names."""
    known = {text(row.get("name")): row for row in rows(folder.run.get("speakers"))}
    named = [*known, *(text(row["speaker"]) for row in (*lines, *turns))]
    return [_speaker(folder, name, known.get(name, {}), lines) for name in dict.fromkeys(named)]


def _speaker(folder: Folder, name: str, row: Document, lines: Sequence[Document]) -> dict[str, Any]:
    own = [line for line in lines if line["speaker"] == name]
    voices = {text(row.get("speaker")): row for row in rows(folder.check.get("voices"))}
    voice = voices.get(name, {}) if any(line["check"] for line in own) else {}
    wav = folder.find(row.get("reference"))
    peaks = read_peaks(wav) if wav else None
    return {
        "name": name,
        "speech_seconds": number(row.get("speech_seconds")),
        "segments": len(own),
        "done": sum(line["status"] == "done" for line in own),
        "similarity": number(voice.get("similarity")),
        "margin": number(voice.get("margin")),
        "nearest_other": text(voice.get("nearest_other")),
        "judged_by": text(voice.get("source")),
        "reference": folder.link(wav),
        "reference_peaks": asdict(peaks) if peaks else None,
        "reference_seconds": number(row.get("reference_seconds")),
        "reference_text": text(row.get("reference_text")),
        "warnings": texts(row.get("warnings")),
    }


def turns_of(folder: Folder) -> list[dict[str, Any]]:
    """Who spoke when in the recording; of older manifests from their RTTM."""
    turns = rows(folder.run.get("turns")) or _turns_of_rttm(folder)
    whole = ((number(t.get("start")), number(t.get("end")), text(t.get("speaker"))) for t in turns)
    return [
        {"start": start, "end": end, "speaker": speaker}
        for start, end, speaker in whole
        if start is not None and end is not None and end > start
    ]


def _turns_of_rttm(folder: Folder) -> list[Document]:
    path = folder.find("diarization.rttm")
    if path is None:
        return []
    try:
        return [asdict(turn) for turn in read_rttm(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, InputError):
        return []
