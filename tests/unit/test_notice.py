"""What somebody who clones voices is told once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voiceclone_cli.provenance.notice import first_run_notice, tell_first_run
from voiceclone_cli.types import ProgressEvent, no_progress


def test_the_law_and_the_licence_are_told_once() -> None:
    notice = first_run_notice("fish")
    assert notice is not None
    assert "agreed" in notice and "AI Act" in notice and "non-commercial" in notice
    assert first_run_notice("fish") is None


def test_another_engine_adds_its_licence_without_the_law() -> None:
    first_run_notice("kokoro")
    notice = first_run_notice("fish")
    assert notice is not None and "CC-BY-NC-SA-4.0" in notice and "AI Act" not in notice


def test_tones_need_no_notice() -> None:
    assert first_run_notice("echo") is None


def test_who_does_not_look_is_told_the_next_time() -> None:
    tell_first_run("kokoro", no_progress)
    seen: list[ProgressEvent] = []
    tell_first_run("kokoro", seen.append)
    tell_first_run("kokoro", seen.append)
    assert len(seen) == 1 and seen[0].stage == "note" and "Apache-2.0" in seen[0].note


@pytest.mark.skipif(os.name == "nt", reason="a variable of Linux's")
def test_where_nothing_can_be_written_it_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert first_run_notice("kokoro") == first_run_notice("kokoro") is not None
