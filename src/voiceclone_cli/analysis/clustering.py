"""Clustering of speaker embeddings: which excerpts of a recording are of one speaker.

Agglomerative clustering with centroid linkage of embeddings of unit length, cut at a distance.
"""

from __future__ import annotations

import typing
from typing import Any

import numpy as np

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyannote.core import SlidingWindow, SlidingWindowFeature

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Labels = np.ndarray[Any, np.dtype[np.intp]]

# Chosen on 14 recordings of 2 to 6 speakers; the threshold has a plateau from .62 to .72.
_THRESHOLD = 0.68
"""Euclidean distance of the centroids of two clusters, beyond which they are two speakers."""
_SMALLEST_CLUSTER = 4
"""Embeddings. A smaller cluster is no speaker: it joins the nearest that is one."""
_CLEAN_SHARE = 0.2
"""Share of a window that a speaker must speak alone there for the embedding to be clustered."""


class SpeakerClustering:
    """The clustering of a pyannote ``SpeakerDiarization``."""

    expects_num_clusters = False

    def __call__(
        self,
        embeddings: Floats,
        segmentations: SlidingWindowFeature,
        frames: SlidingWindow,
        num_clusters: int | None = None,
        min_clusters: float | None = None,
        max_clusters: float | None = None,
        **_: Any,
    ) -> tuple[Labels, Floats, Floats]:
        """Return the speaker of each embedding, its similarity to every speaker, and the speakers' centroids.

        embeddings: (windows, local speakers, dimension); a row of NaN where there was too little speech.
        segmentations: (windows, frames, local speakers), 1 where that speaker speaks; ``frames`` has the length
        of a frame. Any number of clusters may be infinite or None. Shapes of the result: (windows, local speakers), that and (speakers,),
        (speakers, dimension).
        """
        clean = clean_rows(embeddings, segmentations.data)
        least, most = bounds(int(clean.sum()), num_clusters, min_clusters, max_clusters)
        if most < 2:
            labels = np.zeros(int(clean.sum()), dtype=np.intp)
        else:
            labels = cluster(embeddings[clean], least, most)
        speakers = centroids(embeddings[clean], labels)
        similarity = 2.0 - cosine_distances(embeddings, speakers)
        if most < 2:
            return np.zeros(clean.shape, dtype=np.intp), similarity, speakers
        # Those that were clustered as well: the nearest centroid is right more often than the tree.
        labels = np.argmax(similarity, axis=2)
        known = np.asarray(~np.isnan(embeddings).any(axis=2))
        fill_gaps(labels, known, segmentations, frames)
        return labels, similarity, speakers


def clean_rows(embeddings: Floats, segmentations: Floats) -> NDArray[np.bool_]:
    """Return a mask (windows, local speakers) of embeddings of enough speech without another's."""
    alone = segmentations * (np.sum(segmentations, axis=2, keepdims=True) == 1)
    enough = np.sum(alone, axis=1) >= _CLEAN_SHARE * segmentations.shape[1]
    clean: NDArray[np.bool_] = enough & ~np.isnan(embeddings).any(axis=2)
    return clean


def fill_gaps(
    labels: Labels, known: NDArray[np.bool_], segmentations: SlidingWindowFeature, frames: SlidingWindow
) -> None:
    """Set the labels that are not ``known`` by those of other windows that hear the same speech.

    Where no window knows whose it is, the speaker stays who speaks nearest to it.
    """
    speaks: Floats = segmentations.data
    size = speaks.shape[1]
    starts = window_starts(segmentations, frames)
    votes = np.zeros((int(starts[-1]) + size, int(labels.max()) + 1), dtype=np.float32)
    for window, local in np.argwhere(known):
        votes[starts[window] : starts[window] + size, labels[window, local]] += speaks[window, :, local]
    decided = np.flatnonzero(votes.any(axis=1))
    if not len(decided):
        return
    for window, local in np.argwhere(~known & speaks.any(axis=1)):
        speech = np.flatnonzero(speaks[window, :, local]) + starts[window]
        total = votes[speech].sum(axis=0)
        if not total.any():
            total = votes[decided[np.argmin(np.abs(decided - speech.mean()))]]
        labels[window, local] = np.argmax(total)


def window_starts(segmentations: SlidingWindowFeature, frames: SlidingWindow) -> Labels:
    """Return the frame at which each window starts."""
    hop = segmentations.sliding_window.step / frames.step
    starts: Labels = np.rint(np.arange(len(segmentations.data)) * hop).astype(np.intp)
    return starts


def bounds(rows: int, exactly: float | None, least: float | None, most: float | None) -> tuple[int, int]:
    """Return the least and the greatest number of clusters, which ``rows`` embeddings can make."""
    lower = max(1, min(rows, exactly or least or 1))
    upper = max(1, min(rows, exactly or most or rows))
    return int(lower), int(upper)


def cluster(embeddings: Floats, least: int, most: int) -> Labels:
    """Return the cluster of each embedding, from 0; between ``least`` and ``most`` of them, where that can be."""
    from scipy.cluster.hierarchy import fcluster, linkage

    rows = len(embeddings)
    if rows < 2:
        return np.zeros(rows, dtype=np.intp)
    unit = _unit(embeddings)
    tree = linkage(unit, method="centroid", metric="euclidean")
    smallest = min(_SMALLEST_CLUSTER, max(1, round(0.1 * rows)))
    labels = fcluster(tree, _THRESHOLD, criterion="distance")
    found = int(np.sum(np.unique(labels, return_counts=True)[1] >= smallest))
    if not least <= found <= most:
        wanted = least if found < least else most
        merges = _merges_for(tree, wanted, smallest)
        # Heights of centroid linkage may decrease; the order of the merges never does.
        order = np.column_stack((tree[:, :2], np.arange(rows - 1), tree[:, 3]))
        labels = fcluster(order, merges - 1, criterion="distance")
    return _without_small(unit, labels, smallest)


def _merges_for(tree: Floats, wanted: int, smallest: int) -> int:
    """Return how many merges leave ``wanted`` large clusters, or nearly: the number nearest to the threshold."""
    rows = len(tree) + 1
    sizes = np.concatenate((np.ones(rows), tree[:, 3]))
    large = sizes >= smallest
    children = tree[:, :2].astype(int)
    change = large[rows:].astype(int) - large[children].sum(axis=1)
    count = large[:rows].sum() + np.cumsum(change)
    off = np.abs(count - wanted)
    far = np.abs(tree[:, 2] - _THRESHOLD)
    # Merges of small clusters change nothing that counts.
    candidates = np.flatnonzero(tree[:, 3] >= smallest)
    return int(candidates[np.lexsort((far[candidates], off[candidates]))[0]]) + 1


def _without_small(unit: Floats, labels: Labels, smallest: int) -> Labels:
    """Return labels from 0, those of small clusters replaced by that of the nearest large one."""
    names, sizes = np.unique(labels, return_counts=True)
    large = names[sizes >= smallest]
    if not len(large):
        return np.zeros(len(labels), dtype=np.intp)
    centers = np.stack([unit[labels == name].mean(axis=0) for name in names])
    nearest = large[np.argmin(cosine_distances(centers, centers[sizes >= smallest]), axis=1)]
    nearest[sizes >= smallest] = large
    merged = nearest[np.searchsorted(names, labels)]
    return np.unique(merged, return_inverse=True)[1].reshape(-1)


def centroids(embeddings: Floats, labels: Labels) -> Floats:
    """Return the mean of the embeddings of each label: (labels, dimension)."""
    if not len(labels):
        return np.full((1, embeddings.shape[1]), np.nan)
    return np.stack([embeddings[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])


def cosine_distances(embeddings: Floats, speakers: Floats) -> Floats:
    """Return the distances, 0 to 2, of embeddings (..., dimension) to centroids: (..., centroids)."""
    distances: Floats = 1.0 - _unit(embeddings) @ _unit(speakers).T
    return distances


def _unit(vectors: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        unit: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
