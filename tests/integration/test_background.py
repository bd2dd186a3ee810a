"""The networks that tell voices from the rest, with their real weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from media_samples import Signal, conversation, write_wav
from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.audio.reader import read_recording
from voiceclone_cli.mixing.background import KEEP, open_background
from voiceclone_cli.mixing.separation import SEPARATION_MODELS, DeepFilter, Spleeter, VoiceRemover
from voiceclone_cli.models import download

pytestmark = [pytest.mark.engine, pytest.mark.numerical]

RATE = 48_000


@pytest.fixture(scope="module")
def folders() -> Mapping[str, Path]:
    return download.ensure_models(SEPARATION_MODELS)


@pytest.fixture(scope="module")
def voice() -> Signal:
    """Five seconds of the conversation, each sample three times: no resampler's version is in it."""
    samples, rate = soundfile.read(conversation(), dtype="float32")
    return np.repeat(samples[7 * rate : 12 * rate], RATE // rate)


def chords(seconds: float, rate: int) -> Signal:
    """A steady organ: eight partials of three notes."""
    time = np.arange(round(seconds * rate)) / rate
    notes = (np.sin(2 * np.pi * note * n * time) / n for note in (220, 277, 330) for n in range(1, 9))
    return (0.03 * np.sum(list(notes), axis=0)).astype(np.float32)


def decibels(signal: Signal, than: Signal) -> float:
    return float(10 * np.log10(np.sum(np.square(signal)) / np.sum(np.square(than)) + 1e-12))


def test_speech_is_what_the_published_library_says_it_is(folders: Mapping[str, Path], voice: Signal) -> None:
    speech = DeepFilter(folders["deepfilternet"], threads=1).speech(voice)
    # What libDF of the commit d375b2d8 gives for the same samples, without its delay of 30 ms.
    theirs = [-0.025955, -0.002751, -0.023194, 8.9e-05, -0.000492, 0.000659, 0.005693, 0.02576, -0.007895]
    np.testing.assert_allclose(speech[40_000:200_001:20_000], theirs, atol=2e-5)


def test_speech_has_as_many_samples_as_the_signal(folders: Mapping[str, Path]) -> None:
    network = DeepFilter(folders["deepfilternet"], threads=1)
    for length in (1, 479, 480, 481, 10_000):
        assert len(network.speech(np.zeros(length, np.float32))) == length


def test_clean_speech_is_all_voice_and_a_chord_none(folders: Mapping[str, Path], voice: Signal) -> None:
    network = Spleeter(folders["spleeter-2stems"])
    speech = voice[:, None]
    assert decibels(speech - network.voices(speech), speech) < -15
    music = chords(5, 44_100)[:, None]
    assert decibels(network.voices(music), music) < -15


def test_channels_stay_apart(folders: Mapping[str, Path], voice: Signal) -> None:
    samples = np.zeros((len(voice), 4), np.float32)
    samples[:, 0] = voice
    samples[:, 3] = voice
    layout = Layout(("FL", "FR", "FC", "LFE"))
    found = VoiceRemover(folders, layout, RATE, threads=1)(samples)
    assert decibels(samples[:, 0] - found[:, 0], voice) < -15
    assert decibels(found[:, 1], voice) < -30
    assert not found[:, 2:].any()


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_keep_takes_the_voice_and_leaves_the_music(
    folders: Mapping[str, Path], voice: Signal, tmp_path: Path, rate: int
) -> None:
    import soxr

    speech = np.zeros(9 * rate, np.float32)
    speech[2 * rate : 7 * rate] = soxr.resample(voice, RATE, rate)
    music = chords(9, rate)
    path = write_wav(tmp_path / "in.wav", speech + music, rate, "FLOAT")
    with open_background(
        read_recording(path), Layout(("FC",)), rate, kind=KEEP, turns=[(2, 7)], models=folders, threads=1
    ) as background:
        kept = background.read(9 * rate)[:, 0]
    inside, before = slice(2 * rate, 7 * rate), slice(0, round(1.7 * rate))
    np.testing.assert_array_equal(kept[before], (speech + music)[before])
    assert decibels(kept[inside] - music[inside], speech[inside]) < -8
    assert abs(decibels(kept[inside], music[inside])) < 2
