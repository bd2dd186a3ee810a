"""Analyses in worker processes, whatever becomes of the process. A small program stands for the worker here."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from factories import recording
from voiceclone_cli.analysis import analyzer as analyzer_module
from voiceclone_cli.analysis import remote
from voiceclone_cli.analysis.analyzer import (
    DIARIZE,
    TRANSCRIBE,
    concurrent_transcription,
    diarization_task,
    transcript_from_dict,
    transcription_task,
)
from voiceclone_cli.analysis.diarization import DiarizationModel, SpeakerCount
from voiceclone_cli.analysis.remote import (
    RemoteAnalyzer,
    SideBySideAnalyzer,
    analysis_command,
    local_launcher,
)
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.system import Memory
from voiceclone_cli.types import ProgressEvent, Transcript, no_progress
from voiceclone_cli.workers import recovery
from voiceclone_cli.workers.protocol import AnalysisTask

KILLED = "SIGKILL" if os.name == "posix" else f"exit code {int(signal.SIGTERM)}"

WORKER = """
import json, os, pathlib, signal, sys, time
import numpy

for lease, line in enumerate(sys.stdin, 1):
    request = json.loads(line)

    def emit(event, **fields):
        row = {"event": event, "task": 0, "id": request["id"], "lease": lease}
        print(json.dumps({**row, **fields}), flush=True)

    path, samples = pathlib.Path(request["recording"]["path"]), pathlib.Path(request["samples"])
    emit("analysis_started")
    emit("analysis_progress", progress={"stage": "transcription", "completed": 0.0, "total": 1.0})
    document = None
    match path.stem:
        case "kills":
            print("out of breath", file=sys.stderr, flush=True)
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        case "kills-once" if not path.exists():
            path.touch()
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        case "hangs":
            time.sleep(600)
        case "waits":
            while not path.exists():
                time.sleep(0.01)
        case "babbles-once" if not path.exists():
            path.touch()
            print("what?", flush=True)
        case "silent":
            document = {"error": {"kind": "InputError", "message": "nobody speaks", "code": "no_speech"}}
    total = str(float(numpy.load(samples).sum()))
    with open(path.with_name("order.txt"), "a") as order:
        print(total, file=order)
    samples.unlink()
    result = {"words": [], "language": total, "language_probability": 1.0, "model": str(os.getpid())}
    emit("analyzed", document=document or {"result": result})
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where temporary files are; the worker is the program above."""
    program = tmp_path / "worker.py"
    program.write_text(WORKER, encoding="utf-8")
    command = replace(analysis_command(), program=program)
    monkeypatch.setattr(remote, "analysis_command", lambda: replace(command, python=sys.executable))
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def analyzer(folder: Path) -> Iterator[RemoteAnalyzer]:
    with RemoteAnalyzer(local_launcher(1), timeout_scale=0.01) as analyzer:
        yield analyzer
    assert list(folder.iterdir()) == []


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def settings() -> Settings:
    return resolve({}, {})


class Transcriber:
    """Transcribes recordings that are named after what the worker shall do."""

    def __init__(self, analyzer: RemoteAnalyzer, settings: Settings, folder: Path) -> None:
        self._analyzer, self._settings, self._folder = analyzer, settings, folder

    def __call__(
        self, name: str, value: float = 1.0, progress: Callable[[ProgressEvent], None] = no_progress
    ) -> Transcript:
        talk = recording(np.full(8, value, np.float32), path=self._folder / f"{name}.wav")
        task = transcription_task(talk, self._folder, self._settings)
        return transcript_from_dict(self._analyzer.run(task, progress))


@pytest.fixture
def transcribe(analyzer: RemoteAnalyzer, settings: Settings, tmp_path: Path) -> Transcriber:
    return Transcriber(analyzer, settings, tmp_path)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid)


def test_result_and_progress_come_back_to_the_thread_that_asked(transcribe: Transcriber) -> None:
    events: list[tuple[ProgressEvent, int]] = []
    found = transcribe("talk", 2.0, lambda event: events.append((event, threading.get_ident())))
    assert found.language == "16.0", "the samples as they were"
    assert events == [(ProgressEvent("transcription", 0.0, 1.0), threading.get_ident())]


def test_one_worker_does_one_recording_after_the_other(transcribe: Transcriber) -> None:
    first, second = transcribe("talk", 1.0), transcribe("talk", 3.0)
    assert (first.language, second.language) == ("8.0", "24.0")
    assert first.model == second.model != str(os.getpid())


def test_several_threads_may_ask_at_once(transcribe: Transcriber, threads: ThreadPoolExecutor) -> None:
    pending = [threads.submit(transcribe, "talk", float(number)) for number in range(8)]
    assert [each.result().language for each in pending] == [str(8.0 * number) for number in range(8)]
    assert len({each.result().model for each in pending}) == 1


def test_several_workers_analyze_at_the_same_time(
    settings: Settings, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with RemoteAnalyzer(local_launcher(2), workers=2) as analyzer:
        transcribe = Transcriber(analyzer, settings, tmp_path)
        begun = threading.Event()
        waiting = threads.submit(transcribe, "waits", 1.0, lambda event: begun.set())
        assert begun.wait(30)
        other = transcribe("talk")
        (tmp_path / "waits.wav").touch()
        assert waiting.result().model != other.model


def test_requests_are_done_in_the_order_in_which_they_came(
    transcribe: Transcriber, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    begun = threading.Event()
    first = threads.submit(transcribe, "waits", 1.0, lambda event: begun.set())
    assert begun.wait(30)
    submitted = threading.Semaphore(0)
    submit = transcribe._analyzer._pool.submit

    def count(job: remote.Job) -> None:
        submit(job)
        submitted.release()

    transcribe._analyzer._pool.submit = count  # type: ignore[method-assign]
    others = []
    for number in range(4):
        others.append(threads.submit(transcribe, "talk", float(number)))
        assert submitted.acquire(timeout=30)
    (tmp_path / "waits.wav").touch()
    for each in (first, *others):
        each.result()
    order = (tmp_path / "order.txt").read_text(encoding="utf-8").split()
    assert order == ["8.0", "0.0", "8.0", "16.0", "24.0"]


def test_an_error_of_the_recording_is_raised_as_it_is_and_costs_no_worker(transcribe: Transcriber) -> None:
    before = transcribe("talk")
    with pytest.raises(InputError, match="nobody speaks") as caught:
        transcribe("silent")
    assert caught.value.code == "no_speech"
    assert transcribe("talk").model == before.model


def test_a_worker_that_is_killed_is_replaced_and_its_recording_tried_once_more(
    transcribe: Transcriber,
) -> None:
    before = transcribe("talk")
    found = transcribe("kills-once", 5.0)
    assert found.language == "40.0"
    assert found.model != before.model


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not report when it has ended")
def test_a_worker_that_ends_between_two_recordings_counts_against_neither(transcribe: Transcriber) -> None:
    worker = int(transcribe("talk").model)
    os.kill(worker, signal.SIGKILL)
    assert transcribe("kills-once").model != str(worker)


def test_a_worker_that_answers_nonsense_is_replaced(transcribe: Transcriber) -> None:
    before = transcribe("talk")
    assert transcribe("babbles-once").model != before.model


def test_a_recording_that_kills_two_workers_is_given_up_with_their_last_words(
    transcribe: Transcriber,
) -> None:
    with pytest.raises(RunError, match=rf"kills\.wav .* {KILLED} .* out of breath") as caught:
        transcribe("kills")
    assert caught.value.code == "listener_died"
    assert transcribe("talk").language == "8.0", "the next recording has another worker"


def test_a_worker_that_hangs_is_ended(transcribe: Transcriber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "MIN_SILENCE", 1.0)
    with pytest.raises(RunError, match="no sign of life for 1 s"):
        transcribe("hangs")


def test_a_request_whose_result_is_not_wanted_any_more_holds_up_no_other(transcribe: Transcriber) -> None:
    def stop(event: ProgressEvent) -> None:
        raise Stopped(130)

    with pytest.raises(Stopped):
        transcribe("hangs", 1.0, stop)
    assert transcribe("talk").language == "8.0"


def test_a_stop_reaches_requests_that_wait_that_are_being_done_and_that_come_later(
    transcribe: Transcriber, analyzer: RemoteAnalyzer, threads: ThreadPoolExecutor
) -> None:
    worker = int(transcribe("talk").model)
    begun = threading.Event()
    pending: list[Future[Transcript]] = [threads.submit(transcribe, "hangs", 1.0, lambda event: begun.set())]
    assert begun.wait(30)
    pending += [threads.submit(transcribe, "talk") for _ in range(3)]
    analyzer.stop(Stopped(143))
    pending.append(threads.submit(transcribe, "talk"))
    for each in pending:
        error = each.exception(timeout=10)
        assert isinstance(error, Stopped) and error.exit_code == 143
    errors = {id(each.exception()) for each in pending}
    assert len(errors) == len(pending), "each thread has an error object of its own"
    analyzer.close()
    assert not is_alive(worker)


def test_the_end_of_the_context_ends_the_worker_and_requests_that_wait(
    settings: Settings, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with RemoteAnalyzer(local_launcher(1)) as analyzer:
        transcribe = Transcriber(analyzer, settings, tmp_path)
        worker = int(transcribe("talk").model)
        begun = threading.Event()
        late = threads.submit(transcribe, "hangs", 1.0, lambda event: begun.set())
        assert begun.wait(30)
    error = late.exception(timeout=10)
    assert isinstance(error, RunError) and error.code == "listener_closed"
    assert not is_alive(worker)


def test_no_worker_is_started_before_there_is_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = local_launcher(1)
    started: list[object] = []
    monkeypatch.setattr(launcher, "start", lambda *arguments: started.append(arguments))
    with RemoteAnalyzer(launcher):
        pass
    assert started == []


def test_a_worker_that_cannot_be_started_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    launcher = local_launcher(1)
    launcher._command = replace(launcher._command, python="/nowhere/python")
    with (
        RemoteAnalyzer(launcher) as analyzer,
        pytest.raises(RunError, match="cannot be started") as caught,
    ):
        Transcriber(analyzer, settings, tmp_path)("talk")
    assert caught.value.code == "listener_died"


def test_a_disk_that_takes_no_samples_is_one_sentence(transcribe: Transcriber, folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(RunError, match="temporary"):
        transcribe("talk")
    folder.mkdir()


Ask = Callable[[str], AnalysisTask]


@pytest.fixture
def turns_of(tmp_path: Path) -> Ask:
    """Return a function that makes the task to find the turns of a recording with this name, on four threads."""

    def task(name: str) -> AnalysisTask:
        talk = recording(np.ones(8, np.float32), path=tmp_path / f"{name}.wav")
        return diarization_task(
            talk, DiarizationModel("embedded", {}, ""), SpeakerCount(), resolve({"threads": 4})
        )

    return task


@pytest.fixture
def words_of(tmp_path: Path) -> Ask:
    def task(name: str) -> AnalysisTask:
        talk = recording(np.ones(8, np.float32), path=tmp_path / f"{name}.wav")
        return transcription_task(talk, tmp_path, resolve({"threads": 4}))

    return task


def test_words_are_recognised_while_the_turns_are_found(
    turns_of: Ask, words_of: Ask, tmp_path: Path, folder: Path
) -> None:
    words, ended_by_words = words_of("talk"), tmp_path / "waits.wav"
    with SideBySideAnalyzer(lambda: words, lambda event: ended_by_words.touch()) as analyzer:
        turns = analyzer.run(turns_of("waits"), no_progress)  # would wait for ever if the words waited for it
        found = analyzer.run(words, no_progress)
    assert turns["language"] == found["language"] == "8.0"
    workers = {int(turns["model"]), int(found["model"])}
    assert len(workers) == 2 and not any(map(is_alive, workers)), "a process each, which ends with its task"
    assert analyzer.peak_mb[DIARIZE] > 0 < analyzer.peak_mb[TRANSCRIBE]
    assert list(folder.iterdir()) == []


def test_a_failure_of_the_words_is_raised_once_the_turns_are_known(turns_of: Ask, words_of: Ask) -> None:
    words = words_of("silent")
    with SideBySideAnalyzer(lambda: words, no_progress) as analyzer:
        assert analyzer.run(turns_of("talk"), no_progress)["language"] == "8.0"
        with pytest.raises(InputError, match="nobody speaks") as caught:
            analyzer.run(words, no_progress)
    assert caught.value.code == "no_speech"


def test_a_failure_of_the_turns_ends_the_words(turns_of: Ask, words_of: Ask, folder: Path) -> None:
    begun = threading.Event()
    with (
        pytest.raises(InputError, match="nobody speaks"),
        SideBySideAnalyzer(lambda: words_of("hangs"), lambda event: begun.set()) as analyzer,
    ):
        analyzer.run(turns_of("silent"), lambda event: begun.wait(30) and None)
    assert list(folder.glob("*.npy")) == [], "the worker had it, and is ended"
    assert not [thread for thread in threading.enumerate() if thread.name in ("words", "analysis")]


def test_a_stop_ends_both(turns_of: Ask, words_of: Ask) -> None:
    def stop(event: ProgressEvent) -> None:
        raise Stopped(143)

    with (
        pytest.raises(Stopped),
        SideBySideAnalyzer(lambda: words_of("hangs"), no_progress) as analyzer,
    ):
        analyzer.run(turns_of("hangs"), stop)
    assert not [thread for thread in threading.enumerate() if thread.name in ("words", "analysis")]


def test_one_thread_or_too_little_memory_does_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = recording(np.ones(8, np.float32), path=tmp_path / "talk.wav")
    two = resolve({"threads": 2, "asr_model": str(tmp_path)})
    assert (
        concurrent_transcription(talk, resolve({"threads": 1, "asr_model": str(tmp_path)}), no_progress)
        is None
    )
    monkeypatch.setattr(analyzer_module, "machine_memory", lambda: Memory(8 << 30, 2 << 30))
    assert concurrent_transcription(talk, two, no_progress) is None
    monkeypatch.setattr(analyzer_module, "machine_memory", lambda: Memory(8 << 30, 6 << 30))
    task = concurrent_transcription(talk, two, no_progress)
    assert task is not None and task.id == TRANSCRIBE
