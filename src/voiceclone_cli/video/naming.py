"""What players show of a dubbed video: its tracks' titles, languages and order of choice, its chapters and words."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from fractions import Fraction

from voiceclone_cli.video.covers import cover_streams
from voiceclone_cli.video.languages import language_tag
from voiceclone_cli.video.metadata import container_metadata
from voiceclone_cli.video.source import zero

if typing.TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.container.core import Chapter
    from av.stream import Stream

NEW_TITLE = "Dubbed by voiceclone (synthetic voices)"
ORIGINAL_TITLE = "Original"
SCRIPT_TITLE = "Script"


def describe(output: OutputContainer, source: InputContainer, tags: Mapping[str, str], suffix: str) -> None:
    """Give the output the source's metadata and chapters, and ``tags``."""
    words, options = container_metadata(source.metadata, tags, suffix, cover=bool(cover_streams(source)))
    output.metadata.update(words)
    output.container_options.update(options)
    output.set_chapters([_moved(chapter, zero(source)) for chapter in source.chapters()])


def introduce(stream: Stream, language: str | None, suffix: str) -> None:
    """Say of the new sound what it is; it is played unless somebody chooses otherwise."""
    from av.stream import Disposition

    _entitle(stream, NEW_TITLE, suffix)
    stream.metadata["language"] = language_tag(language, suffix)
    stream.disposition = Disposition.default | Disposition.dub


def introduce_script(stream: Stream, language: str | None, suffix: str) -> None:
    """Subtitles are there to choose. (Where an MP4 has no other, FFmpeg marks them as the default.)"""
    _entitle(stream, SCRIPT_TITLE, suffix)
    stream.metadata["language"] = language_tag(language, suffix)


def step_back(originals: Sequence[Stream], suffix: str) -> None:
    """The tracks of the original are there to choose, not to be played first."""
    from av.stream import Disposition

    for stream in originals:
        _entitle(stream, stream.metadata.get("title", ORIGINAL_TITLE), suffix)
        stream.disposition = (stream.disposition & ~Disposition.default) | Disposition.original


def _entitle(stream: Stream, title: str, suffix: str) -> None:
    stream.metadata["title"] = title
    if suffix == ".mp4":
        # FFmpeg writes no title of a track there; this is what players show instead.
        stream.metadata["handler_name"] = title


def _moved(chapter: Chapter, zero: Fraction) -> Chapter:
    shift = round(zero / chapter["time_base"]) if chapter["time_base"] else 0
    return {**chapter, "start": chapter["start"] - shift, "end": chapter["end"] - shift}
