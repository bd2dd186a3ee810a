"""Builders of the values that tests hand to the product, with plain defaults.

A test names only what it is about: ``segment("0002", "BERT", 4.0, 6.0)``, ``recording(tone(3.0))``,
``synthesis_task(tmp_path, count=6)``. Sounds and media files are in ``media_samples``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.rundir.manifest import ManifestSegment, ManifestSpeaker
from voiceclone_cli.types import (
    ANALYSIS_RATE,
    Diarization,
    Recording,
    Reference,
    Script,
    Segment,
    Transcript,
    Turn,
    Word,
)
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
)

if TYPE_CHECKING:
    from voiceclone_cli.types import Samples


def settings(environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Return settings with the echo engine; ``flags`` count more than ``environ`` (the process's own)."""
    flags = {"engine": "echo", **flags}
    return resolve(flags) if environ is None else resolve(flags, environ)


def run_request(input: Path, out: Path | None = None, **fields: Any) -> RunRequest:
    """Return a request; fields that are settings (``engine``, ``workers``, ...) go into its settings."""
    own = {name: fields.pop(name) for name in list(fields) if name in RunRequest.__dataclass_fields__}
    return RunRequest(input, own.pop("settings", None) or settings(**fields), out=out, **own)


def recording(
    samples: Samples | None = None,
    rate: int = ANALYSIS_RATE,
    *,
    path: Path = Path("talk.wav"),
    seconds: float | None = None,
    channels: int = 1,
    has_video: bool = False,
) -> Recording:
    """Return a recording of ``samples`` at ANALYSIS_RATE (default: silence of ``seconds``, else 1 s).

    ``rate`` is the rate of the source, whose length in frames follows from the samples.
    """
    if samples is None:
        samples = np.zeros(round((seconds or 1.0) * ANALYSIS_RATE), np.float32)
    length = len(samples) / ANALYSIS_RATE if seconds is None else seconds
    return Recording(path, samples, rate, round(length * rate), channels, has_video)


def turns(*spans: tuple[float, float, str]) -> tuple[Turn, ...]:
    """Return turns of (start, end, speaker)."""
    return tuple(Turn(*span) for span in spans)


def diarization(*spans: tuple[float, float, str]) -> Diarization:
    """Return what the embedded diarizer would return for turns that do not overlap."""
    return Diarization(turns(*spans), turns(*spans), diarizer="embedded")


def words(start: float, end: float, text: str = " word", *, seconds: float = 0.4) -> list[Word]:
    """Return words of ``seconds`` each from start to end, without a pause between."""
    edges = np.linspace(start, end, max(1, round((end - start) / seconds)) + 1).round(3).tolist()
    return [Word(left, right, text, 0.9) for left, right in pairwise(edges)]


def speech_sound(
    words: Sequence[Word], seconds: float, *, gain: Callable[[float], float] = lambda time: 0.3
) -> Samples:
    """Return noise at ANALYSIS_RATE: in each word with the ``gain`` of its start, else a faint hiss."""
    random = np.random.default_rng(7)
    samples = random.normal(0, 0.0005, round(seconds * ANALYSIS_RATE))
    for word in words:
        span = slice(round(word.start * ANALYSIS_RATE), round(word.end * ANALYSIS_RATE))
        samples[span] += gain(word.start) * np.clip(random.normal(0, 0.3, len(samples[span])), -1, 1)
    return samples.astype(np.float32)


def transcript(words: Sequence[Word], language: str = "en") -> Transcript:
    """Return a transcript of these words."""
    return Transcript(tuple(words), language, 1.0, "whisper-base")


def segment(
    id: str = "0001",
    speaker: str = "ANNA",
    start: float = 0.0,
    end: float = 1.0,
    text: str = "a line",
    language: str = "en",
    seed: int | None = None,
) -> Segment:
    """Return a segment."""
    return Segment(id, speaker, start, end, text, language, seed)


def script(*spans: tuple[Any, ...]) -> Script:
    """Return a script of (speaker, start, end) or (speaker, start, end, text); ids are 0001, 0002, ..."""
    return Script(tuple(segment(f"{number:04d}", *span) for number, span in enumerate(spans, 1)))


def reference(
    speaker: str = "ANNA", audio: Path = Path("reference.wav"), text: str = "", seconds: float = 8.0
) -> Reference:
    """Return a reference that was given by the user: it has no spans in the recording."""
    return Reference(speaker, audio, text, seconds, ())


def engine_spec(name: str = "echo", checkpoint: str | Path = "", **options: Any) -> EngineSpec:
    """Return an engine; ``options`` are the engine's, but ``batch_size``, ``device`` and ``precision``."""
    own = {key: options.pop(key) for key in ("batch_size", "device", "precision") if key in options}
    return EngineSpec(name, str(checkpoint), options=options, **own)


def reference_spec(
    speaker: str = "A", folder: str | Path = "", text: str = "", suffix: str = ".txt"
) -> ReferenceSpec:
    """Return a reference whose audio and codes are ``SPEAKER.wav`` and ``SPEAKER.txt`` in the folder."""
    base = Path(folder) / speaker
    return ReferenceSpec(speaker, f"{base}.wav", text, f"{base}{suffix}")


def segment_specs(count: int, prefix: str = "", text: str = "a few words") -> tuple[SegmentSpec, ...]:
    """Return ``count`` segments with the ids PREFIX0000, PREFIX0001, ...; their number is their seed."""
    return tuple(SegmentSpec(f"{prefix}{number:04d}", text, "en", number) for number in range(count))


def synthesis_task(
    folder: str | Path = "",
    speaker: str = "A",
    count: int = 3,
    *,
    segments: Sequence[SegmentSpec] | None = None,
    engine: EngineSpec | None = None,
    **options: Any,
) -> SynthesisTask:
    """Return a task of the echo engine whose reference and results (``out``) are in ``folder``.

    Its segments have the ids SPEAKER0000, SPEAKER0001, ...; ``options`` are the engine's.
    """
    specs = segment_specs(count, speaker) if segments is None else tuple(segments)
    spec = engine or engine_spec(**options)
    return SynthesisTask(speaker, spec, reference_spec(speaker, folder), str(Path(folder) / "out"), specs)


def encode_task(
    folder: str | Path = "", *speakers: str, engine: EngineSpec | None = None, **options: Any
) -> EncodeTask:
    """Return a task that encodes these speakers' references."""
    spec = engine or engine_spec(**options)
    return EncodeTask(spec, tuple(reference_spec(speaker, folder) for speaker in speakers))


def manifest_segment(id: str = "0001", **fields: Any) -> ManifestSegment:
    """Return a segment of a manifest that is done and was placed where it is in the script."""
    row: dict[str, Any] = {
        **asdict(segment(id)),
        "slot_end": 2.0,
        "status": "done",
        "file": f"segments/{id}.wav",
        "seconds": 0.8,
        "seed": 1,
        "attempts": 1,
        "sha256": "0" * 64,
        "error": None,
        "placed_at": 0.0,
        "placed_seconds": 0.8,
        "stretch": 1.0,
        "overflow_seconds": 0.0,
        "gain_db": 0.0,
        "warnings": [],
        "unmarked": None,
        **fields,
    }
    return cast(ManifestSegment, row)


def manifest_speaker(name: str = "ANNA", **fields: Any) -> ManifestSpeaker:
    """Return a speaker of a manifest whose reference was cut from the recording."""
    row: dict[str, Any] = {
        "name": name,
        "speech_seconds": 9.0,
        "segments": 1,
        "reference": f"speakers/{name}/reference.wav",
        "reference_seconds": 2.0,
        "reference_text": "the words",
        "reference_spans": [[1.0, 3.0]],
        "warnings": [],
        **fields,
    }
    return cast(ManifestSpeaker, row)


def load_task() -> SynthesisTask:
    """Return a task without segments, with which a worker only loads its engine."""
    return replace(
        synthesis_task(count=0), speaker="", reference=ReferenceSpec("", "", "", ""), output_dir=""
    )
