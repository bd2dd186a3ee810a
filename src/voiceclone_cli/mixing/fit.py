"""Whether a line fits its slot, before it is spoken: its expected length, its slot, and how many characters fit.

The length comes from what is typical of the engine in the language of the line, and from how the same voice, or at
least other voices, compared with that in the last runs on this machine. No engine is loaded.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from voiceclone_cli.files import file_sha256, state_file, write_state
from voiceclone_cli.languages import main_language
from voiceclone_cli.messages import MAX_NAMED, listed
from voiceclone_cli.mixing.slots import AUDIBLE_OVERFLOW, stretch_to_fit
from voiceclone_cli.types import Reference, Segment
from voiceclone_worker.engines import ENGINES
from voiceclone_worker.engines.kokoro.phonemes import length
from voiceclone_worker.speech_units import SYLLABLE_UNITS, speech_units

UNITS_PER_SECOND = 15.0
"""Of speech as people speak in films and talks, in any language; for engines that no better figure is known of."""
LINE_SECONDS = 0.3
"""Of every line beyond its units: how it begins and ends."""
CHARACTERS_PER_UNIT = 1.22
"""Characters of a text with its blanks and punctuation, for each of its units of speech, in letters."""
_SYLLABIC = frozenset({"zh", "ja", "ko", "yue", "wuu", "nan", "hak", "gan"})
"""Languages that write a syllable or a word in a character."""

SCHEMA = "voiceclone.speech-rates/1"
MAX_MEASUREMENTS = 500
"""Those that were not renewed for the longest time are dropped first."""
_MAX_FILE_BYTES = 1 << 20
_LEAST_SECONDS = 3.0
"""Of lines that are measured: of less, a rate says little."""
_KNOWN_LENGTHS = frozenset({"kokoro", "echo"})
"""Engines whose typical lengths are not guessed."""
_LEAST_CHARACTERS = 12
"""From this many on, the seconds of a character are taken from the line itself: numbers take longer than letters."""
_ROOM = 0.8
"""Of a slot that a line may be expected to fill at most to be measured: what has to hurry says nothing of a voice."""
_PACES = (0.4, 2.5)
"""What a measurement can be; anything else is damage."""


class MeasuredPace(NamedTuple):
    """How long a voice's lines of the last run were, compared with what is typical of the engine."""

    pace: float
    """1.1 for a tenth longer."""
    seconds: float
    """Of the lines that were measured."""


@dataclass(frozen=True)
class SpeechRates:
    """How long an engine's lines are, by language and voice.

    ``load_speech_rates`` makes one; ``SpeechRates("kokoro")`` has typical figures alone, and ``SpeechRates()`` those of
    no certain engine.
    """

    engine: str = ""
    measured: Mapping[str, MeasuredPace] = field(default_factory=dict)
    """By ``_key``."""
    voices: Mapping[str, str] = field(default_factory=dict)
    """What a voice is known by, by speaker."""
    paces: Mapping[str, float] = field(default_factory=dict)
    """By speaker: length of lines compared with the typical one, as the engine will take it from the reference."""
    lengths: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Typical seconds that are known already, by text and language; of kokoro they take its phonemes."""

    def seconds(self, text: str, language: str, speaker: str = "") -> float:
        """Return how many seconds a text will be when it is spoken unhurried. ``language``: BCP 47.

        0.0 for a text without anything to speak. ``speaker``: a name of the script; empty or unknown for any voice.
        """
        return self.typical_seconds(text, language) * self.pace(language, speaker)

    def typical_seconds(self, text: str, language: str) -> float:
        """Return how many seconds a text is in a typical voice of the engine."""
        known = self.lengths.get((text, language))
        return typical_seconds(text, language, self.engine) if known is None else known

    def characters(self, seconds: float, language: str, speaker: str = "") -> int:
        """Return how many characters of a language take these seconds, unhurried; blanks and signs count.

        For a text that is not there yet. The budget of a line at ``max_stretch`` is
        ``characters(slot_seconds * max_stretch, language, speaker)``.
        """
        typical = seconds / self.pace(language, speaker)
        if self.engine == "kokoro" and (found := length.typical_characters(typical, language)) is not None:
            return found
        letters_seconds = max(0.0, typical - LINE_SECONDS)
        per_unit = 1 / SYLLABLE_UNITS if main_language(language) in _SYLLABIC else 1.0
        return math.floor(letters_seconds * UNITS_PER_SECOND * CHARACTERS_PER_UNIT * per_unit)

    def fixed_seconds(self, language: str, speaker: str = "") -> float:
        """Return the seconds of a line that do not depend on how long it is: of its beginning and its end."""
        found = length.fixed_seconds(language) if self.engine == "kokoro" else None
        return self.pace(language, speaker) * (LINE_SECONDS if found is None else found)

    def pace(self, language: str, speaker: str = "") -> float:
        """Return how long lines are compared with the typical length.

        As measured of the voice in this language, else in others; else as the engine will take it from the speaker's
        reference; else as measured of other voices, where what is typical of the engine is a guess.
        """
        if self.is_measured(language, speaker):
            return self.measured[self._key(language, speaker)].pace
        if (own := self._pace_of_voices.get(self.voices.get(speaker, ""))) is not None:
            return own
        if speaker in self.paces:
            return self.paces[speaker]
        if self.engine in _KNOWN_LENGTHS:
            return 1.0
        return self._pace_of_languages.get(main_language(language), 1.0)

    @cached_property
    def _pace_of_voices(self) -> Mapping[str, float]:
        return self._medians(2)

    @cached_property
    def _pace_of_languages(self) -> Mapping[str, float]:
        return self._medians(1)

    def _medians(self, part: int) -> dict[str, float]:
        """Return the median of what was measured of the engine by a part of ``_key``: 1 for the language, 2 for the voice."""
        found: dict[str, list[float]] = {}
        for key, row in self.measured.items():
            parts = key.split(", ")
            if parts[0] == self.engine and len(parts) == 3 and parts[part]:
                found.setdefault(parts[part], []).append(row.pace)
        return {name: statistics.median(paces) for name, paces in found.items()}

    def is_measured(self, language: str, speaker: str = "") -> bool:
        """Return whether this very voice was measured in the language."""
        return bool(self.voices.get(speaker)) and self._key(language, speaker) in self.measured

    def _key(self, language: str, speaker: str) -> str:
        return f"{self.engine}, {main_language(language)}, {self.voices.get(speaker, '')}"


class LineFit(NamedTuple):
    """A line in its slot, before it is spoken. Times in seconds."""

    id: str
    seconds: float
    """Expected length, unhurried."""
    slot: float
    """Length of the slot, from the start of the line."""
    borrowed: float
    """How far past its own end the line will go on, in the silence after it; 0.0 where it ends before."""
    stretch: float
    """Factor by which it has to be sped up, at most ``max_stretch``."""
    over: float
    """How far past its slot it will go on after that; 0.0 where it fits."""
    characters: int
    """Of its text."""
    budget: int
    """How many characters would fit at ``max_stretch``."""

    @property
    def fits(self) -> bool:
        """Return whether the line ends within its slot, or so little later that it is not noticed."""
        return self.over <= AUDIBLE_OVERFLOW


def load_speech_rates(
    engine: str,
    references: Mapping[str, Reference] | None = None,
    *,
    paces: Mapping[str, float] | None = None,
    lengths: Mapping[tuple[str, str], float] | None = None,
) -> SpeechRates:
    """Return what is known of the lengths of an engine's lines on this machine.

    ``engine``: its name ("kokoro", "fish", "echo"). ``references``: by speaker, where they are known already; a voice is
    known again by the sound of its reference. ``paces`` and ``lengths``: those of earlier rates, if they are known.
    """
    known = references or {}
    voices = {name: voice_id(reference.audio) for name, reference in known.items()}
    if paces is None:
        paces = _paces(known) if engine == "kokoro" else {}
    return SpeechRates(engine, load_measured(), voices, paces, lengths or {})


def _paces(known: Mapping[str, Reference]) -> dict[str, float]:
    """Return how long kokoro's lines are compared with the typical ones, by the paces of the references."""
    slowest, fastest = length.SPEEDS
    paces = {}
    for name, reference in known.items():
        pace = length.speaking_pace(reference.text, reference.language, reference.seconds)
        if pace is not None:
            paces[name] = 1 / max(slowest, min(fastest, pace))
    return paces


def typical_seconds(text: str, language: str, engine: str = "") -> float:
    """Return how many seconds a text is in a typical voice of an engine; 0.0 where there is nothing to speak."""
    if engine == "kokoro" and (seconds := length.typical_seconds(text, language)) is not None:
        return seconds
    units = speech_units(text)
    if engine == "echo":
        return max(0.1, 0.06 * sum(speech_units(character) or 1 for character in text))
    return LINE_SECONDS + units / UNITS_PER_SECOND if units else 0.0


def line_fits(
    segments: Sequence[Segment], slot_ends: Mapping[str, float], rates: SpeechRates, max_stretch: float
) -> tuple[LineFit, ...]:
    """Return how each line fits its slot, in the order of the segments.

    ``slot_ends``: of ``mixing.slots.slot_ends``, by segment id. ``max_stretch``: the setting of this name.
    """
    return tuple(_line_fit(segment, slot_ends[segment.id], rates, max_stretch) for segment in segments)


def _line_fit(segment: Segment, slot_end: float, rates: SpeechRates, max_stretch: float) -> LineFit:
    slot, characters = max(0.0, slot_end - segment.start), len(segment.text)
    seconds = rates.seconds(segment.text, segment.language, segment.speaker)
    stretch = stretch_to_fit(seconds, slot, max_stretch)
    fitted = seconds / stretch
    own = segment.end - segment.start
    # A rounding error of the division is no overflow.
    over = fitted - slot if fitted - slot > 1e-6 else 0.0
    borrowed = max(0.0, min(fitted, slot) - own)
    found = LineFit(segment.id, seconds, slot, borrowed, stretch, over, characters, 0)
    return found._replace(budget=_budget(segment, found, rates, max_stretch))


def _budget(segment: Segment, line: LineFit, rates: SpeechRates, max_stretch: float) -> int:
    """Return how many characters would fit: by the characters of the line itself, if there are enough of them."""
    room = line.slot * max_stretch
    fixed = rates.fixed_seconds(segment.language, segment.speaker)
    if line.characters < _LEAST_CHARACTERS or line.seconds <= fixed:
        found = rates.characters(room, segment.language, segment.speaker)
    else:
        found = math.floor(line.characters * max(0.0, room - fixed) / (line.seconds - fixed))
    return max(found, line.characters) if line.over == 0.0 else min(found, line.characters - 1)


def fit_document(
    segments: Sequence[Segment], fits: Iterable[LineFit], rates: SpeechRates, max_stretch: float
) -> dict[str, Any]:
    """Return how each line fits its slot as JSON. Times in seconds."""
    by_id = {segment.id: segment for segment in segments}
    rows = [
        {
            "id": line.id,
            "speaker": by_id[line.id].speaker,
            "start": by_id[line.id].start,
            "text": by_id[line.id].text,
            "expected_seconds": round(line.seconds, 3),
            "measured_voice": rates.is_measured(by_id[line.id].language, by_id[line.id].speaker),
            "slot_seconds": round(line.slot, 3),
            "borrowed_seconds": round(line.borrowed, 3),
            "stretch": round(line.stretch, 3),
            "overflow_seconds": round(line.over, 3),
            "characters": line.characters,
            "budget": line.budget,
            "fits": line.fits,
        }
        for line in fits
    ]
    return {
        "engine": rates.engine,
        "max_stretch": max_stretch,
        "too_long": sum(not row["fits"] for row in rows),
        "lines": rows,
    }


def too_long_note(fits: Iterable[LineFit], max_stretch: float) -> str | None:
    """Return a sentence on the lines that are too long for their slots; None where there are none.

    It names the worst, in their order in ``fits``.
    """
    lines = [line for line in fits if not line.fits]
    if not lines:
        return None
    worst = {line.id for line in sorted(lines, key=lambda line: -line.over)[:MAX_NAMED]}
    named = [f"{line.id} by {line.over:.1f} s" for line in lines if line.id in worst]
    count = "1 line is" if len(lines) == 1 else f"{len(lines)} lines are"
    return (
        f"{count} probably too long, even {max_stretch:g} times as fast: {listed(named, len(lines) - len(named))}; what is not shortened will be "
        "hurried or end late (`voiceclone plan` lists all)"
    )


def voice_id(audio: Path) -> str:
    """Return what a voice is known by: the beginning of its reference's SHA-256; empty where that cannot be read."""
    try:
        return file_sha256(audio)[:16]
    except OSError:
        return ""


def load_measured() -> dict[str, MeasuredPace]:
    """Read what the last runs measured; empty where nothing was, or nothing can be read."""
    path = state_file("speech-rates.json")
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return {}
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = document["measured"].items() if document["schema"] == SCHEMA else ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {key: MeasuredPace(*row) for key, row in rows if _is_measured_pace(row)}


def _is_measured_pace(row: Any) -> bool:
    if not (isinstance(row, list) and len(row) == 2 and all(isinstance(value, int | float) for value in row)):
        return False
    pace, seconds = float(row[0]), float(row[1])
    return _PACES[0] <= pace <= _PACES[1] and 0 < seconds < 1e9


def record_speech_rates(rates: SpeechRates, results: Iterable[tuple[Segment, float, float]]) -> None:
    """Save how long the lines of a run were, by language and voice. A file that cannot be written is left as it is.

    ``results``: segments with the seconds of their speech and of their slots. Lines that had to hurry do not count, and
    what they are is decided by their expected length alone, or the slow ones of the others would be left out.
    """
    if rates.engine in ENGINES and not ENGINES[rates.engine].is_speech:
        return
    sums: dict[str, list[float]] = {}
    for segment, seconds, slot in results:
        typical = rates.typical_seconds(segment.text, segment.language)
        expected = typical * rates.pace(segment.language, segment.speaker)
        if 0 < expected <= _ROOM * slot and rates.voices.get(segment.speaker):
            total = sums.setdefault(rates._key(segment.language, segment.speaker), [0.0, 0.0])
            total[0] += seconds
            total[1] += typical
    found = {
        key: MeasuredPace(round(seconds / typical, 4), round(seconds, 3))
        for key, (seconds, typical) in sums.items()
        if seconds >= _LEAST_SECONDS and _PACES[0] <= seconds / typical <= _PACES[1]
    }
    if not found:
        return
    known = load_measured()
    for key, pace in found.items():
        known.pop(key, None)
        known[key] = pace
    document = {"schema": SCHEMA, "measured": dict(list(known.items())[-MAX_MEASUREMENTS:])}
    write_state(state_file("speech-rates.json"), json.dumps(document, ensure_ascii=False, indent=1) + "\n")
