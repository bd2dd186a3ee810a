"""``voiceclone doctor``: whether a run with some settings would work, here and on the nodes of a Ray cluster."""

from __future__ import annotations

import queue
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path

from voiceclone_cli.children import wait_in_steps
from voiceclone_cli.cluster.connection import connected
from voiceclone_cli.cluster.node import path_hints, weights
from voiceclone_cli.cluster.nodes import (
    NodeFinding,
    NodeProber,
    NodeShare,
    node_shares,
    nodes_of_cluster,
)
from voiceclone_cli.config import Settings, models_home
from voiceclone_cli.doctor import checks
from voiceclone_cli.doctor.checks import ANOTHER_PYTHON, CheckRow, CheckState, Examination, rows_or_error
from voiceclone_cli.engines.checkpoint import Checkpoint
from voiceclone_cli.engines.environment import environments_folder
from voiceclone_cli.engines.fish import checkout_note, no_checkpoint, s2_checkout, wanted_model
from voiceclone_cli.engines.memory import fish_memory, fit_to_device, read_device
from voiceclone_cli.engines.select import EngineChoice, EngineReport, choose_engine, probe
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download, store
from voiceclone_cli.system import machine_memory
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import TaskFiles, WorkerProcess, ask_tool, worker_command
from voiceclone_cli.workers.protocol import EventMessage, Message, ResultMessage, WorkerExited, one_lease
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, Result, SegmentSpec, SynthesisTask

EXAMINE_SECONDS = 24.0
"""Importing torch and fish-speech takes three seconds; from a cold disk, several times that."""

TRIAL_SECONDS = 5.0
"""A tone takes less than one."""

WORKER_CHECK = "worker answers"

_SPEAKERS = 2
"""Whose references are encoded at a time; `plan` knows how many a recording has."""


def run_checks(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    examine_seconds: float = EXAMINE_SECONDS,
    trial_seconds: float = TRIAL_SECONDS,
) -> list[CheckRow]:
    """Check interpreters, engine, devices, memory, models, disk and a worker.

    As far as can be seen, a run with these settings works where no row is ``CheckState.FAIL``. Each of the two
    interpreters has ``examine_seconds`` to be examined, a worker ``trial_seconds`` to synthesize. Progress
    stage "doctor".
    """

    def show(done: int, note: str) -> None:
        progress(ProgressEvent("doctor", done, 3, note=note))

    show(0, "both interpreters")
    # Both import torch, which is mostly waiting for the disk the first time.
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(_examine, None, None, settings, examine_seconds)
        report = probe(settings, seconds=examine_seconds)
        fish: Examination | PreflightError
        if isinstance(report.fish_python, PreflightError):
            fish = report.fish_python
        else:
            source = None if isinstance(report.checkout, PreflightError) else report.checkout
            fish = _examine(report.fish_python, source, settings, examine_seconds)
        wait_in_steps(lambda step: bool(wait({future}, step).done))
        own = future.result()
    show(1, "the machine and its models")
    severity = severity_of_fish(report)
    rows = [engine_row(report, settings), *checks.own_rows(own)]
    rows += checks.fish_rows(fish, settings, severity)
    if isinstance(report.checkout, PreflightError):
        rows.append(
            CheckRow(
                "FISH_SPEECH_DIR", severity, "cannot be used", report.checkout.message, report.checkout.code
            )
        )
    else:
        unobtainable = report.checkpoint is None and not checks.can_be_downloaded(settings)
        checkpoint = no_checkpoint(settings) if unobtainable else report.checkpoint or _unaccepted(settings)
        if (unused := s2_checkout(settings)) is not None:
            rows.append(CheckRow("FISH_SPEECH_DIR", CheckState.OK, checkout_note(unused)))
        rows.append(checks.checkpoint_row(checkpoint, severity, wanted_model(settings)))
    rows += _hardware_rows(report, fish, own, settings)
    rows += rows_or_error("models", checks.model_rows(settings), CheckState.FAIL)
    rows.append(checks.hub_row(settings))
    rows += rows_or_error("disk", _disk_rows(report, settings), CheckState.FAIL)
    rows += checks.language_rows()
    rows.append(checks.translator_row(settings))
    show(2, "a worker")
    rows += rows_or_error(WORKER_CHECK, _trial_rows(report, trial_seconds), CheckState.FAIL)
    show(3, "done")
    return rows


def engine_row(report: EngineReport, settings: Settings) -> CheckRow:
    """Return the engine of the run, and what to do where ``auto`` cannot use fish."""
    if settings.engine != "auto":
        return CheckRow("engine", CheckState.OK, f"{report.engine} is requested")
    if report.engine == "fish":
        return CheckRow("engine", CheckState.OK, "fish: its environment and a checkpoint are here")
    found = "kokoro, the embedded voice matching: what fish needs is not all here"
    return CheckRow("engine", CheckState.NOTE, found, "to have fish, do what its rows below say")


def _unaccepted(settings: Settings) -> PreflightError | None:
    """Return why the checkpoint that a run would fetch is not fetched: its licence was not accepted."""
    if settings.accept_license:
        return None
    entries = download.models_with_terms([wanted_model(settings)], models_home(settings))
    return next(map(download.license_error, entries), None)


def severity_of_fish(report: EngineReport) -> CheckState:
    """Return how bad it is when a part of fish is missing."""
    return CheckState.FAIL if report.engine == "fish" else CheckState.NOTE


def _examine(
    python: str | None, checkout: Path | None, settings: Settings, seconds: float
) -> Examination | PreflightError:
    """Run the worker's tool ``examine`` in ``python`` (None: this interpreter), with fish-speech taken from
    ``checkout`` where there is one."""
    arguments = [str(checkout or ""), settings.device, settings.precision]
    try:
        return ask_tool(worker_command(python, threads=1), "examine", arguments, seconds=seconds)
    except PreflightError as error:
        return error


def _hardware_rows(
    report: EngineReport,
    fish: Examination | PreflightError,
    own: Examination | PreflightError,
    settings: Settings,
) -> Iterator[CheckRow]:
    examined = own if isinstance(fish, PreflightError) else fish
    if isinstance(examined, PreflightError):
        advice = "do what the rows of the interpreters say, one of which must answer"
        yield CheckRow("devices", CheckState.NOTE, "not known, nor what memory a run takes", advice)
        return
    severity = severity_of_fish(report)
    yield checks.device_row(examined, settings)
    if examined is fish and "version" in examined["torch"]:
        yield checks.precision_row(examined, settings, severity)
    yield from rows_or_error("memory", _memory_rows(report, examined, settings), severity)


def _memory_rows(report: EngineReport, examined: Examination, settings: Settings) -> Iterator[CheckRow]:
    memory = machine_memory()
    place = examined["place"]
    if report.engine != "fish":
        yield checks.memory_row(memory, settings, checks.KOKORO_BYTES)
        return
    if not isinstance(report.checkpoint, Checkpoint) or "error" in place:
        return  # rows above say what to do first
    folder, on_gpu = report.checkpoint.folder, place["device"].startswith("cuda")
    settings, chosen = fit_to_device(settings, folder, lambda: read_device(examined, settings.device))
    if chosen:
        yield CheckRow("batch", CheckState.OK, "; ".join(chosen))
    encoded = min(settings.threads_each, _SPEAKERS)
    model = fish_memory(
        folder,
        place["precision"],
        settings.batch_size,
        on_gpu=on_gpu,
        encoded=1 if on_gpu else encoded,
        threads=1 if on_gpu else settings.threads_each,
    )
    smaller = checks.smaller_precisions(place)
    if on_gpu:
        yield checks.memory_row(memory, settings, checks.FISH_BYTES, smaller=smaller)
        yield checks.cuda_memory_row(examined, model, settings, smaller)
    else:
        yield checks.memory_row(
            memory, settings, model.total, shared=model.mapped, smaller=smaller, model=model
        )


def _disk_rows(report: EngineReport, settings: Settings) -> Iterator[CheckRow]:
    names = list(download.embedded_models())
    if report.engine == "fish" and report.checkpoint is None and checks.can_be_downloaded(settings):
        names.append(wanted_model(settings))
    home = models_home(settings) or store.default_home()
    yield checks.models_disk_row(home, checks.missing_bytes(settings, names))
    if isinstance(report.fish_python, PreflightError) and settings.fish_speech_python is None:
        yield checks.environment_disk_row(environments_folder(settings))
    yield checks.working_directory_row()


# A worker on trial


def _trial_rows(report: EngineReport, seconds: float) -> Iterator[CheckRow]:
    if isinstance(report.python, PreflightError):
        advice = "do what the row of the worker interpreter says"
        yield CheckRow(WORKER_CHECK, CheckState.FAIL, "not tried", advice)
    else:
        yield try_worker(report.python, seconds=seconds)


def try_worker(python: str | None, *, seconds: float) -> CheckRow:
    """Synthesize a segment with the echo engine in ``python`` (None: this interpreter) and check its result.

    The worker has ended when this returns, at the latest after ``seconds``. Raises PreflightError when the
    interpreter cannot be started at all.
    """
    command = worker_command(python, threads=1)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="voiceclone-doctor-") as folder:
        reference = ReferenceSpec("doctor", f"{folder}/no.wav", "", f"{folder}/codes.txt")
        segments = (SegmentSpec("0001", "a line", "en", seed=0),)
        task = SynthesisTask("doctor", EngineSpec("echo", batch_size=1), reference, folder, segments)
        worker = WorkerProcess("the worker", command, inbox, TaskFiles(Path(folder), keep=False))
        try:
            worker.give(*one_lease([task]))
            greeted, result = _wait_for_result(worker, inbox, started + seconds, seconds)
            if isinstance(result, Result):
                return _trial_row(result, Path(folder), time.monotonic() - started)
            return _failed_trial_row(command.python, result, greeted)
        finally:
            worker.finish()
            if not wait_in_steps(worker.wait, 2.0):
                worker.kill("it did not end")
                wait_in_steps(worker.wait, 5.0)


def _wait_for_result(
    worker: WorkerProcess, inbox: queue.SimpleQueue[Message], deadline: float, seconds: float
) -> tuple[bool, Result | str]:
    """Return whether the worker's program sent any event, and its result, or why there is none."""
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
            case WorkerExited(_, reason):
                return greeted, reason


def _trial_row(result: Result, folder: Path, seconds: float) -> CheckRow:
    failures = [failure.message for failure in [result.error, *(r.error for r in result.segments)] if failure]
    if failures or not (folder / "0001.wav").is_file():
        found = f"it answered, but spoke nothing: {failures[0] if failures else 'no file was written'}"
        advice = "make room in the temporary folder, or set TMPDIR to another"
        return CheckRow(WORKER_CHECK, CheckState.FAIL, found, advice)
    return CheckRow(WORKER_CHECK, CheckState.OK, f"a tone, spoken and read back in {seconds:.1f} s")


def _failed_trial_row(python: str, reason: str, greeted: bool) -> CheckRow:
    """Distinguish a worker that sent events, so runs our program, from what may not even be Python."""
    if greeted:
        found = f"{python} runs the worker, but {reason}"
        advice = (
            "look for what prints to stdout or ends processes in that environment (sitecustomize, .pth files, "
            "limits), or make another with `voiceclone env create`; the whole log of a run's worker is "
            "logs/worker-1.log in the run directory"
        )
    else:
        found, advice = f"{python} does not run the worker: {reason}", ANOTHER_PYTHON
    return CheckRow(WORKER_CHECK, CheckState.FAIL, found, advice)


# The nodes of a Ray cluster


def node_rows(settings: Settings, folder: Path | None = None) -> Iterator[CheckRow]:
    """Yield a block of rows for each node of the cluster, for a run with these settings that writes into
    ``folder`` (None: the working directory). Raises PreflightError where there is no cluster."""
    choice: EngineChoice | None = None
    with suppress(PreflightError):  # rows of this machine say why
        choice = choose_engine(settings)
    engine = choice.name if choice else settings.engine
    with ExitStack() as stack:
        stack.enter_context(connected(settings.ray_address))
        # What nodes are compared with is what this machine has.
        sums = weights(choice) if choice else {}
        languages = [settings.language] if settings.language else []
        prober = NodeProber(engine, path_hints(settings, choice), sums, folder or Path.cwd(), languages)
        findings = stack.enter_context(prober).survey(nodes_of_cluster())
    fit = [finding.node for finding in findings if finding.fault is None]
    shares = node_shares(fit, settings, takes_gpu=engine in ENGINES and ENGINES[engine].uses_gpu)
    yield _cluster_row(findings, shares, engine)
    for number, finding in enumerate(findings, 1):
        yield from _rows_of_node(number, finding, shares.get(finding.node.id), engine)


def _cluster_row(findings: Sequence[NodeFinding], shares: Mapping[str, NodeShare], engine: str) -> CheckRow:
    workers = sum(share.workers for share in shares.values())
    nodes = "1 node" if len(findings) == 1 else f"{len(findings)} nodes"
    found = f"{nodes}, {len(shares)} of them with workers for {engine}, {workers} in all"
    if workers:
        return CheckRow("cluster", CheckState.OK, found)
    advice = "do what the rows of its nodes say, one of which must be fit"
    return CheckRow("cluster", CheckState.FAIL, found, advice)


def _rows_of_node(
    number: int, finding: NodeFinding, share: NodeShare | None, engine: str
) -> Iterator[CheckRow]:
    """Yield the rows of a node: its versions, workers, engine and weights, and whether it sees the run's folder."""
    node, answer = finding.node, finding.answer
    gpus = f", {node.gpus:g} GPUs" if node.gpus else ""
    versions = [f"{name} {answer[name]}" for name in ("voiceclone", "python", "ray") if answer.get(name)]
    yield CheckRow(
        f"node {number}", CheckState.OK, ", ".join([f"{node.host}: {node.cpus:g} CPUs{gpus}", *versions])
    )
    if finding.fault is not None:
        yield CheckRow(f"node {number} workers", CheckState.NOTE, "none", finding.fault)
        return
    if share is None:
        found = "none: it offers nothing that a worker could take"
        advice = "start its Ray with the CPUs and resources that workers take"
        yield CheckRow(f"node {number} workers", CheckState.NOTE, found, advice)
    else:
        found = f"{share.workers}, with {share.threads} threads{' and a GPU' if share.gpus else ''} each"
        yield CheckRow(f"node {number} workers", CheckState.OK, found)
    yield CheckRow(f"node {number} engine", CheckState.OK, str(answer.get("why", engine)))
    if answer.get("weights"):
        sums = [f"{name} {str(sha256)[:8]}" for name, sha256 in answer["weights"].items()]
        more = f" and {len(sums) - 2} more" if len(sums) > 2 else ""
        yield CheckRow(
            f"node {number} weights", CheckState.OK, f"the same as here: {', '.join(sums[:2])}{more}"
        )
    if unread := answer.get("unread"):
        found = f"not all that {engine} was made for"
        yield CheckRow(f"node {number} languages", CheckState.NOTE, found, unread)
    shared = "the working directory is seen there" if answer.get("shared") else "nothing: files travel"
    yield CheckRow(f"node {number} shares", CheckState.OK, shared)
