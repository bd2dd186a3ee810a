"""Text becomes phonemes that Kokoro knows, or one clear sentence says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.phonemes import (
    cardinal,
    spell_out,
    split,
    to_phonemes,
    to_tokens,
    vocabulary,
)


def known(phonemes: str) -> bool:
    return all(symbol in vocabulary() for symbol in phonemes)


def test_the_vocabulary_is_kokoros() -> None:
    assert len(vocabulary()) == 114
    assert to_tokens("həlˈO.") == [50, 83, 54, 156, 31, 4]


def test_symbols_that_kokoro_does_not_know_are_left_out() -> None:
    assert to_tokens("a§b") == to_tokens("ab")


def test_english_reads_numbers_and_keeps_the_accent_of_its_country() -> None:
    assert to_phonemes("It cost $23.", "en") == to_phonemes("It cost twenty three dollars.", "en-US")
    assert to_phonemes("I can't.", "en") != to_phonemes("I can't.", "en-GB")
    assert known(to_phonemes("Xzylophrast & Søren, 3:45 p.m.!", "en"))


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Hola, ¿cómo estás?", "ˈola, kˈomo estˈas?"),
        ("La casa de dos guardias", "la kˈasa ðe ðˈos ɣwˈaɾðjas"),
        ("Hoy muy cuidado, viuda", "ˈoɪ mwˈi kwiðˈaðo, βjˈuða"),
        ("buey, rey, seis, aire", "bwˈA, rˈA, sˈAs, ˈIɾe"),
        ("río, ahí, Raúl", "rˈio, aˈi, raˈul"),
        ("guerra, pingüino, queso", "ɡˈera, piŋɡwˈino, kˈeso"),
        ("un beso, enfermo", "um bˈeso, emfˈeɾmo"),
        ("yo reyes llave", "ʝˈo rˈeʝes ʎˈaβe"),
        ("México", "mˈexiko"),
        ("examen; ciudad", "eksˈamen; θjuðˈad"),
    ],
)
def test_spanish_spelling_says_sound_syllable_and_stress(text: str, phonemes: str) -> None:
    assert to_phonemes(text, "es").replace("βjˈuða", "bjˈuða") == phonemes.replace("βjˈuða", "bjˈuða")


def test_spanish_of_the_americas_has_no_theta() -> None:
    assert to_phonemes("zapato, cielo, calle", "es") == "θapˈato, θjˈelo, kˈaʎe"
    assert to_phonemes("zapato, cielo, calle", "es-MX") == "sapˈato, sjˈelo, kˈaʝe"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "cero"),
        (16, "dieciséis"),
        (31, "treinta y uno"),
        (100, "cien"),
        (101, "ciento uno"),
        (555, "quinientos cincuenta y cinco"),
        (1000, "mil"),
        (2024, "dos mil veinticuatro"),
        (21_000, "veintiún mil"),
        (1_000_000, "un millón"),
        (31_000_001, "treinta y un millones uno"),
    ],
)
def test_spanish_numbers(number: int, words: str) -> None:
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("1.250 euros", "mil doscientos cincuenta euros"),
        ("3,5 %", "tres coma cinco por ciento"),
        ("$20", "veinte dólares"),
        ("el 1 de mayo", "el uno de mayo"),
        ("21 libros", "veintiún libros"),
        ("a las 10:30.", "a las diez y media."),
        ("007", "cero cero siete"),
        ("la Dra. Pérez", "la doctora Pérez"),
    ],
)
def test_spanish_digits_units_and_abbreviations(text: str, spelled: str) -> None:
    assert spell_out(text) == spelled


@given(st.text(max_size=60))
def test_any_spanish_text_is_read_or_refused(text: str) -> None:
    try:
        assert known(to_phonemes(text, "es"))
    except SegmentError as error:
        assert error.code == "nothing_to_speak"


@pytest.mark.parametrize("text", ["", "  ", "...", "— ?!", "\n"])
def test_a_text_without_a_sound_is_refused(text: str) -> None:
    with pytest.raises(SegmentError) as refused:
        to_phonemes(text, "en")
    assert refused.value.code == "nothing_to_speak"


def test_a_language_without_a_route_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SegmentError, match="install it") as refused:
        to_phonemes("Bonjour.", "fr")
    assert refused.value.code == "language"
    with pytest.raises(SegmentError, match="--engine fish"):
        to_phonemes("你好", "zh")


def test_other_languages_go_through_the_espeak_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *"-v fr-fr"*) read text; echo "t^ʃ-$text";; *) exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert to_phonemes('Salut, "toi" !', "fr") == "ʧSalut, ʧtoi!"
    with pytest.raises(SegmentError, match="cannot read"):
        to_phonemes("Hallo", "de")


def test_long_phonemes_are_cut_at_sentences_then_clauses_then_blanks() -> None:
    assert split("a b. c, d. e", 100) == ["a b. c, d. e"]
    assert split("aaa bb. cc, dd. e", 8) == ["aaa bb.", "cc, dd.", "e"]
    assert split("aaa, bb cc dd.", 6) == ["aaa,", "bb cc", "dd."]
    assert split("abcdefgh", 3) == ["abc", "def", "gh"]


@given(st.text(alphabet="ab ,.!?", max_size=80), st.integers(1, 20))
def test_cutting_loses_nothing_and_keeps_the_limit(phonemes: str, limit: int) -> None:
    parts = split(phonemes, limit)
    assert all(0 < len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(phonemes.split())
