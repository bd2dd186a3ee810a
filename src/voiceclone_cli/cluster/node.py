"""Functions that run on a node: its settings, its engine, and the checksums of its models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.config import Settings, models_home, path_setting, resolve
from voiceclone_cli.engines.checkpoint import GENERATIONS, required_files
from voiceclone_cli.engines.fish import checkpoint_name, local_checkpoint, no_checkpoint
from voiceclone_cli.engines.select import EngineChoice, choose_engine, needed_to_read
from voiceclone_cli.errors import PreflightError, VoicecloneError
from voiceclone_cli.files import file_sha256, write_text_atomic
from voiceclone_cli.languages import name_of
from voiceclone_cli.models import download, store
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.protocol import EngineSpec

PATH_OPTIONS = ("source", "encoder")
"""Options of engines that are paths: each node has its own."""

_HINTS = ("home", "checkpoint", "fish_speech_dir", "fish_speech_python")


def path_hints(settings: Settings, engine: EngineChoice | None = None) -> dict[str, str]:
    """Return the coordinator's paths, for nodes that see the same ones, and the name of its engine's checkpoint."""
    given = {name: getattr(settings, name) for name in _HINTS}
    hints = {name: str(path_setting(value)) for name, value in given.items() if value}
    name = engine.checkpoint_name if engine is not None else checkpoint_name(settings)
    return {**hints, "checkpoint": name} if name else hints


def node_settings(hints: Mapping[str, str], **flags: str) -> Settings:
    """Return this node's own settings. A path of ``hints`` counts where it exists and the node has set none; the name
    of a checkpoint always does."""
    own = resolve(flags)
    taken = {
        name: hint
        for name, hint in hints.items()
        if own.sources[name] == "default" and (hint in GENERATIONS or Path(hint).exists())
    }
    return resolve({**flags, **taken})


def node_engine(engine: str, hints: Mapping[str, str]) -> EngineChoice:
    """Return the engine as this node's own settings find it, nothing downloaded.

    Raises PreflightError, InputError.
    """
    settings = node_settings(hints, engine=engine)
    if engine in ENGINES and ENGINES[engine].models:
        require_models([*ENGINES[engine].models.values()], settings)
    if engine == "fish" and local_checkpoint(settings) is None:
        raise no_checkpoint(settings)
    return choose_engine(settings)


def node_spec(spec: EngineSpec, choice: EngineChoice, threads: int) -> EngineSpec:
    """Return a task's engine with this node's paths and threads; all that determines the sound stays."""
    paths = {key: choice.options[key] for key in PATH_OPTIONS if key in choice.options}
    given = {key: value for key, value in spec.options.items() if key not in PATH_OPTIONS}
    # Ray has assigned one of several GPUs to the worker.
    device = "cuda" if spec.device.startswith("cuda:") else spec.device
    options = {**given, **paths, "threads": threads}
    return replace(spec, checkpoint=choice.checkpoint, device=device, options=options)


def describe_node(engine: str, hints: Mapping[str, str], languages: Sequence[str]) -> dict[str, Any]:
    """Return ``why`` the engine was chosen here, or ``lack``: what keeps it from working; and its ``weights``.

    ``languages``: BCP 47 tags of the lines. What this node lacks to read one of them keeps the engine from working.
    ``unread``: what it lacks to read those that the engine was made for; no word where nothing is lacking.
    """
    try:
        choice = node_engine(engine, hints)
        lacking = reading_lack(engine, languages)
        unread = reading_lack(engine, ENGINES[engine].languages or ())
        known = {"weights": weights(choice), "checkpoint": choice.checkpoint, "unread": unread}
        return {"lack": lacking, **known} if lacking else {"why": choice.why, **known}
    except VoicecloneError as error:
        return {"lack": error.message, "weights": {}}


def reading_lack(engine: str, languages: Iterable[str]) -> str:
    """Return what this machine lacks to read languages (BCP 47 tags) with an engine that can, and how to install it.

    It is one clause about "it" and "there", for the coordinator to say; empty where nothing is lacking.
    """
    info = ENGINES[engine]
    names: list[str] = []
    packages: list[str] = []
    needs_program = False
    for tag in sorted(filter(info.can_speak, languages)):
        missing, reader = needed_to_read(engine, tag)
        if missing or reader:
            names.append(name_of(tag))
        packages += missing
        needs_program |= bool(reader)
    if not names:
        return ""
    install = f"install {info.reader} there (apt, brew or winget install {info.reader})"
    if packages:
        program = f", and {install}" if needs_program else ""
        steps = f"run `pip install {' '.join(packages)}` there, in the environment of its Ray{program}"
    else:
        steps = install
    return f"it cannot read {', '.join(names)}: {steps}"


def weights(choice: EngineChoice) -> dict[str, str]:
    """Return the SHA-256 of the files that decide how an engine sounds. Raises PreflightError."""
    if choice.name == "fish":
        folder = Path(choice.checkpoint)
        try:
            return {name: _cached_sha256(folder / name) for name in required_files(folder)}
        except OSError as error:
            raise PreflightError(
                f"the checkpoint {folder} cannot be read ({error.strerror}): check its permissions",
                code="checkpoint_unusable",
            ) from error
    # Verified when the engine was chosen.
    names = ENGINES[choice.name].models.values()
    entries = [entry for entry in download.model_entries() if entry.name in names]
    return {f"{entry.name}/{file.path}": file.sha256 or "" for entry in entries for file in entry.files}


def require_models(names: Sequence[str], settings: Settings) -> None:
    """Raise PreflightError ``models_missing`` where models are missing: a node does not download them."""
    ready = (store.ModelState.READY, store.ModelState.UNVERIFIED)
    found = download.models_status(names, home=models_home(settings))
    missing = [status.entry.name for status in found if status.state not in ready]
    if missing:
        raise PreflightError(
            f"the model files of {' and '.join(missing)} are not there: run `voiceclone models pull "
            f"{' '.join(missing)}` on it, or set VOICECLONE_HOME where Ray is started",
            code="models_missing",
        )


def _cached_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; gigabytes are not read again while size and time are the same."""
    cache = store.default_home() / "sha256.json"
    stat = path.stat()
    cached = _read(cache).get(str(path))
    if isinstance(cached, list) and cached[:2] == [stat.st_size, stat.st_mtime_ns]:
        return str(cached[2])
    sha256 = file_sha256(path)
    with suppress(OSError):  # a home that is read-only: it is computed again each time
        cache.parent.mkdir(parents=True, exist_ok=True)
        entries = {**_read(cache), str(path): [stat.st_size, stat.st_mtime_ns, sha256]}
        write_text_atomic(cache, json.dumps(entries, indent=1), sync=False)
    return sha256


def _read(cache: Path) -> dict[str, Any]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
