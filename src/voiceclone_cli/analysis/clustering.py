"""Clustering of speech: which excerpts of a recording are of one speaker, and how many speakers there are.

The recording is cut into excerpts with one speaker each: cuts are at silence, where the segmentation detects another
speaker, and after 2.5 s. An excerpt has one embedding, of that sound alone, so no sound is counted twice. Clustering is
spectral: each excerpt is linked to its nearest neighbours, so what counts is which excerpts are nearer than others, not
how near they are; a telephone, a room or a synthetic voice moves all similarities together. The number of speakers is
the one with the highest similarity of excerpts to their speaker's centroid, at a cost for each speaker, plus a gain for
the gap between eigenvalues. After Park et al., "Auto-tuning spectral clustering for speaker diarization using
normalized maximum eigengap" (IEEE Signal Processing Letters 27, 2020). Then excerpts are assigned to the nearest
centroid until none changes.

The constants were chosen on the first half of the development set of benchmarks/diarization.py.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from voiceclone_cli.analysis.evidence import Floats, Labels, Speakers, contradiction

if typing.TYPE_CHECKING:
    from pyannote.core import SlidingWindow, SlidingWindowFeature

MAX_SPEAKERS = 20
"""The most that are found; more may be requested."""

_LONGEST = 2.5
"""Seconds of an excerpt."""
_SHORTEST = 0.35
"""Seconds between two cuts."""
_CHANGE_VOTES = 0.25
"""Share of the windows that must detect a change of speakers for a cut."""
_CLUSTERED = 0.8
"""Seconds. Shorter excerpts are given to a speaker, but have no say in who the speakers are."""
_NEIGHBOURS = (4, 5, 6)
"""Links of each excerpt. Three graphs are averaged: none of the numbers is right for all recordings."""
_FEW_ROWS = 150
"""Of a graph. With more there are more links in proportion: else what is said twice is linked to itself alone."""
_WEAK_LINKS = 0.002
"""Weight of a link between excerpts that are no neighbours, times their cosine."""
_SAME_WINDOW = 0.05
"""Cosine that it is worth if the segmentation detects two excerpts as one speaker, or as two."""
_TRUSTED_WINDOWS = 3.0
_SPEAKER_COST = 0.01
"""Mean cosine that a further speaker must gain. In short recordings, in which centroids fit by chance, it is more."""
_SPEAKER_SECONDS = 0.85
"""The gain times the seconds of speech."""
_SPEAKER_ROOT = 0.13
"""The gain times the root of the seconds of speech."""
_GAP_GAIN = 0.1
"""Mean cosine that the whole range of the eigenvalues is worth, as the gap after the last speaker."""
_MOST_ROWS = 1200
"""Of a graph, and so of a block. More excerpts are clustered in blocks first."""
_LEAST_ROWS = 12
"""That a cluster of a block gives to the graph of all blocks."""
_ROUNDS = 5


@dataclass
class Excerpts:
    """What is clustered: stretches of speech of one speaker, in order of time.

    ``spans`` (excerpts, 2) are frames of the count of speakers, ``seconds`` (excerpts,). ``embeddings``
    (excerpts, dimension) has a row of NaN for an excerpt that is too short for one. ``labels`` and ``margins``
    (excerpts,) are set by the clustering: the speaker of each, and by how much its cosine exceeds that of the next speaker.
    """

    spans: Labels
    seconds: Floats
    embeddings: Floats
    labels: Labels = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    margins: Floats = field(default_factory=lambda: np.zeros(0))
    doubt: str | None = None
    """A sentence where the voices contradict the requested number of speakers; set by the clustering."""


class SpeakerClustering:
    """The clustering of a pyannote ``SpeakerDiarization`` whose embeddings are Excerpts."""

    expects_num_clusters = False

    def __call__(
        self,
        embeddings: Excerpts,
        segmentations: SlidingWindowFeature,
        frames: SlidingWindow,
        num_clusters: int | None = None,
        min_clusters: float | None = None,
        max_clusters: float | None = None,
        **_: Any,
    ) -> tuple[Labels, None, Floats]:
        """Return the speaker of each local speaker of each window, None, and the speakers' mean embeddings.

        The excerpts' own labels are set. segmentations: (windows, frames, local speakers), 1 where that speaker
        speaks; ``frames`` has the length of a frame. Any number of clusters may be infinite or None. Shapes of
        the result: (windows, local speakers) and (speakers, dimension).
        """
        excerpts = embeddings
        shares = window_shares(excerpts.spans, segmentations, frames)
        usable = int(np.sum(~np.isnan(excerpts.embeddings).any(axis=1)))
        least, most = bounds(usable, num_clusters, min_clusters, max_clusters)
        links = same_speaker(shares, len(excerpts.spans))
        given = excerpts.embeddings, excerpts.seconds, links
        excerpts.labels, centroids, excerpts.margins = cluster(*given, least, most)
        if least > 1 or most < usable:
            free = Speakers(*cluster(*given)[:2])
            excerpts.doubt = contradiction(Speakers(excerpts.labels, centroids), free, excerpts.seconds)
        return local_speakers(excerpts, shares, segmentations), None, centroids


def bounds(rows: int, exactly: float | None, least: float | None, most: float | None) -> tuple[int, int]:
    """Return the least and the greatest number of clusters, which ``rows`` embeddings can make."""
    lower = max(1, min(rows, exactly or least or 1))
    upper = max(1, min(rows, exactly or most or rows))
    return int(lower), int(upper)


def cut(segmentations: SlidingWindowFeature, count: SlidingWindowFeature) -> Labels:
    """Return the spans (excerpts, 2), in frames of ``count``, in which one person speaks.

    segmentations: (windows, frames, local speakers); count: (frames, 1), the number of people who speak.
    """
    frame = count.sliding_window.step
    longest, shortest = _LONGEST / frame, round(_SHORTEST / frame)
    changes = _change_votes(segmentations, count)
    single = np.concatenate(([0], (count.data[:, 0] == 1).astype(int), [0]))
    edges = np.flatnonzero(np.diff(single))
    spans = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        cuts = [int(start), *_cuts(changes, int(start), int(end), shortest), int(end)]
        for left, right in pairwise(cuts):
            parts = int(np.ceil((right - left) / longest))
            ends = np.linspace(left, right, parts + 1).astype(int)
            spans += list(pairwise(ends))
    return np.array(spans, dtype=np.intp).reshape(-1, 2)


def _change_votes(segmentations: SlidingWindowFeature, count: SlidingWindowFeature) -> Floats:
    """Return for each frame the share of its windows that detect other speakers from about there on."""
    size = segmentations.data.shape[1]
    starts = window_starts(segmentations, count.sliding_window)
    detected, windows = np.zeros(starts[-1] + size), np.zeros(starts[-1] + size)
    for start, speaks in zip(starts, segmentations.data, strict=True):
        detected[start + 1 : start + size] += np.any(np.diff(speaks, axis=0) != 0, axis=1)
        windows[start : start + size] += 1
    # Windows do not agree to the frame; of several frames with the same votes, the middle one is highest.
    around = np.convolve(detected, [0.97, 0.98, 0.99, 1.0, 0.99, 0.98, 0.97], "same")
    votes: Floats = np.zeros(len(count.data))
    known = min(len(votes), len(around))
    votes[:known] = (around / windows)[:known]
    return votes


def _cuts(changes: Floats, start: int, end: int, shortest: int) -> list[int]:
    """Return the frames at which a span is cut, in order; the changes that most windows detect come first."""
    inner = np.arange(start + 1, end - 1)
    near = [changes[max(start, frame - 8) : frame + 9].max() for frame in inner]
    peaks = inner[(changes[inner] >= _CHANGE_VOTES) & (changes[inner] == near)]
    chosen = [start, end]
    for frame in peaks[np.argsort(-changes[peaks], kind="stable")]:
        if min(abs(frame - other) for other in chosen) >= shortest:
            chosen.append(int(frame))
    return sorted(chosen[2:])


def window_starts(segmentations: SlidingWindowFeature, frames: SlidingWindow) -> Labels:
    """Return the frame at which each window starts."""
    hop = segmentations.sliding_window.step / frames.step
    starts: Labels = np.rint(np.arange(len(segmentations.data)) * hop).astype(np.intp)
    return starts


Share = tuple[int, int, Floats]
"""A window, an excerpt, and the share of the excerpt in which each local speaker of the window speaks."""


def window_shares(spans: Labels, segmentations: SlidingWindowFeature, frames: SlidingWindow) -> list[Share]:
    """Return the shares of all excerpts in all windows that detect some of them, window after window."""
    size = segmentations.data.shape[1]
    shares: list[Share] = []
    for window, start in enumerate(window_starts(segmentations, frames)):
        first = int(np.searchsorted(spans[:, 1], start, side="right"))
        last = int(np.searchsorted(spans[:, 0], start + size))
        for excerpt in range(first, last):
            left, right = spans[excerpt]
            speaks = segmentations.data[window, max(left - start, 0) : right - start].sum(axis=0)
            shares.append((window, excerpt, speaks / (right - left)))
    return shares


def same_speaker(shares: Sequence[Share], excerpts: int) -> Any:
    """Return a sparse matrix (excerpts, excerpts): 1 where windows detect two excerpts as one speaker, -1 as two."""
    from scipy.sparse import csr_matrix

    rows, columns, same, both = [], [], [], []
    by_window: dict[int, list[tuple[int, Floats]]] = {}
    for window, excerpt, speaks in shares:
        by_window.setdefault(window, []).append((excerpt, speaks))
    for detected in by_window.values():
        names = [excerpt for excerpt, _ in detected]
        activity = np.stack([speaks for _, speaks in detected])
        rows += np.repeat(names, len(names)).tolist()
        columns += names * len(names)
        same += (activity @ activity.T).ravel().tolist()
        both += np.outer(activity.sum(axis=1), activity.sum(axis=1)).ravel().tolist()
    shape = (excerpts, excerpts)
    agree, seen = csr_matrix((same, (rows, columns)), shape), csr_matrix((both, (rows, columns)), shape)
    seen.data = np.maximum(seen.data, 1e-9)
    ratio = agree.multiply(seen.power(-1))
    trust = seen.minimum(_TRUSTED_WINDOWS) / _TRUSTED_WINDOWS
    return (ratio * 2 - (seen > 0).astype(float)).multiply(trust).tocsr()


def cluster(
    embeddings: Floats, seconds: Floats, links: Any, least: int = 1, most: int = MAX_SPEAKERS
) -> tuple[Labels, Floats, Floats]:
    """Return the speaker of each excerpt, from 0, the speakers' mean embeddings, and the margins of the excerpts.

    embeddings: (excerpts, dimension); a row of NaN goes to the speaker of the excerpt before it. ``links``: a sparse
    matrix (excerpts, excerpts), from -1 for two speakers to 1 for one. There are ``least`` to ``most`` speakers if the
    embeddings can be told apart. A margin is 1 where there is one speaker, and 0 for a row of NaN.
    """
    excerpts, dimension = embeddings.shape
    known = np.flatnonzero(~np.isnan(embeddings).any(axis=1))
    if not len(known):
        return np.zeros(excerpts, dtype=np.intp), np.full((1, dimension), np.nan), np.zeros(excerpts)
    unit = _unit(embeddings[known])
    weights = seconds[known]
    rows = np.flatnonzero(weights >= _CLUSTERED)
    if len(rows) < max(least, 2):
        rows = np.arange(len(known))
    if len(rows) > _MOST_ROWS:
        rows = _from_blocks(unit, weights, links[known][:, known], rows)
    near = links[known[rows]][:, known[rows]].toarray()
    seeds = _spectral(unit[rows], weights[rows], near, least, most)
    centroids = _centroids(unit[rows], weights[rows], seeds)
    labels = np.argmax(unit @ centroids.T, axis=1)
    for _ in range(_ROUNDS):
        centroids = _centroids(unit, weights, labels, centroids)
        labels = np.argmax(unit @ centroids.T, axis=1)
    if len(np.unique(labels)) < min(least, len(known)):
        labels = _partition(unit, weights, min(least, len(known)))
        centroids = _centroids(unit, weights, labels, np.zeros((int(labels.max()) + 1, dimension)))
    used, labels = np.unique(labels, return_inverse=True)
    centroids = centroids[used]
    similarity = np.sort(unit @ centroids.T, axis=1)
    # An excerpt without embedding is of the speaker who spoke last.
    last: Labels = np.maximum(np.searchsorted(known, np.arange(excerpts), side="right") - 1, 0)
    margins = np.zeros(excerpts)
    margins[known] = similarity[:, -1] - similarity[:, -2] if len(centroids) > 1 else 1.0
    return labels.reshape(-1)[last].astype(np.intp), centroids, margins


def _from_blocks(unit: Floats, weights: Floats, links: Any, rows: Labels) -> Labels:
    """Return about _MOST_ROWS of the rows, which stand for all of them.

    A block of rows, one after the other, is clustered by itself; every cluster gives its share of rows, and at least
    _LEAST_ROWS: a person who speaks in one block only is not lost among the others.
    """
    chosen = []
    for block in np.array_split(rows, -(-len(rows) // _MOST_ROWS)):
        found = _spectral(unit[block], weights[block], links[block][:, block].toarray(), 1, MAX_SPEAKERS)
        for label in np.unique(found):
            own = block[found == label]
            share = max(_LEAST_ROWS, len(own) * _MOST_ROWS // len(rows))
            chosen.append(own[np.linspace(0, len(own) - 1, min(share, len(own))).astype(int)])
    return np.sort(np.concatenate(chosen))


def _spectral(unit: Floats, weights: Floats, near: Floats, least: int, most: int) -> Labels:
    """Return the cluster of each row by spectral clustering; the number of clusters is from ``least`` to ``most``."""
    rows = len(unit)
    highest = min(most, rows, max(MAX_SPEAKERS, least))
    if highest < 2 or rows < 3:
        return np.arange(rows) if least > 1 else np.zeros(rows, dtype=np.intp)
    values, vectors = _eigen(unit @ unit.T + _SAME_WINDOW * near, highest + 1)
    speech = float(weights.sum())
    cost = max(_SPEAKER_COST, _SPEAKER_SECONDS / speech, _SPEAKER_ROOT / speech**0.5)
    best, best_score = np.zeros(rows, dtype=np.intp), -np.inf
    for number in range(min(least, highest), highest + 1):
        labels = _partition(_unit(vectors[:, :number]), weights, number)
        centroids = _centroids(unit, weights, labels)
        for _ in range(_ROUNDS - 2):
            labels = np.argmax(unit @ centroids.T, axis=1)
            centroids = _centroids(unit, weights, labels, centroids)
        nearest = float(np.average((unit @ centroids.T).max(axis=1), weights=weights))
        gap = values[number] - values[number - 1] if number < len(values) else 0.0
        score = nearest - cost * number + _GAP_GAIN * float(gap)
        if score > best_score:
            best, best_score = labels, score
    return best


def _eigen(affinity: Floats, number: int) -> tuple[Floats, Floats]:
    """Return the ``number`` smallest eigenvalues of the mean graph's Laplacian, and their vectors (rows, number)."""
    from scipy.linalg import eigh

    rows = len(affinity)
    order = np.argsort(-affinity, axis=1, kind="stable")
    # Graphs may fall into parts; weak links between all rows say which parts are nearer.
    weak = _WEAK_LINKS * np.maximum(affinity, 0.0)
    np.fill_diagonal(weak, 0)
    laplacian = np.diag(weak.sum(axis=1)) - weak
    for neighbours in _NEIGHBOURS:
        links = min(round(neighbours * max(1.0, rows / _FEW_ROWS)), rows - 1)
        graph = np.zeros((rows, rows))
        np.put_along_axis(graph, order[:, :links], 1.0, axis=1)
        graph = (graph + graph.T) / 2
        np.fill_diagonal(graph, 0)
        laplacian += (np.diag(graph.sum(axis=1)) - graph) / (links * len(_NEIGHBOURS))
    values, vectors = eigh(laplacian, subset_by_index=[0, min(number, rows) - 1])
    return values, vectors


def _partition(points: Floats, weights: Floats, number: int) -> Labels:
    """Return the cluster of each point (points, number), all of unit length; it begins with points far apart."""
    centers = [points[int(np.argmax(weights))]]
    while len(centers) < number:
        centers.append(points[int(np.argmin(np.max(points @ np.array(centers).T, axis=1)))])
    centroids: Floats = np.array(centers)
    labels: Labels = np.argmax(points @ centroids.T, axis=1)
    for _ in range(30):
        centroids = _centroids(points, weights, labels, centroids)
        labels, before = np.argmax(points @ centroids.T, axis=1), labels
        if np.array_equal(labels, before):
            break
    return labels


def _centroids(unit: Floats, weights: Floats, labels: Labels, before: Floats | None = None) -> Floats:
    """Return the mean of each label, of unit length; that of ``before`` for a label that nothing has."""
    used = np.unique(labels)
    number = len(used) if before is None else len(before)
    names = used if before is None else np.arange(number)
    weighted = (labels[None] == names[:, None]) * weights
    sums = weighted @ unit
    if before is not None:
        empty = ~weighted.any(axis=1)
        sums[empty] = before[empty]
    return _unit(sums)


def local_speakers(
    excerpts: Excerpts, shares: Sequence[Share], segmentations: SlidingWindowFeature
) -> Labels:
    """Return the speaker of each local speaker of each window: the one whose excerpts they speak most.

    Two local speakers of a window are two people, as far as there are speakers. One who only speaks while another
    does has no excerpt, and is who speaks nearest to that window.
    """
    from scipy.optimize import linear_sum_assignment

    windows, _, speakers = segmentations.data.shape
    number = int(excerpts.labels.max(initial=0)) + 1
    evidence = np.zeros((windows, speakers, number))
    for window, excerpt, speaks in shares:
        evidence[window, :, excerpts.labels[excerpt]] += speaks * excerpts.seconds[excerpt]
    totals = evidence.sum(axis=1)
    when = np.arange(windows)
    for label in range(number):
        detected = np.flatnonzero(totals[:, label])
        if len(detected):
            after = np.clip(np.searchsorted(detected, when), 0, len(detected) - 1)
            before = np.maximum(after - 1, 0)
            away = np.minimum(np.abs(detected[after] - when), np.abs(detected[before] - when))
            evidence[:, :, label] += 1e-3 / (1.0 + away)[:, None]
    labels: Labels = np.argmax(evidence, axis=2)
    active = segmentations.data.any(axis=1)
    for window in np.flatnonzero(active.sum(axis=1) > 1).tolist():
        local = np.flatnonzero(active[window])
        chosen, names = linear_sum_assignment(evidence[window, local], maximize=True)
        labels[window, local[chosen]] = names
    return labels


def _unit(vectors: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        unit: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
