"""A node's own settings, and what it takes over from the coordinator."""

from __future__ import annotations

from pathlib import Path

import pytest

from fish_checkpoints import S2_FILES, make_s2
from voiceclone_cli.cluster.node import node_settings, path_hints, reading_lack, weights
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_worker.engines.kokoro.phonemes import registry


def test_the_name_of_the_chosen_checkpoint_travels_and_counts_where_the_node_has_none() -> None:
    choice = EngineChoice("fish", "asked", "python", "/here/checkpoints/s2-pro", checkpoint_name="s2-pro")
    hints = path_hints(resolve({}), choice)
    assert hints["checkpoint"] == "s2-pro"
    settings = node_settings(hints, engine="fish")
    assert (settings.engine, settings.checkpoint) == ("fish", "s2-pro")


def test_a_name_that_is_asked_for_is_no_path() -> None:
    assert path_hints(resolve({"checkpoint": "openaudio-s1-mini"}))["checkpoint"] == "openaudio-s1-mini"


def test_a_folder_counts_where_the_node_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, unseen = make_s2(tmp_path / "seen"), tmp_path / "unseen"
    for folder, taken in ((seen, str(seen)), (unseen, None)):
        choice = EngineChoice("fish", "asked", "python", str(folder), checkpoint_name=str(folder))
        assert node_settings(path_hints(resolve({}), choice)).checkpoint == taken
    monkeypatch.setenv("VOICECLONE_CHECKPOINT", "openaudio-s1-mini")
    assert node_settings({"checkpoint": "s2-pro"}).checkpoint == "openaudio-s1-mini", "its own comes first"


def test_every_file_of_s2_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECLONE_HOME", str(tmp_path / "home"))
    choice = EngineChoice("fish", "asked", "python", str(make_s2(tmp_path / "s2")))
    assert tuple(weights(choice)) == S2_FILES


def test_a_node_says_all_that_it_lacks_to_read_the_languages_of_the_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = registry.find_spec
    missing = {"haqumei", "pypinyin"}
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name in missing else real(name))
    assert reading_lack("kokoro", ["en", "fr"]) == ""
    assert reading_lack("kokoro", ["ko", "yue"]) == "", "no node can read them"
    assert reading_lack("echo", ["ja"]) == reading_lack("fish", ["ja"]) == ""
    assert reading_lack("kokoro", ["zh-Hans", "ja", "en"]) == (
        "it cannot read Japanese, Chinese (zh-Hans): run `pip install haqumei==0.12.3 pypinyin==0.55.0` there, in "
        "the environment of its Ray"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    install = "install espeak-ng there (apt, brew or winget install espeak-ng)"
    assert reading_lack("kokoro", ["de"]) == f"it cannot read German: {install}"
    assert reading_lack("kokoro", ["de", "ja"]) == (
        "it cannot read German, Japanese: run `pip install haqumei==0.12.3` there, in the environment of its Ray, "
        f"and {install}"
    )
