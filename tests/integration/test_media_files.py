"""Media files of every container and codec: complete, damaged and hostile ones."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

import media_samples
from media_reader import MediaReader, Outcome
from media_samples import CODECS, RARER_CODECS, Signal, syllables, tone, write_media, write_wav
from voiceclone_cli.audio import reader as audio_reader
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
def test_the_audio_of_a_video_is_read(tmp_path: Path, talk: Signal, suffix: str) -> None:
    video = read_recording(write_media(tmp_path / f"video{suffix}", talk, video=True))
    sound = read_recording(write_media(tmp_path / f"sound{suffix}", talk))
    assert video.has_video and not sound.has_video
    np.testing.assert_array_equal(video.samples, sound.samples)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_longer_than_its_audio_ends_with_silence(tmp_path: Path, suffix: str) -> None:
    path = write_media(tmp_path / f"a{suffix}", tone(5.0, 48_000), video=True, seconds=20.0)
    recording = read_recording(path)
    assert recording.seconds == pytest.approx(20.0, abs=0.05)
    assert not recording.samples[round(5.1 * 16_000) :].any()
    assert recording.notes == (
        "the pictures last 14.99 s longer than the sound: the rest is taken as silence",
    )


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
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


def test_a_video_without_sound_is_rejected(tmp_path: Path) -> None:
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
def test_a_broken_download_is_rejected(tmp_path: Path, talk: Signal, suffix: str, share: float) -> None:
    path = media_samples.cut(write_media(tmp_path / f"talk{suffix}", talk, video=suffix == ".mp4"), share)
    with pytest.raises(InputError) as caught:
        read_recording(path)
    assert caught.value.code == "media_truncated"
    assert "30.0 s" in caught.value.message


def test_an_mp4_without_its_index_is_reported_as_cut_off(tmp_path: Path, talk: Signal) -> None:
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
def test_damage_in_the_middle_is_never_a_traceback(tmp_path: Path, talk: Signal, suffix: str) -> None:
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
def test_spans_are_at_their_times(tmp_path: Path, talk: Signal, suffix: str) -> None:
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


# Hostile files.

ROOT = Path(__file__).parents[2]
CORPUS = sorted((ROOT / "tests" / "corpus" / "media").iterdir())


@pytest.fixture(scope="module")
def reader() -> Iterator[MediaReader]:
    with MediaReader(timeout=20) as reader:
        yield reader


def rejection(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_recording(path)
    assert caught.value.message.isprintable()
    return caught.value


# Corpus and fuzzer.


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_files_that_once_failed_are_read_or_rejected(reader: MediaReader, path: Path) -> None:
    outcome = reader.read(path)
    assert not outcome.bad, outcome


def test_a_few_thousand_mutants_are_read_or_refused() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_media.py"), "--seconds", "5", "--seed", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '"findings": []' in done.stdout


def test_a_reader_that_dies_or_hangs_is_detected(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with MediaReader(timeout=0.5) as reader:
        reader._process.kill()
        assert reader.read(tmp_path / "a.wav").kind == "crash"
        assert reader.read(tmp_path / "a.wav").kind == "refused"
        os.kill(reader._process.pid, 19)  # SIGSTOP
        assert reader.read(tmp_path / "a.wav").kind == "hang"
    with MediaReader(timeout=20, max_bytes=1) as reader:
        assert reader.read(tmp_path / "a.wav").kind == "memory"


# False headers.


def wav_header(*, rate: int = 16_000, channels: int = 1, size: int = 64_000) -> bytes:
    align = 2 * channels & 0xFFFF
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * align & 0xFFFF_FFFF, align, 16)
    return b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size)


def au_header(*, rate: int = 16_000, channels: int = 1, size: int = 64_000) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, rate, channels)


def flac_header(*, rate: int = 16_000, samples: int) -> bytes:
    packed = rate << 44 | 15 << 36 | samples
    return (
        b"fLaC\x80\0\0\x22"
        + struct.pack(">HH", 4096, 4096)
        + bytes(6)
        + packed.to_bytes(8, "big")
        + bytes(16)
    )


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (wav_header(size=2**31 - 64_000), "media_too_long"),
        (wav_header(channels=65_535), "media_channels"),
        (wav_header(channels=65), "media_channels"),
        (wav_header(channels=0), "media_channels"),
        (wav_header(rate=1), "media_rate"),
        (wav_header(rate=10**9), "media_rate"),
        (au_header(channels=2**31), "media_truncated"),
        (au_header(rate=2**31 - 1), "media_rate"),
        (flac_header(samples=2**31), "media_too_long"),
        (flac_header(samples=2**36 - 1), "media_too_long"),
    ],
)
def test_an_impossible_header_is_rejected_at_once(
    tmp_path: Path, reader: MediaReader, header: bytes, code: str
) -> None:
    (tmp_path / "a").write_bytes(header + np.full(32_000, 3000, "<i2").tobytes())
    outcome = reader.read(tmp_path / "a")
    assert (outcome.kind, outcome.detail) == ("refused", code)
    assert rejection(tmp_path / "a").exit_code == 2


@pytest.mark.parametrize("box", [b"mdhd", b"mvhd"])
def test_an_mp4_that_declares_days_does_not_allocate_them(
    tmp_path: Path, reader: MediaReader, box: bytes
) -> None:
    path = write_media(tmp_path / "a.mp4", syllables(2.0, 48_000))
    data = bytearray(path.read_bytes())
    # Version and flags, two dates, the time scale; then the duration.
    struct.pack_into(">I", data, data.index(box) + 4 + 16, 2**31 - 1)
    path.write_bytes(data)
    outcome = reader.read(path)
    assert outcome.kind == "refused" or outcome.detail.startswith("2.0")
    assert outcome.peak_bytes < 500e6


def test_the_first_of_a_hundred_audio_streams_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(100)]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(
                (tone(0.5) * 32_767).astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(stream.encode(frame))
    recording = read_recording(path)
    assert recording.seconds == 0.5
    np.testing.assert_allclose(recording.samples, tone(0.5), atol=1e-3)


def test_a_picture_of_any_size_is_never_decoded(tmp_path: Path, reader: MediaReader) -> None:
    path = write_media(tmp_path / "song.mp3", syllables(2.0, 48_000))
    path.write_bytes(id3_tag(vast_png()) + path.read_bytes())
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["png"]
    outcome = reader.read(path)
    assert outcome.kind == "read" and outcome.peak_bytes < 500e6
    assert not read_recording(path).has_video


def vast_png() -> bytes:
    """A picture of 100,000 x 100,000 points, all of them black."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    lines = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def id3_tag(picture: bytes) -> bytes:
    """An ID3v2.3 tag with a cover."""
    body = b"\0image/png\0\x03\0" + picture
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    seven_bits = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + seven_bits + frame


# Playlists and addresses.


class Listener:
    """A port of this machine that counts who calls."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self.calls = 0
        self._ended = False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.calls += 1
            connection.close()

    def end(self) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "a.m3u": "{target}\n",
    "a.pls": "[playlist]\nNumberOfEntries=1\nFile1={target}\n",
    "a.ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "late.ffconcat": "\ufeffffconcat version 1.0\nfile '{target}'\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "a.strm": "{target}\n",
    "a.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="1"><BaseURL>{target}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "a.xspf": '<?xml version="1.0"?><playlist><trackList><track><location>{target}</location></track>'
    "</trackList></playlist>",
    "a.idx": "# VobSub index file, v7\nid: en, index: 0\n",
}


@pytest.mark.parametrize("scheme", ["file", "relative", "http"])
@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("disguise", ["", ".wav"])
def test_playlists_open_no_other_file_or_address(
    tmp_path: Path, name: str, scheme: str, disguise: str
) -> None:
    canary = write_wav(tmp_path / "canary.wav", tone(1.0))
    os.utime(canary, (1, 1))  # Whoever reads it changes the time of access, where the system keeps it.
    listener = Listener()
    try:
        target = {
            "file": f"file://{canary}",
            "relative": "canary.wav",
            "http": f"http://127.0.0.1:{listener.port}/canary.wav",
        }[scheme]
        path = tmp_path / (name + disguise)
        path.write_text(PLAYLISTS[name].format(target=target, port=listener.port), encoding="utf-8")
        assert rejection(path).code in ("media_playlist", "media_not_media")
        assert listener.calls == 0
    finally:
        listener.end()


@pytest.mark.parametrize("suffix", sorted(RARER_CODECS))
def test_rare_containers_are_read(tmp_path: Path, suffix: str) -> None:
    path = write_media(tmp_path / f"a{suffix}", syllables(5.0, 48_000), video=suffix in (".avi", ".ts"))
    recording = read_recording(path)
    assert recording.seconds == pytest.approx(5.0, abs=0.15)
    assert recording.has_video == (suffix in (".avi", ".ts"))


@pytest.mark.parametrize(
    "name", ["w64", "caf", "voc", "nist", "avr", "ircam", "pvf", "svx"], ids=lambda name: str(name)
)
def test_formats_of_speech_corpora_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    soundfile.write(path, tone(1.0), 16_000, format=name.upper(), subtype="PCM_16")
    assert read_recording(path).seconds == 1.0


# Long recordings.


def silence(path: Path, hours: float, rate: int) -> Path:
    """A flac of digital silence: one of its frames, over and over, without a length in the header."""
    seed = path.with_name("seed.flac")
    soundfile.write(seed, np.zeros(4096 * 3, np.int16), rate, subtype="PCM_16")
    packets = []
    with av.open(str(seed)) as source:
        packets = [bytes(packet) for packet in source.demux() if packet.size]
    frames = round(hours * 3600 * rate / 4096)
    path.write_bytes(flac_header(rate=rate, samples=0) + packets[0] * frames)
    return path


def test_hours_of_silence_in_a_small_file_are_bounded_during_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = silence(tmp_path / "bomb.flac", hours=24, rate=16_000)
    assert path.stat().st_size < 6e6
    monkeypatch.setattr(audio_reader, "MAX_HOURS", 0.5)
    seconds_read: list[float] = []
    with pytest.raises(InputError) as caught:
        read_recording(path, lambda event: seconds_read.append(event.completed))
    assert caught.value.code == "media_too_long" and "is longer than 0.5 hours" in caught.value.message
    assert 1790 < seconds_read[-1] <= 1801


def test_a_recording_of_more_than_twelve_hours_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_media(tmp_path / "a.ts", syllables(6.0, 48_000))
    monkeypatch.setattr(audio_reader, "MAX_HOURS", 7 / 3600)
    assert read_recording(path).seconds > 5
    monkeypatch.setattr(audio_reader, "MAX_HOURS", 4 / 3600)
    error = rejection(path)
    assert error.code == "media_too_long" and "cut it into parts" in error.message
    with pytest.raises(InputError):
        read_spans(path, [(0.0, 5.5)])


# Special files and links.


@pytest.mark.parametrize(
    "name", ["-i.wav", "--help", "%d%s%n.wav", "pipe:0", "a:b\\c|d.wav", "two\nlines.wav"]
)
def test_a_name_is_never_an_address(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(tmp_path / "a.wav", tone(0.5)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_recording(Path(name)).seconds == 0.5
    Path(name).write_bytes(b"no sound at all")
    assert rejection(Path(name)).code == "media_not_media"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random", "/dev/tty"])
def test_a_device_is_rejected(device: str) -> None:
    if not os.path.exists(device):
        pytest.skip(f"there is no {device} here")
    assert rejection(Path(device)).code == "media_not_a_file"


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "to a pipe"])
def test_special_files_are_rejected_without_waiting(tmp_path: Path, reader: MediaReader, kind: str) -> None:
    path = tmp_path / "it"
    if kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.close()
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    if kind == "to a pipe":
        path.rename(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    outcome = reader.read(path)
    assert outcome.kind == "refused" and outcome.detail in ("media_not_a_file", "media_is_folder")


def test_links_that_lead_nowhere_or_round_in_circles_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "lost").symlink_to(tmp_path / "nothing")
    assert rejection(tmp_path / "one").code == "media_unreadable"
    assert rejection(tmp_path / "lost").code == "media_missing"
    assert rejection(tmp_path / "a\0b").code == "media_missing"
    assert rejection(tmp_path / ("x" * 300)).code == "media_unreadable"


def test_a_link_to_a_recording_is_the_recording(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(0.5))
    (tmp_path / "link").symlink_to(tmp_path / "a.wav")
    assert read_recording(tmp_path / "link").seconds == 0.5


def test_a_file_that_grows_while_it_is_read_has_its_declared_length(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(60.0))
    more = path.read_bytes()[44:]

    def grow(event: object) -> None:
        with path.open("ab") as file:
            file.write(more)

    assert read_recording(path, grow).seconds == 60.0


def test_a_file_that_shrinks_while_it_is_read_is_reported_as_cut_off(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(60.0))
    with pytest.raises(InputError) as caught:
        read_recording(path, lambda event: os.truncate(path, 32_000 * 20))
    assert caught.value.code == "media_truncated"


def test_the_reader_reports_its_outcome(tmp_path: Path, reader: MediaReader) -> None:
    good = reader.read(write_wav(tmp_path / "a.wav", tone(0.5)))
    assert isinstance(good, Outcome) and (good.kind, good.detail, good.bad) == ("read", "0.50 s", False)
    assert time.monotonic() > good.seconds > 0
    shutil.rmtree(tmp_path)
    assert reader.read(tmp_path / "a.wav").detail == "media_missing"
