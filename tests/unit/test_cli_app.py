"""Every command: its help, options and completion, and the summary of a run."""

from __future__ import annotations

import os
import re
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

from command import expect_understood, voiceclone
from voiceclone_cli.cli.app import EXAMPLES, app
from voiceclone_cli.cli.output import run_summary
from voiceclone_cli.config import SETTINGS, resolve

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
    """What the installed completion of bash is lines_of_commands, one word a line."""
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


def test_every_command_has_a_short_help_in_one_whole_sentence() -> None:
    root = get_command(app)
    for command in (root, *getattr(root, "commands", {}).values()):
        if getattr(command, "commands", None):
            lines = command.get_help(typer.Context(command, info_name="voiceclone", terminal_width=78))
            lines_of_commands = lines.partition("Commands:")[2].splitlines()
            assert not [line for line in lines_of_commands if line.endswith("...")]


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
    "setting", ["engine", "mode", "device", "precision", "diarizer", "asr_model", "background", "executor"]
)
def test_every_value_that_is_completed_is_one(setting: str) -> None:
    command = VERBS["run"]
    (parameter,) = (each for each in command.params if each.name == setting)
    values = [item.value for item in parameter.shell_complete(typer.Context(command), "")]
    assert len(values) >= 1
    for value in values:
        assert getattr(resolve({setting: value}, {}, Path(os.devnull)), setting) == value


FIRST_WORDS = {"of", "so", "what", "whether", "who", "how", "at", "for", "in", "without"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_text_is_a_sentence_that_stands_alone(verb: str) -> None:
    texts = [VERBS[verb].help, *(parameter.help for parameter in VERBS[verb].params)]
    for text in texts:
        assert text and text.split()[0].lower() not in FIRST_WORDS, f"{verb}: {text!r}"
        assert text[0].isupper() and text.rstrip().endswith((".", "].")), f"{verb}: {text!r}"


def test_options_are_shown_in_groups_in_a_fixed_order() -> None:
    text = VERBS["run"].get_help(typer.Context(VERBS["run"], info_name="run", terminal_width=78))
    titles = [line.removesuffix(":") for line in text.splitlines() if re.fullmatch(r"[A-Z][a-z]+:", line)]
    groups = ["Input", "Translation", "Speakers", "Voices", "Workers", "Output", "Progress"]
    assert titles == ["Arguments", *groups, "Options"]
    assert "[env var: FISH_NUM_WORKERS; default: 2]" in " ".join(text.split())


@pytest.mark.parametrize(
    "short, long",
    [("o", "out"), ("s", "script"), ("l", "language"), ("j", "workers"), ("f", "force"), ("n", "dry-run")],
)
def test_the_usual_options_have_a_short_form(short: str, long: str) -> None:
    for verb in ("run", "plan"):
        (names,) = (each.opts for each in VERBS[verb].params if f"--{long}" in each.opts)
        assert f"-{short}" in names


def test_every_option_of_a_setting_is_declared_once() -> None:
    """The command line shows a setting's own help, variable and name, in each command that has it."""
    seen = set()
    for verb, command in VERBS.items():
        for parameter in command.params:
            if parameter.envvar is not None:
                setting = SETTINGS[parameter.name]
                assert (parameter.envvar, parameter.help) == (setting.variable, setting.help), verb
                seen.add(parameter.name)
    assert seen == {name for name, setting in SETTINGS.items() if setting.option}


def source_of(tmp_path: Path, *arguments: str, **environ: str) -> list[str]:
    """Run a command that fails at its settings, and return who is named."""
    done = voiceclone("run", tmp_path / "missing.wav", *arguments, cwd=tmp_path, environment=environ)
    assert done.code == 2 and done.out == ""
    return done.err.splitlines()


def test_a_bad_value_is_named_with_its_source_and_the_first_source_counts(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FISH_NUM_WORKERS=many\n", encoding="utf-8")
    (error,) = source_of(tmp_path)
    assert error.startswith("voiceclone: FISH_NUM_WORKERS (.env): must be a whole number")
    (error,) = source_of(tmp_path, FISH_NUM_WORKERS="more")
    assert error.startswith("voiceclone: FISH_NUM_WORKERS (environment): must be")
    (error,) = source_of(tmp_path, "-j", "most", FISH_NUM_WORKERS="2")
    assert error.startswith("voiceclone: --workers: must be")
    (error,) = source_of(tmp_path, "-j", "2", FISH_NUM_WORKERS="more")
    assert error.endswith("missing.wav does not exist: check the path.")


def test_a_switch_takes_its_value_from_the_environment_and_the_command_line_wins(tmp_path: Path) -> None:
    (error,) = source_of(tmp_path, VOICECLONE_WATERMARK="perhaps")
    assert error.startswith("voiceclone: VOICECLONE_WATERMARK (environment): must be true or false")
    (error,) = source_of(tmp_path, "--no-watermark", VOICECLONE_WATERMARK="perhaps")
    assert error.endswith("missing.wav does not exist: check the path.")


def test_plan_is_a_dry_run_of_the_same_command(tmp_path: Path) -> None:
    names = [[parameter.name for parameter in VERBS[verb].params] for verb in ("run", "plan")]
    assert names[0] == names[1]
    documents = [
        voiceclone(*words, tmp_path / "missing.wav", "--json", "-q", cwd=tmp_path).document
        for words in (("plan",), ("run", "-n"), ("run",))
    ]
    assert documents[0] == documents[1]
    assert [document["schema"] for document in documents[1:]] == ["voiceclone.plan/1", "voiceclone.run/1"]


def failed(code: str, segment: str | None) -> dict[str, Any]:
    return {"code": code, "message": f"what {code} says", "segment": segment}


def test_an_error_of_the_whole_run_is_printed_once_and_not_for_every_segment() -> None:
    errors = [failed("checkpoint_unusable", None)]
    errors += [failed("checkpoint_unusable", f"{n:04d}") for n in range(50)]
    errors += [failed("language", "0051")]
    lines = run_summary(
        {
            "status": "error",
            "run_dir": "/run",
            "speakers": [],
            "speakers_found": {"label": 12, "time": 3},
            "notes": ["the checkpoint was generated"],
            "segments": [],
            "errors": errors,
            "reused": 0,
            "timing": {"total": 1.0},
        }
    )
    assert list(lines) == [
        "  speakers: 12 by label, 3 by time",
        "  note: the checkpoint was generated",
        "  run failed (checkpoint_unusable): what checkpoint_unusable says",
        "  0051 failed (language): what language says",
        "error: 0 of 0 segments, 1.0 s, in /run",
    ]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            ["talk.wav"],
            "talk.wav is not a command: to speak a recording again, write `voiceclone run talk.wav`.",
        ),
        (["runn", "talk.wav"], "No such command 'runn'. Did you mean 'run'? See `voiceclone --help`."),
        (["models", "fetch"], "No such command 'fetch'. See `voiceclone models --help`."),
        (["check"], "Missing argument 'RUN_DIR'. See `voiceclone check --help`."),
        (
            ["run", "talk.wav", "--scriptt", "a.srt"],
            "No such option: --scriptt (Possible options: --no-strict, --script, --strict). See `voiceclone run --help`.",
        ),
        (["run", "--script"], "Option '--script' requires an argument. See `voiceclone run --help`."),
    ],
)
def test_a_command_line_that_is_not_understood_gets_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    for language in ("en", "zh"):
        ended = voiceclone(*arguments, cwd=tmp_path, environment={"LC_ALL": "", "LANG": f"{language}.UTF-8"})
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
        assert (ended.err == f"voiceclone: {sentence}\n") is (language == "en"), ended.err


def test_files_that_are_not_there_are_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_text("not read")
    for option, path in (("--script", "a.srt"), ("--turns", "a.rttm"), ("--reference", "A=a.wav")):
        ended = voiceclone("run", "talk.wav", option, path, cwd=tmp_path)
        assert ended.code == 2 and "media:" not in ended.err and path[-5:] in ended.err, ended
    ended = voiceclone("run", "talk.wav", "--to", "es", cwd=tmp_path)
    assert ended.code == 4 and "No translator is chosen" in ended.err, ended


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"Dear reader, ...\n", "holds text, and no sound"),
        ("今天天气很好。".encode() * 200, "holds text, and no sound"),
        (bytes(range(256)) * 8, "is not an audio or video file that can be read"),
    ],
)
def test_a_file_without_sound_is_told_by_what_it_holds(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_bytes(content)
    ended = voiceclone("run", "talk.wav", cwd=tmp_path)
    assert ended.code == 2 and f"talk.wav {sentence}" in ended.err, ended
