"""The same sums on any number of threads.

Torch shares one operation among its threads, and the order of its sums, so the last bit of a sample,
depends on how many there are: about one in five thousand samples of decoded speech comes out one step
higher or lower. Workers that share a machine have fewer threads than one that has it alone, and a
segment must not sound different for it. So each piece of work is computed on one thread, and the
threads are used by computing several pieces at once, which costs less waiting as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Made = TypeVar("Made")


def spread(make: Callable[[Piece], Made], pieces: Sequence[Piece], device: torch.device) -> list[Made]:
    """``make`` of every piece, in order, in inference mode.

    On the CPU: each on one thread, as many at a time as torch has threads. Other devices take them one
    after the other. Raises what ``make`` raises.
    """

    def make_one(piece: Piece) -> Made:
        # Inference mode belongs to a thread.
        with torch.inference_mode():
            return make(piece)

    if device.type != "cpu" or not pieces:
        return [make_one(piece) for piece in pieces]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Made anew each time: a thread keeps the number that was set when it first computed.
        with ThreadPoolExecutor(min(threads, len(pieces)), thread_name_prefix="codec") as pool:
            return list(pool.map(make_one, pieces))
    finally:
        torch.set_num_threads(threads)
