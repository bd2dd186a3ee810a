"""fish-speech's own code, made importable.

Its model code imports four modules that inference never uses (transformers, librosa, torchaudio,
tensorboard). Where they are not installed an empty stand-in takes their place, so that the fish
environment stays small; where they are, they are left alone.
"""

from __future__ import annotations

import importlib
import logging
import sys
import types
from pathlib import Path
from typing import Any

from voiceclone_worker.engines.base import EngineError

_UNUSED = {
    "transformers": ("AutoTokenizer",),
    "librosa": (),
    "torchaudio": (),
    "torchaudio.functional": (),
    "torch.utils.tensorboard": ("SummaryWriter",),
}
"""Modules that upstream imports in vain, and the names it takes from them."""


def open_upstream(source: str = "") -> None:
    """Make ``fish_speech`` and what it is built on importable in this process.

    ``source`` is a checkout of fish-speech that goes before an installed one. Upstream's logging is
    cut to errors: it writes some 9 KB for every segment.

    Raises EngineError: ``fish_missing``, ``fish_generation`` (a checkout of the S2 generation, whose
    model this engine does not speak).
    """
    if source:
        _put_first(Path(source))
    try:
        importlib.import_module("torch.utils")
        for name, taken in _UNUSED.items():
            _stand_in(name, taken)
        importlib.import_module("fish_speech.models.text2semantic.llama")
        dac = importlib.import_module("fish_speech.models.dac.modded_dac")
    except ImportError as error:
        raise EngineError(
            "fish_missing",
            f"fish-speech cannot be imported in {sys.executable}: {error}; make its environment with "
            "`voiceclone env create`, or name an interpreter that has it in FISH_SPEECH_PYTHON",
        ) from error
    if hasattr(dac.DAC, "from_indices"):
        raise EngineError(
            "fish_generation",
            f"the fish-speech in {source or 'this interpreter'} is of the S2 generation, whose models are "
            "others; use fish-speech 0.1.0 (leave FISH_SPEECH_DIR unset, or check out commit 80db25e)",
        )
    _quieten()


def _put_first(source: Path) -> None:
    if not (source / "fish_speech").is_dir():
        raise EngineError(
            "fish_missing",
            f"FISH_SPEECH_DIR ({source}) is no checkout of fish-speech: it has no fish_speech/",
        )
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))


def _stand_in(name: str, taken: tuple[str, ...]) -> None:
    if name in sys.modules:
        return
    try:
        importlib.import_module(name)
        return
    except Exception as error:
        # Broken counts as missing: torchaudio and tensorboard raise all kinds of errors when they do
        # not fit the torch or protobuf beside them.
        logging.getLogger(__name__).debug("%s stands empty: %s", name, error)
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[loaded]
    module = types.ModuleType(name)
    module.__path__ = []
    for attribute in taken:
        setattr(module, attribute, type(attribute, (), {"__init__": _refuse}))
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def _refuse(self: object, *arguments: Any, **named: Any) -> None:
    raise ImportError(f"{type(self).__name__} is not installed in the fish environment")


def _quieten() -> None:
    loguru = importlib.import_module("loguru")
    loguru.logger.remove()
    loguru.logger.add(sys.stderr, level="ERROR")
