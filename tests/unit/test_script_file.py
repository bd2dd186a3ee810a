"""Reading and writing of script files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import changed, examples, expect_one_sentence
from script_samples import make_sample, words_of
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import are_safe_names, check_speaker_names
from voiceclone_cli.script import script_file
from voiceclone_cli.script.labels import COLONS, strip_marks
from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.script.script_file import to_json, to_srt
from voiceclone_cli.types import Diarization, Script, Segment, Turn

LINES = Script(
    (
        Segment("0001", "SPEAKER_00", 0.5, 1.25, "Hello.", "en"),
        Segment("0003", "B", 3661.0, 3662.0, "¡Hola!", "es"),
    )
)


def test_json_has_the_schema_the_language_and_every_field(tmp_path: Path) -> None:
    script_file.write_script(tmp_path / "a.json", LINES)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "schema": "voiceclone.script/1",
        "language": "en",
        "segments": [
            {
                "id": "0001",
                "speaker": "SPEAKER_00",
                "start": 0.5,
                "end": 1.25,
                "text": "Hello.",
                "language": "en",
            },
            {
                "id": "0003",
                "speaker": "B",
                "start": 3661.0,
                "end": 3662.0,
                "text": "¡Hola!",
                "language": "es",
            },
        ],
    }


def test_srt_is_what_a_subtitle_editor_expects(tmp_path: Path) -> None:
    script_file.write_script(tmp_path / "a.srt", LINES)
    assert (tmp_path / "a.srt").read_text(encoding="utf-8") == (
        "1\n00:00:00,500 --> 00:00:01,250\n[SPEAKER_00] Hello.\n\n"
        "3\n01:01:01,000 --> 01:01:02,000\n[B] ¡Hola!\n"
    )  # fmt: skip


def test_ids_that_are_not_cue_numbers_become_positions_in_srt(tmp_path: Path) -> None:
    lines = Script(
        (Segment("intro", "A", 0.0, 1.0, "Hello.", "en"), Segment("0009", "A", 2.0, 3.0, "Bye.", "en"))
    )
    script_file.write_script(tmp_path / "a.srt", lines)
    assert [
        line.id for line in script_file.read_script(tmp_path / "a.srt", None, language="en").segments
    ] == [
        "0001",
        "0002",
    ]


def test_ordinary_text_is_not_escaped(tmp_path: Path) -> None:
    line = Segment("0001", "A", 0.0, 1.0, "R&D: 5 > 3, {so} 10:30 & <3", "en")
    script_file.write_script(tmp_path / "a.srt", Script((line,)))
    assert line.text in (tmp_path / "a.srt").read_text(encoding="utf-8")


def test_other_extensions_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.json, \.srt or \.vtt"):
        script_file.write_script(tmp_path / "a.ass", LINES)
    assert not list(tmp_path.glob("*.ass"))


def test_a_seed_stays_with_its_line(tmp_path: Path) -> None:
    script_file.write_script(
        tmp_path / "a.json", Script((replace(LINES.segments[0], seed=5), LINES.segments[1]))
    )
    again = script_file.read_script(tmp_path / "a.json", None, language="en")
    assert [line.seed for line in again.segments] == [5, None]


# Properties.

TURNS = (Turn(0.0, 10.0, "SPEAKER_00"), Turn(5.0, 20.0, "SPEAKER_01"))
TWO_PEOPLE = Diarization(TURNS, TURNS, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")


fragments = st.sampled_from(
    ["1\n", "\n\n", "00:00:01,000 --> 00:00:02,000\n", " 00:00:03,000", "00:00:01,000", "00:01.000 --> 00:02.000\n", "-->", "WEBVTT\n", "<v Anna>",
     "<i>", "{\\an8}", "[SPEAKER_01] ", "Anna: ", "hello ", "NOTE x\n", "&#0;", "[Events]\n", "[Fonts]\nfontname: a\n",
     "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,", "Style: a,b,&Hzz,\n", "start,end,text\n", '1,2,"', ";", "\t",
     '{"segments": [', '{"start": 1, "end": 2, "text": ', '"a"', "}", "]", "1e999", "NaN", "null", "Format: Text\n"]
)  # fmt: skip
contents = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
    st.lists(st.one_of(fragments, st.text(max_size=5)), max_size=25).map(
        lambda parts: "".join(parts).encode(errors="surrogatepass")
    ),
)


@pytest.mark.parametrize("suffix", [".srt", ".vtt", ".ass", ".ssa", ".json", ".csv", ".tsv"])
@examples
@given(content=contents)
def test_any_content_is_a_script_or_a_clear_error(folder: Path, suffix: str, content: bytes) -> None:
    path = folder / f"a{suffix}"
    path.write_bytes(content)
    try:
        result = script_file.read_script(path, TWO_PEOPLE, language="en", recording_seconds=3600.0)
    except InputError as error:
        expect_one_sentence(error)
    else:
        assert all(0 <= line.start < line.end and line.text and line.speaker for line in result.segments)
        assert are_safe_names([line.id for line in result.segments])
        check_speaker_names(line.speaker for line in result.segments)


JSON_SCRIPT = {
    "schema": "voiceclone.script/1",
    "language": "en",
    "segments": [
        {"id": "a", "speaker": "Anna", "start": 1.5, "end": "0:03", "text": "Hello.", "language": "es"},
        {"start": 4, "end": 5, "text": "[Ben] Hi."},
    ],
}


@pytest.mark.parametrize("diarization", [TWO_PEOPLE, None])
@examples
@given(content=changed(JSON_SCRIPT))
def test_a_damaged_json_script_is_a_script_or_a_clear_error(
    folder: Path, diarization: Diarization | None, content: str
) -> None:
    path = folder / "a.json"
    path.write_bytes(content.encode(errors="surrogatepass"))
    try:
        result = script_file.read_script(path, diarization, language="en", speakers=("Anna", "Ben"))
    except InputError as error:
        expect_one_sentence(error)
        return
    path.write_text(script_file.to_json(result), encoding="utf-8")
    again = script_file.read_script(path, diarization, language="en", speakers=("Anna", "Ben"))
    assert again.segments == result.segments


@settings(examples, max_examples=max(300, examples.max_examples))
@given(seed=st.integers(0, 10**9))
def test_every_word_of_a_file_is_spoken_or_listed_as_omitted(folder: Path, seed: int) -> None:
    sample = make_sample(seed)
    path = folder / f"a{sample.suffix}"
    path.write_bytes(sample.content.encode())
    try:
        result = script_file.read_script(
            path, TWO_PEOPLE, language="en", speakers=("Anna", "Ben"), recording_seconds=12.0
        )
    except InputError as error:
        expect_one_sentence(error)
        return
    found = words_of("\n".join(item.text for item in (*result.segments, *result.omitted)))
    assert sample.words - found == Counter(), sample.content
    assert found - sample.words - sample.labels == Counter(), sample.content
    if not result.omitted:  # what is omitted has lost its label
        labels = set(sample.labels - (found - sample.words))
        assert labels <= set(words_of(" ".join(line.speaker for line in result.segments))), sample.content


special = st.sampled_from(
    ["&lt;", "&", "<b>", "< 3", "{\\i1}", "\\N", "-->", "00:00:01,000", "[x]", "Anna:", "\\", "é", "你", "#"]
)
texts = (
    st.lists(st.one_of(special, st.text(st.characters(exclude_categories=["Cs"]), max_size=6)), max_size=6)
    .map(lambda parts: clean_text(strip_marks(" ".join(parts))).lstrip(f"{COLONS} "))
    .filter(lambda text: any(character.isalnum() for character in text))
)
milliseconds = st.integers(0, 359_000_000)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    lines = []
    starts = draw(st.lists(milliseconds, min_size=1, max_size=8, unique=True))
    for number, start in enumerate(sorted(starts), 1):
        end = start + draw(st.integers(1, 90_000))
        speaker = draw(st.sampled_from(["SPEAKER_00", "SPEAKER_01"]))
        lines.append(
            Segment(f"{number:04d}", speaker, start / 1000, end / 1000, f"{draw(texts)} {number}", "es")
        )
    return Script(tuple(lines))


@pytest.mark.parametrize("written", [to_json, to_srt])
@pytest.mark.parametrize("diarization", [TWO_PEOPLE, None])
@examples
@given(original=scripts())
def test_what_is_written_is_read_without_loss(
    folder: Path, written: Callable[[Script], str], diarization: Diarization | None, original: Script
) -> None:
    """All of it, where everything is taken as speech; else what was read once, which has no sounds any more."""
    path = folder / ("a.json" if written is to_json else "a.srt")
    path.write_text(written(original), encoding="utf-8")
    again = script_file.read_script(path, diarization, language="es", sounds=True)
    assert [line.text for line in again.segments] == [line.text for line in original.segments]
    assert again.named_language == ("es" if written is to_json else "")
    assert replace(again, found_by={}, named_language="") == original
    try:
        speech = script_file.read_script(path, diarization, language="es")
    except InputError as error:
        assert error.code == "script_empty"
        return
    path.write_text(written(speech), encoding="utf-8")
    assert script_file.read_script(path, diarization, language="es").segments == speech.segments


def test_a_script_keeps_what_its_lines_are_translations_of(tmp_path: Path) -> None:
    lines = (
        Segment("0001", "ANNA", 0.0, 1.0, "Buenos días.", "es", original="Good morning."),
        Segment("0002", "ANNA", 2.0, 3.0, "Sí.", "es"),
    )
    path = tmp_path / "talk.json"
    script_file.write_script(path, Script(lines))
    assert [row.get("original") for row in json.loads(path.read_text("utf-8"))["segments"]] == [
        "Good morning.",
        None,
    ]
    turns = (Turn(0.0, 4.0, "ANNA"),)
    assert script_file.read_script(path, Diarization(turns, turns, "test"), language="").segments == lines
