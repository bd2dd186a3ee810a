"""The story of a check."""

from __future__ import annotations

import statistics
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.audio.dsp import speech_level_db
from voiceclone_cli.config import Settings
from voiceclone_cli.evaluation import gates as evaluation_gates
from voiceclone_cli.evaluation.gates import check_gates, describe_failure
from voiceclone_cli.evaluation.metrics import (
    EMBEDDING_MODEL,
    MeasuredSegments,
    MetricModels,
    SegmentMetrics,
    cosine,
    embedding_from_text,
    embedding_to_text,
    measure_all,
    read_wav,
    weighted_mean,
)
from voiceclone_cli.evaluation.model import (
    BaselineDifference,
    EvaluatedLine,
    Evaluation,
    EvaluationSummary,
    FinishedRun,
    Flag,
    GateLimits,
    SegmentScore,
    SpeakerScore,
    read_finished_run,
)
from voiceclone_cli.evaluation.output import evaluation_document, to_junit
from voiceclone_cli.evaluation.text import edit_distance, words_of
from voiceclone_cli.files import file_sha256, friendly_errors, write_text_atomic
from voiceclone_cli.references.selection import cut, exclusive_intervals, merge_intervals
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.manifest import RunPaths
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent, no_progress
from voiceclone_worker.validation import dump_json

if typing.TYPE_CHECKING:
    from voiceclone_cli.evaluation.metrics import Embedding
    from voiceclone_cli.types import Samples


# What is remarkable about a row. Flags are remarks; only gates decide.
#
# The limits were measured on a telephone call spoken by kokoro, undisturbed and disturbed: docs/check.md.


_WRONG_MARGIN = -0.02
"""Nearer to zero the two voices are a tie."""
_WRONG_WER = 0.5
_WRONG_LETTERS = 0.5
"""Share of wrong letters. A recogniser mishears a short line as one that sounds like it; of another line
most letters are wrong too."""
_LONGER = 0.1
"""Seconds past the slot."""
_SHORTER = 0.4
_SHORTER_FROM = 1.5
"""Seconds of an original from which on a clone of less than _SHORTER of it lacks something."""
_OFF_DB = 6.0


def flags_of(
    row: SegmentScore, line: EvaluatedLine, wanted: Sequence[str], found: Sequence[str] | None
) -> tuple[Flag, ...]:
    """The flags of a row that was measured. ``wanted`` and ``found``: the words of its text, and those heard."""
    is_silent = row.mos is None  # whatever sounds has one
    remarks = {
        Flag.ALTERED: line.sha256 not in (None, row.sha256),
        Flag.SILENT: is_silent,
        Flag.CLIPPED: bool(row.clipped_samples),
        Flag.WRONG_SPEAKER: row.judged and row.margin is not None and row.margin < _WRONG_MARGIN,
        Flag.WRONG_WORDS: not is_silent and found is not None and are_other_words(wanted, found),
        Flag.TOO_LONG: line.overflow_seconds > _LONGER,
        Flag.TOO_SHORT: _is_too_short(row, line),
        Flag.OFF_LEVEL: row.loudness_db is not None and abs(row.loudness_db) > _OFF_DB,
    }
    return tuple(flag for flag, holds in remarks.items() if holds)


def are_other_words(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether another line was said, or none."""
    if not wanted or edit_distance(wanted, found) <= _WRONG_WER * len(wanted):
        return False
    letters = "".join(wanted)
    return edit_distance(letters, "".join(found)) > _WRONG_LETTERS * len(letters)


def _is_too_short(row: SegmentScore, line: EvaluatedLine) -> bool:
    long_enough = line.end - line.start >= _SHORTER_FROM
    return long_enough and row.duration_ratio is not None and row.duration_ratio < _SHORTER


# What clones are compared with: the speakers' own speech in the recording, their references, their loudness.


STAGE = "voices"
_REMEMBERED_AS = "check-originals"
_VERSION = 1
"""To be counted up when the same inputs give other measurements."""
_ENOUGH = 60.0
"""Seconds of a speaker's own speech; more hardly moves an embedding."""
_LITTLE = 2.0
"""Seconds. Who speaks alone for less is measured where others speak too."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some speech of one person."""

    embedding: Embedding
    seconds: float


@dataclass(frozen=True, slots=True)
class Originals:
    own: Mapping[str, Sample]
    """Each speaker's speech in the recording; those of whom there is any."""
    references: Mapping[str, Sample]
    levels: Mapping[str, float | None]
    """Active speech level in dBFS of the recording between each segment's times."""


def measure_originals(
    finished: FinishedRun, ears: MetricModels, cache: StageCache, progress: Progress
) -> Originals:
    """Measured once for each recording, turns and references. Raises InputError for a recording that cannot be
    decoded, RunError where the run directory cannot be written."""
    inputs = {
        "model": ears.identity(EMBEDDING_MODEL),
        "turns": [[turn.start, turn.end, turn.speaker] for turn in finished.turns],
        "lines": [[line.id, line.start, line.end] for line in finished.lines],
        "references": {name: file_sha256(path) for name, path in _references(finished).items()},
        "recording": finished.recording is not None,
    }
    progress(ProgressEvent(STAGE, 0, 1))
    known = cache.cached(
        _REMEMBERED_AS,
        _VERSION,
        inputs,
        lambda: _measure(finished, ears),
        serialize=lambda measured: measured,
        parse=lambda entry: entry,
    )
    progress(ProgressEvent(STAGE, 1, 1))
    return Originals(_samples(known["own"]), _samples(known["references"]), known["levels"])


def _measure(finished: FinishedRun, ears: MetricModels) -> dict[str, Any]:
    from voiceclone_cli.audio.reader import read_recording

    own, levels = {}, {}
    if finished.recording is not None:
        signal = read_recording(finished.recording).samples
        speakers = sorted({turn.speaker for turn in finished.turns})
        own = {name: _embedded(_speech_of(name, finished, signal), ears) for name in speakers}
        levels = {
            line.id: speech_level_db(cut(signal, (line.start, line.end)), ANALYSIS_RATE)
            for line in finished.lines
        }
    references = {name: _embedded(_resampled(path), ears) for name, path in _references(finished).items()}
    return {
        "own": {name: sample for name, sample in own.items() if sample},
        "references": {name: sample for name, sample in references.items() if sample},
        "levels": levels,
    }


def _speech_of(speaker: str, finished: FinishedRun, signal: Samples) -> Samples:
    import numpy as np

    spans = exclusive_intervals(finished.turns, speaker)
    if sum(end - start for start, end in spans) < _LITTLE:
        spans = merge_intervals((turn.start, turn.end) for turn in finished.turns if turn.speaker == speaker)
    parts = [cut(signal, span) for span in spans]
    return np.concatenate(parts)[: round(_ENOUGH * ANALYSIS_RATE)]


def _embedded(speech: Samples, ears: MetricModels) -> dict[str, Any] | None:
    voice = ears.encoder.embed(speech)
    return (
        None
        if voice is None
        else {"embedding": embedding_to_text(voice), "seconds": len(speech) / ANALYSIS_RATE}
    )


def _samples(known: Mapping[str, Any]) -> dict[str, Sample]:
    return {
        name: Sample(embedding_from_text(row["embedding"]), row["seconds"]) for name, row in known.items()
    }


def _references(finished: FinishedRun) -> dict[str, Path]:
    return {name: path for name, path in finished.references.items() if path.is_file()}


def _resampled(path: Path) -> Samples:
    import soxr

    samples, rate = read_wav(path)
    resampled: Samples = soxr.resample(samples, rate, ANALYSIS_RATE)
    return resampled


# Which voice each speaker's clones are judged by, and how near a clone is to it.


PLAINLY_SOMEBODY = 0.7
"""Similarity of two samples of real speech, some seconds long, from which on they are one person's: one
person's have .9, two people's .36, over one telephone line .59."""
SAME_VOICE = 0.95
"""Two speakers who are meant to sound alike are no "others" to each other."""

SHORTEST_JUDGED = 1.5
"""Seconds. A shorter clone is measured, but tells little: of real speech a quarter of the cuts of half a second
are nearer to another speaker, one in 25 of 1.5 s, and none of 2 s; and its words are often misheard."""
_LEAST_SAMPLE = 2.0
"""Seconds of a speaker's own speech that clones can be compared with."""


@dataclass(frozen=True, slots=True)
class ReferenceVoice:
    """What a speaker should sound like."""

    sample: Sample
    source: BaselineDifference


@dataclass(frozen=True, slots=True)
class Likeness:
    similarity: float | None
    margin: float | None
    nearest_other: str | None


UNKNOWN = Likeness(None, None, None)


def choose_reference_voices(
    finished: FinishedRun, originals: Originals, against: BaselineDifference
) -> tuple[dict[str, ReferenceVoice], list[str]]:
    """The voice that each speaker is judged by, and sentences for the user where that needs saying.

    With AUTO it is the speaker's own speech in the recording; where the user gave a reference, that one,
    unless it is another speaker's voice: then two references were mixed up, and the recording decides.
    """
    standards: dict[str, ReferenceVoice] = {}
    notes: list[str] = []
    for speaker in sorted({line.speaker for line in finished.lines}):
        wanted, note = _wanted(speaker, finished, originals, against)
        notes += [note] if note else []
        standard = _standard(speaker, originals, wanted)
        if standard is None:
            notes.append(
                f"there are not {_LEAST_SAMPLE:.0f} s of speech of {speaker} to compare with: "
                "their voice is not judged"
            )
        else:
            standards[speaker] = standard
    return standards, notes


def _wanted(
    speaker: str, finished: FinishedRun, originals: Originals, against: BaselineDifference
) -> tuple[BaselineDifference, str]:
    """Which voice a speaker should have, RECORDING or REFERENCE, and a sentence about it or none."""
    if against is not BaselineDifference.AUTO:
        return against, ""
    if speaker not in finished.given:
        return BaselineDifference.RECORDING, ""
    other = _somebody_elses(speaker, originals)
    if other is None:
        return BaselineDifference.REFERENCE, ""
    return BaselineDifference.RECORDING, (
        f"the reference given for {speaker} is the voice of {other} in the recording: {speaker} is "
        "judged by their own speech there (--against reference takes the reference all the same)"
    )


def _standard(speaker: str, originals: Originals, wanted: BaselineDifference) -> ReferenceVoice | None:
    """The wanted voice of a speaker, or the other where there is none; None where neither is long enough."""
    samples = {
        BaselineDifference.RECORDING: originals.own.get(speaker),
        BaselineDifference.REFERENCE: originals.references.get(speaker),
    }
    for source in (wanted, *(other for other in samples if other is not wanted)):
        sample = samples[source]
        if sample is not None and sample.seconds >= _LEAST_SAMPLE:
            return ReferenceVoice(sample, source)
    return None


def is_long_enough(seconds: float) -> bool:
    """Whether so much of a clone tells something about voice, words and quality."""
    return seconds >= SHORTEST_JUDGED


def _somebody_elses(speaker: str, originals: Originals) -> str | None:
    """Whose voice the reference of ``speaker`` plainly is, if it is not their own."""
    reference, own = originals.references.get(speaker), originals.own.get(speaker)
    if reference is None or own is None:
        return None
    likeness = {name: cosine(reference.embedding, sample.embedding) for name, sample in originals.own.items()}
    nearest = max(likeness, key=lambda name: likeness[name])
    return nearest if nearest != speaker and likeness[nearest] >= PLAINLY_SOMEBODY else None


def likeness(embedding: Embedding | None, speaker: str, standards: Mapping[str, ReferenceVoice]) -> Likeness:
    """How near a clone is to its speaker, and by how much nearer than to anybody else."""
    if embedding is None or speaker not in standards:
        return UNKNOWN
    own = standards[speaker].sample.embedding
    similarity = cosine(embedding, own)
    others = {
        name: cosine(embedding, standard.sample.embedding)
        for name, standard in standards.items()
        if name != speaker and cosine(own, standard.sample.embedding) < SAME_VOICE
    }
    if not others:
        return Likeness(similarity, None, None)
    nearest = max(others, key=lambda name: others[name])
    return Likeness(similarity, similarity - others[nearest], nearest)


# From what was heard of a segment, and what should have been, to its row.


def score_segments(
    line: EvaluatedLine,
    listened: MeasuredSegments | None,
    standards: Mapping[str, ReferenceVoice],
    original_level: float | None,
) -> SegmentScore:
    """The row of one segment; ``listened`` is None for one that the run did not speak."""
    wanted = words_of(line.text, line.language)
    if listened is None or listened.heard is None:
        return _unheard(line, listened, len(wanted))
    heard = listened.heard
    like = likeness(
        embedding_from_text(heard.embedding) if heard.embedding else None, line.speaker, standards
    )
    found = None if heard.words is None else words_of(heard.words, line.language)
    errors = None if found is None or not wanted else edit_distance(wanted, found)
    row = SegmentScore(
        id=line.id,
        speaker=line.speaker,
        text=line.text,
        words=len(wanted),
        flags=(),
        sha256=listened.sha256,
        similarity=like.similarity,
        margin=like.margin,
        nearest_other=like.nearest_other,
        wer=None if errors is None else errors / len(wanted),
        word_errors=errors,
        heard=heard.words,
        mos=heard.mos,
        duration_ratio=_duration_ratio(line, heard),
        loudness_db=_loudness(line, heard, original_level),
        peak_db=heard.peak_db,
        clipped_samples=heard.clipped_samples,
        seconds=heard.seconds,
        judged=is_long_enough(heard.seconds),
    )
    return replace(row, flags=flags_of(row, line, wanted, found))


def _unheard(line: EvaluatedLine, listened: MeasuredSegments | None, words: int) -> SegmentScore:
    error = line.error
    if listened is not None and listened.error is not None:
        error = {"code": listened.error.code, "message": listened.error.message}
    flag = Flag.FAILED if listened is None else Flag.UNREADABLE
    return SegmentScore(line.id, line.speaker, line.text, words, (flag,), error=error)


def _duration_ratio(line: EvaluatedLine, heard: SegmentMetrics) -> float | None:
    room = line.end - line.start
    return (line.placed_seconds or heard.seconds) / room if room > 0 else None


def _loudness(line: EvaluatedLine, heard: SegmentMetrics, original_level: float | None) -> float | None:
    if heard.level_db is None or original_level is None or line.gain_db is None:
        return None
    return heard.level_db + line.gain_db - original_level


# Rows taken together: for each speaker, and for the run.


def summarise(rows: Sequence[SegmentScore]) -> EvaluationSummary:
    judged = [row for row in rows if row.judged]
    counted = [row for row in rows if row.word_errors is not None]
    words = sum(row.words for row in counted)
    ratios = [row.duration_ratio for row in rows if row.duration_ratio is not None]
    return EvaluationSummary(
        segments=len(rows),
        done=sum(row.sha256 is not None for row in rows),
        judged=len(judged),
        flagged=sum(bool(row.flags) for row in rows),
        similarity=_mean(judged, lambda row: row.similarity),
        margin=_mean(judged, lambda row: row.margin),
        wer=sum(row.word_errors or 0 for row in counted) / words if words else None,
        mos=_mean(judged, lambda row: row.mos),
        duration_ratio=statistics.median(ratios) if ratios else None,
    )


def describe_speakers(
    rows: Sequence[SegmentScore],
    listened: Mapping[str, MeasuredSegments],
    standards: Mapping[str, ReferenceVoice],
) -> tuple[SpeakerScore, ...]:
    """How all lines of a speaker together compare with their voice: that tells more than any one of them."""
    heard: dict[str, list[SegmentMetrics]] = {speaker: [] for speaker in standards}
    for row in rows:
        found = listened.get(row.id)
        if row.speaker in heard and found is not None and found.heard is not None:
            heard[row.speaker].append(found.heard)
    return tuple(_voice(speaker, standards, heard[speaker]) for speaker in standards)


def _voice(
    speaker: str, standards: Mapping[str, ReferenceVoice], heard: Sequence[SegmentMetrics]
) -> SpeakerScore:
    standard = standards[speaker]
    parts = [(embedding_from_text(wav.embedding), wav.seconds) for wav in heard if wav.embedding]
    like = likeness(weighted_mean(parts) if parts else None, speaker, standards)
    return SpeakerScore(
        speaker=speaker,
        source=standard.source,
        seconds=standard.sample.seconds,
        similarity=like.similarity,
        margin=like.margin,
        nearest_other=like.nearest_other,
        judged=is_long_enough(sum(seconds for _, seconds in parts)),
    )


def _mean(rows: Sequence[SegmentScore], measure: Callable[[SegmentScore], float | None]) -> float | None:
    """Weighted by seconds, over the rows that have the measure."""
    weighted = [(value, row.seconds or 0.0) for row in rows if (value := measure(row)) is not None]
    total = sum(seconds for _, seconds in weighted)
    return sum(value * seconds for value, seconds in weighted) / total if total else None


def evaluate(
    run_dir: Path,
    settings: Settings,
    gates: GateLimits | None = None,
    progress: Progress = no_progress,
    *,
    against: BaselineDifference = BaselineDifference.AUTO,
) -> Evaluation:
    """Listen to every segment of a run again, and hold it against what it should be.

    What was measured before is kept in the run directory's ``stages`` while wav, reference and models are
    the same; nothing else is written. Raises InputError (no run, no baseline, a gate out of range),
    PreflightError (no model) and RunError (the run directory cannot be written).
    """
    gates = gates or GateLimits()
    check_gates(gates)
    finished = read_finished_run(run_dir)
    before = None if gates.baseline is None else evaluation_gates.read_baseline(gates.baseline)
    cache = StageCache(finished.root, finished.input_sha256)
    ears = MetricModels(settings, progress)
    originals = measure_originals(finished, ears, cache, progress)
    standards, notes = choose_reference_voices(finished, originals, against)
    if finished.recording is None:
        notes.append("the recording is not at hand: voices are judged by their references, loudness is not")
    listened = measure_all(finished, ears, cache, progress)
    rows = tuple(
        score_segments(line, listened.get(line.id), standards, originals.levels.get(line.id))
        for line in finished.lines
    )
    summary = summarise(rows)
    voices = describe_speakers(rows, listened, standards)
    gate_failures = describe_failure(gates, rows, voices, summary)
    if before is not None:
        gate_failures += evaluation_gates.compare_with_baseline(rows, summary, before)
    return Evaluation(finished.root, rows, voices, summary, gates, gate_failures, ears.names, tuple(notes))


def write_evaluation(checked: Evaluation) -> Path:
    """Write check.json into the run directory; where a report is there, it is made anew with it.

    Raises RunError where the run directory cannot be written.
    """
    paths = RunPaths(checked.run_dir)
    with friendly_errors(checked.run_dir):
        write_text_atomic(paths.check, dump_json(evaluation_document(checked), indent=1) + "\n")
    if paths.report.exists():
        from voiceclone_cli.report.page import write_report

        write_report(checked.run_dir)
    return paths.check


def write_junit(checked: Evaluation, path: Path) -> None:
    """Write the check as JUnit XML. Raises RunError where it cannot be written."""
    with friendly_errors(path.parent):
        write_text_atomic(path, to_junit(checked))
