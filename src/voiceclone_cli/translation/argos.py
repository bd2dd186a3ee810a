"""Translation by Argos Translate, where the user has installed it: on this computer, each line by itself."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from voiceclone_cli import system
from voiceclone_cli.children import run_child
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.languages import main_language, name_of
from voiceclone_cli.translation.command import CommandTranslator, translator_environment
from voiceclone_cli.translation.translator import (
    Failing,
    Notify,
    TokenCount,
    TranslatedLine,
    TranslationRequest,
    Translator,
    TranslatorError,
)

PROGRAM = Path(__file__).with_name("argos_program.py")

_FIND_SECONDS = 20.0
"""To start an interpreter."""

_LOAD_SECONDS = 120.0
"""To import Argos Translate, which imports torch, from a cold disk."""

_FINDER = "import importlib.util, sys; sys.exit(importlib.util.find_spec('argostranslate') is None)"

_OPTIONS = (
    *("ARGOS_PACKAGES_DIR", "ARGOS_TRANSLATE_PACKAGES_DIR", "ARGOS_DEVICE_TYPE", "ARGOS_STANZA_AVAILABLE"),
    *("ARGOS_INTER_THREADS", "ARGOS_INTRA_THREADS", "ARGOS_CHUNK_TYPE"),
)
"""Variables of Argos Translate that leave its work on this computer."""

_CODES = {
    **dict.fromkeys(("zh-Hant", "zh-TW", "zh-HK", "zh-MO"), ("zt",)),
    **dict.fromkeys(("no", "nn"), ("nb",)),
    "pt-BR": ("pb", "pt"),
    "fil": ("tl",),
}
"""What Argos Translate calls a language, where it is not its code without script and region."""


def open_argos(settings: Settings, notify: Notify) -> ArgosTranslator:
    """Return the translator. Raises PreflightError where Argos Translate is not installed."""
    lack = lack_of_argos(settings)
    if lack is not None:
        raise PreflightError(f"Argos Translate cannot be used: {lack}.", code="no_translator")
    return ArgosTranslator(_python(settings), settings.translator_seconds, notify)


def lack_of_argos(settings: Settings) -> str | None:
    """Return why Argos Translate cannot be used; None where it is installed."""
    python = _python(settings)
    install = (
        f"run `{system.quoted_command([python, '-m', 'pip', 'install', 'argostranslate'])}`, or set "
        "VOICECLONE_ARGOS_PYTHON to an interpreter that has it"
    )
    if settings.argos_python is None:
        return None if importlib.util.find_spec("argostranslate") else f"it is not installed; {install}"
    try:
        done = run_child([python, "-c", _FINDER], environment=_environment(), seconds=_FIND_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return f"VOICECLONE_ARGOS_PYTHON names {python}, which is no Python interpreter that can be started"
    return None if done.returncode == 0 else f"it is not installed for {python}; {install}"


class ArgosTranslator(Translator):
    """Argos Translate in a process by itself, which is started at the first request."""

    name = "argos"
    destination = "this computer (Argos Translate)"

    def __init__(
        self, python: str, seconds: float, notify: Notify, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.identity = self.name  # which models are installed is not known before they are asked for
        self._python, self._environment = python, _environment(environ)
        self._command = (python, "-X", "utf8", str(PROGRAM))
        self._program = CommandTranslator(
            self._command,
            seconds,
            notify,
            destination=self.destination,
            shown="Argos Translate",
            environment=self._environment,
        )
        self._pairs: frozenset[tuple[str, str]] | None = None

    @property
    def usage(self) -> TokenCount:
        """No tokens: it is free."""
        return TokenCount()

    def translate(self, request: TranslationRequest) -> tuple[TranslatedLine, ...]:
        """Return what came back for the lines. Raises TranslatorError, for a pair that is not installed too."""
        source, target = self._pair(request.source, request.target)
        return self._program.translate(replace(request, source=source, target=target))

    def close(self) -> None:
        """End the process."""
        self._program.close()

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return the pairs of languages that are installed, by Argos' codes. Raises TranslatorError."""
        if self._pairs is None:
            try:
                done = run_child(
                    [*self._command, "--pairs"], environment=self._environment, seconds=_LOAD_SECONDS
                )
                rows = json.loads(done.stdout)["pairs"] if done.returncode == 0 else None
            except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
                raise _refused(
                    f"Argos Translate in {self._python} does not list its languages ({error})"
                ) from None
            if rows is None:
                last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
                raise _refused(f"Argos Translate in {self._python} cannot be loaded ({''.join(last)[:200]})")
            self._pairs = frozenset((str(source), str(target)) for source, target in rows)
        return self._pairs

    def _pair(self, source: str, target: str) -> tuple[str, str]:
        """Return the codes of a pair of languages. Raises TranslatorError with the command that installs it."""
        pairs = self.pairs()
        for first in _codes(source):
            for second in _codes(target):
                if (first, second) in pairs:
                    return first, second
        commands = [f"`{self._manager()} install translate-{pair}`" for pair in self._missing(source, target)]
        raise _refused(
            f"Argos Translate has no translation from {name_of(source)} to {name_of(target)} here: run "
            f"{', then '.join(commands)}"
        )

    def _missing(self, source: str, target: str) -> Iterator[str]:
        """Yield the packages that make a pair: English is one side of nearly all of them."""
        (first, *_), (second, *_) = _codes(source), _codes(target)
        legs = [(first, second)] if "en" in (first, second) else [(first, "en"), ("en", second)]
        return (f"{one}_{other}" for one, other in legs if (one, other) not in self.pairs())

    def _manager(self) -> str:
        """Return the program that installs packages, with its path where it is not on PATH."""
        beside = shutil.which("argospm", path=str(Path(self._python).parent))
        return "argospm" if beside is None or shutil.which("argospm") else beside


def _codes(tag: str) -> tuple[str, ...]:
    return _CODES.get(tag, (main_language(tag),))


def _python(settings: Settings) -> str:
    return settings.argos_python or sys.executable


def _environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of a program that translates, without another provider than the models here."""
    options = {name: environ[name] for name in _OPTIONS if name in environ}
    return translator_environment(environ) | options | {"ARGOS_MODEL_PROVIDER": "OPENNMT"}


def _refused(message: str) -> TranslatorError:
    return TranslatorError(f"{message}.", code="translator_refused", failing=Failing.REFUSED)
