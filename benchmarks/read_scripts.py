"""Time of reading script files of 100,000 lines, with the speaker of each line.

python benchmarks/read_scripts.py [--lines 100000]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "worker_env")]

from voiceclone_cli.script.script_file import read_script  # noqa: E402
from voiceclone_cli.types import Diarization, Turn  # noqa: E402

Line = tuple[int, int, str]
"""Start and end in milliseconds, and text."""

_WORDS = [
    "the",
    "drawings",
    "of",
    "the",
    "house",
    "were",
    "brought",
    "by",
    "<i>two</i>",
    "men",
    "&amp;",
    "a",
    "dog",
    "in",
    "1984",
    "who",
    "said",
    "it",
    "is",
    "late",
    "so",
    "we",
    "went",
    "home",
]


def make_lines(count: int, seed: int = 0) -> list[Line]:
    """Return lines of two to twelve words, some in two rows, one after the other."""
    chooser = random.Random(seed)
    lines = []
    for at in range(count):
        words = chooser.choices(_WORDS, k=chooser.randint(2, 12))
        if len(words) > 7:
            words[5] += "\n" + words.pop(6)
        lines.append((at * 3000, at * 3000 + chooser.randint(800, 2900), " ".join(words) + "."))
    return lines


def _clock(milliseconds: int, separator: str = ",", digits: int = 3) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    fraction = f"{rest % 1000:03d}"[:digits]
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{separator}{fraction}"


def to_srt(lines: Sequence[Line]) -> str:
    return "\n".join(
        f"{n}\n{_clock(start)} --> {_clock(end)}\n{text}\n" for n, (start, end, text) in enumerate(lines, 1)
    )


def to_vtt(lines: Sequence[Line]) -> str:
    cues = (f"{_clock(start, '.')} --> {_clock(end, '.')}\n{text}\n" for start, end, text in lines)
    return "WEBVTT\n\n" + "\n".join(cues)


def to_rolling_vtt(lines: Sequence[Line]) -> str:
    """Return the captions of a video site: each row again above the next one."""
    cues = []
    above = " "
    for start, end, text in lines[: len(lines) // 2]:
        row = text.replace("\n", " ")
        cues.append(f"{_clock(start, '.')} --> {_clock(end, '.')}\n{above}\n{row}\n")
        cues.append(f"{_clock(end, '.')} --> {_clock(end + 10, '.')}\n{row}\n \n")
        above = row
    return "WEBVTT\n\n" + "\n".join(cues)


def to_ass(lines: Sequence[Line]) -> str:
    rows = (
        f"Dialogue: 0,{_clock(start, '.', 2)},{_clock(end, '.', 2)},Default,,0,0,0,,"
        + text.replace("\n", "\\N").replace("<i>", "{\\i1}").replace("</i>", "{\\i0}")
        for start, end, text in lines
    )
    return "[Script Info]\n\n[Events]\n" + "\n".join(rows) + "\n"


def to_csv(lines: Sequence[Line]) -> str:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["start", "end", "text"])
    writer.writerows((_clock(start), _clock(end), text) for start, end, text in lines)
    return table.getvalue()


def to_json(lines: Sequence[Line]) -> str:
    return json.dumps(
        [{"start": start / 1000, "end": end / 1000, "text": text} for start, end, text in lines]
    )


WRITERS: Mapping[str, Callable[[Sequence[Line]], str]] = {
    "plain.srt": to_srt,
    "plain.vtt": to_vtt,
    "rolling.vtt": to_rolling_vtt,
    "plain.ass": to_ass,
    "plain.csv": to_csv,
    "plain.json": to_json,
}


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=100_000)
    count = parser.parse_args().lines
    lines = make_lines(count)
    turns = tuple(
        Turn(start / 1000, end / 1000, f"SPEAKER_0{at % 3}") for at, (start, end, _) in enumerate(lines)
    )
    diarization = Diarization(turns, turns, "given")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in WRITERS.items():
            path = Path(folder) / name
            path.write_text(write(lines), encoding="utf-8")
            started, started_cpu = time.perf_counter(), time.process_time()
            script = read_script(path, diarization, language="en", recording_seconds=count * 3.0)
            seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
            print(
                f"{name:12} {path.stat().st_size / 1e6:5.1f} MB {seconds:5.2f} s (CPU {cpu:5.2f} s)  {len(script.segments):,} lines, "
                f"{len(script.omitted):,} texts omitted"
            )


if __name__ == "__main__":
    main()
