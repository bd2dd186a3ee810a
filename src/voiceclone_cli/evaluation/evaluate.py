"""Evaluation of a finished run: voices, words, sound and timing of every segment, compared with the original."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import RunError
from voiceclone_cli.evaluation import metrics, model
from voiceclone_cli.evaluation.gates import (
    check_gates,
    compare_with_baseline,
    find_gate_failures,
    read_baseline,
)
from voiceclone_cli.evaluation.output import evaluation_document, to_junit
from voiceclone_cli.evaluation.text import WER, comparison_notes, edit_distance, error_rate_of, units_of
from voiceclone_cli.files import file_sha256, friendly_errors, write_text_atomic
from voiceclone_cli.languages import main_language
from voiceclone_cli.mixing.timeline import original_levels
from voiceclone_cli.references.selection import cut, exclusive_intervals, merge_intervals
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.manifest import ManifestSegment, RunPaths
from voiceclone_cli.types import ANALYSIS_RATE, AudioChoice, Progress, ProgressEvent, Segment, no_progress
from voiceclone_worker.tags import without_tags
from voiceclone_worker.validation import dump_json

_CACHE, _VERSION = "check-originals", 2
"""Entry in the cache, and version of the measurements: another one measures everything again."""
_MOST_SPEECH = 60.0
"""Seconds of a speaker's own speech; more hardly moves an embedding."""
_LEAST_ALONE = 2.0
"""Seconds. A speaker who speaks alone for less is measured where others speak too."""
_LEAST_SPEECH = 2.0
"""Seconds of a speaker's own speech that clones can be compared with."""
_ONE_PERSON = 0.7
"""Similarity of two samples of real speech, some seconds long, from which on they are one person's: one
person's have .9, two people's .36, over one telephone line .59."""
_SAME_VOICE = 0.95
"""Two speakers who are meant to sound alike are not compared with each other."""
_SHORTEST_SCORED = 1.5
"""Seconds. Measurements of shorter clones are unreliable: of real speech a quarter of the cuts of half a second
are nearer to another speaker, one in 25 of 1.5 s, and none of 2 s; and their words are often misrecognised."""

# Limits of flags. They were measured on a telephone call synthesized by kokoro, intact and disturbed: docs/check.md.
_WRONG_MARGIN = -0.02
"""Nearer to zero the two voices are a tie."""
_WRONG_WER = 0.5
_WRONG_LETTERS = 0.5
"""Share of wrong letters. A recogniser takes a short line for one that sounds like it; of another line most
letters are wrong too."""
_TOO_LONG = 0.1
"""Seconds past the slot."""
_TOO_SHORT = 0.4
_TOO_SHORT_FROM = 1.5
"""Seconds of an original from which on a clone of less than _TOO_SHORT of it lacks something."""
_OFF_DB = 6.0


def evaluate(
    run_dir: Path,
    settings: Settings,
    gates: model.GateLimits | None = None,
    progress: Progress = no_progress,
    *,
    against: model.VoiceSource = model.VoiceSource.AUTO,
) -> model.Evaluation:
    """Measure every segment of a run, and compare it with the original, the script and the gates.

    Measurements are kept in the run directory's ``stages`` and used again while wav, reference and models are the
    same; nothing else is written. Raises InputError (no run, no baseline, a gate out of range), PreflightError (no
    model) and RunError (the run directory cannot be written).
    """
    gates = gates or model.GateLimits()
    check_gates(gates)
    finished = model.read_finished_run(run_dir)
    baseline = None if gates.baseline is None else read_baseline(gates.baseline)
    cache = StageCache(finished.root, finished.manifest.input["sha256"])
    models = metrics.MetricModels(settings, progress)
    samples, levels = measure_originals(finished, models, cache, progress)
    voices, notes = choose_voices(finished, samples, against)
    if finished.recording is None:
        notes.append(
            "the recording is not available: voices are compared with their references, loudness is not compared"
        )
    measured = metrics.measure_all(finished, models, cache, progress)
    rows = tuple(
        score_segment(
            segment,
            measured.get(segment["id"]),
            voices,
            levels.get(segment["id"]),
            recogniser=models.names["words"],
            reads_tags=finished.manifest.request.get("tags") is not None,
        )
        for segment in finished.manifest.segments
    )
    notes += comparison_notes(segment["language"] for segment in finished.manifest.segments)
    notes += _notes_on_words(rows)
    summary = summarise(rows)
    speakers = score_speakers(rows, measured, voices)
    failures = find_gate_failures(gates, rows, speakers, summary)
    if baseline is not None:
        failures += compare_with_baseline(rows, summary, baseline)
    return model.Evaluation(
        finished.root, rows, speakers, summary, gates, failures, models.names, tuple(notes)
    )


def write_evaluation(evaluation: model.Evaluation) -> Path:
    """Write check.json into the run directory; return the path.

    Raises RunError where the run directory cannot be written.
    """
    paths = RunPaths(evaluation.run_dir)
    with friendly_errors(evaluation.run_dir):
        write_text_atomic(paths.check, dump_json(evaluation_document(evaluation), indent=1) + "\n")
    return paths.check


def write_junit(evaluation: model.Evaluation, path: Path) -> None:
    """Write the evaluation as JUnit XML. Raises RunError where it cannot be written."""
    with friendly_errors(path.parent):
        write_text_atomic(path, to_junit(evaluation))


@dataclass(frozen=True, slots=True)
class VoiceSample:
    """Speech of one person that clones can be compared with."""

    embedding: metrics.Embedding
    seconds: float
    source: model.VoiceSource
    """RECORDING or REFERENCE."""


VoiceSamples = Mapping[model.VoiceSource, Mapping[str, VoiceSample]]
"""By source and speaker."""


def measure_originals(
    finished: model.FinishedRun, models: metrics.MetricModels, cache: StageCache, progress: Progress
) -> tuple[VoiceSamples, Mapping[str, float | None]]:
    """Return the speakers' voices, and the recording's active speech level (dBFS) during each segment, by id.

    They are measured once for each recording, turns and references. Raises InputError for a recording that cannot be
    decoded, RunError where the run directory cannot be written.
    """
    segments, references = finished.manifest.segments, finished.references()
    inputs: dict[str, Any] = {
        "model": models.identity(metrics.EMBEDDING_MODEL),
        "turns": [[turn.start, turn.end, turn.speaker] for turn in finished.turns],
        "lines": [[segment[name] for name in ("id", "speaker", "start", "end")] for segment in segments],
        "references": {name: file_sha256(path) for name, path in references.items()},
        "recording": finished.recording is not None,
    }
    if finished.manifest.input.get("moved_frames"):
        # Earlier versions measured a film by the samples of its sound, without holes.
        inputs["moved_frames"] = finished.manifest.input["moved_frames"]
    if finished.audio not in (AudioChoice(), AudioChoice("1")):
        inputs["audio"] = asdict(finished.audio)

    def compute() -> dict[str, Any]:
        own, levels = {}, {}
        if finished.recording is not None:
            from voiceclone_cli.audio.reader import read_recording

            recording = read_recording(finished.recording, audio=finished.audio)
            signal = recording.samples
            speakers = sorted({turn.speaker for turn in finished.turns})
            own = {speaker: _own_speech(speaker, finished, signal) for speaker in speakers}
            lines = [
                Segment(
                    segment["id"],
                    segment["speaker"],
                    segment["start"],
                    segment["end"],
                    segment["text"],
                    segment["language"],
                )
                for segment in segments
            ]
            levels = original_levels(lines, recording, finished.turns)
        return {
            "own": _embedded(own.items(), models),
            "references": _embedded(((name, _resampled(path)) for name, path in references.items()), models),
            "levels": levels,
        }

    progress(ProgressEvent("voices", 0, 1))
    found = cache.cached(
        _CACHE, _VERSION, inputs, compute, serialize=lambda measured: measured, parse=lambda entry: entry
    )
    progress(ProgressEvent("voices", 1, 1))
    sources = {model.VoiceSource.RECORDING: found["own"], model.VoiceSource.REFERENCE: found["references"]}
    samples = {
        source: {
            name: VoiceSample(metrics.embedding_from_text(row["embedding"]), row["seconds"], source)
            for name, row in rows.items()
        }
        for source, rows in sources.items()
    }
    return samples, found["levels"]


def _own_speech(speaker: str, finished: model.FinishedRun, signal: Samples) -> Samples:
    spans = exclusive_intervals(finished.turns, speaker)
    if sum(end - start for start, end in spans) < _LEAST_ALONE:
        spans = merge_intervals((turn.start, turn.end) for turn in finished.turns if turn.speaker == speaker)
    parts = [cut(signal, span) for span in spans]
    return np.concatenate(parts)[: round(_MOST_SPEECH * ANALYSIS_RATE)]


def _embedded(speech: Iterable[tuple[str, Samples]], models: metrics.MetricModels) -> dict[str, Any]:
    """Return embedding and seconds of speech, by speaker; without those who have too little for an embedding."""
    found = ((name, samples, models.embedder.embed(samples)) for name, samples in speech)
    return {
        name: {"embedding": metrics.embedding_to_text(embedding), "seconds": len(samples) / ANALYSIS_RATE}
        for name, samples, embedding in found
        if embedding is not None
    }


def _resampled(path: Path) -> Samples:
    samples, rate = metrics.read_wav(path)
    resampled: Samples = soxr.resample(samples, rate, ANALYSIS_RATE)
    return resampled


def choose_voices(
    finished: model.FinishedRun, samples: VoiceSamples, against: model.VoiceSource
) -> tuple[dict[str, VoiceSample], list[str]]:
    """Return the voice that each speaker is compared with, and sentences for the user.

    With AUTO it is the speaker's own speech in the recording; where the user gave a reference, that one,
    unless it is another speaker's voice: then two references were mixed up, and the recording counts.
    """
    voices: dict[str, VoiceSample] = {}
    notes: list[str] = []
    for speaker in sorted({segment["speaker"] for segment in finished.manifest.segments}):
        wanted = against
        if against is model.VoiceSource.AUTO:
            wanted = model.VoiceSource.RECORDING
            other = _speaker_of_reference(speaker, samples)
            if speaker in finished.user_references and other is None:
                wanted = model.VoiceSource.REFERENCE
            elif speaker in finished.user_references:
                notes.append(
                    f"the reference given for {speaker} is the voice of {other} in the recording: {speaker} is "
                    "compared with their own speech there (--against reference takes the reference all the same)"
                )
        sources = sorted(
            (model.VoiceSource.RECORDING, model.VoiceSource.REFERENCE),
            key=lambda source: source is not wanted,
        )
        found = (samples[source].get(speaker) for source in sources)
        voice = next((sample for sample in found if sample and sample.seconds >= _LEAST_SPEECH), None)
        if voice is not None:
            voices[speaker] = voice
        else:
            notes.append(
                f"there are not {_LEAST_SPEECH:.0f} s of speech of {speaker} to compare with: their voice is "
                "not scored"
            )
    return voices, notes


def _speaker_of_reference(speaker: str, samples: VoiceSamples) -> str | None:
    """Return the other speaker whose voice the reference of ``speaker`` clearly is, if it is another's."""
    own = samples[model.VoiceSource.RECORDING]
    reference = samples[model.VoiceSource.REFERENCE].get(speaker)
    if reference is None or speaker not in own:
        return None
    similarities = {
        name: metrics.cosine(reference.embedding, sample.embedding) for name, sample in own.items()
    }
    nearest = max(similarities, key=lambda name: similarities[name])
    return nearest if nearest != speaker and similarities[nearest] >= _ONE_PERSON else None


def compare_voices(
    embedding: metrics.Embedding | None, speaker: str, voices: Mapping[str, VoiceSample]
) -> tuple[float | None, float | None, str | None]:
    """Return a clone's similarity to its speaker, its margin over the nearest other speaker, and that speaker."""
    if embedding is None or speaker not in voices:
        return None, None, None
    own = voices[speaker].embedding
    similarity = metrics.cosine(embedding, own)
    others = {
        name: metrics.cosine(embedding, voice.embedding)
        for name, voice in voices.items()
        if name != speaker and metrics.cosine(own, voice.embedding) < _SAME_VOICE
    }
    if not others:
        return similarity, None, None
    nearest = max(others, key=lambda name: others[name])
    return similarity, similarity - others[nearest], nearest


def score_segment(
    segment: ManifestSegment,
    measured: metrics.Measured | None,
    voices: Mapping[str, VoiceSample],
    original_level: float | None,
    *,
    recogniser: str = "",
    reads_tags: bool = False,
) -> model.SegmentScore:
    """Return the scores of a segment; ``measured`` is None for one that the run did not synthesize.

    ``recogniser``: name of the model that recognised the words. ``reads_tags``: the engine speaks no square brackets.
    """
    id, speaker, text, language = segment["id"], segment["speaker"], segment["text"], segment["language"]
    wanted = units_of(without_tags(text) if reads_tags else text, language)
    rate = error_rate_of(language)
    if measured is None:
        return model.SegmentScore(
            id, speaker, text, len(wanted), (model.Flag.FAILED,), error_rate=rate, error=segment["error"]
        )
    if isinstance(measured, RunError):
        error = {"code": measured.code, "message": measured.message}
        return model.SegmentScore(
            id, speaker, text, len(wanted), (model.Flag.UNREADABLE,), error_rate=rate, error=error
        )
    sha256, values = measured
    embedding = metrics.embedding_from_text(values["embedding"]) if values["embedding"] else None
    similarity, margin, nearest_other = compare_voices(embedding, speaker, voices)
    not_scored = _why_not_scored(values["words"], language, recogniser)
    found = None if values["words"] is None or not_scored else units_of(values["words"], language)
    errors = None if found is None or not wanted else edit_distance(wanted, found)
    duration, level = segment["end"] - segment["start"], values["level_db"]
    can_compare = level is not None and original_level is not None and segment["gain_db"] is not None
    row = model.SegmentScore(
        id=id,
        speaker=speaker,
        text=text,
        words=len(wanted),
        flags=(),
        sha256=sha256,
        similarity=similarity,
        margin=margin,
        nearest_other=nearest_other,
        wer=None if errors is None else errors / len(wanted),
        word_errors=errors,
        error_rate=rate,
        words_not_scored=not_scored,
        transcript=values["words"],
        mos=values["mos"],
        duration_ratio=(segment["placed_seconds"] or values["seconds"]) / duration if duration > 0 else None,
        loudness_db=(level or 0) + (segment["gain_db"] or 0) - (original_level or 0) if can_compare else None,
        peak_db=values["peak_db"],
        clipped_samples=values["clipped_samples"],
        seconds=values["seconds"],
        scored=values["seconds"] >= _SHORTEST_SCORED,
    )
    return replace(row, flags=_flags(row, segment, wanted, found))


_URDU_WRITERS = re.compile(r"whisper-(tiny|base)\b")
"""Models that write Hindi, which sounds like Urdu, in the letters of Urdu, whatever language they are told."""


def _why_not_scored(transcript: str | None, language: str, recogniser: str) -> str | None:
    """Return why the words of a transcript say nothing about a line; None where they do."""
    if not transcript or main_language(language) != "hi":
        return None
    urdu = sum("ARABIC" in unicodedata.name(letter, "") for letter in transcript if letter.isalpha())
    hindi = sum("DEVANAGARI" in unicodedata.name(letter, "") for letter in transcript if letter.isalpha())
    if _URDU_WRITERS.search(recogniser) or urdu > hindi:
        return f"{recogniser or 'the recogniser'} writes Hindi in Urdu letters"
    return None


def _notes_on_words(rows: Iterable[model.SegmentScore]) -> list[str]:
    """Return a sentence for each reason for which words were not compared."""
    reasons = Counter(row.words_not_scored for row in rows if row.words_not_scored)
    return [
        f"the words of {count} line{'' if count == 1 else 's'} were not compared, since {reason}: voices, sound and "
        "timing were; a larger model (--asr-model) compares the words too"
        for reason, count in reasons.items()
    ]


def _flags(
    row: model.SegmentScore, segment: ManifestSegment, wanted: Sequence[str], found: Sequence[str] | None
) -> tuple[model.Flag, ...]:
    """Return the problems of a measured segment; ``wanted`` and ``found`` are words. Only gates make a run fail."""
    is_silent = row.mos is None  # everything audible has a score
    is_short = row.duration_ratio is not None and row.duration_ratio < _TOO_SHORT
    problems = {
        model.Flag.ALTERED: segment["sha256"] not in (None, row.sha256),
        model.Flag.SILENT: is_silent,
        model.Flag.CLIPPED: bool(row.clipped_samples),
        model.Flag.WRONG_SPEAKER: row.scored and row.margin is not None and row.margin < _WRONG_MARGIN,
        model.Flag.WRONG_WORDS: not is_silent and found is not None and are_other_words(wanted, found),
        model.Flag.TOO_LONG: (segment["overflow_seconds"] or 0.0) > _TOO_LONG,
        model.Flag.TOO_SHORT: is_short and segment["end"] - segment["start"] >= _TOO_SHORT_FROM,
        model.Flag.OFF_LEVEL: row.loudness_db is not None and abs(row.loudness_db) > _OFF_DB,
    }
    return tuple(flag for flag, has_it in problems.items() if has_it)


def are_other_words(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Return whether the words found are those of another line, or missing."""
    if not wanted or edit_distance(wanted, found) <= _WRONG_WER * len(wanted):
        return False
    letters = "".join(wanted)
    return edit_distance(letters, "".join(found)) > _WRONG_LETTERS * len(letters)


def summarise(rows: Sequence[model.SegmentScore]) -> model.EvaluationSummary:
    """Return the measurements of a run as a whole."""
    scored = [row for row in rows if row.scored]
    counted = [row for row in rows if row.word_errors is not None]
    words = sum(row.words for row in counted)
    rates = {row.error_rate for row in counted} or {row.error_rate for row in rows} or {WER}
    ratios = [row.duration_ratio for row in rows if row.duration_ratio is not None]
    return model.EvaluationSummary(
        segments=len(rows),
        done=sum(row.sha256 is not None for row in rows),
        scored=len(scored),
        flagged=sum(bool(row.flags) for row in rows),
        similarity=_mean(scored, lambda row: row.similarity),
        margin=_mean(scored, lambda row: row.margin),
        wer=sum(row.word_errors or 0 for row in counted) / words if words else None,
        error_rate="/".join(sorted(rates, reverse=True)),
        mos=_mean(scored, lambda row: row.mos),
        duration_ratio=statistics.median(ratios) if ratios else None,
    )


def _mean(
    rows: Sequence[model.SegmentScore], measure: Callable[[model.SegmentScore], float | None]
) -> float | None:
    """Return the mean of the rows that have the measurement, weighted by seconds."""
    weighted = [(value, row.seconds or 0.0) for row in rows if (value := measure(row)) is not None]
    total = sum(seconds for _, seconds in weighted)
    return sum(value * seconds for value, seconds in weighted) / total if total else None


def score_speakers(
    rows: Sequence[model.SegmentScore],
    measured: Mapping[str, metrics.Measured],
    voices: Mapping[str, VoiceSample],
) -> tuple[model.SpeakerScore, ...]:
    """Return the scores of all lines of each speaker together, which are more reliable than those of any line."""
    by_speaker: dict[str, list[metrics.SegmentMetrics]] = {speaker: [] for speaker in voices}
    for row in rows:
        found = measured.get(row.id)
        if row.speaker in by_speaker and isinstance(found, tuple):
            by_speaker[row.speaker].append(found[1])
    scores = []
    for speaker, voice in voices.items():
        parts = [
            (metrics.embedding_from_text(found["embedding"]), found["seconds"])
            for found in by_speaker[speaker]
            if found["embedding"]
        ]
        similarity, margin, nearest_other = compare_voices(
            metrics.weighted_mean(parts) if parts else None, speaker, voices
        )
        is_scored = sum(seconds for _, seconds in parts) >= _SHORTEST_SCORED
        scores.append(
            model.SpeakerScore(
                speaker, voice.source, voice.seconds, similarity, margin, nearest_other, is_scored
            )
        )
    return tuple(scores)
