"""corrections.json: written by us, edited by anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.correcting.corrections import LineCorrection, Merge, Rename, Was
from voiceclone_cli.correcting.history import SCHEMA, History, read_history, write_history
from voiceclone_cli.errors import InputError

AT = "2026-01-01T00:00:00+00:00"
LINE = LineCorrection(AT, "0001", Was("Grüße", "A", None), text="你好", speaker="B", seed=2**40)
ROW: dict[str, Any] = {
    "at": AT,
    "kind": "line",
    "id": "1",
    "was": {"text": "x", "speaker": "A", "seed": None},
}


def test_every_kind_comes_back_as_it_was(tmp_path: Path) -> None:
    history = History((LINE, Rename(AT, "A", "Anna"), Merge(AT, "B", "Anna", 3)), in_script=2)
    write_history(tmp_path / "c.json", history)
    assert read_history(tmp_path / "c.json") == history
    assert "你好" in (tmp_path / "c.json").read_text(encoding="utf-8")


def test_no_file_is_no_correction(tmp_path: Path) -> None:
    assert read_history(tmp_path / "c.json") == History()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no json",
        "[]",
        "[" * 100_000,
        json.dumps({"schema": "voiceclone.corrections/9", "corrections": []}),
        json.dumps({"schema": SCHEMA}),
        json.dumps({"schema": SCHEMA, "corrections": [1]}),
        json.dumps({"schema": SCHEMA, "corrections": [], "in_script": 1}),
        json.dumps({"schema": SCHEMA, "corrections": [], "in_script": True}),
    ],
)
def test_another_document_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="mend it, or remove it") as info:
        read_history(tmp_path / "c.json")
    assert info.value.code == "bad_corrections"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {**ROW, "kind": "swap"},
        {**ROW, "at": 3},
        {**ROW, "id": None},
        {**ROW, "was": None},
        {**ROW, "was": {"text": "", "speaker": "A"}},
        {**ROW, "text": "..."},
        {**ROW, "text": 5},
        {**ROW, "speaker": "../A"},
        {**ROW, "seed": -1},
        {**ROW, "seed": 2**63},
        {**ROW, "seed": 1.5},
        {**ROW, "seed": True},
        {"at": AT, "kind": "rename", "from": "A", "to": ".."},
        {"at": AT, "kind": "rename", "from": "A", "to": "Anna Maria"},
        {"at": AT, "kind": "rename", "from": "A"},
        {"at": AT, "kind": "merge", "from": "A", "to": "B"},
    ],
)
def test_a_correction_that_no_command_writes_is_named(tmp_path: Path, row: dict[str, Any]) -> None:
    document = {"schema": SCHEMA, "corrections": [ROW, row]}
    (tmp_path / "c.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=r"is wrong in correction 2: "):
        read_history(tmp_path / "c.json")


def test_a_folder_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_history(tmp_path)
