"""The input's sound, kept for a report to play."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from media_samples import tone, write_media, write_wav
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.media import read_recording, read_spans
from voiceclone_cli.media.original import fits_flac, write_original
from voiceclone_cli.types import ProgressEvent


def test_a_mono_wav_comes_back_bit_by_bit(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(2.5))
    before, _ = soundfile.read(source, dtype="int16")
    after, rate = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="int16")
    assert rate == 16_000
    np.testing.assert_array_equal(after, before)
    assert soundfile.info(tmp_path / "original.flac").subtype == "PCM_16"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mp3", ".opus"])
def test_it_is_what_the_recording_was_heard_as(tmp_path: Path, suffix: str) -> None:
    source = write_media(
        tmp_path / f"a{suffix}", tone(2.0, 48_000), channels=2, video=suffix in (".mp4", ".mkv")
    )
    recording = read_recording(source)
    samples, rate = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="float32")
    assert (rate, len(samples)) == (recording.source_rate, recording.source_frames)
    (heard,) = read_spans(source, [(0.0, recording.seconds)])
    np.testing.assert_allclose(samples, heard, atol=1 / 32768)


def test_it_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left = tone(1.0, level=0.5)
    source = write_wav(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1))
    samples, _ = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="float32")
    np.testing.assert_allclose(samples, left / 2, atol=1 / 32768)


def test_what_passes_full_scale_is_clipped(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", 4 * tone(0.5, level=0.5), subtype="FLOAT")
    samples, _ = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="int16")
    assert (samples.max(), samples.min()) == (32767, -32768)


@pytest.mark.parametrize(
    ("rate", "fits"), [(8_000, True), (65_535, True), (192_000, True), (70_001, False), (768_000, False)]
)
def test_flac_has_a_place_for_the_rates_that_people_use(rate: int, fits: bool) -> None:
    assert fits_flac(rate) is fits


def test_a_rate_without_a_place_becomes_a_usual_one(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(1.0, 70_001), rate=70_001)
    info = soundfile.info(write_original(source, tmp_path / "original.flac"))
    assert (info.samplerate, info.frames) == (48_000, 48_000)


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    write_original(write_wav(tmp_path / "a.wav", tone(3.0)), tmp_path / "original.flac", events.append)
    done = [event.completed for event in events]
    assert done == sorted(done) and len(done) >= 3
    assert (events[-1].completed, events[-1].total) == (3.0, 3.0)


def test_a_recording_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(5.0))
    source.write_bytes(source.read_bytes()[:50_000])
    with pytest.raises(InputError, match="cut off"):
        write_original(source, tmp_path / "original.flac")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.wav"]


def test_a_folder_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(1.0))
    (tmp_path / "original.flac").mkdir()
    with pytest.raises(RunError, match="Cannot write") as caught:
        write_original(source, tmp_path / "original.flac")
    assert caught.value.code == "output_unwritable"
