"""Text becomes phonemes that Kokoro knows, or one clear sentence says why not."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platforms import needs_shell_scripts
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.phonemes import english_numbers, english_rules, registry
from voiceclone_worker.engines.kokoro.phonemes.alphabets import runs
from voiceclone_worker.engines.kokoro.phonemes.espeak import clean_ipa
from voiceclone_worker.engines.kokoro.phonemes.reader import read, split, to_phonemes, to_tokens, vocabulary
from voiceclone_worker.engines.kokoro.phonemes.spanish import cardinal, spell_out


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
@settings(deadline=None)
def test_any_spanish_text_is_read_or_refused(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # a process for each foreign word would take minutes
        try:
            assert known(to_phonemes(text, "es"))
        except SegmentError as error:
            assert error.code in ("nothing_to_speak", "language")


def spoken_forms(language: str) -> list[tuple[str, str]]:
    """Texts and how they are spoken, in words."""
    table = Path(__file__).parents[1] / "corpus" / "spoken" / f"{language}.tsv"
    rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    return [(text, spoken) for text, spoken in rows]


def sounds(text: str, language: str) -> str:
    """Phonemes without stress and blanks: these depend on how many words a number is written in."""
    return re.sub("[ˈˌ ]", "", to_phonemes(text, language))


@pytest.mark.parametrize("language", ["en", "es"])
def test_there_are_enough_spoken_forms(language: str) -> None:
    assert len(spoken_forms(language)) >= {"en": 120, "es": 60}[language]


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [(language, *row) for language in ("en", "es") for row in spoken_forms(language)],
)
def test_numbers_and_signs_are_read_as_people_say_them(language: str, text: str, spoken: str) -> None:
    assert sounds(text, language) == sounds(spoken, language)
    assert read(text, language).warnings == ()


def plain_words(text: str) -> list[str]:
    return re.sub("[^\\w' ]", " ", text).lower().split()


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        (language, *row)
        for language in ("en", "es")
        for row in spoken_forms(language)
        if "MP3" not in row[0]  # "B two B" sounds as "B to B" does
    ],
)
def test_checking_spells_numbers_and_signs_as_they_are_spoken(language: str, text: str, spoken: str) -> None:
    assert plain_words(registry.spell_out(text, language)) == plain_words(
        registry.spell_out(spoken, language)
    )


def counted(words: str, first: int = 0, step: int = 1) -> dict[str, int]:
    return {word: first + step * place for place, word in enumerate(words.split())}


ENGLISH = {
    **counted(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    ),
    **counted("sixteen seventeen eighteen nineteen", 16),
    **counted("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10),
}
SPANISH = {
    **counted("cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince"),
    **counted(
        "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro", 16
    ),
    **counted("veinticinco veintiséis veintisiete veintiocho veintinueve treinta", 25),
    **counted("cuarenta cincuenta sesenta setenta ochenta noventa ciento", 40, 10),
    **counted(
        "doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos", 200, 100
    ),
    **{"novecientos": 900, "un": 1, "veintiún": 21, "cien": 100, "y": 0},
}


def value_of(words: str, values: dict[str, int], scales: dict[str, int]) -> int:
    """Read a number back: what comes before a scale is multiplied by it, from the greatest scale on."""
    parts = words.split()
    for scale in sorted(scales, key=lambda name: -scales[name]):
        if scale in parts:
            place = len(parts) - 1 - parts[::-1].index(scale)
            before, after = " ".join(parts[:place]), " ".join(parts[place + 1 :])
            count = value_of(before, values, scales) if before else 1
            return count * scales[scale] + value_of(after, values, scales)
    return sum(values[part] for part in parts)


NUMBERS = st.one_of(st.integers(0, 10**12), st.integers(0, 10**4))


@given(NUMBERS)
@settings(deadline=None)
def test_an_english_number_is_read_and_read_back(number: int) -> None:
    scales = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    assert value_of(english_numbers.cardinal(number), ENGLISH, scales) == number


@given(NUMBERS)
@settings(deadline=None)
def test_a_spanish_number_is_read_and_read_back(number: int) -> None:
    scales = {"mil": 10**3, "millón": 10**6, "millones": 10**6, "billón": 10**12}
    assert value_of(cardinal(number), SPANISH, scales) == number


@given(NUMBERS)
@settings(deadline=None)
def test_a_number_is_spelled_in_digits_and_words_alike(number: int) -> None:
    for language in ("en", "es"):
        words = registry.module_of(language).cardinal(number)
        assert registry.spell_out(words, language) == words
        if len(str(number)) != 4:  # a year, in English
            assert registry.spell_out(str(number), language) == words


def test_a_plain_text_is_left_to_hibari() -> None:
    from hibari.g2p import G2P

    text = "Oh, hello. I didn't know you were there; \"really\" - well... It's Diane, in New Jersey!"
    assert english_rules.in_readable_words(text) == text
    assert to_phonemes("I thought I heard a beep.", "en") == G2P()("I thought I heard a beep.")


def test_an_i_behind_a_noun_is_a_person() -> None:
    for text in ("the book I read", "James I think is late", "the part I like"):
        assert "ˌI " in to_phonemes(text, "en"), text
    assert sounds("see chapter I.", "en") == sounds("see chapter one.", "en")


@given(
    st.text(alphabet=st.sampled_from("ab Ié1250.,:/-−'\"$€£%°#&@½²()[]xX×+=<>~_*^IVXkmM\u00a0"), max_size=24)
)
@settings(deadline=None, max_examples=60)
def test_any_english_text_is_read_or_refused(text: str) -> None:
    try:
        reading = read(text, "en")
    except SegmentError as error:
        assert error.code in ("nothing_to_speak", "language")
    else:
        assert known(reading.phonemes)


def test_words_of_other_alphabets_are_read_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without espeak-ng
    reading = read("He said 안녕 and שלום to everyone, привет!", "en")
    assert reading.skipped == ("안녕", "שלום", "привет")
    assert "안녕, שלום, привет" in reading.warnings[0]
    assert sounds("He said 안녕 to him.", "en") == sounds("He said to him.", "en")
    assert read("Él dijo Москва.", "es").skipped == ("Москва",)
    with pytest.raises(SegmentError, match="--language"):
        read("안녕", "en")


@pytest.mark.parametrize(
    ("language", "text", "parts"),
    [
        (
            "en",
            "He said 你好 and שלום.",
            [("He said", ""), ("你好", "zh"), ("and", ""), ("שלום", "he"), (".", "")],
        ),
        (
            "ru",
            "Мой iPhone 15 и MP3.",
            [("Мой", ""), ("iPhone", "en"), ("15 и", ""), ("MP3", "en"), (".", "")],
        ),
        ("en", "Привет, мир, my friend", [("Привет", "ru"), (",", ""), ("мир", "ru"), (", my friend", "")]),
        ("en", "добрый день to you", [("добрый день", "ru"), ("to you", "")]),
        ("en", "Δ and π", [("Δ and π", "")]),
        ("mr", "मैं Google पर", [("मैं", ""), ("Google", "en"), ("पर", "")]),
        ("hi", "मैं Google पर", [("मैं Google पर", "")]),
        ("zh", "时速120km，用 Google", [("时速120km，用 Google", "")]),
        ("ja", "Tシャツを2枚", [("Tシャツを2枚", "")]),
        ("en", "in 東京タワー and 北京", [("in", ""), ("東京タワー", "ja"), ("and", ""), ("北京", "zh")]),
        ("sr", "Здраво svete", [("Здраво svete", "")]),
        ("km", "សួស្តី", [("សួស្តី", "")]),
        ("en", "by Москвa", [("by", ""), ("Москва", "ru")]),  # with a Latin a
        ("ru", "cтoл", [("стол", "")]),  # with a Latin c and o
    ],
)
def test_a_line_is_parted_by_its_alphabets(language: str, text: str, parts: list[tuple[str, str]]) -> None:
    found = [(run.text, run.language) for run in runs(text, language)]
    assert found == parts


def test_the_longest_text_of_strange_signs_takes_no_time() -> None:
    started = time.monotonic()
    for text in ("a-" * 2500, "1" * 5000, "1.1" * 1600, "a.b" * 1600, '5" ' * 1600, "$1" * 2500):
        english_rules.in_readable_words(text)
        spell_out(text)
    assert time.monotonic() - started < 20


def test_what_is_silent_by_nature_is_no_warning() -> None:
    assert read("I ❤️ “it” — ♪ la la ♪ 😀 (really)… ™", "en").warnings == ()
    assert read("Ye\u200bs,\u202a hello\u2069", "en").phonemes == to_phonemes("Yes, hello", "en")
    assert sounds("１２３ ＡＢＣ", "en") == sounds("123 ABC", "en")
    assert sounds("Hell\u043e", "en") == sounds("Hello", "en"), "a Cyrillic o in a Latin word"


def test_a_sign_without_a_reading_is_named() -> None:
    assert read("five ₸ left", "en").skipped == ("₸",)
    assert read("cinco ₸ más", "es").skipped == ("₸",)


def test_a_word_longer_than_the_network_reads_is_read_to_its_end() -> None:
    assert to_phonemes(f"{'ab' * 12}zoo", "en").endswith(("u", "z", "o"))


def test_marks_of_espeak_ng_never_reach_the_voice() -> None:
    printed = "e dy- (^e^n)mˈɑːkɪtɪŋ(^f^r) sə- (^e^n)wˈiːkˈɛnd(^f^r)\n"  # by espeak-ng 1.51
    assert clean_ipa(printed) == "e dy mˈɑːkɪtɪŋ sə wˈiːkˈɛnd"
    assert clean_ipa("das (^e^n)ˈʌpde^ɪt(^d^e) (en)fˈuː(fr-fr)(^p^t^-^b^r)") == "das ˈʌpdAt fˈuː"


needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs the espeak-ng program")


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Das Update für dein Smartphone ist da."),
        ("nl", "De smartphone van Steve Jobs is cool."),
        ("ru", "Мой iPhone и Google."),
        ("mr", "मी Google वर आहे।"),
    ],
)
def test_foreign_words_are_spoken_and_nothing_else(language: str, text: str) -> None:
    reading = read(text, language)
    assert known(reading.phonemes)
    assert not re.search(r"[()^]", reading.phonemes)
    assert reading.skipped == ()


@needs_espeak
def test_espeak_ng_reads_words_of_other_alphabets_in_an_english_line() -> None:
    reading = read("He said שלום and привет to me.", "en")
    assert "ʃalˈom" in reading.phonemes
    assert reading.warnings == ()


@needs_espeak
def test_a_marathi_sentence_ends_at_its_danda() -> None:
    assert len(split(to_phonemes("मी इथे आहे। नमस्कार।", "mr"), 20)) == 2


@needs_espeak
def test_sounds_that_kokoro_does_not_have_are_named() -> None:
    reading = read("Dzień dobry, jak się dzisiaj masz?", "pl")
    assert reading.sounds == ("ʑ",)
    assert known(reading.phonemes)


@needs_espeak
def test_espeak_ng_reads_signs_or_they_are_named() -> None:
    assert read("Jest −5 °C.", "pl").phonemes == to_phonemes("Jest minus 5 °C.", "pl")
    assert to_phonemes("£3", "de") == to_phonemes("3 £", "de")
    assert read("मी 20€ देतो", "mr").skipped == ("€",)


@pytest.mark.parametrize("text", ["", "  ", "...", "— ?!", "\n"])
def test_a_text_without_a_sound_is_refused(text: str) -> None:
    with pytest.raises(SegmentError) as refused:
        to_phonemes(text, "en")
    assert refused.value.code == "nothing_to_speak"


def test_a_language_without_a_route_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SegmentError, match="install it") as refused:
        to_phonemes("Guten Tag.", "de")
    assert refused.value.code == "language"
    for language in ("yue", "ko"):
        with pytest.raises(SegmentError, match="--engine fish"):
            to_phonemes("你好", language)


@needs_shell_scripts
def test_other_languages_go_through_the_espeak_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text('#!/bin/sh\ncase "$*" in *"-v nb"*) read text; echo "t^ʃ-$text";; *) exit 1;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert to_phonemes('nei, "ta" !', "no") == "ʧnei, ʧta!"
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
