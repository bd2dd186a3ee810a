"""Fitting the voices of a recording's speakers, all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from voiceclone_worker.contract import ReferenceSpec
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro import matching, phonemes, spectra, traits
from voiceclone_worker.engines.kokoro.model import RATE, Floats, SpeechModel
from voiceclone_worker.engines.kokoro.signals import level, speech_seconds, trim, without_gaps
from voiceclone_worker.engines.kokoro.spectra import Doubles
from voiceclone_worker.engines.kokoro.voice import Voice
from voiceclone_worker.engines.kokoro.voices import VoiceTable

PROBES = 4
"""Mixtures rendered and heard for each speaker. Six are no better since the spectra are drawn apart:
a margin of .092 instead of .091 over the other speaker, by the measure of spectra.apart."""
_PROBE_TEXT = "We were away a year ago, and nothing much has changed."
_SHORTEST_SECONDS = 0.3
_QUIETEST = 1e-3
_UNKNOWN_F0_HZ = 150.0
_LEVELS = (0.01, 0.3)
_SPEEDS = (0.8, 1.25)
_ENOUGH_TEXT_SECONDS = 2.0
"""Below this a reference says too little about how fast its speaker talks."""


@dataclass(frozen=True)
class Reference:
    """A speaker as heard in the reference."""

    spec: ReferenceSpec
    signal: Floats
    """At traits.RATE."""
    embedding: Floats
    f0_hz: float | None
    spectrum: Doubles
    """spectra.long_term_spectrum at RATE."""

    @property
    def speaker(self) -> matching.Speaker:
        return matching.Speaker(self.embedding, traits.semitones(self.f0_hz or _UNKNOWN_F0_HZ))


@dataclass(frozen=True)
class Probe:
    """A mixture as it was heard, after its equaliser."""

    mixture: matching.Mixture
    gains: Floats
    seconds: float
    score: float
    similarity: float


def listen(spec: ReferenceSpec, encoder: traits.SpeakerEncoder) -> Reference:
    """The reference of a speaker, measured. Raises SegmentError where it cannot be used."""
    signal = _read(spec)
    if not np.isfinite(signal).all():
        raise SegmentError("reference_unusable", f"{spec.audio} holds samples that are not numbers.")
    if not len(signal) or float(np.abs(signal).max()) < _QUIETEST:
        raise SegmentError("reference_silent", f"{spec.audio} is silent: give another with --reference.")
    signal = without_gaps(signal, traits.RATE)
    seconds = len(trim(signal, traits.RATE)) / traits.RATE
    if seconds < _SHORTEST_SECONDS:
        raise SegmentError(
            "reference_too_short",
            f"{spec.audio} holds {seconds:.2f} s of speech, too little to tell a voice: give a longer one.",
        )
    import soxr

    return Reference(
        spec=spec,
        signal=signal,
        embedding=encoder.embed(signal),
        f0_hz=traits.median_f0(signal),
        spectrum=spectra.long_term_spectrum(soxr.resample(signal, traits.RATE, RATE)),
    )


def fit(
    references: Sequence[Reference],
    *,
    model: SpeechModel,
    encoder: traits.SpeakerEncoder,
    table: VoiceTable,
    language: str,
    threads: int,
    heard: Callable[[Reference], None],
) -> Iterator[tuple[Reference, Voice]]:
    """The voice of each reference, unlike those of the others. ``heard`` is called after each of PROBES probes."""
    tokens = phonemes.to_tokens(phonemes.to_phonemes(_PROBE_TEXT, "en"))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for reference in references:
            rest = [other for other in references if other is not reference]
            others = [other.embedding for other in rest]
            target = spectra.apart(reference.spectrum, [other.spectrum for other in rest])
            mixtures = matching.propose(reference.speaker, others, table, count=PROBES)

            def render(mixture: matching.Mixture) -> Floats:
                return model.speak(tokens, table.style(mixture.acoustic, mixture.prosody, len(tokens)), 1.0)

            best: Probe | None = None
            for mixture, spoken in zip(mixtures, pool.map(render, mixtures), strict=True):
                probe = _hear(reference, others, target, mixture, spoken, encoder)
                best = probe if best is None or probe.score > best.score else best
                heard(reference)
            assert best is not None
            yield (
                reference,
                _voice(reference, best, table, rate=len(tokens) / best.seconds, language=language),
            )


def _hear(
    reference: Reference,
    others: Sequence[Floats],
    target: Doubles,
    mixture: matching.Mixture,
    spoken: Floats,
    encoder: traits.SpeakerEncoder,
) -> Probe:
    # The channel of a recording is in its embedding too, so a probe is heard through its equaliser.
    import soxr

    gains = spectra.equaliser(target, spectra.long_term_spectrum(trim(spoken, RATE)))
    shaped = soxr.resample(spectra.equalise(spoken, gains, level(spoken)), RATE, traits.RATE)
    embedding = encoder.embed(shaped)
    f0 = traits.median_f0(soxr.resample(spoken, RATE, traits.RATE))
    return Probe(
        mixture=mixture,
        gains=gains,
        seconds=speech_seconds(spoken, RATE),
        score=matching.score(
            reference.speaker, others, embedding, None if f0 is None else traits.semitones(f0)
        ),
        similarity=float(embedding @ reference.embedding),
    )


def _voice(reference: Reference, probe: Probe, table: VoiceTable, *, rate: float, language: str) -> Voice:
    """``rate``: tokens a second of the probe at speed 1."""
    own_rate = _speaking_rate(reference, language)
    return Voice(
        names=table.names,
        mixture=probe.mixture,
        gains=probe.gains,
        level=float(np.clip(level(trim(reference.signal, traits.RATE)), *_LEVELS)),
        speed=1.0 if own_rate is None else float(np.clip(own_rate / rate, *_SPEEDS)),
        embedding=reference.embedding,
        f0_hz=reference.f0_hz or 0.0,
        similarity=probe.similarity,
    )


def _speaking_rate(reference: Reference, language: str) -> float | None:
    """Tokens a second of the speaker; None where text or time are too little to tell."""
    seconds = speech_seconds(reference.signal, traits.RATE)
    if seconds < _ENOUGH_TEXT_SECONDS or not any(letter.isalnum() for letter in reference.spec.text):
        return None
    try:
        tokens = phonemes.to_tokens(phonemes.to_phonemes(reference.spec.text, language))
    except SegmentError:
        return None  # a language that cannot be read: Kokoro's own rate then
    return len(tokens) / seconds


def _read(spec: ReferenceSpec) -> Floats:
    """Mono at traits.RATE."""
    import soundfile
    import soxr

    try:
        # Opened here: libsndfile's wrapper takes no name that is not Unicode.
        with open(spec.audio, "rb") as file:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise SegmentError("reference_unreadable", f"{spec.audio} cannot be read: {error}") from error
    mono = samples.mean(1)
    return np.asarray(mono if rate == traits.RATE else soxr.resample(mono, rate, traits.RATE), np.float32)
