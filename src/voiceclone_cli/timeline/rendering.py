"""Spoken segments out on the recording's own timeline: one mix, and a stem per speaker."""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from voiceclone_cli.atomic import atomic_path, explain_write_errors
from voiceclone_cli.errors import InputError
from voiceclone_cli.media.wav import WavWriter, open_wav, to_pcm16
from voiceclone_cli.timeline.fitting import FittedSpeech, Slot, fit, original_levels, read_speech, speech_rate
from voiceclone_cli.timeline.loudness import limit
from voiceclone_cli.types import Placement, Progress, ProgressEvent, Recording, Segment, no_progress

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAGE = "timeline"

GUARD_SECONDS = 0.03
"""Left free before the next segment, so that two lines do not touch."""

BLOCK_SECONDS = 30.0


def slot_ends(segments: Sequence[Segment], recording_seconds: float) -> dict[str, float]:
    """Where each segment's slot ends, in seconds, by segment id.

    A slot runs to the start of the next segment of anybody, less a small guard, but at least to the
    segment's own end; the last one runs to the end of the recording, which no slot passes.
    """
    ordered = sorted(segments, key=lambda segment: segment.start)
    ends = {}
    following = recording_seconds
    for index in range(len(ordered) - 1, -1, -1):
        segment = ordered[index]
        later = ordered[index + 1 : index + 2]
        # Segments that start together share what follows them: neither comes "next" to the other.
        if later and later[0].start > segment.start:
            following = later[0].start - GUARD_SECONDS
        ends[segment.id] = min(max(following, segment.end), recording_seconds)
    return ends


def mix_rate(source_rate: int, speech_rates: Sequence[int]) -> int:
    """The recording's own rate, or its smallest whole multiple that carries the speech.

    A whole multiple, so that the mix has exactly as many samples as the recording, times that number.
    """
    wanted = max(speech_rates, default=0)
    return source_rate * max(1, -(-wanted // source_rate))


def render(
    segments: Sequence[Segment],
    files: Mapping[str, Path],
    recording: Recording,
    *,
    mix: Path,
    stems: Path,
    max_stretch: float = 1.3,
    progress: Progress = no_progress,
) -> tuple[Placement, ...]:
    """Write ``mix`` and ``stems``/SPEAKER.wav, all exactly as long as the recording; say where speech went.

    ``files`` maps segment ids to mono wavs; a segment without one stays silent and has no Placement.
    Speech longer than its slot is sped up by at most ``max_stretch``; what still overflows is kept whole.
    Each segment is as loud as the original was there. Written in blocks of 30 s: memory holds a block
    and the segments in it. The mix is the sum of the 16-bit stems, sample for sample, except where a
    sample passes 0.9 of full scale and the limiter bends it (see loudness.limit).

    Progress: stage "timeline", in seconds. Raises InputError (``max_stretch``) and RunError
    (``speech_unreadable``, ``output_unwritable``).
    """
    if not 1.0 <= max_stretch <= 2.0:
        raise InputError(f"--max-stretch must be from 1 to 2, not {max_stretch}.", code="max_stretch")
    ordered = sorted((s for s in segments if s.id in files), key=lambda segment: segment.start)
    rate = mix_rate(recording.source_rate, [speech_rate(files[segment.id]) for segment in ordered])
    total = recording.source_frames * (rate // recording.source_rate)
    ends = slot_ends(segments, recording.seconds)
    levels = original_levels(segments, recording)
    slots = {
        segment.id: Slot(min(round(segment.start * rate), total), round(ends[segment.id] * rate), total, rate)
        for segment in ordered
    }

    def fitted(segment: Segment) -> FittedSpeech:
        speech = read_speech(files[segment.id], rate)
        return fit(segment, speech, slots[segment.id], levels[segment.id], max_stretch)

    speech = _SpeechByBlock([(slots[segment.id].start, segment) for segment in ordered], fitted)
    speakers = sorted({segment.speaker for segment in segments})
    size = round(BLOCK_SECONDS * rate)
    with explain_write_errors(mix.parent), _outputs(mix, stems, speakers, rate, total) as outputs:
        mix_writer, stem_writers = outputs
        for start in range(0, total, size):
            end = min(total, start + size)
            parts = speech.block(start, end, speakers)
            for speaker, part in parts.items():
                stem_writers[speaker].write(part)
            mix_writer.write(sum_of_stems(list(parts.values()), end - start))
            progress(ProgressEvent(STAGE, end / rate, total / rate))
    return tuple(speech.placements)


@contextmanager
def _outputs(
    mix: Path, stems: Path, speakers: Sequence[str], rate: int, frames: int
) -> Iterator[tuple[WavWriter, dict[str, WavWriter]]]:
    with ExitStack() as stack:

        def writer(path: Path) -> WavWriter:
            temporary = stack.enter_context(atomic_path(path))
            return stack.enter_context(open_wav(temporary, rate, frames))

        # The stack unwinds backwards: the mix is put in place last, when all stems stand.
        mix_writer = writer(mix)
        yield mix_writer, {speaker: writer(stems / f"{speaker}.wav") for speaker in speakers}


def sum_of_stems(stems: Sequence[NDArray[np.int16]], frames: int) -> NDArray[np.int16]:
    """16-bit stems added up, limited where the sum nears full scale."""
    import numpy as np

    total = np.zeros(frames, np.int32)
    for stem in stems:
        total += stem
    return to_pcm16(limit(total / 32768.0))


class _SpeechByBlock:
    """Segments that are fitted when the mix reaches them, and let go when it has passed them."""

    def __init__(
        self, starts: Sequence[tuple[int, Segment]], fitted: Callable[[Segment], FittedSpeech]
    ) -> None:
        self.placements: list[Placement] = []
        self._waiting = deque(starts)
        self._fitted = fitted
        self._sounding: list[tuple[str, FittedSpeech]] = []

    def block(self, start: int, end: int, speakers: Sequence[str]) -> dict[str, NDArray[np.int16]]:
        """Every speaker's part of the frames from ``start`` to ``end``. Blocks are asked for in order."""
        import numpy as np

        self._take_until(end)
        sums = {speaker: np.zeros(end - start, np.float32) for speaker in speakers}
        still_sounding = []
        for speaker, speech in self._sounding:
            first = speech.placement.start_frame
            piece = speech.samples[max(0, start - first) : max(0, end - first)]
            at = max(0, first - start)
            sums[speaker][at : at + len(piece)] += piece
            if first + len(speech.samples) > end:
                still_sounding.append((speaker, speech))
        self._sounding = still_sounding
        return {speaker: to_pcm16(limit(total)) for speaker, total in sums.items()}

    def _take_until(self, end: int) -> None:
        # "At the end" counts: a segment that starts where the mix ends is taken too, and told so.
        while self._waiting and self._waiting[0][0] <= end:
            _, segment = self._waiting.popleft()
            speech = self._fitted(segment)
            self.placements.append(speech.placement)
            self._sounding.append((segment.speaker, speech))
