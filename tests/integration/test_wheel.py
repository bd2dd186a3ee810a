"""The package as a user installs it: complete, with a `voiceclone` that needs no checkout and no pip beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from package_build import PIP, build_wheel

ROOT = Path(__file__).parents[2]


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"), ROOT)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The programs of a new virtual environment without pip, where the wheel is installed and finds the dependencies of
    the environment that the tests run in."""
    bare = tmp_path_factory.mktemp("bare environment")
    venv.create(bare, with_pip=False, symlinks=os.name != "nt")
    (site,) = bare.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    programs = bare / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "--no-deps", "--no-index", "--no-warn-script-location", str(wheel)]
    subprocess.run([*PIP, "--python", str(programs / "python"), *install], check=True, capture_output=True)
    return programs


def run(scripts: Path, folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The installed command, as a user in ``folder`` types it."""
    environment = {**os.environ, **environ}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(scripts / "voiceclone"), *arguments],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )


def test_it_holds_the_worker_its_tables_and_the_pins_of_the_fish_environment(wheel: Path) -> None:
    found = contents(wheel)
    assert {"voiceclone_worker/__main__.py", "voiceclone_worker/protocol.py"} <= found.keys()
    pins = (ROOT / "worker_env" / "requirements-fish.txt").read_bytes()
    assert found["voiceclone_worker/requirements-fish.txt"] == pins
    tables = sorted(name.rpartition("/")[2] for name in found if name.endswith(".npz"))
    assert tables == ["voice_traits.npz", "voices_knots.npz"]
    assert not [name for name in found if name.startswith(("tests/", "benchmarks/"))]


def test_a_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(sdist, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("voiceclone_cli-*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"README.md", "LICENSE", "NOTICE", "pyproject.toml", "docs/quickstart.md"} <= names
    assert not [name for name in names if name.startswith((".venv", ".cache", "dist", "demo-out"))]
    again = build_wheel(tmp_path / "again", archive)
    assert contents(again) == contents(wheel)


def test_its_metadata_says_what_it_is_and_where_it_runs(wheel: Path) -> None:
    (name,) = (name for name in contents(wheel) if name.endswith("METADATA"))
    about = message_from_bytes(contents(wheel)[name])
    assert (about["Name"], about["License-Expression"]) == ("voiceclone-cli", "Apache-2.0")
    assert about.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert about["Description-Content-Type"] == "text/markdown" and "Two commands" in about.get_payload()
    systems = {
        text.split(" :: ")[-1] for text in about.get_all("Classifier", []) if text.startswith("Operating")
    }
    assert systems == {"Linux", "MacOS", "Windows"}
    pythons = {
        text.rpartition(" :: ")[2] for text in about.get_all("Classifier", []) if "Python :: 3." in text
    }
    assert about["Requires-Python"] == "<3.14,>=3.11" and pythons == {"3.11", "3.12", "3.13"}
    assert {Requirement(text).name for text in about.get_all("Requires-Dist", [])} >= {
        "torch",
        "pyannote-audio",
    }


def test_the_installed_command_speaks_a_task_with_its_own_worker(scripts: Path, tmp_path: Path) -> None:
    task = tmp_path / "task.json"
    task.write_text(
        '{"schema": "voiceclone.task/1", "speaker": "A", "engine": {"name": "echo"},'
        ' "reference": {"audio": "", "text": "", "codes": ""},'
        f' "output_dir": "{tmp_path.as_posix()}", "segments": [{{"id": "1", "text": "Hello."}}]}}',
        encoding="utf-8",
    )
    where = "import voiceclone_cli as v, voiceclone_worker as w; print(v.__file__, w.__file__)"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    python = [str(scripts / "python"), "-c", where]
    found = subprocess.run(python, env=environ, cwd=tmp_path, capture_output=True, text=True).stdout
    assert found.count(str(scripts.parent)) == 2
    done = run(scripts, tmp_path, "synth", str(task), "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / '1.wav'}\n"


@pytest.mark.engine
def test_the_two_commands_of_the_readme_make_a_report_in_a_bare_environment(
    scripts: Path, tmp_path: Path, model_folders: Any
) -> None:
    """With tones, and with models that are here; how they are fetched has tests of its own."""
    done = run(scripts, tmp_path, "demo", "--json", "--quiet", VOICECLONE_ENGINE="echo")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["status"] == "success" and len(document["speakers"]) == 2
    report = tmp_path / "voiceclone-demo" / "report.html"
    assert document["outputs"]["report"] == str(report) and report.stat().st_size > 100_000
