"""What a check comes to, as types. Times in seconds, levels in dB; None is what could not be measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.files import are_safe_names, file_sha256
from voiceclone_cli.rundir.manifest import RUNNING, Manifest, ManifestSegment, RunPaths, damaged
from voiceclone_cli.types import Turn


class Flag(StrEnum):
    """What is wrong with a row, whatever the gates; the limits stand in ``flags.py``."""

    FAILED = "failed"
    """The run did not speak it."""
    UNREADABLE = "unreadable"
    """Its wav is not there, or is none."""
    ALTERED = "altered"
    """Its wav is not the one that the run wrote."""
    SILENT = "silent"
    CLIPPED = "clipped"
    WRONG_SPEAKER = "wrong_speaker"
    WRONG_WORDS = "wrong_words"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    OFF_LEVEL = "off_level"


class BaselineDifference(StrEnum):
    """Which voice a clone is compared with."""

    AUTO = "auto"
    """The speaker's own in the recording; a given reference where one was given, unless it is plainly
    the voice of another speaker of the recording."""
    RECORDING = "recording"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What a run has to reach; None asks for nothing."""

    min_similarity: float | None = None
    min_margin: float | None = None
    max_wer: float | None = None
    min_mos: float | None = None
    baseline: Path | None = None
    """check.json of an earlier run, or the run directory or run.json beside it."""

    @property
    def are_set(self) -> bool:
        return any(
            wanted is not None
            for wanted in (self.min_similarity, self.min_margin, self.max_wer, self.min_mos, self.baseline)
        )


@dataclass(frozen=True, slots=True)
class SegmentScore:
    """One segment, measured; as it is before anything is."""

    id: str
    speaker: str
    text: str
    words: int
    """Words of the text, as they are compared."""
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
    heard: str | None = None
    mos: float | None = None
    """DNSMOS P.835, overall: 1 (bad) to 5 (excellent)."""
    duration_ratio: float | None = None
    """Spoken, as it was placed, over the original's time."""
    loudness_db: float | None = None
    """Level in the mix over the original's in the same place."""
    peak_db: float | None = None
    clipped_samples: int | None = None
    seconds: float | None = None
    judged: bool = False
    """Whether it is long enough for its measures to tell something; a shorter one misses no gate by them."""
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SpeakerScore:
    """What the clones of one speaker are compared with, and how all of them together fare."""

    speaker: str
    source: BaselineDifference
    """RECORDING or REFERENCE."""
    seconds: float
    """Of speech that it was measured on."""
    similarity: float | None
    margin: float | None
    nearest_other: str | None
    judged: bool


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """The run as a whole. Means are over the rows that are long enough, weighted by their seconds."""

    segments: int
    done: int
    judged: int
    flagged: int
    similarity: float | None
    margin: float | None
    wer: float | None
    """All word errors over all words."""
    mos: float | None
    duration_ratio: float | None
    """Median."""


@dataclass(frozen=True, slots=True)
class GateFailure:
    """A gate that was missed. ``segment`` is None for a speaker's lines, or the whole run."""

    gate: str
    segment: str | None
    speaker: str | None
    message: str
    """What was wanted and what was measured."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run directory, checked."""

    run_dir: Path
    rows: tuple[SegmentScore, ...]
    voices: tuple[SpeakerScore, ...]
    summary: EvaluationSummary
    gates: GateLimits
    gate_failures: tuple[GateFailure, ...]
    models: Mapping[str, str]
    """Which model measured what."""
    notes: Sequence[str]

    @property
    def passed(self) -> bool:
        return not self.gate_failures


# A run directory as it is checked: wherever it was moved to, with the manifest's word for what it holds.


@dataclass(frozen=True, slots=True)
class EvaluatedLine:
    """A segment, as the manifest has it."""

    id: str
    speaker: str
    start: float
    end: float
    text: str
    language: str
    wav: Path
    is_done: bool
    sha256: str | None
    """Of its wav when the run wrote it; None in manifests that do not say."""
    placed_seconds: float | None
    """How long it is in the mix."""
    overflow_seconds: float
    gain_db: float | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a run left."""

    root: Path
    input_sha256: str
    lines: tuple[EvaluatedLine, ...]
    turns: tuple[Turn, ...]
    references: Mapping[str, Path]
    given: frozenset[str]
    """Speakers whose reference the user gave."""
    recording: Path | None
    """The original's sound; None where it is not at hand any more."""


def read_finished_run(root: Path) -> FinishedRun:
    """What stands in a run directory. Raises InputError for a folder that is none, whose run has not ended,
    or in which no segment was spoken."""
    root = root.absolute()
    manifest = Manifest.load(root)
    if manifest.status == RUNNING:
        raise InputError(
            f"the run in {root} has not ended: wait for it, or give its command again", code="run_not_ended"
        )
    if not any(row["status"] == "done" for row in manifest.segments):
        raise InputError(
            f"no segment was spoken in {root}: give its `voiceclone run` again first", code="nothing_to_check"
        )
    lines = tuple(_line(row, root) for row in manifest.segments)
    speakers = {row["name"]: row for row in manifest.speakers}
    if not are_safe_names({line.id for line in lines}) or not are_safe_names(
        {*speakers, *(x.speaker for x in lines)}
    ):
        raise damaged(root, ValueError("it holds a name that cannot be that of a file"))
    given = {name for name, row in speakers.items() if not row["reference_spans"]}
    return FinishedRun(
        root=root,
        input_sha256=str(manifest.input.get("sha256")),
        lines=lines,
        turns=tuple(Turn(row["start"], row["end"], row["speaker"]) for row in manifest.turns),
        references={name: RunPaths(root).speakers / name / "reference.wav" for name in speakers},
        given=frozenset(given),
        recording=_recording(manifest, root),
    )


def _line(row: ManifestSegment, root: Path) -> EvaluatedLine:
    return EvaluatedLine(
        id=row["id"],
        speaker=row["speaker"],
        start=row["start"],
        end=row["end"],
        text=row["text"],
        language=row["language"],
        wav=RunPaths(root).segment_wav(row["id"]),
        is_done=row["status"] == "done",
        sha256=row["sha256"],
        placed_seconds=row["placed_seconds"],
        overflow_seconds=row["overflow_seconds"] or 0.0,
        gain_db=row["gain_db"],
        error=row["error"],
    )


def _recording(manifest: Manifest, root: Path) -> Path | None:
    """The copy in the run directory, else the input where it lay, if it is still the same."""
    if (copy := RunPaths(root).original).is_file():
        return copy
    path = Path(str(manifest.input.get("path")))
    try:
        return path if file_sha256(path) == manifest.input.get("sha256") else None
    except OSError:
        return None
