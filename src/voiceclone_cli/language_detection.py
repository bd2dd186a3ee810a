"""The language that a text is in, by its letters and its words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from voiceclone_cli.languages import main_language, name_of

SURE = 0.7
"""Probability from which the text contradicts what is said. Of 280 lines of dialogue in 28 languages none contradicts its own."""
GUESS = 0.35
"""Probability from which the text is believed rather than an assumption that is four times less likely."""
UNLIKELY = 0.05
"""Probability below which a language is contradicted."""

_BLOCK = 200
"""Letters that are looked at together."""
_BLOCKS = 40
"""Blocks of a long script, evenly spread."""

_DETECTED = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr ht hu hy id "
    "ig is it ja jv ka kk km kn ko ku ky la lb lo lt lv mg mk ml mn mr ms mt my ne nl nn no oc or pa pl ps pt ro ru "
    "si sk sl so sq sr sv sw ta te tg th tk tl tr tt ug uk ur uz vi xh yo zh zu"
)
"""Languages of the detector. Its dialects and creoles would take the probability of what they resemble."""
_RELATIVES = (
    "no nb nn", "sr hr bs", "id ms", "zh yue wuu nan hak", "tl fil", "fa prs", "ku ckb", "jv jw", "de gsw nds",
    "ar arz", "el grc", "it scn nap vec lij", "en sco pcm", "nl li",
)  # fmt: skip
"""Languages that short text does not tell apart, or that the detector knows by the first of them."""
_FAMILY = {code: row.split() for row in _RELATIVES for code in row.split()}

_OF_ONE_LANGUAGE = {
    "HANGUL": "ko", "THAI": "th", "GREEK": "el", "GEORGIAN": "ka", "ARMENIAN": "hy", "TAMIL": "ta", "TELUGU": "te",
    "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa", "SINHALA": "si", "KHMER": "km",
    "LAO": "lo", "MYANMAR": "my", "TIBETAN": "bo", "ORIYA": "or", "THAANA": "dv", "CJK": "zh", "BOPOMOFO": "zh",
    "HIRAGANA": "ja", "KATAKANA": "ja",
}  # fmt: skip
"""Scripts that tell the language, by the first word of their characters' Unicode names."""
_OF_SEVERAL = {
    "CYRILLIC": "ru uk bg be sr mk kk ky tg mn tt",
    "ARABIC": "ar fa ur ps ug ku ckb sd prs arz az",
    "HEBREW": "he yi",
    "DEVANAGARI": "hi mr ne sa kok mai",
    "BENGALI": "bn as",
    "ETHIOPIC": "am ti",
}
"""Scripts that leave some languages, the first of which is the likeliest for a single word."""
_OF_TWO_SCRIPTS = ("sr", "bs", "hr", "sh", "uz", "az", "kk", "tt", "ku", "mn", "ro", "ug")
"""Languages that are written in Latin letters too."""
_WIDE = frozenset(("CJK", "HIRAGANA", "KATAKANA", "HANGUL"))
"""Scripts in which a character says as much as WIDE letters."""
_LETTERS_OF_WIDE = 2.5
_KANA = 0.1
"""Share of kana from which text with Chinese characters is Japanese: the Chinese write single ones for style."""


def family(tag: str) -> list[str]:
    """Return a language and those that text does not tell from it."""
    return _FAMILY.get(main_language(tag), [main_language(tag)])


def scripts_of(tag: str) -> frozenset[str]:
    """Return the scripts that a language is written in, by the first word of their characters' Unicode names.

    Empty for a language that is not known.
    """
    code = main_language(tag)
    if code in ("zh", "yue", "wuu", "nan", "hak"):
        return frozenset(("CJK", "BOPOMOFO"))
    found = {script for script, language in _OF_ONE_LANGUAGE.items() if language in family(tag)}
    found |= {script for script, codes in _OF_SEVERAL.items() if code in codes.split()}
    if code == "ja":
        found.add("CJK")
    if code in _OF_TWO_SCRIPTS or (not found and code in _DETECTED.split()):
        found.add("LATIN")
    return frozenset(found)


def share_of_scripts(text: str, scripts: frozenset[str]) -> float | None:
    """Return the share of a text's letters that are in one of these scripts, by what they say; None without letters."""
    weights = {True: 0.0, False: 0.0}
    for character in text:
        if character.isalpha() and (script := _script_of(character)):
            weights[script in scripts] += _LETTERS_OF_WIDE if script in _WIDE else 1.0
    total = sum(weights.values())
    return weights[True] / total if total else None


@dataclass(frozen=True, slots=True)
class TextLook:
    """What a text looks like: the most probable language, and the probability of each."""

    best: str = ""
    """Empty for a text without letters."""
    probability: float = 0.0
    """Of the best language and its close relatives together."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    letters: float = 0.0
    script: str = ""
    """Of most letters, by the first word of their Unicode names."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> TextLook:
        """Look at a text, line by line; at a sample of a long one. The same text has the same result."""
        total: dict[str, float] = defaultdict(float)
        letters = 0.0
        for block in _blocks(texts):
            found, weight = _look_at(block)
            letters += weight
            for code, probability in found.items():
                total[code] += weight * probability
        if not letters:
            return cls()
        probabilities = {code: value / letters for code, value in total.items()}
        sums = {code: sum(probabilities.get(other, 0) for other in family(code)) for code in probabilities}
        best = max(probabilities, key=lambda code: (sums[code], probabilities[code], code))
        scripts = Counter(map(_script_of, filter(str.isalpha, "".join(texts[:_BLOCKS])[: _BLOCKS * _BLOCK])))
        return cls(best, sums[best], probabilities, letters, scripts.most_common(1)[0][0])

    @property
    def words(self) -> str:
        """The language in words, with another one where that is as likely: "Serbian or Croatian"."""
        ranked = sorted(self.probabilities, key=lambda code: -self.probabilities[code])
        second = next((code for code in ranked if code != self.best), None)
        if second is None or self.probabilities[second] < 0.2:
            return name_of(self.best)
        return f"{name_of(self.best)} or {name_of(second)}"

    def probability_of(self, tag: str) -> float:
        """Return the probability of a language, with its close relatives."""
        return sum(self.probabilities.get(code, 0.0) for code in family(tag))

    def contradicts(self, tag: str) -> bool:
        """Return whether the text is surely in another language."""
        if main_language(tag) == "ja" and self.best == "zh" and self.letters < 50:
            return False  # short Japanese may have no kana
        of_script = _OF_SEVERAL.get(self.script)
        if of_script is not None and not set(family(tag)) & set(of_script.split()):
            return True
        return self.probability >= SURE and self.probability_of(tag) < UNLIKELY

    @property
    def is_short(self) -> bool:
        """Whether the text does not tell its language."""
        return self.probability < GUESS

    def is_unlikely(self, tag: str) -> bool:
        """Return whether the text is surely in another language, or seems to be."""
        seems = not self.is_short and self.probability_of(tag) < self.probability / 4
        return seems or self.contradicts(tag)


def _blocks(texts: Sequence[str]) -> Iterator[str]:
    """Yield the text in blocks of consecutive lines; of a long one some, evenly spread."""
    lines = sum(map(len, texts[: _BLOCKS * _BLOCK])) or 1
    is_long = len(texts) > _BLOCKS and lines > _BLOCKS * _BLOCK
    starts = [len(texts) * n // _BLOCKS for n in range(_BLOCKS)] if is_long else [0]
    for start, end in zip(starts, [*starts[1:], len(texts)], strict=True):
        block: dict[str, None] = {}
        size = 0
        for at in range(start, end):
            if texts[at] not in block:
                block[texts[at]] = None
                size += len(texts[at])
            if size >= _BLOCK:
                yield "\n".join(block)[: 4 * _BLOCK]
                block, size = {}, 0
                if is_long:
                    break
        if block:
            yield "\n".join(block)[: 4 * _BLOCK]


def _look_at(text: str) -> tuple[dict[str, float], float]:
    """Return the probability of each language of a short text, and how many letters it has."""
    by_script: Counter[str] = Counter()
    for character in text:
        if character.isalpha() and (script := _script_of(character)):
            by_script[script] += 1
    weights = {s: n * (_LETTERS_OF_WIDE if s in _WIDE else 1.0) for s, n in by_script.items()}
    letters = sum(weights.values())
    kana = by_script["HIRAGANA"] + by_script["KATAKANA"]
    chinese = "ja" if kana >= max(2, _KANA * (kana + by_script["CJK"])) else "zh"
    found: dict[str, float] = defaultdict(float)
    for script, weight in weights.items():
        share = weight / letters
        if script in ("CJK", "HIRAGANA", "KATAKANA"):
            found[chinese] += share
        elif script in _OF_ONE_LANGUAGE:
            found[_OF_ONE_LANGUAGE[script]] += share
        else:
            # Only this script: a word of another one says nothing about these.
            kept = "".join(c if not c.isalpha() or _script_of(c) == script else " " for c in text)
            for code, probability in _of_script(_detect(kept), script).items():
                found[code] += share * probability
    return dict(found), letters


@cache
def _script_of(character: str) -> str:
    """Return the script of a letter, by the first word of its Unicode name; empty for fancy and unnamed letters."""
    words = unicodedata.name(character, "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ").split()
    return words[0] if words and words[0] not in ("MATHEMATICAL", "MODIFIER", "FEMININE", "MASCULINE") else ""


def _detect(text: str) -> dict[str, float]:
    """Return the probability of each language that the detector knows, of text in one script."""
    capitals = sum(map(str.isupper, text))
    if capitals > 0.6 * sum(map(str.isalpha, text)):
        text = text.lower()
    words = " ".join(re.sub(r"[\d_]+", " ", unicodedata.normalize("NFKC", text)).split())
    return {code: probability for code, probability in _detector().rank(words) if probability > 0.001}


def _of_script(found: Mapping[str, float], script: str) -> dict[str, float]:
    """Return the probabilities of the languages that are written in a script, with a sum of 1."""
    codes = _OF_SEVERAL.get(script)
    if codes is None:
        return dict(found)
    likeliest, *others = codes.split()
    # A single word says little.
    bonus = 0.5 * (1 - max(found.values(), default=0.0))
    weights = {likeliest: found.get(likeliest, 0.0) + bonus} | {code: found.get(code, 0.0) for code in others}
    return {code: weight / sum(weights.values()) for code, weight in weights.items() if weight}


@cache
def _detector() -> Any:
    """Return the detector, loaded when it is needed: that takes a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    detector.set_languages(_DETECTED.split())
    return detector
