"""Where everything lies that a run leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MANIFEST = "run.json"
OWNER = ".owner"
"""Whose directory it is, should the manifest be damaged."""
CHECK_SCHEMA = "voiceclone.check/1"
"""Of check.json, which the check writes and the report reads."""
FOLDERS = ("logs", "segments", "speakers", "stages", "stems", "tasks")


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The paths of a run directory, whether or not there is something."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / MANIFEST

    @property
    def rttm(self) -> Path:
        return self.root / "diarization.rttm"

    @property
    def script_json(self) -> Path:
        return self.root / "script.json"

    @property
    def script_srt(self) -> Path:
        return self.root / "script.srt"

    def script_given(self, suffix: str) -> Path:
        """What ``script_json`` or ``script_srt`` held when it was fed back. ``suffix``: theirs, with its dot."""
        return self.root / f"script.given{suffix}"

    @property
    def speakers(self) -> Path:
        return self.root / "speakers"

    @property
    def segments(self) -> Path:
        return self.root / "segments"

    @property
    def stems(self) -> Path:
        return self.root / "stems"

    @property
    def mix(self) -> Path:
        return self.root / "mix.wav"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def original(self) -> Path:
        """The recording's audio, for the report to play."""
        return self.root / "original.flac"

    @property
    def check(self) -> Path:
        return self.root / "check.json"

    @property
    def corrections(self) -> Path:
        return self.root / "corrections.json"

    @property
    def consent(self) -> Path:
        return self.root / "consent.json"

    def video(self, suffix: str) -> Path:
        """``suffix``: that of the container, with its dot."""
        return self.root / f"output{suffix}"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def stages(self) -> Path:
        return self.root / "stages"

    def segment_wav(self, segment_id: str) -> Path:
        return self.segments / f"{segment_id}.wav"

    def segment_note(self, segment_id: str) -> Path:
        return self.segments / f"{segment_id}.json"
