"""A sample film dubbed, and a look at what came out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np

from video_samples import noise, write_mix
from voiceclone_cli.audio.reader import read_recording
from voiceclone_cli.types import Progress, Script, Segment, no_progress
from voiceclone_cli.video.mux import Video, write_video
from voiceclone_cli.video.source import output_suffix

SCRIPT = Script(
    (
        Segment("0001", "SPEAKER_00", 0.5, 1.25, "¿Quién eres?", "es"),
        Segment("0002", "SPEAKER_01", 1.0, 2.0, "Nadie.", "es"),
    )
)
COPIED = [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"]


def dub(
    source: Path,
    mix: np.ndarray | None = None,
    *,
    rate: int | None = None,
    subtitles: Script | None = None,
    keep: bool = False,
    tags: Mapping[str, str] = {},
    progress: Progress = no_progress,
) -> Path:
    """The dubbed video beside its source; without a mix, noise as long as the recording."""
    recording = read_recording(source)
    if mix is None:
        mix = noise(recording.seconds, seed=7, rate=recording.source_rate)
    wav = source.with_name("mix.wav")
    write_mix(wav, mix, rate or recording.source_rate)
    out = source.with_name("output" + output_suffix(source, keep_original_audio=keep))
    video = write_video(
        source,
        wav,
        out,
        subtitles=subtitles,
        language="es",
        keep_original_audio=keep,
        tags=tags,
        progress=progress,
    )
    assert video == Video(out, video.sha256) and not list(source.parent.glob(".*"))
    return out


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(container.streams.video[0])]
