"""Codes and names of languages, as people write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voiceclone_cli.audio.tracks import language_code, language_tag
from voiceclone_cli.config import resolve
from voiceclone_cli.languages import language_of, main_language, name_of, three_letter_code
from voiceclone_cli.script.language import choose_language
from voiceclone_cli.script.script_file import read_script

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
        ("sc", "zh-Hans"), ("SC", "zh-Hans"), ("srd", "srd"), ("Sardinian", "srd"),
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


@pytest.mark.parametrize(
    "text, tag, track",
    [
        ("chs", "zh-Hans", "zho"), ("cht", "zh-Hant", "zho"), ("sc", "zh-Hans", "zho"), ("tc", "zh-Hant", "zho"), ("jp", "ja", "jpn"),
        ("cn", "zh-CN", "zho"), ("zh_CN", "zh-CN", "zho"), ("zh-Hant", "zh-Hant", "zho"), ("zh-TW", "zh-TW", "zho"),
        ("中文", "zh", "zho"), ("简体中文", "zh-Hans", "zho"), ("繁體", "zh-Hant", "zho"), ("粤语", "yue", "yue"),
        ("日本語", "ja", "jpn"), ("cmn", "zh", "zho"), ("chi", "zh", "zho"), ("zho", "zh", "zho"), ("jpn", "ja", "jpn"),
    ],
)  # fmt: skip
def test_options_file_names_scripts_and_tracks_read_one_table(
    tmp_path: Path, text: str, tag: str, track: str
) -> None:
    spoken = "彼は今夜戻らないと思う。" if track == "jpn" else "我觉得他今晚不会回来，我们现在就得走。"
    line = {"start": 0, "end": 1, "speaker": "ANNA", "text": spoken}
    subtitles = tmp_path / f"film.{text}.srt"
    subtitles.write_text(f"1\n00:00:00,000 --> 00:00:01,000\n[ANNA] {spoken}\n", encoding="utf-8")
    document, lines = tmp_path / "film.json", tmp_path / "lines.json"
    document.write_text(json.dumps({"language": text, "segments": [line]}), encoding="utf-8")
    lines.write_text(json.dumps([{**line, "language": text}]), encoding="utf-8")
    for path in (subtitles, document, lines):
        script = read_script(path, None, language="", speakers=["ANNA"])
        assert choose_language(script, path)[1].code == tag, path.name
    option = resolve({"language": text, "audio_track": text}, {}, tmp_path / ".env")
    assert option.language == tag and language_code(option.audio_track) == track
    assert language_code(text) == language_tag(text, ".mp4") == track


@pytest.mark.parametrize("given", [None, "sc"])
def test_where_sc_cannot_be_chinese_a_warning_says_what_it_is_taken_for(
    tmp_path: Path, given: str | None
) -> None:
    path = tmp_path / "film.sc.srt"
    spoken = "I do not think that he will come back tonight, so we have to leave right now."
    path.write_text(f"1\n00:00:00,000 --> 00:00:01,000\n[ANNA] {spoken}\n", encoding="utf-8")
    script = read_script(path, None, language="", speakers=["ANNA"])
    option = resolve({"language": given} if given else {}, {}, tmp_path / ".env").language
    choice = choose_language(script, path, given=option)[1]
    assert choice.code == ("zh-Hans" if given else "en")
    (warning,) = choice.warnings
    assert "Chinese (zh-Hans)" in warning and "English" in warning and "--language" in warning
    assert three_letter_code("srd", bibliographic=True) == "srd"


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
