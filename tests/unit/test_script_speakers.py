"""Speakers of script lines."""

import json
from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.script import script_file
from voiceclone_cli.types import Diarization, Script, Turn

TURNS = (Turn(1.0, 4.0, "SPEAKER_00"), Turn(3.0, 8.0, "SPEAKER_01"), Turn(100.0, 101.0, "SPEAKER_00"))
TWO_PEOPLE = Diarization(TURNS, TURNS, "test")


def read(
    folder: Path, *lines: str, diarization: Diarization | None = TWO_PEOPLE, speakers: tuple[str, ...] = ()
) -> Script:
    """The script of these texts, a second each, from the first second on."""
    path = folder / "a.srt"
    cues = [f"{n}\n00:00:{n:02d},000 --> 00:00:{n + 1:02d},000\n{text}\n" for n, text in enumerate(lines, 1)]
    path.write_text("\n".join(cues), encoding="utf-8")
    return script_file.read_script(path, diarization, language="en", speakers=speakers)


def said(result: Script) -> list[tuple[str, str]]:
    return [(line.speaker, line.text) for line in result.segments]


@pytest.mark.parametrize(
    "text", ["[SPEAKER_01] Hi.", "[speaker_01]Hi.", "SPEAKER_01: Hi.", "[SPEAKER_01]\nHi."]
)
def test_a_known_name_before_the_text_is_the_speaker(tmp_path: Path, text: str) -> None:
    assert said(read(tmp_path, text)) == [("SPEAKER_01", "Hi.")]


def test_without_a_name_the_speaker_is_who_speaks_most_at_that_time(tmp_path: Path) -> None:
    assert said(read(tmp_path, "One.", "Two.", "Three.", "Four.")) == [
        ("SPEAKER_00", "One."),
        ("SPEAKER_00", "Two."),
        ("SPEAKER_00", "Three."),
        ("SPEAKER_01", "Four."),
    ]


def test_a_line_in_silence_goes_to_the_nearest_speaker_and_is_noted(tmp_path: Path) -> None:
    result = read(tmp_path, *[f"Line {number}." for number in range(1, 10)])
    assert said(result)[-1] == ("SPEAKER_01", "Line 9.")
    assert "cue 9 is in silence: assigned to SPEAKER_01, the nearest speaker, 1.00 s away." in result.notes


def test_a_word_and_a_colon_in_ordinary_text_are_not_a_speaker(tmp_path: Path) -> None:
    result = read(
        tmp_path, "It rains.", "Note: bring a coat.", "It snows.", "At 10:30: tea.", "Note: and a hat."
    )
    assert said(result)[1] == ("SPEAKER_00", "Note: bring a coat.")
    assert "Read as text, not as speakers: Note:." in result.notes


def test_names_that_open_most_lines_are_speakers(tmp_path: Path) -> None:
    lines = ["Anna: Hello.", "Ben: Hi.", "ANNA: Note: it rains.", "Ben: I see.", "Really?"]
    result = read(tmp_path, *lines, speakers=("Anna", "Ben"))
    assert said(result)[:4] == [
        ("Anna", "Hello."),
        ("Ben", "Hi."),
        ("Anna", "Note: it rains."),
        ("Ben", "I see."),
    ]
    assert said(result)[4] == ("SPEAKER_01", "Really?")


def test_names_that_open_most_lines_need_a_voice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Anna, Ben have no voice; the voices are SPEAKER_00, SPEAKER_01"):
        read(tmp_path, "Anna: Hello.", "Ben: Hi.", "Anna: It rains.", "Ben: I see.")


def test_a_label_that_the_diarization_does_not_know_needs_a_voice(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "One.", "[SPEAKER_07] Two.")
    assert caught.value.code == "script_speaker"
    assert '--reference "SPEAKER_07=voice.wav"' in caught.value.message


@pytest.mark.parametrize("name", ["../x", "a/b", "C:x", "nul", "a\u202eb", "x" * 101])
def test_a_name_that_cannot_name_a_folder_is_rejected(tmp_path: Path, name: str) -> None:
    lines = [{"start": 1, "end": 2, "text": "Hello.", "speaker": name}]
    (tmp_path / "a.json").write_text(json.dumps(lines), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        script_file.read_script(tmp_path / "a.json", None, language="en")
    assert caught.value.code == "unsafe_name"


def test_two_spellings_of_a_name_are_one_speaker(tmp_path: Path) -> None:
    result = read(tmp_path, "[Jos\u00e9] Hello.", "[JOSE\u0301] Hi.", diarization=None)
    assert [line.speaker for line in result.segments] == ["Jos\u00e9", "Jos\u00e9"]


def test_a_name_with_its_own_reference_needs_no_diarization(tmp_path: Path) -> None:
    assert said(read(tmp_path, "[Anna] Hello.", speakers=("Anna",))) == [("Anna", "Hello.")]


def test_a_sound_in_brackets_is_neither_a_speaker_nor_speech(tmp_path: Path) -> None:
    result = read(tmp_path, "One.", "[laughs] Two.", "Three.", "[thunder]")
    assert said(result) == [("SPEAKER_00", "One."), ("SPEAKER_00", "Two."), ("SPEAKER_00", "Three.")]
    assert [(text.where, text.text, text.reason) for text in result.omitted] == [
        ("cue 2", "[laughs]", "sound"),
        ("cue 4", "[thunder]", "sound"),
    ]


def test_without_known_speakers_brackets_name_the_speaker(tmp_path: Path) -> None:
    assert said(read(tmp_path, "[Anna] Hello.", diarization=None)) == [("Anna", "Hello.")]


def test_without_known_speakers_a_line_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cue 1 names no speaker") as caught:
        read(tmp_path, "Hello.", diarization=None)
    assert caught.value.code == "script_speaker_missing"


def test_a_label_without_words_is_omitted(tmp_path: Path) -> None:
    result = read(tmp_path, "One.", "[SPEAKER_01]", "SPEAKER_01:")
    assert said(result) == [("SPEAKER_00", "One.")]
    assert [(text.text, text.reason) for text in result.omitted] == [
        ("[SPEAKER_01]", "no words"),
        ("SPEAKER_01:", "no words"),
    ]
