"""Sentences in each of kokoro's languages, spoken by native voices and recognised by whisper-base.

    python -m benchmarks.languages zh ja [--set tuned] [--out FOLDER] [--sounds FOLDER]

``benchmarks/sentences/LANGUAGE.SET.txt`` has sixteen sentences of a language: the rules were tuned on the set
``tuned``; ``held-out`` was written after the rules were frozen, and its errors were looked at before they were mended;
``held-out-2`` was written after that and run once, and so were the later ones, each after the one before. ``held-out-3``
has 40 sentences in Chinese, Hindi, Italian and Japanese, and 24 in Spanish. A line is "kind | sentence", or "kind | sentence | in words" where it has numbers or foreign words; kinds are ``plain``,
``numbers`` and ``english`` (a word of English in it).

Each sentence is spoken as the engine speaks a line at speed 1, without a slot and without conversion, by the native
voices in turn, and recognised as `check` recognises it. Errors are edits over units of the sentence:

zh      characters, in simplified letters; 他 她 它 are one, and so are 做 作
ja      kana of both sides, as haqumei reads them
hi      consonants, since whisper-base writes Hindi in Urdu letters
others  words, without case, punctuation, hyphens and apostrophes

Numbers are spelled out on both sides by the language's own module (English: in digits on both sides). Sixteen sentences are 100 to 400 units: differences of a few
points mean nothing, and the interval that is printed says how many: 95 % of the sets that are drawn from the sentences,
with repetition, have a figure in it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceclone_cli.evaluation.text import edit_distance, words_of
from voiceclone_worker.engines.kokoro.engine import LineSpeaker, join_parts
from voiceclone_worker.engines.kokoro.envelope import BANDS, KEYS, Conversion
from voiceclone_worker.engines.kokoro.line_plan import LinePlan
from voiceclone_worker.engines.kokoro.model import MAX_TOKENS, SpeechModel
from voiceclone_worker.engines.kokoro.phonemes import registry
from voiceclone_worker.engines.kokoro.phonemes.reader import Reading, read
from voiceclone_worker.engines.kokoro.voices import FittedMixture, FittedVoice, voice_table

FOLDER = Path(__file__).parent / "sentences"
KINDS = ("plain", "numbers", "english")
SETS = ("tuned", "held-out", "held-out-2", "held-out-3", "held-out-4", "held-out-5")
VOICES = {
    "en": ("af_heart", "am_michael"), "es": ("ef_dora", "em_alex"), "fr": ("ff_siwis",),
    "it": ("if_sara", "im_nicola"), "pt-br": ("pf_dora", "pm_alex"), "hi": ("hf_alpha", "hm_omega"),
    "zh": ("zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunyang"), "ja": ("jf_alpha", "jm_kumo"),
}  # fmt: skip
ENGLISH_VOICES = {
    "zf_xiaoxiao": "af_heart", "zm_yunyang": "am_michael", "zf_xiaobei": "bf_emma", "zm_yunjian": "bm_george",
}  # fmt: skip
"""For the English words of the Chinese ones."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sentence:
    kind: str
    written: str
    in_words: str


@dataclass(frozen=True)
class Row:
    """A sentence as it was recognised; ``errors`` of ``units``."""

    kind: str
    written: str
    voice: str
    phonemes: str
    recognised: str
    errors: int
    units: int
    seconds: float
    reading_ms: float


def sentences(language: str, name: str) -> list[Sentence]:
    """Return the sentences of a set."""
    found = []
    for line in (FOLDER / f"{language}.{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, written, *in_words = (part.strip() for part in line.split(" | "))
            if kind not in KINDS:
                raise SystemExit(f"{language}.{name}.txt: {kind!r} is none of {', '.join(KINDS)}.")
            found.append(Sentence(kind, written, in_words[0] if in_words else written))
    return found


class Speaker:
    """Kokoro with its published voices, as the engine speaks a line at speed 1."""

    def __init__(self, folder: Path) -> None:
        self._model, self._table = SpeechModel(folder), voice_table()

    def line_speaker(self, voice: str, english: str | None = None) -> LineSpeaker:
        """Return a published voice as it says a line, and ``english`` for its English words.

        ``english``: that of ENGLISH_VOICES where it is None; with "" the voice says them itself.
        """
        names = {"": voice, "en": ENGLISH_VOICES.get(voice, "") if english is None else english}
        mixtures = {language: self._unconverted(name) for language, name in names.items() if name}
        published = FittedVoice(self._table.names, mixtures, 0.1, np.zeros(192, np.float32), None)
        return LineSpeaker(published, mixtures[""], self._model, self._table, 1.0)

    def _unconverted(self, voice: str) -> FittedMixture:
        weights = np.zeros(len(self._table.names), np.float32)
        weights[self._table.names.index(voice)] = 1.0
        nothing = np.zeros(BANDS, np.float32)
        conversion = Conversion(
            nothing, nothing, np.eye(BANDS, dtype=np.float32), np.zeros((0, BANDS), np.float16),
            np.zeros((0, KEYS), np.float16), strength=0.0,
        )  # fmt: skip
        return FittedMixture(weights, weights, conversion, 1.0, None, 1.0)

    def plans(self, reading: Reading, voice: str) -> list[LinePlan]:
        """Return the plans of the parts of a line."""
        speaker = self.line_speaker(voice)
        return [speaker.plan(part, 1.0) for part in reading.parts(MAX_TOKENS)]

    def speak(self, reading: Reading, voice: str) -> Floats:
        """Return the sound of a line at 24 kHz."""
        speaker, plans = self.line_speaker(voice), self.plans(reading, voice)
        sounds = [
            speaker.converted(plan, part) if plan.english else speaker.render(plan, part)
            for plan, part in zip(plans, reading.parts(MAX_TOKENS), strict=True)
        ]
        return join_parts(sounds, plans, None)


def reading_of(text: str, language: str) -> Reading:
    """Return a sentence as the engine reads it. Raises SystemExit for what has no reading."""
    reading = read(text, language)
    if reading.warnings:
        raise SystemExit(f"{language}: {text!r}: {' '.join(reading.warnings)}")
    return reading


def units(text: str, language: str) -> list[str]:
    """Return what errors are counted in; see the module."""
    if language == "zh":
        from voiceclone_worker.engines.kokoro.phonemes import chinese

        plain = registry.spell_out(chinese.simplified(text), language).casefold()
        return [_SAME_SOUND.get(letter, letter) for letter in plain if letter.isalnum()]
    if language == "ja":
        plain = unicodedata.normalize("NFKC", registry.spell_out(text, language))
        return [kana for kana in _kana_reader().g2k(plain) if _is_kana(kana)]
    if language == "hi":
        return list(skeleton(registry.spell_out(text, language)))
    if language == "en":  # numbers in digits
        return words_of(text, language)
    if language == "fr":  # capitals may stand without their accent
        text = re.sub(r"\bA\b", "À", text)
    plain = re.sub(r"[’'ʼ`‘-]", " ", registry.spell_out(text, language).casefold())
    plain = "".join(sign if sign.isalnum() else " " for sign in unicodedata.normalize("NFC", plain))
    return plain.split()


_SAME_SOUND = {"两": "二", "她": "他", "它": "他", "作": "做"}


def _is_kana(sign: str) -> bool:
    return "ァ" <= sign <= "ヺ" or sign == "ー"


@cache
def _kana_reader() -> Any:
    from haqumei import Haqumei

    return Haqumei()


_CONSONANTS = {
    **dict(zip("कखगघचछजझटठडढतथदधनपफबभमरलशषसणङञ", "kkggccjjttddttddnppbbmrlSSsnnn", strict=True)),
    **dict(zip("کقخگغچجزذظضژٹتطڈدڑنپفبمرلشسصث", "kkkggcjjjjjjtttdddnppbmrlSsss", strict=True)),
}
"""Devanagari and Urdu letters by their sound; aspiration, h, y, v and vowels are not told apart in both."""


def skeleton(text: str) -> str:
    """Return the consonants of Hindi in Devanagari or in Urdu letters."""
    return "".join(_CONSONANTS.get(sign, "") for sign in unicodedata.normalize("NFD", text))


def rate(rows: Sequence[Row], kind: str = "") -> float | None:
    """Return errors a hundred units; None where no sentence is of that kind."""
    chosen = [row for row in rows if row.kind == kind or not kind]
    return 100 * sum(row.errors for row in chosen) / sum(row.units for row in chosen) if chosen else None


def interval(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the 95 % interval of ``rate``, by 10,000 draws of as many sentences (bootstrap)."""
    errors, total = (np.array([getattr(row, name) for row in rows]) for name in ("errors", "units"))
    draws = np.random.default_rng(0).integers(0, len(rows), (10_000, len(rows)))
    low, high = np.percentile(100 * errors[draws].sum(1) / total[draws].sum(1), (2.5, 97.5))
    return float(low), float(high)


def measure(language: str, name: str, speaker: Speaker, recogniser: Any, sounds: Path | None) -> list[Row]:
    """Speak and recognise the sentences of a set."""
    import soundfile
    import soxr

    reading_of("1", language)  # what is loaded on first use
    rows = []
    for number, sentence in enumerate(sentences(language, name)):
        voice = VOICES[language][number % len(VOICES[language])]
        started = time.perf_counter()
        reading = reading_of(sentence.written, language)
        reading_ms = 1000 * (time.perf_counter() - started)
        signal = speaker.speak(reading, voice)
        if sounds is not None:
            sounds.mkdir(parents=True, exist_ok=True)
            soundfile.write(sounds / f"{language}.{name}.{number + 1:02d}.wav", signal, 24_000)
        recognised = (
            recogniser.words(soxr.resample(signal, 24_000, 16_000).astype(np.float32), language) or ""
        )
        wanted, found = units(sentence.in_words, language), units(recognised, language)
        errors = edit_distance(wanted, found)
        seconds = round(len(signal) / 24_000, 2)
        row = Row(
            sentence.kind, sentence.written, voice, reading.phonemes, recognised, errors, len(wanted), seconds,
            round(reading_ms, 2),
        )  # fmt: skip
        rows.append(row)
        if errors:
            print(
                f"  {errors}/{len(wanted)} {voice}: {sentence.written}\n      {recognised}", file=sys.stderr
            )
    return rows


def table_row(language: str, name: str, rows: Sequence[Row]) -> str:
    """Return a row of the table in results/languages.md."""
    parts = [rate(rows, kind) for kind in KINDS]
    cells = ["-" if part is None else f"{part:.1f}" for part in parts]
    errors, total = sum(row.errors for row in rows), sum(row.units for row in rows)
    reading = float(np.median([row.reading_ms for row in rows]))
    low, high = interval(rows)
    return (
        f"| {language} | {name} | {rate(rows):.1f} ({errors}/{total}) | {low:.1f} to {high:.1f} "
        f"| {' | '.join(cells)} | {reading:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="default: those with sentences")
    parser.add_argument("--set", choices=SETS, help="default: all")
    parser.add_argument("--out", type=Path, help="folder for LANGUAGE.SET.json: each line as recognised")
    parser.add_argument("--sounds", type=Path, help="folder for the sound of each sentence")
    options = parser.parse_args()

    from voiceclone_cli.evaluation.metrics import Recogniser
    from voiceclone_cli.models import download

    folders = download.ensure_models(["kokoro", "whisper-base"])
    speaker, recogniser = Speaker(folders["kokoro"]), Recogniser(folders["whisper-base"], 1)
    print(
        "| language | set | errors, % | 95 % interval | plain | numbers | english | reading, ms a line |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for language in options.languages or VOICES:
        for name in [options.set] if options.set else SETS:
            if not (FOLDER / f"{language}.{name}.txt").is_file():
                print(f"  {language} has no set {name}", file=sys.stderr)
                continue
            rows = measure(language, name, speaker, recogniser, options.sounds)
            print(table_row(language, name, rows), flush=True)
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                text = json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1)
                (options.out / f"{language}.{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
