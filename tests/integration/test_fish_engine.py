"""The fish engine on a generated checkpoint: decoding, codec, and the worker program."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
def stage(tmp_path: Path, fish_python: Path, each_checkpoint: Path) -> Stage:
    return Stage(tmp_path, fish_python, each_checkpoint)


def unsteady(checkpoint: Path, folder: Path, python: Path) -> Path:
    """A copy of a generated checkpoint that ends lines by chance only."""
    copy = folder / "unsteady"
    shutil.copytree(checkpoint, copy)
    in_fish(python, "unsteady_ending.py", copy)
    return copy


@pytest.mark.numerical
def test_references_are_encoded_and_lines_synthesized_in_one_go(stage: Stage) -> None:
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
    tmp_path: Path, fish_python: Path, each_checkpoint: Path
) -> None:
    stage = Stage(tmp_path, fish_python, unsteady(each_checkpoint, tmp_path, fish_python))
    result = stage.work(stage.encoding(), stage.lines("A"), stage.lines("B"))
    rows = result["segments"]
    again = [row for row in rows if row["status"] == "done" and row["attempts"] > 1]
    assert again, [(row["status"], row["attempts"]) for row in rows]
    for row in again:
        assert row["seed"] != int(row["id"][1:]), "the seed of the result is recorded"
    codes = {row["error"]["code"] for row in rows if row["status"] == "failed"}
    assert codes <= {"speech_cut_off", "speech_too_short", "speech_empty"}
    repeated = stage.work(stage.lines("A"), stage.lines("B"))["segments"]
    assert [row["seed"] for row in repeated] == [row["seed"] for row in rows]


def test_out_of_memory_halves_the_batch_is_recorded_and_loses_no_line(
    tmp_path: Path, fish_python: Path, each_checkpoint: Path
) -> None:
    answer = in_fish(fish_python, "short_of_memory.py", each_checkpoint, tmp_path)
    assert answer["free"]
    assert [note.split(":")[0] for note in answer["notes"]] == [
        f"out of memory with {lines} lines at a time" for lines in (8, 4, 2)
    ]
    assert sorted(answer["same"]) == [f"{number:04d}" for number in range(1, 12)]
    assert answer["failed"] == {"0000": "out_of_memory"}


@pytest.mark.parametrize(
    ("generation", "missing"),
    [
        *(("S1", "codec.pth"), ("S1", "tokenizer.tiktoken")),
        *(("S2", "model-00002-of-00002.safetensors"), ("S2", "tokenizer.json"), ("S2", "config.json")),
    ],
)
def test_a_checkpoint_that_lacks_a_file_is_one_sentence(
    tmp_path: Path, fish_python: Path, tiny_checkpoints: Mapping[str, Path], generation: str, missing: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoints[generation], broken)
    (broken / missing).unlink()
    stage = Stage(tmp_path, fish_python, broken)
    result = stage.work(stage.encoding(), stage.lines("A"))
    assert result["error"]["code"] == "checkpoint_incomplete"
    assert missing in result["error"]["message"]
    assert {row["status"] for row in result["segments"]} == {"failed"}


@pytest.mark.parametrize(
    ("generation", "name"), [("S1", "model.pth"), ("S2", "model-00001-of-00002.safetensors")]
)
def test_a_damaged_checkpoint_is_one_sentence(
    tmp_path: Path, fish_python: Path, tiny_checkpoints: Mapping[str, Path], generation: str, name: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoints[generation], broken)
    (broken / name).write_bytes((broken / name).read_bytes()[:100_000])
    stage = Stage(tmp_path, fish_python, broken)
    result = stage.work(stage.lines("A"))
    assert result["error"]["code"] == "checkpoint_unusable"
    assert Path(name).suffix in result["error"]["message"]


def test_tags_are_taken_out_of_a_line_of_s2_unless_they_are_kept(
    tmp_path: Path, fish_python: Path, tiny_checkpoints: Mapping[str, Path]
) -> None:
    """The line without its tag has the same speech; so has a line of S1, to which a tag is text."""

    def sounds(generation: str, text: str, **options: Any) -> bytes | str:
        stage = Stage(tmp_path, fish_python, tiny_checkpoints[generation])
        line = SegmentSpec("0", text, "en", seed=1, max_seconds=5.0)
        folder = str(tmp_path / "segments")
        task = SynthesisTask("A", stage.engine(**options), stage.references["A"], folder, (line,))
        (row,) = stage.work(stage.encoding(), task)["segments"]
        return Path(row["file"]).read_bytes() if row["status"] == "done" else str(row["error"]["code"])

    plain = sounds("S2", "Come in.")
    assert sounds("S2", "[whisper] Come in.") == sounds("S2", "Come in [music].", tags="drop") == plain
    assert sounds("S2", "[whisper] Come in.", tags="keep") != plain
    assert sounds("S2", "[music]") == "nothing_to_speak"
    assert sounds("S1", "[whisper] Come in.") == sounds("S1", "[whisper] Come in.", tags="keep")
    assert sounds("S1", "[whisper] Come in.") != sounds("S1", "Come in.")


def test_an_interpreter_without_fish_speech_is_one_sentence(tmp_path: Path, tiny_checkpoint: Path) -> None:
    result = Stage(tmp_path, Path(sys.executable), tiny_checkpoint).work(
        Stage(tmp_path, Path(sys.executable), tiny_checkpoint).lines("A")
    )
    assert result["error"]["code"] == "fish_missing"
    assert "voiceclone env create" in result["error"]["message"]


@pytest.fixture(scope="module")
def rolling(fish_python: Path, each_checkpoint: Path) -> dict[str, Any]:
    return in_fish(fish_python, "rolling_batch.py", each_checkpoint)


@pytest.mark.numerical
def test_the_tokens_are_those_of_upstream_at_every_batch_size(
    fish_python: Path, each_checkpoint: Path
) -> None:
    """Eight lines, three settings, batches of 1, 3 and 8, and lines that are cut off."""
    answer = in_fish(fish_python, "upstream_equality.py", each_checkpoint)
    assert answer["equal"] == [[True] * 8] * 10
    for frames in answer["frames"]:
        assert len(set(frames)) > 1, "all lines are equally long: mixed lengths were not tried"
        assert min(frames) > 4
    assert all(count > 0 for count in answer["controls"].values()), (
        "what S2 has of its own made no difference"
    )
    assert len(answer["controls"]) == (2 if each_checkpoint.name.startswith("s2") else 0)


def test_a_line_that_ended_leaves_its_slot_to_the_next_at_once(rolling: dict[str, Any]) -> None:
    rows, frames = rolling["rows"], rolling["frames"]
    # Each line is a row for as many steps as it has frames, and one more in which it ends.
    assert sum(rows) == sum(frames) + len(frames)
    until_last_waits = next(step for step, count in enumerate(rows) if count < 3)
    assert all(count == 3 for count in rows[:until_last_waits])
    # The long line did not hold up the others: eleven lines went through two slots beside it.
    assert frames[0] > 2 * max(frames[1:])
    assert len(rows) <= max(frames[0], sum(frames) / 3 + max(frames[1:])) + len(frames)


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8", "int8 weights"])
@pytest.mark.numerical
def test_a_line_does_not_depend_on_the_batch(rolling: dict[str, Any], precision: str) -> None:
    assert rolling[precision] == [True, True]


@pytest.mark.numerical
def test_a_line_is_the_same_on_one_thread_and_on_two(rolling: dict[str, Any]) -> None:
    assert rolling["two threads"]


@pytest.mark.numerical
def test_out_of_memory_halves_the_batch_and_loses_nothing(rolling: dict[str, Any]) -> None:
    assert rolling["tried"] == [8, 4]
    assert rolling["after halving"]


RATE = 44100


@pytest.fixture(scope="module")
def decoded(fish_python: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    return in_fish(fish_python, "codec_decoding.py", tiny_checkpoint, 1)


def test_every_row_is_as_long_as_its_frames(decoded: dict[str, Any]) -> None:
    assert decoded["rate"] == RATE
    assert decoded["lengths"] == decoded["expected_lengths"]


@pytest.mark.numerical
def test_speech_is_upstreams_to_the_last_step(decoded: dict[str, Any]) -> None:
    assert decoded["loudest"] > 300
    assert decoded["steps_from_upstream"] <= 1


@pytest.mark.numerical
def test_padding_on_the_right_is_exact_to_the_last_step(decoded: dict[str, Any]) -> None:
    assert decoded["steps_from_batch"] <= 1


@pytest.mark.numerical
def test_a_rows_bytes_do_not_depend_on_its_neighbours(decoded: dict[str, Any]) -> None:
    assert decoded["same_in_any_order"]
    assert decoded["good_row_beside_bad_ones"]


@pytest.mark.numerical
def test_bytes_do_not_depend_on_the_number_of_threads(
    decoded: dict[str, Any], fish_python: Path, tiny_checkpoint: Path
) -> None:
    on_two = in_fish(fish_python, "codec_decoding.py", tiny_checkpoint, 2)
    assert (decoded["threads"], on_two["threads"]) == (1, 2)
    assert on_two["sha256"] == decoded["sha256"]


def test_rows_of_no_length_or_too_much_fail_alone(decoded: dict[str, Any]) -> None:
    assert decoded["bad_rows"] == ["speech_unusable", "speech_unusable"]


@pytest.fixture(scope="module")
def batches(fish_python: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    return in_fish(fish_python, "codec_batches.py", tiny_checkpoint)


def test_references_of_different_lengths_have_the_same_codes_in_a_batch(batches: dict[str, Any]) -> None:
    assert batches["frames"] == batches["expected_frames"] == [13, 65, 37, 108]
    assert min(batches["distinct"]) > 50
    assert batches["equal"] and batches["equal_in_any_order"]


def test_references_are_encoded_in_the_better_way_with_a_note(batches: dict[str, Any]) -> None:
    assert all(batches["chosen_equal"])
    (note,) = batches["notes"]
    assert note.startswith("the codec encodes references ") and " s one by one" in note


def test_references_go_one_by_one_where_a_batch_has_no_memory_or_other_codes(batches: dict[str, Any]) -> None:
    assert batches["without_memory"] == {
        "equal": True,
        "notes": ["the codec encodes references one by one: there was no memory for them together"],
    }
    assert batches["different"] == {
        "equal": True,
        "notes": ["the codec encodes references one by one: together they came out different"],
    }


@pytest.mark.numerical
def test_codes_are_upstreams(encoder: Encoder, fish_python: Path, tiny_checkpoint: Path) -> None:
    audio = encoder.speech("ana", seconds=3.3, rate=RATE)
    assert encoder.encode("ana")["outcomes"] == {"ana": None}
    upstream = in_fish(fish_python, "upstream_codes.py", tiny_checkpoint, audio)
    codes = encoder.codes("ana")
    assert codes.dtype == np.int64 and codes.shape == (10, 72)
    assert codes.tolist() == upstream["codes"]


def test_references_of_any_rate_and_channels_are_encoded(encoder: Encoder) -> None:
    for name, rate, channels in (("low", 16000, 1), ("wide", 48000, 2), ("odd", 11025, 1)):
        encoder.speech(name, seconds=2.0, rate=rate, channels=channels)
    assert set(encoder.encode("low", "wide", "odd")["outcomes"].values()) == {None}
    assert {name: encoder.codes(name).shape for name in ("low", "wide", "odd")} == dict.fromkeys(
        ("low", "wide", "odd"), (10, 44)
    )


def test_a_long_reference_is_cut_with_a_note(encoder: Encoder) -> None:
    encoder.speech("ana", seconds=31.0, rate=16000)
    (note,) = encoder.encode("ana")["notes"]
    assert "the reference of ana is longer than 30 s" in note
    assert encoder.codes("ana").shape == (10, 646)


def test_unusable_references_fail_alone_with_a_sentence(encoder: Encoder) -> None:
    encoder.speech("good", seconds=1.0, rate=RATE)
    encoder.write("short", np.full(RATE // 4, 0.5), RATE)
    encoder.write("empty", np.zeros(0), RATE)
    encoder.write("silent", np.zeros(RATE), RATE)
    encoder.write("broken", np.full(RATE, np.nan), RATE)
    encoder.write("odd", np.sin(np.arange(50000)), 44099)
    encoder.audio("text").write_text("no sound")
    names = ("short", "empty", "silent", "broken", "odd", "text", "absent", "good")
    outcomes = encoder.encode(*names)["outcomes"]
    assert outcomes.pop("good") is None
    assert {failure["code"] for failure in outcomes.values()} == {"reference_unusable"}
    messages = {name: failure["message"] for name, failure in outcomes.items()}
    assert "0.25 s long" in messages["short"] and "0.00 s long" in messages["empty"]
    assert "is silent" in messages["silent"] and "no numbers" in messages["broken"]
    assert "44099 Hz" in messages["odd"] and "cannot be read" in messages["text"]
    assert "absent.wav cannot be read (No such file or directory)" in messages["absent"]


def test_a_reference_without_a_place_for_its_codes_fails(encoder: Encoder) -> None:
    encoder.speech("ana", seconds=1.0, rate=RATE)
    outcome = encoder.encode("ana", codes="")["outcomes"]["ana"]
    assert outcome["code"] == "codes_missing"


def test_codes_are_made_again_only_when_reference_or_file_changed(encoder: Encoder) -> None:
    encoder.speech("ana", seconds=1.0, rate=RATE)
    encoder.encode("ana")
    path = encoder.folder / "ana.npy"
    first, made = path.read_bytes(), path.stat().st_ino

    encoder.encode("ana")
    assert path.stat().st_ino == made, "unchanged codes were written again"

    path.write_bytes(first[:-8])
    encoder.encode("ana")
    assert path.read_bytes() == first, "damaged codes were kept"

    encoder.speech("ana", seconds=1.5, rate=RATE)
    encoder.encode("ana")
    assert path.read_bytes() != first, "codes of another reference were kept"


@dataclass(frozen=True)
class Encoder:
    """Reference files in a folder, and the codec of the fish environment to encode them."""

    python: Path
    checkpoint: Path
    folder: Path

    def audio(self, name: str) -> Path:
        return self.folder / f"{name}.wav"

    def write(self, name: str, samples: np.ndarray, rate: int) -> Path:
        soundfile.write(self.audio(name), samples, rate, subtype="FLOAT")
        return self.audio(name)

    def speech(self, name: str, seconds: float, rate: int, channels: int = 1) -> Path:
        """A buzz whose pitch and strength move like a voice's."""
        time = np.arange(round(seconds * rate)) / rate
        phase = 2 * np.pi * (120 * time + 5 * np.sin(3 * time))
        buzz = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
        voice = 0.2 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        return self.write(name, np.repeat(voice[:, None], channels, axis=1), rate)

    def encode(self, *names: str, codes: str | None = None) -> dict[str, Any]:
        rows = [
            {
                "speaker": name,
                "audio": str(self.audio(name)),
                "text": "",
                "codes": str(self.folder / f"{name}.npy") if codes is None else codes,
            }
            for name in names
        ]
        references = self.folder / "references.json"
        references.write_text(json.dumps(rows), encoding="utf-8")
        return in_fish(self.python, "codec_encoding.py", self.checkpoint, references)

    def codes(self, name: str) -> np.ndarray:
        loaded: np.ndarray = np.load(self.folder / f"{name}.npy")
        return loaded


@pytest.fixture
def encoder(fish_python: Path, tiny_checkpoint: Path, tmp_path: Path) -> Encoder:
    return Encoder(fish_python, tiny_checkpoint, tmp_path)
