"""Runs that are killed (SIGKILL) and resumed, and have to end with the bytes of a run that was not.

    python benchmarks/kill_and_resume.py --engine kokoro --kills 10
    python benchmarks/kill_and_resume.py --engine fish --kills 10 --checkpoint DIR

Two forms. "row": the command is killed several times in one run directory, at times spread over the whole work, and
then completes the run. "fresh": a new directory for each kill, at any time of a run; then the command completes it.
After each kill the workers must have ended within two seconds. Linux only.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.findings import differing, leftovers, sounds
from harness.processes import adopt_orphans, end_and_reap, living_children, wait_for_descendants
from voiceclone_cli.pipeline.demo import sample_recording

STAGES = {"diarization": "diarization", "transcription": "script", "casting": "casting"}
"""Under stages/ and in the document's timing."""

FORWARDED = ("checkpoint", "turns", "script", "mode", "workers", "language")
"""Options that are passed to `voiceclone run`."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL for the command."""

    form: str
    seconds: float
    """After the command's start."""
    stages: list[str]
    """Completed stages."""
    segments: int
    """Synthesized segments."""
    workers: int
    """Processes that ran below the command."""
    orphans: int
    """Those that still ran two seconds later."""


@dataclass(slots=True)
class Outcome:
    """Kills and the ends of the run directories."""

    kills: list[Kill] = field(default_factory=list)
    outran: int = 0
    """Commands that had ended before their kill."""
    resumes: list[dict[str, Any]] = field(default_factory=list)
    """The end of each run directory: its form, exit code, kept segments, differing and left files."""


class Runs:
    """The command, its reference run, and the directories of the killed runs."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._folder = folder
        self._chance = random.Random(options.seed)
        self._command = [
            *(sys.executable, "-m", "voiceclone_cli", "run", str(options.input), "--engine", options.engine),
            *("--json", "--progress", "none", "--quiet"),
            *(f"--{name}={value}" for name in FORWARDED if (value := getattr(options, name)) is not None),
        ]
        started = time.monotonic()
        self.reference = self._finish(folder / "reference")
        self.seconds = time.monotonic() - started
        self._sounds = sounds(folder / "reference")
        started = time.monotonic()
        self._finish(folder / "reference")
        self.start_seconds = time.monotonic() - started
        """Seconds of a command for a complete run."""

    def in_a_row(self, kills: int, outcome: Outcome) -> None:
        folder = self._folder / "row"
        for aim in sorted(self._chance.uniform(0, self._work()) for _ in range(kills)):
            self._kill_at(aim, folder, "row", outcome)
        self._resume(folder, "row", outcome)

    def fresh(self, kills: int, outcome: Outcome) -> None:
        for number in range(kills):
            folder = self._folder / f"fresh-{number}"
            self._kill_at(self._chance.uniform(-self.start_seconds, self._work()), folder, "fresh", outcome)
            self._resume(folder, "fresh", outcome)

    def _kill_at(self, aim: float, folder: Path, form: str, outcome: Outcome) -> None:
        """Kill the command after ``aim`` seconds of work, including that of earlier commands."""
        started = time.monotonic()
        process = self._start(folder, subprocess.DEVNULL)
        completed, since = self._completed_work(folder), started + self.start_seconds
        if aim < completed:  # an earlier command has come further: kill this one while it starts
            aim = completed - self._chance.uniform(0, self.start_seconds)
        # Each milestone corrects the clock, so that changes of speed do not matter.
        while process.poll() is None and completed + time.monotonic() - since < aim:
            time.sleep(0.02)
            if (now_completed := self._completed_work(folder)) != completed:
                completed, since = now_completed, time.monotonic()
        if process.poll() is not None:
            outcome.outran += 1
            return
        workers = len(living_children(process.pid))
        process.kill()
        seconds = round(time.monotonic() - started, 2)
        process.wait()
        orphans = wait_for_descendants(2.0)
        stages, segments = _completed(folder)
        outcome.kills.append(Kill(form, seconds, stages, segments, workers, len(orphans)))
        end_and_reap(orphans)
        print(outcome.kills[-1], file=sys.stderr)

    def _resume(self, folder: Path, form: str, outcome: Outcome) -> None:
        document = self._finish(folder)
        row = {
            "form": form,
            "reused": document["reused"],
            "differing": differing(self._sounds, folder),
            "left": leftovers(folder),
        }
        outcome.resumes.append(row)
        print(row, file=sys.stderr)

    def _finish(self, folder: Path) -> dict[str, Any]:
        """Run the command to its end. Raises SystemExit when it fails."""
        process = self._start(folder, subprocess.PIPE)
        out, err = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"exit code {process.returncode} in {folder}: {err.decode()}")
        document: dict[str, Any] = json.loads(out)
        return document

    def _start(self, folder: Path, streams: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, "--out", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=streams,
            stderr=streams,
            start_new_session=True,
        )

    def _work(self) -> float:
        """Return the seconds of the reference run after its start."""
        timing = self.reference["timing"]
        return float(sum(timing[stage] for stage in (*STAGES.values(), "speaking", "timeline")))

    def _completed_work(self, folder: Path) -> float:
        """Return the seconds of work that a resumed run would reuse."""
        timing = self.reference["timing"]
        stages, segments = _completed(folder)
        work = sum(timing[STAGES[stage]] for stage in stages if stage in STAGES)
        worker = timing["workers"]
        before_speaking = min(timing["speaking"], worker.get("load", 0.0) + worker.get("encode", 0.0))
        if "encoding" in stages:
            work += before_speaking
        share = segments / len(self.reference["segments"])
        return float(work + share * (timing["speaking"] - before_speaking))


def _completed(folder: Path) -> tuple[list[str], int]:
    """Return the cached stages and the number of segments of a run directory."""
    stages = sorted(path.stem for path in (folder / "stages").glob("*.json"))
    return stages, len(list((folder / "segments").glob("*.json")))


def main() -> None:
    options = _arguments()
    adopt_orphans()
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        runs = Runs(options, Path(folder))
        if options.form in ("row", "both"):
            runs.in_a_row(options.kills, outcome)
        if options.form in ("fresh", "both"):
            runs.fresh(options.kills, outcome)
    summary = summarise(options.engine, runs, outcome)
    print(json.dumps(summary) if options.json else "\n".join(table(summary)))
    raise SystemExit(1 if any(summary[key] for key in ("bytes_differing", "orphans", "files_left")) else 0)


def summarise(engine: str, runs: Runs, outcome: Outcome) -> dict[str, Any]:
    return {
        "engine": engine,
        "undisturbed_seconds": round(runs.seconds, 1),
        "start_seconds": round(runs.start_seconds, 1),
        "segments": len(runs.reference["segments"]),
        "kills": [asdict(kill) for kill in outcome.kills],
        "outran": outcome.outran,
        "resumes": outcome.resumes,
        "bytes_differing": sum(len(row["differing"]) for row in outcome.resumes),
        "orphans": sum(kill.orphans for kill in outcome.kills),
        "files_left": sum(len(row["left"]) for row in outcome.resumes),
    }


def table(summary: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{summary['engine']}, {summary['segments']} segments, without kills {summary['undisturbed_seconds']} s"
    )
    yield f"{'form':6} {'killed after':>12} {'segments':>9} {'workers':>8} {'after 2 s':>9}  stages completed it"
    for kill in summary["kills"]:
        yield (
            f"{kill['form']:6} {kill['seconds']:10.2f} s {kill['segments']:9d} {kill['workers']:8d} "
            f"{kill['orphans']:9d}  {', '.join(kill['stages'])}"
        )
    yield f"{len(summary['kills'])} kills ({summary['outran']} commands had ended before), then to the end:"
    kept = ", ".join(str(row["reused"]) for row in summary["resumes"])
    yield f"run directories finished {len(summary['resumes'])}, segments that their last command kept: {kept}"
    for key in ("bytes_differing", "orphans", "files_left"):
        yield f"{key.replace('_', ' ')} {summary[key]}"


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("kokoro", "fish", "echo"), required=True)
    parser.add_argument("--kills", type=int, default=10, help="of each form")
    parser.add_argument("--form", choices=("row", "fresh", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--input", type=Path, default=sample_recording(), help="default: pyannote's sample recording"
    )
    for name in FORWARDED:
        parser.add_argument(f"--{name}", help="as for `voiceclone run`")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
