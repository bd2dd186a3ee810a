"""Everything the page shows, as one document."""

from __future__ import annotations

import base64
import math
import os
import re
import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from voiceclone_cli.analysis.turns import read_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.rundir.manifest import CHECK_SCHEMA, RunPaths, json_object, read_manifest
from voiceclone_cli.types import Progress, ProgressEvent

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Values of a document that an older version, or somebody's editor, may have written.
#
# A report shows what there is: what is missing, or of another kind than it should be, is None or empty.


Document = Mapping[str, Any]


def mapping(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Document]:
    """The objects of a list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def number(value: object) -> float | None:
    """None also for what JSON has no word for: nan and the infinities, which Python's reader lets in."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def plain(value: object) -> str:
    """Any value as a few words, for tables whose rows others define."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value)


# A run directory as a report sees it: its documents, and links to what lies in it.


@dataclass(frozen=True, slots=True)
class ReportFolder:
    """A run directory and what its documents say. Open it with :func:`open_folder`."""

    root: Path
    run: Document
    """run.json."""
    check: Document
    """check.json; empty where nothing was checked."""
    notes: tuple[str, ...] = ()
    """Sentences for whoever looks at the report."""

    def find(self, named: object) -> Path | None:
        """The file that a manifest names; None where it is not in this directory.

        Manifests hold absolute paths, and a directory may have been moved since: what lay in the old one is
        looked for in this one. Nothing outside is ever linked to, whatever a manifest says.
        """
        if not text(named):
            return None
        path = Path(text(named))
        old_root = Path(text(self.run.get("run_dir")) or self.root)
        if path.is_relative_to(old_root):
            path = path.relative_to(old_root)
        path = self.root / path
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        inside = path.is_relative_to(self.root) and real.is_relative_to(self.root.resolve())
        return path if inside and real.is_file() else None

    def link(self, path: Path | None) -> str | None:
        """A relative URL for a file of this directory, safe whatever its name holds."""
        if path is None:
            return None
        return "/".join(quote(os.fsencode(part), safe="") for part in path.relative_to(self.root).parts)


def open_report_folder(root: Path) -> ReportFolder:
    """Read the documents of a run directory.

    Raises InputError, as ``read_manifest`` does.
    """
    root = root.absolute()
    run = read_manifest(root)
    file = RunPaths(root).check
    check = json_object(file)
    if check.get("schema") == CHECK_SCHEMA:
        return ReportFolder(root, run, check)
    notes = ("check.json cannot be read: make it anew with `voiceclone check`.",) if file.exists() else ()
    return ReportFolder(root, run, {}, notes)


# The history of a run: what was corrected, when, and what it was before.


_OF_LINES = ("text", "speaker", "seed")


def corrections_of(folder: ReportFolder) -> list[dict[str, Any]]:
    """The oldest first: when (ISO 8601, UTC), the line's id or none, what was done, and each change as
    (what, before, after)."""
    return [_correction(row) for row in rows(folder.run.get("history"))]


def _correction(row: Document) -> dict[str, Any]:
    kind = text(row.get("kind"))
    old, new = text(row.get("from")), text(row.get("to"))
    done = {
        "line": "spoken again",
        "rename": "a speaker has another name",
        "merge": f"two speakers are one ({number(row.get('lines')) or 0:g} lines)",
    }
    changes = list(_changes(row)) if kind == "line" else [("speaker", old, new)] if kind in done else []
    return {
        "at": text(row.get("at")),
        "line": text(row.get("id")) or None,
        "done": done.get(kind) or plain({key: value for key, value in row.items() if key != "at"}),
        "changes": changes,
    }


def _changes(row: Document) -> Iterator[tuple[str, str, str]]:
    was = mapping(row.get("was"))
    for name in _OF_LINES:
        if row.get(name) is not None and row.get(name) != was.get(name):
            yield name, "" if was.get(name) is None else plain(was.get(name)), plain(row[name])


# What the page says of a run as a whole, whatever its lines: how it was made, what came of it.


_OUTCOMES = {
    "success": ("Complete", "Every line was spoken.", 0),
    "partial": ("Partial", "Some lines could not be spoken.", 3),
    "error": ("Failed", "The run came to nothing.", 1),
    "planned": ("Planned", "The run stopped before it spoke, as it was asked to.", 0),
    "running": ("Unfinished", "It is going on, or was ended: the same command takes it up again.", None),
}
_UNKNOWN = ("Unknown", "run.json does not say how the run ended.", None)

_FILES = (
    ("Mix", "mix.wav"),
    ("Original", "original.flac"),
    ("Script, to edit", "script.json"),
    ("Subtitles", "script.srt"),
    ("Who speaks when", "diarization.rttm"),
    ("Check", "check.json"),
    ("Corrections", "corrections.json"),
    ("Consent", "consent.json"),
    ("Manifest", "run.json"),
)

Pairs = list[tuple[str, str]]


def outcome_of(folder: ReportFolder) -> dict[str, Any]:
    """What stands at the top of the page."""
    run, source = folder.run, mapping(folder.run.get("input"))
    label, meaning, code = _OUTCOMES.get(text(run.get("status")), _UNKNOWN)
    return {
        "name": PurePath(text(source.get("path"))).name or folder.root.name,
        "seconds": number(source.get("seconds")),
        "sound": _sound(source),
        "status": text(run.get("status")),
        "label": label,
        "meaning": meaning,
        "exit_code": code,
        "engine": text(run.get("engine")),
        "notes": [*folder.notes, *texts(run.get("notes")), *texts(folder.check.get("notes"))],
        "errors": [
            {name: text(row.get(name)) for name in ("code", "message", "segment")}
            for row in rows(run.get("errors"))
        ],
    }


def _sound(source: Document) -> str:
    rate, channels = number(source.get("rate")), number(source.get("channels"))
    words = ["video"] if source.get("video") is True else []
    if rate is not None:
        words.append(f"{rate / 1000:g} kHz")
    if channels is not None:
        words.append({1.0: "mono", 2.0: "stereo"}.get(channels, f"{channels:g} channels"))
    return ", ".join(words)


def facts_of(folder: ReportFolder) -> Pairs:
    """What is told in a line each, where it is known."""
    run = folder.run
    facts = {
        "Input": text(mapping(run.get("input")).get("path")),
        "Run directory": str(folder.root),
        "Engine": _because(run, "engine"),
        "Diarizer": _because(run, "diarizer"),
        "Script from": text(run.get("script_from")),
        "Mode": text(run.get("mode")),
        "Background": text(run.get("background")),
        "Watermark": _watermark(run),
    }
    return [(name, value) for name, value in facts.items() if value]


def _because(run: Document, name: str) -> str:
    value, why = text(run.get(name)), text(run.get(f"{name}_why"))
    return f"{value}: {why}" if value and why else value


def _watermark(run: Document) -> str:
    if "watermark" not in run:
        return ""
    return text(run["watermark"]) or "none: this audio does not say that it is synthetic"


def timing_of(folder: ReportFolder) -> dict[str, Any]:
    """Seconds of each stage, and of the workers within it, in the order they came."""
    timing = mapping(folder.run.get("timing"))
    memory = mapping(folder.run.get("peak_memory_mb"))
    stages = [
        {"name": name, "seconds": seconds, "peak_mb": number(memory.get(name))}
        for name, value in timing.items()
        if name != "total" and (seconds := number(value)) is not None
    ]
    workers = [
        {"name": name, "seconds": seconds}
        for name, value in mapping(timing.get("workers")).items()
        if (seconds := number(value)) is not None
    ]
    return {
        "total": number(timing.get("total")),
        "stages": stages,
        "workers": workers,
        "reused_stages": texts(folder.run.get("reused_stages")),
        "reused_lines": number(folder.run.get("reused")),
    }


def settings_of(folder: ReportFolder) -> list[dict[str, str]]:
    settings = mapping(folder.run.get("settings"))
    known = ((name, mapping(row)) for name, row in settings.items())
    return [
        {"name": name, "value": plain(row.get("value")), "from": text(row.get("from"))} for name, row in known
    ]


def versions_of(folder: ReportFolder) -> Pairs:
    return [(name, plain(value)) for name, value in mapping(folder.run.get("versions")).items()]


def consent_of(folder: ReportFolder) -> Pairs:
    """Who agreed to what, one line a speaker where the document has speakers."""
    consent = dict(mapping(folder.run.get("consent")))
    speakers = consent.pop("speakers", None)
    lines = [(name, plain(value)) for name, value in mapping(speakers).items()]
    for row in rows(speakers):
        told = [plain(value) for key, value in row.items() if key != "speaker" and value not in (None, "")]
        lines.append((text(row.get("speaker")) or "?", " · ".join(told)))
    return lines + [(name, plain(value)) for name, value in consent.items() if name != "schema"]


def files_of(folder: ReportFolder) -> list[tuple[str, str]]:
    """Label and link of what lies in the directory."""
    run = folder.run
    outputs = mapping(run.get("outputs"))
    found = [(label, folder.find(name)) for label, name in _FILES]
    found.insert(1, ("Video", folder.find(outputs.get("video"))))
    found += [(f"Stem of {name}", folder.find(path)) for name, path in mapping(outputs.get("stems")).items()]
    return [(label, link) for label, path in found if (link := folder.link(path)) is not None]


def commands_of(folder: ReportFolder) -> dict[str, str]:
    """What to type for the next step; a redo takes the lines' ids after it."""
    quoted = shlex.quote(str(folder.root))
    return {"check": f"voiceclone check {quoted}", "redo": f"voiceclone redo {quoted}"}


def summary_of(folder: ReportFolder, lines: Sequence[Document]) -> dict[str, float | None]:
    """What the check says of the run as a whole; nothing where a line has been spoken anew since."""
    summary = {} if any(line["stale"] for line in lines) else mapping(folder.check.get("summary"))
    return {name: number(summary.get(name)) for name in ("similarity", "margin", "wer", "mos")}


def gates_of(folder: ReportFolder) -> list[dict[str, str]]:
    """The gates that the last check missed: which, the line or speaker, what was wanted and measured."""
    return [
        {
            "code": text(row.get("gate")),
            "segment": text(row.get("segment")),
            "message": ": ".join(filter(None, (text(row.get("speaker")), text(row.get("message"))))),
        }
        for row in rows(folder.check.get("offences"))
    ]


# Waveforms small enough to lie in a page: the loudest sample of every hundredth of a second, a byte each.


PER_SECOND = 100.0
"""Peaks. Enough to see the burst of a consonant when a line fills the window."""

MOST = 240_000
"""Peaks of one file. Recordings of more than 40 minutes are drawn more coarsely."""

_BINS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Peaks:
    seconds: float
    per_second: float
    base64: str
    """A byte a peak, 255 is full scale."""


def read_peaks(path: Path) -> Peaks | None:
    """The peaks of an audio file over all its channels, read in blocks; None where it cannot be read."""
    import soundfile

    try:
        # Opened here, since libsndfile's wrapper takes no name that is not Unicode.
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            seconds = sound.frames / sound.samplerate
            per_second = PER_SECOND if seconds * PER_SECOND <= MOST else MOST / seconds
            peaks = _peaks(sound, sound.samplerate / per_second)
    except (soundfile.LibsndfileError, OSError):
        return None
    return Peaks(seconds, per_second, base64.b64encode(peaks.tobytes()).decode("ascii"))


def _peaks(sound: typing.Any, frames_each: float) -> NDArray[np.uint8]:
    import numpy as np

    count = int(np.ceil(sound.frames / frames_each))
    # Rounded from exact times, so that a long file does not drift.
    bounds = np.minimum(np.rint(np.arange(count + 1) * frames_each), sound.frames).astype(np.int64)
    peaks = np.zeros(count, np.uint8)
    for first in range(0, count, _BINS_AT_ONCE):
        edges = bounds[first : first + _BINS_AT_ONCE + 1]
        block = sound.read(int(edges[-1] - edges[0]), dtype="float32", always_2d=True)
        starts = edges[:-1] - edges[0]
        # A file that ends before its header says so has no more peaks.
        starts = starts[starts < len(block)]
        if not len(starts):
            break
        loudest = np.maximum.reduceat(np.abs(block).max(axis=1), starts)
        peaks[first : first + len(starts)] = np.rint(255 * np.clip(np.nan_to_num(loudest), 0, 1))
    return peaks


# The speakers of a run, their references, and when each of them spoke.


def speakers_of(
    folder: ReportFolder, lines: Sequence[Document], turns: Sequence[Document]
) -> list[dict[str, Any]]:
    """Those of the manifest, then whoever else a line or a turn names."""
    known = {text(row.get("name")): row for row in rows(folder.run.get("speakers"))}
    named = [*known, *(text(row["speaker"]) for row in (*lines, *turns))]
    return [_speaker(folder, name, known.get(name, {}), lines) for name in dict.fromkeys(named)]


def _speaker(folder: ReportFolder, name: str, row: Document, lines: Sequence[Document]) -> dict[str, Any]:
    own = [line for line in lines if line["speaker"] == name]
    voices = {text(row.get("speaker")): row for row in rows(folder.check.get("voices"))}
    voice = voices.get(name, {}) if any(line["check"] for line in own) else {}
    wav = folder.find(row.get("reference"))
    peaks = read_peaks(wav) if wav else None
    return {
        "name": name,
        "speech_seconds": number(row.get("speech_seconds")),
        "segments": len(own),
        "done": sum(line["status"] == "done" for line in own),
        "similarity": number(voice.get("similarity")),
        "margin": number(voice.get("margin")),
        "nearest_other": text(voice.get("nearest_other")),
        "judged_by": text(voice.get("source")),
        "reference": folder.link(wav),
        "reference_peaks": asdict(peaks) if peaks else None,
        "reference_seconds": number(row.get("reference_seconds")),
        "reference_text": text(row.get("reference_text")),
        "warnings": texts(row.get("warnings")),
    }


def turns_of(folder: ReportFolder) -> list[dict[str, Any]]:
    """Who spoke when in the recording; of older manifests from their RTTM."""
    turns = rows(folder.run.get("turns")) or _turns_of_rttm(folder)
    whole = ((number(t.get("start")), number(t.get("end")), text(t.get("speaker"))) for t in turns)
    return [
        {"start": start, "end": end, "speaker": speaker}
        for start, end, speaker in whole
        if start is not None and end is not None and end > start
    ]


def _turns_of_rttm(folder: ReportFolder) -> list[Document]:
    path = folder.find("diarization.rttm")
    if path is None:
        return []
    try:
        return [asdict(turn) for turn in read_rttm(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, InputError):
        return []


# What was to be said against what was understood, word by word.


_TOKEN = re.compile(
    # A character is a word where writing knows no blanks: Thai to Burmese, Khmer, kana, Han.
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]\s*"
    r"|[^\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+\s*"
)


class DiffOp(StrEnum):
    SAME = "same"
    MISSING = "missing"
    """To be said, but not understood."""
    EXTRA = "extra"
    """Understood, but not to be said."""


DiffPiece = tuple[DiffOp, str]


def word_diff(wanted: str, heard: str) -> list[DiffPiece]:
    """The pieces that lead from ``wanted`` to ``heard``, in reading order.

    Case and punctuation make no difference; SAME pieces are spelt as in ``wanted``.
    """
    ours, theirs = _TOKEN.findall(wanted.strip()), _TOKEN.findall(heard.strip())
    matcher = SequenceMatcher(None, [_key(t) for t in ours], [_key(t) for t in theirs], autojunk=False)
    pieces: list[DiffPiece] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            _add(pieces, DiffOp.SAME, ours[i1:i2])
        else:
            _add(pieces, DiffOp.MISSING, [token for token in ours[i1:i2] if _key(token)])
            _add(pieces, DiffOp.EXTRA, [token for token in theirs[j1:j2] if _key(token)])
    return pieces


def _key(token: str) -> str:
    """What of a word is heard: nothing of a dash that stands alone."""
    return "".join(character for character in token.casefold() if character.isalnum())


def _add(pieces: list[DiffPiece], op: DiffOp, tokens: list[str]) -> None:
    if tokens:
        pieces.append((op, "".join(tokens)))


# Which lines want an ear first.


FAILED, PLANNED, LOST = "failed", "planned", "file missing"
OVERFLOW, STRETCHED, WARNING, UNMARKED = "overflow", "stretched", "warning", "no watermark"

_HEARD_OVERFLOW = 0.05
"""Seconds past the slot. Less than that nobody notices."""

_WEIGHTS = {
    FAILED: 1000.0,
    LOST: 900.0,
    "silent": 200.0,
    "wrong speaker": 150.0,
    "wrong words": 120.0,
    "clipped": 60.0,
    OVERFLOW: 30.0,
    WARNING: 20.0,
    UNMARKED: 15.0,
    STRETCHED: 10.0,
    PLANNED: 0.0,
}
_OTHER_WEIGHT = 40.0


def flags_of(row: Document, check: Document, *, lost: bool, max_stretch: float | None) -> list[str]:
    """What is the matter with a line, by its manifest row and by what a check found; in words, worst first."""
    status = row.get("status")
    flags = [status] if status in (FAILED, PLANNED) else [LOST] if lost else []
    if (number(row.get("overflow_seconds")) or 0.0) > _HEARD_OVERFLOW:
        flags.append(OVERFLOW)
    if (
        max_stretch is not None
        and max_stretch > 1
        and (number(row.get("stretch")) or 0.0) >= max_stretch - 1e-6
    ):
        flags.append(STRETCHED)
    if texts(row.get("warnings")):
        flags.append(WARNING)
    if row.get("unmarked"):
        flags.append(UNMARKED)
    flags += [flag.replace("_", " ") for flag in texts(check.get("flags"))]
    return sorted(dict.fromkeys(flags), key=lambda flag: -_WEIGHTS.get(flag, _OTHER_WEIGHT))


def badness(flags: Sequence[str], row: Document, check: Document) -> float:
    """Larger is worse: first by what is flagged, then by how far each measure lies from what one would wish.

    The scale means nothing by itself; it only orders.
    """
    # A second of speech is too little to tell a voice by.
    voice = {} if check.get("judged") is False else check
    of_flags = sum(_WEIGHTS.get(flag, _OTHER_WEIGHT) for flag in flags)
    wishes = (
        (20.0, number(check.get("wer")), 0.0),
        (-10.0, number(voice.get("similarity")), 1.0),
        (-10.0, number(voice.get("margin")), 1.0),
        (-2.0, number(voice.get("mos")), 5.0),
        (5.0, number(row.get("stretch")), 1.0),
        (10.0, number(row.get("overflow_seconds")), 0.0),
    )
    of_measures = sum(weight * (value - wish) for weight, value, wish in wishes if value is not None)
    return round(of_flags + of_measures, 4)


# The lines of a run as the page shows them.


_MEASURES = (
    "similarity",
    "margin",
    "wer",
    "mos",
    "duration_ratio",
    "loudness_db",
    "peak_db",
    "clipped_samples",
)


def lines_of(folder: ReportFolder) -> Iterator[dict[str, Any]]:
    """One row for each segment of the manifest, in its order."""
    checks = {text(row.get("id")): row for row in rows(folder.check.get("segments"))}
    stretch = mapping(mapping(folder.run.get("settings")).get("max_stretch"))
    max_stretch = number(stretch.get("value"))
    for row in rows(folder.run.get("segments")):
        yield _line(folder, row, checks.get(text(row.get("id")), {}), max_stretch)


def _line(folder: ReportFolder, row: Document, found: Document, max_stretch: float | None) -> dict[str, Any]:
    spoken = row.get("status") == "done"
    wav = folder.find(row.get("file")) if spoken else None
    peaks = read_peaks(wav) if wav else None
    check = found if wav and _is_fresh(wav, found) else {}
    flags = flags_of(row, check, lost=spoken and peaks is None, max_stretch=max_stretch)
    return {
        "id": text(row.get("id")),
        "speaker": text(row.get("speaker")),
        "text": text(row.get("text")),
        "language": text(row.get("language")),
        "status": LOST if LOST in flags else text(row.get("status")) or "unknown",
        "file": folder.link(wav),
        "peaks": asdict(peaks) if peaks else None,
        "flags": flags,
        "badness": badness(flags, row, check),
        "warnings": texts(row.get("warnings")) + _unmarked(row),
        "error": text(mapping(row.get("error")).get("message")),
        "seed": row.get("seed") if isinstance(row.get("seed"), int) else None,
        "gain_db": number(row.get("gain_db")),
        **_times(row, peaks.seconds if peaks else None),
        "check": _check(text(row.get("text")), check),
        "stale": bool(found) and not check,
    }


def _unmarked(row: Document) -> list[str]:
    why = text(row.get("unmarked"))
    return [f"It carries no watermark: {why}."] if why else []


def _times(row: Document, seconds: float | None) -> dict[str, float | None]:
    """In seconds of the recording. Older manifests say neither where a slot ends nor where a clone lies."""
    start = number(row.get("start")) or 0.0
    end = max(start, number(row.get("end")) or start)
    stretch = number(row.get("stretch"))
    placed_seconds = number(row.get("placed_seconds"))
    if placed_seconds is None and seconds is not None and stretch:
        placed_seconds = seconds / stretch
    placed_at = number(row.get("placed_at"))
    if placed_at is None and placed_seconds is not None and "placed_at" not in row:
        placed_at = start
    return {
        "start": start,
        "end": end,
        "slot_end": max(end, number(row.get("slot_end")) or end),
        "placed_at": placed_at,
        "placed_seconds": placed_seconds if placed_at is not None else None,
        "seconds": seconds,
        "stretch": stretch,
        "overflow": number(row.get("overflow_seconds")),
    }


def _is_fresh(wav: Path, check: Document) -> bool:
    """Whether a check heard this very sound."""
    try:
        return bool(check) and check.get("sha256") == file_sha256(wav)
    except OSError:
        return False


def _check(wanted: str, check: Document) -> dict[str, Any] | None:
    """What a check measured; None where there was none of this sound."""
    if not check:
        return None
    heard = check.get("heard")
    return {
        **{name: number(check.get(name)) for name in _MEASURES},
        "judged": check.get("judged") is not False,
        "nearest_other": text(check.get("nearest_other")),
        "error": text(check.get("error")) or text(mapping(check.get("error")).get("message")),
        "heard": heard if isinstance(heard, str) else None,
        "diff": word_diff(wanted, heard) if isinstance(heard, str) else None,
    }


STAGE = "report"


def content_of(folder: ReportFolder, progress: Progress) -> dict[str, Any]:
    """Times are seconds from the start of the recording. Progress: stage "report", in lines."""
    total = len(rows(folder.run.get("segments")))
    lines = []
    for line in lines_of(folder):
        lines.append(line)
        progress(ProgressEvent(STAGE, len(lines), total))
    turns = turns_of(folder)
    original, mix = _track(folder, "original.flac"), _track(folder, "mix.wav")
    return {
        "outcome": outcome_of(folder),
        "speakers": speakers_of(folder, lines, turns),
        "turns": turns,
        "lines": lines,
        "original": original,
        "mix": mix,
        "checked": bool(folder.check),
        "facts": facts_of(folder),
        "timing": timing_of(folder),
        "settings": settings_of(folder),
        "versions": versions_of(folder),
        "summary": summary_of(folder, lines),
        "gates": gates_of(folder),
        "history": corrections_of(folder),
        "consent": consent_of(folder),
        "files": files_of(folder),
        "commands": commands_of(folder),
    }


def _track(folder: ReportFolder, name: str) -> dict[str, Any] | None:
    """A track as long as the recording."""
    path = folder.find(name)
    peaks = read_peaks(path) if path else None
    return {"file": folder.link(path), "peaks": asdict(peaks)} if peaks else None
