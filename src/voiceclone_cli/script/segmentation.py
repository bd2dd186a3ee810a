"""Words and turns become the lines of a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voiceclone_cli.analysis.transcription import SPEECH_MARGIN
from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.types import Diarization, Script, Segment, Transcript, Turn, Word

SENTENCE_REACH = 2
"""Words. How far a change of speaker may move to reach the end of a sentence."""
SENTENCE_PAUSE = 0.35
"""Seconds. A pause longer than this is where somebody stopped: no change of speaker moves across it."""
TURN_GAP = 0.5
"""Seconds between two turns of a speaker from which on each is a line of its own."""
LONGEST = 12.0
"""Seconds. Longer lines are split."""
TAIL = 0.1
"""Seconds a line lasts beyond its last word, which recognisers end early, as far as its turn goes."""
SHORTEST = 0.15
"""Seconds a line lasts at least."""

_CLOSERS = "\"'”’»)]"
_SENTENCE_ENDS = tuple(".?!…。？！؟।")
_CLAUSE_ENDS = tuple(",;:，；：、،")


@dataclass(slots=True)
class _Spoken:
    """A word and the turn it was given to."""

    word: Word
    turn: Turn


def segments_from_words(transcript: Transcript, diarization: Diarization) -> Script:
    """The lines of a recording, each of one speaker, in the order of their start; times to the millisecond.

    A word belongs to the exclusive turn it shares most time with, else to the nearest within SPEECH_MARGIN.
    Diarization is often a word late or early, so a change of speaker inside a sentence moves to the end of
    a sentence close by. Words that found no turn, and lines without a letter or digit, are left out and noted.
    """
    spoken, lost = _words_to_turns(transcript.words, diarization.exclusive)
    _move_changes_to_sentence_ends(spoken)
    lines = [piece for run in _runs(spoken) for piece in _split(run)]
    notes = []
    if lost:
        notes.append(f"{_count(lost, 'word')} outside of anybody's speech left out: {_quote(lost)}.")
    kept = []
    for line in lines:
        text = _text(line)
        if any(character.isalnum() for character in text):
            start, end = _times(line)
            kept.append((start, end, line[0].turn.speaker, text))
        else:
            notes.append(f'A line at {line[0].word.start:.2f} s left out: nothing to speak in "{text}".')
    kept.sort(key=lambda row: row[0])
    segments = tuple(
        Segment(f"{number:04d}", speaker, start, end, text, transcript.language)
        for number, (start, end, speaker, text) in enumerate(kept, start=1)
    )
    return Script(segments, tuple(notes))


def _words_to_turns(words: Sequence[Word], turns: Sequence[Turn]) -> tuple[list[_Spoken], list[Word]]:
    index = TurnIndex(turns)
    spoken, lost = [], []
    for word in words:
        turn = index.most_shared(word.start, word.end)
        if turn is None:
            found = index.nearest(word.start, word.end)
            if found is None or found[1] > SPEECH_MARGIN:
                lost.append(word)
                continue
            turn = found[0]
        spoken.append(_Spoken(word, turn))
    return spoken, lost


def _move_changes_to_sentence_ends(spoken: list[_Spoken]) -> None:
    """Gives the one or two words between a change of speaker and a sentence end to the sentence's speaker."""
    for change in range(1, len(spoken)):
        earlier, later = spoken[change - 1], spoken[change]
        if earlier.turn.speaker == later.turn.speaker or _ends_sentence(earlier.word):
            continue
        for distance in range(1, SENTENCE_REACH + 1):
            if _can_move(spoken, change, change + distance):
                for item in spoken[change : change + distance]:
                    item.turn = earlier.turn
                break
            if _can_move(spoken, change, change - distance):
                for item in spoken[change - distance : change]:
                    item.turn = later.turn
                break


def _can_move(spoken: Sequence[_Spoken], change: int, target: int) -> bool:
    """Whether a change of speaker may move to before word ``target``: a sentence ends there, the words
    between are of one speaker, and no pause lies on the way."""
    if not 1 <= target <= len(spoken) or not _ends_sentence(spoken[target - 1].word):
        return False
    crossed = range(change, target) if target > change else range(target + 1, change + 1)
    moved = spoken[min(change, target) : max(change, target)]
    return len({item.turn.speaker for item in moved}) == 1 and not any(
        _pause(spoken[at - 1], spoken[at]) > SENTENCE_PAUSE for at in crossed
    )


def _runs(spoken: Sequence[_Spoken]) -> list[list[_Spoken]]:
    """Consecutive words of one speaker, cut where the speaker paused between two turns."""
    runs: list[list[_Spoken]] = []
    for item in spoken:
        last = runs[-1][-1].turn if runs else None
        if last is not None and last.speaker == item.turn.speaker and item.turn.start - last.end < TURN_GAP:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _split(run: list[_Spoken]) -> list[list[_Spoken]]:
    """The run in pieces of at most LONGEST seconds, as far as pieces of a few words allow."""
    done: list[list[_Spoken]] = []
    waiting = [run]
    while waiting:
        piece = waiting.pop()
        if piece[-1].word.end - piece[0].word.start <= LONGEST or len(piece) < 4:
            done.append(piece)
        else:
            cut = _best_cut(piece)
            waiting += [piece[cut:], piece[:cut]]
    return done


def _best_cut(piece: Sequence[_Spoken]) -> int:
    """Before which word to cut: at a long pause, rather after a sentence or a clause, rather in the middle."""
    middle = (piece[0].word.start + piece[-1].word.end) / 2

    def merit(at: int) -> float:
        before, after = piece[at - 1], piece[at]
        punctuation = 0.4 if _ends_sentence(before.word) else 0.2 if _ends_clause(before.word) else 0.0
        away = abs((before.word.end + after.word.start) / 2 - middle)
        return _pause(before, after) + punctuation - 0.02 * away

    return max(range(1, len(piece)), key=merit)


def _times(line: Sequence[_Spoken]) -> tuple[float, float]:
    """Start and end in seconds. The start is not before the line's first turn: recognisers begin early
    after silence."""
    first, last = line[0].word, line[-1].word
    start = max(first.start, min(item.turn.start for item in line))
    if start >= last.end:
        start = first.start
    turn_end = max(item.turn.end for item in line)
    end = max(min(last.end + TAIL, turn_end), last.end, start + SHORTEST)
    return round(start, 3), round(end, 3)


def _text(line: Sequence[_Spoken]) -> str:
    return " ".join("".join(item.word.text for item in line).split())


def _pause(before: _Spoken, after: _Spoken) -> float:
    return after.word.start - before.word.end


def _ends_sentence(word: Word) -> bool:
    return word.text.strip().rstrip(_CLOSERS).endswith(_SENTENCE_ENDS)


def _ends_clause(word: Word) -> bool:
    return word.text.strip().rstrip(_CLOSERS).endswith(_CLAUSE_ENDS)


def _count(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


def _quote(words: Sequence[Word]) -> str:
    shown = "".join(word.text for word in words[:8]).strip()
    return f'"{shown}"' + (" and more" if len(words) > 8 else "")
