"""The kokoro engine: fits the voices of a recording together, then speaks each line on its own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from voiceclone_worker.atomic import write_failure
from voiceclone_worker.contract import EngineSpec, ReferenceSpec
from voiceclone_worker.engines.base import Emit, EngineError, Row, SegmentError, Speech
from voiceclone_worker.engines.kokoro.model import SpeechModel
from voiceclone_worker.engines.kokoro.speaking import speak
from voiceclone_worker.engines.kokoro.voice import Voice, read_voice, write_voice
from voiceclone_worker.engines.kokoro.voices import voice_table


class KokoroEngine:
    """See the package's docstring for the options. Raises EngineError where the model cannot be loaded."""

    def __init__(self, spec: EngineSpec, emit: Emit) -> None:
        self._emit = emit
        self._threads = _threads(spec)
        self._encoder_folder = str(spec.options.get("encoder", ""))
        self._language = str(spec.options.get("language", "en"))
        self._model = SpeechModel(Path(spec.checkpoint))
        self._table = voice_table()

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Fit a voice to each reference and write it to its ``codes`` (voice.npz).

        A reference that cannot be used fails alone; the others are fitted without it.
        """
        from voiceclone_worker.engines.kokoro import fitting, traits

        if not self._encoder_folder:
            raise EngineError("encoder_missing", 'the task\'s engine names no "encoder" folder (CAM++).')
        encoder = traits.SpeakerEncoder(Path(self._encoder_folder))
        heard: list[fitting.Reference] = []
        for spec in references:
            try:
                heard.append(fitting.listen(spec, encoder))
            except SegmentError as error:
                yield spec, error

        probes: Counter[str] = Counter()

        def count(reference: fitting.Reference) -> None:
            speaker = reference.spec.speaker
            probes[speaker] += 1
            self._emit("encoding", speaker=speaker, completed=probes[speaker], total=fitting.PROBES)

        voices = fitting.fit(
            heard,
            model=self._model,
            encoder=encoder,
            table=self._table,
            language=self._language,
            threads=self._threads,
            heard=count,
        )
        for reference, voice in voices:
            yield reference.spec, _write(voice, reference.spec)

    def generate(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Speech | SegmentError]]:
        """Speak the rows, as many at a time as there are threads. No row depends on another."""
        voices = _Voices(self._table.names)

        def say(row: Row) -> Speech | SegmentError:
            self._emit("segment_started", task=row.task, id=row.segment.id)
            try:
                return speak(row.segment, voices.of(row.reference), self._model, self._table)
            except SegmentError as error:
                return error

        pool = ThreadPoolExecutor(max_workers=self._threads)
        waiting: dict[Future[Speech | SegmentError], Row] = {}
        try:
            for row in rows:
                waiting[pool.submit(say, row)] = row
                # One ahead of the threads and no more, or an hour's speech would pile up here.
                if len(waiting) > self._threads:
                    yield from _finished(waiting)
            while waiting:
                yield from _finished(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


class _Voices:
    """The fitted voices of one call, each read once."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._read: dict[str, Voice] = {}

    def of(self, reference: ReferenceSpec) -> Voice:
        if reference.codes not in self._read:
            self._read[reference.codes] = read_voice(Path(reference.codes), self._names)
        return self._read[reference.codes]


def _finished(
    waiting: dict[Future[Speech | SegmentError], Row],
) -> Iterator[tuple[Row, Speech | SegmentError]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future.result()


def _write(voice: Voice, spec: ReferenceSpec) -> SegmentError | None:
    """Why it was not written; None where it was."""
    if not spec.codes:
        return SegmentError("codes_missing", f'the reference of {spec.speaker} names no "codes" to write.')
    try:
        write_voice(voice, Path(spec.codes))
    except OSError as error:
        failure = write_failure(Path(spec.codes), error)
        return SegmentError(failure.code, failure.message)
    return None


def _threads(spec: EngineSpec) -> int:
    threads = spec.options.get("threads") or os.cpu_count() or 1
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise EngineError("bad_option", f'"threads" must be a whole number from 1, not {threads!r:.40}.')
    return threads
