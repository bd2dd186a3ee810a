"""The embedded diarization stack on a real recording, against what people heard in it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceclone_cli.analysis.diarization import SpeakerCount, choose_diarizer, diarize
from voiceclone_cli.analysis.turns import read_rttm
from voiceclone_cli.audio import reader
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import ANALYSIS_RATE, Diarization, ProgressEvent, Recording, Turn

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def recording(sample_wav: Path) -> Recording:
    return reader.read_recording(sample_wav)


@pytest.fixture(scope="module")
def found(recording: Recording, model_folders: Mapping[str, Path]) -> Diarization:
    return run(recording, model_folders)


def run(recording: Recording, folders: Mapping[str, Path], **asked: Any) -> Diarization:
    diarizer = asked.pop("diarizer", "embedded")
    stack = choose_diarizer(
        diarizer, models=lambda names: {name: folders[name] for name in names}, token=None
    )
    settings: dict[str, Any] = {"token": None, "count": SpeakerCount(), "threads": 1}
    return diarize(recording, stack, **(settings | asked))


def first_seconds(recording: Recording, seconds: float) -> Recording:
    return of_samples(recording.samples[: round(seconds * ANALYSIS_RATE)])


def of_samples(samples: np.ndarray) -> Recording:
    return Recording(Path("talk.wav"), samples, ANALYSIS_RATE, len(samples), 1, has_video=False)


def diarization_error_rate(reference: Iterable[Turn], hypothesis: Iterable[Turn]) -> float:
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(turns: Iterable[Turn]) -> Annotation:
        made = Annotation()
        for track, turn in enumerate(turns):
            made[Segment(turn.start, turn.end), track] = turn.speaker
        return made

    whole = Timeline([Segment(0, 30)])
    metric = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    return float(metric(annotation(reference), annotation(hypothesis), uem=whole))


@pytest.mark.numerical
def test_the_sample_is_diarized_almost_as_people_heard_it(found: Diarization, sample_wav: Path) -> None:
    heard = read_rttm(sample_wav.with_suffix(".rttm").read_text(encoding="utf-8"))
    assert found.speakers == ("SPEAKER_00", "SPEAKER_01")
    assert diarization_error_rate(heard, found.turns) <= 0.06


@pytest.mark.numerical
def test_turns_are_in_order_within_the_recording_and_named_as_they_appear(
    found: Diarization, recording: Recording
) -> None:
    assert found.diarizer == "embedded"
    assert found.turns[0].speaker == "SPEAKER_00"
    for turns in (found.turns, found.exclusive):
        assert list(turns) == sorted(turns, key=lambda turn: (turn.start, turn.end))
        assert all(0 <= turn.start < turn.end <= recording.seconds for turn in turns)


@pytest.mark.numerical
def test_exclusive_turns_do_not_overlap_though_the_turns_do(found: Diarization) -> None:
    def overlaps(turns: Iterable[Turn]) -> bool:
        rows = list(turns)
        return any(after.start < before.end - 1e-9 for before, after in pairwise(rows))

    assert overlaps(found.turns)
    assert not overlaps(found.exclusive)


@pytest.mark.numerical
def test_the_result_is_the_same_again_and_with_more_threads(
    found: Diarization, recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    assert run(recording, model_folders, threads=2) == found


@pytest.mark.numerical
def test_the_number_of_speakers_can_be_set(recording: Recording, model_folders: Mapping[str, Path]) -> None:
    assert len(run(recording, model_folders, count=SpeakerCount(3)).speakers) == 3


@pytest.mark.numerical
def test_the_number_of_speakers_can_be_bounded(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    assert len(run(first_seconds(recording, 12), model_folders, count=SpeakerCount(most=1)).speakers) == 1


def test_a_number_that_the_recording_does_not_bear_out_is_told_and_nothing_is_printed(
    recording: Recording, model_folders: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[ProgressEvent] = []
    short = first_seconds(recording, 12)
    heard = run(short, model_folders, count=SpeakerCount(30), progress=events.append)
    assert heard.notes[0] == f"{len(heard.speakers)} speakers found, although at least 30 were requested"
    assert events[-1].note == heard.notes[0]
    assert capsys.readouterr() == ("", "")


def test_progress_reaches_the_end_and_tells_which_stack_speaks(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    events: list[ProgressEvent] = []
    short = first_seconds(recording, 12)
    run(short, model_folders, diarizer="auto", progress=events.append)
    assert "embedded" in events[0].note and "no hub token" in events[0].note
    done = [event.completed for event in events]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, short.seconds)


@pytest.mark.parametrize("kind", ["silence", "hiss"])
@pytest.mark.numerical
def test_a_recording_in_which_nobody_speaks_is_refused(model_folders: Mapping[str, Path], kind: str) -> None:
    samples = np.zeros(5 * ANALYSIS_RATE, np.float32)
    if kind == "hiss":
        samples += np.random.default_rng(0).normal(0, 0.1, len(samples)).astype(np.float32)
    with pytest.raises(InputError, match="No speech found in talk") as error:
        run(of_samples(samples), model_folders)
    assert error.value.code == "no_speech"


@pytest.mark.numerical
def test_speech_too_short_for_an_embedding_is_one_speaker(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    start = round(8.5 * ANALYSIS_RATE)
    hello = of_samples(recording.samples[start : start + ANALYSIS_RATE // 5])
    assert run(hello, model_folders).speakers == ("SPEAKER_00",)


def test_the_models_do_not_outlive_the_call_and_torchs_threads_are_as_before(
    recording: Recording, model_folders: Mapping[str, Path]
) -> None:
    import torch

    before = torch.get_num_threads()
    run(first_seconds(recording, 9), model_folders, threads=before + 1)
    from pyannote.audio.pipelines import SpeakerDiarization

    assert torch.get_num_threads() == before
    assert not any(issubclass(type(thing), SpeakerDiarization) for thing in gc.get_objects())


OWN_PIPELINE = """
from pathlib import Path
from voiceclone_cli.analysis.embedded import load_embedded

def Own(segmentation, campplus, token=None, cache_dir=None):
    return load_embedded({"segmentation-3.0": Path(segmentation), "campplus": Path(campplus)})
"""


def test_a_folder_with_a_pyannote_config_is_a_diarizer(
    recording: Recording,
    model_folders: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "own_diarizer.py").write_text(OWN_PIPELINE, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        "pipeline:\n  name: own_diarizer.Own\n  params:\n"
        f"    segmentation: '{model_folders['segmentation-3.0']}'\n"
        f"    campplus: '{model_folders['campplus']}'\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    heard = run(first_seconds(recording, 12), {}, diarizer=str(tmp_path))
    assert heard.diarizer == str(tmp_path)
    assert heard.speakers == ("SPEAKER_00", "SPEAKER_01")


def test_a_folder_whose_pipeline_cannot_be_loaded_is_one_sentence(
    recording: Recording, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("pipeline:\n  name: no.such.Pipeline\n", encoding="utf-8")
    with pytest.raises(InputError, match="look at its config") as error:
        run(recording, {}, diarizer=str(tmp_path))
    assert error.value.code == "diarizer_unusable"


WITHOUT_NETWORK = """
import dataclasses, os, pathlib, socket, sys, time

asked = []

def refuse(*args, **kwargs):
    asked.append(args)
    raise OSError("no network here")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from voiceclone_cli.analysis import diarization
from voiceclone_cli.audio import reader

whole = reader.read_recording(pathlib.Path(sys.argv[1]))
recording = dataclasses.replace(whole, samples=whole.samples[:192_000], source_frames=192_000)
folders = {"segmentation-3.0": pathlib.Path(sys.argv[2]), "campplus": pathlib.Path(sys.argv[3])}
model = diarization.choose_diarizer("auto", models=lambda names: folders, token=None)
diarization.diarize(recording, model, token=None, count=diarization.SpeakerCount(), threads=1)
time.sleep(1.5)  # telemetry would be sent by a thread, half a second later
from pyannote.audio.telemetry.metrics import is_metrics_enabled
print(is_metrics_enabled(), os.environ["PYANNOTE_METRICS_ENABLED"], asked)
"""


def test_nothing_is_reported_to_anybody_even_where_telemetry_was_turned_on(
    sample_wav: Path, model_folders: Mapping[str, Path]
) -> None:
    environment = {
        **os.environ,
        "PYANNOTE_METRICS_ENABLED": "true",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    models = (str(model_folders[name]) for name in ("segmentation-3.0", "campplus"))
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK, str(sample_wav), *models],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (answer.stdout.strip(), answer.stderr) == ("False false []", "")
