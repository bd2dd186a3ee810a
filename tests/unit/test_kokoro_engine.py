"""What the kokoro engine refuses to start with."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_worker.engines import kokoro
from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.kokoro.model import DECODER_FILE, FRONT_FILE
from voiceclone_worker.protocol import EngineSpec


def test_a_checkpoint_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="voiceclone models pull kokoro") as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path)), lambda *event, **fields: None)
    assert refused.value.code == "checkpoint_missing"


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    for name in (FRONT_FILE, DECODER_FILE):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError) as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path)), lambda *event, **fields: None)
    assert refused.value.code == "checkpoint_unusable"


@pytest.mark.parametrize("threads", [-1, "two", 1.5, True])
def test_threads_must_be_a_number(tmp_path: Path, threads: object) -> None:
    with pytest.raises(EngineError) as refused:
        kokoro.load(EngineSpec("kokoro", str(tmp_path), options={"threads": threads}), lambda *e, **f: None)
    assert refused.value.code == "bad_option"
