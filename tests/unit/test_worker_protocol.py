"""Whatever a task file, a result line or an event line says: a value, or one sentence."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platforms import needs_posix_paths
from properties import changed, examples, expect_one_sentence, texts, values
from voiceclone_worker import protocol
from voiceclone_worker.protocol import (
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
    event_line,
    parse_event,
    read_task,
    result_from_json,
    result_to_json,
    segment_row_from_dict,
    task_from_json,
    task_to_json,
)
from voiceclone_worker.validation import ContractError, file_key, name_fault

ENGINE = EngineSpec("fish", "/checkpoint", batch_size=3, options={"temperature": 0.7})
TASK = SynthesisTask(
    "SPEAKER_00",
    ENGINE,
    ReferenceSpec("SPEAKER_00", "/reference.wav", "the words", "/codes.npy", "en", ("de", "en")),
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


def test_a_reference_without_languages_is_in_none_and_for_none() -> None:
    reference = {"audio": "/reference.wav", "text": "the words", "codes": "/codes.npy"}
    task = task_from_json(document(reference=reference))
    assert task.reference == replace(TASK.reference, language="", speaks=())  # type: ignore[union-attr]


@pytest.mark.parametrize("languages", [{"language": 7}, {"speaks": "en"}, {"speaks": ["en", 7]}])
def test_languages_of_another_type_are_refused(languages: dict[str, Any]) -> None:
    reference = {"audio": "/reference.wav", "text": "the words", "codes": "/codes.npy", **languages}
    with pytest.raises(ContractError, match=next(iter(languages))):
        task_from_json(document(reference=reference))


def test_the_file_has_the_layout_that_the_design_shows() -> None:
    content = json.loads(task_to_json(TASK))
    assert content["schema"] == "voiceclone.task/1"
    assert content["engine"]["temperature"] == 0.7 and content["engine"]["batch_size"] == 3
    assert content["reference"] == {
        "audio": "/reference.wav",
        "text": "the words",
        "codes": "/codes.npy",
        "language": "en",
        "speaks": ["de", "en"],
    }
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
        ({"codes": "/a.npy", "audio": "/a.npy"}, "a separate file"),
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


@needs_posix_paths
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
            SegmentRow(1, "0003", "done", "/0003.wav", warnings=("It lacks 你好.", "And one more.")),
        ),
        references=(ReferenceRow(0, "SPEAKER_00", "done", "/codes.npy", 0.5),),
        timing={"generate": 1.25},
    )
    line = result_to_json(result)
    assert "\n" not in line
    assert result_from_json(line) == result


def test_a_row_of_an_older_worker_has_no_warnings() -> None:
    assert segment_row_from_dict({"task": 0, "id": "1", "status": "done"}).warnings == ()
    row = SegmentRow(0, "1", "done", warnings=("It lacks §.",))
    assert segment_row_from_dict(asdict(row)) == row, "as it comes from a node, without JSON"


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
        {"warnings": "none"},
        {"warnings": [1]},
        {"warnings": ["a"] * 101},
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


ROOT = os.path.abspath(os.sep)
ENGINE_TEST_PROPERTIES_CONTRACT = EngineSpec(
    "fish", f"{ROOT}checkpoint", batch_size=3, options={"temperature": 0.7}
)
REFERENCE = ReferenceSpec("A", f"{ROOT}a.wav", "the words", f"{ROOT}a.npy")
SPEECH = SynthesisTask(
    "A",
    ENGINE_TEST_PROPERTIES_CONTRACT,
    REFERENCE,
    f"{ROOT}out",
    (SegmentSpec("1", "x", "en", 1, 2.5), SegmentSpec("2", "y", "de", 2, take=3)),
)
ENCODING = EncodeTask(
    ENGINE_TEST_PROPERTIES_CONTRACT, (REFERENCE, ReferenceSpec("B", f"{ROOT}b.wav", "", f"{ROOT}b.npy"))
)
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
        assert all(reference.codes.endswith(protocol.CODES_SUFFIXES) for reference in task.references)
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
    event = parse_event(protocol.EVENT_TAG + text)
    assert event is None or isinstance(event["event"], str)


@examples
@given(fields=st.dictionaries(texts.filter(lambda key: key != "event"), values, max_size=3))
def test_an_event_survives_its_line(fields: dict[str, Any]) -> None:
    line = protocol.event_line("note", **fields)
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
