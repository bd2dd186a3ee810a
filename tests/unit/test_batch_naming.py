from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from properties import examples
from voiceclone_cli.batch.naming import RESERVED, give_names
from voiceclone_worker.contract import file_key, name_fault


def names(*paths: str, earlier: dict[str, str] | None = None, taken: tuple[str, ...] = ()) -> list[str]:
    return give_names([Path(path) for path in paths], earlier or {}, taken)


def test_a_recording_is_called_as_its_file() -> None:
    assert names("/a/talk.mp4", "/b/interview.wav") == ["talk", "interview"]


def test_the_suffix_tells_apart_what_it_can() -> None:
    assert names("/a/talk.mp4", "/a/talk.wav") == ["talk.mp4", "talk.wav"]


def test_folders_tell_apart_the_rest() -> None:
    assert names("/s/S01/E01.mp4", "/s/S02/E01.mp4") == ["S01-E01", "S02-E01"]
    assert names("/x/1/raw/a.wav", "/x/2/raw/a.wav") == ["1-raw-a", "2-raw-a"]
    assert names("/a/talk.wav", "/b/talk.wav", "/b/talk.mp4") == ["a-talk", "b-talk", "talk.mp4"]


def test_digits_of_the_path_tell_apart_what_nothing_else_does() -> None:
    first, second = names("/1/a/b/c/talk.wav", "/2/a/b/c/talk.wav")
    assert first.startswith("talk-") and second.startswith("talk-") and first != second
    assert [first, second] == names("/1/a/b/c/talk.wav", "/2/a/b/c/talk.wav")


def test_names_that_some_system_takes_for_one_are_told_apart() -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert names("/a/Talk.wav", "/b/talk.mp3") == ["Talk.wav", "talk.mp3"]
    assert names(f"/a/{composed}.wav", f"/b/{decomposed}.mp3") == [f"{composed}.wav", f"{decomposed}.mp3"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/CON.wav", "_CON"),
        ("/a/who: me?.wav", "who_ me_"),
        ("/a/.wav", "wav"),
        ("/a/talk. .wav", "talk"),
        ("/a/" + "x" * 150 + ".wav", "x" * 80),
        ("/a/\udcff.wav", "_"),
        ("/a/ . .wav", "recording"),
    ],
)
def test_a_name_that_some_system_refuses_is_mended(path: str, name: str) -> None:
    assert names(path) == [name]


@pytest.mark.parametrize("stem", ["logs", "TASKS", "batch.json"])
def test_what_the_batch_itself_writes_has_its_name_alone(stem: str) -> None:
    (name,) = names(f"/a/{stem}.wav")
    assert file_key(name) not in map(file_key, RESERVED)


def test_names_of_an_earlier_batch_are_kept_and_given_to_no_other() -> None:
    earlier = {"/a/talk.wav": "talk", "/gone/other.wav": "other"}
    assert names("/b/talk.wav", "/a/talk.wav", "/b/other.wav", earlier=earlier) == [
        "talk.wav",
        "talk",
        "other.wav",
    ]


def test_a_name_that_a_list_once_gave_is_not_kept() -> None:
    assert names("/a/talk.wav", earlier={"/a/talk.wav": "spanish"}) == ["talk"]


def test_a_name_that_a_list_gives_now_is_no_other_s() -> None:
    assert names("/a/talk.wav", taken=("Talk",), earlier={"/a/talk.wav": "talk"}) == ["talk.wav"]


PARTS = st.text(st.sampled_from("aB é.:-"), min_size=1, max_size=4).filter(lambda t: t not in (".", ".."))
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=4).map(lambda p: "/" + "/".join(p)), max_size=8)


@examples
@given(PATHS)
def test_every_recording_has_a_name_of_its_own_whatever_the_order(paths: list[str]) -> None:
    distinct = list(dict.fromkeys(map(Path, paths)))
    found = dict(zip(distinct, give_names(distinct, {}, ()), strict=True))
    assert len({file_key(name) for name in found.values()}) == len(distinct)
    assert not any(map(name_fault, found.values()))
    shuffled = random.Random(0).sample(distinct, len(distinct))
    assert dict(zip(shuffled, give_names(shuffled, {}, ()), strict=True)) == found
    again = give_names(shuffled, {str(path): name for path, name in found.items()}, ())
    assert dict(zip(shuffled, again, strict=True)) == found
