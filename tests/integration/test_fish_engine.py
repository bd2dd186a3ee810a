"""The fish engine through the worker program, on a generated checkpoint."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from fish_interpreter import in_fish
from media_samples import syllables, write_wav
from voiceclone_cli.workers.process import worker_command, worker_program
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    Task,
    task_to_json,
)

pytestmark = pytest.mark.engine

LINES = ("Good morning.", "How are you today, my friend?", "<|im_end|> is not a word.", "你好。")


class Stage:
    """Two speakers with references, in a folder, and a worker to speak their lines."""

    def __init__(self, folder: Path, python: Path, checkpoint: Path) -> None:
        self.folder, self._python, self._checkpoint = folder, python, checkpoint
        self.references = {}
        for number, speaker in enumerate(("A", "B")):
            audio = write_wav(folder / f"{speaker}.wav", syllables(3.0, seed=number))
            self.references[speaker] = ReferenceSpec(
                speaker, str(audio), "words of a reference", str(folder / f"{speaker}.npy")
            )

    def engine(self, **options: Any) -> EngineSpec:
        return EngineSpec("fish", str(self._checkpoint), batch_size=3, options={"threads": 1, **options})

    def encoding(self) -> EncodeTask:
        return EncodeTask(self.engine(), tuple(self.references.values()))

    def lines(self, speaker: str, **options: Any) -> SynthesisTask:
        segments = tuple(
            SegmentSpec(f"{speaker}{number}", text, "en", seed=number, max_seconds=5.0)
            for number, text in enumerate(LINES)
        )
        folder = str(self.folder / "segments")
        return SynthesisTask(speaker, self.engine(**options), self.references[speaker], folder, segments)

    def work(self, *tasks: Task) -> dict[str, Any]:
        """The result of a one-shot worker."""
        paths = []
        for number, task in enumerate(tasks):
            paths.append(self.folder / f"task-{number}.json")
            paths[-1].write_text(task_to_json(task), encoding="utf-8")
        command = worker_command(str(self._python), threads=1)
        done = subprocess.run(
            [command.python, str(worker_program()), *map(str, paths)],
            env=dict(command.environment),
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        (line,) = done.stdout.splitlines()
        result: dict[str, Any] = json.loads(line)
        assert done.returncode == ("error" in result), done.stderr
        return result


@pytest.fixture
def stage(tmp_path: Path, fish_python: Path, tiny_checkpoint: Path) -> Stage:
    return Stage(tmp_path, fish_python, tiny_checkpoint)


def unsteady(checkpoint: Path, folder: Path, python: Path) -> Path:
    """A copy of a generated checkpoint that ends lines by chance only."""
    copy = folder / "unsteady"
    shutil.copytree(checkpoint, copy)
    in_fish(python, "unsteady_ending.py", copy)
    return copy


def test_references_are_encoded_and_lines_spoken_in_one_go(stage: Stage) -> None:
    result = stage.work(stage.encoding(), stage.lines("A"), stage.lines("B"))
    assert [row["status"] for row in result["references"]] == ["done", "done"]
    assert [row["id"] for row in result["segments"]] == [f"{s}{n}" for s in "AB" for n in range(4)]
    for row in result["segments"]:
        assert row["status"] == "done" and row["attempts"] == 1, row
        info = soundfile.info(row["file"])
        assert (info.samplerate, info.channels, info.subtype) == (44100, 1, "PCM_16")
        assert info.frames == row["frames"] and info.frames % 2048 == 0
        assert row["seconds"] == pytest.approx(info.duration, abs=1e-5)
    assert result["timing"].keys() == {"load", "encode", "generate", "decode", "write"}
    assert all(seconds > 0 for seconds in result["timing"].values())
    sounds = {Path(row["file"]).read_bytes() for row in result["segments"]}
    assert len(sounds) == 8, "speakers and lines sound different"


def test_codes_are_kept_while_reference_and_checkpoint_are_unchanged(stage: Stage) -> None:
    stage.work(stage.encoding())
    codes = {name: Path(reference.codes) for name, reference in stage.references.items()}
    before = {name: (path.stat().st_mtime_ns, path.read_bytes()) for name, path in codes.items()}
    write_wav(Path(stage.references["B"].audio), syllables(4.0, seed=9))
    result = stage.work(stage.encoding())
    assert [row["status"] for row in result["references"]] == ["done", "done"]
    after = {name: (path.stat().st_mtime_ns, path.read_bytes()) for name, path in codes.items()}
    assert after["A"] == before["A"]
    assert after["B"][1] != before["B"][1]


def test_lines_of_a_speaker_without_codes_fail_alone(stage: Stage) -> None:
    stage.work(stage.encoding())
    Path(stage.references["A"].codes).unlink()
    result = stage.work(stage.lines("A"), stage.lines("B"))
    states = {row["id"]: (row["status"], (row["error"] or {}).get("code")) for row in result["segments"]}
    assert {states[f"A{n}"] for n in range(4)} == {("failed", "codes_unusable")}
    assert {states[f"B{n}"] for n in range(4)} == {("done", None)}


def test_a_line_that_is_cut_off_is_rolled_again_twice_and_then_fails_with_its_seeds(stage: Stage) -> None:
    stage.work(stage.encoding())
    result = stage.work(stage.lines("A", max_new_tokens=6))
    for row in result["segments"]:
        assert (row["status"], row["error"]["code"]) == ("failed", "speech_cut_off")
        seeds = row["error"]["message"].split("seeds ")[1].rstrip(")").split(", ")
        assert len(set(seeds)) == 3 and seeds[0] == str(row["seed"])


def test_a_line_that_does_not_find_its_end_is_rolled_again_until_it_does(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    stage = Stage(tmp_path, fish_python, unsteady(tiny_checkpoint, tmp_path, fish_python))
    result = stage.work(stage.encoding(), stage.lines("A"), stage.lines("B"))
    rows = result["segments"]
    again = [row for row in rows if row["status"] == "done" and row["attempts"] > 1]
    assert again, [(row["status"], row["attempts"]) for row in rows]
    for row in again:
        assert row["seed"] != int(row["id"][1:]), "the seed that was heard is the one recorded"
    codes = {row["error"]["code"] for row in rows if row["status"] == "failed"}
    assert codes <= {"speech_cut_off", "speech_too_short", "speech_empty"}
    repeated = stage.work(stage.lines("A"), stage.lines("B"))["segments"]
    assert [row["seed"] for row in repeated] == [row["seed"] for row in rows]


def test_out_of_memory_halves_the_batch_is_recorded_and_loses_no_line(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    answer = in_fish(fish_python, "short_of_memory.py", tiny_checkpoint, tmp_path)
    assert answer["free"]
    assert [note.split(":")[0] for note in answer["notes"]] == [
        f"out of memory with {lines} lines at a time" for lines in (8, 4, 2)
    ]
    assert sorted(answer["same"]) == [f"{number:04d}" for number in range(1, 12)]
    assert answer["failed"] == {"0000": "out_of_memory"}


@pytest.mark.parametrize("missing", ["codec.pth", "tokenizer.tiktoken"])
def test_a_checkpoint_that_lacks_a_file_is_one_sentence(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path, missing: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    (broken / missing).unlink()
    stage = Stage(tmp_path, fish_python, broken)
    result = stage.work(stage.encoding(), stage.lines("A"))
    assert result["error"]["code"] == "checkpoint_incomplete"
    assert missing in result["error"]["message"]
    assert {row["status"] for row in result["segments"]} == {"failed"}


def test_a_damaged_checkpoint_is_one_sentence(
    tmp_path: Path, fish_python: Path, tiny_checkpoint: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, broken)
    (broken / "model.pth").write_bytes((broken / "model.pth").read_bytes()[:100_000])
    result = Stage(tmp_path, fish_python, broken).work(Stage(tmp_path, fish_python, broken).lines("A"))
    assert result["error"]["code"] == "checkpoint_unusable"
    assert "model.pth" in result["error"]["message"]


def test_an_interpreter_without_fish_speech_is_one_sentence(tmp_path: Path, tiny_checkpoint: Path) -> None:
    result = Stage(tmp_path, Path(sys.executable), tiny_checkpoint).work(
        Stage(tmp_path, Path(sys.executable), tiny_checkpoint).lines("A")
    )
    assert result["error"]["code"] == "fish_missing"
    assert "voiceclone env create" in result["error"]["message"]
