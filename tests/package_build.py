"""Building the package as pip does, without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def build_wheel(target: Path, source: Path) -> Path:
    """Return the wheel of a source tree or of a source distribution, in ``target``."""
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(target)]
    subprocess.run([*PIP, "wheel", *options, str(source)], check=True, capture_output=True)
    (wheel,) = target.glob("voiceclone_cli-*.whl")
    return wheel
