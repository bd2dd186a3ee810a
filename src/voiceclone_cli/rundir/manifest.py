"""The files of a run directory, and its manifest: run.json, which says what a run was asked for and what came of it.

A run writes it when it starts (status "running") and when it ends; ``--json`` prints the same document.
"""

from __future__ import annotations

import json
import math
import types
import typing
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from voiceclone_cli.errors import InputError, Stopped, VoicecloneError
from voiceclone_cli.files import friendly_errors, write_text_atomic
from voiceclone_worker.validation import dump_json

MANIFEST = "run.json"
OWNER = ".owner"
"""Names the input, should the manifest be damaged."""
CHECK_SCHEMA = "voiceclone.check/1"
"""Of check.json, which `voiceclone check` writes and the report reads."""
FOLDERS = ("logs", "segments", "speakers", "stages", "stems", "tasks")


class RunPaths:
    """The paths of a run directory, whether or not anything is there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / MANIFEST
        self.rttm = root / "diarization.rttm"
        self.script_json = root / "script.json"
        self.script_srt = root / "script.srt"
        self.corrections = root / "corrections.json"
        self.consent = root / "consent.json"
        self.speakers = root / "speakers"
        self.segments = root / "segments"
        self.stems = root / "stems"
        self.mix = root / "mix.wav"
        self.original = root / "original.flac"
        """The recording's audio, for the report to play."""
        self.report = root / "report.html"
        self.check = root / "check.json"
        self.logs = root / "logs"
        self.tasks = root / "tasks"
        self.stages = root / "stages"

    def script_given(self, suffix: str) -> Path:
        """Return the copy of the run's own script as it was given to ``--script``; ``suffix`` with its dot."""
        return self.root / f"script.given{suffix}"

    def video(self, suffix: str) -> Path:
        """Return the new video; ``suffix`` is that of the container, with its dot."""
        return self.root / f"output{suffix}"

    def segment_wav(self, segment_id: str) -> Path:
        """Return the audio of a segment."""
        return self.segments / f"{segment_id}.wav"

    def segment_note(self, segment_id: str) -> Path:
        """Return the file that says what the audio of a segment was made from."""
        return self.segments / f"{segment_id}.json"


RUN_SCHEMA = "voiceclone.run/1"
MAX_BYTES = 200 * 2**20

RUNNING = "running"
SUCCESS, PARTIAL, ERROR, PLANNED = "success", "partial", "error", "planned"
"""States of a run. "planned": it ended where ``--until`` asked, before a segment was synthesized."""
EXIT_CODES = {SUCCESS: 0, PARTIAL: 3, ERROR: 1, PLANNED: 0}


class ManifestSegment(TypedDict):
    """A segment of the script, and what came of it. Times in seconds, gain in dB."""

    id: str
    speaker: str
    start: float
    end: float
    text: str
    original: NotRequired[str]
    """What the text is a translation of; empty for a text that is no translation. Earlier manifests lack it."""
    language: str
    slot_end: float
    expected_seconds: NotRequired[float | None]
    """Length that was expected before the segment was synthesized, unhurried. Earlier manifests lack both."""
    expected_overflow_seconds: NotRequired[float | None]
    """How far past its slot it was expected to be heard at ``--max-stretch``; 0.0 where it fits."""
    status: str
    file: str | None
    seconds: float | None
    seed: int | None
    attempts: int
    sha256: str | None
    error: dict[str, Any] | None
    placed_at: float | None
    placed_seconds: float | None
    stretch: float | None
    overflow_seconds: float | None
    gain_db: float | None
    warnings: list[str]
    unmarked: str | None


class ManifestSpeaker(TypedDict):
    """A speaker of the script, and the reference of the clone."""

    name: str
    speech_seconds: float
    segments: int
    reference: str
    reference_seconds: float
    reference_text: str
    reference_spans: list[list[float]]
    """In the recording; empty where the user gave the reference."""
    warnings: list[str]


class ManifestTurn(TypedDict):
    """Who speaks from when to when, in seconds."""

    start: float
    end: float
    speaker: str
    margin: NotRequired[float | None]
    """As in ``Turn``; manifests of version 0.15 and before lack it."""


class ManifestOmission(TypedDict):
    """Text of the script file that is not spoken. Times in seconds; None where the file has none."""

    where: str
    start: float | None
    end: float | None
    text: str
    reason: str


@dataclass(slots=True)
class Manifest:
    """run.json; the fields are its keys, in its order. Paths are absolute."""

    status: str
    run_dir: str | None
    engine: str = ""
    engine_why: str = ""
    mode: str = ""
    speakers: list[ManifestSpeaker] = field(default_factory=list)
    segments: list[ManifestSegment] = field(default_factory=list)
    omitted: list[ManifestOmission] = field(default_factory=list)
    speakers_found: dict[str, int] = field(default_factory=dict)
    """Number of segments by the way their speaker was found, for a script file."""
    reused: int = 0
    """Number of segments that an earlier run made."""
    reused_stages: list[str] = field(default_factory=list)
    turns: list[ManifestTurn] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of all audio and video, by the file's name in the run directory."""
    background: str = ""
    watermark: str | None = None
    consent: dict[str, Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    timing: dict[str, Any] = field(default_factory=dict)
    peak_memory_mb: dict[str, Any] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    input: dict[str, Any] = field(default_factory=dict)
    diarizer: str = ""
    diarizer_why: str = ""
    script_from: str = ""
    language: str = ""
    """BCP 47 tag; a segment may have another one."""
    language_why: str = ""
    translation: dict[str, Any] | None = None
    """How the script was translated: languages, translator, where its lines went, and how many failed."""
    request: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Of voiceclone, Python and packages; empty as long as a run has no result."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document. Without a result it has only the keys whose values are known."""
        values = asdict(self)
        if not self.versions:
            always = {"status", "run_dir"}
            always |= {"segments", "outputs", "errors"} if self.status != RUNNING else set()
            values = {name: value for name, value in values.items() if value or name in always}
        return {"schema": RUN_SCHEMA, **values}

    def save(self, root: Path) -> None:
        """Write run.json. Raises RunError when it cannot be written."""
        with friendly_errors(root):
            write_text_atomic(root / MANIFEST, dump_json(self.to_dict(), indent=1) + "\n")

    def add_failure(self, reason: VoicecloneError | Stopped) -> None:
        """Record that the run ended before it had a result, or that the result could not be written."""
        if isinstance(reason, Stopped):
            code, message = "interrupted", "the run was stopped"
        else:
            code, message = reason.code, reason.message
        error = {"code": code, "message": message, "segment": None}
        self.status = ERROR
        self.errors = [error, *(other for other in self.errors if other != error)]

    @classmethod
    def load(cls, root: Path) -> Manifest:
        """Read run.json of a run directory, and check the type of every value.

        Raises InputError: ``not_a_run_directory``, ``manifest_damaged``, ``run_schema``.
        """
        path = root / MANIFEST
        try:
            with suppress(OSError):
                if path.stat().st_size > MAX_BYTES:
                    raise ValueError("it is larger than 200 MB")
            document = json.loads(path.read_text(encoding="utf-8"))
            schema = document.pop("schema")
        except OSError as error:
            raise InputError(
                f"{root} is not a run directory: there is no {MANIFEST} in it that can be read "
                f"({error.strerror}); give the folder that `voiceclone run` wrote",
                code="not_a_run_directory",
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise damaged(root, error) from error
        if schema != RUN_SCHEMA:
            raise InputError(
                f"{root} was written by another version ({schema!r:.40}): give its `voiceclone run` again with "
                "this one",
                code="run_schema",
            )
        hints = typing.get_type_hints(cls)
        known = {name: value for name, value in document.items() if name in hints}
        for name, value in known.items():
            if not has_type(value, hints[name]):
                raise damaged(root, TypeError(name))
        try:
            return cls(**known)
        except TypeError as error:  # the status is missing
            raise damaged(root, error) from error


def failure_document(reason: VoicecloneError | Stopped) -> dict[str, Any]:
    """Return what ``--json`` prints of a run that ended before it had a result."""
    manifest = Manifest(ERROR, None)
    manifest.add_failure(reason)
    return manifest.to_dict()


def damaged(root: Path, error: Exception) -> InputError:
    """Return the error for a manifest that does not hold what it should."""
    return InputError(
        f"{root / MANIFEST} is damaged ({type(error).__name__}: {error}): give its `voiceclone run` again",
        code="manifest_damaged",
    )


def has_type(value: Any, hint: Any) -> bool:
    """Return whether a value of a JSON document has a type; floats have to be finite."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType, NotRequired):
        return any(has_type(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list) and all(has_type(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(has_type(item, parts[1]) for item in value.values())
    if typing.is_typeddict(hint):
        fields = typing.get_type_hints(hint, include_extras=True)
        return isinstance(value, dict) and all(
            has_type(value[name], part) if name in value else typing.get_origin(part) is NotRequired
            for name, part in fields.items()
        )
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, hint)


def json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty where there is none, or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
