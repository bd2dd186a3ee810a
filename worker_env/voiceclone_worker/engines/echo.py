"""Tones of the right length, with faults on request.

Standard library only, so that it runs in any interpreter: for tests of the pool and for measuring
what coordination costs. Its options: ``rate`` (Hz), ``delay`` (seconds a segment), ``faults``
({segment id: "fail" | "raise" | a fault of ``echo_faults``}, every time that segment is spoken),
``faults_dir`` (a folder of faults that happen once, see ``echo_faults``), ``import`` (a module to import on
loading; its ``run()``, if it has one, is called for every segment).
"""

from __future__ import annotations

import array
import hashlib
import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from voiceclone_worker.atomic import write_failure, write_whole
from voiceclone_worker.contract import EngineSpec, ReferenceSpec
from voiceclone_worker.engines.base import Emit, Engine, Row, SegmentError, Speech
from voiceclone_worker.engines.echo_faults import FaultsFolder, perform

SECONDS_PER_CHARACTER = 0.06
"""About the pace of English speech."""


def load(spec: EngineSpec, emit: Emit) -> Engine:
    return EchoEngine(spec, emit)


class EchoEngine:
    def __init__(self, spec: EngineSpec, emit: Emit) -> None:
        self._emit = emit
        self._rate = int(spec.options.get("rate", 8000))
        self._delay = float(spec.options.get("delay", 0.0))
        self._faults = dict(spec.options.get("faults", {}))
        self._faults_folder = FaultsFolder(str(spec.options.get("faults_dir", "")))
        self._faults_folder.strike("load")
        self._guest: Callable[[], object] | None = None
        if spec.options.get("import"):
            self._guest = getattr(importlib.import_module(str(spec.options["import"])), "run", None)

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """The codes of a reference are the pitch of its tone."""
        for reference in references:
            self._faults_folder.strike("encode", reference.speaker)
            yield reference, self._encode(reference)

    def _encode(self, reference: ReferenceSpec) -> SegmentError | None:
        try:
            digest = hashlib.sha256(Path(reference.audio).read_bytes()).digest()
        except OSError as error:
            return SegmentError("reference_unusable", f"{reference.audio}: {error.strerror}")
        codes = Path(reference.codes)
        try:
            write_whole(codes, f"{110 + digest[0]}\n".encode("ascii"))
        except OSError as error:
            failure = write_failure(codes, error)
            return SegmentError(failure.code, failure.message)
        return None

    def generate(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Speech | SegmentError]]:
        for row in rows:
            self._emit("segment_started", task=row.task, id=row.segment.id)
            if self._delay:
                time.sleep(self._delay)
            if self._guest is not None:
                self._guest()
            self._faults_folder.strike("generate", row.segment.id)
            yield row, self._fault(row) or self._tone(row)

    def _fault(self, row: Row) -> SegmentError | None:
        fault = self._faults.get(row.segment.id)
        if fault == "fail":
            return SegmentError("asked_to_fail", "the echo engine was asked to fail here")
        if fault == "raise":
            raise RuntimeError("the echo engine was asked to raise here")
        if fault is not None:
            perform(str(fault), row.segment.id)
        return None

    def _tone(self, row: Row) -> Speech:
        seconds = max(0.1, len(row.segment.text) * SECONDS_PER_CHARACTER)
        if row.segment.max_seconds is not None:
            seconds = min(seconds, max(0.1, row.segment.max_seconds))
        period = max(2, round(self._rate / _pitch(row.reference)))
        level = 8000 + row.segment.seed % 997
        cycle = array.array("h", (round(level * math.sin(2 * math.pi * i / period)) for i in range(period)))
        frames = int(seconds * self._rate)
        pcm = (cycle.tobytes() * (frames // period + 1))[: frames * 2]
        return Speech(pcm, self._rate, row.segment.seed)


def _pitch(reference: ReferenceSpec) -> int:
    """From the codes where they were made, else from the speaker's name."""
    try:
        return int(Path(reference.codes).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 110 + hashlib.sha256(reference.speaker.encode()).digest()[0]
