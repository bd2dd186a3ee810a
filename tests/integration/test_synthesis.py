"""Synthesis of a script, and of task files of any origin: real workers, the echo engine."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from echo_faults import with_faults
from factories import reference, segment
from media_samples import syllables, write_wav
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import InputError, Stopped
from voiceclone_cli.files import file_sha256
from voiceclone_cli.pipeline.resources import EarlyPool
from voiceclone_cli.pipeline.synth import synthesize_tasks
from voiceclone_cli.pipeline.synthesize import SynthesisResult, synthesize
from voiceclone_cli.pipeline.tasks import (
    ENCODING_VERSION,
    SynthesisJob,
    codes_files,
    encoding_inputs,
    segment_fingerprints,
)
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.system import request_stop
from voiceclone_cli.types import ProgressEvent, Script, no_progress, segment_seed
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    Task,
    task_to_json,
)


def job(folder: Path, texts: dict[str, str] | None = None, **changes: Any) -> SynthesisJob:
    """Return eight segments of two speakers; ``texts`` replaces texts, ``options`` are the engine's."""
    flags = {
        key: changes[key] for key in ("mode", "workers", "batch_size", "seed", "strict") if key in changes
    }
    segments = tuple(
        segment(id, f"S{n % 2}", n - 1.0, n - 0.5, (texts or {}).get(id, f"this is line {n}"))
        for n in range(1, 9)
        for id in (f"{n:04d}",)
    )
    run_dir = resume_directory(folder / "run", "input")
    references = {}
    for speaker in ("S0", "S1"):
        (run_dir.speakers / speaker).mkdir(exist_ok=True)
        audio = write_wav(run_dir.speakers / speaker / "reference.wav", syllables(1.0, seed=len(references)))
        references[speaker] = reference(speaker, audio, seconds=1.0)
    engine = EngineChoice("echo", "asked", None, options=changes.get("options", {}))
    slot_ends = {segment.id: segment.start + 1.0 for segment in segments}
    return SynthesisJob(Script(segments), references, slot_ends, run_dir, engine, resolve(flags))


def states(result: SynthesisResult) -> list[str]:
    return [result.segments[key].status for key in sorted(result.segments)]


def sounds(work: SynthesisJob) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in work.run_dir.segments.glob("*.wav")}


def test_every_segment_is_done_and_has_its_note(tmp_path: Path) -> None:
    work = job(tmp_path)
    result = synthesize(work, no_progress)
    assert states(result) == ["done"] * 8 and len(result.reused) == 0
    assert all(work.run_dir.segment_note(key).is_file() for key in result.segments)
    assert {"load", "encode", "generate", "write"} <= result.timing.keys()
    assert result.peak_mb > 0


def test_both_modes_give_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for number, flags in enumerate(
        ({"mode": "sequential"}, {"mode": "parallel", "workers": 3, "batch_size": 1})
    ):
        work = job(tmp_path / str(number), **flags)
        synthesize(work, no_progress)
        outputs.append(sounds(work))
    assert len(outputs[0]) == 8 and outputs[0] == outputs[1]


def test_again_keeps_everything_and_a_changed_line_or_voice_redoes_only_itself(tmp_path: Path) -> None:
    synthesize(job(tmp_path), no_progress)
    assert len(synthesize(job(tmp_path), no_progress).reused) == 8
    assert len(synthesize(job(tmp_path, {"0003": "another line"}), no_progress).reused) == 7
    other_voice = job(tmp_path, {"0003": "another line"})
    write_wav(other_voice.references["S0"].audio, syllables(1.0, seed=99))
    assert len(synthesize(other_voice, no_progress).reused) == 4
    assert len(synthesize(job(tmp_path, {"0003": "another line"}, seed=5), no_progress).reused) == 0


def test_what_was_said_of_a_voice_is_said_again_when_it_is_kept(tmp_path: Path) -> None:
    work, cache = job(tmp_path), StageCache(tmp_path / "run", "input")
    synthesize(work, no_progress, cache=cache)
    files = {path: file_sha256(path) for path in codes_files(work)}
    said = {"speakers": ["S0", "S1"], "notes": ["The voice of S0 is matched less closely."]}
    cache.save("encoding", ENCODING_VERSION, encoding_inputs(work), said, files)
    again = synthesize(job(tmp_path), no_progress, cache=StageCache(tmp_path / "run", "input"))
    assert len(again.reused) == 8
    assert again.notes == said["notes"]


def test_task_files_are_temporary_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    work = job(tmp_path)
    (work.run_dir.tasks / "task-00099.json").write_text("from a run that was killed", encoding="utf-8")
    work = job(tmp_path)
    synthesize(work, no_progress, keep_tasks=True)
    kept = sorted(path.name for path in work.run_dir.tasks.iterdir())
    assert kept == ["task-00001.json", "task-00002.json", "task-00003.json"]
    synthesize(job(tmp_path), no_progress)
    assert not work.run_dir.tasks.exists()


def test_a_segment_that_is_no_longer_planned_is_deleted(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.run_dir.segment_wav("0099").write_bytes(b"from another script")
    synthesize(work, no_progress)
    assert len(sounds(work)) == 8


def test_a_failed_segment_is_failed_with_its_reason_and_has_no_wav(tmp_path: Path) -> None:
    work = job(tmp_path, options=with_faults(faults={"0004": "fail"}))
    result = synthesize(work, no_progress)
    assert states(result) == ["done"] * 3 + ["failed"] + ["done"] * 4
    assert result.segments["0004"].error is not None and result.segments["0004"].error.code == "asked_to_fail"
    assert "0004.wav" not in sounds(work)


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_word_that_an_engine_cannot_read_stays_known_when_the_segment_is_kept(
    tmp_path: Path, mode: str
) -> None:
    options = with_faults(faults={"0003": "skip", "0005": "skip"})
    for again in (False, True):
        work = job(tmp_path, options=options, mode=mode)
        result = synthesize(work, no_progress)
        assert states(result) == ["done"] * 8 and len(result.reused) == (8 if again else 0)
        assert result.incomplete_lines == dict.fromkeys(("0003", "0005"), ("It lacks 你好.",))
        expected = "2 lines are not spoken in full: 0003 lacks 你好; 0005 lacks 你好."
        assert result.notes == [expected]
        assert (result.status(8), result.exit_code) == ("success", 0)
    strict = synthesize(job(tmp_path, options=options, mode=mode, strict=True), no_progress)
    assert len(strict.reused) == 8
    assert (strict.status(8), strict.exit_code) == ("partial", 3)


def test_a_strict_run_that_speaks_every_word_succeeds(tmp_path: Path) -> None:
    assert synthesize(job(tmp_path, strict=True), no_progress).exit_code == 0


def test_a_reference_that_cannot_be_encoded_fails_its_speaker_only(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.references["S1"].audio.unlink()
    result = synthesize(work, no_progress)
    assert [row.status for key, row in sorted(result.segments.items())] == ["failed", "done"] * 4
    assert {row.error.code for row in result.segments.values() if row.error} == {"reference_unusable"}


def test_an_engine_that_cannot_load_fails_every_segment_and_lacked_something(tmp_path: Path) -> None:
    result = synthesize(job(tmp_path, mode="parallel", options={"import": "no_such_module"}), no_progress)
    assert states(result) == ["failed"] * 8 and result.exit_code == 4
    (error,) = result.errors
    assert {row.error for row in result.segments.values()} == {error} and error.code == "engine_not_installed"


def test_being_stopped_keeps_what_is_done_and_fails_the_rest(tmp_path: Path) -> None:
    work = job(tmp_path, options={"delay": 0.3})
    asked = threading.Timer(1.6, request_stop, (Stopped(130),))
    asked.start()
    result = synthesize(work, no_progress)
    asked.join()
    assert result.stopped is not None and len(result.segments) == 8
    assert "failed" in states(result)
    assert {row.error.code for row in result.segments.values() if row.error} == {"interrupted"}
    done = {row.id for row in result.segments.values() if row.status == "done"}
    assert done == {name.removesuffix(".wav") for name in sounds(work)}


def test_a_note_that_cannot_be_written_leaves_its_segment_undone(tmp_path: Path) -> None:
    work = job(tmp_path)
    work.run_dir.segment_note("0003").mkdir()
    result = synthesize(work, no_progress)
    assert states(result) == ["done", "done", "failed"] + ["done"] * 5
    assert result.segments["0003"].error is not None
    assert result.segments["0003"].error.code == "output_unwritable"


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


ENGINE = EngineSpec("echo", options={"delay": 0.01})


def written(folder: Path, name: str, task: Task) -> Path:
    path = folder / f"{name}.json"
    path.write_text(task_to_json(task), encoding="utf-8")
    return path


def speech(folder: Path, speaker: str) -> SynthesisTask:
    spec = ReferenceSpec(speaker, str(folder / "voice.wav"), "", str(folder / f"{speaker}.txt"))
    segments = tuple(SegmentSpec(f"{n}", "a line", "en", n) for n in range(3))
    return SynthesisTask(speaker, ENGINE, spec, str(folder / speaker), segments)


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_rows_follow_the_files_and_every_stage_counts(tmp_path: Path, mode: str) -> None:
    (tmp_path / "voice.wav").write_bytes(b"some sound")
    tasks = [speech(tmp_path, speaker) for speaker in "AB"]
    files = [written(tmp_path, task.speaker, task) for task in tasks]
    files.append(written(tmp_path, "encode", EncodeTask(ENGINE, (tasks[0].reference,))))
    result = synthesize_tasks(files, resolve({"mode": mode}, {}), no_progress)
    assert [(row.task, row.id) for row in result.segments] == [(t, f"{n}") for t in (0, 1) for n in range(3)]
    assert [row.status for row in (*result.segments, *result.references)] == ["done"] * 7
    assert {"load", "encode", "generate", "write"} <= result.timing.keys()


def test_a_link_where_a_segment_goes_is_replaced_and_not_followed(tmp_path: Path) -> None:
    task = speech(tmp_path, "A")
    precious = tmp_path / "precious.wav"
    precious.write_bytes(b"not to be touched")
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "0.wav").symlink_to(precious)
    result = synthesize_tasks([written(tmp_path, "task", task)], resolve({}, {}), no_progress)
    assert [row.status for row in result.segments] == ["done"] * 3
    assert precious.read_bytes() == b"not to be touched"
    assert not (tmp_path / "A" / "0.wav").is_symlink()
    assert sorted(path.name for path in (tmp_path / "A").iterdir()) == ["0.wav", "1.wav", "2.wav"]


def test_a_task_of_a_stranger_leaves_nothing_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    for id in ("../x", "/x", "a/../../x", "x\0y", "C:x", "con", "\u202ex", "x" * 300):
        task = speech(tmp_path, "A")
        file = written(tmp_path, "task", replace(task, segments=(SegmentSpec(id, "a line", "en", 1),)))
        with pytest.raises(InputError, match=r"cannot name a file|half a character") as refusal:
            synthesize_tasks([file], resolve({}, {}), no_progress)
        assert refusal.value.code == "bad_task" and "\n" not in refusal.value.message
    assert not list((tmp_path / "A").iterdir())


def test_two_tasks_for_one_file_by_other_names_are_refused(tmp_path: Path) -> None:
    one, two = speech(tmp_path, "A"), speech(tmp_path, "A")
    (tmp_path / "A").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "A")
    one = replace(one, segments=(SegmentSpec("a", "a line", "en", 1),))
    two = replace(two, output_dir=str(tmp_path / "link"), segments=(SegmentSpec("A", "a line", "en", 1),))
    files = [written(tmp_path, name, task) for name, task in (("one", one), ("two", two))]
    with pytest.raises(InputError, match="another task writes"):
        synthesize_tasks(files, resolve({}, {}), no_progress)


def test_a_speaker_that_two_tasks_encode_is_refused(tmp_path: Path) -> None:
    first = ReferenceSpec("A", str(tmp_path / "voice.wav"), "", str(tmp_path / "a.txt"))
    other = replace(first, codes=str(tmp_path / "b.txt"))
    files = [
        written(tmp_path, name, EncodeTask(ENGINE, (spec,))) for name, spec in (("x", first), ("y", other))
    ]
    with pytest.raises(InputError, match="encodes a speaker"):
        synthesize_tasks(files, resolve({}, {}), no_progress)


def test_two_tasks_for_one_file_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, name, speech(tmp_path, "A")) for name in ("one", "two")]
    with pytest.raises(InputError, match="another task writes"):
        synthesize_tasks(files, resolve({}, {}), no_progress)


@pytest.mark.parametrize(
    ("engine", "option", "value"),
    [
        ("fish", "source", "/of/a/stranger"),
        ("echo", "import", "antigravity"),
        ("echo", "import", "/tmp/theirs.py"),
    ],
)
def test_a_stranger_s_task_names_no_code_to_run(tmp_path: Path, engine: str, option: str, value: str) -> None:
    task = replace(speech(tmp_path, "A"), engine=EngineSpec(engine, options={option: value}))
    with pytest.raises(InputError) as refused:
        synthesize_tasks([written(tmp_path, "task", task)], resolve({}, {}), no_progress)
    assert refused.value.code == "task_names_code"


def test_a_worker_that_was_loaded_before_the_job_was_known_does_its_first_lease(tmp_path: Path) -> None:
    work, events = job(tmp_path), []
    with EarlyPool(work.settings, work.engine, work.run_dir, keep_tasks=False) as early:
        early.begin()
        early.begin()
        result = synthesize(work, events.append, open_pool=early.open)
    assert states(result) == ["done"] * 8
    assert sum("loading" in event.note for event in events) == 1, "one worker, one engine"
    assert {"load", "encode", "generate", "write"} <= result.timing.keys()
    other = job(tmp_path / "other")
    synthesize(other, no_progress)
    assert sounds(other) == sounds(work)


def test_a_worker_that_was_loaded_in_vain_ends_with_the_run(tmp_path: Path) -> None:
    work = job(tmp_path)
    with (
        pytest.raises(Stopped),
        EarlyPool(work.settings, work.engine, work.run_dir, keep_tasks=False) as early,
    ):
        early.begin()
        raise Stopped(130)
    assert not psutil.Process().children()
    assert not list(work.run_dir.tasks.iterdir())
