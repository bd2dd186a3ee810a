"""What the page says of a run as a whole, whatever its lines: how it was made, what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from voiceclone_cli.report.folder import Folder
from voiceclone_cli.report.loose import Document, mapping, number, plain, rows, text, texts

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


def outcome_of(folder: Folder) -> dict[str, Any]:
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


def facts_of(folder: Folder) -> Pairs:
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


def timing_of(folder: Folder) -> dict[str, Any]:
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


def settings_of(folder: Folder) -> list[dict[str, str]]:
    settings = mapping(folder.run.get("settings"))
    known = ((name, mapping(row)) for name, row in settings.items())
    return [
        {"name": name, "value": plain(row.get("value")), "from": text(row.get("from"))} for name, row in known
    ]


def versions_of(folder: Folder) -> Pairs:
    return [(name, plain(value)) for name, value in mapping(folder.run.get("versions")).items()]


def consent_of(folder: Folder) -> Pairs:
    """Who agreed to what, one line a speaker where the document has speakers."""
    consent = dict(mapping(folder.run.get("consent")))
    speakers = consent.pop("speakers", None)
    lines = [(name, plain(value)) for name, value in mapping(speakers).items()]
    for row in rows(speakers):
        told = [plain(value) for key, value in row.items() if key != "speaker" and value not in (None, "")]
        lines.append((text(row.get("speaker")) or "?", " · ".join(told)))
    return lines + [(name, plain(value)) for name, value in consent.items() if name != "schema"]


def files_of(folder: Folder) -> list[tuple[str, str]]:
    """Label and link of what lies in the directory."""
    run = folder.run
    outputs = mapping(run.get("outputs"))
    found = [(label, folder.find(name)) for label, name in _FILES]
    found.insert(1, ("Video", folder.find(outputs.get("video"))))
    found += [(f"Stem of {name}", folder.find(path)) for name, path in mapping(outputs.get("stems")).items()]
    return [(label, link) for label, path in found if (link := folder.link(path)) is not None]


def commands_of(folder: Folder) -> dict[str, str]:
    """What to type for the next step; a redo takes the lines' ids after it."""
    quoted = shlex.quote(str(folder.root))
    return {"check": f"voiceclone check {quoted}", "redo": f"voiceclone redo {quoted}"}


def summary_of(folder: Folder, lines: Sequence[Document]) -> dict[str, float | None]:
    """What the check says of the run as a whole; nothing where a line has been spoken anew since."""
    summary = {} if any(line["stale"] for line in lines) else mapping(folder.check.get("summary"))
    return {name: number(summary.get(name)) for name in ("similarity", "margin", "wer", "mos")}


def gates_of(folder: Folder) -> list[dict[str, str]]:
    """The gates that the last check missed: which, the line or speaker, what was wanted and measured."""
    return [
        {
            "code": text(row.get("gate")),
            "segment": text(row.get("segment")),
            "message": ": ".join(filter(None, (text(row.get("speaker")), text(row.get("message"))))),
        }
        for row in rows(folder.check.get("offences"))
    ]
