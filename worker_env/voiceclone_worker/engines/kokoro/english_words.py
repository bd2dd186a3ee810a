"""The English words of a Chinese line, said by the speaker's English voice.

Kokoro's Chinese voices say English words so that they are hardly recognised. So each word is planned by an English voice
as a sentence by itself, and takes the place that it has in the plan of the line. The line, and what is around its words
once more, are then rendered in both timbres, and the one fades into the other beside each word. What was measured:
benchmarks/results/languages.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.kokoro.envelope import Doubles
from voiceclone_worker.engines.kokoro.line_plan import FRAME_SECONDS, Floats, LinePlan

SENTENCE_END = "."
"""Behind the phonemes of a word that is planned by itself."""
_AROUND = round(0.6 / FRAME_SECONDS)
"""Frames before and after a word that are rendered with it."""
_SILENCE = 2
"""Frames of silence that a word planned by itself keeps at each end."""
_BESIDE = 1
"""Frames before and after a word that are of its timbre."""
_FADE_SECONDS = 0.02
_GAINS = (0.5, 3.0)


def with_words(line: LinePlan, words: Sequence[tuple[tuple[int, int], LinePlan]]) -> LinePlan:
    """Return the plan of a line with some words as they are planned by themselves.

    ``words``: for each, in their order, the tokens of the line that it replaces (from, to; without the one that frames
    the line), and its plan, of these tokens and SENTENCE_END. Its speed may differ from the line's.
    """
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(line.token_frames())])
    sections, frames, english = list[LinePlan](), list[Floats](), list[tuple[int, int]]()
    length = position = 0
    for (first, last), plan in words:
        before = _excerpt(line, ends[position], ends[first + 1])
        word, word_frames = _without_silence(plan)
        sections += [before, word]
        frames += [line.frames_at_1[position : first + 1], _at_speed(word_frames, plan, line.speed)]
        start = length + before.aligned.shape[-1]
        length = start + word.aligned.shape[-1]
        english.append((start, length))
        position = last + 1
    sections.append(_excerpt(line, ends[position], ends[-1]))
    frames.append(line.frames_at_1[position:])
    return LinePlan(
        aligned=np.concatenate([section.aligned for section in sections], axis=-1),
        f0=np.concatenate([section.f0 for section in sections]),
        energy=np.concatenate([section.energy for section in sections]),
        frames_at_1=np.concatenate(frames),
        speed=line.speed,
        english=tuple(english),
    )


def _excerpt(plan: LinePlan, start: int, end: int) -> LinePlan:
    """Return some frames of a plan; its tokens are those of the whole."""
    return replace(
        plan,
        aligned=plan.aligned[..., start:end],
        f0=plan.f0[2 * start : 2 * end],
        energy=plan.energy[2 * start : 2 * end],
        english=(),
    )


def _without_silence(plan: LinePlan) -> tuple[LinePlan, NDArray[np.int64]]:
    """Return a word without the tokens that frame it, SENTENCE_END and most of its silence, and its tokens' frames."""
    frames = plan.token_frames()[1:-2].copy()
    start = int(plan.token_frames()[0])
    end = start + int(frames.sum())
    sounding = start + np.flatnonzero(plan.energy[2 * start : 2 * end] > 0) // 2
    if len(sounding):
        for token, extra in ((0, sounding[0] - _SILENCE - start), (-1, end - sounding[-1] - 1 - _SILENCE)):
            dropped = int(np.clip(extra, 0, frames[token] - 1))
            frames[token] -= dropped
            start, end = (start + dropped, end) if token == 0 else (start, end - dropped)
    return _excerpt(plan, start, end), frames


def _at_speed(frames: NDArray[np.int64], plan: LinePlan, speed: float) -> Floats:
    """Return the frames at speed 1 of a word's tokens from which ``frames`` follow at the speed of the line."""
    exact = plan.frames_at_1[1:-2] * np.float32(speed / plan.speed)
    follows = np.maximum(1, np.rint(exact / np.float32(speed))) == frames
    found: Floats = np.where(follows, exact, frames * np.float32(speed)).astype(np.float32)
    return found


def with_english(
    sound: Doubles, plan: LinePlan, english: Callable[[LinePlan], Doubles], rate: int
) -> Doubles:
    """Return the ``sound`` of a line with its English words in the timbre of ``english``, which renders a plan.

    A word gets the level of the rest of the line; that of a line of English words alone stays.
    """
    mixed, frame = sound.copy(), round(FRAME_SECONDS * rate)
    sounding = np.repeat(plan.energy[::2] > 0, frame)
    rest = sounding.copy()
    for first, last in plan.english:
        rest[first * frame : last * frame] = False
    level = _level(sound[rest])
    for first, last in plan.english:
        start, end = max(0, first - _AROUND), min(plan.aligned.shape[-1], last + _AROUND)
        around, word = mixed[start * frame : end * frame], english(_excerpt(plan, start, end))
        inside = slice((first - start) * frame, (last - start) * frame)
        own = _level(word[inside][sounding[first * frame : last * frame]])
        gain = np.clip(level / own, *_GAINS) if level and own else 1.0
        share = _share(len(word), inside.start - _BESIDE * frame, inside.stop + _BESIDE * frame, rate)
        around += share * (gain * word - around)
    return mixed


def _share(samples: int, start: int, end: int, rate: int) -> Doubles:
    """Return (samples,): 1 between ``start`` and ``end``, 0 elsewhere, with a fade around both."""
    fade = _FADE_SECONDS * rate
    places = np.arange(samples)
    rising, falling = ((places - start) / fade + 0.5, (end - places) / fade + 0.5)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(np.minimum(rising, falling), 0, 1)), np.float64)


def _level(signal: Doubles) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) if len(signal) else 0.0
