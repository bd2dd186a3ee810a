"""The translators: what each is, what it needs, and which of them the settings choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voiceclone_cli.config import Settings
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.translation.translator import Notify, Translator, no_notify


@dataclass(frozen=True, slots=True)
class TranslatorInfo:
    """A translator that can be chosen."""

    what: str
    """A noun phrase."""
    needs: str
    """What to give for it, as part of a sentence that begins "give"."""
    open: Callable[[Settings, Notify], Translator]
    lack: Callable[[Settings], str | None]
    """Return what is missing with these settings, as a sentence part; None where it can be opened. Nothing is sent."""


def _open_openai(settings: Settings, notify: Notify) -> Translator:
    from voiceclone_cli.translation.openai import open_openai

    return open_openai(settings, notify)


def _open_command(settings: Settings, notify: Notify) -> Translator:
    from voiceclone_cli.translation.command import open_command

    return open_command(settings, notify)


def _open_argos(settings: Settings, notify: Notify) -> Translator:
    from voiceclone_cli.translation.argos import open_argos

    return open_argos(settings, notify)


def _lack_of_openai(settings: Settings) -> str | None:
    return None if settings.translator_url else "no address is set"


def _lack_of_command(settings: Settings) -> str | None:
    from voiceclone_cli.translation.command import lack_of_program

    return (
        lack_of_program(settings.translator_command) if settings.translator_command else "no program is set"
    )


def _lack_of_argos(settings: Settings) -> str | None:
    from voiceclone_cli.translation.argos import lack_of_argos

    return lack_of_argos(settings)


TRANSLATORS = {
    "openai": TranslatorInfo(
        "an OpenAI-compatible endpoint (llama.cpp, Ollama, vLLM, LM Studio or a hosted one)",
        "its address as --translator-url, such as http://localhost:11434/v1",
        _open_openai,
        _lack_of_openai,
    ),
    "command": TranslatorInfo(
        "a program that reads and writes lines of JSON",
        "it as --command, such as 'python3 tr.py'",
        _open_command,
        _lack_of_command,
    ),
    "argos": TranslatorInfo(
        "Argos Translate, on this computer",
        "--translator argos, after `pip install argostranslate`",
        _open_argos,
        _lack_of_argos,
    ),
}
"""The translators by their names, which are the values of the setting ``translator``."""


def chosen_translator(settings: Settings) -> str:
    """Return the name of the translator: the one that is chosen, else the one that something is set for.

    Raises PreflightError where there is none, InputError where an endpoint and a program are both set.
    """
    if settings.translator is not None:
        return settings.translator
    given = {"openai": "translator_url", "command": "translator_command"}
    found = [name for name, setting in given.items() if getattr(settings, setting)]
    # What is on the command line takes precedence over what is set for all commands.
    found = [name for name in found if settings.sources[given[name]] == "flag"] or found
    if not found:
        raise no_translator()
    if len(found) > 1:
        raise InputError(
            f"{settings.origin('translator_url')} and {settings.origin('translator_command')} are both set: choose "
            "one with --translator openai or --translator command.",
            code="bad_setting",
        )
    return found[0]


def no_translator() -> PreflightError:
    """Return the error for a translation without a translator. It says how to get each."""
    ways = "; ".join(f"for {info.what}, give {info.needs}" for info in TRANSLATORS.values())
    return PreflightError(
        f"No translator is chosen, and nothing is sent anywhere until one is: {ways}.", code="no_translator"
    )


def open_translator(settings: Settings, notify: Notify = no_notify, *, name: str | None = None) -> Translator:
    """Return the translator of the settings, or the one with this name, ready for requests.

    Raises PreflightError or InputError where it lacks something, TranslatorError where it cannot be reached.
    """
    name = name or chosen_translator(settings)
    return TRANSLATORS[name].open(settings, notify)
