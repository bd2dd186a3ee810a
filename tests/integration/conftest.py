"""What tests of a worker's faults share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from echo_pool import EchoPool


@pytest.fixture
def echo_pool(tmp_path: Path) -> EchoPool:
    if os.name == "nt":
        pytest.skip("faults are made of signals")
    return EchoPool(tmp_path / "echo_pool")
