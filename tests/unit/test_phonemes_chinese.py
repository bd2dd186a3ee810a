"""Chinese in Kokoro's alphabet: syllables, readings, tone sandhi, numbers and English words."""

import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pypinyin.contrib.tone_convert import to_tone3
from pypinyin.pinyin_dict import pinyin_dict

from voiceclone_worker.engines.kokoro.phonemes import chinese, reader
from voiceclone_worker.engines.kokoro.phonemes.chinese import (
    cardinal,
    has_english_words,
    simplified,
    spell_out,
    syllable,
    to_phonemes,
)

DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"两": 2}
FACTORS = {"十": 10, "百": 100, "千": 1000}


def value_of(words: str) -> int:
    """Return the value of a number in Chinese words, read from the right by its largest scale."""
    for scale, factor in (("亿", 10**8), ("万", 10**4)):
        if scale in words:
            above, _, below = words.rpartition(scale)
            return value_of(above) * factor + value_of(below)
    total, digit = 0, 0
    for sign in words:
        if sign in FACTORS:
            total, digit = total + (digit or 1) * FACTORS[sign], 0
        else:
            digit = DIGITS[sign]
    return total + digit


def english(text: str) -> tuple[str, list[str]]:
    return f"<{text}>", []


def read(text: str) -> str:
    spoken, skipped = to_phonemes(text, "zh", english)
    assert not skipped
    return spoken


def test_every_syllable_of_pypinyin_has_sounds_that_kokoro_knows() -> None:
    known = reader.vocabulary()
    syllables = {
        to_tone3(reading, neutral_tone_with_five=True)
        for readings in pinyin_dict.values()
        for reading in readings.split(",")
    }
    assert len(syllables) > 1500
    for each in syllables:
        sounds = syllable(each)
        assert sounds and set(sounds) <= known.keys(), each


@pytest.mark.parametrize(
    ("pinyin", "sounds"),
    [
        ("zhong1", "ꭧʊ→ŋ"), ("shi4", "ʂɨ↘"), ("xi3", "ɕi↓"), ("ju2", "ʨy↗"), ("lv4", "ly↘"), ("liu2", "ljou↗"), ("gui4", "kwei↘"),
        ("lun2", "lwə↗n"), ("qun2", "ʨʰy↗n"), ("xue2", "ɕɥe↗"), ("yuan2", "ɥɛ↗n"), ("er2", "ɚ↗"), ("de5", "tɤ"), ("weng1", "wə→ŋ"),
        ("bo1", "pwo→"), ("si4", "sɨ↘"), ("nve4", "nɥe↘"), ("?", ""),
    ],
)  # fmt: skip
def test_a_syllable_is_initial_final_and_the_arrow_of_its_tone_behind_the_vowel(
    pinyin: str, sounds: str
) -> None:
    assert syllable(pinyin) == sounds


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("你好。", "ni↗xau↓."),
        ("我买了两斤苹果，三斤梨！", "wo↗ mai↓ lɤ lja↓ŋʨi→n pʰi↗ŋkwo↓, sa→nʨi→n li↗!"),
        ("他说：“明天见？”", "tʰa→ ʂwo→: “mi↗ŋtʰjɛ→n ʨjɛ↘n?”"),
        ("（小明）在家…", "(ɕjau↓mi↗ŋ) ʦai↘ʨja→…"),
        ("角α", "ʨjau↓ a→ɚ↗fa↓"),
    ],
)
def test_words_stand_apart_and_punctuation_is_kokoros(text: str, spoken: str) -> None:
    assert read(text) == spoken


PHRASES = """
    他在银行排队 ta1 zai4 yin2 hang2 pai2 dui4
    旅客行走在街上 lv3 ke4 xing2 zou3 zai4 jie1 shang4
    她在农村长大 ta1 zai4 nong2 cun1 zhang3 da4
    这座桥很长 zhe4 zuo4 qiao2 hen3 chang2
    机会重要 ji1 hui4 zhong4 yao4
    别重复了 bie2 chong2 fu4 le5
    古典音乐 gu2 dian3 yin1 yue4
    银行行长 yin2 hang2 hang2 zhang3
    跑得真快 pao3 de5 zhen1 kuai4
    我们得赶紧走 wo3 men5 dei3 gan2 jin2 zou3
    他得了冠军 ta1 de2 le5 guan4 jun1
    他悄悄地离开 ta1 qiao1 qiao1 de5 li2 kai1
    这块地很大 zhe4 kuai4 di4 hen3 da4
    门开着 men2 kai1 zhe5
    终于睡着了 zhong1 yu2 shui4 zhao2 le5
    我受不了 wo3 shou4 bu4 liao3
    书已经还了 shu1 yi3 jing1 huan2 le5
    他还没来 ta1 hai2 mei2 lai2
    首都机场 shou3 du1 ji1 chang3
    大家都去 da4 jia1 dou1 qu4
    在院子里种树 zai4 yuan4 zi5 li5 zhong4 shu4
    三种颜色 san1 zhong3 yan2 se4
    成为医生 cheng2 wei2 yi1 sheng1
    为人民服务 wei4 ren2 min2 fu2 wu4
    在干什么 zai4 gan4 shen2 me5
    诚实地道歉 cheng2 shi2 de5 dao4 qian4
    衣服干了 yi1 fu5 gan1 le5
    他教数学 ta1 jiao1 shu4 xue2
    她在数钱 ta1 zai4 shu3 qian2
    理发店 li3 fa4 dian4
    放假了 fang4 jia4 le5
    说假话 shuo1 jia3 hua4
    调查 diao4 cha2
    调整空调 tiao2 zheng3 kong1 tiao2
    系好安全带 ji4 hao3 an1 quan2 dai4
    关系 guan1 xi5
    弹钢琴 tan2 gang1 qin2
    倒一杯水 dao4 yi4 bei1 shui3
    应该 ying1 gai1
    姓曾的 xing4 zeng1 de5
    两只猫 liang3 zhi1 mao1
    他只喝茶 ta1 zhi3 he1 cha2
    朋友的东西 peng2 you5 de5 dong1 xi5
    看看妈妈 kan4 kan5 ma1 ma5
    桌子和椅子 zhuo1 zi5 he2 yi3 zi5
    电子 dian4 zi3
    这儿 zhe4 er5
    女儿 nv3 er2
    這個銀行 zhe4 ge5 yin2 hang2
    頭髮很長 tou2 fa5 hen3 chang2
"""


@pytest.mark.parametrize("line", [line.strip() for line in PHRASES.strip().splitlines()])
def test_characters_of_several_readings_are_read_by_their_words(line: str) -> None:
    text, *pinyin = line.split()
    assert read(text).replace(" ", "") == "".join(map(syllable, pinyin))


@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        ("你好", "ni2 hao3"), ("我很好", "wo2 hen2 hao3"), ("展览馆", "zhan2 lan2 guan3"), ("不是", "bu2 shi4"), ("不好", "bu4 hao3"),
        ("好不好", "hao3 bu5 hao3"), ("一个", "yi2 ge5"), ("一天", "yi4 tian1"), ("一万", "yi2 wan4"), ("第一", "di4 yi1"), ("一月一号", "yi1 yue4 yi1 hao4"),
        ("看一看", "kan4 yi5 kan4"), ("二十一", "er4 shi2 yi1"), ("一点五", "yi1 dian2 wu3"), ("星期一", "xing1 qi1 yi1"),
    ],
)  # fmt: skip
def test_tones_change_among_others(text: str, pinyin: str) -> None:
    assert read(text).replace(" ", "") == "".join(map(syllable, pinyin.split()))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "零"), (10, "十"), (12, "十二"), (20, "二十"), (100, "一百"), (101, "一百零一"), (110, "一百一十"), (200, "两百"), (222, "两百二十二"),
        (1001, "一千零一"), (1010, "一千零一十"), (2000, "两千"), (10_000, "一万"), (22_000, "两万二千"), (100_010, "十万零一十"), (10**8, "一亿"),
        (10**8 + 1, "一亿零一"), (10**12, "一万亿"), (123_456_789, "一亿二千三百四十五万六千七百八十九"), (10**16, "一" + "零" * 16),
    ],
)  # fmt: skip
def test_numbers_are_words(number: int, words: str) -> None:
    assert cardinal(number) == words


def test_a_reader_of_chinese_numbers_gives_every_number_back() -> None:
    source = random.Random(17)
    numbers = [*range(2000), *(10**power + offset for power in range(3, 13) for offset in (-1, 0, 1, 10))]
    numbers += [source.randrange(10 ** source.randrange(1, 14)) for _ in range(3000)]
    for number in numbers:
        assert value_of(cardinal(number)) == number


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("2026年", "二零二六年"), ("2024年3月15日", "二零二四年三月十五日"), ("2024-03-15", "二零二四年三月十五日"), ("98年6月", "九八年六月"),
        ("20年", "二十年"), ("5000年前", "五千年前"), ("2020-2024年", "二零二零到二零二四年"), ("90后", "九零后"), ("90年代", "九十年代"),
        ("8:05", "八点零五分"), ("3:30", "三点半"), ("21:30", "二十一点三十分"), ("9:00", "九点"), ("2:15", "两点十五分"), ("比分是3:2", "比分是三比二"),
        ("12.5%", "百分之十二点五"), ("10-15%", "百分之十到十五"), ("-3%", "负百分之三"), ("3‰", "千分之三"), ("1/2", "二分之一"), ("1½杯", "一又二分之一杯"),
        ("¥1,299.00", "一千二百九十九元"), ("￥12.50", "十二点五元"), ("$3.5亿", "三点五亿美元"), ("200元", "两百元"), ("5元/斤", "五元每斤"),
        ("2个", "两个"), ("2楼", "二楼"), ("2月2日", "二月二日"), ("第2名", "第二名"), ("2万人", "两万人"), ("2-3天", "两到三天"), ("2.5个", "二点五个"),
        ("120km/h", "一百二十公里每小时"), ("5kg", "五公斤"), ("100m²", "一百平方米"), ("-5℃", "零下五度"), ("-5～3℃", "零下五到三度"), ("-5～-3℃", "零下五到零下三度"), ("24-28℃", "二十四到二十八度"),
        ("16GB", "十六GB"), ("5G", "五G"), ("MP3", "MP三"), ("RTX 4090", "RTX 四零九零"), ("PM2.5", "PM二点五"),
        ("电话13812345678", "电话幺三八幺二三四五六七八"), ("打110", "打幺幺零"), ("010-88886666", "零幺零, 八八八八六六六六"), ("302房间", "三零二房间"),
        ("G1024次列车", "G幺零二四次列车"), ("尾号8888", "尾号八八八八"), ("192.168.1.1", "一九二点一六八点一点一"), ("007", "零零七"),
        ("3+2=5", "三加二等于五"), ("约30～40人", "约三十到四十人"), ("１２３", "一百二十三"), ("NO.1", "第一"), ("一共12500棵", "一共一万二千五百棵"),
        ("没有数字。", "没有数字。"),
    ],
)  # fmt: skip
def test_numbers_signs_and_units_are_words(written: str, words: str) -> None:
    assert spell_out(written) == words


def test_traditional_characters_are_folded_one_for_one() -> None:
    assert (
        simplified("這個銀行的頭髮、後來、乾淨、著名作家看著我，1％ A")
        == "这个银行的头发、后来、干净、著名作家看着我，1％ A"
    )
    assert simplified("简体字不变") == "简体字不变"


def test_what_has_no_reading_is_listed() -> None:
    spoken, skipped = to_phonemes("你☃好 한", "zh", english)
    assert (spoken, skipped) == ("ni↓ xau↓", ["한"])


def test_a_line_in_traditional_characters_sounds_as_the_simplified_one() -> None:
    assert read("請問，去火車站怎麼走？") == read("请问，去火车站怎么走？")


def test_threads_read_alike() -> None:
    lines = [re.split(" ", line.strip())[0] for line in PHRASES.strip().splitlines()] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, lines)) == [read(line) for line in lines]


def test_the_tables_have_what_they_say() -> None:
    data = Path(chinese.__file__).parent / "data"
    for line in (data / "chinese_contexts.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            sign, _before, _after, reading = line.split()
            assert len(sign) == 1 and syllable(reading), line
    assert json.dumps(chinese._table())
    for word, readings in chinese._table().items():
        assert len(word) == len(readings) and all(map(syllable, readings)), word


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("用GPU很快", ["GPU"]),
        ("下载App", ["A.P.P."]),
        ("用ppt和cpu", ["PPT", "CPU"]),
        ("听MP3", ["MP"]),
        ("Google Cloud很快", ["Google Cloud"]),
        ("Wi-Fi和T恤", ["Wi-Fi", "T"]),
        ("appear", ["appear"]),
        ("没有", []),
    ],
)
def test_english_words_are_read_together_and_abbreviations_as_letters(text: str, words: list[str]) -> None:
    given: list[str] = []

    def note(word: str) -> tuple[str, list[str]]:
        given.append(word)
        return "mɑ", []

    phonemes, skipped = to_phonemes(text, "zh", note)
    assert given == words and phonemes.count("mɑ") == len(words) and not skipped


@pytest.mark.parametrize(
    ("text", "has_some"),
    [
        ("我每天用Outlook", True),
        ("Ｔ恤", True),
        ("去CAFÉ", True),
        ("走了5km，花了3h", False),
        ("β是2", False),
        ("没有", False),
    ],
)
def test_a_text_has_english_words_where_letters_are_left_of_it(text: str, has_some: bool) -> None:
    assert has_english_words(text) == has_some
