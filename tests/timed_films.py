"""Films whose sound starts late or early, has holes or an odd clock, and the measured times of what is dubbed.

The lines of a film count from its first picture, or from its first sound where that starts earlier, as players do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from media_samples import Signal
from video_samples import RATE, Film, decoded, lag, noise, remux, write_film
from voiceclone_cli.config import resolve
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.types import ANALYSIS_RATE, Recording

HOLE = 5.0
_WINDOW = 1.5
"""Seconds of the original that are looked for."""


@dataclass(frozen=True)
class TimedFilm:
    """A film to make: what a player shows when. All times in seconds of the film."""

    name: str
    """With the suffix of its container."""
    lines: Sequence[float] = (4.0, 6.5, 9.0)
    """Starts of the lines to dub."""
    seconds: float = 12.0
    sound_start: float = 0.0
    picture_start: float = 0.0
    hole: float | None = None
    """Start of a hole of HOLE seconds in the sound."""
    clock: float = 0.0
    """Added to all times of the container."""
    uneven: bool = False
    codec: str | None = None
    sound_codec: str | None = None


FILMS = (
    TimedFilm("plain.mp4"),
    TimedFilm("late.mp4", sound_start=3.0),
    TimedFilm("early.mp4", sound_start=-0.7),
    TimedFilm("hole.mp4", lines=(1.0, 8.2, 10.5), hole=3.0),
    TimedFilm("late_vfr.mp4", sound_start=1.2345, uneven=True),
    TimedFilm("late.mkv", sound_start=3.0),
    TimedFilm("hole_clock.mkv", lines=(1.0, 8.2, 10.5), hole=3.0, clock=60.0),
    TimedFilm("early.ts", picture_start=0.48),
    TimedFilm("late_hole.ts", lines=(2.0, 9.1, 11.0), seconds=13.0, sound_start=1.5, hole=4.0),
    TimedFilm("late.webm", sound_start=2.5, uneven=True),
    TimedFilm("hole.webm", lines=(1.0, 8.2, 10.5), hole=3.0),
    TimedFilm(
        "long_hole.mkv", tuple(range(60, 1490, 110)), seconds=1500.0, sound_start=2.0, hole=700.0, uneven=True
    ),
)
SHORT = ("late.mp4", "early.mp4", "hole_clock.mkv", "late_hole.ts", "late.webm")
"""One of each kind, for the tests."""


@dataclass(frozen=True)
class LineTimes:
    """Where one line of a film is in the video that was written."""

    start: float
    """In the script."""
    subtitle: float
    clone: float
    """By correlation with the line that was synthesized."""
    onset: float
    """Where the sound rises."""

    @property
    def error(self) -> float:
        """The larger distance in seconds of the clone to its subtitle."""
        return max(abs(self.clone - self.subtitle), abs(self.onset - self.subtitle))


def make_film(folder: Path, film: TimedFilm) -> tuple[Path, Signal]:
    """Write the film, and return it with the sound that a player plays, from the start of the film."""
    whole = noise(film.seconds, seed=len(film.name))
    sound = whole[max(0, round(-film.sound_start * RATE)) :] if film.sound_start < 0 else whole
    played = np.zeros(round(film.seconds * RATE), np.float32)
    start = max(0, round(film.sound_start * RATE))
    content = whole if film.sound_start < 0 else sound[: len(played) - start]
    if film.hole is not None:
        # What is in the hole is not recorded: later packets are moved.
        first, length = round((film.hole - film.sound_start) * RATE), round(HOLE * RATE)
        content = np.concatenate([content[:first], content[first + length :]])
    shape = Film(
        film.seconds,
        film.picture_start,
        film.sound_start,
        sounds=[content],
        uneven=film.uneven,
        codec=film.codec,
        sound_codec=film.sound_codec,
    )
    path = write_film(folder / film.name, shape)
    if film.hole is not None or film.clock:
        path = remux(
            path.rename(folder / f"whole{path.suffix}"), folder / film.name, moved=_moved(film, path)
        )
    sound = sound[: len(played) - start]
    played[start : start + len(sound)] = sound
    if film.hole is not None:
        played[round(film.hole * RATE) : round((film.hole + HOLE) * RATE)] = 0
    return path, played


def _moved(film: TimedFilm, path: Path) -> Callable[[av.Packet], float]:
    def moved(packet: av.Packet) -> float:
        assert packet.pts is not None and packet.time_base is not None
        # To the packet: in it, sound of before and after the hole is mixed.
        is_after = (
            film.hole is not None
            and packet.stream.type == "audio"
            and float(packet.pts * packet.time_base) - clock_of(packet) > film.hole - 0.03
        )
        return film.clock + (HOLE if is_after else 0.0)

    clocks: dict[int, float] = {}

    def clock_of(packet: av.Packet) -> float:
        """Return the start of a broadcast's clock, which its muxer chooses."""
        if path.suffix != ".ts":
            return 0.0
        assert packet.pts is not None and packet.time_base is not None
        start = float(packet.pts * packet.time_base) - film.sound_start
        return clocks.setdefault(packet.stream.index, start)

    return moved


def original_errors(recording: Recording, played: Signal, film: TimedFilm) -> list[float]:
    """Return by how many seconds the recording has the original later than a player plays it, at several times."""
    expected = soxr.resample(played, RATE, ANALYSIS_RATE)
    errors = []
    for time in (*film.lines, film.seconds - 2.5):
        first, length = round(time * ANALYSIS_RATE), round(_WINDOW * ANALYSIS_RATE)
        around = max(0, first - ANALYSIS_RATE)
        found = recording.samples[around : first + length + ANALYSIS_RATE]
        errors.append((lag(found, expected[first : first + length]) - (first - around)) / ANALYSIS_RATE)
    return errors


def dub(
    folder: Path, source: Path, film: TimedFilm, *, keep_original_audio: bool = False
) -> tuple[Path, list[LineTimes]]:
    """Dub the film with the echo engine, and return the video and the times of each line in it."""
    script, turns = folder / "script.srt", folder / "turns.rttm"
    script.write_text(
        "".join(
            f"{n}\n{_clock(start)} --> {_clock(start + 1.2)}\n{_text(n)}\n\n"
            for n, start in enumerate(film.lines, 1)
        )
    )
    turns.write_text(f"SPEAKER x 1 {max(0, film.sound_start)} {film.seconds - 4} <NA> <NA> A <NA> <NA>\n")
    settings = resolve({"engine": "echo"}, environ={})
    request = RunRequest(
        source,
        settings,
        folder / "run",
        script,
        turns,
        keep_original_audio=keep_original_audio,
        report=False,
    )
    result = run(request)
    assert result.exit_code == 0, result.document["errors"]
    video = Path(result.document["outputs"]["video"])
    start, rate, sound = decoded(video)
    subtitles = subtitle_starts(video)
    rows = []
    for segment, subtitle in zip(result.document["segments"], subtitles, strict=True):
        assert segment["stretch"] == 1.0
        clone, clone_rate = soundfile.read(segment["file"], dtype="float32")
        first = max(0, round((segment["start"] - 0.9) * rate))
        around = sound[first : round((segment["start"] + 2.2) * rate), 0]
        offset = lag(around, soxr.resample(clone, clone_rate, rate))
        # AAC rings a little before a sudden rise.
        rise = int(np.argmax(np.abs(around) > 0.3 * np.abs(around).max()))
        clone_at, onset = ((first + samples) / rate + float(start) for samples in (offset, rise))
        rows.append(LineTimes(segment["start"], subtitle, clone_at, onset))
    return video, rows


def subtitle_starts(video: Path) -> list[float]:
    """Return the starts of the first subtitle track's texts."""
    starts = []
    with av.open(str(video)) as container:
        for packet in container.demux(container.streams.subtitles[0]):
            # MP4 fills the pauses with empty texts.
            if packet.pts is not None and packet.size > 2:
                starts.append(float(packet.pts * packet.time_base))
    return starts


def _text(number: int) -> str:
    return f"Line number {number:03}."


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{thousandths:03}"
