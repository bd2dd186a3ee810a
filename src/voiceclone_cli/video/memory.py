"""A video that an earlier run has made is taken over when it would come out the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.types import Progress, ProgressEvent, Script
from voiceclone_cli.video.writing import STAGE, Video, write_video

_RECIPE = 1
"""To be counted up when the same inputs come to another file."""


def make_video_or_recall(
    source: Path,
    audio: Path,
    out: Path,
    *,
    subtitles: Script | None,
    language: str | None,
    keep_original_audio: bool,
    tags: Mapping[str, str],
    stages: Stages,
    progress: Progress,
    audio_sha256: str | None = None,
) -> Video:
    """As :func:`write_video`, which says what it takes and raises. ``source`` is the input that ``stages`` is for.

    ``audio_sha256`` is that of ``audio``, where it is known already. ``tags`` must not tell the time, or no video
    is ever like an earlier one.
    """
    made_from = {
        "recipe": _RECIPE,
        "audio": audio_sha256 or file_sha256(audio),
        "subtitles": _cues(subtitles),
        "language": language,
        "keep_original_audio": keep_original_audio,
        "tags": dict(tags),
        "name": out.name,
    }
    known = stages.recall(STAGE, made_from)
    if known is not None:
        progress(ProgressEvent(STAGE, 1, 1, note="kept from before"))
        return Video(out, known["sha256"], tuple(known["notes"]))
    video = write_video(
        source,
        audio,
        out,
        subtitles=subtitles,
        language=language,
        keep_original_audio=keep_original_audio,
        tags=tags,
        progress=progress,
    )
    stages.keep(STAGE, made_from, {"sha256": video.sha256, "notes": list(video.notes)}, large_files=[out])
    return video


def _cues(subtitles: Script | None) -> list[list[float | str]] | None:
    if subtitles is None:
        return None
    return [[segment.start, segment.end, segment.text] for segment in subtitles.segments]
