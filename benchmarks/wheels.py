"""Which pinned packages have a wheel, for each Python and system; and whether the fish environment's lock is whole there.

python benchmarks/wheels.py

Only metadata is read, through uv (`pip install uv`) and the index that it is configured for. uv resolves for other
systems than this one and takes no package without a wheel for them; nothing is installed. With their dependencies, the
packages of the fish environment's lock may need none on Windows or macOS that they do not need on Linux and that the
lock lacks. The exit code is 1 where they do, 2 where the index cannot be reached.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "worker_env")]


class System(NamedTuple):
    """A system, as uv calls it, and the variables of markers that name it."""

    name: str
    platform: str
    variables: dict[str, str]


LINUX = System(
    "Linux x86_64, glibc 2.28",
    "x86_64-manylinux_2_28",
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
)
WINDOWS = System(
    "Windows x64",
    "x86_64-pc-windows-msvc",
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
)
MACOS = System(
    "macOS 14 arm64",
    "aarch64-apple-darwin",
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
)
SYSTEMS = (LINUX, WINDOWS, MACOS)
FISH = "worker_env/requirements-fish.txt"
LOCKS = {"requirements-ui.txt": ("3.11", "3.12", "3.13"), FISH: ("3.11", "3.12")}


class Unreachable(Exception):
    """The index did not answer; the text is what uv said."""


class Resolver:
    """uv, for one version of Python on one system."""

    def __init__(self, uv: str, system: System, version: str) -> None:
        self._command = [
            uv,
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--python-version",
            version,
        ]
        self._command += ["--python-platform", system.platform, "-"]

    def resolve(self, requirements: Sequence[str], *options: str) -> tuple[list[str] | None, str]:
        """Return the packages, None where there is no solution, and what uv said. Raises Unreachable."""
        done = subprocess.run(
            [*self._command, *options],
            input="\n".join(requirements),
            capture_output=True,
            encoding="utf-8",
            # The oldest macOS that torch has a wheel for.
            env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},
            check=False,
        )
        if done.returncode == 0:
            return re.findall(r"^([\w.-]+)==", done.stdout, re.M), done.stderr
        if "No solution found" not in done.stderr:
            raise Unreachable(done.stderr.strip())
        return None, done.stderr

    def without_wheel(self, pins: Sequence[str]) -> list[str]:
        """Return those of the pins that have no wheel; half by half, since uv names one of them at most."""
        packages, _ = self.resolve(pins, "--no-deps", "--only-binary", ":all:")
        if packages is not None:
            return []
        if len(pins) == 1:
            return list(pins)
        half = len(pins) // 2
        return [*self.without_wheel(pins[:half]), *self.without_wheel(pins[half:])]


def pins_of(lock: str, system: System, version: str) -> list[str]:
    """Return the pins of a lock on a system."""
    from voiceclone_cli.engines.environment import Recipe

    variables = {**system.variables, "python_version": version, "python_full_version": f"{version}.0"}
    return [f"{name}=={pinned}" for name, pinned in Recipe(ROOT / lock).pins(variables).items()]


def left_out(uv: str, version: str) -> set[str]:
    """Return what the packages of the fish environment's lock need on Linux and it lacks: the engine works without."""
    pins = pins_of(FISH, LINUX, version)
    resolver = Resolver(uv, LINUX, version)
    # One by one: the lock is installed without dependencies because those of all exclude each other.
    with ThreadPoolExecutor(4) as executor:
        solutions = executor.map(lambda pin: resolver.resolve([pin])[0] or [], pins)
    return {canonical(name) for names in solutions for name in names} - names_of(pins)


def needed_there(uv: str, system: System, version: str, excluded: Sequence[str]) -> set[str]:
    """Return what they need on another system, is not in the lock, and is not ``excluded``."""
    pins = pins_of(FISH, system, version)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "excluded.txt"
        file.write_text("\n".join(excluded), encoding="utf-8")
        packages, said = Resolver(uv, system, version).resolve(pins, "--excludes", str(file))
    if packages is None:
        raise SystemExit(f"The lock has no solution for {system.name}, Python {version}: {said}")
    return {canonical(name) for name in packages} - names_of(pins)


def names_of(pins: Sequence[str]) -> set[str]:
    return {canonical(pin.split("==")[0]) for pin in pins}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wheel_rows(uv: str) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a table: lock, system, Python, how many pins have a wheel, and those that have none."""
    for lock, versions in LOCKS.items():
        suspects: set[str] = set()
        for system in SYSTEMS:
            for version in versions:
                pins = pins_of(lock, system, version)
                resolver = Resolver(uv, system, version)
                # What has no wheel for one system rarely has one for another: asked for alone, the rest is quick.
                missing = resolver.without_wheel([pin for pin in pins if pin not in suspects])
                missing += [pin for pin in pins if pin in suspects and resolver.without_wheel([pin])]
                suspects.update(missing)
                built = ", ".join(sorted(missing, key=str.lower)) or "-"
                yield lock, system.name, version, f"{len(pins) - len(missing)} of {len(pins)}", built


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    uv = shutil.which("uv")
    if uv is None:
        print("uv is not on the PATH: pip install uv", file=sys.stderr)
        return 2
    try:
        print("| lock | system | Python | have a wheel | built from source |\n|---|---|---|---|---|")
        for row in wheel_rows(uv):
            print(f"| {' | '.join(row)} |", flush=True)
        whole = True
        for version in LOCKS[FISH]:
            excluded = left_out(uv, version)
            for system in (WINDOWS, MACOS):
                lacking = needed_there(uv, system, version, sorted(excluded))
                whole = whole and not lacking
                found = (
                    f"lacks {', '.join(sorted(lacking))}"
                    if lacking
                    else "has all that its packages need there alone"
                )
                print(f"{FISH} on {system.name}, Python {version}: {found}", flush=True)
    except Unreachable as error:
        print(f"the index cannot be read: {error}", file=sys.stderr)
        return 2
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
