"""The first task on a node, before it is known whether voiceclone is installed there.

This module is sent by value: it imports nothing of the package at its top, and only what every Python has.
"""

from __future__ import annotations

from typing import Any


def examine_node(
    version: str,
    engine: str,
    hints: dict[str, str],
    languages: list[str],
    shared_file: str,
    shared_text: str,
) -> dict[str, Any]:
    """Return what a node has. ``version`` is the coordinator's; ``engine`` ("": none) and what it needs to read
    ``languages`` are looked for only where the node's is the same. ``shared_file`` holds ``shared_text`` where the node sees the coordinator's folder."""
    import os
    import platform
    import socket

    import ray

    found: dict[str, Any] = {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "ray": ray.__version__,
        "voiceclone": None,
        "cores": os.cpu_count(),
    }
    try:
        with open(shared_file, encoding="ascii") as file:
            found["shared"] = file.read() == shared_text
    except OSError:
        found["shared"] = False
    try:
        import voiceclone_cli

        found["voiceclone"] = voiceclone_cli.__version__
        if engine and voiceclone_cli.__version__ == version:
            from voiceclone_cli.cluster.node import describe_node

            found.update(describe_node(engine, hints, languages))
    except Exception as error:  # a damaged installation may raise anything, which is to be found out here
        found["lack"] = f"voiceclone cannot be used there ({type(error).__name__}: {error})"
    return found
