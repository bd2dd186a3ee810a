"""Fitting of a recording's speakers to mixtures of Kokoro's voices, all together."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voiceclone_worker import dnsmos
from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.kokoro import envelope, voices
from voiceclone_worker.engines.kokoro.dsp import level, speech_seconds, trim, without_gaps
from voiceclone_worker.engines.kokoro.envelope import Conversion, Envelopes
from voiceclone_worker.engines.kokoro.line_plan import PitchStatistics, pitch_statistics, with_pitch
from voiceclone_worker.engines.kokoro.model import RATE, Floats, SpeechModel, open_session
from voiceclone_worker.engines.kokoro.phonemes import length, reader, registry
from voiceclone_worker.engines.kokoro.voices import FittedMixture, FittedVoice, VoiceTable
from voiceclone_worker.protocol import ReferenceSpec
from voiceclone_worker.runtime import without_garbage_collection

TRAITS_RATE = 16_000
"""Hz, of all signals that are measured here."""
WEIGHTS_FILE = "campplus_cn_en_common.pt"
NETWORK_FILE = "camplusplus.py"


class SpeakerEncoder:
    """CAM++ (Wang et al., 2023; 3D-Speaker, Apache-2.0); the same input gives the same embedding."""

    def __init__(self, folder: Path) -> None:
        try:
            with without_garbage_collection():
                import torch
        except ImportError as error:
            raise EngineError("package_missing", f"fitting voices needs torch ({error}).") from error
        for name in (WEIGHTS_FILE, NETWORK_FILE):
            if not (folder / name).is_file():
                raise EngineError(
                    "encoder_missing", f"{name} is not in {folder}: run `voiceclone models pull campplus`."
                )
        torch.set_num_threads(1)  # more threads move an embedding's last bits, and with them a fit
        with without_garbage_collection():
            self._network = _camplus(folder)

    def embed(self, signal: Floats) -> Floats:
        """Return the (192,) unit embedding of a signal at 16 kHz, without its silent ends."""
        import torch

        features = log_mel(trim(signal, TRAITS_RATE))
        with torch.inference_mode():
            embedding = self._network(torch.from_numpy(features - features.mean(0))[None])[0].numpy()
        return np.asarray(embedding / np.linalg.norm(embedding), np.float32)


class SpeechQuality:
    """DNSMOS P.835's overall score, of signals of up to 9 s."""

    def __init__(self, folder: Path) -> None:
        self._session = open_session(folder / dnsmos.FILE)

    def score(self, signal: Floats) -> float:
        """Return the score, 1 to 5, of a signal at 16 kHz; a shorter one is repeated until it fills the window."""
        return dnsmos.overall_score(self._session, np.resize(signal, dnsmos.WINDOW).astype(np.float32))


def log_mel(signal: Floats) -> Floats:
    """Return (frames, 80) log mel energies of a signal at 16 kHz, as Kaldi computes them (25 ms, 10 ms apart)."""
    import kaldi_native_fbank as kaldi

    options = kaldi.FbankOptions()
    options.frame_opts.samp_freq = TRAITS_RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    bank = kaldi.OnlineFbank(options)
    bank.accept_waveform(TRAITS_RATE, np.ascontiguousarray(signal, np.float32))
    bank.input_finished()
    frames = [bank.get_frame(index) for index in range(bank.num_frames_ready)]
    return np.array(frames, np.float32).reshape(-1, 80)


def measure_pitch(signal: Floats) -> PitchStatistics | None:
    """Return the statistics of the F0 of a signal at 16 kHz; None where hardly anything is voiced.

    A telephone band has lost the fundamental of most voices, and a harmonic is found in its place: of ten people's
    speech through one, the medians were 3 to 18 semitones too high. The rectified signal has the fundamental again. It
    is less exact (up to 2.6 semitones), so it counts only where the two differ by more.
    """
    rectified = np.abs(signal)
    plain, again = _pitch(signal), _pitch(rectified - rectified.mean())
    if plain is None or again is None:
        return plain or again
    return again if abs(plain.median - again.median) > _SAME_PITCH_SEMITONES else plain


def _pitch(signal: Floats) -> PitchStatistics | None:
    """Measure pitch by DIO, refined by StoneMask (Morise, 2009 and 2016)."""
    import pyworld

    samples = np.ascontiguousarray(signal, np.float64)
    rough, times = pyworld.dio(samples, TRAITS_RATE, f0_floor=60, f0_ceil=500, frame_period=10)
    pitch = pitch_statistics(pyworld.stonemask(samples, rough, times, TRAITS_RATE))
    return pitch if pitch and pitch.count >= _FEWEST_VOICED else None


def semitones(hertz: float) -> float:
    """Return 12 log2 of a frequency."""
    return 12 * math.log2(hertz)


def _camplus(folder: Path) -> Any:
    import torch

    # Not imported: Python would write its bytecode beside the model's files, which are then others than before.
    definition = runpy.run_path(str(folder / NETWORK_FILE))
    network = definition["CAMPPlus"](feat_dim=80, embedding_size=192)
    try:
        weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        network.load_state_dict(weights, strict=True)
    except Exception as error:  # torch.load raises many kinds of errors
        raise EngineError("encoder_unusable", f"{folder / WEIGHTS_FILE} is not CAM++: {error}") from error
    return network.eval()


class Effort(NamedTuple):
    """How many mixtures are synthesized and measured for a speaker and a language, and whether they say the short probe."""

    probes: int
    is_short: bool


EFFORTS = {"fast": Effort(1, True), "normal": Effort(2, False), "best": Effort(4, False)}
_SHORTEST_SECONDS = 0.3
_QUIETEST = 1e-3
_UNKNOWN_F0_HZ = 150.0
_FEWEST_VOICED = 5
"""Values of F0, 10 ms apart, that say something of a voice."""
_SAME_PITCH_SEMITONES = 3.0
_LEVELS = (0.01, 0.3)
_SPEEDS_WITHOUT_PACE = (0.9, 1.1)
_LOOKUP_SECONDS, _MAP_SECONDS = 3.0, 1.0
"""Of speech in a reference: shorter ones have too few frames for the lookup, or for the variation around the mean.

Similarity of seven people's clips of 1, 1.5, 2 and 3 s, by an encoder that takes no part in a fit: with the mean alone
.66, .67, .68, .67; with the linear map .68, .70, .71, .71; with the lookup .68, .69, .71, .71 (of 10 s .73).
"""
_LOWEST_QUALITY = 2.9
"""DNSMOS of converted probes. Below, the conversion is weakened."""
FOREIGN_LOOKUP = 0.5
"""Share of the nearest frames in lines of another language than the reference's."""
_FOREIGN_MAP = 0.8
"""Strength of the linear map alone in such lines. Of 98 Chinese syllables of an English speaker 3 were misheard at 0.8, 5
at 1, 1 unconverted; similarity .61, .63, .50."""
_WEAKER = 0.7


@dataclass(frozen=True)
class ReferenceTraits:
    """Measurements of a speaker's reference."""

    spec: ReferenceSpec
    signal: Floats
    """At TRAITS_RATE."""
    embedding: Floats
    pitch: PitchStatistics | None
    envelopes: Envelopes
    seconds: float
    """Of speech, without its pauses."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the mixtures that the speaker's lines need (``registry.voice_language``)."""
        return tuple(dict.fromkeys(map(registry.voice_language, self.spec.speaks or ("en",))))

    @property
    def semitones(self) -> float:
        """F0 in semitones; that of 150 Hz where none was found."""
        return self.pitch.median if self.pitch else semitones(_UNKNOWN_F0_HZ)


def measure_reference(spec: ReferenceSpec, encoder: SpeakerEncoder) -> ReferenceTraits:
    """Measure a speaker's reference. Raises SegmentError where it cannot be used."""
    signal = _read(spec)
    if not np.isfinite(signal).all():
        raise SegmentError("reference_unusable", f"{spec.audio} has samples that are not numbers.")
    if not len(signal) or float(np.abs(signal).max()) < _QUIETEST:
        raise SegmentError("reference_silent", f"{spec.audio} is silent: give another with --reference.")
    signal = without_gaps(signal, TRAITS_RATE)
    seconds = len(trim(signal, TRAITS_RATE)) / TRAITS_RATE
    if seconds < _SHORTEST_SECONDS:
        raise SegmentError(
            "reference_too_short",
            f"{spec.audio} holds {seconds:.2f} s of speech, too little for a voice: give a longer one.",
        )
    import soxr

    return ReferenceTraits(
        spec=spec,
        signal=signal,
        embedding=encoder.embed(signal),
        pitch=measure_pitch(signal),
        envelopes=envelope.measure(soxr.resample(signal, TRAITS_RATE, RATE)),
        seconds=speech_seconds(signal, TRAITS_RATE),
    )


class Fit(NamedTuple):
    """A speaker's voice, and sentences on what could not be done as usual."""

    reference: ReferenceTraits
    voice: FittedVoice
    notes: Sequence[str]


@dataclass(frozen=True)
class _Probe:
    """A mixture that was synthesized."""

    mixture: tuple[Floats, Floats]
    signal: Floats
    """At RATE, not converted."""
    own_pitch: PitchStatistics | None
    """Before it was moved to that of the speaker."""
    pitch: PitchStatistics | None
    conversion: Conversion
    embedding: Floats
    """After the conversion."""


@dataclass(frozen=True)
class _Prober:
    """Synthesizes the probes of mixtures, and measures them; from several threads at once."""

    model: SpeechModel
    encoder: SpeakerEncoder
    table: VoiceTable
    tokens: Mapping[str, list[int]]
    """The probe of each language."""

    def typical_sound(self, reference: ReferenceTraits, language: str, probe: _Probe) -> Floats:
        """Return the typical sentence of a language in the mixture of a probe, not converted."""
        tokens = reader.to_tokens(reader.to_phonemes(registry.probe_of(language).typical, language))
        style = self.table.style(*probe.mixture, len(tokens))
        plan = with_pitch(self.model.plan(tokens, style, 1.0), reference.pitch, probe.own_pitch)
        return self.model.render(plan, style)

    def probe(
        self, reference: ReferenceTraits, language: str, mixture: tuple[Floats, Floats]
    ) -> list[_Probe]:
        """Return the probe of a mixture with each conversion that comes into question."""
        tokens = self.tokens[language]
        style = self.table.style(*mixture, len(tokens))
        plan = self.model.plan(tokens, style, 1.0)
        own_pitch = plan.pitch()
        plan = with_pitch(plan, reference.pitch, own_pitch)
        signal = self.model.render(plan, style)
        # The channel of a recording is part of its embedding, so a probe is measured as its lines will sound.
        return [
            _Probe(
                mixture,
                signal,
                own_pitch,
                plan.pitch(),
                conversion,
                self.encoder.embed(_converted(signal, conversion)),
            )
            for conversion in _conversions(reference, language, signal)
        ]


def fit_voices(
    references: Sequence[ReferenceTraits],
    *,
    model: SpeechModel,
    encoder: SpeakerEncoder,
    quality: SpeechQuality | None,
    table: VoiceTable,
    effort: Effort,
    threads: int,
    probed: Callable[[ReferenceTraits, int], None],
) -> Iterator[Fit]:
    """Yield the voice of each reference, unlike those of the others, with a mixture for each of its languages.

    After each probe of a reference ``probed`` is called, with the number of all its probes. The probes of all speakers
    are made at the same time, on ``threads``. Without ``quality`` a conversion is not weakened where it sounds bad.
    """
    languages = dict.fromkeys(language for reference in references for language in reference.languages)
    prober = _Prober(model, encoder, table, _probe_tokens(languages, effort))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        running: list[dict[str, list[Future[list[_Probe]]]]] = [{} for _ in references]
        for language in prober.tokens:
            for index, mixtures in _proposals(references, language, table, effort.probes):
                running[index][language] = [
                    pool.submit(prober.probe, references[index], language, mixture) for mixture in mixtures
                ]
        for reference, futures in zip(references, running, strict=True):
            others = [other.embedding for other in references if other is not reference]
            fitted: dict[str, FittedMixture] = {}
            notes: list[str] = []
            for language, own in futures.items():
                probes: list[_Probe] = []
                for future in own:
                    probes += future.result()
                    probed(reference, sum(map(len, futures.values())))
                best = max(probes, key=partial(_score, reference, language, others))
                typical = partial(prober.typical_sound, reference, language, best)
                conversion, found = checked_conversion(
                    reference, best.conversion, best.signal, typical, quality
                )
                notes += [note for note in found if note not in notes]
                rate = len(prober.tokens[language]) / speech_seconds(best.signal, RATE)
                pace = rate / _probe_rate(language, effort)
                fitted[language] = _fitted(reference, best, conversion, speed_of(reference, pace))
            yield Fit(reference, _voice(reference, table, fitted), notes)


def _proposals(
    references: Sequence[ReferenceTraits], language: str, table: VoiceTable, count: int
) -> Iterator[tuple[int, list[tuple[Floats, Floats]]]]:
    """Yield the mixtures to be probed of each reference, by its index, that has lines in a language."""
    speaking = [index for index, each in enumerate(references) if language in each.languages]
    proposals = voices.propose_mixtures(
        [(references[index].embedding, references[index].semitones) for index in speaking],
        table,
        count=count,
        language=language,
        at_home=[place for place, index in enumerate(speaking) if _is_at_home(references[index], language)],
    )
    yield from zip(speaking, proposals, strict=True)


def _fitted(reference: ReferenceTraits, probe: _Probe, conversion: Conversion, speed: float) -> FittedMixture:
    return FittedMixture(
        *probe.mixture,
        conversion=conversion,
        speed=speed,
        pitch=probe.own_pitch,
        similarity=float(probe.embedding @ reference.embedding),
    )


def _voice(
    reference: ReferenceTraits, table: VoiceTable, mixtures: Mapping[str, FittedMixture]
) -> FittedVoice:
    return FittedVoice(
        names=table.names,
        mixtures=mixtures,
        level=float(np.clip(level(trim(reference.signal, TRAITS_RATE)), *_LEVELS)),
        embedding=reference.embedding,
        pitch=reference.pitch,
    )


def _probe_tokens(languages: Iterable[str], effort: Effort) -> dict[str, list[int]]:
    """Return the probe of each language that can be read here: the lines of another one fail, and need no voice."""
    texts = {}
    for language in languages:
        probe = registry.probe_of(language)
        with suppress(SegmentError):
            texts[language] = reader.to_tokens(
                reader.to_phonemes(probe.short if effort.is_short else probe.long, language)
            )
    return texts


def _probe_rate(language: str, effort: Effort) -> float:
    rates = registry.LANGUAGES[language].rates
    return rates.short if effort.is_short else rates.long


def _score(reference: ReferenceTraits, language: str, others: Sequence[Floats], probe: _Probe) -> float:
    f0 = probe.pitch.median if probe.pitch else None
    is_foreign = not has_lookup(reference, language)
    return voices.score_probe(
        reference.embedding, reference.semitones, others, probe.embedding, f0, is_foreign=is_foreign
    )


def has_lookup(reference: ReferenceTraits, language: str) -> bool:
    """Return whether lines in a language are converted to the nearest frames of the reference, if it has enough of them.

    Not wholly in a language that the reference is not in (FOREIGN_LOOKUP): it lacks the sounds. Of English lines nearly
    all words are understood with references in any language.
    """
    return language == "en" or _is_at_home(reference, language)


def _is_at_home(reference: ReferenceTraits, language: str) -> bool:
    return language == registry.main_code(reference.spec.language)


def _conversions(reference: ReferenceTraits, language: str, probe: Floats) -> list[Conversion]:
    """Return the conversions of a probe to its speaker that come into question, by the length of the reference."""
    conversion = envelope.fit(reference.envelopes, envelope.measure(trim(probe, RATE)))
    if reference.seconds < _MAP_SECONDS:
        return [conversion.mean_only()]
    linear = conversion.without_frames()
    if has_lookup(reference, language):
        return [conversion if reference.seconds >= _LOOKUP_SECONDS else linear]
    linear = replace(linear, strength=_FOREIGN_MAP)
    return (
        [replace(conversion, lookup=FOREIGN_LOOKUP), linear]
        if reference.seconds >= _LOOKUP_SECONDS
        else [linear]
    )


def checked_conversion(
    reference: ReferenceTraits,
    conversion: Conversion,
    probe: Floats,
    typical: Callable[[], Floats],
    quality: SpeechQuality | None,
) -> tuple[Conversion, list[str]]:
    """Return the conversion, weaker where the voice sounds bad, and sentences on how it is not the usual one.

    A probe is one sentence, with vowels and nasals mostly, in which some voices sound worse than in others. So one that
    sounds bad is scored together with the ``typical`` sentence, which is synthesized for that.
    """
    speaker, notes = reference.spec.speaker, []
    if reference.seconds < _LOOKUP_SECONDS:
        steps = "the mean and the variation" if reference.seconds >= _MAP_SECONDS else "the mean"
        notes.append(
            f"The voice of {speaker} is matched by {steps} of its timbre alone, since its reference has only "
            f"{reference.seconds:.1f} s of speech: give one of {_LOOKUP_SECONDS:.0f} s or more with --reference."
        )
    if quality is None:
        return conversion, notes
    if quality.score(_converted(probe, conversion)) >= _LOWEST_QUALITY:
        return conversion, notes
    sounds = (probe, typical())

    def score_of(conversion: Conversion) -> float:
        return sum(quality.score(_converted(sound, conversion)) for sound in sounds) / len(sounds)

    whole = score_of(conversion)
    if whole >= _LOWEST_QUALITY:
        return conversion, notes
    weaker = replace(conversion, strength=_WEAKER)
    found = [(score_of(each), each) for each in (weaker, weaker.mean_only())]
    score, chosen = next(
        (pair for pair in found if pair[0] >= _LOWEST_QUALITY), max(found, key=lambda pair: pair[0])
    )
    if score <= whole:
        return conversion, notes
    notes.append(
        f"The voice of {speaker} is matched less closely, since it would not sound clean (DNSMOS {whole:.2f}, now "
        f"{score:.2f}): a cleaner reference may help."
    )
    return chosen, notes


def _converted(signal: Floats, conversion: Conversion) -> Floats:
    """Return a signal at RATE converted, at TRAITS_RATE."""
    import soxr

    converted = envelope.convert(signal, conversion)
    return np.asarray(soxr.resample(converted, RATE, TRAITS_RATE), np.float32)


def speed_of(reference: ReferenceTraits, mixture_pace: float) -> float:
    """Return the speed at which a mixture speaks as fast as the speaker, in whatever language.

    ``mixture_pace``: how fast the mixture is at speed 1, 1.0 as Kokoro's voices in its language. A speaker whose pace is
    not known is taken for one as fast as others, but the mixture's own pace is not changed much for that.
    """
    pace = speaking_pace(reference)
    if pace is None:
        return float(np.clip(1.0 / mixture_pace, *_SPEEDS_WITHOUT_PACE))
    return float(np.clip(pace / mixture_pace, *length.SPEEDS))


def speaking_pace(reference: ReferenceTraits) -> float | None:
    """Return how fast a speaker is in the language of the reference; see ``length.speaking_pace``."""
    return length.speaking_pace(reference.spec.text, reference.spec.language, reference.seconds)


def _read(spec: ReferenceSpec) -> Floats:
    """Return the audio of a reference as mono at TRAITS_RATE."""
    import soundfile
    import soxr

    try:
        # Opened here: libsndfile's wrapper takes no name that is not Unicode.
        with open(spec.audio, "rb") as file:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise SegmentError("reference_unreadable", f"{spec.audio} cannot be read: {error}") from error
    mono = samples.mean(1)
    return np.asarray(mono if rate == TRAITS_RATE else soxr.resample(mono, rate, TRAITS_RATE), np.float32)
