"""Corrections of a run: edits of lines and of speakers' names, and the state that they lead to.

`voiceclone redo` applies :class:`Edits`. corrections.json in the run directory keeps the result: corrected lines and
names (:class:`Corrections`), a log of the changes, and the previous values for ``--undo``.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from voiceclone_cli.corrections import lines
from voiceclone_cli.corrections.lines import CorrectedLines, LineChange, in_id_order
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names, friendly_errors, write_text_atomic
from voiceclone_cli.messages import listed
from voiceclone_cli.rundir.manifest import has_type
from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.types import Diarization, Script, Segment, Word, segment_seed
from voiceclone_worker import validation
from voiceclone_worker.validation import MAX_TEXT, dump_json, file_key, is_unicode, shown

SCHEMA = "voiceclone.corrections/3"
_SCHEMA_2 = "voiceclone.corrections/2"
"""Of the releases that changed no lines' times and made no other lines."""


@dataclass(frozen=True, slots=True)
class Edits:
    """The edits of one command, applied in the order of these fields after renames and merges; or the undo of the last one."""

    ids: tuple[str, ...] = ()
    """Lines to change; as another take where text, speaker and seed are None."""
    text: str | None = None
    speaker: str | None = None
    seed: int | None = None
    """The seed of a run: each line gets the take that it has in a run with this seed."""
    speakers: tuple[tuple[str, str], ...] = ()
    """Pairs of a line and its new speaker."""
    split: tuple[lines.Split, ...] = ()
    join: tuple[str, str] | None = None
    move: tuple[tuple[str, float, bool], ...] = ()
    """Lines with their new start in seconds, and whether it is relative to the old one."""
    drop: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    """Pairs of a speaker's name and the new one."""
    merge: tuple[tuple[str, str], ...] = ()
    """Pairs of a speaker and the one who speaks the lines of the first from now on."""
    undo: bool = False


def parse_edits(
    ids: Sequence[str],
    *,
    text: str | None = None,
    speaker: Sequence[str] = (),
    seed: int | None = None,
    rename: Sequence[str] = (),
    merge: Sequence[str] = (),
    split: Sequence[str] = (),
    join: tuple[str, str] | None = None,
    move: Sequence[str] = (),
    drop: Sequence[str] = (),
    undo: bool = False,
) -> Edits:
    """Return the edits that the options of a command ask for.

    ``rename`` and ``merge`` hold ``OLD=NEW``; ``speaker`` holds ``ID=NAME``, or one name for all lines of ``ids``; for
    ``split`` and ``move`` see :mod:`voiceclone_cli.corrections.lines`. Raises InputError for options that contradict
    each other.
    """
    ids = tuple(dict.fromkeys(ids))
    pairs = tuple(
        _pair("--speaker", value, "0007=SPEAKER_00", "ID=NAME") for value in speaker if "=" in value
    )
    names = [value for value in speaker if "=" not in value]
    if len(names) > 1:
        raise InputError(
            f"--speaker names {len(names)} speakers for the same lines; give each line its own, as in "
            "--speaker 0007=SPEAKER_00 --speaker 0008=SPEAKER_01.",
            code="bad_pair",
        )
    name = names[0] if names else None
    changes = {"--text": text, "--speaker": name, "--seed": seed}
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
    if undo and (ids or pairs or rename or merge or split or join or move or drop):
        raise InputError(
            "--undo takes back the last redo; give it without other edits.", code="undo_not_alone"
        )
    return Edits(
        ids,
        None if text is None else _checked_text(text),
        name,
        seed,
        pairs,
        tuple(map(lines.parse_split, split)),
        join,
        tuple(map(lines.parse_move, move)),
        tuple(dict.fromkeys(drop)),
        rename=tuple(_pair("--rename", pair, "SPEAKER_01=Anna") for pair in rename),
        merge=tuple(_pair("--merge", pair, "SPEAKER_01=SPEAKER_00") for pair in merge),
        undo=undo,
    )


def _pair(option: str, pair: str, example: str, form: str = "OLD=NEW") -> tuple[str, str]:
    old, _, new = (part.strip() for part in pair.partition("="))
    if not (old and new):
        raise InputError(
            f"{option} takes {form}, as in {option} {example}, not {pair!r:.60}.", code="bad_pair"
        )
    return old, new


def _checked_text(text: str) -> str:
    """Return the text on one line. Raises InputError where an engine could not speak it."""
    if not is_unicode(text):
        raise InputError("the new text is not valid Unicode; type it again.", code="script_text")
    clean = clean_text(text)
    if not any(character.isalnum() for character in clean) or len(clean) > MAX_TEXT:
        raise InputError(
            f"the new text has {len(clean):,} characters; give 1 to {MAX_TEXT:,}, with a word among them.",
            code="script_text",
        )
    return clean


class CorrectedLine(TypedDict):
    """A line after its corrections."""

    was: list[str]
    """Its texts before. A line of a script that says something else is another line, and stays as it is."""
    text: str
    speaker: str
    is_moved: bool
    """Whether a correction gave it to ``speaker``, who otherwise is the speaker that it had."""
    seed: int | None
    start: float | None
    """Seconds; None: where the script has it. The line keeps its duration."""
    in_script: bool
    """Whether the script, fed back from the run directory, holds the correction; a user may have changed it there."""


class UndoStep(TypedDict):
    """The corrections before a command."""

    entries: int
    """Number of entries in the log."""
    names: dict[str, str]
    voices: dict[str, str]
    moved_from: list[str]
    changes: int
    """Number of changes that made other lines."""
    lines: dict[str, CorrectedLine | None]
    """Those that the command changed; None: without corrections."""


@dataclass(slots=True)
class Corrections:
    """Corrected lines and names of a run; the content of corrections.json.

    A name that a speaker has had is never given to another, so that old scripts and references stay valid.
    """

    names: dict[str, str] = field(default_factory=dict)
    """Who speaks today, by the earlier names of renamed and merged speakers."""
    voices: dict[str, str] = field(default_factory=dict)
    """Names today of renamed speakers' own voices, by the earlier ones. A merge changes none of them."""
    moved_from: list[str] = field(default_factory=list)
    """Speakers of whom lines were given to others."""
    lines: dict[str, CorrectedLine] = field(default_factory=dict)
    changes: list[LineChange] = field(default_factory=list)
    """What made other lines, the oldest first."""
    log: list[dict[str, Any]] = field(default_factory=list)
    """Changes in force, the oldest first, as the manifest has them."""
    undo: list[UndoStep] = field(default_factory=list)
    """One step for each command."""

    def name_of(self, name: str) -> str:
        """Return the name today of the speaker who speaks for a name."""
        return self.names.get(name, name)

    def voice_of(self, name: str) -> str:
        """Return the name of a speaker's own voice, which is that of its folder in speakers/."""
        return self.voices.get(name, name)

    def names_without_speaker(self, speakers: Iterable[str]) -> list[str]:
        """Return the names that were renamed or merged and stand for none of these speakers."""
        today = {self.name_of(name) for name in speakers}
        return [old for old, name in self.names.items() if name != old and name not in today]

    @property
    def rewritten(self) -> dict[str, tuple[str, str]]:
        """Texts of lines before and after their text was corrected, by id."""
        texts = {id: (line["was"][0], line["text"]) for id, line in self.lines.items()}
        return {id: (before, after) for id, (before, after) in texts.items() if before != after}

    def in_script(self, is_fed_back: bool) -> Corrections:
        """Return the corrections for a script that holds them, as it was fed back, or for one that does not.

        Those that a script holds cannot be undone.
        """
        lines: dict[str, CorrectedLine] = {
            id: {**line, "in_script": is_fed_back} for id, line in self.lines.items()
        }
        changes: list[LineChange] = [{**change, "in_script": is_fed_back} for change in self.changes]
        return replace(self, lines=lines, changes=changes, undo=[] if is_fed_back else self.undo)

    def apply(self, script: Script) -> Script:
        """Return the script with the corrections, and with notes on those that do not fit it."""
        found = self._lines_of(script)
        notes = [
            f"Corrections of lines that {fault} are ignored: {listed(in_id_order(ids))}."
            for fault, ids in (
                ("are no longer in the script", found.unfit - found.seen),
                ("have another text now", found.unfit & found.seen),
            )
            if ids
        ]
        return replace(
            script,
            segments=found.in_order(),
            notes=(*script.notes, *notes),
            omitted=(*script.omitted, *found.dropped),
        )

    def _lines_of(self, script: Script) -> CorrectedLines:
        """Return the lines of a script with the corrections."""
        named = (replace(segment, speaker=self.name_of(segment.speaker)) for segment in script.segments)
        unfit = {id for id, line in self.lines.items() if not line["in_script"]}
        changes = [change for change in self.changes if not change["in_script"]]
        return CorrectedLines(named, changes, self._corrected, unfit)

    def _corrected(self, segment: Segment) -> Segment | None:
        """Return the corrected segment; None without a correction, and where that was made of another text."""
        line = self.lines.get(segment.id)
        if line is None:
            return None
        seed = segment.seed if line["seed"] is None else line["seed"]
        if line["start"] is not None and not line["in_script"]:
            end = round(line["start"] + segment.end - segment.start, 3)
            segment = replace(segment, start=line["start"], end=end)
        if segment.text in line["was"] and not line["in_script"]:
            speaker = self.name_of(line["speaker"]) if line["is_moved"] else segment.speaker
            return replace(segment, text=line["text"], speaker=speaker, seed=seed)
        is_as_corrected = (segment.text, segment.speaker) == (line["text"], self.name_of(line["speaker"]))
        return replace(segment, seed=seed) if is_as_corrected else None

    def edited(
        self,
        edits: Edits,
        script: Script,
        speakers: Iterable[str],
        *,
        run_seed: int,
        at: str,
        recording_seconds: float = math.inf,
        recognised: Sequence[Word] = (),
    ) -> Corrections:
        """Return the corrections after these edits; edits that change nothing are none.

        script: without corrections. speakers: everybody with a voice, by the names that the diarization and given
        references have. at: time of the command (ISO 8601, UTC). recognised: words of the recording, which say where
        to split a line. Raises InputError for an edit that is not possible.
        """
        if edits.undo:
            return self._undone()
        first_names = {*speakers, *(segment.speaker for segment in script.segments)}
        new = replace(self, lines=dict(self.lines), changes=list(self.changes), log=list(self.log))
        for old, name in edits.rename:
            new._rename(old, name, first_names)
        for old, name in edits.merge:
            new._merge(old, name, first_names, new.apply(script))
        found = new._lines_of(script)
        takes = Counter(entry["id"] for entry in new.log if entry["kind"] == "line")
        for id in edits.ids:
            speaker = None if edits.speaker is None else new._known_speaker(edits.speaker, first_names)
            new._edit_line(found, found.find(id), replace(edits, speaker=speaker), run_seed, takes)
        for id, name in edits.speakers:
            speaker = new._known_speaker(name, first_names)
            new._edit_line(found, found.find(id), Edits(speaker=speaker), run_seed, takes)
        new._change_lines(found, edits, script, recording_seconds, recognised)
        if len(new.log) > (entries := len(self.log)):
            new.log[entries:] = [{"at": at, **entry} for entry in new.log[entries:]]
            changed = [id for id, line in new.lines.items() if line != self.lines.get(id)]
            step: UndoStep = {
                "entries": entries,
                "names": self.names,
                "voices": self.voices,
                "moved_from": self.moved_from,
                "changes": len(self.changes),
                "lines": {id: self.lines.get(id) for id in changed},
            }
            new.undo = [*self.undo, step]
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
        lines = {id: line for id, line in {**self.lines, **step["lines"]}.items() if line is not None}
        return _with_safe_names(
            Corrections(
                step["names"],
                step["voices"],
                step["moved_from"],
                lines,
                self.changes[: step["changes"]],
                self.log[: step["entries"]],
                self.undo[:-1],
            )
        )

    def _rename(self, old: str, new: str, first_names: set[str]) -> None:
        today = {self.name_of(name) for name in first_names}
        if self.name_of(old) == new and new in today:
            return
        self._check_in_use(old, today)
        check_speaker_names([new])
        if new.split() != [new]:
            raise InputError(
                f"the speaker name {shown(new)} holds a blank, which diarization.rttm cannot; write "
                f"{shown('_'.join(new.split()))}.",
                code="unsafe_name",
            )
        for name in sorted(today - {old}) + sorted({*first_names, *self.names}):
            if file_key(name) == file_key(new) and self.voice_of(name) != old:
                raise InputError(
                    f"there is a speaker {name} already; if they are one person, give --merge {old}={name}."
                    if name in today
                    else f"{shown(new)} was another speaker's name in this run; choose a name that was never used.",
                    code="name_taken",
                )
        self.names, self.voices = _replaced(self.names, old, new), _replaced(self.voices, old, new)
        self.log.append({"kind": "rename", "from": old, "to": new})

    def _merge(self, old: str, into: str, first_names: set[str], script: Script) -> None:
        new = self._known_speaker(into, first_names)
        if self.name_of(old) == new and old != new:
            return
        self._check_in_use(old, {self.name_of(name) for name in first_names})
        if old == new:
            raise InputError(f"--merge: {shown(new)} is one speaker already.", code="bad_pair")
        lines = sum(segment.speaker == old for segment in script.segments)
        self.names = _replaced(self.names, old, new)
        self.log.append({"kind": "merge", "from": old, "to": new, "lines": lines})
        if lines:
            self.moved_from = list(dict.fromkeys((*self.moved_from, old)))

    def _edit_line(
        self, found: CorrectedLines, segment: Segment, edits: Edits, run_seed: int, takes: Counter[str]
    ) -> None:
        """Correct a line, which is as ``segment`` says so far; without a value it is another take.

        ``takes``: corrections of each line so far, which are counted on.
        """
        old_seed = segment_seed(run_seed, segment.id) if segment.seed is None else segment.seed
        new_seed = old_seed if edits.seed is None else segment_seed(edits.seed, segment.id)
        if (edits.text, edits.speaker, edits.seed) == (None, None, None):
            digest = hashlib.sha256(f"{old_seed}:take {takes[segment.id] + 1}".encode()).digest()
            new_seed = int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
        was: dict[str, Any] = {"text": segment.text, "speaker": segment.speaker, "seed": segment.seed}
        wanted: dict[str, Any] = {"text": edits.text, "speaker": edits.speaker, "seed": new_seed}
        same = {**was, "seed": old_seed}
        changes: dict[str, Any] = {
            key: value for key, value in wanted.items() if value not in (None, same[key])
        }
        if not changes:
            return
        self.log.append({"kind": "line", "id": segment.id, "was": was, **changes})
        takes[segment.id] += 1
        self._keep_line(found, segment, changes)
        if "speaker" in changes:
            self.moved_from = list(dict.fromkeys((*self.moved_from, segment.speaker)))

    def _keep_line(self, found: CorrectedLines, segment: Segment, changes: Mapping[str, Any]) -> None:
        """Keep the correction of a line, which is as ``segment`` says so far."""
        before = self.lines.get(segment.id)
        if before is not None and before["text"] != segment.text:
            before = None  # it has been edited by hand since
        start = before["start"] if before is not None and not before["in_script"] else None
        self.lines[segment.id] = {
            "was": list(dict.fromkeys([*(before["was"] if before else []), segment.text])),
            "text": changes.get("text", segment.text),
            "speaker": changes.get("speaker", segment.speaker),
            "is_moved": "speaker" in changes or (before is not None and before["is_moved"]),
            "seed": changes.get("seed", segment.seed),
            "start": changes.get("start", start),
            "in_script": False,
        }
        found.correct(segment.id)

    def _change_lines(
        self,
        found: CorrectedLines,
        edits: Edits,
        script: Script,
        recording_seconds: float,
        recognised: Sequence[Word],
    ) -> None:
        """Split, join, move and drop lines, in this order."""
        new_ids = lines.free_ids(self._taken_ids(script))
        for at in edits.split:
            self._add_change(found, lines.split(found.find(at.id), at, recognised, new_ids))
        if edits.join is not None:
            first, second = map(found.find, edits.join)
            if first is second:
                raise InputError(f"--join takes two lines, not {first.id} twice.", code="bad_join")
            self._add_change(found, lines.join(first, second, found.in_order(), new_ids))
        for id, seconds, is_relative in edits.move:
            segment = found.find(id)
            self._move(found, segment, seconds + segment.start if is_relative else seconds, recording_seconds)
        for id in edits.drop:
            segment = found.find(id)
            if len(found.segments) == 1:
                raise InputError(f"{segment.id} is the only line; a run needs one.", code="empty_script")
            self._add_change(found, lines.drop(segment))
            self.moved_from = list(dict.fromkeys((*self.moved_from, segment.speaker)))

    def _taken_ids(self, script: Script) -> set[str]:
        """Return the ids that lines have, or had under corrections in force."""
        made = (part["id"] for change in self.changes for part in change["parts"])
        return {*(segment.id for segment in script.segments), *made, *self.lines}

    def _add_change(self, found: CorrectedLines, change: LineChange) -> None:
        self.changes.append(change)
        found.change(change)
        entry: dict[str, Any] = {"kind": change["kind"], "lines": change["ids"], "was": change["texts"]}
        if change["parts"]:
            entry |= {
                "into": [part["id"] for part in change["parts"]],
                "texts": [part["text"] for part in change["parts"]],
            }
        self.log.append(entry)

    def _move(self, found: CorrectedLines, segment: Segment, start: float, recording_seconds: float) -> None:
        start, latest = round(start, 3), recording_seconds - (segment.end - segment.start)
        if not 0.0 <= start <= latest + 0.001:
            raise InputError(
                f"{segment.id} cannot start at {start:.3f} s: it lasts {segment.end - segment.start:.3f} s, so the "
                f"recording has room for it from 0 to {max(0.0, latest):.3f} s.",
                code="bad_move",
            )
        if start == segment.start:
            return
        self.log.append({"kind": "move", "id": segment.id, "from": segment.start, "to": start})
        self._keep_line(found, segment, {"start": start})

    def _known_speaker(self, name: str, first_names: set[str]) -> str:
        """Return the name today of a speaker, whom any earlier name may mean. Raises InputError."""
        today = {self.name_of(first_name) for first_name in first_names}
        self._check_in_use(self.name_of(name), today, name)
        return self.name_of(name)

    def _check_in_use(self, name: str, today: set[str], given: str = "") -> None:
        if name in today:
            return
        if (other := self.name_of(name)) in today:
            raise InputError(
                f"{shown(name)} is called {shown(other)} now; use that name.", code="unknown_speaker"
            )
        raise InputError(
            f"there is no speaker {shown(given or name)}; the speakers are {listed(sorted(today))}.",
            code="unknown_speaker",
        )


def _replaced(names: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    """Return the names with ``new`` for everything that is called ``old``, and for ``old`` itself."""
    known = {**names, old: names.get(old, old)}
    return {key: new if name == old else name for key, name in known.items()}


def rename_turns(diarization: Diarization, renamed: Callable[[str], str]) -> Diarization:
    """Return the turns under other names, as ``Corrections.name_of`` or ``voice_of`` gives them."""
    turns, exclusive = (
        tuple(replace(turn, speaker=renamed(turn.speaker)) for turn in turns)
        for turns in (diarization.turns, diarization.exclusive)
    )
    return replace(diarization, turns=turns, exclusive=exclusive)


_PHRASES = {
    "rename": "{from} is called {to}",
    "merge": "{from} is merged with {to} (lines: {lines})",
    "split": "{lines} is split into {into}",
    "join": "{lines} are joined to {into}",
    "drop": "{lines} is dropped",
    "move": "{id} starts at {to} s",
    "text": "{id} has another text",
    "speaker": "{id} is spoken by {speaker}",
    "seed": "{id} is another take",
}
"""By the first of these keys that is the kind of a change in the log, or is in it."""


def describe(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a phrase on changes of the log: the first, and how many more there are."""
    phrases = [
        _PHRASES[next(key for key in _PHRASES if key in (entry["kind"], *entry))].format_map(
            {key: " and ".join(value) if isinstance(value, list) else value for key, value in entry.items()}
        )
        for entry in entries
    ]
    return listed(phrases)


def read_corrections(path: Path) -> Corrections:
    """Read corrections.json; where the file is missing there are none. Raises InputError where it was damaged."""
    try:
        row = _document(path.read_text(encoding="utf-8-sig"))
        hints = get_type_hints(Corrections)
        wrong = [name for name, hint in hints.items() if not has_type(row.get(name), hint)]
        if wrong:
            raise ValueError(f"{wrong[0]} is missing or has a wrong type")
        return _with_safe_names(Corrections(**{name: row[name] for name in hints}))
    except FileNotFoundError:
        return Corrections()
    except (OSError, ValueError, InputError) as error:
        reason = error.message if isinstance(error, InputError) else str(error)
        raise InputError(
            f"{path} cannot be used ({reason.rstrip('.')}); mend it, or remove it, which loses the corrections only.",
            code="bad_corrections",
        ) from error


def _document(text: str) -> Mapping[str, Any]:
    """Return the document of corrections.json, in the form of today. Raises ValueError."""
    if validation.fields({"document": validation.parse_json(text)}, "document").get("schema") != _SCHEMA_2:
        return validation.document(text, SCHEMA)
    old = validation.document(text, _SCHEMA_2)

    def with_start(rows: object) -> object:
        if not isinstance(rows, dict):
            return rows
        return {id: {**line, "start": None} if isinstance(line, dict) else line for id, line in rows.items()}

    undo = old.get("undo")
    return {
        **old,
        "changes": [],
        "lines": with_start(old.get("lines")),
        "undo": [
            {**step, "changes": 0, "lines": with_start(step.get("lines"))}
            for step in undo
            if isinstance(step, dict)
        ]
        if isinstance(undo, list)
        else undo,
    }


def _with_safe_names(corrections: Corrections) -> Corrections:
    """Return the corrections. Raises InputError where a name, which becomes a folder, cannot be one."""
    speakers = [line["speaker"] for line in corrections.lines.values()]
    names, voices = corrections.names, corrections.voices
    for name in {*speakers, *names, *names.values(), *voices, *voices.values()}:
        check_speaker_names([name])
    return corrections


def write_corrections(path: Path, corrections: Corrections) -> None:
    """Write corrections.json. Raises RunError where it cannot be written."""
    with friendly_errors(path.parent):
        write_text_atomic(path, dump_json({"schema": SCHEMA, **asdict(corrections)}, indent=1) + "\n")
