"""Checkpoints of fish: their generation by content, the files they need, the memory they take, and which is taken."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from fish_checkpoints import S2_FILES, S2_INDEX, S2_SHARDS, make_s1, make_s2, write_shard
from platforms import write_program
from voiceclone_cli.config import resolve
from voiceclone_cli.engines import checkpoint
from voiceclone_cli.engines.checkpoint import (
    CACHE_POSITIONS,
    S1,
    S1_MINI,
    S2,
    S2_PRO,
    Checkpoint,
    DeviceMemory,
    FishMemory,
    checked,
    choose,
    device_memory,
    fish_memory,
    generation_of,
    licence_notice,
    missing_files,
    read_device,
    required_files,
    weight_files,
)
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import Memory

GB = 1_000_000_000


def check_error(folder: Path) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        checked(folder, "--checkpoint")
    assert "\n" not in caught.value.message and caught.value.exit_code == 4
    return caught.value


# --------------------------------------------------------------------------------- generations


def test_the_generation_is_that_of_the_content(tmp_path: Path) -> None:
    s1, s2 = make_s1(tmp_path / "looks-like-s2-pro"), make_s2(tmp_path / "one")
    assert generation_of(s1) is S1 and generation_of(s2) is S2
    assert checked(s1, "it").generation is S1 and checked(s2, "it").generation is S2
    assert required_files(s1) == (
        "config.json",
        "model.pth",
        "tokenizer.tiktoken",
        "special_tokens.json",
        "codec.pth",
    )
    assert required_files(s2) == S2_FILES


def test_without_a_configuration_the_weights_tell(tmp_path: Path) -> None:
    assert generation_of(make_s1(tmp_path / "s1", without=("config.json",))) is S1
    assert generation_of(make_s2(tmp_path / "s2", without=("config.json",))) is S2
    assert generation_of(make_s2(tmp_path / "shards", without=("config.json", S2_INDEX))) is S2


@pytest.mark.parametrize(
    "lost", [("codec.pth",), (S2_SHARDS[1],), ("config.json", *S2_SHARDS, "tokenizer.json")]
)
def test_what_its_generation_needs_is_named_where_it_is_missing(
    tmp_path: Path, lost: tuple[str, ...]
) -> None:
    folder = make_s2(tmp_path / "s2", without=lost)
    assert missing_files(folder) == list(lost)
    error = check_error(folder)
    assert error.code == "checkpoint_incomplete" and f"lacks {', '.join(lost)}:" in error.message


def test_weights_in_one_file_need_no_index(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2", without=(S2_INDEX, *S2_SHARDS))
    assert missing_files(folder) == [S2_INDEX]
    write_shard(folder / "model.safetensors", {"all.of.it": (10, 10)})
    assert weight_files(folder) == ("model.safetensors",) and missing_files(folder) == []


def test_a_pointer_of_git_lfs_is_no_shard(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4986872984\n"
    (folder / S2_SHARDS[0]).write_text(pointer, encoding="utf-8")
    assert missing_files(folder) == [S2_SHARDS[0]]


@pytest.mark.parametrize(
    "table",
    [
        None,
        [],
        {},
        {"a": 1},
        {"a": None},
        {"a": "../other/model.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "C:model.safetensors"},
        {"a": "sub\\model.safetensors"},
        {"a": "model.pth"},
        {"a": ".safetensors"},
        {"a": "\0.safetensors"},
        {"a": ["model.safetensors"]},
    ],
)
def test_an_index_that_names_no_files_of_the_folder_is_one_sentence(tmp_path: Path, table: object) -> None:
    folder = make_s2(tmp_path / "s2")
    (folder / S2_INDEX).write_text(json.dumps({"weight_map": table}), encoding="utf-8")
    error = check_error(folder)
    assert error.code == "checkpoint_unusable" and S2_INDEX in error.message


@pytest.mark.parametrize("text", ["", "[]", "nothing", "[" * 10_000])
def test_an_index_that_is_none_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = make_s2(tmp_path / "s2")
    (folder / S2_INDEX).write_text(text, encoding="utf-8")
    assert check_error(folder).code == "checkpoint_unusable"


def test_a_folder_that_is_not_there_is_an_error_that_names_the_published_ones(tmp_path: Path) -> None:
    error = check_error(tmp_path / "s2pro")
    assert error.code == "checkpoint_missing" and "name s2-pro or openaudio-s1-mini" in error.message


def test_each_kind_of_weights_has_its_licence(tmp_path: Path) -> None:
    s1, s2 = make_s1(tmp_path / "s1"), make_s2(tmp_path / "s2")
    assert licence_notice(s1) == ("fish", S1.notice) and "CC-BY-NC-SA-4.0" in S1.notice
    assert licence_notice(s2) == ("fish-s2", S2.notice) and "Fish Audio Research License" in S2.notice
    (s2 / "generated.json").write_text("{}", encoding="utf-8")
    key, notice = licence_notice(s2)
    assert key == "fish-generated" and "random numbers" in notice and "Research License" not in notice
    (s1 / "config.json").write_text("no object", encoding="utf-8")
    assert licence_notice(s1) == ("fish", ""), "the worker refuses it"


# -------------------------------------------------------------------------------------- memory


def test_memory_is_computed_from_the_shards_and_the_configuration(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2", numbers=1000)
    codec = (folder / "codec.pth").stat().st_size
    for precision, each in (("float32", 4), ("bf16", 2), ("fp16", 2), ("int8", 1)):
        memory = fish_memory(folder, precision, 8)
        # Two shards; keys and values of 2 layers with 2 heads of 16.
        assert (memory.weights, memory.codec) == (2 * 1000 * each, codec)
        assert memory.position == 2 * 2 * 2 * 16 * max(2, each)
        assert memory.cache == memory.position * CACHE_POSITIONS * 8
        assert memory.total == memory.weights + codec + memory.cache


def test_s2_pro_takes_144_kib_a_position_and_fits_a_card_of_16_gigabytes(tmp_path: Path) -> None:
    published = {"n_layer": 36, "dim": 2560, "n_head": 32, "n_local_heads": 8, "head_dim": 128}
    folder = make_s2(tmp_path / "s2")
    config = {"model_type": "fish_qwen3_omni", "text_config": published}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert fish_memory(folder, "bf16", 1).position == 144 * 1024
    memory = FishMemory(9_123_704_832, 1_871_099_728, 144 * 1024, rows=8)
    assert 12.5 * GB < memory.total < 13 * GB
    assert str(memory) == (
        "weights 9.1 GB, codec 1.9 GB, keys and values 1.8 GB (8 rows of 1536 positions of 144 KiB)"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b'{"a": {}}',
    ],
)
def test_a_shard_that_is_none_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    folder = make_s2(tmp_path / "s2")
    (folder / S2_SHARDS[1]).write_bytes(content)
    with pytest.raises(PreflightError, match="fetch or make it again") as caught:
        fish_memory(folder, "bf16", 1)
    assert caught.value.code == "checkpoint_unusable" and "\n" not in caught.value.message


# -------------------------------------------------------------------------------------- choice


@pytest.fixture
def both(tmp_path: Path) -> dict[str, Checkpoint]:
    return {
        S2_PRO: Checkpoint(make_s2(tmp_path / "s2"), S2, S2_PRO),
        S1_MINI: Checkpoint(make_s1(tmp_path / "s1"), S1, S1_MINI),
    }


def card(free: int | None, devices: int = 1) -> DeviceMemory:
    return DeviceMemory("cuda:0", "bf16", "a card", free, devices)


def taken(both: dict[str, Checkpoint], device: DeviceMemory | str, **flags: object) -> Checkpoint:
    return choose(both, resolve(flags), lambda: device)


def not_asked() -> DeviceMemory:
    raise AssertionError("the device must not be looked at")


def test_one_alone_is_taken_whatever_the_device(both: dict[str, Checkpoint]) -> None:
    for name, found in both.items():
        assert choose({name: found}, resolve({}), not_asked) == found


def test_s2_is_taken_where_its_memory_fits(both: dict[str, Checkpoint]) -> None:
    needed = fish_memory(both[S2_PRO].folder, "bf16", 5).total
    fits = taken(both, card(needed))
    assert fits.name == S2_PRO and fits.folder == both[S2_PRO].folder
    assert fits.why.startswith(
        "the checkpoint s2-pro is taken and not openaudio-s1-mini, which is here too: s2-pro takes"
    )
    assert "computed" in fits.why and "free on a card" in fits.why
    too_large = taken(both, card(needed - 1))
    assert too_large.name == S1_MINI and "FISH_BATCH_SIZE" in too_large.why


def test_every_worker_of_a_card_counts_and_so_does_every_row(both: dict[str, Checkpoint]) -> None:
    needed = fish_memory(both[S2_PRO].folder, "bf16", 5).total
    assert taken(both, card(3 * needed), mode="parallel", workers=3).name == S2_PRO
    assert taken(both, card(3 * needed - 1), mode="parallel", workers=3).name == S1_MINI
    assert taken(both, card(needed, devices=3), mode="parallel", workers=3).name == S2_PRO
    assert taken(both, card(needed), batch_size=6).name == S1_MINI


def test_on_a_cpu_it_is_s1_and_the_sentence_says_why(both: dict[str, Checkpoint]) -> None:
    found = taken(both, DeviceMemory("cpu", "float32", "cpu", None))
    assert found.name == S1_MINI
    assert "meant for a GPU" in found.why and "--checkpoint s2-pro" in found.why
    assert choose(both, resolve({"device": "cpu"}), not_asked) == found


@pytest.mark.parametrize(
    "device, reason",
    [
        ("torch cannot be imported", "(torch cannot be imported)"),
        (DeviceMemory("mps", "fp16", "mps", None), "mps is not known"),
    ],
)
def test_where_the_memory_is_not_known_it_is_s1_and_the_sentence_says_so(
    both: dict[str, Checkpoint], device: DeviceMemory | str, reason: str
) -> None:
    found = taken(both, device)
    assert found.name == S1_MINI and reason in found.why


def test_for_the_nodes_of_a_cluster_this_machines_memory_means_nothing(both: dict[str, Checkpoint]) -> None:
    found = choose(both, resolve({"executor": "ray"}), not_asked)
    assert found.name == S1_MINI and "nodes" in found.why


# -------------------------------------------------------------------------------------- device


def examined(device: str = "cuda:0", **more: Any) -> dict[str, Any]:
    cards = [
        {"name": "large", "memory_mb": 24_000, "free_mb": 23_000, "bf16": True},
        {"name": "small", "memory_mb": 12_000, "free_mb": 11_000, "bf16": True},
    ]
    return {"place": {"device": device, "precision": "bf16", "precisions": []}, "cuda": cards, **more}


def test_of_several_cards_the_fullest_counts_and_a_card_that_is_named_alone() -> None:
    assert read_device(examined(), "auto") == DeviceMemory("cuda", "bf16", "small", 11 * GB, 2)
    assert read_device(examined(), "cuda:0") == DeviceMemory("cuda", "bf16", "large", 23 * GB, 1)
    assert read_device(examined("cuda:1"), "cuda:1") == DeviceMemory("cuda", "bf16", "small", 11 * GB, 1)


def test_metal_has_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "machine_memory", lambda: Memory(16 * GB, 9 * GB))
    assert read_device(examined("mps"), "auto") == DeviceMemory("mps", "bf16", "mps", 9 * GB)
    monkeypatch.setattr(checkpoint, "machine_memory", lambda: None)
    assert read_device(examined("mps"), "auto") == DeviceMemory("mps", "bf16", "mps", None)


def test_a_device_that_is_not_there_is_a_reason() -> None:
    assert read_device({"place": {"error": "no device cuda"}, "cuda": []}, "cuda") == "no device cuda"
    assert read_device(examined("cpu"), "auto") == DeviceMemory("cpu", "bf16", "cpu", None)


def test_an_interpreter_is_asked_once_and_its_failure_is_a_reason(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = write_program(tmp_path / "python", code=3, log=count)
    for _ in range(2):
        found = device_memory(str(program), "auto", "auto", 10.0)
        assert isinstance(found, str) and str(program) in found
    assert count.read_text(encoding="utf-8") == "asked\n"
