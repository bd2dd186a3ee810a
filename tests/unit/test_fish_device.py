"""Where the fish engine computes and in which numbers. GPUs are said to be there, since none is."""

from __future__ import annotations

import pytest
import torch

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.device import choose


def gpus(monkeypatch: pytest.MonkeyPatch, count: int, capability: tuple[int, int] = (8, 0)) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


def metal(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there)


def test_auto_takes_the_cpu_in_float32_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, False)
    place = choose("auto", "auto")
    assert (place.device.type, place.dtype, place.int8) == ("cpu", torch.float32, False)


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_auto_takes_cuda_in_bf16_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    gpus(monkeypatch, 1, capability)
    place = choose("auto", "auto")
    assert (place.device.type, place.precision) == ("cuda", precision)


def test_workers_spread_over_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    assert [choose("auto", "auto", worker).device.index for worker in (1, 2, 3, 4)] == [0, 1, 0, 1]
    assert choose("cuda:1", "auto", 1).device.index == 1


def test_the_workers_number_comes_from_its_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    monkeypatch.setenv("VOICECLONE_WORKER", "2")
    assert choose("auto", "auto").device.index == 1


def test_auto_takes_metal_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, True)
    assert choose("auto", "auto").device.type == "mps"


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "quantum"])
def test_a_device_that_is_not_here_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, False)
    with pytest.raises(EngineError) as caught:
        choose(device, "auto")
    assert caught.value.code == "bad_device"


def test_the_cpu_never_computes_in_fp16() -> None:
    with pytest.raises(EngineError) as caught:
        choose("cpu", "fp16")
    assert caught.value.code == "bad_precision"
    assert "bf16" in caught.value.message


def test_precisions_that_are_advised_work_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    monkeypatch.setattr("voiceclone_worker.engines.fish.device.int8_works", lambda: False)
    for name, refused in (("cpu", "fp16"), ("cpu", "int8"), ("cuda", "int8")):
        with pytest.raises(EngineError) as caught:
            choose(name, refused)
        advised = (
            caught.value.message.partition("--precision ")[2].replace(",", "").replace("or ", "").split()
        )
        assert len(advised) >= 2
        assert [choose(name, precision).precision for precision in advised] == advised


def test_int8_is_not_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    with pytest.raises(EngineError, match="int8"):
        choose("cuda", "int8")


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(EngineError, match="float16x"):
        choose("cpu", "float16x")
