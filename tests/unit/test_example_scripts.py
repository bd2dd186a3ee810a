"""The scripts under examples/: translations of one conversation, to try a dub with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voiceclone_cli.script.language import LanguageChoice, choose_language
from voiceclone_cli.script.script_file import read_script
from voiceclone_cli.types import Script

EXAMPLES = Path(__file__).parents[2] / "examples"
SPEAKERS = ("SPEAKER_00", "SPEAKER_01")
LANGUAGES = ("en", "es", "zh", "ja", "fr", "it", "pt-BR", "hi")


def read(path: Path) -> tuple[Script, LanguageChoice]:
    return choose_language(read_script(path, None, language="", speakers=SPEAKERS, strict=True), path)


def test_there_is_a_script_in_each_language_that_kokoro_speaks() -> None:
    assert {path.name for path in EXAMPLES.glob("*.srt")} == {f"sample.{name}.srt" for name in LANGUAGES}


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_line_is_spoken_by_its_speaker_at_its_time(name: str) -> None:
    script, _ = read(EXAMPLES / f"sample.{name}.srt")
    english, _ = read(EXAMPLES / "sample.en.srt")
    assert script.notes == () and script.omitted == ()
    assert [(line.id, line.speaker, line.start, line.end) for line in script.segments] == [
        (line.id, line.speaker, line.start, line.end) for line in english.segments
    ]


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_language_is_known_by_the_name_of_the_file_and_by_its_text(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / f"sample.{name}.srt"
    script, by_name = read(path)
    assert (by_name.code.lower(), by_name.warnings) == (name.lower(), ())
    assert {line.language for line in script.segments} == {by_name.code}
    nameless = tmp_path / "script.srt"
    nameless.write_bytes(path.read_bytes())
    _, by_text = read(nameless)
    assert by_text.code.split("-")[0] == name.split("-")[0]


@pytest.mark.parametrize("name", LANGUAGES)
def test_no_line_needs_more_than_twice_the_usual_pace(name: str) -> None:
    """A line has time until the next one starts, and the last one until the recording ends after 30 s."""
    lines = read(EXAMPLES / f"sample.{name}.srt")[0].segments
    for line, end in zip(lines, [*(line.start for line in lines[1:]), 30.0], strict=True):
        # About five characters a second in Chinese and Japanese, and fourteen letters in the others.
        ideographs = len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff]", line.text))
        letters = sum(map(str.isalpha, line.text)) - ideographs
        assert ideographs / 5 + letters / 14 < 2 * (end - line.start) + 0.3, line.text
