"""The embedded default engine: Kokoro-82M with a mixture of its voices, matched to each speaker.

This is voice *matching*: a fitting voice for each person, without the fidelity of a cloner that conditions on the
reference. ``EngineSpec`` of this engine:

checkpoint: folder with Kokoro's front and decoder (``model.FRONT_FILE``, ``model.DECODER_FILE``).
options: ``encoder`` = folder with CAM++ (``campplus_cn_en_common.pt``, ``camplusplus.py``), needed to encode
references; ``quality`` = folder with DNSMOS (``sig_bak_ovr.onnx``), by which a conversion that sounds bad is weakened;
``effort`` = fast, normal (default) or best: how many mixtures are tried for a speaker in each language; ``threads`` =
lines that are synthesized at a time (default: all cores).
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from voiceclone_worker.engines.base import Emit, Engine
    from voiceclone_worker.protocol import EngineSpec


def load(spec: EngineSpec, emit: Emit) -> Engine:
    """Return the engine, loaded. Raises EngineError."""
    from voiceclone_worker.engines.kokoro.engine import KokoroEngine

    return KokoroEngine(spec, emit)
