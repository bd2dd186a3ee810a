"""DNSMOS P.835, a network trained on people's ratings of speech quality: its file, its window and its overall score.

Reddy, Gopal and Cutler, "DNSMOS P.835: A non-intrusive perceptual objective speech quality metric to evaluate noise
suppressors" (ICASSP 2022). Window and calibration are those published with the model (DNSMOS/dnsmos_local.py in
Microsoft's DNS-Challenge repository), so that scores are comparable.

Standard library only: both environments import it, for the fitting of voices and for `check`.
"""

from __future__ import annotations

from typing import Any

FILE = "sig_bak_ovr.onnx"
RATE = 16_000
WINDOW = 144_160
"""Samples, 9.01 s."""
_OVERALL = 2
"""Index of the overall score, after those of speech and background."""
_CALIBRATION = (-0.06766283, 1.11546468, 0.04602535)
"""The overall score's polynomial, highest power first."""


def overall_score(session: Any, window: Any) -> float:
    """Return the overall score, 1 (bad) to 5 (excellent), of a float32 array of WINDOW samples at RATE.

    ``session``: an onnxruntime.InferenceSession of FILE.
    """
    (raw,) = session.run(None, {"input_1": window[None]})
    found, score = float(raw[0, _OVERALL]), 0.0
    for coefficient in _CALIBRATION:
        score = score * found + coefficient
    return score
