"""What a stranger hears in a segment: faster-whisper, which is not told what it should hear."""

from __future__ import annotations

import typing
from pathlib import Path

from voiceclone_cli.transcription import load_recogniser

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples


class Recogniser:
    def __init__(self, folder: Path, threads: int) -> None:
        self._whisper = load_recogniser(folder, threads)

    def words(self, samples: Samples, language: str) -> str | None:
        """The words of a signal at ANALYSIS_RATE; None for a language that the model does not know.

        Each segment is heard by itself, in Whisper's own window of 30 s: in a shorter one, which would be
        cheaper, the model begins to stutter. What decodes badly is not decoded again by sampling, so that the
        same wav always gives the same words.
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
