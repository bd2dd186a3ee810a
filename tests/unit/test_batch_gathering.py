from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone_cli.batch import Batch, gather, is_single
from voiceclone_cli.batch.document import document, planned_row, write_batch
from voiceclone_cli.errors import InputError
from voiceclone_cli.settings import resolve
from voiceclone_cli.steps.request import RunRequest


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    for name in ("a/talk.wav", "b/talk.wav", "film.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return RunRequest(Path(), resolve({}, environ={}), out=Path("out"))


def gathered(common: RunRequest, *arguments: str, listed: str | None = None) -> Batch:
    path = None
    if listed is not None:
        path = Path("list.csv")
        path.write_text(listed)
    return gather([Path(argument) for argument in arguments], path, common)


def refused(common: RunRequest, *arguments: str, listed: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        gathered(common, *arguments, listed=listed)
    return caught.value


def test_one_file_is_no_batch_and_everything_else_is(common: RunRequest) -> None:
    assert is_single([Path("film.mp4")], None) and is_single([Path("missing.mp4")], None)
    assert not is_single([Path("film.mp4"), Path("a/talk.wav")], None)
    assert not is_single([Path("a")], None) and not is_single([Path("*.mp4")], None)
    assert not is_single([Path("film.mp4")], Path("list.csv")) and not is_single([], None)


def test_each_recording_has_its_own_directory_in_the_root(common: RunRequest, tmp_path: Path) -> None:
    batch = gathered(common, "film.mp4", "a", "b")
    assert batch.root == tmp_path / "out"
    assert [item.name for item in batch.items] == ["film", "a-talk", "b-talk"]
    for item in batch.items:
        assert item.request.run_dir == batch.root / item.name
        assert item.request.input.is_file() and item.request.input.is_absolute()


def test_a_recording_that_is_named_twice_is_taken_once_and_noted(common: RunRequest, tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    batch = gathered(common, "film.mp4", "a/../film.mp4", "link.mp4", "a/talk.wav")
    assert [item.name for item in batch.items] == ["film", "talk"]
    assert batch.notes == ("named more than once, taken once: a/../film.mp4, link.mp4",)


def test_what_a_list_says_of_a_recording_holds_where_an_argument_names_it_too(common: RunRequest) -> None:
    batch = gathered(common, "film.mp4", "a/talk.wav", listed="input,language\nfilm.mp4,es\n")
    assert [(item.name, item.request.settings.language) for item in batch.items] == [
        ("talk", None),
        ("film", "es"),
    ]


def test_one_recording_may_be_spoken_in_two_ways_that_have_names(common: RunRequest) -> None:
    batch = gathered(common, listed="input,name,script\nfilm.mp4,es,f.es.srt\nfilm.mp4,fr,f.fr.srt\n")
    assert [item.name for item in batch.items] == ["es", "fr"]
    error = refused(common, listed="input,script\nfilm.mp4,f.es.srt\nfilm.mp4,f.fr.srt\n")
    assert error.code == "list_name" and "row 2" in error.message and "row 3" in error.message
    assert len(gathered(common, listed="input\nfilm.mp4\nfilm.mp4\n").items) == 1


def test_a_recording_keeps_its_name_when_others_come_and_go(common: RunRequest, tmp_path: Path) -> None:
    first = gathered(common, "a/talk.wav", "film.mp4")
    first.root.mkdir()
    write_batch(first.root, document(first, [planned_row(item) for item in first.items]))
    second = gathered(common, "b/talk.wav", "film.mp4")
    assert [item.name for item in second.items] == ["talk.wav", "film"]
    assert second.earlier == {str(tmp_path / "a" / "talk.wav"): "talk"}
    write_batch(second.root, document(second, [planned_row(item) for item in second.items]))
    third = gathered(common, "a", "b")
    assert [item.name for item in third.items] == ["talk", "talk.wav"]


@pytest.mark.parametrize("option", ["--script", "--turns", "--reference"])
def test_an_option_for_one_recording_is_refused_with_the_way_out(common: RunRequest, option: str) -> None:
    changed = {
        "--script": replace(common, script=Path("x.srt")),
        "--turns": replace(common, turns=Path("x.rttm")),
        "--reference": replace(common, references={"Ana": Path("a.wav")}),
    }[option]
    error = refused(changed, "a", "b")
    assert error.code == "option_of_one" and error.message.startswith(option) and "--list" in error.message


def test_a_root_that_is_something_else_is_left_alone(common: RunRequest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text("{}")
    assert "the run directory of one recording" in refused(common, "a", "b").message
    (out / "run.json").unlink()
    for content in ("no json", "[]", json.dumps({"schema": "voiceclone.batch/9"})):
        (out / "batch.json").write_text(content)
        assert refused(common, "a", "b").code == "batch_schema"
    (out / "batch.json").unlink()
    out.rmdir()
    out.write_text("a file")
    assert "out is a file" in refused(common, "a", "b").message


def test_without_any_recording_there_is_nothing_to_do(common: RunRequest) -> None:
    assert "--list" in refused(common).message
