from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from voiceclone_cli.files import file_sha256
from voiceclone_cli.rundir.cache import NULL_CACHE, StageCache
from voiceclone_cli.types import ProgressEvent

MADE_FROM = {"model": ["a", 1], "count": None}
VALUE = {"turns": [[0.1, 2.0, "SPEAKER_00"]], "why": "it was asked for, é"}


def stage_cache(root: Path, input_sha256: str = "input") -> StageCache:
    return StageCache(root, input_sha256)


def test_a_result_is_reused_for_the_same_input_and_the_same_inputs_of_its_stage(tmp_path: Path) -> None:
    assert stage_cache(tmp_path).load("diarization", 1, MADE_FROM) is None
    stage_cache(tmp_path).save("diarization", 1, MADE_FROM, VALUE)
    again = stage_cache(tmp_path)
    assert again.load("diarization", 1, MADE_FROM) == VALUE and again.reused == ["diarization"]
    assert stage_cache(tmp_path).load("transcription", 1, MADE_FROM) is None
    assert stage_cache(tmp_path).load("diarization", 1, {**MADE_FROM, "count": 2}) is None
    other = stage_cache(tmp_path, "another input")
    assert other.load("diarization", 1, MADE_FROM) is None and other.reused == []


def test_whether_an_entry_is_held_is_asked_without_reusing_it(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    cache = StageCache(tmp_path, "input", events.append)
    assert not cache.holds("diarization", 1, MADE_FROM)
    cache.save("diarization", 1, MADE_FROM, VALUE)
    assert cache.holds("diarization", 1, MADE_FROM)
    assert not cache.holds("diarization", 2, MADE_FROM)
    assert not cache.holds("diarization", 1, {**MADE_FROM, "count": 2})
    assert cache.reused == [] and events == []


@pytest.mark.parametrize("version", [None, 1, 3])
def test_a_result_of_another_version_of_the_algorithm_is_not_used(
    tmp_path: Path, version: int | None
) -> None:
    log: list[str] = []
    stage_cache(tmp_path).save("casting", 2, MADE_FROM, VALUE)
    path = tmp_path / "stages" / "casting.json"
    entry = json.loads(path.read_text(encoding="utf-8"))
    entry["version"] = version
    if version is None:  # as the first releases wrote it
        del entry["version"]
    path.write_text(json.dumps(entry), encoding="utf-8")
    cache = StageCache(tmp_path, "input", lambda event: log.append(event.note))
    computed = cached(cache, {"new": True})
    assert computed == {"new": True} and cache.reused == []
    assert log == ["casting: what was kept is not used, because it was made by another version"]
    assert cached(cache, {"newer": True}) == {"new": True} and cache.reused == ["casting"]


def cached(cache: StageCache, result: dict[str, Any]) -> dict[str, Any]:
    return cache.cached("casting", 2, MADE_FROM, lambda: result, serialize=dict, parse=dict)


def test_a_stage_rests_on_its_files(tmp_path: Path) -> None:
    small, large = tmp_path / "codes.npy", tmp_path / "mix.wav"
    for path in (small, large):
        path.write_bytes(b"sound")

    def keep() -> None:
        stage_cache(tmp_path).save("x", 1, MADE_FROM, VALUE, {small: file_sha256(small)}, [large])

    keep()
    assert stage_cache(tmp_path).load("x", 1, MADE_FROM) == VALUE
    small.write_bytes(b"SOUND")
    assert stage_cache(tmp_path).load("x", 1, MADE_FROM) is None
    keep()
    large.write_bytes(b"cut")
    assert stage_cache(tmp_path).load("x", 1, MADE_FROM) is None
    keep()
    large.unlink()
    assert stage_cache(tmp_path).load("x", 1, MADE_FROM) is None


def test_files_are_named_from_the_run_directory_so_that_it_can_be_moved(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "speakers").mkdir(parents=True)
    codes = before / "speakers" / "codes.npy"
    codes.write_bytes(b"codes")
    stage_cache(before).save("encoding", 1, MADE_FROM, VALUE, {codes: file_sha256(codes)})
    before.rename(after)
    assert stage_cache(after).load("encoding", 1, MADE_FROM) == VALUE


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "[" * 100_000, '{"value": {}}', "\x00"])
def test_a_damaged_entry_is_not_used(tmp_path: Path, damage: str) -> None:
    stage_cache(tmp_path).save("x", 1, MADE_FROM, VALUE)
    (tmp_path / "stages" / "x.json").write_text(damage, encoding="utf-8")
    assert stage_cache(tmp_path).load("x", 1, MADE_FROM) is None


def test_an_edited_entry_is_not_used(tmp_path: Path) -> None:
    stage_cache(tmp_path).save("x", 1, MADE_FROM, VALUE)
    path = tmp_path / "stages" / "x.json"
    note = json.loads(path.read_text(encoding="utf-8"))
    note["value"]["turns"][0][2] = "SPEAKER_07"
    path.write_text(json.dumps(note), encoding="utf-8")
    assert stage_cache(tmp_path).load("x", 1, MADE_FROM) is None


def test_without_a_run_directory_nothing_is_cached() -> None:
    NULL_CACHE.save("x", 1, MADE_FROM, VALUE)
    assert NULL_CACHE.load("x", 1, MADE_FROM) is None


def test_the_reason_why_an_entry_is_not_used_is_shown(tmp_path: Path) -> None:
    shown: list[str] = []
    codes, mix = tmp_path / "codes.npy", tmp_path / "mix.wav"
    for path in (codes, mix):
        path.write_bytes(b"sound")

    def recall(inputs: Mapping[str, Any] = MADE_FROM) -> None:
        logged = StageCache(tmp_path, "input", lambda event: shown.append(f"{event.stage}: {event.note}"))
        logged.load("casting", 1, inputs)

    recall()
    assert not shown, "nothing is done again that was never done"
    stage_cache(tmp_path).save("casting", 1, MADE_FROM, VALUE, {codes: file_sha256(codes)}, [mix])
    recall()
    assert not shown
    recall({**MADE_FROM, "count": 2})
    assert (
        shown.pop()
        == "log: casting: what was kept is not used, because what it is made from has changed: count"
    )
    codes.write_bytes(b"other")
    recall()
    assert shown.pop() == "log: casting: what was kept is not used, because codes.npy has changed or is gone"
    (tmp_path / "stages" / "casting.json").write_text("{", encoding="utf-8")
    recall()
    assert shown.pop() == "log: casting: what was kept is not used, because casting.json cannot be read"
