"""Secrets stay where they were given: the command itself, every process it starts, every byte it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_server import Answer, LocalServer, serving
from short_talk import two_lines
from voiceclone_cli.workers.process import worker_program
from watch import WatchedPython, watched

TOKEN = "hf_canaryInTheEnvironment1"
FILE_TOKEN = "hf_canaryInTheFile2"
PASSWORD = "canaryInTheUrl3"
OTHER = "canaryOfSomebodyElse4"
CANARIES = (TOKEN, FILE_TOKEN, PASSWORD, OTHER)
NEEDED_BY_PIP = {"HTTPS_PROXY", "PIP_INDEX_URL"}
"""The way to the package index, with its login; see child_variables.NETWORK and PIP_PREFIXES."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the watched interpreter is a POSIX environment")


class Hub(LocalServer):
    """Answers everything with ``status`` (0: with no HTTP at all) and repeats what it was given."""

    def __init__(self, status: int, elsewhere: str = "") -> None:
        super().__init__(_Answer)
        self.status = status
        self.elsewhere = elsewhere
        self.brought: list[str | None] = []


class _Answer(Answer):
    server: Hub

    def do_HEAD(self) -> None:
        given = self.headers.get("Authorization")
        self.server.brought.append(given)
        if self.server.status == 0:
            self.wfile.write(f"{given} \0\xff\r\n".encode())
            return
        self.send_response(self.server.status, f"no to {given}")
        self.send_header("X-Error-Message", f"{given} is not welcome at http://me:{PASSWORD}@hub")
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD


@pytest.fixture
def python(tmp_path: Path) -> WatchedPython:
    return watched(Path(sys.executable), tmp_path / "python")


@pytest.fixture
def command(python: WatchedPython, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `voiceclone` among secrets, in the folder ``work``; no canary may be in what it prints."""
    work = tmp_path / "work"
    work.mkdir()
    (work / ".env").write_text(f"HF_TOKEN={FILE_TOKEN}\n", encoding="utf-8")
    (work / ".env").chmod(0o644)

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(python.python), "-m", "voiceclone_cli", *map(str, arguments)],
            cwd=work,
            env={**_secrets(tmp_path), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert not _canaries(done.stdout + done.stderr), done.stderr
        return done

    return run


def _secrets(folder: Path) -> dict[str, str]:
    """An environment full of secrets, whose network ends at this machine."""
    ordinary = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return ordinary | {
        "VOICECLONE_HOME": str(folder / "home"),
        "HF_HOME": str(folder / "hub"),
        "HF_TOKEN": TOKEN,
        "HUGGING_FACE_HUB_TOKEN": TOKEN,
        "AWS_SECRET_ACCESS_KEY": OTHER,
        "CANARY": OTHER,
        "HTTPS_PROXY": f"http://me:{PASSWORD}@127.0.0.1:1",
        "NO_PROXY": "127.0.0.1,localhost",
        "PIP_INDEX_URL": f"http://me:{PASSWORD}@127.0.0.1:1/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": "0",
    }


def _canaries(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


def assert_nothing_leaked(python: WatchedPython, folder: Path) -> None:
    """Not in a file, not on a command line, and in no child's environment but where it has a use."""
    assert [entry for entry in python.processes if _canaries(" ".join(entry["command"]))] == []
    root, *others = python.processes
    pip = {entry["pid"] for entry in others if entry["kind"] == "process" and "pip" in entry["command"]}
    for entry in others:
        seen = {name for name, value in entry["environment"].items() if _canaries(name + value)}
        # Pip, its start by ours, and what it starts itself (it asks the system for its name).
        is_pip = entry["pid"] in pip or (entry["pid"] == root["pid"] and "pip" in entry["command"])
        assert seen <= (NEEDED_BY_PIP if is_pip else set()), entry["command"]
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".env" and path != python.page:
            found = _canaries(path.read_bytes().decode("utf-8", errors="replace"))
            assert not found, f"{found} in {path}"


def test_a_run_leaves_and_shows_no_secret(
    command: Callable[..., Any], python: WatchedPython, tmp_path: Path
) -> None:
    flags = ("--engine", "echo", "--mode", "parallel", "--keep-tasks", "--progress", "json")
    del_token = {"HF_TOKEN": ""}  # so that the file's counts
    done = command("run", *two_lines(tmp_path).inputs, *flags, "--out", tmp_path / "out", **del_token)
    assert done.returncode == 0, done.stderr
    assert "chmod 600 .env" in done.stderr and "chmod 600 .env" in (tmp_path / "out" / "run.json").read_text()
    assert list((tmp_path / "out").rglob("*.json")) and len(python.processes) > 1
    assert_nothing_leaked(python, tmp_path)


@pytest.mark.parametrize("status", [401, 403, 404, 418, 0])
def test_what_a_hub_refuses_is_told_without_the_token(
    command: Callable[..., Any], python: WatchedPython, tmp_path: Path, status: int
) -> None:
    with serving(Hub(status)) as hub:
        done = command("models", "pull", "community-1", HF_ENDPOINT=hub.url)
    assert done.returncode == 4 and len(done.stderr.strip().splitlines()) >= 1
    assert set(hub.brought) == {f"Bearer {TOKEN}"}, "the hub itself is shown the token"
    assert_nothing_leaked(python, tmp_path)


def test_the_token_in_the_file_opens_the_hub_and_no_other_host(
    command: Callable[..., Any], python: WatchedPython, tmp_path: Path
) -> None:
    with serving(Hub(404)) as other:
        # The same machine by another name, as far as a URL goes another host.
        with serving(Hub(302, other.url.replace("127.0.0.1", "localhost"))) as hub:
            done = command("models", "pull", "community-1", HF_ENDPOINT=hub.url, HF_TOKEN="")
        assert done.returncode == 4
        assert set(hub.brought) == {f"Bearer {FILE_TOKEN}"}
        assert set(other.brought) <= {None}
    assert_nothing_leaked(python, tmp_path)


@pytest.mark.parametrize(
    "proxy", [f"http://me:{PASSWORD}@127.0.0.1:1", f"http://me:{PASSWORD}/x@127.0.0.1:x"]
)
def test_pip_is_shown_its_logins_and_shows_them_to_nobody(
    command: Callable[..., Any], python: WatchedPython, tmp_path: Path, proxy: str
) -> None:
    # An index elsewhere, so that the proxy is asked; its name is never looked up.
    index = f"https://me:{PASSWORD}@index.invalid/simple"
    done = command("models", "pull", "campplus", HTTPS_PROXY=proxy, PIP_INDEX_URL=index)
    assert done.returncode == 4
    assert [entry for entry in python.processes if "pip" in entry["command"]]
    assert_nothing_leaked(python, tmp_path)


def test_building_the_fish_environment_keeps_the_secrets_out_of_its_log(
    command: Callable[..., Any], python: WatchedPython, tmp_path: Path
) -> None:
    proxy, index = f"http://me:{PASSWORD}/x@127.0.0.1:x", f"https://me:{PASSWORD}@index.invalid/simple"
    done = command("env", "create", HTTPS_PROXY=proxy, PIP_INDEX_URL=index)
    assert done.returncode == 4
    (log,) = (tmp_path / "home" / "environments").glob("*.log")
    assert "installing torch" in log.read_text(encoding="utf-8")
    assert_nothing_leaked(python, tmp_path)


def test_the_settings_are_shown_without_the_token(command: Callable[..., Any]) -> None:
    for flags in ((), ("--json",)):
        done = command("config", "show", *flags)
        assert done.returncode == 0 and "(set)" in done.stdout
        assert "chmod 600 .env" in done.stderr


def test_the_libraries_are_silent_before_they_are_loaded(python: WatchedPython) -> None:
    """Whatever the user's environment says, or leaves out."""
    program = (
        "from voiceclone_worker.telemetry import refuse_telemetry; refuse_telemetry()\n"
        "from voiceclone_cli.analysis.diarization import prepare_import; prepare_import()\n"
        "from pyannote.audio.telemetry.metrics import is_metrics_enabled, tracer\n"
        "from huggingface_hub import constants\n"
        "assert not is_metrics_enabled() and 'NoOp' in type(tracer).__name__\n"
        "assert constants.HF_HUB_DISABLE_TELEMETRY\n"
    )
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ |= {"PYANNOTE_METRICS_ENABLED": "true", "HF_HUB_DISABLE_TELEMETRY": "0"}
    done = subprocess.run([str(python.python), "-c", program], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert python.calls == []


def test_a_worker_started_by_hand_leaves_no_telemetry_to_be_sent(
    python: WatchedPython, tmp_path: Path
) -> None:
    """onnxruntime keeps its events in the user's cache folder until it can send them."""
    program = (
        "import runpy, sys; sys.argv = ['worker', '--nonsense']\n"
        f"try: runpy.run_path({str(worker_program())!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "import os, onnxruntime; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'\n"
        "onnxruntime.SessionOptions(); onnxruntime.get_available_providers()\n"
    )
    user = tmp_path / "user"
    user.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(user)}
    done = subprocess.run([str(python.python), "-c", program], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path for path in user.rglob("*") if path.is_file()] == []
