"""The new sound of a dubbed video lies where the original's lay, on its loudspeakers."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soxr

from dubbing import COPIED, dub
from video_samples import (
    RATE,
    Film,
    heard,
    lag,
    noise,
    remux,
    tracks,
    write_film,
    write_mix,
)
from voiceclone_cli.audio.reader import read_recording


def place_of_sound(path: Path, part: np.ndarray) -> Fraction:
    """How many seconds after the first picture ``part`` is heard."""
    start, rate, sound = heard(path)
    first_picture = min(next(track for track in tracks(path) if track.kind == "video").times)
    return start + Fraction(lag(sound[:, 0], part), rate) - first_picture


@pytest.mark.parametrize("suffix", COPIED)
@pytest.mark.parametrize(
    ("picture_start", "sound_start"), [(0.0, 0.0), (0.0, 0.4321), (0.0, 2.0), (0.32, 0.0)]
)
def test_the_new_sound_begins_where_the_original_did(
    tmp_path: Path, suffix: str, picture_start: float, sound_start: float
) -> None:
    original = noise(2.5, seed=1)
    film = Film(2.5, picture_start, sound_start, sounds=[original])
    source = write_film(tmp_path / f"film{suffix}", film)
    recording = read_recording(source)
    mix = noise(recording.seconds, seed=2)[: recording.source_frames]
    out = dub(source, mix)
    start, rate, _ = heard(source)
    first_picture = min(next(track for track in tracks(source) if track.kind == "video").times)
    wanted = start - first_picture
    assert abs(place_of_sound(out, mix) - wanted) * rate < 1


def test_sound_in_matroska_is_the_mix_bit_by_bit(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mkv")
    mix = noise(read_recording(source).seconds, seed=3)
    out = dub(source, mix)
    start, rate, sound = heard(out)
    values = write_mix(tmp_path / "again.wav", mix)
    assert (start, rate) == (0, RATE)
    np.testing.assert_array_equal(sound[: len(values), 0], values)
    assert not sound[len(values) :].any()


def test_a_hole_in_the_original_is_a_hole_in_the_new_sound(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", Film(4.0))
    source = remux(
        whole,
        tmp_path / "film.mkv",
        moved=lambda packet: (
            2.0 if packet.stream.type == "audio" and packet.pts * packet.time_base > 2 else 0.0
        ),
    )
    recording = read_recording(source)
    assert recording.seconds == pytest.approx(4.0, abs=0.05)
    mix = noise(recording.seconds, seed=4)
    _, rate, sound = heard(dub(source, mix))
    assert lag(sound[:, 0], mix[:RATE]) == 0
    assert lag(sound[:, 0], mix[-RATE:]) == pytest.approx(len(mix) + 2 * RATE - RATE, abs=0.002 * rate)


@pytest.mark.parametrize("rate", [16_000, 22_050, 32_000, 33_075, 96_000])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_mix_of_any_rate_lies_in_its_place(tmp_path: Path, suffix: str, rate: int) -> None:
    source = write_film(tmp_path / f"film{suffix}")
    mix = noise(read_recording(source).seconds, seed=5, rate=rate)
    start, track_rate, sound = heard(dub(source, mix, rate=rate))
    assert start == 0
    assert lag(sound[:, 0], soxr.resample(mix, rate, track_rate)) == 0


@pytest.mark.parametrize(
    ("codec", "layout"),
    [("aac", "stereo"), ("aac", "5.1"), ("ac3", "5.1(side)"), ("aac", "7.1"), ("aac", "quad")],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_loudspeakers_of_the_original_are_kept(
    tmp_path: Path, suffix: str, codec: str, layout: str
) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(1.5, sound_codec=codec, channels=layout))
    with av.open(str(source)) as container:
        before = container.streams.audio[0].layout
    seconds = read_recording(source).seconds
    mix = np.stack([noise(seconds, seed) for seed in range(before.nb_channels)], axis=1)
    out = dub(source, mix)
    with av.open(str(out)) as container:
        after = container.streams.audio[0].layout
    # What AAC and FLAC both call 5.1 has its surround speakers at the side or behind.
    assert after.name.replace("(side)", "") == before.name.replace("(side)", "")
    _, _, sound = heard(out)
    for channel in range(before.nb_channels):
        if "LFE" not in before.channels[channel].name:
            assert lag(sound[:, channel], mix[:, channel]) == 0


def test_loudspeakers_without_names_get_the_usual_ones(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(1.0, channels="5.1(side)"))
    with av.open(str(source)) as container:
        assert container.streams.audio[0].layout.name == "6 channels"
    mix = np.stack([noise(read_recording(source).seconds, seed) for seed in range(6)], axis=1)
    with av.open(str(dub(source, mix))) as container:
        assert container.streams.audio[0].layout.name == "5.1"
