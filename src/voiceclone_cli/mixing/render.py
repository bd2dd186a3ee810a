"""A mix that an earlier run has rendered is taken over when it would come out the same."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.audio.dsp import limit
from voiceclone_cli.audio.formats import MONO, Layout
from voiceclone_cli.audio.writer import WavWriter, open_wav, to_pcm16
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import explain_write_errors
from voiceclone_cli.mixing.background import GAP_SECONDS
from voiceclone_cli.mixing.panning import open_channel_mixer
from voiceclone_cli.mixing.timeline import (
    FittedSpeech,
    Slot,
    SpeechByBlock,
    fit_speech,
    mix_rate,
    original_levels,
    read_speech,
    slot_ends,
    speech_rate,
)
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import Placement, Progress, ProgressEvent, Recording, Segment, Turn
from voiceclone_worker.atomic import atomic_path
from voiceclone_worker.protocol import SegmentRow

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.audio.reader import Channels
    from voiceclone_cli.mixing.panning import Gains


# Stems, and what is heard under them, added up into the channels of the mix.


def mix_block(
    stems: Mapping[str, NDArray[np.int16]], gains: Mapping[str, Gains], original: Channels
) -> NDArray[np.int16]:
    """Each 16-bit stem into each channel with its gain, over the original: shape (frames, channels).

    Sums are limited where they near full scale. In one channel, where gains are 1, and over silence this is
    the plain sum of the stems, to the bit.
    """
    import numpy as np

    mix = np.empty(original.shape, np.int16)
    # One channel after the other: half a minute of eight in double precision would be 100 MB.
    for channel in range(original.shape[1]):
        total = original[:, channel].astype(np.float64) * 32768.0
        for speaker, stem in stems.items():
            total += float(gains[speaker][channel]) * stem
        mix[:, channel] = to_pcm16(limit(total / 32768.0))
    return mix


# Spoken segments out on the recording's own timeline: one mix, and a stem per speaker.


MIXING_STAGE = "timeline"
VERSION = 1
"""To be counted up when the same inputs give another mix."""
BLOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rendering:
    """What was written, and where speech went."""

    placements: tuple[Placement, ...]
    rate: int
    """Hz, of the mix and the stems."""
    sha256: Mapping[str, str]
    """Of the mix and of each stem, by its path from the mix's folder."""


def render_mix(
    segments: Sequence[Segment],
    files: Mapping[str, Path],
    recording: Recording,
    *,
    mix: Path,
    stems: Path,
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    models: Mapping[str, Path],
    threads: int,
    info: Mapping[str, str],
    progress: Progress,
) -> Rendering:
    """Write ``mix`` and ``stems``/SPEAKER.wav, all exactly as long as the recording; say where speech went.

    ``files`` maps segment ids to mono wavs; a segment without one stays silent and has no Placement.
    Speech longer than its slot is sped up by at most ``max_stretch``; what still overflows is kept whole.
    Each segment is as loud as the original was there. Written in blocks of 30 s: memory holds a block
    and the segments in it.

    The mix has the recording's channels (their mean alone where there are more than eight), and each speaker
    stands in them where ``turns`` let it be heard (see panning); stems are mono. A mono mix without
    ``background`` is the sum of the 16-bit stems, sample for sample, except where a sample passes 0.9 of full
    scale and the limiter bends it (see loudness.limit). ``background`` is "none", "duck" (the original under
    the voices, lowered while somebody speaks) or "keep" (the original, with voices taken out during
    ``turns``; ``models`` are the folders of background.MODELS). ``info`` are texts for the wavs' headers.

    Progress: stage "timeline", in seconds. Raises InputError (``max_stretch``) and RunError
    (``speech_unreadable``, ``output_unwritable``, and the codes of media.opening if the recording has gone).
    """
    if not 1.0 <= max_stretch <= 2.0:
        raise InputError(f"--max-stretch must be from 1 to 2, not {max_stretch}.", code="max_stretch")
    ordered = sorted((s for s in segments if s.id in files), key=lambda segment: segment.start)
    rate = mix_rate(recording.source_rate, [speech_rate(files[segment.id]) for segment in ordered])
    total = recording.source_frames * (rate // recording.source_rate)
    speakers = sorted({segment.speaker for segment in segments})
    speech = _speech(segments, ordered, files, recording, rate, total, max_stretch)
    size = round(BLOCK_SECONDS * rate)
    with ExitStack() as stack:
        channel_mixer = stack.enter_context(
            open_channel_mixer(recording, rate, turns, speakers, background, models, threads)
        )
        stack.enter_context(explain_write_errors(mix.parent))
        files_out = stack.enter_context(
            _outputs(mix, stems, speakers, rate, total, channel_mixer.layout, info)
        )
        for start in range(0, total, size):
            end = min(total, start + size)
            parts = speech.block(start, end, speakers)
            for speaker, part in parts.items():
                files_out[stems / f"{speaker}.wav"].write(part)
            under = channel_mixer.under(start, end, speech.spans(rate))
            files_out[mix].write(mix_block(parts, channel_mixer.gains, under))
            progress(ProgressEvent(MIXING_STAGE, end / rate, total / rate))
    sha256 = {path.relative_to(mix.parent).as_posix(): file.sha256 for path, file in files_out.items()}
    return Rendering(tuple(speech.placements), rate, sha256)


def _speech(
    segments: Sequence[Segment],
    ordered: Sequence[Segment],
    files: Mapping[str, Path],
    recording: Recording,
    rate: int,
    total: int,
    max_stretch: float,
) -> SpeechByBlock:
    """The segments that have a file, each to be fitted to its slot, the loudness of the original there."""
    ends = slot_ends(segments, recording.seconds)
    levels = original_levels(segments, recording)
    slots = {
        segment.id: Slot(min(round(segment.start * rate), total), round(ends[segment.id] * rate), total, rate)
        for segment in ordered
    }

    def fitted(segment: Segment) -> FittedSpeech:
        speech = read_speech(files[segment.id], rate)
        return fit_speech(segment, speech, slots[segment.id], levels[segment.id], max_stretch)

    starts = [(slots[segment.id].start, segment) for segment in ordered]
    # The original stays lowered in pauses shorter than this: a block has to know what follows it.
    return SpeechByBlock(starts, fitted, ahead=round(GAP_SECONDS * rate))


@contextmanager
def _outputs(
    mix: Path,
    stems: Path,
    speakers: Sequence[str],
    rate: int,
    frames: int,
    layout: Layout,
    info: Mapping[str, str],
) -> Iterator[dict[Path, WavWriter]]:
    """A writer for the mix and for each stem."""
    with ExitStack() as stack:

        def writer(path: Path, layout: Layout) -> WavWriter:
            temporary = stack.enter_context(atomic_path(path))
            file = open_wav(temporary, rate, frames, layout.channels, layout.mask, info)
            return stack.enter_context(file)

        # The stack unwinds backwards: the mix is put in place last, when all stems stand.
        writers = {mix: writer(mix, layout)}
        for speaker in speakers:
            path = stems / f"{speaker}.wav"
            writers[path] = writer(path, MONO)
        yield writers


def cached_render(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    recording: Recording,
    *,
    mix: Path,
    stems: Path,
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    models: Mapping[str, Path],
    threads: int,
    info: Mapping[str, str],
    cache: StageCache,
    progress: Progress,
) -> Rendering:
    """As :func:`render`, which says what it takes and raises. ``rows`` are those of spoken segments."""
    inputs = _inputs(segments, rows, turns, max_stretch, background, info)

    def render() -> Rendering:
        return render_mix(
            segments,
            {id: Path(row.file) for id, row in rows.items() if row.file is not None},
            recording,
            mix=mix,
            stems=stems,
            turns=turns,
            max_stretch=max_stretch,
            background=background,
            models=models,
            threads=threads,
            info=info,
            progress=progress,
        )

    return cache.cached(
        MIXING_STAGE,
        VERSION,
        inputs,
        render,
        serialize=asdict,
        parse=_rendering_from_dict,
        large_files=lambda rendering: [mix.parent / name for name in rendering.sha256],
    )


def load_cached_render(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    *,
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    info: Mapping[str, str],
    cache: StageCache,
) -> Rendering | None:
    """What an earlier run has rendered, if it would come out the same and is still there. Only looks."""
    inputs = _inputs(segments, rows, turns, max_stretch, background, info)
    entry = cache.load(MIXING_STAGE, VERSION, inputs)
    return None if entry is None else _rendering_from_dict(entry)


def _rendering_from_dict(entry: Mapping[str, Any]) -> Rendering:
    placements = (Placement(**{**row, "warnings": tuple(row["warnings"])}) for row in entry["placements"])
    return Rendering(tuple(placements), entry["rate"], entry["sha256"])


def _inputs(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    info: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "segments": [[segment.id, segment.speaker, segment.start, segment.end] for segment in segments],
        "sounds": {id: row.sha256 for id, row in rows.items()},
        "turns": [astuple(turn) for turn in turns],
        "max_stretch": max_stretch,
        "background": background,
        "info": dict(info),
    }
