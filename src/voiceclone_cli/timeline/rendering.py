"""Spoken segments out on the recording's own timeline: one mix, and a stem per speaker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.atomic import atomic_path, explain_write_errors
from voiceclone_cli.background.ducking import GAP_SECONDS
from voiceclone_cli.errors import InputError
from voiceclone_cli.media.layout import MONO, Layout
from voiceclone_cli.media.wav import WavWriter, open_wav
from voiceclone_cli.timeline.fitting import FittedSpeech, Slot, fit, original_levels, read_speech, speech_rate
from voiceclone_cli.timeline.mixing import mixed
from voiceclone_cli.timeline.slots import mix_rate, slot_ends
from voiceclone_cli.timeline.speech import SpeechByBlock
from voiceclone_cli.timeline.surround import open_surround
from voiceclone_cli.types import Placement, Progress, ProgressEvent, Recording, Segment, Turn

STAGE = "timeline"
BLOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rendering:
    """What was written, and where speech went."""

    placements: tuple[Placement, ...]
    rate: int
    """Hz, of the mix and the stems."""
    sha256: Mapping[str, str]
    """Of the mix and of each stem, by its path from the mix's folder."""


def render(
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
        surround = stack.enter_context(
            open_surround(recording, rate, turns, speakers, background, models, threads)
        )
        stack.enter_context(explain_write_errors(mix.parent))
        files_out = stack.enter_context(_outputs(mix, stems, speakers, rate, total, surround.layout, info))
        for start in range(0, total, size):
            end = min(total, start + size)
            parts = speech.block(start, end, speakers)
            for speaker, part in parts.items():
                files_out[stems / f"{speaker}.wav"].write(part)
            under = surround.under(start, end, speech.spans(rate))
            files_out[mix].write(mixed(parts, surround.gains, under))
            progress(ProgressEvent(STAGE, end / rate, total / rate))
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
        return fit(segment, speech, slots[segment.id], levels[segment.id], max_stretch)

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
