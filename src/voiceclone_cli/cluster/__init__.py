"""Slots and ears on the nodes of a Ray cluster: workers of other machines, for the same pool.

The controller (the process of the command) decides and keeps the files; a slot is an actor on some node that
holds a worker process there. All that passes between them travels as bytes. Ray is imported where it is used.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, no_progress

if typing.TYPE_CHECKING:
    from voiceclone_cli.cluster.launcher import RayLauncher

__all__ = ["open_launcher"]


@contextmanager
def open_launcher(
    settings: Settings,
    engine: EngineChoice,
    *,
    log_dir: Path | None = None,
    progress: Progress = no_progress,
    sharing: bool = True,
) -> Iterator[RayLauncher]:
    """A launcher of slots on the cluster at ``settings.ray_address`` (None: a Ray of our own on this machine).

    Nothing is connected before the first ``room`` or ``start``, which raise PreflightError where there is
    no cluster or no node of it is fit. ``sharing``: files that nodes see under the same path are read there.
    Leaving it ends the slots and the connection.
    """
    from voiceclone_cli.cluster.launcher import RayLauncher

    launcher = RayLauncher(settings, engine, log_dir=log_dir, progress=progress, sharing=sharing)
    try:
        yield launcher
    finally:
        launcher.close()
