from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.script import script_file
from voiceclone_cli.types import Script, Segment

LINES = Script(
    (
        Segment("0001", "SPEAKER_00", 0.5, 1.25, "Hello.", "en"),
        Segment("0003", "B", 3661.0, 3662.0, "¡Hola!", "es"),
    )
)


def test_json_holds_the_schema_the_language_and_every_field(tmp_path: Path) -> None:
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


def test_ids_that_are_no_cue_numbers_become_positions_in_srt(tmp_path: Path) -> None:
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


def test_other_extensions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.json or \.srt"):
        script_file.write_script(tmp_path / "a.vtt", LINES)
    assert not list(tmp_path.glob("*.vtt"))


def test_a_seed_of_its_own_stays_with_its_line(tmp_path: Path) -> None:
    script_file.write_script(
        tmp_path / "a.json", Script((replace(LINES.segments[0], seed=5), LINES.segments[1]))
    )
    again = script_file.read_script(tmp_path / "a.json", None, language="en")
    assert [line.seed for line in again.segments] == [5, None]
