"""The embedded diarization model, which needs no model hub: a pipeline of pyannote with other parts.

Segmentation: Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization"
(Interspeech 2023). Speaker embeddings: Wang et al., "CAM++: a fast and efficient network for speaker verification
using context-aware masking" (Interspeech 2023).
"""

from __future__ import annotations

import runpy
import typing
from collections.abc import Mapping
from pathlib import Path

from voiceclone_cli.analysis.clustering import SpeakerClustering
from voiceclone_cli.types import ANALYSIS_RATE

if typing.TYPE_CHECKING:
    import torch
    from pyannote.audio import Model, Pipeline

EMBEDDED_MODELS = ("segmentation-3.0", "campplus")
"""Registry entries of the embedded model."""

DIMENSION = 192
"""Of a CAM++ embedding."""

_MEL_BANDS = 80
_SHORTEST = 25
"""Frames of 10 ms. Less speech than this makes no embedding but NaN, which the clustering passes over."""
_ROUNDING = 100
"""Frames. Lengths are rounded up to whole seconds, so that many excerpts share one batch."""

_STEP = 0.1
"""Hop of the segmentation window, as a share of its 10 s."""
_BATCH = 32


def load_embedded(folders: Mapping[str, Path]) -> Pipeline:
    """Return the pipeline of the embedded model; ``folders`` holds those of EMBEDDED_MODELS."""
    from pyannote.audio import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    segmentation = Model.from_pretrained(folders["segmentation-3.0"] / "pytorch_model.bin")
    pipeline = SpeakerDiarization(
        segmentation=typing.cast(Model, segmentation),
        segmentation_step=_STEP,
        embedding=_embedding_model(folders["campplus"]),
        embedding_exclude_overlap=True,
        # Neither is used; they keep the defaults from being downloaded.
        plda=PLDA.__new__(PLDA),
        clustering="AgglomerativeClustering",
        segmentation_batch_size=_BATCH,
        embedding_batch_size=_BATCH,
    )
    del pipeline.clustering
    pipeline.clustering = SpeakerClustering()
    pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}})
    return pipeline


def load_network(folder: Path) -> torch.nn.Module:
    """Return CAM++, which maps (batch, frames, 80) features to (batch, 192) embeddings."""
    import torch

    definition = runpy.run_path(str(folder / "camplusplus.py"))
    network: torch.nn.Module = definition["CAMPPlus"](feat_dim=_MEL_BANDS, embedding_size=DIMENSION)
    weights = torch.load(folder / "campplus_cn_en_common.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(weights, strict=True)
    return network.eval()


def embed(
    network: torch.nn.Module, waveforms: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return speaker embeddings, (batch, 192); a row of NaN where there is too little speech.

    waveforms: (batch, 1, samples) at ANALYSIS_RATE. weights: (batch, frames), above 0 where the
    speaker of that row speaks; None means everywhere.
    """
    import torch

    embeddings = torch.full((len(waveforms), DIMENSION), float("nan"), device=waveforms.device)
    by_length: dict[int, list[tuple[int, torch.Tensor]]] = {}
    features = torch.empty(0)
    for row, waveform in enumerate(waveforms):
        # One excerpt comes once for each of its speakers, one after the other.
        if row == 0 or not torch.equal(waveform, waveforms[row - 1]):
            features = _filter_bank(waveform)
        speech = features if weights is None else features[_speaking(weights[row], len(features))]
        if len(speech) < _SHORTEST:
            continue
        length = -(-len(speech) // _ROUNDING) * _ROUNDING
        by_length.setdefault(length, []).append((row, _repeat_to(length, speech - speech.mean(0))))
    for group in by_length.values():
        rows = [row for row, _ in group]
        embeddings[rows] = network(torch.stack([speech for _, speech in group]))
    return embeddings


def _filter_bank(waveform: torch.Tensor) -> torch.Tensor:
    """Return log mel energies in frames of 10 ms: (frames, 80)."""
    import torchaudio.compliance.kaldi as kaldi

    features: torch.Tensor = kaldi.fbank(
        waveform, num_mel_bins=_MEL_BANDS, dither=0.0, sample_frequency=ANALYSIS_RATE
    )
    return features


def _speaking(weights: torch.Tensor, frames: int) -> torch.Tensor:
    """Return the weights of one row as a mask of ``frames`` frames."""
    import torch

    stretched = torch.nn.functional.interpolate(weights[None, None].float(), size=frames, mode="nearest")
    return stretched[0, 0] > 0.5


def _repeat_to(length: int, frames: torch.Tensor) -> torch.Tensor:
    times = -(-length // len(frames))
    return frames.repeat(times, 1)[:length]


def _embedding_model(folder: Path) -> Model:
    """Return CAM++ as a model of pyannote.audio."""
    from pyannote.audio import Model

    class CamPlusPlus(Model):
        def __init__(self) -> None:
            super().__init__(sample_rate=ANALYSIS_RATE, num_channels=1)
            self.network = load_network(folder)

        @property
        def dimension(self) -> int:
            return DIMENSION

        def forward(  # type: ignore[override]
            self, waveforms: torch.Tensor, weights: torch.Tensor | None = None
        ) -> torch.Tensor:
            return embed(self.network, waveforms, weights)

    return CamPlusPlus()
