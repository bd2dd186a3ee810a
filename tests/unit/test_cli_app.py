"""What `voiceclone run` says to people when it ends."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from command import expect_understood
from voiceclone_cli.cli import options
from voiceclone_cli.cli.app import app
from voiceclone_cli.cli.options import EXAMPLES
from voiceclone_cli.cli.output import summarise
from voiceclone_cli.config import resolve

# What every verb says of itself, and what a shell completes.


ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "scipy", "av", "onnxruntime", "pyannote", "faster_whisper", "huggingface_hub"}


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for word, one in below.items():
        yield from verbs(one, f"{name} {word}".strip())


VERBS = dict(verbs(get_command(app)))


def completed(line: str) -> list[str]:
    """What the installed completion of bash is told, one word a line."""
    words = line.split(" ")
    environ = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_VOICECLONE_COMPLETE": "complete_bash"}
    program = "import sys; sys.argv = ['voiceclone']; from voiceclone_cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environ}, capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


def test_every_verb_has_its_examples_and_every_example_its_verb() -> None:
    assert EXAMPLES.keys() == VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_ends_with_examples_that_parse(verb: str) -> None:
    command = VERBS[verb]
    text = command.get_help(typer.Context(command, info_name=verb, terminal_width=78))
    for purpose, example in EXAMPLES[verb]:
        assert f"    # {purpose}\n    {example}" in text
        words = shlex.split(example)
        assert words[: 1 + len(verb.split())] == ["voiceclone", *verb.split()]
        expect_understood(*words[1:])


@pytest.mark.parametrize("verb", VERBS)
def test_every_parameter_is_explained(verb: str) -> None:
    for parameter in VERBS[verb].params:
        assert parameter.help, f"{verb}: {parameter.name}"


def test_every_verb_is_told_in_one_whole_sentence() -> None:
    root = get_command(app)
    for command in (root, *getattr(root, "commands", {}).values()):
        if getattr(command, "commands", None):
            lines = command.get_help(typer.Context(command, info_name="voiceclone", terminal_width=78))
            told = lines.partition("Commands:")[2].splitlines()
            assert not [line for line in told if line.endswith("...")]


def test_the_reference_is_what_the_help_says() -> None:
    spec = spec_from_file_location("cli_reference", ROOT / "docs" / "making" / "cli_reference.py")
    assert spec is not None and spec.loader is not None
    making = module_from_spec(spec)
    spec.loader.exec_module(making)
    written = making.TARGET.read_text(encoding="utf-8")
    assert written == making.reference(), "docs/cli.md is stale: run `make docs`"


def test_a_shell_completes_verbs_options_and_values() -> None:
    assert "models" in completed("voiceclone mo")
    assert completed("voiceclone run --eng") == ["--engine"]
    assert completed("voiceclone run --engine k") == ["kokoro"]
    assert completed("voiceclone models pull whi") == ["whisper-base"]


def test_completion_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['voiceclone']\n"
        "from voiceclone_cli.__main__ import main\n"
        "try:\n    main()\n"
        f"finally:\n    print(*({HEAVY!r} & sys.modules.keys()), file=sys.stderr)\n"
    )
    environ = {
        "COMP_WORDS": "voiceclone run --engine ",
        "COMP_CWORD": "3",
        "_VOICECLONE_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environ}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["auto", "fish", "kokoro", "echo"] and done.stderr.strip() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_can_be_shown_for_every_shell(shell: str) -> None:
    program = f"import sys; sys.argv = ['voiceclone', '--show-completion', '{shell}']; from voiceclone_cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "_VOICECLONE_COMPLETE" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("setting", "complete"),
    [
        ("engine", options.engines),
        ("mode", options.modes),
        ("device", options.devices),
        ("precision", options.precisions),
        ("diarizer", options.diarizers),
        ("asr_model", options.recognisers),
        ("background", options.backgrounds),
    ],
)
def test_every_value_that_is_completed_is_one(setting: str, complete: options.Completer) -> None:
    values = list(complete(""))
    assert len(values) >= 1
    for value in values:
        assert getattr(resolve({setting: value}, {}, Path(os.devnull)), setting) == value


def failed(code: str, segment: str | None) -> dict[str, Any]:
    return {"code": code, "message": f"what {code} says", "segment": segment}


def test_what_stopped_everything_is_said_once_and_not_for_every_segment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors = [failed("checkpoint_unusable", None)]
    errors += [failed("checkpoint_unusable", f"{n:04d}") for n in range(50)]
    errors += [failed("language", "0051")]
    summarise(
        {
            "status": "error",
            "run_dir": "/run",
            "speakers": [],
            "notes": ["the checkpoint was generated"],
            "segments": [],
            "errors": errors,
            "reused": 0,
            "timing": {"total": 1.0},
        }
    )
    assert capsys.readouterr().err.splitlines() == [
        "  note: the checkpoint was generated",
        "  run failed (checkpoint_unusable): what checkpoint_unusable says",
        "  0051 failed (language): what language says",
        "error: 0 of 0 segments, 1.0 s, in /run",
    ]
