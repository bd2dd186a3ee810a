from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from properties import expect_one_sentence
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
    (SegmentSpec("0001", "Grüße, 世界", "de", 123, 12.5), SegmentSpec("0002", "no slot", "en", 4, take=7)),
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
        ({"output_dir": "segments"}, "absolute path"),
        ({"output_dir": "/a\0b"}, "absolute path"),
        ({"output_dir": "/" + "a" * 5000}, "absolute path"),
        ({"op": "x" * 100_000}, "op"),
        ({"op": [[[]]]}, "a list"),
        ({"schema": "x" * 100_000}, "schema"),
        ({"speaker": "../x"}, "cannot name a file"),
        ({"engine": {"name": "fish", "batch_size": 2000}}, "from 1 to 1,024"),
        ({"engine": {"name": "fish", "checkpoint": "here"}}, "absolute path"),
        ({"engine": {"name": "fish", "deep": [[[[[[[[[]]]]]]]]]}}, "nest more than 8"),
        ({"reference": {"audio": "../x.wav"}}, "absolute path"),
        ({"reference": {"text": "a" * 5001}}, "5,001 characters, more than 5,000"),
        ({"segments": [{"id": "1", "text": "a" * 5001}]}, "5,001 characters, more than 5,000"),
        ({"segments": [{"id": "1", "text": "\ud800"}]}, "half a character"),
        ({"segments": [{"id": "con", "text": "a"}]}, "device"),
        ({"segments": [{"id": "a", "text": ""}, {"id": "A", "text": ""}]}, "would name one file"),
        ({"segments": [{"id": "1", "text": "a", "seed": -1}]}, "seed"),
        ({"segments": [{"id": "1", "text": "a", "seed": 2**63}]}, "seed"),
        ({"segments": [{"id": "1", "text": "a", "take": -1}]}, "take"),
        ({"segments": [{"id": "1", "text": "a", "take": 2**63}]}, "take"),
        ({"segments": [{"id": "1", "text": "a", "max_seconds": 10**400}]}, "max_seconds"),
        ({"segments": [{"id": "1", "text": "a", "max_seconds": float("nan")}]}, "NaN is no number"),
        ({"segments": [{}] * 100_001}, "100,001 entries, more than 100,000"),
    ],
)
def test_a_wrong_task_is_refused_in_one_sentence(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint) as refusal:
        task_from_json(document(**changes))
    expect_one_sentence(refusal.value)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"codes": "/home/me/.bashrc"}, "ends in .npy, .npz, .txt"),
        ({"codes": "/a.npy", "audio": "/a.npy"}, "a file of its own"),
        ({"codes": ""}, "ends in"),
        ({"codes": "a.npy"}, "absolute path"),
        ({"speaker": "a/b"}, "cannot name a file"),
        ({"speaker": "spEAKER_01"}, "would name one file"),
        ({"codes": "/b.npy"}, "would name one file"),
    ],
)
def test_codes_are_written_to_files_of_their_own(changes: dict[str, Any], complaint: str) -> None:
    other = ReferenceSpec("SPEAKER_01", "/b.wav", "", "/b.npy")
    content = json.loads(task_to_json(EncodeTask(ENGINE, (TASK.reference, other))))
    content["references"][0].update(changes)
    with pytest.raises(ContractError, match=complaint) as refusal:
        task_from_json(json.dumps(content))
    expect_one_sentence(refusal.value)


def test_a_task_without_segments_needs_no_folder() -> None:
    task = SynthesisTask("", ENGINE, ReferenceSpec("", "", "", ""), "", ())
    assert task_from_json(task_to_json(task)) == task


def test_a_path_of_bytes_that_are_not_unicode_survives_its_file(tmp_path: Path) -> None:
    task = replace(TASK, output_dir=os.fsdecode(b"/caf\xe9"))
    (tmp_path / "task.json").write_text(task_to_json(task), encoding="utf-8")
    assert read_task(tmp_path / "task.json") == task


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe{")
    for path in (tmp_path / "missing.json", tmp_path / "latin.json", tmp_path, tmp_path / "nul\0"):
        with pytest.raises(ContractError, match=path.name.partition("\0")[0]):
            read_task(path)


def test_a_file_larger_than_any_task_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ContractError, match="larger than 64 MB"):
        read_task(tmp_path / "huge.json")


def test_more_values_than_any_task_has_are_refused_before_they_are_made() -> None:
    with pytest.raises(ContractError, match="more than 4,000,000 values"):
        task_from_json("[" + "[]," * 2_000_001 + "1]")


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


@pytest.mark.parametrize(
    "row",
    [
        {"seconds": 10**400},
        {"seconds": -1},
        {"frames": -1},
        {"seed": "1"},
        {"task": -1},
        {"file": "here.wav"},
        {"id": "a" * 201},
        {"id": "\ud800"},
        {"status": "perhaps"},
        {"error": "none"},
        {"error": {"code": 1, "message": "a"}},
    ],
)
def test_a_row_with_a_wrong_part_is_refused(row: dict[str, Any]) -> None:
    document = json.loads(result_to_json(Result((SegmentRow(0, "1", "done"),))))
    document["segments"][0].update(row)
    with pytest.raises(ContractError) as refusal:
        result_from_json(json.dumps(document))
    expect_one_sentence(refusal.value)


@pytest.mark.parametrize("timing", [[], {"load": []}, {"load": "soon"}, {"load": -1}, {"load": 10**400}])
def test_timing_that_is_no_time_is_refused(timing: Any) -> None:
    document = {**json.loads(result_to_json(Result())), "timing": timing}
    with pytest.raises(ContractError):
        result_from_json(json.dumps(document))


def test_what_a_worker_says_reaches_no_terminal_as_a_command() -> None:
    result = Result(notes=("a\x1b[2Jb\u202e",), error=Failure("code", "first\nsecond\r" + "x" * 5000))
    read = result_from_json(result_to_json(result))
    assert read.error is not None and read.error.message.startswith("first second xxx")
    assert len(read.error.message) <= 2000
    assert read.notes[0].isprintable()


def test_an_event_survives_its_line_and_log_lines_are_none() -> None:
    line = event_line("segment_done", id="0001", text="ä\n")
    assert "\n" not in line
    assert parse_event(line) == {"event": "segment_done", "id": "0001", "text": "ä\n"}
    for log in (
        "hello",
        "@voiceclone {torn",
        "@voiceclone []",
        '@voiceclone {"event": 1}',
        "",
        "@voiceclone " + "[" * 100_000,
        '@voiceclone {"event": "ready", "x": Infinity}',
        '@voiceclone {"event": "' + "x" * 2**20 + '"}',
    ):
        assert parse_event(log) is None
