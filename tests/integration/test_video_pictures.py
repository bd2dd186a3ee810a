"""The pictures of a dubbed video are those of the original, at their times."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import pytest

from dubbing import COPIED, dub, pictures
from video_samples import (
    Film,
    rotate,
    tracks,
    write_film,
)
from voiceclone_cli.errors import InputError
from voiceclone_cli.video.source import output_suffix


@pytest.mark.parametrize("suffix", COPIED)
def test_pictures_are_copied_bit_by_bit_at_their_times(tmp_path: Path, suffix: str) -> None:
    source = write_film(
        tmp_path / f"film{suffix}", Film(b_frames=2 if suffix in (".mp4", ".mkv", ".ts") else 0)
    )
    (before,) = [track for track in tracks(source) if track.kind == "video"]
    (after,) = [track for track in tracks(dub(source)) if track.kind == "video"]
    assert after.payloads == before.payloads
    # A broadcast's clock begins anywhere; the output's at zero.
    shift = before.times[0] - after.times[0]
    assert shift == 0 or suffix == ".ts"
    assert all(old - new == shift for old, new in zip(before.times, after.times, strict=True))
    assert after.codec == before.codec


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", ".mp4"), ("libx264", ".ts"), ("libx265", ".mp4"), ("libx265", ".ts")]
)
def test_modern_pictures_look_the_same(tmp_path: Path, codec: str, suffix: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    source = write_film(tmp_path / f"film{suffix}", Film(seconds=1.5, codec=codec, b_frames=2))
    out = dub(source)
    # Broadcasts divide their packets otherwise than files do, so it is the pictures that count.
    assert pictures(out) == pictures(source)
    if suffix == ".mp4":
        assert tracks(out)[0].payloads == tracks(source)[0].payloads
        with av.open(str(out)) as new, av.open(str(source)) as old:
            assert (
                new.streams.video[0].codec_context.codec_tag == old.streams.video[0].codec_context.codec_tag
            )


def test_uneven_times_of_pictures_are_kept(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(uneven=True))
    out = dub(source)
    assert len({b - a for a, b in itertools.pairwise(tracks(source)[0].times)}) > 1
    assert tracks(out)[0].times == tracks(source)[0].times


def test_a_film_on_its_side_stays_on_its_side(tmp_path: Path) -> None:
    source = rotate(write_film(tmp_path / "film.mp4"))
    angles = []
    for path in (source, dub(source)):
        with av.open(str(path)) as container:
            angles.append(next(container.decode(video=0)).rotation)
    assert angles[0] == angles[1] != 0


def test_pictures_without_decoding_times_are_copied_in_their_order(tmp_path: Path) -> None:
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


def test_pictures_that_no_container_takes_are_named_before_the_work(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.asf")
    with pytest.raises(InputError, match="wmv2") as caught:
        output_suffix(source, keep_original_audio=False)
    assert caught.value.code == "video_codec"


@pytest.mark.parametrize(("suffix", "codec"), [(".mov", "prores_ks"), (".mp4", "libvpx-vp9")])
def test_what_mp4_cannot_take_over_goes_into_matroska(tmp_path: Path, suffix: str, codec: str) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(1.0, codec=codec))
    assert output_suffix(source, keep_original_audio=False) == ".mkv"
    assert tracks(dub(source))[0].payloads == tracks(source)[0].payloads
