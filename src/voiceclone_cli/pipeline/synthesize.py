"""Synthesis of a script: references first, then every segment that an earlier run has not made already.

In the order of a run: what is cached, what is missing, the workers, watermark and note of every segment.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone_cli.engines.select import licence_of
from voiceclone_cli.errors import PreflightError, RunError, Stopped
from voiceclone_cli.files import file_sha256, friendly_errors, write_error
from voiceclone_cli.messages import listed
from voiceclone_cli.mixing.fit import record_speech_rates
from voiceclone_cli.pipeline import tasks
from voiceclone_cli.pipeline.resources import OpenPool, WorkerPool, open_local_pool
from voiceclone_cli.provenance import watermark
from voiceclone_cli.provenance.consent import show_first_run_notice
from voiceclone_cli.rundir.cache import NULL_CACHE, StageCache, load_segment_note, save_segment_note
from voiceclone_cli.rundir.directory import remove_temporary_files
from voiceclone_cli.rundir.manifest import ERROR, EXIT_CODES, PARTIAL, PLANNED, SUCCESS
from voiceclone_cli.system import add_seconds
from voiceclone_cli.types import Progress, ProgressEvent, Segment
from voiceclone_cli.workers.protocol import Lease, PoolResult, leases_of, one_lease, warm_up
from voiceclone_cli.workers.queue import ENCODING, WorkerProgress
from voiceclone_worker.protocol import Failure, SegmentRow


@dataclass(slots=True)
class SynthesisResult:
    """What became of every segment of a script."""

    segments: dict[str, SegmentRow] = field(default_factory=dict)
    """By id: done, or failed with a reason."""
    reused: set[str] = field(default_factory=set)
    """Ids of those that an earlier run made from the same inputs."""
    timing: dict[str, float] = field(default_factory=dict)
    """Seconds inside the workers (load, encode, generate, write), summed over them, and of the watermark, which
    is added at the same time as further segments are synthesized."""
    errors: list[Failure] = field(default_factory=list)
    """What ended the work as a whole, not a single segment."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the user, each once."""
    unmarked: dict[str, str] = field(default_factory=dict)
    """Segments that could not carry the watermark, by id, and why: "too short" or "silent"."""
    peak_mb: int = 0
    """Of the largest worker."""
    stopped: Stopped | None = None
    """What stopped the work early, if anything did."""
    strict: bool = False
    """Whether a segment that is not spoken in full counts as a failure of the run (--strict)."""

    @property
    def done(self) -> dict[str, SegmentRow]:
        """Results of the segments that have audio, by id."""
        return {id: result for id, result in self.segments.items() if result.status == "done"}

    @property
    def incomplete_lines(self) -> dict[str, tuple[str, ...]]:
        """Why segments that have audio are not spoken in full, by id."""
        return {id: row.warnings for id, row in self.done.items() if row.warnings}

    @property
    def is_complete(self) -> bool:
        """Whether nothing failed and nothing was stopped."""
        return len(self.done) == len(self.segments) and not self.errors and not self.stopped

    def status(self, planned: int) -> str:
        """Return the status of a run of ``planned`` segments; those without a result were not begun."""
        if self.strict and self.incomplete_lines:
            return PARTIAL
        if self.is_complete:
            return SUCCESS if self.done and len(self.done) == planned else PLANNED
        return PARTIAL if self.done else ERROR

    @property
    def exit_code(self) -> int:
        """Exit code of the command. Work that ended as a whole before any segment was done lacked a requirement:
        an interpreter, a package, a checkpoint that loads."""
        if self.stopped is not None:
            return self.stopped.exit_code
        status = self.status(len(self.segments))
        return PreflightError.exit_code if status == ERROR and self.errors else EXIT_CODES[status]


def synthesize(
    job: tasks.SynthesisJob,
    progress: Progress,
    *,
    cache: StageCache = NULL_CACHE,
    keep_tasks: bool = False,
    open_pool: OpenPool = open_local_pool,
) -> SynthesisResult:
    """Synthesize every segment of the job; each has a result, whatever happened to it.

    A stop ends the workers. What they had not finished has failed, and so has what could not be written.
    """
    synthesis = Synthesis(job, progress, cache)
    synthesis.run(open_pool, keep_tasks=keep_tasks)
    _record_lengths(job, synthesis.result)
    return synthesis.result


def _record_lengths(job: tasks.SynthesisJob, result: SynthesisResult) -> None:
    """Save how long the new lines are, for the estimates of later runs."""
    done = result.done
    record_speech_rates(
        job.rates,
        [
            (segment, row.seconds, job.slot_ends[segment.id] - segment.start)
            for segment in job.script.segments
            if segment.id not in result.reused
            and (row := done.get(segment.id)) is not None
            and row.seconds is not None
        ],
    )


def cached_speech(job: tasks.SynthesisJob, cache: StageCache) -> SynthesisResult:
    """Return the segments of an earlier run that are still valid, without changing anything.

    Empty while the references are not encoded as this job would do it, since the fingerprint of a segment depends
    on their codes.
    """
    synthesis = Synthesis(job, lambda event: None, cache)
    if (
        job.references
        and cache.load(ENCODING, tasks.ENCODING_VERSION, tasks.encoding_inputs(job)) is not None
    ):
        synthesis.load_segments(tasks.segment_fingerprints(job))
    return synthesis.result


def incomplete_notes(result: SynthesisResult) -> list[str]:
    """Return a sentence on the lines that are not spoken in full."""
    lines = result.incomplete_lines
    if not lines:
        return []
    named = [
        " ".join(f"{id}{sentence.removeprefix('It')}" for sentence in sentences).rstrip(".")
        for id, sentences in sorted(lines.items())
    ]
    count = "1 line is" if len(lines) == 1 else f"{len(lines)} lines are"
    return [f"{count} not spoken in full: {listed(named, between='; ')}."]


class Synthesis:
    """One synthesis of a job. ``result`` grows while it runs."""

    def __init__(self, job: tasks.SynthesisJob, progress: Progress, cache: StageCache) -> None:
        self.result = SynthesisResult(strict=job.settings.strict)
        self._job = job
        self._run_dir = job.run_dir
        self._progress = progress
        self._cache = cache
        self._report = WorkerProgress(
            progress, references=len(job.references), segments=len(job.script.segments)
        )

    def run(self, open_pool: OpenPool, *, keep_tasks: bool) -> None:
        """Reuse what is cached, synthesize what is missing, and clean up."""
        job, result = self._job, self.result
        try:
            with friendly_errors(self._run_dir.root):
                model = watermark.watermark_folder(job.settings, self._progress) if job.watermark else None
                with open_pool(job, self._progress, self._report, keep_tasks) as pool:
                    self._encode_references(pool)
                    fingerprints = tasks.segment_fingerprints(job)
                    self.load_segments(fingerprints)
                    missing = [
                        segment for segment in job.script.segments if segment.id not in result.segments
                    ]
                    self._show_plan(len(missing))
                    if missing:
                        show_first_run_notice(
                            *licence_of(job.engine.name, job.engine.checkpoint), self._progress
                        )
                        self._synthesize(missing, pool, fingerprints, model)
                self._delete_unplanned()
        except Stopped as stop:
            result.stopped = stop
            self._fail_rest(Failure("interrupted", "the run was stopped before this segment was synthesized"))
        except RunError as error:
            failure = Failure(error.code, error.message)
            result.errors.append(failure)
            self._fail_rest(failure)
        self._fail_vanished()
        result.notes += [*watermark.unmarked_notes(result.unmarked), *incomplete_notes(result)]
        if not keep_tasks:
            shutil.rmtree(self._run_dir.tasks, ignore_errors=True)

    def load_segments(self, fingerprints: Mapping[str, str]) -> None:
        """Reuse the segments that an earlier run made from the same inputs."""
        for segment in self._job.script.segments:
            if segment.id in self.result.segments:
                continue
            note = load_segment_note(self._run_dir, segment.id, fingerprints[segment.id])
            if note is None:
                continue
            if note.get("unmarked"):
                self.result.unmarked[segment.id] = note["unmarked"]
            self.result.segments[segment.id] = SegmentRow(
                0,
                segment.id,
                "done",
                str(self._run_dir.segment_wav(segment.id)),
                note.get("seconds"),
                note.get("frames"),
                note.get("seed"),
                note.get("attempts", 1),
                note["sha256"],
                warnings=tuple(map(str, note.get("warnings") or ())),
            )
            self.result.reused.add(segment.id)

    def _encode_references(self, pool: WorkerPool) -> None:
        """Encode all references at once, unless they are cached. A segment whose reference fails has failed."""
        job, inputs = self._job, tasks.encoding_inputs(self._job)
        cached = self._cache.load(ENCODING, tasks.ENCODING_VERSION, inputs)
        if cached is not None:
            self._report.references_cached()
            self.result.notes += map(str, cached.get("notes") or ())
            return
        others = 0 if pool.is_shared else min(pool.workers(), len(job.script.segments)) - 1
        leases = [*one_lease([tasks.encode_task(job)]), *warm_up(job.spec(), others)]
        encoded = pool.run(leases, lambda row: None)
        self._add(encoded)
        for segment in job.script.segments:
            found = encoded.references.get(segment.speaker)
            if found is None or found.status != "done":
                error = found.error if found else None
                self._fail(segment.id, error or Failure("no_reference", "its speaker has no reference"))
        files = {path: file_sha256(path) for path in tasks.codes_files(job) if path.is_file()}
        if len(files) == len(job.references):
            self._cache.save(
                ENCODING,
                tasks.ENCODING_VERSION,
                inputs,
                {"speakers": list(job.references), "notes": list(encoded.notes)},
                files,
            )

    def _show_plan(self, missing: int) -> None:
        """Show one sentence where anything is reused: what it is, and what is left to do."""
        total, result = len(self._job.script.segments), self.result
        reused = [
            *self._cache.reused,
            *([f"{len(result.reused)} of {total} segments"] if result.reused else []),
        ]
        left = f"{missing} of {total} segments to synthesize" if missing else "nothing left to synthesize"
        if reused:
            note = f"kept from before: {', '.join(reused)}; {left}"
            self._progress(ProgressEvent("note", 1, 1, note=note))
        self._report.segments_cached(len(result.segments))

    def _synthesize(
        self,
        missing: Sequence[Segment],
        pool: WorkerPool,
        fingerprints: Mapping[str, str],
        watermark_model: Path | None,
    ) -> None:
        """Synthesize segments. Each is done once it has its watermark and its note."""
        job = self._job

        def finish(_: SegmentRow, row: SegmentRow, unmarked: str | None) -> None:
            if unmarked is not None:
                self.result.unmarked[row.id] = unmarked
            self.result.segments[row.id] = row
            if row.status == "done":
                self._write_note(row, fingerprints[row.id], unmarked)

        missing_tasks = tasks.synthesis_tasks(job, missing)
        leases = leases_of(missing_tasks, job.settings, pool.workers(), job.settings.batch_size)
        self._add(run_leases(pool.run, leases, lambda row: job.engine.name, watermark_model, finish))

    def _write_note(self, row: SegmentRow, fingerprint: str, unmarked: str | None) -> None:
        """Write the note beside the wav; without one the segment is not done."""
        kept = ("seed", "seconds", "frames", "attempts", "sha256", "warnings")
        details = {key: getattr(row, key) for key in kept}
        try:
            save_segment_note(
                self._run_dir, row.id, fingerprint, details | ({"unmarked": unmarked} if unmarked else {})
            )
        except OSError as error:
            explained = write_error(self._run_dir.segments, error)
            self._fail(row.id, Failure(explained.code, explained.message))

    def _delete_unplanned(self) -> None:
        """Delete segments that are no longer in the script."""
        names = [segment.id for segment in self._job.script.segments]
        files = {f"{name}.{kind}" for name in names for kind in ("wav", "json")}
        remove_temporary_files(self._run_dir.segments, files)

    def _fail_vanished(self) -> None:
        """Fail segments whose wav was deleted while the run went on."""
        for id in self.result.done:
            wav = self._run_dir.segment_wav(id)
            if not wav.is_file():
                self._fail(id, Failure("output_vanished", f"{wav} was written, and is gone"))

    def _fail_rest(self, failure: Failure) -> None:
        for segment in self._job.script.segments:
            if segment.id not in self.result.segments:
                self._fail(segment.id, failure)

    def _fail(self, segment_id: str, failure: Failure) -> None:
        self.result.segments[segment_id] = SegmentRow(0, segment_id, "failed", error=failure)

    def _add(self, outcome: PoolResult) -> None:
        result = self.result
        result.errors += outcome.errors
        result.notes += [note for note in outcome.notes if note not in result.notes]
        result.peak_mb = max(result.peak_mb, outcome.peak_mb)
        add_seconds(result.timing, outcome.timing)


def run_leases(
    run: Callable[[Sequence[Lease], Callable[[SegmentRow], None]], PoolResult],
    leases: Sequence[Lease],
    engine_of: Callable[[SegmentRow], str],
    watermark_model: Path | None,
    on_result: Callable[[SegmentRow, SegmentRow, str | None], None],
) -> PoolResult:
    """Run leases in a pool, and mark and tag each segment in a thread while further ones are synthesized.

    ``watermark_model`` is the folder of the watermark's model; None: tags only. ``on_result`` is called with the
    worker's result, the final one, and why the segment could not be marked.
    """
    with watermark.Postprocessor() as postprocessor:

        def take(row: SegmentRow) -> None:
            postprocessor.process(
                row,
                engine_of(row),
                watermark_model,
                lambda final, unmarked: on_result(row, final, unmarked),
            )

        outcome = run(leases, take)
    if postprocessor.seconds:
        add_seconds(outcome.timing, {"watermark": postprocessor.seconds})
    return outcome
