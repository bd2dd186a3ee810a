"""A lease on its way to a node and back."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from voiceclone_cli.cluster.transfer import FileStore, NodeCache, PayloadFile, pack_payload, unpack_payload
from voiceclone_cli.workers.protocol import Lease
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
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ray clusters are refused on Windows")

# What leases need is known by what it holds, and lies on a node once.


class Store:
    """An object store that counts."""

    def __init__(self) -> None:
        self.put_in: list[bytes] = []
        self.taken_out = 0

    def put(self, data: bytes) -> int:
        self.put_in.append(data)
        return len(self.put_in) - 1

    def get(self, box: int) -> bytes:
        self.taken_out += 1
        return self.put_in[box]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(autouse=True)
def temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def written(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def content(files: FileStore, path: str) -> PayloadFile:
    found = files.content(path)
    assert found is not None
    return found


def test_the_same_content_is_put_into_the_store_once(store: Store, tmp_path: Path) -> None:
    files = FileStore(store.put)
    first, second = written(tmp_path, "a.npy", b"codes"), written(tmp_path, "b.npy", b"codes")
    assert content(files, first) == content(files, second) == content(files, first)
    assert store.put_in == [b"codes"]


def test_a_file_that_changed_is_another_content(store: Store, tmp_path: Path) -> None:
    files = FileStore(store.put)
    path = written(tmp_path, "a.npy", b"codes")
    before = content(files, path)
    written(tmp_path, "a.npy", b"other codes")
    assert content(files, path).sha256 != before.sha256


def test_a_file_that_is_not_there_has_no_content(store: Store, tmp_path: Path) -> None:
    assert FileStore(store.put).content(str(tmp_path / "none.npy")) is None


def test_the_files_forgets_what_was_not_used_for_longest(store: Store, tmp_path: Path) -> None:
    files = FileStore(store.put, max_bytes=10)
    a, b, c = (written(tmp_path, name, name.encode() * 4) for name in "abc")
    for path in (a, b, a, c, a, b):
        content(files, path)
    assert store.put_in == [b"aaaa", b"bbbb", b"cccc", b"bbbb"]


def test_workers_of_a_node_fetch_a_content_once_between_them(store: Store, tmp_path: Path) -> None:
    codes = content(FileStore(store.put), written(tmp_path, "a.npy", b"codes"))
    first, second = (NodeCache("job", "node", store.get, sharing=False) for _ in range(2))
    places = {cache.fetch("/elsewhere/a.npy", codes) for cache in (first, second, first)}
    (place,) = places
    assert place.read_bytes() == b"codes" and place.suffix == ".npy"
    assert store.taken_out == 1 and first.fetched + second.fetched == 1
    first.close()
    assert place.is_file(), "the other worker uses it"
    second.close()
    assert not place.parent.exists()


def test_other_nodes_and_jobs_have_caches_of_their_own(store: Store) -> None:
    caches = [NodeCache(job, node, store.get) for job, node in (("j", "a"), ("j", "b"), ("k", "a"))]
    assert len({cache.folder for cache in caches}) == 3
    for cache in caches:
        cache.close()


def test_nothing_is_fetched_where_the_node_sees_the_same_file(store: Store, tmp_path: Path) -> None:
    path = written(tmp_path, "a.npy", b"codes")
    codes = content(FileStore(store.put), path)
    cache = NodeCache("job", "node", store.get)
    assert cache.fetch(path, codes) == Path(path)
    written(tmp_path, "a.npy", b"CODES")
    assert cache.fetch(path, codes).read_bytes() == b"codes", "another file of that name is not taken for it"
    assert store.taken_out == 1
    cache.close()


def test_a_new_worker_sweeps_the_caches_of_workers_that_were_killed(
    store: Store, temporary_folder: Path
) -> None:
    dead = NodeCache("dead", "node", store.get)
    living = NodeCache("living", "node", store.get)
    os.close(dead._lock)
    NodeCache("new", "node", store.get).close()
    assert not dead.folder.exists() and living.folder.is_dir()
    living.close()
    assert list(temporary_folder.iterdir()) == []


ENGINE = EngineSpec("echo")
REFERENCE = ReferenceSpec("ANNA", "/far/ANNA/reference.wav", "her words", "/far/ANNA/codes.txt")
SPEAK = SynthesisTask("ANNA", ENGINE, REFERENCE, "/far/segments", (SegmentSpec("0001", "a line", "en", 1),))
ENCODE = EncodeTask(ENGINE, (REFERENCE,))


def known(path: str) -> PayloadFile:
    return PayloadFile(path.rpartition("/")[2], 1, None)


def unpacked(folder: Path, *tasks: SynthesisTask | EncodeTask):  # type: ignore[no-untyped-def]
    payload = pack_payload(Lease(tasks, 1), known)
    return unpack_payload(payload, folder, lambda path, content: folder / content.sha256, lambda task: task)


def test_a_task_names_files_of_the_node(tmp_path: Path) -> None:
    lease = unpacked(tmp_path, SPEAK)
    (task,) = lease.lease.tasks
    assert isinstance(task, SynthesisTask)
    assert task.reference.codes == str(tmp_path / "codes.txt")
    assert Path(task.output_dir).is_dir() and task.output_dir.startswith(str(tmp_path))
    assert task.segments == SPEAK.segments


def test_rows_come_back_under_the_coordinators_names(tmp_path: Path) -> None:
    lease = unpacked(tmp_path, SPEAK)
    made = str(lease.outputs[0, "0001"])
    row = SegmentRow(0, "0001", "done", made, 1.0, 8000)
    assert lease.result(Result(segments=(row,))).segments[0].file == "/far/segments/0001.wav"
    event = {"event": "segment_done", "task": 0, "id": "0001", "status": "done", "file": made}
    assert lease.event(event, done=True)["file"] == "/far/segments/0001.wav"


def test_codes_are_made_on_the_node_and_reported_under_the_coordinators_name(tmp_path: Path) -> None:
    lease = unpacked(tmp_path, ENCODE)
    (task,) = lease.lease.tasks
    assert isinstance(task, EncodeTask)
    made = task.references[0].codes
    assert made.startswith(str(tmp_path)) and made.endswith(".txt")
    answer = lease.result(Result(segments=(), references=(ReferenceRow(0, "ANNA", "done", made),)))
    assert answer.references[0].file == REFERENCE.codes


def test_messages_name_the_coordinators_files(tmp_path: Path) -> None:
    lease = unpacked(tmp_path, SPEAK)
    failure = Failure("reference_unusable", f"{tmp_path / 'reference.wav'}: no sound in it")
    row = SegmentRow(0, "0001", "failed", error=failure)
    (answered,) = lease.result(Result(segments=(row,))).segments
    assert answered.error is not None and answered.error.message == "/far/ANNA/reference.wav: no sound in it"


def test_a_file_that_the_coordinator_has_not_got_keeps_its_name(tmp_path: Path) -> None:
    payload = pack_payload(Lease((SPEAK,), 1), lambda path: None)
    lease = unpack_payload(payload, tmp_path, lambda path, content: tmp_path, lambda task: task)
    (task,) = lease.lease.tasks
    assert isinstance(task, SynthesisTask) and task.reference == REFERENCE


def test_a_lease_without_segments_only_loads(tmp_path: Path) -> None:
    warm = SynthesisTask("", ENGINE, ReferenceSpec("", "", "", ""), "", ())
    (task,) = unpacked(tmp_path, warm).lease.tasks
    assert task == warm
