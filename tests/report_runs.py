"""Run directories for tests of the report: real wavs and documents of the shapes that a run and a check write."""

from __future__ import annotations

import hashlib
import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from factories import manifest_segment, manifest_speaker
from voiceclone_cli.rundir.manifest import ManifestSpeaker

RATE = 8000
SLOT = 2.0
"""Seconds from one line to the next."""


def write_tone(path: Path, seconds: float, pitch: float = 220.0, rate: int = RATE) -> str:
    """Write a wav that swells and fades, and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * rate)) / rate
    swell = np.sin(np.pi * times / seconds) * np.sin(2 * np.pi * pitch * times)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(times), "NONE", ""))
        file.writeframes(np.rint(12000 * swell).astype("<i2").tobytes())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_original(folder: Path, seconds: float) -> None:
    times = np.arange(round(seconds * RATE)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * 160 * times) * (0.6 + 0.4 * np.sin(2 * np.pi * 1.5 * times))
    soundfile.write(folder / "original.flac", sound, RATE)


def line(n: int, speaker: str, text: str, **others: Any) -> dict[str, Any]:
    """Return a segment of the manifest that is done, without a wav."""
    start = SLOT * n
    row: dict[str, Any] = {"id": f"{n + 1:04}", "speaker": speaker, "start": start, "end": start + 1.5}
    row |= {"text": text, "seconds": 1.4, "seed": 40 + n, "gain_db": -1.5, "placed_at": start}
    row |= {"placed_seconds": 1.4, "slot_end": start + SLOT - 0.03, **others}
    return {**manifest_segment(**row)}


def write_run(folder: Path, lines: Sequence[dict[str, Any]], **others: Any) -> Path:
    """Write a run directory with a wav for each line that is done, the mix, the original and the references."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = max((row["slot_end"] for row in lines), default=1.0) + 0.03
    names = sorted({row["speaker"] for row in lines})
    rows = [_with_wav(folder, row) for row in lines]
    for number, name in enumerate(names):
        write_tone(folder / "speakers" / name / "reference.wav", 3.0, 180 + 60 * number)
    write_tone(folder / "mix.wav", seconds)
    write_original(folder, seconds)
    manifest = {
        "schema": "voiceclone.run/1",
        "status": "success" if all(row["status"] == "done" for row in rows) else "partial",
        "run_dir": str(folder),
        "engine": "echo",
        "engine_why": "it was requested",
        "mode": "sequential",
        "speakers": [_speaker(folder, name, rows) for name in names],
        "segments": rows,
        "turns": [{"start": r["start"], "end": r["end"], "speaker": r["speaker"]} for r in rows],
        "outputs": {"mix": str(folder / "mix.wav"), "stems": {}},
        "timing": {"media": 0.4, "speaking": 9.5, "total": 12.0, "workers": {"load": 1.0, "generate": 8.0}},
        "errors": [],
        "notes": [],
        "input": {"path": str(folder / "talk.wav"), "seconds": seconds, "rate": RATE, "channels": 1},
        "settings": {
            "engine": {"value": "echo", "from": "flag"},
            "max_stretch": {"value": 1.3, "from": "default"},
        },
        "versions": {"voiceclone": "0.1.0"},
        **others,
    }
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _with_wav(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    if row["status"] != "done":
        return {**row, "file": None, "sha256": None, "placed_at": None, "placed_seconds": None}
    wav = folder / "segments" / f"{row['id']}.wav"
    sha256 = write_tone(wav, row["seconds"], 200 + 7 * (int(row["start"]) % 40))
    return {**row, "file": str(wav), "sha256": sha256}


def _speaker(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> ManifestSpeaker:
    own = sum(row["speaker"] == name for row in rows)
    return manifest_speaker(
        name,
        speech_seconds=1.5 * own,
        segments=own,
        reference=str(folder / "speakers" / name / "reference.wav"),
        reference_seconds=3.0,
        reference_text="what was said there",
        reference_spans=[],
    )


def write_check(folder: Path, measured: dict[str, dict[str, Any]]) -> None:
    """Write a check.json with these measures by id, of the current wavs."""
    rows = []
    for row in json.loads((folder / "run.json").read_text(encoding="utf-8"))["segments"]:
        if row["id"] in measured:
            found = {"id": row["id"], "speaker": row["speaker"], "sha256": row["sha256"], "text": row["text"]}
            found |= {
                "similarity": 0.81,
                "margin": 0.3,
                "wer": 0.0,
                "heard": row["text"],
                "mos": 3.6,
                "flags": [],
            }
            rows.append(found | measured[row["id"]])
    check = {"schema": "voiceclone.check/1", "run_dir": str(folder), "status": "passed", "segments": rows}
    (folder / "check.json").write_text(json.dumps(check), encoding="utf-8")
