"""Which checkouts of fish-speech the fish engine can take its model code from."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_cli.errors import PreflightError
from voiceclone_cli.fish.checkout import fish_checkout
from voiceclone_cli.settings import resolve

MODEL = "fish_speech/models/text2semantic/llama.py"
CODEC = "fish_speech/models/dac/modded_dac.py"


def checkout(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def found(folder: Path) -> Path | None:
    return fish_checkout(resolve({}, {"FISH_SPEECH_DIR": str(folder)}))


def refusal(folder: Path) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        found(folder)
    message = caught.value.message
    assert message.startswith(f"FISH_SPEECH_DIR (environment) names {folder}")
    assert "leave it unset" in message and "\n" not in message
    return caught.value


def test_without_the_setting_there_is_none() -> None:
    assert fish_checkout(resolve({}, {})) is None


def test_one_of_the_s1_generation_is_taken(tmp_path: Path) -> None:
    files = {
        MODEL: "from transformers import AutoTokenizer\n",
        CODEC: "class DAC:\n    def decode(self, z): ...\n",
    }
    assert found(checkout(tmp_path, files)) == tmp_path


def test_a_place_that_is_no_checkout_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    problems = {"nowhere": "does not exist", "file": "is a file", "folder": "is no checkout of fish-speech"}
    for name, problem in problems.items():
        error = refusal(tmp_path / name)
        assert error.code == "fish_checkout" and problem in error.message


@pytest.mark.parametrize(
    "files",
    [
        {MODEL: 'case "fish_qwen3_omni":\n', CODEC: "class DAC: ...\n"},
        {
            MODEL: "class DualARTransformer: ...\n",
            CODEC: "class DAC:\n    def from_indices(self, indices): ...\n",
        },
    ],
)
def test_one_of_the_s2_generation_is_recognised_by_its_files(tmp_path: Path, files: dict[str, str]) -> None:
    error = refusal(checkout(tmp_path, files))
    assert error.code == "fish_generation"
    assert "S2" in error.message and "Research License" in error.message


def test_one_of_before_s1_is_recognised_too(tmp_path: Path) -> None:
    files = {MODEL: "class DualARTransformer: ...\n", "fish_speech/models/vqgan/utils.py": ""}
    error = refusal(checkout(tmp_path, files))
    assert error.code == "fish_generation" and "1.5" in error.message
