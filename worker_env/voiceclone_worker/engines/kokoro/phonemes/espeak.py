"""Every language without rules here, by the espeak-ng program: a program and never a library, since it is GPL."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.phonemes.alphabets import has_sound

_VOICES = {"no": "nb"}
"""Names of its voices where they are not the tag."""
_TIMEOUT_SECONDS = 30
_PUNCTUATION = re.compile(r"([;:,.!?—…\"“”()]+)(?=\s|$)|\s([—–-])\s|([¿¡«»“”\"()])")
# Kokoro was trained with misaki, which writes these ties of espeak-ng as one symbol.
_MERGED = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "ɔ^ɪ": "Y",
    "d^z": "ʣ", "d^ʒ": "ʤ", "t^s": "ʦ", "t^ʃ": "ʧ", "s^s": "S",
}  # fmt: skip
_LANGUAGE_SWITCH = re.compile(r"\([^()]*\)")
"""A mark of espeak-ng where it changes the language: (en) or, with ties, (^e^n). Brackets of the text never reach it."""
_MINUS = re.compile(r"(?<![\w.)\]%°])[-−–](?=\d)")
_MINUS_WORDS = {
    "ru": "минус", "pl": "minus", "da": "minus", "tr": "eksi", "uk": "мінус", "hu": "mínusz", "ar": "ناقص", "fa": "منفی",
}  # fmt: skip
"""Of languages whose minus sign espeak-ng does not read."""
_MONEY_FIRST = re.compile(r"(?<!\w)([$€£¥₹])\s?(\d[\d.,]*\d|\d)")


def espeak_program() -> str | None:
    """Return the espeak-ng program: on PATH, or where its installer for Windows puts it; None where it is neither."""
    installed = os.path.join(os.environ.get("PROGRAMFILES", ""), "eSpeak NG", "espeak-ng.exe")
    return shutil.which("espeak-ng") or (installed if os.path.isfile(installed) else None)


def espeak_phonemes(text: str, language: str) -> tuple[str, list[str]]:
    """Return a text in Kokoro's alphabet with its punctuation, and the signs that the program does not read.

    Raises SegmentError ``language``.
    """
    program = espeak_program()
    if program is None:
        raise SegmentError(
            "language",
            f'reading "{language}" needs the espeak-ng program: install it (apt, brew or winget install '
            "espeak-ng) or use --engine fish.",
        )
    voice = _VOICES.get(language, _VOICES.get(language.partition("-")[0], language))
    family = language.partition("-")[0]
    text = _MINUS.sub(f"{_MINUS_WORDS[family]} " if family in _MINUS_WORDS else "-", text)
    text = _MONEY_FIRST.sub(r"\2 \1", text)
    phonemes = ""
    for part in _PUNCTUATION.split(text):
        if part and not part.isspace():
            has_words = any(map(has_sound, part))
            phonemes += " " + _ipa(program, voice, language, part) if has_words else _marks(part)
    signs = dict.fromkeys(sign for sign in text if has_sound(sign) and not sign.isalnum())
    silent = [sign for sign in signs if not _reads(program, voice, language, f"5 {sign} 5", "5 5")]
    if _MINUS.search(text) and not _reads(program, voice, language, "-5", "5"):
        silent.append("-")
    return re.sub(r"\s+", " ", phonemes).strip(), silent


@cache
def _reads(program: str, voice: str, language: str, text: str, without: str) -> bool:
    """Return whether the program reads a sign: a text with it sounds unlike the same text without."""
    return _ipa(program, voice, language, text) != _ipa(program, voice, language, without)


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
    return clean_ipa(answer.stdout.decode("utf-8", "replace"))


def clean_ipa(printed: str) -> str:
    """Return what espeak-ng prints with --ipa --tie=^ as one line in Kokoro's symbols, without its marks."""
    phonemes = _LANGUAGE_SWITCH.sub("", " ".join(printed.split()))
    for tied, symbol in _MERGED.items():
        phonemes = phonemes.replace(tied, symbol)
    return phonemes.replace("^", "").replace("-", "")


def _marks(marks: str) -> str:
    marks = "".join(mark for mark in marks if mark not in '¿¡"')
    if marks and marks in "–-":
        return " —"
    return {"«": " “", "»": "”"}.get(marks, marks)
