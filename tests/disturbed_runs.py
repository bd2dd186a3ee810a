"""A short talk that runs in a second, and what a run of it may leave: for tests of what befalls a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from command import Ended
from short_talk import short_talk

LINES = 10
OF_THE_MOMENT = {
    *("run.json", "report.html", ".lock", ".lock-holder", "timeline.json", "original.json", "video.json")
}
"""Files that hold times of day or of files, so that no two runs write the same."""


def make_talk(folder: Path) -> list[object]:
    """The arguments of a `run` by two workers, on a talk that is made in ``folder``."""
    return ["run", *short_talk(folder).inputs, "--engine", "echo", "--workers", 2, "--mode", "parallel"]


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a run directory that the same inputs make again to the byte."""
    files = (path for path in root.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {
        str(path.relative_to(root)): path.read_bytes() for path in files if path.name not in OF_THE_MOMENT
    }


def assert_told(ended: Ended, *words: object, codes: tuple[int, ...] = (1, 3, 4)) -> None:
    assert ended.code in codes, (ended.code, ended.err)
    assert "Traceback" not in ended.err + ended.out, ended.err
    for word in words:
        assert str(word) in ended.err, ended.err


def assert_whole(root: Path, undisturbed: dict[str, bytes]) -> None:
    """Whatever stands under a final name is what an undisturbed run writes there, and nothing else is left."""
    torn = [name for name, data in contents(root).items() if undisturbed.get(name) != data]
    assert torn == []
    if (root / "run.json").exists():
        json.loads((root / "run.json").read_text(encoding="utf-8"))
    if (root / "report.html").exists():
        assert (root / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


class Running:
    """A run that has begun to speak, a quarter of a second a line, and is not waited for."""

    def __init__(self, talk: list[object], folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "voiceclone_cli", *map(str, talk), "--out", folder],
            env={**os.environ, "VOICECLONE_ECHO": json.dumps({"delay": 0.25})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.pid = self._process.pid

    def wait_for_the_first_line(self) -> None:
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("segments/*.json")):
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    def ended(self) -> Ended:
        out, err = self._process.communicate(timeout=120)
        return Ended(self._process.returncode, out, err)
