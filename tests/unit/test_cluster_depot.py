"""What leases need is known by what it holds, and lies on a node once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from voiceclone_cli.cluster.depot import Depot, Shelf
from voiceclone_cli.cluster.parcel import Content


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


def content(depot: Depot, path: str) -> Content:
    found = depot.content(path)
    assert found is not None
    return found


def test_the_same_content_is_put_into_the_store_once(store: Store, tmp_path: Path) -> None:
    depot = Depot(store.put)
    first, second = written(tmp_path, "a.npy", b"codes"), written(tmp_path, "b.npy", b"codes")
    assert content(depot, first) == content(depot, second) == content(depot, first)
    assert store.put_in == [b"codes"]


def test_a_file_that_changed_is_another_content(store: Store, tmp_path: Path) -> None:
    depot = Depot(store.put)
    path = written(tmp_path, "a.npy", b"codes")
    before = content(depot, path)
    written(tmp_path, "a.npy", b"other codes")
    assert content(depot, path).sha256 != before.sha256


def test_a_file_that_is_not_there_has_no_content(store: Store, tmp_path: Path) -> None:
    assert Depot(store.put).content(str(tmp_path / "none.npy")) is None


def test_the_depot_forgets_what_was_not_used_for_longest(store: Store, tmp_path: Path) -> None:
    depot = Depot(store.put, most=10)
    a, b, c = (written(tmp_path, name, name.encode() * 4) for name in "abc")
    for path in (a, b, a, c, a, b):
        content(depot, path)
    assert store.put_in == [b"aaaa", b"bbbb", b"cccc", b"bbbb"]


def test_slots_of_a_node_fetch_a_content_once_between_them(store: Store, tmp_path: Path) -> None:
    codes = content(Depot(store.put), written(tmp_path, "a.npy", b"codes"))
    first, second = (Shelf("job", "node", store.get, sharing=False) for _ in range(2))
    places = {shelf.place("/elsewhere/a.npy", codes) for shelf in (first, second, first)}
    (place,) = places
    assert place.read_bytes() == b"codes" and place.suffix == ".npy"
    assert store.taken_out == 1 and first.fetched + second.fetched == 1
    first.close()
    assert place.is_file(), "the other slot holds on to it"
    second.close()
    assert not place.parent.exists()


def test_other_nodes_and_jobs_have_shelves_of_their_own(store: Store) -> None:
    shelves = [Shelf(job, node, store.get) for job, node in (("j", "a"), ("j", "b"), ("k", "a"))]
    assert len({shelf.folder for shelf in shelves}) == 3
    for shelf in shelves:
        shelf.close()


def test_nothing_is_fetched_where_the_node_sees_the_same_file(store: Store, tmp_path: Path) -> None:
    path = written(tmp_path, "a.npy", b"codes")
    codes = content(Depot(store.put), path)
    shelf = Shelf("job", "node", store.get)
    assert shelf.place(path, codes) == Path(path)
    written(tmp_path, "a.npy", b"CODES")
    assert shelf.place(path, codes).read_bytes() == b"codes", "another file of that name is not taken for it"
    assert store.taken_out == 1
    shelf.close()


def test_a_new_slot_sweeps_the_shelves_of_slots_that_were_killed(
    store: Store, temporary_folder: Path
) -> None:
    dead = Shelf("dead", "node", store.get)
    living = Shelf("living", "node", store.get)
    os.close(dead._hold)
    Shelf("new", "node", store.get).close()
    assert not dead.folder.exists() and living.folder.is_dir()
    living.close()
    assert list(temporary_folder.iterdir()) == []
