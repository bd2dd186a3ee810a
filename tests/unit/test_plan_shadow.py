"""A plan beside a finished run: what it writes stays in the shadow, what it heard does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voiceclone_cli.atomic import write_text_atomic
from voiceclone_cli.engines import EngineChoice
from voiceclone_cli.machine.clock import Clock
from voiceclone_cli.planning.shadow import careful
from voiceclone_cli.rundir.directory import RunDir, take_up
from voiceclone_cli.rundir.stages import Stages
from voiceclone_cli.settings import resolve
from voiceclone_cli.steps.desk import Desk
from voiceclone_cli.steps.request import RunRequest
from voiceclone_cli.types import Recording, no_progress

MADE_FROM = {"model": "a"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """In the directory of a run that heard the recording and spoke a line."""
    run_dir = take_up(tmp_path / "run", "abc")
    stages = Stages(run_dir.root, "abc")
    for stage in ("diarization", "transcription", "casting"):
        stages.keep(stage, MADE_FROM, {"found": "then"})
    (run_dir.speakers / "ANNA").mkdir()
    (run_dir.speakers / "ANNA" / "reference.txt").write_text("then", encoding="utf-8")
    finish(run_dir)
    recording = Recording(Path("talk.wav"), np.zeros(16, np.float32), 16_000, 16, 1, has_video=False)
    engine = EngineChoice("echo", "asked", None, "codes.txt")
    request = RunRequest(Path("talk.wav"), resolve({"engine": "echo"}))
    return Desk(request, recording, "abc", engine, None, run_dir, stages, Clock(), [], no_progress)


def finish(run_dir: RunDir) -> None:
    content = {
        "schema": "voiceclone.run/1",
        "status": "success",
        "input": {"sha256": "abc"},
        "segments": [{"id": "0001", "status": "done"}],
    }
    run_dir.manifest.write_text(json.dumps(content), encoding="utf-8")


def again(run_dir: RunDir) -> Stages:
    return Stages(run_dir.root, "abc")


def test_the_shadow_holds_all_that_the_run_left(desk: Desk) -> None:
    with careful(desk) as beside:
        assert beside.run_dir.root != desk.run_dir.root
        assert beside.run_dir.manifest.read_bytes() == desk.run_dir.manifest.read_bytes()
        assert beside.stages.recall("casting", MADE_FROM) == {"found": "then"}
        assert (beside.run_dir.speakers / "ANNA" / "reference.txt").read_text(encoding="utf-8") == "then"
    assert not list(desk.run_dir.tasks.iterdir())


def test_what_is_written_in_the_shadow_stays_there(desk: Desk) -> None:
    manifest = desk.run_dir.manifest.read_bytes()
    with careful(desk) as beside:
        beside.run_dir.claim()
        write_text_atomic(beside.run_dir.speakers / "ANNA" / "reference.txt", "now")
        beside.stages.keep("casting", MADE_FROM, {"found": "now"})
    assert desk.run_dir.manifest.read_bytes() == manifest
    assert (desk.run_dir.speakers / "ANNA" / "reference.txt").read_text(encoding="utf-8") == "then"
    assert again(desk.run_dir).recall("casting", MADE_FROM) == {"found": "then"}


def test_what_was_heard_anew_is_handed_on_even_when_the_plan_comes_to_nothing(desk: Desk) -> None:
    with pytest.raises(KeyError), careful(desk) as beside:
        beside.stages.keep("diarization", {"model": "b"}, {"found": "now"})
        raise KeyError("a script that cannot be read, say")
    assert again(desk.run_dir).recall("diarization", {"model": "b"}) == {"found": "now"}
    assert again(desk.run_dir).recall("transcription", MADE_FROM) == {"found": "then"}


def test_a_file_system_without_second_names_gets_copies(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not on this file system")

    monkeypatch.setattr("os.link", refuse)
    before = desk.run_dir.manifest.stat().st_mtime_ns
    with careful(desk) as beside:
        assert beside.run_dir.manifest.stat().st_mtime_ns == before
        assert beside.stages.recall("casting", MADE_FROM) == {"found": "then"}


def test_where_nothing_was_spoken_yet_the_plan_is_at_home(desk: Desk) -> None:
    desk.run_dir.claim()
    with careful(desk) as there:
        assert there is desk
