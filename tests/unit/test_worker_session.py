"""Wav files of a worker's segments."""

from __future__ import annotations

import threading
import wave
from hashlib import sha256
from pathlib import Path

import pytest

from voiceclone_worker import session
from voiceclone_worker.engines.base import Speech, SpeechRow
from voiceclone_worker.protocol import ReferenceSpec, SegmentRow, SegmentSpec
from voiceclone_worker.session import BACKLOG, Writer, write_wav

SPEECH = Speech(b"\x01\x00" * 800, 8000, seed=7)


def row(number: int) -> SpeechRow:
    segment = SegmentSpec(f"{number:04d}", "a line", "en", 7)
    return SpeechRow(0, segment, ReferenceSpec("S0", "", "", ""))


def write_all(paths: list[Path]) -> tuple[dict[str, SegmentRow], Writer]:
    rows: list[SegmentRow] = []
    with Writer(rows.append) as writer:
        for number, path in enumerate(paths):
            writer.submit(row(number), SPEECH, path)
    return {each.id: each for each in rows}, writer


def test_a_wav_has_the_speech_and_the_sha256_of_its_row(tmp_path: Path) -> None:
    digest = write_wav(tmp_path / "0001.wav", SPEECH)
    assert digest == sha256((tmp_path / "0001.wav").read_bytes()).hexdigest()
    with wave.open(str(tmp_path / "0001.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (8000, 1)
        assert sound.readframes(10_000) == SPEECH.pcm


def test_one_file_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "0001.wav").mkdir()
    rows, writer = write_all([tmp_path / f"{number:04d}.wav" for number in range(3)])
    assert [rows[key].status for key in sorted(rows)] == ["done", "failed", "done"]
    assert writer.fatal_error is None


def test_a_missing_folder_is_a_fatal_error(tmp_path: Path) -> None:
    rows, writer = write_all([tmp_path / "gone" / "0000.wav"])
    assert rows["0000"].error is not None and rows["0000"].error.code == "write_failed"
    assert writer.fatal_error == rows["0000"].error
    assert not (tmp_path / "gone").exists(), "a folder that somebody removed is not made again"


def test_folders_are_made_before_the_work_and_one_that_cannot_be_made_is_a_fatal_error(
    tmp_path: Path,
) -> None:
    with Writer(lambda row: None) as writer:
        writer.make_folders([str(tmp_path / "a" / "b"), str(tmp_path / "a")])
        assert (tmp_path / "a" / "b").is_dir() and writer.fatal_error is None
        (tmp_path / "file").touch()
        writer.make_folders([str(tmp_path / "file")])
    assert writer.fatal_error is not None and str(tmp_path / "file") in writer.fatal_error.message


def test_the_backlog_of_a_slow_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()
    writing = threading.Event()

    def slow(path: Path, speech: Speech) -> str:
        writing.set()
        disk.wait(10)
        return ""

    monkeypatch.setattr(session, "write_wav", slow)
    rows: list[SegmentRow] = []
    submitted: list[int] = []

    def submit_all(writer: Writer) -> None:
        for number in range(2 * BACKLOG):
            writer.submit(row(number), SPEECH, tmp_path / f"{number}.wav")
            submitted.append(number)

    with Writer(rows.append) as writer:
        engine = threading.Thread(target=submit_all, args=(writer,))
        engine.start()
        writing.wait(10)
        engine.join(timeout=0.5)
        assert engine.is_alive() and len(submitted) == BACKLOG and rows == []
        disk.set()
        engine.join(10)
    assert len(rows) == 2 * BACKLOG
