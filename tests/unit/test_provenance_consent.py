"""Consent records, and the notice of the first run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.provenance.consent import first_run_notice, read_consent, show_first_run_notice
from voiceclone_cli.types import ProgressEvent, no_progress

ANNA = {"speaker": "ANNA", "name": "Anna Berg", "agreed_to": "a Spanish dub", "date": "2026-03-01"}
BERT = {**ANNA, "speaker": "BERT", "name": "Bert Lind", "note": "contract 17"}


def consent_file(folder: Path, content: object, name: str = "consent.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_table_in_the_encoding_of_a_chinese_spreadsheet_is_read_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "consent.csv"
    table = "speaker,name,agreed_to,date\nSPEAKER_00,李小明,同意用我的声音配音,2026-03-01\n"
    path.write_bytes(table.encode("gbk"))
    document, (note,) = read_consent(path, ["SPEAKER_00"])
    assert document["speakers"][0]["name"] == "李小明"
    assert note == "consent.csv is not UTF-8 and was read as gb18030: give --encoding if that is wrong."


def test_json_and_csv_give_the_same(tmp_path: Path) -> None:
    rows = [ANNA, BERT]
    table = "speaker,name,agreed_to,date,note\n" + "\n".join(
        ",".join((row["speaker"], row["name"], row["agreed_to"], row["date"], row.get("note", "")))
        for row in rows
    )
    by_json, _ = read_consent(consent_file(tmp_path, {"speakers": rows}), ["ANNA", "BERT"])
    by_csv, _ = read_consent(consent_file(tmp_path, table, "consent.csv"), ["ANNA", "BERT"])
    assert by_json["speakers"] == by_csv["speakers"] == [{**ANNA, "note": ""}, BERT]


def test_bare_list_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    document, notes = read_consent(consent_file(tmp_path, "\ufeff" + json.dumps([ANNA])), ["ANNA"])
    assert document["speakers"][0]["name"] == "Anna Berg" and notes == []


def test_speakers_without_consent_are_reported_and_kept(tmp_path: Path) -> None:
    document, notes = read_consent(consent_file(tmp_path, [ANNA]), ["ANNA", "BERT", "CARL"])
    assert document["missing"] == ["BERT", "CARL"]
    assert len(notes) == 1 and "BERT, CARL" in notes[0]


def test_entry_of_an_unknown_speaker_is_reported(tmp_path: Path) -> None:
    _, (note,) = read_consent(consent_file(tmp_path, [ANNA, BERT]), ["ANNA"])
    assert "BERT" in note and "not in this recording" in note


@pytest.mark.parametrize(
    ("content", "name", "code", "says"),
    [
        ("{", "a.json", "consent_format", "not JSON"),
        ("[" * 100_000, "a.json", "consent_format", "not JSON"),
        ({"people": []}, "a.json", "consent_format", 'no list "speakers"'),
        ([], "a.json", "consent_format", "has no entry"),
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
def test_invalid_record_is_reported_with_its_row(
    tmp_path: Path, content: Any, name: str, code: str, says: str
) -> None:
    with pytest.raises(InputError) as refused:
        read_consent(consent_file(tmp_path, content, name), ["ANNA"])
    assert refused.value.code == code and says in refused.value.message
    assert "\n" not in refused.value.message


def test_missing_or_binary_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for path, code in (
        (tmp_path / "none.json", "consent_unreadable"),
        (tmp_path / "binary.json", "consent_format"),
    ):
        with pytest.raises(InputError) as refused:
            read_consent(path, [])
        assert refused.value.code == code


FISH, KOKORO = ("fish", "Fish: CC-BY-NC-SA-4.0, non-commercial."), ("kokoro", "Kokoro: Apache-2.0.")


def test_law_and_licence_are_shown_once() -> None:
    notice = first_run_notice(*FISH)
    assert notice is not None
    assert "agreed" in notice and "AI Act" in notice and "non-commercial" in notice
    assert first_run_notice(*FISH) is None


def test_second_engine_adds_its_licence_only() -> None:
    first_run_notice(*KOKORO)
    notice = first_run_notice(*FISH)
    assert notice is not None and "CC-BY-NC-SA-4.0" in notice and "AI Act" not in notice


def test_other_weights_of_an_engine_have_their_own_licence() -> None:
    first_run_notice(*FISH)
    notice = first_run_notice("fish-s2", "Fish: Research License.")
    assert notice is not None and "Research License" in notice and "AI Act" not in notice
    assert first_run_notice(*FISH) is None


def test_tones_need_no_notice() -> None:
    assert first_run_notice("echo", "") is None


def test_notice_waits_for_a_caller_who_shows_progress() -> None:
    show_first_run_notice(*KOKORO, no_progress)
    seen: list[ProgressEvent] = []
    show_first_run_notice(*KOKORO, seen.append)
    show_first_run_notice(*KOKORO, seen.append)
    assert len(seen) == 1 and seen[0].stage == "note" and "Apache-2.0" in seen[0].note


@pytest.mark.skipif(os.name == "nt", reason="XDG_STATE_HOME is for Linux")
def test_notice_is_shown_again_if_its_state_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert first_run_notice(*KOKORO) == first_run_notice(*KOKORO) is not None
