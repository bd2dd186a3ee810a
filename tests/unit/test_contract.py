from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_worker.contract import (
    ContractError,
    EncodeTask,
    EngineSpec,
    Failure,
    ReferenceRow,
    ReferenceSpec,
    Result,
    SegmentRow,
    SegmentSpec,
    SynthesisTask,
    event_line,
    parse_event,
    read_task,
    result_from_json,
    result_to_json,
    task_from_json,
    task_to_json,
)

ENGINE = EngineSpec("fish", "/checkpoint", batch_size=3, options={"temperature": 0.7})
TASK = SynthesisTask(
    "SPEAKER_00",
    ENGINE,
    ReferenceSpec("SPEAKER_00", "/reference.wav", "the words", "/codes.npy"),
    "/segments",
    (SegmentSpec("0001", "Grüße, 世界", "de", 123, 12.5), SegmentSpec("0002", "no slot", "en", 4)),
)


def document(**changes: Any) -> str:
    return json.dumps({**json.loads(task_to_json(TASK)), **changes})


def test_a_task_survives_its_file() -> None:
    assert task_from_json(task_to_json(TASK)) == TASK


def test_an_encode_task_survives_its_file() -> None:
    task = EncodeTask(ENGINE, (TASK.reference, ReferenceSpec("SPEAKER_01", "/b.wav", "", "/b.npy")))
    assert task_from_json(task_to_json(task)) == task


def test_the_file_has_the_layout_that_the_design_shows() -> None:
    content = json.loads(task_to_json(TASK))
    assert content["schema"] == "voiceclone.task/1"
    assert content["engine"]["temperature"] == 0.7 and content["engine"]["batch_size"] == 3
    assert content["reference"] == {"audio": "/reference.wav", "text": "the words", "codes": "/codes.npy"}
    assert content["segments"][0]["max_seconds"] == 12.5


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"schema": "voiceclone.task/9"}, "schema"),
        ({"op": "sing"}, "op"),
        ({"engine": "fish"}, "engine"),
        ({"engine": {"name": "fish", "batch_size": 0}}, "batch_size"),
        ({"engine": {"name": "fish", "batch_size": True}}, "batch_size"),
        ({"segments": {}}, "segments"),
        ({"segments": [1]}, "segments"),
        ({"segments": [{"id": "1", "text": "a"}, {"id": "1", "text": "b"}]}, "would name one file"),
        ({"segments": [{"id": "../1", "text": "a"}]}, "cannot name a file"),
        ({"segments": [{"id": "..", "text": "a"}]}, "cannot name a file"),
        ({"segments": [{"id": "1"}]}, "text"),
        ({"output_dir": None}, "output_dir"),
    ],
)
def test_a_wrong_task_is_refused_in_one_sentence(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint) as refusal:
        task_from_json(document(**changes))
    assert "\n" not in str(refusal.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe{")
    for path in (tmp_path / "missing.json", tmp_path / "latin.json", tmp_path):
        with pytest.raises(ContractError, match=path.name):
            read_task(path)


def test_a_result_survives_its_line() -> None:
    result = Result(
        segments=(
            SegmentRow(0, "0001", "done", "/0001.wav", 1.5, 66150, 123, 2),
            SegmentRow(1, "0002", "failed", error=Failure("out_of_memory", "no room at all")),
        ),
        references=(ReferenceRow(0, "SPEAKER_00", "done", "/codes.npy", 0.5),),
        timing={"generate": 1.25},
    )
    line = result_to_json(result)
    assert "\n" not in line
    assert result_from_json(line) == result


@pytest.mark.parametrize("line", ["", "null", "[]", "{}", '{"schema": "voiceclone.result/1"}', "{" * 100_000])
def test_what_is_no_result_is_refused(line: str) -> None:
    with pytest.raises(ContractError):
        result_from_json(line)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_makes_the_readers_raise_anything_else(text: str) -> None:
    for reader in (task_from_json, result_from_json):
        with pytest.raises(ContractError):
            reader(text)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.none() | st.integers() | st.text() | st.lists(st.dictionaries(st.text(), st.text()))
            for key in ("op", "engine", "speaker", "reference", "references", "output_dir", "segments")
        },
    )
)
def test_a_task_of_wrong_parts_raises_only_contract_errors(parts: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        task_from_json(document(**{**parts, "engine": parts.get("engine", 0)}))


def test_an_event_survives_its_line_and_log_lines_are_none() -> None:
    line = event_line("segment_done", id="0001", text="ä\n")
    assert "\n" not in line
    assert parse_event(line) == {"event": "segment_done", "id": "0001", "text": "ä\n"}
    for log in ("hello", "@voiceclone {torn", "@voiceclone []", '@voiceclone {"event": 1}', ""):
        assert parse_event(log) is None
