"""Codes as files: what is read, what is refused, and when they are used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.codec.codes import (
    are_current,
    codec_identity,
    fingerprint,
    read_codes,
    write_codes,
)

CODES = torch.arange(30).reshape(10, 3)


def test_codes_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "speaker" / "codes.npy"
    write_codes(path, CODES, "this")
    assert torch.equal(read_codes(str(path), 10), CODES)
    assert np.load(path).dtype == np.int64
    assert sorted(file.name for file in path.parent.iterdir()) == ["codes.json", "codes.npy"]


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((10, 3)), "no whole numbers"),
        (np.zeros((9, 3), np.int64), "9 x 3 codes, not 10 x frames"),
        (np.zeros((10, 0), np.int64), "10 x 0 codes"),
        (np.zeros(10, np.int64), "10 codes, not 10 x frames"),
        (np.full((10, 3), -1), "outside 0 to 1023"),
        (np.full((10, 3), 1024), "outside 0 to 1023"),
        (np.array([{}]), "cannot be read"),
    ],
)
def test_an_array_that_is_no_codes_is_refused(tmp_path: Path, array: np.ndarray, complaint: str) -> None:
    path = tmp_path / "codes.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(SegmentError, match=complaint) as refused:
        read_codes(str(path), 10, 1024)
    assert refused.value.code == "codes_unusable"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array"])
def test_a_file_that_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codes.npy"
    path.write_bytes(content)
    with pytest.raises(SegmentError, match="cannot be read"):
        read_codes(str(path), 10)


def test_codes_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SegmentError, match=r"nowhere\.npy are not there"):
        read_codes(str(tmp_path / "nowhere.npy"), 10)


def test_codes_are_current_for_what_they_were_made_from_only(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    assert not are_current(path, "this")
    write_codes(path, CODES, "this")
    assert are_current(path, "this")
    assert not are_current(path, "that")


def test_damaged_codes_are_not_current(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    write_codes(path, CODES, "this")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not are_current(path, "this")


def test_codes_whose_note_is_damaged_are_not_current(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    write_codes(path, CODES, "this")
    path.with_suffix(".json").write_text('{"made_from": "th')
    assert not are_current(path, "this")


def test_the_fingerprint_follows_the_audio_and_the_codec(tmp_path: Path) -> None:
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"one")
    first = fingerprint(audio, "codec")
    assert fingerprint(audio, "codec") == first
    assert fingerprint(audio, "another") != first
    audio.write_bytes(b"two")
    assert fingerprint(audio, "codec") != first


def test_a_copied_checkpoint_is_the_same_codec(tmp_path: Path) -> None:
    first, copy = (_checkpoint(tmp_path / name, torch.zeros(9)) for name in ("first", "copy"))
    assert codec_identity(first) == codec_identity(copy)


def test_one_changed_weight_in_the_middle_is_another_codec(tmp_path: Path) -> None:
    # 8 MB: the change lies outside what is read, and shows in the archive's list of checksums.
    weights = torch.zeros(2_000_000)
    before = codec_identity(_checkpoint(tmp_path / "before", weights))
    weights[1_000_000] = 1
    assert codec_identity(_checkpoint(tmp_path / "after", weights)) != before


def test_another_configuration_is_another_codec(tmp_path: Path) -> None:
    folder = _checkpoint(tmp_path / "checkpoint", torch.zeros(9))
    before = codec_identity(folder)
    (folder / "codec.yaml").write_text("sample_rate: 22050\n")
    assert codec_identity(folder) != before


def _checkpoint(folder: Path, weights: torch.Tensor) -> Path:
    folder.mkdir()
    torch.save({"weights": weights}, folder / "codec.pth")
    return folder
