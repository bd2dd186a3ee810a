"""Fitting of a recording's speakers to mixtures of Kokoro's voices, all together."""

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
from voiceclone_worker.engines.kokoro import envelope, phonemes, voices
from voiceclone_worker.engines.kokoro.dsp import level, speech_seconds, trim, without_gaps
from voiceclone_worker.engines.kokoro.envelope import Conversion, Envelopes
from voiceclone_worker.engines.kokoro.line_plan import PitchStatistics, pitch_statistics, with_pitch
from voiceclone_worker.engines.kokoro.model import RATE, Floats, SpeechModel
from voiceclone_worker.engines.kokoro.voices import FittedVoice, VoiceTable
from voiceclone_worker.protocol import ReferenceSpec

TRAITS_RATE = 16_000
"""Hz, of all signals that are measured here."""
WEIGHTS_FILE = "campplus_cn_en_common.pt"
NETWORK_FILE = "camplusplus.py"


class SpeakerEncoder:
    """CAM++ (Wang et al., 2023; 3D-Speaker, Apache-2.0); the same input gives the same embedding."""

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
        """Return the (192,) unit embedding of a signal at 16 kHz, without its silent ends."""
        import torch

        features = log_mel(trim(signal, TRAITS_RATE))
        with torch.inference_mode():
            embedding = self._network(torch.from_numpy(features - features.mean(0))[None])[0].numpy()
        return np.asarray(embedding / np.linalg.norm(embedding), np.float32)


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

    DIO refined by StoneMask (Morise, 2009 and 2016).
    """
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

    spec = importlib.util.spec_from_file_location("voiceclone_camplusplus", folder / NETWORK_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.CAMPPlus(feat_dim=80, embedding_size=192)
    try:
        weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        network.load_state_dict(weights, strict=True)
    except Exception as error:  # torch.load raises many kinds of errors
        raise EngineError("encoder_unusable", f"{folder / WEIGHTS_FILE} is not CAM++: {error}") from error
    return network.eval()


PROBES = 4
"""Mixtures that are synthesized and measured for each speaker."""
_PROBE_TEXT = "We were away a year ago, and nothing much has changed."
_SHORTEST_SECONDS = 0.3
_QUIETEST = 1e-3
_UNKNOWN_F0_HZ = 150.0
_FEWEST_VOICED = 5
"""Values of F0, 10 ms apart, that say something of a voice."""
_LEVELS = (0.01, 0.3)
_SPEEDS = (0.8, 1.25)
_MIN_RATE_SECONDS = 2.0
"""Shorter references say too little about the speaking rate."""


@dataclass(frozen=True)
class ReferenceTraits:
    """Measurements of a speaker's reference."""

    spec: ReferenceSpec
    signal: Floats
    """At TRAITS_RATE."""
    embedding: Floats
    pitch: PitchStatistics | None
    envelopes: Envelopes

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
    )


def fit_voices(
    references: Sequence[ReferenceTraits],
    *,
    model: SpeechModel,
    encoder: SpeakerEncoder,
    table: VoiceTable,
    language: str,
    threads: int,
    probed: Callable[[ReferenceTraits], None],
) -> Iterator[tuple[ReferenceTraits, FittedVoice]]:
    """Yield the voice of each reference, unlike those of the others; call ``probed`` after each of PROBES probes."""
    tokens = phonemes.to_tokens(phonemes.to_phonemes(_PROBE_TEXT, "en"))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for reference in references:
            others = [other.embedding for other in references if other is not reference]
            mixtures = voices.propose_mixtures(
                reference.embedding, reference.semitones, others, table, count=PROBES
            )

            def render(
                mixture: tuple[Floats, Floats], pitch: PitchStatistics | None = reference.pitch
            ) -> tuple[Floats, PitchStatistics | None]:
                style = table.style(*mixture, len(tokens))
                plan = model.plan(tokens, style, 1.0)
                own = plan.pitch()
                return model.render(with_pitch(plan, pitch, own), style), own

            probes = []
            for mixture, (signal, own_pitch) in zip(mixtures, pool.map(render, mixtures), strict=True):
                conversion, embedding, f0 = _measure_probe(signal, reference, encoder)
                score = voices.score_probe(reference.embedding, reference.semitones, others, embedding, f0)
                similarity = float(embedding @ reference.embedding)
                probes.append((score, mixture, conversion, signal, similarity, own_pitch))
                probed(reference)
            _, (acoustic, prosody), conversion, signal, similarity, own_pitch = max(
                probes, key=lambda probe: probe[0]
            )
            own_rate = _speaking_rate(reference, language)
            kokoro_rate = len(tokens) / speech_seconds(signal, RATE)
            yield (
                reference,
                FittedVoice(
                    names=table.names,
                    acoustic=acoustic,
                    prosody=prosody,
                    conversion=conversion,
                    level=float(np.clip(level(trim(reference.signal, TRAITS_RATE)), *_LEVELS)),
                    speed=1.0 if own_rate is None else float(np.clip(own_rate / kokoro_rate, *_SPEEDS)),
                    embedding=reference.embedding,
                    pitch=reference.pitch,
                    own_pitch=own_pitch,
                    similarity=similarity,
                ),
            )


def _measure_probe(
    signal: Floats, reference: ReferenceTraits, encoder: SpeakerEncoder
) -> tuple[Conversion, Floats, float | None]:
    """Return the conversion of a probe to its speaker, the embedding of what it gives, and the F0 in semitones.

    The channel of a recording is part of its embedding, so a probe is measured as its lines will sound.
    """
    import soxr

    conversion = envelope.fit(reference.envelopes, envelope.measure(trim(signal, RATE)))
    converted = soxr.resample(envelope.convert(signal, conversion), RATE, TRAITS_RATE).astype(np.float32)
    pitch = measure_pitch(soxr.resample(signal, RATE, TRAITS_RATE))
    return conversion, encoder.embed(converted), pitch.median if pitch else None


def _speaking_rate(reference: ReferenceTraits, language: str) -> float | None:
    """Return the speaker's tokens per second; None where text or duration are too short."""
    seconds = speech_seconds(reference.signal, TRAITS_RATE)
    if seconds < _MIN_RATE_SECONDS or not any(letter.isalnum() for letter in reference.spec.text):
        return None
    try:
        tokens = phonemes.to_tokens(phonemes.to_phonemes(reference.spec.text, language))
    except SegmentError:
        return None  # a language without phonemes: Kokoro's own rate is used
    return len(tokens) / seconds


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
