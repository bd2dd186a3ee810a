"""Twenty recordings in one batch against twenty single runs.

    python benchmarks/batch.py                  echo: the command, the files, the pool; no model
    python benchmarks/batch.py --engine kokoro  excerpts of pyannote's sample, diarized, transcribed and synthesized

Both run one after the other on the same machine, so the ratio of their wall times says more than either.
The segments of both must have the same bytes. Memory is that of the largest process of each kind (Linux).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.commands import Measurement, load, run_command
from harness.talks import Talk, cut_talks, make_talk, write_list

ROOT = Path(__file__).parents[1]


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="batch-") as name:
        folder = Path(name)
        talks = _talks(folder, options)
        summary = compare(folder, talks, options.engine, options.workers)
    print(json.dumps(summary) if options.json else "\n".join(table(summary)))
    raise SystemExit(1 if summary["differing"] else 0)


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="echo", choices=("echo", "kokoro"))
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each excerpt, with kokoro")
    parser.add_argument("--lines", type=int, default=20, help="lines of each talk, with echo")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _talks(folder: Path, options: argparse.Namespace) -> list[Talk]:
    if options.engine == "kokoro":
        return cut_talks(folder, sample(), options.files, options.seconds)
    return [
        make_talk(folder, f"talk{number:02d}", lines=options.lines + number % 3, speakers=3, dominant=0.4)
        for number in range(options.files)
    ]


def sample() -> Path:
    """Return the recording that pyannote.audio ships."""
    script = ROOT / "examples" / "sample.py"
    result = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True, check=True)
    return Path(result.stdout.strip())


def compare(folder: Path, talks: list[Talk], engine: str, workers: int) -> dict[str, Any]:
    common = ["--engine", engine, "--no-report"]
    if workers > 1:
        common += ["--mode", "parallel", "--workers", str(workers)]
    before = load()
    singles = []
    for talk in talks:
        singles.append(
            run_command([*talk.arguments(), *common, "--out", str(folder / "single" / talk.wav.stem)])
        )
        print(f"{talk.wav.stem}: {singles[-1].wall:.1f} s alone", file=sys.stderr)
    between = load()
    listed = write_list(folder / "list.jsonl", talks)
    batch = run_command(["--list", str(listed), *common, "--out", str(folder / "batch")])
    return {
        "engine": engine,
        "files": len(talks),
        "workers": workers,
        "segments": sum(len(single.document["segments"]) for single in singles),
        "singles_seconds": round(sum(single.wall for single in singles), 1),
        "batch_seconds": round(batch.wall, 1),
        "ratio": round(sum(single.wall for single in singles) / batch.wall, 2),
        "idle_share": _idle_share(batch),
        "singles_peak_mb": _largest(singles),
        "batch_peak_mb": batch.peak_mb,
        "differing": _differing(folder / "single", folder / "batch"),
        "load": [round(value, 1) for value in (before, between, load())],
    }


def _idle_share(batch: Measurement) -> float:
    """Return the idle share of the workers' time between the first lease and the last result."""
    timing = batch.document["timing"]
    return round(float(timing["slots_idle"]) / max(1e-9, timing["slots_busy"] + timing["slots_idle"]), 3)


def _largest(runs: list[Measurement]) -> dict[str, float]:
    kinds = {kind for run in runs for kind in run.peak_mb}
    return {kind: max(run.peak_mb.get(kind, 0.0) for run in runs) for kind in sorted(kinds)}


def _differing(one: Path, other: Path) -> list[str]:
    """Return the segments that differ, or exist in one folder only."""
    left, right = _sounds(one), _sounds(other)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _sounds(root: Path) -> dict[str, str]:
    files = root.glob("*/segments/*.wav")
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def table(summary: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{summary['engine']}: {summary['files']} files, {summary['segments']} segments, "
        f"{summary['workers']} worker(s)"
    )
    yield f"  {summary['files']} single runs  {summary['singles_seconds']:8.1f} s"
    yield f"  one batch       {summary['batch_seconds']:8.1f} s   {summary['ratio']} times as fast"
    yield f"  workers idle    {100 * summary['idle_share']:8.1f} % of the time between first lease and last result"
    for title in ("singles", "batch"):
        peaks = ", ".join(f"{kind} {mb:.0f} MB" for kind, mb in summary[f"{title}_peak_mb"].items())
        yield f"  peak memory of {title}: {peaks}"
    yield f"  segments whose bytes differ: {len(summary['differing'])}"
    before, between, after = summary["load"]
    yield f"  load average: {before} before the single runs, {between} between, {after} after the batch"


if __name__ == "__main__":
    main()
