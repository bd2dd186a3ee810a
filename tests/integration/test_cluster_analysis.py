"""Recordings are analyzed on the nodes of a cluster, side by side, and losing some of it loses nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from analysis_tasks import diarized, excerpt, transcribed
from cluster import Machines, machines
from hearing import sample_text, word_error_rate
from processes import descendants, gone
from voiceclone_cli.analysis.analyzer import (
    LOCAL_ANALYZER,
)
from voiceclone_cli.analysis.diarization import DiarizationModel
from voiceclone_cli.analysis.remote import RemoteAnalyzer
from voiceclone_cli.audio import reader
from voiceclone_cli.cluster.launcher import AnalysisLauncher
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.types import (
    Diarization,
    Progress,
    ProgressEvent,
    Recording,
    no_progress,
)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def cluster(model_folders: object) -> Iterator[Machines]:
    with machines(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def recording(sample_wav: Path) -> Recording:
    return excerpt(reader.read_recording(sample_wav), 6, 18)


@pytest.fixture
def settings(cluster: Machines) -> Settings:
    return settings_of(cluster)


def settings_of(cluster: Machines) -> Settings:
    return resolve({"executor": "ray", "ray_address": cluster.address, "threads": 1})


def analyzer_of(settings: Settings, progress: Progress) -> RemoteAnalyzer:
    return RemoteAnalyzer(AnalysisLauncher(settings, progress))


@pytest.fixture(scope="module")
def own(recording: Recording, embedded_diarizer: DiarizationModel) -> Diarization:
    return diarized(LOCAL_ANALYZER, recording, embedded_diarizer, resolve({"threads": 1}))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def analyzer(settings: Settings, notes: list[str]) -> Iterator[RemoteAnalyzer]:
    with analyzer_of(settings, lambda event: notes.append(event.note)) as analyzer:
        yield analyzer
    assert gone(actors())


def actors() -> list[int]:
    """Return the processes of the actors on nodes."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::WorkerActor"):
            found.append(pid)
    return found


def kill_actors() -> None:
    for pid in actors():
        os.kill(pid, signal.SIGKILL)


def test_two_recordings_are_found_on_two_nodes_at_once_and_as_here(
    analyzer: RemoteAnalyzer,
    recording: Recording,
    embedded_diarizer: DiarizationModel,
    settings: Settings,
    own: Diarization,
) -> None:
    both = threading.Barrier(2, timeout=120)
    met = threading.local()

    def meet(event: ProgressEvent) -> None:
        if not hasattr(met, "done"):
            met.done = both.wait() >= 0

    with ThreadPoolExecutor(2) as threads:
        pending = [
            threads.submit(diarized, analyzer, recording, embedded_diarizer, settings, meet) for _ in range(2)
        ]
        assert [each.result() for each in pending] == [own, own]
    assert len(actors()) == 2


def test_words_are_those_that_are_found_here(
    analyzer: RemoteAnalyzer,
    recording: Recording,
    model_folders: Mapping[str, Path],
    settings: Settings,
    notes: list[str],
) -> None:
    events: list[ProgressEvent] = []
    found = transcribed(analyzer, recording, model_folders["whisper-base"], settings, events.append)
    # Ray gives an actor of one CPU one thread for numpy, whose products differ in their last bits with that number.
    with threadpool_limits(1, "blas"):
        own = transcribed(LOCAL_ANALYZER, recording, model_folders["whisper-base"], settings)
    assert found == own
    text = "".join(word.text for word in own.words)
    assert word_error_rate(sample_text(6, 18), text) <= 0.35, text
    assert events[-1].completed == recording.seconds
    assert notes == []


def test_what_is_wrong_with_a_recording_is_events_as_it_is_here(
    analyzer: RemoteAnalyzer, recording: Recording, embedded_diarizer: DiarizationModel, settings: Settings
) -> None:
    silence = replace(recording, samples=recording.samples * 0)
    with pytest.raises(InputError, match="No speech found") as caught:
        diarized(analyzer, silence, embedded_diarizer, settings)
    assert caught.value.code == "no_speech"


def test_an_actor_that_is_killed_while_it_listens_loses_nothing(
    analyzer: RemoteAnalyzer,
    recording: Recording,
    embedded_diarizer: DiarizationModel,
    settings: Settings,
    own: Diarization,
) -> None:
    killed: list[int] = []

    def kill_once(event: ProgressEvent) -> None:
        if event.completed > 0 and not killed:
            killed.extend(actors())
            kill_actors()

    assert diarized(analyzer, recording, embedded_diarizer, settings, kill_once) == own
    assert len(killed) == 1


def test_a_recording_that_is_lost_three_times_is_given_up(
    analyzer: RemoteAnalyzer, recording: Recording, embedded_diarizer: DiarizationModel, settings: Settings
) -> None:
    begun: list[ProgressEvent] = []

    def kill_each(event: ProgressEvent) -> None:
        if event.completed == 0:
            begun.append(event)
            kill_actors()

    with pytest.raises(RunError, match=r"sample\.wav could not be analyzed") as caught:
        diarized(analyzer, recording, embedded_diarizer, settings, kill_each)
    assert (caught.value.code, len(begun)) == ("listener_died", 3)


def test_a_stop_reaches_who_is_found_and_who_comes_later(
    analyzer: RemoteAnalyzer, recording: Recording, embedded_diarizer: DiarizationModel, settings: Settings
) -> None:
    def stop(event: ProgressEvent) -> None:
        analyzer.stop(Stopped(143))

    for progress in (stop, no_progress):
        with pytest.raises(Stopped) as stopped:
            diarized(analyzer, recording, embedded_diarizer, settings, progress)
        assert stopped.value.exit_code == 143


def test_a_node_that_is_lost_loses_nothing(
    recording: Recording, embedded_diarizer: DiarizationModel, own: Diarization, model_folders: object
) -> None:
    lost: list[int] = []
    # A head that computes nothing, as the coordinator's connection is through it.
    with machines(1, num_cpus=0) as cluster:
        raylets = {number: cluster.pid(number, "raylet") for number in (1, 2) if cluster.add()}

        def lose_once(event: ProgressEvent) -> None:
            if event.completed > 0 and not lost:
                (actor,) = actors()
                lost.extend(number for number, raylet in raylets.items() if actor in descendants(raylet))
                cluster.lose(lost[0])

        with analyzer_of(settings_of(cluster), no_progress) as analyzer:
            found = diarized(analyzer, recording, embedded_diarizer, settings_of(cluster), lose_once)
    assert len(lost) == 1
    assert found == own


def test_where_no_node_has_the_models_this_machine_listens_and_says_so(
    recording: Recording,
    embedded_diarizer: DiarizationModel,
    own: Diarization,
    notes: list[str],
    tmp_path: Path,
) -> None:
    with machines(1, environment={"VOICECLONE_HOME": str(tmp_path)}) as cluster:
        settings = settings_of(cluster)
        with analyzer_of(settings, lambda event: notes.append(event.note)) as analyzer:
            assert diarized(analyzer, recording, embedded_diarizer, settings) == own
    assert (
        "gets no analysis worker: the model files of segmentation-3.0 and campplus are not there" in notes[0]
    )
    assert notes[1:] == ["no node of the Ray cluster can analyze recordings: this machine does"]
