"""Inputs of a batch: arguments, and lists with options for each recording."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.analysis.diarization import SpeakerCount
from voiceclone_cli.batch.inputs import COLUMNS, ListRow, find_inputs, is_collection, read_list
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.request import RunRequest


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two seasons, notes, hidden files and the directory of an earlier run."""
    for name in (
        "S02/E01.mp4",
        "S01/E02.MKV",
        "S01/E01.mp4",
        "S01/notes.txt",
        "S01/.E01.mp4",
        ".trash/old.wav",
        "E01.voiceclone/mix.wav",
        "E01.voiceclone/stems/SPEAKER_00.wav",
        "jingle.wav",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    (tmp_path / "E01.voiceclone" / "run.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str) -> list[str]:
    return [path.as_posix() for path in find_inputs(map(Path, arguments))]


def test_folder_is_searched_recursively_in_order(archive: Path) -> None:
    assert found(".") == ["S01/E01.mp4", "S01/E02.MKV", "S02/E01.mp4", "jingle.wav"]


def test_arguments_keep_their_order(archive: Path) -> None:
    assert found("jingle.wav", "S02", "S01/E01.mp4") == ["jingle.wav", "S02/E01.mp4", "S01/E01.mp4"]


def test_pattern_matches_as_in_a_shell(archive: Path) -> None:
    assert found("S*/*.mp4") == ["S01/E01.mp4", "S02/E01.mp4"]
    assert found("**/*.mp4") == ["S01/E01.mp4", "S02/E01.mp4"]
    assert found("S01/E0[12].*") == ["S01/E01.mp4", "S01/E02.MKV"]


def test_pattern_with_open_suffix_matches_recordings_only(archive: Path) -> None:
    assert found("**") == ["S01/E01.mp4", "S01/E02.MKV", "S02/E01.mp4", "jingle.wav"]
    assert found("S01/*.txt") == ["S01/notes.txt"]


def test_pattern_searches_matching_folders(archive: Path) -> None:
    assert found("S0?") == ["S01/E01.mp4", "S01/E02.MKV", "S02/E01.mp4"]


def test_run_directory_is_skipped_unless_it_is_named(archive: Path) -> None:
    assert found("**/*.wav") == ["jingle.wav"]
    assert found("E01.voiceclone/*.wav") == ["E01.voiceclone/mix.wav"]
    with pytest.raises(InputError, match="run directory") as caught:
        found("E01.voiceclone")
    assert caught.value.code == "run_directory_as_input"


@pytest.mark.parametrize("argument", ["empty", "*.flac", "S01/*.doc", "nowhere/**"])
def test_argument_without_recordings_is_refused(archive: Path, argument: str) -> None:
    (archive / "empty").mkdir()
    with pytest.raises(InputError, match="no audio or video file") as caught:
        found("S01", argument)
    assert caught.value.code == "no_input"


def test_named_file_is_taken_as_it_is(archive: Path) -> None:
    (archive / "talk [1].wav").touch()
    assert found("talk [1].wav", "missing.wav", "S01/notes.txt") == [
        "talk [1].wav",
        "missing.wav",
        "S01/notes.txt",
    ]
    assert not is_collection(Path("talk [1].wav")) and not is_collection(Path("missing.wav"))
    assert is_collection(Path("S01")) and is_collection(Path("talk [2].wav"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every folder")
def test_unreadable_folder_is_not_taken_for_empty(archive: Path) -> None:
    (archive / "S02").chmod(0)
    try:
        with pytest.raises(InputError, match="S02 cannot be read"):
            found(".")
    finally:
        (archive / "S02").chmod(0o755)


@pytest.fixture
def common(tmp_path: Path) -> RunRequest:
    settings = resolve({"language": "en", "seed": 5}, environ={}, dotenv=tmp_path / "none")
    return RunRequest(Path(), settings, speakers=SpeakerCount(least=2, most=4))


def read_rows(tmp_path: Path, common: RunRequest, text: str | bytes, name: str = "list.csv") -> list[ListRow]:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / name).write_bytes(data)
    return read_list(tmp_path / name, common)[0]


def list_error(tmp_path: Path, common: RunRequest, text: str | bytes, name: str = "list.csv") -> str:
    with pytest.raises(InputError) as caught:
        read_rows(tmp_path, common, text, name)
    assert caught.value.code.startswith("list_") or caught.value.code == "speaker_count"
    assert "\n" not in caught.value.message
    return caught.value.message


def test_row_changes_only_the_options_it_sets(tmp_path: Path, common: RunRequest) -> None:
    elsewhere = Path("/else/two.wav").absolute()
    first, second = read_rows(
        tmp_path,
        common,
        "input,name,script,language,seed,speakers,watermark,max_stretch\n"
        "one.mp4,Uno,subs/one.es.srt,ES,7,3,no,1.5\n"
        f"{elsewhere},,,,,,,\n",
    )
    assert (first.name, first.request.input) == ("Uno", tmp_path / "one.mp4")
    assert first.request.script == tmp_path / "subs" / "one.es.srt"
    settings = first.request.settings
    assert (settings.language, settings.seed, settings.watermark, settings.max_stretch) == (
        "es",
        7,
        False,
        1.5,
    )
    assert settings.sources["seed"] == "list"
    assert first.request.speakers == SpeakerCount(exactly=3)
    assert second.name is None and second.request.script is None
    assert second.request.input == elsewhere
    assert second.request.settings == common.settings and second.request.speakers == common.speakers


def test_json_lines_are_read_like_csv(tmp_path: Path, common: RunRequest) -> None:
    lines = [
        {"input": "a.wav", "seed": 3, "watermark": False, "references": {"Ana": "ana.wav"}, "turns": None},
        {"input": "b.wav", "min_speakers": 2, "references": "Ana=ana.wav; Bo=b=o.wav", "consent": "c.json"},
    ]
    first, second = read_rows(tmp_path, common, "\n\n".join(map(json.dumps, lines)), "list.jsonl")
    assert first.request.references == {"Ana": tmp_path / "ana.wav"} and first.request.turns is None
    assert (first.request.settings.seed, first.request.settings.watermark) == (3, False)
    assert second.request.references == {"Ana": tmp_path / "ana.wav", "Bo": tmp_path / "b=o.wav"}
    assert second.request.speakers == SpeakerCount(least=2)
    assert second.request.consent == tmp_path / "c.json"


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbfinput;language\r\n"one; two.wav";fr\r\n;\r\n',  # a spreadsheet's, saved as CSV UTF-8
        "input\tlanguage\r\none; two.wav\tfr\r\n".encode("utf-16"),  # as "Unicode text"
        b"INPUT , Language,,\none; two.wav,fr,,\n",  # with columns that once held something
        b"language,input\nfr,one; two.wav",
        b'input,language\r"one; two.wav",fr\r',  # an old one
    ],
)
def test_list_is_read_as_spreadsheets_write_it(tmp_path: Path, common: RunRequest, data: bytes) -> None:
    (row,) = read_rows(tmp_path, common, data)
    assert row.request.input == tmp_path / "one; two.wav"
    assert row.request.settings.language == "fr"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("language", "klingon!"),
        ("seed", "-1"),
        ("max_stretch", "9"),
        ("background", "loud"),
        ("watermark", "perhaps"),
        ("speakers", "two"),
        ("min_speakers", "0"),
        ("references", "Ana"),
        ("name", "a/b"),
        ("name", "logs"),
    ],
)
def test_bad_value_is_reported_with_row_and_column(
    tmp_path: Path, common: RunRequest, column: str, value: str
) -> None:
    message = list_error(tmp_path, common, f"input,{column}\na.wav,\nb.wav,{value}\n")
    assert f"list.csv: row 3, column {column}:" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "input,langauge\na.wav,es\n",
            "the first row: there is no column 'langauge'; the columns are input, name",
        ),
        ("file\na.wav\n", '"input"'),
        ("input,Input\na,b\n", "more than one column 'input'"),
        ("input,seed\n,3\n", "row 2, column input"),
        ("input\na.wav,b.wav\n", "row 2 has more cells"),
        ('input\n"a.wav\n', "is not valid CSV"),
        ("input\n", "no row"),
        ("", "no row"),
        (b"input\n\xff\xfe.wav\n", "UTF-8"),
        ("input,min_speakers,max_speakers\na,3,2\n", "row 2: --min-speakers 3"),
        ("input,name\na,X\nb,x\n", "row 3, column name: 'x' names the same folder as in row 2"),
    ],
)
def test_invalid_list_is_reported_in_one_sentence(
    tmp_path: Path, common: RunRequest, text: str | bytes, words: str
) -> None:
    assert words in list_error(tmp_path, common, text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "row 2 is not JSON"),
        ("[]", "row 2 must be an object"),
        ('{"input": "a", "spekers": 2}', "row 2: there is no column 'spekers'"),
        ('{"input": ["a"]}', "row 2, column input"),
        ('{"input": "a", "references": {"Ana": 3}}', "row 2, column references"),
        ('{"seed": 3}', "row 2, column input"),
        ('{"input": "a\\u0000"}', "row 2, column input"),
    ],
)
def test_bad_json_line_is_reported_with_its_row(
    tmp_path: Path, common: RunRequest, line: str, words: str
) -> None:
    assert words in list_error(tmp_path, common, f'{{"input": "fine.wav"}}\n{line}\n', "list.jsonl")


def test_a_list_as_a_chinese_spreadsheet_saves_it_is_read_and_its_encoding_named(
    tmp_path: Path, common: RunRequest
) -> None:
    text = "input,language\n会议录音一.wav,zh\n客户电话.wav,zh\n"
    (tmp_path / "list.csv").write_bytes(text.encode("gbk"))
    rows, (note,) = read_list(tmp_path / "list.csv", common)
    assert [row.request.input.name for row in rows] == ["会议录音一.wav", "客户电话.wav"]
    assert note == "list.csv is not UTF-8 and was read as gb18030: give --encoding if that is wrong."


def test_missing_list_and_unknown_format_are_refused(tmp_path: Path, common: RunRequest) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_list(tmp_path / "none.csv", common)
    assert "must be called .csv or .jsonl" in list_error(tmp_path, common, "input\na", "list.xlsx")


def test_every_column_is_a_field_of_a_request_or_its_settings(common: RunRequest) -> None:
    known: dict[str, Any] = dict.fromkeys(("name", "speakers", "min_speakers", "max_speakers"))
    for column in COLUMNS:
        assert column in known or hasattr(common, column) or hasattr(common.settings, column)
