"""A Script becomes a file to edit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.errors import InputError
from voiceclone_cli.script.line import SCHEMA
from voiceclone_cli.script.subtitles import looks_like_times, plain
from voiceclone_cli.types import Script, Segment


def write(path: Path, script: Script) -> None:
    """Write a script as JSON or SRT, by the extension; ``read`` takes either back without loss.

    In SRT the id is the cue's number and the language is the reader's to know; ids that are not numbers of
    four digits or more are lost there, all of them. The notes are not written.
    """
    check_format(path)
    to_text = to_json if path.suffix.lower() == ".json" else to_srt
    write_text_atomic(path, to_text(script))


def check_format(path: Path) -> None:
    """Raises InputError for a name that ``write`` would not take: to be known before the work."""
    if path.suffix.lower() not in (".json", ".srt"):
        raise InputError(
            f"A script is written as .json or .srt, not as {path.name!r}; choose one of those endings.",
            code="script_format",
        )


def to_json(script: Script) -> str:
    document = {
        "schema": SCHEMA,
        "language": script.language,
        "segments": [_row(segment) for segment in script.segments],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _row(segment: Segment) -> dict[str, Any]:
    """Without a seed, unless the line has its own."""
    return {key: value for key, value in asdict(segment).items() if key != "seed" or value is not None}


def to_srt(script: Script) -> str:
    cues = (
        f"{number}\n{_clock(segment.start)} --> {_clock(segment.end)}\n{_spoken(segment)}\n"
        for number, segment in zip(_numbers(script.segments), script.segments, strict=True)
    )
    return "\n".join(cues)


def _numbers(segments: Sequence[Segment]) -> Sequence[int]:
    ids = [segment.id for segment in segments]
    if all(id.isascii() and id.isdecimal() and id == f"{int(id):04d}" for id in ids):
        return [int(id) for id in ids]
    return range(1, len(ids) + 1)


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d},{milliseconds % 1000:03d}"


def _spoken(segment: Segment) -> str:
    """``[SPEAKER_00] text``, with entities in the rare case that some of it reads as formatting."""
    text = f"[{segment.speaker}] {segment.text}"
    if plain(text) == text and not looks_like_times(text):
        return text
    return "".join(f"&#{ord(character)};" if character in "&<>{\\:" else character for character in text)
