"""The production engine: fish-speech's models, with a batched decoding loop.

``EngineSpec`` of this engine:

checkpoint: folder in the layout of openaudio-s1-mini or of s2-pro (``generations``).
device: auto, cpu, cuda, cuda:1, mps. precision: auto, float32, bf16, fp16, int8 (see ``checkpoint.choose_device``).
batch_size: lines that are decoded at a time.
options: ``source`` = a checkout of fish-speech to use instead of the installed one; ``compile`` = have torch compile
the transformers first; ``threads`` = processor threads; ``temperature``, ``top_p``, ``repetition_penalty``,
``max_new_tokens`` as upstream's; ``tags`` = what becomes of tags in square brackets, which S2 takes for stage
directions: ``drop`` takes them out of a line, ``keep`` leaves them there.
"""

from __future__ import annotations

from voiceclone_worker.engines.base import Emit, Engine
from voiceclone_worker.protocol import EngineSpec


def load(spec: EngineSpec, emit: Emit) -> Engine:
    """Return the engine, loaded. Raises EngineError."""
    from voiceclone_worker.engines.fish.engine import FishEngine

    return FishEngine(spec, emit)
