"""The embedded diarization model, which needs no model hub: a pipeline of pyannote with other parts.

Segmentation: Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization"
(Interspeech 2023). Speaker embeddings: Wang et al., "CAM++: a fast and efficient network for speaker verification
using context-aware masking" (Interspeech 2023).
"""

from __future__ import annotations

import functools
import runpy
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone_cli.analysis.clustering import Excerpts, SpeakerClustering, cut, window_starts
from voiceclone_cli.analysis.evidence import Floats, Labels
from voiceclone_cli.system import torch_threads
from voiceclone_cli.types import ANALYSIS_RATE

if typing.TYPE_CHECKING:
    import torch
    from pyannote.audio import Model, Pipeline
    from pyannote.audio.pipelines import SpeakerDiarization as _SpeakerDiarization
    from pyannote.core import SlidingWindowFeature
else:
    _SpeakerDiarization = object  # loaded, and made the second base, only where recordings are diarized

EMBEDDED_MODELS = ("segmentation-3.0", "campplus")
"""Registry entries of the embedded model."""

DIMENSION = 192
"""Of a CAM++ embedding."""

_MEL_BANDS = 80
_SHORTEST = 25
"""Frames of 10 ms. Less speech than this makes no embedding but NaN, which the clustering passes over."""
_ROUNDING = 100
"""Frames. Lengths are rounded up to whole seconds, so that many excerpts share one batch."""
_BATCH_FRAMES = 2000
"""Frames that CAM++ is given at once: more of them no longer fit into the caches of a CPU."""

_STEP = 0.1
"""Hop of the segmentation window, as a share of its 10 s."""
LONG_SECONDS = 30 * 60
"""Recordings that are longer have their windows at _LONG_STEP."""
_LONG_STEP = 0.25
_LONG_NOTE = (
    "the recording is longer than 30 minutes: who speaks is looked up in windows 2.5 s apart, not 1 s"
)
_BATCH = 4
"""Windows that are computed at once."""


def load_embedded(folders: Mapping[str, Path]) -> Pipeline:
    """Return the pipeline of the embedded model; ``folders`` holds those of EMBEDDED_MODELS."""
    from pyannote.audio import Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    segmentation = Model.from_pretrained(folders["segmentation-3.0"] / "pytorch_model.bin")
    pipeline_class: Any = type("EmbeddedPipeline", (EmbeddedDiarization, SpeakerDiarization), {})
    pipeline: Pipeline = pipeline_class(
        segmentation=typing.cast(Model, segmentation),
        segmentation_step=_STEP,
        embedding=embedding_model(folders["campplus"]),
        embedding_exclude_overlap=True,
        # Neither is used; they keep the defaults from being downloaded.
        plda=PLDA.__new__(PLDA),
        clustering="AgglomerativeClustering",
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
    for length, group in by_length.items():
        at_once = max(1, _BATCH_FRAMES // length)
        for first in range(0, len(group), at_once):
            rows, speeches = zip(*group[first : first + at_once], strict=True)
            embeddings[list(rows)] = network(torch.stack(speeches))
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


def embedding_model(folder: Path) -> Model:
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


Hook = Callable[..., None]


class EmbeddedDiarization(_SpeakerDiarization):
    """A ``SpeakerDiarization`` that uses all threads of torch, and memory for hours of sound.

    What pyannote computes window after window is computed here in as many windows at once as there are threads:
    operations on one window are too small to be shared by threads.
    """

    _excerpts: Excerpts

    def apply(self, file: Any, **options: Any) -> Any:  # type: ignore[override]
        """Return pyannote's DiarizeOutput, with ``margins`` of the excerpts and ``notes`` for the user.

        Margins are None with a single speaker: there is no other to compare with.
        """
        self._excerpts = Excerpts(np.zeros((0, 2), np.intp), np.zeros(0), np.zeros((0, DIMENSION)))
        output: Any = super().apply(file, **options)
        excerpts, frames = self._excerpts, self._segmentation.model.receptive_field
        long_note = _LONG_NOTE if _is_long(file["waveform"][0]) else None
        output.notes = tuple(note for note in (long_note, excerpts.doubt) if note)
        output.margins = None
        if excerpts.labels.max(initial=0) > 0:
            spans = frames.start + excerpts.spans * frames.step + 0.5 * frames.duration
            output.margins = [
                (float(start), float(end), float(margin))
                for (start, end), margin in zip(spans, excerpts.margins, strict=True)
            ]
        return output

    def get_segmentations(self, file: Mapping[str, Any], hook: Hook | None = None) -> SlidingWindowFeature:
        """Return (windows, frames, local speakers), 1 where that speaker speaks."""
        import torch
        from pyannote.core import SlidingWindow, SlidingWindowFeature

        samples: torch.Tensor = file["waveform"][0]
        duration = self._segmentation.duration
        step = (_LONG_STEP if _is_long(samples) else _STEP) * duration
        size, hop = round(duration * ANALYSIS_RATE), round(step * ANALYSIS_RATE)
        windows = 1 + max(0, -(-(len(samples) - size) // hop))

        def segment(first: int) -> Floats:
            starts = [window * hop for window in range(first, min(first + _BATCH, windows))]
            batch = torch.stack([_padded(samples[start : start + size], size)[None] for start in starts])
            return typing.cast(Floats, self._segmentation.infer(batch))

        batches = range(0, windows, _BATCH)
        progress = _Count(hook, "segmentation", len(batches))
        found = np.concatenate([progress.after(batch) for batch in _in_threads(segment, batches)])
        return SlidingWindowFeature(found, SlidingWindow(start=0.0, duration=duration, step=step))

    def get_embeddings(
        self,
        file: Mapping[str, Any],
        binary_segmentations: SlidingWindowFeature,
        exclude_overlap: bool = False,
        hook: Hook | None = None,
    ) -> Excerpts:
        """Return the excerpts of the recording in which one person speaks, with their embeddings."""
        import torch

        samples: torch.Tensor = file["waveform"][0]
        count = self.speaker_count(
            binary_segmentations, self._segmentation.model.receptive_field, warm_up=(0.0, 0.0)
        )
        spans = cut(binary_segmentations, count)
        frame = count.sliding_window
        bounds = np.rint((frame.start + spans * frame.step) * ANALYSIS_RATE).astype(int).clip(0)

        def embed_excerpt(index: int) -> Floats:
            start, end = bounds[index]
            if min(int(end), len(samples)) - start < _SHORTEST * ANALYSIS_RATE // 100:
                return np.full(DIMENSION, np.nan, dtype=np.float32)
            with torch.inference_mode():
                found = embed(self._embedding.model_.network, samples[None, None, start:end])
            row: Floats = found[0].numpy()
            return row

        embeddings = np.full((len(spans), DIMENSION), np.nan, dtype=np.float32)
        progress = _Count(hook, "embeddings", len(spans))
        for index, row in enumerate(_in_threads(embed_excerpt, range(len(spans)))):
            embeddings[index] = progress.after(row)
        # The clustering labels them, and ``reconstruct`` needs the labels.
        self._excerpts = Excerpts(spans, np.diff(spans)[:, 0] * frame.step, embeddings)
        return self._excerpts

    def reconstruct(
        self, segmentations: SlidingWindowFeature, hard_clusters: Labels, count: SlidingWindowFeature
    ) -> SlidingWindowFeature:
        """Return (frames, speakers), 1 where that speaker speaks: as many at once as were counted.

        In an excerpt it is the excerpt's speaker, elsewhere those whom most windows detect. pyannote's own has one copy
        of all windows for each speaker: 1 GB for 3 hours.
        """
        from pyannote.core import SlidingWindowFeature

        votes = _votes(segmentations, hard_clusters, count, self._excerpts)
        order = np.argsort(-votes, axis=1, kind="stable")
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(votes.shape[1])[None], axis=1)
        return SlidingWindowFeature((ranks < count.data).astype(np.float32), count.sliding_window)


def _votes(
    segmentations: SlidingWindowFeature,
    hard_clusters: Labels,
    count: SlidingWindowFeature,
    excerpts: Excerpts,
) -> Floats:
    """Return (frames, speakers): windows that detect a speaker in a frame; in an excerpt 1 of its speaker, 0 of others.

    There are at least as many speakers as were counted at once.
    """
    speakers = 1 + max(
        int(hard_clusters.max()), int(excerpts.labels.max(initial=0)), int(count.data.max()) - 1
    )
    votes = np.zeros((len(count.data), speakers), dtype=np.float32)
    frames = segmentations.data.shape[1]
    starts = window_starts(segmentations, count.sliding_window)
    for start, labels, speaks in zip(starts, hard_clusters, segmentations.data, strict=True):
        for label in np.unique(labels[labels >= 0]):
            active = speaks[:, labels == label].max(axis=1)
            votes[start : start + frames, label] += active[: len(votes) - start]
    for (first, last), label in zip(excerpts.spans, excerpts.labels, strict=True):
        votes[first:last] = 0
        votes[first:last, label] = 1
    return votes


def _is_long(samples: torch.Tensor) -> bool:
    return len(samples) > LONG_SECONDS * ANALYSIS_RATE


class _Count:
    """Reports each of ``total`` results to pyannote's hook."""

    def __init__(self, hook: Hook | None, step: str, total: int) -> None:
        self._hook = hook
        self._step = step
        self._total = total
        self._done = 0

    def after(self, result: Floats) -> Floats:
        """Count ``result``, and return it."""
        self._done += 1
        if self._hook is not None:
            self._hook(self._step, None, completed=self._done, total=self._total)
        return result


def _in_threads(compute: Callable[[int], Floats], items: Sequence[int]) -> Iterator[Floats]:
    """Yield the results in order; as many at once as torch has threads, each then with a single one."""
    import torch

    threads = torch.get_num_threads()
    single = functools.partial(torch.set_num_threads, 1)
    with torch_threads(threads), ThreadPoolExecutor(threads, initializer=single) as pool:
        yield from pool.map(compute, items)


def _padded(samples: torch.Tensor, size: int) -> torch.Tensor:
    import torch

    return torch.nn.functional.pad(samples, (0, size - len(samples)))
