"""The parts of a dubbed video that need no file."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.errors import InputError
from voiceclone_cli.types import Segment
from voiceclone_cli.video.source import DecodingTimes, container_metadata, language_tag, track_metadata
from voiceclone_cli.video.tracks import (
    AudioAligner,
    AudioChunk,
    CaptionCue,
    bit_rate,
    caption_cues,
    track_rate,
    usual_layout,
)

TAGS = {"comment": "Synthetic voices", "digital_source_type": "x"}


def line(start: float, end: float, text: str) -> Segment:
    return Segment("0001", "SPEAKER_00", start, end, text, "en")


class TestCues:
    def test_lines_one_after_another_are_cues_of_their_own(self) -> None:
        shown = caption_cues([line(0.5, 1.0, "One."), line(1.2345, 2.0, "Two.")])
        assert shown == [CaptionCue(500, 1000, "One."), CaptionCue(1234, 2000, "Two.")]

    def test_people_who_talk_at_once_stand_below_each_other(self) -> None:
        shown = caption_cues([line(0, 2, "First."), line(1, 3, "Second.")])
        assert shown == [
            CaptionCue(0, 1000, "First."),
            CaptionCue(1000, 2000, "- First.\n- Second."),
            CaptionCue(2000, 3000, "Second."),
        ]

    def test_a_line_of_no_length_or_no_text_is_not_shown(self) -> None:
        assert caption_cues([line(1, 1, "Nothing"), line(2, 3, "  ")]) == []

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=30))
    def test_cues_never_overlap_and_show_every_moment_of_every_line(
        self, spans: list[tuple[int, int]]
    ) -> None:
        lines = [line(start, start + length, f"<{index}>") for index, (start, length) in enumerate(spans)]
        shown = caption_cues(lines)
        assert all(earlier.end <= later.start for earlier, later in itertools.pairwise(shown))
        for segment in lines:
            parts = [cue for cue in shown if segment.text in cue.text]
            assert sum(cue.end - cue.start for cue in parts) == (segment.end - segment.start) * 1000


class TestLaying:
    def laying(self, rate: int = 48_000) -> AudioAligner:
        return AudioAligner(Path("a.mp4"), rate)

    def test_sound_that_begins_with_the_picture_goes_right_under_it(self) -> None:
        laying = self.laying()
        assert laying.place(0.0, 1024, 48_000) == AudioChunk(0, 0, 1024)
        assert laying.place(1024 / 48_000, 1024, 48_000) == AudioChunk(0, 0, 1024)

    def test_sound_that_begins_later_is_preceded_by_silence_to_the_sample(self) -> None:
        assert self.laying().place(0.5 + 1 / 48_000, 1024, 48_000) == AudioChunk(24_001, 0, 1024)

    def test_what_was_heard_before_the_clock_began_is_left_out_to_the_sample(self) -> None:
        laying = self.laying()
        assert laying.place(-1500 / 48_000, 1024, 48_000) == AudioChunk(0, 1024, 0)
        assert laying.place(-476 / 48_000, 1024, 48_000) == AudioChunk(0, 476, 548)

    def test_a_hole_in_the_original_becomes_silence(self) -> None:
        laying = self.laying()
        laying.place(0.0, 48_000, 48_000)
        assert laying.place(6.0, 48_000, 48_000) == AudioChunk(5 * 48_000, 0, 48_000)

    def test_times_that_are_rounded_move_nothing(self) -> None:
        laying = self.laying()
        for index in range(100):
            piece = laying.place(round(index * 1024 / 48_000, 3), 1024, 48_000)
            assert piece == AudioChunk(0, 0, 1024)

    def test_a_mix_at_twice_the_rate_has_twice_the_samples(self) -> None:
        laying = self.laying(32_000)
        assert laying.place(0.25, 1000, 16_000) == AudioChunk(8000, 0, 2000)

    def test_a_frame_without_a_time_follows_the_last(self) -> None:
        laying = self.laying()
        laying.place(1.0, 1024, 48_000)
        assert laying.place(None, 1024, 48_000) == AudioChunk(0, 0, 1024)

    @pytest.mark.parametrize("start", [1e6, -60.0])
    def test_times_that_leap_are_refused(self, start: float) -> None:
        laying = self.laying()
        laying.place(0.0, 48_000, 48_000)
        with pytest.raises(InputError, match="leap") as caught:
            laying.place(start, 1024, 48_000)
        assert caught.value.code == "video_times"

    @given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4096)), min_size=1, max_size=40))
    def test_no_sample_of_the_mix_is_lost_or_played_twice(self, frames: list[tuple[float, int]]) -> None:
        laying, clock = self.laying(), 0.0
        for pause, samples in frames:
            clock += pause
            piece = laying.place(clock, samples, 48_000)
            assert piece.taken == samples and not piece.left_out
            clock += samples / 48_000


class TestDecodingTimes:
    @given(st.integers(1, 80), st.integers(1, 16), st.randoms(use_true_random=False))
    def test_they_go_forward_and_never_past_a_time_of_showing(
        self, count: int, depth: int, random: Random
    ) -> None:
        # The order of decoding: any of the next ``depth`` pictures comes first.
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
    def test_a_language_is_named_as_the_container_wants_it(
        self, code: str | None, in_mp4: str, in_mkv: str
    ) -> None:
        assert (language_tag(code, ".mp4"), language_tag(code, ".mkv")) == (in_mp4, in_mkv)


class TestMetadata:
    def test_any_word_goes_into_matroska(self) -> None:
        words, options = container_metadata({"title": "Film", "make": "Acme"}, TAGS, ".mkv", cover=False)
        assert words == {"title": "Film", "make": "Acme", **TAGS}
        assert not options

    def test_words_without_a_name_in_itunes_become_keywords(self) -> None:
        words, options = container_metadata({"title": "Film"}, TAGS, ".mp4", cover=False)
        assert words == {
            "title": "Film",
            "comment": "Synthetic voices",
            "keywords": "digital_source_type: x",
        }
        assert "use_metadata_tags" not in options["movflags"]

    def test_a_telephones_own_words_are_kept_and_ours_stand_under_apples_names_too(self) -> None:
        phone = {"com.apple.quicktime.make": "Acme"}
        words, options = container_metadata(phone, TAGS, ".mp4", cover=False)
        assert words == {**phone, "com.apple.quicktime.comment": "Synthetic voices", **TAGS}
        assert "use_metadata_tags" in options["movflags"]

    def test_a_comment_of_the_source_stands_behind_ours(self) -> None:
        words, _ = container_metadata({"COMMENT": "Take 3"}, TAGS, ".mkv", cover=False)
        assert words["comment"] == "Synthetic voices | Take 3"
        assert "COMMENT" not in words

    def test_dubbing_again_repeats_no_comment(self) -> None:
        once, _ = container_metadata({"comment": "Take 3"}, TAGS, ".mkv", cover=False)
        twice, _ = container_metadata(once, TAGS, ".mkv", cover=False)
        assert twice == once

    def test_what_was_said_of_the_old_file_is_left(self) -> None:
        words, _ = container_metadata({"major_brand": "qt", "encoder": "Old"}, {}, ".mp4", cover=False)
        assert words == {}

    def test_names_that_only_mp4_knows_stay_out_of_matroska(self) -> None:
        words = {"handler_name": "VideoHandler", "language": "spa"}
        assert track_metadata(words, ".mkv") == {"language": "spa"}
        assert track_metadata(words, ".mp4") == words


class TestEncoding:
    @pytest.mark.parametrize("rate", [16_000, 24_000, 32_000, 44_100, 48_000])
    def test_usual_rates_are_kept(self, rate: int) -> None:
        assert track_rate(rate, "aac") == track_rate(rate, "flac") == rate

    @pytest.mark.parametrize("rate", [12_345, 33_075, 96_000, 705_600])
    def test_aac_has_no_rates_that_players_refuse(self, rate: int) -> None:
        assert track_rate(rate, "aac") == 48_000

    @pytest.mark.parametrize(
        ("rate", "kept"), [(96_000, 96_000), (12_345, 12_345), (70_001, 48_000), (705_600, 48_000)]
    )
    def test_flac_keeps_the_rates_it_has_a_place_for(self, rate: int, kept: int) -> None:
        assert track_rate(rate, "flac") == kept

    def test_the_bit_rate_is_generous_and_within_the_format(self) -> None:
        assert bit_rate(48_000, 1) == 128_000
        assert bit_rate(48_000, 2) == 192_000
        assert bit_rate(48_000, 6) == 576_000
        assert bit_rate(16_000, 1) == 96_000

    def test_every_number_of_channels_has_its_loudspeakers(self) -> None:
        assert [usual_layout(n) for n in (1, 2, 6, 8)] == ["mono", "stereo", "5.1", "7.1"]
