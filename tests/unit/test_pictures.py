"""The picture of a terminal: what is left on the screen, not all that was ever written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("pty")
sys.path.append(str(Path(__file__).parents[2] / "docs" / "making"))

from terminal import draw, screen_after

PROGRAM = """
import time
from rich.progress import Progress
with Progress() as bars:
    one, two = bars.add_task("diarization", total=3), bars.add_task("synthesis", total=2)
    for _ in range(3):
        bars.advance(one)
        bars.refresh()
    bars.console.print("engine: kokoro")
    bars.update(two, completed=2)
print("success: 9 of 9")
"""


def test_bars_that_were_drawn_many_times_stand_there_once(tmp_path: Path) -> None:
    environ = {**os.environ, "TERM": "xterm-256color"}
    lines = screen_after([sys.executable, "-c", PROGRAM], tmp_path, 80, environ)
    target = tmp_path / "screen.svg"
    draw(lines, target, title="a run", columns=80)
    picture = target.read_text(encoding="utf-8")
    assert len(lines) == 4 and lines[-1] == "success: 9 of 9"
    assert [picture.count(word) for word in ("diarization", "kokoro", "success:")] == [1, 1, 1]
    assert picture.count("100%") == 2
    assert "http" not in picture.replace("http://www.w3.org", "").replace("https://www.textualize.io", "")


def test_a_command_that_fails_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3"):
        screen_after([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, 80, dict(os.environ))
