"""Kokoro-82M as two ONNX sessions: the front plans a line (what sounds when, and how high), the decoder makes the sound.

Joined they give the samples of the whole graph, to the last bit. The front takes a thirtieth of the decoder's time, so
a line's length is known at any speed, and its melody can be changed, before anything is rendered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.kokoro.line_plan import FRAME_SECONDS, LinePlan
from voiceclone_worker.engines.kokoro.line_plan import Floats as Floats

RATE = 24_000
"""Hz, of Kokoro's output."""
FRAME = round(FRAME_SECONDS * RATE)
"""Samples of a frame."""
FRONT_FILE, DECODER_FILE = "kokoro-v1.0.int8.front.onnx", "kokoro-v1.0.int8.decoder.onnx"
MAX_TOKENS = 500
"""Kokoro's context holds 510 tokens with the two that frame them."""
_ACOUSTIC = 128
"""Of a style's 256 numbers, those that the decoder reads."""


class SpeechModel:
    """The network; its methods may be called from several threads at once. They raise SegmentError where it fails."""

    def __init__(self, folder: Path) -> None:
        for name in (FRONT_FILE, DECODER_FILE):
            if not (folder / name).is_file():
                raise EngineError(
                    "checkpoint_missing", f"{name} is not in {folder}: run `voiceclone models pull kokoro`."
                )
        self._front, self._decoder = open_session(folder / FRONT_FILE), open_session(folder / DECODER_FILE)
        self._decoder_inputs = [tensor.name for tensor in self._decoder.get_inputs()]

    def plan(self, tokens: list[int], style: Floats, speed: float) -> LinePlan:
        """Plan a line of ``tokens`` (1 to MAX_TOKENS ids) in ``style`` (256,)."""
        feeds = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style.reshape(1, 256).astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        aligned, f0, energy, frames = (np.asarray(output, np.float32) for output in _run(self._front, feeds))
        plan = LinePlan(aligned, f0.ravel(), energy.ravel(), frames.ravel(), speed)
        if not (np.isfinite(plan.f0).all() and np.isfinite(plan.energy).all()):
            raise SegmentError("synthesis_failed", "Kokoro made numbers that are not finite of this line.")
        return plan

    def render(self, plan: LinePlan, style: Floats) -> Floats:
        """Return the sound of a plan in the timbre of ``style`` (256,): float32 at RATE, FRAME samples a frame.

        Raises SegmentError where the output is silent or not finite, too.
        """
        acoustic = style[None, :_ACOUSTIC].astype(np.float32)
        inputs = (plan.aligned, plan.f0[None], plan.energy[None], acoustic)
        (output,) = _run(self._decoder, dict(zip(self._decoder_inputs, inputs, strict=True)))
        signal = np.asarray(output, np.float32).ravel()
        if not np.isfinite(signal).all():
            raise SegmentError("synthesis_failed", "Kokoro made numbers that are not finite of this line.")
        if not len(signal) or float(np.abs(signal).max()) < 1e-3:
            raise SegmentError("silent", "Kokoro made silence of this line.")
        return signal

    def speak(self, tokens: list[int], style: Floats, speed: float) -> Floats:
        """Plan and render a line."""
        return self.render(self.plan(tokens, style, speed), style)


def _run(session: Any, feeds: dict[str, Any]) -> list[Any]:
    try:
        return list(session.run(None, feeds))
    except Exception as error:  # onnxruntime's own errors share no other root
        raise SegmentError("synthesis_failed", f"Kokoro failed on this line: {error}") from error


def open_session(path: Path) -> Any:
    """Return an ONNX session of one thread. Raises EngineError."""
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
        raise EngineError("checkpoint_unusable", f"{path} cannot be used as a model: {error}") from error
