"""The story of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli import timeline
from voiceclone_cli.desk import Desk, open_desk
from voiceclone_cli.errors import RunError, Stopped
from voiceclone_cli.manifest import Made, Source, document, exit_code, record_unwritten, write_manifest
from voiceclone_cli.preparing import Prepared, prepare
from voiceclone_cli.request import RunRequest
from voiceclone_cli.rundir import sweep
from voiceclone_cli.speaking import Spoken, speak
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Progress, Until, no_progress
from voiceclone_worker.contract import Failure


@dataclass(frozen=True, slots=True)
class RunResult:
    document: dict[str, Any]
    exit_code: int


def run(request: RunRequest, progress: Progress = no_progress) -> RunResult:
    """Speak a recording again, every line in its own speaker's voice; go on where an earlier run ended.

    Raises InputError and PreflightError before a line is spoken, RunError when the run directory cannot be
    written; from the first segment on, whatever happens to a segment stands in the result.
    """
    with open_desk(request, progress) as desk:
        prepared = prepare(desk)
        job = prepared.job(desk)
        spoken, made = Spoken(), Made()
        if request.until in (None, Until.SPEAKING):
            with desk.clock.stage("speaking"):
                spoken = speak(job, progress, stages=desk.stages, keep_tasks=request.keep_tasks)
        if request.until is None:
            with desk.clock.stage("timeline"):
                made = _place(desk, job, spoken)
        desk.clock.stop()
        return _result(desk, prepared, job, spoken, made)


def _place(desk: Desk, job: Job, spoken: Spoken) -> Made:
    """The mix and the stems, unless there is nothing to hear or nobody waits for it any more.

    What keeps them from being written leaves the segments as they are, and stands with them in the manifest.
    """
    rows = {id: row for id, row in spoken.rows.items() if row.status == "done"}
    if spoken.stopped:
        return Made()
    if not rows:
        job.run_dir.drop_mix()
        return Made()
    try:
        placements = timeline.render_or_recall(
            job.script.segments,
            rows,
            desk.recording,
            mix=job.run_dir.mix,
            stems=job.run_dir.stems,
            max_stretch=job.settings.max_stretch,
            stages=desk.stages,
            progress=desk.progress,
        )
        sweep(job.run_dir.stems, {f"{segment.speaker}.wav" for segment in job.script.segments})
        return Made(placements, timeline.speech_rate(job.run_dir.mix))
    except RunError as error:
        spoken.errors.append(Failure(error.code, error.message))
    except Stopped as stop:
        spoken.stopped = stop
    return Made()


def _result(desk: Desk, prepared: Prepared, job: Job, spoken: Spoken, made: Made) -> RunResult:
    """The document is the caller's also where the disk does not take it."""
    source = Source(
        desk.recording, desk.sha256, prepared.diarization, prepared.script_from, _asked(desk.request)
    )
    content = document(source, job, spoken, made, desk.notes, desk.stages.reused, desk.clock)
    try:
        write_manifest(job.run_dir, content)
    except RunError as error:
        return RunResult(record_unwritten(content, error), error.exit_code)
    return RunResult(content, exit_code(spoken))


def _asked(request: RunRequest) -> dict[str, Any]:
    """Of a request what its settings do not say, so that it can be made again."""

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.absolute())

    return {
        "input": absolute(request.input),
        "script": absolute(request.script),
        "turns": absolute(request.turns),
        "references": {name: absolute(path) for name, path in request.references.items()},
        "speakers": asdict(request.speakers),
        "consent": absolute(request.consent),
        "keep_original_audio": request.keep_original_audio,
    }
