"""The unit tests on the versions of Python beside this one: `make test-pythons`.

An interpreter is taken from PATH, from pyenv or from uv; a version without one is named and left out. Each has the
packages without torch (small_set.py), in .cache/pythons, built once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from small_set import LEFT_OUT_VARIABLE, ROOT, left_out, left_out_modules, pins

VERSIONS = ("3.11", "3.12", "3.13")
HOME = ROOT / ".cache" / "pythons"


def main() -> int:
    """Run the tests on each version that is found; return 0 where none failed."""
    reports, failed = [], False
    for version in VERSIONS:
        if version == f"{sys.version_info.major}.{sys.version_info.minor}":
            continue
        interpreter = next(_interpreters(version), None)
        if interpreter is None:
            reports.append(f"Python {version}: not found, not tested")
            continue
        print(f"== unit tests on {interpreter}", flush=True)
        code = _tests(_environment(version, interpreter))
        failed = failed or code != 0
        reports.append(f"Python {version}: {'passed' if code == 0 else 'FAILED'} ({interpreter})")
    print("\n".join(reports))
    return int(failed)


def _interpreters(version: str) -> Iterator[str]:
    """Yield interpreters of a version that can be started: that on PATH may be a shim of pyenv for none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [f"python{version}", *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")), reverse=True)]
    if uv := shutil.which("uv"):
        found = subprocess.run(
            [uv, "python", "find", "--no-python-downloads", version], capture_output=True, encoding="utf-8"
        )
        candidates += found.stdout.split("\n")[:1]
    for candidate in filter(shutil.which, filter(None, candidates)):
        asked = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
        answer = subprocess.run([candidate, "-c", asked], capture_output=True, encoding="utf-8")
        if answer.returncode == 0 and answer.stdout.startswith(f"{version} "):
            yield answer.stdout.split(" ", 1)[1].strip()


def _environment(version: str, interpreter: str) -> Path:
    """Return the Python of an environment without torch, made where it is not there yet."""
    folder = HOME / version
    mark, python = folder / "complete", folder / "bin" / "python"
    wanted = [line for name, line in pins().items() if name not in left_out()]
    if not (mark.is_file() and mark.read_text(encoding="utf-8") == "\n".join(wanted)):
        shutil.rmtree(folder, ignore_errors=True)
        _run([interpreter, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", *wanted])
        mark.write_text("\n".join(wanted), encoding="utf-8")
    return python


def _tests(python: Path) -> int:
    tests = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider", "tests/unit"]
    done = subprocess.run(
        [str(python), *tests],
        cwd=ROOT,
        env={
            **os.environ,
            LEFT_OUT_VARIABLE: left_out_modules(),
            "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("src", "worker_env", "tests", ".")),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    return done.returncode


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    raise SystemExit(main())
