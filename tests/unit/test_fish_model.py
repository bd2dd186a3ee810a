"""The windows of past frames."""

from __future__ import annotations

import torch

from voiceclone_worker.engines.fish.model import Windows


def test_a_window_that_is_not_full_repeats_its_first_frame() -> None:
    windows = Windows(1, 3, 4, torch.device("cpu"))
    for token in (11, 12, 13):
        windows.push(torch.tensor([[token, token - 10, 0, 0]]))
    assert windows.frames[0, 0].tolist() == [11, 12, 13, 11]
    assert windows.counts.tolist() == [3]


def test_the_oldest_frame_leaves_a_full_window() -> None:
    windows = Windows(1, 3, 4, torch.device("cpu"))
    for token in range(11, 18):
        windows.push(torch.tensor([[token, token - 10, 0, 0]]))
    assert set(windows.frames[0, 0].tolist()) == {14, 15, 16, 17}


def test_windows_move_with_their_rows() -> None:
    windows = Windows(2, 3, 16, torch.device("cpu"))
    windows.push(torch.tensor([[11, 1, 0, 0], [12, 2, 0, 0]]))
    windows.move(1, 0)
    windows.begin(1)
    windows.push(torch.tensor([[13, 3, 0, 0], [14, 4, 0, 0]]))
    assert windows.counts.tolist() == [2, 1]
    assert set(windows.frames[0, 0].tolist()) == {12, 13}
    assert set(windows.frames[1, 0].tolist()) == {14}


def test_windows_are_kept_where_slots_are_added() -> None:
    few, many = Windows(1, 3, 4, torch.device("cpu")), Windows(2, 3, 4, torch.device("cpu"))
    few.push(torch.tensor([[11, 1, 0, 0]]))
    many.take_over(few)
    many.push(torch.tensor([[12, 2, 0, 0], [13, 3, 0, 0]]))
    assert set(many.frames[0, 0].tolist()) == {11, 12}
    assert set(many.frames[1, 0].tolist()) == {13}
