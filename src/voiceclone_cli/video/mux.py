"""A video that an earlier run has made is taken over when it would come out the same."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.audio.formats import open_options
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import explain_write_errors, file_sha256
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import Progress, ProgressEvent, Script
from voiceclone_cli.video.source import (
    FORMATS,
    PacketCopier,
    choose_format,
    estimated_size,
    kept_streams,
    open_source,
    packets,
)
from voiceclone_cli.video.tracks import (
    CaptionTrack,
    Soundtrack,
    add_covers,
    describe,
    introduce,
    introduce_script,
    open_soundtrack,
    step_back,
)
from voiceclone_worker.atomic import atomic_path

if typing.TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream


# A video with new sound: everything else is copied as it is.


STAGE = "video"

_PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Video:
    path: Path
    sha256: str
    notes: tuple[str, ...] = ()
    """Sentences for the user: a subtitle track that the container cannot hold."""


def write_video(
    source: Path,
    audio: Path,
    out: Path,
    *,
    subtitles: Script | None,
    language: str | None,
    keep_original_audio: bool,
    tags: Mapping[str, str],
    progress: Progress,
) -> Video:
    """Write ``source`` with ``audio``, a wav of 1 to 8 channels, in the place of its first audio track.

    ``out`` ends as ``copying.output_suffix`` says. Pictures, subtitles, attachments, chapters and metadata are
    copied without being decoded. The new track is the first and the default one; the original's audio is left
    out, or kept behind it. ``subtitles`` become a further track, ``tags`` the file's metadata; ``language`` is an
    ISO 639-1 code. Times stay as they are; only broadcasts, whose clocks begin anywhere, begin at 0.
    The file depends on nothing but what is given.

    Progress: stage "video", in seconds. Raises InputError (``media_damaged``, ``video_codec``, ``video_times``)
    and RunError (``mix_unreadable``, ``output_unwritable``, ``disk_full``).
    """
    with open_source(source) as container, _output(source, out) as output:
        streams, notes = choose_format(
            kept_streams(container, keep_original_audio=keep_original_audio), source, out.suffix
        )
        describe(output, container, tags, out.suffix)
        copies = PacketCopier(container, output, out.suffix)
        copies.add(_of(streams, "video"))
        with open_soundtrack(
            audio, output, out.suffix, container.streams.audio[0], source, copies.zero
        ) as soundtrack:
            introduce(soundtrack.stream, language, out.suffix)
            step_back(copies.add(_of(streams, "audio")), out.suffix)
            captions = None
            if subtitles is not None:
                height = max(estimated_size(stream)[1] for stream in _of(streams, "video"))
                captions = CaptionTrack(output, out.suffix, subtitles.segments, height)
                introduce_script(captions.stream, language, out.suffix)
            copies.add(_of(streams, "subtitle", "attachment"))
            output.mux(add_covers(output, container, source, out.suffix))
            _copy(container, source, output, copies, soundtrack, captions, progress)
    return Video(out, file_sha256(out), notes)


@contextmanager
def _output(source: Path, out: Path) -> Iterator[OutputContainer]:
    """The file to write into, which gets its name when the block ends well."""
    import av
    from av.container import Flags

    try:
        with explain_write_errors(out.parent), atomic_path(out) as temporary:
            name = f"file:{temporary.absolute()}"
            with av.open(name, "w", format=FORMATS[out.suffix]) as output:
                # No random numbers, no time of day.
                output.flags |= typing.cast(int, Flags.bitexact.value)
                yield output
            # Some muxers write a header that nobody can read, and say nothing.
            av.open(name, options=open_options()).close()
    except av.error.FFmpegError as error:
        # Those that are OSErrors are explained by now.
        raise InputError(
            f"The pictures of {source} cannot be copied as they are ({error.strerror}): convert the video to mp4 "
            "first.",
            code="video_codec",
        ) from error


def _copy(
    source: InputContainer,
    path: Path,
    output: OutputContainer,
    copies: PacketCopier,
    soundtrack: Soundtrack,
    captions: CaptionTrack | None,
    progress: Progress,
) -> None:
    """Everything into the output, in the order in which the source has it."""
    import av

    total = source.duration / av.time_base if source.duration else None
    told = 0.0
    for packet in packets(source, path):
        seconds = copies.seconds(packet)
        if seconds is not None and captions is not None:
            output.mux(list(captions.until(seconds)))
        if packet.stream is source.streams.audio[0]:
            output.mux(list(soundtrack.follow(packet)))
        output.mux(copies.moved(packet))
        if seconds is not None and seconds >= told + _PROGRESS_SECONDS:
            told = seconds
            progress(ProgressEvent(STAGE, min(told, total or told), total))
    output.mux(copies.rest())
    output.mux(list(soundtrack.finish()))
    if captions is not None:
        output.mux(list(captions.until(math.inf)))
    progress(ProgressEvent(STAGE, total or told, total or told))


def _of(streams: Sequence[Stream], *kinds: str) -> list[Stream]:
    return [stream for stream in streams if stream.type in kinds]


VERSION = 1
"""To be counted up when the same inputs give another file."""


def cached_video(
    source: Path,
    audio: Path,
    out: Path,
    *,
    subtitles: Script | None,
    language: str | None,
    keep_original_audio: bool,
    tags: Mapping[str, str],
    cache: StageCache,
    progress: Progress,
    audio_sha256: str | None = None,
) -> Video:
    """As :func:`write_video`, which says what it takes and raises. ``source`` is the input that ``cache`` is for.

    ``audio_sha256`` is that of ``audio``, where it is known already. ``tags`` must not tell the time, or no video
    is ever like an earlier one.
    """
    inputs = {
        "audio": audio_sha256 or file_sha256(audio),
        "subtitles": _cues(subtitles),
        "language": language,
        "keep_original_audio": keep_original_audio,
        "tags": dict(tags),
        "name": out.name,
    }

    def write() -> Video:
        return write_video(
            source,
            audio,
            out,
            subtitles=subtitles,
            language=language,
            keep_original_audio=keep_original_audio,
            tags=tags,
            progress=progress,
        )

    return cache.cached(
        STAGE,
        VERSION,
        inputs,
        write,
        serialize=lambda video: {"sha256": video.sha256, "notes": list(video.notes)},
        parse=lambda entry: Video(out, entry["sha256"], tuple(entry["notes"])),
        large_files=lambda video: [video.path],
    )


def _cues(subtitles: Script | None) -> list[list[float | str]] | None:
    if subtitles is None:
        return None
    return [[segment.start, segment.end, segment.text] for segment in subtitles.segments]
