"""pyannote's progress hook as progress events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voiceclone_cli.types import Progress, ProgressEvent

STAGE = "diarization"

Hook = Callable[..., None]

# Where each step of the pipeline begins and ends, as shares of the whole; measured on a CPU.
_SHARES = {
    "segmentation": (0.0, 0.3),
    "speaker_counting": (0.3, 0.3),
    "embeddings": (0.3, 0.98),
    "discrete_diarization": (0.98, 1.0),
}


def progress_hook(progress: Progress, seconds: float) -> Hook:
    """A hook for a pipeline that works on ``seconds`` of audio; what it tells never runs backwards."""
    furthest = 0.0

    def hook(step: str, artifact: Any, *, completed: Any = None, total: Any = None, **_: Any) -> None:
        nonlocal furthest
        if step not in _SHARES:
            return
        start, end = _SHARES[step]
        # A step that ends calls without figures. The last batch counts as a full one, so completed
        # may pass total; both may be numpy integers.
        share = 1.0 if not total else min(1.0, float(completed or 0) / float(total))
        furthest = max(furthest, start + share * (end - start))
        progress(ProgressEvent(STAGE, furthest * seconds, seconds, note=step.replace("_", " ")))

    return hook
