"""From wishes to corrections: whether they can be met, and what they come to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from voiceclone_cli.correcting.corrections import Correction, LineCorrection, Merge, Rename, Was
from voiceclone_cli.correcting.history import History
from voiceclone_cli.correcting.lines import correct_lines
from voiceclone_cli.correcting.names import Names
from voiceclone_cli.correcting.wishes import LineWish, MergeWish, RenameWish, UndoWish, Wish
from voiceclone_cli.correcting.wording import check_name
from voiceclone_cli.errors import InputError
from voiceclone_cli.names import file_key, shown
from voiceclone_cli.tasks import segment_seed
from voiceclone_cli.types import Script, Segment


@dataclass(frozen=True, slots=True)
class Uncorrected:
    """What corrections are made to."""

    script: Script
    speakers: Collection[str]
    """Everybody with a voice, by their first names: who is heard in the recording, or was given."""
    seed: int
    """The run's."""


def grant(wishes: Sequence[Wish], history: History, base: Uncorrected, at: str) -> History:
    """The history with the corrections that the wishes come to, in order; ``at`` is now (ISO 8601, UTC).

    What is as wished already comes to none. Raises InputError for a wish that cannot be met.
    """
    state = None
    for wish in wishes:
        if isinstance(wish, UndoWish):
            history, state = _undone(history), None
            continue
        state = state or _State(history, base)
        granted = _granted(wish, history, state, at)
        if granted is None:
            continue
        history = replace(history, corrections=(*history.corrections, granted))
        if isinstance(granted, LineCorrection):
            state.correct(granted)
        else:
            state = None
    return history


def _granted(
    wish: LineWish | RenameWish | MergeWish, history: History, state: _State, at: str
) -> Correction | None:
    if isinstance(wish, RenameWish):
        return state.renamed(wish, at)
    if isinstance(wish, MergeWish):
        return state.merged(wish, at)
    return _line(wish, history, state, at)


def _undone(history: History) -> History:
    """Without what the last command asked for."""
    kept = history.corrections
    if not kept:
        raise InputError("there is nothing to undo: no correction was made here.", code="nothing_to_undo")
    while kept and kept[-1].at == history.corrections[-1].at:
        kept = kept[:-1]
    if len(kept) < history.in_script:
        raise InputError(
            "the last correction is part of the script that was fed back since, and cannot be taken back; "
            "edit script.json and feed it back again.",
            code="nothing_to_undo",
        )
    return replace(history, corrections=kept)


class _State:
    """The lines and speakers of a run, corrected as far as a history goes."""

    def __init__(self, history: History, base: Uncorrected) -> None:
        self.names = Names(history.corrections)
        self.run_seed = base.seed
        script = correct_lines(base.script, history.corrections, in_script=history.in_script)
        self.lines = {line.id: line for line in script.segments}
        first = {*base.speakers, *(line.speaker for line in base.script.segments)}
        self._today = {self.names.now(name) for name in first}
        self._ever = first | self.names.ever

    def correct(self, correction: LineCorrection) -> None:
        after, line = correction.becomes, self.lines[correction.id]
        self.lines[line.id] = replace(line, text=after.text, speaker=after.speaker, seed=after.seed)

    def called(self, name: str) -> str:
        """The name of today of somebody; old names are understood. Raises InputError."""
        today = self.names.now(name)
        if today not in self._today:
            raise _unknown(name, self._today)
        return today

    def renamed(self, wish: RenameWish, at: str) -> Rename | None:
        old, new = wish.old, wish.new
        if self.names.now(old) == new and new in self._today:
            return None
        self._check_today(old)
        check_name(new)
        others = {file_key(name): name for name in self._today - {old}}
        if file_key(new) in others:
            other = others[file_key(new)]
            raise InputError(
                f"there is a speaker {other} already; if they are one person, give --merge {old}={other}.",
                code="name_taken",
            )
        if any(file_key(name) == file_key(new) and self.names.voice(name) != old for name in self._ever):
            raise InputError(
                f"{shown(new)} was another speaker's name here; choose one that nobody has had.",
                code="name_taken",
            )
        return Rename(at, old, new)

    def merged(self, wish: MergeWish, at: str) -> Merge | None:
        new = self.called(wish.new)
        if self.names.now(wish.old) == new and wish.old != new:
            return None
        self._check_today(wish.old)
        if wish.old == new:
            raise InputError(f"--merge: {shown(new)} is one speaker already.", code="bad_pair")
        lines = sum(line.speaker == wish.old for line in self.lines.values())
        return Merge(at, wish.old, new, lines)

    def _check_today(self, name: str) -> None:
        if name in self._today:
            return
        today = self.names.now(name)
        if today != name and today in self._today:
            raise InputError(
                f"{shown(name)} is {shown(today)} by now; use that name.", code="unknown_speaker"
            )
        raise _unknown(name, self._today)


def _line(wish: LineWish, history: History, state: _State, at: str) -> LineCorrection | None:
    line, run_seed = _found(wish.id, state.lines), state.run_seed
    was = Was(line.text, line.speaker, line.seed)
    text = None if wish.text in (None, line.text) else wish.text
    speaker = None if wish.speaker is None else state.called(wish.speaker)
    speaker = None if speaker == line.speaker else speaker
    seed = None if wish.seed is None else segment_seed(wish.seed, line.id)
    if (wish.text, wish.speaker, wish.seed) == (None, None, None):
        takes = sum(isinstance(c, LineCorrection) and c.id == line.id for c in history.corrections)
        seed = _another_take(_seed_of(line, run_seed), takes + 1)
    seed = None if seed == _seed_of(line, run_seed) else seed
    if (text, speaker, seed) == (None, None, None):
        return None
    return LineCorrection(at, line.id, was, text, speaker, seed)


def _found(id: str, lines: Mapping[str, Segment]) -> Segment:
    found = lines.get(id) or lines.get(id.zfill(4))
    if found is None:
        ids = list(lines)
        known = ", ".join(ids) if len(ids) <= 10 else f"{ids[0]} to {ids[-1]} ({len(ids)} in all)"
        raise InputError(f"there is no line {shown(id)}; the lines are {known}.", code="unknown_line")
    return found


def _seed_of(line: Segment, run_seed: int) -> int:
    return segment_seed(run_seed, line.id) if line.seed is None else line.seed


def _another_take(seed: int, number: int) -> int:
    """31 bits of SHA-256 over the seed so far and how many takes there were."""
    digest = hashlib.sha256(f"{seed}:take {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def _unknown(name: str, known: Collection[str]) -> InputError:
    ordered = sorted(known)
    listed = ", ".join(ordered[:10]) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
    return InputError(
        f"there is no speaker {shown(name)}; the speakers are {listed}.", code="unknown_speaker"
    )
