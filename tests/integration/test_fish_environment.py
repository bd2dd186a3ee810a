"""Building environments for real: venv and pip in processes of their own, with packages made on the spot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines import environment
from voiceclone_cli.engines.environment import EnvironmentState, Recipe
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import ProgressEvent

RUNNING = (sys.version_info[0], sys.version_info[1])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    return resolve({})


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A package index of three wheels; what tiny-fish depends on is not among them."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, "tiny_torch", "1.0", requires="tiny-base")
    write_wheel(folder, "tiny_torch", "2.0", requires="tiny-base")
    write_wheel(folder, "tiny_base", "1.0")
    write_wheel(folder, "tiny_fish", "1.0", requires="nowhere-to-be-found")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    lock = tmp_path / "lock.txt"
    lock.write_text("# the tiny lock\ntiny-fish==1.0\n", encoding="utf-8")
    return Recipe(lock, "tiny-torch==1.0", ("tiny_torch", "tiny_base", "tiny_fish"), (RUNNING,))


def write_wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def from_wheels(folder: Path) -> list[str]:
    """Options for pip that leave it this folder alone."""
    return ["--no-index", "--find-links", str(folder)]


def version_of(python: Path | None, module: str) -> str:
    program = f"import {module}; print({module}.VERSION)"
    return subprocess.run(
        [str(python), "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_it_is_built_once_and_rebuilt_for_another_torch(
    settings: Settings, recipe: Recipe, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(wheels / "tiny_torch-1.0-py3-none-any.whl"))
    monkeypatch.setenv("PIP_TARGET", str(wheels / "elsewhere"))
    events: list[ProgressEvent] = []
    pip = from_wheels(wheels)
    assert environment.create_environment(settings, events.append, pip_options=pip, recipe=recipe)
    python = environment.environment_python(settings, recipe)
    assert version_of(python, "tiny_torch") == "1.0"
    assert sorted({(event.completed, event.total) for event in events}) == [(step, 4) for step in range(5)]
    assert any("Processing" in event.note for event in events)
    found = environment.environment_status(settings, recipe)
    assert found.state is EnvironmentState.COMPLETE
    assert (found.record["torch"], found.record["lock"]) == ("tiny-torch==1.0", recipe.digest)
    assert "tiny_fish" in found.log.read_text(encoding="utf-8").replace("-", "_")

    before = record_time(found.folder)
    assert not environment.create_environment(settings, pip_options=pip, recipe=recipe)
    assert not environment.create_environment(settings, python=sys.executable, pip_options=pip, recipe=recipe)
    assert record_time(found.folder) == before
    assert environment.create_environment(settings, torch="tiny-torch==2.0", pip_options=pip, recipe=recipe)
    assert version_of(python, "tiny_torch") == "2.0"
    assert not environment.create_environment(settings, pip_options=pip, recipe=recipe)


def test_another_python_keeps_the_torch_that_is_installed(
    settings: Settings, recipe: Recipe, wheels: Path
) -> None:
    pip = from_wheels(wheels)
    assert environment.create_environment(settings, torch="tiny-torch==2.0", pip_options=pip, recipe=recipe)
    record = environment.environment_status(settings, recipe).folder / "complete.json"
    built = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(built | {"base": "/opt/another/python"}), encoding="utf-8")
    assert environment.create_environment(settings, python=sys.executable, pip_options=pip, recipe=recipe)
    assert version_of(environment.environment_python(settings, recipe), "tiny_torch") == "2.0"
    assert environment.environment_status(settings, recipe).record["torch"] == "tiny-torch==2.0"


def record_time(folder: Path) -> int:
    return (folder / "complete.json").stat().st_mtime_ns


def test_a_failing_pip_is_one_sentence_with_its_log_and_the_next_create_starts_afresh(
    settings: Settings, recipe: Recipe, wheels: Path
) -> None:
    moved = (wheels / "tiny_fish-1.0-py3-none-any.whl").rename(wheels / "later")
    with pytest.raises(PreflightError) as error:
        environment.create_environment(settings, pip_options=from_wheels(wheels), recipe=recipe)
    found = environment.environment_status(settings, recipe)
    assert "No matching distribution found for tiny-fish==1.0" in error.value.message
    assert str(found.log) in error.value.message and "\n" not in error.value.message
    assert (error.value.code, error.value.exit_code) == ("environment_failed", 4)
    assert "tiny-fish==1.0" in found.log.read_text(encoding="utf-8")
    assert found.state is EnvironmentState.BROKEN
    assert environment.environment_python(settings, recipe) is None

    left = found.folder / "left by the broken build"
    left.touch()
    moved.rename(wheels / "tiny_fish-1.0-py3-none-any.whl")
    assert environment.create_environment(settings, pip_options=from_wheels(wheels), recipe=recipe)
    assert environment.environment_python(settings, recipe) is not None
    assert not left.exists()


def test_what_cannot_be_imported_is_not_complete(settings: Settings, recipe: Recipe, wheels: Path) -> None:
    incomplete = replace(recipe, imports=("tiny_fish", "tiny_tokenizer"))
    with pytest.raises(PreflightError, match=r"checking .* failed .*No module named 'tiny_tokenizer'"):
        environment.create_environment(settings, pip_options=from_wheels(wheels), recipe=incomplete)
    assert environment.environment_python(settings, incomplete) is None


def test_a_rebuilt_package_that_pip_takes_for_the_pinned_one_is_not_complete(
    settings: Settings, recipe: Recipe, wheels: Path
) -> None:
    (wheels / "tiny_fish-1.0-py3-none-any.whl").unlink()
    write_wheel(wheels, "tiny_fish", "1.0+other")
    with pytest.raises(PreflightError, match=r"tiny-fish is 1\.0\+other, and 1\.0 is pinned"):
        environment.create_environment(settings, pip_options=from_wheels(wheels), recipe=recipe)
    assert environment.environment_python(settings, recipe) is None


def test_of_two_creates_at_once_one_builds_and_the_other_waits(
    settings: Settings, recipe: Recipe, wheels: Path
) -> None:
    built: list[bool] = []
    notes: list[str] = []

    def create() -> None:
        pip = from_wheels(wheels)
        built.append(
            environment.create_environment(
                settings, lambda e: notes.append(e.note), pip_options=pip, recipe=recipe
            )
        )

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(built) == [False, True]
    assert any("waiting for another" in note for note in notes)


@pytest.mark.skipif(os.name == "nt", reason="sends a signal to one process")
def test_ctrl_c_ends_pip_too(tmp_path: Path) -> None:
    """pip is kept waiting by an index that accepts and never answers."""
    if RUNNING not in environment.fish_recipe().pythons:
        pytest.skip("this interpreter cannot be the base of a fish environment")
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as index:
        url = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        command = [sys.executable, "-m", "voiceclone_cli", "env", "create", "--torch", "9.9.9", "--"]
        process = subprocess.Popen(
            [*command, "--index-url", url, "--no-cache-dir", "--timeout", "600"],
            env={**os.environ, "VOICECLONE_HOME": str(home), "NO_PROXY": "127.0.0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        index.settimeout(120)
        connection, _ = index.accept()
        with connection:
            connection.settimeout(60)
            assert connection.recv(4096).startswith(b"GET /simple/torch/")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert connection.recv(4096) == b"", "pip has not let go of its connection"
    assert (process.returncode, out) == (130, "")
    assert "stopped" in err and "Traceback" not in err
    assert list((home / "environments").glob("fish-*/bin/python"))
    assert not list((home / "environments").glob("fish-*/complete.json"))


@pytest.mark.engine
def test_the_two_environments_hold_the_protobufs_that_exclude_each_other(fish_python: Path) -> None:
    program = "import google.protobuf, json; print(json.dumps(google.protobuf.__version__))"

    def protobuf(python: object) -> str:
        done = subprocess.run([str(python), "-I", "-c", program], capture_output=True, text=True, check=True)
        version: str = json.loads(done.stdout)
        return version

    assert protobuf(fish_python) == "3.19.6"
    assert int(protobuf(sys.executable).split(".")[0]) >= 5


@pytest.mark.engine
def test_every_package_of_the_real_environment_is_the_pinned_one(fish_python: Path) -> None:
    program = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([str(fish_python), "-I", "-c", program], capture_output=True, text=True, check=True)
    installed = {name.lower().replace("_", "-"): version for name, version in json.loads(done.stdout).items()}
    pins = environment.fish_recipe().pins
    assert {name: installed.get(name.lower().replace("_", "-")) for name in pins} == pins
    assert environment.environment_interpreter(fish_python.parents[1]) == fish_python
