"""The variables of child processes, and the memory of the machine."""

from __future__ import annotations

import _thread
import io
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from voiceclone_cli import system
from voiceclone_cli.engines.environment import child_environment, pip_environment
from voiceclone_cli.errors import Stopped
from voiceclone_cli.models.wheels import clean_environment
from voiceclone_cli.system import (
    Clock,
    Memory,
    NvidiaGpu,
    listening_for_stop,
    machine_memory,
    request_stop,
)
from voiceclone_cli.workers.process import worker_environment
from voiceclone_worker.engines.kokoro.phonemes.espeak import espeak_program
from voiceclone_worker.telemetry import OFFLINE, SILENCE, refuse_telemetry

GB = 10**9
PARENT = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "LANG": "C.UTF-8",
    "CANARY": "x",
    "HF_TOKEN": "x",
    "HUGGING_FACE_HUB_TOKEN": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "NVIDIA_API_KEY": "x",
    "PIP_SOME_TOKEN": "x",
    "SSH_AUTH_SOCK": "/run/agent",
    "PYTHONPATH": "/elsewhere",
    "PYTHONHOME": "/elsewhere",
    "__PYVENV_LAUNCHER__": "/elsewhere",
    "VIRTUAL_ENV": "/elsewhere",
    "HTTPS_PROXY": "http://me:abc@proxy:1",
    "no_proxy": "localhost",
    "SSL_CERT_FILE": "/certs.pem",
    "PIP_INDEX_URL": "https://me:abc@host/simple",
    "NVIDIA_VISIBLE_DEVICES": "0",
    "CUDA_VISIBLE_DEVICES": "0",
    "CC": "clang",
}
SECRET = {name for name, value in PARENT.items() if value in ("x", "/elsewhere", "/run/agent")}
NETWORK = {"HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "PIP_INDEX_URL"}


def test_a_worker_sees_its_devices_and_neither_secrets_nor_the_way_to_the_network() -> None:
    seen = worker_environment(sys.executable, 1, PARENT)
    assert {"PATH", "HOME", "LANG", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"} <= seen.keys()
    assert not seen.keys() & (SECRET | NETWORK)


def test_a_worker_gets_the_cpu_instructions_that_its_parent_may_use() -> None:
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "CT2_FORCE_CPU_ISA": "AVX2"}
    assert limits.items() <= worker_environment(sys.executable, 1, PARENT | limits).items()


def test_a_worker_has_no_telemetry_and_no_hub() -> None:
    seen = worker_environment(sys.executable, 1, {"HF_HUB_OFFLINE": "0", "PYANNOTE_METRICS_ENABLED": "true"})
    assert (SILENCE | OFFLINE).items() <= seen.items()


@pytest.mark.parametrize("installer", ["models", "environment"])
def test_pip_sees_the_way_to_its_index_and_neither_tokens_nor_other_paths(
    installer: str, tmp_path: Path
) -> None:
    seen = clean_environment(PARENT, tmp_path) if installer == "models" else pip_environment(PARENT)
    assert {"PATH", "HOME", *NETWORK} <= seen.keys()
    assert not seen.keys() & SECRET
    assert ("CC" in seen) is (installer == "environment"), "only an environment's packages are compiled"


def test_an_interpreter_that_is_only_probed_sees_no_network_and_no_login() -> None:
    assert child_environment(PARENT).keys() == {"PATH", "HOME", "LANG", "PYTHONNOUSERSITE", "PYTHONUTF8"}


def test_telemetry_of_our_own_process_is_off_whatever_is_set() -> None:
    environ = {"PYANNOTE_METRICS_ENABLED": "true", "OTHER": "x"}
    refuse_telemetry(environ)
    assert environ == SILENCE | {"OTHER": "x"} and "ORT_DISABLE_TELEMETRY" in environ


# ------------------------------------------------------------------------------------ memory


def test_memory_is_that_of_the_machine_or_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 * GB, available=6 * GB))
    assert machine_memory(tmp_path) == Memory(8 * GB, 6 * GB)
    (tmp_path / "memory.current").write_text("1000\n", encoding="ascii")
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert machine_memory(tmp_path) == Memory(8 * GB, 6 * GB)
    (tmp_path / "memory.max").write_text("4000000\n", encoding="ascii")
    assert machine_memory(tmp_path) == Memory(4_000_000, 3_999_000)
    (tmp_path / "memory.max").write_text(f"{9 * GB}\n", encoding="ascii")
    assert machine_memory(tmp_path) == Memory(8 * GB, 6 * GB), "a limit above what there is limits nothing"


def test_a_system_that_does_not_report_its_memory_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError("/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    assert machine_memory() is None


def test_this_machine_reports_its_memory() -> None:
    found = machine_memory()
    assert found is not None
    assert GB // 4 < found.available <= found.total


def test_a_request_to_stop_that_a_library_ignored_ends_the_next_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "_raised", [])
    with suppress(Stopped):  # as Python does in a finalizer
        request_stop(Stopped(130))
    with pytest.raises(Stopped), Clock().stage("media"):
        pass
    with pytest.raises(Stopped), listening_for_stop(lambda stop: None):
        pass


class CodePage(io.TextIOWrapper):
    """A stream as Windows opens it: in the code page, which lacks most of the world's letters."""

    def __init__(self, encoding: str) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding, newline="")


@pytest.mark.parametrize("code_page", ["cp1252", "cp936"])
def test_the_output_on_windows_is_utf8_whatever_the_code_page(
    code_page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [CodePage(code_page), CodePage(code_page)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    system.use_utf8("win32", {})
    for stream in streams:
        print("很好, mañana", end="", file=stream, flush=True)
        assert stream.raw_bytes.getvalue().decode("utf-8") == "很好, mañana"


def test_an_encoding_that_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = CodePage("cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    system.use_utf8("win32", {"PYTHONIOENCODING": "cp1252"})
    system.use_utf8("linux", {})
    assert stream.encoding == "cp1252"


def test_a_command_is_quoted_for_the_shell_of_the_platform() -> None:
    words = ["voiceclone", "check", "C:\\my talks\\one"]
    assert system.quoted_command(words, "win32") == 'voiceclone check "C:\\my talks\\one"'
    assert system.quoted_command(words, "linux") == "voiceclone check 'C:\\my talks\\one'"


def test_a_junction_of_windows_counts_as_a_link(tmp_path: Path) -> None:
    class Junction:
        st_mode = stat.S_IFDIR
        st_reparse_tag = 0xA0000003

    class Folder:
        st_mode = stat.S_IFDIR
        st_reparse_tag = 0

    assert system.is_link_status(Junction())  # type: ignore[arg-type]
    assert not system.is_link_status(Folder())  # type: ignore[arg-type]
    assert not system.is_link(tmp_path) and not system.is_link(tmp_path / "missing")


def test_ctrl_break_and_a_closed_console_end_as_sigterm_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", 21, raising=False)
    assert [system.exit_code_of(number) for number in (2, 15, 21)] == [130, 143, 143]


def test_only_the_events_of_a_console_that_goes_away_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted: list[int] = []
    monkeypatch.setattr(_thread, "interrupt_main", interrupted.append)
    monkeypatch.setattr(system, "_CLOSING_SECONDS", 0)
    assert [system._console_event(event) for event in (0, 1, 2, 5, 6)] == [False, False, True, True, True]
    assert interrupted == [signal.SIGTERM] * 3


def test_the_number_of_a_process_tells_whether_it_lives() -> None:
    assert system.process_lives(os.getpid())
    assert not system.process_lives(2**30)


def test_a_worker_gets_the_settings_of_openmp_and_the_folder_of_installed_programs() -> None:
    settings = {"KMP_DUPLICATE_LIB_OK": "TRUE", "PROGRAMFILES": "C:\\Program Files"}
    assert settings.items() <= worker_environment(sys.executable, 1, PARENT | settings).items()


def test_an_interpreter_of_a_conda_environment_finds_its_own_libraries_first(tmp_path: Path) -> None:
    """As if that environment were activated; the one that is says nothing about it."""
    theirs = tmp_path / "envs" / "fish"
    (theirs / "conda-meta").mkdir(parents=True)
    parent = PARENT | {"CONDA_PREFIX": "/conda/envs/ui", "PATH": "/conda/envs/ui/bin:/bin"}
    python, folder = theirs / "bin" / "python", theirs / "bin"
    if sys.platform == "win32":
        python, folder = theirs / "python.exe", theirs
    seen = worker_environment(str(python), 1, parent)
    assert seen["PATH"].startswith(f"{folder}{os.pathsep}")
    assert seen["PATH"].endswith(f"{os.pathsep}{parent['PATH']}")
    assert seen["CONDA_PREFIX"] == str(theirs)
    windows = system.interpreter_paths(str(theirs / "python.exe"), r"C:\Windows", "win32")
    folders = windows["PATH"].split(";")
    assert folders[0] == str(theirs) and folders[-1] == r"C:\Windows"
    assert str(theirs / "Library" / "bin") in folders
    assert windows["CONDA_PREFIX"] == str(theirs)


def test_an_interpreter_of_no_conda_environment_gets_path_as_it_is(tmp_path: Path) -> None:
    assert worker_environment(str(tmp_path / "bin" / "python"), 1, PARENT)["PATH"] == PARENT["PATH"]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts an nvidia-smi onto PATH that runs these lines of a shell."""
    if os.name == "nt":
        pytest.skip("nvidia-smi is a shell script here")

    def install(lines: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(sys, "platform", "darwin")  # Linux is asked for its driver first
    system.nvidia_gpus.cache_clear()
    yield install
    system.nvidia_gpus.cache_clear()


def test_the_driver_tells_its_version_and_what_each_gpu_can(driver: Callable[[str], None]) -> None:
    driver("echo '581.29, 8.9'; echo '581.29, 12.0'")
    assert system.nvidia_gpus() == (
        NvidiaGpu((581, 29), (8, 9)),
        NvidiaGpu((581, 29), (12, 0)),
    )


def test_an_old_driver_that_does_not_know_a_field_is_asked_for_its_version_alone(
    driver: Callable[[str], None],
) -> None:
    driver('[ "$1" = --query-gpu=driver_version ] || { echo "Field is not valid"; exit 2; }; echo 472.12')
    assert system.nvidia_gpus() == (NvidiaGpu((472, 12)),)


@pytest.mark.parametrize("lines", ["echo 'No devices were found'; exit 6", "echo 'a new format'", "exit 9"])
def test_a_driver_that_does_not_answer_has_no_gpu(driver: Callable[[str], None], lines: str) -> None:
    driver(lines)
    assert system.nvidia_gpus() == ()


def test_a_changed_file_has_another_change_time_though_its_modification_time_was_set_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    stat, changed = path.stat(), system.change_time(path)
    assert system.change_time(path) == changed
    time.sleep(0.02)  # the clock of a file system has steps
    path.write_bytes(b"later!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert system.change_time(path) > changed


def test_espeak_ng_is_found_where_its_installer_for_windows_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PROGRAMFILES", str(tmp_path))
    assert espeak_program() is None
    program = tmp_path / "eSpeak NG" / "espeak-ng.exe"
    program.parent.mkdir()
    program.touch()
    assert espeak_program() == str(program)
