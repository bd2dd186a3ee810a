"""Settings: precedence, sources, .env files, messages; and secrets that `redact` removes."""

from __future__ import annotations

import errno
import logging
import os
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from platforms import HOME_VARIABLE, needs_permission_bits, needs_posix_paths, needs_symlinks
from properties import examples, expect_one_sentence, texts
from voiceclone_cli.config import (
    SETTINGS,
    Settings,
    contains_secret,
    is_secret_name,
    path_setting,
    redact,
    resolve,
)
from voiceclone_cli.errors import InputError


def dotenv(text: str) -> None:
    Path(".env").write_text(text, encoding="utf-8")


def test_defaults_hold_without_other_sources() -> None:
    settings = resolve({}, {})
    assert (settings.engine, settings.mode, settings.workers, settings.batch_size) == (
        "auto",
        "sequential",
        2,
        5,
    )
    assert settings.max_stretch == 1.3 and settings.token is None
    assert settings.borrow is None, "all of the silence after a line"
    assert set(settings.sources.values()) == {"default"}


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default() -> None:
    dotenv("FISH_NUM_WORKERS=3\nFISH_BATCH_SIZE=7\nVOICECLONE_SEED=9\n")
    settings = resolve({"workers": 5}, {"FISH_NUM_WORKERS": "4", "FISH_BATCH_SIZE": "8"})
    assert (settings.workers, settings.batch_size, settings.seed) == (5, 8, 9)
    assert settings.sources["workers"] == "flag"
    assert settings.sources["batch_size"] == "environment"
    assert settings.sources["seed"] == ".env"
    assert settings.sources["engine"] == "default"


@pytest.mark.parametrize("text, mode", [("true", "parallel"), ("FALSE", "sequential"), ("1", "parallel")])
def test_the_parallel_mode_is_a_truth_value_in_the_file(text: str, mode: str) -> None:
    dotenv(f"FISH_PARALLEL_MODE={text}\n")
    assert resolve({}, {}).mode == mode


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("after", ["", "  # the old one"])
@pytest.mark.parametrize(
    "path",
    [
        r"C:\workspace\new",
        r"C:\new\tools\python.exe",
        r"C:\new tools\$x",
        r"\\server\b\fish",
        "C:\\fish\\",
        "~/my fish",
    ],
)
def test_paths_survive_the_file_in_any_quotes(quote: str, after: str, path: str) -> None:
    dotenv(f"FISH_SPEECH_DIR={quote}{path}{quote}{after}\nFISH_NUM_WORKERS=3\n")
    assert resolve({}, {}).fish_speech_dir == path
    assert resolve({}, {}).workers == 3, "the next line is its own"


def test_a_hash_sign_in_quotes_begins_no_comment() -> None:
    dotenv('FISH_SPEECH_DIR="/my fish #1"  # the first\n')
    assert resolve({}, {}).fish_speech_dir == "/my fish #1"


def test_a_file_as_windows_writes_it_is_read() -> None:
    Path(".env").write_bytes(b'\xef\xbb\xbfexport FISH_SPEECH_PYTHON = "C:\\new"\r\nFISH_BATCH_SIZE="7"\r\n')
    settings = resolve({}, {})
    assert (settings.fish_speech_python, settings.batch_size) == (r"C:\new", 7)


def test_a_foreign_value_keeps_its_escapes() -> None:
    dotenv('KEY="two\\nlines \\"quoted\\""\nFISH_NUM_WORKERS="4"\n')
    assert resolve({}, {}).workers == 4


@pytest.mark.parametrize(
    "said, kept",
    [("auto", "auto"), ("CPU", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("mps", "mps")],
)
def test_a_device_is_named_as_torch_names_it(said: str, kept: str) -> None:
    assert resolve({"device": said}, {}).device == kept


@pytest.mark.parametrize(
    "said, kept",
    [("fp32", "float32"), ("bfloat16", "bf16"), ("Float16", "fp16"), ("int8", "int8"), ("auto", "auto")],
)
def test_a_precision_has_synonyms(said: str, kept: str) -> None:
    assert resolve({}, {"VOICECLONE_PRECISION": said}).precision == kept


def test_compiling_is_a_truth_value_that_a_flag_can_take_back() -> None:
    environ = {"VOICECLONE_COMPILE": "true"}
    assert resolve({}, environ).compile is True
    assert resolve({"compile": False}, environ).compile is False
    assert resolve({}, {}).compile is False


def test_a_path_setting_knows_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    assert path_setting("~/fish") == tmp_path / "fish"
    assert path_setting("fish") == Path.cwd() / "fish"


def test_empty_values_do_not_count() -> None:
    dotenv("FISH_SPEECH_PYTHON=\n")
    assert resolve({}, {"FISH_NUM_WORKERS": " "}).workers == 2
    assert resolve({}, {}).fish_speech_python is None


@pytest.mark.parametrize(
    "flags, environ, named",
    [
        ({"workers": 0}, {}, "--workers"),
        ({"max_stretch": 5.0}, {}, "--max-stretch"),
        ({"max_stretch": "nan"}, {}, "--max-stretch"),
        ({"borrow": -1}, {}, "--borrow"),
        ({"language": "english please"}, {}, "--language"),
        ({}, {"FISH_NUM_WORKERS": "many"}, "FISH_NUM_WORKERS"),
        ({}, {"FISH_PARALLEL_MODE": "perhaps"}, "FISH_PARALLEL_MODE"),
        ({}, {"VOICECLONE_ENGINE": "nightingale"}, "VOICECLONE_ENGINE"),
        ({"device": "cuda:x"}, {}, "--device"),
        ({"precision": "int4"}, {}, "--precision"),
        ({}, {"VOICECLONE_COMPILE": "perhaps"}, "VOICECLONE_COMPILE"),
        ({"voice_effort": "some"}, {}, "--voice-effort: must be one of fast, normal, best"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    flags: dict[str, Any], environ: dict[str, str], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        resolve(flags, environ)


def test_a_file_that_is_no_text_is_one_sentence() -> None:
    Path(".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        resolve({}, {})


def test_the_token_is_not_shown_by_repr() -> None:
    assert "hf_secret" not in repr(resolve({}, {"HF_TOKEN": "hf_secret"}))


def test_every_setting_has_a_variable_of_its_own() -> None:
    variables = {setting.variable for setting in SETTINGS.values()}
    assert len(variables) == len(SETTINGS)
    assert variables.isdisjoint(setting.old_variable for setting in SETTINGS.values())


def test_settings_without_arguments_are_the_defaults() -> None:
    assert Settings() == resolve({}, {})


def test_the_old_name_of_the_timeout_scale_is_read_with_a_note() -> None:
    assert resolve({}, {"VOICECLONE_TIMEOUT_SCALE": "3"}).notes == ()
    dotenv("VOICECLONE_PATIENCE=2\n")
    settings = resolve({}, {})
    assert (settings.timeout_scale, settings.sources["timeout_scale"]) == (2.0, ".env")
    (note,) = settings.notes
    assert note.startswith("VOICECLONE_PATIENCE (.env) is deprecated") and "VOICECLONE_TIMEOUT_SCALE" in note
    assert resolve({}, {"VOICECLONE_TIMEOUT_SCALE": "3"}).timeout_scale == 3.0
    assert resolve({}, {"VOICECLONE_TIMEOUT_SCALE": "3", "VOICECLONE_PATIENCE": "4"}).timeout_scale == 3.0


# ----------------------------------------------------------- a .env that is strange, open or hostile

SECRET = "hf_neverToBeShown123"


def refused(environ: Mapping[str, str] | None = None) -> str:
    """Return the one sentence that `resolve` raises, without a cause that could quote more."""
    with pytest.raises(InputError) as caught:
        resolve({}, environ or {})
    assert "\n" not in caught.value.message
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    return caught.value.message


@needs_permission_bits
def test_a_secret_that_others_can_read_is_one_note_that_says_what_to_do() -> None:
    dotenv(f"HF_TOKEN={SECRET}\nFISH_NUM_WORKERS=3\n")
    Path(".env").chmod(0o640)
    (note,) = resolve({}, {}).notes
    assert "HF_TOKEN" in note and "chmod 600 .env" in note and SECRET not in note
    Path(".env").chmod(0o600)
    assert resolve({}, {}).notes == ()


@needs_permission_bits
def test_secrets_of_others_count_and_plain_settings_do_not() -> None:
    dotenv("FISH_NUM_WORKERS=3\nTOKENIZERS_PARALLELISM=false\n")
    Path(".env").chmod(0o644)
    assert resolve({}, {}).notes == ()
    for line in ("OPENAI_API_KEY=abc", "HTTPS_PROXY=http://me:abcdefg@proxy:1", "DB_PASSWORD=x"):
        dotenv(line)
        assert line.partition("=")[0] in resolve({}, {}).notes[0]


@needs_symlinks
def test_a_link_is_followed_and_one_to_nowhere_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("FISH_NUM_WORKERS=3\n", encoding="utf-8")
    Path(".env").symlink_to(tmp_path / "real")
    assert resolve({}, {}).workers == 3
    for target in (tmp_path / "nowhere", Path(".env")):
        Path(".env").unlink()
        Path(".env").symlink_to(target)
        assert resolve({}, {}).workers == 2


def test_a_folder_named_dotenv_is_ignored() -> None:
    Path(".env").mkdir()
    assert resolve({}, {}).sources["workers"] == "default"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_read() -> None:
    os.mkfifo(".env")
    done: list[int] = []
    reader = threading.Thread(target=lambda: done.append(resolve({}, {}).workers), daemon=True)
    reader.start()
    reader.join(20)
    assert done == [2]


def test_a_file_that_may_not_be_read_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv("FISH_NUM_WORKERS=3\n")

    def denied(path: Path, *arguments: Any, **named: Any) -> str:
        # A test may run as root, who may read anything.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Path, "read_text", denied)
    assert "Permission denied" in refused()


def test_a_file_of_many_megabytes_is_no_file_of_settings() -> None:
    Path(".env").write_bytes(b"A=1\n" * 400_000)
    assert "larger than 1 MB" in refused()


def test_bytes_that_are_no_text_are_named_by_their_line() -> None:
    Path(".env").write_bytes(f"A=1\nHF_TOKEN={SECRET}".encode() + b"\xff\nB=2\n")
    assert "line 2" in refused()


def test_lines_that_cannot_be_parsed_are_logged_and_the_others_count(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dotenv(f"FISH_NUM_WORKERS=3\n{SECRET} and more\nFISH_BATCH_SIZE=4\nSOMETHING_ELSE=5\nB='{SECRET}\n")
    Path(".env").chmod(0o600)
    settings = resolve({}, {})
    assert (settings.workers, settings.batch_size) == (3, 4)
    logged = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.rpartition(" ")[2] for message in logged] == ["2", "5"]
    assert SECRET not in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bad", ["\x01", "é", " x", "\u202e"])
def test_a_token_with_a_character_of_no_token_is_not_quoted(bad: str) -> None:
    dotenv(f"HF_TOKEN='{SECRET}{bad}{SECRET}'\n")
    assert "HF_TOKEN (.env)" in refused() and "copy it" in refused()
    assert "HF_TOKEN (environment)" in refused({"HF_TOKEN": f"{SECRET}{bad}{SECRET}"})


def test_a_token_in_the_wrong_line_is_not_quoted() -> None:
    for variable in ("FISH_NUM_WORKERS", "VOICECLONE_ENGINE", "VOICECLONE_SEED", "VOICECLONE_LANGUAGE"):
        assert variable in refused({variable: SECRET})


@pytest.mark.parametrize("text", ["9" * 5000, "--5", "٣", "1e3", ""])
def test_numbers_are_plain_digits(text: str) -> None:
    with pytest.raises(InputError, match="whole number") as caught:
        resolve({"workers": text or "-"}, {})
    assert len(caught.value.message) < 200


def test_a_path_with_a_control_character_is_refused_before_a_system_sees_it() -> None:
    dotenv("VOICECLONE_CHECKPOINT=/models\0/fish\n")
    assert "VOICECLONE_CHECKPOINT (.env): contains a control character" in refused()


@needs_posix_paths
def test_the_home_of_an_unknown_user_is_one_sentence() -> None:
    with pytest.raises(InputError, match="not known on this machine"):
        path_setting("~nobody-of-that-name/fish")


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1"))))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_in_the_file_gives_settings_or_one_sentence(text: str) -> None:
    Path(".env").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        resolve({}, {})
    except InputError as error:
        assert error.code in ("bad_dotenv", "bad_setting") and "\n" not in error.message


# Whatever a .env file or the environment says: settings, or one sentence.


variables = st.sampled_from([setting.variable for setting in SETTINGS.values()])
likely = st.sampled_from(
    ["true", "0", "1", "-1", "٣", "--5", "1e5", "nan", "inf", "auto", "cuda:0", "en", "pt-br", "'", '"']
)
lines = (
    st.builds("{}={}".format, variables, texts | likely)
    | texts
    | st.sampled_from(["export ", "=", "#", "A='", 'B="'])
)
contents = st.lists(lines, max_size=5).map("\n".join).map(lambda text: text.encode(errors="surrogatepass"))


def check_sane(settings: Settings) -> None:
    assert 1 <= settings.workers <= 256 and 1 <= settings.batch_size <= 1024
    assert 1.0 <= settings.max_stretch <= 2.0 and 0 <= settings.seed < 2**32
    assert 0.01 <= settings.timeout_scale <= 100 and 1 <= settings.threads <= 1024


@examples
@given(content=contents | st.binary(max_size=100))
def test_any_file_gives_settings_or_one_sentence(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(content)
    try:
        check_sane(resolve({}, {}, dotenv=path))
    except InputError as error:
        expect_one_sentence(error)


@examples
@given(environ=st.dictionaries(variables, texts | likely, max_size=3))
def test_any_environment_gives_settings_or_one_sentence(
    environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        check_sane(resolve({}, environ, dotenv=tmp_path_factory.getbasetemp() / "no.env"))
    except InputError as error:
        expect_one_sentence(error)


PASSWORD = "pass/word@1"


@pytest.mark.parametrize(
    "text, clean",
    [
        ("Looking in https://me:abc@host/simple", "Looking in https://****@host/simple"),
        ("git+https://github.com/x/y@v1", "git+https://github.com/x/y@v1"),
        ("header Authorization: Bearer abcdef.ghi", "header Authorization: Bearer ****"),
        ("b'basic bWU6YWJj'", "b'basic ****'"),
        ("invalid token hf_AbCdEf123456, sorry", "invalid token ****, sorry"),
        ("write to me@example.org", "write to me@example.org"),
    ],
)
def test_logins_headers_and_tokens_are_hidden_and_nothing_else(text: str, clean: str) -> None:
    assert redact(text, environ={}) == clean


def test_a_token_of_any_shape_is_hidden_when_it_is_known() -> None:
    assert redact("odd-token-7 was refused", "odd-token-7", {}) == "**** was refused"


def test_the_password_of_a_malformed_url_among_the_variables_is_hidden() -> None:
    environ = {"HTTPS_PROXY": f"http://me:{PASSWORD}@proxy:x"}
    assert PASSWORD not in redact(f"Failed to parse: http://me:{PASSWORD}@proxy:x", environ=environ)


def test_a_password_is_hidden_as_it_is_written_and_as_it_is_meant() -> None:
    environ = {"PIP_INDEX_URL": "https://me:secret%21word@host/simple"}
    assert redact("secret%21word secret!word", environ=environ) == "**** ****"


def test_secret_variables_are_hidden_and_paths_and_truth_values_are_not() -> None:
    environ = {
        "NVIDIA_API_KEY": "nvapi-123456",
        "HF_TOKEN_PATH": "/home/me/.token",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "true",
    }
    text = "nvapi-123456 /home/me/.token true"
    assert redact(text, environ=environ) == "**** /home/me/.token true"


def test_a_secret_within_a_longer_one_leaves_no_rest() -> None:
    environ = {"A_TOKEN": "abcdef", "B_TOKEN": "abcdefghij"}
    assert redact("abcdefghij", environ=environ) == "****"


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "aws_secret_access_key", "OPENAI_API_KEY", "DB_PASSWORD"]
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name) and contains_secret(name, "x")


@pytest.mark.parametrize(
    "name", ["PATH", "TOKENIZERS_PARALLELISM", "GIT_AUTHOR_NAME", "KEYBOARD", "FISH_NUM_WORKERS"]
)
def test_ordinary_names_are_not_taken_for_secrets(name: str) -> None:
    assert not is_secret_name(name)
    assert contains_secret(name, "https://me:abc@host") and not contains_secret(name, "https://host")


# Languages, and names that are nearly those of settings


@pytest.mark.parametrize(
    "text, tag",
    [
        ("zh_CN", "zh-CN"),
        ("es_MX", "es-MX"),
        ("spa", "es"),
        ("pt-br", "pt-BR"),
        ("Spanish", "es"),
        ("jp", "ja"),
    ],
)
def test_a_language_is_taken_however_it_is_written(text: str, tag: str) -> None:
    assert resolve({"language": text}, {}).language == tag
    assert resolve({}, {"VOICECLONE_LANGUAGE": text}).language == tag


@pytest.mark.parametrize("text", ["klingon", "xx", "en US GB", "字幕"])
def test_what_is_no_language_is_refused_with_examples(text: str) -> None:
    with pytest.raises(
        InputError, match="--language: must be a language code such as en, es-419, pt-BR or zh-Hans"
    ):
        resolve({"language": text}, {})


def test_messages_name_where_a_setting_comes_from() -> None:
    dotenv("VOICECLONE_SEED=3\n")
    settings = resolve({"language": "es"}, {"VOICECLONE_ENGINE": "echo"})
    assert settings.origin("language") == "--language"
    assert settings.origin("engine") == "VOICECLONE_ENGINE (environment)"
    assert settings.origin("seed") == "VOICECLONE_SEED (.env)"


@pytest.mark.parametrize(
    "name, meant",
    [
        ("VOICECLONE_LANGAUGE", "VOICECLONE_LANGUAGE"),
        ("FISH_PARALEL_MODE", "FISH_PARALLEL_MODE"),
        ("FISH_NUM_WORKER", "FISH_NUM_WORKERS"),
        ("HF_TOKN", "HF_TOKEN"),
        ("voiceclone_language", "VOICECLONE_LANGUAGE"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_noted(name: str, meant: str) -> None:
    dotenv(f"{name}=1\n")
    (note,) = resolve({}, {}).notes
    assert note == f"{name} (.env) is not a setting and is ignored: if you mean {meant}, write it like that."


def test_names_of_other_programs_are_not_noted() -> None:
    dotenv("LANGUAGE=es\nHF_HOME=/models\nFISH_API_URL=x\nVOICECLONE_ECHO_DELAY=1\nOTHER=2\n")
    environ = {
        "HF_TOKN": "1",
        "PATH": "/bin",
        "VOICECLONE_COORDINATED": "1",
        "VOICECLONE_WATERMARKS": "false",
    }
    assert resolve({}, environ).notes == (
        "VOICECLONE_WATERMARKS (environment) is not a setting and is ignored: if you mean VOICECLONE_WATERMARK, "
        "write it like that.",
    )
