"""Opening fish-speech's code, on checkouts that hold no more of it than their shape."""

from __future__ import annotations

import sys
from pathlib import Path

from fish_interpreter import in_fish

PYTHON = Path(sys.executable)


def checkout(folder: Path, dac: str) -> Path:
    for name, text in {
        "models/text2semantic/llama.py": "from transformers import AutoTokenizer\n",
        "models/dac/modded_dac.py": f"import librosa\n\n\nclass DAC:\n    {dac}\n",
    }.items():
        path = folder / "fish_speech" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_checkout_goes_before_what_is_installed_and_what_it_never_uses_may_be_missing(
    tmp_path: Path,
) -> None:
    # This interpreter has no transformers, librosa, loguru or tensorboard.
    source = checkout(tmp_path, "encode = None")
    (tmp_path / "loguru.py").write_text(
        "class logger:\n    remove = staticmethod(lambda: None)\n    add = staticmethod(lambda *a, **k: None)\n",
        encoding="utf-8",
    )
    answer = in_fish(PYTHON, "open_checkout.py", source)
    assert answer == {"taken": str(tmp_path / "fish_speech"), "stand-in refuses": True}


def test_a_checkout_of_the_newer_generation_is_one_sentence(tmp_path: Path) -> None:
    answer = in_fish(PYTHON, "open_checkout.py", checkout(tmp_path, "from_indices = None"))
    assert answer["code"] == "fish_generation"
    assert "S2" in answer["message"] and "0.1.0" in answer["message"]


def test_a_folder_that_is_no_checkout_is_one_sentence(tmp_path: Path) -> None:
    answer = in_fish(PYTHON, "open_checkout.py", tmp_path)
    assert answer["code"] == "fish_missing" and "FISH_SPEECH_DIR" in answer["message"]


def test_an_interpreter_without_fish_speech_is_told_what_to_do() -> None:
    answer = in_fish(PYTHON, "open_checkout.py", "")
    assert answer["code"] == "fish_missing" and "voiceclone env create" in answer["message"]
