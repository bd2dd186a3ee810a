"""The kokoro engine: fits the voices of a recording together, then synthesizes each line by itself."""

from __future__ import annotations

import os
import typing
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from voiceclone_worker.atomic import write_failure
from voiceclone_worker.engines.base import Emit, EngineError, SegmentError, Speech, SpeechRow
from voiceclone_worker.engines.kokoro import dsp, english_words, envelope, voices
from voiceclone_worker.engines.kokoro.envelope import Doubles
from voiceclone_worker.engines.kokoro.line_plan import LinePlan, fit_speed, with_pitch
from voiceclone_worker.engines.kokoro.model import MAX_TOKENS, RATE, Floats, SpeechModel
from voiceclone_worker.engines.kokoro.phonemes import reader
from voiceclone_worker.engines.kokoro.phonemes.reader import LinePart
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec
from voiceclone_worker.speech_units import speech_units

if typing.TYPE_CHECKING:
    from voiceclone_worker.engines.kokoro.fitting import SpeakerEncoder, SpeechQuality

BRISKER, CALMER = (0.7, 0.87), (1.2, 2.0)
"""Of other takes, see ``reading_of_take``. Nearer to 1 they are hardly another take."""
_EDGE_SECONDS = 0.02
_PAUSE_SECONDS = 0.2
_FADE_SECONDS = 0.02


def speak_line(
    segment: SegmentSpec, voice: voices.FittedVoice, model: SpeechModel, table: voices.VoiceTable
) -> Speech:
    """Synthesize a segment; its bytes depend on no other segment. Raises SegmentError."""
    reading = reader.read(segment.text, segment.language)
    mixture = voice.mixture(segment.language)
    speaker = LineSpeaker(voice, mixture, model, table, reading_of_take(segment.take))
    parts = reading.parts(MAX_TOKENS)
    between = 2 * _EDGE_SECONDS * len(parts) + _PAUSE_SECONDS * (len(parts) - 1)
    slot = segment.max_seconds or None

    def plan(speed: float) -> list[LinePlan]:
        return [speaker.plan(part, speed) for part in parts]

    plans = fit_speed(plan, mixture.speed, slot and max(0.0, slot - between))
    if any(plan.english for plan in plans):
        # Each of two voices has its own conversion, so the parts are converted before they are joined.
        converted = [speaker.converted(plan, part) for plan, part in zip(plans, parts, strict=True)]
        signal: Floats | Doubles = join_parts(converted, plans, slot)
    else:
        sounds = [speaker.render(plan, part) for plan, part in zip(plans, parts, strict=True)]
        signal = envelope.convert(join_parts(sounds, plans, slot), mixture.conversion)
    shaped = dsp.at_level(signal, voice.level)
    pcm = np.clip(np.round(shaped * 32767.0), -32768, 32767).astype("<i2").tobytes()
    return Speech(pcm=pcm, rate=RATE, seed=segment.seed, warnings=reading.warnings)


@dataclass(frozen=True)
class LineSpeaker:
    """A voice as it says one line."""

    voice: voices.FittedVoice
    mixture: voices.FittedMixture
    """Of the line's language."""
    model: SpeechModel
    table: voices.VoiceTable
    length_factor: float
    """See ``reading_of_take``."""

    @property
    def english(self) -> voices.FittedMixture | None:
        """The mixture for English words; None where the voice was not fitted for English: they are said as the rest."""
        return self.voice.mixtures.get("en")

    def plan(self, part: LinePart, speed: float) -> LinePlan:
        """Plan a part of the line; ``speed`` is that of the line's own mixture."""
        line = self._planned(self.mixture, part.tokens, speed)
        if not part.english or not self.english:
            return line
        words = []
        for first, last in part.english:
            tokens = [*part.tokens[first:last], *reader.to_tokens(english_words.SENTENCE_END)]
            plan = self._planned(self.english, tokens, self.english.speed * speed / self.mixture.speed)
            words.append(((first, last), plan))
        return english_words.with_words(line, words)

    def render(self, plan: LinePlan, part: LinePart, mixture: voices.FittedMixture | None = None) -> Floats:
        """Return the sound of a plan, or of an excerpt of it, in the timbre of a mixture, or of the line's."""
        return self.model.render(plan, self._style(mixture or self.mixture, part.tokens))

    def converted(self, plan: LinePlan, part: LinePart) -> Floats:
        """Return the converted sound of a part, its English words in the English mixture."""
        sound = envelope.convert(self.render(plan, part), self.mixture.conversion)
        english = self.english
        if english is None or not plan.english:
            return sound.astype(np.float32)

        def in_english(excerpt: LinePlan) -> Doubles:
            return envelope.convert(self.render(excerpt, part, english), english.conversion)

        return english_words.with_english(sound, plan, in_english, RATE).astype(np.float32)

    def _planned(self, mixture: voices.FittedMixture, tokens: list[int], speed: float) -> LinePlan:
        plan = self.model.plan(tokens, self._style(mixture, tokens), speed)
        return with_pitch(plan, self.voice.pitch, mixture.pitch)

    def _style(self, mixture: voices.FittedMixture, tokens: list[int]) -> Floats:
        return self.table.style(mixture.acoustic, mixture.prosody, len(tokens), self.length_factor)


def join_parts(sounds: Sequence[Floats], plans: Sequence[LinePlan], slot: float | None) -> Floats:
    """Return the parts of a line in one signal, which is not longer than ``slot`` seconds if the plans are not."""
    signal = _joined(sounds, _EDGE_SECONDS)
    if slot is None or len(signal) <= slot * RATE:
        return signal
    signal = _joined(sounds, 0.0)
    samples = int(slot * RATE)
    planned = sum(plan.seconds() for plan in plans) + _PAUSE_SECONDS * (len(plans) - 1)
    if len(signal) > samples and planned <= slot:
        # What is heard after the planned end is a breath, nearly 40 dB below the line.
        fade = round(_FADE_SECONDS * RATE)
        signal = signal[:samples].copy()
        signal[-fade:] *= np.linspace(1.0, 0.0, len(signal[-fade:]), dtype=np.float32)
    return signal


def _joined(sounds: Sequence[Floats], edge_seconds: float) -> Floats:
    """Return the parts of a line with pauses between; ``edge_seconds`` of the silence around each stay."""
    pause = np.zeros(round(_PAUSE_SECONDS * RATE), np.float32)
    signals = [each for sound in sounds for each in (pause, dsp.trim(sound, RATE, keep_seconds=edge_seconds))]
    return np.concatenate(signals[1:])


def reading_of_take(take: int) -> float:
    """Return the factor of a take: it is read with the melody and pace of a text that is longer by this factor.

    Kokoro has a style for each length of text. Those of other lengths are as natural, and keep the voice: from 0.7 to
    0.87 times the length a line is read more briskly, from 1.2 to 2 times more calmly. Measured over 24 takes of 6
    lines: as similar to their speaker as the first take (.407 instead of .411, by CAM++); over 72 takes of 6 lines in 3
    voices: 9 % longer or shorter in the mean, F0 along the line .65 semitones away in the mean (.54 before median and
    spread are set).
    """
    if take == 0:
        return 1.0
    share = zlib.crc32(str(take).encode("ascii")) / 2**32
    least, most = CALMER if take % 2 else BRISKER
    return float(least * (most / least) ** share)


class KokoroEngine:
    """The engine; see the package for its options. Raises EngineError where the model cannot be loaded."""

    def __init__(self, spec: EngineSpec, emit: Emit) -> None:
        self._emit = emit
        self._threads = _threads(spec)
        self._encoder_folder = str(spec.options.get("encoder", ""))
        self._quality_folder = str(spec.options.get("quality", ""))
        self._effort = str(spec.options.get("effort", "normal"))
        self._model = SpeechModel(Path(spec.checkpoint))
        self._table = voices.voice_table()
        self._listeners: tuple[SpeakerEncoder, SpeechQuality | None] | None = None
        """What judges probes; loaded before there are references, where an encode task has none."""

    def encode(
        self, references: Sequence[ReferenceSpec]
    ) -> Iterator[tuple[ReferenceSpec, SegmentError | None]]:
        """Fit a voice to each reference and write it to its ``codes`` (voice.npz).

        A reference that cannot be used fails alone; the others are fitted without it.
        """
        from voiceclone_worker.engines.kokoro import fitting

        if not self._encoder_folder:
            raise EngineError("encoder_missing", 'the task\'s engine names no "encoder" folder (CAM++).')
        effort = fitting.EFFORTS.get(self._effort)
        if effort is None:
            raise EngineError("bad_option", f'"effort" must be one of {", ".join(fitting.EFFORTS)}.')
        if self._listeners is None:
            encoder = fitting.SpeakerEncoder(Path(self._encoder_folder))
            quality = fitting.SpeechQuality(Path(self._quality_folder)) if self._quality_folder else None
            self._listeners = encoder, quality
        encoder, quality = self._listeners
        traits: list[fitting.ReferenceTraits] = []
        for spec in references:
            try:
                traits.append(fitting.measure_reference(spec, encoder))
            except SegmentError as error:
                yield spec, error

        probes: Counter[str] = Counter()

        def count(reference: fitting.ReferenceTraits, total: int) -> None:
            speaker = reference.spec.speaker
            probes[speaker] += 1
            self._emit("encoding", speaker=speaker, completed=probes[speaker], total=total)

        fitted = fitting.fit_voices(
            traits,
            model=self._model,
            encoder=encoder,
            quality=quality,
            table=self._table,
            effort=effort,
            threads=self._threads,
            probed=count,
        )
        for reference, voice, notes in fitted:
            for note in notes:
                self._emit("note", message=note)
            yield reference.spec, _write(voice, reference.spec)

    def generate(self, rows: Sequence[SpeechRow]) -> Iterator[tuple[SpeechRow, Speech | SegmentError]]:
        """Synthesize the rows, as many at a time as there are threads. No row depends on another.

        The longest come first, so that no thread is left with one at the end.
        """
        read = cache(lambda codes: voices.read_voice(Path(codes), self._table.names))

        def synthesize(row: SpeechRow) -> Speech | SegmentError:
            self._emit("segment_started", task=row.task, id=row.segment.id)
            try:
                return speak_line(row.segment, read(row.reference.codes), self._model, self._table)
            except SegmentError as error:
                return error

        pool = ThreadPoolExecutor(max_workers=self._threads)
        waiting: dict[Future[Speech | SegmentError], SpeechRow] = {}
        try:
            for row in sorted(rows, key=lambda row: -speech_units(row.segment.text)):
                waiting[pool.submit(synthesize, row)] = row
                # No more than one ahead of the threads, or an hour of speech would accumulate here.
                if len(waiting) > self._threads:
                    yield from _finished(waiting)
            while waiting:
                yield from _finished(waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(
    waiting: dict[Future[Speech | SegmentError], SpeechRow],
) -> Iterator[tuple[SpeechRow, Speech | SegmentError]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future.result()


def _write(voice: voices.FittedVoice, spec: ReferenceSpec) -> SegmentError | None:
    """Write a voice; return why that failed, else None."""
    if not spec.codes:
        return SegmentError("codes_missing", f'the reference of {spec.speaker} names no "codes" to write.')
    try:
        voices.write_voice(voice, Path(spec.codes))
    except OSError as error:
        failure = write_failure(Path(spec.codes), error)
        return SegmentError(failure.code, failure.message)
    return None


def _threads(spec: EngineSpec) -> int:
    threads = spec.options.get("threads") or os.cpu_count() or 1
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise EngineError("bad_option", f'"threads" must be a whole number from 1, not {threads!r:.40}.')
    return threads
