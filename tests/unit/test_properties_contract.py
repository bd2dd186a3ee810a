"""Whatever a task file, a result line or an event line says: a value, or one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import changed, examples, expect_one_sentence, texts, values
from voiceclone_worker import contract
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
    Task,
    file_key,
    name_fault,
    parse_event,
    read_task,
    result_from_json,
    result_to_json,
    task_from_json,
    task_to_json,
)

ROOT = os.path.abspath(os.sep)
ENGINE = EngineSpec("fish", f"{ROOT}checkpoint", batch_size=3, options={"temperature": 0.7})
REFERENCE = ReferenceSpec("A", f"{ROOT}a.wav", "the words", f"{ROOT}a.npy")
SPEECH = SynthesisTask(
    "A",
    ENGINE,
    REFERENCE,
    f"{ROOT}out",
    (SegmentSpec("1", "x", "en", 1, 2.5), SegmentSpec("2", "y", "de", 2, take=3)),
)
ENCODING = EncodeTask(ENGINE, (REFERENCE, ReferenceSpec("B", f"{ROOT}b.wav", "", f"{ROOT}b.npy")))
RESULT = Result(
    (SegmentRow(0, "1", "done", f"{ROOT}1.wav", 1.5, 66150, 1, 2, "a" * 64), SegmentRow(0, "2", "failed", error=Failure("c", "m"))),
    (ReferenceRow(0, "A", "done", f"{ROOT}a.npy", 0.5),),
    {"generate": 1.25},
    ("a note",),
    Failure("code", "message"),
    lease=3,
)  # fmt: skip

tasks = st.sampled_from([SPEECH, ENCODING]).map(task_to_json).map(json.loads)


def check_promises(task: Task) -> None:
    """What a task may have written stays where it says, and no two of its files are one."""
    if isinstance(task, EncodeTask):
        names = [reference.speaker for reference in task.references]
        assert all(reference.codes.endswith(contract.CODES_ENDINGS) for reference in task.references)
    else:
        names = [segment.id for segment in task.segments]
        folder = Path(task.output_dir)
        assert all((folder / f"{name}.wav").parent == folder for name in names)
        assert not names or folder.is_absolute()
    assert not any(map(name_fault, names))
    assert len({file_key(name) for name in names}) == len(names)


@examples
@given(st.data())
def test_a_damaged_task_is_a_task_or_one_sentence(data: st.DataObject) -> None:
    text = data.draw(changed(data.draw(tasks)))
    try:
        task = task_from_json(text)
    except ContractError as error:
        expect_one_sentence(error)
    else:
        check_promises(task)
        assert task_from_json(task_to_json(task)) == task


@examples
@given(text=changed(json.loads(result_to_json(RESULT))))
def test_a_damaged_result_is_a_result_or_one_sentence(text: str) -> None:
    try:
        result = result_from_json(text)
    except ContractError as error:
        expect_one_sentence(error)
    else:
        written = result_from_json(result_to_json(result))  # which rounds times
        line = result_to_json(written)
        assert "\n" not in line and result_from_json(line) == written


@examples
@given(text=st.text() | values.map(json.dumps))
def test_any_text_is_refused_by_every_reader_in_one_sentence(text: str) -> None:
    for reader in (task_from_json, result_from_json):
        with pytest.raises(ContractError) as refusal:
            reader(text)
        expect_one_sentence(refusal.value)


@examples
@given(content=st.binary(max_size=100) | tasks.map(json.dumps).map(str.encode))
def test_any_file_is_a_task_or_one_sentence(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any-task.json"
    path.write_bytes(content)
    try:
        check_promises(read_task(path))
    except ContractError as error:
        expect_one_sentence(error)


@examples
@given(text=st.text() | values.map(json.dumps) | changed({"event": "ready", "lease": 1, "seconds": 0.5}))
def test_any_line_is_an_event_or_none(text: str) -> None:
    assert parse_event(text) is None
    event = parse_event(contract.EVENT_TAG + text)
    assert event is None or isinstance(event["event"], str)


@examples
@given(fields=st.dictionaries(texts.filter(lambda key: key != "event"), values, max_size=3))
def test_an_event_survives_its_line(fields: dict[str, Any]) -> None:
    line = contract.event_line("note", **fields)
    assert "\n" not in line
    line.encode()
    read = parse_event(line)
    # A line may hold what Python's JSON writes and the contract refuses: a number that is none.
    assert read is None or read.keys() == {"event", *fields}


rows = st.builds(
    SegmentRow,
    task=st.integers(0, 10),
    id=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    status=st.sampled_from(["done", "failed"]),
    seconds=st.none() | st.floats(0, 1000),
    frames=st.none() | st.integers(0, 2**40),
    seed=st.none() | st.integers(0, 2**63 - 1),
)


@examples
@given(segments=st.lists(rows, max_size=5), lease=st.integers(0, 9))
def test_any_result_survives_its_line(segments: list[SegmentRow], lease: int) -> None:
    result = Result(tuple(segments), lease=lease)
    assert result_from_json(result_to_json(result)) == result
