"""Draws the plots of docs/scale.md from the model of benchmarks/scale_model.py.

`python docs/making/scale_plots.py` runs it; a minute or two, no model files needed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

from scale.outcome import Outcome  # noqa: E402
from scale.rates import rates_of, read_tables  # noqa: E402
from scale.simulation import Simulation  # noqa: E402
from scale.work import Work  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
SLOTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SIZES = {10_000: "10 h", 100_000: "100 h", 1_000_000: "1,000 h"}
"""Lines, and about how long it takes to say them."""
WIDTH, HEIGHT = 640, 330
LEFT, RIGHT, TOP, BOTTOM = 62, 150, 44, 48
COLOURS = ("#2a6f97", "#c8553d", "#588157", "#8d6a9f", "#b08900", "#6c757d")
STYLE = """text{font:13px sans-serif;fill:#24292f}.title{font-weight:bold;font-size:14px}
.axis{stroke:#8c959f}.grid{stroke:#d0d7de;stroke-width:.6}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}}"""

IDLE = {
    "speaking": "speaking",
    "start": "start",
    "loading": "loading, fitting",
    "answering": "coordinator",
    "network": "network",
    "starved": "waiting for files",
    "tail": "tail",
}
"""Parts of a worker's time, and what they are called."""


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for engine in ("kokoro", "fish"):
        lines = {size: [_outcome(engine, size, workers) for workers in SLOTS] for size in SIZES}
        _write(f"scale-{engine}.svg", efficiency(f"{engine} on Ray: efficiency", lines))
        _write(f"scale-{engine}-workers.svg", shares(f"{engine}, 1,000 h: what workers do", lines[1_000_000]))


def _outcome(engine: str, size: int, workers: int) -> Outcome:
    return Simulation(rates_of(read_tables(), engine, "ray"), Work(size), workers).run()


def _write(name: str, parts: Iterator[str]) -> None:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">'
        f"<style>{STYLE}</style>"
    )
    (PICTURES / name).write_text("\n".join([head, *parts, "</svg>", ""]), encoding="utf-8")


def efficiency(title: str, lines: dict[int, list[Outcome]]) -> Iterator[str]:
    yield from _frame(title, "of perfect division")
    for colour, (size, outcomes) in zip(COLOURS, lines.items(), strict=False):
        points = [(_x(outcome.workers), _y(outcome.efficiency)) for outcome in outcomes]
        yield _line(points, colour)
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>' for x, y in points)
        yield _label(list(lines).index(size), colour, SIZES[size])


def shares(title: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Bands that lie on one another."""
    yield from _frame(title, "of their time")
    below = [0.0] * len(outcomes)
    for place, (name, label) in enumerate(IDLE.items()):
        above = [low + _share(outcome, name) for low, outcome in zip(below, outcomes, strict=True)]
        xs = [_x(outcome.workers) for outcome in outcomes]
        upper = [f"{x:.1f},{_y(y):.1f}" for x, y in zip(xs, above, strict=True)]
        lower = [f"{x:.1f},{_y(y):.1f}" for x, y in zip(xs, below, strict=True)]
        colour = (*COLOURS, "#d4a5a5")[place]
        yield f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{colour}" fill-opacity=".8"/>'
        yield _label(place, colour, label)
        below = above
    yield _label(len(IDLE), "none", "rest: finishing")


def _share(outcome: Outcome, name: str) -> float:
    seconds = getattr(outcome.seconds, name) + (outcome.seconds.encoding if name == "loading" else 0.0)
    return float(seconds / (outcome.workers * outcome.wall))


def _frame(title: str, what: str) -> Iterator[str]:
    yield f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>'
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10} %</text>'
    for workers in SLOTS:
        x = _x(workers)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(0):.1f}" y2="{_y(0) + 4:.1f}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle">{workers}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(0):.1f}" y2="{_y(0):.1f}"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">workers</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="22" text-anchor="end">{escape(what)}</text>'


def _x(workers: int) -> float:
    span = WIDTH - LEFT - RIGHT - 20
    return LEFT + 10 + span * math.log(workers) / math.log(SLOTS[-1])


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _label(place: int, colour: str, text: str) -> str:
    x, y = WIDTH - RIGHT + 14, TOP + 10 + 20 * place
    return (
        f'<rect x="{x}" y="{y - 10}" width="11" height="11" fill="{colour}"/>'
        f'<text x="{x + 17}" y="{y}">{escape(text)}</text>'
    )


if __name__ == "__main__":
    main()
