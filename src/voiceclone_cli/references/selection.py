"""Selection of the clean spans of speech that make up a speaker's reference."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.types import ANALYSIS_RATE, Diarization, Span, Turn, Word

AIM = 10.0
"""Seconds of speech to collect."""
ENOUGH = 5.0
"""Seconds. Second-rate spans are used only below this total."""
CEILING = 11.5
"""Maximum seconds of speech; with the pauses between spans, a reference stays below 15 s."""
GOOD_LENGTH = 1.0
"""Seconds. Shorter spans are second-rate: they are too short for an intonation."""
SHORTEST = 0.3
"""Seconds. Shorter spans are noises rather than speech."""
CLIPPED = 0.005
"""Share of clipped samples that makes a span second-rate; clean speech has less than 0.001."""

_MARGIN = 0.2
"""Seconds by which a word may extend past its turn: turns often end early and words late."""
_CLEAR_SNR_DB = 40.0
_LEVEL_TOLERANCE_DB = 3.0
_LENGTH_BONUS_DB = 2.0
"""For each second of a span, up to _LONG."""
_LONG = 5.0
_FEW_WORDS = 3.0
"""Seconds of spans with words below which spans without words are used, if those are longer."""
_ADJACENT = 0.3
"""Seconds. Spans closer than this keep the original pause between them."""

WORD_PAUSE = 0.35
"""Seconds between two words that separate spans."""
LONGEST = 6.0
"""Seconds. Longer spans are split, to have more to select from."""

_EXTENSION = 0.1
"""Seconds by which a span extends past its words: recognisers begin words late and end them early."""

FRAME = 0.02
"""Seconds of a frame for levels."""

_SILENCE_DB = -80.0
_NOISE_CONTEXT = 0.5
"""Seconds before and after a span in which its noise is measured."""
_FLAT = 0.98
"""Share of a span's peak above which a sample counts as clipped: a signal that was attenuated or resampled
after clipping is flat below full scale."""
_DYNAMIC_DB = 30.0
"""Level of the softest speech below the loudest frame."""
_SHORT_PAUSE = 0.15
"""Seconds. Sounds closer than this are joined."""
_LONGEST_SOUND = 3.0
"""Seconds. Longer sounds are split at their quietest frame."""

PAUSE = 0.15
"""Seconds of silence between two spans."""
FADE = 0.008
"""Seconds of fade at both ends of a span, against clicks."""


@dataclass(frozen=True, slots=True)
class CleanSpan:
    """A span of one speaker's speech between words; ``interval`` is the speech that it was cut from."""

    start: float
    end: float
    words: tuple[Word, ...]
    interval: Span

    @property
    def seconds(self) -> float:
        """The length."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class SpanQuality:
    """Suitability of a span as a reference."""

    level_db: float
    """Level of the loud frames in dBFS."""
    snr_db: float
    """Level of the loud frames above the quietest ones in and around the span."""
    clipped: float
    """Share of clipped samples."""


def select_spans(
    samples: Samples, diarization: Diarization, speaker: str, words: Sequence[Word]
) -> tuple[list[CleanSpan], bool]:
    """Select the spans of a speaker's reference, in order, and tell whether others speak in them.

    They come from speech in which no other speaker speaks, or from the rest if the speaker never speaks alone.
    ``words`` are those of the whole recording, sorted by start. Empty only if the speaker has no turn.
    """
    turns = diarization.turns
    after_end = [(len(samples) / ANALYSIS_RATE, math.inf)]
    alone = exclusive_intervals(turns, speaker)
    with_margin = subtract_intervals(exclusive_intervals(turns, speaker, margin=_MARGIN), after_end)
    clean = _prefer_words(best_spans(samples, with_margin, words), _spans_without_words(samples, alone))
    if clean:
        return clean, False
    dominant = [(turn.start, turn.end) for turn in diarization.exclusive if turn.speaker == speaker]
    whole = [(turn.start, turn.end) for turn in turns if turn.speaker == speaker]
    for intervals in (merge_intervals(dominant), merge_intervals(whole)):
        overlapped = _prefer_words(
            best_spans(samples, intervals, words), _spans_without_words(samples, intervals)
        )
        if overlapped:
            return overlapped, True
    longest = max(whole, key=lambda span: span[1] - span[0], default=None)
    return ([CleanSpan(*longest, (), longest)] if longest else []), True


def best_spans(samples: Samples, intervals: Sequence[Span], words: Sequence[Word]) -> list[CleanSpan]:
    """Select the best spans of these intervals, up to AIM seconds, in order."""
    spans = [
        span for interval in intervals for span in clean_spans(interval, words) if span.seconds >= SHORTEST
    ]
    qualities = {span: measure_span(samples, (span.start, span.end)) for span in spans}
    selected: list[CleanSpan] = []
    total = 0.0
    for span in _rank(qualities):
        if total >= (AIM if _is_first_rate(span, qualities[span]) else ENOUGH):
            break
        shortened = _shorten(span, CEILING - total, words)
        if shortened:
            selected.append(shortened)
            total += shortened.seconds
    return _join_adjacent(sorted(selected, key=lambda span: span.start), words)


def _is_first_rate(span: CleanSpan, quality: SpanQuality) -> bool:
    return span.seconds >= GOOD_LENGTH and quality.clipped < CLIPPED


def _spans_without_words(samples: Samples, intervals: Sequence[Span]) -> list[CleanSpan]:
    sounds = [word for interval in intervals for word in pseudo_words(samples, interval)]
    return best_spans(samples, intervals, sounds)


def _prefer_words(with_words: list[CleanSpan], without: list[CleanSpan]) -> list[CleanSpan]:
    """Return the spans with words, unless they are very short and those without words are longer."""
    return max(with_words, without, key=lambda spans: min(_FEW_WORDS, sum(span.seconds for span in spans)))


def _rank(qualities: Mapping[CleanSpan, SpanQuality]) -> list[CleanSpan]:
    """Sort spans, best first: first-rate ones, then those with little noise, a usual level, and length."""
    if not qualities:
        return []
    usual = statistics.median(quality.level_db for quality in qualities.values())

    def rank(span: CleanSpan) -> tuple[bool, float]:
        quality = qualities[span]
        unusual = max(0.0, abs(quality.level_db - usual) - _LEVEL_TOLERANCE_DB)
        score = min(quality.snr_db, _CLEAR_SNR_DB) - unusual + _LENGTH_BONUS_DB * min(span.seconds, _LONG)
        return _is_first_rate(span, quality), score

    return sorted(qualities, key=rank, reverse=True)


def _shorten(span: CleanSpan, limit: float, words: Sequence[Word]) -> CleanSpan | None:
    """Return the span, cut after as many words as fit into ``limit`` seconds; None if that is too short."""
    if span.seconds <= limit:
        return span
    for count in range(len(span.words) - 1, 0, -1):
        shorter = clean_span(span.words[:count], span.interval, words)
        if shorter.seconds < GOOD_LENGTH:
            return None
        if shorter.seconds <= limit:
            return shorter
    return None


def _join_adjacent(spans: Sequence[CleanSpan], words: Sequence[Word]) -> list[CleanSpan]:
    """Join spans that are close to each other without a word between them, with their original pause."""
    joined = list(spans[:1])
    for before, after in pairwise(spans):
        close = before.interval == after.interval and after.start - before.end <= _ADJACENT
        if close and not any(before.end <= word.start < after.start for word in words):
            first = joined.pop()
            joined.append(CleanSpan(first.start, after.end, first.words + after.words, after.interval))
        else:
            joined.append(after)
    return joined


def clean_spans(interval: Span, words: Sequence[Word]) -> list[CleanSpan]:
    """Split an interval into spans of phrases, in order, without words that are partly outside of it.

    ``words`` are those of all speakers of the recording, sorted by start.
    """
    inside = [
        word for word in _near(interval, words) if interval[0] <= word.start and word.end <= interval[1]
    ]
    spans = [clean_span(run, interval, words) for phrase in _phrases(inside) for run in _split_phrase(phrase)]
    return [span for span in spans if span.end > span.start]


def clean_span(run: Sequence[Word], interval: Span, words: Sequence[Word]) -> CleanSpan:
    """Return the span of consecutive words, extended a little but not into other words."""
    first, last = run[0].start, max(word.end for word in run)
    start, end = max(interval[0], first - _EXTENSION), min(interval[1], last + _EXTENSION)
    own = {id(word) for word in run}
    for word in _near((start, end), words):
        if id(word) in own:
            continue
        if word.start < first:
            start = max(start, min(word.end, first))
        else:
            end = min(end, max(word.start, last))
    return CleanSpan(start, end, tuple(run), interval)


def _near(span: Span, words: Sequence[Word]) -> Iterator[Word]:
    """Yield the words that overlap with ``span``; no word lasts half a minute."""
    first = bisect_left(words, span[0] - 30.0, key=lambda word: word.start)
    for word in words[first:]:
        if word.start >= span[1]:
            return
        if word.end > span[0]:
            yield word


def _phrases(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield runs of words without a pause between them."""
    phrase: list[Word] = []
    for word in words:
        if phrase and word.start - phrase[-1].end >= WORD_PAUSE:
            yield phrase
            phrase = []
        phrase.append(word)
    if phrase:
        yield phrase


def _split_phrase(phrase: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Split a phrase into runs of at most LONGEST, at long pauses, preferably near the middle."""
    if len(phrase) < 2 or phrase[-1].end - phrase[0].start <= LONGEST:
        yield phrase
        return
    middle = (phrase[0].start + phrase[-1].end) / 2
    at = max(range(1, len(phrase)), key=lambda index: _split_score(phrase[index - 1], phrase[index], middle))
    yield from _split_phrase(phrase[:at])
    yield from _split_phrase(phrase[at:])


def _split_score(before: Word, after: Word, middle: float) -> float:
    """Rate a split between two words: their pause in seconds, plus a bonus for punctuation."""
    mark = before.text.strip()[-1:]
    punctuation = 0.4 if mark and mark in ".?!。？！" else 0.2 if mark and mark in ",;:，；：、" else 0.0
    return after.start - before.end + punctuation - 0.02 * abs((before.end + after.start) / 2 - middle)


def exclusive_intervals(turns: Sequence[Turn], speaker: str, *, margin: float = 0.0) -> list[Span]:
    """Return where only ``speaker`` speaks: their turns minus those of all others.

    ``margin`` extends their turns by that many seconds, but never into those of others.
    """
    own = [(max(0.0, turn.start - margin), turn.end + margin) for turn in turns if turn.speaker == speaker]
    others = [(turn.start, turn.end) for turn in turns if turn.speaker != speaker]
    return subtract_intervals(merge_intervals(own), merge_intervals(others))


def merge_intervals(spans: Iterable[Span]) -> list[Span]:
    """Return the union of spans, sorted, as spans that neither touch nor overlap."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def subtract_intervals(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """Remove the time of ``holes`` from ``spans``; both sorted and without overlap."""
    remaining: list[Span] = []
    first = 0
    for start, end in spans:
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        for hole_start, hole_end in holes[first:]:
            if hole_start >= end:
                break
            if hole_start > start:
                remaining.append((start, hole_start))
            start = max(start, hole_end)
        if start < end:
            remaining.append((start, end))
    return remaining


def measure_span(samples: Samples, span: Span) -> SpanQuality:
    """Measure a span of a recording at ANALYSIS_RATE."""
    inside = cut(samples, span)
    context = cut(samples, (span[0] - _NOISE_CONTEXT, span[1] + _NOISE_CONTEXT))
    speech = float(np.percentile(frame_levels(inside), 90))
    noise = float(np.percentile(frame_levels(context), 5))
    magnitude = np.abs(inside)
    peak = float(magnitude.max(initial=0.0))
    clipped = float(np.mean(magnitude >= _FLAT * peak)) if peak > 0 else 0.0
    return SpanQuality(level_db=speech, snr_db=speech - noise, clipped=clipped)


def cut(samples: Samples, span: Span) -> Samples:
    """Return the samples of ``span`` at ANALYSIS_RATE, cut at the ends of the recording."""
    start, end = (max(0, round(time * ANALYSIS_RATE)) for time in span)
    return samples[start:end]


def frame_levels(samples: Samples, rate: int = ANALYSIS_RATE) -> NDArray[np.float64]:
    """Return the level of each FRAME in dBFS, at least -80 dB, for at least one frame."""
    size = round(FRAME * rate)
    padded = np.pad(samples.astype(np.float64), (0, -len(samples) % size or (0 if len(samples) else size)))
    power = (padded.reshape(-1, size) ** 2).mean(axis=1)
    decibels: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (_SILENCE_DB / 10)))
    return decibels


def pseudo_words(samples: Samples, interval: Span) -> list[Word]:
    """Return the sounds in an interval as words without text, for a recording without known words."""
    levels = frame_levels(cut(samples, interval))
    loud = levels > max(float(levels.max()) - _DYNAMIC_DB, _SILENCE_DB)
    words = []
    for first, last in _loud_runs(loud, round(_SHORT_PAUSE / FRAME)):
        for start, end in _split_run(levels, first, last, round(_LONGEST_SOUND / FRAME)):
            begin, stop = interval[0] + start * FRAME, min(interval[1], interval[0] + end * FRAME)
            if stop > begin:
                words.append(Word(begin, stop, "", 1.0))
    return words


def quietest_time(samples: Samples, rate: int, within: Span) -> float:
    """Return the middle of the quietest frame between two times of a signal, in seconds."""
    start = round(within[0] * rate)
    levels = frame_levels(samples[start : round(within[1] * rate)], rate)
    return start / rate + (int(np.argmin(levels)) + 0.5) * FRAME


def _loud_runs(loud: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Return runs of loud frames (first, one past the last), joined if less than ``gap`` frames apart."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] < gap:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return runs


def _split_run(levels: NDArray[np.float64], first: int, last: int, longest: int) -> Iterator[tuple[int, int]]:
    """Split a run into parts of at most ``longest`` frames, at the quietest frame of its middle half."""
    if last - first <= longest:
        yield first, last
        return
    quarter = (last - first) // 4
    middle = first + quarter + int(np.argmin(levels[first + quarter : last - quarter]))
    yield from _split_run(levels, first, middle, longest)
    yield from _split_run(levels, middle, last, longest)


def join_spans(spans: Sequence[Samples], rate: int) -> Samples:
    """Join the audio of spans with a short silence between them, each with fades."""
    pause = np.zeros(round(PAUSE * rate), np.float32)
    parts: list[Samples] = []
    for span in spans:
        length = min(round(FADE * rate), len(span) // 2)
        ramp = np.sin(np.linspace(0, np.pi / 2, length, endpoint=False, dtype=np.float32)) ** 2
        faded = span.astype(np.float32, copy=True)
        faded[:length] *= ramp
        faded[len(faded) - length :] *= ramp[::-1]
        parts += [pause, faded]
    return np.concatenate(parts[1:])
