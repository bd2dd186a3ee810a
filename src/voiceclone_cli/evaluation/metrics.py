"""Measurements of speech: voice (CAM++ embeddings), quality (DNSMOS), words (Whisper), levels and clipping.

Segments are not measured again while wav, language and models are the same.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceclone_cli.analysis.analyzer import model_identity, recogniser_folder
from voiceclone_cli.analysis.diarization import ensure_torchaudio
from voiceclone_cli.analysis.embedded import embed, load_network
from voiceclone_cli.analysis.transcription import load_recogniser
from voiceclone_cli.audio.dsp import Samples, speech_level_db
from voiceclone_cli.config import Settings, models_home
from voiceclone_cli.errors import RunError
from voiceclone_cli.evaluation.model import FinishedRun
from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import download
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.system import torch_threads
from voiceclone_cli.types import ANALYSIS_RATE, Progress, ProgressEvent
from voiceclone_worker import dnsmos

Embedding = NDArray[np.float32]
"""Shape (192,), of unit length."""


EMBEDDING_MODEL, QUALITY_MODEL = "campplus", "dnsmos"
"""Entries in the registry."""
_SHORTEST = 0.25
"""Seconds of speech that an embedding needs."""


class SpeakerEmbedder:
    """CAM++ speaker embeddings, of unit length.

    Wang et al., "CAM++: a fast and efficient network for speaker verification using context-aware masking"
    (Interspeech 2023). The features are mean-normalised, so that the colour of a telephone or a room hardly counts.
    """

    def __init__(self, folder: Path) -> None:
        ensure_torchaudio()
        self._network = load_network(folder)

    def embed(self, samples: Samples) -> Embedding | None:
        """Return the embedding of a signal at ANALYSIS_RATE; None below a quarter of a second."""
        import torch

        if len(samples) < _SHORTEST * ANALYSIS_RATE:
            return None
        # One thread: more move an embedding's last bits, and these signals are short.
        with torch_threads(1), torch.inference_mode():
            signal = torch.from_numpy(np.array(samples, np.float32))
            raw = embed(self._network, signal[None, None])[0].numpy()
        length = float(np.linalg.norm(raw))
        return np.asarray(raw / length, np.float32) if np.isfinite(length) and length > 0 else None


def cosine(one: Embedding, other: Embedding) -> float:
    """Return the similarity of two voices; 1 is the same voice."""
    return float(one @ other)


def weighted_mean(parts: Sequence[tuple[Embedding, float]]) -> Embedding:
    """Return the embedding of several samples, each with its weight; of unit length."""
    total = np.sum([embedding * weight for embedding, weight in parts], axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def embedding_to_text(embedding: Embedding) -> str:
    """Return an embedding for a JSON file, exact to the last bit."""
    return base64.b64encode(embedding.astype("<f4").tobytes()).decode("ascii")


def embedding_from_text(text: str) -> Embedding:
    """Return the embedding that `embedding_to_text` wrote."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


class QualityModel:
    """DNSMOS P.835's overall score of signals of any length, by the windows and hops published with the model."""

    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            folder / dnsmos.FILE, options, providers=["CPUExecutionProvider"]
        )

    def score(self, samples: Samples) -> float | None:
        """Return the overall score of a signal at ANALYSIS_RATE, 1 to 5; None for an empty one.

        It is the mean over windows of 9.01 s, one a second. A shorter signal is doubled until it fills one.
        """
        if not len(samples):
            return None
        signal = samples
        while len(signal) < dnsmos.WINDOW:
            signal = np.concatenate([signal, signal])
        hops = int(len(signal) // dnsmos.RATE - dnsmos.WINDOW / dnsmos.RATE) + 1
        windows = [signal[hop * dnsmos.RATE :][: dnsmos.WINDOW].astype(np.float32) for hop in range(hops)]
        scores = [
            dnsmos.overall_score(self._session, window) for window in windows if len(window) == dnsmos.WINDOW
        ]
        return float(np.mean(scores))


class Recogniser:
    """faster-whisper, without knowledge of the expected words."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._whisper = load_recogniser(folder, threads)

    def words(self, samples: Samples, language: str) -> str | None:
        """Return the words of a signal at ANALYSIS_RATE; None for a language that the model does not know.

        Each segment is recognised by itself, in Whisper's own window of 30 s: in a shorter one, which would be
        cheaper, the model begins to stutter. Nothing is decoded again by sampling, so that the same wav always
        gives the same words.
        """
        code = language.lower().replace("_", "-").split("-")[0]
        if code not in self._whisper.supported_languages:
            return None
        segments, _ = self._whisper.transcribe(
            samples,
            language=code,
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            vad_filter=False,
        )
        return " ".join("".join(segment.text for segment in segments).split())


class MetricModels:
    """Models of an evaluation: found at once, loaded when they are needed. Raises PreflightError without a model."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._threads = settings.threads
        folders = download.ensure_models(
            [EMBEDDING_MODEL, QUALITY_MODEL], progress, home=models_home(settings)
        )
        self._folders: Mapping[str, Path] = {**folders, "words": recogniser_folder(settings, progress)}

    @property
    def names(self) -> dict[str, str]:
        """Return the model of each measurement."""
        return {"similarity": EMBEDDING_MODEL, "mos": QUALITY_MODEL, "words": self._folders["words"].name}

    def identity(self, *roles: str) -> dict[str, Any]:
        """Return what identifies the files of the models; of all, or of those named."""
        return {role: model_identity(self._folders[role]) for role in roles or self._folders}

    @cached_property
    def embedder(self) -> SpeakerEmbedder:
        """The model of speaker embeddings, loaded at its first use."""
        return SpeakerEmbedder(self._folders[EMBEDDING_MODEL])

    @cached_property
    def _quality(self) -> QualityModel:
        return QualityModel(self._folders[QUALITY_MODEL], self._threads)

    @cached_property
    def _recogniser(self) -> Recogniser:
        return Recogniser(self._folders["words"], self._threads)

    def measure(self, speech: Samples, language: str) -> tuple[str | None, float | None, str | None]:
        """Return embedding (as text), quality and words of speech at ANALYSIS_RATE."""
        voice = self.embedder.embed(speech)
        return (
            None if voice is None else embedding_to_text(voice),
            self._quality.score(speech),
            self._recogniser.words(speech, language),
        )


_FULL_SCALE = 0.999
_CLIPPED_RUN = 3
"""Samples in a row at full scale; fewer are a peak that happens to reach it."""


class SegmentMetrics(TypedDict):
    """Measurements of one wav, as the cache keeps them. Levels in dBFS; None is what silence does not have."""

    seconds: float
    level_db: float | None
    """Active speech level; None for silence."""
    peak_db: float | None
    clipped_samples: int
    embedding: str | None
    """As `embedding_to_text` writes it."""
    mos: float | None
    words: str | None
    """None for a language that the recogniser does not know."""


def measure(path: Path, language: str, models: MetricModels) -> SegmentMetrics:
    """Return the measurements of a wav. Raises RunError (``speech_unreadable``)."""
    samples, rate = read_wav(path)
    speech: Samples = samples if rate == ANALYSIS_RATE else soxr.resample(samples, rate, ANALYSIS_RATE)
    level = speech_level_db(samples, rate)
    embedding, mos, words = (None, None, "") if level is None else models.measure(speech, language)
    return {
        "seconds": len(samples) / rate,
        "level_db": level,
        "peak_db": _peak_db(samples),
        "clipped_samples": clipped_samples(samples),
        "embedding": embedding,
        "mos": mos,
        "words": words,
    }


def read_wav(path: Path) -> tuple[Samples, int]:
    """Return the mean of a wav's channels, and its rate. Raises RunError (``speech_unreadable``)."""
    try:
        # Opened here, since libsndfile's wrapper takes no name that is not Unicode.
        with path.open("rb") as file:
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): delete it and give the run's command again",
            code="speech_unreadable",
        ) from error
    return samples.mean(axis=1), int(rate)


def clipped_samples(samples: Samples) -> int:
    """Return the number of samples in runs of three and more at full scale."""
    full = np.concatenate(([False], np.abs(samples) >= _FULL_SCALE, [False]))
    edges = np.flatnonzero(np.diff(full.astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return int(runs[runs >= _CLIPPED_RUN].sum())


def _peak_db(samples: Samples) -> float | None:
    peak = float(np.abs(samples).max(initial=0.0))
    return 20 * float(np.log10(peak)) if peak > 0 else None


_CACHE, _VERSION = "check-segments", 1
"""Entry in the cache, and version of the measurements: another one measures everything again."""
_SAVE_EVERY = 25
"""Number of segments after which measurements are saved, so that an evaluation that is stopped goes on later."""

Measured = tuple[str, SegmentMetrics] | RunError
"""SHA-256 and measurements of a segment's wav, or why there are none."""


def measure_all(
    finished: FinishedRun, models: MetricModels, cache: StageCache, progress: Progress
) -> dict[str, Measured]:
    """Measure every synthesized segment of a run; return measurements by id.

    Raises RunError where the run directory cannot be written.
    """
    inputs = {"models": models.identity()}
    before: dict[str, SegmentMetrics] = cache.load(_CACHE, _VERSION, inputs) or {}
    now: dict[str, SegmentMetrics] = {}
    results: dict[str, Measured] = {}
    segments = [segment for segment in finished.manifest.segments if segment["status"] == "done"]
    unsaved = 0
    for done, segment in enumerate(segments):
        progress(ProgressEvent("listening", done, len(segments), note=segment["id"]))
        try:
            wav, language = finished.wav(segment["id"]), segment["language"]
            sha256 = _sha256(wav)
            key = f"{sha256} {language}"
            if key not in now:
                now[key] = before.get(key) or measure(wav, language, models)
                unsaved += key not in before
            results[segment["id"]] = (sha256, now[key])
        except RunError as error:
            results[segment["id"]] = error
        if unsaved >= _SAVE_EVERY:
            cache.save(_CACHE, _VERSION, inputs, {**before, **now})
            unsaved = 0
    if now.keys() != before.keys():
        cache.save(_CACHE, _VERSION, inputs, now)
    progress(ProgressEvent("listening", len(segments), len(segments)))
    return results


def _sha256(wav: Path) -> str:
    try:
        return file_sha256(wav)
    except OSError as error:
        raise RunError(
            f"{wav} cannot be read ({error.strerror or error}): give the run's command again",
            code="speech_unreadable",
        ) from error
