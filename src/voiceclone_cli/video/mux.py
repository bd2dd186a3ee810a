"""Write a video with new sound: everything but the audio is copied without decoding."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import Flags, InputContainer, OutputContainer
from av.stream import Disposition, Stream

from voiceclone_cli.audio.film import film_zero
from voiceclone_cli.audio.formats import open_options
from voiceclone_cli.audio.tracks import choose_track, language_tag
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256, friendly_errors
from voiceclone_cli.languages import name_of
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import Progress, ProgressEvent, Script
from voiceclone_cli.video.source import (
    FORMATS,
    PacketCopier,
    choose_format,
    kept_streams,
    open_source,
    packets,
    picture_size,
)
from voiceclone_cli.video.tracks import CaptionTrack, Soundtrack, add_covers, cover_streams, open_soundtrack
from voiceclone_worker.atomic import atomic_path

if typing.TYPE_CHECKING:
    from av.container.core import Chapter

STAGE = "video"
ORIGINAL_TITLE = "Original"

VERSION = 3
"""Version of the algorithm: increase it when the same inputs give another file."""
_PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Dub:
    """The new sound of a video in one language."""

    audio: Path
    """A wav of 1 to 8 channels, whose first sample is the start of the film (:func:`film_zero`)."""
    language: str | None
    """BCP 47 tag."""
    subtitles: Script | None
    """Its captions; None: there are none."""
    audio_sha256: str | None = None
    """Hash of ``audio``, if it is known."""

    def inputs(self) -> dict[str, Any]:
        """Return what decides how it looks and sounds, for the cache."""
        lines = self.subtitles and [[line.start, line.end, line.text] for line in self.subtitles.segments]
        return {
            "audio": self.audio_sha256 or file_sha256(self.audio),
            "subtitles": lines,
            "language": self.language,
        }


@dataclass(frozen=True, slots=True)
class Video:
    """A video that was written."""

    path: Path
    sha256: str
    notes: tuple[str, ...] = ()
    """Sentences for the user, such as a subtitle track that the container cannot hold."""


def cached_video(
    source: Path,
    dubs: Sequence[Dub],
    out: Path,
    *,
    keep_original_audio: bool,
    tags: Mapping[str, str],
    cache: StageCache,
    progress: Progress,
    audio_track: str | None = None,
    stage: str = STAGE,
) -> Video:
    """Return the video of an earlier run with the same inputs, else write it with ``write_video``.

    ``source`` is the input of ``cache``, ``stage`` the name of the entry. ``tags`` must not contain the time, or no
    video would be reused. Raises what ``write_video`` raises.
    """
    inputs = {
        "dubs": [dub.inputs() for dub in dubs],
        "keep_original_audio": keep_original_audio,
        "tags": dict(tags),
        "name": out.name,
    }

    def write() -> Video:
        return write_video(
            source,
            dubs,
            out,
            keep_original_audio=keep_original_audio,
            tags=tags,
            progress=progress,
            audio_track=audio_track,
        )

    return cache.cached(
        stage,
        VERSION,
        inputs,
        write,
        serialize=lambda video: {"sha256": video.sha256, "notes": list(video.notes)},
        parse=lambda entry: Video(out, entry["sha256"], tuple(entry["notes"])),
        large_files=lambda video: [video.path],
    )


def write_video(
    source: Path,
    dubs: Sequence[Dub],
    out: Path,
    *,
    keep_original_audio: bool,
    tags: Mapping[str, str],
    progress: Progress,
    audio_track: str | None = None,
) -> Video:
    """Write ``source`` with the sound of ``dubs``, at least one, as its first audio tracks; the first is the default.

    ``out`` has the suffix that ``output_suffix`` returns. Pictures, subtitles, attachments, chapters and metadata are
    copied without decoding. The original audio is dropped, or kept behind the new tracks. The captions of ``dubs``
    become subtitle tracks before those of the input, ``tags`` metadata of the file; ``audio_track`` is that of the
    original that was read. The start of the film (:func:`film_zero`) is the time 0 of the output. The file is a
    function of the arguments.

    Progress: stage "video", in seconds. Raises InputError (``media_damaged``, ``video_codec``, ``audio_track``)
    and RunError (``mix_unreadable``, ``output_unwritable``, ``disk_full``).
    """
    suffix = out.suffix
    with open_source(source) as container, _open_output(source, out) as output, ExitStack() as sounds:
        streams, notes = choose_format(
            kept_streams(container, keep_original_audio=keep_original_audio), source, suffix
        )
        _describe_file(output, container, tags, suffix)
        copier = PacketCopier(container, output, suffix)
        copier.add(_of_type(streams, "video"))
        original = choose_track(container, source, audio_track).stream
        soundtracks = []
        for number, dub in enumerate(dubs):
            soundtrack = sounds.enter_context(open_soundtrack(dub.audio, output, suffix, original))
            title = _title(dub, "dubbed by voiceclone (synthetic voices)", dubs)
            _describe_track(soundtrack.stream, title, suffix, language_tag(dub.language, suffix))
            soundtrack.stream.disposition = Disposition.dub | (0 if number else Disposition.default)
            soundtracks.append(soundtrack)
        for stream in copier.add(_of_type(streams, "audio")):
            _describe_track(stream, stream.metadata.get("title", ORIGINAL_TITLE), suffix)
            stream.disposition = (stream.disposition & ~Disposition.default) | Disposition.original
        height = max(picture_size(stream)[1] for stream in _of_type(streams, "video"))
        captions = []
        for dub in dubs:
            if dub.subtitles is not None:
                track = CaptionTrack(output, suffix, dub.subtitles.segments, height)
                # Without another subtitle track, FFmpeg marks the first as the default in MP4.
                _describe_track(
                    track.stream, _title(dub, "script", dubs), suffix, language_tag(dub.language, suffix)
                )
                captions.append(track)
        copier.add(_of_type(streams, "subtitle", "attachment"))
        output.mux(add_covers(output, container, source, suffix))
        _mux_packets(container, source, output, copier, soundtracks, captions, progress)
    return Video(out, file_sha256(out), notes)


def _title(dub: Dub, what: str, dubs: Sequence[Dub]) -> str:
    """Return the title of a track, which names its language among several."""
    return (
        f"{name_of(dub.language)}, {what}" if dub.language and len(dubs) > 1 else what[0].upper() + what[1:]
    )


@contextmanager
def _open_output(source: Path, out: Path) -> Iterator[OutputContainer]:
    """Open the file for writing; it gets its name when the block ends without an error."""
    try:
        with friendly_errors(out.parent), atomic_path(out) as temporary:
            name = f"file:{temporary.absolute()}"
            with av.open(name, "w", format=FORMATS[out.suffix]) as output:
                # No random numbers, no time of day.
                output.flags |= typing.cast(int, Flags.bitexact.value)
                yield output
            # Some muxers write unreadable headers without an error.
            av.open(name, options=open_options()).close()
    except av.error.FFmpegError as error:
        # Those that are OSErrors are RunErrors by now.
        raise InputError(
            f"The pictures of {source} cannot be copied ({error.strerror}): convert the video to mp4 first.",
            code="video_codec",
        ) from error


def _mux_packets(
    source: InputContainer,
    path: Path,
    output: OutputContainer,
    copier: PacketCopier,
    soundtracks: Sequence[Soundtrack],
    captions: Sequence[CaptionTrack],
    progress: Progress,
) -> None:
    """Write the packets of all tracks in the order of the source."""
    total = source.duration / av.time_base if source.duration else None
    reported = 0.0
    for packet in packets(source, path):
        seconds = copier.seconds(packet)
        if seconds is not None:
            for track in captions:
                output.mux(list(track.until(seconds)))
            for soundtrack in soundtracks:
                output.mux(list(soundtrack.until(seconds)))
        output.mux(copier.copy(packet))
        if seconds is not None and seconds >= reported + _PROGRESS_SECONDS:
            reported = seconds
            progress(ProgressEvent(STAGE, min(seconds, total or seconds), total))
    output.mux(copier.finish())
    for soundtrack in soundtracks:
        output.mux(list(soundtrack.finish()))
    for track in captions:
        output.mux(list(track.until(math.inf)))
    progress(ProgressEvent(STAGE, total or reported, total or reported))


def _of_type(streams: Sequence[Stream], *types: str) -> list[Stream]:
    return [stream for stream in streams if stream.type in types]


# What players show: titles, languages and order of the tracks, chapters, metadata


def _describe_file(
    output: OutputContainer, source: InputContainer, tags: Mapping[str, str], suffix: str
) -> None:
    metadata, options = container_metadata(source.metadata, tags, suffix, cover=bool(cover_streams(source)))
    output.metadata.update(metadata)
    output.container_options.update(options)
    zero = film_zero(source)
    output.set_chapters([_shifted(chapter, zero) for chapter in source.chapters()])


def _shifted(chapter: Chapter, zero: Fraction) -> Chapter:
    shift = round(zero / chapter["time_base"]) if chapter["time_base"] else 0
    return {**chapter, "start": chapter["start"] - shift, "end": chapter["end"] - shift}


def _describe_track(stream: Stream, title: str, suffix: str, language: str | None = None) -> None:
    stream.metadata["title"] = title
    if suffix == ".mp4":
        # FFmpeg writes no track title in MP4; players show this instead.
        stream.metadata["handler_name"] = title
    if language is not None:
        stream.metadata["language"] = language


# MP4 has two metadata boxes: that of iTunes (``ilst``) is shown by all players and has a fixed set of keys; that of
# QuickTime (``mdta``) takes any key, such as those of phones, but players look for Apple's keys there. FFmpeg writes
# one or the other.

_FILE_KEYS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
"""Keys that describe the old file; the new one has other values."""
_ITUNES_KEYS = frozenset((
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping",
    "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
))  # fmt: skip
_MP4_HEADER_KEYS = frozenset({"creation_time", "timecode"})
"""Keys that MP4 keeps in the movie header and in a time code track."""
_APPLE_PREFIX = "com.apple.quicktime."
_APPLE_KEYS = frozenset({"title", "comment", "description", "software", "keywords", "copyright"})


def container_metadata(
    source: Mapping[str, str], tags: Mapping[str, str], suffix: str, *, cover: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the metadata to write, and FFmpeg's options that make the container accept it.

    ``cover``: whether there is one; FFmpeg writes covers into the box of iTunes only, which is chosen then.
    """
    kept = {key: value for key, value in source.items() if key.lower() not in _FILE_KEYS}
    if suffix == ".mkv":
        return _merged(kept, tags), {}
    # Track starts are in units of the movie's time scale, by default milliseconds.
    options = {"movflags": "+faststart", "movie_timescale": "90000", "strict": "unofficial"}
    if cover or {key.lower() for key in kept} <= _ITUNES_KEYS | _MP4_HEADER_KEYS:
        return _merged(kept, _itunes_tags(tags)), options
    options["movflags"] += "+use_metadata_tags"
    apple = {f"{_APPLE_PREFIX}{key}": text for key, text in tags.items() if key in _APPLE_KEYS}
    return _merged(kept, {**apple, **tags}), options


def _merged(kept: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """Merge both; under the same key, the tag comes before the text of the source."""
    merged = dict(kept)
    keys = {key.lower(): key for key in kept}
    for key, text in tags.items():
        existing = merged.pop(keys.get(key.lower(), ""), None)
        merged[key] = f"{text} | {existing}" if existing and text not in existing else existing or text
    return merged


def _itunes_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Move tags without an iTunes key into the keywords."""
    named = {key: text for key, text in tags.items() if key in _ITUNES_KEYS}
    others = [f"{key}: {text}" for key, text in tags.items() if key not in _ITUNES_KEYS]
    keywords = "; ".join([*([named["keywords"]] if "keywords" in named else []), *others])
    return {**named, "keywords": keywords} if keywords else named
