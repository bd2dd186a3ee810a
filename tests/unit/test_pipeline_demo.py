"""The demonstration: where its recording comes from, and what it fetches. Its run is tested in tests/e2e/test_docs.py."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys
from pathlib import Path

import pytest

from platforms import needs_pyannote
from voiceclone_cli.config import Settings
from voiceclone_cli.errors import PreflightError
from voiceclone_cli.models import download
from voiceclone_cli.pipeline import demo, run

ROOT = Path(__file__).parents[2]


@needs_pyannote
def test_the_sample_is_found_without_importing_what_carries_it() -> None:
    program = """if True:
        import sys
        from voiceclone_cli.pipeline.demo import sample_recording
        print(sample_recording())
        sys.exit(bool({"pyannote", "torch", "av", "numpy"} & sys.modules.keys()))
        """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.name == "sample.wav" and path.stat().st_size > 900_000
    printed = subprocess.run(
        [sys.executable, ROOT / "examples" / "sample.py"], capture_output=True, text=True
    )
    assert printed.stdout == done.stdout


@pytest.mark.parametrize("found", [None, []], ids=["no pyannote", "pyannote.core alone"])
def test_without_pyannote_audio_it_is_one_sentence(
    found: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.machinery.ModuleSpec("pyannote", None, is_package=True) if found is not None else None
    monkeypatch.setattr(demo, "find_spec", lambda name: spec)
    with pytest.raises(PreflightError, match="install voiceclone again") as caught:
        demo.run_demo(Settings(), tmp_path / "out")
    assert caught.value.code == "sample_missing" and not (tmp_path / "out").exists()


@needs_pyannote
def test_all_embedded_models_are_fetched_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(download, "ensure_models", lambda names, *rest: done.append(tuple(names)))
    monkeypatch.setattr(run, "run", lambda request, progress: done.append((request.input.name, request.out)))
    demo.run_demo(Settings(), tmp_path / "out")
    assert done == [download.embedded_models(), ("sample.wav", tmp_path / "out")]
