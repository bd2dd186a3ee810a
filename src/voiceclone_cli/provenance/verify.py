"""Is a file cloned speech? Its watermark, its tags, and what a run's manifest knows of it."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.audio.reader import open_audio, resample_blocks
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.provenance import watermark
from voiceclone_cli.provenance import watermark as provenance_watermark
from voiceclone_cli.provenance.watermark import (
    Watermark,
    load_watermark,
    own_tags,
    resampled,
    watermark_folder,
)
from voiceclone_cli.rundir.manifest import read_manifest
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent, no_progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.audio.reader import AudioStream
    from voiceclone_cli.types import Samples


# Whether a file is what a run wrote: its hash against those in the run's manifest.


_PARENTS = 3
"""How far above a file its run directory may be: segments/0001.wav is one below."""


class OriginState(StrEnum):
    KNOWN = "known"
    """The run wrote exactly this."""
    CHANGED = "changed"
    """The run wrote another file under this name."""
    INPUT = "input"
    """It is the recording that the run was made from."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run's manifest says of a file."""

    state: OriginState
    run_dir: Path | None = None
    name: str | None = None
    """The file's name in the run directory, where the manifest has it."""


def find_origin(file: Path, sha256: str, run_dir: Path | None) -> Origin:
    """Look a file's hash up in the manifest of ``run_dir``; None: of the run directory that it lies in, if
    it lies in one.

    Raises InputError for a ``run_dir`` without a manifest, as ``read_manifest`` does.
    """
    if run_dir is not None:
        return _looked_up(file, sha256, run_dir.absolute(), read_manifest(run_dir))
    for parent in list(file.absolute().parents)[:_PARENTS]:
        with suppress(InputError):
            return _looked_up(file, sha256, parent, read_manifest(parent))
    return Origin(OriginState.UNKNOWN)


def _looked_up(file: Path, sha256: str, run_dir: Path, manifest: dict[str, Any]) -> Origin:
    hashes, source = manifest.get("hashes"), manifest.get("input")
    hashes = hashes if isinstance(hashes, dict) else {}
    for name, known in hashes.items():
        if known == sha256:
            return Origin(OriginState.KNOWN, run_dir, name)
    if isinstance(source, dict) and source.get("sha256") == sha256:
        return Origin(OriginState.INPUT, run_dir)
    path = file.absolute()
    name = path.relative_to(run_dir).as_posix() if path.is_relative_to(run_dir) else ""
    if name in hashes:
        return Origin(OriginState.CHANGED, run_dir, name)
    return Origin(OriginState.UNKNOWN, run_dir)


# Whether somebody speaks in a bit of sound, music or noise under it or not: Silero's voice activity detector,
# which the speech recogniser brings along.


_FRAME = 512
"""Samples at ANALYSIS_RATE that the detector judges at a time."""


def speech_share() -> Callable[[Samples], float]:
    """A function that tells in how much of a signal at perth.RATE somebody speaks, from 0 to 1."""
    import numpy as np
    from faster_whisper.vad import get_vad_model

    model = get_vad_model()

    def share(signal: Samples) -> float:
        samples = resampled(signal, watermark.PERTH_RATE, ANALYSIS_RATE)
        probabilities = model(np.pad(samples, (0, -len(samples) % _FRAME)))
        return float((probabilities > 0.5).mean())

    return share


# Where in a recording the watermark is heard: windows of two seconds, one after the other.
#
# Only windows in which somebody speaks are believed: electronic music often looks marked. The window and the
# thresholds were chosen on 33 minutes of speech from 26 sources (docs/provenance.md): no window of unmarked
# full-band speech reached SURE.


DETECTION_STAGE = "verify"
WINDOW_SECONDS = 2.0
HOP_SECONDS = 1.0
SURE = 0.9
"""A stretch has at least one window of this presence."""
LIKELY = 0.5
"""And goes on for as long as its windows keep this one."""

_QUIET_DB = -60.0
"""Windows that are softer than this, in dB of full scale, are passed over."""
_SPEECH_SHARE = 0.1
"""Of a window. A single spoken letter fills .14 of it; music that looks marked at most .06."""
_NARROW_DB = -55.0
"""Where 2 to 3 kHz lie so far below 0.1 to 1 kHz, somebody has cut the band. Below 2 kHz, where the mark
is, the detector then sees it in anything: speech that ends at 1.8 kHz is "marked" from end to end."""
_LOW_BAND, _HIGH_BAND = (100.0, 1000.0), (2000.0, 3000.0)
_BATCH = 8


class Verdict(StrEnum):
    WATERMARKED = "watermarked"
    NOT_FOUND = "not_found"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Window:
    """What was found in one window; times in seconds."""

    start: float
    end: float
    speaks: bool
    """Whether somebody does."""
    is_narrow: bool
    presence: float
    """From 0 to 1; 0 where nobody speaks or the band is too narrow to tell."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Marked speech; times in seconds, right to about one."""

    start: float
    end: float
    presence: float
    """The surest window's."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What was heard in a recording."""

    seconds: float
    speech: int
    """Windows in which somebody speaks."""
    narrow: int
    """Those of them whose band is too narrow to tell."""
    marked: int
    """Those of them that lie in a stretch."""
    stretches: tuple[Stretch, ...]

    @property
    def verdict(self) -> Verdict:
        if 2 * self.narrow >= self.speech:  # also where nobody speaks
            return Verdict.CANNOT_TELL
        return Verdict.WATERMARKED if self.stretches else Verdict.NOT_FOUND


def detect(stream: AudioStream, watermark: Watermark, progress: Progress) -> Detection:
    """Listen to a whole stream, block by block: memory holds some windows, however long it is.

    Progress: stage "verify", in seconds. Raises what the stream's blocks raise.
    """
    found: list[Window] = []
    share = speech_share()
    for batch in _batches(
        _signals(resample_blocks(stream.blocks(), stream.rate, provenance_watermark.PERTH_RATE))
    ):
        found += _listen(batch, watermark, share)
        progress(ProgressEvent(DETECTION_STAGE, found[-1].end, stream.declared_seconds))
    return summarise_detection(found)


def summarise_detection(windows: Iterable[Window]) -> Detection:
    """Windows in order, as one finding."""
    windows = list(windows)
    stretches, marked = [], 0
    for run in _runs_of_likely(windows):
        surest = max(window.presence for window in run)
        if surest >= SURE:
            stretches.append(Stretch(run[0].start, run[-1].end, surest))
            marked += len(run)
    return Detection(
        seconds=windows[-1].end if windows else 0.0,
        speech=sum(window.speaks for window in windows),
        narrow=sum(window.is_narrow for window in windows),
        marked=marked,
        stretches=tuple(stretches),
    )


def _runs_of_likely(windows: Iterable[Window]) -> Iterator[list[Window]]:
    run: list[Window] = []
    for window in windows:
        if window.presence >= LIKELY:
            run.append(window)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _listen(
    batch: list[tuple[float, Samples]], watermark: Watermark, share: Callable[[Samples], float]
) -> list[Window]:
    import numpy as np

    presences = watermark.presences(np.stack([signal for _, signal in batch]))
    windows = []
    for (start, signal), presence in zip(batch, presences, strict=True):
        loud = 10 * np.log10(np.mean(signal**2) + 1e-12) > _QUIET_DB
        speaks = bool(loud) and share(signal) >= _SPEECH_SHARE
        is_narrow = speaks and _is_narrow(signal)
        believed = float(presence) if speaks and not is_narrow else 0.0
        windows.append(
            Window(start, start + len(signal) / provenance_watermark.PERTH_RATE, speaks, is_narrow, believed)
        )
    return windows


def _is_narrow(signal: Samples) -> bool:
    import numpy as np

    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    frequencies = np.fft.rfftfreq(len(signal), 1 / provenance_watermark.PERTH_RATE)
    low, high = (
        power[(frequencies >= first) & (frequencies < last)].mean() for first, last in (_LOW_BAND, _HIGH_BAND)
    )
    return bool(10 * np.log10((high + 1e-20) / (low + 1e-20)) < _NARROW_DB)


def _signals(blocks: Iterable[Samples]) -> Iterator[tuple[float, Samples]]:
    """(start in seconds, samples) of each window at perth.RATE. The last one ends with the signal; a signal
    that is shorter than a window is one, if it can carry a mark at all."""
    import numpy as np

    size, hop = (
        round(WINDOW_SECONDS * provenance_watermark.PERTH_RATE),
        round(HOP_SECONDS * provenance_watermark.PERTH_RATE),
    )
    held, start = np.zeros(0, np.float32), 0
    last: Samples | None = None
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= size:
            last = held[:size]
            yield start / provenance_watermark.PERTH_RATE, last
            held, start = held[hop:], start + hop
    end = start + len(held)
    if last is None and len(held) >= provenance_watermark.PERTH_SHORTEST:
        yield 0.0, held
    elif last is not None and len(held) > size - hop:  # the rest lies in the last window already
        yield (
            (end - size) / provenance_watermark.PERTH_RATE,
            np.concatenate([last, held[size - hop :]])[-size:],
        )


def _batches(signals: Iterable[tuple[float, Samples]]) -> Iterator[list[tuple[float, Samples]]]:
    """Windows of one length, some at a time."""
    batch: list[tuple[float, Samples]] = []
    for start, signal in signals:
        if batch and (len(batch) == _BATCH or len(signal) != len(batch[0][1])):
            yield batch
            batch = []
        batch.append((start, signal))
    if batch:
        yield batch


SCHEMA = "voiceclone.verify/1"

_VERDICTS = {
    Verdict.WATERMARKED: "the watermark of cloned speech is in it",
    Verdict.NOT_FOUND: "no watermark was found; that proves nothing: marks can be left out, and can be removed",
    Verdict.CANNOT_TELL: "nobody can tell whether there is a watermark",
}
_ORIGINS = {
    OriginState.KNOWN: "the run wrote exactly this file",
    OriginState.CHANGED: "the run wrote this file, and it was changed since",
    OriginState.INPUT: "this is the recording that the run was made from",
    OriginState.UNKNOWN: "no run's manifest was found that knows this file",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that can be said of a file."""

    file: Path
    sha256: str
    detection: Detection
    origin: Origin
    tags: Mapping[str, str]
    """Those that speak of synthetic voices."""

    @property
    def why(self) -> str:
        """The verdict in words."""
        words = _VERDICTS[self.detection.verdict]
        if self.detection.verdict is Verdict.CANNOT_TELL:
            reason = "nobody is heard speaking in it"
            if self.detection.speech:
                reason = "its sound ends near 2 kHz, where unmarked speech looks marked"
            words += f": {reason}"
        return words

    @property
    def origin_in_words(self) -> str:
        words = _ORIGINS[self.origin.state]
        if self.origin.run_dir is None:
            return words
        if self.origin.state is OriginState.UNKNOWN:
            words = "the run's manifest does not know this file"
        return f"{words} ({self.origin.run_dir / (self.origin.name or '')})"


def verify(
    file: Path, settings: Settings, *, run_dir: Path | None = None, progress: Progress = no_progress
) -> Verification:
    """Listen to any audio or video file from beginning to end, and look it up.

    ``run_dir``: whose manifest is asked; None: that of the run directory which the file lies in. Raises
    InputError (a file that cannot be decoded, ``media_too_short``, ``not_a_run_directory``) and
    PreflightError (the model).
    """
    with open_audio(file) as stream:
        watermark = load_watermark(watermark_folder(settings, progress), settings.threads)
        detection = detect(stream, watermark, progress)
        tags = own_tags(stream.tags)
    if not detection.seconds:
        raise InputError(
            f"{file} holds less than a tenth of a second of audio, too little for a watermark: "
            "give a longer piece.",
            code="media_too_short",
        )
    progress(ProgressEvent(DETECTION_STAGE, detection.seconds, detection.seconds))
    sha256 = file_sha256(file)
    return Verification(file, sha256, detection, find_origin(file, sha256, run_dir), tags)


def verification_document(found: Verification) -> dict[str, Any]:
    """``voiceclone.verify/1``, as ``--json`` prints it. Times in seconds."""
    detection, origin = found.detection, found.origin
    return {
        "schema": SCHEMA,
        "file": str(found.file.absolute()),
        "sha256": found.sha256,
        "verdict": detection.verdict.value,
        "why": found.why,
        "seconds": round(detection.seconds, 3),
        "windows": {
            "speech": detection.speech,
            "narrow": detection.narrow,
            "marked": detection.marked,
        },
        "stretches": [
            {name: round(value, 3) for name, value in asdict(stretch).items()}
            for stretch in detection.stretches
        ],
        "origin": {
            "state": origin.state.value,
            "run_dir": None if origin.run_dir is None else str(origin.run_dir),
            "name": origin.name,
        },
        "tags": dict(found.tags),
    }
