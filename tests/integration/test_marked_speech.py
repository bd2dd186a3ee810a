"""Watermarks in runs with real workers and the real model; the echo engine stands in for one that makes speech."""

from __future__ import annotations

import json
import threading
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from media_samples import syllables, write_wav
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import Stopped
from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import download
from voiceclone_cli.pipeline import synth
from voiceclone_cli.pipeline import synthesize as pipeline_synthesize
from voiceclone_cli.pipeline.synthesize import SynthesisResult, synthesize
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.provenance import watermark as provenance_watermark
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.system import request_stop
from voiceclone_cli.types import Reference, Script, Segment, no_progress
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask, task_to_json

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", autouse=True)
def model() -> Path:
    return download.ensure_models(["perth"])["perth"]


@pytest.fixture(autouse=True)
def echo_makes_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (provenance_watermark, synth):
        monkeypatch.setattr(module, "SPEAKING_ENGINES", frozenset({"echo"}))


def job(folder: Path, **flags: Any) -> SynthesisJob:
    """Six lines of one speaker; ``options`` go to the engine."""
    engine = EngineChoice("echo", "requested", None, options=flags.pop("options", {}))
    lines = tuple(
        Segment(f"{n:04d}", "S0", n - 1.0, n - 0.2, f"this is line number {n}", "en") for n in range(1, 7)
    )
    run_dir = resume_directory(folder / "run", "input")
    (run_dir.speakers / "S0").mkdir(exist_ok=True)
    audio = write_wav(run_dir.speakers / "S0" / "reference.wav", syllables(1.0))
    slots = {segment.id: segment.start + 1.0 for segment in lines}
    references = {"S0": Reference("S0", audio, "", 1.0, ())}
    return SynthesisJob(Script(lines), references, slots, run_dir, engine, resolve(flags))


def sounds(work: SynthesisJob) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in work.run_dir.segments.glob("*.wav")}


def assert_processed(work: SynthesisJob, result: SynthesisResult) -> None:
    """Assert that every segment that is done has its note, its hash and its tags."""
    for row in result.segments.values():
        if row.status == "done":
            path = work.run_dir.segment_wav(row.id)
            note = json.loads(work.run_dir.segment_note(row.id).read_text(encoding="utf-8"))
            assert note["sha256"] == row.sha256 == file_sha256(path)
            with open_audio(path) as stream:
                assert "comment" in provenance_watermark.own_tags(stream.tags)


def test_marked_bytes_are_the_same_in_any_mode(tmp_path: Path) -> None:
    versions = []
    for number, flags in enumerate(
        ({"threads": 1}, {"mode": "parallel", "workers": 2, "batch_size": 1, "threads": 2})
    ):
        work = job(tmp_path / str(number), **flags)
        result = synthesize(work, no_progress)
        assert [row.status for row in result.segments.values()] == ["done"] * 6
        assert result.timing["watermark"] > 0
        assert_processed(work, result)
        versions.append(sounds(work))
    assert versions[0] == versions[1]
    plain = job(tmp_path / "plain", watermark=False)
    assert_processed(plain, synthesize(plain, no_progress))
    for name, content in sounds(plain).items():
        assert len(content) == len(versions[0][name]) and content != versions[0][name]


def test_marked_segments_are_reused_only_with_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesize(job(tmp_path), no_progress)
    with monkeypatch.context() as nothing_to_mark:
        nothing_to_mark.delattr(provenance_watermark, "load_watermark")
        assert len(synthesize(job(tmp_path), no_progress).reused) == 6
    assert len(synthesize(job(tmp_path, watermark=False), no_progress).reused) == 0
    assert len(synthesize(job(tmp_path), no_progress).reused) == 0


def test_segments_before_a_stop_are_processed(tmp_path: Path) -> None:
    work = job(tmp_path, options={"delay": 0.4})
    timer = threading.Timer(2.0, request_stop, (Stopped(130),))
    timer.start()
    result = synthesize(work, no_progress)
    timer.join()
    assert result.stopped is not None and len(result.segments) == 6
    assert_processed(work, result)
    assert {row.error.code for row in result.segments.values() if row.error} <= {"interrupted"}
    again = synthesize(job(tmp_path), no_progress)
    assert len(again.reused) == sum(row.status == "done" for row in result.segments.values())


def test_unusable_model_fails_every_segment_without_a_wav(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_synthesize, "watermark_folder", lambda settings, progress: tmp_path)
    work = job(tmp_path)
    result = synthesize(work, no_progress)
    assert {row.error.code for row in result.segments.values() if row.error} == {"watermark_failed"}
    assert len(result.segments) == 6 and sounds(work) == {}


def test_silent_segments_are_done_and_reported_as_unmarked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silence(path: Path, engine: str, watermark: object) -> tuple[str, str | None]:
        with wave.open(str(path)) as file:
            frames, rate = file.getnframes(), file.getframerate()
        write_wav(path, syllables(frames / rate, rate, level=0.0), rate)
        return original(path, engine, watermark)

    original = provenance_watermark.watermark_and_tag
    monkeypatch.setattr(provenance_watermark, "watermark_and_tag", silence)
    for _ in range(2):
        result = synthesize(job(tmp_path), no_progress)
        assert result.unmarked == {f"{n:04d}": "silent" for n in range(1, 7)}
        assert any("no watermark is on 0001" in note for note in result.notes)
        assert [row.status for row in result.segments.values()] == ["done"] * 6
    assert len(result.reused) == 6


def test_task_files_are_marked_unless_disabled(tmp_path: Path) -> None:
    reference = ReferenceSpec("A", str(tmp_path / "voice.wav"), "", str(tmp_path / "A.txt"))
    lines = tuple(SegmentSpec(f"{n}", "a line of some words", "en", n) for n in range(3))
    made = {}
    for wanted in (True, False):
        task = SynthesisTask("A", EngineSpec("echo"), reference, str(tmp_path / str(wanted)), lines)
        file = tmp_path / f"{wanted}.json"
        file.write_text(task_to_json(replace(task)), encoding="utf-8")
        result = synth.synthesize_tasks([file], resolve({"watermark": wanted}, {}), no_progress)
        assert [row.status for row in result.segments] == ["done"] * 3
        assert all(row.file and row.sha256 == file_sha256(Path(row.file)) for row in result.segments)
        made[wanted] = [Path(row.file).read_bytes() for row in result.segments if row.file]
    assert all(marked != plain for marked, plain in zip(made[True], made[False], strict=True))
