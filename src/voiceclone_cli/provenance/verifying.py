"""Is a file cloned speech? Its watermark, its tags, and what a run's manifest knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voiceclone_cli.errors import InputError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.media.opening import open_audio
from voiceclone_cli.provenance.detection import STAGE, Detection, Verdict, detect
from voiceclone_cli.provenance.origin import Origin, OriginState, find_origin
from voiceclone_cli.provenance.tags import own_tags
from voiceclone_cli.provenance.watermark import load_watermark, watermark_folder
from voiceclone_cli.settings import Settings
from voiceclone_cli.types import Progress, ProgressEvent, no_progress

SCHEMA = "voiceclone.verify/1"

_VERDICTS = {
    Verdict.WATERMARKED: "the watermark of cloned speech is in it",
    Verdict.NOT_FOUND: "no watermark was found; that proves nothing: marks can be left out, and can be removed",
    Verdict.CANNOT_TELL: "nobody can tell whether there is a watermark",
}
_ORIGINS = {
    OriginState.KNOWN: "the run wrote exactly this file",
    OriginState.CHANGED: "the run wrote this file, and it was changed since",
    OriginState.INPUT: "this is the recording that the run was made from",
    OriginState.UNKNOWN: "no run's manifest was found that knows this file",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that can be said of a file."""

    file: Path
    sha256: str
    detection: Detection
    origin: Origin
    tags: Mapping[str, str]
    """Those that speak of synthetic voices."""

    @property
    def why(self) -> str:
        """The verdict in words."""
        words = _VERDICTS[self.detection.verdict]
        if self.detection.verdict is Verdict.CANNOT_TELL:
            reason = "nobody is heard speaking in it"
            if self.detection.speech:
                reason = "its sound ends near 2 kHz, where unmarked speech looks marked"
            words += f": {reason}"
        return words

    @property
    def origin_in_words(self) -> str:
        words = _ORIGINS[self.origin.state]
        if self.origin.run_dir is None:
            return words
        if self.origin.state is OriginState.UNKNOWN:
            words = "the run's manifest does not know this file"
        return f"{words} ({self.origin.run_dir / (self.origin.name or '')})"


def verify(
    file: Path, settings: Settings, *, run_dir: Path | None = None, progress: Progress = no_progress
) -> Verification:
    """Listen to any audio or video file from beginning to end, and look it up.

    ``run_dir``: whose manifest is asked; None: that of the run directory which the file lies in. Raises
    InputError (a file that cannot be decoded, ``media_too_short``, ``not_a_run_directory``) and
    PreflightError (the model).
    """
    with open_audio(file) as stream:
        watermark = load_watermark(watermark_folder(settings, progress), settings.threads)
        detection = detect(stream, watermark, progress)
        tags = own_tags(stream.tags)
    if not detection.seconds:
        raise InputError(
            f"{file} holds less than a tenth of a second of audio, too little for a watermark: "
            "give a longer piece.",
            code="media_too_short",
        )
    progress(ProgressEvent(STAGE, detection.seconds, detection.seconds))
    sha256 = file_sha256(file)
    return Verification(file, sha256, detection, find_origin(file, sha256, run_dir), tags)


def document(found: Verification) -> dict[str, Any]:
    """``voiceclone.verify/1``, as ``--json`` prints it. Times in seconds."""
    detection, origin = found.detection, found.origin
    return {
        "schema": SCHEMA,
        "file": str(found.file.absolute()),
        "sha256": found.sha256,
        "verdict": detection.verdict.value,
        "why": found.why,
        "seconds": round(detection.seconds, 3),
        "windows": {
            "speech": detection.speech,
            "narrow": detection.narrow,
            "marked": detection.marked,
        },
        "stretches": [
            {name: round(value, 3) for name, value in asdict(stretch).items()}
            for stretch in detection.stretches
        ],
        "origin": {
            "state": origin.state.value,
            "run_dir": None if origin.run_dir is None else str(origin.run_dir),
            "name": origin.name,
        },
        "tags": dict(found.tags),
    }
