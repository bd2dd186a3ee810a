"""Which translator the settings choose, and what is said where there is none."""

from __future__ import annotations

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from voiceclone_cli import config, messages, system
from voiceclone_cli.cli.app import app
from voiceclone_cli.cli.output import translation_summary
from voiceclone_cli.config import SETTINGS, resolve
from voiceclone_cli.doctor.checks import CheckState, translator_row
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.translation.registry import TRANSLATORS, chosen_translator, open_translator

URL = "http://127.0.0.1:9/v1"
PROGRAM = system.quoted_command([sys.executable, "-"])


def test_the_setting_has_the_names_of_the_list() -> None:
    assert config._TRANSLATORS.split("|") == list(TRANSLATORS)


@pytest.mark.parametrize(
    "flags, environ, chosen",
    [
        ({}, {"VOICECLONE_TRANSLATOR": "argos", "VOICECLONE_TRANSLATOR_URL": URL}, "argos"),
        ({"translator_url": URL}, {}, "openai"),
        ({"translator_command": PROGRAM}, {}, "command"),
        ({"translator_command": PROGRAM}, {"VOICECLONE_TRANSLATOR_URL": URL}, "command"),
        ({}, {"VOICECLONE_TRANSLATOR_URL": URL}, "openai"),
    ],
)
def test_what_is_given_chooses_the_translator(
    flags: dict[str, str], environ: dict[str, str], chosen: str
) -> None:
    assert chosen_translator(resolve(flags, environ)) == chosen


def test_without_a_translator_one_sentence_says_how_to_get_each() -> None:
    with pytest.raises(PreflightError) as caught:
        open_translator(resolve({}, {"OPENAI_API_KEY": "sk-0123456789"}))
    message = caught.value.message
    assert caught.value.code == "no_translator" and "nothing is sent anywhere" in message
    for info in TRANSLATORS.values():
        assert info.what in message and info.needs in message


def test_an_endpoint_and_a_program_are_a_choice_to_make() -> None:
    environ = {"VOICECLONE_TRANSLATOR_URL": URL, "VOICECLONE_TRANSLATOR_COMMAND": PROGRAM}
    with pytest.raises(InputError, match=r"VOICECLONE_TRANSLATOR_URL .* are both set"):
        chosen_translator(resolve({}, environ))


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_that_lacks_something_says_what(name: str) -> None:
    settings = resolve({"translator": name}, {})
    assert TRANSLATORS[name].lack(settings)
    with pytest.raises(PreflightError, match=r"\.$") as caught:
        open_translator(settings)
    assert caught.value.code == "no_translator"


def test_an_opened_translator_says_where_text_goes() -> None:
    flags = {"translator_url": URL, "translator_model": "qwen3"}
    with open_translator(resolve(flags, {})) as endpoint:
        assert (endpoint.name, endpoint.destination) == ("openai", f"{URL} (model qwen3)")
    with open_translator(resolve({"translator_command": PROGRAM}, {})) as program:
        assert (program.name, program.destination) == ("command", f"the program {sys.executable} ...")


def test_doctor_says_which_translators_can_be_used() -> None:
    row = translator_row(resolve({}, {}))
    assert (row.state, row.found) == (
        CheckState.OK,
        "none is set up; nothing but translating needs one",
    )
    row = translator_row(resolve({"translator_url": URL, "translator_command": PROGRAM}, {}))
    assert (row.state, row.found) == (CheckState.OK, f"openai ({URL}), command")
    row = translator_row(resolve({"translator_command": "no-such-program-7"}, {}))
    assert row.state is CheckState.NOTE and "there is no program no-such-program-7" in row.found
    row = translator_row(resolve({"translator": "argos"}, {}))
    assert row.state is CheckState.NOTE and "pip install argostranslate" in row.advice


@pytest.mark.parametrize(
    "text", ["localhost:11434", "ftp://host/v1", "http://", "http://[", "http://h:99999", "http://ä/v1"]
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be an address such as"):
        resolve({"translator_url": text}, {})


@pytest.mark.parametrize(
    "text", ["http://anna:s3cret99@h/v1", "http://h/v1?key=s3cret99", "http://h/v1#s3cret99"]
)
def test_an_address_with_a_secret_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(InputError, match="without a login, a query or a fragment") as caught:
        resolve({"translator_url": text}, {})
    assert "s3cret99" not in caught.value.message


def test_an_address_is_kept_without_its_last_slash() -> None:
    assert resolve({"translator_url": "https://h/v1/"}, {}).translator_url == "https://h/v1"


def test_keys_and_commands_are_masked_where_settings_are_shown() -> None:
    secrets = {
        "VOICECLONE_TRANSLATOR_API_KEY": "sk-0123456789",
        "OPENAI_API_KEY": "sk-9876543210",
        "VOICECLONE_TRANSLATOR_COMMAND": "tr --key s3cret",
    }
    rows = json.loads(CliRunner().invoke(app, ["config", "show", "--json"], env=secrets).stdout)
    shown = {row["variable"]: row["value"] for row in rows}
    assert {shown[name] for name in secrets} == {"(set)"}
    assert all(SETTINGS[name].secret for name in ("translator_key", "openai_key", "translator_command"))
    assert "sk-" not in repr(resolve({}, secrets))


def test_a_fault_in_the_key_of_openai_concerns_only_translations() -> None:
    assert resolve({}, {"OPENAI_API_KEY": "two words"}).openai_key == "two words"


def test_no_line_at_the_end_of_a_translation_stays_english() -> None:
    say = messages.catalogue(messages.CHINESE).sentence
    document = {
        "status": "success",
        "from": "en",
        "to": "es",
        "done": 9,
        "failed": 1,
        "notes": [],
        "output": "a.json",
    }
    for kept in (0, 4):
        for tokens in (0, 420):
            (line,) = translation_summary({**document, "from_cache": kept, "tokens": tokens})
            assert not re.search(r"Spanish|tokens|kept|lines", say(line)), say(line)
