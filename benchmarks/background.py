"""Separation of voices from music and ambience by `--background keep`, compared with duck and none.

    python benchmarks/background.py [--speech FILE ...] [--music FILE ...] [--words]

Speech and music are mixed at known levels, so that the true background is known. By default the
speech is pyannote's sample recording and the music is generated: chords with drums, and rain.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "worker_env"), str(ROOT / "tests")]

from media_samples import Signal, conversation  # noqa: E402
from voiceclone_cli.audio.formats import MONO  # noqa: E402
from voiceclone_cli.audio.reader import read_recording  # noqa: E402
from voiceclone_cli.mixing import separation  # noqa: E402
from voiceclone_cli.mixing.background import (  # noqa: E402
    DUCK,
    KEEP,
    ducking_gains,
    merge_spans,
    open_background,
)
from voiceclone_cli.mixing.separation import SEPARATION_MODELS  # noqa: E402
from voiceclone_cli.models import download  # noqa: E402
from voiceclone_cli.types import Span  # noqa: E402

RATE = 48_000
SECONDS = 30
RATIOS = (0, 5, 10)
"""Speech to music, in dB."""

Models = dict[str, Path]
Method = Callable[[Path, Sequence[Span], Models], Signal]


@dataclass(frozen=True)
class Figures:
    """Measures of a kept background against the true one, during speech."""

    sdr: float
    """Scale-invariant signal-to-distortion ratio, dB."""
    leftover: float
    """Level of the remaining voices, dB relative to the voices."""
    understood: float | None
    """Share of the words that are recognised in it."""
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, nargs="*", default=[])
    parser.add_argument("--music", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--words", action="store_true", help="count the words that are recognised in the background"
    )
    arguments = parser.parse_args()
    speech = {path.stem: read(path) for path in [conversation(), *arguments.speech]}
    music = {"band": band(), "rain": rain(), **{path.stem: read(path, skip=5) for path in arguments.music}}
    recogniser = Recogniser() if arguments.words else None
    folders = download.ensure_models(SEPARATION_MODELS)
    found: dict[tuple[str, str, int], list[Figures]] = {}
    for voice_name, voice in speech.items():
        for music_name, bed in music.items():
            for ratio in RATIOS:
                for method, figures in measured(voice, bed, ratio, folders, recogniser).items():
                    found.setdefault((method, music_name, ratio), []).append(figures)
                    print(row(f"{voice_name} over {music_name}, {ratio} dB", method, [figures]), flush=True)
    print("\nmean over all speech")
    for (method, music_name, ratio), figures in sorted(found.items(), key=lambda item: item[0][1:]):
        print(row(f"{music_name}, {ratio} dB", method, figures))
    print("\nmean over all speech and music")
    for ratio in RATIOS:
        for method in METHODS:
            all_figures = [
                f for key, figures in found.items() if key[0] == method and key[2] == ratio for f in figures
            ]
            print(row(f"{ratio} dB", method, all_figures))


def measured(
    voice: Signal, bed: Signal, ratio: float, folders: Models, recogniser: Recogniser | None
) -> dict[str, Figures]:
    """Return the figures of every method with one voice over one bed."""
    spans = speech_spans(voice)
    inside = within(spans, len(voice))
    bed = bed * np.sqrt(np.mean(voice[inside] ** 2) / np.mean(bed**2)) / 10 ** (ratio / 20)
    scale = 0.9 / np.abs(voice + bed).max()
    voice, bed = voice * scale, bed * scale
    words = recogniser.words(voice) if recogniser else []
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mix.wav"
        soundfile.write(path, voice + bed, RATE, subtype="FLOAT")
        for name, method in METHODS.items():
            start = time.perf_counter()
            kept = method(path, spans, folders)
            seconds = time.perf_counter() - start
            transcript = recogniser.words(kept) if recogniser and kept.any() else []
            figures[name] = Figures(
                distortion(bed[inside], kept[inside]),
                leftover(voice[inside], bed[inside], kept[inside]),
                common(words, transcript) / len(words) if recogniser and words else None,
                seconds,
            )
    return figures


# Methods


def kept(path: Path, spans: Sequence[Span], folders: Models) -> Signal:
    with open_background(
        read_recording(path), MONO, RATE, kind=KEEP, turns=spans, models=folders, threads=1
    ) as background:
        return background.read(SECONDS * RATE)[:, 0]


def ducked(path: Path, spans: Sequence[Span], folders: Models) -> Signal:
    with open_background(
        read_recording(path), MONO, RATE, kind=DUCK, turns=[], models=folders, threads=1
    ) as background:
        original = background.read(SECONDS * RATE)[:, 0]
    return original * ducking_gains(spans, 0, len(original), RATE)


def none(path: Path, spans: Sequence[Span], folders: Models) -> Signal:
    return np.zeros(SECONDS * RATE, np.float32)


def without(part: str) -> Method:
    """Return "keep" with one of its two networks replaced by silence."""

    class SilentNetwork:
        def __init__(self, *_: object) -> None: ...

        def speech(self, samples: Signal) -> Signal:
            return np.zeros_like(samples)

        voices = speech

    def method(path: Path, spans: Sequence[Span], folders: Models) -> Signal:
        whole = getattr(separation, part)
        setattr(separation, part, SilentNetwork)
        try:
            return kept(path, spans, folders)
        finally:
            setattr(separation, part, whole)

    return method


METHODS: dict[str, Method] = {
    "none": none,
    "duck": ducked,
    "keep": kept,
    "  DeepFilterNet alone": without("Spleeter"),
    "  Spleeter alone": without("DeepFilter"),
}

# Measures


def speech_spans(voice: Signal) -> list[Span]:
    """Return the spans with speech of the clean voice."""
    power = np.mean((voice[: len(voice) // 480 * 480] ** 2).reshape(-1, 480), axis=1)
    loud = np.flatnonzero(power > power.max() * 10**-3.5) / 100
    return merge_spans([(float(time), float(time) + 0.01) for time in loud], 0.3)


def within(spans: Sequence[Span], frames: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    inside = np.zeros(frames, np.bool_)
    for start, end in spans:
        inside[round(start * RATE) : round(end * RATE)] = True
    return inside


def distortion(true: Signal, kept: Signal) -> float:
    part = np.dot(true, kept) / np.dot(true, true) * true
    return float(10 * np.log10(np.sum(part**2) / (np.sum((kept - part) ** 2) + 1e-12) + 1e-12))


def leftover(voice: Signal, bed: Signal, kept: Signal) -> float:
    """How much of the voice is in what was kept, frequency by frequency (least squares on voice and bed)."""
    from scipy.signal import stft

    v, b, k = (stft(signal, RATE, nperseg=2048)[2] for signal in (voice, bed, kept))
    vv, bb, vb = np.sum(np.abs(v) ** 2, 1), np.sum(np.abs(b) ** 2, 1), np.sum(v.conj() * b, 1)
    vk, bk = np.sum(v.conj() * k, 1), np.sum(b.conj() * k, 1)
    share = (bb * vk - vb * bk) / (vv * bb - np.abs(vb) ** 2 + 1e-20)
    return float(10 * np.log10(np.sum(np.abs(share) ** 2 * vv) / np.sum(vv) + 1e-12))


class Recogniser:
    """Whisper, as the command uses it."""

    def __init__(self) -> None:
        from voiceclone_cli.analysis.transcription import load_recogniser

        self._model = load_recogniser(download.ensure_models(["whisper-base"])["whisper-base"], 1)

    def words(self, signal: Signal) -> list[str]:
        segments, _ = self._model.transcribe(soxr.resample(signal, RATE, 16_000), language="en", beam_size=1)
        text = " ".join(segment.text for segment in segments).lower()
        return "".join(c if c.isalnum() or c == "'" else " " for c in text).split()


def common(words: Sequence[str], transcript: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    lengths = [0] * (len(transcript) + 1)
    for word in words:
        above = 0
        for index, other in enumerate(transcript, 1):
            above, lengths[index] = (
                lengths[index],
                above + 1 if word == other else max(lengths[index], lengths[index - 1]),
            )
    return lengths[-1]


def row(what: str, method: str, figures: Sequence[Figures]) -> str:
    words = [f.understood for f in figures if f.understood is not None]
    understood = f"{100 * statistics.mean(words):5.0f} % of the words" if words else ""
    sdr, left, seconds = (
        statistics.mean(getattr(f, name) for f in figures) for name in ("sdr", "leftover", "seconds")
    )
    return f"{what:32} {method:24} SI-SDR {sdr:6.1f} dB, voices {left:6.1f} dB {understood} ({seconds:.1f} s)"


# Recordings


def read(path: Path, skip: float = 0) -> Signal:
    """SECONDS of a file, mono, from ``skip`` seconds on; a shorter one is repeated."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate, RATE)[round(skip * RATE) :]
    return np.resize(mono, SECONDS * RATE)


def band() -> Signal:
    """Chords of decaying strings, a bass drum and a cymbal, at 120 beats a minute."""
    chance = np.random.default_rng(0)
    music = np.zeros(SECONDS * RATE)
    bar = np.arange(2 * RATE) / RATE
    kick = np.sin(2 * np.pi * (50 * bar - np.exp(-30 * bar))) * np.exp(-15 * bar)
    for index in range(SECONDS // 2):
        root = (220.0, 174.6, 261.6, 196.0)[index % 4]
        part = np.zeros(2 * RATE)
        for note in (root / 2, root, root * 5 / 4, root * 3 / 2):
            for partial in range(1, 6):
                wave = np.sin(2 * np.pi * note * partial * bar + chance.uniform(0, 6))
                part += 0.2 / partial * wave * np.exp(-0.8 * bar)
        for beat in range(4):
            at = beat * RATE // 2
            part[at:] += 0.8 * kick[: len(part) - at]
            cymbal = chance.standard_normal(RATE // 4) * np.exp(-60 * bar[: RATE // 4])
            part[at + RATE // 4 : at + RATE // 2] += 0.3 * cymbal
        music[index * 2 * RATE :][: 2 * RATE] = part
    return (0.5 * music / np.abs(music).max()).astype(np.float32)


def rain() -> Signal:
    """Noise that falls off above 500 Hz and swells every ten seconds."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(SECONDS * RATE))
    spectrum /= np.sqrt(1 + np.fft.rfftfreq(SECONDS * RATE, 1 / RATE) / 500)
    noise = np.fft.irfft(spectrum) * (1 + 0.5 * np.sin(0.2 * np.pi * np.arange(SECONDS * RATE) / RATE))
    return (0.4 * noise / np.abs(noise).max()).astype(np.float32)


if __name__ == "__main__":
    main()
