from __future__ import annotations

import os
from pathlib import Path

import pytest

from voiceclone_cli.workers.leases import Lease
from voiceclone_cli.workers.local.task_files import TaskFiles
from voiceclone_worker.contract import EngineSpec, ReferenceSpec, SynthesisTask, read_task

TASK = SynthesisTask("", EngineSpec("echo"), ReferenceSpec("", "", "", ""), "", ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    return tmp_path / "tasks"


def test_each_task_has_a_file_until_its_lease_is_answered(folder: Path) -> None:
    files = TaskFiles(folder, keep=False)
    first, second = files.write(Lease((TASK, TASK), 0)), files.write(Lease((TASK,), 0))
    assert sorted(folder.iterdir()) == [*first, *second]
    assert all(read_task(path) == TASK for path in first)
    files.remove(first)
    assert list(folder.iterdir()) == second


def test_files_can_be_kept(folder: Path) -> None:
    files = TaskFiles(folder, keep=True)
    written = files.write(Lease((TASK,), 0))
    files.remove(written)
    assert list(folder.iterdir()) == written


def test_where_one_cannot_be_written_none_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == "task-00002.json":
            raise OSError(28, "No space left on device")
        whole(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        TaskFiles(folder, keep=False).write(Lease((TASK, TASK), 0))
    assert list(folder.iterdir()) == []


def test_files_that_are_gone_already_are_no_error(folder: Path) -> None:
    files = TaskFiles(folder, keep=False)
    written = files.write(Lease((TASK,), 0))
    written[0].unlink()
    folder.rmdir()
    files.remove(written)
    assert not folder.exists()
