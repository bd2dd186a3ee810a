"""Which pieces make the best reference."""

from __future__ import annotations

import math
import statistics
import typing
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from voiceclone_cli.types import ANALYSIS_RATE, Diarization, Turn, Word

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples


# Pieces of speech put one after the other.


PAUSE = 0.15
"""Seconds of silence between two pieces."""
FADE = 0.008
"""Seconds in which a piece comes and goes, so that no edge clicks."""


def join_spans(pieces: Sequence[Samples], rate: int) -> Samples:
    """The pieces with a short silence between them, each faded at its edges."""
    import numpy as np

    pause = np.zeros(round(PAUSE * rate), np.float32)
    parts: list[Samples] = []
    for piece in pieces:
        parts += [pause, _faded(piece, rate)]
    return np.concatenate(parts[1:])


def _faded(piece: Samples, rate: int) -> Samples:
    import numpy as np

    length = min(round(FADE * rate), len(piece) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, length, endpoint=False, dtype=np.float32)) ** 2
    faded = piece.astype(np.float32, copy=True)
    faded[:length] *= ramp
    faded[len(faded) - length :] *= ramp[::-1]
    return faded


# Stretches of time: when a speaker speaks, and when nobody else does.


Span = tuple[float, float]
"""Start and end in seconds."""


def exclusive_intervals(turns: Sequence[Turn], speaker: str, *, margin: float = 0.0) -> list[Span]:
    """Where nobody but ``speaker`` speaks: their turns without those of all others.

    ``margin`` widens their own turns by that many seconds, but never into somebody else's.
    """
    own = [(max(0.0, turn.start - margin), turn.end + margin) for turn in turns if turn.speaker == speaker]
    others = [(turn.start, turn.end) for turn in turns if turn.speaker != speaker]
    return subtract_intervals(merge_intervals(own), merge_intervals(others))


def merge_intervals(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that neither touch nor overlap, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def subtract_intervals(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """What of ``spans`` lies in no hole; both in order and without overlap."""
    left: list[Span] = []
    first = 0
    for start, end in spans:
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        for hole_start, hole_end in holes[first:]:
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = max(start, hole_end)
        if start < end:
            left.append((start, end))
    return left


# Pieces of speech that a reference may be put together from. They begin and end between words.


PIECE_PAUSE = 0.35
"""Seconds between two words from which on they belong to different pieces."""
LONGEST = 6.0
"""Seconds. Longer pieces are parted, so that there is something to choose from."""

_ROOM = 0.1
"""Seconds a piece may reach beyond its words: recognisers begin words late and end them early."""


@dataclass(frozen=True, slots=True)
class CleanSpan:
    """A bit of one speaker's speech. ``stretch`` is the undisturbed speech that it was cut from."""

    start: float
    end: float
    words: tuple[Word, ...]
    stretch: Span

    @property
    def seconds(self) -> float:
        return self.end - self.start


def clean_spans(stretch: Span, words: Sequence[Word]) -> list[CleanSpan]:
    """The pieces of a stretch, in order. Words that lie only partly within it are in none.

    ``words`` are those of the whole recording, whoever spoke them, in the order of their start.
    """
    whole = [word for word in _near(stretch, words) if stretch[0] <= word.start and word.end <= stretch[1]]
    pieces = [clean_span(run, stretch, words) for phrase in _phrases(whole) for run in _parted(phrase)]
    return [piece for piece in pieces if piece.end > piece.start]


def clean_span(run: Sequence[Word], stretch: Span, words: Sequence[Word]) -> CleanSpan:
    """Neighbouring words as a piece, with a little room around them that no other word is in."""
    first, last = run[0].start, max(word.end for word in run)
    start, end = max(stretch[0], first - _ROOM), min(stretch[1], last + _ROOM)
    own = {id(word) for word in run}
    for word in _near((start, end), words):
        if id(word) in own:
            continue
        if word.start < first:
            start = max(start, min(word.end, first))
        else:
            end = min(end, max(word.start, last))
    return CleanSpan(start, end, tuple(run), stretch)


def _near(span: Span, words: Sequence[Word]) -> Iterator[Word]:
    """The words that may reach into ``span``: no word lasts half a minute."""
    first = bisect_left(words, span[0] - 30.0, key=lambda word: word.start)
    for word in words[first:]:
        if word.start >= span[1]:
            return
        if word.end > span[0]:
            yield word


def _phrases(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Runs of words without a pause between them."""
    phrase: list[Word] = []
    for word in words:
        if phrase and word.start - phrase[-1].end >= PIECE_PAUSE:
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _parted(phrase: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """A phrase in runs of at most LONGEST, parted where the pause is longest, near the middle at best."""
    if len(phrase) < 2 or phrase[-1].end - phrase[0].start <= LONGEST:
        yield phrase
        return
    middle = (phrase[0].start + phrase[-1].end) / 2
    at = max(range(1, len(phrase)), key=lambda index: _parting(phrase[index - 1], phrase[index], middle))
    yield from _parted(phrase[:at])
    yield from _parted(phrase[at:])


def _parting(before: Word, after: Word, middle: float) -> float:
    """How good it is to part two words: their pause in seconds, more after punctuation."""
    mark = before.text.strip()[-1:]
    punctuation = 0.4 if mark and mark in ".?!。？！" else 0.2 if mark and mark in ",;:，；：、" else 0.0
    return after.start - before.end + punctuation - 0.02 * abs((before.end + after.start) / 2 - middle)


# What can be heard in a bit of the recording: its level, its noise, where it is clipped or pauses.


FRAME = 0.02
"""Seconds a level is taken over."""

_SILENCE_DB = -80.0
_SURROUNDINGS = 0.5
"""Seconds before and after a piece in which its background noise can be heard."""
_FLAT = 0.98
"""Share of a piece's own peak from which on a sample counts as touching the ceiling. A signal that was
clipped and then turned down, or resampled, is flat below full scale."""
_DYNAMIC_DB = 30.0
"""Speech reaches down this far below its loudest frame."""
_SHORT_PAUSE = 0.15
"""Seconds. Sounds that are closer than this are one."""
_LONGEST_SOUND = 3.0
"""Seconds. A longer one is parted at its quietest moment."""


@dataclass(frozen=True, slots=True)
class SpanQuality:
    """How well a piece serves as a reference."""

    level_db: float
    """Of its loud frames, in dB of full scale."""
    snr_db: float
    """Its loud frames over the quietest in and around it."""
    clipped: float
    """Share of its samples that touch the ceiling."""


def measure_span(samples: Samples, span: Span) -> SpanQuality:
    """The quality of ``span`` of a recording at ANALYSIS_RATE."""
    import numpy as np

    piece = cut(samples, span)
    around = cut(samples, (span[0] - _SURROUNDINGS, span[1] + _SURROUNDINGS))
    speech = float(np.percentile(frame_levels(piece), 90))
    noise = float(np.percentile(frame_levels(around), 5))
    magnitude = np.abs(piece)
    peak = float(magnitude.max(initial=0.0))
    clipped = float(np.mean(magnitude >= _FLAT * peak)) if peak > 0 else 0.0
    return SpanQuality(level_db=speech, snr_db=speech - noise, clipped=clipped)


def cut(samples: Samples, span: Span) -> Samples:
    """The samples of ``span`` at ANALYSIS_RATE, as far as the recording goes."""
    start, end = (max(0, round(time * ANALYSIS_RATE)) for time in span)
    return samples[start:end]


def frame_levels(samples: Samples, rate: int = ANALYSIS_RATE) -> NDArray[np.float64]:
    """Power of each FRAME in dB of full scale, at least one, none under -80."""
    import numpy as np

    size = round(FRAME * rate)
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size or (0 if len(samples) else size)))
    power = (padded.reshape(-1, size) ** 2).mean(axis=1)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (_SILENCE_DB / 10)))
    return decibels


def active_frames(samples: Samples, stretch: Span) -> list[Word]:
    """Where something sounds in a stretch, as words without text: stand-ins where no words are known."""
    loudness = frame_levels(cut(samples, stretch))
    loud = loudness > max(float(loudness.max()) - _DYNAMIC_DB, _SILENCE_DB)
    words = []
    for first, last in _bridged(loud, round(_SHORT_PAUSE / FRAME)):
        for start, end in _parted_of_sound(loudness, first, last, round(_LONGEST_SOUND / FRAME)):
            begin, stop = stretch[0] + start * FRAME, min(stretch[1], stretch[0] + end * FRAME)
            if stop > begin:
                words.append(Word(begin, stop, "", 1.0))
    return words


def quietest(samples: Samples, rate: int, within: Span) -> float:
    """The middle of the quietest frame between two times of a signal, in seconds."""
    import numpy as np

    start = round(within[0] * rate)
    loudness = frame_levels(samples[start : round(within[1] * rate)], rate)
    return start / rate + (int(np.argmin(loudness)) + 0.5) * FRAME


def _bridged(loud: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Runs of loud frames (first, one past the last), those less than ``gap`` frames apart joined."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] < gap:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return runs


def _parted_of_sound(
    loudness: NDArray[np.float64], first: int, last: int, longest: int
) -> Iterator[tuple[int, int]]:
    """A run in parts of at most ``longest`` frames, parted at the quietest frame of its middle half."""
    import numpy as np

    if last - first <= longest:
        yield first, last
        return
    quarter = (last - first) // 4
    middle = first + quarter + int(np.argmin(loudness[first + quarter : last - quarter]))
    yield from _parted_of_sound(loudness, first, middle, longest)
    yield from _parted_of_sound(loudness, middle, last, longest)


AIM = 10.0
"""Seconds of speech that are enough."""
ENOUGH = 5.0
"""Seconds. Second-rate pieces are only taken below this."""
CEILING = 11.5
"""Seconds of speech that are never passed; with the pauses between pieces it stays under 15."""
GOOD_LENGTH = 1.0
"""Seconds. Shorter pieces are second-rate: speech needs a breath's length to show its melody."""
SHORTEST = 0.3
"""Seconds. Shorter pieces are noises rather than speech."""
CLIPPED = 0.005
"""Share of samples at the ceiling from which on a piece is second-rate; clean speech has under .001."""

_MARGIN = 0.2
"""Seconds that a word may reach past its turn: turns end early as often as words end late."""
_CLEAR_SNR_DB = 40.0
_LEVEL_TOLERANCE_DB = 3.0
_LENGTH_BONUS_DB = 2.0
"""For each second of a piece, up to _LONG."""
_LONG = 5.0
_NEXT_TO_NOTHING = 3.0
"""Seconds of pieces with known words below which those without words are taken, if there are more."""
_SAME_BREATH = 0.3
"""Seconds. Pieces closer than this keep their own pause instead of a made one."""


def choose_pieces(
    samples: Samples, diarization: Diarization, speaker: str, words: Sequence[Word]
) -> tuple[list[CleanSpan], bool]:
    """The pieces of a speaker's reference in the order of time, and whether others speak in them.

    They come from speech in which nobody else speaks; only for a speaker who never speaks alone from
    the rest. ``words`` in the order of their start, those of the whole recording. Empty only when the
    speaker has no turn.
    """
    turns = diarization.turns
    after_the_end = [(len(samples) / ANALYSIS_RATE, math.inf)]
    undisturbed = _best_of(
        best_pieces(
            samples,
            subtract_intervals(exclusive_intervals(turns, speaker, margin=_MARGIN), after_the_end),
            words,
        ),
        _choose_without_words(samples, exclusive_intervals(turns, speaker)),
    )
    if undisturbed:
        return undisturbed, False
    dominant = [(turn.start, turn.end) for turn in diarization.exclusive if turn.speaker == speaker]
    whole = [(turn.start, turn.end) for turn in turns if turn.speaker == speaker]
    for stretches in (merge_intervals(dominant), merge_intervals(whole)):
        disturbed = _best_of(
            best_pieces(samples, stretches, words),
            _choose_without_words(samples, stretches),
        )
        if disturbed:
            return disturbed, True
    longest = max(whole, key=lambda span: span[1] - span[0], default=None)
    return ([CleanSpan(*longest, (), longest)] if longest else []), True


def best_pieces(samples: Samples, stretches: Sequence[Span], words: Sequence[Word]) -> list[CleanSpan]:
    """The best pieces of the stretches, AIM seconds of them if there are, in the order of time."""
    pieces = [
        piece for stretch in stretches for piece in clean_spans(stretch, words) if piece.seconds >= SHORTEST
    ]
    qualities = {piece: measure_span(samples, (piece.start, piece.end)) for piece in pieces}
    taken: list[CleanSpan] = []
    total = 0.0
    for piece in _ranked(qualities):
        if total >= (AIM if is_first_rate(piece, qualities[piece]) else ENOUGH):
            break
        fitting = _shortened(piece, CEILING - total, words)
        if fitting:
            taken.append(fitting)
            total += fitting.seconds
    return _in_one_breath(sorted(taken, key=lambda piece: piece.start), words)


def is_first_rate(piece: CleanSpan, quality: SpanQuality) -> bool:
    return piece.seconds >= GOOD_LENGTH and quality.clipped < CLIPPED


def _choose_without_words(samples: Samples, stretches: Sequence[Span]) -> list[CleanSpan]:
    islands = [word for stretch in stretches for word in active_frames(samples, stretch)]
    return best_pieces(samples, stretches, islands)


def _best_of(spoken: list[CleanSpan], sounding: list[CleanSpan]) -> list[CleanSpan]:
    """Pieces with known words, unless they are next to nothing and those without have more."""
    return max(
        spoken, sounding, key=lambda pieces: min(_NEXT_TO_NOTHING, sum(piece.seconds for piece in pieces))
    )


def _ranked(qualities: Mapping[CleanSpan, SpanQuality]) -> list[CleanSpan]:
    """Best first: first-rate before second-rate, then clear, of the speaker's usual level, and long."""
    if not qualities:
        return []
    usual = statistics.median(quality.level_db for quality in qualities.values())

    def rank(piece: CleanSpan) -> tuple[bool, float]:
        quality = qualities[piece]
        unusual = max(0.0, abs(quality.level_db - usual) - _LEVEL_TOLERANCE_DB)
        score = min(quality.snr_db, _CLEAR_SNR_DB) - unusual + _LENGTH_BONUS_DB * min(piece.seconds, _LONG)
        return is_first_rate(piece, quality), score

    return sorted(qualities, key=rank, reverse=True)


def _shortened(piece: CleanSpan, room: float, words: Sequence[Word]) -> CleanSpan | None:
    """The piece, or as many of its first words as there is room for; None when that is too little."""
    if piece.seconds <= room:
        return piece
    for count in range(len(piece.words) - 1, 0, -1):
        shorter = clean_span(piece.words[:count], piece.stretch, words)
        if shorter.seconds < GOOD_LENGTH:
            return None
        if shorter.seconds <= room:
            return shorter
    return None


def _in_one_breath(pieces: Sequence[CleanSpan], words: Sequence[Word]) -> list[CleanSpan]:
    """Pieces that follow each other without a word between them, joined with the pause they had."""
    joined = list(pieces[:1])
    for before, after in pairwise(pieces):
        close = before.stretch == after.stretch and after.start - before.end <= _SAME_BREATH
        if close and not any(before.end <= word.start < after.start for word in words):
            first = joined.pop()
            joined.append(CleanSpan(first.start, after.end, first.words + after.words, after.stretch))
        else:
            joined.append(after)
    return joined
