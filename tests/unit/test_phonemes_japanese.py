"""Japanese in Kokoro's alphabet: morae, readings, numbers and signs."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from voiceclone_worker.engines.kokoro.phonemes import japanese, reader
from voiceclone_worker.engines.kokoro.phonemes.japanese import cardinal, spell_out, to_phonemes

DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")}
FACTORS = {"十": 10, "百": 100, "千": 1000}
SCALES = {"万": 10**4, "億": 10**8, "兆": 10**12}


def value_of(words: str) -> int:
    """Return the value of a number in kanji, read from the left."""
    total = section = digit = 0
    for sign in words:
        if sign in SCALES:
            total, section, digit = total + (section + digit) * SCALES[sign], 0, 0
        elif sign in FACTORS:
            section, digit = section + (digit or 1) * FACTORS[sign], 0
        else:
            digit = DIGITS[sign]
    return total + section + digit


def english(text: str) -> tuple[str, list[str]]:
    return f"<{text}>", []


def read(text: str) -> str:
    spoken, skipped = to_phonemes(text, "ja", english)
    assert not skipped
    return spoken


def test_every_mora_has_sounds_that_kokoro_knows() -> None:
    known = reader.vocabulary().keys() | {"N"}
    assert len(japanese._table()) > 160
    for mora, sounds in japanese._table().items():
        assert sounds and set(sounds) <= known, mora


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("こんにちは。", "koɲɲiʨiβa."),
        ("私は学校へ行きます。", "βataɕi βa ɡaʔkoː e ikʲi masɨ."),
        ("「すごい！」と言った…", "“sɨɡoi!” to iʔ ta…"),
        ("ちょっと、待って？", "ʨoʔto, maʔ te?"),
        ("（東京）", "(toːkʲoː)"),
        ("新聞、三枚、電気、本屋、日本", "ɕimbɯɴ, sammai, deŋkʲi, hoɴja, ɲihoɴ"),
        ("ヴァイオリン", "vaioɾʲiɴ"),
        ("ティーとファンとチェロ", "tʲiː to ɸaɴ to ʨeɾo"),
        ("客、牛、百、旅行、入学", "kʲakɯ, ɯɕi, çakɯ, ɾʲokoː, ɲɨːɡakɯ"),
        ("写真、授業、茶、社長", "ɕaɕiɴ, ʥɨɡʲoː, ʨa, ɕaʨoː"),
        ("津波、富士山、静か", "ʦɨnamʲi, ɸɯʥisaɴ, ɕizɨka"),
        ("午前0時、0度、10時", "ɡoʣeɴ ɾei ʥi, ɾeːdo, ʥɨː ʥi"),
        ("1000万円", "iʔ seɴ maɴ eɴ"),
        ("辛い料理と辛い仕事", "kaɾai ɾʲoːɾʲi to ʦɨɾai ɕiɡoto"),
        ("8本と3匹", "haʔ poɴ to saɴ bʲikʲi"),
        ("4月1日に20人", "ɕiɡaʦɨ ʦɨitaʨi ɲi ɲi ʥɨː ɲiɴ"),
        ("午後3時半", "ɡoɡo saɴ ʥihaɴ"),
        ("12.5%", "ʥɨː ɲiː teɴ ɡo paːsento"),
        ("5km走る", "ɡo kʲiɾomeːtoɾɯ haɕiɾɯ"),
        ("Tシャツ", "tʲiːɕaʦɨ"),
        ("Googleで調べる", "ɡɯːɡɯɾɯ de ɕiɾabeɾɯ"),
        ("Outlookを使う", "aɯtoɾɯʔkɯ o ʦɨkaɯ"),
        ("GPUとUSB", "ʥiːpʲiːjɯː to jɯːesɨbʲiː"),
        ("ChatGPT", "ʨaʔto ʥiːpʲiːtʲiː"),
    ],
)
def test_a_text_is_morae_by_words(text: str, spoken: str) -> None:
    assert read(text) == spoken


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "零"), (1, "一"), (10, "十"), (11, "十一"), (20, "二十"), (100, "百"), (111, "百十一"), (1000, "千"), (1001, "千一"), (2024, "二千二十四"),
        (10_000, "一万"), (11_111, "一万千百十一"), (10**7, "一千万"), (11_000_000, "千百万"), (10**8, "一億"), (10**11, "一千億"), (10**12, "一兆"),
        (123_456_789_012, "千二百三十四億五千六百七十八万九千十二"), (10**20, "一" + "零" * 20),
    ],
)  # fmt: skip
def test_numbers_are_kanji(number: int, words: str) -> None:
    assert cardinal(number) == words


def test_a_reader_of_kanji_numbers_gives_every_number_back() -> None:
    source = random.Random(17)
    numbers = [*range(2000), *(10**power + offset for power in range(3, 13) for offset in (-1, 0, 1, 10))]
    numbers += [source.randrange(10 ** source.randrange(1, 14)) for _ in range(3000)]
    for number in numbers:
        assert value_of(cardinal(number)) == number


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("2024年3月15日", "二千二十四年三月十五日"), ("2024/3/15", "二千二十四年三月十五日"), ("3/15(金)", "三月十五日(金)"), ("14:30", "十四時三十分"), ("9:00", "九時"),
        ("¥1,200", "千二百円"), ("￥980", "九百八十円"), ("$3.5万", "三点五万ドル"), ("€20", "二十ユーロ"), ("4800万円", "四千八百万円"), ("12.5%", "十二点五パーセント"),
        ("１２％", "十二パーセント"), ("3〜5日", "三から五日"), ("10-15%", "十から十五パーセント"), ("3人〜5人", "三人から五人"), ("2020-2024年", "二千二十から二千二十四年"),
        ("-5℃から10℃", "マイナス五度から十度"), (r"\1,000", "千円"), ("03-1234-5678", "ゼロサン、イチニーサンヨン、ゴーロクナナハチ"),
        ("090-1234-5678", "ゼロキューゼロ、イチニーサンヨン、ゴーロクナナハチ"), ("〒150-0001", "イチゴーゼロ、ゼロゼロゼロイチ"), ("1/2", "二分の一"), ("1½", "一と二分の一"),
        ("3:2で勝つ", "三対二で勝つ"), ("16GB", "十六ギガバイト"), ("5kg", "五キログラム"), ("100m²", "百平方メートル"), ("3+2=5", "三たす二イコール五"), ("No.1", "ナンバー一"),
        ("#3", "三番"), ("007", "ゼロゼロナナ"), ("1-2-3", "一の二の三"), ("A&B", "AアンドB"), ("a@b.com", "a アットマーク b ドット com"), ("12500本", "一万二千五百本"),
        ("数字はない。", "数字はない。"),
    ],
)  # fmt: skip
def test_numbers_signs_and_units_are_words(written: str, words: str) -> None:
    assert spell_out(written) == words


def test_what_has_no_reading_is_listed() -> None:
    spoken, skipped = to_phonemes("𰻞麺を食べる😀", "ja", english)
    assert (spoken, skipped) == ("meɴ o tabeɾɯ", ["𰻞"])


def test_threads_read_alike() -> None:
    lines = [f"{number}本の木と{number}人、{number}時{number % 60}分" for number in range(1, 200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, lines)) == [read(line) for line in lines]
