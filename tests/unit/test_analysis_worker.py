"""What an analysis worker does with the samples it is given."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.analysis.worker import _take_samples


@pytest.mark.parametrize(
    "platform",
    [
        "win32",
        *(
            pytest.param(name, marks=pytest.mark.skipif(os.name == "nt", reason="removes no mapped file"))
            for name in ("linux", "darwin")
        ),
    ],
)
def test_the_file_of_the_samples_is_gone_when_they_are_taken(tmp_path: Path, platform: str) -> None:
    path = tmp_path / "samples.npy"
    np.save(path, np.arange(5, dtype=np.float32))
    samples = _take_samples(path, platform)
    assert not path.exists()
    assert samples.tolist() == [0, 1, 2, 3, 4]
    assert samples.flags.writeable, "torch takes no memory that is read-only"
    # Windows removes no file that is mapped.
    assert isinstance(samples.base, np.memmap) == (platform != "win32")
