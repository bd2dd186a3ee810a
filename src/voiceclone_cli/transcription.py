"""What is said: faster-whisper over the whole recording, with word times."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from pathlib import Path

from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.turns import TurnIndex
from voiceclone_cli.types import Progress, ProgressEvent, Recording, Transcript, Turn, Word, no_progress

if typing.TYPE_CHECKING:
    from faster_whisper import WhisperModel

STAGE = "transcription"
SPEECH_MARGIN = 0.5
"""Seconds. A word farther than this from every turn was not spoken."""

_MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.txt", "vocabulary.json")
_LANGUAGE_WINDOWS = 4
"""Windows of 30 s the language is looked for in, while it is in doubt: many recordings begin with silence."""


def transcribe(
    recording: Recording,
    model: Path,
    *,
    language: str | None = None,
    threads: int = 0,
    progress: Progress = no_progress,
) -> Transcript:
    """The words of a recording with their times.

    ``model`` is a folder in faster-whisper's layout; ``language`` an ISO 639-1 code, or None to have it
    detected (of es-MX, es counts); ``threads`` those of the CPU, 0 for as many as there are cores.

    The file is transcribed in one piece: each of many short clips would be padded to 30 s. No window sees
    the text of the one before (``condition_on_previous_text``), which keeps a repetition loop from spreading.

    Raises PreflightError when the folder holds no usable model, InputError for a language it does not know.
    """
    whisper = _load(model, threads)
    code = None if language is None else language.lower().replace("_", "-").split("-")[0]
    if code is not None and code not in whisper.supported_languages:
        raise InputError(
            f'The model in {model} does not know the language "{language}"; it knows '
            f"{', '.join(sorted(whisper.supported_languages))}.",
            code="language_unknown",
        )
    progress(ProgressEvent(STAGE, 0.0, recording.seconds))
    pieces, info = whisper.transcribe(
        recording.samples,
        language=code,
        beam_size=5,
        word_timestamps=True,
        condition_on_previous_text=False,
        vad_filter=False,
        language_detection_segments=_LANGUAGE_WINDOWS,
    )
    words = []
    for piece in pieces:
        for word in piece.words or ():
            words.append(Word(float(word.start), float(word.end), word.word, float(word.probability)))
        progress(ProgressEvent(STAGE, min(float(piece.end), recording.seconds), recording.seconds))
    progress(ProgressEvent(STAGE, recording.seconds, recording.seconds))
    return Transcript(tuple(words), info.language, float(info.language_probability), model.name)


def drop_outside_speech(
    words: Iterable[Word], turns: Sequence[Turn]
) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """The words near a turn, and those farther than SPEECH_MARGIN from all: what a recogniser makes of silence."""
    index = TurnIndex(turns)
    kept: list[Word] = []
    dropped: list[Word] = []
    for word in words:
        found = index.nearest(word.start, word.end)
        (kept if found is not None and found[1] <= SPEECH_MARGIN else dropped).append(word)
    return tuple(kept), tuple(dropped)


def _load(model: Path, threads: int) -> WhisperModel:
    missing = [name for name in _MODEL_FILES if not (model / name).is_file()]
    if not any((model / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        raise PreflightError(
            f"{model} is not a faster-whisper model: it has no {', '.join(missing)}; give a folder that has, "
            "or leave the choice of the model to voiceclone.",
            code="asr_model_incomplete",
        )
    import ctranslate2
    from faster_whisper import WhisperModel

    # A window that decodes badly is decoded again by sampling: a fixed seed gives the same words each time.
    ctranslate2.set_random_seed(0)
    cuda = ctranslate2.get_cuda_device_count() > 0
    try:
        return WhisperModel(
            str(model),
            device="cuda" if cuda else "cpu",
            compute_type="auto" if cuda else "int8",
            cpu_threads=threads,
            local_files_only=True,
        )
    # A broken tokenizer.json raises a bare Exception, a cut model.bin a RuntimeError.
    except Exception as error:
        raise PreflightError(
            f"The speech recognition model in {model} cannot be loaded ({error}); fetch it again.",
            code="asr_model_broken",
        ) from error
