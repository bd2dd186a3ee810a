"""Postprocessing of segments without a network's weights, and tags."""

from __future__ import annotations

import hashlib
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from media_samples import syllables, tone
from platforms import needs_symlinks
from voiceclone_cli import __version__
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.audio.writer import open_wav, to_pcm16
from voiceclone_cli.provenance.watermark import (
    Postprocessor,
    container_tags,
    own_tags,
    unmarked_notes,
    wav_info,
)
from voiceclone_worker.protocol import Failure, SegmentRow


def synthesized(folder: Path, id: str = "0001") -> SegmentRow:
    """Return a worker's result with its wav."""
    path = folder / f"{id}.wav"
    with open_wav(path, 24_000, 24_000) as file:
        file.write(to_pcm16(syllables(1.0, 24_000)))
    return SegmentRow(0, id, "done", str(path), 1.0, 24_000, seed=7, sha256=file.sha256)


class Collector:
    """Collects processed results and the names of the threads."""

    def __init__(self) -> None:
        self.rows: list[SegmentRow] = []
        self.threads: set[str] = set()

    def __call__(self, row: SegmentRow, unmarked: str | None) -> None:
        self.rows.append(row)
        self.threads.add(threading.current_thread().name)


def process(row: SegmentRow, engine: str = "kokoro", model: Path | None = None) -> SegmentRow:
    collector = Collector()
    with Postprocessor() as postprocessor:
        postprocessor.process(row, engine, model, collector)
    (result,) = collector.rows
    return result


def pcm(path: str | None) -> bytes:
    assert path is not None
    with wave.open(path) as file:
        return file.readframes(file.getnframes())


def test_tags_are_added_without_changing_samples(tmp_path: Path) -> None:
    row = synthesized(tmp_path)
    before = pcm(row.file)
    after = process(row)
    assert pcm(after.file) == before
    assert after.sha256 == hashlib.sha256((tmp_path / "0001.wav").read_bytes()).hexdigest() != row.sha256
    assert (after.status, after.seconds, after.frames, after.seed) == ("done", 1.0, 24_000, 7)
    assert [path.name for path in tmp_path.glob("**/*.part*")] == []


def test_tones_and_failed_results_are_passed_on_unchanged(tmp_path: Path) -> None:
    row = synthesized(tmp_path)
    failed = SegmentRow(0, "0002", "failed", error=Failure("asked_to_fail", "so it is"))
    assert process(row, "echo") is row and process(failed) is failed


def test_results_are_processed_in_one_thread_in_order(tmp_path: Path) -> None:
    collector = Collector()
    with Postprocessor() as postprocessor:
        for number in range(20):
            postprocessor.process(synthesized(tmp_path, f"{number:04d}"), "kokoro", None, collector)
    assert [row.id for row in collector.rows] == [f"{number:04d}" for number in range(20)]
    assert threading.current_thread().name not in collector.threads and len(collector.threads) == 1
    assert postprocessor.seconds > 0


def test_what_was_spoken_before_a_stop_is_still_process(tmp_path: Path) -> None:
    collector = Collector()
    with pytest.raises(KeyboardInterrupt), Postprocessor() as postprocessor:
        postprocessor.process(synthesized(tmp_path), "kokoro", None, collector)
        raise KeyboardInterrupt
    assert [row.status for row in collector.rows] == ["done"]


def test_segment_that_cannot_be_marked_fails_without_a_wav(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    row = process(synthesized(tmp_path), model=tmp_path / "model")
    assert row.status == "failed" and row.error is not None and row.error.code == "watermark_failed"
    assert "--no-watermark" in row.error.message
    assert not (tmp_path / "0001.wav").exists()


def test_missing_or_damaged_wav_is_a_failed_result(tmp_path: Path) -> None:
    missing, damaged = synthesized(tmp_path), synthesized(tmp_path, "0002")
    (tmp_path / "0001.wav").unlink()
    (tmp_path / "0002.wav").write_bytes(b"RIFF")
    codes = [row.error.code for row in (process(missing), process(damaged)) if row.error]
    assert codes == ["output_vanished", "watermark_failed"]


@needs_symlinks
def test_link_in_place_of_a_segment_is_replaced(tmp_path: Path) -> None:
    row = synthesized(tmp_path)
    precious = tmp_path / "precious.wav"
    (tmp_path / "0001.wav").rename(precious)
    (tmp_path / "0001.wav").symlink_to(precious)
    content = precious.read_bytes()
    assert process(row).status == "done"
    assert precious.read_bytes() == content and not (tmp_path / "0001.wav").is_symlink()


def test_error_of_the_callback_reaches_the_caller(tmp_path: Path) -> None:
    def refuse(row: SegmentRow, unmarked: str | None) -> None:
        raise ValueError("the run directory does not exist")

    with pytest.raises(ValueError, match="does not exist"), Postprocessor() as postprocessor:
        postprocessor.process(synthesized(tmp_path), "kokoro", None, refuse)


def test_unmarked_segments_are_reported_by_reason() -> None:
    many = {f"{number:04d}": "too short" for number in range(1, 8)}
    assert unmarked_notes({**many, "0100": "silent"}) == [
        "no watermark is on 0100: silent",
        "no watermark is on 0001, 0002, 0003, 0004, 0005 and 2 more: too short",
    ]
    assert unmarked_notes({}) == []


def tagged_wav(path: Path, engine: str) -> Path:
    with open_wav(path, 16_000, 16_000, info=wav_info(engine)) as file:
        file.write(to_pcm16(tone(1.0)))
    return path


@pytest.mark.parametrize("engine", ["kokoro", "fish"])
def test_wav_tags_name_synthetic_voices_and_the_program(tmp_path: Path, engine: str) -> None:
    with open_audio(tagged_wav(tmp_path / "a.wav", engine)) as stream:
        tags = own_tags(stream.tags)
    assert tags["comment"] == f"Synthetic voices, made with voiceclone {__version__} ({engine})"
    assert tags["encoder"] == f"voiceclone {__version__}"


def test_tags_do_not_change_samples_for_other_readers(tmp_path: Path) -> None:
    import wave

    import soundfile

    path = tagged_wav(tmp_path / "a.wav", "kokoro")
    with wave.open(str(path)) as file:
        assert file.readframes(file.getnframes()) == to_pcm16(tone(1.0)).tobytes()
    with soundfile.SoundFile(path) as file:
        assert file.copy_metadata()["comment"].startswith("Synthetic voices")
        assert np.array_equal(file.read(dtype="int16"), to_pcm16(tone(1.0)))


def test_tones_have_no_tags() -> None:
    assert wav_info("echo") == {} == container_tags("echo")


def test_tags_of_other_programs_are_not_shown() -> None:
    assert own_tags({"title": "A talk", "encoder": "Lavf61.7.100"}) == {}
    assert own_tags(container_tags("fish")).keys() == container_tags("fish").keys()


def test_control_characters_of_a_tag_are_not_shown() -> None:
    (shown,) = own_tags({"comment": "made with voiceclone \x1b[2J" + "x" * 10_000}).values()
    assert shown.isprintable() and len(shown) <= 200
