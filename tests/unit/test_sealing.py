"""What is done to a spoken segment before it counts, without a network's weights."""

from __future__ import annotations

import hashlib
import threading
import wave
from pathlib import Path

import pytest

from media_samples import syllables
from voiceclone_cli.media.wav import open_wav, to_pcm16
from voiceclone_cli.provenance.sealing import Seal, Sealer, unmarked_notes
from voiceclone_worker.contract import Failure, SegmentRow

TAGS_ALONE = Seal("kokoro", model=None)


def spoken(folder: Path, id: str = "0001") -> SegmentRow:
    """A segment as a worker leaves it."""
    path = folder / f"{id}.wav"
    with open_wav(path, 24_000, 24_000) as file:
        file.write(to_pcm16(syllables(1.0, 24_000)))
    return SegmentRow(0, id, "done", str(path), 1.0, 24_000, seed=7, sha256=file.sha256)


class Settled:
    """What a sealer settled, and in which threads."""

    def __init__(self) -> None:
        self.rows: list[SegmentRow] = []
        self.threads: set[str] = set()

    def __call__(self, row: SegmentRow, unmarked: str | None) -> None:
        self.rows.append(row)
        self.threads.add(threading.current_thread().name)


def sealed(row: SegmentRow, seal: Seal | None = TAGS_ALONE) -> SegmentRow:
    settled = Settled()
    with Sealer() as sealer:
        sealer.take(row, seal, settled)
    (result,) = settled.rows
    return result


def pcm(path: str | None) -> bytes:
    assert path is not None
    with wave.open(path) as file:
        return file.readframes(file.getnframes())


def test_without_the_mark_the_tags_are_added_and_no_sample_changes(tmp_path: Path) -> None:
    row = spoken(tmp_path)
    before = pcm(row.file)
    after = sealed(row)
    assert pcm(after.file) == before
    assert after.sha256 == hashlib.sha256((tmp_path / "0001.wav").read_bytes()).hexdigest() != row.sha256
    assert (after.status, after.seconds, after.frames, after.seed) == ("done", 1.0, 24_000, 7)
    assert [path.name for path in tmp_path.glob("**/*.part*")] == []


def test_rows_without_a_seal_and_failed_ones_are_settled_as_they_are(tmp_path: Path) -> None:
    row = spoken(tmp_path)
    failed = SegmentRow(0, "0002", "failed", error=Failure("asked_to_fail", "so it is"))
    assert sealed(row, None) is row and sealed(failed) is failed


def test_many_rows_are_sealed_beside_the_caller_and_all_are_settled_at_the_end(tmp_path: Path) -> None:
    settled = Settled()
    with Sealer() as sealer:
        for number in range(20):
            sealer.take(spoken(tmp_path, f"{number:04d}"), TAGS_ALONE, settled)
    assert [row.id for row in settled.rows] == [f"{number:04d}" for number in range(20)]
    assert threading.current_thread().name not in settled.threads and len(settled.threads) == 1
    assert sealer.seconds > 0


def test_what_was_spoken_before_a_stop_is_still_sealed(tmp_path: Path) -> None:
    settled = Settled()
    with pytest.raises(KeyboardInterrupt), Sealer() as sealer:
        sealer.take(spoken(tmp_path), TAGS_ALONE, settled)
        raise KeyboardInterrupt
    assert [row.status for row in settled.rows] == ["done"]


def test_what_cannot_be_marked_has_failed_and_leaves_no_unmarked_wav(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    row = sealed(spoken(tmp_path), Seal("kokoro", tmp_path / "model"))
    assert row.status == "failed" and row.error is not None and row.error.code == "watermark_failed"
    assert "--no-watermark" in row.error.message
    assert not (tmp_path / "0001.wav").exists()


def test_a_wav_that_is_gone_or_damaged_is_a_failed_row(tmp_path: Path) -> None:
    gone, torn = spoken(tmp_path), spoken(tmp_path, "0002")
    (tmp_path / "0001.wav").unlink()
    (tmp_path / "0002.wav").write_bytes(b"RIFF")
    codes = [row.error.code for row in (sealed(gone), sealed(torn)) if row.error]
    assert codes == ["output_vanished", "watermark_failed"]


def test_a_link_in_the_place_of_a_segment_is_replaced_and_not_followed(tmp_path: Path) -> None:
    row = spoken(tmp_path)
    precious = tmp_path / "precious.wav"
    (tmp_path / "0001.wav").rename(precious)
    (tmp_path / "0001.wav").symlink_to(precious)
    content = precious.read_bytes()
    assert sealed(row).status == "done"
    assert precious.read_bytes() == content and not (tmp_path / "0001.wav").is_symlink()


def test_what_settling_raises_reaches_the_caller(tmp_path: Path) -> None:
    def refuse(row: SegmentRow, unmarked: str | None) -> None:
        raise ValueError("the run directory is gone")

    with pytest.raises(ValueError, match="gone"), Sealer() as sealer:
        sealer.take(spoken(tmp_path), TAGS_ALONE, refuse)


def test_unmarked_segments_are_told_in_a_sentence_for_each_reason() -> None:
    many = {f"{number:04d}": "too short" for number in range(1, 8)}
    assert unmarked_notes({**many, "0100": "silent"}) == [
        "no watermark is on 0100: silent",
        "no watermark is on 0001, 0002, 0003, 0004, 0005 and 2 more: too short",
    ]
    assert unmarked_notes({}) == []
