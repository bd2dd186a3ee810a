"""The embedded recogniser on the recording of two people."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hearing import sample_text, word_error_rate
from voiceclone_cli.analysis import transcription
from voiceclone_cli.analysis.transcription import drop_outside_speech, identify_language, transcribe
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.script import script_file
from voiceclone_cli.script.segmentation import segments_from_words
from voiceclone_cli.types import Diarization, ProgressEvent, Recording, Transcript, Turn

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def recording(sample_wav: Path) -> Recording:
    samples, rate = soundfile.read(sample_wav, dtype="float32")
    assert rate == 16_000
    return Recording(sample_wav, samples, rate, len(samples), 1, False)


@pytest.fixture(scope="module")
def events() -> list[ProgressEvent]:
    return []


@pytest.fixture(scope="module")
def transcript(
    recording: Recording, model_folders: Mapping[str, Path], events: list[ProgressEvent]
) -> Transcript:
    return transcribe(
        recording, model_folders["whisper-base"], language=None, threads=1, progress=events.append
    )


@pytest.fixture(scope="module")
def turns(sample_wav: Path) -> tuple[Turn, ...]:
    """The turns as people heard them."""
    rows = [row.split() for row in sample_wav.with_suffix(".rttm").read_text().splitlines()]
    return tuple(Turn(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows)


@pytest.mark.numerical
def test_the_words_are_those_that_were_said(transcript: Transcript) -> None:
    text = "".join(word.text for word in transcript.words)
    assert transcript.language == "en"
    assert transcript.language_probability > 0.9
    assert word_error_rate(sample_text(), text) <= 0.35, text


@pytest.mark.numerical
def test_the_language_is_identified_without_the_words(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    code, probability = identify_language(recording.samples, model_folders["whisper-base"], threads=1)
    assert code == "en"
    assert probability > 0.9


@pytest.mark.numerical
def test_word_times_go_forward_within_the_recording(transcript: Transcript, recording: Recording) -> None:
    assert all(0 <= word.start <= word.end <= recording.seconds for word in transcript.words)
    starts = [word.start for word in transcript.words]
    assert starts == sorted(starts)


def test_progress_goes_forward_to_the_end(transcript: Transcript, events: list[ProgressEvent]) -> None:
    completed = [event.completed for event in events]
    assert {(event.stage, event.total) for event in events} == {("transcription", 30.0)}
    assert completed == sorted(completed)
    assert completed[0] == 0.0 and completed[-1] == 30.0 and len(completed) > 3


@pytest.mark.numerical
def test_no_word_is_made_of_the_silence_before_the_first_turn(
    transcript: Transcript, turns: tuple[Turn, ...]
) -> None:
    assert drop_outside_speech(transcript.words, turns)[1] == ()


HEARD = (
    (6.730, 6.747, "SPEAKER_00"),
    (6.747, 7.034, "SPEAKER_01"),
    (7.034, 7.186, "SPEAKER_00"),
    (7.591, 7.608, "SPEAKER_00"),
    (7.608, 8.317, "SPEAKER_01"),
    (8.317, 9.937, "SPEAKER_00"),
    (9.937, 10.510, "SPEAKER_01"),
    (10.510, 14.678, "SPEAKER_00"),
    (14.678, 17.885, "SPEAKER_01"),
    (18.020, 21.513, "SPEAKER_00"),
    (21.766, 27.976, "SPEAKER_01"),
    (27.976, 29.967, "SPEAKER_00"),
)
"""The exclusive turns that the embedded diarizer finds."""


@pytest.mark.numerical
def test_the_recording_makes_nine_lines_of_whole_sentences(transcript: Transcript) -> None:
    heard = tuple(Turn(*turn) for turn in HEARD)
    result = segments_from_words(transcript, Diarization(heard, heard, "embedded"))
    assert "".join(segment.speaker[-1] for segment in result.segments) == "110101010"
    assert all(segment.text.endswith((".", "?", "!")) for segment in result.segments)
    spoken = " ".join(segment.text for segment in result.segments).split()
    assert sorted(spoken) == sorted("".join(word.text for word in transcript.words).split())


def test_the_spanish_example_fits_the_recording(recording: Recording) -> None:
    example = Path(__file__).parents[2] / "examples" / "sample.es.srt"
    result = script_file.read_script(example, None, language="es", recording_seconds=recording.seconds)
    assert len(result.segments) == 9
    assert result.notes == ()
    assert not any(re.search(r"[\[\]]", segment.text) for segment in result.segments)


@pytest.mark.numerical
def test_a_recording_in_pieces_has_the_same_words_at_the_same_times(
    recording: Recording,
    transcript: Transcript,
    model_folders: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcription, "WHOLE_SECONDS", 20.0)
    monkeypatch.setattr(transcription, "PART_SECONDS", 15.0)
    monkeypatch.setattr(transcription, "_CUT_WITHIN", 3.0)
    assert len(transcription.split_at_silence(recording.samples)) == 2
    found = transcribe(recording, model_folders["whisper-base"], language=None, threads=1)
    assert (found.language, found.model) == (transcript.language, transcript.model)
    near = [
        word
        for word in found.words
        if any(word.text == each.text and abs(word.start - each.start) < 0.5 for each in transcript.words)
    ]
    assert len(near) > 0.7 * len(transcript.words)
    assert max(word.start for word in near) > 25, "the second piece is where it belongs"


def test_a_language_the_model_does_not_know_is_refused(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    with pytest.raises(InputError, match='does not support the language "xx"') as caught:
        transcribe(recording, model_folders["whisper-base"], language="xx", threads=1)
    assert caught.value.code == "language_unknown"


@pytest.mark.parametrize("broken", ["model.bin", "tokenizer.json"])
def test_a_broken_model_is_one_sentence(
    recording: Recording, model_folders: Mapping[str, Path], tmp_path: Path, broken: str
) -> None:
    for file in model_folders["whisper-base"].iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / broken).unlink()
    (tmp_path / broken).write_bytes(b"{")
    with pytest.raises(PreflightError, match="cannot be loaded") as caught:
        transcribe(recording, tmp_path, language=None, threads=1)
    assert caught.value.code == "asr_model_broken"


@pytest.mark.parametrize("kind", ["empty", "cut", "garbage", "zeros", "lengths", "strings"])
def test_a_model_of_garbage_is_one_sentence(
    tmp_path: Path, model_folders: Mapping[str, Path], kind: str
) -> None:
    folder = tmp_path / "whisper"
    folder.mkdir()
    for path in model_folders["whisper-base"].iterdir():
        if path.name != "model.bin":
            (folder / path.name).symlink_to(path)
    with (model_folders["whisper-base"] / "model.bin").open("rb") as file:
        head = file.read(10_000_000)
    bad = {
        "empty": b"",
        "cut": head,
        "garbage": np.random.default_rng(0).bytes(100_000),
        "zeros": bytes(100_000),
        "lengths": head[:6] + b"\xff" * 1000 + head[1006:],
        "strings": head[:4] + b"\xff\xff" + head[6:],
    }
    (folder / "model.bin").write_bytes(bad[kind])
    with pytest.raises(PreflightError) as caught:
        recording = Recording(tmp_path, np.zeros(16_000, np.float32), 16_000, 16_000, 1, False)
        transcribe(recording, folder, language=None, threads=1)
    assert caught.value.code == "asr_model_broken"
    assert caught.value.message.isprintable()
