"""Segmentation of a recording's words into the lines of a script, by the turns of its speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from voiceclone_cli.analysis.transcription import SPEECH_MARGIN
from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.languages import main_language
from voiceclone_cli.script.typography import break_points, full_width, has_cjk, mixes_characters
from voiceclone_cli.types import Diarization, Script, Segment, Transcript, Turn, Word
from voiceclone_worker.engines.kokoro.phonemes import chinese
from voiceclone_worker.speech_units import SYLLABLE_UNITS, speech_units

WORD_REACH, CHARACTER_REACH = 2, 3
"""Words, or characters of Chinese and Japanese, by which a change of speaker may move to the end of a sentence."""
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


@dataclass(frozen=True, slots=True)
class _AssignedWord:
    """A word as recognised, which in Chinese and Japanese is mostly one character, and the turn that it belongs to."""

    word: Word
    turn: Turn
    is_start: bool = True
    """Whether a line may begin with it."""


def segments_from_words(
    transcript: Transcript, diarization: Diarization, given_language: str | None = None
) -> Script:
    """Segment a transcript into lines of one speaker each, sorted by start, with times in milliseconds.

    A word belongs to the exclusive turn with which it overlaps most, or else to the nearest turn within
    SPEECH_MARGIN. Diarization is often a word late or early, so a change of speaker inside a sentence moves
    to the end of a sentence close by, and one inside a word of Chinese or Japanese to its edge. Words without a
    turn, and lines without a letter or digit, are skipped; the notes of the script report both. Punctuation of
    Chinese and Japanese gets its full width, and Chinese that mixes simplified and traditional characters is
    simplified throughout, unless ``given_language`` (a BCP 47 tag, from the user) asks for traditional ones.
    """
    assigned, unassigned = _assign_turns(transcript.words, diarization.exclusive)
    assigned = _with_starts(assigned, transcript.language)
    _move_changes_to_sentence_ends(assigned)
    _move_changes_to_word_edges(assigned)
    notes = []
    if unassigned:
        count = f"{len(unassigned)} word" + ("" if len(unassigned) == 1 else "s")
        quoted = f'"{_join(unassigned[:8])}"' + (", ..." if len(unassigned) > 8 else "")
        notes.append(f"{count} outside of all speech skipped: {quoted}.")
    kept = []
    for line in (part for run in _runs(assigned) for part in _split(run)):
        text = full_width(" ".join(_join([each.word for each in line]).split()), transcript.language)
        if any(character.isalnum() for character in text):
            start, end = _times(line)
            kept.append((start, end, line[0].turn.speaker, text))
        else:
            notes.append(f'The line at {line[0].word.start:.2f} s is skipped: "{text}" has no words.')
    kept.sort(key=lambda row: row[0])
    if is_mixed := _mixes_characters([text for *_, text in kept], transcript.language, given_language):
        notes.append(_MIXED_NOTE)
    segments = tuple(
        Segment(
            f"{number:04d}",
            speaker,
            start,
            end,
            chinese.simplified(text) if is_mixed else text,
            transcript.language,
        )
        for number, (start, end, speaker, text) in enumerate(kept, start=1)
    )
    return Script(segments, tuple(notes))


_MIXED_NOTE = (
    "Some lines were recognised in simplified, some in traditional characters: the script has simplified ones; "
    "give --language zh-Hant to keep what was recognised."
)
_TRADITIONAL = ("hant", "tw", "hk", "mo")
"""Subtags of Chinese in traditional characters."""


def _mixes_characters(texts: Sequence[str], language: str, given_language: str | None) -> bool:
    subtags = (given_language or "").lower().split("-")[1:]
    return (
        main_language(language) == "zh"
        and not set(subtags) & set(_TRADITIONAL)
        and mixes_characters("".join(texts))
    )


def _assign_turns(words: Sequence[Word], turns: Sequence[Turn]) -> tuple[list[_AssignedWord], list[Word]]:
    """Return each word with its turn, and the words without one."""
    index = TurnIndex(turns)
    assigned: list[_AssignedWord] = []
    unassigned: list[Word] = []
    for word in words:
        turn = index.most_shared(word.start, word.end)
        if turn is None:
            nearest = index.nearest(word.start, word.end)
            if nearest is None or nearest[1] > SPEECH_MARGIN:
                unassigned.append(word)
                continue
            turn = nearest[0]
        assigned.append(_AssignedWord(word, turn))
    return assigned, unassigned


def _with_starts(words: list[_AssignedWord], language: str) -> list[_AssignedWord]:
    """Return the words, and which of them a line may begin with: in Chinese and Japanese none inside a word.

    A pause ends a word.
    """
    pauses = [at for at, (one, two) in enumerate(pairwise(words), 1) if _pause(one, two) > SENTENCE_PAUSE]
    marked: list[_AssignedWord] = []
    for start, end in pairwise([0, *pauses, len(words)]):
        text = "".join(each.word.text for each in words[start:end])
        if not has_cjk(text):
            marked += words[start:end]
            continue
        breaks = {0, *break_points(text, language)}
        position = 0
        for each in words[start:end]:
            begins_at = position + len(each.word.text) - len(each.word.text.lstrip())
            marked.append(replace(each, is_start=position == 0 or begins_at in breaks))
            position += len(each.word.text)
    return marked


def _move_changes_to_sentence_ends(words: list[_AssignedWord]) -> None:
    """Reassign the few words between a change of speaker and the end of a sentence."""
    for change in range(1, len(words)):
        earlier, later = words[change - 1].turn, words[change].turn
        if earlier.speaker == later.speaker or _ends_sentence(words[change - 1].word):
            continue
        for distance in range(1, max(WORD_REACH, CHARACTER_REACH) + 1):
            if _can_move(words, change, change + distance):
                moved, turn = slice(change, change + distance), earlier
            elif _can_move(words, change, change - distance):
                moved, turn = slice(change - distance, change), later
            else:
                continue
            words[moved] = [replace(each, turn=turn) for each in words[moved]]
            break


def _can_move(words: Sequence[_AssignedWord], change: int, target: int) -> bool:
    """Tell whether a change of speaker may move to before word ``target``.

    It may if a sentence ends there, the words between are few and have one speaker, and there is no pause between.
    """
    if not 1 <= target <= len(words) or not _ends_sentence(words[target - 1].word):
        return False
    crossed = range(change, target) if target > change else range(target + 1, change + 1)
    moved = words[min(change, target) : max(change, target)]
    return (
        sum(_reach(each.word) for each in moved) <= WORD_REACH * CHARACTER_REACH
        and len({each.turn.speaker for each in moved}) == 1
        and not any(_pause(words[at - 1], words[at]) > SENTENCE_PAUSE for at in crossed)
    )


def _reach(word: Word) -> int:
    """Return how far a word takes a change of speaker, which may move by WORD_REACH * CHARACTER_REACH."""
    if has_cjk(word.text):
        return WORD_REACH * speech_units(word.text) // SYLLABLE_UNITS
    return CHARACTER_REACH


def _move_changes_to_word_edges(words: list[_AssignedWord]) -> None:
    """Give each word of Chinese or Japanese that two speakers share to the one who speaks most of it, or first."""
    start = 0
    for end in [*(at for at, each in enumerate(words) if each.is_start and at), len(words)]:
        parts = words[start:end]
        if len({each.turn.speaker for each in parts}) > 1:
            milliseconds: dict[str, int] = {}
            for each in parts:
                speaker = each.turn.speaker
                own = round((each.word.end - each.word.start) * 1000)
                milliseconds[speaker] = milliseconds.get(speaker, 0) + own
            most = max(milliseconds, key=lambda speaker: milliseconds[speaker])
            turn = next(each.turn for each in parts if each.turn.speaker == most)
            words[start:end] = [
                each if each.turn.speaker == most else replace(each, turn=turn) for each in parts
            ]
        start = end


def _runs(words: Sequence[_AssignedWord]) -> list[list[_AssignedWord]]:
    """Group consecutive words of one speaker, split where the speaker paused between two turns."""
    runs: list[list[_AssignedWord]] = []
    for each in words:
        last = runs[-1][-1].turn if runs else None
        if last is not None and last.speaker == each.turn.speaker and each.turn.start - last.end < TURN_GAP:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _split(run: list[_AssignedWord]) -> list[list[_AssignedWord]]:
    """Split a run into parts of at most LONGEST seconds; parts of less than four words stay whole."""
    done: list[list[_AssignedWord]] = []
    waiting = [run]
    while waiting:
        part = waiting.pop()
        if part[-1].word.end - part[0].word.start <= LONGEST or len(part) < 4:
            done.append(part)
        else:
            cut = _best_cut(part)
            waiting += [part[cut:], part[:cut]]
    return done


def _best_cut(words: Sequence[_AssignedWord]) -> int:
    """Return the word before which to cut: at a long pause, after punctuation, near the middle."""
    middle = (words[0].word.start + words[-1].word.end) / 2

    def score(at: int) -> float:
        before, after = words[at - 1].word, words[at].word
        punctuation = 0.4 if _ends_sentence(before) else 0.2 if _ends_clause(before) else 0.0
        distance = abs((before.end + after.start) / 2 - middle)
        return _pause(words[at - 1], words[at]) + punctuation - 0.02 * distance

    starts = [at for at in range(1, len(words)) if words[at].is_start]
    return max(starts or range(1, len(words)), key=score)


def _times(line: Sequence[_AssignedWord]) -> tuple[float, float]:
    """Return start and end; not before the first turn, since recognisers begin early after silence."""
    first, last = line[0].word, line[-1].word
    start = max(first.start, min(each.turn.start for each in line))
    if start >= last.end:
        start = first.start
    turn_end = max(each.turn.end for each in line)
    end = max(min(last.end + TAIL, turn_end), last.end, start + SHORTEST)
    return round(start, 3), round(end, 3)


def _join(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words).strip()


def _pause(before: _AssignedWord, after: _AssignedWord) -> float:
    return after.word.start - before.word.end


def _ends_sentence(word: Word) -> bool:
    return word.text.strip().rstrip(_CLOSERS).endswith(_SENTENCE_ENDS)


def _ends_clause(word: Word) -> bool:
    return word.text.strip().rstrip(_CLOSERS).endswith(_CLAUSE_ENDS)
