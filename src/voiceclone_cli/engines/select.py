"""Selection of the engine of a run: which one, in which interpreter, with which files, and why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from voiceclone_cli.config import KEEP_TAGS, Settings, models_home
from voiceclone_cli.engines import memory
from voiceclone_cli.engines.checkpoint import S1, S2, Checkpoint, generated_note, licence_notice
from voiceclone_cli.engines.fish import (
    PROBE_SECONDS,
    checkout_note,
    find_checkpoint,
    fish_checkout,
    fish_python,
    given_python,
    local_checkpoint,
    no_checkpoint,
    require_fish_speech,
    s2_checkout,
)
from voiceclone_cli.errors import InputError, PreflightError, VoicecloneError
from voiceclone_cli.languages import name_of
from voiceclone_cli.models import download
from voiceclone_cli.types import Progress, no_progress
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.kokoro.phonemes import registry
from voiceclone_worker.engines.kokoro.phonemes.espeak import espeak_program
from voiceclone_worker.protocol import EngineSpec

T = TypeVar("T")

FISH_SAMPLING = S1.sampling
"""Of the S1 generation."""

ECHO_VARIABLE = "VOICECLONE_ECHO"
"""Options of the echo engine, as a JSON object."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that is ready to be started."""

    name: str
    why: str
    """Sentence for the user: why this engine, and what to do for the other."""
    python: str | None
    """Interpreter of the workers; None is this one."""
    checkpoint: str = ""
    """Folder of its weights."""
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    precision: str = "auto"
    notes: tuple[str, ...] = ()
    """Sentences for the manifest."""
    languages: frozenset[str] | None = None
    """ISO 639-1 codes of those that the checkpoint was made for; None: those of the engine."""
    checkpoint_name: str = ""
    """Name of the published weights of fish that the checkpoint has, else its folder."""

    @property
    def keeps_tags(self) -> bool:
        """Whether square brackets in a line are stage directions of the engine."""
        return bool(self.options.get("tags") == KEEP_TAGS)

    @property
    def codes_name(self) -> str:
        """File name of an encoded reference."""
        return ENGINES[self.name].codes_name

    def spec(self, *, batch_size: int, threads: int) -> EngineSpec:
        """Return the engine as it is written into a task file."""
        return EngineSpec(
            name=self.name,
            checkpoint=self.checkpoint,
            device=self.device,
            precision=self.precision,
            batch_size=batch_size,
            options={**self.options, "threads": threads},
        )


class EngineReport(NamedTuple):
    """Engine of a run with some settings, and the parts of fish on this machine: each, or why it cannot be used."""

    engine: str
    """ "fish", "kokoro" or "echo"."""
    python: str | PreflightError | None
    """Interpreter of the run's workers; None is this one."""
    fish_python: str | PreflightError
    checkout: Path | PreflightError | None
    """The code of FISH_SPEECH_DIR; None where it is not set, or of the S2 generation, whose code is not used."""
    checkpoint: Checkpoint | PreflightError | None
    """None where there is none on this machine."""
    problem: PreflightError | None
    """First reason why fish cannot be used. Without a checkpoint ``auto`` does not use it; a fish that is
    requested may download one."""


def probe(settings: Settings, *, seconds: float = PROBE_SECONDS) -> EngineReport:
    """Find out which engine a run uses; nothing is downloaded. Selection and ``voiceclone doctor`` read this.

    The interpreter of fish is started only where its packages matter: fish is requested, or ``auto`` finds
    nothing else missing. It has ``seconds`` to answer.
    """
    is_auto = settings.engine == "auto"
    fish = _value_or_error(lambda: fish_python(settings))
    checkout = _value_or_error(lambda: fish_checkout(settings))
    interpreter = fish if isinstance(fish, str) else None
    checkpoint = _value_or_error(lambda: local_checkpoint(settings, interpreter, seconds=seconds))
    parts = (fish, checkout, (checkpoint or no_checkpoint(settings)) if is_auto else None)
    problem = next((part for part in parts if isinstance(part, PreflightError)), None)
    if problem is None and settings.engine in ("auto", "fish"):
        assert isinstance(fish, str) and not isinstance(checkout, PreflightError)
        here = checkpoint if isinstance(checkpoint, Checkpoint) else None
        problem = _value_or_error(lambda: require_fish_speech(fish, checkout, here, seconds=seconds))
    engine = settings.engine if not is_auto else "fish" if problem is None else "kokoro"
    python: str | PreflightError | None = None
    if ENGINES[engine].interpreter == "fish":
        python = fish
    elif ENGINES[engine].interpreter == "any":
        python = _value_or_error(lambda: given_python(settings))
    return EngineReport(engine, python, fish, checkout, checkpoint, problem)


def choose_engine(settings: Settings, progress: Progress = no_progress) -> EngineChoice:
    """Return the engine of a run, with its files downloaded and verified. Raises PreflightError.

    ``auto`` is fish where its interpreter and a checkpoint are available, else kokoro; it downloads nothing for
    fish.
    """
    choice = _choose_engine(settings, progress)
    if settings.tags == KEEP_TAGS and not choice.keeps_tags:
        note = (
            "--tags keep has no effect: only s2-pro, a checkpoint of the fish engine, reads stage directions"
        )
        return replace(choice, notes=(*choice.notes, note))
    return choice


def fit_to_device(settings: Settings, engine: EngineChoice) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with the workers and lines at a time that the GPUs of an engine allow, and why.

    Raises PreflightError ``checkpoint_unusable``.
    """
    python = engine.python
    if engine.name != "fish" or python is None:
        return settings, ()
    return memory.fit_to_device(
        settings,
        Path(engine.checkpoint),
        lambda: memory.device_memory(python, settings.device, settings.precision),
    )


def _choose_engine(settings: Settings, progress: Progress) -> EngineChoice:
    if settings.engine not in ("auto", "fish"):
        kind = "" if ENGINES[settings.engine].is_speech else ": tones, no speech"
        return _registered(settings.engine, f"{settings.engine} is requested{kind}", settings, progress)
    report = probe(settings)
    if report.problem is None:
        return _fish(settings, report, progress)
    if settings.engine == "fish":
        raise report.problem
    if report.problem.code == "fish_environment":
        # Nothing of fish was set up, and most users need nothing of it.
        why = "kokoro, the embedded voice matching (`voiceclone doctor` says what fish, which clones voices, needs)"
    else:
        why = (
            f"kokoro, the embedded voice matching, because fish cannot be used here: {report.problem.message}"
        )
    return _registered("kokoro", why, settings, progress)


def licence_of(engine: str, checkpoint: str) -> tuple[str, str]:
    """Return the name and the sentence of the licence of an engine with the weights in the folder ``checkpoint``."""
    if engine == "fish":
        return licence_notice(Path(checkpoint))
    return engine, ENGINES[engine].license_notice if engine in ENGINES else ""


def language_notes(
    engine: str,
    lines: Mapping[str, int],
    *,
    is_remote: bool = False,
    languages: Collection[str] | None = None,
) -> list[str]:
    """Return sentences on the languages that an engine speaks badly or in part.

    ``lines``: number of lines by BCP 47 tag. ``languages``: codes of those that its checkpoint was made for, where these
    are not the engine's. ``is_remote``: the workers are on other machines, which are asked for
    their packages and programs themselves. Raises InputError or PreflightError where no line at all can be spoken.
    """
    info, notes = ENGINES[engine], []
    silent: list[VoicecloneError] = []
    for tag in lines:
        lacking = None if is_remote else missing_reader(engine, tag)
        if not info.can_speak(tag):
            readable, other = trained_languages(engine), _other_engine(engine, tag)
            message = f"{engine} cannot read {name_of(tag)}, and can read {readable}: {other}"
            silent.append(InputError(message, code="language"))
        elif lacking is not None:
            silent.append(lacking)
        else:
            if languages is None or registry.main_code(tag) not in languages:
                notes += _pronunciation_notes(engine, tag)
            continue
        count = "1 line" if lines[tag] == 1 else f"{lines[tag]} lines"
        notes.append(f"{count} will not be spoken, since {silent[-1].message}")
    if len(silent) == len(lines) and silent:
        raise silent[0]
    return notes


def missing_reader(engine: str, tag: str) -> PreflightError | None:
    """Return what this machine lacks to read a language (a BCP 47 tag) with an engine that can; None: nothing."""
    name, other = name_of(tag), _other_engine(engine, tag)
    packages, program = needed_to_read(engine, tag)
    if packages:
        return PreflightError(f"{registry.needs_packages(name, packages)} or {other}", code="language")
    if program:
        return PreflightError(
            f"{engine} needs the {program} program to read {name}: install it (apt, brew or winget install "
            f"{program}) or {other}",
            code="language",
        )
    return None


def needed_to_read(engine: str, tag: str) -> tuple[tuple[str, ...], str]:
    """Return the packages and the program that this machine lacks to read a language (a BCP 47 tag); empty: none."""
    info = ENGINES[engine]
    program = info.reader_of(tag)
    return info.missing_packages(tag), program if program and espeak_program() is None else ""


_OF_OTHER_REGIONS = {
    **dict.fromkeys(
        ("zh-hk", "zh-mo", "zh-hant-hk", "zh-hant-mo"), "in Mandarin, since kokoro has no Cantonese"
    ),
    **dict.fromkeys(("pt-pt", "pt-ao", "pt-mz"), "as in Brazil, since kokoro has no other Portuguese"),
}
"""How kokoro speaks a language of regions where it is spoken very differently."""


def _pronunciation_notes(engine: str, tag: str) -> list[str]:
    """Return a sentence where a language is spoken otherwise than its name says; none for most."""
    info = ENGINES[engine]
    if not info.was_made_for(tag):
        return [
            f"{engine} was not made for {name_of(tag)}: it is spoken with the sounds of other languages, and may be hard "
            f"to understand; {_other_engine(engine, tag)}"
        ]
    if engine == "kokoro" and tag.lower() in _OF_OTHER_REGIONS:
        return [f"{name_of(tag)} is spoken {_OF_OTHER_REGIONS[tag.lower()]}"]
    return []


def _other_engine(engine: str, tag: str) -> str:
    """Return what to do about a language that an engine speaks badly or not at all, as part of a sentence."""
    other = "kokoro" if engine == "fish" else "fish"
    if ENGINES[other].was_made_for(tag):
        return f"use --engine {other}"
    return f"try --engine {other}, which was not made for it either"


def trained_languages(engine: str) -> str:
    """Return the names of the languages that an engine was made for, as part of a sentence; empty where all are."""
    names = sorted(name_of(code) for code in ENGINES[engine].languages or ())
    return f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def _value_or_error(find: Callable[[], T]) -> T | PreflightError:
    try:
        return find()
    except PreflightError as error:
        return error


def _registered(name: str, why: str, settings: Settings, progress: Progress) -> EngineChoice:
    """Return an engine that needs nothing but what its registration names."""
    info = ENGINES[name]
    models, home = list(info.models.values()), models_home(settings)
    folders = download.ensure_models(models, progress, home=home, token=settings.token) if models else {}
    options: dict[str, Any] = {option: str(folders[model]) for option, model in info.models.items()}
    checkpoint = options.pop("checkpoint", "")
    if name == "echo":
        options |= _echo_options()
    if name == "kokoro":
        options["effort"] = settings.voice_effort
    python = given_python(settings) if info.interpreter == "any" else None
    return EngineChoice(name, why, python, checkpoint=checkpoint, options=options)


def _echo_options() -> dict[str, Any]:
    """Return the echo engine's options, which tests and benchmarks set. Raises InputError."""
    text = os.environ.get(ECHO_VARIABLE, "").strip()
    if not text:
        return {}
    try:
        options = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{ECHO_VARIABLE} must be JSON: {error}", code="bad_setting") from error
    if not isinstance(options, dict):
        raise InputError(f"{ECHO_VARIABLE} must be a JSON object", code="bad_setting")
    return options


def _fish(settings: Settings, report: EngineReport, progress: Progress) -> EngineChoice:
    python, checkout, found = report.fish_python, report.checkout, report.checkpoint
    assert isinstance(python, str)
    assert not isinstance(checkout, PreflightError)
    if isinstance(found, PreflightError):
        raise found
    why = "fish is requested"
    if settings.engine == "auto":
        why = "fish, because its environment and a checkpoint are here (for voice matching: --engine kokoro)"
    checkpoint = find_checkpoint(settings, found, progress)
    options: dict[str, Any] = dict(checkpoint.generation.sampling)
    if checkpoint.generation is S2:
        options["tags"] = settings.tags
    if checkout is not None:
        options["source"] = str(checkout)
    if settings.compile:
        options["compile"] = True
    unused = s2_checkout(settings)
    notes = (
        checkout_note(unused) if unused is not None else "",
        checkpoint.why,
        generated_note(checkpoint.folder) if checkpoint.is_generated else "",
    )
    return EngineChoice(
        "fish",
        why,
        python,
        checkpoint=str(checkpoint.folder),
        languages=checkpoint.generation.languages,
        checkpoint_name=checkpoint.name or str(checkpoint.folder),
        options=options,
        device=settings.device,
        precision=settings.precision,
        notes=tuple(filter(None, notes)),
    )
