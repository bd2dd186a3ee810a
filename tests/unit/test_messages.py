"""Catalogues: complete, in step with the English of the code, and used for what people read."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from sentences import NUMBER, VALUE, Said, Source
from voiceclone_cli import messages
from voiceclone_cli.cli.inspect import MAX_STRETCHES, verification_lines
from voiceclone_cli.cli.output import run_summary
from voiceclone_cli.evaluation.model import Flag
from voiceclone_cli.messages import (
    CHINESE,
    ENGLISH,
    Catalogue,
    catalogue,
    listed,
    locale_language,
    placeholders,
)
from voiceclone_cli.provenance.verify import Detection, Origin, OriginState, Verdict, Verification
from voiceclone_cli.report import page
from voiceclone_cli.report.content import _WEIGHTS
from voiceclone_cli.translation.registry import TRANSLATORS
from voiceclone_cli.types import Until

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "src" / "voiceclone_cli", ROOT / "worker_env" / "voiceclone_worker")

UNTRANSLATED: frozenset[str] = frozenset()
"""Codes of errors that stay English: none."""


OF_LIBRARIES = """
No such command . No such option: (Possible options: ) Did you mean ? Missing argument Option requires an argument.
Got unexpected extra argument (s) Invalid value for Input should be greater than or equal to
Input should be a valid integer, unable to parse string as an integer is not one of
"""
"""Sentences of the library that reads the command line."""


@cache
def texts_of_code() -> str:
    """Every text in the code, a line each; f-strings without their values."""
    trees = (ast.parse(path.read_text("utf-8")) for base in PACKAGES for path in base.rglob("*.py"))
    return (
        "\n".join(
            node.value
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        + OF_LIBRARIES
    )


FAILURES = {"Failure", "SegmentError", "EngineError"}
"""Classes whose first argument is a code; of the others it is a keyword."""


def codes() -> set[str]:
    """The code of every error that the code raises or records."""
    found = set()
    for base in PACKAGES:
        for path in base.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                given: list[ast.expr] = []
                if isinstance(node, ast.keyword) and node.arg == "code":
                    given = [node.value]
                elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in FAILURES:
                    given = node.args[:1]
                found |= {each.value for each in given if isinstance(each, ast.Constant)}
    return found


def texts_of_page() -> Iterator[str]:
    """Every text that is marked in the source of the report's page."""
    source = files_of_page()
    found: dict[str, str] = {}
    for text in source:
        page.translated_source(text, lambda text: found.setdefault(text, text), with_names=False)
    yield from found


def files_of_page() -> list[str]:
    folder = ROOT / "src" / "voiceclone_cli" / "report" / "page"
    return [path.read_text("utf-8") for path in folder.iterdir() if path.suffix in (".js", ".html")]


def test_english_needs_no_catalogue() -> None:
    assert catalogue(ENGLISH) == Catalogue()
    assert catalogue(ENGLISH).sentence("note: any words") == "note: any words"
    assert catalogue(ENGLISH).error("media_missing", "a.wav does not exist") == "a.wav does not exist"


def test_a_sentence_names_a_few_and_says_how_many_others_there_are() -> None:
    ids = [f"{number:04d}" for number in range(1, 10)]
    assert listed([]) == "" and listed(ids[:1]) == "0001"
    assert listed(ids[:8]) == "0001, 0002, 0003, 0004, 0005, 0006, 0007, 0008"
    assert listed(ids) == "0001, 0002, 0003, 0004, 0005, 0006, 0007, 0008 and 1 more"
    assert listed(ids[:2], 1234) == "0001, 0002 and 1,234 more"
    assert listed(["0001 is cut", "0002 is cut"], between="; ") == "0001 is cut; 0002 is cut"


def test_no_text_is_translated_twice() -> None:
    def keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
        return dict(pairs)

    path = ROOT / "src" / "voiceclone_cli" / "catalogues" / f"{CHINESE}.json"
    assert json.loads(path.read_text("utf-8"), object_pairs_hook=keys)


def test_the_page_is_translated_as_a_whole_and_nothing_else_is() -> None:
    assert set(catalogue(CHINESE).page) == set(texts_of_page())


def test_a_text_is_a_name_or_a_sentence() -> None:
    assert not set(catalogue(CHINESE).names) & set(catalogue(CHINESE).sentences)


def test_names_that_a_page_filters_by_stay_apart() -> None:
    names = [
        catalogue(CHINESE).name(flag) for flag in (*_WEIGHTS, *(flag.replace("_", " ") for flag in Flag))
    ]
    assert len(set(names)) == len({*_WEIGHTS, *(flag.replace("_", " ") for flag in Flag)})
    assert all(re.search(r"[\u4e00-\u9fff]", name) for name in names)


def test_a_translation_has_the_values_of_its_english() -> None:
    chinese = catalogue(CHINESE)
    for texts in (chinese.page, chinese.sentences):
        for english, translated in texts.items():
            assert set(placeholders(english)) == set(placeholders(translated)), english


SOURCE = Source()

_KEPT = """
voiceclone fish kokoro echo Kokoro openaudio mini pro speech community embedded auto keep command openai argos run
torch pyannote audio protobuf descript audiotools espeak bfloat Ray Python codec reference argostranslate
Windows Linux cpu cuda mps apt brew winget pip install env create client ray sitecustomize pth logs worker Hant DNSMOS JSON CSV
"""
KEPT = frozenset(_KEPT.split())
"""Words that a Chinese sentence keeps: names, and words of commands and options."""


def english_words(text: str) -> set[str]:
    """Return the words of a text that a translation replaces: none in commands, options, paths and names."""
    text = re.sub(r"`[^`]*`|--\S+|\w+://\S+|[\w/.-]+[./_]\w+|'[^']*'|\"[^\"]*\"", "", text)
    return {word for word in re.findall(r"[A-Za-z]{3,}", text) if word[1:].islower()} - KEPT


def left_in_english(template: str) -> bool:
    """Return whether the Chinese catalogue leaves words of a template in English, whatever its values are."""
    words = english_words(template)
    values = [
        *product(("7.5", "1"), product(("7", "text"), repeat=min(template.count(VALUE), 6))),
        ("1", ("1",) * 6),
    ]
    for number, texts in values if words else ():
        given = iter([*texts, *("7",) * template.count(VALUE)])
        english = "".join(
            next(given) if part == VALUE else number if part == NUMBER else part for part in template
        )
        if not words & english_words(catalogue(CHINESE).sentence(english)):
            return False
    return bool(words)


def assert_translated(found: set[Said]) -> None:
    """Assert that Chinese readers get none of these sentences in English."""
    wrong = [each for each in found if left_in_english(each.template)]
    listed = sorted(
        f"{each.where}: {each.template}".replace(VALUE, "{}").replace(NUMBER, "{#}") for each in wrong
    )
    assert not wrong, "add these to catalogues/zh.json:\n" + "\n".join(listed)


def test_a_sentence_without_a_translation_is_found() -> None:
    assert left_in_english(f"{VALUE} has no translation")
    assert left_in_english(f"kokoro cannot read {VALUE} here; nor this")
    assert not left_in_english(f"kokoro cannot read {VALUE} here")
    assert not left_in_english(f"{NUMBER} `of a command` --with-options")


def test_every_sentence_of_doctor_is_translated() -> None:
    found = SOURCE.said({"CheckRow": ("check", "found", "advice")}, r"\.doctor\.")
    assert {f"kokoro cannot read {VALUE} here", "worker answers", "not installed"} <= {
        s.template for s in found
    }
    found |= SOURCE.returned("lack_of", r"\.translation\.")
    found |= SOURCE.said({"NodeFinding": ("fault",)}, r"\.cluster\.")
    found |= SOURCE.returned("node_fault|reading_lack", r"\.cluster\.")
    errors = r"_cli\.(cluster\.(connection|node|analysis)|engines\.(fish|checkpoint)|workers\.process|models\.store)$"
    found |= SOURCE.said({"PreflightError": ("0",)}, errors)
    assert_translated(found)
    assert_translated({Said(info.needs, name) for name, info in TRANSLATORS.items()})


def test_every_note_of_a_worker_is_translated() -> None:
    found = SOURCE.said(
        {"_note": "0", "note": "0", "_choose": ["how"], "emit": ["message"], "_emit": ["message"]}, "_worker"
    )
    found |= SOURCE.listed(("notes", "warnings"), "_worker")
    found |= SOURCE.listed(("found",), r"phonemes\.reader$")  # of a text
    assert len(found) > 8
    assert_translated(found)


def test_every_note_and_every_line_of_progress_is_translated() -> None:
    found = SOURCE.said({"ProgressEvent": ["note"], "note": "0", "partial": "1"}, "_cli")
    found |= SOURCE.listed(("notes", "warnings"), "_cli")
    assert len(found) > 100
    assert_translated(found)


def test_every_line_that_a_command_prints_is_translated() -> None:
    found = SOURCE.said({"print_line": ("0",), "say": ("0", "1", "2"), "echo": ("0",)}, r"_cli\.cli\.")
    assert len(found) > 100
    assert_translated(found)


def test_every_error_is_translated() -> None:
    assert codes() >= {"media_missing", "disk_full", "worker_died", "out_of_memory"}
    assert set(catalogue(CHINESE).errors) | UNTRANSLATED == codes()
    assert not set(catalogue(CHINESE).errors) & UNTRANSLATED


def test_every_error_says_something_of_its_own_in_one_sentence() -> None:
    for code, sentence in catalogue(CHINESE).errors.items():
        assert re.fullmatch(r"[^。]*[\u4e00-\u9fff][^。]*。", sentence), code


def test_sentences_are_those_of_the_code() -> None:
    """Every word between two values stands so in the code; a sentence that was changed there is missed here."""
    code = texts_of_code()
    for english in catalogue(CHINESE).sentences:
        for part in re.split(r"\{[+#,@]?\w+\}", english):
            assert all(word in code for word in re.findall(r"[^ ,;:()]+", part)), english


def test_a_sentence_has_enough_words_to_be_known_by() -> None:
    for english in catalogue(CHINESE).sentences:
        fixed = re.sub(r"\{[+#,@]?\w+\}", "", english)
        numbers = len(re.findall(r"\{#", english))
        assert len(fixed.strip()) + 2 * numbers >= 3, english


@pytest.mark.parametrize(
    "english, chinese",
    [
        ("  SPEAKER_00: 5 segments, reference 9.8 s", "  SPEAKER_00：5 句，参考音频 9.8 秒"),
        ("  note: kept from before", "  提示：沿用以前的"),
        ("diarization: 100 %", "说话人分离：100 %"),
        ("engine: kokoro is requested", "引擎：按要求使用 kokoro"),
        ("speakers: 12 by label, 3 by time", "说话人：按标签 12 句、按时间 3 句"),
        (
            "not spoken: 4 texts (2 sounds, 1 credit, 1 without words)",
            "不念的文字：4 处文字（声响 2 处、署名 1 处、没有文字 1 处）",
        ),
        ("wrong_words, silent", "字词有误、无声"),
        ("wrong_words, a word of the user", "wrong_words, a word of the user"),
        ("about 2 to 3 of them", "about 2 to 3 of them"),
        ("language: es, because it was requested", "语言：es，因为按要求"),
        ("kokoro cannot read Spanish (es-419) here", "kokoro 在这里不能念西班牙语（es-419）"),
        ("kokoro cannot read Spanish here; cannot be used", "kokoro 在这里不能念西班牙语；无法使用"),
        ("kokoro cannot read Spanish; as the user says", "kokoro cannot read Spanish; as the user says"),
        (
            "Read as text, not as speakers: Tom and Jerry, failed.",
            "当作文字、不当作说话人：Tom and Jerry, failed。",
        ),
        ("Read as text, not as speakers: A, B and 12 more.", "当作文字、不当作说话人：A, B 和另外 12 个。"),
        ("a note that nothing translates: see --help", "a note that nothing translates: see --help"),
        ("0001, 0002 and 3 more", "0001, 0002 和另外 3 个"),
        (
            "2 lines are probably too long, even 1.3 times as fast: 0003 by 0.6 s, 0008 by 1.2 s; what is not shortened "
            "will be hurried or end late (`voiceclone plan` lists all)",
            "大约有 2 句太长，加速到 1.3 倍也放不下：0003 超出 0.6 秒、0008 超出 1.2 秒；不缩短的会念得急促，或超时（用 "
            "`voiceclone plan` 列出全部）",
        ),
        (
            "Translations that are the same as the original: 0002, 0004 and 12 more.",
            "译文与原文相同的台词：0002, 0004 和另外 12 个。",
        ),
        ("", ""),
    ],
)
def test_a_line_is_translated_with_its_values_or_left_alone(english: str, chinese: str) -> None:
    assert catalogue(CHINESE).sentence(english) == chinese


def test_text_of_the_user_is_never_translated() -> None:
    line = "  0007 runs 0.42 s past its slot: failed"
    assert catalogue(CHINESE).sentence(line) == "  0007 超出时段 0.42 秒：failed"


def test_an_error_says_what_to_do_and_then_has_the_details() -> None:
    assert catalogue(CHINESE).error("media_missing", "a.wav does not exist: check the path.") == (
        "a.wav 不存在：请检查路径。"
    )
    assert catalogue(CHINESE).error("media_missing", "a.wav is lost.") == (
        "文件不存在，请检查路径。（media_missing）\n  a.wav is lost."
    )
    assert catalogue(CHINESE).error("unheard_of", "Anything.") == "Anything."


@pytest.mark.parametrize(
    "environ, language",
    [
        ({}, ENGLISH),
        ({"LANG": "C.UTF-8"}, ENGLISH),
        ({"LANG": "en_GB.UTF-8"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_TW.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, ENGLISH),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en:zh"}, ENGLISH),
        ({"LANG": "C", "LANGUAGE": "zh"}, ENGLISH),
    ],
)
def test_the_locale_says_the_language(environ: dict[str, str], language: str) -> None:
    assert locale_language(environ) == language


@pytest.mark.parametrize(
    "name, language",
    [
        ("Chinese (Simplified)_China", CHINESE),
        ("zh_CN", CHINESE),
        ("English_Germany", ENGLISH),
        (None, ENGLISH),
    ],
)
def test_windows_says_the_language_without_variables(
    name: str | None, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr("locale.getlocale", lambda: (name, None))
    found = locale_language({})
    monkeypatch.undo()
    assert found == language


def test_what_is_chosen_comes_before_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "locale_language", lambda: CHINESE)
    assert messages.current().language == CHINESE
    messages.choose(ENGLISH)
    assert messages.current().language == ENGLISH
    messages.choose(None)
    assert messages.current().language == CHINESE


def without_chinese(lines: Iterator[str]) -> list[str]:
    return [line for line in lines if line.strip() and not re.search(r"[\u4e00-\u9fff]", line)]


def test_no_line_at_the_end_of_a_run_stays_english() -> None:
    document = {
        "status": "partial",
        "run_dir": "/run",
        "speakers": [{"name": "ANNA", "segments": 5, "reference_seconds": 9.8}],
        "speakers_found": {"label": 12, "time": 3},
        "notes": ["the disk of /run may become full: the run needs up to 10 MB and 5 MB are free; if it does, make room and give the same command again"],
        "segments": [{"id": "0001", "status": "done", "overflow_seconds": 0.5, "text": "Hello."}],
        "errors": [{"code": "worker_died", "message": "The worker ended.", "segment": "0002"}],
        "turns": [{"speaker": "ANNA"}],
        "reused": 1,
        "timing": {"total": 1.0},
    }  # fmt: skip
    say = catalogue(CHINESE).sentence
    assert without_chinese(map(say, run_summary(document))) == []
    assert [say(line) for line in run_summary(document)][-1] == (
        "部分完成：1 / 1 句，其中 1 句沿用以前的，用时 1.0 秒，结果在 /run"
    )
    for until in Until:
        stopped = {**document, "errors": []}
        assert without_chinese(map(say, run_summary(stopped, until))) == []


def test_no_line_of_a_verification_stays_english() -> None:
    marked = Detection(90.0, 60, 0, 50, tuple((n, n + 1.0, 0.95) for n in range(MAX_STRETCHES + 2)))
    found = [
        Verification(
            Path("a.wav"), "0" * 64, detection, Origin(state, Path("/run"), "mix.wav"), {"artist": "AI"}
        )
        for detection in (
            marked,
            Detection(9.0, 5, 0, 0, ()),
            Detection(9.0, 0, 0, 0, ()),
            Detection(9.0, 5, 5, 0, ()),
        )
        for state in OriginState
    ]
    found.append(replace(found[0], origin=Origin(OriginState.UNKNOWN)))
    lines = [line for each in found for line in verification_lines(each)]
    assert {each.detection.verdict for each in found} == set(Verdict)
    say = catalogue(CHINESE).sentence
    assert without_chinese(map(say, lines)) == []
    assert say(lines[1]) == "  0:00:00.0 至 0:00:01.0（置信度 0.95）"
