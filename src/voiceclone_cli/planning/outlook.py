"""What of a run is left to do, stage by stage, and how long that will take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from voiceclone_cli.media.original import STAGE as ORIGINAL
from voiceclone_cli.rates import Estimate, estimate, load
from voiceclone_cli.rates.effort import speech_seconds
from voiceclone_cli.rates.kinds import (
    CASTING,
    DIARIZATION,
    ENCODING,
    LOADING,
    MEDIA,
    REPORT,
    SPEECH,
    TIMELINE,
    TRANSCRIPTION,
    VIDEO,
    kinds,
)
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.preparing import Prepared
from voiceclone_cli.tasks import Job
from voiceclone_cli.types import Segment

IN_WORKERS = (LOADING, ENCODING, SPEECH)
"""What every worker does in a process of its own."""

KEPT, GIVEN, TO_DO = "kept", "given", "to do"


@dataclass(frozen=True, slots=True)
class Ahead:
    """A stage of the run that would come now."""

    stage: str
    state: str
    """KEPT: an earlier run, or this plan, did it; GIVEN: the user did; TO_DO."""
    work: str
    """How much there is to do, for people."""
    estimate: Estimate | None
    """None where nothing is to do."""


@dataclass(frozen=True, slots=True)
class Outlook:
    stages: tuple[Ahead, ...]
    to_speak: tuple[Segment, ...]
    pool_size: int

    @property
    def seconds(self) -> tuple[float, float, float]:
        """Expected, least and most."""
        ahead = [stage.estimate for stage in self.stages if stage.estimate is not None]
        return sum(e.seconds for e in ahead), sum(e.low for e in ahead), sum(e.high for e in ahead)

    @property
    def is_measured(self) -> bool:
        """Whether every stage that matters was measured on this machine before."""
        total, _, _ = self.seconds
        return all(
            stage.estimate.runs or stage.estimate.seconds < 0.02 * total
            for stage in self.stages
            if stage.estimate is not None
        )

    @property
    def memory_mb(self) -> int:
        """Of all processes at their highest: what this one has taken it mostly keeps while the workers work."""
        here = [s.estimate.memory_mb for s in self.stages if s.estimate and s.stage not in IN_WORKERS]
        there = [s.estimate.memory_mb for s in self.stages if s.estimate and s.stage in IN_WORKERS]
        return max(here, default=0) + self.pool_size * max(there, default=0)


def look_ahead(
    desk: Desk, prepared: Prepared, job: Job, kept: Collection[str], *, mix_is_kept: bool, again: bool
) -> Outlook:
    """``kept``: ids of the lines that need not be spoken. ``again``: nothing that was made counts."""
    history = load()
    settings = desk.request.settings
    of = kinds(settings, desk.engine, prepared.diarization.diarizer)
    to_speak = tuple(segment for segment in job.script.segments if again or segment.id not in kept)
    states = _states(desk, to_speak, mix_is_kept=mix_is_kept and not again, again=again)
    works = _works(desk, job, to_speak)
    stages = []
    for stage, state in states.items():
        if state == TO_DO:
            amount, words = works[stage]
            stages.append(Ahead(stage, state, words, estimate(history, of[stage], amount)))
        else:
            stages.append(Ahead(stage, state, "", None))
    return Outlook(tuple(stages), to_speak, settings.pool_size)


def _states(desk: Desk, to_speak: Sequence[Segment], *, mix_is_kept: bool, again: bool) -> dict[str, str]:
    """Of the stages that this run has. A plan has listened and cast, or found that it was done: the run that
    comes takes that over."""
    request, run_dir = desk.request, desk.run_dir
    heard = TO_DO if again else KEPT
    encoded = ENCODING in desk.stages.reused and not again
    mixed = mix_is_kept and not to_speak
    states = {
        MEDIA: TO_DO,
        DIARIZATION: GIVEN if request.turns else heard,
        TRANSCRIPTION: GIVEN if request.script else heard,
        CASTING: heard,
        LOADING: TO_DO if to_speak or not encoded else KEPT,
        ENCODING: KEPT if encoded else TO_DO,
        SPEECH: TO_DO if to_speak else KEPT,
        TIMELINE: KEPT if mixed else TO_DO,
    }
    if desk.video_suffix is not None:
        video = run_dir.video(desk.video_suffix)
        states[VIDEO] = KEPT if mixed and video.is_file() else TO_DO
    if request.report:
        known = not again and desk.stages.recall(ORIGINAL, {}) is not None
        states[ORIGINAL] = KEPT if known else TO_DO
        states[REPORT] = TO_DO
    return states


def _works(desk: Desk, job: Job, to_speak: Sequence[Segment]) -> dict[str, tuple[float, str]]:
    """By stage: the amount in its unit, and in words."""
    audio = max(0.1, desk.recording.seconds)
    heard = audio, f"{audio:.0f} s of audio"
    speech = speech_seconds(to_speak)
    workers, references = job.settings.pool_size, len(job.references)
    return {
        **dict.fromkeys((MEDIA, DIARIZATION, TRANSCRIPTION, TIMELINE, ORIGINAL), heard),
        CASTING: (audio, _count(references, "speaker")),
        LOADING: (1.0, f"{desk.engine.name}, {_count(workers, 'worker')}"),
        ENCODING: (float(references), _count(references, "reference")),
        SPEECH: (speech, f"{_count(len(to_speak), 'line')}, about {speech:.0f} s"),
        VIDEO: (audio, "the pictures are copied"),
        REPORT: (audio, _count(len(job.script.segments), "line")),
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
