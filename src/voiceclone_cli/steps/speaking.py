"""Speaks a script: references first, then every segment that is not there yet."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voiceclone_cli.atomic import explain_write_errors, write_error
from voiceclone_cli.errors import RunError, Stopped
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.machine.clock import add_seconds
from voiceclone_cli.means import OpenVoices, Voices, own_voices
from voiceclone_cli.provenance import SPEAKING_ENGINES
from voiceclone_cli.provenance.notice import tell_first_run
from voiceclone_cli.provenance.sealing import Seal, Sealer, unmarked_notes
from voiceclone_cli.provenance.watermark import watermark_folder
from voiceclone_cli.rundir.directory import RunDir, sweep
from voiceclone_cli.rundir.segments import note_segment, noted_segment
from voiceclone_cli.rundir.stages import NO_STAGES, Stages
from voiceclone_cli.tasks import (
    Job,
    codes_files,
    encode_task,
    encoding_made_from,
    segment_fingerprints,
    synthesis_tasks,
)
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment
from voiceclone_cli.workers.leases import leases_of, one_lease
from voiceclone_cli.workers.outcome import Outcome
from voiceclone_cli.workers.progress import ENCODING, WorkerProgress
from voiceclone_worker.contract import Failure, ReferenceRow, SegmentRow


@dataclass(slots=True)
class Spoken:
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


def speak(
    job: Job,
    progress: Progress,
    *,
    stages: Stages = NO_STAGES,
    keep_tasks: bool = False,
    open_voices: OpenVoices = own_voices,
) -> Spoken:
    """Speak every segment of the job; each has a row in the result, whatever happened to it.

    Being stopped ends the workers; what they had not finished has failed, and so has what could not be
    written.
    """
    spoken = Spoken()
    try:
        with explain_write_errors(job.run_dir.root):
            report = WorkerProgress(
                progress, references=len(job.references), segments=len(job.script.segments)
            )
            with open_voices(job, progress, report, keep_tasks) as voices:
                _speak(job, progress, stages, spoken, voices, report)
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


def spoken_before(job: Job, stages: Stages) -> Spoken:
    """What an earlier run has spoken that still holds, found out without changing anything.

    Nothing while the references are not encoded as this job would do it: what comes of them decides whether a
    segment is still the same.
    """
    spoken = Spoken()
    if job.references and stages.recall(ENCODING, encoding_made_from(job)) is not None:
        _take_over(job.script, job.run_dir, segment_fingerprints(job), spoken)
    return spoken


def _speak(
    job: Job, progress: Progress, stages: Stages, spoken: Spoken, voices: Voices, report: WorkerProgress
) -> None:
    seal = _seal(job, progress)
    _encode(job, voices, stages, spoken, report)
    prints = segment_fingerprints(job)
    _take_over(job.script, job.run_dir, prints, spoken)
    missing = [segment for segment in job.script.segments if segment.id not in spoken.rows]
    _tell_plan(job, stages, spoken, progress)
    report.already_settled(len(spoken.rows))
    if missing:
        tell_first_run(job.engine.name, progress)
        _speak_missing(job, voices, missing, prints, seal, spoken)


def _speak_missing(
    job: Job,
    voices: Voices,
    missing: Sequence[Segment],
    prints: Mapping[str, str],
    seal: Seal | None,
    spoken: Spoken,
) -> None:
    """A segment counts once it is sealed and noted, which happens beside the speaking of the next."""

    def settle(row: SegmentRow, unmarked: str | None) -> None:
        if unmarked is not None:
            spoken.unmarked[row.id] = unmarked
        spoken.rows[row.id] = _noted(job.run_dir, row, prints[row.id], unmarked)

    tasks = synthesis_tasks(job, missing)
    leases = leases_of(tasks, job.settings, voices.slots, job.settings.batch_size)
    with Sealer() as sealer:
        outcome = voices.run(leases, on_segment=lambda row: sealer.take(row, seal, settle))
    _count(outcome, spoken)
    if sealer.seconds:
        add_seconds(spoken.timing, {"watermark": sealer.seconds})


def _seal(job: Job, progress: Progress) -> Seal | None:
    """What every segment gets once it is spoken. Raises PreflightError where the mark's model cannot be had."""
    if job.engine.name not in SPEAKING_ENGINES:
        return None
    return Seal(job.engine.name, watermark_folder(job.settings, progress) if job.watermark else None)


def _encode(job: Job, voices: Voices, stages: Stages, spoken: Spoken, report: WorkerProgress) -> None:
    """All references in one go, unless an earlier run made the same of them."""
    made_from = encoding_made_from(job)
    if stages.recall(ENCODING, made_from) is not None:
        report.encoded_before()
        return
    encoded = voices.run([*one_lease([encode_task(job)]), *voices.warm_up(job)])
    _count(encoded, spoken)
    _give_up_voiceless(job.script, encoded.references, spoken)
    files = {path: file_sha256(path) for path in codes_files(job) if path.is_file()}
    if len(files) == len(job.references):
        stages.keep(ENCODING, made_from, {"speakers": list(job.references)}, files)


def _tell_plan(job: Job, stages: Stages, spoken: Spoken, progress: Progress) -> None:
    """One sentence where anything is kept from before: what it is, and what is left to do."""
    total = len(job.script.segments)
    kept = [*stages.reused, *([f"{spoken.reused} of {total} segments"] if spoken.reused else [])]
    missing = total - len(spoken.rows)
    plan = f"{missing} of {total} segments to speak" if missing else "nothing left to speak"
    if kept:
        progress(ProgressEvent("note", 1, 1, note=f"kept from before: {', '.join(kept)}; {plan}"))


def _give_up_voiceless(script: Script, references: Mapping[str, ReferenceRow], spoken: Spoken) -> None:
    """A segment whose speaker's reference could not be encoded cannot be spoken."""
    for segment in script.segments:
        row = references.get(segment.speaker)
        if row is None or row.status != "done":
            why = row.error if row and row.error else Failure("no_reference", "its speaker has no reference")
            spoken.rows[segment.id] = _failed(segment.id, why)


def _take_over(script: Script, run_dir: RunDir, prints: Mapping[str, str], spoken: Spoken) -> None:
    """Rows for the segments that an earlier run has spoken from the same inputs."""
    for segment in script.segments:
        note = None if segment.id in spoken.rows else noted_segment(run_dir, segment.id, prints[segment.id])
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


def _noted(run_dir: RunDir, row: SegmentRow, made_from: str, unmarked: str | None) -> SegmentRow:
    """The row, once the fingerprint stands beside its wav; without one the segment is not done."""
    if row.status != "done":
        return row
    kept = ("seed", "seconds", "frames", "attempts", "sha256")
    try:
        details = {key: getattr(row, key) for key in kept}
        note_segment(run_dir, row.id, made_from, details | ({"unmarked": unmarked} if unmarked else {}))
    except OSError as error:
        explained = write_error(run_dir.segments, error)
        return _failed(row.id, Failure(explained.code, explained.message))
    return row


def _check_still_there(run_dir: RunDir, spoken: Spoken) -> None:
    """What was removed while the run went on is not done."""
    for segment_id, row in spoken.rows.items():
        if row.status == "done" and not run_dir.segment_wav(segment_id).is_file():
            wav = run_dir.segment_wav(segment_id)
            gone = Failure("output_vanished", f"{wav} was written, and is gone")
            spoken.rows[segment_id] = _failed(segment_id, gone)


def _fail_rest(job: Job, spoken: Spoken, failure: Failure) -> None:
    for segment in job.script.segments:
        spoken.rows.setdefault(segment.id, _failed(segment.id, failure))


def _failed(segment_id: str, why: Failure) -> SegmentRow:
    return SegmentRow(0, segment_id, "failed", error=why)


def _clear_unplanned(job: Job) -> None:
    """What is no longer in the script leaves."""
    planned = [segment.id for segment in job.script.segments]
    sweep(job.run_dir.segments, {f"{name}.{kind}" for name in planned for kind in ("wav", "json")})


def _count(outcome: Outcome, spoken: Spoken) -> None:
    spoken.errors += outcome.errors
    spoken.notes += [note for note in outcome.notes if note not in spoken.notes]
    spoken.peak_mb = max(spoken.peak_mb, outcome.peak_mb)
    add_seconds(spoken.timing, outcome.timing)
