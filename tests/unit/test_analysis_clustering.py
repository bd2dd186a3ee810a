"""Speaker embeddings are clustered by who spoke; the embeddings here are made, not measured."""

from __future__ import annotations

import numpy as np
import pytest

from voiceclone_cli.analysis import clustering

DIMENSION = 192


def voices(count: int, seed: int = 0) -> np.ndarray:
    """Return directions as far apart as those of different speakers: (count, DIMENSION)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, DIMENSION)) / np.sqrt(DIMENSION)


def excerpts(speakers: np.ndarray, which: np.ndarray, spread: float = 0.35, seed: int = 1) -> np.ndarray:
    """Return one embedding for each entry of ``which``, scattered about that speaker."""
    rng = np.random.default_rng(seed)
    return speakers[which] + rng.normal(size=(len(which), DIMENSION)) * spread / np.sqrt(DIMENSION)


def same_partition(labels: np.ndarray, which: np.ndarray) -> bool:
    pairs = set(zip(labels.tolist(), which.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(which.tolist()))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_speaker_is_a_cluster(count: int) -> None:
    which = np.random.default_rng(2).integers(0, count, 40 * count)
    labels = clustering.cluster(excerpts(voices(count), which), 1, len(which))
    assert same_partition(labels, which)


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_the_number_of_clusters_can_be_fixed(wanted: int) -> None:
    which = np.repeat(np.arange(4), 30)
    labels = clustering.cluster(excerpts(voices(4), which), wanted, wanted)
    assert set(labels.tolist()) == set(range(wanted))


def test_a_few_stray_embeddings_are_no_speaker() -> None:
    which = np.concatenate((np.repeat([0, 1], 40), [2, 2]))
    labels = clustering.cluster(excerpts(voices(3), which), 1, len(which))
    assert same_partition(labels[:80], which[:80])
    assert set(labels.tolist()) == {0, 1}


@pytest.mark.parametrize("rows", [0, 1])
def test_one_embedding_or_none_is_one_cluster(rows: int) -> None:
    assert clustering.cluster(voices(rows), 1, 1).tolist() == [0] * rows


def test_a_speaker_without_an_embedding_is_whom_other_windows_hear_there() -> None:
    core = pytest.importorskip("pyannote.core")
    windows, frames, step = 3, 10, 0.5
    speaks = np.zeros((windows, frames, 2), np.float32)
    # Windows start 5 frames apart; the second numbers its speakers the other way round.
    speaks[0, 5:, 0] = speaks[1, :5, 1] = 1
    speaks[1, 5:, 0] = speaks[2, :5, 0] = 1
    known = np.zeros((windows, 2), bool)
    known[0, 0] = known[2, 0] = True
    labels = np.array([[3, 0], [0, 0], [4, 0]])
    segmentations = core.SlidingWindowFeature(speaks, core.SlidingWindow(duration=1.0, step=step))
    clustering.fill_gaps(labels, known, segmentations, core.SlidingWindow(duration=0.1, step=0.1))
    assert labels.tolist() == [[3, 0], [4, 3], [4, 0]]
