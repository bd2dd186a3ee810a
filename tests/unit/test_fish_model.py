"""The windows of past frames."""

from __future__ import annotations

import torch

from voiceclone_worker.engines.fish.model import Windows


def test_windows_follow_the_rows_that_are_left() -> None:
    windows = Windows(3, 16, torch.device("cpu"))
    windows.add_rows(2)
    windows.push(torch.tensor([[11, 1, 0, 0], [12, 2, 0, 0]]))
    windows.keep(torch.tensor([1]))
    windows.add_rows(1)
    assert windows.counts.tolist() == [1, 0]
    windows.push(torch.tensor([[13, 3, 0, 0], [14, 4, 0, 0]]))
    assert set(windows.frames[0, 0].tolist()) == {12, 13}
    assert set(windows.frames[1, 0].tolist()) == {14}
