"""What passes between the controller and a child that listens: lines of JSON.

    request  {"wish": {"op": "turns", ...}, "recording": {...}, "samples": ".../x.npy"}
    replies  {"progress": {...}}, any number of times, then {"heard": {...}} or {"error": {...}}

The samples are a file that the child maps into its memory and not a part of the line: an hour has 230 MB.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.diarization import SpeakerCount, Stack
from voiceclone_cli.errors import InputError, PreflightError, RunError, VoicecloneError
from voiceclone_cli.listening.kept import KeptEars
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, Recording

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

Wish = Mapping[str, Any]
"""What is to be heard, as plain data; it holds the hub token and is not to be shown."""

TURNS, WORDS = "turns", "words"

_KINDS = {kind.__name__: kind for kind in (InputError, PreflightError, RunError)}


def wish_for_turns(stack: Stack, count: SpeakerCount, settings: Settings) -> Wish:
    return {
        "op": TURNS,
        "stack": {
            "name": stack.name,
            "folders": {name: str(folder) for name, folder in stack.folders.items()},
            "why": stack.why,
        },
        "count": asdict(count),
        "token": settings.token,
        "threads": settings.threads,
    }


def wish_for_words(recogniser: Path, settings: Settings) -> Wish:
    return {
        "op": WORDS,
        "recogniser": str(recogniser),
        "language": settings.language,
        "threads": settings.threads,
    }


def fulfil(wish: Wish, recording: Recording, ears: KeptEars, progress: Progress) -> dict[str, Any]:
    """What is heard, as plain data. Raises what ``ears`` raise."""
    if wish["op"] == WORDS:
        words = ears.words(
            recording,
            Path(wish["recogniser"]),
            language=wish["language"],
            threads=wish["threads"],
            progress=progress,
        )
        return asdict(words)
    folders = {name: Path(folder) for name, folder in wish["stack"]["folders"].items()}
    turns = ears.turns(
        recording,
        Stack(wish["stack"]["name"], folders, wish["stack"]["why"]),
        SpeakerCount(**wish["count"]),
        token=wish["token"],
        threads=wish["threads"],
        progress=progress,
    )
    return asdict(turns)


def recording_row(recording: Recording) -> dict[str, Any]:
    """A recording without its samples."""
    return {
        "path": str(recording.path),
        "source_rate": recording.source_rate,
        "source_frames": recording.source_frames,
        "channels": recording.channels,
        "has_video": recording.has_video,
    }


def recording_from_row(row: Mapping[str, Any], samples: Samples) -> Recording:
    return Recording(**{**row, "path": Path(row["path"]), "samples": samples})


def error_row(error: VoicecloneError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": error.message, "code": error.code}


def error_from_row(row: Mapping[str, str]) -> VoicecloneError:
    return _KINDS.get(row["kind"], VoicecloneError)(row["message"], code=row["code"])
