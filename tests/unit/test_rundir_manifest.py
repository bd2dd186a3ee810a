"""The one document of a run: its keys are a promise to scripts and CI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.pipeline.assemble import Mix
from voiceclone_cli.pipeline.context import RunContext, failure_document, record_failure
from voiceclone_cli.pipeline.prepare import Prepared
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.results import manifest_document, missing_outputs
from voiceclone_cli.pipeline.synthesize import SynthesisResult, exit_code
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.rundir.manifest import write_manifest
from voiceclone_cli.system import Clock
from voiceclone_cli.types import (
    Diarization,
    Placement,
    Recording,
    Reference,
    Script,
    Segment,
    Turn,
    no_progress,
)
from voiceclone_worker.protocol import Failure, SegmentRow


def made(
    folder: Path, rows: dict[str, SegmentRow], notes: Sequence[str] = (), **ended: Any
) -> tuple[SynthesisJob, dict[str, Any]]:
    segments = tuple(Segment(f"000{n}", "SPEAKER_00", n, n + 0.5, f"line {n}", "en") for n in (1, 2))
    run_dir = resume_directory(folder / "run", "abc")
    reference = Reference("SPEAKER_00", run_dir.speakers / "reference.wav", "the words", 9.5, ((1.0, 10.5),))
    settings = resolve({}, {"HF_TOKEN": "hf_secret"})
    engine = EngineChoice("echo", "asked", None, "codes.txt")
    recording = Recording(Path("in.wav"), np.zeros(16_000, np.float32), 8_000, 24_000, 2, has_video=False)
    clock = Clock()
    clock.stop()
    request = RunRequest(recording.path, settings)
    stages = StageCache(run_dir.root, "abc")
    ctx = RunContext(request, recording, "abc", engine, None, run_dir, stages, clock, ["a note"], no_progress)
    diarization = Diarization((Turn(1.0, 3.0, "SPEAKER_00"),), (), "embedded", "it was asked for")
    prepared = Prepared(diarization, Script(segments), "whisper-base", {"SPEAKER_00": reference})
    job = replace(prepared.job(ctx), slot_ends={"0001": 2.0, "0002": 3.0})
    placed = [Placement("0001", 16_000, 8_000, 1.1, 0.0, -2.0)]
    spoken = SynthesisResult(rows=rows, kept={"0001"}, notes=list(notes), **ended)
    return job, manifest_document(ctx, prepared, job, spoken, Mix(placed, 16_000))


DONE = SegmentRow(0, "0001", "done", "/0001.wav", 0.5, 12_000, 7, 1, "e3b0")
FAILED = SegmentRow(0, "0002", "failed", error=Failure("language", "kokoro cannot read it"))


def test_the_document_has_the_keys_that_scripts_rely_on(tmp_path: Path) -> None:
    _, content = made(tmp_path, {"0001": DONE, "0002": FAILED})
    assert {
        "schema", "status", "run_dir", "engine", "mode", "speakers", "segments", "outputs", "timing", "errors",
    } <= content.keys()  # fmt: skip
    assert {
        "id", "speaker", "start", "end", "text", "status", "file", "seconds", "seed", "stretch", "error",
    } <= content["segments"][0].keys()  # fmt: skip
    assert {"mix", "rttm", "script", "stems", "report"} <= content["outputs"].keys()


@pytest.mark.parametrize(
    "rows, status, code",
    [
        ({"0001": DONE, "0002": SegmentRow(0, "0002", "done", "/0002.wav", 0.5)}, "success", 0),
        ({"0001": DONE, "0002": FAILED}, "partial", 3),
        ({"0001": SegmentRow(0, "0001", "failed", error=Failure("x", "y")), "0002": FAILED}, "error", 1),
    ],
)
def test_the_status_follows_from_the_segments(
    tmp_path: Path, rows: dict[str, SegmentRow], status: str, code: int
) -> None:
    _, content = made(tmp_path, rows)
    assert content["status"] == status and exit_code(SynthesisResult(rows=rows)) == code


def test_work_that_could_not_begin_at_all_lacked_something() -> None:
    reason = Failure("checkpoint_unusable", "model.pth cannot be loaded; fetch it again")
    failed = {"0001": replace(FAILED, id="0001", error=reason), "0002": replace(FAILED, error=reason)}
    assert exit_code(SynthesisResult(rows=failed, errors=[reason])) == 4
    assert exit_code(SynthesisResult(rows={**failed, "0001": DONE}, errors=[reason])) == 3, "kept from before"
    assert exit_code(SynthesisResult(rows=failed, errors=[reason], stopped=Stopped(130))) == 130


def test_each_note_stands_there_once(tmp_path: Path) -> None:
    _, content = made(
        tmp_path, {"0001": DONE, "0002": FAILED}, notes=["the batch was halved for want of memory", "a note"]
    )
    assert content["notes"] == ["a note", "the batch was halved for want of memory"]


def test_every_failed_segment_is_an_error_with_its_id(tmp_path: Path) -> None:
    _, content = made(tmp_path, {"0001": DONE, "0002": FAILED})
    assert content["errors"] == [{"code": "language", "message": "kokoro cannot read it", "segment": "0002"}]
    assert content["segments"][1]["status"] == "failed" and content["segments"][1]["file"] is None


def test_no_secret_reaches_the_manifest(tmp_path: Path) -> None:
    job, content = made(tmp_path, {"0001": DONE, "0002": FAILED})
    write_manifest(job.run_dir.root, content)
    text = job.run_dir.manifest.read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert "hf_secret" not in text and "token" not in content["settings"]


def test_settings_stand_there_with_their_source(tmp_path: Path) -> None:
    _, content = made(tmp_path, {"0001": DONE, "0002": FAILED})
    assert content["settings"]["batch_size"] == {"value": 5, "from": "default"}
    assert content["input"]["frames"] == 24_000 and content["input"]["seconds"] == 3.0


def test_a_run_that_could_not_begin_has_a_document_of_the_same_schema() -> None:
    content = failure_document(InputError("no such file", code="media_missing"))
    assert content["schema"] == "voiceclone.run/1" and content["status"] == "error"
    assert content["errors"] == [{"code": "media_missing", "message": "no such file", "segment": None}]
    (error,) = failure_document(Stopped(130))["errors"]
    assert error["code"] == "interrupted"


def test_what_was_stopped_or_lacks_its_mix_is_no_success(tmp_path: Path) -> None:
    rows = {"0001": DONE, "0002": DONE}
    full = Failure("disk_full", "the disk is full")
    for name, ended in {"stopped": Stopped(130), "errors": [full]}.items():
        _, content = made(tmp_path / name, rows, **{name: ended})
        assert content["status"] == "partial" and len(content["errors"]) == 1
    assert exit_code(SynthesisResult(rows=rows, stopped=Stopped(130))) == 130
    assert exit_code(SynthesisResult(rows=rows, errors=[full])) == 3


def test_a_reason_stands_among_the_errors_once(tmp_path: Path) -> None:
    full = Failure("disk_full", "the disk is full")
    _, content = made(tmp_path, {"0001": DONE, "0002": DONE}, errors=[full, full])
    assert len(content["errors"]) == 1
    kept = missing_outputs(content, RunError("the disk is full", code="disk_full"))
    assert kept["status"] == "error" and len(kept["errors"]) == 1


def test_a_failure_is_recorded_only_where_no_earlier_manifest_holds(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "abc")
    record_failure(run_dir, Stopped(143))
    recorded = json.loads(run_dir.manifest.read_text(encoding="utf-8"))
    assert recorded["status"] == "error" and recorded["input"] == {"sha256": "abc"}
    run_dir.manifest.write_text('{"status": "success"}', encoding="utf-8")
    record_failure(run_dir, Stopped(143))
    assert run_dir.manifest.read_text(encoding="utf-8") == '{"status": "success"}'
