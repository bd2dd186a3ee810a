"""Argos Translate through a process by itself, with a package in its place that answers as the real one does.

The real one brings torch and stanza, and models of 100 MB for each pair of languages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from voiceclone_cli import system
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.translation import argos
from voiceclone_cli.translation.argos import ArgosTranslator, lack_of_argos, open_argos
from voiceclone_cli.translation.translator import Failing, Line, TranslationRequest, TranslatorError

FAKE = """
import os, sys

print("a library says hello on stdout")

class Translation:
    def __init__(self, source, target):
        self.pair = f"{source}>{target}"

    def translate(self, text):
        if text == "break":
            raise RuntimeError("model is damaged")
        return f"[{self.pair}] {text} ({os.environ['ARGOS_MODEL_PROVIDER']})"

class Language:
    def __init__(self, code):
        self.code = code

    def get_translation(self, to):
        return Translation(self.code, to.code) if f"{self.code}>{to.code}" in PAIRS else None

PAIRS = __PAIRS__

def get_installed_languages():
    return [Language(code) for code in sorted({code for pair in PAIRS for code in pair.split(">")})]
"""

Install = Callable[..., ArgosTranslator]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An interpreter that has the package, and the package's folder."""
    folder = tmp_path_factory.mktemp("argos")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    package = Path(subprocess.check_output([python, "-c", find], text=True).strip()) / "argostranslate"
    package.mkdir()
    (package / "__init__.py").touch()
    return python, package


@pytest.fixture
def install(environment: tuple[Path, Path]) -> Install:
    python, package = environment

    def installed(*pairs: str, source: str = FAKE) -> ArgosTranslator:
        (package / "translate.py").write_text(source.replace("__PAIRS__", repr(pairs)), encoding="utf-8")
        settings = resolve({"translator": "argos"}, {"VOICECLONE_ARGOS_PYTHON": str(python)})
        return open_argos(settings, print)

    return installed


def request(source: str, target: str, *texts: str) -> TranslationRequest:
    return TranslationRequest(
        source, target, tuple(Line(str(number), "ANNA", text) for number, text in enumerate(texts, 1))
    )


@pytest.mark.parametrize(
    "source, target, pair",
    [
        ("en", "es", "en>es"),
        ("en-GB", "es-419", "en>es"),
        ("en", "zh-Hant", "en>zt"),
        ("en", "zh-Hans", "en>zh"),
        ("en", "pt-BR", "en>pt"),
        ("no", "en", "nb>en"),
    ],
)
def test_lines_are_translated_by_the_models_of_their_languages(
    install: Install, source: str, target: str, pair: str
) -> None:
    with install("en>es", "en>zh", "en>zt", "en>pt", "nb>en") as translator:
        found = translator.translate(request(source, target, "Hello.", "你好"))
    assert [(line.id, line.text) for line in found] == [
        ("1", f"[{pair}] Hello. (OPENNMT)"),
        ("2", f"[{pair}] 你好 (OPENNMT)"),
    ]


def test_a_missing_pair_is_a_sentence_with_the_command_that_installs_it(install: Install) -> None:
    with install("en>es", "de>en") as translator:
        with pytest.raises(TranslatorError) as caught:
            translator.translate(request("en", "fr", "Hello."))
        assert caught.value.failing is Failing.REFUSED
        assert caught.value.message == (
            "Argos Translate has no translation from English to French here: run `argospm install translate-en_fr`."
        )
        with pytest.raises(TranslatorError, match=r"run `argospm install translate-en_it`\."):
            translator.translate(request("de", "it", "Hallo."))
        with pytest.raises(TranslatorError, match="translate-ja_en`, then `argospm install translate-en_it`"):
            translator.translate(request("ja", "it", "はい"))


def test_an_error_of_a_model_is_that_of_its_lines(install: Install) -> None:
    with install("en>es") as translator:
        with pytest.raises(
            TranslatorError, match="reports an error: RuntimeError: model is damaged"
        ) as caught:
            translator.translate(request("en", "es", "fine", "break"))
        assert caught.value.failing is Failing.UNUSABLE
        assert translator.translate(request("en", "es", "fine"))[0].text == "[en>es] fine (OPENNMT)"


def test_a_package_that_cannot_be_loaded_is_said_with_its_error(install: Install) -> None:
    with (
        install(source="raise ImportError('libstdc++ is too old')") as translator,
        pytest.raises(TranslatorError, match=r"cannot be loaded \(ImportError: libstdc\+\+ is too old\)"),
    ):
        translator.translate(request("en", "es", "a"))


def test_no_provider_of_the_user_sends_text_away(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOS_MODEL_PROVIDER", "LIBRETRANSLATE")
    monkeypatch.setenv("ARGOS_DEVICE_TYPE", "cuda")
    environment = argos._environment()
    assert environment["ARGOS_MODEL_PROVIDER"] == "OPENNMT" and environment["ARGOS_DEVICE_TYPE"] == "cuda"


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(tmp_path: Path) -> None:
    assert lack_of_argos(resolve({}, {})) is not None, "the tests' environment has no Argos Translate"
    with pytest.raises(
        PreflightError, match="-m pip install argostranslate`, or set VOICECLONE_ARGOS_PYTHON"
    ):
        open_argos(resolve({}, {}), print)
    here = resolve({}, {"VOICECLONE_ARGOS_PYTHON": sys.executable})
    command = system.quoted_command([sys.executable, "-m", "pip", "install", "argostranslate"])
    assert f"it is not installed for {sys.executable}; run `{command}`" in str(lack_of_argos(here))
    nowhere = resolve({}, {"VOICECLONE_ARGOS_PYTHON": str(tmp_path / "python")})
    assert "is no Python interpreter that can be started" in str(lack_of_argos(nowhere))
