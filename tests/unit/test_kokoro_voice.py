"""A fitted voice survives its file, and a bad file is one clear sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.kokoro.matching import Mixture
from voiceclone_worker.engines.kokoro.voice import Voice, read_voice, write_voice
from voiceclone_worker.engines.kokoro.voices import voice_table

NAMES = voice_table().names


def a_voice() -> Voice:
    weights = np.zeros(54, np.float32)
    weights[[3, 5]] = 0.6, 0.4
    return Voice(
        names=NAMES,
        mixture=Mixture(acoustic=weights, prosody=weights[::-1].copy()),
        gains=np.linspace(0.5, 2, 513, dtype=np.float32),
        level=0.05,
        speed=1.1,
        embedding=np.full(192, 192**-0.5, np.float32),
        f0_hz=123.4,
        similarity=0.5,
    )


def test_a_voice_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "speakers" / "SPEAKER_00" / "voice.npz"
    write_voice(a_voice(), path)
    for field in dataclasses.fields(Voice):
        if field.name != "mixture":
            read, written = getattr(read_voice(path, NAMES), field.name), getattr(a_voice(), field.name)
            assert np.array_equal(read, written)
    assert np.array_equal(read_voice(path, NAMES).mixture.acoustic, a_voice().mixture.acoustic)
    assert np.array_equal(read_voice(path, NAMES).mixture.prosody, a_voice().mixture.prosody)


def test_the_same_voice_gives_the_same_bytes_and_nothing_is_left_beside(tmp_path: Path) -> None:
    folder = tmp_path / "speaker"
    for name in ("a.npz", "b.npz", "a.npz"):
        write_voice(a_voice(), folder / name)
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "b.npz"]


def test_a_missing_voice(tmp_path: Path) -> None:
    assert code_of(tmp_path / "voice.npz") == "voice_missing"


@pytest.mark.parametrize("content", [b"", b"not a voice", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_voice(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "voice.npz"
    path.write_bytes(content)
    assert code_of(path) == "voice_unreadable"


def test_a_cut_or_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    write_voice(a_voice(), path)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:3000] + b"\xff" * 64 + whole[3064:]):
        path.write_bytes(broken)
        assert code_of(path) == "voice_unreadable"


def test_numbers_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    write_voice(dataclasses.replace(a_voice(), gains=np.full(513, np.nan, np.float32)), path)
    assert code_of(path) == "voice_unreadable"


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    np.savez(path, format=np.array({"a": 1}, dtype=object))
    assert code_of(path) == "voice_unreadable"


def test_a_voice_of_other_tables(tmp_path: Path) -> None:
    path = tmp_path / "voice.npz"
    write_voice(dataclasses.replace(a_voice(), names=("other", *NAMES[1:])), path)
    assert code_of(path) == "voice_outdated"


def code_of(path: Path) -> str:
    with pytest.raises(SegmentError) as refused:
        read_voice(path, NAMES)
    assert "encode the reference again" in refused.value.message
    return refused.value.code
