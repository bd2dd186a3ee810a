"""From wishes to corrections: whether they can be met, and what they come to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names, friendly_errors, write_text_atomic
from voiceclone_cli.pipeline.tasks import segment_seed
from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.types import Diarization, Script, Segment, Turn
from voiceclone_worker.validation import MAX_TEXT, ContractError, file_key, is_unicode, parse_json, shown

# The kinds of corrections, and how corrections.json writes them.


@dataclass(frozen=True, slots=True)
class Before:
    """A line as it was right before it was corrected."""

    text: str
    speaker: str
    seed: int | None


@dataclass(frozen=True, slots=True)
class LineCorrection:
    """A line is spoken with other words, by another speaker or as another take; None: as it was."""

    at: str
    """ISO 8601, UTC. Corrections that were asked for together have the same."""
    id: str
    was: Before
    text: str | None = None
    speaker: str | None = None
    seed: int | None = None

    @property
    def becomes(self) -> Before:
        """The line after it."""
        return Before(
            self.was.text if self.text is None else self.text,
            self.was.speaker if self.speaker is None else self.speaker,
            self.was.seed if self.seed is None else self.seed,
        )


@dataclass(frozen=True, slots=True)
class Rename:
    """A speaker has another name."""

    at: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Two speakers are one person: ``new``, who keeps their own reference."""

    at: str
    old: str
    new: str
    lines: int
    """That were ``old``'s."""


Correction = LineCorrection | Rename | Merge


def describe(correction: Correction) -> str:
    """What it changes, for people."""
    if isinstance(correction, Rename):
        return f"{correction.old} is {correction.new}"
    if isinstance(correction, Merge):
        lines = "1 line" if correction.lines == 1 else f"{correction.lines} lines"
        return f"{correction.old} is {correction.new}, with {lines}"
    if correction.text is not None:
        return f"{correction.id} has other words"
    if correction.speaker is not None:
        return f"{correction.id} is {correction.speaker}'s"
    return f"{correction.id} is another take"


def as_row(correction: Correction) -> dict[str, Any]:
    """As corrections.json and the manifest's history have it."""
    if isinstance(correction, Rename):
        return {"at": correction.at, "kind": "rename", "from": correction.old, "to": correction.new}
    if isinstance(correction, Merge):
        names = {"from": correction.old, "to": correction.new}
        return {"at": correction.at, "kind": "merge", **names, "lines": correction.lines}
    was = {"text": correction.was.text, "speaker": correction.was.speaker, "seed": correction.was.seed}
    changes = {"text": correction.text, "speaker": correction.speaker, "seed": correction.seed}
    given = {key: value for key, value in changes.items() if value is not None}
    return {"at": correction.at, "kind": "line", "id": correction.id, "was": was, **given}


def from_row(row: Mapping[str, Any]) -> Correction:
    """What ``as_row`` wrote. Raises ValueError, with the fault as a phrase, for anything else."""
    at, kind = _text(row, "at"), row.get("kind")
    if kind == "rename":
        return Rename(at, _text(row, "from"), _text(row, "to"))
    if kind == "merge":
        return Merge(at, _text(row, "from"), _text(row, "to"), _whole(row, "lines"))
    if kind != "line":
        raise ValueError('its "kind" must be line, rename or merge')
    was = row.get("was")
    if not isinstance(was, dict):
        raise ValueError('"was" must be an object')
    return LineCorrection(
        at,
        _text(row, "id"),
        Before(_text(was, "text"), _text(was, "speaker"), _optional_seed(was)),
        text=_text(row, "text") if "text" in row else None,
        speaker=_text(row, "speaker") if "speaker" in row else None,
        seed=_optional_seed(row),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{key}" must be text')
    return value


def _whole(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f'"{key}" must be a whole number from 0')
    return value


def _optional_seed(row: Mapping[str, Any]) -> int | None:
    return None if row.get("seed") is None else _whole(row, "seed")


# What speakers are called since they were renamed and merged.
#
# A name that a speaker has borne is never another's later (see granting.py), so that a script or a reference
# means the same speaker by an old name and by a new one.


class SpeakerAliases:
    """The renames and merges among corrections, in order."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._corrections = list(corrections)
        self._steps = [step for step in self._corrections if isinstance(step, Rename | Merge)]

    @property
    def ever(self) -> frozenset[str]:
        """Every name that was taken away or given."""
        return frozenset(name for step in self._steps for name in (step.old, step.new))

    def now(self, name: str) -> str:
        """Who speaks today what ``name`` spoke."""
        for step in self._steps:
            if step.old == name:
                name = step.new
        return name

    def voice(self, name: str) -> str:
        """What the voice itself is called: renamed as its speaker, but merged into nobody. Its folder
        in speakers/ has this name."""
        for step in self._steps:
            if step.old == name:
                if isinstance(step, Merge):
                    return name
                name = step.new
        return name

    def lent(self) -> frozenset[str]:
        """The voices of which some lines, or all, were given to others."""
        merged = [step.old for step in self._steps if isinstance(step, Merge) and step.lines]
        lines = [step for step in self._corrections if isinstance(step, LineCorrection) and step.speaker]
        return frozenset(self.voice(name) for name in (*merged, *(line.was.speaker for line in lines)))

    def unheard(self, speakers: Iterable[str]) -> list[str]:
        """Whoever was renamed or merged and is not among the speakers any more, by no name."""
        heard = {self.now(name) for name in speakers}
        return [step.old for step in self._steps if self.now(step.old) not in heard]

    def of_speakers(self, diarization: Diarization) -> Diarization:
        """The turns of today's speakers."""
        today = {name: self.now(name) for name in diarization.speakers}
        return _relabelled(diarization, today)

    def of_voices(self, diarization: Diarization) -> Diarization:
        """The turns by voice: renamed, not merged."""
        return _relabelled(diarization, {name: self.voice(name) for name in diarization.speakers})


def _relabelled(diarization: Diarization, names: dict[str, str]) -> Diarization:
    def relabelled(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
        return tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in turns)

    return replace(
        diarization, turns=relabelled(diarization.turns), exclusive=relabelled(diarization.exclusive)
    )


# Corrections of lines, applied to a script: the recording's own, or a file's.


def correct_lines(script: Script, corrections: Sequence[Correction], *, in_script: int = 0) -> Script:
    """The script as its corrections want it, with notes on those that fit it no more.

    Speakers have today's names. A correction of a line holds for the words that it corrected: where the
    line says something else by now, it is passed over. The first ``in_script`` corrections are in the
    script already, where a hand may have changed the line since: only their seeds still count, where
    words and speaker are as corrected.
    """
    names = SpeakerAliases(corrections)
    lines = {line.id: replace(line, speaker=names.now(line.speaker)) for line in script.segments}
    fits: dict[str, bool] = {}
    for number, correction in enumerate(corrections):
        if not isinstance(correction, LineCorrection):
            continue
        line = lines.get(correction.id)
        corrected = None
        if line is not None:
            settled = number < in_script
            corrected = (_take if settled else _corrected)(line, correction, names)
            lines[line.id] = corrected or line
        # The last correction of a line tells: those before it led up to it.
        fits[correction.id] = corrected is not None or number < in_script
    return Script(tuple(lines.values()), (*script.notes, *_notes(fits, lines)))


def _corrected(line: Segment, correction: LineCorrection, names: SpeakerAliases) -> Segment | None:
    """The line after a correction; None where that was made of other words."""
    if line.text != correction.was.text:
        return _take(line, correction, names)
    after = correction.becomes
    return replace(
        line,
        text=after.text,
        speaker=line.speaker if correction.speaker is None else names.now(correction.speaker),
        seed=line.seed if correction.seed is None else correction.seed,
    )


def _take(line: Segment, correction: LineCorrection, names: SpeakerAliases) -> Segment | None:
    """A line that is as corrected already, with the seed of the correction; None where it is not."""
    after = correction.becomes
    if (line.text, line.speaker) != (after.text, names.now(after.speaker)):
        return None
    return replace(line, seed=after.seed) if after.seed is not None else line


def _notes(fits: dict[str, bool], lines: dict[str, Segment]) -> list[str]:
    gone = [id for id, fit in fits.items() if not fit and id not in lines]
    other = [id for id, fit in fits.items() if not fit and id in lines]
    notes = []
    if gone:
        notes.append(f"Corrections of lines that are no more are passed over: {_few(gone)}.")
    if other:
        notes.append(f"Corrections of lines that say something else by now are passed over: {_few(other)}.")
    return notes


def _few(ids: Sequence[str], most: int = 10) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more


# What a line, or a speaker's name, may be corrected to: the rules of script files and of RTTM.


def check_text(text: str) -> str:
    """The text on one line. Raises InputError for one that cannot be spoken."""
    if not is_unicode(text):
        raise InputError("the new text is not Unicode; write it anew.", code="script_text")
    clean = clean_text(text)
    if not any(character.isalnum() for character in clean):
        raise InputError(
            "the new text has nothing to speak; give words, or take the line out of script.json.",
            code="script_text",
        )
    if len(clean) > MAX_TEXT:
        raise InputError(
            f"the new text has {len(clean):,} characters, more than {MAX_TEXT:,}.", code="script_text"
        )
    return clean


def check_name(name: str) -> None:
    """Raises InputError for a name that no folder, or no line of RTTM, can hold."""
    check_speaker_names([name])
    if name.split() != [name]:
        raise InputError(
            f"the speaker name {shown(name)} holds a blank, which diarization.rttm cannot; write "
            f"{shown('_'.join(name.split()))}.",
            code="unsafe_name",
        )


# corrections.json: every correction of a run in order, which is its history and its state at once.


SCHEMA = "voiceclone.corrections/1"
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class CorrectionHistory:
    """The corrections of a run, the oldest first."""

    corrections: tuple[Correction, ...] = ()
    in_script: int = 0
    """How many of them the script that was fed back from the run directory holds already."""

    def rows(self) -> list[dict[str, Any]]:
        """As the manifest has them."""
        return [as_row(correction) for correction in self.corrections]


def read_history(path: Path) -> CorrectionHistory:
    """Raises InputError where a hand has written something else into the file."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return CorrectionHistory()
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror or error})") from error
    if len(data) > _MAX_BYTES:
        raise _bad(path, f"is larger than {_MAX_BYTES // 2**20} MB")
    try:
        document = parse_json(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ContractError) as error:
        raise _bad(path, "is not JSON in UTF-8") from error
    return _history(path, document)


def _history(path: Path, document: Any) -> CorrectionHistory:
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _bad(path, f'does not say "schema": "{SCHEMA}"')
    rows, in_script = document.get("corrections"), document.get("in_script", 0)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _bad(path, 'has no list of "corrections"')
    if not isinstance(in_script, int) or isinstance(in_script, bool) or not 0 <= in_script <= len(rows):
        raise _bad(path, '"in_script" is not the number of some of them')
    corrections = []
    for number, row in enumerate(rows, 1):
        try:
            corrections.append(_checked(from_row(row)))
        except (ValueError, InputError) as error:
            raise _bad(path, f"is wrong in correction {number}: {error}") from error
    return CorrectionHistory(tuple(corrections), in_script)


def _checked(correction: Correction) -> Correction:
    """The correction, if a command could have written it. Raises InputError."""
    if isinstance(correction, Rename | Merge):
        check_speaker_names([correction.old])
        check_name(correction.new)
        return correction
    check_speaker_names([correction.becomes.speaker])
    check_text(correction.becomes.text)
    return correction


def _bad(path: Path, fault: str) -> InputError:
    return InputError(
        f"{path} {fault.rstrip('.')}; mend it, or remove it: the corrections are gone then, nothing else.",
        code="bad_corrections",
    )


def write_history(path: Path, history: CorrectionHistory) -> None:
    """Raises RunError where it cannot be written."""
    document = {"schema": SCHEMA, "in_script": history.in_script, "corrections": history.rows()}
    with friendly_errors(path.parent):
        write_text_atomic(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")


# What a user wants corrected, before it is known whether that can be.


@dataclass(frozen=True, slots=True)
class LineEdit:
    """A line with other words, another speaker or another seed; another take of it where nothing is said."""

    id: str
    text: str | None = None
    speaker: str | None = None
    seed: int | None = None
    """A run's: the line gets the take that a run with this seed would give it."""


@dataclass(frozen=True, slots=True)
class RenameEdit:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class MergeEdit:
    """``old``'s lines are to be ``new``'s."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class UndoEdit:
    """Take back what was asked for last."""


Edit = LineEdit | RenameEdit | MergeEdit | UndoEdit


def edits_for(
    ids: Sequence[str],
    *,
    text: str | None = None,
    speaker: str | None = None,
    seed: int | None = None,
    rename: Sequence[str] = (),
    merge: Sequence[str] = (),
    undo: bool = False,
) -> tuple[Edit, ...]:
    """The wishes of one command, in the order in which they are met: speakers first, then lines.

    ``rename`` and ``merge`` hold ``OLD=NEW``. Raises InputError for what does not go together.
    """
    ids = list(dict.fromkeys(ids))
    changes = {"--text": text, "--speaker": speaker, "--seed": seed}
    given = [option for option, value in changes.items() if value is not None]
    if given and not ids:
        raise InputError(
            f"{given[0]} says nothing without a line; give its id, as in: voiceclone redo RUN_DIR 0007 {given[0]} ...",
            code="no_line_given",
        )
    if text is not None and len(ids) > 1:
        raise InputError(
            f"--text is for one line, not for {len(ids)}; give a command for each of them.",
            code="text_for_many",
        )
    if undo and (ids or rename or merge):
        raise InputError("--undo takes back what was asked for last; give it alone.", code="undo_not_alone")
    if undo:
        return (UndoEdit(),)
    words = None if text is None else check_text(text)
    return (
        *(RenameEdit(*_pair("--rename", pair)) for pair in rename),
        *(MergeEdit(*_pair("--merge", pair)) for pair in merge),
        *(LineEdit(id, words, speaker, seed) for id in ids),
    )


def _pair(option: str, pair: str) -> tuple[str, str]:
    old, _, new = (part.strip() for part in pair.partition("="))
    if not (old and new):
        raise InputError(
            f"{option} takes OLD=NEW, as in {option} SPEAKER_01={'Anna' if option == '--rename' else 'SPEAKER_00'}, "
            f"not {pair!r:.60}.",
            code="bad_pair",
        )
    return old, new


@dataclass(frozen=True, slots=True)
class Baseline:
    """What corrections are made to."""

    script: Script
    speakers: Collection[str]
    """Everybody with a voice, by their first names: who is heard in the recording, or was given."""
    seed: int
    """The run's."""


def apply_edits(
    wishes: Sequence[Edit], history: CorrectionHistory, base: Baseline, at: str
) -> CorrectionHistory:
    """The history with the corrections that the wishes come to, in order; ``at`` is now (ISO 8601, UTC).

    What is as wished already comes to none. Raises InputError for a wish that cannot be met.
    """
    state = None
    for wish in wishes:
        if isinstance(wish, UndoEdit):
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
    wish: LineEdit | RenameEdit | MergeEdit, history: CorrectionHistory, state: _State, at: str
) -> Correction | None:
    if isinstance(wish, RenameEdit):
        return state.renamed(wish, at)
    if isinstance(wish, MergeEdit):
        return state.merged(wish, at)
    return _line(wish, history, state, at)


def _undone(history: CorrectionHistory) -> CorrectionHistory:
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

    def __init__(self, history: CorrectionHistory, base: Baseline) -> None:
        self.names = SpeakerAliases(history.corrections)
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

    def renamed(self, wish: RenameEdit, at: str) -> Rename | None:
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

    def merged(self, wish: MergeEdit, at: str) -> Merge | None:
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


def _line(wish: LineEdit, history: CorrectionHistory, state: _State, at: str) -> LineCorrection | None:
    line, run_seed = _found(wish.id, state.lines), state.run_seed
    was = Before(line.text, line.speaker, line.seed)
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
