"""What a run is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli.correcting import Wish
from voiceclone_cli.diarization import SpeakerCount
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Until


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asks for."""

    input: Path
    settings: Settings
    out: Path | None = None
    """None: ``<name of the input>.voiceclone`` in the working directory."""
    script: Path | None = None
    """None: the words of the recording itself."""
    turns: Path | None = None
    """RTTM; None: who speaks when is found out."""
    references: Mapping[str, Path] = field(default_factory=dict)
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    consent: Path | None = None
    """Who agreed to what; None: nothing is known of that."""
    corrections: tuple[Wish, ...] = ()
    """What to correct of this run, now and in every later one."""
    until: Until | None = None
    """The last stage; None: all of them."""
    keep_original_audio: bool = False
    """In the video that comes out."""
    report: bool = True
    keep_tasks: bool = False
    force: bool = False
    """Do everything again, whatever an earlier run has left."""

    @property
    def run_dir(self) -> Path:
        return self.out or Path(f"{self.input.stem}.voiceclone")
