"""The same command again: what an earlier run has made is kept, what has changed is made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from command import Ended, Run, voiceclone
from echo_faults import with_faults
from media_samples import syllables, write_wav
from short_talk import ShortTalk, short_talk

ALL_STAGES = ["casting", "encoding", "timeline", "original"]
"""Of a run whose turns and words are given."""


def run(talk: ShortTalk, out: Path, *more: object) -> Run:
    return Run(voiceclone(*talk.arguments(out, *more)), out)


def well(done: Run) -> dict[str, Any]:
    assert done.ended.code == 0, done.ended.err
    return done.ended.document


def files(out: Path) -> dict[str, bytes]:
    """Everything that is heard of a run."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.wav"))}


@pytest.fixture
def talk(tmp_path: Path) -> ShortTalk:
    return short_talk(tmp_path / "talk")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    first = well(run(short_talk(folder / "talk"), folder / "run"))
    assert first["reused"] == 0 and first["reused_stages"] == [] and len(first["segments"]) == 10
    return folder / "run"


@pytest.fixture
def out(tmp_path: Path, finished: Path) -> Path:
    """A run of the talk that is finished, and has been moved."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_nothing_is_done_twice(talk: ShortTalk, out: Path) -> None:
    before = files(out)
    again = run(talk, out)
    document = well(again)
    assert document["reused"] == 10 and document["reused_stages"] == ALL_STAGES
    assert document["timing"]["workers"] == {}, "no worker was started"
    assert (
        "kept from before: casting, encoding, 10 of 10 segments; nothing left to synthesize"
        in again.ended.err
    )
    assert files(out) == before
    assert document["segments"] == json.loads((out / "run.json").read_text(encoding="utf-8"))["segments"]


def test_a_changed_line_is_spoken_again_and_nothing_else(talk: ShortTalk, out: Path, tmp_path: Path) -> None:
    before = files(out)
    document = well(run(short_talk(tmp_path / "talk", _0003="oh"), out))
    assert document["reused"] == 9 and document["reused_stages"] == ["casting", "encoding", "original"]
    after = files(out)
    assert {name for name in before if before[name] != after[name]} == {
        "segments/0003.wav",
        "stems/B.wav",
        "mix.wav",
    }


def test_a_changed_reference_makes_its_speaker_anew(talk: ShortTalk, out: Path, tmp_path: Path) -> None:
    voice = write_wav(tmp_path / "voice.wav", syllables(3.0, seed=7))
    document = well(run(talk, out, "--reference", f"A={voice}"))
    assert document["reused"] == 5 and document["reused_stages"] == ["original"]
    write_wav(voice, syllables(3.0, seed=8))
    assert well(run(talk, out, "--reference", f"A={voice}"))["reused"] == 5
    assert well(run(talk, out, "--reference", f"A={voice}"))["reused_stages"] == ALL_STAGES


def test_another_seed_speaks_everything_again(talk: ShortTalk, out: Path) -> None:
    document = well(run(talk, out, "--seed", 5))
    assert document["reused"] == 0 and document["reused_stages"] == ["casting", "encoding", "original"]


def test_how_the_work_is_shared_changes_nothing(talk: ShortTalk, out: Path) -> None:
    document = well(run(talk, out, "--mode", "parallel", "--batch-size", 1))
    assert document["reused"] == 10 and document["reused_stages"] == ALL_STAGES


def test_force_keeps_nothing(talk: ShortTalk, out: Path) -> None:
    before = files(out)
    document = well(run(talk, out, "--force"))
    assert document["reused"] == 0 and document["reused_stages"] == []
    assert files(out) == before


@pytest.mark.parametrize("version", [None, 0])
def test_what_an_older_algorithm_made_is_made_again(talk: ShortTalk, out: Path, version: int | None) -> None:
    before = files(out)
    for path in (out / "stages").glob("*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        del entry["version"]  # the first releases wrote none
        path.write_text(json.dumps(entry if version is None else {**entry, "version": version}), "utf-8")
    again = run(talk, out, "--verbose")
    assert well(again)["reused_stages"] == []
    for stage in ALL_STAGES:
        assert (
            f"{stage}: what was kept is not used, because it was made by another version" in again.ended.err
        )
    assert files(out) == before
    assert well(run(talk, out))["reused_stages"] == ALL_STAGES


@pytest.mark.parametrize("name", ["mix.wav", "stems/A.wav", "segments/0004.wav", "speakers/A/codes.txt"])
def test_a_foreign_file_never_counts(talk: ShortTalk, out: Path, name: str) -> None:
    before = files(out)
    (out / name).write_bytes((out / "segments" / "0001.wav").read_bytes())
    well(run(talk, out))
    assert files(out) == before


def test_a_directory_of_another_input_or_a_newer_version_is_refused(
    talk: ShortTalk, out: Path, tmp_path: Path
) -> None:
    other = short_talk(tmp_path / "other")
    write_wav(other.wav, syllables(12.0, seed=2))
    expect_refusal(run(other, out).ended, "holds the run of another input")
    manifest = json.loads((out / "run.json").read_text(encoding="utf-8"))
    (out / "run.json").write_text(json.dumps({**manifest, "schema": "voiceclone.run/9"}), encoding="utf-8")
    expect_refusal(run(talk, out).ended, "was written by another version ('voiceclone.run/9')")


def expect_refusal(ended: Ended, sentence: str) -> None:
    assert ended.code == 2 and sentence in ended.err
    assert ended.document["status"] == "error" and "Traceback" not in ended.err


def test_a_mistake_leaves_what_an_earlier_run_has_made(talk: ShortTalk, out: Path) -> None:
    before, manifest = files(out), (out / "run.json").read_bytes()
    talk.script.write_text("no script at all", encoding="utf-8")
    assert run(talk, out).ended.code == 2
    assert files(out) == before and (out / "run.json").read_bytes() == manifest


def test_a_failed_segment_is_tried_again_and_kept_from_then_on(
    talk: ShortTalk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICECLONE_ECHO", json.dumps(with_faults(faults={"0004": "fail"})))
    first = run(talk, tmp_path / "run")
    assert first.ended.code == 3 and first.ended.document["status"] == "partial"
    monkeypatch.delenv("VOICECLONE_ECHO")
    document = well(run(talk, tmp_path / "run"))
    assert document["reused"] == 9 and document["errors"] == []
