"""Which engine speaks, in which interpreter, with which files, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voiceclone_cli import models
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import Settings, models_home
from voiceclone_cli.types import Progress, no_progress
from voiceclone_worker.contract import EngineSpec


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that is ready to be started."""

    name: str
    why: str
    """One sentence for the user: why this one, and what to do for the other."""
    python: str | None
    """The worker's interpreter; None is this one."""
    codes_name: str
    """The file that holds an encoded reference: voice.npz for kokoro, codes.npy for fish."""
    checkpoint: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, *, batch_size: int, threads: int) -> EngineSpec:
        """The engine as a task file names it."""
        return EngineSpec(
            name=self.name,
            checkpoint=self.checkpoint,
            batch_size=batch_size,
            options={**self.options, "threads": threads},
        )


def choose_engine(settings: Settings, progress: Progress = no_progress) -> EngineChoice:
    """The engine of a run, its files fetched and verified. Raises PreflightError."""
    if settings.engine == "echo":
        return EngineChoice(
            "echo", "echo was asked for: tones, no speech", settings.fish_speech_python, "codes.txt"
        )
    if settings.engine == "fish":
        raise PreflightError(
            "this version has no fish engine yet; use --engine kokoro, which needs nothing more",
            code="engine_unavailable",
        )
    why = "kokoro was asked for"
    if settings.engine == "auto":
        why = "kokoro, the embedded voice matching, because this version has no fish engine yet"
    folders = models.ensure(
        ["kokoro", "campplus"], progress, home=models_home(settings), token=settings.token
    )
    return EngineChoice(
        "kokoro",
        why,
        None,
        "voice.npz",
        checkpoint=str(folders["kokoro"]),
        options={"encoder": str(folders["campplus"])},
    )
