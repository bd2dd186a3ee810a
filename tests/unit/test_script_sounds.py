"""Text of scripts that is not speech."""

from __future__ import annotations

import pytest

from voiceclone_cli.script.parsers import clean_text
from voiceclone_cli.script.sounds import is_credit, omit_sounds, omitted_summary


def speech(text: str) -> str:
    return clean_text(omit_sounds(text)[0])


def omitted(text: str) -> list[tuple[str, str]]:
    return omit_sounds(text)[1]


def test_tags_beside_words_are_part_of_the_text_and_alone_they_are_not() -> None:
    for text in ("[whisper] Come here.", "Come [whisper in small voice] here.", "[angry]\nGet out!"):
        assert omit_sounds(text, tags=True) == (text, [])
    assert omit_sounds("[door slams]", tags=True) == ("", [("[door slams]", "sound")])
    assert omit_sounds("[door slams] ♪ la ♪", tags=True)[0].strip() == ""


def test_other_sounds_are_left_out_beside_tags() -> None:
    text, found = omit_sounds("[whisper] Come (sighs) here. 【音乐】", tags=True)
    assert clean_text(text) == "[whisper] Come here."
    assert {shown for shown, _ in found} == {"(sighs)", "【音乐】"}


@pytest.mark.parametrize(
    "text",
    [
        "[door slams]",
        "(door slams)",
        "【音乐】",
        "（ドアが閉まる音）",
        "［拍手］",
        "[ENGINE\nREVVING]",
        "*laughs*",
        "*door opens*",
        "♪ soft music playing ♪",
        "♪♪",
        "🎵 la la 🎵",
        "♪ Row one ♪\n♪ and row two ♪",
        "♪ Row one\n♪ and row two",
        "♪ I will always\nlove you ♪",
        "♪ it goes on",
        "until it ends ♪",
        "# I love you\n# Oh yes I do #",
        "[♪♪♪]",
        "(SIGHS)",
        "[a [b] c]",
    ],
)
def test_a_cue_of_sounds_has_no_speech(text: str) -> None:
    assert not any(map(str.isalnum, speech(text)))


@pytest.mark.parametrize(
    "text, said",
    [
        ("Come here. [chuckles] Now!", "Come here. Now!"),
        ("Come here [chuckles], now!", "Come here, now!"),
        ("[whispering] I know.", "I know."),
        ("(sighs) All right then.", "All right then."),
        ("(sighs) all right then.", "all right then."),
        ("(door opens) come in", "come in"),
        ("All right (sighs) then.", "All right then."),
        ("Stop! (gunshot) No!", "Stop! No!"),
        ("Wait [beat]... what?", "Wait... what?"),
        ("*laughs* No way!", "No way!"),
        ("I see. *nods slowly* Go on.", "I see. Go on."),
        ("Hello. ♪ la la ♪ Bye.", "Hello. Bye."),
        ("Hello. ♪", "Hello."),
        ("[music\nplaying] Hi", "Hi"),
        ("Hi[laughs]there", "Hi there"),
        ("你好（笑）", "你好"),
        ("你【笑】好", "你好"),
        ("（叹气）走吧。", "走吧。"),
        ("[suspira] ¿Qué? (risas)", "¿Qué?"),
    ],
)
def test_sounds_within_a_cue_are_not_spoken(text: str, said: str) -> None:
    assert speech(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "(I think) he left.",
        "He left (I think) at nine.",
        "A bed (or two) is enough.",
        "(We should go before they come.)",
        "He has three (3) cats.",
        "I *really* mean it.",
        "*Really* good.",
        "2 * 3 * 4 is 24",
        "#1 fan of #music",
        "We are # 1.",
        "他（我想）走了",
        "She said (quote) never (unquote)",
        "a) first b) second",
        "An open (bracket",
    ],
)
def test_speech_in_brackets_and_stars_is_spoken(text: str) -> None:
    assert (speech(text), omitted(text)) == (text, [])


def test_rows_within_brackets_are_joined_as_their_writing_has_it() -> None:
    assert speech("他（我想\n是的）走了。") == "他（我想是的）走了。"
    assert speech("He left (I\nthink) at nine.") == "He left (I think) at nine."


def test_each_text_is_listed_with_its_reason() -> None:
    assert omitted("[laughs] One. (soft music) Two.\n♪ la la ♪") == [
        ("♪ la la ♪", "music"),
        ("[laughs]", "sound"),
        ("(soft music)", "music"),
    ]


def test_no_word_is_lost() -> None:
    text = "[a] Bee (sea). *dee* Eee ♪ eff\n# gee #\nEitch [i] jay"
    found = " ".join((speech(text), *(text for text, _ in omitted(text))))
    assert sorted(filter(str.isalpha, found)) == sorted(filter(str.isalpha, text))


@pytest.mark.parametrize(
    "text",
    [
        "Subtitles by Joe",
        "Captioned by\nMedia Access Group",
        "English subtitles by Ann & Bo",
        "Sync and corrections by n17t01",
        "Subtitle translation by: Ana",
        "Untertitel von Hans",
        "Untertitel im Auftrag des ZDF",
        "Sous-titres par Luc",
        "Sous-titrage : Luc",
        "Subtítulos por Ana",
        "Traducido por Ana",
        "Legendas por Ana",
        "Sottotitoli a cura di Anna",
        "Traduzione di Anna",
        "Субтитры: Иван",
        "某某字幕组 荣誉出品",
        "字幕由志愿者提供",
        "- = www.addic7ed.com = -",
        "Downloaded from www.example.org",
    ],
)
def test_credits_at_the_edge_of_a_file_are_not_spoken(text: str) -> None:
    assert is_credit(text, at_edge=True)


@pytest.mark.parametrize(
    "text",
    [
        "Subtitles help me to learn.",
        "The book was translated by my sister.",
        "I downloaded it from somewhere.",
        "Write to me at joe@example.com.",
        "Go to example.com and look.",
        "In sync, by the numbers.",
        "Correct: that is it.",
        "Subtitles are important: read them.",
        "Traduction is a French word.",
    ],
)
def test_ordinary_speech_is_no_credit(text: str) -> None:
    assert not is_credit(text, at_edge=True)


def test_in_the_middle_of_a_file_a_credit_needs_an_address() -> None:
    assert not is_credit("Subtitles by Joe", at_edge=False)
    assert is_credit("Subtitles by Joe, www.example.org", at_edge=False)
    assert is_credit("Support us at OpenSubtitles.org", at_edge=False)


def test_a_summary_counts_the_kinds() -> None:
    reasons = ["sound", "sound", "music", "credit", "no words", "ends before it starts"]
    assert omitted_summary(reasons) == "6 texts (2 sounds, 1 music, 1 credit, 1 without words, 1 other)"
    assert omitted_summary(["sound"]) == "1 text (1 sound)"
