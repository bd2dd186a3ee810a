"""Whether a worker answers: a real one is started and speaks one tone."""

from __future__ import annotations

import queue
import tempfile
import time
from pathlib import Path

from voiceclone_cli.doctor.interpreters import ANOTHER_PYTHON
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.workers.leases import one_lease
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.process import WorkerProcess
from voiceclone_cli.workers.local.task_files import TaskFiles
from voiceclone_cli.workers.slot import EventMessage, GoneMessage, Message, ResultMessage
from voiceclone_worker.contract import EngineSpec, ReferenceSpec, Result, SegmentSpec, SynthesisTask

CHECK = "worker answers"


def worker_answers(python: str | None, *, seconds: float) -> Row:
    """Start the worker in ``python`` (None: this interpreter), let the echo engine speak a segment,
    and read the result. The worker has ended when this returns, at the latest after ``seconds``.

    Raises PreflightError when the interpreter cannot be started at all.
    """
    command = worker_command(python, threads=1)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="voiceclone-doctor-") as folder:
        worker = WorkerProcess("the worker", command, inbox, TaskFiles(Path(folder), keep=False))
        try:
            worker.give(*one_lease([_task(folder)]))
            greeted, end = _hear(worker, inbox, began + seconds, seconds)
            if isinstance(end, Result):
                return _judge(end, Path(folder), time.monotonic() - began)
            return _no_answer(command.python, end, greeted)
        finally:
            worker.finish()
            if not worker.wait(2.0):
                worker.kill("it did not end")
                worker.wait(5.0)


def _task(folder: str) -> SynthesisTask:
    reference = ReferenceSpec("doctor", f"{folder}/no.wav", "", f"{folder}/codes.txt")
    line = SegmentSpec("0001", "a line", "en", seed=0)
    return SynthesisTask("doctor", EngineSpec("echo", batch_size=1), reference, folder, (line,))


def _hear(
    worker: WorkerProcess, inbox: queue.SimpleQueue[Message], deadline: float, seconds: float
) -> tuple[bool, Result | str]:
    """Whether the worker's program was heard at all, and its result, or why there is none."""
    greeted = killed = False
    while True:
        try:
            # Once killed, the message of its end is on its way.
            message = inbox.get(timeout=5.0 if killed else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            if killed:
                return greeted, f"gave no answer in {seconds:.0f} s, and cannot be ended"
            worker.kill(f"no answer in {seconds:.0f} s")
            killed = True
            continue
        match message:
            case EventMessage():
                greeted = True
            case ResultMessage(_, result):
                return greeted, result
            case GoneMessage(_, reason):
                return greeted, reason


def _judge(result: Result, folder: Path, seconds: float) -> Row:
    failures = [failure.message for failure in [result.error, *(r.error for r in result.segments)] if failure]
    if failures or not (folder / "0001.wav").is_file():
        found = f"it answered, but spoke nothing: {failures[0] if failures else 'no file was written'}"
        return Row(CHECK, State.FAIL, found, "make room in the temporary folder, or set TMPDIR to another")
    return Row(CHECK, State.OK, f"a tone, spoken and read back in {seconds:.1f} s")


def _no_answer(python: str, reason: str, greeted: bool) -> Row:
    """A worker that greets runs our program; one that does not may not even be Python."""
    if greeted:
        advice = (
            "look for what prints to stdout or ends processes in that environment (sitecustomize, .pth files, "
            "limits), or make another with `voiceclone env create`; the whole log of a run's worker is "
            "logs/worker-1.log in the run directory"
        )
        return Row(CHECK, State.FAIL, f"{python} runs the worker, but {reason}", advice)
    return Row(CHECK, State.FAIL, f"{python} does not run the worker: {reason}", ANOTHER_PYTHON)
