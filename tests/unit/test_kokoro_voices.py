"""Mixtures of Kokoro's voices, and fitted voices as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.envelope import BANDS, KEYS, MAX_FRAMES, Conversion
from voiceclone_worker.engines.kokoro.line_plan import PitchStatistics
from voiceclone_worker.engines.kokoro.model import Floats
from voiceclone_worker.engines.kokoro.voices import (
    ENOUGH,
    FOREIGN_CONTRAST,
    FOREIGN_SHARE,
    NATIVE_SHARE,
    FittedMixture,
    FittedVoice,
    fit_f0,
    propose_mixtures,
    read_voice,
    score_probe,
    voice_table,
    write_voice,
)

TABLE = voice_table()


def stock(index: int) -> tuple[Floats, float]:
    """Return embedding and semitones of a speaker who sounds exactly like one of Kokoro's voices."""
    return unit(TABLE.embeddings[index]), float(TABLE.semitones[index])


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.mark.parametrize("voice", [0, 13, 30, 53])
def test_a_stock_voice_is_recognised(voice: int) -> None:
    acoustic, _ = propose_mixtures([stock(voice)], TABLE, count=6)[0][0]
    assert acoustic.argmax() == voice


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(70, 105), st.integers(0, 3))
def test_mixtures_are_convex_and_differ(seed: int, semitones: float, others: int) -> None:
    random = np.random.default_rng(seed)
    embeddings = [unit(random.normal(size=192).astype(np.float32)) for _ in range(others + 1)]
    mixtures = propose_mixtures([(each, semitones) for each in embeddings], TABLE, count=6)[0]
    assert len(mixtures) == 6
    for index, mixture in enumerate(mixtures):
        for weights in mixture:
            assert weights.min() >= 0
            assert weights.sum() == pytest.approx(1.0, abs=1e-5)
        rest = mixtures[:index] + mixtures[index + 1 :]
        assert all(np.abs(mixture[0] - acoustic).sum() > 0.9 for acoustic, _ in rest)


def test_prosody_moves_to_the_speakers_f0_and_timbre_stays() -> None:
    low, high = int(TABLE.semitones.argmin()), int(TABLE.semitones.argmax())
    alone = np.zeros(54, np.float32)
    alone[low] = 1.0
    between = float(TABLE.semitones[low] * 0.6 + TABLE.semitones[high] * 0.4)
    embedding = unit(TABLE.embeddings[low])
    fitted = fit_f0(alone, embedding, between, TABLE, TABLE.native("en"))
    assert fitted @ TABLE.semitones == pytest.approx(between, abs=0.01)
    (((_, prosody),),) = propose_mixtures([(embedding, between)], TABLE, count=1)
    assert prosody @ TABLE.semitones == pytest.approx(between, abs=0.25)


def test_an_f0_out_of_reach_is_approached_as_far_as_allowed() -> None:
    alone = np.zeros(54, np.float32)
    alone[int(TABLE.semitones.argmin())] = 1.0
    fitted = fit_f0(alone, unit(TABLE.embeddings[0]), 200.0, TABLE, TABLE.native("en"))
    assert fitted[int(TABLE.semitones.argmax())] == pytest.approx(0.9)


@pytest.mark.parametrize(("one", "two"), [(0, 9), (2, 3), (11, 16), (20, 25), (28, 31)])
def test_contrast_draws_similar_speakers_apart(one: int, two: int) -> None:
    a, b = TABLE.embeddings[one], TABLE.embeddings[two]
    first, second = unit(0.55 * a + 0.45 * b), unit(0.45 * a + 0.55 * b)

    def margin(others: list[Floats]) -> float:
        """Return how much more the proposed voice is like its own speaker than like the other."""
        speakers = [(each, float(TABLE.semitones[one])) for each in (first, *others)]
        acoustic, _ = propose_mixtures(speakers, TABLE, count=1)[0][0]
        mixed = unit(acoustic @ TABLE.embeddings)
        return float(mixed @ first - mixed @ second)

    assert margin([second]) >= margin([])
    assert margin([second]) > 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_two_similar_speakers_get_different_dominant_voices(count: int) -> None:
    a, b = TABLE.embeddings[0], TABLE.embeddings[9]
    speakers = [(unit(0.7 * a + 0.3 * b), 95.0), (unit(0.68 * a + 0.32 * b), 95.2)]
    alone = [propose_mixtures([speaker], TABLE, count=count)[0] for speaker in speakers]
    together = propose_mixtures(speakers, TABLE, count=count)

    def dominant(mixtures: list[tuple[Floats, Floats]]) -> set[int]:
        return {int(acoustic.argmax()) for acoustic, _ in mixtures}

    assert dominant(alone[0]) & dominant(alone[1])
    assert not dominant(together[0]) & dominant(together[1])
    assert list(map(len, together)) == [count, count]


def test_a_crowd_shares_the_voices() -> None:
    speakers = [stock(index % 54) for index in range(80)]
    assert all(len(mixtures) == 4 for mixtures in propose_mixtures(speakers, TABLE, count=4))


@pytest.mark.parametrize("language, voices", [("zh", 8), ("ja", 5), ("fr", 1), ("es", 3), ("en", 54)])
@pytest.mark.parametrize("speakers", [1, 3])
def test_a_language_is_spoken_by_its_own_voices(language: str, voices: int, speakers: int) -> None:
    native = TABLE.native(language)
    assert native.sum() == voices
    everyone = [stock(index) for index in (0, 13, 16)[:speakers]]
    at_home = range(speakers)
    for mixtures in propose_mixtures(everyone, TABLE, count=2, language=language, at_home=at_home):
        assert 1 <= len(mixtures) <= 2
        for acoustic, prosody in mixtures:
            assert not prosody[~native].any()
            assert acoustic[native].sum() == pytest.approx(1.0 if native.all() else NATIVE_SHARE, abs=1e-5)
            assert acoustic.sum() == pytest.approx(1.0, abs=1e-5)
            assert prosody.sum() == pytest.approx(1.0, abs=1e-5)
            assert native[acoustic.argmax()]


FOREIGN = ["zh", "ja", "fr", "it", "pt-BR", "hi"]


@pytest.mark.parametrize("language", FOREIGN)
def test_a_speaker_of_another_language_keeps_more_of_the_timbre_and_none_of_the_prosody(
    language: str,
) -> None:
    native = TABLE.native(language)
    for mixtures in propose_mixtures([stock(0), stock(13)], TABLE, count=2, language=language):
        assert len(mixtures) == 2
        assert np.abs(mixtures[0][0] - mixtures[1][0]).sum() > 0.7
        for acoustic, prosody in mixtures:
            assert not prosody[~native].any()
            assert prosody.sum() == pytest.approx(1.0, abs=1e-5)
            assert acoustic[native].sum() == pytest.approx(FOREIGN_SHARE, abs=1e-5)
            assert acoustic.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("language", FOREIGN)
def test_similar_people_are_told_apart_in_another_language(language: str) -> None:
    """One Frenchwoman speaks for both: what they have in common with her must not make them alike."""
    a, b = TABLE.embeddings[0], TABLE.embeddings[9]
    people = [unit(0.7 * a + 0.3 * b), unit(0.3 * a + 0.7 * b)]
    together = propose_mixtures([(each, 95.0) for each in people], TABLE, count=2, language=language)
    for own, other, mixtures in ((*people, together[0]), (*people[::-1], together[1])):
        for acoustic, _ in mixtures:
            mixed = unit(acoustic @ TABLE.embeddings)
            assert mixed @ own > mixed @ other


@pytest.mark.parametrize("voice", ["zm_yunyang", "jf_alpha", "ff_siwis"])
def test_a_native_speaker_has_a_native_timbre(voice: str) -> None:
    language = {"z": "zh", "j": "ja", "f": "fr"}[voice[0]]
    speaker = stock(TABLE.names.index(voice))
    (((acoustic, _),),) = propose_mixtures([speaker], TABLE, count=1, language=language, at_home=[0])
    assert not acoustic[~TABLE.native(language)].any()
    assert TABLE.names[int(acoustic.argmax())] == voice


@pytest.mark.parametrize("language", ["ja", "hi", "zh"])
def test_similar_people_have_different_voices_in_a_language_of_few(language: str) -> None:
    a, b = TABLE.embeddings[0], TABLE.embeddings[9]
    speakers = [(unit(0.7 * a + 0.3 * b), 95.0), (unit(0.3 * a + 0.7 * b), 95.2)]
    together = propose_mixtures(speakers, TABLE, count=2, language=language, at_home=range(2))
    leads = [int(mixtures[0][0].argmax()) for mixtures in together]
    assert leads[0] != leads[1]
    for own, others in ((leads[0], together[1]), (leads[1], together[0])):
        assert own not in {int(acoustic.argmax()) for acoustic, _ in others}


def test_nobody_gets_the_voice_of_the_other_sex_to_be_told_apart() -> None:
    """Italian has a woman and a man, and both speakers are men: pitch and conversion have to tell them apart."""
    men = [stock(TABLE.names.index(name)) for name in ("am_onyx", "bm_lewis")]
    native = TABLE.native("it")
    for at_home in ([0, 1], []):
        for ((acoustic, _),) in propose_mixtures(men, TABLE, count=1, language="it", at_home=at_home):
            assert TABLE.names[int(np.where(native, acoustic, 0).argmax())] == "im_nicola"


def test_the_score_wants_the_voice_the_f0_and_the_distance_to_others() -> None:
    (speaker, semitones), (other, _) = stock(0), stock(40)
    own = score_probe(speaker, semitones, [], speaker, semitones)
    assert own == pytest.approx(1.0, abs=1e-5)
    assert score_probe(speaker, semitones, [], speaker, semitones + 5) == pytest.approx(own - 0.1, abs=1e-5)
    assert score_probe(speaker, semitones, [], speaker, None) < own - 0.2
    assert score_probe(speaker, semitones, [other], speaker, semitones) > own
    assert score_probe(speaker, semitones, [speaker], speaker, semitones) == pytest.approx(own)


def test_in_another_language_a_small_lead_counts_more_and_a_large_one_is_enough() -> None:
    axes = np.eye(192, dtype=np.float32)

    def gain(lead: float) -> float:
        """Return what a lead over another speaker adds to the score."""
        probe = 0.5 * axes[0] + (0.5 - lead) * axes[1]
        alone, beside = (
            score_probe(axes[0], 90.0, others, probe, 90.0, is_foreign=True) for others in ([], [axes[1]])
        )
        return beside - alone

    assert gain(0.05) == pytest.approx(FOREIGN_CONTRAST * 0.05)
    assert gain(-0.05) == pytest.approx(-FOREIGN_CONTRAST * 0.05)
    assert gain(0.2) == gain(0.4) == pytest.approx(FOREIGN_CONTRAST * ENOUGH)


def test_styles_are_interpolated_between_lengths() -> None:
    alone = np.zeros(54, np.float32)
    alone[7] = 1.0
    knot = int(TABLE.knots[20])
    assert np.array_equal(TABLE.style(alone, alone, knot + 1), TABLE.styles[7, 20])
    assert np.array_equal(TABLE.style(alone, alone, 10_000), TABLE.styles[7, -1])
    between = TABLE.style(alone, alone, knot + 2)
    assert (
        0
        < np.abs(between - TABLE.styles[7, 20]).max()
        < np.abs(np.diff(TABLE.styles[7, 20:22], axis=0)).max()
    )


NAMES = voice_table().names


CONVERSION = Conversion(
    own=np.linspace(-4, -2, BANDS, dtype=np.float32),
    target=np.linspace(-2, -4, BANDS, dtype=np.float32),
    matrix=np.eye(BANDS, dtype=np.float32),
    frames=np.linspace(-5, 0, 7 * BANDS, dtype=np.float16).reshape(7, BANDS),
    keys=np.linspace(-9, 9, 7 * KEYS, dtype=np.float16).reshape(7, KEYS),
    strength=0.7,
)


def a_mixture(conversion: Conversion = CONVERSION, speed: float = 1.1) -> FittedMixture:
    weights = np.zeros(54, np.float32)
    weights[[3, 5]] = 0.6, 0.4
    return FittedMixture(weights, weights[::-1].copy(), conversion, speed, None, similarity=0.5)


def a_voice(**mixtures: FittedMixture) -> FittedVoice:
    return FittedVoice(
        names=NAMES,
        mixtures=mixtures or {"en": a_mixture()},
        level=0.05,
        embedding=np.full(192, 192**-0.5, np.float32),
        pitch=PitchStatistics(83.4, 2.9, 512),
    )


def fields_of(voice: FittedVoice) -> dict[str, Any]:
    """Return every value of a voice, by its path."""
    rows: dict[str, Any] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, each in value.items():
                add(f"{path}.{key}", each)
        elif dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                add(f"{path}.{field.name}", getattr(value, field.name))
        else:
            rows[path] = value

    add("", voice)
    return rows


@pytest.mark.parametrize(
    "mixtures",
    [
        {},
        {"en": a_mixture(), "zh": a_mixture(speed=0.9)},
        {"ja": a_mixture(CONVERSION.mean_only()), "fr": a_mixture()},
        {"ja": a_mixture(CONVERSION.without_frames())},
        {"en": a_mixture(), "fr": a_mixture(dataclasses.replace(CONVERSION, lookup=0.5))},
    ],
)
def test_a_voice_comes_back_as_it_was(tmp_path: Path, mixtures: dict[str, FittedMixture]) -> None:
    path = tmp_path / "speakers" / "SPEAKER_00" / "voice.npz"
    write_voice(a_voice(**mixtures), path)
    read, written = fields_of(read_voice(path, NAMES)), fields_of(a_voice(**mixtures))
    assert list(read) == list(written)
    for name, value in read.items():
        assert np.array_equal(value, written[name]), name


def test_a_line_is_spoken_by_the_mixture_of_its_language() -> None:
    voice = a_voice(en=a_mixture(), zh=a_mixture(speed=0.9))
    assert voice.mixture("zh-Hans").speed == 0.9
    assert voice.mixture("en-GB") == voice.mixture("sv") == voice.mixtures["en"]


def test_a_language_that_a_voice_was_not_fitted_for_is_refused_with_those_that_it_was() -> None:
    with pytest.raises(SegmentError, match='fitted for lines in en, zh, not in "fr"') as refused:
        a_voice(en=a_mixture(), zh=a_mixture()).mixture("fr")
    assert refused.value.code == "voice_language"


def test_the_same_voice_gives_the_same_bytes_and_nothing_is_left_beside(tmp_path: Path) -> None:
    folder = tmp_path / "speaker"
    for name in ("a.npz", "b.npz", "a.npz"):
        write_voice(a_voice(), folder / name)
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "b.npz"]


def test_a_missing_voice(tmp_path: Path) -> None:
    assert code_of(tmp_path / "voice.npz") == "voice_missing"


@pytest.mark.parametrize("content", [b"", b"not a voice", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_voice(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "voice.npz"
    path.write_bytes(content)
    assert code_of(path) == "voice_unreadable"


def test_a_cut_or_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    write_voice(a_voice(), path)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:3000] + b"\xff" * 64 + whole[3064:]):
        path.write_bytes(broken)
        assert code_of(path) == "voice_unreadable"


def test_numbers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    without_numbers = dataclasses.replace(CONVERSION, frames=np.full((7, BANDS), np.nan, np.float16))
    write_voice(a_voice(en=a_mixture(without_numbers)), path)
    assert code_of(path) == "voice_unreadable"


@pytest.mark.parametrize("shape", [(), (7,), (7, BANDS + 1), (MAX_FRAMES + 1, BANDS)])
def test_frames_of_another_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "voice.npz"
    write_voice(a_voice(), path)
    rewrite(path, frames=np.zeros(shape, np.float16))
    assert code_of(path) == "voice_unreadable"


@pytest.mark.parametrize("languages", [["en", "zh"], []])
def test_more_or_fewer_languages_than_mixtures(tmp_path: Path, languages: list[str]) -> None:
    path = tmp_path / "voice.npz"
    write_voice(a_voice(), path)
    rewrite(path, languages=np.array(languages))
    assert code_of(path) == "voice_unreadable"


def rewrite(path: Path, **changes: np.ndarray) -> None:
    with np.load(path) as arrays:
        content = {**arrays, **changes}
    np.savez(path, **content)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    np.savez(path, format=np.array({"a": 1}, dtype=object))
    assert code_of(path) == "voice_unreadable"


def test_a_voice_of_other_tables(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    write_voice(dataclasses.replace(a_voice(), names=("other", *NAMES[1:])), path)
    assert code_of(path) == "voice_outdated"


@pytest.mark.parametrize("version", [1, 3, 4, 6])
def test_a_voice_of_another_format_is_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "voice.npz"
    np.savez(path, format=np.array(f"voiceclone.kokoro-voice/{version}"), names=np.array(NAMES))
    assert code_of(path) == "voice_outdated"


def code_of(path: Path) -> str:
    with pytest.raises(SegmentError) as refused:
        read_voice(path, NAMES)
    assert "encode the reference again" in refused.value.message
    return refused.value.code
