"""Scripts of tests/fish_scripts, run by the fish environment's interpreter.

The interpreter that runs pytest has no fish_speech, so what the worker's modules do with it is tried
in a process of the other environment: the script prints one JSON object, the test judges it.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from voiceclone_cli.workers.process import worker_environment, worker_program

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(__file__).parent / "fish_scripts"


def in_fish(python: Path, script: str | Path, *arguments: object, timeout: float = 600) -> dict[str, Any]:
    """The JSON object that ``script`` prints last on stdout.

    ``script`` is a file's name in tests/fish_scripts (``codec_batches.py``), or a path. It can import
    ``voiceclone_worker`` and ``benchmarks``, and computes on one thread that sleeps while it waits. ``timeout`` in seconds.
    Raises AssertionError, with what the script said on stderr, where it fails or prints no such object.
    """
    paths = os.pathsep.join(map(str, (worker_program().parent, ROOT)))
    environment = worker_environment(str(python), 1, os.environ) | {"PYTHONPATH": paths}
    done = subprocess.run(
        [str(python), "-X", "utf8", str(SCRIPTS / script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    said = f"{script} ended with {done.returncode}\n{done.stderr}"
    assert done.returncode == 0, said
    lines = done.stdout.strip().splitlines()
    assert lines, f"{said}\nand printed nothing"
    try:
        answer = json.loads(lines[-1])
    except ValueError:
        raise AssertionError(f"{said}\nprinted last: {lines[-1]}") from None
    assert isinstance(answer, dict), f"{said}\nprinted last: {lines[-1]}"
    return answer
