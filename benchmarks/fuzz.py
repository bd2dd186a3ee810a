"""Coverage-guided fuzzing of everything that reads a stranger's text.

    pip install atheris==3.0.0
    python benchmarks/fuzz.py script|task|result [--seconds 600] [--corpus FOLDER] [--keep FOLDER]
    python benchmarks/fuzz.py media [--seconds 120]     mutated media: benchmarks/fuzz_media.py

The targets are those of tests/fuzz_targets.py. A finding is a traceback or a broken promise, an input that takes
more than five seconds, or more than 1 GB of memory. The fuzzer runs in a process of its own, and again with what
it has learned when an input has taken that down, until the time is over. Prints one line of JSON; --keep saves
the inputs that were findings: put them into tests/corpus/TARGET, where tests/unit/test_corpus.py replays them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "worker_env"), str(ROOT / "tests")]

LONGEST_SECONDS = 5
LARGEST_MB = 1024
LONGEST_INPUT = 65_536
"""Bytes. What grows faster than its input shows here already."""

WORDS = {
    "script": ["-->", "00:00:01,000", "00:01.000", "WEBVTT", "<v Anna>", "</v>", "{\\\\i1}", "{\\\\p1}", "&#65;", "&amp;",
               "[SPEAKER_01] ", "Anna: ", "Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,", "start,end,text", "speaker",
               "language", "\\\"segments\\\":", "\\\"start\\\":", "\\\"end\\\":", "\\\"text\\\":", "\\\"id\\\":", "1e999",
               "SPEAKER a 1 0 1 <NA> <NA> b <NA> <NA>", "\\x0a\\x0a", "\\xef\\xbb\\xbf", "\\xff\\xfe", "../", "CON"],
    "task": ["voiceclone.task/1", "\\\"schema\\\":", "\\\"op\\\":", "encode", "\\\"speaker\\\":", "\\\"engine\\\":",
             "\\\"reference\\\":", "\\\"references\\\":", "\\\"codes\\\":", "\\\"audio\\\":", "\\\"output_dir\\\":",
             "\\\"segments\\\":", "\\\"seed\\\":", "\\\"max_seconds\\\":", "\\\"batch_size\\\":", "/a.npy", "../", "CON",
             "\\\\ud800", "\\\\u202e", "1e999", "NaN", "null", "[[[[[[[["],
    "result": ["voiceclone.result/1", "@voiceclone ", "\\\"event\\\":", "segment_done", "\\\"schema\\\":", "\\\"status\\\":",
               "done", "failed", "\\\"timing\\\":", "\\\"notes\\\":", "\\\"error\\\":", "\\\"code\\\":", "\\\"message\\\":",
               "\\\"lease\\\":", "\\\"task\\\":", "\\\"frames\\\":", "\\\\ud800", "1e999", "NaN", "null", "[[[[[[[["],
}  # fmt: skip
"""What an input of each target is made of, in the syntax of libFuzzer's dictionaries."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=(*WORDS, "media"))
    parser.add_argument("--seconds", type=int, help="600 without it; 120 for media")
    parser.add_argument("--corpus", type=Path, help="inputs to start from [tests/corpus/TARGET]")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that were findings")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.target == "media":
        program = [sys.executable, str(ROOT / "benchmarks" / "fuzz_media.py")]
        options = ["--seconds", str(arguments.seconds or 120)]
        options += ["--keep", str(arguments.keep)] if arguments.keep else []
        return subprocess.run([*program, *options]).returncode
    seconds = arguments.seconds or 600
    corpus = arguments.corpus or ROOT / "tests" / "corpus" / arguments.target
    if arguments.inside is not None:
        fuzz(arguments.target, arguments.inside, corpus, seconds)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        report = supervise(arguments.target, Path(folder), corpus, seconds)
        if arguments.keep:
            shutil.copytree(Path(folder) / "found", arguments.keep, dirs_exist_ok=True)
    print(json.dumps(report))
    return 1 if report["findings"] else 0


def supervise(target: str, work: Path, corpus: Path, seconds: int) -> dict[str, object]:
    """Fuzz in processes of their own until the time is over; what was tried and found."""
    for name in ("learned", "found"):
        (work / name).mkdir()
    (work / "words").write_text("".join(f'"{word}"\n' for word in WORDS[target]), encoding="utf-8")
    started, tried, slowest, largest = time.monotonic(), 0, 0, 0
    while (left := seconds - round(time.monotonic() - started)) > 0:
        own = [sys.executable, __file__, target, "--inside", str(work)]
        ran = subprocess.run(
            [*own, "--seconds", str(left), "--corpus", str(corpus)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        log = ran.stderr.decode("utf-8", errors="replace")
        figures = {name: int(value) for name, value in re.findall(r"stat::(\w+):\s+(\d+)", log)}
        if "number_of_executed_units" not in figures:
            sys.exit(f"the fuzzer did not run:\n{log[-2000:]}")
        tried += figures["number_of_executed_units"]
        slowest = max(slowest, figures["slowest_unit_time_sec"])
        largest = max(largest, figures["peak_rss_mb"])
    found = sorted(path for path in (work / "found").iterdir() if path.suffix != ".txt")
    return {
        "target": target,
        "seconds": round(time.monotonic() - started),
        "inputs": tried,
        "kept_for_coverage": len(list((work / "learned").iterdir())),
        "slowest_seconds": slowest,
        "peak_mb": largest,
        "findings": len(found),
        "kinds": [kind(path) for path in found],
    }


def kind(found: Path) -> str:
    """What a finding is: the note beside it, or the name that the fuzzer gave it (timeout-..., oom-...)."""
    note = found.with_name(f"{found.name}.txt")
    return note.read_text(encoding="utf-8") if note.exists() else found.name


def fuzz(target: str, work: Path, corpus: Path, seconds: int) -> None:
    """Run the fuzzer in this process. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["voiceclone_cli", "voiceclone_worker", "csv", "html"]):
        from fuzz_targets import TARGETS

    read = TARGETS[target]

    def one_input(data: bytes) -> None:
        try:
            read(data)
        except (Exception, RecursionError) as error:
            keep(error, data, work / "found")

    options = {
        "max_total_time": seconds,
        "timeout": LONGEST_SECONDS,
        "rss_limit_mb": LARGEST_MB,
        "max_len": LONGEST_INPUT,
        "print_final_stats": 1,
        "dict": work / "words",
        "artifact_prefix": f"{work / 'found'}/",
        "verbosity": 0,
    }
    folders = [str(work / "learned"), str(corpus)]
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), *folders], one_input)
    atheris.Fuzz()


def keep(error: BaseException, data: bytes, folder: Path) -> None:
    """The first input of each kind of finding, named after where it was raised, and a note of what."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    name = f"{type(error).__name__}-{Path(frame.filename).stem}-{frame.lineno}"
    if not (folder / name).exists():
        (folder / name).write_bytes(data)
        note = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {error!s:.200}"
        (folder / f"{name}.txt").write_text(note, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(main())
