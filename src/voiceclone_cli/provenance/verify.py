"""Verification of a file: its watermark, its tags, and its entry in the manifest of a run."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.audio.reader import open_audio, resample_blocks
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.provenance.watermark import (
    MIN_SAMPLES,
    PERTH_RATE,
    Watermark,
    load_watermark,
    own_tags,
    resample,
    watermark_folder,
)
from voiceclone_cli.rundir.manifest import Manifest
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent, no_progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.audio.reader import AudioStream

SCHEMA = "voiceclone.verify/1"
DETECTION_STAGE = "verify"

# The window and the thresholds were chosen on 33 minutes of speech from 26 sources (docs/provenance.md): no window of
# unmarked full-band speech reached HIGH. Windows without speech are ignored, because electronic music often
# looks marked.
WINDOW_SECONDS = 2.0
HOP_SECONDS = 1.0
HIGH = 0.9
"""Confidence that at least one window of a marked stretch has."""
LOW = 0.5
"""Confidence that every window of a marked stretch has."""
_QUIET_DB = -60.0
"""Quieter windows, in dB of full scale, are ignored."""
_MIN_SPEECH_SHARE = 0.1
"""Of a window. A single letter fills .14 of it; music that looks marked at most .06."""
_NARROW_DB = -55.0
"""Level of 2 to 3 kHz, relative to 0.1 to 1 kHz, below which the band was cut. In the rest, where the mark is, the
detector then finds it in anything: speech that ends at 1.8 kHz is "marked" from start to end."""
_LOW_BAND, _HIGH_BAND = (100.0, 1000.0), (2000.0, 3000.0)
_BATCH = 8
_VAD_FRAME = 512
"""Samples at ANALYSIS_RATE in a frame of the voice activity detector."""

_MAX_PARENTS = 3
"""Levels above a file that are searched for its run directory: segments/0001.wav is one below."""

Stretch = tuple[float, float, float]
"""Marked speech: start and end in seconds, accurate to about one, and the highest confidence of its windows."""


class Verdict(StrEnum):
    """Whether a file has the watermark."""

    WATERMARKED = "watermarked"
    NOT_FOUND = "not_found"
    UNDECIDED = "cannot_tell"


class OriginState(StrEnum):
    """Relation of a file to a run."""

    KNOWN = "known"
    """The run wrote this very file."""
    CHANGED = "changed"
    """The run wrote another file with this name."""
    INPUT = "input"
    """It is the recording that was the run's input."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """The entry of a file in a run's manifest."""

    state: OriginState
    run_dir: Path | None = None
    name: str | None = None
    """Path in the run directory, if the manifest has the file."""


@dataclass(frozen=True, slots=True)
class Window:
    """Detection in one window; times in seconds."""

    start: float
    end: float
    has_speech: bool
    is_narrow: bool
    confidence: float
    """Of a watermark, 0 to 1; 0 without speech, and where the band is too narrow."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Watermark detection in a recording."""

    seconds: float
    speech: int
    """Number of windows with speech."""
    narrow: int
    """Number of those whose band is too narrow to decide."""
    marked: int
    """Number of those that are in a marked stretch."""
    stretches: tuple[Stretch, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole recording."""
        if 2 * self.narrow >= self.speech:  # also without speech
            return Verdict.UNDECIDED
        return Verdict.WATERMARKED if self.stretches else Verdict.NOT_FOUND


_VERDICTS = {
    Verdict.WATERMARKED: "it contains the watermark of cloned speech",
    Verdict.NOT_FOUND: "no watermark was found, which proves nothing: a mark can be disabled or removed",
    Verdict.UNDECIDED: "whether it contains a watermark cannot be decided",
}
_ORIGINS = {
    OriginState.KNOWN: "the run wrote this very file",
    OriginState.CHANGED: "the run wrote this file, and it was changed since",
    OriginState.INPUT: "this is the recording that was the run's input",
    OriginState.UNKNOWN: "no manifest of a run has this file",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """All findings on a file."""

    file: Path
    sha256: str
    detection: Detection
    origin: Origin
    tags: Mapping[str, str]
    """Tags about synthetic voices."""

    @property
    def why(self) -> str:
        """The verdict in words."""
        verdict = self.detection.verdict
        if verdict is not Verdict.UNDECIDED:
            return _VERDICTS[verdict]
        reason = "it contains no speech"
        if self.detection.speech:
            reason = "its sound ends near 2 kHz, where unmarked speech looks marked"
        return f"{_VERDICTS[verdict]}: {reason}"

    @property
    def origin_in_words(self) -> str:
        """The origin in words, with the path in the run directory."""
        origin, words = self.origin, _ORIGINS[self.origin.state]
        if origin.run_dir is None:
            return words
        if origin.state is OriginState.UNKNOWN:
            words = "the run's manifest does not have this file"
        return f"{words} ({origin.run_dir / (origin.name or '')})"


def verify(
    file: Path, settings: Settings, *, run_dir: Path | None = None, progress: Progress = no_progress
) -> Verification:
    """Search an audio or video file for the watermark and tags, and look it up in a manifest.

    ``run_dir``: the run directory of the manifest; None: the one that contains the file. Raises InputError (a file
    that cannot be decoded, ``media_too_short``, ``not_a_run_directory``) and PreflightError (the model).
    """
    with open_audio(file) as stream:
        watermark = load_watermark(watermark_folder(settings, progress), settings.threads)
        detection = detect(stream, watermark, progress)
        tags = own_tags(stream.tags)
    if not detection.seconds:
        raise InputError(
            f"{file} has less than a tenth of a second of audio, too little for a watermark: give a longer file.",
            code="media_too_short",
        )
    progress(ProgressEvent(DETECTION_STAGE, detection.seconds, detection.seconds))
    sha256 = file_sha256(file)
    return Verification(file, sha256, detection, find_origin(file, sha256, run_dir), tags)


def verification_document(found: Verification) -> dict[str, Any]:
    """Return ``voiceclone.verify/1``, as ``--json`` prints it. Times are in seconds."""
    detection, origin = found.detection, found.origin
    return {
        "schema": SCHEMA,
        "file": str(found.file.absolute()),
        "sha256": found.sha256,
        "verdict": detection.verdict.value,
        "why": found.why,
        "seconds": round(detection.seconds, 3),
        "windows": {name: getattr(detection, name) for name in ("speech", "narrow", "marked")},
        "stretches": [
            {"start": round(start, 3), "end": round(end, 3), "presence": round(confidence, 3)}
            for start, end, confidence in detection.stretches
        ],
        "origin": {
            "state": origin.state.value,
            "run_dir": None if origin.run_dir is None else str(origin.run_dir),
            "name": origin.name,
        },
        "tags": dict(found.tags),
    }


def detect(stream: AudioStream, watermark: Watermark, progress: Progress) -> Detection:
    """Search a stream for the watermark, with some windows in memory at a time.

    Progress: stage "verify", in seconds. Raises what the stream's blocks raise.
    """
    windows: list[Window] = []
    speech_share = load_speech_share()
    blocks = resample_blocks(stream.blocks(), stream.rate, PERTH_RATE)
    for batch in _batches(split_windows(blocks)):
        windows += _detect_batch(batch, watermark, speech_share)
        progress(ProgressEvent(DETECTION_STAGE, windows[-1].end, stream.declared_seconds))
    return summarise_detection(windows)


def summarise_detection(windows: Iterable[Window]) -> Detection:
    """Return the detection of a recording from its windows in order."""
    windows = list(windows)
    stretches, marked = [], 0
    for is_likely, group in itertools.groupby(windows, key=lambda window: window.confidence >= LOW):
        run = list(group)
        confidence = max(window.confidence for window in run)
        if is_likely and confidence >= HIGH:
            stretches.append((run[0].start, run[-1].end, confidence))
            marked += len(run)
    return Detection(
        seconds=windows[-1].end if windows else 0.0,
        speech=sum(window.has_speech for window in windows),
        narrow=sum(window.is_narrow for window in windows),
        marked=marked,
        stretches=tuple(stretches),
    )


def load_speech_share() -> Callable[[Samples], float]:
    """Return a function from a signal at PERTH_RATE to its share of speech, 0 to 1.

    It is Silero's voice activity detector, which faster-whisper contains; speech over music or noise counts too.
    """
    from faster_whisper.vad import get_vad_model

    model = get_vad_model()

    def speech_share(signal: Samples) -> float:
        samples = resample(signal, PERTH_RATE, ANALYSIS_RATE)
        probabilities = model(np.pad(samples, (0, -len(samples) % _VAD_FRAME)))
        return float((probabilities > 0.5).mean())

    return speech_share


def _detect_batch(
    batch: list[tuple[float, Samples]], watermark: Watermark, speech_share: Callable[[Samples], float]
) -> list[Window]:
    confidences = watermark.confidences(np.stack([signal for _, signal in batch]))
    windows = []
    for (start, signal), confidence in zip(batch, confidences, strict=True):
        is_loud = bool(10 * np.log10(np.mean(signal**2) + 1e-12) > _QUIET_DB)
        has_speech = is_loud and speech_share(signal) >= _MIN_SPEECH_SHARE
        is_narrow = has_speech and is_narrow_band(signal)
        is_valid = has_speech and not is_narrow
        end = start + len(signal) / PERTH_RATE
        windows.append(Window(start, end, has_speech, is_narrow, float(confidence) if is_valid else 0.0))
    return windows


def is_narrow_band(signal: Samples) -> bool:
    """Return whether the band of a signal at PERTH_RATE ends below the watermark's."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    frequencies = np.fft.rfftfreq(len(signal), 1 / PERTH_RATE)
    low, high = (
        power[(frequencies >= first) & (frequencies < last)].mean() for first, last in (_LOW_BAND, _HIGH_BAND)
    )
    return bool(10 * np.log10((high + 1e-20) / (low + 1e-20)) < _NARROW_DB)


def split_windows(blocks: Iterable[Samples]) -> Iterator[tuple[float, Samples]]:
    """Yield the start in seconds and the samples of each window at PERTH_RATE.

    The last window ends with the signal; a shorter signal is one window, if it can carry a mark.
    """
    size, hop = round(WINDOW_SECONDS * PERTH_RATE), round(HOP_SECONDS * PERTH_RATE)
    buffer, start = np.zeros(0, np.float32), 0
    last: Samples | None = None
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while len(buffer) >= size:
            last = buffer[:size]
            yield start / PERTH_RATE, last
            buffer, start = buffer[hop:], start + hop
    if last is None and len(buffer) >= MIN_SAMPLES:
        yield 0.0, buffer
    elif last is not None and len(buffer) > size - hop:  # else the last window has the rest already
        end = start + len(buffer)
        yield (end - size) / PERTH_RATE, np.concatenate([last, buffer[size - hop :]])[-size:]


def _batches(signals: Iterable[tuple[float, Samples]]) -> Iterator[list[tuple[float, Samples]]]:
    """Yield batches of windows with the same length."""
    batch: list[tuple[float, Samples]] = []
    for start, signal in signals:
        if batch and (len(batch) == _BATCH or len(signal) != len(batch[0][1])):
            yield batch
            batch = []
        batch.append((start, signal))
    if batch:
        yield batch


def find_origin(file: Path, sha256: str, run_dir: Path | None) -> Origin:
    """Look up the hash of a file in the manifest of ``run_dir``; None: of the run directory that contains it, if any.

    Raises InputError for a ``run_dir`` without a manifest, as ``Manifest.load`` does.
    """
    if run_dir is not None:
        return _look_up(file, sha256, run_dir.absolute(), Manifest.load(run_dir))
    for parent in list(file.absolute().parents)[:_MAX_PARENTS]:
        with suppress(InputError):
            return _look_up(file, sha256, parent, Manifest.load(parent))
    return Origin(OriginState.UNKNOWN)


def _look_up(file: Path, sha256: str, run_dir: Path, manifest: Manifest) -> Origin:
    for name, known in manifest.hashes.items():
        if known == sha256:
            return Origin(OriginState.KNOWN, run_dir, name)
    if manifest.input.get("sha256") == sha256:
        return Origin(OriginState.INPUT, run_dir)
    path = file.absolute()
    name = path.relative_to(run_dir).as_posix() if path.is_relative_to(run_dir) else ""
    if name in manifest.hashes:
        return Origin(OriginState.CHANGED, run_dir, name)
    return Origin(OriginState.UNKNOWN, run_dir)
