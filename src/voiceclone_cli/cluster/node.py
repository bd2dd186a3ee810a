"""What a node has: its engine, by its own settings, and the checksums of what its voices are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceclone_cli.config import Settings, models_home, path_setting, resolve
from voiceclone_cli.engines.fish import REQUIRED_FILES, local_checkpoint, no_checkpoint
from voiceclone_cli.engines.select import EngineChoice, choose_engine
from voiceclone_cli.errors import PreflightError, VoicecloneError
from voiceclone_cli.files import file_sha256, write_text_atomic
from voiceclone_cli.models import download, store
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.protocol import EngineSpec

PLACES = ("source", "encoder")
"""Options of engines that are paths: each node has its own."""

_HINTS = ("home", "checkpoint", "fish_speech_dir", "fish_speech_python")


def path_hints(settings: Settings) -> dict[str, str]:
    """Where the controller has its things: for nodes that see the same paths."""
    given = {name: getattr(settings, name) for name in _HINTS}
    return {name: str(path_setting(value)) for name, value in given.items() if value}


def node_settings(hints: Mapping[str, str], **flags: str) -> Settings:
    """This node's own settings. A path of ``hints`` counts where it exists and the node has none of its own."""
    own = resolve(flags)
    taken = {
        name: path for name, path in hints.items() if own.sources[name] == "default" and Path(path).exists()
    }
    return resolve({**flags, **taken})


def node_engine(engine: str, hints: Mapping[str, str]) -> EngineChoice:
    """The engine as this node's own settings find it, nothing fetched. Raises PreflightError, InputError."""
    settings = node_settings(hints, engine=engine)
    _require_files(engine, settings)
    return choose_engine(settings)


def node_spec(choice: EngineChoice, threads: int) -> Callable[[EngineSpec], EngineSpec]:
    """Makes a task's engine this node's: paths and threads are the node's, all that sounds stays as it was told."""
    places = {key: choice.options[key] for key in PLACES if key in choice.options}

    def convert(spec: EngineSpec) -> EngineSpec:
        told = {key: value for key, value in spec.options.items() if key not in PLACES}
        # Which of several GPUs is the slot's own, its node has decided.
        device = "cuda" if spec.device.startswith("cuda:") else spec.device
        options = {**told, **places, "threads": threads}
        return replace(spec, checkpoint=choice.checkpoint, device=device, options=options)

    return convert


def describe_node(engine: str, hints: Mapping[str, str]) -> dict[str, Any]:
    """``why`` the engine speaks here or ``lack``, what keeps it from it; ``weights``: SHA-256 by file."""
    try:
        choice = node_engine(engine, hints)
        return {"why": choice.why, "weights": weights(choice), "checkpoint": choice.checkpoint}
    except VoicecloneError as error:
        return {"lack": error.message, "weights": {}}


def weights(choice: EngineChoice) -> dict[str, str]:
    """SHA-256 of the files that decide how an engine sounds. Raises PreflightError for one that cannot be read."""
    if choice.name == "fish":
        folder = Path(choice.checkpoint)
        try:
            return {name: _remembered_sha256(folder / name) for name in REQUIRED_FILES}
        except OSError as error:
            raise PreflightError(
                f"the checkpoint {folder} cannot be read ({error.strerror}): give yourself the right to",
                code="checkpoint_unusable",
            ) from error
    # Verified when the engine was chosen.
    names = ENGINES[choice.name].models.values()
    entries = [entry for entry in download.model_entries() if entry.name in names]
    return {f"{entry.name}/{file.path}": file.sha256 or "" for entry in entries for file in entry.files}


def require_models(names: Sequence[str], settings: Settings) -> None:
    """A node is not the place to fetch hundreds of megabytes unasked. Raises PreflightError ``models_missing``."""
    ready = (store.ModelState.READY, store.ModelState.UNVERIFIED)
    found = download.models_status(names, home=models_home(settings))
    missing = [status.entry.name for status in found if status.state not in ready]
    if missing:
        raise PreflightError(
            f"the model files of {' and '.join(missing)} are not there: run `voiceclone models pull "
            f"{' '.join(missing)}` on it, or set VOICECLONE_HOME where Ray is started",
            code="models_missing",
        )


def _require_files(engine: str, settings: Settings) -> None:
    if engine in ENGINES and ENGINES[engine].models:
        require_models([*ENGINES[engine].models.values()], settings)
    if engine == "fish" and local_checkpoint(settings) is None:
        raise no_checkpoint()


def _remembered_sha256(path: Path) -> str:
    """Gigabytes are not read again while size and time are as they were."""
    memory = store.default_home() / "sha256.json"
    look = path.stat()
    known = _read(memory)
    mark = known.get(str(path))
    if isinstance(mark, list) and mark[:2] == [look.st_size, look.st_mtime_ns]:
        return str(mark[2])
    sha256 = file_sha256(path)
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        remembered = {**_read(memory), str(path): [look.st_size, look.st_mtime_ns, sha256]}
        write_text_atomic(memory, json.dumps(remembered, indent=1), sync=False)
    except OSError:
        return sha256  # a home that may only be read: it is computed again each time
    return sha256


def _read(memory: Path) -> dict[str, Any]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
