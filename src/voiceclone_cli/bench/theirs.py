"""Upstream's modes: fish-speech's own program, measured in the worker's interpreter."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from voiceclone_cli.bench.material import Material, spread_sample
from voiceclone_cli.bench.measure import FISH_FRAME, FISH_RATE, Failed, Measure, scaled
from voiceclone_cli.bench.memory import ChildMemory
from voiceclone_cli.bench.modes import Kind, Mode
from voiceclone_cli.engines import FISH_SAMPLING, EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.machine.clock import add_seconds
from voiceclone_cli.settings import Settings
from voiceclone_cli.tasks import segment_seed
from voiceclone_cli.types import Progress, ProgressEvent, Script, Segment
from voiceclone_cli.workers.local.environment import worker_command
from voiceclone_cli.workers.local.tool import OnEvent, ask_tool

PATIENCE_SECONDS = 86_400.0
"""For one process: on a laptop upstream speaks a line in minutes, a hundred lines in hours."""

PER_LINE = ("generate", "decode", "write")
"""The stages of the loop that grow with the number of lines."""


class Upstream:
    """Upstream's program and what it is to speak. ``folder`` takes its files."""

    def __init__(
        self, material: Material, engine: EngineChoice, settings: Settings, folder: Path, progress: Progress
    ) -> None:
        self._material = material
        self._engine = engine
        self._settings = settings
        self._folder = folder
        self._progress = progress

    def original(self, sample: int) -> Measure:
        """Its three steps for each segment of a sample, a process each."""
        mode = Mode(Kind.ORIGINAL)
        script = self._sample(sample)
        measure = self._begin(mode, script)
        job = self._write_job(script, window="own")
        frames = done = 0
        with ChildMemory() as memory:
            started = time.perf_counter()
            for number, segment in enumerate(script.segments):
                self._progress(ProgressEvent(mode.name, number, measure.measured, note=segment.id))
                try:
                    frames += self._three_steps(segment, job, measure)
                    done += 1
                except PreflightError as error:
                    measure.failed.append(Failed(segment.id, error.code, error.message))
            wall = time.perf_counter() - started
        self._progress(ProgressEvent(mode.name, measure.measured, measure.measured))
        measure.peak_mb = memory.peak_mb or measure.largest_mb
        if done:
            measure.wall = scaled(wall, measure.segments, measure.measured)
            measure.stages = {
                stage: scaled(seconds, measure.segments, measure.measured)
                for stage, seconds in measure.stages.items()
            }
            _count_frames(measure, frames)
        return measure

    def _three_steps(self, segment: Segment, job: Path, measure: Measure) -> int:
        """The frames of the segment, which then has its wav. Raises PreflightError."""
        frames = 0
        for step, name in (
            ("encode", segment.speaker),
            ("generate", segment.id),
            ("decode", segment.id),
        ):
            answer = self._ask(step, job, name)
            _account(answer, measure)
            frames = answer.get("frames", 0)
        return frames

    def loop(self, mode: Mode, sample: int) -> Measure:
        """Its functions in one process that has loaded the models once, a segment at a time."""
        script = self._sample(sample)
        measure = self._begin(mode, script)
        job = self._write_job(script, window="cut" if mode.kind is Kind.CUT_LOOP else "own")

        def show(event: dict[str, Any]) -> None:
            if event["event"] == "upstream_line":
                self._progress(ProgressEvent(mode.name, event["completed"], measure.measured))

        self._progress(ProgressEvent(mode.name, 0, measure.measured))
        with ChildMemory() as memory:
            started = time.perf_counter()
            answer = self._ask("loop", job, on_event=show)
            wall = time.perf_counter() - started
        _account(answer, measure)
        measure.peak_mb = memory.peak_mb or measure.largest_mb
        measure.window = answer["window"]
        for row in answer["lines"]:
            if row["error"] is not None:
                measure.failed.append(Failed(row["id"], "upstream_failed", row["error"]))
        if len(measure.failed) < measure.measured:
            _scale_lines(measure, wall)
            _count_frames(measure, sum(row["frames"] or 0 for row in answer["lines"]))
        return measure

    def _sample(self, count: int) -> Script:
        return self._material.only(spread_sample(self._material.script, count))

    def _begin(self, mode: Mode, script: Script) -> Measure:
        measure = Measure(mode, len(self._material.script.segments), len(script.segments))
        if self._engine.precision == "int8":
            measure.notes.append("upstream has no int8 of our kind and computed in bf16, its own default")
        return measure

    def _write_job(self, script: Script, window: str) -> Path:
        """The file that the worker's tool reads; see its documentation."""
        spec = self._engine.spec(batch_size=1, threads=self._settings.threads)
        job = {
            "checkpoint": spec.checkpoint,
            "source": spec.options.get("source", ""),
            "device": spec.device,
            "precision": spec.precision,
            "compile": bool(spec.options.get("compile", False)),
            "sampling": {key: spec.options[key] for key in FISH_SAMPLING},
            "window": window,
            "folder": str(self._folder),
            # All speakers', also for a sample: encoding then costs what it costs for all lines.
            "references": {
                name: {"audio": str(reference.audio), "text": reference.text}
                for name, reference in self._material.references.items()
            },
            "lines": [
                {
                    "id": segment.id,
                    "speaker": segment.speaker,
                    "text": segment.text,
                    "seed": segment_seed(self._settings.seed, segment.id),
                }
                for segment in script.segments
            ],
        }
        path = self._folder / "job.json"
        path.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
        return path

    def _ask(
        self, step: str, job: Path, *names: str, on_event: OnEvent = lambda event: None
    ) -> dict[str, Any]:
        command = worker_command(self._engine.python, threads=self._settings.threads)
        return ask_tool(
            command, "upstream", [step, str(job), *names], seconds=PATIENCE_SECONDS, on_event=on_event
        )


def _account(answer: dict[str, Any], measure: Measure) -> None:
    """Add what one process has needed."""
    add_seconds(measure.stages, answer["seconds"])
    measure.largest_mb = max(measure.largest_mb or 0, answer["peak_mb"] or 0) or None
    measure.precision, measure.device = answer["precision"], answer["device"]


def _scale_lines(measure: Measure, wall: float) -> None:
    """Lines are scaled to all; loading and encoding happen once, however many lines there are."""
    spoken = sum(measure.stages.get(stage, 0.0) for stage in PER_LINE)
    for stage in PER_LINE:
        if stage in measure.stages:
            measure.stages[stage] = scaled(measure.stages[stage], measure.segments, measure.measured)
    measure.wall = wall - spoken + scaled(spoken, measure.segments, measure.measured)


def _count_frames(measure: Measure, frames: int) -> None:
    measure.frames = scaled(frames, measure.segments, measure.measured)
    measure.speech_seconds = measure.frames * FISH_FRAME / FISH_RATE
