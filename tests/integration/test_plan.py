"""What `voiceclone plan` leaves alone, what it leaves behind, and what it says: real commands, the echo engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command import Ended, voiceclone
from short_talk import ShortTalk, short_talk
from voiceclone_cli.engines.select import ECHO_VARIABLE
from voiceclone_cli.files import file_sha256

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> ShortTalk:
    return short_talk(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, talk: ShortTalk) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    assert voiceclone(*talk.arguments(out)).code == 0
    return out


@pytest.fixture
def out(tmp_path: Path, finished: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def planned(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    assert ended.document["schema"] == "voiceclone.plan/1"
    return ended.document


def plan(talk: ShortTalk, out: Path, *more: object) -> dict[str, Any]:
    return planned(voiceclone("plan", *talk.arguments(out, *more)[1:]))


def everything(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): file_sha256(path)
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def states(document: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["state"] for stage in document["stages"]}


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return found


def test_before_the_first_run_everything_is_to_do(tmp_path: Path, talk: ShortTalk) -> None:
    document = plan(talk, tmp_path / "run")
    assert [speaker["name"] for speaker in document["speakers"]] == ["A", "B"]
    assert document["segments"] == {
        "total": 10, "kept": 0, "to_speak": [f"{n:04d}" for n in range(1, 11)],
    }  # fmt: skip
    assert states(document) == {
        "media": "to do", "diarization": "given", "transcription": "given", "script": "to do",
        "casting": "kept",
        "loading": "to do", "encoding": "to do", "speech": "to do", "timeline": "to do",
        "original": "to do", "report": "to do",
    }  # fmt: skip
    total = document["total"]
    assert 0 < total["seconds_low"] < total["seconds"] < total["seconds_high"] and not total["measured"]
    assert document["disk"]["needed_bytes"] > 0 and document["engine"]["name"] == "echo"


def test_a_plan_speaks_nothing_and_the_run_goes_on_from_it(tmp_path: Path, talk: ShortTalk) -> None:
    out = tmp_path / "run"
    plan(talk, out)
    assert not list((out / "segments").iterdir()) and not list((out / "logs").iterdir())
    assert manifest(out)["status"] == "planned"
    assert {row["status"] for row in manifest(out)["segments"]} == {"planned"}
    document = voiceclone(*talk.arguments(out)).document
    assert document["status"] == "success" and "casting" in document["reused_stages"]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_language_that_the_engine_cannot_speak_ends_the_command_before_a_worker_starts(
    tmp_path: Path, talk: ShortTalk, command: str
) -> None:
    out = tmp_path / "run"
    ended = voiceclone(command, *talk.inputs, "--out", out, "--engine", "kokoro", "--language", "yue")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "voiceclone: kokoro cannot read Cantonese, and can read Chinese, English, French, Hindi, Italian, Japanese, "
        "Portuguese and Spanish: try --engine fish, which was not made for it either"
    )
    assert not list(out.rglob("*.npz")) and not list(out.rglob("logs/*"))


def test_a_dry_run_is_a_plan(tmp_path: Path, talk: ShortTalk) -> None:
    document = planned(voiceclone(*talk.arguments(tmp_path / "run", "--dry-run")))
    assert states(document) == states(plan(talk, tmp_path / "run"))


def test_the_plan_of_a_finished_run_changes_no_file_of_it(out: Path, talk: ShortTalk) -> None:
    before = everything(out)
    document = plan(talk, out)
    assert document["segments"]["kept"] == 10 and not document["segments"]["to_speak"]
    assert states(document)["speech"] == "kept"
    assert everything(out) == before and not (out / "tasks").exists()


def test_a_plan_of_something_else_leaves_the_finished_run_as_it_is(
    tmp_path: Path, out: Path, talk: ShortTalk
) -> None:
    before = everything(out)
    shutil.copy(talk.wav, tmp_path / "voice.wav")
    other = short_talk(tmp_path / "other", _0003="Something else is said here.")
    changed = ShortTalk(talk.wav, other.rttm, other.script)
    assert plan(changed, out)["segments"]["to_speak"] == ["0003"]
    document = plan(changed, out, "--reference", f"A={tmp_path / 'voice.wav'}")
    assert len(document["segments"]["to_speak"]) == 10, "the voices are encoded together, so anew"
    assert any("encoded anew" in note for note in document["notes"])
    assert everything(out) == before
    assert voiceclone(*talk.arguments(out)).document["reused"] == 10


def test_a_plan_that_fails_leaves_the_finished_run_as_it_is(
    tmp_path: Path, out: Path, talk: ShortTalk
) -> None:
    before = everything(out)
    (tmp_path / "empty.srt").write_text("\n", encoding="utf-8")
    ended = voiceclone(
        "plan", talk.wav, "--turns", talk.rttm, "--script", tmp_path / "empty.srt", "--out", out
    )
    assert ended.code == 2 and "Traceback" not in ended.err
    assert everything(out) == before


def test_a_plan_that_keeps_nothing_throws_nothing_away(out: Path, talk: ShortTalk) -> None:
    before = everything(out)
    document = plan(talk, out, "--force")
    assert len(document["segments"]["to_speak"]) == 10
    assert {"casting", "encoding", "speech", "timeline"} <= {
        stage for stage, state in states(document).items() if state == "to do"
    }
    assert everything(out) == before


def test_the_plan_after_a_run_knows_how_long_it_took(
    tmp_path: Path, talk: ShortTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four seconds of waiting: what a busy machine adds to the rest of a run matters little beside them.
    monkeypatch.setenv(ECHO_VARIABLE, json.dumps({"delay": 0.4}))
    took = voiceclone(*talk.arguments(tmp_path / "run")).document["timing"]["total"]
    document = plan(talk, tmp_path / "run", "--force")
    assert document["total"]["measured"]
    assert document["total"]["seconds"] == pytest.approx(took, abs=0.1 + 0.2 * took)
    assert all(stage["measured_runs"] for stage in document["stages"] if stage["seconds"] > 0.05)


def test_a_plan_is_of_the_whole_run(tmp_path: Path, talk: ShortTalk) -> None:
    ended = voiceclone(*talk.arguments(tmp_path / "run", "--dry-run", "--until", "script"))
    assert ended.code == 2 and "--until" in ended.err
    assert ended.document["schema"] == "voiceclone.plan/1" and ended.document["status"] == "error"
    assert not (tmp_path / "run").exists()


def test_a_plan_loads_no_engine_and_nothing_heavy(out: Path, talk: ShortTalk) -> None:
    arguments = ["plan", *map(str, talk.arguments(out)[1:])]
    program = (
        f"import sys; sys.argv = ['voiceclone', *{arguments!r}]\n"
        "from voiceclone_cli.__main__ import main\n"
        "try:\n    main()\nfinally:\n"
        "    print(sorted({'torch', 'pyannote', 'onnxruntime', 'faster_whisper'} & sys.modules.keys()), file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert ended.returncode == 0 and ended.stderr.splitlines()[-1] == "[]"


# ------------------------------------------------------------------------- a run that stops on the way


@pytest.mark.parametrize(
    ("until", "told"),
    [
        ("diarization", "stopped after diarization: 2 speakers, 10 turns"),
        ("script", "stopped after script: 10 segments,"),
        ("casting", "stopped after casting: 10 segments,"),
        ("speaking", "stopped after speaking: 10 segments, 10 of them synthesized"),
    ],
)
def test_a_run_that_stops_where_it_is_told_to_says_so_and_names_what_it_made(
    tmp_path: Path, talk: ShortTalk, until: str, told: str
) -> None:
    arguments = [word for word in talk.arguments(tmp_path / "run", "--until", until) if word != "--json"]
    ended = voiceclone(*arguments)
    assert ended.code == 0 and told in ended.err
    made = [Path(line) for line in ended.out.splitlines()]
    assert made and all(path.is_file() for path in made)
    assert not (tmp_path / "run" / "mix.wav").exists()


@pytest.mark.parametrize("until", ["diarization", "script", "casting", "speaking"])
def test_a_finished_run_is_told_to_stop_on_the_way_and_stays_finished(
    out: Path, talk: ShortTalk, until: str
) -> None:
    voiceclone(*talk.arguments(out))  # the copy's own report and original
    before, files = manifest(out), everything(out)
    assert voiceclone(*talk.arguments(out, "--until", until)).code == 0
    after = manifest(out)
    assert after["status"] == "success" and after["segments"] == before["segments"]
    assert after["outputs"] == before["outputs"]
    of_the_moment = {"run.json", "report.html"}
    assert {name: sha for name, sha in everything(out).items() if name not in of_the_moment} == {
        name: sha for name, sha in files.items() if name not in of_the_moment
    }


def test_what_changed_is_planned_and_what_is_there_stays_done(
    tmp_path: Path, out: Path, talk: ShortTalk
) -> None:
    other = short_talk(tmp_path / "other", _0003="Something else is said here.")
    document = voiceclone(
        *ShortTalk(talk.wav, other.rttm, other.script).arguments(out, "--until", "casting")
    ).document
    assert document["status"] == "planned"
    states = {row["id"]: row["status"] for row in document["segments"]}
    assert states.pop("0003") == "planned" and set(states.values()) == {"done"}
    assert manifest(out)["segments"] == document["segments"]
