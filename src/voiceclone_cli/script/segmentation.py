"""Segmentation of a recording's words into the lines of a script, by the turns of its speakers."""

from __future__ import annotations

from collections.abc import Sequence

from voiceclone_cli.analysis.transcription import SPEECH_MARGIN
from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.types import Diarization, Script, Segment, Transcript, Turn, Word

SENTENCE_REACH = 2
"""Words by which a change of speaker may move to the end of a sentence."""
SENTENCE_PAUSE = 0.35
"""Seconds. A change of speaker does not move across a longer pause."""
TURN_GAP = 0.5
"""Seconds between two turns of a speaker at which a new line begins."""
LONGEST = 12.0
"""Seconds. Longer lines are split."""
TAIL = 0.1
"""Seconds by which a line extends past its last word, within its turn: recognisers end words early."""
SHORTEST = 0.15
"""Seconds. Shorter lines are extended."""

_CLOSERS = "\"'”’»)]"
_SENTENCE_ENDS = tuple(".?!…。？！؟।")
_CLAUSE_ENDS = tuple(",;:，；：、،")


Assigned = tuple[Word, Turn]
"""A word and the turn that it belongs to."""


def segments_from_words(transcript: Transcript, diarization: Diarization) -> Script:
    """Segment a transcript into lines of one speaker each, sorted by start, with times in milliseconds.

    A word belongs to the exclusive turn with which it overlaps most, or else to the nearest turn within
    SPEECH_MARGIN. Diarization is often a word late or early, so a change of speaker inside a sentence moves
    to the end of a sentence close by. Words without a turn, and lines without a letter or digit, are skipped;
    the notes of the script report both.
    """
    assigned, unassigned = _assign_turns(transcript.words, diarization.exclusive)
    _move_changes_to_sentence_ends(assigned)
    notes = []
    if unassigned:
        count = f"{len(unassigned)} word" + ("" if len(unassigned) == 1 else "s")
        quoted = f'"{_join(unassigned[:8])}"' + (" and more" if len(unassigned) > 8 else "")
        notes.append(f"{count} outside of all speech skipped: {quoted}.")
    kept = []
    for line in (part for run in _runs(assigned) for part in _split(run)):
        text = " ".join(_join([word for word, _ in line]).split())
        if any(character.isalnum() for character in text):
            start, end = _times(line)
            kept.append((start, end, line[0][1].speaker, text))
        else:
            notes.append(f'The line at {line[0][0].start:.2f} s is skipped: "{text}" has no words.')
    kept.sort(key=lambda row: row[0])
    segments = tuple(
        Segment(f"{number:04d}", speaker, start, end, text, transcript.language)
        for number, (start, end, speaker, text) in enumerate(kept, start=1)
    )
    return Script(segments, tuple(notes))


def _assign_turns(words: Sequence[Word], turns: Sequence[Turn]) -> tuple[list[Assigned], list[Word]]:
    """Return each word with its turn, and the words without one."""
    index = TurnIndex(turns)
    assigned, unassigned = [], []
    for word in words:
        turn = index.most_shared(word.start, word.end)
        if turn is None:
            nearest = index.nearest(word.start, word.end)
            if nearest is None or nearest[1] > SPEECH_MARGIN:
                unassigned.append(word)
                continue
            turn = nearest[0]
        assigned.append((word, turn))
    return assigned, unassigned


def _move_changes_to_sentence_ends(words: list[Assigned]) -> None:
    """Reassign the one or two words between a change of speaker and the end of a sentence."""
    for change in range(1, len(words)):
        (last_word, earlier), (_, later) = words[change - 1], words[change]
        if earlier.speaker == later.speaker or _ends_sentence(last_word):
            continue
        for distance in range(1, SENTENCE_REACH + 1):
            if _can_move(words, change, change + distance):
                moved, turn = slice(change, change + distance), earlier
            elif _can_move(words, change, change - distance):
                moved, turn = slice(change - distance, change), later
            else:
                continue
            words[moved] = [(word, turn) for word, _ in words[moved]]
            break


def _can_move(words: Sequence[Assigned], change: int, target: int) -> bool:
    """Tell whether a change of speaker may move to before word ``target``.

    It may if a sentence ends there, the words between have one speaker, and there is no pause between.
    """
    if not 1 <= target <= len(words) or not _ends_sentence(words[target - 1][0]):
        return False
    crossed = range(change, target) if target > change else range(target + 1, change + 1)
    moved = words[min(change, target) : max(change, target)]
    return len({turn.speaker for _, turn in moved}) == 1 and not any(
        _pause(words[at - 1], words[at]) > SENTENCE_PAUSE for at in crossed
    )


def _runs(words: Sequence[Assigned]) -> list[list[Assigned]]:
    """Group consecutive words of one speaker, split where the speaker paused between two turns."""
    runs: list[list[Assigned]] = []
    for word, turn in words:
        last = runs[-1][-1][1] if runs else None
        if last is not None and last.speaker == turn.speaker and turn.start - last.end < TURN_GAP:
            runs[-1].append((word, turn))
        else:
            runs.append([(word, turn)])
    return runs


def _split(run: list[Assigned]) -> list[list[Assigned]]:
    """Split a run into parts of at most LONGEST seconds; parts of less than four words stay whole."""
    done: list[list[Assigned]] = []
    waiting = [run]
    while waiting:
        part = waiting.pop()
        if part[-1][0].end - part[0][0].start <= LONGEST or len(part) < 4:
            done.append(part)
        else:
            cut = _best_cut(part)
            waiting += [part[cut:], part[:cut]]
    return done


def _best_cut(words: Sequence[Assigned]) -> int:
    """Return the word before which to cut: at a long pause, after punctuation, near the middle."""
    middle = (words[0][0].start + words[-1][0].end) / 2

    def score(at: int) -> float:
        before, after = words[at - 1][0], words[at][0]
        punctuation = 0.4 if _ends_sentence(before) else 0.2 if _ends_clause(before) else 0.0
        distance = abs((before.end + after.start) / 2 - middle)
        return _pause(words[at - 1], words[at]) + punctuation - 0.02 * distance

    return max(range(1, len(words)), key=score)


def _times(line: Sequence[Assigned]) -> tuple[float, float]:
    """Return start and end; not before the first turn, since recognisers begin early after silence."""
    first, last = line[0][0], line[-1][0]
    start = max(first.start, min(turn.start for _, turn in line))
    if start >= last.end:
        start = first.start
    turn_end = max(turn.end for _, turn in line)
    end = max(min(last.end + TAIL, turn_end), last.end, start + SHORTEST)
    return round(start, 3), round(end, 3)


def _join(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words).strip()


def _pause(before: Assigned, after: Assigned) -> float:
    return after[0].start - before[0].end


def _ends_sentence(word: Word) -> bool:
    return word.text.strip().rstrip(_CLOSERS).endswith(_SENTENCE_ENDS)


def _ends_clause(word: Word) -> bool:
    return word.text.strip().rstrip(_CLOSERS).endswith(_CLAUSE_ENDS)
