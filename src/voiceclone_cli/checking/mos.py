"""How good speech sounds, by a network that was trained on what people said: DNSMOS P.835.

Reddy, Gopal, Cutler, "DNSMOS P.835: A non-intrusive perceptual objective speech quality metric to evaluate
noise suppressors" (ICASSP 2022). Windows, hops and calibration are those published with the model
(DNSMOS/dnsmos_local.py in Microsoft's DNS-Challenge repository), so that the numbers are the published ones.
"""

from __future__ import annotations

import typing
from pathlib import Path

from voiceclone_cli.types import ANALYSIS_RATE

if typing.TYPE_CHECKING:
    from voiceclone_cli.types import Samples

MODEL = "dnsmos"
"""Its entry in the registry."""

_WINDOW_SECONDS = 9.01
_WINDOW = int(_WINDOW_SECONDS * ANALYSIS_RATE)
_HOP = ANALYSIS_RATE
_OVERALL = 2
"""Place of the overall score beside those of speech and background."""
_CALIBRATION = (-0.06766283, 1.11546468, 0.04602535)
"""The overall score's polynomial, highest power first."""


class QualityModel:
    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            folder / "sig_bak_ovr.onnx", options, providers=["CPUExecutionProvider"]
        )

    def score(self, samples: Samples) -> float | None:
        """The overall score of a signal at ANALYSIS_RATE, 1 to 5; None for an empty one.

        The mean over windows of 9.01 s, one a second. A shorter signal is doubled until it fills one.
        """
        import numpy as np

        if not len(samples):
            return None
        signal = samples
        while len(signal) < _WINDOW:
            signal = np.concatenate([signal, signal])
        hops = int(len(signal) // ANALYSIS_RATE - _WINDOW_SECONDS) + 1
        windows = [signal[hop * _HOP : hop * _HOP + _WINDOW] for hop in range(hops)]
        scores = [self._score_window(window) for window in windows if len(window) == _WINDOW]
        return float(np.mean(scores))

    def _score_window(self, window: Samples) -> float:
        import numpy as np

        (raw,) = self._session.run(None, {"input_1": window[None].astype(np.float32)})
        return float(np.polyval(_CALIBRATION, float(raw[0, _OVERALL])))
