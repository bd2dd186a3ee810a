"""The wheel holds all that a run needs, the worker included."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, unpacked into a folder of its own as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = folder.glob("voiceclone_cli-*.whl")
    target = folder / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, capture_output=True
    )
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    return target


def test_it_holds_the_worker_its_tables_and_the_pins_of_the_fish_environment(installed: Path) -> None:
    worker = installed / "voiceclone_worker"
    assert (worker / "__main__.py").is_file() and (worker / "protocol.py").is_file()
    assert (worker / "requirements-fish.txt").read_bytes() == (
        ROOT / "worker_env" / "requirements-fish.txt"
    ).read_bytes()
    assert sorted(path.name for path in worker.rglob("*.npz")) == ["voice_traits.npz", "voices_knots.npz"]


def test_the_installed_command_speaks_a_task_with_its_own_worker(installed: Path, tmp_path: Path) -> None:
    task = tmp_path / "task.json"
    task.write_text(
        '{"schema": "voiceclone.task/1", "speaker": "A", "engine": {"name": "echo"},'
        ' "reference": {"audio": "", "text": "", "codes": ""},'
        f' "output_dir": "{tmp_path.as_posix()}", "segments": [{{"id": "1", "text": "Hello."}}]}}',
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where = [
        sys.executable,
        "-c",
        "import voiceclone_cli as v, voiceclone_worker as w; print(v.__file__, w.__file__)",
    ]
    found = subprocess.run(where, env=environment, cwd=tmp_path, capture_output=True, text=True).stdout
    assert found.count(str(installed)) == 2
    command = [sys.executable, "-m", "voiceclone_cli", "synth", str(task), "--quiet"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / '1.wav'}\n"
