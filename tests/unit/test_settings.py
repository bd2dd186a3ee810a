from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.settings import TABLE, path_setting, resolve


def dotenv(text: str) -> None:
    Path(".env").write_text(text, encoding="utf-8")


def test_defaults_hold_when_nothing_is_said() -> None:
    settings = resolve({}, {})
    assert (settings.engine, settings.mode, settings.workers, settings.batch_size) == (
        "auto",
        "sequential",
        2,
        5,
    )
    assert settings.max_stretch == 1.3 and settings.token is None
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
    "path", [r"C:\new\tools\python.exe", r"C:\new tools\$x", r"\\server\b\fish", "C:\\fish\\", "~/my fish"]
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


def test_a_value_of_somebody_elses_keeps_its_escapes() -> None:
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
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_setting("~/fish") == tmp_path / "fish"
    assert path_setting("fish") == Path.cwd() / "fish"


def test_empty_values_count_as_not_said() -> None:
    dotenv("FISH_SPEECH_PYTHON=\n")
    assert resolve({}, {"FISH_NUM_WORKERS": " "}).workers == 2
    assert resolve({}, {}).fish_speech_python is None


@pytest.mark.parametrize(
    "flags, environ, named",
    [
        ({"workers": 0}, {}, "--workers"),
        ({"max_stretch": 5.0}, {}, "--max-stretch"),
        ({"max_stretch": "nan"}, {}, "--max-stretch"),
        ({"language": "english please"}, {}, "--language"),
        ({}, {"FISH_NUM_WORKERS": "many"}, "FISH_NUM_WORKERS"),
        ({}, {"FISH_PARALLEL_MODE": "perhaps"}, "FISH_PARALLEL_MODE"),
        ({}, {"VOICECLONE_ENGINE": "nightingale"}, "VOICECLONE_ENGINE"),
        ({"device": "cuda:x"}, {}, "--device"),
        ({"precision": "int4"}, {}, "--precision"),
        ({}, {"VOICECLONE_COMPILE": "perhaps"}, "VOICECLONE_COMPILE"),
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
    assert len({row.variable for row in TABLE}) == len(TABLE)
