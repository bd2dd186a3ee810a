"""Scores and run directories without speech, for the tests of `voiceclone check`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from factories import manifest_segment, manifest_speaker
from media_samples import syllables, write_wav
from voiceclone_cli.evaluation.model import Flag, SegmentScore, SpeakerScore, VoiceSource
from voiceclone_cli.files import file_sha256
from voiceclone_cli.rundir.manifest import ManifestSegment

GOOD = SegmentScore(
    id="0001",
    speaker="ANNA",
    text="We meet at noon.",
    words=4,
    flags=(),
    sha256="0" * 64,
    similarity=0.6,
    margin=0.2,
    nearest_other="BERT",
    wer=0.0,
    word_errors=0,
    transcript="We meet at noon.",
    mos=3.2,
    duration_ratio=1.0,
    loudness_db=0.0,
    peak_db=-6.0,
    clipped_samples=0,
    seconds=2.0,
    scored=True,
)


def row(id: str = "0001", **changes: Any) -> SegmentScore:
    return replace(GOOD, id=id, **changes)


def failed_row(id: str) -> SegmentScore:
    error = {"code": "worker_died", "message": "the worker died"}
    return SegmentScore(id, "ANNA", "We meet at noon.", 4, (Flag.FAILED,), error=error)


def voice(speaker: str = "ANNA", **changes: Any) -> SpeakerScore:
    good = SpeakerScore(speaker, VoiceSource.RECORDING, 10.0, 0.6, 0.2, "BERT", scored=True)
    return replace(good, **changes)


def finished_run(folder: Path, **changes: Any) -> Path:
    """A run directory as `voiceclone run` leaves it: a line of ANNA and one of BERT, both of bursts of noise."""
    recording = write_wav(_with_parent(folder.parent / "talk.wav"), syllables(16.0))
    for speaker in ("ANNA", "BERT"):
        write_wav(_with_parent(folder / "speakers" / speaker / "reference.wav"), syllables(3.0, seed=2))
    segments = [
        segment(folder, "0001", "ANNA", 0.5, "This is the first line."),
        segment(folder, "0002", "BERT", 8.0, "And this is the second one."),
    ]
    manifest = {
        "schema": "voiceclone.run/1",
        "status": "success",
        "run_dir": str(folder),
        "input": {"path": str(recording), "sha256": file_sha256(recording)},
        "speakers": [manifest_speaker(name) for name in ("ANNA", "BERT")],
        "turns": [
            {"start": 0.5, "end": 7.5, "speaker": "ANNA"},
            {"start": 8.0, "end": 15.0, "speaker": "BERT"},
        ],
        "segments": segments,
        **changes,
    }
    save_manifest(folder, manifest)
    return folder


def segment(folder: Path, id: str, speaker: str, start: float, text: str) -> ManifestSegment:
    wav = write_wav(_with_parent(folder / "segments" / f"{id}.wav"), syllables(2.0, rate=24_000), 24_000)
    return manifest_segment(
        id,
        speaker=speaker,
        start=start,
        end=start + 2.5,
        text=text,
        file=str(wav),
        seconds=2.0,
        placed_at=start,
        placed_seconds=2.0,
        sha256=file_sha256(wav),
    )


def save_manifest(folder: Path, manifest: Mapping[str, Any] | Sequence[Any]) -> None:
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")


def load_manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return manifest


def _with_parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
