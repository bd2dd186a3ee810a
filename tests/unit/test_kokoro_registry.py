"""One registry says which languages Kokoro speaks, by which module, with which voices."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro import voices
from voiceclone_worker.engines.kokoro.phonemes import registry

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("zh", "zh"), ("zh-Hant", "zh"), ("zh_TW", "zh"), ("cmn", "zh"), ("zho", "zh"), ("jpn", "ja"), ("jp", "ja"),
        ("pt-BR", "pt"), ("PT-pt", "pt"), ("es-419", "es"), ("en-GB", "en"), ("fra", "fr"), ("hin", "hi"),
    ],
)  # fmt: skip
def test_a_language_is_found_by_every_tag_of_it(tag: str, code: str) -> None:
    assert registry.find(tag) is registry.LANGUAGES[code]


@pytest.mark.parametrize("tag", ["de", "pl", "ko", "yue", "", "english"])
def test_other_languages_are_not_in_it(tag: str) -> None:
    assert registry.find(tag) is None
    assert registry.native_voices(tag) == ""
    assert registry.spell_out("5 %", tag) == "5 %"
    assert registry.missing_packages(tag) == ()
    with pytest.raises(SegmentError, match="--engine fish"):
        registry.module_of(tag)


def test_every_voice_is_native_to_one_language() -> None:
    table = voices.voice_table()
    letters = "".join(language.voices for language in registry.LANGUAGES.values())
    assert sorted(letters) == sorted({name[0] for name in table.names})
    with np.load(ROOT / "worker_env/voiceclone_worker/engines/kokoro/data/voices_knots.npz") as data:
        for name, tag in zip(data["names"], data["language"], strict=True):
            assert name[0] in registry.native_voices(str(tag)), name


def test_packages_are_pinned_as_the_messages_name_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for language in registry.LANGUAGES.values():
        assert set(language.packages.values()) <= set(project["dependencies"]), language.name


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "hibari" else object())
    assert registry.missing_packages("en-GB") == ("hibari-tts==0.2.1",)
    with pytest.raises(SegmentError) as refused:
        registry.module_of("en")
    assert refused.value.message == (
        "reading English needs the Python package hibari-tts==0.2.1: install it (pip install hibari-tts==0.2.1) "
        "or use --engine fish."
    )


@pytest.mark.parametrize("code", sorted(registry.LANGUAGES))
def test_a_module_reads_spells_and_counts(code: str) -> None:
    module = registry.module_of(code)
    phonemes, unread = module.to_phonemes("7", code, lambda text: (text, []))
    assert phonemes and not unread
    assert len({module.cardinal(number) for number in range(1000)}) == 1000
    for number in (10**12, 10**12 + 1, 10**15, 10**18 + 5, 10**30):
        assert module.cardinal(number)
        assert not any(character.isdigit() for character in module.cardinal(number))


def test_kokoros_entry_among_the_engines_follows_it() -> None:
    info = ENGINES["kokoro"]
    assert info.languages == frozenset(registry.LANGUAGES)
    assert info.was_made_for("zh-Hant") and not info.was_made_for("de")
    assert info.can_speak("ja") and info.can_speak("de") and not info.can_speak("yue")
    assert info.reader_of("es-MX") == "" and info.reader_of("de") == "espeak-ng"
    assert ENGINES["fish"].reader_of("de") == "" and ENGINES["fish"].missing_packages("ja") == ()


@pytest.mark.parametrize(
    "tag, language", [("zh-Hant", "zh"), ("cmn", "zh"), ("pt-PT", "pt"), ("en-GB", "en"), ("de", "en")]
)
def test_a_language_without_voices_is_spoken_by_the_english_mixture(tag: str, language: str) -> None:
    assert registry.voice_language(tag) == language


def test_kokoro_encodes_a_reference_for_each_voice_language_of_the_lines_and_the_others_once() -> None:
    lines = ("de", "en-GB", "zh-Hant", "cmn")
    assert {name: info.encodings(lines) for name, info in ENGINES.items()} == {
        "fish": 1,
        "kokoro": 2,
        "echo": 1,
    }
    assert ENGINES["kokoro"].encodings(()) == 1
