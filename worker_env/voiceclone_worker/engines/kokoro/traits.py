"""What a voice sounds like, as numbers: its CAM++ embedding and its median F0."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.kokoro.model import Floats
from voiceclone_worker.engines.kokoro.signals import trim

RATE = 16_000
"""Hz, of everything that is measured here."""
WEIGHTS_FILE = "campplus_cn_en_common.pt"
NETWORK_FILE = "camplusplus.py"


class SpeakerEncoder:
    """CAM++ (Wang et al., 2023; 3D-Speaker, Apache-2.0). The same bytes in, the same embedding out."""

    def __init__(self, folder: Path) -> None:
        try:
            import torch
        except ImportError as error:
            raise EngineError("package_missing", f"fitting voices needs torch ({error}).") from error
        for name in (WEIGHTS_FILE, NETWORK_FILE):
            if not (folder / name).is_file():
                raise EngineError(
                    "encoder_missing", f"{name} is not in {folder}: run `voiceclone models pull campplus`."
                )
        torch.set_num_threads(1)  # more threads move an embedding's last bits, and with them a fit
        self._network = _camplus(folder)

    def embed(self, signal: Floats) -> Floats:
        """(192,) unit embedding of a signal at 16 kHz, without its silent ends."""
        import torch

        features = log_mel(trim(signal, RATE))
        with torch.inference_mode():
            embedding = self._network(torch.from_numpy(features - features.mean(0))[None])[0].numpy()
        return np.asarray(embedding / np.linalg.norm(embedding), np.float32)


def log_mel(signal: Floats) -> Floats:
    """(frames, 80) log mel energies of a signal at 16 kHz, as Kaldi computes them (25 ms, 10 ms apart)."""
    import kaldi_native_fbank as kaldi

    options = kaldi.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    bank = kaldi.OnlineFbank(options)
    bank.accept_waveform(RATE, np.ascontiguousarray(signal, np.float32))
    bank.input_finished()
    frames = [bank.get_frame(index) for index in range(bank.num_frames_ready)]
    return np.array(frames, np.float32).reshape(-1, 80)


def median_f0(signal: Floats) -> float | None:
    """Median F0 in Hz of a signal at 16 kHz; None where hardly anything is voiced.

    DIO refined by StoneMask (Morise, 2009 and 2016); a second median leaves out octave errors.
    """
    import pyworld

    samples = np.ascontiguousarray(signal, np.float64)
    rough, times = pyworld.dio(samples, RATE, f0_floor=60, f0_ceil=500, frame_period=10)
    f0 = pyworld.stonemask(samples, rough, times, RATE)
    octaves = np.log2(f0[f0 > 0])
    if len(octaves) < 5:
        return None
    near = octaves[np.abs(octaves - np.median(octaves)) < 0.8]
    return float(2 ** np.median(near))


def semitones(hertz: float) -> float:
    return 12 * math.log2(hertz)


def _camplus(folder: Path) -> Any:
    import torch

    spec = importlib.util.spec_from_file_location("voiceclone_camplusplus", folder / NETWORK_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.CAMPPlus(feat_dim=80, embedding_size=192)
    try:
        weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        network.load_state_dict(weights, strict=True)
    except Exception as error:  # torch.load raises whatever the unpickler meets
        raise EngineError("encoder_unusable", f"{folder / WEIGHTS_FILE} is not CAM++: {error}") from error
    return network.eval()
