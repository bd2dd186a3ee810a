"""A run of each real engine that is killed and resumed has the bytes of one that was not killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"),
        reason="it looks for processes in /proc, and adopts them by prctl",
    ),
]

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"
LINES = (
    ("SPEAKER_00", 7.0, "Hello there."),
    ("SPEAKER_01", 9.0, "Good day."),
    ("SPEAKER_00", 11.0, "How so?"),
)


@pytest.fixture
def inputs(tmp_path: Path, sample_wav: Path) -> list[str]:
    """Return options with turns and three short lines, so that only the engine is left to run."""
    turns, lines = tmp_path / "turns.rttm", tmp_path / "lines.json"
    rttm = sample_wav.with_suffix(".rttm").read_text(encoding="utf-8")
    turns.write_text(
        rttm.replace("speaker90", "SPEAKER_00").replace("speaker91", "SPEAKER_01"), encoding="utf-8"
    )
    segments = [
        {"speaker": speaker, "start": start, "end": start + 1.5, "text": text}
        for speaker, start, text in LINES
    ]
    lines.write_text(json.dumps({"language": "en", "segments": segments}), encoding="utf-8")
    return ["--turns", str(turns), "--script", str(lines)]


def killed_once(*arguments: str) -> Mapping[str, Any]:
    # With this seed the kill is at about two thirds of the run.
    flags = ["--kills", "1", "--form", "row", "--seed", "5", "--json"]
    command = (sys.executable, str(PROGRAM), *flags, *arguments)
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=600
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def check_nothing_is_lost(summary: Mapping[str, Any]) -> None:
    assert summary["segments"] == len(LINES)
    assert len(summary["kills"]) == 1 and len(summary["resumes"]) == 1
    zeros = ("bytes_differing", "orphans", "files_left")
    assert {key: summary[key] for key in zeros} == dict.fromkeys(zeros, 0)


def test_a_killed_kokoro_run_goes_on_to_the_same_bytes(
    inputs: list[str], model_folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICECLONE_VOICE_EFFORT", "fast")
    check_nothing_is_lost(killed_once("--engine", "kokoro", *inputs))


def test_a_killed_fish_run_goes_on_to_the_same_bytes(
    inputs: list[str], fish_python: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish_python))
    check_nothing_is_lost(killed_once("--engine", "fish", "--checkpoint", str(tiny_checkpoint), *inputs))
