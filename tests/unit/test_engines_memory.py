"""Memory of workers with fish: what is computed, what a device has, and what is chosen by both."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fish_checkpoints import S2_SHARDS, make_s1, make_s2
from platforms import write_program
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines import memory
from voiceclone_cli.engines.checkpoint import S1, S1_MINI, S2, S2_PRO, Checkpoint
from voiceclone_cli.engines.memory import (
    CACHE_POSITIONS,
    MOST_ROWS,
    PROMPT_POSITIONS,
    DeviceMemory,
    choose,
    device_memory,
    fish_memory,
    fit_to_device,
    read_device,
)
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.system import Memory
from voiceclone_worker.engines.fish import layout

GB = 1_000_000_000

_BLOCK = 64 * (4 + 2 * 2) * 16 + 64 * 64 + 3 * 96 * 64 + 2 * 64
"""Numbers of a block of the small models: queries, keys and values, what leaves attention, feed-forward part, norms."""
_HEADS = (64 + 1) * 64 + 64 * 64
_TABLES = (300 + 3 * 64 + 64) * 64
_ROTATIONS = 4 * 16 * (2048 + 3)


# ------------------------------------------------------------------------------------ computed


def test_memory_is_computed_from_the_sizes_in_the_configuration(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2")  # its shards are bf16
    for precision, each, number in (("float32", 4, 4), ("bf16", 2, 2), ("int8", 1, 2)):
        found = fish_memory(folder, precision, 8)
        converted = 0 if number == 2 else _TABLES * number
        assert found.weights == each * (4 * _BLOCK + _HEADS) + converted + _ROTATIONS
        # Keys and values of 2 layers with 2 heads of 16.
        assert found.position == 2 * 2 * 2 * 16 * number
        assert found.cache == found.position * (CACHE_POSITIONS * 8 + PROMPT_POSITIONS)
        assert found.total == (
            found.process + found.weights + found.codec + max(found.encoding, found.cache + found.speaking)
        )


def test_on_a_gpu_nothing_stays_in_the_file_and_int8_is_for_the_slow_transformer(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2")
    codec = (folder / "codec.pth").stat().st_size
    for precision, slow in (("bf16", 2), ("int8", 1)):
        found = fish_memory(folder, precision, 1, on_gpu=True)
        others = 2 * (2 * _BLOCK + _HEADS + _TABLES)
        assert found.weights == slow * 2 * _BLOCK + others + _ROTATIONS
        assert (found.codec, found.mapped) == (codec, 0)


def test_every_reference_that_is_encoded_at_a_time_counts(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2")
    one, three = (fish_memory(folder, "bf16", 1, encoded=count) for count in (1, 3))
    assert three.encoding == 3 * one.encoding and three.total - one.total == 2 * one.encoding


def test_a_small_codec_takes_less(tmp_path: Path) -> None:
    folder = make_s2(tmp_path / "s2")
    published = fish_memory(folder, "bf16", 1).encoding
    (folder / "codec.yaml").write_text("_target_: dac\nencoder_dim: 16\n", encoding="utf-8")
    assert fish_memory(folder, "bf16", 1).encoding == published // 4


def test_s2_pro_takes_144_kib_a_position_and_fits_a_card_of_16_gigabytes(tmp_path: Path) -> None:
    folder = published_s2(tmp_path / "s2")
    found = fish_memory(folder, "bf16", 8, on_gpu=True)
    found = replace(found, codec=1_871_099_728)
    assert found.position == 144 * 1024
    assert 9.1 * GB < found.weights < 9.2 * GB and 13 * GB < found.total < 0.9 * 16 * GB
    assert str(found).startswith(
        "weights 9.1 GB, codec 1.9 GB, keys and values 1.9 GB (8 rows of 1536 positions of 144 KiB), results "
    )


def test_s2_pro_in_int8_fits_a_card_of_12_gigabytes(tmp_path: Path) -> None:
    found = fish_memory(published_s2(tmp_path / "s2"), "int8", 4, on_gpu=True)
    assert replace(found, codec=1_871_099_728).total < 0.9 * 12 * GB


def published_s2(folder: Path) -> Path:
    """A checkpoint with the configuration of s2-pro, and nothing in it."""
    make_s2(folder)
    shape = layout.S2.published
    text, audio = (_side_config(side) for side in (shape.slow, shape.fast))
    text |= {"vocab_size": shape.vocabulary, "max_seq_len": shape.window}
    audio |= {"vocab_size": shape.codebook_size, "num_codebooks": shape.codebooks}
    config = {"model_type": "fish_qwen3_omni", "text_config": text, "audio_decoder_config": audio}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _side_config(side: layout.TransformerShape) -> dict[str, object]:
    return {
        "n_layer": side.layers,
        "dim": side.width,
        "n_head": side.heads,
        "n_local_heads": side.key_heads,
        "head_dim": side.head_size,
        "intermediate_size": side.inner,
        "norm_eps": side.norm_eps,
        "rope_base": side.rope_base,
        "attention_qk_norm": side.head_norms,
    }


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


@pytest.mark.parametrize("stored", ["bfloat16", "float32"])
def test_tables_stay_in_the_file_where_they_are_stored_as_they_are_used(tmp_path: Path, stored: str) -> None:
    import torch

    folder = make_s1(tmp_path / "s1")
    torch.save({"w": torch.zeros(10, dtype=getattr(torch, stored))}, folder / "model.pth")
    float32, bf16 = (fish_memory(folder, precision, 1).weights for precision in ("float32", "bf16"))
    assert (float32 - _ROTATIONS - 4 * (4 * _BLOCK + _HEADS)) == (_TABLES * 4 if stored == "bfloat16" else 0)
    assert (bf16 - _ROTATIONS - 2 * (4 * _BLOCK + _HEADS)) == (0 if stored == "bfloat16" else _TABLES * 2)


def test_files_that_are_no_checkpoint_raise(tmp_path: Path) -> None:
    folder = make_s1(tmp_path / "s1")  # its model.pth is no zip archive
    with pytest.raises(PreflightError, match="fetch or make it again"):
        fish_memory(folder, "bf16", 5)


# -------------------------------------------------------------------------------------- choice


def without_codec(folder: Path) -> Path:
    """A checkpoint whose codec takes nothing for its results, so that the rows of the small model count."""
    make_s2(folder)
    (folder / "codec.yaml").write_text("encoder_dim: 0\n", encoding="utf-8")
    return folder


@pytest.fixture
def both(tmp_path: Path) -> dict[str, Checkpoint]:
    return {
        S2_PRO: Checkpoint(without_codec(tmp_path / "s2"), S2, S2_PRO),
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
    needed = fish_memory(both[S2_PRO].folder, "bf16", 5, on_gpu=True).total
    fits = taken(both, card(needed))
    assert fits.name == S2_PRO and fits.folder == both[S2_PRO].folder
    assert fits.why.startswith(
        "the checkpoint s2-pro is taken and not openaudio-s1-mini, which is here too: s2-pro takes"
    )
    assert "computed" in fits.why and "free on a card" in fits.why
    too_large = taken(both, card(needed - 1))
    assert too_large.name == S1_MINI and "FISH_BATCH_SIZE" in too_large.why


def test_every_worker_of_a_card_counts_and_so_does_every_row(both: dict[str, Checkpoint]) -> None:
    needed = fish_memory(both[S2_PRO].folder, "bf16", 5, on_gpu=True).total
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
    monkeypatch.setattr(memory, "machine_memory", lambda: Memory(16 * GB, 9 * GB))
    assert read_device(examined("mps"), "auto") == DeviceMemory("mps", "bf16", "mps", 9 * GB)
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
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


# ------------------------------------------------------------------------- what is left to choose


def fitted(folder: Path, device: DeviceMemory | str, **flags: object) -> tuple[Settings, tuple[str, ...]]:
    return fit_to_device(resolve({"device": "cuda", **flags}), folder, lambda: device)


def test_lines_at_a_time_are_as_many_as_the_memory_of_the_gpu_allows(tmp_path: Path) -> None:
    folder = without_codec(tmp_path / "s2")
    for rows in (1, 2, 16, MOST_ROWS):
        needed = fish_memory(folder, "bf16", rows, on_gpu=True).total
        settings, (why,) = fitted(folder, card(round(needed / 0.9) + 2))
        assert settings.batch_size == rows
        assert f"{rows} lines at a time" in why and "free on a card" in why and "FISH_BATCH_SIZE" in why
    assert fitted(folder, card(1000 * GB))[0].batch_size == MOST_ROWS
    assert fitted(folder, card(1))[0].batch_size == 1, "the worker finds out, and says it"


def test_in_parallel_mode_every_gpu_has_a_worker(tmp_path: Path) -> None:
    folder = without_codec(tmp_path / "s2")
    settings, notes = fitted(folder, card(1000 * GB, devices=4), mode="parallel")
    assert (settings.workers, settings.pool_size, settings.batch_size) == (4, 4, MOST_ROWS)
    assert "1 worker for each of 4 GPUs" in notes[0]
    settings, notes = fitted(folder, card(1000 * GB), mode="parallel")
    assert settings.pool_size == 1 and "1 worker for the GPU" in notes[0]
    settings, _ = fitted(folder, card(1000 * GB, devices=4))
    assert settings.pool_size == 1, "the sequential mode has one"


def test_workers_that_share_a_gpu_share_its_memory(tmp_path: Path) -> None:
    folder = without_codec(tmp_path / "s2")
    needed = fish_memory(folder, "bf16", 8, on_gpu=True).total
    free = round(2 * needed / 0.9) + 2
    settings, _ = fitted(folder, card(free), mode="parallel", workers=2)
    assert (settings.workers, settings.batch_size) == (2, 8)
    settings, _ = fitted(folder, card(free, devices=2), mode="parallel", workers=4)
    assert settings.batch_size == 8


def test_what_is_set_stays(tmp_path: Path) -> None:
    folder = without_codec(tmp_path / "s2")
    settings, notes = fitted(folder, card(1000 * GB, devices=4), mode="parallel", workers=3, batch_size=7)
    assert (settings.workers, settings.batch_size, notes) == (3, 7, ())
    settings, _ = fitted(folder, card(1000 * GB), batch_size="auto")
    assert settings.batch_size == MOST_ROWS


@pytest.mark.parametrize(
    "device", ["torch cannot be imported", DeviceMemory("cpu", "float32", "cpu", None), card(None)]
)
def test_without_a_gpu_or_its_memory_nothing_changes(tmp_path: Path, device: DeviceMemory | str) -> None:
    folder = without_codec(tmp_path / "s2")
    settings, notes = fitted(folder, device, mode="parallel")
    assert (settings.workers, settings.batch_size, notes) == (2, 5, ())
    settings = resolve({"device": "cpu", "mode": "parallel"})
    assert fit_to_device(settings, folder, not_asked) == (settings, ())
    settings = resolve({"device": "cuda", "executor": "ray"})
    assert fit_to_device(settings, folder, not_asked) == (settings, ())


def test_a_machine_without_the_driver_of_a_gpu_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "has_nvidia_gpu", lambda: False)
    settings = resolve({})
    assert fit_to_device(settings, without_codec(tmp_path / "s2"), not_asked) == (settings, ())
    monkeypatch.setattr(memory, "has_nvidia_gpu", lambda: True)
    assert fit_to_device(settings, tmp_path / "s2", lambda: card(1000 * GB))[0].batch_size == MOST_ROWS
