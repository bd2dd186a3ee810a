"""The short form of benchmarks/chaos.py: every kind of fault, in twelve runs of the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="it looks for processes in /proc, and adopts them by prctl"
)


def test_nothing_is_lost_whatever_happens_to_a_run() -> None:
    done = subprocess.run(
        [sys.executable, CHAOS, "--short", "--seed", "1", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.stdout, done.stderr
    summary = json.loads(done.stdout)
    assert summary["failures"] == [], done.stderr
    assert summary["runs"] == 12 and summary["survived"] == summary["faults"] >= 20
    zeros = ("segments_lost", "bytes_differing", "orphans", "files_left")
    assert {key: summary[key] for key in zeros} == dict.fromkeys(zeros, 0)
    assert done.returncode == 0
