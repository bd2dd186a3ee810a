"""What leases need, sent once to each node: the controller's depot, and a node's shelf.

Files are known by the SHA-256 of what they hold. The depot puts each content into the object store once; the
first slot of a node that needs it lays it on the shelf, a folder that the node's slots share. Where a node
sees the very file (a shared filesystem), nothing is sent.
"""

from __future__ import annotations

import collections
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from voiceclone_cli.cluster.parcel import Content
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_worker.atomic import write_unsynced

MOST_BYTES = 512 * 2**20
"""That the depot holds in the object store; what was used least recently goes first."""

SHELF_PREFIX = "voiceclone-shelf-"


class Depot:
    """The controller's side. ``put`` lays bytes into the object store and gives a reference to them."""

    def __init__(self, put: Callable[[bytes], Any], most: int = MOST_BYTES) -> None:
        self._put = put
        self._most = most
        self._held: collections.OrderedDict[str, Content] = collections.OrderedDict()
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}
        self._bytes = 0

    def content(self, path: str) -> Content | None:
        """What the file holds now; None where it cannot be read."""
        try:
            look = _look(path)
            known = self._known.get(path)
            if known is not None and known[0] == look and (content := self._held.get(known[1])):
                self._held.move_to_end(content.sha256)
                return content
            data = Path(path).read_bytes()
        except OSError:
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        self._known[path] = (look, sha256)
        return self._held.get(sha256) or self._keep(sha256, data)

    def _keep(self, sha256: str, data: bytes) -> Content:
        content = Content(sha256, len(data), self._put(data))
        self._held[sha256] = content
        self._bytes += content.size
        while self._bytes > self._most and len(self._held) > 1:
            # Who is on the way to a node with it keeps it alive.
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.size
        return content


class Shelf:
    """A node's side: one of its slots, holding on to the folder that all of them share.

    ``get`` takes the bytes out of the object store. ``sharing``: look first whether this node sees the
    controller's own file. The folder goes with the last slot that holds on to it.
    """

    def __init__(self, job: str, node: str, get: Callable[[Any], bytes], *, sharing: bool = True) -> None:
        self._get = get
        self._sharing = sharing
        self._same: dict[str, tuple[tuple[int, ...], str]] = {}
        self.folder = Path(tempfile.gettempdir()) / f"{SHELF_PREFIX}{os.getuid()}-{job}-{node[:12]}"
        sweep_shelves()
        self._hold = _hold_on(self.folder)
        self.fetched = 0
        """Contents that this slot has taken out of the object store."""

    def place(self, path: str, content: Content) -> Path:
        """A file of this node that holds this content; ``path`` is the controller's. Raises OSError."""
        if self._sharing and self._sees(path, content):
            return Path(path)
        target = self.folder / f"{content.sha256}{Path(path).suffix}"
        if target.is_file():
            return target
        with FileLock(self.folder / f".{content.sha256}.lock"):
            if not target.is_file():
                write_unsynced(target, self._get(content.box))
                self.fetched += 1
        return target

    def close(self) -> None:
        """Let go of the folder; the last one takes it away."""
        import fcntl

        try:
            fcntl.flock(self._hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # others hold on to it
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._hold)

    def _sees(self, path: str, content: Content) -> bool:
        try:
            look = _look(path)
            if look[0] != content.size:
                return False
            known = self._same.get(path)
            if known is None or known[0] != look:
                known = self._same[path] = (look, file_sha256(Path(path)))
        except OSError:
            return False
        return known[1] == content.sha256


def sweep_shelves() -> None:
    """Take away the folders that nobody holds on to: their slots were killed."""
    import fcntl

    for folder in Path(tempfile.gettempdir()).glob(f"{SHELF_PREFIX}{os.getuid()}-*"):
        with suppress(OSError):
            hold = os.open(folder / ".slots", os.O_RDWR)
            try:
                fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(hold)


def _hold_on(folder: Path) -> int:
    """A shared lock (which ``filelock`` has not) in the folder, which is made; again where another slot was just
    taking it away."""
    import fcntl

    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            hold = os.open(folder / ".slots", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(hold, fcntl.LOCK_SH)
        with suppress(OSError):
            if os.path.samestat(os.fstat(hold), os.stat(folder / ".slots")):
                return hold
        os.close(hold)


def _look(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
