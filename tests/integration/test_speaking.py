"""Script and references in, a wav and an outcome for every segment out: real workers, the echo engine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from echo_faults import with_faults
from media_samples import syllables, write_wav
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import Stopped
from voiceclone_cli.pipeline.synthesize import SynthesisResult, synthesize
from voiceclone_cli.pipeline.tasks import SynthesisJob, segment_fingerprints
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.system import request_stop
from voiceclone_cli.types import ProgressEvent, Reference, Script, Segment, no_progress, segment_seed


def job(folder: Path, texts: dict[str, str] | None = None, **changes: Any) -> SynthesisJob:
    """Eight lines of two speakers; ``texts`` replaces lines, ``options`` go to the engine."""
    settings = resolve(
        {key: changes[key] for key in ("mode", "workers", "batch_size", "seed") if key in changes}
    )
    lines = [
        Segment(f"{n:04d}", f"S{n % 2}", n - 1.0, n - 0.5, f"this is line {n}", "en") for n in range(1, 9)
    ]
    script = Script(
        tuple(
            Segment(s.id, s.speaker, s.start, s.end, (texts or {}).get(s.id, s.text), s.language)
            for s in lines
        )
    )
    run_dir = resume_directory(folder / "run", "input")
    references = {}
    for speaker in ("S0", "S1"):
        (run_dir.speakers / speaker).mkdir(exist_ok=True)
        audio = write_wav(run_dir.speakers / speaker / "reference.wav", syllables(1.0, seed=len(references)))
        references[speaker] = Reference(speaker, audio, "", 1.0, ())
    engine = EngineChoice("echo", "asked", None, options=changes.get("options", {}))
    slots = {segment.id: segment.start + 1.0 for segment in script.segments}
    return SynthesisJob(script, references, slots, run_dir, engine, settings)


def states(spoken: SynthesisResult) -> list[str]:
    return [spoken.segments[key].status for key in sorted(spoken.segments)]


def sounds(work: SynthesisJob) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in work.run_dir.segments.glob("*.wav")}


def test_every_segment_is_spoken_and_noted(tmp_path: Path) -> None:
    work = job(tmp_path)
    spoken = synthesize(work, no_progress)
    assert states(spoken) == ["done"] * 8 and len(spoken.reused) == 0
    assert all(work.run_dir.segment_note(key).is_file() for key in spoken.segments)
    assert {"load", "encode", "generate", "write"} <= spoken.timing.keys()
    assert spoken.peak_mb > 0


def test_both_modes_give_the_same_bytes(tmp_path: Path) -> None:
    heard = []
    for number, flags in enumerate(
        ({"mode": "sequential"}, {"mode": "parallel", "workers": 3, "batch_size": 1})
    ):
        work = job(tmp_path / str(number), **flags)
        synthesize(work, no_progress)
        heard.append(sounds(work))
    assert len(heard[0]) == 8 and heard[0] == heard[1]


def test_again_keeps_everything_and_a_changed_line_or_voice_redoes_only_itself(tmp_path: Path) -> None:
    synthesize(job(tmp_path), no_progress)
    assert len(synthesize(job(tmp_path), no_progress).reused) == 8
    assert len(synthesize(job(tmp_path, {"0003": "another line"}), no_progress).reused) == 7
    other_voice = job(tmp_path, {"0003": "another line"})
    write_wav(other_voice.references["S0"].audio, syllables(1.0, seed=99))
    assert len(synthesize(other_voice, no_progress).reused) == 4
    assert len(synthesize(job(tmp_path, {"0003": "another line"}, seed=5), no_progress).reused) == 0


def test_task_files_are_temporary_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    work = job(tmp_path)
    (work.run_dir.tasks / "task-00099.json").write_text("from a run that was killed", encoding="utf-8")
    work = job(tmp_path)
    synthesize(work, no_progress, keep_tasks=True)
    kept = sorted(path.name for path in work.run_dir.tasks.iterdir())
    assert kept == ["task-00001.json", "task-00002.json", "task-00003.json"]
    synthesize(job(tmp_path), no_progress)
    assert not work.run_dir.tasks.exists()


def test_a_segment_that_is_no_longer_planned_leaves(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.run_dir.segment_wav("0099").write_bytes(b"from another script")
    synthesize(work, no_progress)
    assert len(sounds(work)) == 8


def test_a_failed_segment_is_failed_with_its_reason_and_has_no_wav(tmp_path: Path) -> None:
    work = job(tmp_path, options=with_faults(faults={"0004": "fail"}))
    spoken = synthesize(work, no_progress)
    assert states(spoken) == ["done"] * 3 + ["failed"] + ["done"] * 4
    assert spoken.segments["0004"].error is not None and spoken.segments["0004"].error.code == "asked_to_fail"
    assert "0004.wav" not in sounds(work)


def test_a_reference_that_cannot_be_encoded_fails_its_speaker_only(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.references["S1"].audio.unlink()
    spoken = synthesize(work, no_progress)
    assert [row.status for key, row in sorted(spoken.segments.items())] == ["failed", "done"] * 4
    assert {row.error.code for row in spoken.segments.values() if row.error} == {"reference_unusable"}


def test_an_engine_that_cannot_load_fails_every_segment_and_lacked_something(tmp_path: Path) -> None:
    spoken = synthesize(job(tmp_path, mode="parallel", options={"import": "no_such_module"}), no_progress)
    assert states(spoken) == ["failed"] * 8 and spoken.exit_code == 4
    (error,) = spoken.errors
    assert {row.error for row in spoken.segments.values()} == {error} and error.code == "engine_not_installed"


def test_being_stopped_keeps_what_is_done_and_fails_the_rest(tmp_path: Path) -> None:
    work = job(tmp_path, options={"delay": 0.3})
    asked = threading.Timer(1.6, request_stop, (Stopped(130),))
    asked.start()
    spoken = synthesize(work, no_progress)
    asked.join()
    assert spoken.stopped is not None and len(spoken.segments) == 8
    assert "failed" in states(spoken)
    assert {row.error.code for row in spoken.segments.values() if row.error} == {"interrupted"}
    done = {row.id for row in spoken.segments.values() if row.status == "done"}
    assert done == {name.removesuffix(".wav") for name in sounds(work)}


def test_a_note_that_cannot_be_written_leaves_its_segment_undone(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.run_dir.segment_note("0003").mkdir()
    spoken = synthesize(work, no_progress)
    assert states(spoken) == ["done", "done", "failed"] + ["done"] * 5
    assert spoken.segments["0003"].error is not None
    assert spoken.segments["0003"].error.code == "output_unwritable"


def test_references_are_encoded_once_for_all_runs(tmp_path: Path) -> None:
    def timing(work: SynthesisJob) -> dict[str, float]:
        return synthesize(work, no_progress, cache=StageCache(work.run_dir.root)).timing

    assert "encode" in timing(job(tmp_path))
    assert timing(job(tmp_path)) == {}, "everything is there: no worker is started"
    changed = timing(job(tmp_path, {"0003": "another line"}))
    assert "generate" in changed and "encode" not in changed
    (job(tmp_path).run_dir.speakers / "S1" / "codes.txt").write_text("99\n", encoding="utf-8")
    assert "encode" in timing(job(tmp_path)), "foreign codes do not count"


def test_progress_counts_up_to_every_segment(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    synthesize(job(tmp_path, mode="parallel"), events.append)
    stage = [e.completed for e in events if e.stage == "synthesis" and e.worker is None]
    assert stage[0] == 0 and stage[-1] == 8 and stage == sorted(stage)
    assert {e.worker for e in events if e.worker} == {"worker 1", "worker 2"}
    assert [e.completed for e in events if e.stage == "encoding"][-1] == 2


def test_a_seed_belongs_to_the_run_and_the_segment_alone() -> None:
    assert segment_seed(1, "0001") == segment_seed(1, "0001")
    seeds = {segment_seed(run, f"{n:04d}") for run in (0, 1) for n in range(500)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("flags", [{"mode": "parallel"}, {"batch_size": 1}, {"workers": 7}])
def test_how_the_work_is_shared_is_not_in_the_fingerprint(tmp_path: Path, flags: dict[str, Any]) -> None:
    assert segment_fingerprints(job(tmp_path)) == segment_fingerprints(job(tmp_path, **flags))
