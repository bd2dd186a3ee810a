"""Reading of audio files: formats, rates, channels, spans, and files that are rejected."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import media_samples
from media_samples import Signal, tone
from voiceclone_cli.audio.formats import MONO, Layout
from voiceclone_cli.audio.reader import open_audio, read_recording, read_spans, resample_blocks
from voiceclone_cli.audio.writer import write_wav
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.types import ProgressEvent


def rejection(path: Path) -> InputError:
    """The error of reading an unusable file: one sentence that names the file."""
    with pytest.raises(InputError) as caught:
        read_recording(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
def test_every_sample_format_is_read_at_its_level(tmp_path: Path, subtype: str) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(1.0), subtype=subtype)
    recording = read_recording(path)
    assert (recording.source_rate, recording.source_frames, recording.channels) == (16_000, 16_000, 1)
    assert recording.samples.dtype == np.float32
    tolerance = 0.02 if subtype in ("PCM_U8", "ULAW", "ALAW") else 1e-4
    np.testing.assert_allclose(recording.samples, tone(1.0), atol=tolerance)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_resampled_for_analysis_and_counted_exactly(tmp_path: Path, rate: int) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(3.0, rate)[:-7], rate)
    recording = read_recording(path)
    assert recording.source_frames == 3 * rate - 7
    assert recording.seconds == (3 * rate - 7) / rate
    assert len(recording.samples) == round(recording.source_frames * 16_000 / rate)
    inner = slice(1000, -1000)
    expected = tone(3.0)[: len(recording.samples)]
    np.testing.assert_allclose(recording.samples[inner], expected[inner], atol=2e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    six = np.stack([tone(1.0, hertz=200.0 * (i + 1), level=0.1 * (i + 1)) for i in range(6)], axis=1)
    recording = read_recording(media_samples.write_wav(tmp_path / "5.1.wav", six))
    assert recording.channels == 6
    np.testing.assert_allclose(recording.samples, six.mean(axis=1), atol=1e-4)


def test_aiff_and_au_are_read(tmp_path: Path) -> None:
    for name in ("a.aiff", "a.au"):
        recording = read_recording(media_samples.write_wav(tmp_path / name, tone(1.0)))
        np.testing.assert_allclose(recording.samples, tone(1.0), atol=1e-4)


@pytest.mark.parametrize("size", [333, 48_000, 10**9])
def test_resampling_does_not_depend_on_the_blocks(size: int) -> None:
    signal = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)

    def blocks(length: int) -> Iterator[Signal]:
        for start in range(0, len(signal), length):
            yield signal[start : start + length]

    expected = np.concatenate(list(resample_blocks(blocks(4711), 44_100, 16_000)))
    actual = np.concatenate(list(resample_blocks(blocks(size), 44_100, 16_000)))
    np.testing.assert_array_equal(actual, expected)


def test_progress_counts_seconds_up_to_the_whole_length(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    read_recording(media_samples.write_wav(tmp_path / "a.wav", tone(5.5)), events.append)
    assert {event.stage for event in events} == {"media"}
    assert [event.completed for event in events] == sorted(event.completed for event in events)
    assert (events[-1].completed, events[-1].total) == (5.5, 5.5)
    assert len(events) > 4


def test_the_input_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = media_samples.write_wav(tmp_path / "in" / "a.wav", tone(1.0))
    before = path.read_bytes(), path.stat().st_mtime_ns
    read_recording(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert list(path.parent.iterdir()) == [path]


def test_unusual_names_are_not_taken_for_addresses(tmp_path: Path) -> None:
    of_posix = ("http:x.wav", "concat:a|b.wav") if os.name == "posix" else ()
    for name in (*of_posix, "100%d.wav", "señal ü.wav", "-i.wav"):
        assert read_recording(media_samples.write_wav(tmp_path / name, tone(0.5))).seconds == 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want names in Unicode")
def test_a_name_that_is_not_unicode_is_read(tmp_path: Path) -> None:
    plain = media_samples.write_wav(tmp_path / "a.wav", tone(0.5))
    assert read_recording(plain.rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))).seconds == 0.5


# Files that are rejected.


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    assert rejection(tmp_path / "nothing.wav").code == "media_missing"


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    assert rejection(tmp_path).code == "media_is_folder"


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_is_rejected_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert rejection(tmp_path / "pipe").code == "media_not_a_file"


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert rejection(tmp_path / "a.wav").code == "media_empty"


@pytest.mark.parametrize("data", [b"hello, this is text\n" * 100, bytes(range(256)) * 40, b"\0" * 5000])
def test_what_is_not_media_is_rejected(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    assert rejection(tmp_path / "a.mp4").code in {"media_not_media", "media_no_audio", "media_too_short"}


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_an_unreadable_file_is_rejected(tmp_path: Path) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(1.0))
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)  # Permissions do not bind root.
    try:
        assert rejection(path).code == "media_unreadable"
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("frames", [0, 1, 1599])
def test_less_than_a_tenth_of_a_second_is_too_short(tmp_path: Path, frames: int) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(1.0)[:frames])
    assert rejection(path).code == "media_too_short"


def test_silence_is_rejected_and_a_whisper_is_not(tmp_path: Path) -> None:
    silent = media_samples.write_wav(tmp_path / "silent.wav", tone(1.0, level=0.00009), subtype="FLOAT")
    faint = media_samples.write_wav(tmp_path / "faint.wav", tone(1.0, level=0.00011), subtype="FLOAT")
    assert rejection(silent).code == "media_silent"
    assert read_recording(faint).seconds == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_rejected(tmp_path: Path, value: float) -> None:
    samples = tone(5.0)
    samples[70_000] = value
    assert (
        rejection(media_samples.write_wav(tmp_path / "a.wav", samples, subtype="FLOAT")).code
        == "media_not_finite"
    )


def test_a_double_too_large_for_a_float_is_rejected(tmp_path: Path) -> None:
    samples = tone(1.0).astype(np.float64)
    samples[5] = 1e300
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="DOUBLE")
    assert rejection(tmp_path / "a.wav").code == "media_not_finite"


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.rf64"])
def test_a_cut_file_is_rejected(tmp_path: Path, name: str) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(160_000)
    soundfile.write(tmp_path / name, noise, 16_000, format={"a.rf64": "RF64"}.get(name))
    error = rejection(media_samples.cut(tmp_path / name))
    assert error.code == "media_truncated"
    assert "10.0 s" in error.message


def test_a_few_missing_samples_are_tolerated(tmp_path: Path) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(10.0))
    path.write_bytes(path.read_bytes()[:-2000])
    assert read_recording(path).source_frames == 159_000


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_a_streamed_wav_of_unknown_size_is_whole(tmp_path: Path, size: int) -> None:
    assert read_recording(with_data_size(tmp_path, size)).source_frames == 32_000


def test_a_header_that_declares_gigabytes_is_rejected_without_allocating_them(tmp_path: Path) -> None:
    error = rejection(with_data_size(tmp_path, 1_000_000_000))
    assert error.code == "media_truncated"
    assert "31250.0 s" in error.message


def test_a_header_that_declares_days_is_rejected_before_decoding(tmp_path: Path) -> None:
    error = rejection(with_data_size(tmp_path, 3_000_000_000))
    assert error.code == "media_too_long"
    assert "lasts 26.0 hours by its header" in error.message


@pytest.mark.parametrize("rate", [1, 2_000_000_000])
def test_an_impossible_rate_is_rejected(tmp_path: Path, rate: int) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(1.0))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 24, rate)
    path.write_bytes(data)
    assert rejection(path).code == "media_rate"


def with_data_size(folder: Path, size: int) -> Path:
    """A wav of two seconds whose ``data`` chunk claims ``size`` bytes."""
    path = media_samples.write_wav(folder / "a.wav", tone(2.0))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, size)
    path.write_bytes(data)
    return path


# Spans.


def test_spans_are_read_at_the_source_rate_in_the_given_order(tmp_path: Path) -> None:
    signal = tone(5.0, 44_100)
    path = media_samples.write_wav(tmp_path / "a.wav", signal, 44_100, subtype="FLOAT")
    late, early, inside = read_spans(path, [(3.1, 4.2), (0.0, 1.5), (0.5, 0.75)])
    np.testing.assert_array_equal(late, signal[round(3.1 * 44_100) : round(4.2 * 44_100)])
    np.testing.assert_array_equal(early, signal[: round(1.5 * 44_100)])
    np.testing.assert_array_equal(inside, signal[22_050 : round(0.75 * 44_100)])
    assert inside.dtype == np.float32


def test_a_span_ends_with_the_file(tmp_path: Path) -> None:
    path = media_samples.write_wav(tmp_path / "a.wav", tone(1.0))
    partly, beyond = read_spans(path, [(0.75, 9.0), (2.0, 3.0)])
    assert (len(partly), len(beyond)) == (4000, 0)


def test_no_spans_no_samples(tmp_path: Path) -> None:
    assert read_spans(media_samples.write_wav(tmp_path / "a.wav", tone(1.0)), []) == []


@pytest.mark.parametrize("span", [(-1.0, 2.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_an_invalid_span_is_an_error(tmp_path: Path, span: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not a span"):
        read_spans(media_samples.write_wav(tmp_path / "a.wav", tone(1.0)), [span])


# Writing.


def test_a_written_wav_reads_back_to_the_bit(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32767, 5000).astype(np.int16)
    write_wav(tmp_path / "a.wav", pcm.astype(np.float32) / 32768, 24_000)
    back, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 24_000
    np.testing.assert_array_equal(back, pcm)


def test_a_signal_above_full_scale_is_attenuated(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(1.0, level=3.0), 16_000)
    back, _ = soundfile.read(tmp_path / "a.wav")
    np.testing.assert_allclose(back, tone(1.0, level=1.0), atol=1e-4)


def test_samples_that_are_not_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finite"):
        write_wav(tmp_path / "out" / "a.wav", np.array([0.0, np.nan], np.float32), 16_000)
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        write_wav(tmp_path / "file" / "a.wav", tone(1.0), 16_000)
    assert caught.value.code == "output_unwritable"


SURROUND = Layout(("FL", "FR", "FC", "LFE", "BL", "BR"))


def test_a_known_layout_has_its_mask() -> None:
    assert SURROUND.mask == 0x3F
    assert Layout(("FL", "FR")).mask == 0x3
    assert MONO.mask == 0x4


@pytest.mark.parametrize("names", [("FL", "FR", "NONE"), ("FR", "FL"), ("FL", "FL")])
def test_channels_in_another_order_have_no_mask(names: tuple[str, ...]) -> None:
    assert Layout(names).mask == 0


def test_low_frequency_channels_have_no_speech() -> None:
    assert SURROUND.speech_channels == (0, 1, 2, 4, 5)


def test_left_and_right_are_pairs_and_other_channels_alone() -> None:
    assert SURROUND.groups == ((0, 1), (4, 5), (2,))
    assert Layout(("NONE",) * 3).groups == ((0,), (1,), (2,))


def test_two_unknown_channels_are_stereo() -> None:
    assert Layout.of(("NONE", "NONE")).names == ("FL", "FR")
    assert Layout.of(("NONE",)) == MONO
    assert Layout.of(("NONE",) * 4).names == ("NONE",) * 4
    assert Layout.of(("FL", "LFE")).names == ("FL", "LFE")


# Channels.

RATE = 48_000


def channels_of(path: Path) -> tuple[tuple[str, ...], Signal]:
    with open_audio(path) as stream:
        return stream.layout, np.concatenate(list(stream.channel_blocks()))


def mean_of(path: Path) -> Signal:
    with open_audio(path) as stream:
        return np.concatenate(list(stream.blocks()))


def encoded(path: Path, codec: str, layout: str, samples: Signal) -> Path:
    """Samples of shape (frames, channels), handed over interleaved."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout=layout)
        resampler = av.AudioResampler(stream.codec_context.format, layout, RATE)
        for start in range(0, len(samples), 1000):
            block = np.ascontiguousarray(samples[start : start + 1000].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            frame.sample_rate, frame.pts = RATE, start
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_channels_of_every_sample_format_are_read_at_their_level(tmp_path: Path, subtype: str) -> None:
    samples = np.stack([tone(1.5), 0.5 * tone(1.5, hertz=300), 0 * tone(1.5)], axis=1)
    path = media_samples.write_wav(tmp_path / "in.wav", samples, subtype=subtype)
    _, found = channels_of(path)
    np.testing.assert_allclose(found, samples, atol=0.01 if subtype == "PCM_U8" else 1e-4)
    np.testing.assert_allclose(found.mean(axis=1), mean_of(path), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "codec", "layout", "names"),
    [
        ("in.m4a", "aac", "5.1", ("FL", "FR", "FC", "LFE", "BL", "BR")),
        ("in.m4a", "aac", "7.1", ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")),
        ("in.wv", "wavpack", "7.1", ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")),
    ],
)
def test_surround_sound_names_its_channels(
    tmp_path: Path, name: str, codec: str, layout: str, names: tuple[str, ...]
) -> None:
    levels = np.linspace(0.1, 0.8, len(names), dtype=np.float32)
    path = encoded(tmp_path / name, codec, layout, tone(1.0, RATE, 80, level=1.0)[:, None] * levels)
    found_names, found = channels_of(path)
    assert found_names == names
    peaks = np.sqrt(2 * np.mean(np.square(found[4800:-4800]), axis=0))
    np.testing.assert_allclose(peaks, levels, atol=0.02)
    np.testing.assert_allclose(found.mean(axis=1), mean_of(path), atol=1e-6)
