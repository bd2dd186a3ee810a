"""Speakers of script lines."""

import json
from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.script import script_file
from voiceclone_cli.types import Diarization, Script, Turn

TURNS = (Turn(1.0, 4.0, "SPEAKER_00"), Turn(3.0, 8.0, "SPEAKER_01"), Turn(100.0, 101.0, "SPEAKER_00"))
TWO_PEOPLE = Diarization(TURNS, TURNS, "test")


def read(
    folder: Path, *lines: str, diarization: Diarization | None = TWO_PEOPLE, speakers: tuple[str, ...] = ()
) -> Script:
    """The script of these texts, a second each, from the first second on."""
    path = folder / "a.srt"
    cues = [f"{n}\n00:00:{n:02d},000 --> 00:00:{n + 1:02d},000\n{text}\n" for n, text in enumerate(lines, 1)]
    path.write_text("\n".join(cues), encoding="utf-8")
    return script_file.read_script(path, diarization, language="en", speakers=speakers)


def said(result: Script) -> list[tuple[str, str]]:
    return [(line.speaker, line.text) for line in result.segments]


@pytest.mark.parametrize(
    "text", ["[SPEAKER_01] Hi.", "[speaker_01]Hi.", "SPEAKER_01: Hi.", "[SPEAKER_01]\nHi."]
)
def test_a_known_name_before_the_text_is_the_speaker(tmp_path: Path, text: str) -> None:
    assert said(read(tmp_path, text)) == [("SPEAKER_01", "Hi.")]


def test_without_a_name_the_speaker_is_who_speaks_most_at_that_time(tmp_path: Path) -> None:
    assert said(read(tmp_path, "One.", "Two.", "Three.", "Four.")) == [
        ("SPEAKER_00", "One."),
        ("SPEAKER_00", "Two."),
        ("SPEAKER_00", "Three."),
        ("SPEAKER_01", "Four."),
    ]


def test_a_line_in_silence_goes_to_the_nearest_speaker_and_is_noted(tmp_path: Path) -> None:
    result = read(tmp_path, *[f"Line {number}." for number in range(1, 10)])
    assert said(result)[-1] == ("SPEAKER_01", "Line 9.")
    assert "cue 9 is in silence: assigned to SPEAKER_01, the nearest speaker, 1.00 s away." in result.notes


def test_a_word_and_a_colon_in_ordinary_text_are_not_a_speaker(tmp_path: Path) -> None:
    result = read(
        tmp_path, "It rains.", "Note: bring a coat.", "It snows.", "At 10:30: tea.", "Note: and a hat."
    )
    assert said(result)[1] == ("SPEAKER_00", "Note: bring a coat.")
    assert "Read as text, not as speakers: Note:." in result.notes


def test_names_that_open_most_lines_are_speakers(tmp_path: Path) -> None:
    lines = ["Anna: Hello.", "Ben: Hi.", "ANNA: Note: it rains.", "Ben: I see.", "Really?"]
    result = read(tmp_path, *lines, speakers=("Anna", "Ben"))
    assert said(result)[:4] == [
        ("Anna", "Hello."),
        ("Ben", "Hi."),
        ("Anna", "Note: it rains."),
        ("Ben", "I see."),
    ]
    assert said(result)[4] == ("SPEAKER_01", "Really?")


def test_names_that_open_most_lines_need_a_voice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Anna, Ben have no voice; the voices are SPEAKER_00, SPEAKER_01"):
        read(tmp_path, "Anna: Hello.", "Ben: Hi.", "Anna: It rains.", "Ben: I see.")


def test_a_label_that_the_diarization_does_not_know_needs_a_voice(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "One.", "[SPEAKER_07] Two.")
    assert caught.value.code == "script_speaker"
    assert '--reference "SPEAKER_07=voice.wav"' in caught.value.message


@pytest.mark.parametrize("name", ["../x", "a/b", "C:x", "nul", "a\u202eb", "x" * 101])
def test_a_name_that_cannot_name_a_folder_is_rejected(tmp_path: Path, name: str) -> None:
    lines = [{"start": 1, "end": 2, "text": "Hello.", "speaker": name}]
    (tmp_path / "a.json").write_text(json.dumps(lines), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        script_file.read_script(tmp_path / "a.json", None, language="en")
    assert caught.value.code == "unsafe_name"


def test_two_spellings_of_a_name_are_one_speaker(tmp_path: Path) -> None:
    result = read(tmp_path, "[Jos\u00e9] Hello.", "[JOSE\u0301] Hi.", diarization=None)
    assert [line.speaker for line in result.segments] == ["Jos\u00e9", "Jos\u00e9"]


def test_a_name_with_its_own_reference_needs_no_diarization(tmp_path: Path) -> None:
    assert said(read(tmp_path, "[Anna] Hello.", speakers=("Anna",))) == [("Anna", "Hello.")]


def test_a_sound_in_brackets_is_neither_a_speaker_nor_speech(tmp_path: Path) -> None:
    result = read(tmp_path, "One.", "[laughs] Two.", "Three.", "[thunder]")
    assert said(result) == [("SPEAKER_00", "One."), ("SPEAKER_00", "Two."), ("SPEAKER_00", "Three.")]
    assert [(text.where, text.text, text.reason) for text in result.omitted] == [
        ("cue 2", "[laughs]", "sound"),
        ("cue 4", "[thunder]", "sound"),
    ]


def test_without_known_speakers_brackets_name_the_speaker(tmp_path: Path) -> None:
    assert said(read(tmp_path, "[Anna] Hello.", diarization=None)) == [("Anna", "Hello.")]


def test_without_known_speakers_a_line_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cue 1 names no speaker") as caught:
        read(tmp_path, "Hello.", diarization=None)
    assert caught.value.code == "script_speaker_missing"


def test_a_label_without_words_is_omitted(tmp_path: Path) -> None:
    result = read(tmp_path, "One.", "[SPEAKER_01]", "SPEAKER_01:")
    assert said(result) == [("SPEAKER_00", "One.")]
    assert [(text.text, text.reason) for text in result.omitted] == [
        ("[SPEAKER_01]", "no words"),
        ("SPEAKER_01:", "no words"),
    ]


TALK = tuple(
    Turn(start, start + 5.0, f"SPEAKER_0{number % 2}") for number, start in enumerate((1.0, 7.0, 13.0, 19.0))
)
TURN_BY_TURN = Diarization(TALK, TALK, "test")


def read_srt(folder: Path, *cues: tuple[float, float, str], **options: bool) -> Script:
    """The script of these cues: start and end in seconds, and text."""
    path = folder / "talk.srt"
    rows = [
        f"{number}\n{clock(start)} --> {clock(end)}\n{text}\n"
        for number, (start, end, text) in enumerate(cues, 1)
    ]
    path.write_text("\n".join(rows), encoding="utf-8")
    return script_file.read_script(path, TURN_BY_TURN, language="en", recording_seconds=26.0, **options)


def clock(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", ",")


HARD_OF_HEARING = (
    (1.0, 3.0, "[whispering] I know where he is."),
    (3.2, 4.2, "(door slams)"),
    (4.5, 6.0, "(sighs) All right then."),
    (7.0, 8.0, "*laughs*"),
    (8.2, 9.5, "♪ soft music playing ♪"),
    (10.0, 12.0, "Come here. [chuckles] Now!"),
    (13.0, 15.0, "MAN (on radio): Come in."),
    (16.0, 17.0, "[thunder]"),
    (19.0, 21.0, "- [gasps]\n- What was that?"),
)


def test_subtitles_for_the_hard_of_hearing_are_spoken_without_their_sounds(tmp_path: Path) -> None:
    result = read_srt(tmp_path, *HARD_OF_HEARING)
    assert [(line.id, line.speaker, line.text) for line in result.segments] == [
        ("0001", "SPEAKER_00", "I know where he is."),
        ("0003", "SPEAKER_00", "All right then."),
        ("0006", "SPEAKER_01", "Come here. Now!"),
        ("0007", "SPEAKER_00", "Come in."),
        ("0009", "SPEAKER_01", "What was that?"),
    ]
    assert [(text.where[4:], text.text, text.reason) for text in result.omitted] == [
        ("1", "[whispering]", "sound"),
        ("2", "(door slams)", "sound"),
        ("3", "(sighs)", "sound"),
        ("4", "*laughs*", "sound"),
        ("5", "♪ soft music playing ♪", "music"),
        ("6", "[chuckles]", "sound"),
        ("7", "MAN (on radio):", "label"),
        ("8", "[thunder]", "sound"),
        ("9", "[gasps]", "sound"),
    ]
    assert result.found_by == {"time": 5}
    labels, summary = result.notes
    assert labels.startswith("Labels that name no voice: MAN; their lines go to the speaker of their time")
    assert summary.startswith("Not spoken: 9 texts (7 sounds, 1 music, 1 label)")


def test_stage_directions_stay_in_the_text_on_request(tmp_path: Path) -> None:
    texts = ("[whisper] Come here.", "[door slams]", "And [laughs] go.")
    cues = [(float(start), start + 2.0, text) for start, text in zip((1, 4, 7), texts, strict=True)]
    plain, tagged = (read_srt(tmp_path, *cues, tags=tags) for tags in (False, True))
    assert [line.text for line in plain.segments] == ["Come here.", "And go."]
    assert [line.text for line in tagged.segments] == ["[whisper] Come here.", "And [laughs] go."]
    assert [omission.text for omission in tagged.omitted] == ["[door slams]"]


def test_sounds_are_spoken_on_request(tmp_path: Path) -> None:
    result = read_srt(tmp_path, *HARD_OF_HEARING, sounds=True)
    assert [line.text for line in result.segments] == [
        "[whispering] I know where he is.",
        "(door slams)",
        "(sighs) All right then.",
        "*laughs*",
        "♪ soft music playing ♪",
        "Come here. [chuckles] Now!",
        "Come in.",
        "[thunder]",
        "[gasps]",
        "What was that?",
    ]
    assert [text.reason for text in result.omitted] == ["label"]


def test_strict_refuses_a_label_without_a_voice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has labels that name no voice: MAN; give them one") as caught:
        read_srt(tmp_path, *HARD_OF_HEARING, strict=True)
    assert caught.value.code == "script_speaker"


def test_a_script_of_sounds_only_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no line of speech, only 2 texts \(1 sound, 1 music\)") as caught:
        read_srt(tmp_path, (1.0, 2.0, "[thunder]"), (3.0, 4.0, "♪ la ♪"))
    assert caught.value.code == "script_empty" and "--speak-sounds" in caught.value.message


def test_two_labels_in_a_cue_are_two_segments_that_share_its_time(tmp_path: Path) -> None:
    result = read_srt(
        tmp_path,
        (1.0, 5.0, "[SPEAKER_00] Have you seen it?\n[SPEAKER_01] No, never."),
        (7.0, 11.0, "[SPEAKER_01] Fine."),
    )
    first, second, third = result.segments
    assert [line.speaker for line in result.segments] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_01"]
    assert [line.text for line in result.segments] == ["Have you seen it?", "No, never.", "Fine."]
    assert [line.id for line in result.segments] == ["0001", "0001b", "0002"]
    assert first.start == 1.0 and first.end == second.start and second.end == 5.0
    assert first.end - first.start > second.end - second.start
    assert result.found_by == {"label": 3} and third.start == 7.0


def test_dialogue_dashes_follow_the_turns(tmp_path: Path) -> None:
    result = read_srt(tmp_path, (5.0, 8.0, "- One word here.\n- One word there."))
    assert said(result) == [("SPEAKER_00", "One word here."), ("SPEAKER_01", "One word there.")]
    assert result.found_by == {"time": 2} and result.notes == ()


def test_dialogue_dashes_are_two_people_where_the_turns_have_one(tmp_path: Path) -> None:
    result = read_srt(
        tmp_path, (1.0, 5.0, "- Have you seen it?\n- No, never."), (7.0, 11.0, "– Who is it?\n– Me.")
    )
    assert said(result) == [
        ("SPEAKER_00", "Have you seen it?"),
        ("SPEAKER_01", "No, never."),
        ("SPEAKER_01", "Who is it?"),
        ("SPEAKER_00", "Me."),
    ]
    assert result.found_by == {"time": 2, "dash": 2}
    (note,) = result.notes
    assert note == (
        "The dialogue dashes of cue 1, cue 2 change the speaker where the turns do not: the nearest other speaker "
        "says one of the rows."
    )


def test_a_field_names_the_first_of_two_people_with_dialogue_dashes(tmp_path: Path) -> None:
    path = tmp_path / "a.ass"
    path.write_text(
        "[Events]\nDialogue: 0,0:00:01.00,0:00:04.00,Default,SPEAKER_01,0,0,0,,- Yes.\\N- No.\n"
        "Dialogue: 0,0:00:05.00,0:00:06.00,Default,SPEAKER_01,0,0,0,,One\\N- two.\n",
        encoding="utf-8",
    )
    result = script_file.read_script(path, TWO_PEOPLE, language="en")
    assert said(result) == [("SPEAKER_01", "Yes."), ("SPEAKER_00", "No."), ("SPEAKER_01", "One - two.")]


def test_dialogue_dashes_without_another_speaker_near_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:02,000 --> 00:00:04,000\n- One.\n- Two.\n", encoding="utf-8")
    alone = Diarization((Turn(0.0, 9.0, "A"),), (), "test")
    result = script_file.read_script(path, alone, language="en")
    assert said(result) == [("A", "One."), ("A", "Two.")]
    assert "no other speaker is near" in result.notes[0]


@pytest.mark.parametrize(
    "texts",
    [
        ("[SPEAKER_01]: One.", "[SPEAKER_00]: Two.", "(SPEAKER_01) Three.", "- [SPEAKER_00] Four."),
        ("SPEAKER_01：One.", "SPEAKER_00：Two.", "【SPEAKER_01】Three.", "（SPEAKER_00）Four."),
        ("\u200fSPEAKER_01: One.", "\u202b[speaker_00]\u202c Two.", ">> Speaker 01: Three.", "‐ SPEAKER-00 : Four."),
    ],
)  # fmt: skip
def test_labels_win_over_the_turns_in_every_dress(tmp_path: Path, texts: tuple[str, ...]) -> None:
    result = read_srt(
        tmp_path, *((at, at + 2.0, text) for at, text in zip((1, 7, 13, 19), texts, strict=True))
    )
    assert said(result) == [
        ("SPEAKER_01", "One."),
        ("SPEAKER_00", "Two."),
        ("SPEAKER_01", "Three."),
        ("SPEAKER_00", "Four."),
    ]
    assert result.found_by == {"label": 4} and result.omitted == ()


def test_without_labels_names_are_text(tmp_path: Path) -> None:
    cues = ((1.0, 2.0, "[SPEAKER_01] One."), (2.0, 3.0, "SPEAKER_01: Two."), (3.0, 4.0, "[sighs] - Three."))
    result = read_srt(tmp_path, *cues, labels=False)
    assert said(result) == [
        ("SPEAKER_00", "[SPEAKER_01] One."),
        ("SPEAKER_00", "SPEAKER_01: Two."),
        ("SPEAKER_00", "Three."),
    ]
    assert result.found_by == {"time": 3}


def test_a_field_names_the_speaker_and_a_known_label_in_its_text_is_not_spoken(tmp_path: Path) -> None:
    texts = ["[SPEAKER_01] One.", "SPEAKER_00: Two.", "Note: three.", "- four"]
    lines = [
        {"start": at, "end": at + 1, "text": text, "speaker": "speaker_01"}
        for at, text in enumerate(texts, 1)
    ]
    (tmp_path / "a.json").write_text(json.dumps(lines), encoding="utf-8")
    result = script_file.read_script(tmp_path / "a.json", TURN_BY_TURN, language="en")
    assert said(result) == [
        ("SPEAKER_01", "One."),
        ("SPEAKER_00", "Two."),
        ("SPEAKER_01", "Note: three."),
        ("SPEAKER_01", "- four"),
    ]


def test_what_several_people_say_together_is_said_by_the_first_and_noted(tmp_path: Path) -> None:
    result = read_srt(tmp_path, (1.0, 2.0, "SPEAKER_01 & SPEAKER_00: Yes!"))
    assert said(result) == [("SPEAKER_01", "Yes!")]
    assert result.notes == ("cue 1 is said by SPEAKER_01, SPEAKER_00 together: the first says it alone.",)


def test_credits_are_omitted_at_the_edges_only(tmp_path: Path) -> None:
    cues = [(float(at), at + 0.9, f"Line {at}.") for at in range(1, 12)]
    cues[0] = (*cues[0][:2], "Subtitles by Joe")
    cues[5] = (*cues[5][:2], "Translated by whom?")
    cues[-1] = (*cues[-1][:2], "Sync by www.example.com")
    result = read_srt(tmp_path, *cues)
    assert [(text.where, text.reason) for text in result.omitted] == [
        ("cue 1", "credit"),
        ("cue 11", "credit"),
    ]
    assert "Translated by whom?" in [line.text for line in result.segments]


CHINESE_STYLES = (
    "{}：{}", "{}:{}", "{}: {}", "{} ：{}", "{}∶{}", "【{}】{}", "【{}】：{}", "【{}】\n{}", "［{}］{}", "[{}] {}", "（{}）{}",
    "({}){}", "〔{}〕{}", "- {}：{}", "——{}：{}", ">> {}：{}", "{}：\n{}", "<b>{}：</b>{}", "{}（笑着）：{}",
)  # fmt: skip
CHINESE_LINES = (
    ("李娜", "那我们应该换一家快递公司吗？"),
    ("王芳", "我觉得可以先试用一个月，会议10:30开始。"),
    ("李娜", "好的，请说。"),
    ("王芳", "注意：今天用 Google 查。"),
)


@pytest.mark.parametrize("style", CHINESE_STYLES)
def test_chinese_labels_name_the_speaker_in_every_style(tmp_path: Path, style: str) -> None:
    turns = (Turn(0.0, 50.0, "王芳"), Turn(60.0, 61.0, "李娜"))
    lines = [style.format(*line) for line in CHINESE_LINES]
    found = read(tmp_path, *lines, diarization=Diarization(turns, turns, "test"))
    assert said(found) == list(CHINESE_LINES)


@pytest.mark.parametrize("style", ["{}：{}", "{}:{}", "【{}】{}", "{}：\n{}"])
def test_chinese_names_without_a_voice_are_refused_and_never_spoken(tmp_path: Path, style: str) -> None:
    with pytest.raises(InputError, match=r"李娜, 王芳 have no voice") as caught:
        read(tmp_path, *(style.format(*line) for line in CHINESE_LINES))
    assert caught.value.code == "script_speaker"


def test_the_rows_of_a_chinese_cue_are_joined_without_a_blank(tmp_path: Path) -> None:
    texts = ("我们应该\n换一家", "用 Google\nCloud查", "Who are\nyou?")
    assert [text for _, text in said(read(tmp_path, *texts))] == [
        "我们应该换一家",
        "用 Google Cloud查",
        "Who are you?",
    ]
