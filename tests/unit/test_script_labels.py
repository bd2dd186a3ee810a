"""Labels of speakers in the text of cues."""

from __future__ import annotations

import pytest

from voiceclone_cli.script.labels import label_key, learn_labels, strip_marks

VOICES = ("SPEAKER_00", "SPEAKER_01", "Anna")
TAGGED = ("[Excited] We won!", "[Excited] Again!", "[Anna] Really?", "[SPEAKER_07] Yes.")
"""Two rows with what could be a name, and two with one."""


@pytest.mark.parametrize("voices", [(), ("Anna",)])
def test_with_tags_only_known_names_in_square_brackets_are_labels(voices: tuple[str, ...]) -> None:
    reader, _ = learn_labels(TAGGED, voices, tags=True)
    names = [part.name for text in TAGGED for part in reader.parts(text)]
    assert names == [None, None, "Anna" if voices else None, "SPEAKER_07"]
    plain, _ = learn_labels(TAGGED, voices)
    assert [part.name for text in TAGGED for part in plain.parts(text)][:2] == ["Excited", "Excited"]


def read(*texts: str, voices: tuple[str, ...] = VOICES) -> list[list[tuple[str | None, str]]]:
    """Name and text of each part of each cue, in a file of these cues and some without labels."""
    others = [f"Other line {number}." for number in range(2 * len(texts) + 2)]
    reader, _ = learn_labels([*texts, *others], voices)
    return [
        [(part.name, " ".join(" ".join(part.rows).split())) for part in reader.parts(strip_marks(text))]
        for text in texts
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[Anna] Hi.", "[Anna]Hi.", "[Anna]: Hi.", "[Anna] : Hi.", "[ Anna ] Hi.", "(Anna) Hi.", "(Anna): Hi.",
        "【Anna】Hi.", "（Anna）Hi.", "［Anna］：Hi.", "Anna: Hi.", "Anna:Hi.", "Anna : Hi.", "Anna：Hi.", "ANNA: Hi.",
        "anna: Hi.", "Ａｎｎａ：Hi.", ">> Anna: Hi.", ">>> Anna: Hi.", "&gt;&gt; Anna: Hi.", "≫Anna: Hi.", "- Anna: Hi.",
        "-Anna: Hi.", "– [Anna] Hi.", "— (Anna) Hi.", "－【Anna】Hi.", "\u200f[Anna] Hi.", "\ufeff[Anna] Hi.",
        "**Anna:** Hi.", "*Anna*: Hi.", "[Anna, whispering] Hi.", "[Anna (on the phone)]: Hi.", "(Anna; off) Hi.",
        "[ANNA - sighs] Hi.", "Anna:\n- Hi.", "[Anna & SPEAKER_01] Hi.", "Anna and SPEAKER_00: Hi.",
        "\u202b[Anna] Hi.\u202c", "\u2067Anna\u2069: Hi.", "\u200d[Anna]\u200b Hi.", "[Anna]\nHi.", "Anna:\nHi.",
    ],
)  # fmt: skip
def test_a_known_name_in_any_dress_is_the_speaker(text: str) -> None:
    ((part,),) = read(text)
    assert part[0] is not None and label_key(part[0]) == "anna"
    assert part[1] == "Hi."


def test_separators_and_accents_do_not_distinguish_names() -> None:
    assert label_key("Speaker 01") == label_key("SPEAKER_01") == label_key("speaker-01")
    assert label_key("Jose\u0301") == label_key("JOSÉ")


@pytest.mark.parametrize(
    "text, parts",
    [
        ("[Anna] One.\n[SPEAKER_01] Two.", [("Anna", "One."), ("SPEAKER_01", "Two.")]),
        ("Anna: One\nmore.\nSPEAKER_01: Two.", [("Anna", "One more."), ("SPEAKER_01", "Two.")]),
        ("[Anna] One. [SPEAKER_01] Two.", [("Anna", "One."), ("SPEAKER_01", "Two.")]),
        (">> Anna: One. >> SPEAKER_01: Two.", [("Anna", "One."), ("SPEAKER_01", "Two.")]),
        ("One.\n[Anna] Two.", [(None, "One."), ("Anna", "Two.")]),
        ("Anna: One. / [SPEAKER_01]: Two.", [("Anna", "One."), ("SPEAKER_01", "Two.")]),
        ("Anna:\n- One.\n- Two.", [("Anna", "One."), (None, "Two.")]),
        ("- One.\n- Two.", [(None, "One."), (None, "Two.")]),
        ("– One\nmore.\n– Two.", [(None, "One more."), (None, "Two.")]),
        ("- One. - Two.", [(None, "One."), (None, "Two.")]),
        ("One.\n- Two.", [(None, "One."), (None, "Two.")]),
        ("- [Anna] One.\n- Two.", [("Anna", "One."), (None, "Two.")]),
        (">> One.\n>> Two.", [(None, "One."), (None, "Two.")]),
        ("-5 degrees?\n- Yes.", [(None, "5 degrees?"), (None, "Yes.")]),
    ],
)
def test_several_people_in_a_cue_are_several_parts(text: str, parts: list[tuple[str | None, str]]) -> None:
    assert read(text) == [parts]


@pytest.mark.parametrize(
    "text",
    [
        "Question: who is it?", "Note: bring a coat.", "Warning: hot.", "12:30 is late.", "http://example.org", "5 >> 3",
        "I tell you: go.", "-5 degrees.", "He said\n- and I know it -\nthat.", "注意：小心。", "WARNING: hot.", "Ratio 3:2",
        "It is Anna: she knows.", "Anna, listen: go.", "a - b", "Man: a short history.", "C:\\new\\house",
    ],
)  # fmt: skip
def test_ordinary_text_stays_text(text: str) -> None:
    assert read(text) == [[(None, " ".join(text.split()))]]


def test_words_with_a_colon_that_recur_are_headings_and_no_names() -> None:
    texts = ["Question: one?", "Answer: two.", "Question: three?", "Answer: four."]
    reader, as_text = learn_labels(texts, VOICES)
    assert [part.name for text in texts for part in reader.parts(text)] == [None] * 4
    assert as_text == ["Question:", "Answer:"]


@pytest.mark.parametrize(
    "text, label",
    [
        ("MAN: Come in.", "MAN:"),
        ("MAN (on radio): Come in.", "MAN (on radio):"),
        ("WOMAN 2: Come in.", "WOMAN 2:"),
        ("OLD MAN #2: Come in.", "OLD MAN #2:"),
        ("[NARRATOR] Come in.", "[NARRATOR]"),
        ("(Man) Come in.", "(Man)"),
        ("- HOMBRE: Come in.", "HOMBRE:"),
        ("旁白：Come in.", "旁白："),
        ("Ben (on the phone): Come in.", "Ben (on the phone):"),
        (">> Ben Smith: Come in.", "Ben Smith:"),
        ("Narrator: Come in.", "Narrator:"),
    ],
)
def test_a_label_of_someone_without_a_voice_is_no_text(text: str, label: str) -> None:
    reader, _ = learn_labels([text, "One.", "Two.", "Three."], VOICES)
    (part,) = reader.parts(text)
    assert (part.name, [each.shown for each in part.labels], part.rows) == (None, [label], ["Come in."])


def test_names_in_capitals_are_labels_where_a_file_has_several() -> None:
    texts = ["BEN: One.", "CARL: Two.", *["Ordinary line."] * 5]
    reader, _ = learn_labels(texts, VOICES)
    assert [label.name for text in texts for part in reader.parts(text) for label in part.labels] == [
        "BEN",
        "CARL",
    ]
    shouted = [text.upper() for text in texts]
    reader, as_text = learn_labels(shouted, VOICES)
    assert not [label for text in shouted for part in reader.parts(text) for label in part.labels]
    assert as_text == ["BEN:", "CARL:"]


def test_a_name_in_capitals_among_labels_in_capitals_is_a_label() -> None:
    texts = ["ANNA: One.", "SPEAKER_00: Two.", "CARL: Three."]
    reader, _ = learn_labels(texts, VOICES)
    assert [label.name for part in reader.parts(texts[2]) for label in part.labels] == ["CARL"]


def test_a_word_in_another_style_than_the_labels_of_a_file_is_text() -> None:
    texts = ["ANNA: One.", "SPEAKER_00: Two.", "Listen: three.", "Listen: four."]
    reader, as_text = learn_labels(texts, VOICES)
    assert [part.name for part in reader.parts(texts[2])] == [None]
    assert as_text == ["Listen:"]


@pytest.mark.parametrize(
    "sound", ["[Sighs]", "[GROWLS]", "[TIRES SCREECHING]", "(Dog barks)", "[Music]", "[softly]"]
)
def test_sounds_that_recur_are_no_names(sound: str) -> None:
    texts = [f"{sound} One.", f"{sound} Two.", "Three."]
    reader, _ = learn_labels(texts, VOICES)
    assert [(part.name, part.labels) for text in texts for part in reader.parts(text)] == [(None, [])] * 3


@pytest.mark.parametrize("name", ["Emily", "King", "John Williams", "李明"])
def test_without_voices_a_name_in_square_brackets_is_the_speaker(name: str) -> None:
    assert read(f"[{name}] Hi.", voices=()) == [[(name, "Hi.")]]


def test_without_voices_a_role_is_a_speaker() -> None:
    assert read("MAN: Hello.", voices=()) == [[("MAN", "Hello.")]]


def test_the_description_of_a_known_speaker_is_kept_apart() -> None:
    for text in ("Anna (on the phone): Hi.", "[Anna] (on the phone): Hi."):
        reader, _ = learn_labels([text], VOICES)
        (part,) = reader.parts(text)
        assert (part.name, part.descriptions, part.rows) == ("Anna", ["(on the phone)"], ["Hi."])


def test_sounds_before_a_label_stay_with_the_text() -> None:
    assert read("[sighs] Anna: Hi.") == [[("Anna", "[sighs] Hi.")]]


def test_joiners_within_words_stay() -> None:
    assert strip_marks("\u200fمی\u200cخواهم\u200e") == "می\u200cخواهم"
