"""Command line options: those of settings, those that several commands share, and their groups in help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from voiceclone_cli import config, messages
from voiceclone_cli.cli.progress import Display, ProgressMode
from voiceclone_cli.errors import InputError

PANELS = (
    "Arguments",
    config.INPUT,
    config.TRANSLATION,
    config.SPEAKERS,
    config.VOICES,
    config.WORKERS,
    "Gates",
    config.OUTPUT,
    config.PROGRESS,
    "Options",
)
"""Groups of parameters in help, in this order."""


class Lang(StrEnum):
    """Languages of --lang."""

    EN = messages.ENGLISH
    ZH = messages.CHINESE


class GroupedCommand(TyperCommand):
    """Command whose help shows its options in groups, as plain text and without importing rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group."""
        sections: dict[str, list[tuple[str, str]]] = {panel: [] for panel in PANELS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            other = "Arguments" if parameter.param_type_name == "argument" else "Options"
            if record is not None:
                # typer puts a default that is given as text in parentheses.
                text = re.sub(r"default: \((.*?)\)(?=[];])", r"default: \1", record[1])
                text = re.sub(r"\[x>=(\S+?)\]", r"[at least \1]", text)
                text = re.sub(r"\[(\S+?)<=x<=(\S+?)\]", r"[\1 to \2]", text)
                names = re.sub("<(.*?)>$", _kind_of_value, record[0]).rstrip()
                sections[getattr(parameter, "rich_help_panel", None) or other].append((names, text))
        for panel, records in sections.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def _kind_of_value(kind: re.Match[str]) -> str:
    """Return what a value is in the words of users, where typer says its Python type; of an argument, whose name says
    it, nothing."""
    words = {"list[Path]": "", "Path": "", "list[str]": "", "str": "", "path": "<PATH>", "text": "<TEXT>"}
    words |= {"int": "<INTEGER>", "int range": "<INTEGER>", "float": "<NUMBER>", "float range": "<NUMBER>"}
    return words.get(kind[1], kind[0])


def option(
    help: str, panel: str = config.OUTPUT, *names: str, show_default: bool | str = False, **more: Any
) -> Any:
    """Return a typer option in a group of the help. Its name is by default that of the parameter."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=show_default, **more)


def argument(metavar: str, help: str, **more: Any) -> Any:
    """Return a typer argument without its default."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, **more)


Input = Annotated[Path, argument("INPUT", "Audio or video file.")]
RunDirArgument = Annotated[Path, argument("RUN_DIR", "Run directory of an earlier `voiceclone run`.")]
SpeakerCountOption = Annotated[
    int | None, option("Exact number of speakers, if known.", config.SPEAKERS, min=1)
]
MinSpeakers = Annotated[int | None, option("Lowest possible number of speakers.", config.SPEAKERS, min=1)]
MaxSpeakers = Annotated[int | None, option("Highest possible number of speakers.", config.SPEAKERS, min=1)]
ContextFile = Annotated[
    Path | None,
    option(
        "Text file about the recording for the translator: the title in its first line, then notes.",
        config.TRANSLATION,
        "--context",
    ),
]
GlossaryFile = Annotated[
    Path | None,
    option(
        "CSV file of terms and their translations; one without a translation is never translated.",
        config.TRANSLATION,
        "--glossary",
    ),
]
AsJson = Annotated[bool, option("Print one JSON document on stdout.", config.OUTPUT, "--json")]


def _display(
    progress: Annotated[
        ProgressMode, option("Form of progress on stderr.", config.PROGRESS, show_default=True)
    ] = ProgressMode.AUTO,
    quiet: Annotated[
        bool, option("Print nothing but errors on stderr.", config.PROGRESS, "--quiet", "-q")
    ] = False,
    verbose: Annotated[
        bool,
        option(
            "Print log lines of workers, reasons for repeated work and tracebacks too.",
            config.PROGRESS,
            "--verbose",
            "-v",
        ),
    ] = False,
    lang: Annotated[
        Lang | None,
        option(
            config.SETTINGS["lang"].help,
            config.PROGRESS,
            envvar=config.SETTINGS["lang"].variable,
            case_sensitive=False,
        ),
    ] = None,
) -> Display:
    choose_language(lang)
    return Display(progress, quiet=quiet, verbose=verbose)


def with_options(*settings: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of settings to a command, and those of its ``display`` where it has such a parameter.

    The command reads the settings with `settings_of`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [each for name, each in signature.parameters.items() if name != "display"]
        shows = "display" in signature.parameters
        display = inspect.signature(_display, eval_str=True).parameters if shows else {}

        def command_with_options(**values: Any) -> None:
            given = {each.name: values[each.name] for each in own}
            if shows:
                given["display"] = _display(**{name: values[name] for name in display})
            command(**given)

        keyword = inspect.Parameter.KEYWORD_ONLY
        options = [
            inspect.Parameter(name, keyword, default=None, annotation=_setting_type(name))
            for name in settings
        ]
        parameters = [each.replace(kind=keyword) for each in (*own, *options, *display.values())]
        command_with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command_with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        command_with_options.__doc__ = command.__doc__
        return command_with_options

    return decorate


def _setting_type(name: str) -> Any:
    """Return the type of a setting's parameter with its option: the text as given, or a truth value.

    The text is parsed by `settings_of`, whose errors are documents too where ``--json`` asks for them.
    """
    setting, default = config.SETTINGS[name], getattr(config.Settings(), name)
    kind = bool if isinstance(default, bool) else str
    return Annotated[
        kind | None,
        option(
            setting.help,
            setting.panel,
            *setting.option,
            envvar=setting.variable,
            metavar=None if kind is bool else f"<{setting.values}>",
            show_default=False if default is None else str(default).lower(),
            parser=lambda value: value,
            autocompletion=_completer(name),
        ),
    ]


TRANSLATOR_SETTINGS = (
    *("translator", "translator_url", "translator_model", "translator_command", "max_tokens"),
    *("tone", "fit"),
)
"""Settings of commands that translate."""


def choose_language(lang: str | None) -> None:
    """Choose the language of messages: that of the option, else of the settings."""
    try:
        messages.choose(lang or config.resolve({}).lang)
    except InputError:
        # A fault of the settings, which the command reports: in the language of the locale.
        messages.choose(None)


def settings_of(ctx: typer.Context) -> config.Settings:
    """Return the settings of a command: its options on the command line, then the environment and .env.

    Raises InputError as `resolve` does.
    """

    def on_command_line(name: str) -> bool:
        source = ctx.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    return config.resolve(
        {name: ctx.params[name] for name in ctx.params.keys() & config.SETTINGS if on_command_line(name)}
    )


def _completer(name: str) -> Callable[[str], Iterator[str]]:
    """Return what completes a setting's value in a shell. Nothing heavy: it runs at every Tab."""

    def complete(incomplete: str) -> Iterator[str]:
        words = [word for word in config.SETTINGS[name].values.split("|") if word.islower()]
        if name == "asr_model":
            words = [model for model in model_names("whisper") if model.startswith("whisper")]
        return (word for word in words if word.startswith(incomplete))

    return complete


def model_names(incomplete: str) -> Iterator[str]:
    """Yield the names of registered models that begin with ``incomplete``."""
    from voiceclone_cli.models.download import model_entries

    return (entry.name for entry in model_entries() if entry.name.startswith(incomplete))
