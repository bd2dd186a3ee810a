"""Excerpts of speech are cut where speakers change, and clustered by who spoke; embeddings here are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voiceclone_cli.analysis import clustering

DIMENSION = 192


def voices(count: int, seed: int = 0) -> np.ndarray:
    """Return directions as far apart as those of different speakers: (count, DIMENSION)."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, DIMENSION)) / np.sqrt(DIMENSION)


def excerpts(speakers: np.ndarray, which: np.ndarray, spread: float = 0.8, seed: int = 1) -> np.ndarray:
    """Return one embedding for each entry of ``which``, scattered about that speaker."""
    rng = np.random.default_rng(seed)
    return speakers[which] + rng.normal(size=(len(which), DIMENSION)) * spread / np.sqrt(DIMENSION)


def clustered(embeddings: np.ndarray, seconds: float | np.ndarray = 2.0, **bounds: int) -> np.ndarray:
    """Return the labels of excerpts that no window detects together."""
    sparse = pytest.importorskip("scipy.sparse")
    count = len(embeddings)
    lengths = np.broadcast_to(np.asarray(seconds, float), (count,))
    labels, _, _ = clustering.cluster(embeddings, lengths, sparse.csr_matrix((count, count)), **bounds)
    return labels


def same_partition(labels: np.ndarray, which: np.ndarray) -> bool:
    pairs = set(zip(labels.tolist(), which.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(which.tolist()))


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_every_speaker_is_a_cluster(count: int) -> None:
    which = np.random.default_rng(2).integers(0, count, 15 * count)
    assert same_partition(clustered(excerpts(voices(count), which)), which)


@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 6])
def test_the_number_of_clusters_can_be_fixed(wanted: int) -> None:
    which = np.repeat(np.arange(4), 15)
    labels = clustered(excerpts(voices(4), which), least=wanted, most=wanted)
    assert set(labels.tolist()) == set(range(wanted))


def test_the_number_of_clusters_can_be_bounded() -> None:
    which = np.repeat(np.arange(4), 15)
    embeddings = excerpts(voices(4), which)
    assert len(set(clustered(embeddings, most=3).tolist())) == 3
    assert len(set(clustered(embeddings, least=5).tolist())) == 5


def test_a_speaker_of_a_few_seconds_among_minutes_of_others_is_found() -> None:
    which = np.concatenate((np.repeat([0, 1], 30), [2] * 4))
    assert same_partition(clustered(excerpts(voices(3), which, spread=0.5)), which)


def test_all_similarities_may_be_higher_as_over_a_telephone() -> None:
    which = np.random.default_rng(3).integers(0, 3, 60)
    channel = 1.2 * voices(1, seed=9)
    assert same_partition(clustered(excerpts(voices(3), which) + channel), which)


def test_more_excerpts_than_a_graph_holds_are_clustered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "_MOST_ROWS", 50)
    which = np.random.default_rng(4).integers(0, 3, 400)
    assert same_partition(clustered(excerpts(voices(3), which)), which)


def test_short_excerpts_are_given_to_a_speaker_but_are_none() -> None:
    which = np.concatenate((np.repeat([0, 1], 20), [2, 2, 2, 2]))
    seconds = np.where(which == 2, 0.5, 2.0)
    labels = clustered(excerpts(voices(3), which), seconds)
    assert same_partition(labels[:40], which[:40])
    assert set(labels.tolist()) == {0, 1}


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_very_few_excerpts_are_one_speaker(rows: int) -> None:
    assert clustered(voices(rows)).tolist() == [0] * rows


def test_a_excerpt_without_an_embedding_is_of_whoever_spoke_before() -> None:
    which = np.repeat([0, 1], 15)
    embeddings = excerpts(voices(2), which)
    embeddings[[14, 20]] = np.nan
    assert same_partition(clustered(embeddings), which)
    assert clustered(np.full((3, DIMENSION), np.nan)).tolist() == [0, 0, 0]


def test_a_excerpt_between_two_speakers_has_a_small_margin() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    speakers = voices(2)
    embeddings = excerpts(speakers, np.repeat([0, 1], 15), spread=0.3)
    embeddings[7] = speakers.sum(axis=0)
    _, _, margins = clustering.cluster(embeddings, np.full(30, 2.0), sparse.csr_matrix((30, 30)))
    assert margins.argmin() == 7
    assert margins[7] < 0.2 < np.delete(margins, 7).min()


# Frames of .02 s in windows of 2 s, a window each second.
FRAME = 0.02
FRAMES = 100
HOP = 50


def windowed(speakers: list[np.ndarray]) -> Any:
    """Return the segmentation of the frames of each speaker, local speakers in the order given."""
    core = pytest.importorskip("pyannote.core")
    speaks = np.stack(speakers, axis=1).astype(np.float32)
    windows = [speaks[start : start + FRAMES] for start in range(0, len(speaks) - FRAMES + 1, HOP)]
    return core.SlidingWindowFeature(np.stack(windows), core.SlidingWindow(duration=2.0, step=1.0))


def counted(speakers: list[np.ndarray]) -> Any:
    core = pytest.importorskip("pyannote.core")
    count = np.sum(speakers, axis=0)[:, None].astype(np.int8)
    return core.SlidingWindowFeature(count, core.SlidingWindow(duration=FRAME, step=FRAME))


def during(frames: int, *spans: tuple[int, int]) -> np.ndarray:
    speaks = np.zeros(frames)
    for start, end in spans:
        speaks[start:end] = 1
    return speaks


def test_speech_is_cut_where_speakers_change_and_overlaps_are_no_excerpts() -> None:
    speakers = [during(300, (25, 100), (200, 250)), during(300, (100, 160), (225, 275))]
    spans = clustering.cut(windowed(speakers), counted(speakers))
    assert spans.tolist() == [[25, 100], [100, 160], [200, 225], [250, 275]]


def test_a_long_turn_is_cut_into_equal_excerpts() -> None:
    speakers = [during(350, (25, 325))]
    assert clustering.cut(windowed(speakers), counted(speakers)).tolist() == [
        [25, 125],
        [125, 225],
        [225, 325],
    ]


def test_windows_say_which_excerpts_are_of_one_speaker() -> None:
    speakers = [during(300, (25, 60), (130, 170)), during(300, (65, 125))]
    segmentations, count = windowed(speakers), counted(speakers)
    spans = clustering.cut(segmentations, count)
    shares = clustering.window_shares(spans, segmentations, count.sliding_window)
    links = clustering.same_speaker(shares, len(spans)).toarray()
    assert links[0, 1] < 0 < links[0, 2] <= 1
    assert np.allclose(links, links.T)


def test_two_who_speak_at_once_are_two_people() -> None:
    # The second speaks only while the first does, in the last window.
    speakers = [during(300, (0, 100), (200, 300)), during(300, (110, 190), (225, 275))]
    segmentations, count = windowed(speakers), counted(speakers)
    spans = clustering.cut(segmentations, count)
    found = clustering.Excerpts(spans, np.diff(spans)[:, 0] * FRAME, np.zeros((len(spans), DIMENSION)))
    found.labels = np.array([0 if start < 100 or start >= 200 else 1 for start, _ in spans])
    shares = clustering.window_shares(spans, segmentations, count.sliding_window)
    labels = clustering.local_speakers(found, shares, segmentations)
    assert labels[-1].tolist() == [0, 1]


def in_scenes(count: int, length: int, seed: int = 3) -> np.ndarray:
    """Return who speaks in each of ``length`` excerpts: four of ``count`` people at a time, a hundred excerpts long."""
    rng = np.random.default_rng(seed)
    scenes = [rng.choice(rng.permutation(count)[:4], 100) for _ in range(-(-length // 100))]
    return np.concatenate(scenes)[:length]


def test_twelve_speakers_are_the_same_people_in_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "_MOST_ROWS", 300)
    which = in_scenes(12, 1500)
    # Someone speaks in one block only, for half a minute.
    which[700:760:4] = 12
    assert same_partition(clustered(excerpts(voices(13), which)), which)


def test_what_fits_in_one_block_is_clustered_as_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = excerpts(voices(5), in_scenes(5, 300), spread=1.5)
    monkeypatch.setattr(clustering, "_MOST_ROWS", 300)
    in_one_block = clustered(embeddings)
    monkeypatch.setattr(clustering, "_MOST_ROWS", 10_000)
    assert clustered(embeddings).tolist() == in_one_block.tolist()
