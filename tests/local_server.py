"""HTTP servers on this machine, for as long as a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class LocalServer(ThreadingHTTPServer):
    """``name`` is what it is called by in its address: "localhost" is another host than "127.0.0.1"."""

    def __init__(self, answer: type[BaseHTTPRequestHandler], name: str = "127.0.0.1") -> None:
        super().__init__(("127.0.0.1", 0), answer)
        self.url = f"http://{name}:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's stderr clean."""


Server = TypeVar("Server", bound=LocalServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
