"""The embedded default: Kokoro-82M speaking with a mixture of its own voices, matched to each speaker.

This is voice *matching*: the right voice for the right person, not the fidelity of a cloner that
listens to the reference while it speaks. ``EngineSpec`` of this engine:

checkpoint: folder with ``kokoro-v1.0.int8.onnx``.
options: ``encoder`` = folder with CAM++ (``campplus_cn_en_common.pt``, ``camplusplus.py``), asked for
when references are encoded only; ``threads`` = how many lines are spoken at a time (default: all
cores); ``language`` = language of the references' texts (default: en).
"""

from __future__ import annotations

from voiceclone_worker.engines.base import Emit, Engine
from voiceclone_worker.protocol import EngineSpec


def load(spec: EngineSpec, emit: Emit) -> Engine:
    """The engine, ready to speak. Raises EngineError."""
    from voiceclone_worker.engines.kokoro.engine import KokoroEngine

    return KokoroEngine(spec, emit)
