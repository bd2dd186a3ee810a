"""`voiceclone run --engine fish` on a real recording, with a generated checkpoint that speaks no words."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from command import Ended, Run, voiceclone
from fish_checkpoints import make_checkout
from media_samples import syllables, write_wav
from voiceclone_worker.protocol import (
    EncodeTask,
    EngineSpec,
    ReferenceSpec,
    SegmentSpec,
    SynthesisTask,
    task_to_json,
)

pytestmark = pytest.mark.engine


SCRIPT = Path(__file__).parents[2] / "examples" / "sample.en.srt"
"""The lines of the recording as they were heard once: what to speak is the same in every run."""


def fish_run(folder: Path, sample_wav: Path, python: Path, checkpoint: Path, *flags: object) -> Run:
    folder.mkdir()
    # As a user configures it.
    (folder / ".env").write_text(f"FISH_SPEECH_PYTHON={python}\n", encoding="utf-8")
    told = ("run", sample_wav, "--engine", "fish", "--checkpoint", checkpoint, "--script", SCRIPT)
    ended = voiceclone(*told, "--language", "en", "--out", "run", "--json", *flags, cwd=folder)
    return Run(ended, folder / "run")


@pytest.fixture(scope="module")
def sequential(
    tmp_path_factory: pytest.TempPathFactory,
    sample_wav: Path,
    fish_python: Path,
    each_checkpoint: Path,
) -> Run:
    """A run with a checkpoint of each generation."""
    folder = tmp_path_factory.mktemp("fish") / "sequential"
    return fish_run(folder, sample_wav, fish_python, each_checkpoint)


def test_every_line_is_spoken_and_the_run_says_that_there_are_no_words(
    sequential: Run, sample_wav: Path
) -> None:
    assert sequential.ended.code == 0, sequential.ended.err
    document = sequential.ended.document
    assert (document["engine"], document["mode"], document["status"]) == ("fish", "sequential", "success")
    assert document["segments"] and all(row["status"] == "done" for row in document["segments"])
    assert any("speaks no words" in note for note in document["notes"])
    stages = {"load", "encode", "generate", "decode", "write", "watermark"}
    assert document["timing"]["workers"].keys() == stages and document["watermark"] == "perth"
    for row in document["segments"]:
        samples, rate = soundfile.read(row["file"])
        assert rate == 44100 and np.sqrt(np.mean(samples**2)) > 0.001
    for speaker in document["speakers"]:
        folder = sequential.folder / "speakers" / speaker["name"]
        codes = np.load(folder / "codes.npy")
        frames = soundfile.info(folder / "reference.wav").duration * 44100 / 2048
        assert codes.shape == (10, pytest.approx(frames, abs=1.5))
    mix, source = soundfile.info(document["outputs"]["mix"]), soundfile.info(sample_wav)
    assert mix.frames * source.samplerate == source.frames * mix.samplerate


def test_two_workers_and_another_batch_size_speak_the_same_bytes(
    tmp_path: Path,
    sequential: Run,
    sample_wav: Path,
    fish_python: Path,
    each_checkpoint: Path,
) -> None:
    turns = ("--turns", sequential.folder / "diarization.rttm")
    flags = ("--mode", "parallel", "--workers", 2, "--batch-size", 2, *turns)
    parallel = fish_run(tmp_path / "parallel", sample_wav, fish_python, each_checkpoint, *flags)
    assert parallel.ended.code == 0, parallel.ended.err
    assert parallel.ended.document["mode"] == "parallel"
    assert parallel.sounds() == sequential.sounds()
    mixes = [Path(run.ended.document["outputs"]["mix"]).read_bytes() for run in (parallel, sequential)]
    assert mixes[0] == mixes[1]


TAGGED = """1
00:00:07,000 --> 00:00:10,000
[whisper] Come here, please.

2
00:00:11,000 --> 00:00:13,000
[door slams]
"""


class TestCheckoutOfS2:
    """A checkout as whoever clones fish-speech now has it: its code is empty here, its checkpoint generated."""

    @pytest.fixture
    def told(
        self, tmp_path: Path, sample_wav: Path, fish_python: Path, tiny_checkpoints: Mapping[str, Path]
    ) -> Callable[..., Ended]:
        folder = make_checkout(tmp_path / "fish-speech", is_s2=True)
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "s2-pro").symlink_to(tiny_checkpoints["S2"])
        lines = f"FISH_SPEECH_PYTHON={fish_python}\nFISH_SPEECH_DIR={folder}\n"
        (tmp_path / ".env").write_text(lines, encoding="utf-8")
        (tmp_path / "tagged.srt").write_text(TAGGED, encoding="utf-8")
        given = ("--script", "tagged.srt", "--language", "en", "--turns", sample_wav.with_suffix(".rttm"))

        def tell(command: str, *flags: object) -> Ended:
            rest = ("--out", "run", *given, sample_wav) if command in ("plan", "run") else ()
            return voiceclone(command, "--engine", "fish", *rest, "--json", *flags, cwd=tmp_path)

        return tell

    def test_doctor_and_plan_say_what_is_used_and_what_memory_it_takes(
        self, told: Callable[..., Ended], tmp_path: Path
    ) -> None:
        doctor = told("doctor")
        assert doctor.code == 0, doctor.err
        rows = {row["check"]: row for row in doctor.document["rows"]}
        assert "its code is not" in rows["FISH_SPEECH_DIR"]["found"]
        assert "S2 generation" in rows["checkpoint"]["found"]
        assert "keys and values" in rows["memory"]["found"]
        plan = told("plan", "--batch-size", 3)
        assert plan.code == 0, plan.err
        engine, notes = plan.document["engine"], plan.document["notes"]
        assert engine["checkpoint"] == str(tmp_path / "fish-speech" / "checkpoints" / "s2-pro")
        assert engine["memory"]["rows"] == 3 and engine["memory"]["weights_bytes"] > 0
        assert any("its checkpoints are used, its code is not" in note for note in notes)

    def test_a_run_speaks_with_it_and_other_tags_are_other_lines(self, told: Callable[..., Ended]) -> None:
        for tags, text in (("drop", "Come here, please."), ("keep", "[whisper] Come here, please.")):
            ended = told("run", "--tags", tags)
            assert ended.code == 0, ended.err
            (row,) = ended.document["segments"]
            assert (row["status"], row["text"], ended.document["reused"]) == ("done", text, 0)
            assert ended.document["request"]["checkpoint"] == "s2-pro"
        again = told("run", "--tags", "keep")
        assert (again.code, again.document["reused"]) == (0, 1)


def test_synth_takes_tags_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fish_python: Path, tiny_checkpoints: Mapping[str, Path]
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish_python))
    text = "[whisper] A line to speak."
    files = TestWorkerKilledWhileLoading.tasks(tmp_path, tiny_checkpoints["S2"], text)
    sounds = []
    for flags in ((), ("--tags", "keep")):
        ended = voiceclone("synth", *files, "--progress", "none", *flags)
        assert ended.code == 0, ended
        sounds.append((tmp_path / "out" / "0001.wav").read_bytes())
    assert sounds[0] != sounds[1]


class TestWorkerKilledWhileLoading:
    """A worker that is killed before it has loaded its model."""

    @staticmethod
    def interpreter(folder: Path, python: Path, *, deaths: int) -> Path:
        """The fish interpreter, whose first so many workers live for a second: not long enough to load."""
        counter, wrapper = folder / "deaths", folder / "python"
        counter.write_text("0", encoding="utf-8")
        real = shlex.quote(str(python))
        wrapper.write_text(
            "#!/bin/sh\n"
            f"count=$(cat {shlex.quote(str(counter))})\n"
            'case "$*" in *--serve*)\n'
            f'  if [ "$count" -lt {deaths} ]; then\n'
            f"    echo $((count + 1)) > {shlex.quote(str(counter))}\n"
            f'    exec timeout -s KILL 1 {real} "$@"\n'
            "  fi ;;\n"
            "esac\n"
            f'exec {real} "$@"\n',
            encoding="utf-8",
        )
        wrapper.chmod(0o755)
        return wrapper

    @staticmethod
    def tasks(folder: Path, checkpoint: Path, text: str = "A line to speak.") -> list[Path]:
        engine = EngineSpec("fish", str(checkpoint))
        audio = write_wav(folder / "a.wav", syllables(3.0))
        reference = ReferenceSpec("A", str(audio), "words", str(folder / "codes.npy"))
        line = SegmentSpec("0001", text, "en", 1)
        encode, speak = folder / "encode.json", folder / "speak.json"
        encode.write_text(task_to_json(EncodeTask(engine, (reference,))), encoding="utf-8")
        synthesis = SynthesisTask("A", engine, reference, str(folder / "out"), (line,))
        speak.write_text(task_to_json(synthesis), encoding="utf-8")
        return [encode, speak]

    def test_again_and_again_it_ends_with_4_and_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fish_python: Path, tiny_checkpoint: Path
    ) -> None:
        monkeypatch.setenv("FISH_SPEECH_PYTHON", str(self.interpreter(tmp_path, fish_python, deaths=99)))
        ended = voiceclone("synth", *self.tasks(tmp_path, tiny_checkpoint), "--progress", "none", timeout=120)
        assert ended.code == 4, ended
        (sentence,) = ended.err.splitlines()
        assert "SIGKILL" in sentence and "voiceclone doctor" in sentence

    def test_once_another_worker_takes_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fish_python: Path, tiny_checkpoint: Path
    ) -> None:
        monkeypatch.setenv("FISH_SPEECH_PYTHON", str(self.interpreter(tmp_path, fish_python, deaths=1)))
        ended = voiceclone("synth", *self.tasks(tmp_path, tiny_checkpoint), "--progress", "none", timeout=120)
        assert ended.code == 0, ended
        assert (tmp_path / "out" / "0001.wav").is_file()
        assert (tmp_path / "deaths").read_text(encoding="utf-8").strip() == "1"
