from __future__ import annotations

import wave
from pathlib import Path

import pytest

from voiceclone_cli.workers.faults import answers
from voiceclone_cli.workers.held import Held
from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import (
    ContractError,
    EncodeTask,
    EngineSpec,
    ReferenceRow,
    ReferenceSpec,
    Result,
    SegmentRow,
    SegmentSpec,
    SynthesisTask,
)

ENGINE = EngineSpec("echo")


def spoken(folder: Path, name: str, frames: int = 10, **other: object) -> SegmentRow:
    """The row of a segment whose wav is there."""
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000)
        out.writeframes(bytes(2 * frames))
    return SegmentRow(0, name, "done", str(path), frames=frames)


def held(folder: Path) -> Held:
    """Two lines of A, and the references of A and B."""
    references = tuple(ReferenceSpec(name, "a.wav", "", str(folder / f"{name}.npy")) for name in "AB")
    lines = tuple(SegmentSpec(name, "a line", "en", 0) for name in ("0", "1"))
    tasks = (SynthesisTask("A", ENGINE, references[0], str(folder), lines), EncodeTask(ENGINE, references))
    return Held(Lease(tasks, 1), "worker 1", 1)


def test_a_whole_answer_is_believed(tmp_path: Path) -> None:
    for name in "AB":
        (tmp_path / f"{name}.npy").write_text("codes")
    result = Result(
        (spoken(tmp_path, "0"), SegmentRow(0, "1", "failed")),
        tuple(ReferenceRow(1, name, "done", str(tmp_path / f"{name}.npy")) for name in "AB"),
    )
    found = answers.examine(held(tmp_path), result)
    assert (tuple(found.segments), tuple(found.references)) == (result.segments, result.references)
    assert not found.faults and not found.notes


def test_what_an_event_told_before_is_not_examined_again(tmp_path: Path) -> None:
    lease = held(tmp_path)
    lease.finish((0, "0"))
    lease.encoded |= {(1, "A"), (1, "B")}
    found = answers.examine(lease, Result((spoken(tmp_path, "0"), spoken(tmp_path, "1"))))
    assert [row.id for row in found.segments] == ["1"] and not found.faults


def test_rows_without_an_outcome_are_at_fault(tmp_path: Path) -> None:
    found = answers.examine(held(tmp_path), Result((spoken(tmp_path, "0"),)))
    assert {name: fault.code for name, fault in found.faults.items()} == {
        (0, "1"): "no_outcome",
        (1, "A"): "no_outcome",
        (1, "B"): "no_outcome",
    }


def test_a_reference_is_believed_only_when_its_own_file_is_there_and_not_empty(tmp_path: Path) -> None:
    (tmp_path / "A.npy").write_text("codes")
    (tmp_path / "B.npy").touch()
    rows = (ReferenceRow(1, "A", "done", str(tmp_path / "C.npy")), ReferenceRow(1, "B", "done", "B.npy"))
    found = answers.examine(held(tmp_path), Result((spoken(tmp_path, "0"), spoken(tmp_path, "1")), rows))
    assert {name: fault.code for name, fault in found.faults.items()} == {
        (1, "A"): "result_wrong",
        (1, "B"): "result_wrong",
    }


def test_a_file_may_be_named_another_way_but_must_be_the_same(tmp_path: Path) -> None:
    row = spoken(tmp_path, "0")
    key = (str(tmp_path) + "/", "0")
    assert answers.why_not_spoken(row, key) is None
    assert "not " in str(answers.why_not_spoken(row, (str(tmp_path / "other"), "0")))
    assert answers.why_not_spoken(SegmentRow(0, "0", "done", row.file), key) is not None, "frames unknown"
    for odd in (None, "", "\0", "x" * 5000):
        assert answers.why_not_spoken(SegmentRow(0, "0", "done", odd, frames=10), key) is not None


def test_a_thousand_unknown_rows_are_one_note(tmp_path: Path) -> None:
    rows = [SegmentRow(0, f"{number}\n" * 50, "done") for number in range(1000)]
    (note,) = answers.examine(held(tmp_path), Result(tuple(rows))).notes
    assert "997 more" in note and len(note) < 400 and note.isprintable()


@pytest.mark.parametrize("event", [{}, {"task": 1}, {"task": [], "id": "0"}, {"task": 1.5, "id": {}}])
def test_a_damaged_event_is_an_error_that_the_pool_expects(event: dict[str, object]) -> None:
    for kind in ("segment_started", "segment_done", "segment_failed", "encoded"):
        with pytest.raises((ContractError, KeyError)):
            answers.news({"event": kind, **event})
    assert answers.news({"event": "something new", **event}) is None
