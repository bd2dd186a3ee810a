"""Dubbed videos: pictures, new sound, what is kept of the original, caching and errors."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from av.stream import Disposition

from small_disk import small_disk
from video_samples import (
    RATE,
    Film,
    decoded,
    kinds,
    lag,
    noise,
    remux,
    rotate,
    tracks,
    write_film,
    write_mix,
)
from voiceclone_cli.audio.reader import read_recording
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment, no_progress
from voiceclone_cli.video.mux import Dub, Video, cached_video, write_video
from voiceclone_cli.video.source import output_suffix

SCRIPT = Script(
    (
        Segment("0001", "SPEAKER_00", 0.5, 1.25, "¿Quién eres?", "es"),
        Segment("0002", "SPEAKER_01", 1.0, 2.0, "Nadie.", "es"),
    )
)
SUFFIXES = [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"]


def dub(
    source: Path,
    mix: np.ndarray | None = None,
    *,
    rate: int | None = None,
    subtitles: Script | None = None,
    keep: bool = False,
    tags: Mapping[str, str] = {},
    progress: Progress = no_progress,
) -> Path:
    """Write the dubbed video beside its source; without a mix, noise as long as the recording."""
    recording = read_recording(source)
    if mix is None:
        mix = noise(recording.seconds, seed=7, rate=recording.source_rate)
    wav = source.with_name("mix.wav")
    write_mix(wav, mix, rate or recording.source_rate)
    out = source.with_name("output" + output_suffix(source, keep_original_audio=keep))
    video = write_video(
        source,
        [Dub(wav, "es", subtitles)],
        out,
        keep_original_audio=keep,
        tags=tags,
        progress=progress,
    )
    assert video == Video(out, video.sha256) and not list(source.parent.glob(".*"))
    return out


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(container.streams.video[0])]


# Pictures


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_are_copied_exactly_with_their_times(tmp_path: Path, suffix: str) -> None:
    source = write_film(
        tmp_path / f"film{suffix}", Film(b_frames=2 if suffix in (".mp4", ".mkv", ".ts") else 0)
    )
    (before,) = [track for track in tracks(source) if track.kind == "video"]
    (after,) = [track for track in tracks(dub(source)) if track.kind == "video"]
    assert after.payloads == before.payloads
    # The clock of a broadcast has any start; that of the output starts at zero.
    shift = before.times[0] - after.times[0]
    assert shift == 0 or suffix == ".ts"
    assert all(old - new == shift for old, new in zip(before.times, after.times, strict=True))
    assert after.codec == before.codec


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", ".mp4"), ("libx264", ".ts"), ("libx265", ".mp4"), ("libx265", ".ts")]
)
def test_pictures_of_modern_codecs_decode_to_the_same(tmp_path: Path, codec: str, suffix: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    source = write_film(tmp_path / f"film{suffix}", Film(seconds=1.5, codec=codec, b_frames=2))
    out = dub(source)
    # Broadcasts divide packets differently from files, so the decoded pictures are compared.
    assert pictures(out) == pictures(source)
    if suffix == ".mp4":
        assert tracks(out)[0].payloads == tracks(source)[0].payloads
        with av.open(str(out)) as new, av.open(str(source)) as old:
            assert (
                new.streams.video[0].codec_context.codec_tag == old.streams.video[0].codec_context.codec_tag
            )


def test_uneven_picture_times_are_kept(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(uneven=True))
    out = dub(source)
    assert len({b - a for a, b in itertools.pairwise(tracks(source)[0].times)}) > 1
    assert tracks(out)[0].times == tracks(source)[0].times


def test_rotation_is_kept(tmp_path: Path) -> None:
    source = rotate(write_film(tmp_path / "film.mp4"))
    angles = []
    for path in (source, dub(source)):
        with av.open(str(path)) as container:
            angles.append(next(container.decode(video=0)).rotation)
    assert angles[0] == angles[1] != 0


def test_pictures_without_decoding_times_keep_their_order(tmp_path: Path) -> None:
    if "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libx264")
    # Matroska keeps no decoding times, and those of H.264 with B-frames are not known without decoding it.
    source = write_film(
        tmp_path / "film.mkv", Film(codec="libx264", b_frames=5, x264="b-adapt=0:b-pyramid=normal")
    )
    out = dub(source)
    times = tracks(source)[0].times
    assert sum(later < earlier for earlier, later in itertools.pairwise(times)) > 2
    assert pictures(out) == pictures(source)
    assert tracks(out)[0].times == tracks(source)[0].times


def test_unsupported_codec_is_refused_early(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.asf")
    with pytest.raises(InputError, match="wmv2") as caught:
        output_suffix(source, keep_original_audio=False)
    assert caught.value.code == "video_codec"


@pytest.mark.parametrize(("suffix", "codec"), [(".mov", "prores_ks"), (".mp4", "libvpx-vp9")])
def test_codecs_that_mp4_cannot_hold_are_written_to_matroska(tmp_path: Path, suffix: str, codec: str) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(1.0, codec=codec))
    assert output_suffix(source, keep_original_audio=False) == ".mkv"
    assert tracks(dub(source))[0].payloads == tracks(source)[0].payloads


# Sound


def track_times(path: Path, kind: str) -> Sequence[Fraction]:
    """Return the times of the packets of the first track of a kind."""
    return next(track for track in tracks(path) if track.kind == kind).times


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("picture_start", "sound_start"), [(0.0, 0.0), (0.0, 0.4321), (0.0, 2.0), (0.32, 0.0)]
)
def test_new_sound_starts_with_the_film_as_subtitles_do(
    tmp_path: Path, suffix: str, picture_start: float, sound_start: float
) -> None:
    original = noise(2.5, seed=1)
    film = Film(2.5, picture_start, sound_start, sounds=[original])
    source = write_film(tmp_path / f"film{suffix}", film)
    recording = read_recording(source)
    mix = noise(recording.seconds, seed=2)[: recording.source_frames]
    out = dub(source, mix, subtitles=SCRIPT)
    start, rate, sound = decoded(out)
    assert abs(start + Fraction(lag(sound[:, 0], mix), rate)) * rate < 1
    assert subtitles_of(out, 0)[0][0] == 0.5
    # The recording has its sound at the time of the pictures with which a player shows it.
    if suffix != ".avi":  # whose muxer forgets when a track starts
        shown = lag(recording.samples, soxr.resample(original, RATE, 16_000)) / 16_000
        first_picture = float(min(track_times(out, "video")))
        assert shown - first_picture == pytest.approx(sound_start - picture_start, abs=0.003)


def test_sound_in_matroska_is_lossless(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mkv")
    mix = noise(read_recording(source).seconds, seed=3)
    out = dub(source, mix)
    start, rate, sound = decoded(out)
    values = write_mix(tmp_path / "again.wav", mix)
    assert (start, rate) == (0, RATE)
    np.testing.assert_array_equal(sound[: len(values), 0], values)
    assert not sound[len(values) :].any()


def test_gap_in_the_original_is_silence_and_leaves_the_mix_whole(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", Film(4.0))
    source = remux(
        whole,
        tmp_path / "film.mkv",
        moved=lambda packet: (
            2.0 if packet.stream.type == "audio" and packet.pts * packet.time_base > 2 else 0.0
        ),
    )
    recording = read_recording(source)
    assert recording.seconds == pytest.approx(6.0, abs=0.05)
    assert not recording.samples[round(2.1 * 16_000) : round(3.9 * 16_000)].any()
    assert recording.notes == ("a hole of 2.00 s in the sound at 2.01 s is taken as silence",)
    mix = noise(recording.seconds, seed=4)
    _, _, sound = decoded(dub(source, mix))
    assert lag(sound[:, 0], mix[:RATE]) == 0
    assert lag(sound[:, 0], mix[-RATE:]) == len(mix) - RATE


@pytest.mark.parametrize("rate", [16_000, 22_050, 32_000, 33_075, 96_000])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_mix_of_any_rate_is_aligned(tmp_path: Path, suffix: str, rate: int) -> None:
    source = write_film(tmp_path / f"film{suffix}")
    mix = noise(read_recording(source).seconds, seed=5, rate=rate)
    start, track_rate, sound = decoded(dub(source, mix, rate=rate))
    assert start == 0
    assert lag(sound[:, 0], soxr.resample(mix, rate, track_rate)) == 0


@pytest.mark.parametrize(
    ("codec", "layout"),
    [("aac", "stereo"), ("aac", "5.1"), ("ac3", "5.1(side)"), ("aac", "7.1"), ("aac", "quad")],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_channel_layout_of_the_original_is_kept(tmp_path: Path, suffix: str, codec: str, layout: str) -> None:
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
    _, _, sound = decoded(out)
    for channel in range(before.nb_channels):
        if "LFE" not in before.channels[channel].name:
            assert lag(sound[:, channel], mix[:, channel]) == 0


def test_unnamed_channel_layout_becomes_the_default(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(1.0, channels="5.1(side)"))
    with av.open(str(source)) as container:
        assert container.streams.audio[0].layout.name == "6 channels"
    mix = np.stack([noise(read_recording(source).seconds, seed) for seed in range(6)], axis=1)
    with av.open(str(dub(source, mix))) as container:
        assert container.streams.audio[0].layout.name == "5.1"


# Several languages


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_each_language_has_a_track_and_the_first_is_the_default(tmp_path: Path, suffix: str) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(sound_start=0.5))
    dubs, mixes = [], []
    for seed, language in enumerate(("fr", "es-419", "zh-Hans")):
        wav = tmp_path / f"{language}.wav"
        mixes.append(write_mix(wav, noise(read_recording(source).seconds, seed=seed)))
        dubs.append(Dub(wav, language, SCRIPT if seed else None))
    out = tmp_path / f"output{suffix}"
    write_video(source, dubs, out, keep_original_audio=True, tags={}, progress=no_progress)
    assert kinds(out) == ["video", *["audio"] * 4, *["subtitle"] * 2]
    _, *sounds, first, second = tracks(out)
    codes = ["fra", "spa", "zho"] if suffix == ".mp4" else ["fre", "spa", "chi"]
    assert [sound.metadata["language"] for sound in sounds] == [*codes, "eng"]
    assert [track.metadata["language"] for track in (first, second)] == codes[1:]
    assert [bool(sound.disposition & Disposition.default) for sound in sounds] == [True, False, False, False]
    title = "handler_name" if suffix == ".mp4" else "title"
    assert sounds[1].metadata[title] == "Spanish (es-419), dubbed by voiceclone (synthetic voices)"
    assert second.metadata[title] == "Chinese (zh-Hans), script"
    for number, mix in enumerate(mixes):
        start, _, sound = decoded(out, number)
        assert start == 0 and lag(sound[:, 0], mix) == 0


# What is kept of the original


def test_original_sound_is_dropped_by_default(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(sounds=[noise(3, 1), noise(3, 2)]))
    assert kinds(dub(source)) == ["video", "audio"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_original_sound_can_be_kept_behind_the_new(tmp_path: Path, suffix: str) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(sounds=[noise(3, 1), noise(3, 2)]))
    out = dub(source, keep=True)
    assert kinds(out) == ["video", "audio", "audio", "audio"]
    _, new, first, second = tracks(out)
    _, *originals = tracks(source)
    assert new.disposition & Disposition.default
    assert not (first.disposition | second.disposition) & Disposition.default
    assert [first.payloads, second.payloads] == [track.payloads for track in originals]
    title = "handler_name" if suffix == ".mp4" else "title"
    assert new.metadata[title] == "Dubbed by voiceclone (synthetic voices)"
    assert first.metadata[title] == "Original"
    assert [track.metadata["language"] for track in (new, first)] == ["spa", "eng"]
    # The original is still in time with the pictures.
    moments = [
        decoded(path, track)[0] - min(tracks(path)[0].times) for path, track in ((out, 1), (source, 0))
    ]
    assert abs(moments[0] - moments[1]) <= Fraction(1, 1000)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mov_text"), (".mkv", "subrip")])
def test_script_becomes_another_subtitle_track(tmp_path: Path, suffix: str, codec: str) -> None:
    film = write_film(tmp_path / f"bare{suffix}")
    source = remux(film, tmp_path / f"film{suffix}", first=[(codec, [(0.25, 1.0, "Who are you?")])])
    out = dub(source, subtitles=SCRIPT)
    assert kinds(out) == ["video", "audio", "subtitle", "subtitle"]
    assert subtitles_of(out, 0) == [
        (0.5, 1.0, "¿Quién eres?"),
        (1.0, 1.25, "- ¿Quién eres?\n- Nadie."),
        (1.25, 2.0, "Nadie."),
    ]
    assert subtitles_of(out, 1) == [(0.25, 1.0, "Who are you?")]
    assert tracks(out)[2].metadata["language"] == "spa"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_long_chinese_line_is_shown_in_two_rows_at_a_time(tmp_path: Path, suffix: str) -> None:
    text = "上个月的销售额是三百二十万元,比去年同期增长了百分之十五,这个成绩很不错,不过客户的投诉也增加了."
    line = Segment("0001", "李娜", 0.0, 2.0, text, "zh")
    shown = subtitles_of(dub(write_film(tmp_path / f"film{suffix}"), subtitles=Script((line,))), 0)
    assert [rows for _, _, rows in shown] == [
        "上个月的销售额是三百二十万元，\n比去年同期增长了百分之十五，",
        "这个成绩很不错，不过客户的投诉也增加了。",
    ]
    assert (shown[0][0], shown[1][1]) == (0.0, 2.0)
    assert shown[0][1] == shown[1][0] == pytest.approx(1.18, abs=0.03)


def subtitles_of(path: Path, track: int) -> list[tuple[float, float, str]]:
    shown = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[track]
        for packet in container.demux(stream):
            data = bytes(packet)
            text = data[2 : 2 + int.from_bytes(data[:2])] if stream.codec_context.name == "mov_text" else data
            if text:
                start = float(packet.pts * packet.time_base)
                shown.append((start, start + float(packet.duration * packet.time_base), text.decode()))
    return shown


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_chapters_metadata_covers_and_other_pictures_are_kept(tmp_path: Path, suffix: str) -> None:
    film = Film(pictures=2, metadata={"title": "Film", "artist": "Ada", "comment": "Take 3"})
    bare = write_film(tmp_path / f"bare{suffix}", film)
    chapter = {"id": 1, "start": 0, "end": 1500, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}
    source = remux(bare, tmp_path / f"film{suffix}", lambda output: output.set_chapters([chapter]))
    if suffix == ".mkv":
        source = remux(
            source, tmp_path / "more.mkv", lambda output: (output.set_chapters([chapter]), attach(output))
        )
    out = dub(source, tags={"comment": "Synthetic voices", "digital_source_type": "x"})
    assert [track.payloads for track in tracks(out) if track.kind == "video"] == [
        track.payloads for track in tracks(source) if track.kind == "video"
    ]
    with av.open(str(out)) as container:
        words = {key.lower(): value for key, value in container.metadata.items()}
        (kept,) = container.chapters()
        attachments = {stream.name: stream.data for stream in container.streams.attachments}
    assert kept["metadata"]["title"] == "One"
    assert (kept["end"] * kept["time_base"]) == Fraction(3, 2)
    assert (words["title"], words["artist"]) == ("Film", "Ada")
    assert words["comment"] == "Synthetic voices | Take 3"
    assert "x" in (words["digital_source_type"] if suffix == ".mkv" else words["keywords"])
    if suffix == ".mkv":
        assert attachments == {"Font.ttf": b"a font"}
        assert tracks(out)[-1].disposition & Disposition.attached_pic


def attach(output: av.container.OutputContainer) -> None:
    output.add_attachment("Font.ttf", "application/x-truetype-font", b"a font")
    output.add_attachment("cover.png", "image/png", PNG)


def png() -> bytes:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 4, 4, "rgb24"
    encoder.time_base = Fraction(1, 1)
    (packet,) = encoder.encode(av.VideoFrame.from_ndarray(np.zeros((4, 4, 3), np.uint8), format="rgb24"))
    return bytes(packet)


PNG = png()


def test_cover_of_an_mp4_is_kept(tmp_path: Path) -> None:
    def with_cover(output: av.container.OutputContainer) -> None:
        cover = output.add_stream("png", rate=1, width=4, height=4, pix_fmt="rgb24")
        cover.disposition = Disposition.attached_pic
        packet = av.Packet(PNG)
        packet.stream, packet.time_base, packet.pts, packet.dts = cover, Fraction(1, 1), 0, 0
        output.mux(packet)

    source = remux(write_film(tmp_path / "bare.mp4"), tmp_path / "film.mp4", with_cover)
    before, after = tracks(source)[-1], tracks(dub(source))[-1]
    assert before.disposition & Disposition.attached_pic
    assert (after.payloads, after.disposition) == (before.payloads, before.disposition)


def test_metadata_of_a_phone_is_kept(tmp_path: Path) -> None:
    film = write_film(tmp_path / "bare.mov")
    source = tmp_path / "film.mov"
    with (
        av.open(str(film)) as old,
        av.open(str(source), "w", options={"movflags": "use_metadata_tags"}) as new,
    ):
        new.metadata["com.apple.quicktime.make"] = "Acme"
        streams = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    with av.open(str(dub(source, tags={"comment": "Synthetic voices"}))) as container:
        words = container.metadata
    assert words["com.apple.quicktime.make"] == "Acme"
    assert words["comment"] == words["com.apple.quicktime.comment"] == "Synthetic voices"


# Files, caching, errors


def test_same_inputs_make_the_same_file(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        source = write_film(tmp_path / f"film{suffix}")
        first = dub(source, subtitles=SCRIPT).read_bytes()
        assert dub(source, subtitles=SCRIPT).read_bytes() == first


def test_progress_increases_to_the_end(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    dub(write_film(tmp_path / "film.mp4"), progress=events.append)
    done = [event.completed for event in events]
    assert done == sorted(done) and {event.stage for event in events} == {"video"}
    assert events[-1].completed == events[-1].total == pytest.approx(3.0, abs=0.05)


def test_truncated_video_is_refused(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4")
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(InputError) as caught:
        output_suffix(source, keep_original_audio=False)
    assert caught.value.code == "media_damaged"


def test_concat_list_is_not_followed(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4")
    listing = tmp_path / "list.mp4"
    listing.write_text("ffconcat version 1.0\nfile film.mp4\n")
    with pytest.raises(InputError) as caught:
        output_suffix(listing, keep_original_audio=False)
    assert caught.value.code == "media_damaged"


def test_missing_mix_is_reported_in_one_sentence(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4")
    with pytest.raises(RunError, match="run again") as caught:
        write_video(
            source,
            [Dub(tmp_path / "none.wav", None, None)],
            tmp_path / "output.mp4",
            keep_original_audio=False,
            tags={},
            progress=no_progress,
        )
    assert caught.value.code == "mix_unreadable"
    assert not (tmp_path / "output.mp4").exists() and not list(tmp_path.glob(".*"))


WRITE = """
import sys
from pathlib import Path
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import no_progress
from voiceclone_cli.video.mux import Dub, write_video
source, mix, out = map(Path, sys.argv[1:])
try:
    options = dict(keep_original_audio=False, tags={}, progress=no_progress)
    write_video(source, [Dub(mix, None, None)], out, **options)
except RunError as error:
    print(error.code, [path.name for path in out.parent.iterdir()])
"""


@pytest.mark.parametrize(("suffix", "kilobytes"), [(".mp4", 8), (".mp4", 150), (".mkv", 64)])
def test_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, suffix: str, kilobytes: int) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(10.0))
    mix = tmp_path / "mix.wav"
    write_mix(mix, noise(10.0))
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        done = subprocess.run(
            [*disk.prefix(), sys.executable, "-c", WRITE, source, mix, disk.path / f"output{suffix}"],
            capture_output=True,
            encoding="utf-8",
        )
    assert done.stdout.strip() == "disk_full []", (done.returncode, done.stderr)


class TestCache:
    def write(self, source: Path, stages: StageCache, **changes: object) -> bool:
        """Return whether the video was written, not reused."""
        reused = len(stages.reused)
        given = {"subtitles": SCRIPT, "language": "es", **changes}
        keep = given.pop("keep_original_audio", False)
        video = cached_video(
            source,
            [Dub(source.with_name("mix.wav"), **given)],
            source.with_name("output.mp4"),
            keep_original_audio=keep,
            tags={"comment": "a"},
            cache=stages,
            progress=no_progress,
        )
        assert len(video.sha256) == 64 and video.path.exists()
        return len(stages.reused) == reused

    def test_video_of_the_same_inputs_is_reused(self, tmp_path: Path) -> None:
        source = write_film(tmp_path / "film.mp4")
        write_mix(tmp_path / "mix.wav", noise(3.0))
        stages = StageCache(tmp_path, "input")
        assert self.write(source, stages)
        assert not self.write(source, stages)
        assert stages.reused == ["video"]

    def test_video_is_written_again_when_an_input_changed(self, tmp_path: Path) -> None:
        source = write_film(tmp_path / "film.mp4")
        write_mix(tmp_path / "mix.wav", noise(3.0))
        stages = StageCache(tmp_path, "input")
        self.write(source, stages)
        assert self.write(source, stages, subtitles=None)
        assert self.write(source, stages, subtitles=None, language="fr")
        assert self.write(source, stages, subtitles=None, language="fr", keep_original_audio=True)
        write_mix(tmp_path / "mix.wav", noise(3.0, seed=1))
        assert self.write(source, stages, subtitles=None, language="fr", keep_original_audio=True)
        (tmp_path / "output.mp4").write_bytes(b"edited")
        assert self.write(source, stages, subtitles=None, language="fr", keep_original_audio=True)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_ffprobe_reads_the_same(tmp_path: Path, suffix: str) -> None:
    source = write_film(tmp_path / f"film{suffix}")
    out = dub(source, subtitles=SCRIPT, keep=True, tags={"comment": "Synthetic voices"})
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-print_format", "json", "-show_streams", "-show_format", out],
        capture_output=True,
        check=True,
    )
    found = json.loads(done.stdout)
    words = {key.lower(): value for key, value in found["format"]["tags"].items()}
    assert words["comment"] == "Synthetic voices"
    assert [stream["codec_type"] for stream in found["streams"]] == ["video", "audio", "audio", "subtitle"]
    _, new, original, script = found["streams"]
    assert new["disposition"]["default"] and not original["disposition"]["default"]
    assert new["tags"]["language"] == script["tags"]["language"] == "spa"
    assert float(new["start_time"]) == 0
