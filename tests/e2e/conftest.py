"""One real run, shared by the tests that look at what it left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from command import Run, voiceclone


@pytest.fixture(scope="session")
def sample_run(
    tmp_path_factory: pytest.TempPathFactory, sample_wav: Path, model_folders: Mapping[str, Path]
) -> Run:
    """The main job: the sample recording, the embedded default, sequential mode."""
    folder = tmp_path_factory.mktemp("run") / "sample"
    return Run(voiceclone("run", sample_wav, "--out", folder, "--json", cwd=folder.parent), folder)
