"""What tests of a worker's faults share, and what tests of analysis in other processes share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from echo_pool import EchoPool
from voiceclone_cli.analysis.diarization import DiarizationModel, choose_diarizer


@pytest.fixture
def echo_pool(tmp_path: Path) -> EchoPool:
    if os.name == "nt":
        pytest.skip("faults are made of signals")
    return EchoPool(tmp_path / "echo_pool")


@pytest.fixture(scope="session")
def embedded_diarizer(model_folders: Mapping[str, Path]) -> DiarizationModel:
    return choose_diarizer(
        "embedded", models=lambda names: {name: model_folders[name] for name in names}, token=None
    )
