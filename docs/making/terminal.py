"""What a command draws on a terminal, as a picture: run on a real pseudo-terminal, drawn by rich as SVG."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

_CONTROL = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\r\n|\n|\r")
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def screen_after(command: Sequence[str], folder: Path, columns: int, environ: dict[str, str]) -> list[str]:
    """The lines that stand on a terminal of ``columns`` when the command, run in ``folder``, has ended;
    colours as escape sequences. Raises RuntimeError when it fails."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        written = _read_all(controller)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}:\n{written}")
    return _screen(written)


def _read_all(controller: int) -> str:
    data = b""
    while True:
        try:
            piece = os.read(controller, 65536)
        except OSError:  # how Linux says that the other side is closed
            piece = b""
        if not piece:
            os.close(controller)
            return data.decode("utf-8")
        data += piece


def _screen(written: str) -> list[str]:
    """What is left of the output of a program that draws whole lines: rich goes up, clears and writes anew."""
    lines, row, done = [""], 0, 0
    for control in _CONTROL.finditer(written):
        lines[row] += written[done : control.start()]
        done = control.end()
        kind, argument = control[2], control[1]
        if kind == "m":
            lines[row] += control[0]
        elif kind == "K":
            lines[row] = ""
        elif kind == "A":
            row = max(0, row - int(argument or 1))
        elif kind is None and control[0].endswith("\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
    lines[row] += written[done:]
    while lines and not Text.from_ansi(lines[-1]).plain.strip():
        lines.pop()
    return lines


def draw(lines: Sequence[str], target: Path, *, title: str, columns: int) -> None:
    """Write the lines as a picture of a terminal, with no font from elsewhere."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True, highlight=False)
        for line in lines:
            console.print(Text.from_ansi(line.rstrip()), no_wrap=True, overflow="crop")
        picture = console.export_svg(title=title, unique_id="terminal")
    plain = _WEB_FONT.sub("", picture).replace("Fira Code, monospace", "monospace")
    target.write_text(plain, encoding="utf-8")
