"""Which pieces make the best reference."""

from __future__ import annotations

import math
import statistics
import typing
from collections.abc import Mapping, Sequence
from itertools import pairwise

from voiceclone_cli.casting.pieces import Piece, piece_from, pieces_of
from voiceclone_cli.casting.sound import Quality, listen, sounding
from voiceclone_cli.casting.spans import Span, alone, merge, subtract
from voiceclone_cli.types import ANALYSIS_RATE, Diarization, Word

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

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
) -> tuple[list[Piece], bool]:
    """The pieces of a speaker's reference in the order of time, and whether others speak in them.

    They come from speech in which nobody else speaks; only for a speaker who never speaks alone from
    the rest. ``words`` in the order of their start, those of the whole recording. Empty only when the
    speaker has no turn.
    """
    turns = diarization.turns
    after_the_end = [(len(samples) / ANALYSIS_RATE, math.inf)]
    undisturbed = _best_of(
        best_pieces(samples, subtract(alone(turns, speaker, margin=_MARGIN), after_the_end), words),
        _choose_without_words(samples, alone(turns, speaker)),
    )
    if undisturbed:
        return undisturbed, False
    dominant = [(turn.start, turn.end) for turn in diarization.exclusive if turn.speaker == speaker]
    whole = [(turn.start, turn.end) for turn in turns if turn.speaker == speaker]
    for stretches in (merge(dominant), merge(whole)):
        disturbed = _best_of(
            best_pieces(samples, stretches, words),
            _choose_without_words(samples, stretches),
        )
        if disturbed:
            return disturbed, True
    longest = max(whole, key=lambda span: span[1] - span[0], default=None)
    return ([Piece(*longest, (), longest)] if longest else []), True


def best_pieces(samples: Samples, stretches: Sequence[Span], words: Sequence[Word]) -> list[Piece]:
    """The best pieces of the stretches, AIM seconds of them if there are, in the order of time."""
    pieces = [
        piece for stretch in stretches for piece in pieces_of(stretch, words) if piece.seconds >= SHORTEST
    ]
    qualities = {piece: listen(samples, (piece.start, piece.end)) for piece in pieces}
    taken: list[Piece] = []
    total = 0.0
    for piece in _ranked(qualities):
        if total >= (AIM if is_first_rate(piece, qualities[piece]) else ENOUGH):
            break
        fitting = _shortened(piece, CEILING - total, words)
        if fitting:
            taken.append(fitting)
            total += fitting.seconds
    return _in_one_breath(sorted(taken, key=lambda piece: piece.start), words)


def is_first_rate(piece: Piece, quality: Quality) -> bool:
    return piece.seconds >= GOOD_LENGTH and quality.clipped < CLIPPED


def _choose_without_words(samples: Samples, stretches: Sequence[Span]) -> list[Piece]:
    islands = [word for stretch in stretches for word in sounding(samples, stretch)]
    return best_pieces(samples, stretches, islands)


def _best_of(spoken: list[Piece], sounding: list[Piece]) -> list[Piece]:
    """Pieces with known words, unless they are next to nothing and those without have more."""
    return max(
        spoken, sounding, key=lambda pieces: min(_NEXT_TO_NOTHING, sum(piece.seconds for piece in pieces))
    )


def _ranked(qualities: Mapping[Piece, Quality]) -> list[Piece]:
    """Best first: first-rate before second-rate, then clear, of the speaker's usual level, and long."""
    if not qualities:
        return []
    usual = statistics.median(quality.level_db for quality in qualities.values())

    def rank(piece: Piece) -> tuple[bool, float]:
        quality = qualities[piece]
        unusual = max(0.0, abs(quality.level_db - usual) - _LEVEL_TOLERANCE_DB)
        score = min(quality.snr_db, _CLEAR_SNR_DB) - unusual + _LENGTH_BONUS_DB * min(piece.seconds, _LONG)
        return is_first_rate(piece, quality), score

    return sorted(qualities, key=rank, reverse=True)


def _shortened(piece: Piece, room: float, words: Sequence[Word]) -> Piece | None:
    """The piece, or as many of its first words as there is room for; None when that is too little."""
    if piece.seconds <= room:
        return piece
    for count in range(len(piece.words) - 1, 0, -1):
        shorter = piece_from(piece.words[:count], piece.stretch, words)
        if shorter.seconds < GOOD_LENGTH:
            return None
        if shorter.seconds <= room:
            return shorter
    return None


def _in_one_breath(pieces: Sequence[Piece], words: Sequence[Word]) -> list[Piece]:
    """Pieces that follow each other without a word between them, joined with the pause they had."""
    joined = list(pieces[:1])
    for before, after in pairwise(pieces):
        close = before.stretch == after.stretch and after.start - before.end <= _SAME_BREATH
        if close and not any(before.end <= word.start < after.start for word in words):
            first = joined.pop()
            joined.append(Piece(first.start, after.end, first.words + after.words, after.stretch))
        else:
            joined.append(after)
    return joined
