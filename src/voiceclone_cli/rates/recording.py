"""After a run: what each stage that was really done has taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voiceclone_cli.rates.effort import speech_seconds
from voiceclone_cli.rates.history import Observation, load, save
from voiceclone_cli.rates.kinds import (
    DIARIZATION,
    ENCODING,
    LOADING,
    ORIGINAL,
    REPORT,
    SPEECH,
    TIMELINE,
    TRANSCRIPTION,
    VIDEO,
    Kind,
    kinds,
)
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.speaking import Spoken
from voiceclone_cli.tasks import Job

LEAST_SECONDS = 0.001
"""What takes no time that could be measured takes this long."""
_NAMES = {"script": TRANSCRIPTION}
"""Stages of the clock that are known here by another name. What is not known here is not kept."""
_AFTER_SPEAKING = {TIMELINE, VIDEO, ORIGINAL, REPORT}


def record(desk: Desk, diarizer: str, job: Job, spoken: Spoken) -> None:
    """Keep what this run has measured. Call it when the run is over; it never raises.

    A stage that was taken over from an earlier run measures nothing, nor does one that failed in parts: its
    time went into other things.
    """
    of = kinds(desk.request.settings, desk.engine, diarizer)
    measured = list(_of_stages(desk, of, spoken))
    if _is_clean(spoken):
        measured += _of_speaking(desk, of, job, spoken)
    if measured:
        history = load()
        for kind, observation in measured:
            history.add(kind, observation)
        save(history)


def _of_stages(desk: Desk, of: Mapping[str, Kind], spoken: Spoken) -> Iterator[tuple[Kind, Observation]]:
    """Each stage that works on the recording: a unit of its work is a second of audio."""
    left_out = set(desk.stages.reused) | ({DIARIZATION} if desk.request.turns else set())
    left_out |= {TRANSCRIPTION} if desk.request.script else set()
    left_out |= set() if _is_clean(spoken) else _AFTER_SPEAKING
    highest = 0
    for name, seconds in desk.clock.seconds.items():
        peak = desk.clock.peak_mb.get(name, 0)
        stage = _NAMES.get(name, name)
        if stage in of and stage not in left_out:
            # The peak is that of the process so far: what did not raise it took less, nobody knows how much.
            raised = peak if peak > highest else None
            audio = max(0.1, desk.recording.seconds)
            yield of[stage], Observation(audio, max(seconds, LEAST_SECONDS), raised)
        highest = max(highest, peak)


def _is_clean(spoken: Spoken) -> bool:
    return not (
        spoken.stopped or spoken.errors or any(row.status == "failed" for row in spoken.rows.values())
    )


def _of_speaking(
    desk: Desk, of: Mapping[str, Kind], job: Job, spoken: Spoken
) -> Iterator[tuple[Kind, Observation]]:
    """The parts of speaking. What is neither loading nor encoding counts as speech: the start of the
    workers, the waiting for the last of them."""
    memory_mb = spoken.peak_mb or None
    load_seconds = spoken.timing.get("load", 0.0) / job.settings.pool_size
    encode_seconds = spoken.timing.get("encode", 0.0)
    rest = desk.clock.seconds.get("speaking", 0.0) - load_seconds - encode_seconds
    new = [segment for segment in job.script.segments if segment.id not in spoken.kept]
    if "load" in spoken.timing:
        yield of[LOADING], Observation(1.0, max(load_seconds, LEAST_SECONDS), memory_mb)
    if "encode" in spoken.timing:
        amount = float(len(job.references))
        yield of[ENCODING], Observation(amount, max(encode_seconds, LEAST_SECONDS), memory_mb)
    if "generate" in spoken.timing:
        yield of[SPEECH], Observation(speech_seconds(new), max(rest, LEAST_SECONDS), memory_mb)
