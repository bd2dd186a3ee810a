"""A voice that the user gave, and the words beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_samples import syllables, write_wav
from voiceclone_cli.casting.given import MOST_CHARACTERS, read_given
from voiceclone_cli.errors import InputError


def test_the_words_are_those_of_the_text_beside(tmp_path: Path) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    assert read_given(voice).text == ""
    voice.with_suffix(".txt").write_text("\ufeffThese are\n the  words.\n", encoding="utf-8")
    given = read_given(voice)
    assert (given.text, given.rate, len(given.audio)) == ("These are the words.", 16_000, 32_000)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"word " * (MOST_CHARACTERS // 5 + 1)])
def test_a_text_beside_that_holds_no_words_of_15_seconds_is_refused(tmp_path: Path, content: bytes) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    voice.with_suffix(".txt").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_given(voice)
    assert caught.value.code == "bad_reference_text" and "voice.txt" in caught.value.message


def test_a_text_of_gigabytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    with voice.with_suffix(".txt").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="more than 5,000 characters"):
        read_given(voice)
