"""Kokoro-82M as an ONNX session: phoneme tokens, a style and a speed in, a waveform out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceclone_worker.engines.base import EngineError, SegmentError

RATE = 24_000
"""Hz, of Kokoro's output."""
MODEL_FILE = "kokoro-v1.0.int8.onnx"
MAX_TOKENS = 500
"""Kokoro's context holds 510 tokens with the two that frame them."""

Floats = NDArray[np.float32]


class SpeechModel:
    """The network; ``speak`` may be called from several threads at once."""

    def __init__(self, folder: Path) -> None:
        path = folder / MODEL_FILE
        if not path.is_file():
            raise EngineError(
                "checkpoint_missing", f"{MODEL_FILE} is not in {folder}: run `voiceclone models pull kokoro`."
            )
        self._session = _session(path)

    def speak(self, tokens: list[int], style: Floats, speed: float) -> Floats:
        """Synthesize ``tokens`` (1 to MAX_TOKENS ids) in ``style`` (256,): float32 at RATE, shape (samples,).

        Raises SegmentError when the network fails, or its output is silent or not finite.
        """
        feeds = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style.reshape(1, 256).astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        try:
            signal = np.asarray(self._session.run(None, feeds)[0], np.float32).ravel()
        except Exception as error:  # onnxruntime's own errors share no other root
            raise SegmentError("synthesis_failed", f"Kokoro failed on this line: {error}") from error
        if not np.isfinite(signal).all():
            raise SegmentError("synthesis_failed", "Kokoro made numbers that are not finite of this line.")
        if not len(signal) or float(np.abs(signal).max()) < 1e-3:
            raise SegmentError("silent", "Kokoro made silence of this line.")
        return signal


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError("package_missing", f"the kokoro engine needs onnxruntime ({error}).") from error
    options = onnxruntime.SessionOptions()
    # One thread for each call: lines run in parallel instead, which is faster and gives the same bytes at any
    # number of threads. Spinning would take the core of another line.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # see above
        raise EngineError("checkpoint_unusable", f"{path} is not a Kokoro model: {error}") from error
