"""What is wrong with a translated line: found where it is sure, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from factories import segment
from voiceclone_cli.language_detection import scripts_of
from voiceclone_cli.translation.checks import cleaned, fault_of, is_of_names, needs_translation
from voiceclone_cli.translation.context import TranslationContext
from voiceclone_cli.translation.translator import Term

NO_CONTEXT = TranslationContext()
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    "original, translation, target, fault",
    [
        ("Where have you been all day?", "¿Dónde has estado todo el día?", "es", None),
        ("Where have you been all day?", "Where have you been, all day", "es", "is the same as the original"),
        ("WHERE HAVE YOU BEEN?", "WHERE HAVE YOU BEEN?", "es", "is the same as the original"),
        ("Diane Keaton, Woody Allen.", "Diane Keaton, Woody Allen.", "es", None),
        ("NASA!", "NASA!", "es", None),
        ("Hello?", "Hello?", "es", "is the same as the original"),
        ("Where have you been all day?", "?!", "es", "is empty"),
        ("Where have you been all day?", "你整天都去哪儿了？", "zh", None),
        ("Where have you been all day?", "Nǐ zhěng tiān dōu qù nǎr le, wǒ de péngyou?", "zh", "looks like"),
        ("I write Python and TensorFlow.", "我写 Python 和 TensorFlow。", "zh", None),
        ("Where have you been all day?", "一日中どこにいたのですか。", "ja", None),
        ("Where have you been all day?", "一日中どこにいたのですか。", "es", "looks like Japanese, not Spanish"),
        ("Where have you been all day?", "Где ты был весь день?", "ru", None),
        ("Where have you been all day?", "Gdje si bio cijeli dan?", "hr", None),
        ("Where have you been all day?", "Где си био цео дан?", "sr", None),
        ("Where have you been all day?", "Et où étais-tu toute la journée, mon amour ?", "es", "looks like French"),
        ("Yes.", "Sí.", "es", None),
        ("Yes.", "Sí. " * 30, "es", "is 120 characters long, for 4 of the original"),
    ],
)  # fmt: skip
def test_a_fault_is_named(original: str, translation: str, target: str, fault: str | None) -> None:
    found = fault_of(translation, segment(text=original), target, NO_CONTEXT)
    assert found is None if fault is None else found is not None and found.startswith(fault)


@pytest.mark.parametrize("target", ["es", "fr", "hi", "it", "ja", "pt-BR", "zh"])
def test_no_line_of_the_translated_examples_has_a_fault(target: str) -> None:
    from voiceclone_cli.script.script_file import read_script
    from voiceclone_cli.types import Diarization, Turn

    turns = tuple(Turn(0.0, 30.0, name) for name in ("SPEAKER_00", "SPEAKER_01"))
    both = [
        read_script(EXAMPLES / f"sample.{tag}.srt", Diarization(turns, turns, "test"), language=tag).segments
        for tag in ("en", target)
    ]
    assert len(both[0]) == len(both[1])
    for original, line in zip(*both, strict=True):
        assert fault_of(line.text, original, target, NO_CONTEXT) is None, line


def test_a_line_is_of_names_where_nothing_else_is_in_it() -> None:
    kept = TranslationContext(glossary=(Term("voiceclone"),))
    assert is_of_names("Sheila, Diane, 1984", NO_CONTEXT)
    assert is_of_names("voiceclone 2", kept)
    assert not is_of_names("Sheila is here", NO_CONTEXT)
    assert not is_of_names("Hello", NO_CONTEXT)


def test_a_name_before_the_text_is_no_part_of_it() -> None:
    line = segment(speaker="ANNA", text="Good morning.")
    assert cleaned("[ANNA] Buenos\ndías.", line) == "Buenos días."
    assert cleaned("ANNA: Buenos días.", line) == "Buenos días."
    assert cleaned("ANNA: dice ella.", segment(speaker="ANNA", text="ANNA: she says.")) == "ANNA: dice ella."
    assert cleaned("\ud800", line) == ""


def test_a_line_without_words_or_in_the_language_already_needs_no_translation() -> None:
    assert needs_translation(segment(text="a word"), "es")
    assert not needs_translation(segment(text="12:30 – 14 %"), "es")
    assert not needs_translation(segment(text="buenos días", language="es-MX"), "es")


def test_the_scripts_of_a_language() -> None:
    assert scripts_of("es-419") == {"LATIN"}
    assert scripts_of("zh-Hans") == {"CJK", "BOPOMOFO"}
    assert scripts_of("ja") == {"CJK", "HIRAGANA", "KATAKANA"}
    assert scripts_of("sr") == {"CYRILLIC", "LATIN"}
    assert scripts_of("el") == {"GREEK"}
    assert scripts_of("tlh") == frozenset()
