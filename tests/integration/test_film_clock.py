"""One clock: lines, subtitles and the new sound of a film have the times that a player shows."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from media_samples import Signal, tone, write_wav
from timed_films import FILMS, SHORT, TimedFilm, dub, make_film, original_errors
from video_samples import Film, noise, tracks, write_film
from voiceclone_cli.audio.film import ROUND_SECONDS
from voiceclone_cli.audio.reader import open_audio, read_recording, read_spans
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.run import run
from voiceclone_cli.types import AudioChoice

CLOCK_STARTS_ANEW = TimedFilm("anew.ts", sound_start=1.5, clock=float(ROUND_SECONDS) - 5)


@pytest.mark.parametrize(
    "film",
    [*(film for film in FILMS if film.name in SHORT), CLOCK_STARTS_ANEW],
    ids=lambda film: film.name,
)
def test_a_clone_sounds_with_its_subtitle(tmp_path: Path, film: TimedFilm) -> None:
    source, played = make_film(tmp_path, film)
    assert max(map(abs, original_errors(read_recording(source), played, film))) <= 0.012
    _, lines = dub(tmp_path, source, film)
    assert [line.subtitle for line in lines] == [line.start for line in lines] == list(film.lines)
    assert max(line.error for line in lines) <= 0.002


def test_spans_and_channels_are_on_the_same_time_line(tmp_path: Path) -> None:
    film = TimedFilm("late_hole.mkv", sound_start=1.5, hole=4.0)
    source, _ = make_film(tmp_path, film)
    recording = read_recording(source)
    with open_audio(source) as stream:
        whole = np.concatenate(list(stream.channel_blocks()))[:, 0]
    assert len(whole) == recording.source_frames
    (span,) = read_spans(source, [(1.0, 11.0)])
    np.testing.assert_array_equal(span, whole[48_000:528_000])
    assert (
        not whole[: round(1.49 * 48_000)].any() and not whole[round(4.1 * 48_000) : round(8.9 * 48_000)].any()
    )


def test_sound_without_pictures_is_as_decoded(tmp_path: Path) -> None:
    film = TimedFilm("hole.mkv", hole=3.0)
    source, _ = make_film(tmp_path, film)
    alone = tmp_path / "alone.mka"
    with av.open(str(source)) as old, av.open(str(alone), "w", format="matroska") as new:
        track = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux(old.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                new.mux(packet)
    recording = read_recording(alone)
    assert recording.seconds == pytest.approx(film.seconds - 5, abs=0.05)
    assert (recording.moved_frames, recording.notes, recording.identity) == (0, (), "")


def test_a_line_after_the_sound_but_within_the_pictures_is_spoken(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(12.0, sounds=[noise(5.0)]))
    film = TimedFilm("film.mp4", lines=(1.0, 9.0))
    _, lines = dub(tmp_path, source, film)
    assert max(line.error for line in lines) <= 0.002


def test_a_run_on_another_track_uses_no_result_of_the_first(tmp_path: Path) -> None:
    sounds = [noise(12.0, seed=1), 0.25 * noise(12.0, seed=2)]
    source = write_film(tmp_path / "film.mkv", Film(12.0, sounds=sounds))
    (tmp_path / "a.srt").write_text("1\n00:00:04,000 --> 00:00:06,000\nHello.\n")
    (tmp_path / "a.rttm").write_text("SPEAKER x 1 0 8 <NA> <NA> A <NA> <NA>\n")

    def document(track: str | None) -> dict[str, object]:
        settings = resolve({"engine": "echo", "audio_track": track}, environ={})
        request = RunRequest(source, settings, tmp_path / "run", tmp_path / "a.srt", tmp_path / "a.rttm")
        result = run(request)
        assert result.exit_code == 0
        return result.document

    first, again, second = document(None), document("1"), document("fra")
    assert "casting" in again["reused_stages"] and "casting" not in second["reused_stages"]
    assert first["input"]["audio"] == {"track": "1", "channel": None}
    assert second["input"]["audio"] == {"track": "2", "channel": None}
    assert second["notes"][0].startswith("2 audio tracks: 1 eng")
    # Its level and its references are those of the second track, and so is the original of the report.
    original = read_recording(Path(second["outputs"]["original"])).samples
    assert np.abs(original).max() == pytest.approx(np.abs(sounds[1]).max(), rel=0.1)


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_the_original_that_is_kept_is_in_time_with_the_pictures(tmp_path: Path, suffix: str) -> None:
    film = TimedFilm(f"film{suffix}", sound_start=1.5, clock=60.0)
    source, _ = make_film(tmp_path, film)
    out, _ = dub(tmp_path, source, film, keep_original_audio=True)
    (picture, new, kept), (old_picture, old) = tracks(out)[:3], tracks(source)
    assert min(picture.times) == pytest.approx(0, abs=0.001) and min(new.times) == 0
    assert kept.payloads == old.payloads
    assert float(
        min(kept.times) - min(old.times) - min(picture.times) + min(old_picture.times)
    ) == pytest.approx(0, abs=0.001)


# Channels in opposite phase


def stereo(path: Path, left: Signal, right: Signal) -> Path:
    return write_wav(path, np.stack([left, right], axis=1), subtype="FLOAT")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "DOUBLE"])
def test_cancelled_channels_are_found_in_any_sample_format(tmp_path: Path, subtype: str) -> None:
    speech = tone(1.0)
    path = write_wav(tmp_path / "a.wav", np.stack([speech, -speech], axis=1), subtype=subtype)
    np.testing.assert_allclose(np.abs(read_recording(path).samples), np.abs(speech), atol=0.01)


@pytest.mark.parametrize("factor", [-1.0, -0.8, -1.1])
def test_channels_that_cancel_each_other_out_are_read_as_the_louder(tmp_path: Path, factor: float) -> None:
    speech = tone(3.0)
    path = stereo(tmp_path / "a.wav", speech, factor * speech)
    recording = read_recording(path)
    channel = 1 if factor == -1.1 else 0
    np.testing.assert_allclose(recording.samples, (speech, factor * speech)[channel], atol=1e-6)
    assert recording.audio == AudioChoice("1", channel)
    assert recording.notes == (
        "the channels of the sound cancel each other out (opposite polarity): "
        f"only channel {channel + 1} of them is used as the original",
    )
    (span,) = read_spans(path, [(1.0, 2.0)], recording.audio)
    np.testing.assert_array_equal(span, recording.samples[16_000:32_000])


def test_other_stereo_stays_the_mean_of_its_channels(tmp_path: Path) -> None:
    left, right = noise(2.0, seed=1, rate=16_000), noise(2.0, seed=2, rate=16_000)
    pairs = [(left, right), (left, left), (left, 0 * left), (left, right - 0.7 * left)]
    for number, (a, b) in enumerate(pairs):
        recording = read_recording(stereo(tmp_path / f"{number}.wav", a, b))
        np.testing.assert_allclose(recording.samples, (a + b) / 2, atol=1e-6)
        assert (recording.audio.channel, recording.notes) == (None, ())


def test_silence_in_both_channels_is_still_silence(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_recording(stereo(tmp_path / "a.wav", 0 * tone(1.0), 0 * tone(1.0)))
    assert caught.value.code == "media_silent"


def test_a_file_with_a_cover_has_no_film_time(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mkv", Film(2.0, sound_start=1.0))
    with av.open(str(source)) as old, av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as new:
        track = new.add_stream_from_template(old.streams.audio[0])
        cover = new.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        picture.pts = 0
        new.mux(cover.encode(picture.reformat(format="yuvj420p")))
        new.mux(cover.encode(None))
        for packet in old.demux(old.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                new.mux(packet)
    recording = read_recording(tmp_path / "song.m4a")
    assert recording.seconds == pytest.approx(2.0, abs=0.05) and not recording.moved_frames
