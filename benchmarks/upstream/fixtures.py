"""Generated lines and references of a benchmark, the same for the same seed on any machine."""

from __future__ import annotations

import random
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.types import Reference, Script, Segment

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 44_100
REFERENCE_SECONDS = 6.0
SHORTEST, LONGEST = 20, 120
"""Default limits of the characters of a line."""
SLOT_SECONDS = 30.0
"""More than any line needs."""
SKEWED_SHARE = 0.8
"""Share of lines of the first speaker, if it is skewed."""

_WORDS = (
    "about after again always another answer around autumn because before better between bright bring "
    "carry change children city clear close coming could country different door early enough evening "
    "every father field follow forest garden gentle great happen hear heavy house hundred just kitchen "
    "large later learn letter light little long many market might moment morning mother mountain music "
    "never night nothing often old open other paper people perhaps picture place quiet rain reach really "
    "remember river road second seldom seven should silver simple small some speak station still stone "
    "story street strong summer table than that their there thing thought through time together towards "
    "travel under until very voice walk warm water weather which while window winter without wonder work"
)


@dataclass(frozen=True, slots=True)
class BenchmarkScript:
    """Lines and references of a benchmark."""

    script: Script
    references: Mapping[str, Reference]
    """By speaker."""

    def only(self, names: Sequence[str]) -> Script:
        """Return the script of the segments with these ids."""
        return Script(tuple(segment for segment in self.script.segments if segment.id in names))


def make_fixtures(
    folder: Path, speakers: int, segments: int, *, seed: int, skewed: bool, longest: int = LONGEST
) -> BenchmarkScript:
    """Return lines of 20 to ``longest`` characters, and write references to ``folder``.

    Lines are distributed evenly among the speakers, or (``skewed``) four fifths of them to the first one.
    """
    names = [f"SPEAKER_{number:02d}" for number in range(speakers)]
    lines = tuple(
        Segment(
            id=f"{number + 1:04d}",
            speaker=names[_speaker(number, segments, speakers, skewed)],
            start=number * SLOT_SECONDS,
            end=(number + 1) * SLOT_SECONDS,
            text=line(f"{seed} {number}", longest=longest),
            language="en",
        )
        for number in range(segments)
    )
    used = {segment.speaker for segment in lines}
    references = {
        name: _reference(folder, name, number, seed) for number, name in enumerate(names) if name in used
    }
    return BenchmarkScript(Script(lines), references)


def spread_sample(script: Script, count: int) -> list[str]:
    """Return the ids of ``count`` representative segments (all, if there are fewer).

    They are the middle ones of ``count`` groups of equal size, sorted by length.
    """
    by_length = sorted(script.segments, key=lambda segment: (len(segment.text), segment.id))
    count = min(count, len(by_length))
    return sorted(by_length[(2 * n + 1) * len(by_length) // (2 * count)].id for n in range(count))


def line(seed: str, shortest: int = SHORTEST, longest: int = LONGEST) -> str:
    """Return a random English sentence of ``shortest`` to ``longest`` characters."""
    chance, known = random.Random(seed), _WORDS.split()
    wanted = chance.randint(shortest, longest - 1)
    words = [chance.choice(known)]
    while len(" ".join(words)) < shortest - 1:
        words.append(chance.choice(known))
    while len(" ".join([*words, word := chance.choice(known)])) <= wanted:
        words.append(word)
    return f"{' '.join(words).capitalize()}."


def _speaker(number: int, segments: int, speakers: int, skewed: bool) -> int:
    if not skewed or speakers == 1:
        return number % speakers
    # Spread over the script: whole multiples of the share are those of the first speaker.
    is_first = int((number + 1) * SKEWED_SHARE) - int(number * SKEWED_SHARE)
    return 0 if is_first else 1 + (number - int(number * SKEWED_SHARE)) % (speakers - 1)


def _reference(folder: Path, name: str, number: int, seed: int) -> Reference:
    from voiceclone_cli.audio.writer import open_wav

    pcm = speech_like(number)
    path = folder / f"{name}.wav"
    with open_wav(path, RATE, len(pcm)) as wav:
        wav.write(pcm)
    text = line(f"{seed} {name}", shortest=85, longest=100)
    return Reference(name, path, text, REFERENCE_SECONDS, ())


def speech_like(number: int) -> NDArray[np.int16]:
    """Return a signal with pitch, resonances and syllables like speech, different for each number.

    int16, 6 s at 44.1 kHz.
    """
    import numpy as np

    time = np.arange(round(REFERENCE_SECONDS * RATE)) / RATE
    pitch = 90.0 + (37.0 * number) % 170.0
    melody = pitch * (1 + 0.12 * np.sin(2 * np.pi * 0.45 * time + number) + 0.05 * np.sin(5.1 * time))
    phase = 2 * np.pi * np.cumsum(melody) / RATE
    resonances = (420.0 + 45.0 * (number % 7), 1300.0 + 110.0 * (number % 5), 2600.0 + 60.0 * number % 500)
    cycle = np.linspace(0, 2 * np.pi, 2049)
    wave = np.zeros_like(cycle)
    for harmonic in range(1, 31):
        level = sum(1 / (1 + ((harmonic * pitch - centre) / 180.0) ** 2) for centre in resonances)
        wave += (level + 0.02) / harmonic**0.5 * np.sin(harmonic * cycle)
    sound = np.interp(phase % (2 * np.pi), cycle, wave)
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * time + 0.7 * number) + 0.4, 0, None)
    sound *= syllables * (1 + 0.3 * np.sin(2 * np.pi * 0.31 * time))
    breath = np.random.default_rng(number).standard_normal(len(time)) * 0.003 * np.abs(sound).max()
    return np.asarray(np.round(20_000 * (sound + breath) / np.abs(sound + breath).max()), dtype=np.int16)
