"""`voiceclone synth`: task files of any origin, through the pool of workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from voiceclone_cli.config import Settings, path_setting
from voiceclone_cli.engines.fish import fish_python, given_python
from voiceclone_cli.engines.select import ECHO_VARIABLE, licence_of
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.synthesize import run_leases
from voiceclone_cli.provenance import watermark
from voiceclone_cli.provenance.consent import show_first_run_notice
from voiceclone_cli.system import add_seconds
from voiceclone_cli.types import Progress
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import Lease, PoolResult, leases_of, one_lease
from voiceclone_cli.workers.queue import WorkerProgress
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.protocol import EncodeTask, Result, SegmentRow, SynthesisTask, Task, read_task
from voiceclone_worker.validation import ContractError, file_key, shown


def synthesize_tasks(paths: Sequence[Path], settings: Settings, progress: Progress) -> Result:
    """Run the tasks in these files: encode tasks first, then all segments together.

    Results are in the order of the files. Raises InputError for a file that is no task, for tasks that would
    write the same file, and for one that names code to run; PreflightError when their interpreter is missing.
    """
    tasks = [_with_tags(task, settings) for task in _read(paths, settings)]
    encode = [task for task in tasks if isinstance(task, EncodeTask)]
    synthesis = [task for task in tasks if isinstance(task, SynthesisTask)]
    segments = sum(len(task.segments) for task in synthesis)
    references = sum(len(task.references) for task in encode)
    report = WorkerProgress(progress, references=references, segments=segments)
    batch_size = max((task.engine.batch_size for task in tasks), default=1)
    with (
        TemporaryDirectory(prefix="voiceclone-") as folder,
        Pool(
            LocalLauncher(
                worker_command(_python(tasks, settings), threads=settings.threads_each),
                settings.pool_size,
                Path(folder),
            ),
            on_event=report,
            on_log=report.log,
        ) as pool,
    ):
        encoded = pool.run(one_lease(encode))
        leases = leases_of(synthesis, settings, settings.pool_size, batch_size)
        return _result(tasks, encoded, _synthesize(pool, leases, synthesis, settings, progress))


def _synthesize(
    pool: Pool,
    leases: Sequence[Lease],
    tasks: Sequence[SynthesisTask],
    settings: Settings,
    progress: Progress,
) -> PoolResult:
    """Synthesize all leases, and mark and tag every segment. Raises PreflightError without the watermark's model."""
    engines = {task.engine.name for task in tasks}
    for notice in sorted({licence_of(task.engine.name, task.engine.checkpoint) for task in tasks}):
        show_first_run_notice(*notice, progress)
    is_marked = settings.watermark and not engines.isdisjoint(watermark.SPEAKING_ENGINES)
    model = watermark.watermark_folder(settings, progress) if is_marked else None
    engine_of = {
        Path(task.output_dir, f"{segment.id}.wav"): task.engine.name
        for task in tasks
        for segment in task.segments
    }
    final: dict[str, SegmentRow] = {}
    unmarked: dict[str, str] = {}

    def finish(row: SegmentRow, processed: SegmentRow, why_unmarked: str | None) -> None:
        if row.file is not None:
            final[row.file] = processed
            if why_unmarked is not None:
                unmarked[row.id] = why_unmarked

    outcome = run_leases(pool.run, leases, lambda row: engine_of.get(Path(row.file or ""), ""), model, finish)
    for key, row in outcome.segments.items():
        if row.file is not None:
            outcome.segments[key] = final[row.file]
    outcome.add_notes(watermark.unmarked_notes(unmarked))
    return outcome


def _read(paths: Sequence[Path], settings: Settings) -> list[Task]:
    tasks: list[Task] = []
    written: set[tuple[str, str]] = set()
    for path in paths:
        try:
            task = read_task(path)
        except ContractError as error:
            raise InputError(str(error), code="bad_task") from error
        _refuse_code(path, task, settings)
        outputs = _outputs(task)
        if not written.isdisjoint(outputs):
            raise InputError(
                f"task file {path}: another task writes a file, or encodes a speaker, of this one; "
                "give each its own.",
                code="output_twice",
            )
        written |= outputs
        tasks.append(task)
    return tasks


def _with_tags(task: Task, settings: Settings) -> Task:
    """Return the task with --tags, where the user says it: a task has its own."""
    if settings.sources["tags"] == "default" or task.engine.name != "fish":
        return task
    options = {**task.engine.options, "tags": settings.tags}
    return replace(task, engine=replace(task.engine, options=options))


def _refuse_code(path: Path, task: Task, settings: Settings) -> None:
    """Refuse a task file that names code other than that of the user's own settings: it may be a stranger's."""
    options = task.engine.options
    source, checkout = options.get("source"), settings.fish_speech_dir
    if source is not None and (checkout is None or source != str(path_setting(checkout))):
        raise InputError(
            f"task file {path} wants code of {shown(source)} to be run; set FISH_SPEECH_DIR to it if you trust it.",
            code="task_names_code",
        )
    if "import" in options and ECHO_VARIABLE not in os.environ:
        raise InputError(
            f"task file {path} wants code of {shown(str(options['import']))} to be run; set {ECHO_VARIABLE} to {{}} "
            "if you trust it.",
            code="task_names_code",
        )


def _outputs(task: Task) -> set[tuple[str, str]]:
    """Return what no two tasks may share, as (folder, name): files to write, and speakers to encode."""
    if isinstance(task, EncodeTask):
        codes = {(os.path.realpath(reference.codes), "") for reference in task.references}
        return codes | {("speakers", file_key(reference.speaker)) for reference in task.references}
    folder = os.path.realpath(task.output_dir)
    return {(folder, file_key(segment.id)) for segment in task.segments}


def _python(tasks: Sequence[Task], settings: Settings) -> str | None:
    """Return the interpreter of the tasks' engines."""
    found = {ENGINES[task.engine.name].interpreter for task in tasks if task.engine.name in ENGINES}
    if "fish" in found:
        return fish_python(settings)
    return None if found == {"ui"} else given_python(settings)


def _result(tasks: Sequence[Task], encoded: PoolResult, synthesized: PoolResult) -> Result:
    rows: list[SegmentRow] = []
    for number, task in enumerate(tasks):
        if isinstance(task, SynthesisTask):
            # A lease counts its own tasks; the caller counts the files it gave.
            found = (synthesized.segments[task.output_dir, segment.id] for segment in task.segments)
            rows += [replace(row, task=number) for row in found]
    timing = dict(encoded.timing)
    add_seconds(timing, synthesized.timing)
    errors = [*encoded.errors, *synthesized.errors]
    return Result(
        segments=tuple(rows),
        references=tuple(encoded.references.values()),
        timing=timing,
        notes=tuple(dict.fromkeys([*encoded.notes, *synthesized.notes])),
        error=errors[0] if errors else None,
    )
