"""Segmentation of words into lines."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceclone_cli.script.segmentation import LONGEST, segments_from_words
from voiceclone_cli.script.typography import break_points
from voiceclone_cli.types import Diarization, Script, Transcript, Turn, Word


def script_of(words: list[tuple[float, float, str]], turns: list[tuple[float, float, str]]) -> Script:
    transcript = Transcript(tuple(Word(a, b, f" {text}", 0.9) for a, b, text in words), "en", 0.99, "test")
    exclusive = tuple(Turn(*turn) for turn in turns)
    return segments_from_words(transcript, Diarization(exclusive, exclusive, "test"))


def said(script: Script) -> list[tuple[str, str]]:
    return [(segment.speaker, segment.text) for segment in script.segments]


def test_a_word_goes_to_the_turn_it_shares_most_time_with() -> None:
    script = script_of([(0.0, 1.0, "One."), (1.0, 2.0, "Two.")], [(0.0, 1.2, "A"), (1.2, 2.0, "B")])
    assert said(script) == [("A", "One."), ("B", "Two.")]


def test_a_word_just_outside_goes_to_the_nearest_turn_and_one_far_away_is_noted() -> None:
    script = script_of([(0.0, 0.5, "Thanks."), (1.6, 1.9, "Hi.")], [(2.0, 3.0, "A")])
    assert said(script) == [("A", "Hi.")]
    assert script.notes == ('1 word outside of all speech skipped: "Thanks.".',)


def test_the_last_word_of_a_sentence_stays_with_its_sentence() -> None:
    words = [(0.0, 0.3, "Neither"), (0.3, 0.6, "did"), (0.6, 0.8, "I."), (0.8, 1.2, "Okay.")]
    script = script_of(words, [(0.0, 0.6, "A"), (0.6, 2.0, "B")])
    assert said(script) == [("A", "Neither did I."), ("B", "Okay.")]


def test_the_first_words_of_a_sentence_go_to_its_speaker() -> None:
    words = [
        (0.0, 0.5, "Yes."),
        (0.5, 0.7, "And"),
        (0.7, 0.9, "I'm"),
        (0.9, 1.3, "Sheila"),
        (1.3, 2.0, "from"),
    ]
    script = script_of([*words, (2.0, 2.5, "Texas.")], [(0.0, 0.9, "A"), (0.9, 2.5, "B")])
    assert said(script) == [("A", "Yes."), ("B", "And I'm Sheila from Texas.")]


def test_no_change_of_speaker_moves_across_a_pause() -> None:
    words = [(0.0, 0.3, "Neither"), (0.3, 0.6, "did"), (1.0, 1.2, "I."), (1.2, 1.6, "Okay.")]
    script = script_of(words, [(0.0, 0.7, "A"), (0.9, 2.0, "B")])
    assert said(script) == [("A", "Neither did"), ("B", "I. Okay.")]


def test_no_change_of_speaker_moves_farther_than_two_words() -> None:
    words = [(0.0, 0.3, "I"), (0.3, 0.6, "said"), (0.6, 0.8, "that"), (0.8, 1.0, "I"), (1.0, 1.2, "know.")]
    script = script_of(words, [(0.0, 0.6, "A"), (0.6, 2.0, "B")])
    assert said(script) == [("A", "I said"), ("B", "that I know.")]


def test_turns_of_one_speaker_join_unless_half_a_second_lies_between() -> None:
    words = [(0.0, 0.9, "One."), (1.2, 1.9, "Two."), (2.6, 3.0, "Three.")]
    script = script_of(words, [(0.0, 1.0, "A"), (1.2, 2.0, "A"), (2.5, 3.0, "A")])
    assert said(script) == [("A", "One. Two."), ("A", "Three.")]


def test_another_speakers_word_between_starts_a_new_line() -> None:
    words = [(0.0, 0.9, "One."), (1.0, 1.1, "Yes."), (1.2, 1.9, "Two.")]
    script = script_of(words, [(0.0, 1.0, "A"), (1.0, 1.15, "B"), (1.15, 2.0, "A")])
    assert said(script) == [("A", "One."), ("B", "Yes."), ("A", "Two.")]


def test_a_long_line_is_split_after_a_sentence() -> None:
    words = [(at * 0.5, at * 0.5 + 0.5, "word." if at == 17 else "word") for at in range(40)]
    script = script_of(words, [(0.0, 20.0, "A")])
    assert [len(segment.text.split()) for segment in script.segments] == [18, 22]


def test_a_line_starts_in_its_turn_and_lasts_a_little_beyond_its_last_word() -> None:
    script = script_of([(0.8, 1.5, "Hello.")], [(1.0, 3.0, "A")])
    assert (script.segments[0].start, script.segments[0].end) == (1.0, 1.6)


def test_a_line_does_not_outlast_its_turn_but_is_never_too_short() -> None:
    ends_with_turn, short = script_of(
        [(1.0, 1.95, "Hello."), (4.99, 5.0, "Oh.")], [(1.0, 2.0, "A"), (4.9, 5.0, "B")]
    ).segments
    assert ends_with_turn.end == 2.0
    assert (short.start, short.end) == (4.99, 5.14)


def test_a_line_without_letters_is_skipped_and_noted() -> None:
    script = script_of([(0.0, 0.5, "..."), (2.0, 2.5, "Hi.")], [(0.0, 0.5, "A"), (2.0, 2.5, "B")])
    assert said(script) == [("B", "Hi.")]
    assert script.notes == ('The line at 0.00 s is skipped: "..." has no words.',)


def test_no_words_give_no_lines() -> None:
    assert script_of([], [(0.0, 1.0, "A")]).segments == ()


def characters_of(
    text: str,
    turns: list[tuple[float, float, str]],
    language: str = "zh",
    each: float = 0.2,
    given: str | None = None,
) -> Script:
    """The script of a line whose words are single characters of the same length, each with its punctuation."""
    words: list[str] = []
    for character in text:
        if (
            (words and not character.isalnum() and character != " ")
            or (words and words[-1].isspace())
            or (words and character.isascii() and character.isalpha() and words[-1][-1].isascii())
        ):
            words[-1] += character
        else:
            words.append(character)
    transcript = Transcript(
        tuple(Word(at * each, (at + 1) * each, word, 0.9) for at, word in enumerate(words)),
        language,
        0.99,
        "test",
    )
    exclusive = tuple(Turn(*turn) for turn in turns)
    return segments_from_words(transcript, Diarization(exclusive, exclusive, "test"), given)


class TestChineseAndJapanese:
    def test_a_change_of_speaker_three_characters_late_moves_to_the_end_of_the_sentence(self) -> None:
        text = "我们应该换一家快递公司吗?我觉得可以先试用一个月."
        late = (text.index("可") - 1) * 0.2  # "吗?" is one word
        script = characters_of(text, [(0.0, late, "A"), (late, 9.0, "B")])
        assert said(script) == [("A", "我们应该换一家快递公司吗？"), ("B", "我觉得可以先试用一个月。")]

    def test_one_four_characters_late_does_not(self) -> None:
        text = "我们应该换一家快递公司吗?我也觉得可以先试用."
        late = (text.index("可") - 1) * 0.2
        script = characters_of(text, [(0.0, late, "A"), (late, 9.0, "B")])
        assert said(script) == [("A", "我们应该换一家快递公司吗？我也觉得"), ("B", "可以先试用。")]

    def test_one_inside_a_word_moves_to_its_edge(self) -> None:
        script = characters_of("我们看看公司怎么说吧", [(0.0, 1.0, "A"), (1.0, 9.0, "B")])
        assert said(script) == [("A", "我们看看公司"), ("B", "怎么说吧")]

    def test_a_pause_is_the_edge_of_a_word(self) -> None:
        transcript = Transcript((Word(0.0, 0.2, "好", 0.9), Word(0.9, 1.1, "的", 0.9)), "zh", 0.99, "test")
        turns = (Turn(0.0, 0.5, "A"), Turn(0.8, 1.2, "B"))
        script = segments_from_words(transcript, Diarization(turns, turns, "test"))
        assert said(script) == [("A", "好"), ("B", "的")]

    @pytest.mark.parametrize(
        ("language", "sentence"),
        [("zh", "我们应该换一家快递公司"), ("ja", "来週の会議は金曜日の午前から始まりますので")],
    )
    def test_a_long_line_without_punctuation_is_never_cut_inside_a_word(
        self, language: str, sentence: str
    ) -> None:
        text = sentence * 12
        script = characters_of(text, [(0.0, 99.0, "A")], language)
        lines = [segment.text for segment in script.segments]
        assert len(lines) > 1
        assert "".join(lines) == text
        edges = {
            at + start
            for start in range(0, len(text), len(sentence))
            for at in break_points(sentence, language)
        }
        edges |= set(range(0, len(text), len(sentence)))
        ends = list(accumulate(map(len, lines)))[:-1]
        assert set(ends) <= edges

    def test_a_long_line_is_cut_after_a_clause(self) -> None:
        text = (
            "我们应该换一家快递公司,"
            + "我们应该换一家快递公司" * 2
            + ","
            + "我们应该换一家快递公司" * 3
            + "."
        )
        script = characters_of(text, [(0.0, 99.0, "A")])
        assert [segment.text[-1] for segment in script.segments] == ["，", "。"]

    MIXED = "今天的會議現在開始.我觉得可以先试用一个月."

    def test_mixed_characters_become_simplified_with_a_note(self) -> None:
        script = characters_of(self.MIXED, [(0.0, 1.8, "A"), (1.8, 9.0, "B")])
        assert said(script) == [("A", "今天的会议现在开始。"), ("B", "我觉得可以先试用一个月。")]
        assert any("simplified" in note for note in script.notes)

    @pytest.mark.parametrize("given", ["zh-Hant", "zh-TW"])
    def test_they_stay_where_the_user_asks_for_traditional_ones(self, given: str) -> None:
        script = characters_of(self.MIXED, [(0.0, 1.8, "A"), (1.8, 9.0, "B")], given=given)
        assert said(script) == [("A", "今天的會議現在開始。"), ("B", "我觉得可以先试用一个月。")]
        assert script.notes == ()

    def test_a_traditional_script_stays_traditional(self) -> None:
        script = characters_of("今天的會議現在開始.", [(0.0, 9.0, "A")])
        assert said(script) == [("A", "今天的會議現在開始。")]

    def test_words_of_other_letters_keep_their_blanks(self) -> None:
        script = characters_of("用 Google Cloud查一下", [(0.0, 9.0, "A")])
        assert said(script) == [("A", "用 Google Cloud查一下")]


tenths = st.integers(0, 600).map(lambda at: at / 10)
texts = st.sampled_from(["yes", "no.", "well,", "and", "really?", "..."])


@given(
    st.lists(st.tuples(tenths, st.integers(0, 9), texts), max_size=60),
    st.lists(st.tuples(tenths, st.integers(1, 99), st.sampled_from("AB")), max_size=10),
)
def test_lines_are_sorted_numbered_and_have_every_word_once(
    words: list[tuple[float, int, str]], turns: list[tuple[float, int, str]]
) -> None:
    script = script_of(
        [(start, start + length / 10, text) for start, length, text in sorted(words)],
        [(start, start + length / 10, speaker) for start, length, speaker in sorted(turns)],
    )
    segments = script.segments
    assert [segment.id for segment in segments] == [f"{number:04d}" for number in range(1, len(segments) + 1)]
    assert all(before.start <= after.start for before, after in pairwise(segments))
    assert all(segment.end >= segment.start + 0.149 and segment.text for segment in segments)
    assert all(round(segment.start, 3) == segment.start for segment in segments)
    found_words = " ".join(segment.text for segment in segments).split()
    if not script.notes:
        assert sorted(found_words) == sorted(text for _, _, text in words)
    assert len(found_words) <= len(words)


@given(st.lists(st.integers(1, 9), min_size=50, max_size=200))
def test_no_line_of_ordinary_speech_is_longer_than_allowed(lengths: list[int]) -> None:
    words, now = [], 0.0
    for length in lengths:
        words.append((now, now + length / 10, "word"))
        now += length / 10
    script = script_of(words, [(0.0, now, "A")])
    assert all(segment.end - segment.start <= LONGEST + 0.11 for segment in script.segments)
