"""The mix of a run in the recording's channels, and a mono stem per speaker; cached in the run directory."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceclone_cli.audio.dsp import limit
from voiceclone_cli.audio.formats import MONO, Layout
from voiceclone_cli.audio.writer import WavWriter, open_wav, to_pcm16
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.files import friendly_errors
from voiceclone_cli.mixing.background import (
    DUCK,
    GAP_SECONDS,
    NONE,
    ducking_gains,
    open_background,
    separation_model_folders,
)
from voiceclone_cli.mixing.panning import layout_and_gains
from voiceclone_cli.mixing.timeline import SpeechTimeline
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.manifest import RunPaths
from voiceclone_cli.types import Placement, Progress, ProgressEvent, Recording, Segment, Turn
from voiceclone_worker.atomic import atomic_path
from voiceclone_worker.protocol import SegmentRow

if typing.TYPE_CHECKING:
    from voiceclone_cli.audio.reader import Channels
    from voiceclone_cli.mixing.panning import Gains


MIXING_STAGE = "timeline"
VERSION = 2
"""Increase this when the same inputs give another mix."""
BLOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rendering:
    """The files of a mix."""

    placements: tuple[Placement, ...]
    rate: int
    """Hz, of the mix and the stems."""
    sha256: Mapping[str, str]
    """SHA-256 of the mix and each stem, by its path in the run directory."""


def cached_render(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    recording: Recording,
    *,
    paths: RunPaths,
    turns: Sequence[Turn],
    settings: Settings,
    info: Mapping[str, str],
    cache: StageCache,
    progress: Progress,
) -> Rendering:
    """Return the cached mix, or that of :func:`render_mix`; ``rows`` are the results of segments."""
    files = {id: Path(row.file) for id, row in rows.items() if row.file is not None}
    return cache.cached(
        MIXING_STAGE,
        VERSION,
        _cache_inputs(segments, rows, turns, settings, info),
        lambda: render_mix(
            segments,
            files,
            recording,
            paths=paths,
            turns=turns,
            settings=settings,
            info=info,
            progress=progress,
        ),
        serialize=asdict,
        parse=_rendering_from_dict,
        large_files=lambda rendering: [paths.root / name for name in rendering.sha256],
    )


def load_cached_render(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    *,
    turns: Sequence[Turn],
    settings: Settings,
    info: Mapping[str, str],
    cache: StageCache,
) -> Rendering | None:
    """Return the cached mix of the same inputs, if its files still exist."""
    entry = cache.load(MIXING_STAGE, VERSION, _cache_inputs(segments, rows, turns, settings, info))
    return None if entry is None else _rendering_from_dict(entry)


def _cache_inputs(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    turns: Sequence[Turn],
    settings: Settings,
    info: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "segments": [[segment.id, segment.speaker, segment.start, segment.end] for segment in segments],
        "sounds": {id: row.sha256 for id, row in rows.items()},
        "turns": [astuple(turn) for turn in turns],
        "max_stretch": settings.max_stretch,
        # Left out where it is not given, so that mixes of versions without it are still valid.
        **({} if settings.borrow is None else {"borrow": settings.borrow}),
        "background": settings.background,
        "info": dict(info),
    }


def _rendering_from_dict(entry: Mapping[str, Any]) -> Rendering:
    placements = (Placement(**{**row, "warnings": tuple(row["warnings"])}) for row in entry["placements"])
    return Rendering(tuple(placements), entry["rate"], entry["sha256"])


def render_mix(
    segments: Sequence[Segment],
    files: Mapping[str, Path],
    recording: Recording,
    *,
    paths: RunPaths,
    turns: Sequence[Turn],
    settings: Settings,
    info: Mapping[str, str],
    progress: Progress,
) -> Rendering:
    """Write the mix and a stem for each speaker, all exactly as long as the recording.

    ``files`` maps ids of segments to mono wavs; a segment without one stays silent and has no Placement.
    Speech longer than its slot is sped up by at most ``settings.max_stretch``, and may still overflow.
    Each segment is as loud as the original was there. Memory holds a block of 30 s and its segments.

    The mix has the recording's channels (or one, for more than eight), with each speaker in the channels of
    the original (see panning); stems are mono. A mono mix without background is the sum of the 16-bit stems,
    limited above 0.9 of full scale (see dsp.limit). ``settings.background`` is "none", "duck" (the original,
    lowered during speech) or "keep" (the original, with voices removed during ``turns``). ``info`` are texts
    for the headers of the wavs.

    Progress: stage "timeline", in seconds. Raises InputError (``max_stretch``), PreflightError if models are
    missing, and RunError (``speech_unreadable``, ``output_unwritable``, and the codes of open_audio if the
    recording cannot be read any more).
    """
    if not 1.0 <= settings.max_stretch <= 2.0:
        raise InputError(
            f"--max-stretch must be from 1 to 2, not {settings.max_stretch}.", code="max_stretch"
        )
    models = separation_model_folders(settings, progress)
    # Ducking bridges shorter pauses, so a block needs the segments that follow it.
    speech = SpeechTimeline(
        segments,
        files,
        recording,
        turns,
        settings.max_stretch,
        borrow=settings.borrow,
        lookahead=GAP_SECONDS,
    )
    rate, total = speech.rate, speech.frames
    turn_spans = [(turn.start, turn.end) for turn in turns]
    size = round(BLOCK_SECONDS * rate)
    with ExitStack() as stack:
        stack.enter_context(_recording_errors())
        layout, gains = layout_and_gains(recording, turns, speech.speakers)
        background = stack.enter_context(
            nullcontext()
            if settings.background == NONE
            else open_background(
                recording,
                layout,
                rate,
                kind=settings.background,
                turns=turn_spans,
                models=models,
                threads=settings.threads,
            )
        )
        stack.enter_context(friendly_errors(paths.root))
        writers = stack.enter_context(_open_outputs(paths, speech, layout, info))
        for start in range(0, total, size):
            end = min(total, start + size)
            stems = speech.block(start, end)
            for speaker, stem in stems.items():
                writers[paths.stems / f"{speaker}.wav"].write(stem)
            original = _silence(end - start, layout) if background is None else background.read(end - start)
            if settings.background == DUCK:
                original *= ducking_gains([*turn_spans, *speech.spans()], start, end, rate)[:, None]
            writers[paths.mix].write(mix_block(stems, gains, original))
            progress(ProgressEvent(MIXING_STAGE, end / rate, total / rate))
    sha256 = {path.relative_to(paths.root).as_posix(): writer.sha256 for path, writer in writers.items()}
    return Rendering(tuple(speech.placements), rate, sha256)


def mix_block(
    stems: Mapping[str, NDArray[np.int16]], gains: Mapping[str, Gains], original: Channels
) -> NDArray[np.int16]:
    """Add 16-bit stems with their gains to the original: shape (frames, channels).

    Sums are limited near full scale. In one channel, where gains are 1, and over silence, this is the plain
    sum of the stems, to the bit.
    """
    mix = np.empty(original.shape, np.int16)
    # Channel by channel: half a minute of eight channels in double precision would be 100 MB.
    for channel in range(original.shape[1]):
        total = original[:, channel].astype(np.float64) * 32768.0
        for speaker, stem in stems.items():
            total += float(gains[speaker][channel]) * stem
        mix[:, channel] = to_pcm16(limit(total / 32768.0))
    return mix


def _silence(frames: int, layout: Layout) -> Channels:
    return np.zeros((frames, layout.channels), np.float32)


@contextmanager
def _recording_errors() -> Iterator[None]:
    """Raise RunError for a recording that could be read earlier in the run but cannot be read any more."""
    try:
        yield
    except InputError as error:
        raise RunError(error.message, code=error.code) from error


@contextmanager
def _open_outputs(
    paths: RunPaths, speech: SpeechTimeline, layout: Layout, info: Mapping[str, str]
) -> Iterator[dict[Path, WavWriter]]:
    """Open a writer for the mix and for each stem."""
    with ExitStack() as stack:

        def writer(path: Path, layout: Layout) -> WavWriter:
            temporary = stack.enter_context(atomic_path(path))
            file = open_wav(temporary, speech.rate, speech.frames, layout.channels, layout.mask, info)
            return stack.enter_context(file)

        # The stack unwinds backwards, so that the mix is replaced after all stems.
        writers = {paths.mix: writer(paths.mix, layout)}
        for speaker in speech.speakers:
            path = paths.stems / f"{speaker}.wav"
            writers[path] = writer(path, MONO)
        yield writers
