"""All commands of `voiceclone`, with the examples under their help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from voiceclone_cli import __version__
from voiceclone_cli.cli import inspect, options, run, setup
from voiceclone_cli.cli.options import GroupedCommand

HELP = ["-h", "--help"]
PLAN_HELP = """Print what `run` would do, how long it takes and what it needs.

Speakers, their references and the remaining work are found out, and no engine is loaded. The results are kept in
the run directory, where `run` with the same options continues. A finished run is not changed.
"""
GROUPS = {
    "models": "List, fetch and verify the model files.",
    "config": "Show the settings and where they come from.",
    "env": "Build, show or remove the environment of fish-speech.",
}
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": run.demo_command,
    "run": run.run_command,
    "plan": run.run_command,
    "translate": run.translate_command,
    "report": inspect.report_command,
    "check": inspect.check_command,
    "redo": run.redo_command,
    "verify": inspect.verify_command,
    "diarize": inspect.diarize_command,
    "script": inspect.script_command,
    "synth": inspect.synth_command,
    "doctor": setup.doctor_command,
    "models list": setup.list_models,
    "models pull": setup.pull_models,
    "models verify": setup.verify_models,
    "config show": setup.show_config,
    "env create": setup.create_environment,
    "env show": setup.show_environment,
    "env remove": setup.remove_environment,
}
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "demo": (("Try it, and look at the result", "voiceclone demo --open"),),
    "run": (
        ("Speak every line again, in its own speaker's voice", "voiceclone run talk.mp4"),
        ("Speak a translation", "voiceclone run talk.mp4 --script talk.es.srt --out spanish.voiceclone"),
        (
            "Translate it with a model on this computer, and speak that",
            "voiceclone run talk.mp4 --to es --translator-url http://localhost:11434/v1",
        ),
        ("Speak a folder of episodes", "voiceclone run season --out dubbed"),
        ("Print one JSON document for a program", "voiceclone run talk.mp4 --quiet --json"),
    ),
    "plan": (
        ("Print speakers, work, time and memory", "voiceclone plan talk.mp4"),
        ("Plan with another engine", "voiceclone plan talk.mp4 --engine fish"),
    ),
    "translate": (
        (
            "Write a translation to edit, then speak it with `run --script talk.es.json`",
            "voiceclone translate talk.mp4 --to es --translator-url http://localhost:11434/v1",
        ),
        (
            "Translate subtitles with a program",
            "voiceclone translate talk.srt --to fr --command 'python3 translator.py' -o talk.fr.srt",
        ),
    ),
    "report": (("Write report.html again, and open it", "voiceclone report talk.voiceclone --open"),),
    "check": (
        ("Measure voices, words and sound of every line", "voiceclone check talk.voiceclone"),
        (
            "Exit with code 3 for a worse line",
            "voiceclone check talk.voiceclone --max-wer 0.25 --junit check.xml",
        ),
        ("Compare with an earlier run", "voiceclone check talk.voiceclone --baseline good.voiceclone"),
    ),
    "redo": (
        ("Make another take of two lines", "voiceclone redo talk.voiceclone 0007 0012 --seed 3"),
        ("Change the words of a line", 'voiceclone redo talk.voiceclone 0007 --text "We meet at noon."'),
        ("Rename a speaker", "voiceclone redo talk.voiceclone --rename SPEAKER_01=Anna"),
    ),
    "verify": (("Find out whether speech is synthetic", "voiceclone verify talk.voiceclone/mix.wav"),),
    "diarize": (
        ("Print turns as RTTM", "voiceclone diarize talk.mp4 --speakers 2"),
        ("Print turns as JSON", "voiceclone diarize talk.mp4 --min-speakers 2 --max-speakers 4 --json"),
    ),
    "script": (
        ("Write the words, to edit or to translate", "voiceclone script talk.mp4 --output talk.srt"),
        ("Transcribe a recording in Spanish", "voiceclone script charla.wav -l es --output charla.json"),
        ("List the lines of a translation that are too long", "voiceclone script talk.es.srt --fit"),
    ),
    "synth": (
        ("Synthesize a task file", "voiceclone synth task.json"),
        ("Use two workers, and print JSON", "voiceclone synth a.json b.json --mode parallel -j 2 --json"),
    ),
    "doctor": (
        ("Check that a run works", "voiceclone doctor"),
        ("Check cloning with a checkpoint", "voiceclone doctor --engine fish --checkpoint openaudio-s1-mini"),
    ),
    "models list": (
        ("List every model", "voiceclone models list"),
        ("Download on another machine what is missing here", "voiceclone models list --commands"),
    ),
    "models pull": (
        ("Download all that a run needs", "voiceclone models pull"),
        ("Download one model", "voiceclone models pull kokoro"),
        ("Take the files from a folder", "voiceclone models pull --from voiceclone-models"),
    ),
    "models verify": (("Verify one model", "voiceclone models verify whisper-base"),),
    "config show": (("Print every setting and its source", "voiceclone config show"),),
    "env create": (
        ("Build the environment", "voiceclone env create"),
        ("Take torch's build for CUDA 12.6", "voiceclone env create --torch cu126"),
        ("Give options to pip after --", "voiceclone env create -- --index-url https://example.org/simple"),
    ),
    "env show": (("Print folder and state", "voiceclone env show"),),
    "env remove": (("Remove environments of older locks too", "voiceclone env remove --all"),),
}
"""By command: purpose and command line of each example."""


def _epilog(command: str) -> str:
    """Return the end of a command's help. The mark in its first line keeps the lines as they are."""
    lines = [f"  # {purpose}\n  {line}" for purpose, line in EXAMPLES[command]]
    return "\b\nExamples:\n" + "\n".join(lines)


def _typer(help: str) -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": HELP},
        help=help,
    )


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voiceclone {__version__}")
        raise typer.Exit


app = _typer("Find who speaks when in a recording, and speak every line again in its own speaker's voice.")


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ] = False,
) -> None:
    options.choose_language(None)


_groups: dict[str, Any] = {"": app}
for _name, _command in COMMANDS.items():
    _group, _, _word = _name.rpartition(" ")
    if _group not in _groups:
        _groups[_group] = _typer(GROUPS[_group])
        # With a callback, `show` stays a subcommand while it is the only one.
        _groups[_group].callback()(lambda: None)
        app.add_typer(_groups[_group], name=_group, help=GROUPS[_group])
    _groups[_group].command(
        _word,
        cls=GroupedCommand,
        epilog=_epilog(_name),
        help=PLAN_HELP if _name == "plan" else _command.__doc__,
    )(_command)
