"""Which torch `voiceclone env create --torch` names, and which build for CUDA a driver runs. There is no GPU here: what
nvidia-smi would print is written by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_cli.engines import torch_build
from voiceclone_cli.engines.torch_build import (
    TorchSource,
    advice_after_auto,
    cuda_advice,
    cuda_build,
    torch_source,
)
from voiceclone_cli.errors import InputError
from voiceclone_cli.system import NvidiaGpu

PINNED = "torch==2.13.0"
PASCAL, ADA, BLACKWELL = (6, 1), (8, 9), (12, 0)
CU130 = TorchSource("torch==2.13.0+cu130", "https://download.pytorch.org/whl/cu130")


@pytest.mark.parametrize(
    "driver, capability, windows, linux",
    [
        ((581, 29), ADA, "cu130", "cu130"),
        ((581, 29), BLACKWELL, "cu130", "cu130"),
        ((581, 29), PASCAL, "cu126", "cu126"),
        ((566, 14), ADA, "cu126", "cu126"),
        ((528, 33), ADA, "cu126", "cu126"),
        ((525, 105, 17), ADA, None, "cu126"),
        ((572, 16), BLACKWELL, None, None),
        ((472, 12), None, None, None),
        ((581, 29), None, "cu130", "cu130"),
    ],
)
def test_the_newest_build_that_the_gpu_and_its_driver_run(
    driver: tuple[int, ...], capability: tuple[int, int] | None, windows: str | None, linux: str | None
) -> None:
    gpus = [NvidiaGpu(driver, capability)]
    assert (cuda_build(gpus, "win32"), cuda_build(gpus, "linux")) == (windows, linux)


def test_of_several_gpus_all_are_used_where_a_build_has_code_for_all() -> None:
    ada, pascal, blackwell = (NvidiaGpu((581, 29), capability) for capability in (ADA, PASCAL, BLACKWELL))
    assert cuda_build([ada, pascal], "win32") == "cu126"
    assert cuda_build([blackwell, pascal], "win32") == "cu130"
    assert cuda_build([], "win32") is None


def test_auto_is_pypis_torch_but_on_windows_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build, "nvidia_gpus", lambda: (NvidiaGpu((581, 29), ADA),))
    assert torch_source("auto", PINNED, "win32") == CU130
    assert torch_source("auto", PINNED, "linux") == TorchSource(PINNED)
    monkeypatch.setattr(torch_build, "nvidia_gpus", tuple)
    assert torch_source("auto", PINNED, "win32") == TorchSource(PINNED)


def test_a_build_is_looked_for_in_pytorchs_index_besides_pips_own() -> None:
    assert torch_source("cu130", PINNED, "win32") == CU130
    assert CU130.options == ["--extra-index-url", "https://download.pytorch.org/whl/cu130"]
    assert torch_source("cpu", PINNED, "linux").requirement == "torch==2.13.0+cpu"
    assert [torch_source("cpu", PINNED, system) for system in ("win32", "darwin")] == [
        TorchSource(PINNED)
    ] * 2
    with pytest.raises(InputError, match="no CUDA on macOS"):
        torch_source("cu130", PINNED, "darwin")


def test_an_address_is_a_mirror_of_a_build_an_index_or_a_wheel() -> None:
    mirror = torch_source("https://mirror.example.org/whl/cu126/", PINNED)
    assert mirror == TorchSource("torch==2.13.0+cu126", "https://mirror.example.org/whl/cu126/")
    index = torch_source("https://example.org/simple", PINNED)
    assert index == TorchSource(PINNED, "https://example.org/simple")
    assert index.options == ["--index-url", "https://example.org/simple"], (
        "else pip may take PyPI's in silence"
    )
    wheel = "https://example.org/torch-2.13.0-cp311-cp311-win_amd64.whl"
    assert torch_source(wheel, PINNED) == TorchSource(wheel)


def test_a_version_a_requirement_or_a_wheel_is_left_to_pips_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torch.whl").touch()
    assert torch_source("2.13.0+cpu", PINNED) == TorchSource("torch==2.13.0+cpu")
    assert torch_source("torch>=2.13", PINNED) == TorchSource("torch>=2.13")
    assert torch_source("torch.whl", PINNED) == TorchSource(str(tmp_path / "torch.whl"))
    assert torch_source("torch>=2.13", PINNED).options == []
    for text in ("--user", " "):
        with pytest.raises(InputError, match="--torch"):
            torch_source(text, PINNED)


def test_a_gpu_that_torch_does_not_use_gets_the_command_that_mends_it() -> None:
    old, older, new = (NvidiaGpu(driver, ADA) for driver in ((566, 14), (472, 12), (581, 29)))
    assert cuda_advice([new], None, "win32") == "run `voiceclone env create --torch cu130`"
    assert cuda_advice([old], None, "linux") == "run `voiceclone env create --torch cu126`"
    assert cuda_advice([older], None, "win32").startswith("update the NVIDIA driver to 528.33 or later")
    blackwell = NvidiaGpu((572, 16), BLACKWELL)
    assert cuda_advice([blackwell], None, "win32").startswith("update the NVIDIA driver to 580 or later")
    given = cuda_advice([new], r"C:\conda\python.exe", "win32")
    assert r"environment of C:\conda\python.exe" in given and "/whl/cu130" in given


def test_auto_says_when_its_torch_leaves_the_gpu_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    def advice(platform: str, *gpus: NvidiaGpu) -> str:
        monkeypatch.setattr(torch_build, "nvidia_gpus", lambda: gpus)
        return advice_after_auto(platform)

    assert advice("win32") == advice("linux") == ""
    assert advice("win32", NvidiaGpu((581, 29), ADA)) == advice("linux", NvidiaGpu((581, 29), ADA)) == ""
    assert "update the NVIDIA driver" in advice("win32", NvidiaGpu((472, 12), ADA))
    assert "--torch cu126" in advice("linux", NvidiaGpu((566, 14), ADA)), "PyPI's is the build for CUDA 13.0"
