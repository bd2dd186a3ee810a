"""How far a clone is from its subtitle in films whose sound starts late or early, or has holes.

    python benchmarks/film_clock.py [NAME...]

Twelve films of four containers are made and dubbed with the echo engine. "original" is by how much the recording that
is analysed has the original later than a player plays it, "clone" and "onset" by how much the new line comes after its
subtitle in the video that was written: by correlation with the synthesized line, and where the sound rises.
Milliseconds, the largest of all lines. The exit code is 1 where a line is more than 20 ms from its subtitle.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "worker_env")]

from timed_films import FILMS, TimedFilm, dub, make_film, original_errors  # noqa: E402
from voiceclone_cli.audio.reader import read_recording  # noqa: E402

LIMIT = 0.020


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *(film.name for film in FILMS)])
    names = parser.parse_args().names
    print(f"{'film':16} {'seconds':>8} {'lines':>5} {'original':>9} {'clone':>6} {'onset':>6}  notes")
    errors = [measure(film) for film in FILMS if not names or film.name in names]
    print(f"largest distance of a clone from its subtitle: {1000 * max(errors):.2f} ms")
    return 0 if max(errors) <= LIMIT else 1


def measure(film: TimedFilm) -> float:
    """Make and dub a film, print its row, and return the largest error of its lines in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, played = make_film(folder, film)
        recording = read_recording(source)
        original = max(map(abs, original_errors(recording, played, film)))
        _, lines = dub(folder, source, film)
    clone = max(abs(line.clone - line.subtitle) for line in lines)
    onset = max(abs(line.onset - line.subtitle) for line in lines)
    row = f"{film.name:16} {recording.seconds:8.2f} {len(lines):5} {1000 * original:9.2f}"
    print(f"{row} {1000 * clone:6.2f} {1000 * onset:6.2f}  {'; '.join(recording.notes)}", flush=True)
    return max(line.error for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
