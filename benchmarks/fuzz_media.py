"""Mutated media: what reading thousands of damaged files comes to.

    python benchmarks/fuzz_media.py [--seconds 120] [--seed 1] [--keep FOLDER]

Small valid files of every container are flipped, cut and spliced at random; each is read in a process that
is replaced when it dies. A finding is anything but a recording or an InputError: a traceback, a crash, more
than five seconds or more than 1 GB. Prints one line of JSON; --keep saves the files that were findings.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from media_reader import MediaReader, Outcome  # noqa: E402
from media_samples import CODECS, RARER_CODECS, syllables, tone, write_media, write_wav  # noqa: E402

EXTREMES = tuple(
    value.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for value in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("little", "big")
)
HEADER = 600
"""Bytes. Half of the mutations happen here, where a file says what it is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the files that were findings")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(fuzz(Path(folder), arguments.seconds, arguments.seed, arguments.keep)))


def fuzz(folder: Path, seconds: float, seed: int, keep: Path | None) -> dict[str, object]:
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    findings: list[dict[str, object]] = []
    slowest, largest = 0.0, 0
    with MediaReader() as reader:
        for number, (path, name) in enumerate(mutants(folder, seed)):
            if time.monotonic() - started > seconds:
                break
            outcome = reader.read(path)
            outcomes[outcome.kind] += 1
            slowest, largest = max(slowest, outcome.seconds), max(largest, outcome.peak_bytes)
            if outcome.bad:
                findings.append(finding(outcome, path, f"{seed}-{number}-{name}", keep))
    return {
        "inputs": outcomes.total(),
        "seed": seed,
        "outcomes": dict(outcomes),
        "findings": findings,
        "slowest_seconds": round(slowest, 3),
        "peak_mb": round(largest / 1e6),
        "seconds": round(time.monotonic() - started, 1),
    }


def finding(outcome: Outcome, path: Path, name: str, keep: Path | None) -> dict[str, object]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / name).write_bytes(path.read_bytes())
    return {"kind": outcome.kind, "file": name, "detail": outcome.detail}


def mutants(folder: Path, seed: int) -> Iterator[tuple[Path, str]]:
    """Files without end, each under the same name, and the name of the kind of file that it was."""
    rng = random.Random(seed)
    whole = {path.name: path.read_bytes() for path in valid_files(folder)}
    names = sorted(whole)
    while True:
        name = rng.choice(names)
        data = bytearray(whole[name])
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            mutate(data, rng, whole[rng.choice(names)])
        path = folder / f"mutant{Path(name).suffix}"
        path.write_bytes(data)
        yield path, name


def mutate(data: bytearray, rng: random.Random, other: bytes) -> None:
    """One change, in place. ``other`` is a file to take a piece from."""
    end = len(data) if rng.random() < 0.5 else min(HEADER, len(data))
    at = rng.randrange(end) if end else 0
    length = rng.choice((1, 4, 64, 1024))
    change = rng.randrange(6)
    if change == 0 and data:
        data[at] ^= 1 << rng.randrange(8)
    elif change == 1:
        value = rng.choice(EXTREMES)
        data[at : at + len(value)] = value
    elif change == 2:
        del data[at : at + length]
    elif change == 3:
        data[at:at] = rng.randbytes(length)
    elif change == 4:
        start = rng.randrange(len(other))
        data[at : at + length] = other[start : start + length]
    elif rng.random() < 0.2:
        del data[at:]


def valid_files(folder: Path) -> list[Path]:
    speech = syllables(1.0, 48_000)
    files = [write_wav(folder / f"float.{kind}", tone(1.0), subtype="FLOAT") for kind in ("wav", "w64")]
    files.append(write_wav(folder / "law.au", tone(1.0), subtype="ULAW"))
    files += [write_wav(folder / f"plain.{kind}", tone(1.0)) for kind in ("wav", "aiff", "caf")]
    for suffix in sorted({*CODECS, *RARER_CODECS}):
        video = suffix in (".mp4", ".mkv", ".avi", ".ts")
        files.append(write_media(folder / f"sound{suffix}", speech, channels=2, video=video))
    return files


if __name__ == "__main__":
    main()
