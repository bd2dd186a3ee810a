"""What a run would do, how long it would take and what it would need, found out without synthesizing a segment."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli.audio.writer import VERSION as ORIGINAL_VERSION
from voiceclone_cli.config import models_home
from voiceclone_cli.errors import InputError
from voiceclone_cli.mixing import timeline
from voiceclone_cli.mixing.background import KEEP
from voiceclone_cli.mixing.separation import SEPARATION_MODELS
from voiceclone_cli.models import download, store
from voiceclone_cli.pipeline.assemble import cached_mix
from voiceclone_cli.pipeline.context import RunContext, open_run
from voiceclone_cli.pipeline.prepare import Prepared, bytes_of_run, free_bytes, prepare
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.results import write_results
from voiceclone_cli.pipeline.synthesize import cached_speech
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.planning.estimate import (
    CASTING,
    DIARIZATION,
    ENCODING,
    LOADING,
    MEDIA,
    ORIGINAL,
    REPORT,
    SPEECH,
    TIMELINE,
    TRANSCRIPTION,
    VIDEO,
    Estimate,
    estimate,
    load_measurements,
    record,
    speech_seconds,
    stage_costs,
)
from voiceclone_cli.references.selection import CLIPPED, ENOUGH, SpanQuality, measure_span
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.manifest import PLANNED
from voiceclone_cli.system import machine_memory
from voiceclone_cli.types import (
    ANALYSIS_RATE,
    Progress,
    Recording,
    Reference,
    Segment,
    Turn,
    Until,
    no_progress,
)
from voiceclone_worker.atomic import write_bytes_atomic

PLAN_SCHEMA = "voiceclone.plan/1"

IN_WORKERS = (LOADING, ENCODING, SPEECH)
"""Stages that run in every worker process."""

KEPT, GIVEN, TO_DO = "kept", "given", "to do"
"""States of a stage: done by an earlier run or by this plan, given by the user, left for the run."""

NOISY_DB = 18.0
"""Loud frames over the quietest around them; noise that is 15 dB below the speech measures 17 to 20."""
_TOLERANCE = 0.05
"""Seconds: the accuracy of cutting."""


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """A stage of the run that would come now."""

    stage: str
    state: str
    """KEPT, GIVEN or TO_DO."""
    work: str
    """Amount of work in words."""
    estimate: Estimate | None
    """None where nothing is left to do."""


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Every stage of the run, and the segments that it would synthesize."""

    stages: tuple[StageEstimate, ...]
    to_speak: tuple[Segment, ...]
    pool_size: int

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Expected seconds, and their lower and upper bound."""
        found = [stage.estimate for stage in self.stages if stage.estimate is not None]
        return sum(e.seconds for e in found), sum(e.low for e in found), sum(e.high for e in found)

    @property
    def is_measured(self) -> bool:
        """Whether every stage that matters was measured on this machine before."""
        total, _, _ = self.seconds
        return all(
            stage.estimate.runs or stage.estimate.seconds < 0.02 * total
            for stage in self.stages
            if stage.estimate is not None
        )

    @property
    def memory_mb(self) -> int:
        """Peak of all processes together: the coordinator keeps most of its memory while the workers work."""
        here = [s.estimate.memory_mb for s in self.stages if s.estimate and s.stage not in IN_WORKERS]
        there = [s.estimate.memory_mb for s in self.stages if s.estimate and s.stage in IN_WORKERS]
        return max(here, default=0) + self.pool_size * max(there, default=0)


def make_plan(request: RunRequest, progress: Progress = no_progress) -> dict[str, Any]:
    """Return what ``run`` would do with this request now, as ``voiceclone.plan/1``.

    Turns, script and references are made as in a run, and cached in the run directory for it; no engine is
    loaded and no worker started. No file of a finished run is changed. With ``force`` the plan is that of a run
    that keeps nothing; the plan itself keeps what is there. Raises InputError and PreflightError as ``run`` does.
    """
    if request.until is not None:
        raise InputError("a plan is of the whole run: leave --until out", code="plan_until")
    looking = replace(request, until=Until.REFERENCES, force=False)
    with open_run(looking, progress) as real, scratch_directory(real) as ctx:
        prepared = prepare(ctx)
        slot_ends = timeline.slot_ends(prepared.script.segments, ctx.recording.seconds)
        job = SynthesisJob(
            prepared.script, prepared.references, slot_ends, ctx.run_dir, ctx.engine, request.settings
        )
        speech = cached_speech(job, ctx.cache)
        mix = cached_mix(ctx, job, speech, prepared.diarization.turns)
        ctx.clock.stop()
        if ctx is real:
            write_results(ctx, prepared, job, speech, mix)
        record(ctx, job, speech, prepared.diarization.diarizer)
        estimates = estimate_stages(
            ctx, prepared, job, speech.reused, mix_is_cached=bool(mix.placements), force=request.force
        )
        return _document(ctx, real.run_dir, prepared, job, estimates)


@contextmanager
def scratch_directory(ctx: RunContext) -> Iterator[RunContext]:
    """Yield the desk itself where nothing was spoken yet, else one with a scratch copy of the run directory.

    The copy is made of hard links: every file is written by replacing it, so the finished run keeps its own.
    New turns and words are handed back, since they take long and depend on nothing else of the run.
    """
    run_dir = ctx.run_dir
    if not run_dir.has_speech():
        yield ctx
        return

    def ignored(folder: str, names: list[str]) -> list[str]:
        # The lock, and the folder that the copy is in.
        left_out = [name for name in names if name.startswith(".") or name == run_dir.tasks.name]
        return left_out if Path(folder) == run_dir.root else []

    with tempfile.TemporaryDirectory(prefix="plan-", dir=run_dir.tasks) as folder:
        scratch = RunDir(Path(folder), run_dir.input_sha256, is_new=False)
        shutil.copytree(
            run_dir.root,
            folder,
            symlinks=True,
            ignore=ignored,
            copy_function=_link_or_copy,
            dirs_exist_ok=True,
        )
        try:
            yield replace(ctx, run_dir=scratch, cache=StageCache(scratch.root, ctx.sha256, ctx.progress))
        finally:
            for stage in (DIARIZATION, TRANSCRIPTION):
                found, known = (root / f"{stage}.json" for root in (scratch.stages, run_dir.stages))
                if found.is_file() and not (known.is_file() and found.samefile(known)):
                    write_bytes_atomic(known, found.read_bytes())


def _link_or_copy(path: str, target: str) -> None:
    try:
        os.link(path, target)
    except OSError:  # the file system has no hard links
        shutil.copy2(path, target)


def estimate_stages(
    ctx: RunContext,
    prepared: Prepared,
    job: SynthesisJob,
    kept: Collection[str],
    *,
    mix_is_cached: bool,
    force: bool,
) -> RunEstimate:
    """Return what is left to do, stage by stage, and how long it will take.

    ``kept``: ids of the segments that need not be synthesized. ``force``: no earlier result counts.
    """
    measured = load_measurements()
    settings = ctx.request.settings
    costs = stage_costs(settings, ctx.engine, prepared.diarization.diarizer)
    to_speak = tuple(segment for segment in job.script.segments if force or segment.id not in kept)
    states = _states(ctx, to_speak, mix_is_cached=mix_is_cached and not force, force=force)
    works = _works(ctx, job, to_speak)
    stages = []
    for stage, state in states.items():
        if state == TO_DO:
            amount, words = works[stage]
            stages.append(StageEstimate(stage, state, words, estimate(measured, costs[stage], amount)))
        else:
            stages.append(StageEstimate(stage, state, "", None))
    return RunEstimate(tuple(stages), to_speak, settings.pool_size)


def _states(
    ctx: RunContext, to_speak: Sequence[Segment], *, mix_is_cached: bool, force: bool
) -> dict[str, str]:
    """Return the state of every stage that this run has. The run takes over the turns, words and references that
    the plan made or found."""
    request, run_dir = ctx.request, ctx.run_dir
    heard = TO_DO if force else KEPT
    encoded = ENCODING in ctx.cache.reused and not force
    mixed = mix_is_cached and not to_speak
    states = {
        MEDIA: TO_DO,
        DIARIZATION: GIVEN if request.turns else heard,
        TRANSCRIPTION: GIVEN if request.script else heard,
        CASTING: heard,
        LOADING: TO_DO if to_speak or not encoded else KEPT,
        ENCODING: KEPT if encoded else TO_DO,
        SPEECH: TO_DO if to_speak else KEPT,
        TIMELINE: KEPT if mixed else TO_DO,
    }
    if ctx.video_suffix is not None:
        video = run_dir.video(ctx.video_suffix)
        states[VIDEO] = KEPT if mixed and video.is_file() else TO_DO
    if request.report:
        known = not force and ctx.cache.load(ORIGINAL, ORIGINAL_VERSION, {}) is not None
        states[ORIGINAL] = KEPT if known else TO_DO
        states[REPORT] = TO_DO
    return states


def _works(ctx: RunContext, job: SynthesisJob, to_speak: Sequence[Segment]) -> dict[str, tuple[float, str]]:
    """Return the amount of work of each stage, in its unit and in words."""
    audio = max(0.1, ctx.recording.seconds)
    heard = audio, f"{audio:.0f} s of audio"
    speech = speech_seconds(to_speak)
    workers, references = job.settings.pool_size, len(job.references)
    return {
        **dict.fromkeys((MEDIA, DIARIZATION, TRANSCRIPTION, TIMELINE, ORIGINAL), heard),
        CASTING: (audio, _count(references, "speaker")),
        LOADING: (1.0, f"{ctx.engine.name}, {_count(workers, 'worker')}"),
        ENCODING: (float(references), _count(references, "reference")),
        SPEECH: (speech, f"{_count(len(to_speak), 'line')}, about {speech:.0f} s"),
        VIDEO: (audio, "the pictures are copied"),
        REPORT: (audio, _count(len(job.script.segments), "line")),
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _document(
    ctx: RunContext, run_dir: RunDir, prepared: Prepared, job: SynthesisJob, estimates: RunEstimate
) -> dict[str, Any]:
    """Return the plan as JSON. ``run_dir`` is that of the run to come. Times in seconds, memory in MB (10^6 bytes), disk in bytes."""
    settings, engine, recording = job.settings, ctx.engine, ctx.recording
    total = len(job.script.segments)
    space = _space(job, recording, run_dir, estimates.memory_mb)
    return {
        "schema": PLAN_SCHEMA,
        "status": PLANNED,
        "run_dir": str(run_dir.root),
        "input": {
            "path": str(recording.path.absolute()),
            "sha256": ctx.sha256,
            "seconds": round(recording.seconds, 3),
            "rate": recording.source_rate,
            "channels": recording.channels,
            "video": recording.has_video,
        },
        "engine": {
            "name": engine.name,
            "why": engine.why,
            "checkpoint": engine.checkpoint or None,
            "device": engine.device,
            "precision": engine.precision,
        },
        "mode": settings.mode,
        "workers": settings.pool_size,
        "threads_each": settings.threads_each,
        "batch_size": settings.batch_size,
        "background": settings.background,
        "watermark": job.watermark,
        "diarizer": prepared.diarization.diarizer,
        "diarizer_why": prepared.diarization.why,
        "script_from": prepared.script_from,
        "speakers": _speakers(ctx, prepared, job, estimates),
        "segments": {
            "total": total,
            "kept": total - len(estimates.to_speak),
            "to_speak": [segment.id for segment in estimates.to_speak],
        },
        "stages": [_stage(stage) for stage in estimates.stages],
        "total": {**_time(*estimates.seconds), "measured": estimates.is_measured},
        **space,
        "notes": list(dict.fromkeys([*ctx.notes, *_notes(ctx, job, estimates, space["memory"])])),
        "timing": ctx.clock.seconds,
    }


def _speakers(
    ctx: RunContext, prepared: Prepared, job: SynthesisJob, estimates: RunEstimate
) -> list[dict[str, Any]]:
    """Return the speakers that have lines. (A reference stays when its speaker's last line is gone.)"""
    turns = prepared.diarization.turns
    rows = []
    for name in sorted({segment.speaker for segment in job.script.segments}):
        reference = job.references[name]
        voice = judge(reference, ctx.recording, turns)
        rows.append(
            {
                "name": name,
                "speech_seconds": round(sum(turn.seconds for turn in turns if turn.speaker == name), 3),
                "segments": sum(segment.speaker == name for segment in job.script.segments),
                "to_speak": sum(segment.speaker == name for segment in estimates.to_speak),
                "reference_seconds": round(voice.seconds, 3),
                "reference_quality": voice.word,
                "reference_snr_db": voice.snr_db,
                "reference_clipped": voice.clipped,
                "warnings": list(reference.warnings),
            }
        )
    return rows


def _stage(stage: StageEstimate) -> dict[str, Any]:
    found = stage.estimate
    return {
        "stage": stage.stage,
        "state": stage.state,
        "work": stage.work or None,
        **_time(*((found.seconds, found.low, found.high) if found else (0.0, 0.0, 0.0))),
        "memory_mb": found.memory_mb if found else None,
        "measured_runs": found.runs if found else None,
    }


def _time(seconds: float, low: float, high: float) -> dict[str, float]:
    return {"seconds": round(seconds, 2), "seconds_low": round(low, 2), "seconds_high": round(high, 2)}


def _notes(
    ctx: RunContext, job: SynthesisJob, estimates: RunEstimate, memory: Mapping[str, int | None]
) -> list[str]:
    notes = []
    encoding_is_new = any(s.stage == ENCODING and s.state == TO_DO for s in estimates.stages)
    if encoding_is_new and estimates.to_speak and any(ctx.run_dir.segments.glob("*.json")):
        notes.append(
            "the references will be encoded anew: which of the lines that are there can be kept is known after that"
        )
    if lacking := _lacking(ctx, job):
        notes.append(f"the run fetches first: {', '.join(lacking)}")
    if (note := memory_note(memory)) is not None:
        notes.append(note)
    return notes


def _lacking(ctx: RunContext, job: SynthesisJob) -> list[str]:
    """Return the models of the run that are not on this machine yet, with their sizes."""
    settings = ctx.request.settings
    names = [
        *([job.watermark] if job.watermark else []),
        *(SEPARATION_MODELS if settings.background == KEEP else []),
    ]
    found: Sequence[store.ModelStatus] = (
        download.models_status(names, home=models_home(settings)) if names else ()
    )
    return [
        f"{status.entry.name} ({store.megabytes(sum(file.size for file in status.lacking))})"
        for status in found
        if status.lacking
    ]


def _space(
    job: SynthesisJob, recording: Recording, run_dir: RunDir, memory_mb: int
) -> dict[str, dict[str, int | None]]:
    """Return disk and memory that the run needs at most, and what the machine has; None where it does not report it."""
    voices = len({segment.speaker for segment in job.script.segments})
    needed = bytes_of_run(recording, job.script.segments, job.slot_ends, voices)
    memory = machine_memory()
    return {
        "disk": {"needed_bytes": needed, "free_bytes": free_bytes(run_dir.root)},
        "memory": {
            "needed_mb": memory_mb,
            "free_mb": round(memory.available / 1e6) if memory else None,
            "total_mb": round(memory.total / 1e6) if memory else None,
        },
    }


def memory_note(memory: Mapping[str, int | None]) -> str | None:
    """Return a sentence where the free memory may not suffice. (The disk is checked in ``prepare``.)"""
    needed, free = memory["needed_mb"], memory["free_mb"]
    if needed is None or free is None or needed <= free:
        return None
    return (
        f"the run takes about {needed} MB of memory and {free} MB are free: end other programs, or use fewer "
        "--workers or a smaller --batch-size"
    )


@dataclass(frozen=True, slots=True)
class ReferenceQuality:
    """How good a speaker's reference is."""

    word: str
    """good, or the worst of: mixed (others are heard in it), short, clipped, noisy."""
    seconds: float
    snr_db: float
    clipped: float
    """Share of samples that touch the ceiling."""


def judge(reference: Reference, recording: Recording, turns: Sequence[Turn]) -> ReferenceQuality:
    """Measure a reference: its pieces in the recording, or the whole file where the user gave one."""
    found = _of_pieces(reference, recording) if reference.spans else _of_file(reference)
    return ReferenceQuality(
        _word(reference.seconds, found, mixed=_is_mixed(reference, turns)),
        reference.seconds,
        round(found.snr_db, 1),
        round(found.clipped, 4),
    )


def _word(seconds: float, found: SpanQuality, *, mixed: bool) -> str:
    if mixed:
        return "mixed"
    if seconds < ENOUGH - _TOLERANCE:
        return "short"
    if found.clipped >= CLIPPED:
        return "clipped"
    return "noisy" if found.snr_db < NOISY_DB else "good"


def _is_mixed(reference: Reference, turns: Sequence[Turn]) -> bool:
    """Return whether another speaker is heard in it: taken only where the speaker never speaks alone."""
    others = [turn for turn in turns if turn.speaker != reference.speaker]
    return any(
        min(end, turn.end) - max(start, turn.start) > _TOLERANCE
        for start, end in reference.spans
        for turn in others
    )


def _of_pieces(reference: Reference, recording: Recording) -> SpanQuality:
    """Return the mean over the pieces, weighted by their length."""
    heard = [(end - start, measure_span(recording.samples, (start, end))) for start, end in reference.spans]
    total = sum(seconds for seconds, _ in heard) or 1.0

    def mean(part: str) -> float:
        return sum(seconds * float(getattr(quality, part)) for seconds, quality in heard) / total

    return SpanQuality(mean("level_db"), mean("snr_db"), mean("clipped"))


def _of_file(reference: Reference) -> SpanQuality:
    from voiceclone_cli.audio.reader import read_recording

    samples = read_recording(reference.audio).samples
    return measure_span(samples, (0.0, len(samples) / ANALYSIS_RATE))
