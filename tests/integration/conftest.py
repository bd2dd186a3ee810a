"""What tests of a worker's faults share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    if os.name == "nt":
        pytest.skip("faults are made of signals")
    return Studio(tmp_path / "studio")
