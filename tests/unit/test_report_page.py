"""The report's colours can be read (contrast by WCAG 2.2, in both themes), and its texts in each language."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from report_runs import line, write_run
from voiceclone_cli import messages
from voiceclone_cli.messages import CHINESE, catalogue
from voiceclone_cli.report.content import content_of, open_report_folder
from voiceclone_cli.report.localized import localized_content
from voiceclone_cli.report.page import translated_source, write_report
from voiceclone_cli.types import no_progress

THEMES = {"light": ":root {", "dark": ':root[data-theme="dark"] {'}
GROUNDS = ("ground", "card", "raised", "choice")


def colours(theme: str) -> dict[str, str]:
    style = files("voiceclone_cli.report").joinpath("page", "theme.css").read_text(encoding="utf-8")
    block = style.split(THEMES[theme], 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_words_stand_out_from_their_ground(theme: str) -> None:
    found = colours(theme)
    pairs = [(word, ground) for word in ("text", "muted", "accent") for ground in GROUNDS]
    pairs += [(word, ground) for word in ("bad", "warn") for ground in (*GROUNDS, f"{word}-ground")]
    pairs += [
        ("good", "good-ground"),
        ("text", "warn-ground"),
        ("text", "bad-ground"),
        ("on-accent", "accent"),
    ]
    pairs += [("muted", "bad-ground"), ("muted", "warn-ground")]
    for word, ground in pairs:
        assert contrast(found[word], found[ground]) >= 4.5, (theme, word, ground)


@pytest.mark.parametrize("theme", THEMES)
def test_waveforms_and_marks_stand_out_from_their_ground(theme: str) -> None:
    found = colours(theme)
    for mark in ("original", "firm", *(f"s{n}" for n in range(8))):
        assert contrast(found[mark], found["card"]) >= 3.0, (theme, mark)


def shouted(text: str) -> str:
    return text.upper()


@pytest.mark.parametrize(
    "source, translated",
    [
        ("<b>⟦line⟧</b>", "<b>LINE</b>"),
        ("`⟦${f(a)} of ${b}⟧`", "`${f(a)} OF ${b}`"),
        ("`⟦a ${g({ x: 1 }, `${y}`)}⟧`", "`A ${g({ x: 1 }, `${y}`)}`"),
        ('`⟦${plural(n, "⟦line⟧")} more⟧`', '`${plural(n, "LINE")} MORE`'),
        ("el(⟨name⟩)", "el(named(name))"),
    ],
)
def test_marked_texts_are_translated_and_expressions_kept(source: str, translated: str) -> None:
    assert translated_source(source, shouted, with_names=True) == translated


def test_without_translation_only_the_marks_go() -> None:
    source = '`⟦${⟨a⟩} of ${plural(b, "⟦line⟧")}⟧`'
    assert translated_source(source, str, with_names=False) == '`${a} of ${plural(b, "line")}`'


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_a_page_has_its_language_and_no_marks(language: str, tmp_path: Path) -> None:
    messages.choose(language)
    page = write_report(write_run(tmp_path / "run", [line(0, "ANNA", "⟦Hello⟧ ⟨all⟩.")])).read_text("utf-8")
    assert f'<html lang="{catalogue(language).tag}">' in page
    assert not re.search("[⟦⟧⟨⟩\ue000\ue001]", page), "the text of the line is in ASCII"
    assert ("named(" in page) == (language == CHINESE)


def test_chinese_costs_the_page_less_than_a_waveform(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [line(0, "ANNA", "Hello.")])
    english = write_report(folder).stat().st_size
    messages.choose(CHINESE)
    assert abs(write_report(folder).stat().st_size - english) < 8_000


def test_content_is_translated_except_what_is_the_users(tmp_path: Path) -> None:
    """A line, a speaker and a note that read like words of the page."""
    rows = [line(0, "original", "failed"), line(1, "original", "Mix")]
    rows[1] |= {"status": "failed", "error": {"code": "disk_full", "message": "The disk of /run is full"}}
    errors = [{"code": "disk_full", "message": "The disk of /run is full", "segment": "0002"}]
    folder = write_run(tmp_path / "run", rows, errors=errors, notes=["the run fetches first: kokoro"])
    content = content_of(open_report_folder(folder), no_progress)
    chinese = localized_content(content, catalogue(CHINESE))
    assert [(row["speaker"], row["text"], row["status"]) for row in chinese["lines"]] == [
        ("original", "failed", "done"),
        ("original", "Mix", "failed"),
    ]
    outcome = chinese["outcome"]
    assert (outcome["label"], outcome["notes"]) == ("部分完成", ["运行时先下载：kokoro"])
    assert outcome["errors"][0]["message"].startswith("磁盘已满")
    assert outcome["errors"][0]["message"].endswith("The disk of /run is full")
    assert dict(chinese["facts"])["运行目录"] == str(folder)
    assert localized_content(content, catalogue("en")) is content
