"""What a file says about itself."""

from __future__ import annotations

import hashlib
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from media_samples import syllables, tone
from voiceclone_cli import __version__
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.audio.writer import open_wav, to_pcm16
from voiceclone_cli.provenance.watermark import (
    Postprocessor,
    Watermarking,
    container_tags,
    own_tags,
    unmarked_notes,
    wav_info,
)
from voiceclone_worker.protocol import Failure, SegmentRow

# What is done to a spoken segment before it counts, without a network's weights.


TAGS_ALONE = Watermarking("kokoro", model=None)


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


def sealed(row: SegmentRow, seal: Watermarking | None = TAGS_ALONE) -> SegmentRow:
    settled = Settled()
    with Postprocessor() as postprocessor:
        postprocessor.take(row, seal, settled)
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
    with Postprocessor() as postprocessor:
        for number in range(20):
            postprocessor.take(spoken(tmp_path, f"{number:04d}"), TAGS_ALONE, settled)
    assert [row.id for row in settled.rows] == [f"{number:04d}" for number in range(20)]
    assert threading.current_thread().name not in settled.threads and len(settled.threads) == 1
    assert postprocessor.seconds > 0


def test_what_was_spoken_before_a_stop_is_still_sealed(tmp_path: Path) -> None:
    settled = Settled()
    with pytest.raises(KeyboardInterrupt), Postprocessor() as postprocessor:
        postprocessor.take(spoken(tmp_path), TAGS_ALONE, settled)
        raise KeyboardInterrupt
    assert [row.status for row in settled.rows] == ["done"]


def test_what_cannot_be_marked_has_failed_and_leaves_no_unmarked_wav(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    row = sealed(spoken(tmp_path), Watermarking("kokoro", tmp_path / "model"))
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

    with pytest.raises(ValueError, match="gone"), Postprocessor() as postprocessor:
        postprocessor.take(spoken(tmp_path), TAGS_ALONE, refuse)


def test_unmarked_segments_are_told_in_a_sentence_for_each_reason() -> None:
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
def test_a_wav_says_that_its_voices_are_synthetic_and_what_made_them(tmp_path: Path, engine: str) -> None:
    with open_audio(tagged_wav(tmp_path / "a.wav", engine)) as stream:
        tags = own_tags(stream.tags)
    assert tags["comment"] == f"Synthetic voices, made with voiceclone {__version__} ({engine})"
    assert tags["encoder"] == f"voiceclone {__version__}"


def test_tags_leave_the_samples_alone_for_other_readers(tmp_path: Path) -> None:
    import wave

    import soundfile

    path = tagged_wav(tmp_path / "a.wav", "kokoro")
    with wave.open(str(path)) as file:
        assert file.readframes(file.getnframes()) == to_pcm16(tone(1.0)).tobytes()
    with soundfile.SoundFile(path) as file:
        assert file.copy_metadata()["comment"].startswith("Synthetic voices")
        assert np.array_equal(file.read(dtype="int16"), to_pcm16(tone(1.0)))


def test_tones_are_nobody_s_voice() -> None:
    assert wav_info("echo") == {} == container_tags("echo")


def test_tags_of_others_are_not_told() -> None:
    assert own_tags({"title": "A talk", "encoder": "Lavf61.7.100"}) == {}
    assert own_tags(container_tags("fish")).keys() == container_tags("fish").keys()


def test_a_hostile_tag_cannot_command_a_terminal() -> None:
    (shown,) = own_tags({"comment": "made with voiceclone \x1b[2J" + "x" * 10_000}).values()
    assert shown.isprintable() and len(shown) <= 200
