"""Text that subtitles show more than once is spoken once, at the time where it is new."""

from __future__ import annotations

from voiceclone_cli.script.parsers import ScriptLine
from voiceclone_cli.script.repeats import remove_repeats


def line(start: float, end: float, *rows: str, speaker: str | None = None) -> ScriptLine:
    return ScriptLine(f"cue at {start}", start, end, "\n".join(rows), speaker)


def spoken(*lines: ScriptLine) -> list[tuple[float, float, str]]:
    kept, repeated, notes = remove_repeats(lines)
    assert bool(notes) == bool(repeated)
    words = sorted(" ".join(item.text for item in lines).split())
    assert sorted(" ".join(item.text for item in (*kept, *repeated)).split()) == words
    return [(item.start, item.end, item.text) for item in kept]


def test_each_row_of_rolling_captions_is_spoken_when_it_is_new() -> None:
    assert spoken(
        line(1, 3, "welcome to the show"),
        line(3, 3.01, "welcome to the show"),
        line(3.01, 6, "welcome to the show", "today we talk about"),
        line(6, 6.01, "today we talk about"),
        line(6.01, 9, "today we talk about", "cats and dogs"),
        line(9, 9.01, "cats and dogs"),
    ) == [
        (1, 3.01, "welcome to the show"),
        (3.01, 6.01, "today we talk about"),
        (6.01, 9.01, "cats and dogs"),
    ]


def test_captions_of_three_rows_roll_too() -> None:
    assert spoken(
        line(1, 2, "a one"),
        line(2, 3, "a one", "b two"),
        line(3, 4, "a one", "b two", "c three"),
        line(4, 5, "b two", "c three", "d four"),
        line(5, 6, "c three", "d four"),
        line(8, 9, "d four", "e five", "f six"),
    ) == [(1, 2, "a one"), (2, 3, "b two"), (3, 4, "c three"), (4, 6, "d four"), (8, 9, "e five\nf six")]


def test_a_row_that_grows_word_by_word_is_one_line() -> None:
    assert spoken(
        line(1, 2, "good"),
        line(2, 3, "good morning"),
        line(3, 4, "good morning everyone"),
        line(4, 5, "good morning everyone", "I am"),
        line(5, 6, "good morning everyone", "I am Anna"),
    ) == [(1, 4, "good morning everyone"), (4, 6, "I am Anna")]


def test_captions_whose_rows_were_joined_roll_by_words() -> None:
    assert spoken(
        line(1, 3, "welcome to the show"),
        line(3, 3.01, "welcome to the show"),
        line(3.01, 6, "welcome to the show today we talk about"),
        line(6, 6.01, "today we talk about"),
        line(6.01, 9, "today we talk about cats and dogs"),
        line(9, 11, "cats and dogs and more"),
    ) == [
        (1, 3.01, "welcome to the show"),
        (3.01, 6.01, "today we talk about"),
        (6.01, 9, "cats and dogs"),
        (9, 11, "and more"),
    ]


def test_sentences_that_begin_as_the_last_one_ended_are_not_rolling_captions() -> None:
    lines = [
        line(1, 2, "I will go home."),
        line(2, 3, "I will go home."),
        line(3, 4, "You will."),
        line(4, 5, "You will. You will see it."),
        line(5, 6, "see it. And then?"),
        line(6, 7, "And then we leave."),
        line(8, 9, "Who is it?"),
        line(10, 11, "Me."),
    ]
    assert spoken(*lines) == [(item.start, item.end, item.text) for item in lines]


def test_people_who_repeat_themselves_are_not_rolling_captions() -> None:
    lines = [
        line(1, 2, "No."),
        line(2, 3, "No."),
        line(3, 4, "No.", "I mean it."),
        line(5, 6, "Did you see it?"),
        line(7, 8, "Yes."),
        line(9, 10, "Where?"),
        line(11, 12, "There."),
    ]
    assert spoken(*lines) == [(item.start, item.end, item.text) for item in lines]


def test_an_honest_repetition_in_rolling_captions_is_spoken() -> None:
    assert spoken(
        line(1, 2, "yes"),
        line(2, 2.01, "yes"),
        line(2.01, 4, "yes", "yes"),
        line(4, 4.01, "yes"),
        line(4.01, 6, "yes", "no"),
        line(8, 9, "no"),
    ) == [(1, 2.01, "yes"), (2.01, 4.01, "yes"), (4.01, 6, "no"), (8, 9, "no")]


def test_a_part_of_a_file_may_roll() -> None:
    ordinary = [line(at, at + 1, f"Line {at}.") for at in range(20, 40)]
    kept = spoken(
        line(1, 2, "one"),
        line(2, 3, "one", "two"),
        line(3, 4, "two", "three"),
        line(4, 5, "three", "four"),
        *ordinary,
    )
    assert kept[:4] == [(1, 2, "one"), (2, 3, "two"), (3, 4, "three"), (4, 5, "four")]
    assert len(kept) == 24


def test_layers_are_spoken_once_but_not_what_two_people_say() -> None:
    assert spoken(
        line(1, 3, "Hello."),
        line(1.04, 3, "Hello."),
        line(1.04, 3, "Hello.", speaker="Anna"),
        line(1.04, 3, "Hello.", speaker="Ben"),
        line(1.5, 4, "Hello."),
    ) == [(1, 3, "Hello."), (1.04, 3, "Hello."), (1.04, 3, "Hello."), (1.5, 4, "Hello.")]


def test_a_sign_that_moves_is_one_line() -> None:
    steps = [line(1 + at / 25, 1 + (at + 1) / 25, "EXIT") for at in range(25)]
    other = [line(1 + at / 25, 1 + (at + 1) / 25, "DOOR") for at in range(25)]
    mixed = sorted([*steps, *other, line(1.1, 2, "Let us go.")], key=lambda item: item.start)
    assert spoken(*mixed) == [(1, 2, "EXIT"), (1, 2, "DOOR"), (1.1, 2, "Let us go.")]


def test_lines_without_words_are_left_to_others() -> None:
    lines = [line(1, 2, "..."), line(1, 2, "..."), line(1, 2, "♪")]
    assert spoken(*lines) == [(1, 2, "..."), (1, 2, "..."), (1, 2, "♪")]
