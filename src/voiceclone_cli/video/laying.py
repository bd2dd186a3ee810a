"""Where the new sound goes: under the very frames in which the original was heard.

The mix counts samples and knows no gaps, but the frames of a video's audio carry times of their own: it may begin
after the picture, and a recording may have holes. So the mix is laid down piece by piece as the original's frames
come by.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.errors import InputError
from voiceclone_cli.media.decoder import MOST_HOURS

TOLERANCE_SECONDS = 0.1
"""Times that are off by less are rounded, or jitter; FFmpeg's resampler corrects hard from here on too
(``min_hard_comp``)."""

_BACK_SECONDS = 10.0
"""A clock that steps back further than this has been set anew."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next samples of the track: silence first, then some of the mix, after leaving some of it out."""

    silence: int
    left_out: int
    taken: int


class Laying:
    """Follows the frames of the original's audio; all results count samples of the mix."""

    def __init__(self, source: Path, rate: int) -> None:
        self._source = source
        self._rate = rate
        self._written = 0
        self._read = 0
        self._heard = 0
        """Samples of the original so far, at its own rate."""

    def place(self, start: float | None, samples: int, source_rate: int) -> Piece:
        """What belongs under a frame of ``samples`` that begins at ``start`` seconds (None: right after the last).

        Raises InputError (``video_times``) where the times leap.
        """
        silence = left_out = 0
        if start is not None:
            ahead = round(start * self._rate) - self._written
            self._check(ahead / self._rate)
            # The start is exact to the sample; later, a time is only looked at for what it is worth.
            if not self._written or abs(ahead) > TOLERANCE_SECONDS * self._rate:
                silence, left_out = max(0, ahead), max(0, -ahead)
        self._heard += samples
        due = round(self._heard * self._rate / source_rate) - self._read
        left_out = min(left_out, due)
        self._read += due
        self._written += silence + due - left_out
        return Piece(silence, left_out, due - left_out)

    def _check(self, ahead_seconds: float) -> None:
        if not -_BACK_SECONDS < ahead_seconds < MOST_HOURS * 3600:
            raise InputError(
                f"The times of the audio in {self._source} leap by {ahead_seconds:.1f} s: "
                "convert the video to mp4 first.",
                code="video_times",
            )
