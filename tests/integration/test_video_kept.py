"""What a dubbed video keeps beside its pictures: original sound, subtitles, chapters, covers, words."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from dubbing import SCRIPT, dub
from video_samples import (
    Film,
    heard,
    kinds,
    noise,
    remux,
    tracks,
    write_film,
)


def test_the_originals_sound_goes_unless_it_is_to_be_kept(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", Film(sounds=[noise(3, 1), noise(3, 2)]))
    assert kinds(dub(source)) == ["video", "audio"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_the_originals_sound_can_be_kept_behind_the_new(tmp_path: Path, suffix: str) -> None:
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
    moments = [heard(path, track)[0] - min(tracks(path)[0].times) for path, track in ((out, 1), (source, 0))]
    assert abs(moments[0] - moments[1]) <= Fraction(1, 1000)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mov_text"), (".mkv", "subrip")])
def test_the_script_becomes_a_subtitle_track_beside_those_that_are_there(
    tmp_path: Path, suffix: str, codec: str
) -> None:
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
def test_chapters_words_covers_and_further_pictures_are_kept(tmp_path: Path, suffix: str) -> None:
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


def test_the_cover_of_an_mp4_is_kept(tmp_path: Path) -> None:
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


def test_the_words_of_a_telephone_are_kept(tmp_path: Path) -> None:
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
