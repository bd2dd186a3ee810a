"""Codes and names of languages, as people write them."""

from __future__ import annotations

import pytest

from voiceclone_cli.languages import language_of, main_language, name_of, three_letter_code

WHISPER = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
)


@pytest.mark.parametrize(
    "text, tag",
    [
        ("en", "en"), ("EN", "en"), (" es ", "es"), ("es_MX", "es-MX"), ("es-mx", "es-MX"), ("es-419", "es-419"),
        ("zh_CN", "zh-CN"), ("zh-Hans", "zh-Hans"), ("zh-hant", "zh-Hant"), ("zh-TW", "zh-TW"),
        ("zh_hans_cn", "zh-Hans-CN"), ("pt_BR", "pt-BR"), ("pt-br", "pt-BR"), ("sr-Latn", "sr-Latn"),
        ("de-1996", "de-1996"), ("ca-valencia", "ca-valencia"),
        ("spa", "es"), ("fre", "fr"), ("fra", "fr"), ("ger", "de"), ("deu", "de"), ("chi", "zh"), ("zho", "zh"),
        ("jpn", "ja"), ("eng-US", "en-US"), ("dut", "nl"), ("cze", "cs"), ("ell", "el"), ("nor", "no"),
        ("chs", "zh-Hans"), ("cht", "zh-Hant"), ("tc", "zh-Hant"), ("简体", "zh-Hans"), ("繁体", "zh-Hant"),
        ("中文", "zh"), ("cn", "zh-CN"), ("jp", "ja"), ("cz", "cs"), ("dk", "da"), ("iw", "he"), ("pob", "pt-BR"),
        ("zh-cht", "zh-Hant"), ("yue", "yue"), ("fil", "fil"), ("nb", "nb"), ("br", "br"),
        ("Spanish", "es"), ("ENGLISH", "en"), ("Español", "es"), ("Brazilian Portuguese", "pt-BR"),
        ("Spanish Latin America", "es-419"), ("norwegian bokmål", "nb"), ("English-US", "en-US"),
    ],
)  # fmt: skip
def test_one_language_has_one_tag_however_it_is_written(text: str, tag: str) -> None:
    assert language_of(text) == tag


@pytest.mark.parametrize(
    "text",
    ["", "-", "x", "xx", "qq", "klingon", "english please", "字幕", "en-orig", "es-", "en-US.UTF-8", "zh-Hans-Hant",
     "new", "end", "big", "the", "12", "../x", "en US GB x", "no-limits",
     "no-go", "en-XX", "so-close"],
)  # fmt: skip
def test_what_is_no_language_has_no_tag(text: str) -> None:
    assert language_of(text) is None


def test_every_language_that_whisper_knows_is_its_own_tag_and_has_a_name() -> None:
    for code in WHISPER.split():
        assert language_of(code) == code
        assert name_of(code) != code


def test_names_say_the_region_where_there_is_one() -> None:
    assert [name_of(tag) for tag in ("es", "es-419", "zh-Hans", "xx")] == [
        "Spanish", "Spanish (es-419)", "Chinese (zh-Hans)", "xx",
    ]  # fmt: skip
    assert main_language("zh-Hans-CN") == "zh"


@pytest.mark.parametrize(
    "tag, terminological, bibliographic",
    [("es", "spa", "spa"), ("es-419", "spa", "spa"), ("fr", "fra", "fre"), ("fre", "fra", "fre"),
     ("zh-Hans", "zho", "chi"), ("yue", "yue", "yue"), ("qaa", "qaa", "qaa"), ("", None, None), ("xx", None, None)],
)  # fmt: skip
def test_containers_get_three_letters(
    tag: str, terminological: str | None, bibliographic: str | None
) -> None:
    assert three_letter_code(tag, bibliographic=False) == terminological
    assert three_letter_code(tag, bibliographic=True) == bibliographic
