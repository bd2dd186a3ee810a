"""Corrections of a run: edits of lines and of speakers' names, and the state that they lead to.

`voiceclone redo` applies :class:`Edits`. corrections.json in the run directory keeps the result: corrected lines and
names (:class:`Corrections`), a log of the changes, and the previous values for ``--undo``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import check_speaker_names, friendly_errors, write_text_atomic
from voiceclone_cli.rundir.manifest import has_type
from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.types import Diarization, Script, Segment, segment_seed
from voiceclone_worker import validation
from voiceclone_worker.validation import MAX_TEXT, dump_json, file_key, is_unicode, shown

SCHEMA = "voiceclone.corrections/2"


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
    in_script: bool
    """Whether the script, fed back from the run directory, holds the correction; a user may have changed it there."""


class UndoStep(TypedDict):
    """The corrections before a command."""

    entries: int
    """Number of entries in the log."""
    names: dict[str, str]
    voices: dict[str, str]
    moved_from: list[str]
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

    def in_script(self, is_fed_back: bool) -> Corrections:
        """Return the corrections for a script that holds them, as it was fed back, or for one that does not.

        Those that a script holds cannot be undone.
        """
        lines: dict[str, CorrectedLine] = {
            id: {**line, "in_script": is_fed_back} for id, line in self.lines.items()
        }
        return replace(self, lines=lines, undo=[] if is_fed_back else self.undo)

    def apply(self, script: Script) -> Script:
        """Return the script with the corrections, and with notes on those that do not fit it."""
        segments = []
        unfit = {id for id, line in self.lines.items() if not line["in_script"]}
        for segment in script.segments:
            segment = replace(segment, speaker=self.name_of(segment.speaker))
            corrected = self._corrected(segment)
            unfit.discard(corrected.id if corrected else "")
            segments.append(corrected or segment)
        present = {segment.id for segment in segments}
        notes = [
            f"Corrections of lines that {fault} are ignored: {_listed(ids)}."
            for fault, ids in (
                ("are no longer in the script", unfit - present),
                ("have another text now", unfit & present),
            )
            if ids
        ]
        return replace(script, segments=tuple(segments), notes=(*script.notes, *notes))

    def _corrected(self, segment: Segment) -> Segment | None:
        """Return the corrected segment; None without a correction, and where that was made of another text."""
        line = self.lines.get(segment.id)
        if line is None:
            return None
        seed = segment.seed if line["seed"] is None else line["seed"]
        if segment.text in line["was"] and not line["in_script"]:
            speaker = self.name_of(line["speaker"]) if line["is_moved"] else segment.speaker
            return replace(segment, text=line["text"], speaker=speaker, seed=seed)
        is_as_corrected = (segment.text, segment.speaker) == (line["text"], self.name_of(line["speaker"]))
        return replace(segment, seed=seed) if is_as_corrected else None

    def edited(
        self, edits: Edits, script: Script, speakers: Iterable[str], *, run_seed: int, at: str
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
            new._rename(old, name, first_names)
        for old, name in edits.merge:
            new._merge(old, name, first_names, new.apply(script))
        segments = {segment.id: segment for segment in new.apply(script).segments}
        for id in edits.ids:
            speaker = None if edits.speaker is None else new._known_speaker(edits.speaker, first_names)
            new._edit_line(_find_line(id, segments), replace(edits, speaker=speaker), run_seed)
        if len(new.log) > (entries := len(self.log)):
            new.log[entries:] = [{"at": at, **entry} for entry in new.log[entries:]]
            changed = [id for id, line in new.lines.items() if line != self.lines.get(id)]
            step: UndoStep = {
                "entries": entries,
                "names": self.names,
                "voices": self.voices,
                "moved_from": self.moved_from,
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

    def _edit_line(self, segment: Segment, edits: Edits, run_seed: int) -> None:
        """Correct a line, which is as ``segment`` says so far; without a value it is another take."""
        old_seed = segment_seed(run_seed, segment.id) if segment.seed is None else segment.seed
        new_seed = old_seed if edits.seed is None else segment_seed(edits.seed, segment.id)
        if (edits.text, edits.speaker, edits.seed) == (None, None, None):
            takes = sum(entry.get("id") == segment.id for entry in self.log)
            digest = hashlib.sha256(f"{old_seed}:take {takes + 1}".encode()).digest()
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
        before = self.lines.get(segment.id)
        if before is not None and before["text"] != segment.text:
            before = None  # it has been edited by hand since
        self.lines[segment.id] = {
            "was": list(dict.fromkeys([*(before["was"] if before else []), segment.text])),
            "text": edits.text or segment.text,
            "speaker": edits.speaker or segment.speaker,
            "is_moved": "speaker" in changes or (before is not None and before["is_moved"]),
            "seed": changes.get("seed", segment.seed),
            "in_script": False,
        }
        if "speaker" in changes:
            self.moved_from = list(dict.fromkeys((*self.moved_from, segment.speaker)))

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
            f"there is no speaker {shown(given or name)}; the speakers are {_listed(today)}.",
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


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(sorted(names)[:10]) + more


def _find_line(id: str, segments: Mapping[str, Segment]) -> Segment:
    found = segments.get(id) or segments.get(id.zfill(4))
    if found is None:
        raise InputError(
            f"there is no line {shown(id)}; the lines are {_listed(segments)}.", code="unknown_line"
        )
    return found


_PHRASES = {
    "rename": "{from} is called {to}",
    "merge": "{from} is merged with {to} (lines: {lines})",
    "text": "{id} has another text",
    "speaker": "{id} is spoken by {speaker}",
    "seed": "{id} is another take",
}
"""By the first of these keys that is the kind of a change in the log, or is in it."""


def describe(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a phrase on changes of the log: the first ten, and how many more there are."""
    more = f" and {len(entries) - 10} more" if len(entries) > 10 else ""
    phrases = [
        _PHRASES[next(key for key in _PHRASES if key in (entry["kind"], *entry))].format_map(entry)
        for entry in entries[:10]
    ]
    return ", ".join(phrases) + more


def read_corrections(path: Path) -> Corrections:
    """Read corrections.json; where the file is missing there are none. Raises InputError where it was damaged."""
    try:
        row = validation.document(path.read_text(encoding="utf-8-sig"), SCHEMA)
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
