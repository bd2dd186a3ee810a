"""Real models in a worker process find what they find in this one, also a second time, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis_tasks import diarized, excerpt, transcribed
from hearing import sample_text, word_error_rate
from processes import children, gone
from voiceclone_cli.analysis.analyzer import (
    LOCAL_ANALYZER,
    CachedModels,
)
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.analysis.remote import RemoteAnalyzer, local_launcher
from voiceclone_cli.analysis.transcription import transcribe
from voiceclone_cli.audio import reader
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import InputError, PreflightError
from voiceclone_cli.types import (
    ProgressEvent,
    Recording,
)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def recording(sample_wav: Path) -> Recording:
    return excerpt(reader.read_recording(sample_wav), 6, 20)


@pytest.fixture
def settings() -> Settings:
    return resolve({}, {"VOICECLONE_THREADS": "1"})


@pytest.fixture(scope="module")
def analyzer() -> Iterator[RemoteAnalyzer]:
    with RemoteAnalyzer(local_launcher(1)) as analyzer:
        yield analyzer


@pytest.mark.numerical
def test_turns_are_the_same_in_a_child_the_first_time_and_the_second(
    analyzer: RemoteAnalyzer, recording: Recording, embedded_diarizer: DiarizationModel, settings: Settings
) -> None:
    own = diarized(LOCAL_ANALYZER, recording, embedded_diarizer, settings)
    events: list[ProgressEvent] = []
    assert diarized(analyzer, recording, embedded_diarizer, settings, events.append) == own
    assert (
        diarized(analyzer, excerpt(recording, 0, 5), embedded_diarizer, settings, count=SpeakerCount(1))
        != own
    )
    assert diarized(analyzer, recording, embedded_diarizer, settings) == own
    completed = [event.completed for event in events]
    assert completed == sorted(completed)
    assert (completed[0], completed[-1], len(own.speakers)) == (0.0, recording.seconds, 2)


@pytest.mark.numerical
def test_words_are_the_same_in_a_child_the_first_time_and_the_second(
    analyzer: RemoteAnalyzer, recording: Recording, model_folders: Mapping[str, Path], settings: Settings
) -> None:
    folder = model_folders["whisper-base"]
    own = transcribed(LOCAL_ANALYZER, recording, folder, settings)
    for _ in range(2):
        assert transcribed(analyzer, recording, folder, settings) == own
    assert analyzer.peak_mb > 100
    # The line that the recording's end cuts off, at 18 s of the sample, is left out.
    text = "".join(word.text for word in own.words if word.start < 18 - 6)
    assert word_error_rate(sample_text(6, 18), text) <= 0.35, text


@pytest.mark.numerical
def test_what_was_decoded_by_sampling_is_found_the_same_the_next_time(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    """A model that goes on with its random generator would hear other words in such noise."""
    noise = np.random.default_rng(0).normal(0, 0.05, len(recording.samples)).astype(np.float32)
    noisy, folder = replace(recording, samples=recording.samples + noise), model_folders["whisper-base"]
    own = transcribe(noisy, folder, language=None, threads=1)
    kept = CachedModels()
    for _ in range(2):
        assert transcribe(noisy, folder, language=None, threads=1, load=kept.load_whisper) == own


def test_what_is_wrong_with_a_recording_or_a_model_is_events_as_it_is_here(
    analyzer: RemoteAnalyzer,
    recording: Recording,
    embedded_diarizer: DiarizationModel,
    settings: Settings,
    tmp_path: Path,
) -> None:
    silence = replace(recording, samples=np.zeros_like(recording.samples))
    with pytest.raises(InputError, match="No speech found in sample") as caught:
        diarized(analyzer, silence, embedded_diarizer, settings)
    assert caught.value.code == "no_speech"
    with pytest.raises(PreflightError) as refused:
        transcribed(analyzer, recording, tmp_path, settings)
    assert refused.value.code == "asr_model_incomplete"


def test_a_child_that_is_killed_while_it_listens_costs_nothing_but_time(
    recording: Recording, embedded_diarizer: DiarizationModel, settings: Settings
) -> None:
    killed: list[int] = []
    others = set(children(os.getpid()))
    with RemoteAnalyzer(local_launcher(1)) as analyzer:

        def kill_once(event: ProgressEvent) -> None:
            if event.completed > 0 and not killed:
                killed.extend(set(children(os.getpid())) - others)
                os.kill(killed[0], signal.SIGKILL)

        found = diarized(analyzer, recording, embedded_diarizer, settings, kill_once)
    assert len(killed) == 1
    assert found == diarized(LOCAL_ANALYZER, recording, embedded_diarizer, settings)


COORDINATOR = """
import os, pathlib, sys
from voiceclone_cli.audio.reader import read_recording
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.analysis.analyzer import diarization_task
from voiceclone_cli.analysis.remote import RemoteAnalyzer, local_launcher
from voiceclone_cli.config import resolve

recording = read_recording(pathlib.Path(sys.argv[1]))
folders = {"segmentation-3.0": pathlib.Path(sys.argv[2]), "campplus": pathlib.Path(sys.argv[3])}

def report(event):
    print(event.completed, sorted({"torch", "pyannote.audio"} & set(sys.modules)), flush=True)

with RemoteAnalyzer(local_launcher(1)) as analyzer:
    analyzer.run(diarization_task(recording, DiarizationModel("embedded", folders, ""), SpeakerCount(), resolve({})), report)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who is there")
def test_a_coordinator_that_is_killed_leaves_no_child_and_no_file(
    sample_wav: Path, model_folders: Mapping[str, Path], tmp_path: Path
) -> None:
    folders = (str(model_folders[name]) for name in ("segmentation-3.0", "campplus"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    path = os.pathsep.join(each for each in sys.path if each)
    coordinator = subprocess.Popen(
        [sys.executable, "-c", COORDINATOR, str(sample_wav), *folders],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)},
    )
    assert coordinator.stdout is not None
    with coordinator, coordinator.stdout as printed:
        assert printed.readline() == "0.0 []\n", "the coordinator itself imports no model library"
        (child,) = children(coordinator.pid)
        assert os.getsid(child) == child, "a Ctrl-C of the terminal is the coordinator's alone"
        printed.readline()
        coordinator.kill()
    assert gone([child])
    assert list(temporary.iterdir()) == []
