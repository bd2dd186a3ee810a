from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceclone_cli.media.wav import open_wav, to_pcm16, wav_header


def test_blocks_make_one_file_that_others_can_read(tmp_path: Path) -> None:
    pcm = np.arange(-500, 500, dtype=np.int16)
    with open_wav(tmp_path / "a.wav", 22_050, 1000) as file:
        file.write(pcm[:300])
        file.write(pcm[300:])
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    info = soundfile.info(tmp_path / "a.wav")
    assert (rate, info.channels, info.subtype, info.format) == (22_050, 1, "PCM_16", "WAV")
    np.testing.assert_array_equal(samples, pcm)


def test_a_file_that_misses_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="misses 1"), open_wav(tmp_path / "a.wav", 8000, 3) as file:
        file.write(np.zeros(2, np.int16))


def test_past_four_gigabytes_the_header_has_64_bit_sizes(tmp_path: Path) -> None:
    frames = 3 * 10**9
    header = wav_header(48_000, frames)
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
