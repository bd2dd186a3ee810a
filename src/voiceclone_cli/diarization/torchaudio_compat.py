"""Let a CUDA-linked torchaudio be imported beside a CPU-only torch."""

from __future__ import annotations

import sys
import types


def ensure_torchaudio() -> None:
    """Import torchaudio; where its binary half wants CUDA libraries that are not there, do without it.

    PyPI's torchaudio is linked to CUDA, so beside a CPU torch its import dies with OSError
    (``libc10_cuda.so``). What diarization needs of it, filter banks and resampling, is plain
    Python on torch: in that one case an empty stand-in takes the place of ``torchaudio._extension``.
    """
    if "torchaudio" in sys.modules:
        return
    try:
        import torchaudio
    except OSError:
        _forget_half_imported()
        sys.modules["torchaudio._extension"] = _extension_without_binary()
        import torchaudio  # noqa: F401


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]


def _extension_without_binary() -> types.ModuleType:
    """What ``torchaudio._extension`` itself says where torchaudio was built without a binary half."""
    extension = types.ModuleType("torchaudio._extension")
    extension.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        fail_if_no_align=lambda function: function,
    )
    return extension
