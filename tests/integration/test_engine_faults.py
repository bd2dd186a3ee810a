"""Workers with real engines that are killed or hang: the lines are synthesized all the same, to the last byte."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from media_samples import syllables, write_wav
from voiceclone_cli.workers.pool import Pool
from voiceclone_cli.workers.process import LocalLauncher, worker_command
from voiceclone_cli.workers.protocol import PoolResult, one_lease
from voiceclone_worker.protocol import EncodeTask, EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.name == "nt", reason="faults are made of signals"),
]

LINES = ("Good morning.", "How are you today, my friend?", "It rains.")

TIMEOUT_SCALE = 0.05
"""A hang is found after three seconds; loading may take 45."""

Strike = Callable[[int, dict[str, Any]], None]
"""Called with the worker's process id and each of its events."""


@dataclass(frozen=True)
class Stage:
    """An engine with an encoded speaker, and the expected wavs of its lines."""

    folder: Path
    python: str | None
    engine: EngineSpec
    reference: ReferenceSpec
    expected: Mapping[str, bytes]

    def speak(self, folder: str, strike: Strike = lambda pid, event: None) -> PoolResult:
        lines = tuple(SegmentSpec(str(n), text, "en", n, 5.0) for n, text in enumerate(LINES))
        task = SynthesisTask("A", self.engine, self.reference, str(self.folder / folder), lines)
        return run(self.folder, self.python, strike, task)

    def assert_same(self, outcome: PoolResult) -> None:
        assert {name: row.status for (_, name), row in outcome.segments.items()} == {
            str(n): "done" for n in range(len(LINES))
        }
        assert results(outcome) == self.expected
        assert outcome.errors == [] and len(outcome.notes) == 1


def run(folder: Path, python: str | None, strike: Strike, *tasks: SynthesisTask | EncodeTask) -> PoolResult:
    pids: dict[str, int] = {}

    def report(worker: str, event: dict[str, Any]) -> None:
        if event["event"] == "hello":
            pids[worker] = event["pid"]
        strike(pids[worker], event)

    (folder / "tasks").mkdir(exist_ok=True)
    launcher = LocalLauncher(worker_command(python, threads=1), 1, folder / "tasks")
    with Pool(launcher, on_event=report, timeout_scale=TIMEOUT_SCALE) as pool:
        return pool.run(one_lease(tasks))


def results(outcome: PoolResult) -> dict[str, bytes]:
    return {name: Path(str(row.file)).read_bytes() for (_, name), row in outcome.segments.items()}


def prepared(
    folder: Path, python: str | None, engine: EngineSpec, codes: str, audio: Callable[[Path], Path]
) -> Stage:
    reference = ReferenceSpec("A", str(audio(folder / "A.wav")), "words of a reference", str(folder / codes))
    stage = Stage(folder, python, engine, reference, {})
    encoded = run(folder, python, lambda pid, event: None, EncodeTask(engine, (reference,)))
    assert encoded.references["A"].status == "done", encoded.references["A"]
    return Stage(folder, python, engine, reference, results(stage.speak("expected")))


@pytest.fixture(scope="module", params=["kokoro", "fish"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "fish":
        checkpoint = request.getfixturevalue("tiny_checkpoint")
        engine = EngineSpec("fish", str(checkpoint), batch_size=2, options={"threads": 1})
        python = str(request.getfixturevalue("fish_python"))
        return prepared(folder, python, engine, "A.npy", lambda path: write_wav(path, syllables(3.0)))
    models = request.getfixturevalue("model_folders")
    options = {"encoder": str(models["campplus"]), "threads": 1}
    sample = request.getfixturevalue("sample_wav")
    engine = EngineSpec("kokoro", str(models["kokoro"]), options=options)
    return prepared(folder, None, engine, "A.npz", lambda path: sample)


def once(number: int, event_name: str, **fields: Any) -> Strike:
    """Send the signal to the first worker that says this."""
    disturbed_once: list[int] = []

    def strike(pid: int, event: dict[str, Any]) -> None:
        if not disturbed_once and {"event": event_name, **fields}.items() <= event.items():
            disturbed_once.append(pid)
            os.kill(pid, number)

    return strike


def test_a_worker_that_is_killed_while_loading_is_replaced(stage: Stage) -> None:
    outcome = stage.speak("loading", once(signal.SIGKILL, "loading"))
    stage.assert_same(outcome)
    assert "was ended by SIGKILL" in outcome.notes[0]


def test_a_worker_that_crashes_while_it_speaks_is_replaced(stage: Stage) -> None:
    outcome = stage.speak("crashed", once(signal.SIGSEGV, "segment_started", id="1"))
    stage.assert_same(outcome)
    assert "was ended by SIGSEGV" in outcome.notes[0]


def test_a_worker_that_hangs_while_it_speaks_is_found_and_replaced(stage: Stage) -> None:
    outcome = stage.speak("hung", once(signal.SIGSTOP, "segment_started", id="1"))
    stage.assert_same(outcome)
    assert "no sign of life" in outcome.notes[0]


def test_a_worker_that_is_killed_while_encoding_leaves_whole_codes(stage: Stage) -> None:
    path = Path(stage.reference.codes)
    codes = path.read_bytes()
    path.unlink()
    outcome = run(
        stage.folder,
        stage.python,
        once(signal.SIGKILL, "ready"),
        EncodeTask(stage.engine, (stage.reference,)),
    )
    assert outcome.references["A"].status == "done"
    assert path.read_bytes() == codes
    assert not [left for left in stage.folder.iterdir() if ".part" in left.name]
