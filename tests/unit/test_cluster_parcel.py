"""A lease on its way to a node and back."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.cluster.parcel import Content, pack, unpack
from voiceclone_cli.workers.leases import Lease
from voiceclone_worker.contract import (
    EncodeTask,
    EngineSpec,
    Failure,
    ReferenceRow,
    ReferenceSpec,
    Result,
    SegmentRow,
    SegmentSpec,
    SynthesisTask,
)

ENGINE = EngineSpec("echo")
REFERENCE = ReferenceSpec("ANNA", "/far/ANNA/reference.wav", "her words", "/far/ANNA/codes.txt")
SPEAK = SynthesisTask("ANNA", ENGINE, REFERENCE, "/far/segments", (SegmentSpec("0001", "a line", "en", 1),))
ENCODE = EncodeTask(ENGINE, (REFERENCE,))


def known(path: str) -> Content:
    return Content(path.rpartition("/")[2], 1, None)


def laid_down(folder: Path, *tasks: SynthesisTask | EncodeTask):  # type: ignore[no-untyped-def]
    parcel = pack(Lease(tasks, 1), known)
    return unpack(parcel, folder, lambda path, content: folder / content.sha256, lambda spec: spec)


def test_a_task_names_files_of_the_node(tmp_path: Path) -> None:
    held = laid_down(tmp_path, SPEAK)
    (task,) = held.lease.tasks
    assert isinstance(task, SynthesisTask)
    assert task.reference.codes == str(tmp_path / "codes.txt")
    assert Path(task.output_dir).is_dir() and task.output_dir.startswith(str(tmp_path))
    assert task.segments == SPEAK.segments


def test_rows_come_back_under_the_controllers_names(tmp_path: Path) -> None:
    held = laid_down(tmp_path, SPEAK)
    made = str(held.files[0, "0001"])
    row = SegmentRow(0, "0001", "done", made, 1.0, 8000)
    assert held.answer(Result(segments=(row,))).segments[0].file == "/far/segments/0001.wav"
    event = {"event": "segment_done", "task": 0, "id": "0001", "status": "done", "file": made}
    assert held.told(event, file=True)["file"] == "/far/segments/0001.wav"


def test_codes_are_made_on_the_node_and_told_under_the_controllers_name(tmp_path: Path) -> None:
    held = laid_down(tmp_path, ENCODE)
    (task,) = held.lease.tasks
    assert isinstance(task, EncodeTask)
    made = task.references[0].codes
    assert made.startswith(str(tmp_path)) and made.endswith(".txt")
    answer = held.answer(Result(segments=(), references=(ReferenceRow(0, "ANNA", "done", made),)))
    assert answer.references[0].file == REFERENCE.codes


def test_messages_name_the_controllers_files(tmp_path: Path) -> None:
    held = laid_down(tmp_path, SPEAK)
    failure = Failure("reference_unusable", f"{tmp_path / 'reference.wav'}: no sound in it")
    row = SegmentRow(0, "0001", "failed", error=failure)
    (answered,) = held.answer(Result(segments=(row,))).segments
    assert answered.error is not None and answered.error.message == "/far/ANNA/reference.wav: no sound in it"


def test_a_file_that_the_controller_has_not_got_keeps_its_name(tmp_path: Path) -> None:
    parcel = pack(Lease((SPEAK,), 1), lambda path: None)
    held = unpack(parcel, tmp_path, lambda path, content: tmp_path, lambda spec: spec)
    (task,) = held.lease.tasks
    assert isinstance(task, SynthesisTask) and task.reference == REFERENCE


def test_a_lease_without_segments_only_loads(tmp_path: Path) -> None:
    warm = SynthesisTask("", ENGINE, ReferenceSpec("", "", "", ""), "", ())
    (task,) = laid_down(tmp_path, warm).lease.tasks
    assert task == warm
