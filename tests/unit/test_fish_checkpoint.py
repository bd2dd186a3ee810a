"""Opening fish-speech's code, on checkouts that hold no more of it than their shape."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from fish_interpreter import in_fish
from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish.checkpoint import choose_device

# Where the fish engine computes and in which numbers. GPUs are said to be there, since none is.


def gpus(monkeypatch: pytest.MonkeyPatch, count: int, capability: tuple[int, int] = (8, 0)) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)


def metal(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there)


def test_auto_takes_the_cpu_in_float32_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, False)
    device, precision = choose_device("auto", "auto")
    assert (device.type, precision) == ("cpu", "float32")


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_auto_takes_cuda_in_bf16_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    gpus(monkeypatch, 1, capability)
    device, chosen = choose_device("auto", "auto")
    assert (device.type, chosen) == ("cuda", precision)


def test_workers_spread_over_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    assert [choose_device("auto", "auto", worker)[0].index for worker in (1, 2, 3, 4)] == [0, 1, 0, 1]
    assert choose_device("cuda:1", "auto", 1)[0].index == 1


def test_the_workers_number_comes_from_its_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    monkeypatch.setenv("VOICECLONE_WORKER", "2")
    assert choose_device("auto", "auto")[0].index == 1


def test_auto_takes_metal_before_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, True)
    assert choose_device("auto", "auto")[0].type == "mps"


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "quantum"])
def test_a_device_that_is_not_here_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, False)
    with pytest.raises(EngineError) as caught:
        choose_device(device, "auto")
    assert caught.value.code == "bad_device"


def test_the_cpu_never_computes_in_fp16() -> None:
    with pytest.raises(EngineError) as caught:
        choose_device("cpu", "fp16")
    assert caught.value.code == "bad_precision"
    assert "bf16" in caught.value.message


def test_precisions_that_are_advised_work_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    metal(monkeypatch, True)
    monkeypatch.setattr("voiceclone_worker.engines.fish.checkpoint.int8_works", lambda: False)
    for name, refused in (("cpu", "fp16"), ("cpu", "int8"), ("mps", "int8")):
        with pytest.raises(EngineError) as caught:
            choose_device(name, refused)
        advised = (
            caught.value.message.partition("--precision ")[2].replace(",", "").replace("or ", "").split()
        )
        assert len(advised) >= 2
        assert [choose_device(name, precision)[1] for precision in advised] == advised


def test_int8_is_for_gpus_that_have_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1, (8, 9))
    assert choose_device("cuda", "int8")[1] == "int8"
    gpus(monkeypatch, 1, (7, 5))
    with pytest.raises(EngineError, match="int8 is not computed on cuda here") as caught:
        choose_device("cuda", "int8")
    assert caught.value.code == "bad_precision"


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(EngineError, match="float16x"):
        choose_device("cpu", "float16x")


PYTHON = Path(sys.executable)


def checkout(folder: Path, dac: str) -> Path:
    for name, text in {
        "models/text2semantic/llama.py": "from transformers import AutoTokenizer\n",
        "models/dac/modded_dac.py": f"import librosa\n\n\nclass DAC:\n    {dac}\n",
    }.items():
        path = folder / "fish_speech" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_checkout_goes_before_what_is_installed_and_what_it_never_uses_may_be_missing(
    tmp_path: Path,
) -> None:
    # This interpreter has no transformers, librosa, loguru or tensorboard.
    source = checkout(tmp_path, "encode = None")
    (tmp_path / "loguru.py").write_text(
        "class logger:\n    remove = staticmethod(lambda: None)\n    add = staticmethod(lambda *a, **k: None)\n",
        encoding="utf-8",
    )
    answer = in_fish(PYTHON, "open_checkout.py", source)
    assert answer == {"taken": str(tmp_path / "fish_speech"), "stand-in refuses": True}


def test_a_checkout_of_the_newer_generation_is_one_sentence(tmp_path: Path) -> None:
    answer = in_fish(PYTHON, "open_checkout.py", checkout(tmp_path, "from_indices = None"))
    assert answer["code"] == "fish_generation"
    assert "S2" in answer["message"] and "0.1.0" in answer["message"]


def test_a_folder_that_is_no_checkout_is_one_sentence(tmp_path: Path) -> None:
    answer = in_fish(PYTHON, "open_checkout.py", tmp_path)
    assert answer["code"] == "fish_missing" and "FISH_SPEECH_DIR" in answer["message"]


def test_an_interpreter_without_fish_speech_is_told_what_to_do() -> None:
    answer = in_fish(PYTHON, "open_checkout.py", "")
    assert answer["code"] == "fish_missing" and "voiceclone env create" in answer["message"]
