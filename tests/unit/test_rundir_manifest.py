"""The one document of a run: its keys are a promise to scripts and CI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factories import run_request
from media_samples import syllables, write_wav
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.mixing.render import Rendering
from voiceclone_cli.pipeline.context import RunContext, open_run
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.pipeline.results import make_manifest
from voiceclone_cli.pipeline.synthesize import SynthesisResult
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.rundir.manifest import Manifest, failure_document
from voiceclone_cli.system import Clock
from voiceclone_cli.types import (
    Diarization,
    OmittedText,
    Placement,
    Recording,
    Reference,
    Script,
    Segment,
    Turn,
    no_progress,
)
from voiceclone_worker.protocol import Failure, SegmentRow

OMITTED = (
    OmittedText("cue 3", 3.5, 4.0, "[door slams]", "sound"),
    OmittedText("cue 4", None, None, "[thunder]", "its times cannot be read"),
)


def manifest(folder: Path, rows: dict[str, SegmentRow], notes: Sequence[str] = (), **ended: Any) -> Manifest:
    segments = tuple(Segment(f"000{n}", "SPEAKER_00", n, n + 0.5, f"line {n}", "en") for n in (1, 2))
    run_dir = resume_directory(folder / "run", "abc")
    reference = Reference("SPEAKER_00", run_dir.speakers / "reference.wav", "the words", 9.5, ((1.0, 10.5),))
    settings = resolve({}, {"HF_TOKEN": "hf_secret"})
    engine = EngineChoice("echo", "asked", None)
    recording = Recording(Path("in.wav"), np.zeros(16_000, np.float32), 8_000, 24_000, 2, has_video=False)
    clock = Clock()
    clock.stop()
    request = RunRequest(recording.path, settings)
    cache = StageCache(run_dir.root, "abc")
    ctx = RunContext(request, recording, "abc", engine, None, run_dir, cache, clock, ["a note"], no_progress)
    diarization = Diarization((Turn(1.0, 3.0, "SPEAKER_00"),), (), "embedded", "it was asked for")
    slot_ends = {"0001": 2.0, "0002": 3.0}
    references = {"SPEAKER_00": reference}
    job = SynthesisJob(
        Script(segments, (), OMITTED, {"label": 2}),
        references,
        slot_ends,
        run_dir,
        engine,
        settings,
        diarization,
        "whisper-base",
    )
    placed = (Placement("0001", 16_000, 8_000, 1.1, 0.0, -2.0),)
    speech = SynthesisResult(rows, {"0001"}, notes=list(notes), **ended)
    return make_manifest(ctx, job, speech, Rendering(placed, 16_000, {}))


def document(folder: Path, rows: dict[str, SegmentRow], **fields: Any) -> dict[str, Any]:
    return manifest(folder, rows, **fields).to_dict()


DONE = SegmentRow(0, "0001", "done", "/0001.wav", 0.5, 12_000, 7, 1, "e3b0")
FAILED = SegmentRow(0, "0002", "failed", error=Failure("language", "kokoro cannot read it"))


def test_the_document_has_the_keys_that_scripts_rely_on(tmp_path: Path) -> None:
    content = document(tmp_path, {"0001": DONE, "0002": FAILED})
    assert {
        "schema", "status", "run_dir", "engine", "mode", "speakers", "segments", "outputs", "timing", "errors",
    } <= content.keys()  # fmt: skip
    assert {
        "id", "speaker", "start", "end", "text", "status", "file", "seconds", "seed", "stretch", "error",
    } <= content["segments"][0].keys()  # fmt: skip
    assert {"mix", "rttm", "script", "stems", "report"} <= content["outputs"].keys()


def test_text_that_is_not_spoken_and_how_speakers_were_found_are_there(tmp_path: Path) -> None:
    written = manifest(tmp_path, {"0001": DONE, "0002": FAILED})
    assert written.speakers_found == {"label": 2}
    assert [row["text"] for row in written.omitted] == ["[door slams]", "[thunder]"]
    written.save(tmp_path)
    assert Manifest.load(tmp_path).omitted == written.omitted
    document = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    document["omitted"][0]["start"] = "soon"
    (tmp_path / "run.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match="omitted"):
        Manifest.load(tmp_path)


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
    content = document(tmp_path, rows)
    assert content["status"] == status and SynthesisResult(rows).exit_code == code


def test_work_that_failed_as_a_whole_has_the_exit_code_of_a_missing_requirement() -> None:
    reason = Failure("checkpoint_unusable", "model.pth cannot be loaded; fetch it again")
    failed = {"0001": replace(FAILED, id="0001", error=reason), "0002": replace(FAILED, error=reason)}
    assert SynthesisResult(failed, errors=[reason]).exit_code == 4
    assert SynthesisResult({**failed, "0001": DONE}, errors=[reason]).exit_code == 3, "kept from before"
    assert SynthesisResult(failed, errors=[reason], stopped=Stopped(130)).exit_code == 130


def test_each_note_is_there_once(tmp_path: Path) -> None:
    content = document(
        tmp_path, {"0001": DONE, "0002": FAILED}, notes=["the batch was halved for want of memory", "a note"]
    )
    assert content["notes"] == ["a note", "the batch was halved for want of memory"]


def test_every_failed_segment_is_an_error_with_its_id(tmp_path: Path) -> None:
    content = document(tmp_path, {"0001": DONE, "0002": FAILED})
    assert content["errors"] == [{"code": "language", "message": "kokoro cannot read it", "segment": "0002"}]
    assert content["segments"][1]["status"] == "failed" and content["segments"][1]["file"] is None


def test_a_segment_has_the_warnings_of_its_engine_and_of_its_place(tmp_path: Path) -> None:
    rows = {"0001": replace(DONE, warnings=("It lacks 你好.",)), "0002": FAILED}
    content = document(tmp_path, rows)
    assert [row["warnings"] for row in content["segments"]] == [["It lacks 你好."], []]


def test_no_secret_reaches_the_manifest(tmp_path: Path) -> None:
    written = manifest(tmp_path, {"0001": DONE, "0002": FAILED})
    written.save(tmp_path)
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert json.loads(text) == written.to_dict() and Manifest.load(tmp_path) == written
    assert "hf_secret" not in text and "token" not in written.settings


def test_settings_are_there_with_their_source(tmp_path: Path) -> None:
    content = document(tmp_path, {"0001": DONE, "0002": FAILED})
    assert content["settings"]["batch_size"] == {"value": 5, "from": "default"}
    assert content["input"]["frames"] == 24_000 and content["input"]["seconds"] == 3.0


def test_a_run_that_failed_early_has_a_document_of_the_same_schema() -> None:
    content = failure_document(InputError("no such file", code="media_missing"))
    assert content["schema"] == "voiceclone.run/1" and content["status"] == "error"
    assert content["errors"] == [{"code": "media_missing", "message": "no such file", "segment": None}]
    (error,) = failure_document(Stopped(130))["errors"]
    assert error["code"] == "interrupted"


def test_what_was_stopped_or_lacks_its_mix_is_no_success(tmp_path: Path) -> None:
    rows = {"0001": DONE, "0002": DONE}
    full = Failure("disk_full", "the disk is full")
    for name, ended in {"stopped": Stopped(130), "errors": [full]}.items():
        content = document(tmp_path / name, rows, **{name: ended})
        assert content["status"] == "partial" and len(content["errors"]) == 1
    assert SynthesisResult(rows, stopped=Stopped(130)).exit_code == 130
    assert SynthesisResult(rows, errors=[full]).exit_code == 3


def test_each_error_is_there_once(tmp_path: Path) -> None:
    full = Failure("disk_full", "the disk is full")
    found = manifest(tmp_path, {"0001": DONE, "0002": DONE}, errors=[full, full])
    assert len(found.errors) == 1
    found.add_failure(RunError("the disk is full", code="disk_full"))
    assert found.status == "error" and len(found.errors) == 1


def test_a_failure_is_recorded_unless_the_manifest_of_an_earlier_run_is_valid(tmp_path: Path) -> None:
    request = run_request(write_wav(tmp_path / "in.wav", syllables(1.0)), tmp_path / "run")
    with pytest.raises(Stopped), open_run(request, no_progress):
        raise Stopped(143)
    recorded = Manifest.load(tmp_path / "run")
    assert recorded.status == "error" and recorded.errors[0]["code"] == "interrupted"
    assert recorded.to_dict().keys() == {
        "schema", "status", "run_dir", "segments", "outputs", "errors", "input",
    }  # fmt: skip
    earlier = Manifest("success", "run", input=recorded.input, versions={"voiceclone": "0"})
    earlier.save(tmp_path / "run")
    with pytest.raises(Stopped), open_run(request, no_progress):
        raise Stopped(143)
    assert Manifest.load(tmp_path / "run") == earlier


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 1),
        ("turns", [{"start": 0.0, "end": float("nan"), "speaker": "A"}]),
        ("turns", [{"start": 0.0, "end": 1.0, "speaker": "A", "margin": "0.5"}]),
        ("segments", [{"id": "0001", "status": "done"}]),
        ("segments", {"0001": "done"}),
        ("hashes", {"mix.wav": None}),
        ("watermark", []),
    ],
)
def test_a_manifest_with_a_value_of_another_type_is_damaged(tmp_path: Path, name: str, value: Any) -> None:
    content = {**document(tmp_path, {"0001": DONE, "0002": FAILED}), name: value}
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=name) as damaged:
        Manifest.load(tmp_path)
    assert damaged.value.code == "manifest_damaged"
