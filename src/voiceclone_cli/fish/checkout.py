"""The checkout of fish-speech that FISH_SPEECH_DIR names, recognised by its files: nothing is imported."""

from __future__ import annotations

from pathlib import Path

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.settings import Settings, path_setting

_MODEL = Path("fish_speech/models/text2semantic/llama.py")
_CODEC = Path("fish_speech/models/dac/modded_dac.py")
_OLD_CODEC = Path("fish_speech/models/vqgan")
"""What versions 1.5 and before had in the codec's place."""

_ADVICE = (
    "set FISH_SPEECH_DIR to a checkout of version 0.1.0 with S1's model code (June to November 2025, 80db25e "
    "for one), or leave it unset to use the fish-speech of its environment"
)


def fish_checkout(settings: Settings) -> Path | None:
    """The checkout to take fish-speech's code from; None when FISH_SPEECH_DIR is not set.

    Raises PreflightError: ``fish_checkout`` when it is none, ``fish_generation`` when it is one whose
    models are others than S1's.
    """
    if settings.fish_speech_dir is None:
        return None
    folder = path_setting(settings.fish_speech_dir)
    named = f"FISH_SPEECH_DIR ({settings.sources['fish_speech_dir']}) names {folder}"
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise PreflightError(f"{named}, which {problem}: {_ADVICE}", code="fish_checkout")
    if not (folder / _MODEL).is_file():
        raise PreflightError(
            f"{named}, which is no checkout of fish-speech (it has no {_MODEL.as_posix()}): {_ADVICE}",
            code="fish_checkout",
        )
    if not (folder / _CODEC).is_file():
        kind = "a fish-speech of the 1.5 generation" if (folder / _OLD_CODEC).is_dir() else "incomplete"
        raise PreflightError(
            f"{named}, which is {kind} (it has no {_CODEC.as_posix()}): {_ADVICE}", code="fish_generation"
        )
    if _is_s2(folder, named):
        raise PreflightError(
            f"{named}, which is a fish-speech of the S2 generation, whose models are others and whose code and "
            f"weights are under the Fish Audio Research License (no commercial use): {_ADVICE}",
            code="fish_generation",
        )
    return folder


def _is_s2(folder: Path, named: str) -> bool:
    """By what S2 brought: another kind of configuration, and a codec that decodes from indices."""
    marks = {_MODEL: "fish_qwen3_omni", _CODEC: "def from_indices"}
    try:
        return any(mark in (folder / path).read_text("utf-8", "replace") for path, mark in marks.items())
    except OSError as error:
        raise PreflightError(
            f"{named}, which cannot be read ({error.strerror}): {_ADVICE}", code="fish_checkout"
        ) from error
