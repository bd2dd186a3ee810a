"""The script as a subtitle track: "mov_text" (3GPP timed text) in MP4, "subrip" in Matroska."""

from __future__ import annotations

import heapq
import itertools
import struct
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from voiceclone_cli.types import Segment

if typing.TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream

_STYLE = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, \
MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""What FFmpeg's subtitle encoders want to know of: white letters at the lower edge, as players show them anyway."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Text on the screen, in milliseconds."""

    start: int
    end: int
    text: str


def cues(segments: Sequence[Segment]) -> list[Cue]:
    """One text at a time: where people talk at once, their lines stand below each other, each with a dash.

    3GPP timed text (TS 26.245) can show but one sample at a time.
    """
    lines = sorted(
        (round(s.start * 1000), index, round(s.end * 1000), s.text.strip())
        for index, s in enumerate(segments)
    )
    moments = sorted({moment for start, _, end, _ in lines for moment in (start, end)})
    shown: list[Cue] = []
    talking: list[tuple[int, int, str]] = []
    """Heap of (end, index, text)."""
    following = 0
    for start, end in itertools.pairwise(moments):
        while following < len(lines) and lines[following][0] <= start:
            _, index, until, text = lines[following]
            heapq.heappush(talking, (until, index, text))
            following += 1
        while talking and talking[0][0] <= start:
            heapq.heappop(talking)
        texts = [text for _, _, text in sorted(talking, key=lambda line: line[1]) if text]
        if texts:
            shown.append(Cue(start, end, texts[0] if len(texts) == 1 else "\n".join(f"- {t}" for t in texts)))
    return shown


class CaptionTrack:
    """A subtitle track of an output, whose packets are taken as the pictures come by."""

    def __init__(
        self, output: OutputContainer, suffix: str, segments: Sequence[Segment], height: int
    ) -> None:
        """``height`` is that of the pictures in pixels, for the size of the letters."""
        self._is_mp4 = suffix == ".mp4"
        self._waiting = iter(cues(segments))
        self._next = next(self._waiting, None)
        codec, options = ("mov_text", {"height": str(height)}) if self._is_mp4 else ("subrip", {})
        self.stream = typing.cast("SubtitleStream", output.add_stream(codec, options=options))
        self.stream.codec_context.subtitle_header = _STYLE
        self.stream.time_base = Fraction(1, 1000)

    def until(self, seconds: float) -> Iterator[Packet[Stream]]:
        """The cues that begin before this moment and were not taken yet."""
        while self._next is not None and self._next.start <= seconds * 1000:
            yield self._packet(self._next)
            self._next = next(self._waiting, None)

    def _packet(self, cue: Cue) -> Packet[Stream]:
        import av

        text = cue.text.encode("utf-8")
        packet = av.Packet(struct.pack(">H", len(text)) + text if self._is_mp4 else text)
        packet.stream, packet.time_base = self.stream, Fraction(1, 1000)
        packet.pts = packet.dts = cue.start
        packet.duration = cue.end - cue.start
        packet.is_keyframe = True
        return packet
