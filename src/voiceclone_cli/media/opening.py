"""A file on its way to the decoder: looked at first, then opened so that it can reach nothing else."""

from __future__ import annotations

import os
import stat
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.media.decoder import AudioStream
from voiceclone_cli.media.formats import looks_like, open_options, playlist_kind

if typing.TYPE_CHECKING:
    from av.container import InputContainer

_HEAD = 64
"""Bytes. Enough to tell what a file is."""


@contextmanager
def open_audio(path: Path) -> Iterator[AudioStream]:
    """Open the first audio stream of a file.

    Raises InputError with the codes ``media_missing``, ``media_is_folder``, ``media_not_a_file``,
    ``media_unreadable``, ``media_empty``, ``media_playlist``, ``media_not_media``, ``media_truncated``,
    ``media_no_audio``, ``media_codec``, and those of :class:`AudioStream` and its blocks.
    """
    container = _open(path, _head(path))
    with container:
        if not container.streams.audio:
            raise InputError(
                f"{path} holds no audio: give a file in which people can be heard.", code="media_no_audio"
            )
        # PyAV has no codec context for a stream that FFmpeg cannot decode.
        if container.streams.audio[0].codec_context is None:
            raise InputError(
                f"{path} holds audio in a format that cannot be decoded: convert it to wav first.",
                code="media_codec",
            )
        yield AudioStream(path, container)


def _head(path: Path) -> bytes:
    """The first bytes of a regular file."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(
                f"{path} is a folder: give one audio or video file in it.", code="media_is_folder"
            )
        if not stat.S_ISREG(mode):
            raise InputError(
                f"{path} is not a regular file: save the recording to a file first.", code="media_not_a_file"
            )
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except (FileNotFoundError, ValueError) as error:
        # ValueError: a name with a null character, which no file can have.
        raise InputError(f"{path} does not exist: check the path.", code="media_missing") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}): check the path and its permissions.",
            code="media_unreadable",
        ) from error
    if not head:
        raise InputError(f"{path} is empty: copy or download it again.", code="media_empty")
    return head


def _open(path: Path, head: bytes) -> InputContainer:
    import av

    playlist = playlist_kind(head)
    if playlist is not None:
        raise InputError(
            f"{path} is {playlist}, not a recording, and what it names is not opened: "
            "save the recording to a file and give that.",
            code="media_playlist",
        )
    try:
        # "file:", or a name could be an address.
        return av.open(f"file:{os.path.abspath(path)}", metadata_errors="ignore", options=open_options())
    except av.error.FFmpegError as error:
        kind = looks_like(head)
        if kind is None:
            raise InputError(
                f"{path} is not an audio or video file that can be read here: convert it to wav first.",
                code="media_not_media",
            ) from error
        raise InputError(
            f"{path} begins like {kind}, but is cut off or damaged: copy or download it again.",
            code="media_truncated",
        ) from error
