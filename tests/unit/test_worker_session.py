"""The worker's files: whole, or not there."""

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


def outcomes(paths: list[Path]) -> tuple[dict[str, SegmentRow], Writer]:
    heard: list[SegmentRow] = []
    with Writer(heard.append) as writer:
        for number, path in enumerate(paths):
            writer.submit(row(number), SPEECH, str(path))
    return {each.id: each for each in heard}, writer


def test_a_wav_has_the_speech_and_the_sha256_of_its_row(tmp_path: Path) -> None:
    digest = write_wav(tmp_path / "0001.wav", SPEECH)
    assert digest == sha256((tmp_path / "0001.wav").read_bytes()).hexdigest()
    with wave.open(str(tmp_path / "0001.wav")) as spoken:
        assert (spoken.getframerate(), spoken.getnchannels()) == (8000, 1)
        assert spoken.readframes(10_000) == SPEECH.pcm


def test_one_file_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "0001.wav").mkdir()
    rows, writer = outcomes([tmp_path / f"{number:04d}.wav" for number in range(3)])
    assert [rows[key].status for key in sorted(rows)] == ["done", "failed", "done"]
    assert writer.blocked is None


def test_a_folder_that_is_gone_stands_in_the_way_of_everything(tmp_path: Path) -> None:
    rows, writer = outcomes([tmp_path / "gone" / "0000.wav"])
    assert rows["0000"].error is not None and rows["0000"].error.code == "write_failed"
    assert writer.blocked == rows["0000"].error
    assert not (tmp_path / "gone").exists(), "a folder that somebody removed is not made again"


def test_folders_are_made_before_the_work_and_one_that_cannot_be_made_stands_in_the_way(
    tmp_path: Path,
) -> None:
    with Writer(lambda row: None) as writer:
        writer.make_folders([str(tmp_path / "a" / "b"), str(tmp_path / "a")])
        assert (tmp_path / "a" / "b").is_dir() and writer.blocked is None
        (tmp_path / "file").touch()
        writer.make_folders([str(tmp_path / "file")])
    assert writer.blocked is not None and str(tmp_path / "file") in writer.blocked.message


def test_the_backlog_of_a_slow_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()
    writing = threading.Event()

    def slow(path: Path, speech: Speech) -> str:
        writing.set()
        disk.wait(10)
        return ""

    monkeypatch.setattr(session, "write_wav", slow)
    heard: list[SegmentRow] = []
    handed_over: list[int] = []

    def speak_on(writer: Writer) -> None:
        for number in range(2 * BACKLOG):
            writer.submit(row(number), SPEECH, str(tmp_path / f"{number}.wav"))
            handed_over.append(number)

    with Writer(heard.append) as writer:
        engine = threading.Thread(target=speak_on, args=(writer,))
        engine.start()
        writing.wait(10)
        engine.join(timeout=0.5)
        assert engine.is_alive() and len(handed_over) == BACKLOG and heard == []
        disk.set()
        engine.join(10)
    assert len(heard) == 2 * BACKLOG
