"""What somebody who clones voices is told once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.provenance.consent import first_run_notice, read_consent, show_first_run_notice
from voiceclone_cli.types import ProgressEvent, no_progress

# Who agreed to have their voice cloned.


ANNA = {"speaker": "ANNA", "name": "Anna Berg", "agreed_to": "a Spanish dub", "date": "2026-03-01"}
BERT = {**ANNA, "speaker": "BERT", "name": "Bert Lind", "note": "contract 17"}


def consent_file(folder: Path, content: object, name: str = "consent.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    rows = [ANNA, BERT]
    table = "speaker,name,agreed_to,date,note\n" + "\n".join(
        ",".join((row["speaker"], row["name"], row["agreed_to"], row["date"], row.get("note", "")))
        for row in rows
    )
    by_json, _ = read_consent(consent_file(tmp_path, {"speakers": rows}), ["ANNA", "BERT"])
    by_csv, _ = read_consent(consent_file(tmp_path, table, "consent.csv"), ["ANNA", "BERT"])
    assert by_json["speakers"] == by_csv["speakers"] == [{**ANNA, "note": ""}, BERT]


def test_a_bare_list_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    document, notes = read_consent(consent_file(tmp_path, "\ufeff" + json.dumps([ANNA])), ["ANNA"])
    assert document["speakers"][0]["name"] == "Anna Berg" and notes == []


def test_whom_it_does_not_cover_is_told_and_kept(tmp_path: Path) -> None:
    document, notes = read_consent(consent_file(tmp_path, [ANNA]), ["ANNA", "BERT", "CARL"])
    assert document["missing"] == ["BERT", "CARL"]
    assert len(notes) == 1 and "BERT, CARL" in notes[0]


def test_a_row_for_nobody_in_the_recording_is_told(tmp_path: Path) -> None:
    _, (note,) = read_consent(consent_file(tmp_path, [ANNA, BERT]), ["ANNA"])
    assert "BERT" in note and "not heard" in note


@pytest.mark.parametrize(
    ("content", "name", "code", "says"),
    [
        ("{", "a.json", "consent_format", "not JSON"),
        ("[" * 100_000, "a.json", "consent_format", "not JSON"),
        ({"people": []}, "a.json", "consent_format", 'no list "speakers"'),
        ([], "a.json", "consent_format", "names nobody"),
        ("speaker,name\nA,B\n", "a.csv", "consent_format", "no column agreed_to, date"),
        ("x" * 2_000_000, "a.json", "consent_format", "larger than 1 MB"),
        ([["ANNA"]], "a.json", "consent_row", "row 1: it is not an object"),
        ([{**ANNA, "name": " "}], "a.json", "consent_row", 'row 1: "name" is missing'),
        ([ANNA, {**BERT, "date": "last spring"}], "a.json", "consent_row", 'row 2: "date" must be like'),
        ([{**ANNA, "date": 20260301}], "a.json", "consent_row", '"date" must be a text'),
        ([{**ANNA, "note": "x" * 5000}], "a.json", "consent_row", '"note" must be a text'),
        ([ANNA, ANNA], "a.json", "consent_row", "row 2: ANNA has a row already"),
    ],
)
def test_a_fault_is_one_sentence_with_its_row(
    tmp_path: Path, content: Any, name: str, code: str, says: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_consent(consent_file(tmp_path, content, name), ["ANNA"])
    assert refused.value.code == code and says in refused.value.message
    assert "\n" not in refused.value.message


def test_a_file_that_is_not_there_or_not_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for path, code in (
        (tmp_path / "none.json", "consent_unreadable"),
        (tmp_path / "binary.json", "consent_format"),
    ):
        with pytest.raises(InputError) as refused:
            read_consent(path, [])
        assert refused.value.code == code


def test_the_law_and_the_licence_are_told_once() -> None:
    notice = first_run_notice("fish")
    assert notice is not None
    assert "agreed" in notice and "AI Act" in notice and "non-commercial" in notice
    assert first_run_notice("fish") is None


def test_another_engine_adds_its_licence_without_the_law() -> None:
    first_run_notice("kokoro")
    notice = first_run_notice("fish")
    assert notice is not None and "CC-BY-NC-SA-4.0" in notice and "AI Act" not in notice


def test_tones_need_no_notice() -> None:
    assert first_run_notice("echo") is None


def test_who_does_not_look_is_told_the_next_time() -> None:
    show_first_run_notice("kokoro", no_progress)
    seen: list[ProgressEvent] = []
    show_first_run_notice("kokoro", seen.append)
    show_first_run_notice("kokoro", seen.append)
    assert len(seen) == 1 and seen[0].stage == "note" and "Apache-2.0" in seen[0].note


@pytest.mark.skipif(os.name == "nt", reason="a variable of Linux's")
def test_where_nothing_can_be_written_it_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert first_run_notice("kokoro") == first_run_notice("kokoro") is not None
