"""What the speed of a stage depends on, besides how much there is to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.provenance import mark_of
from voiceclone_cli.rates import typical
from voiceclone_cli.rates.typical import Typical
from voiceclone_cli.settings import Settings

MEDIA, DIARIZATION, TRANSCRIPTION, CASTING = "media", "diarization", "transcription", "casting"
LOADING, ENCODING, SPEECH, TIMELINE = "loading", "encoding", "speech", "timeline"
VIDEO, ORIGINAL, REPORT = "video", "original", "report"


@dataclass(frozen=True, slots=True)
class Kind:
    """A stage as it is done here. What was measured of the same ``family`` tells something of it, what was
    measured of the same ``variant`` more."""

    stage: str
    family: str
    variant: str
    typical: Typical


def kinds(settings: Settings, engine: EngineChoice, diarizer: str) -> dict[str, Kind]:
    """By stage, in the order of a run."""
    threads = settings.threads
    each = settings.threads_each
    recogniser = Path(settings.asr_model).name
    all_threads, one_worker = f"{threads} threads", f"{each} threads"
    pool = f"{settings.pool_size} workers, {one_worker}, batch {settings.batch_size}"
    marked = "marked" if mark_of(engine.name, wanted=settings.watermark) else "unmarked"
    speaks, checkpoint = _identity(engine, compiled=settings.compile), engine.checkpoint
    found = (
        Kind(MEDIA, "", "", typical.MEDIA),
        Kind(DIARIZATION, diarizer, all_threads, typical.diarization(diarizer, threads)),
        Kind(TRANSCRIPTION, recogniser, all_threads, typical.transcription(threads)),
        Kind(CASTING, "", "", typical.CASTING),
        Kind(LOADING, speaks, f"{settings.pool_size} workers", typical.loading(engine.name, checkpoint)),
        Kind(ENCODING, speaks, one_worker, typical.encoding(engine.name, checkpoint, each)),
        Kind(
            SPEECH,
            speaks,
            f"{pool}, {marked}",
            typical.speech(engine.name, checkpoint, settings.pool_size, each),
        ),
        Kind(TIMELINE, settings.background, all_threads, typical.timeline(settings.background, threads)),
        Kind(VIDEO, "", "", typical.VIDEO),
        Kind(ORIGINAL, "", "", typical.ORIGINAL),
        Kind(REPORT, "", "", typical.REPORT),
    )
    return {kind.stage: kind for kind in found}


def _identity(engine: EngineChoice, *, compiled: bool) -> str:
    """An engine whose speed is the same. Weights are told apart by name and size: their content is not heard
    in how long they take."""
    if engine.name == "echo":
        return f"echo, delay {engine.options.get('delay', 0)}"
    if engine.name != "fish":
        return engine.name
    weights = Path(engine.checkpoint) / "model.pth"
    try:
        size = weights.stat().st_size
    except OSError:
        size = 0
    kind = "compiled" if compiled else "eager"
    return f"fish, {weights.parent.name} of {size} bytes, {engine.device}, {engine.precision}, {kind}"
