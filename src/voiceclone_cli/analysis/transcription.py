"""Transcription: faster-whisper over the whole recording, with word times."""

from __future__ import annotations

import functools
import hashlib
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceclone_cli import types
from voiceclone_cli.analysis.turns import TurnIndex
from voiceclone_cli.audio.dsp import Samples
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_worker.telemetry import refuse_telemetry

if typing.TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment as RecognisedSegment


STAGE = "transcription"
SPEECH_MARGIN = 0.5
"""Seconds. A word farther than this from every turn is a hallucination."""

WHOLE_SECONDS = 900.0
"""A recording up to this is transcribed as a whole, a longer one in parts of about PART_SECONDS: the
spectrum of a part takes 50 MB a minute."""
PART_SECONDS = 600.0
_CUT_WITHIN = 30.0
"""Seconds around the end of a part in which the quietest half second is looked for."""
_QUIET_SECONDS = 0.5

_SHORTEST_TAIL = 0.3
"""Seconds. Less than this after the last word holds no other, but whisper decodes it for as long as 30 s of speech,
to the end of its window: it repeats itself, and is tried again by sampling."""

_MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.txt", "vocabulary.json")
_LANGUAGE_WINDOWS = 4
"""Windows of 30 s the language is looked for in, while it is in doubt: many recordings begin with silence."""


def load_recogniser(model: Path, threads: int) -> WhisperModel:
    """Return the model in a folder. Raises PreflightError when the folder holds no usable one."""
    missing = [name for name in _MODEL_FILES if not (model / name).is_file()]
    if not any((model / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        raise PreflightError(
            f"{model} is not a faster-whisper model: it has no {', '.join(missing)}; give a folder that has, "
            "or leave out --asr-model.",
            code="asr_model_incomplete",
        )
    refuse_telemetry()
    import ctranslate2

    # A window that decodes badly is decoded again by sampling: a fixed seed gives the same words each time.
    ctranslate2.set_random_seed(0)
    cuda = ctranslate2.get_cuda_device_count() > 0
    try:
        return _whisper_class()(
            str(model),
            device="cuda" if cuda else "cpu",
            compute_type="auto" if cuda else "int8",
            cpu_threads=threads,
            local_files_only=True,
        )
    # A broken tokenizer.json raises a bare Exception, a cut model.bin a RuntimeError.
    except Exception as error:
        raise PreflightError(
            f"The speech recognition model in {model} cannot be loaded ({error}); download it again.",
            code="asr_model_broken",
        ) from error


@functools.cache
def _whisper_class() -> type[WhisperModel]:
    from faster_whisper import WhisperModel

    class OnceEncodingWhisper(WhisperModel):  # type: ignore[misc]  # a package without types
        """Keeps the last encoded window: the first is encoded for its language, and again for its words."""

        _last: tuple[bytes, Any] = b"", None

        def encode(self, features: NDArray[np.float32]) -> Any:
            window = hashlib.sha256(features.tobytes()).digest()
            if window != self._last[0]:
                self._last = window, super().encode(features)
            return self._last[1]

    return OnceEncodingWhisper


LoadWhisper = Callable[[Path, int], "WhisperModel"]
"""Returns the model in a folder, to compute on this many threads."""


def transcribe(
    recording: types.Recording,
    model: Path,
    *,
    language: str | None,
    threads: int,
    progress: types.Progress = types.no_progress,
    load: LoadWhisper = load_recogniser,
) -> types.Transcript:
    """Return the words of a recording with their times.

    ``model`` is a folder in faster-whisper's layout; ``language`` an ISO 639-1 code, or None to have it
    detected (of es-MX, es counts); ``threads`` those of the CPU, 0 for as many as there are cores. The model
    is freed after this call, unless ``load`` keeps it.

    Up to WHOLE_SECONDS a recording is transcribed as a whole: each of many short clips would be padded
    to 30 s. No window sees the text of the one before (``condition_on_previous_text``), which keeps a
    repetition loop from spreading, and costs nothing where a longer recording is cut, in a silence.

    Raises PreflightError when the folder holds no usable model, InputError for a language it does not know.
    """
    whisper = load(model, threads)
    code = None if language is None else _known_code(language, whisper, model)
    progress(types.ProgressEvent(STAGE, 0.0, recording.seconds))
    words: list[types.Word] = []
    found: tuple[str, float] | None = None
    for start, end in split_at_silence(recording.samples):
        offset = start / types.ANALYSIS_RATE
        segments, info = whisper.transcribe(
            recording.samples[start:end],
            language=code or (found and found[0]),
            beam_size=5,
            word_timestamps=True,
            condition_on_previous_text=False,
            vad_filter=False,
            language_detection_segments=_LANGUAGE_WINDOWS,
        )
        found = found or (info.language, float(info.language_probability))
        for segment in segments:
            words += _words(segment, offset)
            done = min(offset + float(segment.end), recording.seconds)
            progress(types.ProgressEvent(STAGE, done, recording.seconds))
            if float(segment.end) > (end - start) / types.ANALYSIS_RATE - _SHORTEST_TAIL:
                break
    progress(types.ProgressEvent(STAGE, recording.seconds, recording.seconds))
    assert found is not None
    return types.Transcript(tuple(words), *found, model.name)


def identify_language(
    samples: Samples, model: Path, *, threads: int, load: LoadWhisper = load_recogniser
) -> tuple[str, float]:
    """Return the language that is spoken in samples at ANALYSIS_RATE (an ISO 639-1 code), and its probability.

    ``model`` and ``threads`` as in :func:`transcribe`. Raises PreflightError when the folder holds no usable model.
    """
    whisper = load(model, threads)
    code, probability, _ = whisper.detect_language(samples, language_detection_segments=_LANGUAGE_WINDOWS)
    return code, float(probability)


def _known_code(language: str, whisper: WhisperModel, model: Path) -> str:
    """Return the model's code of a language. Raises InputError for one that it does not support."""
    code = language.lower().replace("_", "-").split("-")[0]
    if code not in whisper.supported_languages:
        raise InputError(
            f'The model in {model} does not support the language "{language}"; it supports '
            f"{', '.join(sorted(whisper.supported_languages))}.",
            code="language_unknown",
        )
    return code


def _words(segment: RecognisedSegment, offset: float) -> list[types.Word]:
    """Return the words of a segment of a part that begins at ``offset`` seconds."""
    return [
        types.Word(offset + float(word.start), offset + float(word.end), word.word, float(word.probability))
        for word in segment.words or ()
    ]


def split_at_silence(samples: Samples) -> list[tuple[int, int]]:
    """Return the start and end, in samples at ANALYSIS_RATE, of the parts that are transcribed one by one."""
    cuts = [0]
    within, quiet = round(_CUT_WITHIN * types.ANALYSIS_RATE), round(_QUIET_SECONDS * types.ANALYSIS_RATE)
    while len(samples) - cuts[-1] > WHOLE_SECONDS * types.ANALYSIS_RATE:
        about = cuts[-1] + round(PART_SECONDS * types.ANALYSIS_RATE)
        around = samples[about - within : about + within].reshape(-1, quiet)
        quietest = int(np.argmin(np.square(around).mean(axis=1)))
        cuts.append(about - within + quietest * quiet + quiet // 2)
    return list(zip(cuts, [*cuts[1:], len(samples)], strict=True))


def drop_outside_speech(
    words: Iterable[types.Word], turns: Sequence[types.Turn]
) -> tuple[tuple[types.Word, ...], tuple[types.Word, ...]]:
    """Return the words near a turn, and those farther than SPEECH_MARGIN from all: hallucinated in silence."""
    index = TurnIndex(turns)
    kept: list[types.Word] = []
    dropped: list[types.Word] = []
    for word in words:
        found = index.nearest(word.start, word.end)
        (kept if found is not None and found[1] <= SPEECH_MARGIN else dropped).append(word)
    return tuple(kept), tuple(dropped)
