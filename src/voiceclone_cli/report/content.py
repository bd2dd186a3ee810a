"""Everything the page shows, as one document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from voiceclone_cli.report import details
from voiceclone_cli.report.corrections import corrections_of
from voiceclone_cli.report.folder import Folder
from voiceclone_cli.report.lines import lines_of
from voiceclone_cli.report.loose import rows
from voiceclone_cli.report.peaks import read_peaks
from voiceclone_cli.report.people import speakers_of, turns_of
from voiceclone_cli.types import Progress, ProgressEvent

STAGE = "report"


def content_of(folder: Folder, progress: Progress) -> dict[str, Any]:
    """Times are seconds from the start of the recording. Progress: stage "report", in lines."""
    total = len(rows(folder.run.get("segments")))
    lines = []
    for line in lines_of(folder):
        lines.append(line)
        progress(ProgressEvent(STAGE, len(lines), total))
    turns = turns_of(folder)
    original, mix = _track(folder, "original.flac"), _track(folder, "mix.wav")
    return {
        "outcome": details.outcome_of(folder),
        "speakers": speakers_of(folder, lines, turns),
        "turns": turns,
        "lines": lines,
        "original": original,
        "mix": mix,
        "checked": bool(folder.check),
        "facts": details.facts_of(folder),
        "timing": details.timing_of(folder),
        "settings": details.settings_of(folder),
        "versions": details.versions_of(folder),
        "summary": details.summary_of(folder, lines),
        "gates": details.gates_of(folder),
        "history": corrections_of(folder),
        "consent": details.consent_of(folder),
        "files": details.files_of(folder),
        "commands": details.commands_of(folder),
    }


def _track(folder: Folder, name: str) -> dict[str, Any] | None:
    """A track as long as the recording."""
    path = folder.find(name)
    peaks = read_peaks(path) if path else None
    return {"file": folder.link(path), "peaks": asdict(peaks)} if peaks else None
