"""An interpreter that keeps a diary: what each of its processes was started with, whom it starts, whom it calls.

It is a virtual environment of its own with the packages of another, so the diary needs no variable that
a process might not hand on, and no option.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DIARY = """
import json, os, sys

_PAGE = {page!r}


def _note(kind, **fields):
    line = json.dumps({{"kind": kind, "pid": os.getpid(), **fields}}, default=repr) + "\\n"
    page = os.open(_PAGE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(page, line.encode("utf-8", "replace"))
    os.close(page)


def _hook(event, arguments):
    if event == "socket.connect" or event == "socket.sendto":
        _note("call", whom=arguments[1] if isinstance(arguments[1], (str, bytes)) else list(arguments[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _note("call", whom=[arguments[0]])
    elif event == "subprocess.Popen":
        _, command, _, environment = arguments
        _started(command, environment)
    elif event in ("os.exec", "os.posix_spawn"):
        _started(arguments[1], arguments[2])
    elif event == "os.system":
        _started(arguments[0], None)


def _started(command, environment):
    command = [command] if isinstance(command, (str, bytes)) else list(command)
    environment = os.environ if environment is None else environment
    _note(
        "child",
        command=[os.fsdecode(part) for part in command],
        environment={{os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}},
    )


_note("process", command=sys.orig_argv, environment=dict(os.environ))
sys.addaudithook(_hook)
"""


@dataclass(frozen=True)
class WatchedPython:
    """Start processes with ``python``, then read."""

    python: Path
    page: Path

    @property
    def diary(self) -> list[dict[str, Any]]:
        if not self.page.exists():
            return []
        return [json.loads(line) for line in self.page.read_text(encoding="utf-8").splitlines()]

    @property
    def processes(self) -> list[dict[str, Any]]:
        """Every process of this interpreter, and every one of any program that such a process started:
        its ``command`` and its ``environment``."""
        return [entry for entry in self.diary if entry["kind"] in ("process", "child")]

    @property
    def calls(self) -> list[Any]:
        """Names that were looked up and addresses that were called. Local sockets have a path instead."""
        return [
            entry["whom"]
            for entry in self.diary
            if entry["kind"] == "call" and isinstance(entry["whom"], list)
        ]


def watched(python: Path, folder: Path) -> WatchedPython:
    """``python`` with all its packages, watched. ``folder`` is made."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    venv = [str(python), "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(venv, check=True, capture_output=True)
    own = folder / "bin" / "python"
    packages, site = (
        Path(
            subprocess.run([str(one), "-c", where], check=True, capture_output=True, text=True).stdout.strip()
        )
        for one in (python, own)
    )
    page = folder / "diary.jsonl"
    (site / "diary.py").write_text(_DIARY.format(page=str(page)), encoding="utf-8")
    # A line that begins with import is run; addsitedir also reads what is installed there as a link.
    (site / "watch.pth").write_text(
        f"import diary\nimport site; site.addsitedir({str(packages)!r})\n", encoding="utf-8"
    )
    page.unlink(missing_ok=True)
    return WatchedPython(own, page)
