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
from urllib.parse import unquote

import pytest

from fish_interpreter import in_fish
from local_server import Answer, LocalServer, serving
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


class PackageIndex(LocalServer):
    """Serves the wheels of a folder as an index of packages, below any path; ``paths`` are those of all requests."""

    def __init__(self, wheels: Path) -> None:
        super().__init__(_IndexAnswer)
        self.wheels = wheels
        self.paths: list[str] = []


class _IndexAnswer(Answer):
    server: PackageIndex

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        name = unquote(self.path.rstrip("/").rpartition("/")[2])
        wheel = self.server.wheels / name
        is_wheel = wheel.suffix == ".whl" and wheel.is_file()
        wheels = sorted(self.server.wheels.glob(f"{name.replace('-', '_')}-*.whl"))
        links = "".join(f'<a href="/files/{each.name}">{each.name}</a>' for each in wheels)
        body = wheel.read_bytes() if is_wheel else links.encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/zip" if is_wheel else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_build_of_torch_comes_from_its_index_all_else_from_pips_and_a_rebuild_takes_it_again(
    settings: Settings, recipe: Recipe, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    builds = tmp_path / "builds"
    builds.mkdir()
    write_wheel(builds, "tiny_torch", "1.0+cu130", requires="tiny-base")
    with serving(PackageIndex(builds)) as pytorch, serving(PackageIndex(wheels)) as usual:
        mirror = f"{pytorch.url}/whl/cu130"
        pip = ["--index-url", f"{usual.url}/simple", "--no-cache-dir"]
        environment.create_environment(settings, torch=mirror, pip_options=pip, recipe=recipe)
        assert version_of(environment.environment_python(settings, recipe), "tiny_torch") == "1.0+cu130"
        found = environment.environment_status(settings, recipe)
        assert (found.record["torch"], found.record["index"]) == ("tiny-torch==1.0+cu130", mirror)
        assert not environment.create_environment(settings, torch=mirror, pip_options=pip, recipe=recipe)
        pytorch.paths.clear()
        (found.folder / "complete.json").write_text(
            json.dumps(dict(found.record) | {"base": "/opt/another/python"}), encoding="utf-8"
        )
        environment.create_environment(settings, python=sys.executable, pip_options=pip, recipe=recipe)
        assert any(path.endswith("/tiny_torch-1.0%2Bcu130-py3-none-any.whl") for path in pytorch.paths)


def test_a_build_that_is_not_had_is_no_other_build_in_silence(
    settings: Settings, recipe: Recipe, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(PackageIndex(tmp_path / "empty")) as pytorch, serving(PackageIndex(wheels)) as usual:
        pip = ["--index-url", f"{usual.url}/simple", "--no-cache-dir"]
        for torch in (f"{pytorch.url}/whl/cu130", f"{pytorch.url}/simple"):
            with pytest.raises(PreflightError, match="No matching distribution") as caught:
                environment.create_environment(settings, torch=torch, pip_options=pip, recipe=recipe)
            assert f"from {torch}" in caught.value.message and "another --torch" in caught.value.message


@pytest.mark.engine
def test_the_build_imports_every_package_that_the_engine_imports(
    fish_python: Path, each_checkpoint: Path, tmp_path: Path
) -> None:
    """What a package needs on another platform alone is then missed when the environment is built."""
    recipe = environment.fish_recipe()
    program = (
        environment.CHECK
        + """
owners = importlib.metadata.packages_distributions()
names = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted({owner for name in names & owners.keys() for owner in owners[name]})))
"""
    )
    arguments = map(json.dumps, (recipe.pins(), recipe.imports, str(recipe.worker)))
    command = [str(fish_python), "-I", "-c", program, *arguments]
    checked = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    imported = in_fish(fish_python, "imported_packages.py", each_checkpoint, tmp_path)["packages"]
    owners = {owner for names in imported.values() for owner in names}
    assert {"loguru", "torch", "descript-audiotools"} <= owners
    assert owners <= set(checked)


@pytest.mark.engine
@pytest.mark.parametrize(
    "system",
    [
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    ],
    ids=["Windows", "macOS"],
)
@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_the_lock_has_what_its_packages_need_on_another_system_alone(
    fish_python: Path, system: dict[str, str], version: str
) -> None:
    """What they need here and the lock lacks is left out on purpose: the engine works without."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    recipe = environment.fish_recipe()
    program = "import importlib.metadata as m, json; print(json.dumps({d.name: d.requires or [] for d in m.distributions()}))"
    done = subprocess.run([str(fish_python), "-I", "-c", program], capture_output=True, check=True)
    installed = {canonicalize_name(name): needs for name, needs in json.loads(done.stdout).items()}

    def left_out(variables: dict[str, str]) -> set[str]:
        locked = {canonicalize_name(name) for name in recipe.pins(variables)}
        needs = [Requirement(text) for name in locked for text in installed.get(name, [])]
        wanted = [
            need for need in needs if need.marker is None or need.marker.evaluate({**variables, "extra": ""})
        ]
        return {canonicalize_name(need.name) for need in wanted} - locked

    here = left_out({})
    assert "transformers" in here
    assert left_out({**system, "python_version": version, "python_full_version": f"{version}.1"}) <= here


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
    pins = environment.fish_recipe().pins()
    assert {name: installed.get(name.lower().replace("_", "-")) for name in pins} == pins
    assert environment.environment_interpreter(fish_python.parents[1]) == fish_python
