"""What is measured of a reference, before anything is synthesized."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from voiceclone_worker.engines.kokoro import envelope
from voiceclone_worker.engines.kokoro.envelope import BANDS, KEYS, Envelopes
from voiceclone_worker.engines.kokoro.fitting import (
    TRAITS_RATE,
    ReferenceTraits,
    SpeechQuality,
    checked_conversion,
    has_lookup,
    measure_pitch,
    speaking_pace,
    speed_of,
)
from voiceclone_worker.engines.kokoro.model import RATE, Floats
from voiceclone_worker.engines.kokoro.phonemes import reader, registry
from voiceclone_worker.protocol import ReferenceSpec


def voiced(f0_hz: float, lowest_hz: float, seconds: float = 2.0) -> Floats:
    """Return a vowel-like sound whose F0 falls by four semitones, without what lies below ``lowest_hz``."""
    time = np.arange(round(seconds * TRAITS_RATE)) / TRAITS_RATE
    f0 = f0_hz * 2 ** ((2 - 4 * time / seconds) / 12)
    phase = 2 * np.pi * np.cumsum(f0) / TRAITS_RATE
    harmonics = [
        np.sin(number * phase) / (1 + (number * f0 / 600) ** 2) * (number * f0 >= lowest_hz)
        for number in range(1, int(3400 / f0_hz))
    ]
    return (0.1 * np.sum(harmonics, 0)).astype(np.float32)


@pytest.mark.parametrize("f0_hz", [100.0, 130.0, 210.0])
@pytest.mark.parametrize("lowest_hz", [50.0, 300.0])
def test_the_pitch_is_found_with_and_without_the_fundamental(f0_hz: float, lowest_hz: float) -> None:
    """A telephone band begins at 300 Hz."""
    pitch = measure_pitch(voiced(f0_hz, lowest_hz))
    assert pitch is not None
    assert pitch.median == pytest.approx(12 * np.log2(f0_hz), abs=0.7)
    assert 0.7 < pitch.spread < 1.8


def test_silence_has_no_pitch() -> None:
    assert measure_pitch(np.zeros(TRAITS_RATE, np.float32)) is None


# Speaking rate

TEXTS = {
    "en": "I have lived in this street for many years, and I know everyone in it.",
    "es": "He vivido en esta calle muchos años, y conozco a todos los vecinos.",
}


def a_reference(
    text: str = "", language: str = "", seconds: float = 5.0, speaks: tuple[str, ...] = ()
) -> ReferenceTraits:
    return ReferenceTraits(
        ReferenceSpec("A", "a.wav", text, "a.npz", language, speaks),
        signal=np.zeros(1, np.float32),
        embedding=np.zeros(192, np.float32),
        pitch=None,
        envelopes=Envelopes(np.zeros((1, BANDS)), np.zeros((1, KEYS))),
        seconds=seconds,
    )


def said_at(pace: float, language: str) -> ReferenceTraits:
    """Return a reference in which ``TEXTS`` are said at ``pace`` times the usual rate."""
    tokens = len(reader.to_tokens(reader.to_phonemes(TEXTS[language], language)))
    usual = registry.LANGUAGES[language].rates.text
    return a_reference(TEXTS[language], language, tokens / usual / pace)


@pytest.mark.parametrize("language", list(TEXTS))
@pytest.mark.parametrize("pace", [0.85, 1.0, 1.1])
def test_the_pace_of_a_speaker_is_relative_to_the_language_of_the_reference(
    language: str, pace: float
) -> None:
    assert speaking_pace(said_at(pace, language)) == pytest.approx(pace)


@pytest.mark.parametrize("language", list(TEXTS))
@pytest.mark.parametrize("mixture_pace", [0.95, 1.0, 1.2])
def test_a_mixture_speaks_as_fast_as_the_speaker_does_in_another_language(
    language: str, mixture_pace: float
) -> None:
    assert speed_of(said_at(1.1, language), mixture_pace) == pytest.approx(1.1 / mixture_pace)


def test_a_speed_is_bounded() -> None:
    assert speed_of(said_at(1.5, "en"), 1.0) == 1.25
    assert speed_of(said_at(0.6, "en"), 1.0) == 0.8


@pytest.mark.parametrize(
    "reference",
    [
        a_reference(),
        a_reference(TEXTS["en"]),
        a_reference(TEXTS["en"], "en", seconds=1.0),
        a_reference("Ich wohne seit vielen Jahren hier.", "de"),
        a_reference("... !", "en"),
    ],
)
def test_a_speaker_of_unknown_pace_is_taken_for_one_as_fast_as_others(reference: ReferenceTraits) -> None:
    assert speaking_pace(reference) is None
    assert speed_of(reference, 1.05) == pytest.approx(1 / 1.05)
    assert speed_of(reference, 0.8) == 1.1
    assert speed_of(reference, 1.4) == 0.9


@pytest.mark.parametrize(
    "of_reference, of_lines, expected",
    [
        *[("en", "en", True), ("zh-Hans", "zh", True), ("zh", "en", True), ("", "en", True)],
        *[("en", "zh", False), ("", "zh", False), ("es", "fr", False)],
    ],
)
def test_frames_of_the_reference_are_used_for_sounds_that_it_has(
    of_reference: str, of_lines: str, expected: bool
) -> None:
    assert has_lookup(a_reference(language=of_reference), of_lines) is expected


def test_a_reference_needs_a_mixture_for_each_language_of_its_lines() -> None:
    assert a_reference().languages == ("en",)
    assert a_reference(speaks=("zh-Hans", "pt-BR", "zh", "de")).languages == ("zh", "pt", "en")


# A voice that does not sound clean


class Scores(SpeechQuality):
    """Gives these scores one after the other: no voice at hand sounds bad for sure."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.left = list(scores)

    def score(self, signal: Floats) -> float:
        return self.left.pop(0)


@pytest.mark.parametrize(
    ("scores", "synthesized", "strength"),
    [
        pytest.param([3.0], 0, 1.0, id="clean"),
        pytest.param([2.8, 2.8, 3.2], 1, 1.0, id="clean in the mean"),
        pytest.param([2.8, 2.8, 2.8, 2.9, 3.1, 2.5, 2.5], 1, 0.7, id="clean if weaker"),
        pytest.param([2.8, 2.8, 2.8, 2.5, 2.5, 2.7, 2.7], 1, 1.0, id="never clean"),
    ],
)
def test_a_voice_that_sounds_bad_in_the_probe_is_heard_with_the_typical_sentence(
    scores: list[float], synthesized: int, strength: float
) -> None:
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    conversion = envelope.fit(envelope.measure(noise), envelope.measure(noise[::-1].copy()))
    asked: list[int] = []

    def typical_sentence() -> Floats:
        asked.append(1)
        return noise

    found, notes = checked_conversion(a_reference(), conversion, noise, typical_sentence, Scores(scores))
    assert (len(asked), found.strength) == (synthesized, strength)
    assert [("(DNSMOS 2.80, now 3.00)" in note) for note in notes] == [True] * (strength < 1)
