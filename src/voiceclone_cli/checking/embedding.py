"""Whose voice it is, as numbers: CAM++ embeddings, of unit length.

Wang et al., "CAM++: a fast and efficient network for speaker verification using context-aware masking"
(Interspeech 2023). The features are mean-normalised, so that a telephone's or a room's colour hardly counts.
"""

from __future__ import annotations

import base64
import typing
from collections.abc import Sequence
from pathlib import Path

from voiceclone_cli.diarization.embedded import embed, load_network
from voiceclone_cli.diarization.torchaudio_compat import ensure_torchaudio
from voiceclone_cli.machine.torch_threads import torch_threads
from voiceclone_cli.types import ANALYSIS_RATE

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voiceclone_cli.types import Samples

    Embedding = NDArray[np.float32]
    """Shape (192,), of unit length."""

MODEL = "campplus"
"""Its entry in the registry."""

_SHORTEST = 0.25
"""Seconds."""


class SpeakerEncoder:
    def __init__(self, folder: Path) -> None:
        ensure_torchaudio()
        self._network = load_network(folder)

    def embed(self, samples: Samples) -> Embedding | None:
        """The embedding of a signal at ANALYSIS_RATE; None below a quarter of a second."""
        import numpy as np
        import torch

        if len(samples) < _SHORTEST * ANALYSIS_RATE:
            return None
        # One thread: more move an embedding's last bits, and these signals are short.
        with torch_threads(1), torch.inference_mode():
            signal = torch.from_numpy(np.array(samples, np.float32))
            raw = embed(self._network, signal[None, None])[0].numpy()
        length = float(np.linalg.norm(raw))
        return np.asarray(raw / length, np.float32) if np.isfinite(length) and length > 0 else None


def cosine(one: Embedding, other: Embedding) -> float:
    """How alike two voices are: 1 is the same."""
    return float(one @ other)


def weighted_mean(parts: Sequence[tuple[Embedding, float]]) -> Embedding:
    """The voice of several samples, each with its weight; of unit length."""
    import numpy as np

    total = np.sum([embedding * weight for embedding, weight in parts], axis=0)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def to_text(embedding: Embedding) -> str:
    """The embedding to the last bit, for a JSON file."""
    return base64.b64encode(embedding.astype("<f4").tobytes()).decode("ascii")


def from_text(text: str) -> Embedding:
    import numpy as np

    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
