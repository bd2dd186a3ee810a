"""The checks of ``voiceclone doctor``, a row each: interpreters, checkpoint, devices, memory, disk and models.

Nothing is downloaded, and nothing is left behind. Sizes are in bytes; ``MB`` are 10^6 of them.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voiceclone_cli.config import Settings, models_home, path_setting
from voiceclone_cli.engines.checkpoint import Checkpoint, required_files
from voiceclone_cli.engines.environment import FISH_PYTHONS, version_list
from voiceclone_cli.engines.fish import wanted_model
from voiceclone_cli.engines.memory import BYTES, FishMemory, gigabytes
from voiceclone_cli.engines.torch_build import cuda_advice, cuda_build
from voiceclone_cli.errors import PreflightError, VoicecloneError
from voiceclone_cli.languages import name_of
from voiceclone_cli.models import download, hub, store
from voiceclone_cli.models.store import ModelState
from voiceclone_cli.system import Memory, nvidia_gpus
from voiceclone_cli.translation.registry import TRANSLATORS
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.kokoro.phonemes import registry
from voiceclone_worker.engines.kokoro.phonemes.espeak import espeak_program

MB = 1_000_000

COORDINATOR_BYTES = 1400 * MB
"""The coordinator's peak, while it diarizes and transcribes."""

KOKORO_BYTES = 1100 * MB
"""A worker with kokoro."""

FISH_BYTES = 600 * MB
"""A worker of a GPU on the machine itself: torch and fish-speech (not measured)."""

ENVIRONMENT_BYTES = 1300 * MB
"""The fish environment with the CPU build of torch."""

OUTPUT_BYTES = 200 * MB
"""Stems, mix and segments of half an hour of two people."""

UI_PYTHONS = ((3, 11), (3, 12), (3, 13))
"""Versions that the pinned packages were tested with."""

INTERPRETER_SILENT = "worker_silent"
"""Code of the error for an interpreter that does not answer in time."""

ANOTHER_PYTHON = (
    f"set FISH_SPEECH_PYTHON to a Python {version_list(FISH_PYTHONS)} that has fish-speech, or leave it unset and run "
    "`voiceclone env create`"
)
_REINSTALL = "install voiceclone again in a fresh environment (`python -m pip install .` in its directory)"
_REBUILD = "run `voiceclone env create`, or install what is missing there"
_AVAILABLE = (ModelState.READY, ModelState.UNVERIFIED)

Examination = Mapping[str, Any]
"""Result of the worker's tool ``examine``: versions, devices and fish-speech of an interpreter."""


class CheckState(StrEnum):
    """Result of a check."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; a run works all the same."""
    FAIL = "fail"
    """A run with these settings could not work."""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """Result of one check. ``advice`` says what to do, in one sentence; it is empty where all is well.

    ``code`` is that of the error whose message ``found`` or ``advice`` is; empty where neither is one.
    """

    check: str
    state: CheckState
    found: str
    advice: str = ""
    code: str = ""


def _ok(check: str, found: str) -> CheckRow:
    return CheckRow(check, CheckState.OK, found)


def _note(check: str, found: str, advice: str) -> CheckRow:
    return CheckRow(check, CheckState.NOTE, found, advice)


def _fail(check: str, found: str, advice: str) -> CheckRow:
    return CheckRow(check, CheckState.FAIL, found, advice)


def rows_or_error(check: str, rows: Iterable[CheckRow], severity: CheckState) -> Iterator[CheckRow]:
    """Yield the rows of a check. An error of ours becomes the last row, in the state ``severity``, so that the
    other checks still run."""
    try:
        yield from rows
    except VoicecloneError as error:
        yield CheckRow(check, severity, "cannot be used", error.message, error.code)


# Interpreters


def own_rows(examined: Examination | PreflightError) -> Iterator[CheckRow]:
    """Yield the rows of the interpreter that this command runs in."""
    check = "this interpreter"
    if isinstance(examined, PreflightError):
        # It runs this very command, so slowness is no proof against it.
        is_silent = examined.code == INTERPRETER_SILENT
        state = CheckState.NOTE if is_silent else CheckState.FAIL
        advice = "try again when the machine is less busy" if is_silent else _REINSTALL
        yield CheckRow(check, state, examined.message, advice, examined.code)
        return
    found = f"Python {examined['python']}, {examined['executable']}"
    yield _python_row(check, found, examined, UI_PYTHONS, CheckState.FAIL)
    # Not imported: that takes many seconds, most of them for torch, which is imported elsewhere.
    try:
        yield _ok("pyannote.audio", importlib.metadata.version("pyannote.audio"))
    except importlib.metadata.PackageNotFoundError:
        yield _fail("pyannote.audio", "not installed", _REINSTALL)
    protobuf = examined["protobuf"]
    if "version" in protobuf and _major_version(protobuf["version"]) < 5:
        yield _fail("protobuf", f"{protobuf['version']}; pyannote.audio needs 5 or newer", _REINSTALL)
    else:
        yield _package_row("protobuf", protobuf, CheckState.FAIL, _REINSTALL)
    yield _package_row("torch", examined["torch"], CheckState.FAIL, _REINSTALL)


def fish_rows(
    examined: Examination | PreflightError, settings: Settings, severity: CheckState
) -> Iterator[CheckRow]:
    """Yield the rows of the interpreter of fish; what is wrong is in the state ``severity``."""
    check = "worker interpreter"
    if isinstance(examined, PreflightError):
        if examined.code in ("fish_environment", "worker_interpreter"):
            found = "none" if examined.code == "fish_environment" else "cannot be used"
            yield CheckRow(check, severity, found, examined.message, examined.code)
        else:
            again = "when the machine is less busy try again, or " * (examined.code == INTERPRETER_SILENT)
            yield CheckRow(check, severity, examined.message, f"{again}{ANOTHER_PYTHON}", examined.code)
        return
    origin = "voiceclone env"
    if settings.fish_speech_python is not None:
        origin = f"FISH_SPEECH_PYTHON, {settings.sources['fish_speech_python']}"
    found = f"Python {examined['python']}, {examined['executable']} ({origin})"
    # Imports decide whether it works; an untested version alone prevents nothing.
    yield _python_row(check, found, examined, FISH_PYTHONS, CheckState.NOTE)
    protobuf = examined["protobuf"]
    if "version" in protobuf and _major_version(protobuf["version"]) >= 4:
        found = f"{protobuf['version']}; descript-audiotools asks for less than 3.20"
        yield _note(
            "worker protobuf", found, "where anything fails, run `voiceclone env create`, which takes 3.19.6"
        )
    else:
        yield _package_row("worker protobuf", protobuf, severity, _REBUILD)
    yield _fish_torch_row(examined, settings, severity)
    fish = examined["fish_speech"]
    if "error" in fish:
        yield CheckRow("fish-speech", severity, f"its DAC cannot be imported ({fish['error']})", _REBUILD)
    else:
        version = fish["version"] or "of an unknown version"
        yield _ok("fish-speech", f"{version}, DAC can be imported, {fish['where']}")


def _fish_torch_row(examined: Examination, settings: Settings, severity: CheckState) -> CheckRow:
    """Return the row of fish's torch; a note where a GPU is here that it does not use."""
    row = _package_row("worker torch", examined["torch"], severity, _REBUILD)
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    if row.state is not CheckState.OK or examined["cuda"] or is_hidden:
        return row
    gpus = nvidia_gpus()
    build = examined["torch"]["version"].rpartition("+")[2]
    if not gpus or build == cuda_build(gpus):
        return row
    driver = ".".join(map(str, gpus[0].driver))
    found = f"{row.found}, which does not use the GPU of this machine (driver {driver})"
    given = settings.fish_speech_python and examined["executable"]
    return _note(row.check, found, cuda_advice(gpus, given))


def _python_row(
    check: str,
    found: str,
    examined: Examination,
    versions: Sequence[tuple[int, int]],
    severity: CheckState,
) -> CheckRow:
    major, minor, *_ = examined["python"].split(".")
    if (int(major), int(minor)) in versions:
        return _ok(check, found)
    advice = f"use Python {version_list(versions)}: the pinned packages were tried with these"
    return CheckRow(check, severity, found, advice)


def _package_row(check: str, package: Mapping[str, str], severity: CheckState, advice: str) -> CheckRow:
    if "error" in package:
        return CheckRow(check, severity, f"cannot be imported ({package['error']})", advice)
    return _ok(check, package["version"])


def _major_version(version: str) -> int:
    return int(version.split(".")[0])


# Checkpoint of fish


def checkpoint_row(
    checkpoint: Checkpoint | PreflightError | None, severity: CheckState, model: str
) -> CheckRow:
    """Return the row of fish's checkpoint: a whole one, None where a run would fetch the published ``model``, or why
    there is none."""
    check = "checkpoint"
    if checkpoint is None:
        (entry,) = (entry for entry in download.model_entries() if entry.name == model)
        absent = f"{model} is not here; a run with fish fetches it ({gigabytes(entry.size)})"
        return _note(check, absent, f"`voiceclone models pull {model}` fetches it now")
    if isinstance(checkpoint, PreflightError):
        none = ("checkpoint_missing", "license_not_accepted")
        reasons = {"checkpoint_incomplete": "not complete", **dict.fromkeys(none, "none")}
        reason = reasons.get(checkpoint.code, "cannot be used")
        return CheckRow(check, severity, reason, checkpoint.message, checkpoint.code)
    folder, generation = checkpoint.folder, checkpoint.generation
    sizes = ", ".join(f"{name} {_file_size(folder / name)}" for name in required_files(folder))
    found = f"{folder}, {generation.name} generation: {sizes}"
    if checkpoint.is_generated:
        advice = f"for speech, take {generation.model}: this one was generated and speaks no words"
        return _note(check, f"{found}; generated, not trained", advice)
    return _ok(check, f"{found}; {checkpoint.why}" if checkpoint.why else found)


def can_be_downloaded(settings: Settings) -> bool:
    """Return whether the hub, or its local cache where it must not be asked, may give the published checkpoint."""
    if not hub.is_offline():
        return hub.has_hub_access(settings.token)
    from huggingface_hub import try_to_load_from_cache

    (entry,) = (entry for entry in download.model_entries() if entry.name == wanted_model(settings))
    assert entry.hub is not None
    repo, revision = entry.hub.repo, entry.hub.revision
    cached = (try_to_load_from_cache(repo, file.path, revision=revision) for file in entry.files)
    return all(isinstance(path, str) for path in cached)


def _file_size(path: Path) -> str:
    size = path.stat().st_size
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


# Devices


def device_row(examined: Examination, settings: Settings) -> CheckRow:
    """Return the row of the devices that can compute."""
    cards = [
        f"cuda: {card['name']}, {card['free_mb'] / 1e3:.1f} of {card['memory_mb'] / 1e3:.1f} GB free"
        for card in examined["cuda"]
    ]
    bf16 = {True: " with bfloat16", False: " without bfloat16", None: ""}[examined["bf16_native"]]
    threads = f"threads for {_each_of(settings.pool_size)}: {settings.threads_each}"
    cpu = f"cpu{bf16}, cores: {examined['cores']}, {threads}"
    found = "; ".join([*cards, *(["mps"] if examined["mps"] else []), cpu])
    if examined["device_error"]:
        advice = "give the worker's environment another torch (`voiceclone env create --torch ...`)"
        return _note("devices", f"{found}; torch fails on others: {examined['device_error']}", advice)
    return _ok("devices", found)


def precision_row(examined: Examination, settings: Settings, severity: CheckState) -> CheckRow:
    """Return the row of what fish makes of --device and --precision. kokoro computes on the CPU."""
    place = examined["place"]
    if "error" in place:
        found = f"--device {settings.device} with --precision {settings.precision} cannot be used"
        return CheckRow("precision", severity, found, place["error"])
    found = f"fish computes in {place['precision']} on {place['device']}"
    if (place["device"], place["precision"], examined["bf16_native"]) == ("cpu", "bf16", False):
        advice = "use --precision auto: this processor only imitates bfloat16, slowly"
        return _note("precision", found, advice)
    return _ok("precision", found)


def language_rows() -> list[CheckRow]:
    """Return the rows of what kokoro reads here: its own languages, and those of espeak-ng."""
    info = ENGINES["kokoro"]
    missing = {code: info.missing_packages(code) for code in registry.LANGUAGES}
    here = [name_of(code) for code, packages in missing.items() if not packages]
    rows = [_ok("languages", f"kokoro speaks {', '.join(sorted(here))}")]
    for code, packages in missing.items():
        if packages:
            rows.append(
                _note(
                    "languages",
                    f"kokoro cannot read {name_of(code)} here",
                    registry.needs_packages(name_of(code), packages),
                )
            )
    program = espeak_program()
    if program:
        rows.append(_ok(info.reader, f"{program}, for languages that kokoro was not made for"))
    else:
        found = "not installed; kokoro's own languages do not need it"
        advice = f"for any other language, install it (apt, brew or winget install {info.reader}) or use fish"
        rows.append(_note(info.reader, found, advice))
    return rows


def translator_row(settings: Settings) -> CheckRow:
    """Return the row of the translators that can be used; nothing is sent to any."""
    check = "translators"
    lacks = {name: info.lack(settings) for name, info in TRANSLATORS.items()}
    usable = [name for name, lack in lacks.items() if lack is None]
    chosen = settings.translator or ("command" if settings.translator_command else None)
    if chosen is not None and (lack := lacks[chosen]) is not None:
        return _note(
            check, f"{chosen} cannot be used: {lack}", f"to use {chosen}, give {TRANSLATORS[chosen].needs}"
        )
    if "openai" in usable:
        usable[usable.index("openai")] = f"openai ({settings.translator_url})"
    return _ok(check, ", ".join(usable) if usable else "none is set up; nothing but translating needs one")


# Memory: estimated from the settings and the files of the checkpoint


def smaller_precisions(place: Mapping[str, Any]) -> list[str]:
    """Return the precisions of the tool examine's ``place`` whose weights take less memory than its own."""
    return [name for name in place["precisions"] if BYTES[name] < BYTES[place["precision"]]]


def memory_row(
    memory: Memory | None,
    settings: Settings,
    worker: int,
    shared: int = 0,
    smaller: Sequence[str] | None = None,
    model: FishMemory | None = None,
) -> CheckRow:
    """Return the row of whether the machine has the memory for the coordinator and its workers.

    ``worker`` is what each worker takes, ``shared`` what all of them take together; ``smaller`` are the
    precisions with which fish would take less, None for another engine. ``model`` is what a worker's model takes.
    """
    if memory is None:
        return _note("memory", "this system does not report its memory", "make sure of it yourself")
    base = COORDINATOR_BYTES + shared
    takes = f"{gigabytes(base)} and {gigabytes(worker)} for {_each_of(settings.pool_size)}{_computed(model)}"
    advice = _memory_advice(settings.pool_size, smaller)
    return _compare_memory("memory", "", memory, base + settings.pool_size * worker, takes, advice)


def cuda_memory_row(
    examined: Examination, model: FishMemory, settings: Settings, smaller: Sequence[str]
) -> CheckRow:
    """Return the row of whether the fullest of the CUDA devices in use has the memory for its workers."""
    _, _, number = settings.device.partition(":")
    cards = [examined["cuda"][int(number)]] if number else examined["cuda"]
    card = min(cards, key=lambda card: card["free_mb"])
    memory = Memory(card["memory_mb"] * MB, card["free_mb"] * MB)
    workers = math.ceil(settings.pool_size / len(cards))
    takes = f"{gigabytes(model.total)} for {_each_of(workers)}{_computed(model)}"
    advice = _memory_advice(workers, smaller)
    return _compare_memory("memory: cuda", f"{card['name']}, ", memory, workers * model.total, takes, advice)


def _computed(model: FishMemory | None) -> str:
    return "" if model is None else f"; computed: {model}"


def _compare_memory(check: str, name: str, memory: Memory, needed: int, takes: str, advice: str) -> CheckRow:
    """Fail where the whole memory is too little; memory in use may be free when the run needs it."""
    free = f"{gigabytes(memory.available)} of {gigabytes(memory.total)} free"
    found = f"{name}{free}; a run takes about {takes}"
    if needed <= memory.available:
        return _ok(check, found)
    return (_fail if needed > memory.total else _note)(check, found, advice)


def _memory_advice(workers: int, smaller: Sequence[str] | None) -> str:
    fewer = ", or set FISH_NUM_WORKERS lower" if workers > 1 else ""
    if smaller is None:
        return f"end other programs{fewer}"
    precision = f", or use --precision {' or '.join(smaller)}" if smaller else ""
    return (
        f"end other programs{fewer}, or set FISH_BATCH_SIZE lower{precision}; where memory runs out all the same, "
        "fish halves its batch and goes on"
    )


def _each_of(workers: int) -> str:
    return "the worker" if workers == 1 else f"each of {workers} workers"


# Disk


def models_disk_row(home: Path, needed: int) -> CheckRow:
    """Return the row of the disk space for the models that a run would fetch, ``needed`` bytes."""
    free = _free_bytes(home)
    found = f"{gigabytes(free)} free at {home}"
    if free >= needed:
        return _ok("disk: models", found)
    advice = "make room there, or set VOICECLONE_HOME to another disk"
    return _fail("disk: models", f"{found}; what is missing takes {gigabytes(needed)}", advice)


def environment_disk_row(folder: Path) -> CheckRow:
    """Return the row of the disk space for a fish environment that is not built yet."""
    free = _free_bytes(folder)
    found = f"{gigabytes(free)} free at {folder}; it takes {gigabytes(ENVIRONMENT_BYTES)}"
    if free >= ENVIRONMENT_BYTES:
        return _ok("disk: fish", found)
    return _note("disk: fish", found, "make room there before `voiceclone env create`")


def working_directory_row() -> CheckRow:
    """Return the row of the disk space for the output of a run, unless --out leads elsewhere."""
    folder = Path.cwd()
    free = _free_bytes(folder)
    advice = "name a run directory elsewhere with --out"
    if not os.access(folder, os.W_OK):
        return _note("disk: here", f"{folder} cannot be written to", advice)
    found = f"{gigabytes(free)} free at {folder}"
    if free < OUTPUT_BYTES:
        return _note("disk: here", f"{found}; half an hour takes {gigabytes(OUTPUT_BYTES)}", advice)
    return _ok("disk: here", found)


def _free_bytes(folder: Path) -> int:
    """Return the bytes free where ``folder`` is or would be; 0 on a drive that does not exist."""
    existing = [path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()]
    return shutil.disk_usage(existing[0]).free if existing else 0


# Models and the hub


def missing_bytes(settings: Settings, names: Sequence[str]) -> int:
    """Return the size of the missing files of these models. Raises PreflightError for an unusable home."""
    statuses = download.models_status(names, models_home(settings))
    return sum(file.size for status in statuses for file in status.lacking)


def model_rows(settings: Settings) -> Iterator[CheckRow]:
    """Yield the rows of the embedded models and of the chosen diarizer and recogniser. Nothing is hashed."""
    statuses = download.models_status(download.embedded_models(), models_home(settings))
    missing = [status.entry.name for status in statuses if status.state not in _AVAILABLE]
    folder = (models_home(settings) or store.default_home()) / "models"
    if missing:
        lack = store.megabytes(missing_bytes(settings, download.embedded_models()))
        advice = "`voiceclone models pull` fetches them; a run does so too, if it is online"
        yield _note("models", f"{', '.join(missing)} not in {folder} yet ({lack})", advice)
    else:
        size = store.megabytes(sum(status.entry.size for status in statuses))
        yield _ok("models", f"all {len(statuses)} embedded models ({size}) in {folder}")
    known = [entry.name for entry in download.model_entries()]
    if settings.asr_model not in known and not path_setting(settings.asr_model).is_dir():
        found = f"{settings.asr_model!r} is neither a model nor a folder"
        yield _fail("recogniser", found, "name a model of `voiceclone models list`, or a folder")
    yield from _diarizer_rows(settings)


def _diarizer_rows(settings: Settings) -> Iterator[CheckRow]:
    """Yield a row where a run would refuse --diarizer."""
    from voiceclone_cli.analysis.diarization import AUTO, COMMUNITY_DIARIZER, EMBEDDED_DIARIZER

    choice = settings.diarizer
    if choice == COMMUNITY_DIARIZER:
        (status,) = download.models_status([COMMUNITY_DIARIZER], models_home(settings))
        if status.state not in _AVAILABLE and (hub.is_offline() or not settings.token):
            found = f"{COMMUNITY_DIARIZER} is requested and is not here"
            yield _fail(
                "diarizer", found, "set HF_TOKEN and accept its conditions, or use --diarizer embedded"
            )
    elif choice not in (AUTO, EMBEDDED_DIARIZER) and not (path_setting(choice) / "config.yaml").is_file():
        found = f"{choice!r} is no folder with a config.yaml"
        yield _fail("diarizer", found, "use --diarizer auto, embedded, community-1 or a folder")


def hub_row(settings: Settings) -> CheckRow:
    """Return the row of the token for gated models; its text is never shown."""
    if hub.is_offline():
        advice = "unset HF_HUB_OFFLINE to fetch gated models; those that are here work"
        return _note("hub", "HF_HUB_OFFLINE forbids it", advice)
    if settings.token:
        return _ok("hub", f"HF_TOKEN is set ({settings.sources['token']})")
    if hub.has_hub_access(None):
        return _ok("hub", "logged in on this machine")
    return _ok("hub", "no token; none is needed but for community-1, openaudio-s1-mini and s2-pro")
