"""The mix becomes the first audio track of a video, at the times of the original's audio."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

from voiceclone_cli.errors import RunError
from voiceclone_cli.video.encoding import TrackEncoder, usual_layout
from voiceclone_cli.video.laying import Laying

if typing.TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from soundfile import SoundFile

    from voiceclone_cli.types import Samples

_BLOCK = 1 << 16


class Soundtrack:
    """Turns the original's packets into those of the new track. Made by :func:`open_soundtrack`."""

    def __init__(self, wav: SoundFile, encoder: TrackEncoder, laying: Laying, zero: Fraction) -> None:
        self._wav = wav
        self._encoder = encoder
        self._laying = laying
        self._zero = zero

    @property
    def stream(self) -> AudioStream:
        return self._encoder.stream

    def follow(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """The new sound for as long as this packet of the original's audio lasts."""
        import av

        try:
            frames = typing.cast("list[AudioFrame]", packet.decode())
        except av.error.InvalidDataError:
            # media.decoder passes over damaged packets likewise: they are not in the mix.
            return
        for frame in frames:
            yield from self._under(frame)

    def finish(self) -> Iterator[Packet[Stream]]:
        """What the mix has left, and what the encoder holds."""
        yield from self._spoken(len(self._wav) - self._wav.tell())
        yield from self._encoder.finish()

    def _under(self, frame: AudioFrame) -> Iterator[Packet[Stream]]:
        start = None
        if frame.pts is not None and frame.time_base is not None:
            start = float(frame.pts * frame.time_base - self._zero)
        piece = self._laying.place(start, frame.samples, frame.sample_rate)
        yield from self._silence(piece.silence)
        if piece.left_out:
            # The mix may end early, by the few samples of a rounding.
            self._wav.seek(min(len(self._wav), self._wav.tell() + piece.left_out))
        yield from self._spoken(piece.taken)

    def _silence(self, length: int) -> Iterator[Packet[Stream]]:
        import numpy as np

        for start in range(0, length, _BLOCK):
            block = np.zeros((min(_BLOCK, length - start), self._wav.channels), np.float32)
            yield from self._encoder.encode(block)

    def _spoken(self, length: int) -> Iterator[Packet[Stream]]:
        while length > 0:
            block: Samples = self._wav.read(min(_BLOCK, length), dtype="float32", always_2d=True)
            if not len(block):
                return
            length -= len(block)
            yield from self._encoder.encode(block)


@contextmanager
def open_soundtrack(
    wav: Path, output: OutputContainer, suffix: str, heard: AudioStream, source: Path, zero: Fraction
) -> Iterator[Soundtrack]:
    """Add the track that plays ``wav`` to ``output``. ``heard`` is the stream of ``source`` that it is laid under.

    The track has the loudspeakers of ``heard`` where the channels agree.
    Raises RunError (``mix_unreadable``) when ``wav`` cannot be read.
    """
    with _opened(wav) as sound:
        layout = _layout(heard, sound.channels)
        encoder = TrackEncoder(output, suffix, sound.samplerate, layout)
        yield Soundtrack(sound, encoder, Laying(source, sound.samplerate), zero)


def _layout(heard: AudioStream, channels: int) -> str:
    name = str(heard.codec_context.layout.name)
    # "6 channels" is what FFmpeg calls loudspeakers that the file does not name.
    known = heard.codec_context.channels == channels and not name.endswith(" channels")
    return name if known else usual_layout(channels)


@contextmanager
def _opened(wav: Path) -> Iterator[SoundFile]:
    import soundfile

    try:
        with ExitStack() as opened:
            try:
                # Opened here, since libsndfile's wrapper takes no name that is not Unicode.
                file = opened.enter_context(wav.open("rb"))
            except OSError as error:
                raise _unreadable(wav, error) from error
            yield opened.enter_context(soundfile.SoundFile(file))
    except soundfile.LibsndfileError as error:
        raise _unreadable(wav, error) from error


def _unreadable(wav: Path, error: Exception) -> RunError:
    return RunError(f"The mix {wav} cannot be read ({error}): run again.", code="mix_unreadable")
