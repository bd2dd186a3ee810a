"""What a run with these settings would do, found out without fetching anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from voiceclone_cli import models
from voiceclone_cli.doctor import interpreters
from voiceclone_cli.doctor.interpreters import Answer
from voiceclone_cli.doctor.rows import Row, State
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkout import fish_checkout
from voiceclone_cli.fish.checkpoint import PUBLISHED, local_checkpoint, no_checkpoint
from voiceclone_cli.fish.interpreter import fish_python, given_python, require_fish_speech
from voiceclone_cli.models.hub_source import is_offline
from voiceclone_cli.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fish:
    """Each part of fish, or why it cannot be used."""

    python: str | PreflightError
    checkout: Path | PreflightError | None
    """FISH_SPEECH_DIR; None where it is not set."""
    checkpoint: Path | PreflightError | None
    """None where a run that asks for fish would fetch it."""
    environment: Answer | PreflightError
    """What the interpreter says of itself."""
    packages: PreflightError | None
    """None where the interpreter has all that a run looks for before it chooses fish."""

    @property
    def lack(self) -> str:
        """The first thing that keeps `--engine auto` from fish, one sentence; empty where nothing does."""
        parts = (self.python, self.checkout, self.checkpoint, self.packages)
        lacks = [part.message for part in parts if isinstance(part, PreflightError)]
        if self.checkpoint is None:
            lacks.append(no_checkpoint().message)
        return lacks[0] if lacks else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The engine of a run and its interpreter."""

    engine: str
    """ "fish", "kokoro" or "echo"."""
    is_choice: bool
    """Chosen by ``auto``, not asked for."""
    fish: Fish
    python: str | PreflightError | None
    """The interpreter of the run's workers; None is this one."""

    @property
    def uses_fish(self) -> bool:
        return self.engine == "fish"

    @property
    def trouble(self) -> State:
        """How bad it is when a part of fish is missing."""
        return State.FAIL if self.uses_fish else State.NOTE

    @property
    def fetched(self) -> tuple[str, ...]:
        """The models of the registry that the run uses and may have to fetch."""
        published = (PUBLISHED,) if self.uses_fish and self.fish.checkpoint is None else ()
        return (*models.embedded(), *published)


def look_at_fish(settings: Settings, *, seconds: float) -> Fish:
    """Look at what the settings name; the interpreter has ``seconds`` to answer."""
    python = _or_error(lambda: fish_python(settings))
    checkout = _or_error(lambda: fish_checkout(settings))
    checkpoint = _or_error(lambda: _checkpoint(settings))
    environment: Answer | PreflightError
    packages: PreflightError | None
    if isinstance(python, PreflightError):
        environment = packages = python
    else:
        source = None if isinstance(checkout, PreflightError) else checkout
        environment = interpreters.examine(python, source, settings, seconds=seconds)
        packages = environment if isinstance(environment, PreflightError) else _packages(python, source)
    return Fish(python, checkout, checkpoint, environment, packages)


def make_plan(settings: Settings, fish: Fish) -> Plan:
    """What ``engines.choose_engine`` would come to."""
    if settings.engine == "echo":
        return Plan("echo", False, fish, _or_error(lambda: given_python(settings)))
    if settings.engine == "fish" or (settings.engine == "auto" and not fish.lack):
        return Plan("fish", settings.engine == "auto", fish, fish.python)
    return Plan("kokoro", settings.engine == "auto", fish, None)


def engine_row(plan: Plan) -> Row:
    if not plan.is_choice:
        return Row("engine", State.OK, f"{plan.engine} is asked for")
    if plan.uses_fish:
        return Row("engine", State.OK, "fish: its environment and a checkpoint are here")
    found = "kokoro, the embedded voice matching: what fish needs is not all here"
    return Row("engine", State.NOTE, found, "to have fish, do what its rows below say")


def _checkpoint(settings: Settings) -> Path | None:
    local = local_checkpoint(settings)
    if local is None and not _can_be_fetched(settings):
        raise no_checkpoint()
    return local


def _can_be_fetched(settings: Settings) -> bool:
    """Whether the hub, or its own cache where it must not be asked, may give the published checkpoint."""
    if not is_offline():
        return models.has_hub_access(settings.token)
    from huggingface_hub import try_to_load_from_cache

    (entry,) = (entry for entry in models.entries() if entry.name == PUBLISHED)
    assert entry.hub is not None
    repo, revision = entry.hub.repo, entry.hub.revision
    cached = (try_to_load_from_cache(repo, file.path, revision=revision) for file in entry.files)
    return all(isinstance(path, str) for path in cached)


def _packages(python: str, checkout: Path | None) -> PreflightError | None:
    return _or_error(lambda: require_fish_speech(python, checkout))


def _or_error(look: Callable[[], T]) -> T | PreflightError:
    try:
        return look()
    except PreflightError as error:
        return error
