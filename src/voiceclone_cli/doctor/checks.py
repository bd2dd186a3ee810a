"""Checks of whether a run with some settings would work. Nothing is downloaded, and nothing is left behind."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import queue
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.cluster.connection import connected
from voiceclone_cli.cluster.node import path_hints, weights
from voiceclone_cli.cluster.nodes import (
    NodeFinding,
    NodeProber,
    NodeShare,
    node_shares,
    nodes_of_cluster,
)
from voiceclone_cli.config import Settings, models_home, path_setting
from voiceclone_cli.engines.environment import environments_folder
from voiceclone_cli.engines.fish import PUBLISHED_MODEL, REQUIRED_FILES, is_generated, no_checkpoint
from voiceclone_cli.engines.select import EngineChoice, EngineReport, choose_engine, probe
from voiceclone_cli.errors import PreflightError, VoicecloneError
from voiceclone_cli.models import download, store
from voiceclone_cli.models.download import is_offline
from voiceclone_cli.models.store import ModelState
from voiceclone_cli.system import Memory, machine_memory
from voiceclone_cli.types import Progress, ProgressEvent, no_progress
from voiceclone_cli.workers.process import TaskFiles, WorkerProcess, ask_tool, worker_command
from voiceclone_cli.workers.protocol import EventMessage, Message, ResultMessage, WorkerExited, one_lease
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, Result, SegmentSpec, SynthesisTask

# What a check has to say.


class CheckState(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Worth knowing; a run works all the same."""
    FAIL = "fail"
    """A run with these settings could not work."""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One thing that was looked at. ``advice`` is what to do, one sentence; empty where nothing is."""

    check: str
    state: CheckState
    found: str
    advice: str = ""


def rows_or_error(check: str, rows: Iterable[CheckRow], trouble: CheckState) -> Iterator[CheckRow]:
    """The rows of a check, which may raise on the way: an error of ours becomes a last row in the
    state ``trouble``, so that a broken piece never keeps the others from being looked at."""
    try:
        yield from rows
    except VoicecloneError as error:
        yield unusable(check, trouble, error)


def unusable(check: str, state: CheckState, error: VoicecloneError) -> CheckRow:
    """A row for what cannot be used; an error's one sentence says why and what to do."""
    return CheckRow(check, state, "cannot be used", error.message)


# The checkpoint of the fish engine, file by file.


CHECKPOINT_CHECK = "checkpoint"


def checkpoint_row(checkpoint: Path | PreflightError | None, trouble: CheckState) -> CheckRow:
    """``checkpoint`` is a whole one of the S1 generation, None where a run would fetch the published
    one, or why there is none."""
    if checkpoint is None:
        found = f"{PUBLISHED_MODEL} is not here; a run with fish fetches it (3.6 GB)"
        return CheckRow(
            CHECKPOINT_CHECK,
            CheckState.NOTE,
            found,
            f"`voiceclone models pull {PUBLISHED_MODEL}` fetches it now",
        )
    if isinstance(checkpoint, PreflightError):
        found = (
            "not complete"
            if checkpoint.code == "checkpoint_incomplete"
            else "none"
            if checkpoint.code == "checkpoint_missing"
            else "cannot be used"
        )
        return CheckRow(CHECKPOINT_CHECK, trouble, found, checkpoint.message)
    sizes = ", ".join(f"{name} {_size(checkpoint / name)}" for name in REQUIRED_FILES)
    found = f"{checkpoint}, S1 generation: {sizes}"
    if is_generated(checkpoint):
        advice = f"for speech, take {PUBLISHED_MODEL}: this one was generated and speaks no words"
        return CheckRow(CHECKPOINT_CHECK, CheckState.NOTE, f"{found}; generated, not trained", advice)
    return CheckRow(CHECKPOINT_CHECK, CheckState.OK, found)


def can_be_downloaded(settings: Settings) -> bool:
    """Return whether the hub, or its local cache where it must not be asked, may give the published checkpoint."""
    if not is_offline():
        return download.has_hub_access(settings.token)
    from huggingface_hub import try_to_load_from_cache

    (entry,) = (entry for entry in download.model_entries() if entry.name == PUBLISHED_MODEL)
    assert entry.hub is not None
    repo, revision = entry.hub.repo, entry.hub.revision
    cached = (try_to_load_from_cache(repo, file.path, revision=revision) for file in entry.files)
    return all(isinstance(path, str) for path in cached)


def _size(path: Path) -> str:
    size = path.stat().st_size
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return f"{size} B"


# The two interpreters, each told by the worker's tool ``examine``.


Answer = Mapping[str, Any]
"""What ``examine`` says; see there."""

UI_PYTHONS = ((3, 11), (3, 13))
FISH_PYTHONS = ((3, 10), (3, 12))
"""First and last version that the pinned packages have been seen to work with."""

SILENT = "worker_silent"
"""The code of the error for an interpreter that does not answer in time."""

ANOTHER_PYTHON = (
    "set FISH_SPEECH_PYTHON to a Python 3.10 to 3.12 that has fish-speech, or leave it unset and run "
    "`voiceclone env create`"
)
_REINSTALL = "install voiceclone again in a fresh environment (`make env` in a checkout)"
_REMAKE = "run `voiceclone env create`, or install what is missing there"


def examine_interpreter(
    python: str | None, checkout: Path | None, settings: Settings, *, seconds: float
) -> Answer | PreflightError:
    """What the interpreter ``python`` (None: this one) has, with fish-speech taken from ``checkout``
    where there is one; or why it does not say."""
    arguments = [str(checkout or ""), settings.device, settings.precision]
    try:
        return ask_tool(worker_command(python, threads=1), "examine", arguments, seconds=seconds)
    except PreflightError as error:
        return error


def own_rows(answer: Answer | PreflightError) -> Iterator[CheckRow]:
    """The interpreter that this command runs in."""
    if isinstance(answer, PreflightError):
        # It runs this very command, so slowness says nothing against it.
        slow = answer.code == SILENT
        advice = "try again when the machine is less busy" if slow else _REINSTALL
        yield CheckRow(
            "this interpreter", CheckState.NOTE if slow else CheckState.FAIL, answer.message, advice
        )
        return
    found = f"Python {answer['python']}, {answer['executable']}"
    yield _python_row("this interpreter", found, answer, UI_PYTHONS, CheckState.FAIL)
    yield _pyannote()
    protobuf = answer["protobuf"]
    if "version" in protobuf and _numbers(protobuf["version"]) < (5,):
        found = f"{protobuf['version']}; pyannote.audio needs 5 or newer"
        yield CheckRow("protobuf", CheckState.FAIL, found, _REINSTALL)
    else:
        yield _package("protobuf", protobuf, CheckState.FAIL, _REINSTALL)
    yield _package("torch", answer["torch"], CheckState.FAIL, _REINSTALL)


def fish_rows(answer: Answer | PreflightError, origin: str, trouble: CheckState) -> Iterator[CheckRow]:
    """The worker's interpreter. ``origin`` says who named it; what is wrong is in state ``trouble``."""
    if isinstance(answer, PreflightError):
        yield _no_answer(answer, trouble)
        return
    found = f"Python {answer['python']}, {answer['executable']} ({origin})"
    # Whether it works is told by what can be imported; an unusual version alone stops nothing.
    yield _python_row("worker interpreter", found, answer, FISH_PYTHONS, CheckState.NOTE)
    protobuf = answer["protobuf"]
    if "version" in protobuf and _numbers(protobuf["version"]) >= (4,):
        yield CheckRow(
            "worker protobuf",
            CheckState.NOTE,
            f"{protobuf['version']}; descript-audiotools asks for less than 3.20",
            "where anything fails, run `voiceclone env create`, which takes 3.19.6",
        )
    else:
        yield _package("worker protobuf", protobuf, trouble, _REMAKE)
    yield _package("worker torch", answer["torch"], trouble, _REMAKE)
    yield _fish_speech(answer["fish_speech"], trouble)


def fish_origin(settings: Settings) -> str:
    """Who named the worker's interpreter."""
    if settings.fish_speech_python is None:
        return "voiceclone env"
    return f"FISH_SPEECH_PYTHON, {settings.sources['fish_speech_python']}"


def _no_answer(error: PreflightError, trouble: CheckState) -> CheckRow:
    if error.code in ("fish_environment", "worker_interpreter"):
        found = "none" if error.code == "fish_environment" else "cannot be used"
        return CheckRow("worker interpreter", trouble, found, error.message)
    again = "when the machine is less busy try again, or " if error.code == SILENT else ""
    return CheckRow("worker interpreter", trouble, error.message, f"{again}{ANOTHER_PYTHON}")


def _python_row(
    check: str, found: str, answer: Answer, span: tuple[tuple[int, int], tuple[int, int]], trouble: CheckState
) -> CheckRow:
    first, last = span
    if first <= _numbers(answer["python"])[:2] <= last:
        return CheckRow(check, CheckState.OK, found)
    wanted = f"Python {first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return CheckRow(check, trouble, found, f"use {wanted}: the pinned packages were tried with these")


def _package(check: str, answer: Mapping[str, str], trouble: CheckState, advice: str) -> CheckRow:
    if "error" in answer:
        return CheckRow(check, trouble, f"cannot be imported ({answer['error']})", advice)
    return CheckRow(check, CheckState.OK, answer["version"])


def _pyannote() -> CheckRow:
    # Not imported: that takes many seconds, most of them for torch, which is imported elsewhere.
    try:
        return CheckRow("pyannote.audio", CheckState.OK, importlib.metadata.version("pyannote.audio"))
    except importlib.metadata.PackageNotFoundError:
        return CheckRow("pyannote.audio", CheckState.FAIL, "not installed", _REINSTALL)


def _fish_speech(answer: Mapping[str, str | None], trouble: CheckState) -> CheckRow:
    if "error" in answer:
        return CheckRow("fish-speech", trouble, f"its DAC cannot be imported ({answer['error']})", _REMAKE)
    version = answer["version"] or "of a version it does not tell"
    return CheckRow("fish-speech", CheckState.OK, f"{version}, DAC can be imported, {answer['where']}")


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (3, 19, 6)."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


# Devices, disk space, and programs beside ours.


MB = 1_000_000

ENVIRONMENT_BYTES = 1300 * MB
"""The fish environment with the CPU build of torch."""

OUTPUT_BYTES = 200 * MB
"""Stems, mix and segments of half an hour of two people."""


def device_row(answer: Answer, settings: Settings) -> CheckRow:
    """What can be computed on."""
    found = "; ".join(
        [*map(_card, answer["cuda"]), *(["mps"] if answer["mps"] else []), _cpu(answer, settings)]
    )
    if answer["device_error"]:
        advice = "give the worker's environment another torch (`voiceclone env create --torch ...`)"
        return CheckRow(
            "devices", CheckState.NOTE, f"{found}; torch fails on others: {answer['device_error']}", advice
        )
    return CheckRow("devices", CheckState.OK, found)


def home_row(answer: Answer, settings: Settings, trouble: CheckState) -> CheckRow:
    """What fish makes of --device and --precision. kokoro computes on the CPU."""
    place = answer["place"]
    if "error" in place:
        asked = f"--device {settings.device} with --precision {settings.precision} cannot be used"
        return CheckRow("precision", trouble, asked, place["error"])
    found = f"fish computes in {place['precision']} on {place['device']}"
    if (place["device"], place["precision"], answer["bf16_native"]) == ("cpu", "bf16", False):
        advice = "use --precision auto: this processor only imitates bfloat16, slowly"
        return CheckRow("precision", CheckState.NOTE, found, advice)
    return CheckRow("precision", CheckState.OK, found)


def espeak_row() -> CheckRow:
    """Languages that kokoro does not read itself are read by the program espeak-ng."""
    program = shutil.which("espeak-ng")
    if program:
        return CheckRow("espeak-ng", CheckState.OK, program)
    return CheckRow(
        "espeak-ng",
        CheckState.NOTE,
        "not installed",
        "install it (apt, brew or winget install espeak-ng) for kokoro to speak more than English and Spanish",
    )


def models_disk_row(home: Path, needed: int) -> CheckRow:
    """Room for the models that a run would fetch, ``needed`` bytes."""
    found = f"{gigabytes(_free(home))} free at {home}"
    if _free(home) >= needed:
        return CheckRow("disk: models", CheckState.OK, found)
    advice = "make room there, or set VOICECLONE_HOME to another disk"
    return CheckRow(
        "disk: models", CheckState.FAIL, f"{found}; what is missing takes {gigabytes(needed)}", advice
    )


def environment_disk_row(folder: Path) -> CheckRow:
    """Room for a fish environment that is not there yet."""
    found = f"{gigabytes(_free(folder))} free at {folder}; it takes {gigabytes(ENVIRONMENT_BYTES)}"
    if _free(folder) >= ENVIRONMENT_BYTES:
        return CheckRow("disk: fish", CheckState.OK, found)
    return CheckRow("disk: fish", CheckState.NOTE, found, "make room there before `voiceclone env create`")


def working_directory_row() -> CheckRow:
    """Room for what a run leaves, unless --out leads elsewhere."""
    folder = Path.cwd()
    free = _free(folder)
    advice = "name a run directory elsewhere with --out"
    if not os.access(folder, os.W_OK):
        return CheckRow("disk: here", CheckState.NOTE, f"{folder} cannot be written to", advice)
    found = f"{gigabytes(free)} free at {folder}"
    if free < OUTPUT_BYTES:
        return CheckRow(
            "disk: here", CheckState.NOTE, f"{found}; half an hour takes {gigabytes(OUTPUT_BYTES)}", advice
        )
    return CheckRow("disk: here", CheckState.OK, found)


def gigabytes(size: float) -> str:
    """A number of bytes for people."""
    return f"{size / 1e9:.1f} GB"


def each_of(workers: int) -> str:
    return "the worker" if workers == 1 else f"each of {workers} workers"


def _free(folder: Path) -> int:
    """Bytes free where ``folder`` is, or would be; 0 on a drive that is not there."""
    there = [path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()]
    return shutil.disk_usage(there[0]).free if there else 0


def _card(card: Mapping[str, Any]) -> str:
    return f"cuda: {card['name']}, {card['free_mb'] / 1e3:.1f} of {card['memory_mb'] / 1e3:.1f} GB free"


def _cpu(answer: Answer, settings: Settings) -> str:
    native = {True: " with bfloat16", False: " without bfloat16", None: ""}[answer["bf16_native"]]
    threads = f"threads for {each_of(settings.pool_size)}: {settings.threads_each}"
    return f"cpu{native}, cores: {answer['cores']}, {threads}"


# How much memory a run takes, estimated from its settings and its checkpoint's files.


UI_BYTES = 1400 * MB
"""The coordinator's peak, while it diarizes and transcribes."""

KOKORO_BYTES = 1100 * MB
"""A worker with kokoro."""

FISH_BYTES = 600 * MB
"""A worker with torch and fish-speech imported, and what it computes with, without weights and cache."""

POSITIONS = 1536
"""Of the key-value cache, for each row of a batch: a reference of 15 s, its words, the line, and its speech."""

_BYTES = {"float32": 4, "bf16": 2, "fp16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class MemoryRequirement:
    """What a worker with fish takes, in bytes, beside what every worker does."""

    weights: int
    codec: int
    cache: int

    @property
    def total(self) -> int:
        return self.weights + self.codec + self.cache


def fish_memory(checkpoint: Path, precision: str, batch_size: int) -> MemoryRequirement:
    """``precision`` is one of float32, bf16, fp16, int8. Raises PreflightError for files that are no
    checkpoint."""
    try:
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
        width = config.get("head_dim") or config["dim"] // config["n_head"]
        values = 2 * config["n_layer"] * (config.get("n_local_heads") or config["n_head"]) * width
        numbers = (checkpoint / "model.pth").stat().st_size // _stored_bytes(checkpoint / "model.pth")
        codec = (checkpoint / "codec.pth").stat().st_size
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise PreflightError(
            f"the checkpoint {checkpoint} cannot be read ({error}): fetch or make it again",
            code="checkpoint_unusable",
        ) from error
    # int8 is for the weights alone: what is cached stays in a format that sums can be made in.
    cached = values * max(2, _BYTES[precision]) * POSITIONS * batch_size
    return MemoryRequirement(numbers * _BYTES[precision], codec, cached)


def smaller_precisions(place: Mapping[str, Any]) -> list[str]:
    """Return the precisions of the tool examine's ``place`` whose weights take less memory than its own."""
    return [name for name in place["precisions"] if _BYTES[name] < _BYTES[place["precision"]]]


def kokoro_memory_row(memory: Memory | None, settings: Settings) -> CheckRow:
    """Whether the machine holds the command and its workers with kokoro."""
    return _machine_row(memory, KOKORO_BYTES, 0, settings, None)


def cpu_memory_row(
    memory: Memory | None, appetite: MemoryRequirement, settings: Settings, smaller: Sequence[str]
) -> CheckRow:
    """Whether the machine holds the command and its workers with fish, all on the CPU."""
    # The codec's weights stay mapped from their file, which all workers share.
    each = FISH_BYTES + appetite.weights + appetite.cache
    return _machine_row(memory, each, appetite.codec, settings, smaller)


def host_memory_row(memory: Memory | None, settings: Settings, smaller: Sequence[str]) -> CheckRow:
    """Whether the machine holds the command and its workers with fish, their weights elsewhere."""
    return _machine_row(memory, FISH_BYTES, 0, settings, smaller)


def cuda_memory_row(
    answer: Answer, appetite: MemoryRequirement, settings: Settings, smaller: Sequence[str]
) -> CheckRow:
    """Whether the fullest of the CUDA devices in use holds its share of the workers."""
    _, _, number = settings.device.partition(":")
    cards = [answer["cuda"][int(number)]] if number else answer["cuda"]
    card = min(cards, key=lambda card: card["free_mb"])
    memory = Memory(card["memory_mb"] * MB, card["free_mb"] * MB)
    workers = math.ceil(settings.pool_size / len(cards))
    takes = f"{gigabytes(appetite.total)} for {each_of(workers)}"
    advice = _advice(workers, smaller)
    return _judged("memory: cuda", f"{card['name']}, ", memory, workers * appetite.total, takes, advice)


def _machine_row(
    memory: Memory | None, each: int, shared: int, settings: Settings, smaller: Sequence[str] | None
) -> CheckRow:
    """``smaller`` is fish's, None for another engine."""
    if memory is None:
        return CheckRow(
            "memory",
            CheckState.NOTE,
            "this system does not tell how much there is",
            "make sure of it yourself",
        )
    workers = settings.pool_size
    takes = f"{gigabytes(UI_BYTES + shared)} and {gigabytes(each)} for {each_of(workers)}"
    return _judged("memory", "", memory, UI_BYTES + shared + workers * each, takes, _advice(workers, smaller))


def _judged(check: str, name: str, memory: Memory, need: int, takes: str, advice: str) -> CheckRow:
    """Too little in all cannot work; too little that is free may be free when the run needs it."""
    found = (
        f"{name}{gigabytes(memory.available)} of {gigabytes(memory.total)} free; a run takes about {takes}"
    )
    if need <= memory.available:
        return CheckRow(check, CheckState.OK, found)
    return CheckRow(check, CheckState.FAIL if need > memory.total else CheckState.NOTE, found, advice)


def _advice(workers: int, smaller: Sequence[str] | None) -> str:
    ways = ["end other programs"]
    if workers > 1:
        ways.append("set FISH_NUM_WORKERS lower")
    if smaller is None:
        return ", or ".join(ways)
    ways.append("set FISH_BATCH_SIZE lower")
    if smaller:
        ways.append(f"use --precision {' or '.join(smaller)}")
    return f"{', or '.join(ways)}; where memory runs out all the same, fish halves its batch and goes on"


def _stored_bytes(model: Path) -> int:
    """Bytes for each number of a file of torch.save: its index names the type, and is read alone."""
    with zipfile.ZipFile(model) as archive:
        index = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        types = archive.read(index)
    return 2 if b"BFloat16Storage" in types or b"HalfStorage" in types else 4


# Model files, and the way to those that are missing.


_THERE = (ModelState.READY, ModelState.UNVERIFIED)


def models_home_row(settings: Settings) -> Path:
    return models_home(settings) or store.default_home()


def lacking_bytes(settings: Settings, names: Sequence[str]) -> int:
    """What the files that are missing of these models take. Raises PreflightError for an unusable home."""
    found = download.models_status(names, models_home(settings))
    return sum(file.size for status in found for file in status.lacking)


def model_rows(settings: Settings) -> Iterator[CheckRow]:
    """The embedded models, and the choices of diarizer and recogniser. Nothing is hashed or fetched."""
    found = download.models_status(download.embedded_models(), models_home(settings))
    missing = [status.entry.name for status in found if status.state not in _THERE]
    size = store.megabytes(sum(status.entry.size for status in found))
    place = models_home_row(settings) / "models"
    if missing:
        lack = store.megabytes(lacking_bytes(settings, download.embedded_models()))
        told = f"{', '.join(missing)} not in {place} yet ({lack})"
        advice = "`voiceclone models pull` fetches them; a run does so too, if it is online"
        yield CheckRow("models", CheckState.NOTE, told, advice)
    else:
        yield CheckRow("models", CheckState.OK, f"all {len(found)} embedded models ({size}) in {place}")
    yield from _recogniser(settings)
    yield from _diarizer(settings)


def hub_row(settings: Settings) -> CheckRow:
    """The token for gated models; its text is never shown."""
    if is_offline():
        advice = "unset HF_HUB_OFFLINE to fetch gated models; those that are here work"
        return CheckRow("hub", CheckState.NOTE, "HF_HUB_OFFLINE forbids it", advice)
    if settings.token:
        return CheckRow("hub", CheckState.OK, f"HF_TOKEN is set ({settings.sources['token']})")
    if download.has_hub_access(None):
        return CheckRow("hub", CheckState.OK, "logged in on this machine")
    return CheckRow(
        "hub", CheckState.OK, "no token; none is needed but for community-1 and openaudio-s1-mini"
    )


def _recogniser(settings: Settings) -> Iterator[CheckRow]:
    """Nothing to say of a folder, or of a model of the registry."""
    known = [entry.name for entry in download.model_entries()]
    if settings.asr_model not in known and not path_setting(settings.asr_model).is_dir():
        found = f"{settings.asr_model!r} is neither a model nor a folder"
        yield CheckRow(
            "recogniser", CheckState.FAIL, found, "name a model of `voiceclone models list`, or a folder"
        )


def _diarizer(settings: Settings) -> Iterator[CheckRow]:
    from voiceclone_cli.analysis.diarization import AUTO, COMMUNITY_DIARIZER, EMBEDDED_DIARIZER

    choice = settings.diarizer
    if choice == COMMUNITY_DIARIZER:
        (status,) = download.models_status([COMMUNITY_DIARIZER], models_home(settings))
        if status.state not in _THERE and (is_offline() or not settings.token):
            found = f"{COMMUNITY_DIARIZER} was asked for and is not here"
            advice = "set HF_TOKEN and accept its conditions, or use --diarizer embedded"
            yield CheckRow("diarizer", CheckState.FAIL, found, advice)
    elif choice not in (AUTO, EMBEDDED_DIARIZER) and not (path_setting(choice) / "config.yaml").is_file():
        found = f"{choice!r} is no folder with a config.yaml"
        yield CheckRow(
            "diarizer", CheckState.FAIL, found, "use --diarizer auto, embedded, community-1 or a folder"
        )


# The nodes of a Ray cluster, a block of rows each.


def node_rows(settings: Settings, folder: Path | None = None) -> Iterator[CheckRow]:
    """What each node of the cluster has for a run with these settings that writes into ``folder`` (None: the
    working directory). Raises PreflightError where there is no cluster."""
    choice = _choice(settings)
    with ExitStack() as stack:
        stack.enter_context(connected(settings.ray_address))
        engine = settings.engine if isinstance(choice, PreflightError) else choice.name
        known = {} if isinstance(choice, PreflightError) else weights(choice)
        prober = NodeProber(engine, path_hints(settings), known, folder or Path.cwd())
        stack.enter_context(prober)
        findings = prober.survey(nodes_of_cluster())
    fit = [finding.node for finding in findings if finding.fault is None]
    given = node_shares(fit, settings, takes_gpu=engine == "fish")
    yield _cluster_row(findings, given, engine)
    for number, finding in enumerate(findings, 1):
        yield from rows_of_node(f"node {number}", finding, given.get(finding.node.id), engine)


def _choice(settings: Settings) -> EngineChoice | PreflightError:
    """The controller's own engine, which says what nodes are compared with."""
    try:
        return choose_engine(settings)
    except PreflightError as error:
        return error


def _cluster_row(findings: Sequence[NodeFinding], given: Mapping[str, NodeShare], engine: str) -> CheckRow:
    slots = sum(share.workers for share in given.values())
    nodes = f"{len(findings)} node{'' if len(findings) == 1 else 's'}"
    found = f"{nodes}, {len(given)} of them with slots for {engine}, {slots} in all"
    if slots:
        return CheckRow("cluster", CheckState.OK, found)
    return CheckRow(
        "cluster", CheckState.FAIL, found, "do what the rows of its nodes say, one of which must be fit"
    )


def rows_of_node(
    check: str, finding: NodeFinding, share: NodeShare | None, engine: str
) -> Iterator[CheckRow]:
    """A block of rows: who it is and what it has, its engine, its weights, whether it sees the run's folder."""
    node, answer = finding.node, finding.answer
    gpus = f", {node.gpus:g} GPUs" if node.gpus else ""
    versions = [f"{name} {answer[name]}" for name in ("voiceclone", "python", "ray") if answer.get(name)]
    yield CheckRow(check, CheckState.OK, ", ".join([f"{node.host}: {node.cpus:g} CPUs{gpus}", *versions]))
    if finding.fault is not None:
        yield CheckRow(f"{check} slots", CheckState.NOTE, "none", finding.fault)
        return
    if share is None:
        advice = "start its Ray with the CPUs and resources that slots ask for"
        yield CheckRow(
            f"{check} slots", CheckState.NOTE, "none: it offers nothing that a slot could take", advice
        )
    else:
        found = f"{share.workers}, with {share.threads} threads{' and a GPU' if share.gpus else ''} each"
        yield CheckRow(f"{check} slots", CheckState.OK, found)
    yield CheckRow(f"{check} engine", CheckState.OK, str(answer.get("why", engine)))
    if answer.get("weights"):
        yield CheckRow(f"{check} weights", CheckState.OK, f"the same as here: {_few(answer['weights'])}")
    shared = "the working directory is seen there" if answer.get("shared") else "nothing: files travel"
    yield CheckRow(f"{check} shares", CheckState.OK, shared)


def _few(sums: Mapping[str, Any]) -> str:
    told = [f"{name} {str(sha256)[:8]}" for name, sha256 in sums.items()]
    return ", ".join(told[:2]) + (f" and {len(told) - 2} more" if len(told) > 2 else "")


# Whether a worker answers: a real one is started and speaks one tone.


WORKER_CHECK = "worker answers"


def worker_answers(python: str | None, *, seconds: float) -> CheckRow:
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
            return _no_trial_answer(command.python, end, greeted)
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
            case WorkerExited(_, reason):
                return greeted, reason


def _judge(result: Result, folder: Path, seconds: float) -> CheckRow:
    failures = [failure.message for failure in [result.error, *(r.error for r in result.segments)] if failure]
    if failures or not (folder / "0001.wav").is_file():
        found = f"it answered, but spoke nothing: {failures[0] if failures else 'no file was written'}"
        return CheckRow(
            WORKER_CHECK,
            CheckState.FAIL,
            found,
            "make room in the temporary folder, or set TMPDIR to another",
        )
    return CheckRow(WORKER_CHECK, CheckState.OK, f"a tone, spoken and read back in {seconds:.1f} s")


def _no_trial_answer(python: str, reason: str, greeted: bool) -> CheckRow:
    """A worker that greets runs our program; one that does not may not even be Python."""
    if greeted:
        advice = (
            "look for what prints to stdout or ends processes in that environment (sitecustomize, .pth files, "
            "limits), or make another with `voiceclone env create`; the whole log of a run's worker is "
            "logs/worker-1.log in the run directory"
        )
        return CheckRow(WORKER_CHECK, CheckState.FAIL, f"{python} runs the worker, but {reason}", advice)
    return CheckRow(
        WORKER_CHECK, CheckState.FAIL, f"{python} does not run the worker: {reason}", ANOTHER_PYTHON
    )


EXAMINE_SECONDS = 24.0
"""Importing torch and fish-speech takes three seconds; from a cold disk, several times that."""

TRIAL_SECONDS = 5.0
"""A tone takes less than one."""


def run_checks(
    settings: Settings,
    progress: Progress = no_progress,
    *,
    examine_seconds: float = EXAMINE_SECONDS,
    trial_seconds: float = TRIAL_SECONDS,
) -> list[CheckRow]:
    """Check interpreters, engine, devices, memory, models, disk and a worker.

    As far as can be seen, a run with these settings works where no row is ``State.FAIL``.

    Each of the two interpreters has ``examine_seconds`` to say what it has, a worker
    ``trial_seconds`` to speak. Progress stage "doctor".
    """
    _tell(progress, 0, "both interpreters")
    # Both import torch, which is mostly waiting for the disk the first time.
    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(examine_interpreter, None, None, settings, seconds=examine_seconds)
        report = probe(settings, seconds=examine_seconds)
        environment = _environment(report, settings, examine_seconds)
        own = asked.result()
    _tell(progress, 1, "the machine and its models")
    rows = [engine_row(report, settings), *own_rows(own)]
    rows += _fish_rows(report, environment, settings)
    rows += _machine_rows(report, environment, own, settings)
    _tell(progress, 2, "a worker")
    rows += rows_or_error(WORKER_CHECK, _trial(report, trial_seconds), CheckState.FAIL)
    _tell(progress, 3, "done")
    return rows


def engine_row(report: EngineReport, settings: Settings) -> CheckRow:
    """Return the engine of the run, and what to do where ``auto`` cannot use fish."""
    if settings.engine != "auto":
        return CheckRow("engine", CheckState.OK, f"{report.engine} is asked for")
    if report.engine == "fish":
        return CheckRow("engine", CheckState.OK, "fish: its environment and a checkpoint are here")
    found = "kokoro, the embedded voice matching: what fish needs is not all here"
    return CheckRow("engine", CheckState.NOTE, found, "to have fish, do what its rows below say")


def trouble_of(report: EngineReport) -> CheckState:
    """Return how bad it is when a part of fish is missing."""
    return CheckState.FAIL if report.engine == "fish" else CheckState.NOTE


def _environment(report: EngineReport, settings: Settings, seconds: float) -> Answer | PreflightError:
    """Return what the interpreter of fish has, or why that is not known."""
    if isinstance(report.fish_python, PreflightError):
        return report.fish_python
    source = None if isinstance(report.checkout, PreflightError) else report.checkout
    return examine_interpreter(report.fish_python, source, settings, seconds=seconds)


def _fish_rows(
    report: EngineReport, environment: Answer | PreflightError, settings: Settings
) -> Iterator[CheckRow]:
    trouble = trouble_of(report)
    yield from fish_rows(environment, fish_origin(settings), trouble)
    if isinstance(report.checkout, PreflightError):
        yield CheckRow("FISH_SPEECH_DIR", trouble, "cannot be used", report.checkout.message)
        return
    lacks_it = report.checkpoint is None and not can_be_downloaded(settings)
    yield checkpoint_row(no_checkpoint() if lacks_it else report.checkpoint, trouble)


def _machine_rows(
    report: EngineReport,
    environment: Answer | PreflightError,
    own: Answer | PreflightError,
    settings: Settings,
) -> Iterator[CheckRow]:
    trouble = trouble_of(report)
    is_fish = not isinstance(environment, PreflightError)
    answer = environment if is_fish else own
    if isinstance(answer, PreflightError):
        advice = "do what the rows of the interpreters say, one of which must answer"
        yield CheckRow("devices", CheckState.NOTE, "not known, nor what memory a run takes", advice)
    else:
        yield device_row(answer, settings)
        if is_fish and "version" in answer["torch"]:
            yield home_row(answer, settings, trouble)
        yield from rows_or_error("memory", _memory_rows(report, answer, settings), trouble)
    yield from rows_or_error("models", model_rows(settings), CheckState.FAIL)
    yield hub_row(settings)
    yield from rows_or_error("disk", _disk_rows(report, settings), CheckState.FAIL)
    yield espeak_row()


def _memory_rows(report: EngineReport, answer: Answer, settings: Settings) -> Iterator[CheckRow]:
    memory = machine_memory()
    if report.engine != "fish":
        yield kokoro_memory_row(memory, settings)
        return
    if not isinstance(report.checkpoint, Path) or "error" in answer["place"]:
        return  # rows above say what to do first
    eats = fish_memory(report.checkpoint, answer["place"]["precision"], settings.batch_size)
    smaller = smaller_precisions(answer["place"])
    if answer["place"]["device"].startswith("cuda"):
        yield host_memory_row(memory, settings, smaller)
        yield cuda_memory_row(answer, eats, settings, smaller)
    else:
        yield cpu_memory_row(memory, eats, settings, smaller)


def _disk_rows(report: EngineReport, settings: Settings) -> Iterator[CheckRow]:
    downloads = report.engine == "fish" and report.checkpoint is None and can_be_downloaded(settings)
    fetched = lacking_bytes(
        settings, (*download.embedded_models(), *([PUBLISHED_MODEL] if downloads else []))
    )
    yield models_disk_row(models_home_row(settings), fetched)
    if isinstance(report.fish_python, PreflightError) and settings.fish_speech_python is None:
        yield environment_disk_row(environments_folder(settings))
    yield working_directory_row()


def _trial(report: EngineReport, seconds: float) -> Iterator[CheckRow]:
    if isinstance(report.python, PreflightError):
        yield CheckRow(
            WORKER_CHECK, CheckState.FAIL, "not tried", "do what the row of the worker interpreter says"
        )
        return
    yield worker_answers(report.python, seconds=seconds)


def _tell(progress: Progress, done: int, what: str) -> None:
    progress(ProgressEvent("doctor", done, 3, note=what))
