"""The sound of the input as a file of its own, for a report to play from the run directory."""

from __future__ import annotations

import typing
from fractions import Fraction
from pathlib import Path

from voiceclone_cli.atomic import atomic_path, explain_write_errors
from voiceclone_cli.media.opening import open_audio
from voiceclone_cli.media.reading import resample_blocks
from voiceclone_cli.media.wav import to_pcm16
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

if typing.TYPE_CHECKING:
    from av import AudioStream
    from av.packet import Packet
    from av.stream import Stream

    from voiceclone_cli.types import Samples

STAGE = "original"

_OTHERWISE_RATE = 48_000


def write_original(source: Path, out: Path, progress: Progress = no_progress) -> Path:
    """Write the first audio stream of ``source`` as mono 16-bit FLAC at its own rate.

    Sample for sample what media.read_recording hears before it resamples: the mean of the channels, from the same
    first sample to the same last. What passes full scale is clipped. Streamed in blocks of a second.

    Progress: stage "original", in seconds. Raises InputError as opening.open_audio does, and RunError
    (atomic.write_error).
    """
    import av

    with (
        open_audio(source) as stream,
        explain_write_errors(out.parent),
        atomic_path(out) as temporary,
        av.open(f"file:{temporary.absolute()}", "w", format="flac") as container,
    ):
        rate = stream.rate if fits_flac(stream.rate) else _OTHERWISE_RATE
        track = container.add_stream("flac", rate=rate, layout="mono")
        position = 0
        for block in resample_blocks(stream.blocks(), stream.rate, rate):
            if len(block):
                container.mux(_encoded(track, block, rate, position))
            position += len(block)
            progress(ProgressEvent(STAGE, position / rate, stream.promised_seconds))
        container.mux(track.encode(None))
    progress(ProgressEvent(STAGE, position / rate, position / rate))
    return out


def fits_flac(rate: int) -> bool:
    """Whether FLAC has a place for this rate in Hz (RFC 9639, 9.1.2). Those that it has not are nobody's."""
    return rate < 2**16 or (rate % 10 == 0 and rate // 10 < 2**16)


def _encoded(track: AudioStream, block: Samples, rate: int, position: int) -> list[Packet[Stream]]:
    import av

    frame = av.AudioFrame.from_ndarray(to_pcm16(block)[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return track.encode(frame)
