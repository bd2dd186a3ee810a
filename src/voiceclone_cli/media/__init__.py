"""Media in: any audio or video file that FFmpeg's libraries read. And plain wav files out."""

from voiceclone_cli.media.reading import read_recording, read_spans, resample_blocks
from voiceclone_cli.media.wav import write_wav

__all__ = ["read_recording", "read_spans", "resample_blocks", "write_wav"]
