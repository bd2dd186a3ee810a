"""The recording that people bring: every container and codec at hand, whole and broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

import media_samples
from media_samples import CODECS, Signal, tone, write_media
from voiceclone_cli.audio.reader import read_recording, read_spans
from voiceclone_cli.errors import InputError

SUFFIXES = sorted(CODECS)


@pytest.fixture(scope="session")
def talk() -> Signal:
    """pyannote's conversation at 48 kHz."""
    samples, rate = soundfile.read(media_samples.conversation(), dtype="float32")
    resampled: Signal = soxr.resample(samples, rate, 48_000)
    return resampled


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_container_gives_the_same_conversation(
    tmp_path: Path, talk: Signal, suffix: str, channels: int
) -> None:
    recording = read_recording(write_media(tmp_path / f"talk{suffix}", talk, channels=channels))
    original, _ = soundfile.read(media_samples.conversation(), dtype="float32")
    assert (recording.source_rate, recording.channels, recording.has_video) == (48_000, channels, False)
    assert recording.seconds == pytest.approx(30.0, abs=0.03)  # AAC fills its last frame up.
    assert len(recording.samples) == round(recording.source_frames / 3)
    # In place, too: encoders' delays are taken out again.
    assert np.corrcoef(recording.samples[:480_000], original)[0, 1] > 0.995


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_sound_of_a_video_is_read(tmp_path: Path, talk: Signal, suffix: str) -> None:
    video = read_recording(write_media(tmp_path / f"video{suffix}", talk, video=True))
    sound = read_recording(write_media(tmp_path / f"sound{suffix}", talk))
    assert video.has_video and not sound.has_video
    np.testing.assert_array_equal(video.samples, sound.samples)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_longer_than_its_sound_is_whole(tmp_path: Path, suffix: str) -> None:
    path = write_media(tmp_path / f"a{suffix}", tone(5.0, 48_000), video=True, seconds=20.0)
    assert read_recording(path).seconds == pytest.approx(5.0, abs=0.05)


def test_the_cover_of_an_album_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    sound = write_media(tmp_path / "plain.mp3", tone(2.0, 48_000))
    with av.open(str(sound)) as source, av.open(str(path), "w") as container:
        song = container.add_stream_from_template(source.streams.audio[0])
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        picture.pts = 0
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = song
                container.mux(packet)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert not read_recording(path).has_video


def test_a_recording_with_gaps_between_its_time_stamps_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "gaps.mka"
    sound = write_media(tmp_path / "a.mkv", tone(4.0, 48_000))
    with av.open(str(sound)) as source, av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.dts is not None:
                # From the third second on, five seconds later.
                late = 5 / packet.time_base if packet.dts * packet.time_base > 2 else 0
                packet.pts, packet.dts = packet.pts + round(late), packet.dts + round(late)
                packet.stream = stream
                container.mux(packet)
    assert read_recording(path).seconds == pytest.approx(4.0, abs=0.05)


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError) as caught:
        read_recording(path)
    assert caught.value.code == "media_no_audio"


@pytest.mark.parametrize("suffix", [".mp4", ".m4a", ".mkv", ".webm", ".mp3", ".flac"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_a_broken_download_is_refused(tmp_path: Path, talk: Signal, suffix: str, share: float) -> None:
    path = media_samples.cut(write_media(tmp_path / f"talk{suffix}", talk, video=suffix == ".mp4"), share)
    with pytest.raises(InputError) as caught:
        read_recording(path)
    assert caught.value.code == "media_truncated"
    assert "30.0 s" in caught.value.message


def test_an_mp4_whose_index_was_lost_is_called_cut_off(tmp_path: Path, talk: Signal) -> None:
    path = tmp_path / "talk.mp4"
    with av.open(str(path), "w") as container:  # Without faststart the index comes last.
        stream = container.add_stream("aac", rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(talk[None, :480_000], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for part in av.AudioResampler("fltp", "mono", 48_000).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    with pytest.raises(InputError) as caught:
        read_recording(media_samples.cut(path))
    assert caught.value.code == "media_truncated"
    assert "an MP4 file" in caught.value.message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_stretch_in_the_middle_is_never_a_traceback(
    tmp_path: Path, talk: Signal, suffix: str
) -> None:
    path = write_media(tmp_path / f"talk{suffix}", talk)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    try:
        assert read_recording(path).seconds > 5
    except InputError as error:
        assert error.code in {"media_truncated", "media_damaged", "media_rate", "media_not_finite"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_spans_are_where_the_recording_has_them(tmp_path: Path, talk: Signal, suffix: str) -> None:
    path = write_media(tmp_path / f"talk{suffix}", talk, channels=2)
    whole = read_recording(path)
    spans = [(20.5, 24.0), (6.9, 8.5)]
    for (start, end), span in zip(spans, read_spans(path, spans), strict=True):
        assert len(span) == round(end * 48_000) - round(start * 48_000)
        expected = whole.samples[round(start * 16_000) : round(end * 16_000)]
        assert np.corrcoef(soxr.resample(span, 48_000, 16_000), expected)[0, 1] > 0.999


MEMORY = """
import resource, sys
from pathlib import Path
from voiceclone_cli.audio.reader import read_recording
read_recording(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
recording = read_recording(Path(sys.argv[2]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / recording.samples.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts differently elsewhere")
def test_memory_holds_little_more_than_the_mono_signal(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "src"
    short = write_media(tmp_path / "short.flac", tone(2.0, 48_000), channels=2)
    long = write_media(tmp_path / "long.flac", tone(600.0, 48_000), channels=2)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, short, long],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    # Decoded at once, the stereo source would be six times the mono signal at 16 kHz.
    assert float(done.stdout) < 1.5
