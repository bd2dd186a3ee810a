"""Task files of any origin, through the pool: real workers, the echo engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.settings import resolve
from voiceclone_cli.synthesis import synthesize
from voiceclone_cli.types import no_progress
from voiceclone_worker.contract import (
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    Task,
    task_to_json,
)

ENGINE = EngineSpec("echo", options={"delay": 0.01})


def written(folder: Path, name: str, task: Task) -> Path:
    path = folder / f"{name}.json"
    path.write_text(task_to_json(task), encoding="utf-8")
    return path


def speech(folder: Path, speaker: str) -> SynthesisTask:
    reference = ReferenceSpec(speaker, str(folder / "voice.wav"), "", str(folder / f"{speaker}.txt"))
    lines = tuple(SegmentSpec(f"{n}", "a line", "en", n) for n in range(3))
    return SynthesisTask(speaker, ENGINE, reference, str(folder / speaker), lines)


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_rows_follow_the_files_and_every_stage_counts(tmp_path: Path, mode: str) -> None:
    (tmp_path / "voice.wav").write_bytes(b"some sound")
    spoken = [speech(tmp_path, speaker) for speaker in "AB"]
    files = [written(tmp_path, task.speaker, task) for task in spoken]
    files.append(written(tmp_path, "encode", EncodeTask(ENGINE, (spoken[0].reference,))))
    result = synthesize(files, resolve({"mode": mode}, {}), no_progress)
    assert [(row.task, row.id) for row in result.segments] == [(t, f"{n}") for t in (0, 1) for n in range(3)]
    assert [row.status for row in (*result.segments, *result.references)] == ["done"] * 7
    assert {"load", "encode", "generate", "write"} <= result.timing.keys()


def test_two_tasks_for_one_file_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, name, speech(tmp_path, "A")) for name in ("one", "two")]
    with pytest.raises(InputError, match="another task writes"):
        synthesize(files, resolve({}, {}), no_progress)
