"""Fitting the voices of a recording's speakers, all together."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.kokoro import dsp, phonemes, voices
from voiceclone_worker.engines.kokoro.dsp import Doubles, level, speech_seconds, trim, without_gaps
from voiceclone_worker.engines.kokoro.model import RATE, Floats, SpeechModel
from voiceclone_worker.engines.kokoro.voices import FittedVoice, VoiceTable
from voiceclone_worker.protocol import ReferenceSpec

# What a voice sounds like, as numbers: its CAM++ embedding and its median F0.


TRAITS_RATE = 16_000
"""Hz, of everything that is measured here."""
WEIGHTS_FILE = "campplus_cn_en_common.pt"
NETWORK_FILE = "camplusplus.py"


class SpeakerEncoder:
    """CAM++ (Wang et al., 2023; 3D-Speaker, Apache-2.0). The same bytes in, the same embedding out."""

    def __init__(self, folder: Path) -> None:
        try:
            import torch
        except ImportError as error:
            raise EngineError("package_missing", f"fitting voices needs torch ({error}).") from error
        for name in (WEIGHTS_FILE, NETWORK_FILE):
            if not (folder / name).is_file():
                raise EngineError(
                    "encoder_missing", f"{name} is not in {folder}: run `voiceclone models pull campplus`."
                )
        torch.set_num_threads(1)  # more threads move an embedding's last bits, and with them a fit
        self._network = _camplus(folder)

    def embed(self, signal: Floats) -> Floats:
        """(192,) unit embedding of a signal at 16 kHz, without its silent ends."""
        import torch

        features = log_mel(trim(signal, TRAITS_RATE))
        with torch.inference_mode():
            embedding = self._network(torch.from_numpy(features - features.mean(0))[None])[0].numpy()
        return np.asarray(embedding / np.linalg.norm(embedding), np.float32)


def log_mel(signal: Floats) -> Floats:
    """(frames, 80) log mel energies of a signal at 16 kHz, as Kaldi computes them (25 ms, 10 ms apart)."""
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


def median_f0(signal: Floats) -> float | None:
    """Median F0 in Hz of a signal at 16 kHz; None where hardly anything is voiced.

    DIO refined by StoneMask (Morise, 2009 and 2016); a second median leaves out octave errors.
    """
    import pyworld

    samples = np.ascontiguousarray(signal, np.float64)
    rough, times = pyworld.dio(samples, TRAITS_RATE, f0_floor=60, f0_ceil=500, frame_period=10)
    f0 = pyworld.stonemask(samples, rough, times, TRAITS_RATE)
    octaves = np.log2(f0[f0 > 0])
    if len(octaves) < 5:
        return None
    near = octaves[np.abs(octaves - np.median(octaves)) < 0.8]
    return float(2 ** np.median(near))


def semitones(hertz: float) -> float:
    return 12 * math.log2(hertz)


def _camplus(folder: Path) -> Any:
    import torch

    spec = importlib.util.spec_from_file_location("voiceclone_camplusplus", folder / NETWORK_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.CAMPPlus(feat_dim=80, embedding_size=192)
    try:
        weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        network.load_state_dict(weights, strict=True)
    except Exception as error:  # torch.load raises whatever the unpickler meets
        raise EngineError("encoder_unusable", f"{folder / WEIGHTS_FILE} is not CAM++: {error}") from error
    return network.eval()


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
class ReferenceTraits:
    """A speaker as heard in the reference."""

    spec: ReferenceSpec
    signal: Floats
    """At traits.RATE."""
    embedding: Floats
    f0_hz: float | None
    spectrum: Doubles
    """spectra.long_term_spectrum at RATE."""

    @property
    def speaker(self) -> voices.SpeakerTraits:
        return voices.SpeakerTraits(self.embedding, semitones(self.f0_hz or _UNKNOWN_F0_HZ))


@dataclass(frozen=True)
class Probe:
    """A mixture as it was heard, after its equaliser."""

    mixture: voices.VoiceMixture
    gains: Floats
    seconds: float
    score: float
    similarity: float


def measure_reference(spec: ReferenceSpec, encoder: SpeakerEncoder) -> ReferenceTraits:
    """The reference of a speaker, measured. Raises SegmentError where it cannot be used."""
    signal = _read(spec)
    if not np.isfinite(signal).all():
        raise SegmentError("reference_unusable", f"{spec.audio} holds samples that are not numbers.")
    if not len(signal) or float(np.abs(signal).max()) < _QUIETEST:
        raise SegmentError("reference_silent", f"{spec.audio} is silent: give another with --reference.")
    signal = without_gaps(signal, TRAITS_RATE)
    seconds = len(trim(signal, TRAITS_RATE)) / TRAITS_RATE
    if seconds < _SHORTEST_SECONDS:
        raise SegmentError(
            "reference_too_short",
            f"{spec.audio} holds {seconds:.2f} s of speech, too little to tell a voice: give a longer one.",
        )
    import soxr

    return ReferenceTraits(
        spec=spec,
        signal=signal,
        embedding=encoder.embed(signal),
        f0_hz=median_f0(signal),
        spectrum=dsp.long_term_spectrum(soxr.resample(signal, TRAITS_RATE, RATE)),
    )


def fit_voices(
    references: Sequence[ReferenceTraits],
    *,
    model: SpeechModel,
    encoder: SpeakerEncoder,
    table: VoiceTable,
    language: str,
    threads: int,
    heard: Callable[[ReferenceTraits], None],
) -> Iterator[tuple[ReferenceTraits, FittedVoice]]:
    """The voice of each reference, unlike those of the others. ``heard`` is called after each of PROBES probes."""
    tokens = phonemes.to_tokens(phonemes.to_phonemes(_PROBE_TEXT, "en"))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for reference in references:
            rest = [other for other in references if other is not reference]
            others = [other.embedding for other in rest]
            target = dsp.spectral_distance(reference.spectrum, [other.spectrum for other in rest])
            mixtures = voices.propose_mixtures(reference.speaker, others, table, count=PROBES)

            def render(mixture: voices.VoiceMixture) -> Floats:
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
    reference: ReferenceTraits,
    others: Sequence[Floats],
    target: Doubles,
    mixture: voices.VoiceMixture,
    spoken: Floats,
    encoder: SpeakerEncoder,
) -> Probe:
    # The channel of a recording is in its embedding too, so a probe is heard through its equaliser.
    import soxr

    gains = dsp.design_equaliser(target, dsp.long_term_spectrum(trim(spoken, RATE)))
    shaped = soxr.resample(dsp.apply_equaliser(spoken, gains, level(spoken)), RATE, TRAITS_RATE)
    embedding = encoder.embed(shaped)
    f0 = median_f0(soxr.resample(spoken, RATE, TRAITS_RATE))
    return Probe(
        mixture=mixture,
        gains=gains,
        seconds=speech_seconds(spoken, RATE),
        score=voices.score_mixture(
            reference.speaker, others, embedding, None if f0 is None else semitones(f0)
        ),
        similarity=float(embedding @ reference.embedding),
    )


def _voice(
    reference: ReferenceTraits, probe: Probe, table: VoiceTable, *, rate: float, language: str
) -> FittedVoice:
    """``rate``: tokens a second of the probe at speed 1."""
    own_rate = _speaking_rate(reference, language)
    return FittedVoice(
        names=table.names,
        mixture=probe.mixture,
        gains=probe.gains,
        level=float(np.clip(level(trim(reference.signal, TRAITS_RATE)), *_LEVELS)),
        speed=1.0 if own_rate is None else float(np.clip(own_rate / rate, *_SPEEDS)),
        embedding=reference.embedding,
        f0_hz=reference.f0_hz or 0.0,
        similarity=probe.similarity,
    )


def _speaking_rate(reference: ReferenceTraits, language: str) -> float | None:
    """Tokens a second of the speaker; None where text or time are too little to tell."""
    seconds = speech_seconds(reference.signal, TRAITS_RATE)
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
    return np.asarray(mono if rate == TRAITS_RATE else soxr.resample(mono, rate, TRAITS_RATE), np.float32)
