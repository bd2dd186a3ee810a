"""Parts of a dubbed video that need no file."""

from __future__ import annotations

import itertools
from random import Random

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.audio.tracks import language_tag
from voiceclone_cli.types import Segment
from voiceclone_cli.video.captions import caption_cues
from voiceclone_cli.video.mux import container_metadata
from voiceclone_cli.video.source import DecodingTimes, track_metadata
from voiceclone_cli.video.tracks import (
    bit_rate,
    default_layout,
    track_rate,
)

TAGS = {"comment": "Synthetic voices", "digital_source_type": "x"}


def line(start: float, end: float, text: str) -> Segment:
    return Segment("0001", "SPEAKER_00", start, end, text, "en")


class TestCaptionCues:
    def test_consecutive_lines_are_separate_cues(self) -> None:
        shown = caption_cues([line(0.5, 1.0, "One."), line(1.2345, 2.0, "Two.")])
        assert shown == [(500, 1000, "One."), (1234, 2000, "Two.")]

    def test_overlapping_lines_share_a_cue(self) -> None:
        shown = caption_cues([line(0, 2, "First."), line(1, 3, "Second.")])
        assert shown == [
            (0, 1000, "First."),
            (1000, 2000, "- First.\n- Second."),
            (2000, 3000, "Second."),
        ]

    def test_line_without_length_or_text_is_not_shown(self) -> None:
        assert caption_cues([line(1, 1, "Nothing"), line(2, 3, "  ")]) == []

    def test_a_long_line_is_shown_in_parts_by_what_there_is_to_say(self) -> None:
        text = "上个月的销售额是三百二十万元,比去年同期增长了百分之十五." * 2
        shown = caption_cues([Segment("0001", "李娜", 1.0, 13.0, text, "zh")])
        assert shown == [
            (1000, 7000, "上个月的销售额是三百二十万元，\n比去年同期增长了百分之十五。"),
            (7000, 13000, "上个月的销售额是三百二十万元，\n比去年同期增长了百分之十五。"),
        ]

    def test_a_long_line_of_little_time_is_one_cue(self) -> None:
        ((start, end, text),) = caption_cues([line(2, 3.5, "And so it goes on, and on, and on. " * 5)])
        assert (start, end) == (2000, 3500)
        assert text.count("\n") > 2

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=30))
    def test_cues_never_overlap_and_show_every_moment_of_every_line(
        self, spans: list[tuple[int, int]]
    ) -> None:
        lines = [line(start, start + length, f"<{index}>") for index, (start, length) in enumerate(spans)]
        shown = caption_cues(lines)
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(shown))
        for segment in lines:
            parts = [(start, end) for start, end, text in shown if segment.text in text]
            assert sum(end - start for start, end in parts) == (segment.end - segment.start) * 1000


class TestDecodingTimes:
    @given(st.integers(1, 80), st.integers(1, 16), st.randoms(use_true_random=False))
    def test_they_increase_and_never_exceed_presentation_times(
        self, count: int, depth: int, random: Random
    ) -> None:
        # Decoding order: any of the next ``depth`` pictures comes first.
        waiting, shown = list(range(count)), []
        while waiting:
            shown.append(
                waiting.pop(random.randrange(min(depth, len(waiting))))
                if waiting[0] > len(shown) - depth
                else waiting.pop(0)
            )
        times = DecodingTimes()
        packets = []
        for pts in shown:
            packet = av.Packet(b"picture")
            packet.pts = pts
            packets += times.push(packet)
        packets += times.finish()
        assert [packet.pts for packet in packets] == shown
        dts = [packet.dts for packet in packets]
        assert dts == sorted(dts)
        assert all(packet.dts <= packet.pts for packet in packets)


class TestLanguages:
    @pytest.mark.parametrize(
        ("code", "in_mp4", "in_mkv"),
        [
            ("es", "spa", "spa"),
            ("fr", "fra", "fre"),
            ("de", "deu", "ger"),
            ("zh", "zho", "chi"),
            ("es-419", "spa", "spa"),
            ("pt-BR", "por", "por"),
            ("yue", "yue", "yue"),
            ("haw", "haw", "haw"),
            (None, "und", "und"),
            ("", "und", "und"),
            ("q1", "und", "und"),
        ],
    )
    def test_language_code_of_the_container(self, code: str | None, in_mp4: str, in_mkv: str) -> None:
        assert (language_tag(code, ".mp4"), language_tag(code, ".mkv")) == (in_mp4, in_mkv)


class TestMetadata:
    def test_matroska_takes_any_key(self) -> None:
        words, options = container_metadata({"title": "Film", "make": "Acme"}, TAGS, ".mkv", cover=False)
        assert words == {"title": "Film", "make": "Acme", **TAGS}
        assert not options

    def test_tags_without_an_itunes_key_become_keywords(self) -> None:
        words, options = container_metadata({"title": "Film"}, TAGS, ".mp4", cover=False)
        assert words == {
            "title": "Film",
            "comment": "Synthetic voices",
            "keywords": "digital_source_type: x",
        }
        assert "use_metadata_tags" not in options["movflags"]

    def test_metadata_of_a_phone_is_kept_and_tags_have_apple_keys_too(self) -> None:
        phone = {"com.apple.quicktime.make": "Acme"}
        words, options = container_metadata(phone, TAGS, ".mp4", cover=False)
        assert words == {**phone, "com.apple.quicktime.comment": "Synthetic voices", **TAGS}
        assert "use_metadata_tags" in options["movflags"]

    def test_comment_of_the_source_follows_the_tag(self) -> None:
        words, _ = container_metadata({"COMMENT": "Take 3"}, TAGS, ".mkv", cover=False)
        assert words["comment"] == "Synthetic voices | Take 3"
        assert "COMMENT" not in words

    def test_dubbing_again_repeats_no_comment(self) -> None:
        once, _ = container_metadata({"comment": "Take 3"}, TAGS, ".mkv", cover=False)
        twice, _ = container_metadata(once, TAGS, ".mkv", cover=False)
        assert twice == once

    def test_keys_about_the_old_file_are_dropped(self) -> None:
        words, _ = container_metadata({"major_brand": "qt", "encoder": "Old"}, {}, ".mp4", cover=False)
        assert words == {}

    def test_keys_of_mp4_tracks_are_dropped_in_matroska(self) -> None:
        words = {"handler_name": "VideoHandler", "language": "spa"}
        assert track_metadata(words, ".mkv") == {"language": "spa"}
        assert track_metadata(words, ".mp4") == words


class TestEncoding:
    @pytest.mark.parametrize("rate", [16_000, 24_000, 32_000, 44_100, 48_000])
    def test_usual_rates_are_kept(self, rate: int) -> None:
        assert track_rate(rate, "aac") == track_rate(rate, "flac") == rate

    @pytest.mark.parametrize("rate", [12_345, 33_075, 96_000, 705_600])
    def test_unusual_rates_are_resampled_for_aac(self, rate: int) -> None:
        assert track_rate(rate, "aac") == 48_000

    @pytest.mark.parametrize(
        ("rate", "kept"), [(96_000, 96_000), (12_345, 12_345), (70_001, 48_000), (705_600, 48_000)]
    )
    def test_flac_keeps_the_rates_it_supports(self, rate: int, kept: int) -> None:
        assert track_rate(rate, "flac") == kept

    def test_bit_rate_is_high_and_within_the_format(self) -> None:
        assert bit_rate(48_000, 1) == 128_000
        assert bit_rate(48_000, 2) == 192_000
        assert bit_rate(48_000, 6) == 576_000
        assert bit_rate(16_000, 1) == 96_000

    def test_default_layout_by_channels(self) -> None:
        assert [default_layout(n) for n in (1, 2, 6, 8)] == ["mono", "stereo", "5.1", "7.1"]
