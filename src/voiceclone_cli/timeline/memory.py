"""A mix that an earlier run has rendered is taken over when it would come out the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from voiceclone_cli.stages import Stages
from voiceclone_cli.timeline.rendering import STAGE, render
from voiceclone_cli.types import Placement, Progress, ProgressEvent, Recording, Segment
from voiceclone_worker.contract import SegmentRow


def render_or_recall(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    recording: Recording,
    *,
    mix: Path,
    stems: Path,
    max_stretch: float,
    stages: Stages,
    progress: Progress,
) -> tuple[Placement, ...]:
    """As :func:`render`, which says what it takes and raises. ``rows`` are those of spoken segments."""
    made_from = {
        "segments": [[segment.id, segment.speaker, segment.start, segment.end] for segment in segments],
        "sounds": {id: row.sha256 for id, row in rows.items()},
        "max_stretch": max_stretch,
    }
    known = stages.recall(STAGE, made_from)
    if known is not None:
        progress(ProgressEvent(STAGE, recording.seconds, recording.seconds, note="kept from before"))
        return tuple(Placement(**{**row, "warnings": tuple(row["warnings"])}) for row in known["placements"])
    placements = render(
        segments,
        {id: Path(row.file) for id, row in rows.items() if row.file is not None},
        recording,
        mix=mix,
        stems=stems,
        max_stretch=max_stretch,
        progress=progress,
    )
    speakers = sorted({segment.speaker for segment in segments})
    files = [mix, *(stems / f"{speaker}.wav" for speaker in speakers)]
    stages.keep(STAGE, made_from, {"placements": [asdict(p) for p in placements]}, large_files=files)
    return placements
