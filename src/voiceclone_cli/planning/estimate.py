"""Time and memory of each stage: as last measured on this machine, or typical of a server with two cores."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from voiceclone_cli.analysis.turns import GIVEN_TURNS
from voiceclone_cli.config import LOCAL, Settings, cores
from voiceclone_cli.engines.checkpoint import S1, S2, generation_of, weight_files
from voiceclone_cli.engines.memory import fish_memory
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.files import state_file, write_state
from voiceclone_cli.pipeline.context import RunContext
from voiceclone_cli.pipeline.results import RunResult
from voiceclone_cli.pipeline.synthesize import SynthesisResult
from voiceclone_cli.pipeline.tasks import SynthesisJob, encodings
from voiceclone_cli.provenance.watermark import watermark_of
from voiceclone_cli.system import has_nvidia_gpu
from voiceclone_cli.types import Segment
from voiceclone_worker.speech_units import speech_units

MEDIA, DIARIZATION, TRANSCRIPTION, SCRIPT, REFERENCES = (
    "media", "diarization", "transcription", "script", "casting",
)  # fmt: skip
LOADING, ENCODING, SPEECH, TIMELINE = "loading", "encoding", "speech", "timeline"
VIDEO, ORIGINAL, REPORT = "video", "original", "report"

SCHEMA = "voiceclone.rates/3"
MAX_MEASUREMENTS = 200
"""Those that were not renewed for the longest time are dropped first."""
MAX_FILE_BYTES = 1 << 20
MIN_SECONDS = 0.001
"""Resolution of the clock."""
MEASURED_MARGIN, TYPICAL_MARGIN = 1.35, 2.5
"""Factors between the estimate and its bounds."""
FAR, FAR_MARGIN = 4.0, 1.25
"""Where there is this many times more or less to do than was measured, the margin grows by the second factor."""
_S1_MINI_BYTES = 1.74e9
"""Size of model.pth of openaudio-s1-mini."""
_FISH_HOST_MB = 2800
"""A worker of a GPU on the machine itself, while it reads the weights (not measured)."""
_FRAME_WEIGHTS = {S1.name: 1.0, S2.name: 1.53}
"""Weights that a frame of speech reads, for each byte of the file, compared with openaudio-s1-mini: of s2-pro, 8.05 times
as many in a file of 5.26 times the size."""


class Measurement(NamedTuple):
    """What a stage took in the last run that did it."""

    work: float
    """Seconds of audio; starts of the workers for loading, voices for encoding."""
    seconds: float
    memory_mb: int | None
    """Peak of the process, 10^6 bytes; None where an earlier stage had a higher one."""


class StageCost(NamedTuple):
    """Typical time and memory of a stage as a run with some settings does it."""

    key: str
    """All that its speed depends on besides the amount of work; names its measurement."""
    fixed: float
    """Seconds."""
    each: float
    """Seconds for each unit of work (see ``Measurement``)."""
    memory_mb: int
    """Peak of the process, 10^6 bytes; of one worker for what workers do."""

    def seconds(self, work: float) -> float:
        """Return the typical seconds for an amount of work."""
        return self.fixed + self.each * work


class Estimate(NamedTuple):
    """Expected seconds with probable bounds, and the peak of the process in MB (10^6 bytes)."""

    seconds: float
    low: float
    high: float
    memory_mb: int
    runs: int
    """1 where the stage was measured on this machine, 0 where typical figures stand in."""


def estimate(measured: Mapping[str, Measurement], cost: StageCost, work: float) -> Estimate:
    """Scale the typical time for ``work`` by how the last measurement compared with the typical one."""
    seconds, last = cost.seconds(work), measured.get(cost.key)
    if last is None:
        return Estimate(seconds, seconds / TYPICAL_MARGIN, seconds * TYPICAL_MARGIN, cost.memory_mb, 0)
    seconds *= last.seconds / cost.seconds(last.work)
    is_far = not 1 / FAR <= max(work, MIN_SECONDS) / last.work <= FAR
    margin = MEASURED_MARGIN * (FAR_MARGIN if is_far else 1.0)
    return Estimate(seconds, seconds / margin, seconds * margin, last.memory_mb or cost.memory_mb, 1)


def stage_costs(settings: Settings, engine: EngineChoice, diarizer: str) -> dict[str, StageCost]:
    """Return the typical figures of every stage, in the order of a run."""
    gpu = has_nvidia_gpu()
    machine = f"{platform.machine()}, {cores()} cores{', NVIDIA' if gpu else ''}"
    all_threads, one_worker = f"{settings.threads} threads", f"{settings.threads_each} threads"
    background = settings.background
    mark = watermark_of(engine.name, wanted=settings.watermark)
    pool = (
        f"{settings.pool_size} workers, {one_worker}, batch {settings.batch_size}, {mark or 'no watermark'}"
    )
    name, size, reads = _engine_identity(engine, compiled=settings.compile)
    # Measured on two threads, and twice the threads do not halve the time.
    everywhere, there = ((2 / threads) ** 0.7 for threads in (settings.threads, settings.threads_each))
    worker_mb = {"kokoro": 1100, "fish": 0}.get(engine.name, 30)
    if engine.name == "fish":
        worker_mb = _fish_worker_mb(engine, settings, on_gpu=gpu and engine.device != "cpu")
    load = {"kokoro": 1.2, "fish": 3.0 + 4.0 * size}.get(engine.name, 0.01)
    effort = engine.options.get("effort", "")
    encode = {"kokoro": {"fast": 2.0, "best": 9.0}.get(effort, 5.0), "fish": 8.0}.get(engine.name, 0.01)
    speak = {"kokoro": 0.65, "fish": 0.3 if gpu else 4.2 * reads}.get(engine.name, 0.01)
    diarize = 0.2 if diarizer == "embedded" else 0.5
    # Words that are recognized while the turns are found take only the seconds that are left after the turns.
    words = f"{Path(settings.asr_model).name}, {all_threads}{'' if diarizer == GIVEN_TURNS else ', beside the turns'}"
    mix = {"none": (0.05, 0.002, 200), "keep": (0.5, 0.12 * everywhere, 900)}.get(
        background, (0.05, 0.005, 200)
    )
    # What the speed depends on, fixed seconds, seconds for each unit of work, MB.
    table: dict[str, tuple[str, float, float, int]] = {
        MEDIA: ("", 0.1, 0.002, 110),
        DIARIZATION: (f"{diarizer}, {all_threads}", 5.0, diarize * everywhere, 1200),
        TRANSCRIPTION: (words, 1.5, 0.3 * everywhere, 1300),
        SCRIPT: ("", 1.0, 0.0005, 250),  # the detector of its language is loaded
        REFERENCES: ("", 0.05, 0.002, 150),
        LOADING: (f"{name}, {settings.pool_size} workers", 0.0, load, worker_mb),
        ENCODING: (", ".join(filter(None, (name, effort, one_worker))), 0.0, encode * there, worker_mb),
        SPEECH: (f"{name}, {pool}", 0.6, speak * there / settings.pool_size, worker_mb),
        TIMELINE: (f"background {background}, {all_threads}", *mix),
        VIDEO: ("", 0.3, 0.01, 300),
        ORIGINAL: ("", 0.1, 0.004, 200),
        REPORT: ("", 0.3, 0.002, 200),
    }
    return {
        stage: StageCost(
            ", ".join(part for part in (stage, variant, machine) if part), fixed, each, memory_mb
        )
        for stage, (variant, fixed, each, memory_mb) in table.items()
    }


def _engine_identity(engine: EngineChoice, *, compiled: bool) -> tuple[str, float, float]:
    """Name of an engine with all that its speed depends on, its checkpoint's size, and the weights that a frame reads,
    both in those of s1-mini."""
    if engine.name == "echo":
        return f"echo, delay {engine.options.get('delay', 0)}", 0.0, 0.0
    if engine.name != "fish":
        return engine.name, 0.0, 0.0
    folder = Path(engine.checkpoint)
    try:
        generation = generation_of(folder)
        size = sum((folder / name).stat().st_size for name in weight_files(folder))
    except (OSError, PreflightError):
        return "fish", 1.0, 1.0
    how = f"{engine.device}, {engine.precision}, {'compiled' if compiled else 'eager'}"
    relative = size / _S1_MINI_BYTES
    return f"fish, {folder.name} of {size} bytes, {how}", relative, relative * _FRAME_WEIGHTS[generation.name]


def _fish_worker_mb(engine: EngineChoice, settings: Settings, *, on_gpu: bool) -> int:
    """Return what a worker with fish takes on the machine itself, where "auto" is float32."""
    precision = "float32" if engine.precision == "auto" else engine.precision
    try:
        memory = fish_memory(
            Path(engine.checkpoint), precision, settings.batch_size, threads=settings.threads_each
        )
    except (OSError, PreflightError):
        return _FISH_HOST_MB  # the worker says what is wrong with the checkpoint
    return _FISH_HOST_MB if on_gpu else round((memory.total + memory.mapped) / 1e6)


def speech_seconds(segments: Iterable[Segment]) -> float:
    """Return how long these segments will be: 15 units of speech a second, and 0.3 s each beyond that."""
    return sum(0.3 + speech_units(segment.text) / 15.0 for segment in segments)


def load_measurements() -> dict[str, Measurement]:
    """Read what was measured, by key of ``StageCost``; empty where nothing was, or nothing can be read."""
    path = state_file("rates.json")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return {}
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = document["measured"].items() if document["schema"] == SCHEMA else ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {key: Measurement(*row) for key, row in rows if _is_measurement(row)}


def _is_measurement(row: Any) -> bool:
    def is_amount(value: Any) -> bool:
        return isinstance(value, int | float) and math.isfinite(value) and 0 < value < 1e9

    if not (isinstance(row, list) and len(row) == 3 and all(map(is_amount, row[:2]))):
        return False
    return row[2] is None or (isinstance(row[2], int) and is_amount(row[2]))


def record(ctx: RunContext, job: SynthesisJob, speech: SynthesisResult) -> None:
    """Save the time of each stage of a run that has ended. A file that cannot be written is left as it is.

    A stage whose result was reused measures nothing, nor do synthesis and later stages where a segment failed.
    """
    costs = stage_costs(ctx.request.settings, ctx.engine, job.diarization.diarizer)
    new = {**_measured_by_clock(ctx, costs, speech), **_measured_by_workers(ctx, costs, job, speech)}
    if not new:
        return
    known = load_measurements()
    for key, found in new.items():
        before = known.pop(key, None)
        peak = found.memory_mb or (before.memory_mb if before else None)
        known[key] = found._replace(seconds=max(round(found.seconds, 3), MIN_SECONDS), memory_mb=peak)
    document = {"schema": SCHEMA, "measured": dict(list(known.items())[-MAX_MEASUREMENTS:])}
    write_state(state_file("rates.json"), json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def record_run(result: RunResult) -> None:
    """Save the time of each stage of a run that had this machine to itself."""
    if result.job.settings.executor == LOCAL:
        record(result.ctx, result.job, result.speech)


def _measured_by_clock(
    ctx: RunContext, costs: Mapping[str, StageCost], speech: SynthesisResult
) -> dict[str, Measurement]:
    """Return the stages that this process itself runs."""
    clock, skipped = ctx.clock, set(ctx.cache.reused)
    skipped |= {DIARIZATION} if ctx.request.turns else set()
    skipped |= set() if speech.is_complete else {TIMELINE, VIDEO, ORIGINAL, REPORT}
    if DIARIZATION in skipped:
        # Nothing else ran while the words were recognized.
        alone = stage_costs(ctx.request.settings, ctx.engine, GIVEN_TURNS)
        costs = {**costs, TRANSCRIPTION: alone[TRANSCRIPTION]}
    found, highest = {}, 0
    for name, seconds in clock.seconds.items():
        # Without a script its stage is the transcription.
        is_transcription = name == SCRIPT and ctx.request.script is None
        stage, peak = TRANSCRIPTION if is_transcription else name, clock.peak_mb.get(name, 0)
        if stage in costs and stage not in skipped:
            # The peak is that of the process so far: for a stage that did not raise it, it is unknown.
            raised = peak if peak > highest else None
            found[costs[stage].key] = Measurement(max(0.1, ctx.recording.seconds), seconds, raised)
        highest = max(highest, peak)
    return found


def _measured_by_workers(
    ctx: RunContext, costs: Mapping[str, StageCost], job: SynthesisJob, speech: SynthesisResult
) -> dict[str, Measurement]:
    """Return the parts of synthesis. What is neither loading nor encoding counts as speech: also the start of the
    workers and the wait for the last of them."""
    if not speech.is_complete:
        return {}
    load = speech.timing.get("load", 0.0) / job.settings.pool_size
    encode = speech.timing.get("encode", 0.0)
    rest = ctx.clock.seconds.get("speaking", 0.0) - load - encode
    new = [segment for segment in job.script.segments if segment.id not in speech.reused]
    parts = {
        "load": (LOADING, 1.0, load),
        "encode": (ENCODING, float(encodings(job)), encode),
        "generate": (SPEECH, round(speech_seconds(new), 3), rest),
    }
    return {
        costs[stage].key: Measurement(work, seconds, speech.peak_mb or None)
        for part, (stage, work, seconds) in parts.items()
        if part in speech.timing
    }
