"""Corrections applied to a script: to the recording's own lines, and to those of a file."""

from __future__ import annotations

from dataclasses import replace

from voiceclone_cli.correcting import Names, correct_lines
from voiceclone_cli.correcting.corrections import Correction, LineCorrection, Merge, Rename, Was
from voiceclone_cli.types import Diarization, Script, Segment, Turn

AT = "2026-01-01T00:00:00+00:00"
HELLO = Segment("0001", "A", 0.0, 1.0, "Hello.", "en")
BYE = Segment("0002", "B", 1.0, 2.0, "Bye.", "en")
SCRIPT = Script((HELLO, BYE))
MERGED = Merge(AT, "B", "A", 1)


def of_hello(**changes: str | int) -> LineCorrection:
    return LineCorrection(AT, "0001", Was("Hello.", "A", None), **changes)  # type: ignore[arg-type]


def corrected(*corrections: Correction, script: Script = SCRIPT, in_script: int = 0) -> Script:
    return correct_lines(script, corrections, in_script=in_script)


def test_a_script_without_corrections_is_itself() -> None:
    assert corrected() == SCRIPT


def test_words_speaker_and_seed_are_replaced_and_times_stay() -> None:
    first, second = corrected(of_hello(text="Hi.", speaker="B", seed=7)).segments
    assert first == replace(HELLO, text="Hi.", speaker="B", seed=7) and second == BYE


def test_each_correction_of_a_line_builds_on_the_one_before() -> None:
    second = LineCorrection(AT, "0001", Was("Hi.", "A", None), seed=3)
    third = LineCorrection(AT, "0001", Was("Hi.", "A", 3), text="Hey.")
    assert corrected(of_hello(text="Hi."), second, third).segments[0] == replace(HELLO, text="Hey.", seed=3)


def test_a_correction_of_other_words_is_passed_over_and_told() -> None:
    changed = Script((replace(HELLO, text="Good evening."), BYE))
    result = corrected(of_hello(text="Hi."), script=changed)
    assert result.segments == changed.segments
    assert result.notes == ("Corrections of lines that say something else by now are passed over: 0001.",)


def test_a_correction_of_a_line_that_is_gone_is_told() -> None:
    result = corrected(of_hello(text="Hi."), script=Script((BYE,)))
    assert result.notes == ("Corrections of lines that are no more are passed over: 0001.",)


def test_a_corrected_line_that_comes_back_in_a_file_keeps_its_take() -> None:
    corrections = (of_hello(seed=9), LineCorrection(AT, "0001", Was("Hello.", "A", 9), text="Hi."))
    result = corrected(*corrections, script=Script((replace(HELLO, text="Hi."),)))
    assert result.segments == (replace(HELLO, text="Hi.", seed=9),) and result.notes == ()


def test_a_take_is_another_speakers_no_more() -> None:
    corrections = (of_hello(text="Hi.", seed=9),)
    result = corrected(*corrections, script=Script((replace(HELLO, text="Hi.", speaker="B"),)))
    assert result.segments[0].seed is None


def test_what_a_fed_back_script_holds_already_is_the_hands_word() -> None:
    """Somebody has set the line back by hand: the correction does not come again, and nobody complains."""
    result = corrected(of_hello(text="Hi."), in_script=1)
    assert result == SCRIPT
    later = LineCorrection(AT, "0001", Was("Hello.", "A", None), text="Hey.")
    assert corrected(of_hello(text="Hi."), later, in_script=1).segments[0].text == "Hey."


def test_renaming_and_merging_reach_every_line_and_every_correction() -> None:
    corrections = (of_hello(speaker="B"), Rename(AT, "B", "Bert"))
    assert [line.speaker for line in corrected(*corrections).segments] == ["Bert", "Bert"]
    assert [line.speaker for line in corrected(MERGED).segments] == ["A", "A"]


def test_a_script_may_use_old_names_and_new_ones() -> None:
    mixed = Script((HELLO, BYE, replace(BYE, id="0003", speaker="Anna")))
    speakers = [line.speaker for line in corrected(Rename(AT, "A", "Anna"), script=mixed).segments]
    assert speakers == ["Anna", "B", "Anna"]


def test_a_voice_follows_its_names_but_not_a_merge() -> None:
    names = Names((Rename(AT, "A", "Anna"), Rename(AT, "Anna", "Ann"), MERGED, Rename(AT, "Ann", "A")))
    assert (names.now("A"), names.now("Ann"), names.voice("A")) == ("A", "A", "A")
    merged = Names((Rename(AT, "B", "Bert"), Merge(AT, "Bert", "A", 1), Rename(AT, "A", "Anna")))
    assert (merged.now("B"), merged.voice("B"), merged.voice("A")) == ("Anna", "Bert", "Anna")


def test_a_voice_that_lent_its_lines_is_still_needed() -> None:
    moved = LineCorrection(AT, "0002", Was("Bye.", "B", None), speaker="A")
    assert Names((moved, Rename(AT, "B", "Bert"))).lent() == {"Bert"}
    assert Names((MERGED,)).lent() == {"B"}
    assert Names((Merge(AT, "B", "A", 0),)).lent() == frozenset()


def test_turns_are_todays_speakers_or_the_voices() -> None:
    turns = (Turn(0.0, 1.0, "A"), Turn(1.0, 2.0, "B"))
    heard = Diarization(turns, turns, "embedded")
    names = Names((MERGED, Rename(AT, "A", "Anna")))
    assert names.of_speakers(heard).speakers == ("Anna",)
    assert names.of_voices(heard).speakers == ("Anna", "B")
    assert names.of_speakers(heard).exclusive == names.of_speakers(heard).turns
