"""Each command in the README and in docs/ runs as it stands there.

With the echo engine where a command does not name one, through the setting that the docs describe:
the engines have tests of their own, this is about the commands.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command import Run
from voiceclone_cli.cli import main

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(path: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = (line.split("#")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


@pytest.mark.engine
@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_each_command_runs(
    path: Path,
    tmp_path: Path,
    sample_wav: Path,
    sample_run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICECLONE_ENGINE", "echo")
    _lay_out(tmp_path, sample_wav, sample_run)
    for line in commands(path):
        words = shlex.split(line)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            continue
        code = _voiceclone(words, monkeypatch) if words[0] == "voiceclone" else _python(words)
        out, err = capfd.readouterr()
        assert code == 0, f"{line}\n{err}"
        assert out, line


def _voiceclone(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Through the console script's own function, in this process: pyannote is imported once for all."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(sys, "argv", words)
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(end.value.code or 0)


def _python(words: list[str]) -> int:
    program = [sys.executable, str(ROOT / words[1]), *words[2:]]
    return subprocess.run(program, stdin=subprocess.DEVNULL).returncode


def _lay_out(folder: Path, sample_wav: Path, sample_run: Run) -> None:
    """The files that the docs speak of."""
    shutil.copy(sample_wav, folder / "input.wav")
    shutil.copy(sample_run.folder / "speakers" / "SPEAKER_01" / "reference.wav", folder / "voice.wav")
    shutil.copy(ROOT / "examples" / "sample.es.srt", folder / "translation.es.srt")
    task = {
        "schema": "voiceclone.task/1",
        "speaker": "SPEAKER_00",
        "engine": {"name": "echo"},
        "reference": {"audio": str(folder / "voice.wav"), "text": "", "codes": ""},
        "output_dir": str(folder / "spoken"),
        "segments": [{"id": "0001", "text": "Hello.", "language": "en", "seed": 1, "max_seconds": None}],
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
