"""Lines of several languages: each part is read by the rules of its own, and what nothing reads is named."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.phonemes import alphabets, registry
from voiceclone_worker.engines.kokoro.phonemes.reader import Reading, read, to_phonemes, vocabulary

LINES = {
    "en": "We paid $20 for it, on 3 May 2024; didn't we?",
    "es": "Pagamos 20 € el 3 de mayo; ¿verdad?",
    "fr": "Nous avons payé 20 € le 3 mai 2024, n'est-ce pas ?",
    "hi": "हमने 3 मई 2024 को 20 रुपये दिए, है ना?",
    "it": "Abbiamo pagato 20 € il 3 maggio 2024, vero?",
    "ja": "2024年5月3日に2000円を払いましたよね。",
    "pt": "Pagamos R$ 20 em 3 de maio de 2024, não foi?",
    "zh": "我们在2024年5月3日付了20元，对吧？",
}


@pytest.fixture
def without_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def bare(phonemes: str) -> str:
    """Phonemes without stress, blanks and punctuation."""
    return re.sub(r"[ˈˌ ,.;:!?…“”()—]", "", phonemes)


def test_there_is_a_line_in_every_language() -> None:
    assert LINES.keys() == registry.LANGUAGES.keys()


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("language", sorted(LINES))
def test_a_line_of_every_language_is_read_in_full_without_a_program(language: str) -> None:
    reading = read(LINES[language], language)
    assert reading.warnings == ()
    assert len(reading.phonemes) > 20


WORDS = {
    "en": "word",
    "es": "casa",
    "fr": "maison",
    "hi": "घर",
    "it": "casa",
    "ja": "家",
    "pt": "casa",
    "zh": "房子",
}


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("sign", "%‰@#&°§=<>∞√€£¥≠±×÷+→¬％＃＝")
def test_a_sign_that_stands_alone_is_read_or_named(language: str, sign: str) -> None:
    word = WORDS[language]
    reading, without = read(f"{word} {sign} {word}", language), read(f"{word} {word}", language)
    assert reading.skipped or len(bare(reading.phonemes)) > len(bare(without.phonemes))
    if reading.skipped:
        assert set(reading.skipped) <= {sign, alphabets.clean(sign)}


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("text", ["Ke$ha sang.", "the word$ here", "it cost$5"])
def test_a_dollar_sign_that_is_no_sum_is_named_in_an_english_line(text: str) -> None:
    assert read(text, "en").skipped == ("$",)
    assert read("It cost $5, then $1.50 and US$3 million.", "en").skipped == ()


@pytest.mark.usefixtures("without_programs")
def test_a_lone_per_cent_sign_is_read_in_a_japanese_line() -> None:
    assert to_phonemes("率は%で示す。", "ja") == to_phonemes("率はパーセントで示す。", "ja")


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize(
    ("language", "text", "unread"),
    [
        ("zh", "我们用 Google Cloud 存数据，每小时120km。", ()),
        ("zh", "他说 привет 就走了。", ("привет",)),
        ("ja", "毎日Googleで情報を調べています。", ()),
        ("ja", "彼は안녕と言った。", ("안녕",)),
        ("en", "Welcome to 北京, my friend.", ()),
        ("en", "北京！", ()),
        ("en", "She said こんにちは and नमस्ते.", ()),
        ("fr", "Bon weekend à Pékin, 北京 !", ()),
        ("it", "Buon weekend, Джулия.", ("Джулия",)),
        ("pt", "Um bom show em São Paulo, 東京タワー.", ()),
        ("hi", "मैं Google पर हूँ।", ()),
        ("es", "El show de Facebook, en Windows.", ()),
        ("es", "Dijo привет y こんにちは.", ("привет",)),
    ],
)
def test_every_part_of_a_mixed_line_is_read_or_named(
    language: str, text: str, unread: tuple[str, ...]
) -> None:
    assert read(text, language).skipped == unread


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("你好，世界！真的？", "你好, 世界! 真的?"),
        ("３：３０、１，０００円", "3:30, 1,000円"),
        ("「はい」と、言った。", "「はい」と, 言った."),
        ("ｗｅｂ　ＭＰ３", "web MP3"),
        ("①打开 ❷保存", "1 打开 2 保存"),
        ("第Ⅱ章 50㎡ ㎏ ㈱", "第II章 50m² kg (株)"),
        ("½ m² № 5 二〇二四", "½ m² № 5 二〇二四"),
    ],
)
def test_full_width_and_composed_characters_become_plain_ones(text: str, plain: str) -> None:
    assert " ".join(alphabets.clean(text).split()) == plain


@pytest.mark.usefixtures("without_programs")
def test_a_part_in_another_alphabet_sounds_as_in_its_own_language() -> None:
    assert to_phonemes("北京", "zh") in read("Welcome to 北京, my friend.", "en").phonemes
    assert bare(to_phonemes("東京タワー", "ja")) in bare(read("I saw 東京タワー today.", "en").phonemes)
    assert bare(to_phonemes("नमस्ते", "hi")) in bare(read("She said नमस्ते twice.", "en").phonemes)
    assert to_phonemes("東京", "ja") != to_phonemes("東京", "zh"), "Han in a Japanese text is Japanese"


def test_a_part_whose_language_lacks_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = registry.find_spec
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "haqumei" else real(name))
    assert read("I saw 東京タワー today.", "en").skipped == ("東京タワー",)
    with pytest.raises(
        SegmentError, match=r"^reading Japanese needs the Python package haqumei==0\.12\.3: install it"
    ):
        read("東京タワー", "ja")


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("language", ["es", "fr", "it", "pt"])
def test_an_english_word_in_a_romance_text_is_read_by_the_english_module(language: str) -> None:
    calls: list[str] = []

    def foreign(text: str) -> tuple[str, list[str]]:
        calls.append(text)
        return "X", []

    phonemes, _ = registry.module_of(language).to_phonemes("bookshop", language, foreign)
    assert [call.lower() for call in calls] == ["bookshop"]
    assert "X" in phonemes


def test_spanish_words_with_strange_letters_are_not_taken_for_english() -> None:
    words = "kilo kiosco Pekín Irak cooperar microondas zoo leen vikingo anorak vodka distingue sándwich kiwi"

    def foreign(text: str) -> tuple[str, list[str]]:
        raise AssertionError(text)

    assert registry.module_of("es").to_phonemes(words, "es", foreign)[1] == []


@pytest.mark.parametrize("traditional", ["zh-Hant", "zh-TW", "zh-HK", "cmn"])
def test_traditional_characters_are_read_as_the_simplified_ones(traditional: str) -> None:
    assert to_phonemes("我們在銀行開會。", traditional) == to_phonemes("我们在银行开会。", "zh")


@pytest.mark.parametrize("language", sorted(LINES))
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_module_writes_only_symbols_that_kokoro_knows(language: str, data: st.DataObject) -> None:
    """Parts of lines in any language, in any order; foreign words leave no symbols of their own."""
    pieces = [piece for line in LINES.values() for piece in re.findall(r"\w+|\W", line)]
    own = re.findall(r"\w+|\W", LINES[language])
    text = "".join(data.draw(st.lists(st.sampled_from(own * 3 + pieces), min_size=1, max_size=12)))
    phonemes, unread = registry.module_of(language).to_phonemes(text, language, lambda word: ("", [word]))
    assert set(phonemes) <= vocabulary().keys()
    assert all(isinstance(word, str) and word for word in unread)


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("language", sorted(LINES))
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_a_word_that_nothing_reads_never_vanishes(language: str, data: st.DataObject) -> None:
    words = LINES[language].split(" ")
    place = data.draw(st.integers(0, len(words)))
    text = " ".join([*words[:place], "բարեւ", *words[place:]])
    assert "բարեւ" in read(text, language).skipped


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("language", sorted(LINES))
@pytest.mark.parametrize("sign", ["₸", "⅐", "②", "Ⅻ", "㎏", "€", "៳", "1", "é", "ř"])
def test_a_sign_is_heard_or_named(language: str, sign: str) -> None:
    without = read("OK", language)
    reading = read(f"OK {sign}", language)
    assert sign in reading.skipped or bare(reading.phonemes) != bare(without.phonemes)


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("language", sorted(LINES))
@given(text=st.text(max_size=40))
@settings(deadline=None, max_examples=60)
def test_any_text_is_read_or_refused_in_every_language(language: str, text: str) -> None:
    try:
        reading = read(text, language)
    except SegmentError as error:
        assert error.code in ("nothing_to_speak", "language")
    else:
        assert set(reading.phonemes) <= vocabulary().keys()


@pytest.mark.parametrize("language", sorted(LINES))
def test_the_longest_line_of_strange_signs_takes_no_time(language: str) -> None:
    registry.spell_out("1", language)
    started = time.process_time()
    for text in ("1" * 5000, "1.1" * 1500, "1," * 2000, "5 " * 2000, "€1" * 2000, "12:30" * 800, "a-" * 2500):
        assert not re.search("[0-9]", registry.spell_out(text, language))
    assert time.process_time() - started < 10


@pytest.mark.parametrize("language", sorted(LINES))
@given(number=st.integers(0, 10**12))
@settings(deadline=None, max_examples=50)
def test_numbers_up_to_a_million_millions_have_words_in_every_language(language: str, number: int) -> None:
    words = registry.module_of(language).cardinal(number)
    assert words and not any(character.isdecimal() for character in words)
    assert registry.spell_out(words, language) == words


def english_of(reading: Reading) -> list[str]:
    return [reading.phonemes[first:last] for first, last in reading.english]


def test_the_english_words_of_a_chinese_line_are_found_in_its_phonemes() -> None:
    word, excel = (to_phonemes(text, "en") for text in ("Word", "Excel"))
    reading = read("我用Word，也用“Excel”！", "zh")
    assert english_of(reading) == [word, excel]
    assert reading.phonemes.count(" ,") == 0 and f"“{excel}”!" in reading.phonemes
    assert english_of(read("Word", "zh-TW")) == [word]
    assert read("我用电脑。", "zh").english == ()


@pytest.mark.parametrize("language", sorted(set(LINES) - {"zh"}))
def test_lines_in_other_languages_are_said_by_one_voice(language: str) -> None:
    assert read(f"{LINES[language]} Microsoft Word", language).english == ()


def test_the_parts_of_a_long_line_have_their_own_english_words() -> None:
    text = "我每天用Word写文件，再用Excel算一算。"
    whole, symbols = read(text * 9, "zh"), {token: symbol for symbol, token in vocabulary().items()}
    parts = whole.parts(150)
    assert len(parts) > 3 and max(len(part.tokens) for part in parts) <= 150
    found = []
    for part in parts:
        phonemes = "".join(symbols[token] for token in part.tokens)
        found += [phonemes[first:last] for first, last in part.english]
    assert found == english_of(whole) and len(found) == 18


def test_a_word_that_is_longer_than_a_part_is_english_in_each() -> None:
    whole = read("用Word。", "zh")
    ((first, last),) = whole.english
    parts = whole.parts(3)
    assert sum(stop - start for part in parts for start, stop in part.english) == last - first


def test_marks_in_a_text_are_not_taken_for_those_of_english_words() -> None:
    assert read("我\ue001用\ue000Word\ue000。", "zh") == read("我 用 Word 。", "zh")
