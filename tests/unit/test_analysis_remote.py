"""Questions to a child that listens, whatever becomes of the child. A small program stands for it here."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.analysis import remote
from voiceclone_cli.analysis.remote import ProcessAnalyzer
from voiceclone_cli.config import Settings, resolve
from voiceclone_cli.errors import InputError, RunError, Stopped
from voiceclone_cli.types import ProgressEvent, Recording, Transcript, no_progress

CHILD = """
import json, os, pathlib, signal, sys, time
import numpy

def reply(**what):
    print(json.dumps(what), flush=True)

for line in sys.stdin:
    request = json.loads(line)
    path, samples = pathlib.Path(request["recording"]["path"]), pathlib.Path(request["samples"])
    reply(progress={"stage": "transcription", "completed": 0.0, "total": 1.0})
    match path.stem:
        case "kills":
            print("out of breath", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        case "kills-once" if not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            time.sleep(600)
        case "waits":
            while not path.exists():
                time.sleep(0.01)
        case "babbles":
            reply(said="what?")
        case "silent":
            reply(error={"kind": "InputError", "message": "nobody speaks", "code": "no_speech"})
            continue
    heard = str(float(numpy.load(samples).sum()))
    with open(path.with_name("heard.txt"), "a") as order:
        print(heard, file=order)
    samples.unlink()
    reply(heard={"words": [], "language": heard, "language_probability": 1.0, "model": str(os.getpid())})
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are; the child is the program above."""
    program = tmp_path / "child.py"
    program.write_text(CHILD, encoding="utf-8")
    monkeypatch.setattr(remote, "ANALYSIS_PROGRAM", (str(program),))
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def ears(folder: Path) -> Iterator[ProcessAnalyzer]:
    with ProcessAnalyzer(children=1) as ears:
        yield ears
    assert list(folder.iterdir()) == []


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def settings() -> Settings:
    return resolve({}, {})


class Asker:
    """Asks for the words of recordings that are named after what the child shall do."""

    def __init__(self, ears: ProcessAnalyzer, settings: Settings, folder: Path) -> None:
        self._ears, self._settings, self._folder = ears, settings, folder

    def __call__(
        self, name: str, value: float = 1.0, progress: Callable[[ProgressEvent], None] = no_progress
    ) -> Transcript:
        samples = np.full(8, value, np.float32)
        recording = Recording(self._folder / f"{name}.wav", samples, 16_000, 8, 1, has_video=False)
        return self._ears.words(recording, self._folder, self._settings, progress)


@pytest.fixture
def ask(ears: ProcessAnalyzer, settings: Settings, tmp_path: Path) -> Asker:
    return Asker(ears, settings, tmp_path)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_answer_and_the_progress_come_back_to_whoever_asked(ask: Asker) -> None:
    told: list[tuple[ProgressEvent, int]] = []
    heard = ask("talk", 2.0, lambda event: told.append((event, threading.get_ident())))
    assert heard.language == "16.0", "the samples as they were"
    assert told == [(ProgressEvent("transcription", 0.0, 1.0), threading.get_ident())]


def test_one_child_hears_one_recording_after_the_other(ask: Asker) -> None:
    first, second = ask("talk", 1.0), ask("talk", 3.0)
    assert (first.language, second.language) == ("8.0", "24.0")
    assert first.model == second.model != str(os.getpid())


def test_several_threads_may_ask_at_once(ask: Asker, threads: ThreadPoolExecutor) -> None:
    asked = [threads.submit(ask, "talk", float(number)) for number in range(8)]
    assert [heard.result().language for heard in asked] == [str(8.0 * number) for number in range(8)]
    assert len({heard.result().model for heard in asked}) == 1


def test_several_children_hear_at_the_same_time(
    settings: Settings, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with ProcessAnalyzer(children=2) as ears:
        ask = Asker(ears, settings, tmp_path)
        waiting = threads.submit(ask, "waits")
        other = ask("talk")
        (tmp_path / "waits.wav").touch()
        assert waiting.result().model != other.model


def test_questions_are_answered_in_the_order_in_which_they_came(
    ask: Asker, ears: ProcessAnalyzer, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    begun = threading.Event()
    first = threads.submit(ask, "waits", 1.0, lambda event: begun.set())
    begun.wait()
    others = []
    for number in range(4):
        others.append(threads.submit(ask, "talk", float(number)))
        while ears._questions.open < number + 2:
            time.sleep(0.01)
    (tmp_path / "waits.wav").touch()
    for each in (first, *others):
        each.result()
    heard = (tmp_path / "heard.txt").read_text(encoding="utf-8").split()
    assert heard == ["8.0", "0.0", "8.0", "16.0", "24.0"]


def test_an_error_of_the_recording_is_raised_as_it_is_and_costs_no_child(ask: Asker) -> None:
    before = ask("talk")
    with pytest.raises(InputError, match="nobody speaks") as caught:
        ask("silent")
    assert caught.value.code == "no_speech"
    assert ask("talk").model == before.model


def test_a_child_that_is_killed_is_replaced_and_its_recording_tried_once_more(ask: Asker) -> None:
    before = ask("talk")
    heard = ask("kills-once", 5.0)
    assert heard.language == "40.0"
    assert heard.model != before.model


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not tell when it has ended")
def test_a_child_that_ends_between_two_recordings_is_no_ones_fault(ask: Asker, ears: ProcessAnalyzer) -> None:
    child = int(ask("talk").model)
    assert ears.pids == [child]
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # until all of its threads are gone
    assert ask("kills-once").model != str(child)


def test_a_reply_that_makes_no_sense_is_raised_where_it_is_waited_for(ask: Asker) -> None:
    with pytest.raises(KeyError):
        ask("babbles")
    assert ask("talk").language == "8.0"


def test_a_recording_that_kills_two_children_is_given_up_with_their_last_words(ask: Asker) -> None:
    with pytest.raises(RunError, match=r"kills\.wav .* SIGKILL .* out of breath") as caught:
        ask("kills")
    assert caught.value.code == "listener_died"
    assert ask("talk").language == "8.0", "the next recording has a child of its own"


def test_a_child_that_hangs_is_ended(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LEAST_SILENCE", 1.0)
    monkeypatch.setattr(remote, "SILENT_SECONDS", 0.0)
    with pytest.raises(RunError, match="no sign of life for 1 s"):
        ask("hangs")


def test_whoever_does_not_want_the_answer_any_more_holds_up_nobody(
    ask: Asker, threads: ThreadPoolExecutor
) -> None:
    def stop(event: ProgressEvent) -> None:
        raise Stopped(130)

    with pytest.raises(Stopped):
        ask("hangs", 1.0, stop)
    assert ask("talk").language == "8.0"


def test_a_stop_reaches_who_waits_who_is_heard_and_who_comes_later(
    ask: Asker, ears: ProcessAnalyzer, threads: ThreadPoolExecutor
) -> None:
    child = int(ask("talk").model)
    begun = threading.Event()
    asked: list[Future[Transcript]] = [threads.submit(ask, "hangs", 1.0, lambda event: begun.set())]
    begun.wait()
    asked += [threads.submit(ask, "talk") for _ in range(3)]
    ears.stop(Stopped(143))
    asked.append(threads.submit(ask, "talk"))
    for each in asked:
        error = each.exception(timeout=10)
        assert isinstance(error, Stopped) and error.exit_code == 143
    assert len({id(each.exception()) for each in asked}) == len(asked), (
        "an error of one's own for each thread"
    )
    ears.close()
    assert not is_alive(child)


def test_the_end_of_the_context_ends_the_child_and_whoever_still_asks(
    settings: Settings, tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    with ProcessAnalyzer(children=1) as ears:
        ask = Asker(ears, settings, tmp_path)
        child = int(ask("talk").model)
        begun = threading.Event()
        late = threads.submit(ask, "hangs", 1.0, lambda event: begun.set())
        begun.wait()
    error = late.exception(timeout=10)
    assert isinstance(error, RunError) and error.code == "listener_closed"
    assert not is_alive(child)


def test_no_child_is_started_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(remote, "AnalysisProcess", lambda: started.append(1))
    with ProcessAnalyzer(children=1):
        pass
    assert started == []


def test_a_child_that_cannot_be_started_is_one_sentence(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RunError, match="cannot be started") as caught:
        ask("talk")
    assert caught.value.code == "listener_died"


def test_a_full_disk_is_one_sentence(ask: Asker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    with pytest.raises(RunError, match="not there"):
        ask("talk")
