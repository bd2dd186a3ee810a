"""Codes and voices from strangers: arrays that are programs, or promise more than there is."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hostile_files import Program, archive
from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.codec import read_codes
from voiceclone_worker.engines.kokoro.voices import read_voice, voice_table


def array_that_promises(count: int) -> bytes:
    head = f"{{'descr': '<i8', 'fortran_order': False, 'shape': (10, {count}), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(800)


def test_codes_that_promise_more_than_there_is_are_refused(tmp_path: Path) -> None:
    for count in (100, 2**20, 2**40, 2**62, 2**70):
        (tmp_path / "codes.npy").write_bytes(array_that_promises(count))
        with pytest.raises(SegmentError) as caught:
            read_codes(str(tmp_path / "codes.npy"), 10)
        assert caught.value.code == "codes_unusable"
    with (tmp_path / "codes.npy").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SegmentError, match="far too large"):
        read_codes(str(tmp_path / "codes.npy"), 10)


def test_codes_and_voices_are_no_programs(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    np.save(tmp_path / "codes.npy", np.array([Program(canary)], object), allow_pickle=True)
    with pytest.raises(SegmentError, match="cannot be read"):
        read_codes(str(tmp_path / "codes.npy"), 10)
    np.savez(tmp_path / "voice.npz", format=np.array([Program(canary)], object))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Program(canary)))
    for name in ("voice.npz", "pickle.npz"):
        with pytest.raises(SegmentError) as caught:
            read_voice(tmp_path / name, voice_table().names)
        assert caught.value.code == "voice_unreadable"
    assert not canary.exists()


def test_a_voice_that_unpacks_to_gigabytes_is_refused_packed(tmp_path: Path) -> None:
    members = {"gains.npy": bytes(100_000_000), "../../evil.npy": array_that_promises(1)}
    archive(tmp_path / "voice.npz", members)
    with pytest.raises(SegmentError, match="far too large"):
        read_voice(tmp_path / "voice.npz", voice_table().names)
    archive(tmp_path / "voice.npz", {"gains.npy": array_that_promises(2**50)})
    with pytest.raises(SegmentError) as caught:
        read_voice(tmp_path / "voice.npz", voice_table().names)
    assert caught.value.code == "voice_unreadable"
