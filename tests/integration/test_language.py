"""The language of a script in whole runs: in script.json, run.json, the plan and one line of the progress."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import voiceclone
from short_talk import short_talk

pytestmark = pytest.mark.engine

SPANISH = """\
1
00:00:00,500 --> 00:00:03,500
[ANNA] Hola, ¿cómo estás hoy? Mañana vamos al cine.

2
00:00:08,000 --> 00:00:11,000
[BERT] No lo sé todavía, pero me gustaría mucho ir contigo.
"""


def test_a_script_that_says_nothing_is_read_as_what_it_looks_like_and_redo_keeps_that(tmp_path: Path) -> None:
    talk = short_talk(tmp_path)
    script = tmp_path / "translation_es.srt"
    script.write_text(SPANISH, encoding="utf-8")
    inputs = [talk.wav, "--turns", talk.rttm, "--script", script, "--engine", "echo", "--no-report"]
    planned = voiceclone("plan", *inputs, "--out", tmp_path / "run", "--json", cwd=tmp_path).document
    assert (planned["language"], planned["language_why"]) == ("es", "the text looks like Spanish")
    ended = voiceclone("run", *inputs, "--out", tmp_path / "run", "--json", cwd=tmp_path)
    assert "language: es, because the text looks like Spanish" in ended.err
    assert (ended.document["language"], ended.document["language_why"]) == (
        "es",
        "the text looks like Spanish",
    )
    assert json.loads((tmp_path / "run" / "script.json").read_text(encoding="utf-8"))["language"] == "es"
    assert not [note for note in ended.document["notes"] if "language" in note]
    again = voiceclone("redo", tmp_path / "run", "0001", "--json", cwd=tmp_path).document
    assert {row["language"] for row in again["segments"]} == {"es"}


def test_a_contradiction_is_a_note_that_is_shown_before_the_work(tmp_path: Path) -> None:
    talk = short_talk(tmp_path)
    script = tmp_path / "talk.es.srt"
    script.write_text(SPANISH, encoding="utf-8")
    inputs = [talk.wav, "--turns", talk.rttm, "--script", script, "--until", "script", "--engine", "echo"]
    ended = voiceclone(
        "run", *inputs, "--language", "en_GB", "--out", tmp_path / "run", "--json", cwd=tmp_path
    )
    warning = "the script is read as English (en-GB) (--language), but its text looks like Spanish"
    assert f"note: {warning}" in ended.err
    assert any(note.startswith(warning) for note in ended.document["notes"])
    assert {row["language"] for row in ended.document["segments"]} == {"en-GB"}


def test_the_language_of_a_list_is_named_as_the_lists(tmp_path: Path) -> None:
    talk = short_talk(tmp_path)
    rows = tmp_path / "list.csv"
    rows.write_text(
        f"input,name,script,turns,language\n{talk.wav},a,{talk.script},{talk.rttm},eng\n"
        f"{talk.wav},b,{talk.script},{talk.rttm},\n",
        encoding="utf-8",
    )
    batch = tmp_path / "batch"
    ended = voiceclone(
        "run", "--list", rows, "--engine", "echo", "--until", "script", "--out", batch, cwd=tmp_path
    )
    assert ended.code == 0, ended.err
    found = {
        name: json.loads((batch / name / "run.json").read_text(encoding="utf-8"))["language_why"]
        for name in ("a", "b")
    }
    assert found == {"a": "the list says so", "b": "the text looks like English"}
