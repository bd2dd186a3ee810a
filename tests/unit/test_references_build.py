"""References of speakers, cut from the recording or given as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from factories import diarization, speech_sound
from media_samples import syllables, write_wav
from video_samples import Film, noise, write_film
from voiceclone_cli.audio import reader, writer
from voiceclone_cli.errors import InputError
from voiceclone_cli.references.build import MAX_CHARACTERS, build_references, read_user_reference
from voiceclone_cli.references.selection import PAUSE
from voiceclone_cli.types import (
    ANALYSIS_RATE,
    Diarization,
    Progress,
    ProgressEvent,
    Recording,
    Reference,
    Word,
    no_progress,
)


def recording_of(samples: np.ndarray, folder: Path, rate: int = ANALYSIS_RATE) -> Recording:
    path = folder / "talk.wav"
    writer.write_wav(path, samples, rate)
    return reader.read_recording(path)


def talk(folder: Path) -> tuple[Recording, Diarization, list[Word]]:
    words = factories.words(0, 12, text=" anna") + factories.words(13, 17, text=" ben")
    found = diarization((0, 12, "SPEAKER_00"), (13, 17, "SPEAKER_01"))
    return recording_of(speech_sound(words, 20), folder), found, words


def build(
    folder: Path,
    recording: Recording,
    found: Diarization,
    words: Sequence[Word],
    *,
    given: Mapping[str, Path] = {},
    speakers: Sequence[str] | None = None,
    language: str = "en",
    progress: Progress = no_progress,
) -> dict[str, Reference]:
    return build_references(
        recording,
        found,
        words,
        language=language,
        out=folder / "speakers",
        given=given,
        speakers=speakers or found.speakers,
        progress=progress,
    )


def build_for_talk(folder: Path, **options: Any) -> dict[str, Reference]:
    """Return the references of two speakers, whose recording is ``talk.wav`` in the folder."""
    return build(folder, *talk(folder), **options)


def test_each_speaker_gets_a_wav_at_the_original_rate_and_its_words(tmp_path: Path) -> None:
    words = factories.words(0, 6, text=" hello")
    loud = np.repeat(speech_sound(words, 8), 3)
    recording = recording_of(loud, tmp_path, rate=3 * ANALYSIS_RATE)
    events: list[ProgressEvent] = []
    (reference,) = build(
        tmp_path, recording, diarization((0, 6, "SPEAKER_00")), words, progress=events.append
    ).values()
    assert reference.audio == tmp_path / "speakers" / "SPEAKER_00" / "reference.wav"
    written = reader.read_recording(reference.audio)
    assert written.source_rate == 3 * ANALYSIS_RATE
    pauses = PAUSE * (len(reference.spans) - 1)
    assert written.seconds == pytest.approx(reference.seconds + pauses, abs=0.001)
    assert reference.text == " ".join(["hello"] * 15)
    assert reference.audio.with_name("reference.txt").read_text(encoding="utf-8") == reference.text + "\n"
    assert reference.warnings == ()
    assert [event.completed for event in events] == [0, 1]


def test_the_words_are_the_speakers_own(tmp_path: Path) -> None:
    references = build_for_talk(tmp_path)
    assert set(references["SPEAKER_00"].text.split()) == {"anna"}
    assert set(references["SPEAKER_01"].text.split()) == {"ben"}


@pytest.mark.parametrize(("seconds", "sentence"), [(2.0, "hardly resemble"), (4.0, "would be closer")])
def test_too_little_clean_speech_is_a_warning(tmp_path: Path, seconds: float, sentence: str) -> None:
    words = factories.words(1, 1 + seconds)
    recording = recording_of(speech_sound(words, 8), tmp_path)
    found = diarization((1, 1 + seconds, "SPEAKER_00"))
    references = build(tmp_path, recording, found, words)
    (warning,) = references["SPEAKER_00"].warnings
    assert sentence in warning


def test_a_reference_from_overlapped_speech_has_a_warning(tmp_path: Path) -> None:
    words = factories.words(0, 10)
    found = diarization((0, 10, "SPEAKER_00"), (2, 8, "SPEAKER_01"))
    references = build(tmp_path, recording_of(speech_sound(words, 10), tmp_path), found, words)
    assert "never speaks alone" in references["SPEAKER_01"].warnings[0]
    assert references["SPEAKER_00"].warnings == (
        "4.0 s of clean speech of SPEAKER_00: with 5 s or more the clone would be closer.",
    )


def test_a_given_file_replaces_the_speech_of_the_recording(tmp_path: Path) -> None:
    voice = tmp_path / "voice.wav"
    writer.write_wav(voice, speech_sound(factories.words(0, 6), 6), 8000)
    before = voice.read_bytes()
    voice.with_suffix(".txt").write_text("\ufeffQuite other\n words.\n", encoding="utf-8")
    references = build_for_talk(tmp_path, given={"SPEAKER_01": voice})
    replaced = references["SPEAKER_01"]
    assert (replaced.text, replaced.spans, replaced.seconds) == ("Quite other words.", (), 12.0)
    assert reader.read_recording(replaced.audio).source_rate == 8000
    assert voice.read_bytes() == before
    assert references["SPEAKER_00"].spans


def test_a_given_file_without_a_text_has_no_words(tmp_path: Path) -> None:
    references = build_for_talk(tmp_path, given={"SPEAKER_01": tmp_path / "talk.wav"})
    assert references["SPEAKER_01"].text == ""


@pytest.mark.parametrize(
    "text, of_recording, expected",
    [
        ("我们明天下午三点在公司开会，讨论新的计划。", "en", "zh"),
        ("I have never seen a city as quiet as this one on a Sunday morning.", "zh", "en"),
        ("Hola.", "es", "es"),
        ("Okay.", "", ""),
        ("", "en", ""),
    ],
)
def test_a_given_file_is_in_the_language_that_its_text_looks_like(
    tmp_path: Path, text: str, of_recording: str, expected: str
) -> None:
    given = tmp_path / "voice.wav"
    write_wav(given, speech_sound([], 4), ANALYSIS_RATE)
    given.with_suffix(".txt").write_text(text, encoding="utf-8")
    (reference, _) = build_for_talk(tmp_path, given={"SPEAKER_00": given}, language=of_recording).values()
    assert reference.language == expected


@pytest.mark.parametrize("language", ["zh", ""])
def test_what_the_recording_says_is_in_its_language(tmp_path: Path, language: str) -> None:
    assert {each.language for each in build_for_talk(tmp_path, language=language).values()} == {language}


def test_it_is_in_that_language_also_where_the_words_are_not_known(tmp_path: Path) -> None:
    recording, found, _ = talk(tmp_path)
    assert {each.language for each in build(tmp_path, recording, found, [], language="zh").values()} == {"zh"}


def test_a_long_given_file_is_cut_at_a_quiet_moment_and_loses_its_words(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("all of it", encoding="utf-8")
    references = build_for_talk(tmp_path, given={"SPEAKER_01": tmp_path / "talk.wav"})
    replaced = references["SPEAKER_01"]
    assert 12 < replaced.seconds < 13
    assert replaced.text == ""
    assert "longer than 15 s" in replaced.warnings[0]
    assert "talk.txt" in replaced.warnings[0]


def test_a_text_that_is_not_utf_8_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"talk.txt .* save it as UTF-8") as error:
        build_for_talk(tmp_path, given={"SPEAKER_01": tmp_path / "talk.wav"})
    assert error.value.code == "bad_reference_text"


def test_the_text_of_a_reference_is_read_in_the_encoding_that_it_proves_or_that_is_given(
    tmp_path: Path,
) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    voice.with_suffix(".txt").write_bytes("我們昨天見面了，可是他沒有說什麼。".encode("big5"))
    _, _, text, (note,) = read_user_reference(voice)
    assert text == "我們昨天見面了，可是他沒有說什麼。" and note.startswith(
        "voice.txt is not UTF-8 and was read as big5"
    )
    voice.with_suffix(".txt").write_bytes("芳".encode("big5"))
    assert read_user_reference(voice, "big5")[2:] == ("芳", ())


def test_a_speaker_of_the_script_without_turns_needs_a_given_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --reference NARRATOR") as error:
        build_for_talk(tmp_path, speakers=["SPEAKER_00", "NARRATOR"])
    assert error.value.code == "speaker_without_voice"
    references = build_for_talk(
        tmp_path, given={"NARRATOR": tmp_path / "talk.wav"}, speakers=["SPEAKER_00", "NARRATOR"]
    )
    assert list(references) == ["SPEAKER_00", "NARRATOR"]


def test_an_unknown_speaker_is_rejected_with_the_known_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SPEAKER_00, SPEAKER_01") as error:
        build_for_talk(tmp_path, given={"SPEAKER_7": tmp_path / "talk.wav"})
    assert error.value.code == "unknown_speaker"
    assert not (tmp_path / "speakers").exists()


@pytest.mark.parametrize("name", ["../anna", "a/b", "..", "a\\b", ""])
def test_a_name_that_leads_out_of_its_folder_is_rejected(tmp_path: Path, name: str) -> None:
    recording, _, words = talk(tmp_path)
    with pytest.raises(InputError) as error:
        build(tmp_path, recording, diarization((0, 12, name)), words, speakers=[name])
    assert error.value.code == "unsafe_name"


def test_the_words_are_those_of_the_text_file(tmp_path: Path) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    assert read_user_reference(voice)[2] == ""
    voice.with_suffix(".txt").write_text("\ufeffThese are\n the  words.\n", encoding="utf-8")
    audio, rate, text, warnings = read_user_reference(voice)
    assert (text, rate, len(audio), warnings) == ("These are the words.", 16_000, 32_000, ())
    voice.with_suffix(".txt").write_text("这是我的\n声音。\n", encoding="utf-8")
    assert read_user_reference(voice)[2] == "这是我的声音。"


def test_a_reference_from_a_film_has_no_silence_before_its_sound(tmp_path: Path) -> None:
    film = Film(9.0, sound_start=3.0, sounds=[noise(2.0)], sound_codec="pcm_s16le")
    audio, rate, _, warnings = read_user_reference(write_film(tmp_path / "film.mkv", film))
    assert len(audio) / rate == pytest.approx(2.0, abs=0.01) and warnings == ()


@pytest.mark.parametrize("content", [b"\xff\xff", b"word " * (MAX_CHARACTERS // 5 + 1)])
def test_a_text_that_is_not_text_or_too_long_is_rejected(tmp_path: Path, content: bytes) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    voice.with_suffix(".txt").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_user_reference(voice)
    assert caught.value.code == "bad_reference_text" and "voice.txt" in caught.value.message


def test_a_text_of_gigabytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(2.0))
    with voice.with_suffix(".txt").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="more than 5,000 characters"):
        read_user_reference(voice)
