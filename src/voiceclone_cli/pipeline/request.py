"""The request for a run, and how the manifest records it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voiceclone_cli.analysis.diarization import SpeakerCount
from voiceclone_cli.config import SETTINGS, Settings
from voiceclone_cli.corrections.edits import Edits
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.translation.job import TranslationOptions
from voiceclone_cli.types import Until

_SUFFIX = ".voiceclone"
_MAX_NAME = 255
"""Bytes of a file name, on most systems."""
_SHORT_STEM = 100
"""Bytes of a stem that was cut; there is room for the names that other programs make of the directory's."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asks for on the command line."""

    input: Path
    settings: Settings
    out: Path | None = None
    """None: ``<name of the input>.voiceclone`` in the working directory, ``<name>.es.voiceclone`` of a translation."""
    script: Path | None = None
    """None: the words of the recording itself."""
    turns: Path | None = None
    """RTTM; None: by diarization."""
    references: Mapping[str, Path] = field(default_factory=dict)
    speakers: SpeakerCount = field(default_factory=SpeakerCount)
    consent: Path | None = None
    """Document that says who agreed to what; None: there is none."""
    translation: TranslationOptions | None = None
    """Into which language the script is translated before it is spoken; None: it is not."""
    edits: Edits = field(default_factory=Edits)
    """Corrections of this run, which every later run in its directory has too."""
    until: Until | None = None
    """The last stage; None: all of them."""
    keep_original_audio: bool = False
    """Whether the new video has the original audio as a second track."""
    report: bool = True
    keep_tasks: bool = False
    force: bool = False
    """Whether to use no result of an earlier run."""

    @property
    def run_dir(self) -> Path:
        """The run directory of the request."""
        if self.out is not None:
            return self.out
        stem = self.input.stem
        return Path(default_run_dir(stem if self.translation is None else f"{stem}.{self.translation.to}"))


def default_run_dir(stem: str) -> str:
    """Return ``STEM.voiceclone``; of a stem that leaves no room for the suffix its beginning, and a hash of the whole."""
    if len(os.fsencode(stem + _SUFFIX)) <= _MAX_NAME:
        return stem + _SUFFIX
    digits = hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    short = os.fsencode(stem)[:_SHORT_STEM].decode("utf-8", errors="ignore").rstrip(" .")
    return f"{short}-{digits}{_SUFFIX}"


def describe_translation(options: TranslationOptions | None) -> dict[str, Any] | None:
    """Return what a translation was asked for, with absolute paths; None without one."""
    if options is None:
        return None
    files = {"context": options.context, "glossary": options.glossary}
    return {"to": options.to, **{name: path and str(path.absolute()) for name, path in files.items()}}


def describe_request(request: RunRequest, engine: EngineChoice) -> dict[str, Any]:
    """Return the fields of the manifest that are needed to repeat a run, without the token of the settings, nor the language of messages."""

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.absolute())

    settings = {
        name: {"value": getattr(request.settings, name), "from": request.settings.sources[name]}
        for name, setting in SETTINGS.items()
        # How people are addressed is no part of what a run makes.
        if not setting.secret and name != "lang"
    }
    fields = {
        "input": absolute(request.input),
        "script": absolute(request.script),
        "turns": absolute(request.turns),
        "references": {name: absolute(path) for name, path in request.references.items()},
        "speakers": asdict(request.speakers),
        "consent": absolute(request.consent),
        "translation": describe_translation(request.translation),
        "keep_original_audio": request.keep_original_audio,
        "report": request.report,
        "working_dir": str(Path.cwd()),
        # The one that was chosen, which another time may be another.
        "checkpoint": engine.checkpoint_name or None,
        # Given where square brackets are no words of a line, whether they are kept or dropped.
        "tags": engine.options.get("tags"),
    }
    return {"engine": engine.name, "request": fields, "settings": settings}
