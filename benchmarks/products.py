"""How fast weights are read by a product with few rows: torch's own against the layouts of the fish engine.

    python benchmarks/products.py [--threads N]

GB of weights a second, over twenty matrices of the s1-mini shape, which no cache holds. The memory's own
speed stands above.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "worker_env"))

from voiceclone_worker.engines.fish.transformer import Int8Product, Product, product

COUNT, OUT, IN = 20, 6144, 1024


def seconds(work: Callable[[], object]) -> float:
    """The median of nine times, after two to warm up."""
    times = []
    for _ in range(11):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


def through(layers: list[Product], x: torch.Tensor) -> None:
    for layer in layers:
        layer(x)


def through_torch(weights: list[torch.Tensor], x: torch.Tensor) -> None:
    for weight in weights:
        torch.nn.functional.linear(x, weight)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    large = torch.ones(250_000_000)
    print(
        f"threads {torch.get_num_threads()}, a sum reads {large.nbytes / seconds(large.sum) / 1e9:.1f} GB/s"
    )
    for name, dtype, make in (
        ("float32", torch.float32, product),
        ("bf16", torch.bfloat16, product),
        ("int8", torch.bfloat16, Int8Product),
    ):
        weights = [torch.randn(OUT, IN).mul_(0.02).to(dtype) for _ in range(COUNT)]
        layers = [make(weight, None) for weight in weights]
        for rows in (1, 4, 8, 16):
            x = torch.randn(rows, IN).to(dtype)
            ours = sum(layer.nbytes for layer in layers) / seconds(partial(through, layers, x))
            own = sum(w.nbytes for w in weights) / seconds(partial(through_torch, weights, x))
            print(f"{name:8} {rows:2} rows: torch's own {own / 1e9:5.1f}, ours {ours / 1e9:5.1f} GB/s")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
