"""Corrections of a run: edits of lines and of speakers' names, and the state that they lead to.

`voiceclone redo` applies :class:`Edits`. corrections.json in the run directory keeps the result: corrected lines and
names (:class:`Corrections`), a log of the changes, and the previous values for ``--undo``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names, friendly_errors, write_text_atomic
from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.types import Diarization, Script, Segment, segment_seed
from voiceclone_worker import validation
from voiceclone_worker.validation import MAX_TEXT, ContractError, dump_json, file_key, is_unicode, shown

SCHEMA = "voiceclone.corrections/2"
_MAX_BYTES = 32 * 2**20
_MAX_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Edits:
    """The edits of one command, applied in this order: renames, merges, lines; or the undo of the last command."""

    ids: tuple[str, ...] = ()
    """Lines to change; as another take where text, speaker and seed are None."""
    text: str | None = None
    speaker: str | None = None
    seed: int | None = None
    """The seed of a run: each line gets the take that it has in a run with this seed."""
    rename: tuple[tuple[str, str], ...] = ()
    """Pairs of a speaker's name and the new one."""
    merge: tuple[tuple[str, str], ...] = ()
    """Pairs of a speaker and the one who speaks the lines of the first from now on."""
    undo: bool = False


def parse_edits(
    ids: Sequence[str],
    *,
    text: str | None = None,
    speaker: str | None = None,
    seed: int | None = None,
    rename: Sequence[str] = (),
    merge: Sequence[str] = (),
    undo: bool = False,
) -> Edits:
    """Return the edits that the options of a command ask for; ``rename`` and ``merge`` hold ``OLD=NEW``.

    Raises InputError for options that contradict each other.
    """
    ids = tuple(dict.fromkeys(ids))
    changes = {"--text": text, "--speaker": speaker, "--seed": seed}
    given = [option for option, value in changes.items() if value is not None]
    if given and not ids:
        raise InputError(
            f"{given[0]} needs the id of a line, as in: voiceclone redo RUN_DIR 0007 {given[0]} ...",
            code="no_line_given",
        )
    if text is not None and len(ids) > 1:
        raise InputError(
            f"--text is for one line, not for {len(ids)}; give one command for each line.",
            code="text_for_many",
        )
    if undo and (ids or rename or merge):
        raise InputError(
            "--undo takes back the last redo; give it without other edits.", code="undo_not_alone"
        )
    return Edits(
        ids,
        None if text is None else _checked_text(text),
        speaker,
        seed,
        tuple(_pair("--rename", pair, "Anna") for pair in rename),
        tuple(_pair("--merge", pair, "SPEAKER_00") for pair in merge),
        undo,
    )


def _pair(option: str, pair: str, example: str) -> tuple[str, str]:
    old, _, new = (part.strip() for part in pair.partition("="))
    if not (old and new):
        raise InputError(
            f"{option} takes OLD=NEW, as in {option} SPEAKER_01={example}, not {pair!r:.60}.", code="bad_pair"
        )
    return old, new


def _checked_text(text: str) -> str:
    """Return the text on one line. Raises InputError where an engine could not speak it."""
    if not is_unicode(text):
        raise InputError("the new text is not valid Unicode; type it again.", code="script_text")
    clean = clean_text(text)
    if not any(character.isalnum() for character in clean):
        raise InputError(
            "the new text has no words; give some, or remove the line from script.json.", code="script_text"
        )
    if len(clean) > MAX_TEXT:
        raise InputError(
            f"the new text has {len(clean):,} characters, more than {MAX_TEXT:,}.", code="script_text"
        )
    return clean


def _check_new_name(name: str) -> None:
    check_speaker_names([name])
    if name.split() != [name]:
        raise InputError(
            f"the speaker name {shown(name)} holds a blank, which diarization.rttm cannot; write "
            f"{shown('_'.join(name.split()))}.",
            code="unsafe_name",
        )


@dataclass(frozen=True, slots=True)
class CorrectedLine:
    """A line after its corrections."""

    was: tuple[str, ...]
    """Its texts before. A line of a script that says something else is another line, and stays as it is."""
    text: str
    speaker: str
    is_moved: bool
    """Whether a correction gave it to ``speaker``, who otherwise is the speaker that it had."""
    seed: int | None
    in_script: bool = False
    """Whether the script that was fed back from the run directory holds the correction already."""


@dataclass(frozen=True, slots=True)
class UndoStep:
    """The corrections before a command: names, and the lines that it changed (None: was not corrected)."""

    entries: int
    """Number of entries in the log."""
    speakers: dict[str, tuple[str, str]]
    lent: list[str]
    lines: dict[str, CorrectedLine | None]


@dataclass(slots=True)
class Corrections:
    """Corrected lines and names of a run; the content of corrections.json.

    A name that a speaker has had is never given to another, so that old scripts and references stay valid.
    """

    speakers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By every name of a renamed or merged speaker: who speaks for it today, and the name of its voice, which follows
    renames but not merges."""
    lent: list[str] = field(default_factory=list)
    """Speakers of whom lines were given to others."""
    lines: dict[str, CorrectedLine] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    """Changes in force, the oldest first, as the manifest has them."""
    undo: list[UndoStep] = field(default_factory=list)

    def name_of(self, name: str) -> str:
        """Return the name today of the speaker who speaks for a name."""
        return self.speakers.get(name, (name, name))[0]

    def voice_of(self, name: str) -> str:
        """Return the name of a speaker's own voice, which is that of its folder in speakers/."""
        return self.speakers.get(name, (name, name))[1]

    def names_without_speaker(self, speakers: Iterable[str]) -> list[str]:
        """Return the names that were renamed or merged and stand for none of these speakers."""
        today = {self.name_of(name) for name in speakers}
        return [old for old, (name, _) in self.speakers.items() if name != old and name not in today]

    def apply(self, script: Script, *, from_run_dir: bool = False) -> Script:
        """Return the script with the corrections, and with notes on those that do not fit it.

        from_run_dir: the script was written by a run in this directory and may have been edited there. Of
        corrections that it holds already only seeds are applied, to lines that are still as corrected.
        """
        segments = []
        unfit = {id for id, line in self.lines.items() if not (line.in_script and from_run_dir)}
        for segment in script.segments:
            segment = replace(segment, speaker=self.name_of(segment.speaker))
            line = self.lines.get(segment.id)
            corrected = None if line is None else self._corrected(segment, line, from_run_dir)
            if corrected is not None:
                unfit.discard(segment.id)
            segments.append(corrected or segment)
        present = {segment.id for segment in segments}
        reasons = (
            ("are no longer in the script", unfit - present),
            ("have another text now", unfit & present),
        )
        notes = [
            f"Corrections of lines that {why} are ignored: {_listed(ids)}." for why, ids in reasons if ids
        ]
        return Script(tuple(segments), (*script.notes, *notes))

    def _corrected(self, segment: Segment, line: CorrectedLine, from_run_dir: bool) -> Segment | None:
        """Return the corrected segment; None where the correction was made of another text."""
        seed = segment.seed if line.seed is None else line.seed
        if segment.text in line.was and not (line.in_script and from_run_dir):
            speaker = self.name_of(line.speaker) if line.is_moved else segment.speaker
            return replace(segment, text=line.text, speaker=speaker, seed=seed)
        if (segment.text, segment.speaker) == (line.text, self.name_of(line.speaker)):
            return replace(segment, seed=seed)
        return None

    def with_script_fed_back(self) -> Corrections:
        """Return the corrections after the corrected script was fed back: it holds them, so none can be undone."""
        lines = {id: replace(line, in_script=True) for id, line in self.lines.items()}
        return replace(self, lines=lines, undo=[])

    def edited(
        self,
        edits: Edits,
        script: Script,
        speakers: Iterable[str],
        *,
        run_seed: int,
        at: str,
        from_run_dir: bool = False,
    ) -> Corrections:
        """Return the corrections after these edits; edits that change nothing are none.

        script: without corrections. speakers: everybody with a voice, by the names that the diarization and given
        references have. at: time of the command (ISO 8601, UTC). Raises InputError for an edit that is not possible.
        """
        if edits.undo:
            return self._undone()
        first_names = {*speakers, *(segment.speaker for segment in script.segments)}
        new = replace(self, lines=dict(self.lines), log=list(self.log))
        for old, name in edits.rename:
            new._rename(old, name, first_names, at)
        for old, name in edits.merge:
            new._merge(old, name, first_names, at, new.apply(script, from_run_dir=from_run_dir))
        segments = {segment.id: segment for segment in new.apply(script, from_run_dir=from_run_dir).segments}
        for id in edits.ids:
            segment = _find_line(id, segments)
            speaker = None if edits.speaker is None else new._known_speaker(edits.speaker, first_names)
            new._edit_line(segment, edits.text, speaker, edits.seed, run_seed, at)
        if len(new.log) > len(self.log):
            before = {id: self.lines.get(id) for id, line in new.lines.items() if line != self.lines.get(id)}
            new.undo = [*self.undo, UndoStep(len(self.log), self.speakers, self.lent, before)]
        return new

    def _undone(self) -> Corrections:
        if not self.log:
            raise InputError("there is nothing to undo: this run has no corrections.", code="nothing_to_undo")
        if not self.undo:
            raise InputError(
                "the last correction is part of the script that was fed back since, and cannot be undone; "
                "edit script.json and feed it back again.",
                code="nothing_to_undo",
            )
        step = self.undo[-1]
        lines = {id: line for id, line in {**self.lines, **step.lines}.items() if line is not None}
        return Corrections(step.speakers, step.lent, lines, self.log[: step.entries], self.undo[:-1])

    def _rename(self, old: str, new: str, first_names: set[str], at: str) -> None:
        today = {self.name_of(name) for name in first_names}
        if self.name_of(old) == new and new in today:
            return
        self._check_in_use(old, today)
        _check_new_name(new)
        for other in today - {old}:
            if file_key(other) == file_key(new):
                raise InputError(
                    f"there is a speaker {other} already; if they are one person, give --merge {old}={other}.",
                    code="name_taken",
                )
        used = {*first_names, *self.speakers}
        if any(file_key(name) == file_key(new) and self.voice_of(name) != old for name in used):
            raise InputError(
                f"{shown(new)} was the name of another speaker of this run; choose a name that nobody has had.",
                code="name_taken",
            )
        known = {**self.speakers, old: self.speakers.get(old, (old, old)), new: (new, new)}
        self.speakers = {
            key: (new if name == old else name, new if voice == old else voice)
            for key, (name, voice) in known.items()
        }
        self.log.append({"at": at, "kind": "rename", "from": old, "to": new})

    def _merge(self, old: str, into: str, first_names: set[str], at: str, script: Script) -> None:
        new = self._known_speaker(into, first_names)
        if self.name_of(old) == new and old != new:
            return
        self._check_in_use(old, {self.name_of(name) for name in first_names})
        if old == new:
            raise InputError(f"--merge: {shown(new)} is one speaker already.", code="bad_pair")
        lines = sum(segment.speaker == old for segment in script.segments)
        known = {**self.speakers, old: self.speakers.get(old, (old, old))}
        self.speakers = {key: (new if name == old else name, voice) for key, (name, voice) in known.items()}
        self.log.append({"at": at, "kind": "merge", "from": old, "to": new, "lines": lines})
        if lines:
            self.lent = list(dict.fromkeys((*self.lent, old)))

    def _edit_line(
        self,
        segment: Segment,
        text: str | None,
        speaker: str | None,
        seed: int | None,
        run_seed: int,
        at: str,
    ) -> None:
        """Correct a line, which is as ``segment`` says so far. ``seed`` and ``run_seed`` are those of runs."""
        old_seed = segment_seed(run_seed, segment.id) if segment.seed is None else segment.seed
        new_seed = None if seed is None else segment_seed(seed, segment.id)
        if (text, speaker, seed) == (None, None, None):
            takes = sum(entry.get("id") == segment.id for entry in self.log)
            new_seed = _next_take(old_seed, takes + 1)
        was: dict[str, Any] = {"text": segment.text, "speaker": segment.speaker, "seed": old_seed}
        wanted = {"text": text, "speaker": speaker, "seed": new_seed}
        changes = {key: value for key, value in wanted.items() if value not in (None, was[key])}
        if not changes:
            return
        was["seed"] = segment.seed
        self.log.append({"at": at, "kind": "line", "id": segment.id, "was": was, **changes})
        before = self.lines.get(segment.id)
        if before is not None and before.text != segment.text:
            before = None  # of a line that has been edited by hand since
        texts = dict.fromkeys((*(before.was if before else ()), segment.text))
        is_moved = "speaker" in changes or (before is not None and before.is_moved)
        self.lines[segment.id] = CorrectedLine(tuple(texts), is_moved=is_moved, **{**was, **changes})
        if "speaker" in changes:
            self.lent = list(dict.fromkeys((*self.lent, segment.speaker)))

    def _known_speaker(self, name: str, first_names: set[str]) -> str:
        """Return the name today of a speaker, whom any earlier name may mean. Raises InputError."""
        today = {self.name_of(first_name) for first_name in first_names}
        if self.name_of(name) not in today:
            raise _unknown_speaker(name, today)
        return self.name_of(name)

    def _check_in_use(self, name: str, today: set[str]) -> None:
        if name not in today and self.name_of(name) in today:
            raise InputError(
                f"{shown(name)} is called {shown(self.name_of(name))} now; use that name.",
                code="unknown_speaker",
            )
        if name not in today:
            raise _unknown_speaker(name, today)


def rename_turns(diarization: Diarization, renamed: Callable[[str], str]) -> Diarization:
    """Return the turns under other names, as ``Corrections.name_of`` or ``voice_of`` gives them."""
    turns, exclusive = (
        tuple(replace(turn, speaker=renamed(turn.speaker)) for turn in turns)
        for turns in (diarization.turns, diarization.exclusive)
    )
    return replace(diarization, turns=turns, exclusive=exclusive)


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(sorted(names)[:10]) + more


def _find_line(id: str, segments: Mapping[str, Segment]) -> Segment:
    found = segments.get(id) or segments.get(id.zfill(4))
    if found is None:
        ids = list(segments)
        known = ", ".join(ids) if len(ids) <= 10 else f"{ids[0]} to {ids[-1]} ({len(ids)} in all)"
        raise InputError(f"there is no line {shown(id)}; the lines are {known}.", code="unknown_line")
    return found


def _next_take(seed: int, number: int) -> int:
    """Return 31 bits of SHA-256 over the seed so far and the number of the take."""
    digest = hashlib.sha256(f"{seed}:take {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


def _unknown_speaker(name: str, known: Collection[str]) -> InputError:
    return InputError(
        f"there is no speaker {shown(name)}; the speakers are {_listed(known)}.", code="unknown_speaker"
    )


def describe(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a phrase on the changes of the log: the first ten, and how many more there are."""
    more = f" and {len(entries) - 10} more" if len(entries) > 10 else ""
    return ", ".join(map(_described, entries[:10])) + more


def _described(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "rename":
        return f"{entry['from']} is called {entry['to']}"
    if entry["kind"] == "merge":
        return f"{entry['from']} is {entry['to']} ({entry['lines']} line{'s' if entry['lines'] != 1 else ''})"
    if "text" in entry:
        return f"{entry['id']} has another text"
    return (
        f"{entry['id']} is spoken by {entry['speaker']}"
        if "speaker" in entry
        else f"{entry['id']} is another take"
    )


def read_corrections(path: Path) -> Corrections:
    """Read corrections.json; a missing file has none. Raises InputError where it was damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ContractError(f"larger than {_MAX_BYTES // 2**20} MB")
        row = validation.document(data.decode("utf-8-sig"), SCHEMA)
        return Corrections(
            **_names(row),
            lines={id: _line(line) for id, line in validation.fields(row, "lines").items()},
            log=[dict(entry) for entry in validation.rows(row, "log", _MAX_ENTRIES)],
            undo=[_undo_step(step) for step in validation.rows(row, "undo", _MAX_ENTRIES)],
        )
    except FileNotFoundError:
        return Corrections()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        reason = error.message if isinstance(error, InputError) else str(error)
        raise InputError(
            f"{path} cannot be used ({reason.rstrip('.')}); mend it, or remove it, which loses the corrections only.",
            code="bad_corrections",
        ) from error


def _names(row: validation.Row) -> dict[str, Any]:
    """Return the names of a document or an undo step. They become folders, so that they are checked."""
    speakers = {old: (name, voice) for old, (name, voice) in validation.fields(row, "speakers").items()}
    lent = validation.items(row, "lent", _MAX_ENTRIES)
    for name in {*speakers, *lent, *(name for names in speakers.values() for name in names)}:
        check_speaker_names([name])
    return {"speakers": speakers, "lent": lent}


def _line(row: validation.Row) -> CorrectedLine:
    line = CorrectedLine(
        was=tuple(validation.items(row, "was", _MAX_ENTRIES)),
        text=_checked_text(validation.text(row, "text")),
        speaker=validation.text(row, "speaker"),
        is_moved=row["is_moved"] is True,
        seed=validation.optional(validation.whole, row, "seed", 0, 2**63 - 1),
        in_script=row["in_script"] is True,
    )
    check_speaker_names([line.speaker])
    return line


def _undo_step(row: validation.Row) -> UndoStep:
    lines = validation.fields(row, "lines").items()
    return UndoStep(
        entries=validation.whole(row, "entries", 0, _MAX_ENTRIES),
        **_names(row),
        lines={id: None if line is None else _line(line) for id, line in lines},
    )


def write_corrections(path: Path, corrections: Corrections) -> None:
    """Write corrections.json. Raises RunError where it cannot be written."""
    with friendly_errors(path.parent):
        write_text_atomic(path, dump_json({"schema": SCHEMA, **asdict(corrections)}, indent=1) + "\n")
