"""A mix that an earlier run has rendered is taken over when it would come out the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.timeline.rendering import STAGE, Rendering, render
from voiceclone_cli.types import Placement, Progress, ProgressEvent, Recording, Segment, Turn
from voiceclone_worker.contract import SegmentRow


def render_or_recall(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    recording: Recording,
    *,
    mix: Path,
    stems: Path,
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    models: Mapping[str, Path],
    threads: int,
    info: Mapping[str, str],
    stages: Stages,
    progress: Progress,
) -> Rendering:
    """As :func:`render`, which says what it takes and raises. ``rows`` are those of spoken segments."""
    made_from = _made_from(segments, rows, turns, max_stretch, background, info)
    known = _known(stages, made_from)
    if known is not None:
        progress(ProgressEvent(STAGE, recording.seconds, recording.seconds, note="kept from before"))
        return known
    rendering = render(
        segments,
        {id: Path(row.file) for id, row in rows.items() if row.file is not None},
        recording,
        mix=mix,
        stems=stems,
        turns=turns,
        max_stretch=max_stretch,
        background=background,
        models=models,
        threads=threads,
        info=info,
        progress=progress,
    )
    value = {
        "placements": [asdict(placement) for placement in rendering.placements],
        "rate": rendering.rate,
        "sha256": dict(rendering.sha256),
    }
    stages.keep(STAGE, made_from, value, large_files=[mix.parent / name for name in rendering.sha256])
    return rendering


def recall(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    *,
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    info: Mapping[str, str],
    stages: Stages,
) -> Rendering | None:
    """What an earlier run has rendered, if it would come out the same and is still there. Only looks."""
    return _known(stages, _made_from(segments, rows, turns, max_stretch, background, info))


def _known(stages: Stages, made_from: Mapping[str, Any]) -> Rendering | None:
    known = stages.recall(STAGE, made_from)
    if known is None:
        return None
    placements = (Placement(**{**row, "warnings": tuple(row["warnings"])}) for row in known["placements"])
    return Rendering(tuple(placements), known["rate"], known["sha256"])


def _made_from(
    segments: Sequence[Segment],
    rows: Mapping[str, SegmentRow],
    turns: Sequence[Turn],
    max_stretch: float,
    background: str,
    info: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "segments": [[segment.id, segment.speaker, segment.start, segment.end] for segment in segments],
        "sounds": {id: row.sha256 for id, row in rows.items()},
        "turns": [astuple(turn) for turn in turns],
        "max_stretch": max_stretch,
        "background": background,
        "info": dict(info),
    }
