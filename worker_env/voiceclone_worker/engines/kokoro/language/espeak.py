"""Phonemes by the espeak-ng program, where it is installed. A program beside ours, never a library in it: it is GPL."""

from __future__ import annotations

import re
import shutil
import subprocess

from voiceclone_worker.engines.base import SegmentError

_VOICES = {"fr": "fr-fr", "pt": "pt-br", "pt-pt": "pt", "it": "it", "hi": "hi", "no": "nb"}
_TIMEOUT_SECONDS = 30
_PUNCTUATION = re.compile(r"([;:,.!?—…\"“”()]+)(?=\s|$)|\s([—–-])\s|([¿¡«»“”\"()])")
# Kokoro learned from misaki, which writes these ties of espeak-ng as one symbol.
_MERGED = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "ɔ^ɪ": "Y",
    "d^z": "ʣ", "d^ʒ": "ʤ", "t^s": "ʦ", "t^ʃ": "ʧ", "s^s": "S",
}  # fmt: skip
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")


def to_phonemes(text: str, language: str) -> str:
    """``text`` in Kokoro's alphabet, its punctuation kept. Raises SegmentError with code "language"."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise SegmentError(
            "language",
            f'reading "{language}" needs the espeak-ng program: install it (apt, brew or winget install '
            "espeak-ng) or use --engine fish.",
        )
    voice = _VOICES.get(language, _VOICES.get(language.partition("-")[0], language))
    pieces = []
    for piece in _PUNCTUATION.split(text):
        if not piece or piece.isspace():
            continue
        spoken = any(character.isalnum() for character in piece)
        pieces.append(" " + _ipa(program, voice, language, piece) if spoken else _mark(piece))
    return re.sub(r"\s+", " ", "".join(pieces)).strip()


def _ipa(program: str, voice: str, language: str, text: str) -> str:
    command = [program, "-q", "-b", "1", "-v", voice, "--ipa", "--tie=^", "--stdin"]
    try:
        answer = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SegmentError("language", f"espeak-ng did not answer ({error}).") from error
    if answer.returncode != 0:
        raise SegmentError(
            "language", f'espeak-ng cannot read "{language}": use a language it lists, or --engine fish.'
        )
    phonemes = _LANGUAGE_SWITCH.sub("", " ".join(answer.stdout.decode("utf-8", "replace").split()))
    for tied, symbol in _MERGED.items():
        phonemes = phonemes.replace(tied, symbol)
    return phonemes.replace("^", "").replace("-", "")


def _mark(piece: str) -> str:
    piece = "".join(mark for mark in piece if mark not in '¿¡"')
    if piece and piece in "–-":
        return " —"
    return {"«": " “", "»": "”"}.get(piece, piece)
