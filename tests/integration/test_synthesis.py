"""Task files of any origin, through the pool: real workers, the echo engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voiceclone_cli.config import resolve
from voiceclone_cli.errors import InputError
from voiceclone_cli.pipeline.synth import synthesize_tasks
from voiceclone_cli.types import no_progress
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    Task,
    task_to_json,
)

ENGINE = EngineSpec("echo", options={"delay": 0.01})


def written(folder: Path, name: str, task: Task) -> Path:
    path = folder / f"{name}.json"
    path.write_text(task_to_json(task), encoding="utf-8")
    return path


def speech(folder: Path, speaker: str) -> SynthesisTask:
    reference = ReferenceSpec(speaker, str(folder / "voice.wav"), "", str(folder / f"{speaker}.txt"))
    lines = tuple(SegmentSpec(f"{n}", "a line", "en", n) for n in range(3))
    return SynthesisTask(speaker, ENGINE, reference, str(folder / speaker), lines)


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_rows_follow_the_files_and_every_stage_counts(tmp_path: Path, mode: str) -> None:
    (tmp_path / "voice.wav").write_bytes(b"some sound")
    spoken = [speech(tmp_path, speaker) for speaker in "AB"]
    files = [written(tmp_path, task.speaker, task) for task in spoken]
    files.append(written(tmp_path, "encode", EncodeTask(ENGINE, (spoken[0].reference,))))
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
