"""Content of the report: everything that the page shows, from the documents and sounds of a run directory."""

from __future__ import annotations

import base64
import math
import os
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.evaluation.text import WER
from voiceclone_cli.files import file_sha256
from voiceclone_cli.languages import name_of
from voiceclone_cli.mixing.slots import AUDIBLE_OVERFLOW
from voiceclone_cli.report.word_diff import word_diff
from voiceclone_cli.rundir import manifest
from voiceclone_cli.script.sounds import omitted_summary
from voiceclone_cli.script.speakers import describe_found_by
from voiceclone_cli.system import quoted_command
from voiceclone_cli.types import Progress, ProgressEvent, Turn
from voiceclone_worker.tags import without_tags

STAGE = "report"

Document = Mapping[str, Any]
"""JSON data whose values may have any type: check.json, which may be edited, and untyped parts of the manifest."""
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ReportFolder:
    """A run directory with its documents. Made by ``open_report_folder``."""

    root: Path
    run: manifest.Manifest
    check: Document
    """check.json; empty without an evaluation."""
    notes: tuple[str, ...] = ()
    """Sentences for readers of the report."""

    def find(self, name: object) -> Path | None:
        """Return the path of a file in this directory by its path in the manifest; None if it does not exist.

        Absolute paths in a directory that was moved are resolved. Paths outside the directory are ignored.
        """
        if not _text(name):
            return None
        path = Path(_text(name))
        old_root = Path(self.run.run_dir or self.root)
        if path.is_relative_to(old_root):
            path = path.relative_to(old_root)
        path = self.root / path
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        is_inside = path.is_relative_to(self.root) and real.is_relative_to(self.root.resolve())
        return path if is_inside and real.is_file() else None

    def link(self, path: Path | None) -> str | None:
        """Return a relative URL of a file in this directory, with every special character quoted."""
        if path is None:
            return None
        return "/".join(quote(os.fsencode(part), safe="") for part in path.relative_to(self.root).parts)


def open_report_folder(root: Path) -> ReportFolder:
    """Read the documents of a run directory. Raises InputError, as ``Manifest.load`` does."""
    root = root.absolute()
    run = manifest.Manifest.load(root)
    file = manifest.RunPaths(root).check
    check = manifest.json_object(file)
    if check.get("schema") == manifest.CHECK_SCHEMA:
        return ReportFolder(root, run, check)
    notes = ("check.json cannot be read: run `voiceclone check` again.",) if file.exists() else ()
    return ReportFolder(root, run, {}, notes)


def content_of(folder: ReportFolder, progress: Progress) -> dict[str, Any]:
    """Return the content as JSON data. Times are seconds from the start of the recording.

    Progress: stage "report", in lines.
    """
    run = folder.run
    lines = []
    for line in lines_of(folder):
        lines.append(line)
        progress(ProgressEvent(STAGE, len(lines), len(run.segments)))
    return {
        "outcome": outcome_of(folder),
        "speakers": speakers_of(folder, lines),
        "turns": [turn for turn in run.turns if turn["end"] > turn["start"]],
        "lines": lines,
        "original": _track(folder, "original.flac"),
        "mix": _track(folder, "mix.wav"),
        "checked": bool(folder.check),
        "translated_from": _text((run.translation or {}).get("from")),
        "facts": facts_of(folder),
        "timing": timing_of(folder),
        "omitted": omitted_of(folder),
        "settings": [
            {"name": name, "value": plain(row.get("value")), "from": _text(row.get("from"))}
            for name, row in run.settings.items()
        ],
        "versions": list(run.versions.items()),
        "summary": summary_of(folder, lines),
        "error_rate": next((line["check"]["error_rate"] for line in lines if line["check"]), WER),
        "gates": gates_of(folder),
        "history": [_correction(row) for row in run.history],
        "consent": consent_of(folder),
        "files": files_of(folder),
        "commands": {
            **{verb: quoted_command(["voiceclone", verb, str(folder.root)]) for verb in ("check", "redo")},
            "quote": quoted_command(["two words"])[0],
        },
    }


def _track(folder: ReportFolder, name: str) -> dict[str, Any] | None:
    path = folder.find(name)
    peaks = read_peaks(path) if path else None
    return {"file": folder.link(path), "peaks": peaks} if peaks else None


# Values of any type: those of another type than expected are empty or None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _objects(value: object) -> list[Document]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    """Return a finite number, else None: Python's JSON parser accepts NaN and Infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def plain(value: object) -> str:
    """Return any JSON value in a few words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return str(value)


# The run as a whole

_OUTCOMES = {
    "success": ("Complete", "Every line was synthesized.", 0),
    "partial": ("Partial", "Some lines could not be synthesized.", 3),
    "error": ("Failed", "The run has no result.", 1),
    "planned": ("Planned", "The run stopped before the synthesis, as requested.", 0),
    "running": ("Unfinished", "It is in progress or was interrupted: run the same command again.", None),
}
_UNKNOWN = ("Unknown", "run.json has no known status.", None)

_FILES = (
    ("Mix", "mix.wav"),
    ("Original", "original.flac"),
    ("Script, to edit", "script.json"),
    ("Subtitles", "script.srt"),
    ("Turns", "diarization.rttm"),
    ("Check", "check.json"),
    ("Corrections", "corrections.json"),
    ("Consent", "consent.json"),
    ("Manifest", "run.json"),
)


def outcome_of(folder: ReportFolder) -> dict[str, Any]:
    """Return the content of the page's header and notices."""
    run = folder.run
    label, meaning, code = _OUTCOMES.get(run.status, _UNKNOWN)
    return {
        "name": PurePath(_text(run.input.get("path"))).name or folder.root.name,
        "seconds": _number(run.input.get("seconds")),
        "sound": _sound_format(run.input),
        "status": run.status,
        "label": label,
        "meaning": meaning,
        "exit_code": code,
        "engine": run.engine,
        "notes": [*folder.notes, *run.notes, *_texts(folder.check.get("notes"))],
        "errors": [
            {name: _text(row.get(name)) for name in ("code", "message", "segment")} for row in run.errors
        ],
    }


def _sound_format(source: Document) -> str:
    rate, channels = _number(source.get("rate")), _number(source.get("channels"))
    parts = ["video"] if source.get("video") is True else []
    if rate is not None:
        parts.append(f"{rate / 1000:g} kHz")
    if channels is not None:
        parts.append({1.0: "mono", 2.0: "stereo"}.get(channels, f"{channels:g} channels"))
    return ", ".join(parts)


def facts_of(folder: ReportFolder) -> Pairs:
    """Return the known facts of the run by label."""
    run = folder.run
    facts = {
        "Input": _text(run.input.get("path")),
        "Run directory": str(folder.root),
        "Engine": ": ".join(filter(None, (run.engine, run.engine_why))),
        "Diarizer": ": ".join(filter(None, (run.diarizer, run.diarizer_why))),
        "Script from": run.script_from,
        "Language": ", because ".join(filter(None, (run.language, run.language_why))),
        "Translation": _translation(run.translation or {}),
        "Speakers found": describe_found_by(run.speakers_found),
        "Mode": run.mode,
        "Background": run.background,
        "Watermark": run.watermark or ("none: the audio is not marked as synthetic" if run.versions else ""),
    }
    return [(name, value) for name, value in facts.items() if value]


def _translation(document: Document) -> str:
    """Return how many lines were translated, between which languages and by what; empty without a translation."""
    done, failed = _number(document.get("done")), _number(document.get("failed"))
    if done is None or failed is None:
        return ""
    source, target = (name_of(_text(document.get(key))) for key in ("from", "to"))
    by = f"{_text(document.get('translator'))} ({_text(document.get('destination'))})"
    return f"{done:.0f} of {done + failed:.0f} lines from {source} to {target}, by {by}"


def timing_of(folder: ReportFolder) -> dict[str, Any]:
    """Return the seconds of each stage and of the workers, in the order of the manifest, and what was reused."""
    run = folder.run
    workers = run.timing.get("workers")
    stages = [
        {"name": name, "seconds": seconds, "peak_mb": _number(run.peak_memory_mb.get(name))}
        for name, value in run.timing.items()
        if name != "total" and (seconds := _number(value)) is not None
    ]
    return {
        "total": _number(run.timing.get("total")),
        "stages": stages,
        "workers": [
            {"name": name, "seconds": seconds}
            for name, value in (workers.items() if isinstance(workers, dict) else ())
            if (seconds := _number(value)) is not None
        ],
        "reused_stages": run.reused_stages,
        "reused_lines": run.reused,
    }


MAX_OMITTED = 1_000
"""Texts that are not spoken on the page; run.json has all."""


def omitted_of(folder: ReportFolder) -> dict[str, Any] | None:
    """Return the texts of the script that are not spoken, with a summary; None without any."""
    omitted = folder.run.omitted
    if not omitted:
        return None
    more = f"; run.json has {len(omitted) - MAX_OMITTED:,} more" if len(omitted) > MAX_OMITTED else ""
    return {
        "summary": omitted_summary([row["reason"] for row in omitted]) + more,
        "rows": omitted[:MAX_OMITTED],
    }


def consent_of(folder: ReportFolder) -> Pairs:
    """Return the consent of each speaker, and the other values of the record."""
    consent = dict(folder.run.consent or {})
    pairs = []
    for row in _objects(consent.pop("speakers", None)):
        values = [plain(value) for key, value in row.items() if key != "speaker" and value not in (None, "")]
        pairs.append((_text(row.get("speaker")) or "?", " · ".join(values)))
    return pairs + [(name, plain(value)) for name, value in consent.items() if name != "schema"]


def files_of(folder: ReportFolder) -> Pairs:
    """Return labels and links of the files in the directory."""
    outputs = folder.run.outputs
    found = [(label, folder.find(name)) for label, name in _FILES]
    found.insert(1, ("Video", folder.find(outputs.get("video"))))
    stems = outputs.get("stems")
    if isinstance(stems, dict):
        found += [(f"Stem of {name}", folder.find(path)) for name, path in stems.items()]
    return [(label, link) for label, path in found if (link := folder.link(path)) is not None]


def _correction(row: Document) -> dict[str, Any]:
    """Return when (ISO 8601, UTC), the line's id or None, what was done, and each change as (what, before, after)."""
    kind = _text(row.get("kind"))
    old, new = _text(row.get("from")), _text(row.get("to"))
    descriptions = {
        "line": "synthesized again",
        "rename": "speaker renamed",
        "merge": f"two speakers merged ({_number(row.get('lines')) or 0:g} lines)",
        "split": "split",
        "join": "joined",
        "drop": "dropped",
        "move": "moved",
    }
    changes = [("speaker", old, new)] if kind in ("rename", "merge") else []
    if kind == "move":
        changes.append(("start", plain(row.get("from")), plain(row.get("to"))))
    before = row.get("was")
    if texts := _texts(before):
        changes.append(("text", " | ".join(texts), " | ".join(_texts(row.get("texts")))))
    if kind == "line" and isinstance(before, dict):
        for name in ("text", "speaker", "seed"):
            old_value, value = before.get(name), row.get(name)
            if value is not None and value != old_value:
                changes.append((name, "" if old_value is None else plain(old_value), plain(value)))
    return {
        "at": _text(row.get("at")),
        "line": _text(row.get("id")) or ", ".join(_texts(row.get("lines"))) or None,
        "done": descriptions.get(kind) or plain({key: value for key, value in row.items() if key != "at"}),
        "changes": changes,
    }


def summary_of(folder: ReportFolder, lines: Sequence[Document]) -> dict[str, float | None]:
    """Return the check's measures of the whole run; None each if a line has changed since the check."""
    found = folder.check.get("summary")
    summary = found if isinstance(found, dict) and not any(line["stale"] for line in lines) else {}
    return {name: _number(summary.get(name)) for name in ("similarity", "margin", "wer", "mos")}


def gates_of(folder: ReportFolder) -> list[dict[str, str]]:
    """Return the failed gates of the last check: gate, line, and a message with the speaker."""
    return [
        {
            "code": _text(row.get("gate")),
            "segment": _text(row.get("segment")),
            "message": ": ".join(filter(None, (_text(row.get("speaker")), _text(row.get("message"))))),
        }
        for row in _objects(folder.check.get("offences"))
    ]


# Speakers


def speakers_of(folder: ReportFolder, lines: Sequence[Document]) -> list[dict[str, Any]]:
    """Return the speakers of the manifest, then any others of lines and turns."""
    known = {speaker["name"]: speaker for speaker in folder.run.speakers}
    names = [*known, *(line["speaker"] for line in lines), *(turn["speaker"] for turn in folder.run.turns)]
    return [_speaker(folder, name, known.get(name), lines) for name in dict.fromkeys(names)]


def _speaker(
    folder: ReportFolder, name: str, speaker: manifest.ManifestSpeaker | None, lines: Sequence[Document]
) -> dict[str, Any]:
    own = [line for line in lines if line["speaker"] == name]
    scores = {_text(row.get("speaker")): row for row in _objects(folder.check.get("voices"))}
    score = scores.get(name, {}) if any(line["check"] for line in own) else {}
    wav = folder.find(speaker["reference"]) if speaker else None
    return {
        "name": name,
        "speech_seconds": speaker["speech_seconds"] if speaker else None,
        "segments": len(own),
        "done": sum(line["status"] == "done" for line in own),
        "similarity": _number(score.get("similarity")),
        "margin": _number(score.get("margin")),
        "nearest_other": _text(score.get("nearest_other")),
        "compared_with": _text(score.get("source")),
        "reference": folder.link(wav),
        "reference_peaks": read_peaks(wav) if wav else None,
        "reference_seconds": speaker["reference_seconds"] if speaker else None,
        "reference_text": speaker["reference_text"] if speaker else "",
        "warnings": speaker["warnings"] if speaker else [],
    }


# Lines

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
    """Yield the content of each segment of the manifest, in its order."""
    checks = {_text(row.get("id")): row for row in _objects(folder.check.get("segments"))}
    max_stretch = _number(folder.run.settings.get("max_stretch", {}).get("value"))
    uncertain = TurnIndex(
        turn
        for row in folder.run.turns
        if (turn := Turn(row["start"], row["end"], row["speaker"], row.get("margin"))).is_uncertain
    )
    for segment in folder.run.segments:
        is_uncertain = _is_mostly_in(segment, uncertain)
        yield _line(folder, segment, checks.get(segment["id"], {}), max_stretch, is_uncertain=is_uncertain)


def _is_mostly_in(segment: manifest.ManifestSegment, turns: TurnIndex) -> bool:
    """Return whether turns of the line's speaker cover half of the line."""
    start, end = segment["start"], segment["end"]
    shared = sum(
        seconds for turn, seconds in turns.overlapping(start, end) if turn.speaker == segment["speaker"]
    )
    return shared > 0.5 * (end - start)


def _line(
    folder: ReportFolder,
    segment: manifest.ManifestSegment,
    found: Document,
    max_stretch: float | None,
    *,
    is_uncertain: bool,
) -> dict[str, Any]:
    is_done = segment["status"] == "done"
    wav = folder.find(segment["file"]) if is_done else None
    peaks = read_peaks(wav) if wav else None
    check = found if wav and _is_current(wav, found) else {}
    flags = flags_of(
        segment,
        check,
        is_lost=is_done and peaks is None,
        max_stretch=max_stretch,
        is_uncertain=is_uncertain,
    )
    unmarked, text = segment["unmarked"], segment["text"]
    # A stage direction that was kept is in the line, but no word that is spoken.
    words = text if folder.run.request.get("tags") is None else without_tags(text)
    return {
        "id": segment["id"],
        "speaker": segment["speaker"],
        "text": text,
        "original": segment.get("original", ""),
        "language": segment["language"],
        "status": LOST if LOST in flags else segment["status"],
        "file": folder.link(wav),
        "peaks": peaks,
        "flags": flags,
        "badness": badness(flags, segment, check),
        "warnings": segment["warnings"] + ([f"It has no watermark: {unmarked}."] if unmarked else []),
        "error": _text((segment["error"] or {}).get("message")),
        "seed": segment["seed"],
        "gain_db": segment["gain_db"],
        "start": segment["start"],
        "end": segment["end"],
        "slot_end": segment["slot_end"],
        "expected": segment.get("expected_seconds"),
        "expected_overflow": segment.get("expected_overflow_seconds"),
        "placed_at": segment["placed_at"],
        "placed_seconds": segment["placed_seconds"],
        "seconds": peaks["seconds"] if peaks else None,
        "stretch": segment["stretch"],
        "overflow": segment["overflow_seconds"],
        "check": _line_check(words, segment["language"], check),
        "stale": bool(found) and not check,
    }


def _is_current(wav: Path, check: Document) -> bool:
    """Return whether a check measured this very file."""
    try:
        return bool(check) and check.get("sha256") == file_sha256(wav)
    except OSError:
        return False


def _line_check(text: str, language: str, check: Document) -> dict[str, Any] | None:
    if not check:
        return None
    transcript, error = check.get("heard"), check.get("error")
    not_scored = _text(check.get("words_not_scored")) or None
    return {
        **{name: _number(check.get(name)) for name in _MEASURES},
        "scored": check.get("judged") is not False,
        "nearest_other": _text(check.get("nearest_other")),
        "error": _text(error.get("message") if isinstance(error, dict) else error),
        "transcript": transcript if isinstance(transcript, str) else None,
        "error_rate": _text(check.get("error_rate")) or WER,
        "not_scored": not_scored,
        "diff": None
        if not_scored or not isinstance(transcript, str)
        else word_diff(text, transcript, language),
    }


FAILED, PLANNED, LOST = "failed", "planned", "file missing"
OVERFLOW, STRETCHED, WARNING, UNMARKED = "overflow", "stretched", "warning", "no watermark"
UNCERTAIN = "uncertain speaker"

_WEIGHTS = {
    FAILED: 1000.0,
    LOST: 900.0,
    "silent": 200.0,
    "wrong speaker": 150.0,
    "wrong words": 120.0,
    "clipped": 60.0,
    OVERFLOW: 30.0,
    UNCERTAIN: 25.0,
    WARNING: 20.0,
    UNMARKED: 15.0,
    STRETCHED: 10.0,
    PLANNED: 0.0,
}
_DEFAULT_WEIGHT = 40.0


def flags_of(
    segment: manifest.ManifestSegment,
    check: Document,
    *,
    is_lost: bool,
    max_stretch: float | None,
    is_uncertain: bool = False,
) -> list[str]:
    """Return the problems of a line, from the manifest and from a check, worst first.

    ``is_lost``: whether its wav cannot be read. ``is_uncertain``: whether its turn may be of another speaker.
    """
    status, stretch = segment["status"], segment["stretch"] or 0.0
    flags = [status] if status in (FAILED, PLANNED) else [LOST] if is_lost else []
    if (segment["overflow_seconds"] or 0.0) > AUDIBLE_OVERFLOW:
        flags.append(OVERFLOW)
    if max_stretch is not None and max_stretch > 1 and stretch >= max_stretch - 1e-6:
        flags.append(STRETCHED)
    if segment["warnings"]:
        flags.append(WARNING)
    if segment["unmarked"]:
        flags.append(UNMARKED)
    if is_uncertain:
        flags.append(UNCERTAIN)
    flags += [flag.replace("_", " ") for flag in _texts(check.get("flags"))]
    return sorted(dict.fromkeys(flags), key=lambda flag: -_WEIGHTS.get(flag, _DEFAULT_WEIGHT))


def badness(flags: Sequence[str], segment: manifest.ManifestSegment, check: Document) -> float:
    """Return a number that orders lines from best to worst: by flags, then by the distance of measures from ideals."""
    # A second of speech is too little to compare voices.
    voice = {} if check.get("judged") is False else check
    measures = (
        (20.0, _number(check.get("wer")), 0.0),
        (-10.0, _number(voice.get("similarity")), 1.0),
        (-10.0, _number(voice.get("margin")), 1.0),
        (-2.0, _number(voice.get("mos")), 5.0),
        (5.0, segment["stretch"], 1.0),
        (10.0, segment["overflow_seconds"], 0.0),
    )
    by_flags = sum(_WEIGHTS.get(flag, _DEFAULT_WEIGHT) for flag in flags)
    by_measures = sum(weight * (value - ideal) for weight, value, ideal in measures if value is not None)
    return round(by_flags + by_measures, 4)


# Waveforms: the loudest sample of every hundredth of a second, a byte each

PEAKS_PER_SECOND = 100.0
"""Enough to see the burst of a consonant when a line fills the window."""
MAX_PEAKS = 240_000
"""Peaks of one file; recordings of more than 40 minutes have fewer per second."""
_PEAKS_PER_BLOCK = 2_000


def read_peaks(path: Path) -> dict[str, Any] | None:
    """Return the waveform of an audio file over all its channels; None if it cannot be read.

    ``seconds``, ``per_second``, and ``base64``: a byte for each peak, 255 is full scale.
    """
    try:
        # Opened here, since libsndfile's wrapper accepts Unicode names only.
        with path.open("rb") as file, soundfile.SoundFile(file) as sound:
            seconds = sound.frames / sound.samplerate
            is_short = seconds * PEAKS_PER_SECOND <= MAX_PEAKS
            per_second = PEAKS_PER_SECOND if is_short else MAX_PEAKS / seconds
            peaks = _peaks(sound, sound.samplerate / per_second)
    except (soundfile.LibsndfileError, OSError):
        return None
    encoded = base64.b64encode(peaks.tobytes()).decode("ascii")
    return {"seconds": seconds, "per_second": per_second, "base64": encoded}


def _peaks(sound: typing.Any, frames_each: float) -> NDArray[np.uint8]:
    count = int(np.ceil(sound.frames / frames_each))
    # Rounded from exact times, so that a long file does not drift.
    bounds = np.minimum(np.rint(np.arange(count + 1) * frames_each), sound.frames).astype(np.int64)
    peaks = np.zeros(count, np.uint8)
    for first in range(0, count, _PEAKS_PER_BLOCK):
        edges = bounds[first : first + _PEAKS_PER_BLOCK + 1]
        block = sound.read(int(edges[-1] - edges[0]), dtype="float32", always_2d=True)
        starts = edges[:-1] - edges[0]
        # A file that ends before its header says so has no more peaks.
        starts = starts[starts < len(block)]
        if not len(starts):
            break
        loudest = np.maximum.reduceat(np.abs(block).max(axis=1), starts)
        peaks[first : first + len(starts)] = np.rint(255 * np.clip(np.nan_to_num(loudest), 0, 1))
    return peaks
