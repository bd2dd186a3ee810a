"""Writing of wav and FLAC files."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from media_samples import tone, write_media, write_wav
from voiceclone_cli.audio.reader import read_recording, read_spans
from voiceclone_cli.audio.writer import NO_INFO, fits_flac, open_wav, to_pcm16, wav_header, write_original
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.types import ProgressEvent

# The original as FLAC, for the report.


def test_a_mono_wav_comes_back_bit_by_bit(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(2.5))
    before, _ = soundfile.read(source, dtype="int16")
    after, rate = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="int16")
    assert rate == 16_000
    np.testing.assert_array_equal(after, before)
    assert soundfile.info(tmp_path / "original.flac").subtype == "PCM_16"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mp3", ".opus"])
def test_the_original_has_the_samples_of_the_recording(tmp_path: Path, suffix: str) -> None:
    source = write_media(
        tmp_path / f"a{suffix}", tone(2.0, 48_000), channels=2, video=suffix in (".mp4", ".mkv")
    )
    recording = read_recording(source)
    samples, rate = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="float32")
    assert (rate, len(samples)) == (recording.source_rate, recording.source_frames)
    (decoded,) = read_spans(source, [(0.0, recording.seconds)])
    np.testing.assert_allclose(samples, decoded, atol=1 / 32768)


def test_the_original_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left = tone(1.0, level=0.5)
    source = write_wav(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1))
    samples, _ = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="float32")
    np.testing.assert_allclose(samples, left / 2, atol=1 / 32768)


def test_samples_above_full_scale_are_clipped(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", 4 * tone(0.5, level=0.5), subtype="FLOAT")
    samples, _ = soundfile.read(write_original(source, tmp_path / "original.flac"), dtype="int16")
    assert (samples.max(), samples.min()) == (32767, -32768)


@pytest.mark.parametrize(
    ("rate", "fits"), [(8_000, True), (65_535, True), (192_000, True), (70_001, False), (768_000, False)]
)
def test_flac_supports_common_rates(rate: int, fits: bool) -> None:
    assert fits_flac(rate) is fits


def test_an_unsupported_rate_becomes_a_common_one(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(1.0, 70_001), rate=70_001)
    info = soundfile.info(write_original(source, tmp_path / "original.flac"))
    assert (info.samplerate, info.frames) == (48_000, 48_000)


def test_progress_is_reported_to_the_end(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    write_original(write_wav(tmp_path / "a.wav", tone(3.0)), tmp_path / "original.flac", events.append)
    done = [event.completed for event in events]
    assert done == sorted(done) and len(done) >= 3
    assert (events[-1].completed, events[-1].total) == (3.0, 3.0)


def test_a_recording_that_is_cut_off_leaves_no_file(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(5.0))
    source.write_bytes(source.read_bytes()[:50_000])
    with pytest.raises(InputError, match="cut off"):
        write_original(source, tmp_path / "original.flac")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.wav"]


def test_a_folder_of_the_same_name_is_a_clear_error(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "a.wav", tone(1.0))
    (tmp_path / "original.flac").mkdir()
    with pytest.raises(RunError, match="Cannot write") as caught:
        write_original(source, tmp_path / "original.flac")
    assert caught.value.code == "output_unwritable"


def test_blocks_make_a_file_that_libsndfile_reads(tmp_path: Path) -> None:
    pcm = np.arange(-500, 500, dtype=np.int16)
    with open_wav(tmp_path / "a.wav", 22_050, 1000) as file:
        file.write(pcm[:300])
        file.write(pcm[300:])
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    info = soundfile.info(tmp_path / "a.wav")
    assert (rate, info.channels, info.subtype, info.format) == (22_050, 1, "PCM_16", "WAV")
    np.testing.assert_array_equal(samples, pcm)


def test_one_channel_without_texts_has_the_plain_header_of_44_bytes() -> None:
    header = wav_header(48_000, 10, 1, 0, NO_INFO)
    assert len(header) == 44
    assert struct.unpack_from("<HHIIHH", header, 20) == (1, 1, 48_000, 96_000, 2, 16)


@pytest.mark.parametrize(
    ("channels", "mask", "layout"),
    [(2, 0, "2 channels"), (6, 0x3F, "5.1"), (6, 0x60F, "5.1(side)"), (8, 0x63F, "7.1"), (3, 0xB, "2.1")],
)
def test_channels_keep_their_layout(tmp_path: Path, channels: int, mask: int, layout: str) -> None:
    pcm = np.arange(100 * channels, dtype=np.int16).reshape(100, channels)
    with open_wav(tmp_path / "a.wav", 44_100, 100, channels, mask) as file:
        file.write(pcm[:30])
        file.write(pcm[30:])
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(samples, pcm)
    with av.open(str(tmp_path / "a.wav")) as container:
        assert container.streams.audio[0].layout.name == layout


def test_a_block_with_other_channels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 channels"), open_wav(tmp_path / "a.wav", 8000, 3, 2) as file:
        file.write(np.zeros((3, 1), np.int16))


def test_texts_are_read_by_ffmpeg_and_move_no_sample(tmp_path: Path) -> None:
    info = {"ISFT": "voiceclone", "ICMT": "Synthetic voices: áé", "IKEY": "odd"}
    pcm = np.arange(100, dtype=np.int16)
    with open_wav(tmp_path / "a.wav", 8000, 100, info=info) as file:
        file.write(pcm)
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(samples, pcm)
    with av.open(str(tmp_path / "a.wav")) as container:
        assert container.metadata["comment"] == info["ICMT"]
        assert container.metadata["encoder"] == info["ISFT"]
    data = (tmp_path / "a.wav").read_bytes()
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8


def test_a_text_needs_an_identifier_of_four_letters() -> None:
    with pytest.raises(ValueError, match="four letters"):
        wav_header(8000, 1, 1, 0, {"COMMENT": "x"})


def test_the_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    with open_wav(tmp_path / "a.wav", 8000, 3, info={"ISFT": "x"}) as file:
        file.write(np.array([1, 2], np.int16))
        file.write(np.array([3], np.int16))
    assert file.sha256 == hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()


def test_missing_frames_are_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="1 frames of the wav are missing"),
        open_wav(tmp_path / "a.wav", 8000, 3) as file,
    ):
        file.write(np.zeros(2, np.int16))


def test_above_four_gigabytes_the_header_has_64_bit_sizes(tmp_path: Path) -> None:
    frames = 3 * 10**9
    header = wav_header(48_000, frames, 1, 0, NO_INFO)
    assert header[:4] == b"RF64"
    assert struct.unpack_from("<QQQ", header, 20) == (len(header) - 8 + 2 * frames, 2 * frames, frames)
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 2 * frames)  # Sparse: no disk is used.
    info = soundfile.info(path)
    assert (info.format, info.frames, info.samplerate) == ("RF64", frames, 48_000)


def test_pcm_never_wraps_and_a_round_trip_changes_nothing() -> None:
    assert to_pcm16(np.array([1.0, 1.5, -1.0, -9.0])).tolist() == [32767, 32767, -32768, -32768]
    every_value = np.arange(-32768, 32768, dtype=np.int16)
    np.testing.assert_array_equal(to_pcm16(every_value.astype(np.float32) / 32768), every_value)
