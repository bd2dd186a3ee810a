"""References as codes: the file, and when one can be used again."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voiceclone_worker.atomic import write_whole
from voiceclone_worker.engines.base import SegmentError

_STEPS = "voiceclone.fish-codes/1"
"""Part of what codes are made from: to be raised when a reference is prepared in another way."""

_SAMPLE = 1 << 20

_MOST_BYTES = 1 << 24
"""Of a file of codes: those of half an hour, where a reference has seconds."""


def read_codes(path: str, codebooks: int, size: int = 4096) -> torch.Tensor:
    """The codes in a file: int64 [codebooks, frames], every code from 0 to ``size`` - 1.

    Raises SegmentError ``codes_unusable``.
    """
    again = "encode the reference again (delete the file and run once more)"
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise ValueError("it is far too large for a reference's")
        codes = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise SegmentError("codes_unusable", f"the codes {path} are not there: {again}") from error
    except Exception as error:  # a damaged file fails in many ways, one that promises 2**50 codes in others
        raise SegmentError("codes_unusable", f"the codes {path} cannot be read ({error}): {again}") from error
    if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu":
        raise SegmentError("codes_unusable", f"{path} holds no whole numbers: {again}")
    if codes.ndim != 2 or codes.shape[0] != codebooks or codes.shape[1] == 0:
        shape = " x ".join(map(str, codes.shape))
        raise SegmentError("codes_unusable", f"{path} holds {shape} codes, not {codebooks} x frames: {again}")
    if codes.min() < 0 or codes.max() >= size:
        raise SegmentError("codes_unusable", f"{path} holds codes outside 0 to {size - 1}: {again}")
    return torch.from_numpy(codes.astype(np.int64))


def write_codes(path: Path, codes: torch.Tensor, made_from: str) -> None:
    """Write codes [codebooks, frames], and beside them (``codes.json``) what they were made from.

    Raises OSError.
    """
    content = io.BytesIO()
    np.save(content, codes.cpu().numpy().astype(np.int64), allow_pickle=False)
    note = {"made_from": made_from, "sha256": hashlib.sha256(content.getbuffer()).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, bytes(content.getbuffer()))
    write_whole(_note_of(path), (json.dumps(note) + "\n").encode())


def are_current(path: Path, made_from: str) -> bool:
    """Whether the codes in ``path`` are whole and were made from just this."""
    try:
        note: Any = json.loads(_note_of(path).read_text(encoding="utf-8"))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False
    return bool(note == {"made_from": made_from, "sha256": sha256})


def fingerprint(audio: Path, codec: str) -> str:
    """What codes are made from: the reference's bytes and the codec. Raises OSError."""
    digest = hashlib.sha256(f"{_STEPS}\n{codec}\n".encode())
    with audio.open("rb") as file:
        while block := file.read(_SAMPLE):
            digest.update(block)
    return digest.hexdigest()


def codec_identity(checkpoint: Path) -> str:
    """Names the codec's weights and shape without reading 1.9 GB. Raises OSError.

    The first and last MiB and the size of ``codec.pth`` tell it: a file of ``torch.save`` is a zip
    archive, and the list at its end has the CRC-32 of every weight. Neither path nor time of change
    counts, so a copy of the checkpoint is the same codec.
    """
    digest = hashlib.sha256()
    configuration = checkpoint / "codec.yaml"
    digest.update(configuration.read_bytes() if configuration.is_file() else b"as published")
    weights = checkpoint / "codec.pth"
    size = weights.stat().st_size
    digest.update(f"\n{size}\n".encode())
    with weights.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")
