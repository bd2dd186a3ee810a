"""Script files of every format, valid and invalid."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.script import script_file
from voiceclone_cli.script.parsers import ScriptLine, share_time
from voiceclone_cli.types import Diarization, OmittedText, Script, Turn

TURNS = (Turn(0.0, 10.0, "SPEAKER_00"), Turn(10.0, 20.0, "SPEAKER_01"))
TWO_PEOPLE = Diarization(TURNS, TURNS, "test")


def read(folder: Path, name: str, content: str | bytes, seconds: float | None = None) -> Script:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return script_file.read_script(path, TWO_PEOPLE, language="en", recording_seconds=seconds)


def rejection(folder: Path, name: str, content: str | bytes, seconds: float | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        read(folder, name, content, seconds)
    assert str(folder / name) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


def rows(result: Script) -> list[tuple[str, str, float, float, str]]:
    return [(line.id, line.speaker, line.start, line.end, line.text) for line in result.segments]


def texts(result: Script) -> list[str]:
    return [line.text for line in result.segments]


SRT = "1\n00:00:01,500 --> 00:00:03,000\nHello\nthere.\n\n2\n00:00:11,000 --> 00:00:12,000\nHi.\n"


def test_srt_gives_ids_times_text_and_the_speaker_at_that_time(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.srt", SRT)) == [
        ("0001", "SPEAKER_00", 1.5, 3.0, "Hello there."),
        ("0002", "SPEAKER_01", 11.0, 12.0, "Hi."),
    ]


def test_srt_keeps_cue_numbers_as_ids_and_sorts_by_time(tmp_path: Path) -> None:
    swapped = "7\n00:00:11,000 --> 00:00:12,000\nHi.\n\n3\n00:00:01,500 --> 00:00:03,000\nHello.\n"
    assert [line.id for line in read(tmp_path, "a.srt", swapped).segments] == ["0003", "0007"]


def test_srt_keeps_a_number_that_is_the_last_text(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "a.srt", "1\n00:00:01,500 --> 00:00:03,000\nThe answer is\n42\n")) == [
        "The answer is 42"
    ]


def test_formatting_and_entities_are_removed(tmp_path: Path) -> None:
    cue = '<i>Salt</i> {\\an8}&amp; <font color="#fff">pepper</font>, 1 < 2 <3'
    assert texts(read(tmp_path, "a.srt", SRT.replace("Hello", cue)))[0] == "Salt & pepper, 1 < 2 <3 there."


def test_empty_cues_and_sounds_are_omitted(tmp_path: Path) -> None:
    result = read(
        tmp_path, "a.srt", SRT.replace("Hi.", "[thunder]") + "\n3\n00:00:13,000 --> 00:00:14,000\n\n"
    )
    assert texts(result) == ["Hello there."]
    assert result.omitted == (
        OmittedText("cue 2", 11.0, 12.0, "[thunder]", "sound"),
        OmittedText("cue 3", 13.0, 14.0, "", "no words"),
    )


def test_overlapping_cues_are_allowed(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a.srt", SRT.replace("00:00:11", "00:00:02")).segments) == 2


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ("00:00:03,000 --> 00:00:01,500", "ends at 1.500 s, not after its start at 3.000 s"),
        ("00:00:03,000 --> 00:00:03,000", "ends at 3.000 s, not after its start at 3.000 s"),
        ("-00:00:03,000 --> -00:00:01,500", "ends at -1.500 s, before the recording"),
        (
            "01:00:01,500 --> 01:00:03,000",
            "starts at 3601.500 s, after the recording, which ends at 20.000 s",
        ),
        ("100:00:01,500 --> 100:00:03,000", "is after 100 hours"),
        ("00:00:01,500 -->", "its times are '00:00:01,500 -->'"),
        ("00:00:01,500 --> 00:00:03,000 00:00:04,000", "its times are"),
    ],
)
def test_a_cue_of_impossible_times_costs_one_cue(tmp_path: Path, times: str, reason: str) -> None:
    content = f"{SRT}\n3\n{times}\nGood\nbye.\n\n4\n00:00:13,000 --> 00:00:14,000\nLast.\n"
    result = read(tmp_path, "a.srt", content, seconds=20.0)
    assert texts(result) == ["Hello there.", "Hi.", "Last."]
    (omitted,) = result.omitted
    assert (omitted.where, omitted.text) == ("cue 3", "Good\nbye.")
    assert omitted.reason.startswith(reason)
    (note,) = result.notes
    assert note.startswith(f"1 line is damaged and not spoken: cue 3: {reason}")


@pytest.mark.parametrize(
    "times",
    [
        "00:00:01.500 --> 00:00:03.000",
        "0:0:1,5-->0:0:3,0",
        "00:01,500 --> 00:03,000",
        "00: 00: 01,500 --> 00: 00: 03,000",
        "00:00:01,500 -> 00:00:03,000",
        "00:00:01,500 —> 00:00:03,000",
        "00:00:01,500 00:00:03,000",
        "00:00:01,500 --> 00:00:03,000  X1:100 X2:200 Y1:10 Y2:20",
        "00:00:01,500 --> 00:00:03,000 align:start position:0%",
    ],
)
def test_times_as_people_and_programs_write_them_are_read(tmp_path: Path, times: str) -> None:
    assert rows(read(tmp_path, "a.srt", f"1\n{times}\nHello.\n")) == [
        ("0001", "SPEAKER_00", 1.5, 3.0, "Hello.")
    ]


def test_text_behind_the_times_is_spoken(tmp_path: Path) -> None:
    result = read(tmp_path, "a.srt", "1\n00:00:01 --> 00:00:03 Hello\nthere.\n")
    assert rows(result) == [("0001", "SPEAKER_00", 1.0, 3.0, "Hello there.")]


def test_a_cue_may_start_at_the_first_moment_or_before_it(tmp_path: Path) -> None:
    content = "1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n2\n-00:00:01,000 --> 00:00:02,500\nHi.\n"
    result = read(tmp_path, "a.srt", content, seconds=20.0)
    assert [(line.start, line.end, line.text) for line in result.segments] == [
        (0.0, 1.0, "Hello."),
        (0.0, 2.5, "Hi."),
    ]
    assert result.notes == (
        "Cut to the length of the recording: cue 2: lasts from -1.000 to 2.500 s, beyond the recording.",
    )


def test_a_line_that_outlasts_the_recording_is_cut_and_noted_unless_it_is_a_little(tmp_path: Path) -> None:
    little = read(tmp_path, "a.srt", SRT, seconds=11.9)
    assert little.segments[1].end == 11.9 and not little.notes
    more = read(tmp_path, "a.srt", SRT, seconds=11.1)
    assert more.segments[1].end == 11.1
    assert "cue 2: lasts from 11.000 to 12.000 s" in more.notes[0]


def test_all_faults_are_told_at_once_and_strict_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    cues = [(1, 2), (4, 3), (5, 5), (9, 12), (30, 31)]
    path.write_text(
        "\n".join(
            f"{n}\n00:00:{start:02d},000 --> 00:00:{end:02d},000\nLine {n}.\n"
            for n, (start, end) in enumerate(cues, 1)
        ),
        encoding="utf-8",
    )
    loose = script_file.read_script(path, TWO_PEOPLE, language="en", recording_seconds=10.0)
    assert texts(loose) == ["Line 1.", "Line 4."]
    assert [text.where for text in loose.omitted] == ["cue 2", "cue 3", "cue 5"]
    assert loose.notes[0].startswith("3 lines are damaged and not spoken: cue 2: ends at 3.000 s")
    with pytest.raises(InputError) as caught:
        script_file.read_script(path, TWO_PEOPLE, language="en", recording_seconds=10.0, strict=True)
    assert all(f"cue {n}: " in caught.value.message for n in (2, 3, 4, 5))
    assert caught.value.code == "script_time"


def test_many_faults_are_counted(tmp_path: Path) -> None:
    cues = "".join(f"{n}\n00:00:05,000 --> 00:00:05,000\nLine {n}.\n\n" for n in range(1, 1001))
    result = read(tmp_path, "a.srt", cues + "1001\n00:00:01,000 --> 00:00:02,000\nHello.\n")
    assert len(result.omitted) == 1000 and len(result.segments) == 1
    assert result.notes[0].startswith("1,000 lines are damaged") and len(result.notes[0]) < 500
    assert result.notes[0].endswith(" more.")
    assert "no line that can be spoken: cue 1: ends at" in rejection(tmp_path, "a.srt", cues).message


def test_vtt_reads_cues_alone(tmp_path: Path) -> None:
    vtt = (
        "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE nothing to speak\n\nopening\n"
        "00:01.500 --> 00:00:03.000 align:start\nHello <00:00:02.000><c>there</c><00:00:02.500>.\n\n"
        "NOTE 00:00:05.000 to 00:00:06.000 is silent\n\n2\n00:00:11.000 --> 00:00:12.000\n- Hi.\n"
    )
    assert rows(read(tmp_path, "a.vtt", vtt)) == [
        ("0001", "SPEAKER_00", 1.5, 3.0, "Hello there."),
        ("0002", "SPEAKER_01", 11.0, 12.0, "Hi."),
    ]


def test_a_vtt_voice_is_the_speaker(tmp_path: Path) -> None:
    vtt = "WEBVTT\n\n00:01.500 --> 00:03.000\n<v.loud SPEAKER_01>Hello.</v>\n"
    assert rows(read(tmp_path, "a.vtt", vtt)) == [("0001", "SPEAKER_01", 1.5, 3.0, "Hello.")]


def test_voices_of_one_cue_share_its_time(tmp_path: Path) -> None:
    vtt = "WEBVTT\n\n00:01.000 --> 00:05.000\n<v SPEAKER_01>Did you see it?</v> <v SPEAKER_00>No.</v>\n<v SPEAKER_00>Not yet.\n"
    assert rows(read(tmp_path, "a.vtt", vtt)) == [
        ("0001", "SPEAKER_01", 1.0, 3.315, "Did you see it?"),
        ("0002", "SPEAKER_00", 3.315, 5.0, "No. Not yet."),
    ]


ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not spoken\n"
    "Dialogue: 0,0:00:01.50,0:00:03.00,Default,speaker_01,0,0,0,,{\\i1}Hello,{\\i0}\\Nthere.\n"
    "Dialogue: 0,0:00:11.00,0:00:12.00,Default,,0,0,0,,Hi.\n"
    "Dialogue: 0,0:00:11.00,0:00:12.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}\n"
)


@pytest.mark.parametrize("name", ["a.ass", "a.ssa"])
def test_ass_gives_actors_and_text_without_overrides_comments_and_drawings(tmp_path: Path, name: str) -> None:
    assert rows(read(tmp_path, name, ASS)) == [
        ("0001", "SPEAKER_01", 1.5, 3.0, "Hello, there."),
        ("0002", "SPEAKER_01", 11.0, 12.0, "Hi."),
    ]


def test_an_ass_line_with_broken_times_is_named(tmp_path: Path) -> None:
    result = read(tmp_path, "a.ass", ASS.replace("0:00:01.50", "soon"))
    assert texts(result) == ["Hi."]
    assert [(text.where, text.text) for text in result.omitted] == [("line 7", "Hello,\nthere.")]
    assert "line 7: is not a Dialogue line of 10 fields" in result.notes[0]


def test_json_gives_everything_and_its_segments_only_their_own_language(tmp_path: Path) -> None:
    document = {
        "schema": "voiceclone.script/1",
        "language": "es",
        "segments": [
            {"start": 1.5, "end": "0:00:03.000", "text": "[Music] plays", "speaker": "SPEAKER_01", "id": 5},
            {"start": 11, "end": 12, "text": "Hi.", "language": "en", "id": "b", "seed": 7, "extra": True},
        ],
    }
    result = read(tmp_path, "a.json", json.dumps(document))
    assert rows(result) == [
        ("0005", "SPEAKER_01", 1.5, 3.0, "plays"),
        ("b", "SPEAKER_01", 11.0, 12.0, "Hi."),
    ]
    result = read(tmp_path, "b.json", json.dumps({**document, "language": "fr"}))
    assert [line.language for line in result.segments] == ["en", "en"], "that of the caller, and its own"
    assert [line.seed for line in result.segments] == [None, 7]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "script_format"),
        ("[" * 100_000, "script_format"),
        ("3", "script_format"),
        ('{"schema": "other/1", "segments": []}', "script_format"),
        ('{"segments": [3]}', "script_format"),
        ('[{"start": 1, "end": 2}]', "script_format"),
        ('[{"start": 1, "end": 2, "text": 3}]', "script_format"),
        ('[{"start": 1, "end": 2, "text": "a", "seed": -1}]', "script_format"),
        ('[{"start": 1, "end": 2, "text": "a", "seed": true}]', "script_format"),
        ('[{"start": NaN, "end": 2, "text": "a"}]', "script_format"),
        ('[{"start": 1, "end": Infinity, "text": "a"}]', "script_format"),
        ('[{"start": 1, "end": 1e999, "text": "a"}]', "script_format"),
        ('[{"start": 1, "end": ' + "9" * 5000 + ', "text": "a"}]', "script_format"),
        ('[{"start": 1, "end": ' + "[" * 900 + "]" * 900 + ', "text": "a"}]', "script_time"),
        ('{"segments": [], "schema": ' + "[" * 900 + "]" * 900 + "}", "script_format"),
        ('[{"start": -2, "end": -1, "text": "a"}]', "script_time"),
        ('[{"start": true, "end": 2, "text": "a"}]', "script_time"),
        ('[{"start": 1, "end": ' + "9" * 400 + ', "text": "a"}]', "script_time"),
        ('[{"start": 1, "end": 1.0004, "text": "a"}]', "script_time"),
        ('[{"start": 1, "end": 2, "text": "\\ud800 a"}]', "script_text"),
        ('[{"start": 1, "end": 2, "text": "a", "language": "../x"}]', "script_language"),
        ('[{"start": 1, "end": 2, "text": "a", "speaker": "../x"}]', "unsafe_name"),
        ("[]", "script_empty"),
    ],
)
def test_json_that_is_not_a_script_is_rejected(tmp_path: Path, content: str, code: str) -> None:
    assert rejection(tmp_path, "a.json", content).code == code


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read_with_any_usual_delimiter(tmp_path: Path, delimiter: str) -> None:
    table = [
        ["Start", "END", "speaker", "text", "mood"],
        ["1.5", "0:03", "SPEAKER_01", '"Hello, ""you""; there."', "glad"],
        ["0:00:11.000", "12", "", "Hi.", ""],
    ]
    content = "\r\n".join(delimiter.join(row) for row in table) + "\r\n\r\n"
    assert rows(read(tmp_path, "a.csv", content)) == [
        ("0001", "SPEAKER_01", 1.5, 3.0, 'Hello, "you"; there.'),
        ("0002", "SPEAKER_01", 11.0, 12.0, "Hi."),
    ]


def test_csv_takes_decimal_commas_ids_and_languages(tmp_path: Path) -> None:
    result = read(tmp_path, "a.csv", "id;start;end;text;language\nx1;1,5;3,25;Hola.;es\n")
    assert rows(result) == [("x1", "SPEAKER_00", 1.5, 3.25, "Hola.")]
    assert result.segments[0].language == "es"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "no line with words"),
        ("start,end,text\n", "no line with words"),
        ("from,to,text\n1,2,a\n", "start and end are missing"),
        ("start,end,text,text\n1,2,a,b\n", 'more than one column "text"'),
        ("start,end,text\n1,2,Well, no\n", "line 2: has more cells"),
        ("start,end,text\n1,,a\n", "line 2: '' is not a time"),
        ("start,end,text\nnan,2,a\n", "line 2: 'nan' is not a time"),
        ('start,end,text\n1,2,"a\n', "line 2: is not valid CSV"),
    ],
)
def test_csv_that_is_not_a_script_is_rejected(tmp_path: Path, content: str, part: str) -> None:
    assert part in rejection(tmp_path, "a.csv", content).message


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_unicode_files_of_any_mark_are_read(tmp_path: Path, mark: bytes, encoding: str) -> None:
    content = mark + SRT.replace("Hello", "Señora, ¿qué tal? 你好").encode(encoding)
    assert texts(read(tmp_path, "a.srt", content))[0] == "Señora, ¿qué tal? 你好there."


def test_the_encoding_that_the_text_proves_is_taken_and_named(tmp_path: Path) -> None:
    result = read(tmp_path, "a.srt", SRT.replace("Hello", "他今天不会回来了").encode("gbk"))
    assert texts(result)[0] == "他今天不会回来了there."
    assert result.notes[0] == (
        "a.srt is not UTF-8 and was read as gb18030: give --encoding if that is wrong."
    )


def test_an_encoding_that_nothing_proves_is_refused_unless_it_is_given(tmp_path: Path) -> None:
    content = SRT.replace("Hello", "Kovač").encode("cp1250")
    refused = rejection(tmp_path, "a.srt", content)
    assert refused.code == "script_encoding"
    assert "--encoding" in refused.message and "save it as UTF-8" in refused.message
    (tmp_path / "a.srt").write_bytes(content)
    given = script_file.read_script(tmp_path / "a.srt", TWO_PEOPLE, language="en", encoding="cp1250")
    assert given.segments[0].text == "Kovač there." and not given.notes


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.ass", "a.csv"])
def test_an_empty_file_is_rejected(tmp_path: Path, name: str) -> None:
    assert rejection(tmp_path, name, "").code == "script_empty"


def test_other_extensions_are_rejected(tmp_path: Path) -> None:
    assert ".srt, .vtt" in rejection(tmp_path, "a.docx", "").message


def test_a_missing_file_and_a_folder_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "folder.srt").mkdir()
    for name, code in (("missing.srt", "script_not_found"), ("folder.srt", "script_unreadable")):
        with pytest.raises(InputError) as caught:
            script_file.read_script(tmp_path / name, None, language="en")
        assert caught.value.code == code


def test_too_many_lines_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_file, "MAX_LINES", 1)
    assert rejection(tmp_path, "a.srt", SRT).code == "script_too_long"


def test_a_file_of_too_many_rows_or_bytes_is_rejected(tmp_path: Path) -> None:
    rows = rejection(tmp_path, "a.srt", "\n" * 1_000_001)
    assert rows.code == "script_too_long" and "1,000,000 rows" in rows.message
    with (tmp_path / "b.srt").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="larger than 32 MB"):
        script_file.read_script(tmp_path / "b.srt", None, language="en")


@pytest.mark.parametrize(
    ("name", "content", "more"),
    [
        ("a.srt", SRT.replace("Hello", "a" * 5001), ""),
        ("a.srt", SRT.replace("Hello", "<i>" * 40_000), ""),
        ("a.ass", ASS.replace("Hello", "a" * 5001), ""),
        ("a.csv", f"start,end,text\n1,2,{'a' * 5001}\n", "3,4,b\n"),
    ],
)
def test_a_line_of_too_much_text_is_omitted(tmp_path: Path, name: str, content: str, more: str) -> None:
    damaged = [text for text in read(tmp_path, name, content + more).omitted if len(text.text) > 4000]
    assert len(damaged) == 1 and "more than" in damaged[0].reason


def test_a_time_beyond_a_hundred_hours_is_rejected(tmp_path: Path) -> None:
    vtt = "WEBVTT\n\n9999:00:01.000 --> 9999:00:02.000\nHello.\n"
    assert "after 100 hours" in rejection(tmp_path, "a.vtt", vtt).message


def test_a_table_of_too_many_columns_is_rejected(tmp_path: Path) -> None:
    assert "1,001 cells" in rejection(tmp_path, "a.csv", "start,end,text" + ",x" * 998 + "\n1,2,a\n").message


def test_an_invalid_character_reference_stays_text(tmp_path: Path) -> None:
    digits = "9" * 4400
    assert texts(read(tmp_path, "a.srt", SRT.replace("Hello", f"&#{digits};")))[0] == f"&#{digits}; there."


def test_a_number_alone_in_a_vtt_cue_is_its_text(tmp_path: Path) -> None:
    vtt = "WEBVTT\n\n00:01.500 --> 00:03.000\nThe answer is\n42\n\n00:04.000 --> 00:05.000\nHi.\n"
    assert texts(read(tmp_path, "a.vtt", vtt)) == ["The answer is 42", "Hi."]


def test_notes_beyond_fifty_are_counted(tmp_path: Path) -> None:
    cues = "".join(f"{n}\n{n:02d}:00:00,000 --> {n:02d}:00:01,000\nHello.\n\n" for n in range(1, 61))
    result = read(tmp_path, "a.srt", cues)
    assert len(result.notes) == 51 and result.notes[-1] == "And 10 more notes like these."


@pytest.mark.parametrize(
    "ids",
    [
        ("x", "X"),
        ("a/b", "c"),
        ("..", "c"),
        ("x", ""),
        ("con", "c"),
        ("a\u202e", "c"),
        ("jos\u00e9", "jose\u0301"),
        ("a" * 300, "c"),
    ],
)
def test_ids_that_cannot_name_files_are_renumbered(tmp_path: Path, ids: tuple[str, str]) -> None:
    lines = [{"id": id, "start": at, "end": at + 1, "text": "a"} for at, id in enumerate(ids)]
    result = read(tmp_path, "a.json", json.dumps(lines))
    assert [line.id for line in result.segments] == ["0001", "0002"]
    assert "renumbered" in result.notes[0]


def test_texts_share_the_time_of_a_line_by_their_length() -> None:
    line = ScriptLine("cue 3", 1.0, 5.0, "", speaker="Anna", id="3")
    parts = share_time(line, ["Did you see it?", "No.", "..."])
    assert [(part.start, part.end, part.text, part.id) for part in parts] == [
        (1.0, 4.141, "Did you see it?", "3"),
        (4.141, 4.713, "No.", "0003b"),
        (4.713, 5.0, "...", "0003c"),
    ]
    assert {part.where for part in parts} == {"cue 3"}


def test_a_line_of_a_millisecond_is_not_shared() -> None:
    parts = share_time(ScriptLine("cue 1", 1.0, 1.001, ""), ["One.", "Two."])
    assert [(part.start, part.end) for part in parts] == [(1.0, 1.001)] * 2


def test_a_few_damaged_bytes_cost_their_lines_alone(tmp_path: Path) -> None:
    content = (
        SRT.replace("Hello", "Señora, ¿qué tal está?").encode()
        + b"\n3\n00:00:13,000 --> 00:00:14,000\nYe\xffs.\n"
    )
    result = read(tmp_path, "a.srt", content)
    assert texts(result) == ["Señora, ¿qué tal está? there.", "Hi."]
    assert [(text.where, text.text, text.reason) for text in result.omitted] == [
        ("cue 3", "Ye?s.", "has text that is not Unicode")
    ]


def test_one_bad_field_costs_one_line(tmp_path: Path) -> None:
    rows = [
        {"start": 1, "end": 2, "text": "One."},
        {"start": 2, "end": 3, "text": "Two.", "speaker": "../x"},
        {"start": 3, "end": 4, "text": "Three.", "language": "?"},
        {"start": 4, "end": 5, "text": "Four.", "seed": -1},
        {"start": "soon", "end": 6, "text": "Five."},
        {"start": 6, "end": 7, "text": "Six.", "speaker": 6},
        7,
        {"start": 8, "end": 9, "text": "Eight."},
    ]
    result = read(tmp_path, "a.json", json.dumps(rows))
    assert texts(result) == ["One.", "Eight."]
    assert [text.where for text in result.omitted] == [f"segment {number}" for number in range(2, 8)]
    assert result.notes[0].startswith(
        "6 lines are damaged and not spoken: segment 2: the speaker name '../x'"
    )


def test_one_bad_row_of_a_table_costs_one_line(tmp_path: Path) -> None:
    table = (
        'start,end,text\n1,2,One.\n2,3,"Two "of" it."\n3,x,Three.\n4,5,"Four,\nand more."\n5,6,Five, six.\n6,7,"Open\n'
        "start,end,text\n7,8,Eight.\n"
    )
    result = read(tmp_path, "a.csv", table)
    assert texts(result) == ["One.", "Four, and more.", "Eight."]
    assert [(text.where, text.text) for text in result.omitted] == [
        ("line 3", '2,3,"Two "of" it."'),
        ("line 4", "Three."),
        ("line 7", "Five six."),
        ("line 8", '6,7,"Open'),
    ]
