"""``--one-video``: a video of each recording of a batch, with a track for each of its languages."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from voiceclone_cli.audio.film import picture_streams
from voiceclone_cli.batch.model import (
    Batch,
    BatchItem,
    BatchRun,
    ItemResult,
    SharedVideo,
    SharedVideoResult,
    earlier_videos,
)
from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.provenance.watermark import container_tags
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment
from voiceclone_cli.video.mux import Dub, Video, cached_video
from voiceclone_cli.video.source import FORMATS, open_source, output_suffix


def plan_shared_videos(items: Sequence[BatchItem], root: Path) -> tuple[SharedVideo, ...]:
    """Return a video for each recording of these translations, in the folder ``root``.

    A recording that cannot be read has none; its runs say why. Raises InputError for a recording without pictures
    (``not_a_video``) or with such that cannot be copied (``video_codec``), and for a file in the place of the video
    that no batch in ``root`` wrote (``video_exists``).
    """
    own = earlier_videos(root)
    inputs = {os.path.realpath(item.request.input) for item in items}
    videos: dict[str, SharedVideo] = {}
    for item in items:
        if item.recording in videos:
            continue
        suffix = _suffix(item)
        if suffix is None:
            continue
        path = root / f"{item.recording}{suffix}"
        if os.path.lexists(path) and (path.name not in own or os.path.realpath(path) in inputs):
            raise InputError(
                f"--one-video would write {path}, which is there already and was not made by it: choose another "
                "folder with --out.",
                code="video_exists",
            )
        videos[item.recording] = SharedVideo(item.recording, item.request.input, path)
    return tuple(videos.values())


def _suffix(item: BatchItem) -> str | None:
    """Return the suffix of the video; None where the recording cannot be read."""
    source = item.request.input
    try:
        with open_source(source) as container:
            has_pictures = bool(picture_streams(container))
        if has_pictures:
            return output_suffix(source, keep_original_audio=item.request.keep_original_audio)
    except InputError as error:
        if error.code == "video_codec":
            raise
        return None
    raise InputError(
        f"{source} has no pictures, and --one-video writes a video: leave it out, and take mix.wav of each language.",
        code="not_a_video",
    )


def write_shared_videos(batch: Batch, run: BatchRun, progress: Progress) -> BatchRun:
    """Return the batch's results with those of its videos, which are written unless they are there already.

    A batch that was stopped writes none; the same command writes them later.
    """
    if run.stopped is not None or not batch.videos:
        return run
    started = time.perf_counter()
    stopped = None
    results: list[SharedVideoResult] = []
    try:
        for video in batch.videos:
            runs = [result for result in run.results if result.item.recording == video.recording]
            result = _write(video, runs, progress)
            results.append(result)
            for note in (*result.notes, *([result.error["message"]] if result.error else [])):
                progress(ProgressEvent("note", 1, 1, note=note))
    except Stopped as stop:
        stopped = stop
    seconds = run.timing["total"] + time.perf_counter() - started
    return replace(run, videos=tuple(results), stopped=stopped, timing={**run.timing, "total": seconds})


def _write(video: SharedVideo, runs: Sequence[ItemResult], progress: Progress) -> SharedVideoResult:
    """Write the video with every language whose run made sound; where none did, delete that of an earlier batch."""
    audible, notes = [], []
    for run in runs:
        if not _mix(run):
            notes.append(
                f"{video.path.name} has no track in {_language(run)}, because its run made no sound; the same command "
                "again adds what is made by then"
            )
            continue
        if run.exit_code:
            notes.append(
                f"{video.path.name}: the track in {_language(run)} is not complete; {run.item.request.run_dir} says why"
            )
        audible.append(run)
    try:
        written = _write_tracks(video, audible, progress)
    except VoicecloneError as error:
        with suppress(OSError):
            video.path.unlink(missing_ok=True)  # the sound of an earlier batch
        return SharedVideoResult(
            video, notes=tuple(notes), error={"code": error.code, "message": error.message}
        )
    if written is None:
        return SharedVideoResult(video, notes=tuple(notes))
    return SharedVideoResult(video, tuple(map(_language, audible)), written.sha256, (*notes, *written.notes))


def _write_tracks(video: SharedVideo, audible: Sequence[ItemResult], progress: Progress) -> Video | None:
    """Raise what ``cached_video`` raises, and RunError for an earlier video that cannot be deleted."""
    root = video.path.parent
    outdated = {video.path.with_suffix(suffix) for suffix in FORMATS}
    if audible:
        outdated.remove(video.path)
    own = earlier_videos(root)
    with friendly_errors(root):
        for path in outdated:
            if path.name in own:
                path.unlink(missing_ok=True)
    if not audible:
        return None
    first = audible[0]
    assert first.document is not None
    source = first.document["input"]
    return cached_video(
        video.source,
        [_dub(run) for run in audible],
        video.path,
        keep_original_audio=first.item.request.keep_original_audio,
        tags=container_tags(first.document["engine"]),
        cache=StageCache(root, f"{source['sha256']} {source['audio']['track']}", progress),
        progress=progress,
        audio_track=source["audio"]["track"],
        stage=video.recording,
    )


def _mix(run: ItemResult) -> str | None:
    return run.document["outputs"].get("mix") if run.document else None


def _language(run: ItemResult) -> str:
    translation = run.item.request.translation
    assert translation is not None
    return translation.to


def _dub(run: ItemResult) -> Dub:
    """Return the sound and the captions of a run, as its manifest has them."""
    assert run.document is not None
    lines = (
        Segment(row["id"], row["speaker"], row["start"], row["end"], row["text"], row["language"])
        for row in run.document["segments"]
    )
    mix = Path(run.document["outputs"]["mix"])
    return Dub(mix, _language(run), Script(tuple(lines)), run.document["hashes"].get(mix.name))
