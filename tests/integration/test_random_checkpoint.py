"""Random checkpoints, judged by upstream's own code: they load, follow the text, and end."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.random_checkpoint import S1_FILES, S2_FILES, Size, make_checkpoint
from command import benchmark, benchmark_environment
from fish_interpreter import in_fish
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.engines.checkpoint import is_generated
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.types import ProgressEvent

pytestmark = pytest.mark.engine

TEXT = (
    "It was late in the year, and the clocks of the town struck four as the last of the boats came in. "
    "Nobody stood on the pier. The men tied up without a word, for they had seen the light in the window "
    "above the harbour, and they knew what it meant; it had been dark since the spring, when the old man "
    "went out alone and was not seen again."
)


@pytest.fixture
def settings(fish_python: Path) -> Settings:
    return resolve({}, {"FISH_SPEECH_PYTHON": str(fish_python)})


def line(length: int, *, seed: int = 1, reference: int = 1, frames: int = 100) -> dict[str, Any]:
    return {"text": TEXT[:length], "seed": seed, "reference": reference, "reference_frames": frames}


def spoken(
    python: Path, checkpoint: Path, folder: Path, lines: Sequence[dict[str, Any]], datatype: str = "float32"
) -> dict[str, Any]:
    """What upstream makes of the lines with this checkpoint."""
    (folder / "lines.json").write_text(json.dumps(lines))
    return in_fish(python, "upstream_speech.py", checkpoint, datatype, folder / "lines.json")


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in S1_FILES}


def test_it_is_whole_and_says_that_it_speaks_no_words(tiny_checkpoints: Mapping[str, Path]) -> None:
    for folder, names, size in (
        (tiny_checkpoints["S1"], S1_FILES, "tiny"),
        (tiny_checkpoints["S2"], S2_FILES, "s2-tiny"),
    ):
        assert {path.name for path in folder.iterdir()} == names
        assert is_generated(folder)
        assert "speak no words" in (folder / "README.txt").read_text()
        marked = json.loads((folder / "generated.json").read_text())
        assert (marked["size"], marked["seed"]) == (size, 0) and "no words" in marked["about"]
        assert sum(path.stat().st_size for path in folder.iterdir()) < 31e6


@pytest.mark.parametrize("datatype", ["float32", "bfloat16"])
def test_a_line_is_as_long_as_its_text_and_ends_by_itself(
    datatype: str, fish_python: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    lengths = {2: 50, 40: 250, 160: 50}
    lines = [line(length, seed=length, frames=frames) for length, frames in lengths.items()]
    answer = spoken(fish_python, tiny_checkpoint, tmp_path, lines, datatype)
    assert answer["missing"] == [] and answer["unknown"] == []
    for row, codes in zip(lines, answer["codes"], strict=True):
        expected = 1.3 * len(row["text"]) + 4.2
        assert abs(len(codes) - expected) < 3 + 0.04 * expected, row


def test_other_seeds_and_other_references_speak_otherwise(
    fish_python: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    lines = [line(30), line(30), line(30, seed=2), line(30, reference=2)]
    first, again, other_seed, other_reference = spoken(fish_python, tiny_checkpoint, tmp_path, lines)["codes"]
    assert first == again
    assert first != other_seed and first != other_reference
    assert len(set(first)) > len(first) / 2


def test_the_codec_hears_and_sounds(fish_python: Path, tiny_checkpoint: Path) -> None:
    codec = in_fish(fish_python, "generated_codec.py", tiny_checkpoint)
    assert codec["missing"] == [] and codec["unknown"] == [] and codec["prefixed"]
    assert codec["tables"] > 0 and codec["tables_agree"]
    assert (codec["rate"], codec["samples"]) == (44100, [20 * 2048] * 2)
    assert codec["frames"] == [20, 20] and codec["codebooks"] == [10, 10]
    assert min(codec["distinct"]) > 5 and codec["alike"] < 0.5
    assert all(0.02 < loudness < 0.2 for loudness in codec["loudness"]) and codec["offset"] < 0.01
    assert codec["difference"] > 0.5 * min(codec["loudness"])


def test_the_larger_sizes_have_their_shape(fish_python: Path, tmp_path: Path) -> None:
    sizes = in_fish(fish_python, "generated_shapes.py", tmp_path)
    published = sizes["s1-mini"]
    assert 855e6 < published["model"] < 875e6 and 390e6 < published["codec"] < 392e6
    assert (published["vocabulary"], published["semantic"], published["window"]) == (155776, 4096, 8192)
    assert 20e6 < sizes["small"]["model"] < 80e6
    published = sizes["s2-pro"]
    assert published["model"] == 4_561_852_416 and 390e6 < published["codec"] < 392e6
    assert (published["vocabulary"], published["semantic"], published["window"]) == (155776, 4096, 32768)
    assert 300e6 < sizes["s2-small"]["model"] < 350e6
    assert {size["frame"] for size in sizes.values()} == {2048}
    bytes_of_the_text = len("<|speaker:0|>naïve".encode())
    assert {size["tokens"] for size in sizes.values()} == {bytes_of_the_text}


def test_the_weights_hang_on_the_seed_alone(
    settings: Settings, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "tiny"
    seen: list[ProgressEvent] = []
    made = make_checkpoint(folder, Size.TINY, settings, seen.append)
    assert digests(folder) == digests(tiny_checkpoint)
    assert (made.folder, made.seed) == (folder, 0)
    assert made.size_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert seen[-1].completed == seen[-1].total and len(seen) < 250

    make_checkpoint(folder, Size.TINY, settings, seed=7, force=True)
    changed = {name for name, digest in digests(folder).items() if digest != digests(tiny_checkpoint)[name]}
    assert changed == {"model.pth", "codec.pth", "generated.json", "README.txt"}
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_failure_leaves_the_earlier_checkpoint_as_it_was(
    fish_python: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Here with a checkout of fish-speech that is found broken only when it is imported."""
    models = tmp_path / "checkout" / "fish_speech" / "models"
    for name in ("text2semantic/llama.py", "dac/modded_dac.py"):
        (models / name).parent.mkdir(parents=True)
        (models / name).with_name("__init__.py").touch()
        (models / name).write_text("raise ImportError('half a file')")
    earlier = tmp_path / "made" / "tiny"
    earlier.mkdir(parents=True)
    (earlier / "generated.json").write_text("{}")
    environ = {"FISH_SPEECH_PYTHON": str(fish_python), "FISH_SPEECH_DIR": str(tmp_path / "checkout")}
    with pytest.raises(PreflightError, match="half a file"):
        make_checkpoint(earlier, Size.TINY, resolve({}, environ), force=True)
    assert [path.name for path in earlier.parent.rglob("*")] == ["tiny", "generated.json"]


def test_the_program_prints_the_folder_and_warns_loudly(
    fish_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish_python))
    ended = benchmark("random_checkpoint", tmp_path / "tiny")
    assert (ended.code, ended.out) == (0, f"{tmp_path / 'tiny'}\n")
    assert "SPEAKS NO WORDS" in ended.err.splitlines()[-1]
    again = benchmark("random_checkpoint", tmp_path / "tiny")
    assert (again.code, again.out) == (2, "")
    assert again.err.count("\n") == 1 and "--force" in again.err


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGTERM that can be caught")
def test_stopping_it_leaves_nothing(
    fish_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FISH_SPEECH_PYTHON", str(fish_python))
    command = [sys.executable, "-m", "benchmarks.random_checkpoint", str(tmp_path / "made" / "small")]
    with subprocess.Popen(
        [*command, "--size", "small", "--progress", "json"],
        env=benchmark_environment(),
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stderr is not None
        assert any("drawing model.pth" in said for said in process.stderr), "it never began"
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(timeout=30) == 143
    assert list((tmp_path / "made").iterdir()) == []
