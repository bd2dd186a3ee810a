"""Results of a worker count only where the files that they report are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from echo_pool import EchoPool, instead_of_the_worker
from voiceclone_cli.workers.process import WorkerCommand


def test_a_row_that_is_missing_in_a_result_goes_to_another_worker(echo_pool: EchoPool) -> None:
    echo_pool.order("generate.0002.missing")
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    assert echo_pool.events.count("hello") == 2
    (note,) = outcome.notes
    assert "no outcome" in note and "0002" in note and "replaced" in note


def test_a_row_that_is_missing_twice_has_failed(echo_pool: EchoPool) -> None:
    echo_pool.always["0002"] = "missing"
    outcome = echo_pool.run()
    states = {key[1]: row.error.code if row.error else row.status for key, row in outcome.segments.items()}
    assert states == {f"{n:04d}": "no_outcome" if n == 2 else "done" for n in range(6)}


def test_doubled_and_unknown_rows_change_nothing(echo_pool: EchoPool) -> None:
    echo_pool.order("generate.0002.doubled", "generate.0003.unknown")
    outcome = echo_pool.run()
    echo_pool.assert_whole(outcome)
    assert echo_pool.events.count("hello") == 1 and echo_pool.events.count("segment_done") == 6
    assert outcome.notes == []


FALSE_WORKER = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
for request in sys.stdin:
    count = len(list(here.glob("lease-*")))
    (here / f"lease-{count}").touch()
    rows, references = [], []
    for number, path in enumerate(json.loads(request)):
        task = json.loads(pathlib.Path(path).read_text())
        for ref in task.get("references", []):
            pathlib.Path(ref["codes"]).write_text("110")
            references.append({"task": number, "speaker": ref["speaker"], "status": "done", "file": ref["codes"]})
        for segment in task.get("segments", []):
            folder = pathlib.Path(task["output_dir"])
            folder.mkdir(exist_ok=True)
            file = folder / (segment["id"] + ".wav")
            row = {"task": number, "id": segment["id"], "status": "done", "file": str(file), "frames": 10}
            file.write_bytes(bytes(44 + 20))
            rows.append(row)
    answer = {"schema": "voiceclone.result/1", "segments": rows, "references": references, "timing": {}}
    if rows:
        falsify(rows[0], answer, count)
    print(json.dumps(answer), flush=True)
"""


def false_worker(folder: Path, falsify: str) -> WorkerCommand:
    """A program that keeps to the contract but for the first row of a result."""
    body = f"def falsify(row, answer, count):\n    {falsify}\n"
    return instead_of_the_worker(folder / "false_worker.py", "import os\n" + body + FALSE_WORKER)


WRONG_FILES = {
    "no file": ("os.unlink(row['file'])", "but the file does not exist"),
    "a cut file": ("os.truncate(row['file'], 50)", "has 50 bytes"),
    "another file": ("row['file'] = __file__", "not "),
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_done_counts_only_when_the_file_is_there(echo_pool: EchoPool, what: str) -> None:
    falsify, says = WRONG_FILES[what]
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, falsify))
    states = {key[1]: row.error.code if row.error else row.status for key, row in outcome.segments.items()}
    assert states == {f"{n:04d}": "result_wrong" if n == 0 else "done" for n in range(6)}
    row = outcome.segments[echo_pool.task.output_dir, "0000"]
    assert row.error is not None and says in row.error.message


def test_a_wrong_row_that_is_right_the_second_time_is_done(echo_pool: EchoPool) -> None:
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, "count == 1 and os.unlink(row['file'])"))
    echo_pool.assert_whole(outcome)
    assert "gave a wrong result" in outcome.notes[0]


def test_an_answer_to_another_lease_is_not_taken_for_this_ones(echo_pool: EchoPool) -> None:
    falsify = "answer['lease'] = 7 if count == 1 else 0"
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, falsify))
    echo_pool.assert_whole(outcome)


def test_an_answer_without_an_end_is_not_kept(echo_pool: EchoPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceclone_cli.workers.process.MAX_RESULT_BYTES", 1_000_000)
    falsify = "[os.write(1, b'x' * 10000) for _ in range(200)] if count == 1 else None"
    outcome = echo_pool.run(command=false_worker(echo_pool.folder, falsify))
    echo_pool.assert_whole(outcome)
