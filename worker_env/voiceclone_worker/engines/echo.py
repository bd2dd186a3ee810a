"""The echo engine: tones of the right length, for tests and for measuring the overhead of coordination.

Standard library only, so that it runs in any interpreter. Options: ``rate`` (Hz), ``delay`` (seconds for each
segment), ``import`` (a module to import on loading, by its name or, ending in ``.py``, by the path of its file). If
that module has a function ``hook(options)``, the function it returns is called with "load", "encode" or "generate"
and the name of the speaker or the id of the segment; a SegmentError that it raises for a segment is that segment's
failure, a tuple of sentences that it returns for "generate" the segment's warnings. Other options are for the hook.
"""

from __future__ import annotations

import array
import hashlib
import importlib
import importlib.util
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from voiceclone_worker.atomic import write_bytes_atomic, write_failure
from voiceclone_worker.engines.base import Emit, Engine, SegmentError, Speech, SpeechRow
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec
from voiceclone_worker.speech_units import speech_units

SECONDS_PER_UNIT = 0.06
"""About the pace of speech; blanks and punctuation take as long as a letter."""

Hook = Callable[[str, str], object]
"""``hook(moment, name)``."""


def load(spec: EngineSpec, emit: Emit) -> Engine:
    """Return the engine."""
    return EchoEngine(spec, emit)


class EchoEngine:
    """The engine; see the module for its options."""

    def __init__(self, spec: EngineSpec, emit: Emit) -> None:
        self._emit = emit
        self._rate = int(spec.options.get("rate", 8000))
        self._delay = float(spec.options.get("delay", 0.0))
        self._hook = _hook(spec.options)
        self._hook("load", "")

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Write the codes of each reference: the pitch of its tone."""
        for reference in references:
            self._hook("encode", reference.speaker)
            yield reference, self._encode(reference)

    def _encode(self, reference: ReferenceSpec) -> SegmentError | None:
        try:
            digest = hashlib.sha256(Path(reference.audio).read_bytes()).digest()
        except OSError as error:
            return SegmentError("reference_unusable", f"{reference.audio}: {error.strerror}")
        codes = Path(reference.codes)
        try:
            write_bytes_atomic(codes, f"{110 + digest[0]}\n".encode("ascii"))
        except OSError as error:
            failure = write_failure(codes, error)
            return SegmentError(failure.code, failure.message)
        return None

    def generate(self, rows: Sequence[SpeechRow]) -> Iterator[tuple[SpeechRow, Speech | SegmentError]]:
        """Synthesize the rows, one after the other."""
        for row in rows:
            self._emit("segment_started", task=row.task, id=row.segment.id)
            if self._delay:
                time.sleep(self._delay)
            try:
                found = self._hook("generate", row.segment.id)
            except SegmentError as error:
                yield row, error
            else:
                yield row, replace(self._tone(row), warnings=found if isinstance(found, tuple) else ())

    def _tone(self, row: SpeechRow) -> Speech:
        units = sum(speech_units(character) or 1 for character in row.segment.text)
        seconds = max(0.1, units * SECONDS_PER_UNIT)
        if row.segment.max_seconds is not None:
            seconds = min(seconds, max(0.1, row.segment.max_seconds))
        period = max(2, round(self._rate / _pitch(row.reference)))
        level = 8000 + row.segment.seed % 997
        cycle = array.array("h", (round(level * math.sin(2 * math.pi * i / period)) for i in range(period)))
        frames = int(seconds * self._rate)
        pcm = (cycle.tobytes() * (frames // period + 1))[: frames * 2]
        return Speech(pcm, self._rate, row.segment.seed)


def _hook(options: Mapping[str, Any]) -> Hook:
    name = str(options.get("import", ""))
    if not name:
        return _do_nothing
    module = _module_of_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    make: Callable[[Mapping[str, Any]], Hook] | None = getattr(module, "hook", None)
    return make(options) if make else _do_nothing


def _do_nothing(moment: str, name: str) -> None:
    """Be the hook where the options name none."""


def _module_of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pitch(reference: ReferenceSpec) -> int:
    """Return the pitch in the codes, else one from the speaker's name."""
    try:
        return int(Path(reference.codes).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 110 + hashlib.sha256(reference.speaker.encode()).digest()[0]
