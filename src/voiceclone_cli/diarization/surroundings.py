"""What must hold around pyannote.audio: no telemetry, no printing."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator

from voiceclone_cli.diarization.torchaudio_compat import ensure_torchaudio
from voiceclone_cli.machine.telemetry import refuse_telemetry


def prepare_import() -> None:
    """Make pyannote.audio importable and keep it from reporting its use. Call before importing it.

    Its telemetry is on unless a variable says otherwise, at the import and at every call.
    """
    refuse_telemetry()
    # OpenMP reads this once, when torch is loaded: threads that spin while they wait made
    # diarization eight times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    ensure_torchaudio()
    with warnings.catch_warnings():
        # torchcodec reads files; the pipeline is only ever given samples.
        warnings.filterwarnings("ignore", message=r"\s*torchcodec is not installed correctly")
        import pyannote.audio  # noqa: F401


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep pyannote.audio's remarks off stdout, and its warning about the number of speakers to itself.

    Both say that a wished number of speakers was not reached, which the caller checks and reports.
    """
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*The detected number of speakers")
        # The mean of no embeddings, where every bit of speech was too short for one.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"numpy\.")
        yield
