"""Why a worker ended, in one sentence."""

from __future__ import annotations

import collections
import signal

TAIL_LINES = 30
"""How many of a worker's last lines are kept to explain its end."""

TAIL_WIDTH = 500
"""Characters of each that are kept."""

SAID_LINES, SAID_WIDTH = 3, 400


class LastWords:
    """The end of what a worker wrote for people."""

    def __init__(self) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)

    def add(self, line: str) -> None:
        if plain := plain_line(line):
            self._lines.append(plain)

    def __str__(self) -> str:
        """The last of them, on one line; empty where nothing was said."""
        lines = list(self._lines.copy())  # a copy is made at once: the reading thread may be adding
        return " | ".join(lines[-SAID_LINES:])[-SAID_WIDTH:]


def plain_line(line: str) -> str:
    """The head of a line that a worker wrote, fit to be shown: a terminal obeys no control character in it."""
    return "".join(c if c.isprintable() else " " for c in line[:TAIL_WIDTH]).strip()


def diagnosis(name: str, code: int, fault: str | None, last_words: str) -> str:
    """``code`` is the exit code, below 0 a signal; ``fault`` is why the pool ended the worker, if it did."""
    sentence = f"{name} {_how(code, fault)}"
    return f"{sentence}; it last said: {last_words}" if last_words else sentence


def _how(code: int, fault: str | None) -> str:
    if fault is not None:
        return f"was ended: {fault}" if code == -9 else f"{_ending(code)}: {fault}"
    if code == -9:
        return "was ended by SIGKILL (as the system does where memory runs out)"
    return _ending(code)


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {_signal_name(-code)}"
    if code > 128 and _is_signal(code - 128):
        return f"ended with exit code {code} (a shell's way to say {_signal_name(code - 128)})"
    return f"ended with exit code {code}"


def _is_signal(number: int) -> bool:
    return number in set(signal.Signals)


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if _is_signal(number) else f"signal {number}"
