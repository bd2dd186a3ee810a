"""The workers' events as progress: a bar for each stage, and one for each worker."""

from __future__ import annotations

import collections
from typing import Any

from voiceclone_cli.types import Progress, ProgressEvent

ENCODING, SYNTHESIS, LOG = "encoding", "synthesis", "log"


class WorkerProgress:
    """Called with every event of the pool; hands on what a person wants to see of it."""

    def __init__(self, progress: Progress, *, references: int, segments: int) -> None:
        self._progress = progress
        self._references = references
        self._segments = segments
        self._encoded: dict[str, float] = {}
        self._already = 0
        self._by_worker: collections.Counter[str] = collections.Counter()
        # Told at once, so that the stages stand in their order, the workers below.
        if references:
            progress(ProgressEvent(ENCODING, 0, references))
        progress(ProgressEvent(SYNTHESIS, 0, segments))

    def encoded_before(self) -> None:
        """An earlier run has encoded every reference."""
        self._progress(ProgressEvent(ENCODING, self._references, self._references, note="kept from before"))

    def already_settled(self, count: int) -> None:
        """So many segments need no worker any more; the synthesis begins."""
        self._already = count
        self._progress(ProgressEvent(SYNTHESIS, count, self._segments))

    def __call__(self, worker: str, event: dict[str, Any]) -> None:
        match event:
            case {"event": "loading", "engine": engine}:
                self._say(worker, f"loading {engine}")
            case {"event": "encoding", "speaker": speaker, "completed": int(done), "total": int(total)} if (
                0 <= done <= total
            ):
                self._encode(str(speaker), done / max(1, total))
            case {"event": "encoded", "speaker": speaker}:
                self._encode(str(speaker), 1.0)
            case {"event": "segment_started", "id": segment_id}:
                self._say(worker, str(segment_id))
            case {"event": "segment_done" | "segment_failed", "id": segment_id}:
                self._settle(worker, str(segment_id))

    def log(self, worker: str, line: str) -> None:
        """A line that a worker wrote for people."""
        self._progress(ProgressEvent(LOG, 0, worker=worker, note=line))

    def _encode(self, speaker: str, share: float) -> None:
        self._encoded[speaker] = max(share, self._encoded.get(speaker, 0.0))
        self._progress(ProgressEvent(ENCODING, sum(self._encoded.values()), self._references, note=speaker))

    def _settle(self, worker: str, note: str) -> None:
        self._by_worker[worker] += 1
        done = min(self._segments, self._already + sum(self._by_worker.values()))
        self._say(worker, note)
        self._progress(ProgressEvent(SYNTHESIS, done, self._segments))

    def _say(self, worker: str, note: str) -> None:
        self._progress(
            ProgressEvent(SYNTHESIS, self._by_worker[worker], self._segments, worker=worker, note=note)
        )
