"""Results of an evaluation, and the finished run that it measures.

Times in seconds, levels in dB; None is what could not be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.evaluation.text import WER
from voiceclone_cli.files import are_safe_names, file_sha256
from voiceclone_cli.rundir.manifest import RUNNING, Manifest, RunPaths, damaged
from voiceclone_cli.types import AudioChoice, Turn


class Flag(StrEnum):
    """Problems of a segment, whatever the gates; `flags_of` has their limits."""

    FAILED = "failed"
    """The run did not synthesize it."""
    UNREADABLE = "unreadable"
    """Its wav is missing or damaged."""
    ALTERED = "altered"
    """Its wav is not the one that the run wrote."""
    SILENT = "silent"
    CLIPPED = "clipped"
    WRONG_SPEAKER = "wrong_speaker"
    WRONG_WORDS = "wrong_words"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    OFF_LEVEL = "off_level"


class VoiceSource(StrEnum):
    """The audio that a speaker's clones are compared with."""

    AUTO = "auto"
    """The speaker's own speech in the recording; a reference of the user's where one was given, unless it is
    clearly the voice of another speaker of the recording."""
    RECORDING = "recording"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Limits that a run has to keep; None sets no limit."""

    min_similarity: float | None = None
    min_margin: float | None = None
    max_wer: float | None = None
    min_mos: float | None = None
    baseline: Path | None = None
    """check.json of an earlier run, or the run directory or run.json beside it."""

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return self != GateLimits()


@dataclass(frozen=True, slots=True)
class SegmentScore:
    """Measurements of one segment."""

    id: str
    speaker: str
    text: str
    words: int
    """Number of words of the text, or characters, as they are compared."""
    flags: tuple[Flag, ...]
    sha256: str | None = None
    """Of the wav that was measured."""
    similarity: float | None = None
    """Cosine of CAM++ embeddings to the speaker's voice: real speech has .9 to itself, .4 to others."""
    margin: float | None = None
    """Similarity to the own speaker less that to the nearest other; below 0 it sounds like the other."""
    nearest_other: str | None = None
    wer: float | None = None
    word_errors: int | None = None
    error_rate: str = WER
    """What ``wer`` and its counts are of: words (WER), or characters (CER)."""
    words_not_scored: str | None = None
    """Reason why recognised words were not compared."""
    transcript: str | None = None
    """Recognised words; "heard" in check.json."""
    mos: float | None = None
    """DNSMOS P.835, overall: 1 (bad) to 5 (excellent)."""
    duration_ratio: float | None = None
    """Duration in the mix over the duration of the original."""
    loudness_db: float | None = None
    """Level in the mix over the original's in the same place."""
    peak_db: float | None = None
    clipped_samples: int | None = None
    seconds: float | None = None
    scored: bool = False
    """Whether it is long enough for reliable measurements; a shorter one misses no gate. "judged" in check.json."""
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SpeakerScore:
    """Measurements of all clones of a speaker together."""

    speaker: str
    source: VoiceSource
    """RECORDING or REFERENCE."""
    seconds: float
    """Of the speech that clones are compared with."""
    similarity: float | None
    margin: float | None
    nearest_other: str | None
    scored: bool


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """Measurements of a run. Means are over the segments that are long enough, weighted by their seconds."""

    segments: int
    done: int
    scored: int
    flagged: int
    similarity: float | None
    margin: float | None
    wer: float | None
    """All word errors over all words."""
    mos: float | None
    duration_ratio: float | None
    """Median."""
    error_rate: str = WER
    """WER, CER, or both ("WER/CER") where some lines are counted by words and others by characters."""


@dataclass(frozen=True, slots=True)
class GateFailure:
    """A gate that was missed. ``segment`` is None for all lines of a speaker, or of the run."""

    gate: str
    segment: str | None
    speaker: str | None
    message: str
    """Measured value and limit."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Measurements of a run directory, and the gates that it missed."""

    run_dir: Path
    rows: tuple[SegmentScore, ...]
    voices: tuple[SpeakerScore, ...]
    summary: EvaluationSummary
    gates: GateLimits
    gate_failures: tuple[GateFailure, ...]
    models: Mapping[str, str]
    """Model of each measurement."""
    notes: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether no gate was missed."""
        return not self.gate_failures


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run directory whose run has ended; it may have been moved since."""

    root: Path
    manifest: Manifest
    turns: tuple[Turn, ...]
    user_references: frozenset[str]
    """Speakers whose reference the user gave."""
    recording: Path | None
    """Audio of the original; None where it is no longer available."""
    audio: AudioChoice = AudioChoice()  # noqa: RUF009
    """The part of it that the run read."""

    def wav(self, segment_id: str) -> Path:
        """Return the path of a segment's wav."""
        return RunPaths(self.root).segment_wav(segment_id)

    def references(self) -> dict[str, Path]:
        """Return the references that exist, by speaker."""
        folder = RunPaths(self.root).speakers
        paths = {
            speaker["name"]: folder / speaker["name"] / "reference.wav" for speaker in self.manifest.speakers
        }
        return {name: path for name, path in paths.items() if path.is_file()}


def read_finished_run(root: Path) -> FinishedRun:
    """Read a run directory.

    Raises InputError for another folder, for a run that has not ended, and for one without synthesized segments.
    """
    root = root.absolute()
    manifest = Manifest.load(root)
    if manifest.status == RUNNING:
        raise InputError(
            f"the run in {root} has not ended: wait for it, or give its command again", code="run_not_ended"
        )
    if not any(segment["status"] == "done" for segment in manifest.segments):
        raise InputError(
            f"no segment of {root} was synthesized: give its `voiceclone run` again first",
            code="nothing_to_check",
        )
    try:
        ids = {segment["id"] for segment in manifest.segments}
        names = {speaker["name"] for speaker in manifest.speakers}
        if not are_safe_names(ids) or not are_safe_names(names | {s["speaker"] for s in manifest.segments}):
            raise ValueError("a name in it cannot be the name of a file")
        without_spans = {speaker["name"] for speaker in manifest.speakers if not speaker["reference_spans"]}
        given = without_spans | {*(manifest.request.get("references") or {})}
        turns = tuple(Turn(turn["start"], turn["end"], turn["speaker"]) for turn in manifest.turns)
        recording = _recording(manifest, root)
        audio = AudioChoice()
        if recording != RunPaths(root).original:
            audio = AudioChoice(**manifest.input.get("audio", {}))
        return FinishedRun(root, manifest, turns, frozenset(given & names), recording, audio)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(root, error) from error


def _recording(manifest: Manifest, root: Path) -> Path | None:
    """Return the copy in the run directory, else the input where it was, if it has not changed."""
    path, sha256 = Path(manifest.input["path"]), manifest.input["sha256"]
    if (copy := RunPaths(root).original).is_file():
        return copy
    try:
        return path if file_sha256(path) == sha256 else None
    except OSError:
        return None
