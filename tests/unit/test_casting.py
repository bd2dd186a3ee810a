"""Which speech becomes a reference. The speakers here are tones: loud where a word is, silent between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone_cli import media
from voiceclone_cli.casting import cast
from voiceclone_cli.casting.choosing import CEILING, choose, choose_pieces
from voiceclone_cli.casting.joining import FADE, PAUSE, join
from voiceclone_cli.casting.pieces import Piece, pieces_of
from voiceclone_cli.casting.sound import quietest, sounding
from voiceclone_cli.casting.spans import alone, merge, subtract
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import ANALYSIS_RATE, Diarization, ProgressEvent, Recording, Reference, Turn, Word

RATE = ANALYSIS_RATE


def speech(start: float, end: float, *, word: float = 0.4, text: str = " word") -> list[Word]:
    """Words without a pause from start to end."""
    count = max(1, round((end - start) / word))
    edges = np.linspace(start, end, count + 1).round(3).tolist()
    return [Word(a, b, text, 0.9) for a, b in pairwise(edges)]


def sound_of(
    words: Sequence[Word], seconds: float, *, gain: Callable[[float], float] = lambda time: 0.3
) -> np.ndarray:
    """Noise shaped like speech: as loud as ``gain`` says in each word, a faint hiss elsewhere."""
    random = np.random.default_rng(7)
    samples = random.normal(0, 0.0005, round(seconds * RATE))
    for word in words:
        place = slice(round(word.start * RATE), round(word.end * RATE))
        samples[place] += gain(word.start) * np.clip(random.normal(0, 0.3, len(samples[place])), -1, 1)
    return samples.astype(np.float32)


def diarization(*turns: tuple[float, float, str]) -> Diarization:
    found = tuple(Turn(*turn) for turn in turns)
    return Diarization(turns=found, exclusive=found, diarizer="embedded")


def recording_of(samples: np.ndarray, folder: Path, rate: int = RATE) -> Recording:
    path = folder / "talk.wav"
    media.write_wav(path, samples, rate)
    return media.read_recording(path)


def total(pieces: Sequence[Piece]) -> float:
    return sum(piece.seconds for piece in pieces)


# --------------------------------------------------------------------------------------- spans


def test_a_speaker_is_alone_where_no_other_turn_reaches() -> None:
    turns = [Turn(0, 10, "a"), Turn(4, 6, "b"), Turn(9, 12, "b")]
    assert alone(turns, "a") == [(0, 4), (6, 9)]
    assert alone(turns, "b") == [(10, 12)]


def test_a_margin_reaches_into_silence_but_into_nobodys_turn() -> None:
    turns = [Turn(2, 4, "a"), Turn(4.1, 6, "b")]
    assert alone(turns, "a", margin=0.5) == [(1.5, 4.1)]


tenths = st.integers(0, 60)
some_spans = st.lists(
    st.tuples(tenths, st.integers(1, 20)).map(lambda row: (row[0], row[0] + row[1])), max_size=8
)


@given(some_spans, some_spans)
def test_subtracting_leaves_exactly_the_time_that_is_in_no_hole(
    spans: list[tuple[int, int]], holes: list[tuple[int, int]]
) -> None:
    left = subtract(merge(spans), merge(holes))
    for moment in range(90):
        middle = moment + 0.5
        inside = any(start < middle < end for start, end in spans)
        in_hole = any(start < middle < end for start, end in holes)
        assert any(start < middle < end for start, end in left) == (inside and not in_hole)


# -------------------------------------------------------------------------------------- pieces


def test_a_pause_parts_two_pieces() -> None:
    words = speech(1, 3) + speech(4, 6)
    assert [(p.start, p.end) for p in pieces_of((0, 10), words)] == [(0.9, 3.1), (3.9, 6.1)]


def test_a_word_that_is_only_partly_in_the_stretch_is_left_out_whole() -> None:
    words = speech(0, 4, word=1.0)
    (piece,) = pieces_of((0.5, 3.2), words)
    assert (piece.start, piece.end) == (1.0, 3.0)
    assert piece.words == tuple(words[1:3])


def test_a_long_piece_is_parted_at_its_sentence_end() -> None:
    words = [*speech(0, 4), Word(4.0, 4.4, " end.", 0.9), *speech(4.4, 8)]
    first, second = pieces_of((0, 8), words)
    assert first.words[-1].text == " end."
    assert second.start == first.end == 4.4


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 120)), min_size=1, max_size=40), st.data())
def test_no_piece_begins_or_ends_within_a_word(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    words, now = [], 0.0
    for pause, length in rows:
        begin = round(now + pause / 100, 2)
        now = round(begin + length / 100, 2)
        words.append(Word(begin, now, " word", 0.9))
    start = data.draw(st.floats(0, now))
    stretch = (start, data.draw(st.floats(start, now + 1)))
    for piece in pieces_of(stretch, words):
        assert stretch[0] <= piece.start < piece.end <= stretch[1]
        for edge in (piece.start, piece.end):
            assert not any(word.start < edge < word.end for word in words)


# ------------------------------------------------------------------------------------ choosing


def test_overlapped_speech_is_never_chosen() -> None:
    words = speech(0, 30)
    found = diarization((0, 30, "a"), (5, 9, "b"), (14, 15, "b"), (20, 26, "c"))
    pieces, disturbed = choose_pieces(sound_of(words, 30), found, "a", words)
    assert not disturbed
    for piece in pieces:
        for start, end in ((5, 9), (14, 15), (20, 26)):
            assert piece.end <= start or piece.start >= end


def test_about_ten_seconds_are_taken_of_a_long_monologue() -> None:
    words = speech(0, 120)
    pieces = choose(sound_of(words, 120), [(0, 120)], words)
    assert 10 <= total(pieces) <= CEILING


def test_everything_is_taken_where_there_is_less() -> None:
    words = speech(1, 4) + speech(5, 7.4)
    pieces = choose(sound_of(words, 10), [(0, 10)], words)
    assert [word for piece in pieces for word in piece.words] == words


def test_pieces_come_in_the_order_of_time() -> None:
    words = speech(0, 3) + speech(5, 10) + speech(12, 14)
    starts = [piece.start for piece in choose(sound_of(words, 15), [(0, 15)], words)]
    assert starts == sorted(starts)


def seven_phrases() -> list[Word]:
    return [word for start in range(0, 35, 5) for word in speech(start + 0.5, start + 4)]


def chosen_phrases(samples: np.ndarray) -> set[int]:
    words = seven_phrases()
    return {int(piece.start // 5) for piece in choose(samples, [(0, 35)], words)}


def test_a_clipped_piece_is_avoided() -> None:
    samples = sound_of(seven_phrases(), 35)
    for phrase in (1, 4):
        place = slice(phrase * 5 * RATE, (phrase + 1) * 5 * RATE)
        samples[place] = 0.7 * np.clip(samples[place], -0.1, 0.1)
    assert chosen_phrases(samples).isdisjoint({1, 4})


def test_a_faint_piece_is_avoided() -> None:
    samples = sound_of(seven_phrases(), 35, gain=lambda time: 0.01 if 10 <= time < 20 else 0.3)
    assert chosen_phrases(samples).isdisjoint({2, 3})


def test_a_noisy_piece_is_avoided() -> None:
    samples = sound_of(seven_phrases(), 35)
    samples[: 15 * RATE] += np.random.default_rng(1).normal(0, 0.02, 15 * RATE).astype(np.float32)
    assert chosen_phrases(samples).isdisjoint({0, 1, 2})


def test_longer_pieces_are_preferred() -> None:
    short = [word for start in range(0, 40, 2) for word in speech(start, start + 1.2)]
    long = speech(50, 54) + speech(56, 60) + speech(62, 66)
    pieces = choose(sound_of(short + long, 70), [(0, 70)], short + long)
    assert all(piece.start > 49 for piece in pieces)


def test_snippets_are_only_taken_while_there_is_too_little() -> None:
    snippets = [word for start in range(10, 40, 2) for word in speech(start, start + 0.6)]
    plenty = speech(0, 6)
    assert all(p.start < 7 for p in choose(sound_of(plenty + snippets, 45), [(0, 45)], plenty + snippets))
    scarce = speech(0, 2)
    pieces = choose(sound_of(scarce + snippets, 45), [(0, 45)], scarce + snippets)
    assert any(piece.start > 7 for piece in pieces)
    assert 5 <= total(pieces) < 6


def test_without_words_the_cuts_are_in_the_pauses_of_the_sound() -> None:
    said = speech(1, 3) + speech(4, 6)
    pieces, disturbed = choose_pieces(sound_of(said, 8), diarization((0, 8, "a")), "a", [])
    assert not disturbed
    assert [(p.start, p.end) for p in pieces] == [
        (pytest.approx(1, abs=0.15), pytest.approx(3, abs=0.15)),
        (pytest.approx(4, abs=0.15), pytest.approx(6, abs=0.15)),
    ]


def test_a_sound_without_pauses_is_parted_where_it_is_quietest() -> None:
    samples = sound_of(speech(0, 5), 5)
    samples[round(2.2 * RATE) : round(2.3 * RATE)] *= 0.2
    edges = [word.end for word in sounding(samples, (0, 5))]
    assert edges == [pytest.approx(2.25, abs=0.06), 5.0]


def test_who_never_speaks_alone_is_heard_in_the_overlap() -> None:
    words = speech(2, 6)
    turns = (Turn(0, 10, "a"), Turn(2, 6, "b"))
    found = Diarization(turns, (Turn(0, 2, "a"), Turn(3, 6, "b"), Turn(6, 10, "a")), "embedded")
    pieces, disturbed = choose_pieces(sound_of(words, 10), found, "b", words)
    assert disturbed
    assert all(piece.start >= 3 and piece.end <= 6 for piece in pieces)
    assert total(pieces) > 2


def test_a_speaker_of_one_short_silent_turn_still_has_a_piece() -> None:
    pieces, disturbed = choose_pieces(np.zeros(5 * RATE, np.float32), diarization((1, 1.05, "a")), "a", [])
    assert disturbed
    assert [(piece.start, piece.end) for piece in pieces] == [(1, 1.05)]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(1, 90), st.sampled_from("abc")), min_size=1, max_size=12
    )
)
def test_a_reference_is_never_too_long_and_never_anothers_speech(rows: list[tuple[int, int, str]]) -> None:
    found = diarization(*((start / 10, (start + length) / 10, name) for start, length, name in rows))
    words = speech(0, 30)
    samples = sound_of(words, 30)
    for speaker in found.speakers:
        pieces, disturbed = choose_pieces(samples, found, speaker, words)
        assert pieces
        assert total(pieces) + PAUSE * (len(pieces) - 1) <= 15
        others = [turn for turn in found.turns if turn.speaker != speaker]
        if not disturbed:
            assert not any(p.start < t.end and t.start < p.end for p in pieces for t in others)


# ------------------------------------------------------------------------------------- joining


def test_pieces_are_joined_with_silence_and_without_clicks() -> None:
    rate = 44_100
    piece = np.full(rate, 0.5, np.float32)
    joined = join([piece, piece], rate)
    assert len(joined) == 2 * rate + round(PAUSE * rate)
    assert not joined[rate : rate + round(PAUSE * rate)].any()
    assert np.abs(np.diff(joined)).max() < 0.01
    assert np.array_equal(
        joined[round(FADE * rate) : rate - round(FADE * rate)], piece[2 * round(FADE * rate) :]
    )


def test_a_piece_shorter_than_its_fades_does_no_harm() -> None:
    assert len(join([np.ones(3, np.float32)], 16_000)) == 3


def test_the_quietest_moment_is_found_within_bounds() -> None:
    samples = np.ones(5 * RATE, np.float32)
    samples[round(3.0 * RATE) : round(3.1 * RATE)] = 0.1
    samples[: RATE // 2] = 0
    assert quietest(samples, RATE, (1, 5)) == pytest.approx(3.05, abs=0.06)


# ---------------------------------------------------------------------------------------- cast


def talk(folder: Path) -> tuple[Recording, Diarization, list[Word]]:
    words = speech(0, 12, text=" anna") + speech(13, 17, text=" ben")
    found = diarization((0, 12, "SPEAKER_00"), (13, 17, "SPEAKER_01"))
    return recording_of(sound_of(words, 20), folder), found, words


def cast_talk(
    folder: Path, given: dict[str, Path] | None = None, speakers: Sequence[str] | None = None
) -> dict[str, Reference]:
    """The references of two people, talk.wav in the folder being their recording."""
    recording, found, words = talk(folder)
    return cast(
        recording,
        found,
        words,
        out=folder / "s",
        given=given or {},
        read_spans=media.read_spans,
        speakers=speakers,
    )


def test_each_speaker_gets_a_wav_at_the_original_rate_and_its_words(tmp_path: Path) -> None:
    words = speech(0, 6, text=" hello")
    loud = np.repeat(sound_of(words, 8), 3)
    recording = recording_of(loud, tmp_path, rate=3 * RATE)
    events: list[ProgressEvent] = []
    (reference,) = cast(
        recording,
        diarization((0, 6, "SPEAKER_00")),
        words,
        out=tmp_path / "speakers",
        given={},
        read_spans=media.read_spans,
        progress=events.append,
    ).values()
    assert reference.audio == tmp_path / "speakers" / "SPEAKER_00" / "reference.wav"
    written = media.read_recording(reference.audio)
    assert written.source_rate == 3 * RATE
    pauses = PAUSE * (len(reference.spans) - 1)
    assert written.seconds == pytest.approx(reference.seconds + pauses, abs=0.001)
    assert reference.text == " ".join(["hello"] * 15)
    assert reference.audio.with_name("reference.txt").read_text(encoding="utf-8") == reference.text + "\n"
    assert reference.warnings == ()
    assert [event.completed for event in events] == [0, 1]


def test_the_words_are_the_speakers_own(tmp_path: Path) -> None:
    references = cast_talk(tmp_path)
    assert set(references["SPEAKER_00"].text.split()) == {"anna"}
    assert set(references["SPEAKER_01"].text.split()) == {"ben"}


@pytest.mark.parametrize(("seconds", "sentence"), [(2.0, "hardly resemble"), (4.0, "would be closer")])
def test_too_little_clean_speech_is_a_warning(tmp_path: Path, seconds: float, sentence: str) -> None:
    words = speech(1, 1 + seconds)
    recording = recording_of(sound_of(words, 8), tmp_path)
    found = diarization((1, 1 + seconds, "SPEAKER_00"))
    references = cast(recording, found, words, out=tmp_path / "s", given={}, read_spans=media.read_spans)
    (warning,) = references["SPEAKER_00"].warnings
    assert sentence in warning


def test_overlap_as_the_last_resort_is_a_warning(tmp_path: Path) -> None:
    words = speech(0, 10)
    found = diarization((0, 10, "SPEAKER_00"), (2, 8, "SPEAKER_01"))
    references = cast(
        recording_of(sound_of(words, 10), tmp_path),
        found,
        words,
        out=tmp_path / "s",
        given={},
        read_spans=media.read_spans,
    )
    assert "never speaks alone" in references["SPEAKER_01"].warnings[0]
    assert references["SPEAKER_00"].warnings == (
        "4.0 s of clean speech of SPEAKER_00: with 5 s or more the clone would be closer.",
    )


def test_a_given_file_takes_the_place_of_the_recordings_speech(tmp_path: Path) -> None:
    voice = tmp_path / "voice.wav"
    media.write_wav(voice, sound_of(speech(0, 6), 6), 8000)
    before = voice.read_bytes()
    voice.with_suffix(".txt").write_text("\ufeffQuite other\n words.\n", encoding="utf-8")
    references = cast_talk(tmp_path, {"SPEAKER_01": voice})
    replaced = references["SPEAKER_01"]
    assert (replaced.text, replaced.spans, replaced.seconds) == ("Quite other words.", (), 12.0)
    assert media.read_recording(replaced.audio).source_rate == 8000
    assert voice.read_bytes() == before
    assert references["SPEAKER_00"].spans


def test_a_given_file_without_words_beside_it_has_none(tmp_path: Path) -> None:
    references = cast_talk(tmp_path, {"SPEAKER_01": tmp_path / "talk.wav"})
    assert references["SPEAKER_01"].text == ""


def test_a_long_given_file_is_cut_at_a_quiet_moment_and_loses_its_words(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("all of it", encoding="utf-8")
    references = cast_talk(tmp_path, {"SPEAKER_01": tmp_path / "talk.wav"})
    replaced = references["SPEAKER_01"]
    assert 12 < replaced.seconds < 13
    assert replaced.text == ""
    assert "longer than 15 s" in replaced.warnings[0]
    assert "talk.txt" in replaced.warnings[0]


def test_words_beside_a_given_file_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="cannot be read as UTF-8") as error:
        cast_talk(tmp_path, {"SPEAKER_01": tmp_path / "talk.wav"})
    assert error.value.code == "bad_reference_text"


def test_a_speaker_of_the_script_without_turns_needs_a_given_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --reference NARRATOR") as error:
        cast_talk(tmp_path, speakers=["SPEAKER_00", "NARRATOR"])
    assert error.value.code == "speaker_without_voice"
    references = cast_talk(tmp_path, {"NARRATOR": tmp_path / "talk.wav"}, speakers=["SPEAKER_00", "NARRATOR"])
    assert list(references) == ["SPEAKER_00", "NARRATOR"]


def test_a_given_name_that_nobody_bears_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SPEAKER_00, SPEAKER_01") as error:
        cast_talk(tmp_path, {"SPEAKER_7": tmp_path / "talk.wav"})
    assert error.value.code == "unknown_speaker"
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["../anna", "a/b", "..", "a\\b", ""])
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    recording, _, words = talk(tmp_path)
    with pytest.raises(InputError) as error:
        cast(
            recording,
            diarization((0, 12, name)),
            words,
            out=tmp_path / "s",
            given={},
            read_spans=media.read_spans,
        )
    assert error.value.code == "unsafe_name"
