"""What a run would do, how long it would take and what it would need, found out without synthesizing a segment."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voiceclone_cli import types
from voiceclone_cli.audio.writer import VERSION as ORIGINAL_VERSION
from voiceclone_cli.config import models_home
from voiceclone_cli.engines.memory import fish_memory, size_text
from voiceclone_cli.errors import InputError
from voiceclone_cli.languages import name_of
from voiceclone_cli.mixing.background import KEEP
from voiceclone_cli.mixing.fit import fit_document
from voiceclone_cli.mixing.separation import SEPARATION_MODELS
from voiceclone_cli.models import download, store
from voiceclone_cli.pipeline.assemble import cached_mix
from voiceclone_cli.pipeline.context import RunContext, open_run
from voiceclone_cli.pipeline.prepare import bytes_of_run, check_languages, free_bytes, prepare
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.results import omissions, write_results
from voiceclone_cli.pipeline.synthesize import cached_speech
from voiceclone_cli.pipeline.tasks import SynthesisJob, encodings
from voiceclone_cli.planning import estimate
from voiceclone_cli.references.selection import CLIPPED, ENOUGH, SpanQuality, measure_span
from voiceclone_cli.rundir.directory import RunDir
from voiceclone_cli.rundir.manifest import PLANNED
from voiceclone_cli.system import has_nvidia_gpu, machine_memory
from voiceclone_cli.translation.job import Asking
from voiceclone_cli.translation.result import LineStatus
from voiceclone_worker.atomic import write_bytes_atomic

PLAN_SCHEMA = "voiceclone.plan/1"

IN_WORKERS = (estimate.LOADING, estimate.ENCODING, estimate.SPEECH)
"""Stages that run in every worker process."""

KEPT, GIVEN, TO_DO = "kept", "given", "to do"
"""States of a stage: done by an earlier run or by this plan, given by the user, left to do by the run."""

NOISY_DB = 18.0
"""Loud frames over the quietest around them; noise that is 15 dB below the speech measures 17 to 20."""
_TOLERANCE = 0.05
"""Seconds: the accuracy of cutting."""


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Every stage of the run that would come now, and the segments that it would synthesize."""

    stages: Mapping[str, tuple[str, str, estimate.Estimate | None]]
    """State (KEPT, GIVEN or TO_DO), amount of work in words, and estimate; None where nothing is left to do."""
    to_synthesize: tuple[types.Segment, ...]
    pool_size: int

    @property
    def estimates(self) -> dict[str, estimate.Estimate]:
        """Estimates of the stages that are left to do."""
        return {stage: found for stage, (_, _, found) in self.stages.items() if found is not None}

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Expected seconds, and their lower and upper bound."""
        found = self.estimates.values()
        return sum(e.seconds for e in found), sum(e.low for e in found), sum(e.high for e in found)

    @property
    def is_measured(self) -> bool:
        """Whether every stage that matters was measured on this machine before."""
        total, _, _ = self.seconds
        return all(found.runs or found.seconds < 0.02 * total for found in self.estimates.values())

    @property
    def memory_mb(self) -> int:
        """Peak of all processes together: the coordinator keeps most of its memory while the workers work."""
        here = [found.memory_mb for stage, found in self.estimates.items() if stage not in IN_WORKERS]
        there = [found.memory_mb for stage, found in self.estimates.items() if stage in IN_WORKERS]
        return max(here, default=0) + self.pool_size * max(there, default=0)


def make_plan(request: RunRequest, progress: types.Progress = types.no_progress) -> dict[str, Any]:
    """Return what ``run`` would do with this request now, as ``voiceclone.plan/1``.

    Turns, script and references are made as in a run, and cached in the run directory for it; no engine is
    loaded and no worker started. No file of a finished run is changed. With ``force`` the plan is that of a run
    that keeps nothing; the plan itself keeps what is there. Raises InputError and PreflightError as ``run`` does.
    """
    if request.until is not None:
        raise InputError("a plan is of the whole run: leave --until out", code="plan_until")
    translation = request.translation and replace(request.translation, asking=Asking.NONE)
    preparing = replace(request, until=types.Until.REFERENCES, force=False, translation=translation)
    with open_run(preparing, progress) as real, scratch_directory(real) as ctx:
        job = prepare(ctx)
        check_languages(ctx, job.script)
        speech = cached_speech(job, ctx.cache)
        mix = cached_mix(ctx, job, speech)
        ctx.clock.stop()
        if ctx is real:
            write_results(ctx, job, speech, mix)
        estimate.record(ctx, job, speech)
        found = estimate_stages(ctx, job, speech.reused, mix_is_cached=mix is not None, force=request.force)
        return _document(ctx, real.run_dir, job, found)


@contextmanager
def scratch_directory(ctx: RunContext) -> Iterator[RunContext]:
    """Yield the context itself before the first segment is synthesized, else one with a copy of the run directory.

    The copy is made of hard links: every file is written by replacing it, so the finished run keeps its files.
    New turns and words are copied back, since they take long and depend on nothing else of the run.
    """
    run_dir = ctx.run_dir
    if not run_dir.has_speech():
        yield ctx
        return

    def ignored(folder: str, names: list[str]) -> list[str]:
        # The lock, and the folder that the copy is in.
        skipped = [name for name in names if name.startswith(".") or name == run_dir.tasks.name]
        return skipped if Path(folder) == run_dir.root else []

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
            yield replace(ctx, run_dir=scratch, cache=ctx.cache.moved_to(scratch.root))
        finally:
            for stage in (estimate.DIARIZATION, estimate.TRANSCRIPTION):
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
    job: SynthesisJob,
    reused: Collection[str],
    *,
    mix_is_cached: bool,
    force: bool,
) -> RunEstimate:
    """Return what is left to do, stage by stage, and how long it will take.

    ``reused``: ids of the segments that need not be synthesized. ``force``: no earlier result counts.
    """
    measured = estimate.load_measurements()
    settings = ctx.request.settings
    costs = estimate.stage_costs(settings, ctx.engine, job.diarization.diarizer)
    missing = tuple(segment for segment in job.script.segments if force or segment.id not in reused)
    states = _states(ctx, missing, mix_is_cached=mix_is_cached and not force, force=force)
    works = _works(ctx, job, missing)
    stages: dict[str, tuple[str, str, estimate.Estimate | None]] = {}
    for stage, state in states.items():
        amount, words = works[stage]
        is_left = state == TO_DO
        stages[stage] = (
            state,
            words if is_left else "",
            estimate.estimate(measured, costs[stage], amount) if is_left else None,
        )
    return RunEstimate(stages, missing, settings.pool_size)


def _states(
    ctx: RunContext, missing: Sequence[types.Segment], *, mix_is_cached: bool, force: bool
) -> dict[str, str]:
    """Return the state of every stage that this run has; it will reuse what this plan made or found."""
    request, run_dir = ctx.request, ctx.run_dir
    analyzed = TO_DO if force else KEPT
    encoded = estimate.ENCODING in ctx.cache.reused and not force
    is_mixed = mix_is_cached and not missing
    states = {
        estimate.MEDIA: TO_DO,
        estimate.DIARIZATION: GIVEN if request.turns else analyzed,
        estimate.TRANSCRIPTION: GIVEN if request.script else analyzed,
        **({estimate.SCRIPT: TO_DO} if request.script else {}),
        estimate.REFERENCES: analyzed,
        estimate.LOADING: TO_DO if missing or not encoded else KEPT,
        estimate.ENCODING: KEPT if encoded else TO_DO,
        estimate.SPEECH: TO_DO if missing else KEPT,
        estimate.TIMELINE: KEPT if is_mixed else TO_DO,
    }
    if ctx.video_suffix is not None:
        video = run_dir.video(ctx.video_suffix)
        states[estimate.VIDEO] = KEPT if is_mixed and video.is_file() else TO_DO
    if request.report:
        is_cached = not force and ctx.cache.load(estimate.ORIGINAL, ORIGINAL_VERSION, {}) is not None
        states[estimate.ORIGINAL] = KEPT if is_cached else TO_DO
        states[estimate.REPORT] = TO_DO
    return states


def _works(
    ctx: RunContext, job: SynthesisJob, missing: Sequence[types.Segment]
) -> dict[str, tuple[float, str]]:
    """Return the amount of work of each stage, in its unit and in words."""
    audio = max(0.1, ctx.recording.seconds)
    recording = audio, f"{audio:.0f} s of audio"
    speech = estimate.speech_seconds(missing)
    workers, references, voices = job.settings.pool_size, len(job.references), encodings(job)
    in_languages = f" in {voices // references} languages" if voices > references else ""
    return {
        **dict.fromkeys(
            (
                estimate.MEDIA,
                estimate.DIARIZATION,
                estimate.TRANSCRIPTION,
                estimate.SCRIPT,
                estimate.TIMELINE,
                estimate.ORIGINAL,
            ),
            recording,
        ),
        estimate.REFERENCES: (audio, _count(references, "speaker")),
        estimate.LOADING: (1.0, f"{ctx.engine.name}, {_count(workers, 'worker')}"),
        estimate.ENCODING: (float(voices), _count(references, "reference") + in_languages),
        estimate.SPEECH: (speech, f"{_count(len(missing), 'line')}, about {speech:.0f} s"),
        estimate.VIDEO: (audio, "the pictures are copied"),
        estimate.REPORT: (audio, _count(len(job.script.segments), "line")),
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _document(ctx: RunContext, run_dir: RunDir, job: SynthesisJob, found: RunEstimate) -> dict[str, Any]:
    """Return the plan as JSON. Times in seconds, memory in MB (10^6 bytes), disk in bytes."""
    settings, engine, recording = job.settings, ctx.engine, ctx.recording
    total = len(job.script.segments)
    space = _space(job, recording, run_dir, found.memory_mb)
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
            "audio": asdict(recording.audio),
        },
        "engine": {
            "name": engine.name,
            "why": engine.why,
            "checkpoint": engine.checkpoint or None,
            "device": engine.device,
            "precision": engine.precision,
            "memory": _model_memory(ctx, len(job.references)),
        },
        "mode": settings.mode,
        "workers": settings.pool_size,
        "threads_each": settings.threads_each,
        "batch_size": settings.batch_size,
        "background": settings.background,
        "watermark": job.watermark,
        "diarizer": job.diarization.diarizer,
        "diarizer_why": job.diarization.why,
        "script_from": job.script_from,
        "language": job.language.code,
        "language_why": job.language.why,
        "speakers_found": dict(job.script.found_by),
        "omitted": omissions(job.script),
        "speakers": _speakers(ctx, job, found),
        "segments": {
            "total": total,
            "kept": total - len(found.to_synthesize),
            "to_speak": [segment.id for segment in found.to_synthesize],
        },
        "fit": fit_document(
            job.script.segments, job.fits.values(), job.rates, ctx.request.settings.max_stretch
        ),
        "stages": [_stage(stage, *values) for stage, values in found.stages.items()],
        "total": {**_time(*found.seconds), "measured": found.is_measured},
        **space,
        "notes": list(dict.fromkeys([*ctx.notes, *_notes(ctx, job, found, space["memory"])])),
        "timing": ctx.clock.seconds,
    }


def _model_memory(ctx: RunContext, references: int) -> dict[str, int | str] | None:
    """Return the bytes that the model of fish takes in each worker, computed from its files; None for another engine.

    Where the precision is left to the worker it is that of a GPU, if there is one, else of the CPU.
    """
    engine, settings = ctx.engine, ctx.request.settings
    if engine.name != "fish":
        return None
    on_gpu = engine.device != "cpu" and has_nvidia_gpu()
    precision = engine.precision if engine.precision != "auto" else "bf16" if on_gpu else "float32"
    encoded = 1 if on_gpu else min(settings.threads_each, max(1, references))
    memory = fish_memory(
        Path(engine.checkpoint),
        precision,
        settings.batch_size,
        on_gpu=on_gpu,
        encoded=encoded,
        threads=1 if on_gpu else settings.threads_each,
    )
    return {
        "precision": precision,
        "weights_bytes": memory.weights,
        "codec_bytes": memory.codec,
        "position_bytes": memory.position,
        "positions": memory.positions,
        "rows": memory.rows,
        "results_bytes": max(memory.speaking, memory.encoding - memory.cache),
        "process_bytes": memory.process,
        "total_bytes": memory.total,
        "text": f"{size_text(memory.total)} in {precision}: {memory}",
    }


def _speakers(ctx: RunContext, job: SynthesisJob, found: RunEstimate) -> list[dict[str, Any]]:
    """Return the speakers of the script; a reference stays when its speaker's last segment is gone."""
    turns = job.diarization.turns
    rows = []
    for name in sorted({segment.speaker for segment in job.script.segments}):
        reference = job.references[name]
        word, quality = rate_reference(reference, ctx.recording, turns)
        rows.append(
            {
                "name": name,
                "speech_seconds": round(sum(turn.seconds for turn in turns if turn.speaker == name), 3),
                "segments": sum(segment.speaker == name for segment in job.script.segments),
                "to_speak": sum(segment.speaker == name for segment in found.to_synthesize),
                "reference_seconds": round(reference.seconds, 3),
                "reference_quality": word,
                "reference_snr_db": round(quality.snr_db, 1),
                "reference_clipped": round(quality.clipped, 4),
                "warnings": list(reference.warnings),
            }
        )
    return rows


def _stage(stage: str, state: str, work: str, found: estimate.Estimate | None) -> dict[str, Any]:
    return {
        "stage": stage,
        "state": state,
        "work": work or None,
        **_time(*((found.seconds, found.low, found.high) if found else (0.0, 0.0, 0.0))),
        "memory_mb": found.memory_mb if found else None,
        "measured_runs": found.runs if found else None,
    }


def _time(seconds: float, low: float, high: float) -> dict[str, float]:
    return {"seconds": round(seconds, 2), "seconds_low": round(low, 2), "seconds_high": round(high, 2)}


def _notes(
    ctx: RunContext, job: SynthesisJob, found: RunEstimate, memory: Mapping[str, int | None]
) -> list[str]:
    notes = []
    encodes = found.stages[estimate.ENCODING][0] == TO_DO
    if encodes and found.to_synthesize and any(ctx.run_dir.segments.glob("*.json")):
        notes.append(
            "the references will be encoded anew: which of the lines that are there can be kept is known after that"
        )
    if job.translation is not None and (pending := job.translation.with_status(LineStatus.PENDING)):
        notes.append(
            f"{_count(len(pending), 'line')} {'is' if len(pending) == 1 else 'are'} still to be translated into "
            f"{name_of(job.translation.target)}; the plan counts them as they are, and a language model takes about "
            f"{job.translation.pending.total} tokens for them (--max-tokens allows {job.settings.max_tokens})"
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
    job: SynthesisJob, recording: types.Recording, run_dir: RunDir, memory_mb: int
) -> dict[str, dict[str, int | None]]:
    """Return disk and memory that the run needs at most, and what the machine has; None where it does not report it."""
    speakers = len({segment.speaker for segment in job.script.segments})
    needed = bytes_of_run(recording, job.script.segments, job.slot_ends, speakers)
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
    """Return a sentence where the free memory may not suffice; the disk is checked in ``prepare``."""
    needed, free = memory["needed_mb"], memory["free_mb"]
    if needed is None or free is None or needed <= free:
        return None
    return (
        f"the run takes about {needed} MB of memory and {free} MB are free: end other programs, or use fewer "
        "--workers or a smaller --batch-size"
    )


def rate_reference(
    reference: types.Reference, recording: types.Recording, turns: Sequence[types.Turn]
) -> tuple[str, SpanQuality]:
    """Return the quality of a reference in a word, and as measured in the recording or in the user's file.

    The word is good, or the worst of: mixed (others speak in it), short, clipped, noisy.
    """
    found = _of_spans(reference, recording) if reference.spans else _of_file(reference)
    if _is_mixed(reference, turns):
        return "mixed", found
    if reference.seconds < ENOUGH - _TOLERANCE:
        return "short", found
    if found.clipped >= CLIPPED:
        return "clipped", found
    return "noisy" if found.snr_db < NOISY_DB else "good", found


def _is_mixed(reference: types.Reference, turns: Sequence[types.Turn]) -> bool:
    """Return whether another speaker speaks in it, which is so only where its speaker never speaks alone."""
    others = [turn for turn in turns if turn.speaker != reference.speaker]
    return any(
        min(end, turn.end) - max(start, turn.start) > _TOLERANCE
        for start, end in reference.spans
        for turn in others
    )


def _of_spans(reference: types.Reference, recording: types.Recording) -> SpanQuality:
    """Return the mean over the spans, weighted by their length."""
    measured = [
        (end - start, measure_span(recording.samples, (start, end))) for start, end in reference.spans
    ]
    total = sum(seconds for seconds, _ in measured) or 1.0

    def mean(part: str) -> float:
        return sum(seconds * float(getattr(quality, part)) for seconds, quality in measured) / total

    return SpanQuality(mean("level_db"), mean("snr_db"), mean("clipped"))


def _of_file(reference: types.Reference) -> SpanQuality:
    from voiceclone_cli.audio.reader import read_recording

    samples = read_recording(reference.audio).samples
    return measure_span(samples, (0.0, len(samples) / types.ANALYSIS_RATE))
