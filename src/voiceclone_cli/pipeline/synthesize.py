"""What a run came to, in a word and as an exit code."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli.errors import PreflightError, RunError, Stopped
from voiceclone_cli.files import file_sha256, friendly_errors, write_error
from voiceclone_cli.pipeline.resources import OpenPool, WorkerPool, open_local_pool
from voiceclone_cli.pipeline.tasks import (
    ENCODING_VERSION,
    SynthesisJob,
    codes_files,
    encode_task,
    encoding_inputs,
    segment_fingerprints,
    synthesis_tasks,
)
from voiceclone_cli.provenance.consent import show_first_run_notice
from voiceclone_cli.provenance.watermark import (
    Postprocessor,
    unmarked_notes,
    watermark_folder,
)
from voiceclone_cli.rundir.cache import NULL_CACHE, StageCache, load_segment_note, save_segment_note
from voiceclone_cli.rundir.directory import RunDir, remove_temporary_files
from voiceclone_cli.system import add_seconds
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment
from voiceclone_cli.workers.protocol import PoolResult, leases_of, one_lease
from voiceclone_cli.workers.queue import ENCODING, WorkerProgress
from voiceclone_worker.protocol import Failure, ReferenceRow, SegmentRow

# Speaks a script: references first, then every segment that is not there yet.


@dataclass(slots=True)
class SynthesisResult:
    """What became of every segment of a script."""

    rows: dict[str, SegmentRow] = field(default_factory=dict)
    """By segment id: done, or failed with a reason."""
    kept: set[str] = field(default_factory=set)
    """Ids of those that an earlier run had spoken from the same inputs."""
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds inside the workers (load, encode, generate, write), summed over them, and of sealing
    (watermark), which goes on beside them."""
    errors: list[Failure] = field(default_factory=list)
    """What stopped work as a whole, not a single segment."""
    notes: list[str] = field(default_factory=list)
    """What the user should know of the work, each sentence once."""
    unmarked: dict[str, str] = field(default_factory=dict)
    """Segments that could not carry the watermark, by id, and why: "too short" or "silent"."""
    peak_mb: int = 0
    """Of the largest worker."""
    stopped: Stopped | None = None
    """What ended the work early, if anything did."""

    @property
    def done(self) -> dict[str, SegmentRow]:
        """The rows of what can be heard."""
        return {id: row for id, row in self.rows.items() if row.status == "done"}

    @property
    def reused(self) -> int:
        return len(self.kept)


def synthesize(
    job: SynthesisJob,
    progress: Progress,
    *,
    cache: StageCache = NULL_CACHE,
    keep_tasks: bool = False,
    open_pool: OpenPool = open_local_pool,
) -> SynthesisResult:
    """Speak every segment of the job; each has a row in the result, whatever happened to it.

    Being stopped ends the workers; what they had not finished has failed, and so has what could not be
    written.
    """
    spoken = SynthesisResult()
    try:
        with friendly_errors(job.run_dir.root):
            report = WorkerProgress(
                progress, references=len(job.references), segments=len(job.script.segments)
            )
            with open_pool(job, progress, report, keep_tasks) as voices:
                _speak(job, progress, cache, spoken, voices, report)
            _clear_unplanned(job)
    except Stopped as stop:
        spoken.stopped = stop
        _fail_rest(job, spoken, Failure("interrupted", "the run was stopped before this segment was spoken"))
    except RunError as error:
        failure = Failure(error.code, error.message)
        spoken.errors.append(failure)
        _fail_rest(job, spoken, failure)
    _check_still_there(job.run_dir, spoken)
    spoken.notes += unmarked_notes(spoken.unmarked)
    if not keep_tasks:
        shutil.rmtree(job.run_dir.tasks, ignore_errors=True)
    return spoken


def cached_speech(job: SynthesisJob, cache: StageCache) -> SynthesisResult:
    """What an earlier run has spoken that still holds, found out without changing anything.

    Nothing while the references are not encoded as this job would do it: what comes of them decides whether a
    segment is still the same.
    """
    spoken = SynthesisResult()
    if job.references and cache.load(ENCODING, ENCODING_VERSION, encoding_inputs(job)) is not None:
        _take_over(job.script, job.run_dir, segment_fingerprints(job), spoken)
    return spoken


def _speak(
    job: SynthesisJob,
    progress: Progress,
    cache: StageCache,
    spoken: SynthesisResult,
    voices: WorkerPool,
    report: WorkerProgress,
) -> None:
    watermark_model = watermark_folder(job.settings, progress) if job.watermark else None
    _encode(job, voices, cache, spoken, report)
    prints = segment_fingerprints(job)
    _take_over(job.script, job.run_dir, prints, spoken)
    missing = [segment for segment in job.script.segments if segment.id not in spoken.rows]
    _tell_plan(job, cache, spoken, progress)
    report.already_settled(len(spoken.rows))
    if missing:
        show_first_run_notice(job.engine.name, progress)
        _speak_missing(job, voices, missing, prints, watermark_model, spoken)


def _speak_missing(
    job: SynthesisJob,
    voices: WorkerPool,
    missing: Sequence[Segment],
    prints: Mapping[str, str],
    watermark_model: Path | None,
    spoken: SynthesisResult,
) -> None:
    """A segment counts once it is sealed and noted, which happens beside the speaking of the next."""

    def settle(row: SegmentRow, unmarked: str | None) -> None:
        if unmarked is not None:
            spoken.unmarked[row.id] = unmarked
        spoken.rows[row.id] = _noted(job.run_dir, row, prints[row.id], unmarked)

    tasks = synthesis_tasks(job, missing)
    leases = leases_of(tasks, job.settings, voices.slots, job.settings.batch_size)
    with Postprocessor() as postprocessor:
        outcome = voices.run(
            leases,
            on_segment=lambda row: postprocessor.process(row, job.engine.name, watermark_model, settle),
        )
    _count(outcome, spoken)
    if postprocessor.seconds:
        add_seconds(spoken.timing, {"watermark": postprocessor.seconds})


def _encode(
    job: SynthesisJob, voices: WorkerPool, cache: StageCache, spoken: SynthesisResult, report: WorkerProgress
) -> None:
    """All references in one go, unless an earlier run made the same of them."""
    inputs = encoding_inputs(job)
    if cache.load(ENCODING, ENCODING_VERSION, inputs) is not None:
        report.encoded_before()
        return
    encoded = voices.run([*one_lease([encode_task(job)]), *voices.warm_up(job)])
    _count(encoded, spoken)
    _give_up_voiceless(job.script, encoded.references, spoken)
    files = {path: file_sha256(path) for path in codes_files(job) if path.is_file()}
    if len(files) == len(job.references):
        cache.save(ENCODING, ENCODING_VERSION, inputs, {"speakers": list(job.references)}, files)


def _tell_plan(job: SynthesisJob, cache: StageCache, spoken: SynthesisResult, progress: Progress) -> None:
    """One sentence where anything is kept from before: what it is, and what is left to do."""
    total = len(job.script.segments)
    kept = [*cache.reused, *([f"{spoken.reused} of {total} segments"] if spoken.reused else [])]
    missing = total - len(spoken.rows)
    plan = f"{missing} of {total} segments to speak" if missing else "nothing left to speak"
    if kept:
        progress(ProgressEvent("note", 1, 1, note=f"kept from before: {', '.join(kept)}; {plan}"))


def _give_up_voiceless(
    script: Script, references: Mapping[str, ReferenceRow], spoken: SynthesisResult
) -> None:
    """A segment whose speaker's reference could not be encoded cannot be spoken."""
    for segment in script.segments:
        row = references.get(segment.speaker)
        if row is None or row.status != "done":
            why = row.error if row and row.error else Failure("no_reference", "its speaker has no reference")
            spoken.rows[segment.id] = _failed(segment.id, why)


def _take_over(script: Script, run_dir: RunDir, prints: Mapping[str, str], spoken: SynthesisResult) -> None:
    """Rows for the segments that an earlier run has spoken from the same inputs."""
    for segment in script.segments:
        note = (
            None if segment.id in spoken.rows else load_segment_note(run_dir, segment.id, prints[segment.id])
        )
        if note is None:
            continue
        if note.get("unmarked"):
            spoken.unmarked[segment.id] = note["unmarked"]
        spoken.rows[segment.id] = SegmentRow(
            0,
            segment.id,
            "done",
            str(run_dir.segment_wav(segment.id)),
            note.get("seconds"),
            note.get("frames"),
            note.get("seed"),
            note.get("attempts", 1),
            note["sha256"],
        )
        spoken.kept.add(segment.id)


def _noted(run_dir: RunDir, row: SegmentRow, inputs: str, unmarked: str | None) -> SegmentRow:
    """The row, once the fingerprint stands beside its wav; without one the segment is not done."""
    if row.status != "done":
        return row
    kept = ("seed", "seconds", "frames", "attempts", "sha256")
    try:
        details = {key: getattr(row, key) for key in kept}
        save_segment_note(run_dir, row.id, inputs, details | ({"unmarked": unmarked} if unmarked else {}))
    except OSError as error:
        explained = write_error(run_dir.segments, error)
        return _failed(row.id, Failure(explained.code, explained.message))
    return row


def _check_still_there(run_dir: RunDir, spoken: SynthesisResult) -> None:
    """What was removed while the run went on is not done."""
    for segment_id, row in spoken.rows.items():
        if row.status == "done" and not run_dir.segment_wav(segment_id).is_file():
            wav = run_dir.segment_wav(segment_id)
            gone = Failure("output_vanished", f"{wav} was written, and is gone")
            spoken.rows[segment_id] = _failed(segment_id, gone)


def _fail_rest(job: SynthesisJob, spoken: SynthesisResult, failure: Failure) -> None:
    for segment in job.script.segments:
        spoken.rows.setdefault(segment.id, _failed(segment.id, failure))


def _failed(segment_id: str, why: Failure) -> SegmentRow:
    return SegmentRow(0, segment_id, "failed", error=why)


def _clear_unplanned(job: SynthesisJob) -> None:
    """What is no longer in the script leaves."""
    planned = [segment.id for segment in job.script.segments]
    remove_temporary_files(
        job.run_dir.segments, {f"{name}.{kind}" for name in planned for kind in ("wav", "json")}
    )


def _count(outcome: PoolResult, spoken: SynthesisResult) -> None:
    spoken.errors += outcome.errors
    spoken.notes += [note for note in outcome.notes if note not in spoken.notes]
    spoken.peak_mb = max(spoken.peak_mb, outcome.peak_mb)
    add_seconds(spoken.timing, outcome.timing)


SUCCESS, PARTIAL, ERROR, PLANNED = "success", "partial", "error", "planned"
EXIT_CODES = {SUCCESS: 0, PARTIAL: 3, ERROR: 1, PLANNED: 0}


def status(spoken: SynthesisResult, planned: int) -> str:
    """Of a run with so many segments; those that have no row were not begun with, as nobody asked for it."""
    done = len(spoken.done)
    if done == len(spoken.rows) and not spoken.errors and not spoken.stopped:
        return SUCCESS if done and done == planned else PLANNED
    return PARTIAL if done else ERROR


def exit_code(spoken: SynthesisResult) -> int:
    """What the command ends with. Work that was stopped as a whole before anything was spoken lacked
    something: an interpreter, a package, a checkpoint that loads."""
    if spoken.stopped is not None:
        return spoken.stopped.exit_code
    outcome = status(spoken, len(spoken.rows))
    if outcome == ERROR and spoken.errors:
        return PreflightError.exit_code
    return EXIT_CODES[outcome]
