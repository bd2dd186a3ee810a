"""What a fuzzer, and the test that replays what it found, does with bytes: read them, and check what comes of it.

A target returns in silence for a value and for a refusal in one sentence; anything else is a finding.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from properties import expect_one_sentence
from voiceclone_cli.analysis.turns import read_rttm
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import are_safe_names, check_speaker_names
from voiceclone_cli.script import script_file
from voiceclone_cli.types import Diarization, Turn
from voiceclone_worker.protocol import (
    EVENT_TAG,
    EncodeTask,
    parse_event,
    read_task,
    reference_row_from_dict,
    result_from_json,
    result_to_json,
    segment_row_from_dict,
    task_from_json,
    task_to_json,
)
from voiceclone_worker.validation import ContractError

FORMATS = {b"0": "srt", b"1": "vtt", b"2": "ass", b"3": "json", b"4": "csv", b"5": "rttm"}
"""The first byte of an input for ``script_target`` says how the rest is read; any other byte counts round."""

_TURNS = (Turn(0.0, 10.0, "SPEAKER_00"), Turn(5.0, 3600.0, "SPEAKER_01"))
_TWO_PEOPLE = Diarization(_TURNS, _TURNS, "fuzz")
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if sys.platform == "linux" else None))


def script_target(data: bytes) -> None:
    """A script of any format, with and without a known recording, or an RTTM file."""
    kind = list(FORMATS.values())[(data[0] - ord("0")) % len(FORMATS)] if data else "srt"
    if kind == "rttm":
        _rttm(data[1:])
        return
    path = _FOLDER / f"script.{kind}"
    path.write_bytes(data[1:])
    for diarization in (_TWO_PEOPLE, None):
        try:
            lines = script_file.read_script(
                path, diarization, language="en", recording_seconds=7200.0
            ).segments
        except InputError as error:
            _refused(error, path)
        else:
            assert all(0 <= line.start < line.end and line.text and line.speaker for line in lines)
            assert are_safe_names([line.id for line in lines])
            check_speaker_names(line.speaker for line in lines)


def _rttm(data: bytes) -> None:
    try:
        turns = read_rttm(data.decode("utf-8", errors="replace"))
    except InputError as error:
        expect_one_sentence(error)
    else:
        assert all(turn.start < turn.end for turn in turns)
        check_speaker_names(turn.speaker for turn in turns)


def task_target(data: bytes) -> None:
    """A task file; what is taken keeps its files to itself and survives its own writer."""
    path = _FOLDER / "task.json"
    path.write_bytes(data)
    try:
        task = read_task(path)
    except ContractError as error:
        _refused(error, path)
        return
    assert task_from_json(task_to_json(task)) == task
    if isinstance(task, EncodeTask):
        assert are_safe_names([reference.speaker for reference in task.references])
    else:
        assert are_safe_names([segment.id for segment in task.segments])


def result_target(data: bytes) -> None:
    """A worker's line on either stream: a result, an event, the rows in it."""
    text = data.decode("utf-8", errors="replace")
    try:
        result = result_from_json(text)
    except ContractError as error:
        expect_one_sentence(error)
    else:
        written = result_from_json(result_to_json(result))  # which rounds times
        assert result_from_json(result_to_json(written)) == written
    event = parse_event(text) or parse_event(EVENT_TAG + text)
    for read_row in (segment_row_from_dict, reference_row_from_dict):
        try:
            read_row(event or {})
        except ContractError as error:
            expect_one_sentence(error)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "script": script_target,
    "task": task_target,
    "result": result_target,
}


def _refused(error: InputError | ContractError, path: Path) -> None:
    """The sentence names the file; how long that name is, is not the reader's doing."""
    text = str(error)
    assert str(path) in text
    expect_one_sentence(InputError(text.replace(str(path), "F"), code=getattr(error, "code", "contract")))
