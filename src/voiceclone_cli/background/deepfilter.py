"""DeepFilterNet3: what of a signal is speech.

H. Schröter, A. N. Escalante-B., T. Rosenkranz, A. Maier: "DeepFilterNet: Perceptually Motivated Real-Time
Speech Enhancement", Interspeech 2023. The network is run from the published ONNX files; what is around it
is written after the paper and the behaviour of the published library, to which the result is equal.
"""

from __future__ import annotations

import tarfile
import typing
from pathlib import Path

from voiceclone_cli.background.spectra import (
    BINS,
    FILTERED_BINS,
    analyse,
    band_edges,
    band_features,
    bin_features,
    synthesise,
)

if typing.TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

    from voiceclone_cli.background.spectra import Features, Spectra
    from voiceclone_cli.types import Samples

MODEL = "deepfilternet"
ARCHIVE = "DeepFilterNet3_onnx.tar.gz"

_LOOKAHEAD = 2
"""Frames. What the network says when it has heard a frame is about the one two before it."""
_ORDER = 5
"""Frames that a filter of the lowest bins spans: two before the filtered one, and two after it."""


class DeepFilter:
    """The network of one model folder. Not to be used by two threads at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._encoder, self._gains, self._filters = _networks(folder / ARCHIVE, threads)

    def speech(self, samples: Samples) -> Samples:
        """The speech in a mono signal at 48 kHz, in as many samples, each at its place."""
        import numpy as np

        heard = np.pad(samples, (0, _LOOKAHEAD * (BINS - 1)))
        spectra = analyse(heard)
        speech = self._enhanced(spectra)
        return synthesise(speech, len(samples))

    def _enhanced(self, spectra: Spectra) -> Spectra:
        """Shape (frames - lookahead, BINS): the last frames only served to look ahead."""
        import numpy as np

        gains, filters = self._asked(band_features(spectra), bin_features(spectra))
        frames = len(gains)
        edges = band_edges()
        speech: Spectra = spectra[:frames] * np.repeat(gains, np.diff(edges), axis=1)
        around = np.pad(spectra[:, :FILTERED_BINS], ((_ORDER - 1 - _LOOKAHEAD, 0), (0, 0)))
        filtered = np.zeros((frames, FILTERED_BINS), np.complex64)
        for tap in range(_ORDER):
            filtered += around[tap : tap + frames] * filters[:, :, tap]
        speech[:, :FILTERED_BINS] = filtered
        return speech

    def _asked(self, bands: Features, bins: Features) -> tuple[Features, NDArray[np.complex64]]:
        """A gain for each band, (frames, BANDS), and a filter for each of the lowest bins,
        (frames, FILTERED_BINS, taps)."""
        names = ("e0", "e1", "e2", "e3", "emb", "c0")
        inputs = {"feat_erb": bands[None, None], "feat_spec": bins[None]}
        heard = dict(zip(names, self._encoder.run(names, inputs), strict=True))
        (gains,) = self._gains.run(["m"], {name: heard[name] for name in ("emb", "e3", "e2", "e1", "e0")})
        (filters,) = self._filters.run(["coefs"], {name: heard[name] for name in ("emb", "c0")})
        # The last axis holds a real and an imaginary part for each tap.
        return gains[0, 0, _LOOKAHEAD:], filters[0, _LOOKAHEAD:].view("complex64")


def _networks(archive: Path, threads: int) -> tuple[InferenceSession, InferenceSession, InferenceSession]:
    """Encoder, gain decoder and filter decoder. The archive's bytes were verified when it was fetched."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def session(tar: tarfile.TarFile, name: str) -> InferenceSession:
        member = tar.extractfile(f"tmp/export/{name}.onnx")
        assert member is not None
        return onnxruntime.InferenceSession(member.read(), options, providers=["CPUExecutionProvider"])

    with tarfile.open(archive) as tar:
        return session(tar, "enc"), session(tar, "erb_dec"), session(tar, "df_dec")
