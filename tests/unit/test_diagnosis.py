from __future__ import annotations

import pytest

from voiceclone_cli.workers.local.diagnosis import LastWords, diagnosis


@pytest.mark.parametrize(
    "code, fault, sentence",
    [
        (9, None, "w ended with exit code 9"),
        (-11, None, "w was ended by SIGSEGV"),
        (-9, None, "w was ended by SIGKILL (as the system does where memory runs out)"),
        (-9, "it stalled", "w was ended: it stalled"),
        (1, "it stalled", "w ended with exit code 1: it stalled"),
        (139, None, "w ended with exit code 139 (a shell's way to say SIGSEGV)"),
        (255, None, "w ended with exit code 255"),
        (-99, None, "w was ended by signal 99"),
    ],
)
def test_the_end_is_told_in_one_sentence(code: int, fault: str | None, sentence: str) -> None:
    assert diagnosis("w", code, fault, "") == sentence
    assert diagnosis("w", code, fault, "ouch") == f"{sentence}; it last said: ouch"


def test_the_last_three_lines_are_kept_bounded_and_without_control_characters() -> None:
    words = LastWords()
    for line in ("first", "second", "\x1b[31mthird\x07", "", "   ", "fourth " * 1000):
        words.add(line)
    told = str(words)
    assert told.isprintable() and len(told) <= 400
    words.add("fifth")
    words.add("sixth")
    assert str(words).endswith("| fifth | sixth") and "second" not in str(words)
