"""The end of a worker whose coordinator is gone."""

from __future__ import annotations

import os

from voiceclone_worker.runtime import input_hung_up


def test_a_pipe_is_hung_up_when_its_other_end_is_closed() -> None:
    reading, writing = os.pipe()
    try:
        assert not input_hung_up(reading)
        os.write(writing, b"a request that nobody has read")
        assert not input_hung_up(reading)
        os.read(reading, 100)
        os.close(writing)
        assert input_hung_up(reading)
    finally:
        os.close(reading)
