"""Text files of any encoding: read where the text proves it, refused with one sentence where it does not."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.encodings import decode, decode_whole, encoding_named
from voiceclone_cli.errors import InputError

SIMPLIFIED = "我们昨天见面了，可是他没有说什么时候回来。"
TRADITIONAL = "我們昨天見面了，可是他沒有說什麼時候回來。"
JAPANESE = "昨日会ったけど、いつ帰るのか言わなかった。"


def cue(text: str) -> str:
    return f"1\r\n00:00:01,000 --> 00:00:03,500\r\n{text}\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        (SIMPLIFIED, "gbk", "gb18030"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (TRADITIONAL, "gbk", "gb18030"),
        ("你唔好喺度食嘢啦，佢哋嚟緊。", "big5hkscs", "big5"),
        (JAPANESE, "shift_jis", "shift_jis"),
        (JAPANESE, "euc_jp", "euc-jp"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),
        ("어제 만났는데 언제 돌아올지 말하지 않았어요.", "euc_kr", "euc-kr"),
        ("Мы вчера виделись, но он не сказал, когда вернётся.", "cp1251", "windows-1251"),
        ("Мы вчера виделись, но он не сказал, когда вернётся.", "koi8_r", "koi8-u"),
        ("МЫ ВЧЕРА ВИДЕЛИСЬ, НО ОН НЕ СКАЗАЛ КОГДА.", "cp1251", "windows-1251"),
        ("Ми бачилися вчора, але він не сказав, коли повернеться.", "cp1251", "windows-1251"),
        ("Τον είδα χθες, αλλά δεν είπε πότε θα γυρίσει.", "cp1253", "windows-1253"),
        ("נפגשנו אתמול, אבל הוא לא אמר מתי יחזור.", "cp1255", "windows-1255"),
        ("التقينا أمس لكنه لم يقل متى سيعود إلى البيت.", "cp1256", "windows-1256"),
        ("เราเจอกันเมื่อวาน แต่เขาไม่ได้บอกว่าจะกลับเมื่อไหร่", "cp874", "windows-874"),
        ("Widzieliśmy się wczoraj, ale nie powiedział, kiedy wróci.", "cp1250", "windows-1250"),
        ("Widzieliśmy się wczoraj, ale nie powiedział, kiedy wróci.", "iso8859_2", "iso8859-2"),
        ("Dün görüştük ama ne zaman döneceğini söylemedi.", "cp1254", "windows-1254"),
        ("Vakar susitikome, bet jis nesakė, kada grįš namo.", "cp1257", "windows-1257"),
        ("Nos vimos ayer, pero él no dijo cuándo volvería. ¿Y tú?", "cp1252", "windows-1252"),
        ("It’s late, and we don’t know when he’ll be back.", "cp1252", "windows-1252"),
    ],
)  # fmt: skip
def test_an_encoding_is_taken_where_the_text_proves_it(text: str, codec: str, name: str) -> None:
    decoded = decode(cue(text).encode(codec))
    assert (decoded.text, decoded.encoding, decoded.guessed) == (cue(text), name, True)
    assert decoded.notes("a.srt") == (
        f"a.srt is not UTF-8 and was read as {name}: give --encoding if that is wrong.",
    )


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["Señora, ¿qué tal?", SIMPLIFIED, JAPANESE, "Привет."])
def test_utf_16_needs_no_mark(text: str, codec: str) -> None:
    assert decode(cue(text).encode(codec)).text == cue(text)
    marked = decode(("\ufeff" + cue(text)).encode(codec))
    assert marked.text == cue(text) and not marked.guessed


def test_chinese_in_utf_16_without_a_single_ascii_character_is_read() -> None:
    assert decode(SIMPLIFIED.encode("utf-16-le")).text == SIMPLIFIED


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff",
        cue("Kovač").encode("cp1250"),  # a single name
        cue("ok, Да").encode("cp1251"),
        cue("你").encode("gbk"),
        cue("Tôi không biết khi nào anh ấy về.".replace("ấ", "a\u0301")).encode("cp1258", "ignore"),
        cue("Él no dijo cuándo volvería, y mañana será peor.").encode("cp850"),
        cue("Él no dijo cuándo volvería, y mañana será peor.").encode("mac_roman"),
        bytes(range(256)),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "half of it".encode("utf-16-le") + b"\0",
    ],
)
def test_what_proves_no_encoding_is_refused_in_a_sentence_that_says_what_to_do(data: bytes) -> None:
    with pytest.raises(InputError, match=r"--encoding .* or save it as UTF-8") as error:
        decode(data)
    assert error.value.code == "text_encoding"


def test_utf_8_needs_no_proof_and_no_note() -> None:
    for text in ("plain", "Señora", "你好", "é"):
        for mark in (b"", codecs.BOM_UTF8):
            decoded = decode(mark + text.encode())
            assert decoded.text == text and decoded.encoding == "utf-8" and decoded.notes("a") == ()


def test_a_few_damaged_bytes_of_utf_8_cost_only_themselves_and_refuse_a_file_where_each_counts() -> None:
    data = "a café, a façade, a niña, a Straße".encode() + b" \xff here"
    assert decode(data).text == "a café, a façade, a niña, a Straße \udcff here"
    with pytest.raises(InputError, match="not UTF-8"):
        decode_whole(data)


def test_a_given_encoding_is_obeyed_but_for_a_file_that_proves_to_be_unicode() -> None:
    assert decode(cue("Kovač").encode("cp1250"), "cp1250").text == cue("Kovač")
    assert decode("碁盤".encode("cp950"), "big5").text == "碁盤"
    assert decode("it’s".encode("cp1252"), "iso8859-1").text == "it’s"
    assert decode("你好".encode(), "gb18030").text == "你好"
    assert decode("你好".encode("utf-16"), "gb18030").text == "你好"
    with pytest.raises(InputError, match="not text in the encoding shift_jis"):
        decode(SIMPLIFIED.encode("gbk") + b"\xff", "shift_jis")


def test_names_of_encodings_are_those_of_python() -> None:
    assert [encoding_named(name) for name in (" GBK ", "Windows-1252", "SJIS", "UTF8")] == [
        "gbk", "cp1252", "shift_jis", "utf-8",
    ]  # fmt: skip
    for name in ("klingon", "hex", "", "\0"):
        with pytest.raises(ValueError, match="must be an encoding such as gb18030"):
            encoding_named(name)


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        assert "\0" not in decode(data).text
    except InputError as error:
        assert error.code == "text_encoding"


def test_a_short_text_that_is_nearly_utf_8_by_chance_is_not_read_as_utf_8() -> None:
    data = "中斷：停止pipeline...".encode("gbk")
    assert data.decode("utf-8", "replace").count("\ufffd") == 1
    with pytest.raises(InputError, match="--encoding"):
        decode(data)
    assert decode(data, "gbk").text == "中斷：停止pipeline..."
