"""Segments that were measured before are not measured again while wav, language and models are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceclone_cli.checking.ears import Ears
from voiceclone_cli.checking.hearing import Heard, hear
from voiceclone_cli.checking.reading import Finished, Line
from voiceclone_cli.errors import RunError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.types import Progress, ProgressEvent

STAGE = "listening"
_REMEMBERED_AS = "check-segments"
_VERSION = 1
"""Of the way of measuring: another one measures everything again."""
_SAVE_EVERY = 25
"""Segments, so that a check that is stopped goes on later."""


@dataclass(frozen=True, slots=True)
class Listened:
    """What became of one spoken line: ``heard``, or the ``error`` that kept it from being heard."""

    sha256: str | None
    heard: Heard | None
    error: RunError | None = None


def hear_all(finished: Finished, ears: Ears, stages: Stages, progress: Progress) -> dict[str, Listened]:
    """Every spoken line of a run by its id. Raises RunError where the run directory cannot be written."""
    made_from = {"models": ears.identity(), "version": _VERSION}
    before: dict[str, Any] = stages.recall(_REMEMBERED_AS, made_from) or {}
    now: dict[str, Any] = {}
    outcomes: dict[str, Listened] = {}
    lines = [line for line in finished.lines if line.is_done]
    unsaved = 0
    for done, line in enumerate(lines):
        progress(ProgressEvent(STAGE, done, len(lines), note=line.id))
        try:
            sha256 = _sha256(line)
            key = f"{sha256} {line.language}"
            if key not in now:
                now[key] = before.get(key) or hear(line.wav, line.language, ears).to_dict()
                unsaved += key not in before
            outcomes[line.id] = Listened(sha256, Heard(**now[key]))
        except RunError as error:
            outcomes[line.id] = Listened(None, None, error)
        if unsaved >= _SAVE_EVERY:
            stages.keep(_REMEMBERED_AS, made_from, {**before, **now})
            unsaved = 0
    if now.keys() != before.keys():
        stages.keep(_REMEMBERED_AS, made_from, now)
    progress(ProgressEvent(STAGE, len(lines), len(lines)))
    return outcomes


def _sha256(line: Line) -> str:
    try:
        return file_sha256(line.wav)
    except OSError as error:
        raise RunError(
            f"{line.wav} cannot be read ({error.strerror or error}): give the run's command again",
            code="speech_unreadable",
        ) from error
