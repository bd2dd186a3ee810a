"""A request to stop (Ctrl-C, SIGTERM), and who answers it.

Most work can be stopped anywhere: ``Stopped`` is raised where it stands, and what is half written is taken
back. The pool cannot: it has workers to end and finished rows to keep. While it listens, a request is
handed to it instead, and it raises ``Stopped`` itself when it is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from voiceclone_cli.errors import Stopped

Listener = Callable[[Stopped], None]
"""Called inside a signal handler: it may set a field or put into a SimpleQueue, and must not block."""

_listeners: list[Listener] = []


def request_stop(stop: Stopped) -> None:
    """What a signal handler calls. Raises ``stop`` unless somebody listens."""
    if not _listeners:
        raise stop
    _listeners[-1](stop)


@contextmanager
def listening_for_stop(listener: Listener) -> Iterator[None]:
    """Within the block requests go to ``listener``, the innermost one."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
