"""Speaks a script: references first, then every segment that is not there yet."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from voiceclone_cli.clock import add_seconds
from voiceclone_cli.errors import Stopped
from voiceclone_cli.rundir import RunDir, note_segment, noted_segment, sweep
from voiceclone_cli.tasks import Job, encode_task, segment_fingerprints, synthesis_tasks
from voiceclone_cli.types import Progress, Script
from voiceclone_cli.workers.environment import worker_command
from voiceclone_cli.workers.leases import leases_of, one_lease, warm_up
from voiceclone_cli.workers.pool import Outcome, Pool
from voiceclone_cli.workers.progress import WorkerProgress
from voiceclone_worker.contract import Failure, ReferenceRow, SegmentRow


@dataclass(slots=True)
class Spoken:
    """What became of every segment of a script."""

    rows: dict[str, SegmentRow] = field(default_factory=dict)
    """By segment id: done, or failed with a reason."""
    reused: int = 0
    """How many of them an earlier run had spoken from the same inputs."""
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds inside the workers (load, encode, generate, write), summed over them."""
    errors: list[Failure] = field(default_factory=list)
    """What stopped work as a whole, not a single segment."""
    notes: list[str] = field(default_factory=list)
    """What the workers want the user to know, each sentence once."""
    peak_mb: int = 0
    """Of the largest worker."""
    stopped: Stopped | None = None
    """What ended the work early, if anything did."""


def speak(job: Job, progress: Progress, *, keep_tasks: bool = False) -> Spoken:
    """Speak every segment of the job; each has a row in the result, whatever happened to it.

    Being stopped ends the workers; what they had not finished has failed.
    """
    spoken = Spoken()
    sweep(job.run_dir.tasks, ())  # what a run that was killed has left
    try:
        _speak(job, progress, spoken, keep_tasks)
    except Stopped as stop:
        spoken.stopped = stop
        stopped = Failure("interrupted", "the run was stopped before this segment was spoken")
        for segment in job.script.segments:
            spoken.rows.setdefault(segment.id, SegmentRow(0, segment.id, "failed", error=stopped))
    if not keep_tasks:
        shutil.rmtree(job.run_dir.tasks)
    return spoken


def _speak(job: Job, progress: Progress, spoken: Spoken, keep_tasks: bool) -> None:
    report = WorkerProgress(progress, references=len(job.references), segments=len(job.script.segments))
    with Pool(
        worker_command(job.engine.python, threads=job.settings.threads_each),
        job.settings.pool_size,
        job.run_dir.tasks,
        on_event=report,
        log_dir=job.run_dir.logs,
        keep_tasks=keep_tasks,
    ) as pool:
        encoded = pool.run([*one_lease([encode_task(job)]), *warm_up(job.spec(), job.settings.pool_size - 1)])
        _count(encoded, spoken)
        _give_up_voiceless(job.script, encoded.references, spoken)
        prints = segment_fingerprints(job)
        _take_over(job.script, job.run_dir, prints, spoken)
        report.already_settled(len(spoken.rows))

        def keep(row: SegmentRow) -> None:
            spoken.rows[row.id] = row
            if row.status == "done":
                _note(job.run_dir, row, prints[row.id])

        missing = [segment for segment in job.script.segments if segment.id not in spoken.rows]
        leases = leases_of(synthesis_tasks(job, missing), job.settings, job.settings.batch_size)
        _count(pool.run(leases, on_segment=keep), spoken)
    planned = [segment.id for segment in job.script.segments]
    sweep(job.run_dir.segments, {f"{name}.{kind}" for name in planned for kind in ("wav", "json")})


def _give_up_voiceless(script: Script, references: Mapping[str, ReferenceRow], spoken: Spoken) -> None:
    """A segment whose speaker's reference could not be encoded cannot be spoken."""
    for segment in script.segments:
        row = references.get(segment.speaker)
        if row is None or row.status != "done":
            why = row.error if row and row.error else Failure("no_reference", "its speaker has no reference")
            spoken.rows[segment.id] = SegmentRow(0, segment.id, "failed", error=why)


def _take_over(script: Script, run_dir: RunDir, prints: Mapping[str, str], spoken: Spoken) -> None:
    """Rows for the segments that an earlier run has spoken from the same inputs."""
    for segment in script.segments:
        note = None if segment.id in spoken.rows else noted_segment(run_dir, segment.id, prints[segment.id])
        if note is None:
            continue
        spoken.rows[segment.id] = SegmentRow(
            0,
            segment.id,
            "done",
            str(run_dir.segment_wav(segment.id)),
            note.get("seconds"),
            note.get("frames"),
            note.get("seed"),
            note.get("attempts", 1),
        )
        spoken.reused += 1


def _note(run_dir: RunDir, row: SegmentRow, made_from: str) -> None:
    kept = ("seed", "seconds", "frames", "attempts", "sha256")
    note_segment(run_dir, row.id, made_from, {key: getattr(row, key) for key in kept})


def _count(outcome: Outcome, spoken: Spoken) -> None:
    spoken.errors += outcome.errors
    spoken.notes += [note for note in outcome.notes if note not in spoken.notes]
    spoken.peak_mb = max(spoken.peak_mb, outcome.peak_mb)
    add_seconds(spoken.timing, outcome.timing)
