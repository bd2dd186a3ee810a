from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from platforms import needs_symlinks
from voiceclone_cli.errors import InputError, PreflightError, RunError
from voiceclone_cli.files import fingerprint
from voiceclone_cli.rundir.cache import StageCache, load_segment_note, save_segment_note
from voiceclone_cli.rundir.directory import (
    HOLDER_NAME,
    LOCK_NAME,
    RunDir,
    open_run_dir,
    refuse_links,
    remove_temporary_files,
    resume_directory,
)
from voiceclone_cli.rundir.manifest import OWNER, RUN_SCHEMA


def with_manifest(root: Path, sha256: str = "a", schema: str = RUN_SCHEMA) -> RunDir:
    run_dir = resume_directory(root, sha256)
    run_dir.manifest.write_text(json.dumps({"schema": schema, "input": {"sha256": sha256}}), encoding="utf-8")
    return run_dir


def test_a_new_run_directory_is_created_and_can_be_discarded(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "deep" / "run", "a")
    assert run_dir.is_new and run_dir.segments.is_dir()
    run_dir.discard()
    assert not run_dir.root.exists()


def test_nothing_is_left_of_a_discarded_directory_whose_lock_file_was_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows an open file cannot be deleted, nor its folder."""

    def delete_but_the_lock(root: Path, ignore_errors: bool) -> None:
        for path in root.iterdir():
            if path.name != LOCK_NAME:
                path.unlink() if path.is_file() else path.rmdir()

    monkeypatch.setattr(shutil, "rmtree", delete_but_the_lock)
    with open_run_dir(tmp_path / "run", "a") as run_dir:
        run_dir.discard()
        assert run_dir.root.exists()
    assert not run_dir.root.exists()


def test_the_directory_of_a_killed_run_is_used_again(tmp_path: Path) -> None:
    resume_directory(tmp_path / "run", "a")
    assert not resume_directory(tmp_path / "run", "a").is_new
    with pytest.raises(InputError, match="another input"):
        resume_directory(tmp_path / "run", "b")


def test_the_directory_of_an_earlier_run_is_used_again_and_never_discarded(tmp_path: Path) -> None:
    with_manifest(tmp_path / "run")
    again = resume_directory(tmp_path / "run", "a")
    assert not again.is_new
    again.discard()
    assert again.manifest.is_file()


def test_a_run_of_another_input_or_version_is_refused(tmp_path: Path) -> None:
    with_manifest(tmp_path / "other", "b")
    with pytest.raises(InputError, match="another input"):
        resume_directory(tmp_path / "other", "a")
    with_manifest(tmp_path / "newer", schema="voiceclone.run/2")
    with pytest.raises(InputError, match="another version"):
        resume_directory(tmp_path / "newer", "a")


def test_a_folder_or_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text("[1]", encoding="utf-8")
    for name in ("photos", "file", "odd"):
        with pytest.raises(InputError, match="not a run directory"):
            resume_directory(tmp_path / name, "a")


def test_an_empty_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert resume_directory(tmp_path / "run", "a").is_new


def test_an_unwritable_directory_is_a_preflight_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PreflightError, match="--out"):
        resume_directory(tmp_path / "file" / "run", "a")


def test_a_directory_is_locked_and_names_the_other_process(tmp_path: Path) -> None:
    with open_run_dir(tmp_path / "run", "a"):
        with (
            pytest.raises(PreflightError, match=f"another run \\(process {os.getpid()} on ") as refused,
            open_run_dir(tmp_path / "run", "a"),
        ):
            pass
        assert refused.value.code == "run_in_progress"
    with open_run_dir(tmp_path / "run", "a") as again:
        assert not again.is_new
    assert not (tmp_path / "run" / HOLDER_NAME).exists()


def test_a_directory_whose_run_was_killed_in_its_first_moment_is_new(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    for name in (LOCK_NAME, HOLDER_NAME, ".run.0a1b2c3d.part.json"):
        (root / name).write_text("", encoding="utf-8")
    assert resume_directory(root, "a").is_new


def test_a_directory_that_was_deleted_during_a_run_is_used_again(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    for path in (run_dir.manifest, run_dir.root / OWNER):
        path.unlink()
    run_dir.mix.write_bytes(b"")
    with pytest.raises(InputError, match="not a run directory"):
        resume_directory(tmp_path / "run", "a")
    (run_dir.root / LOCK_NAME).touch()
    assert not resume_directory(tmp_path / "run", "a").is_new, "so that it is never discarded"
    (run_dir.root / "holiday.jpg").touch()
    for path in (run_dir.manifest, run_dir.root / OWNER):
        path.unlink()
    with pytest.raises(InputError, match="not a run directory"):
        resume_directory(tmp_path / "run", "a")


def test_a_damaged_manifest_does_not_make_the_directory_foreign(tmp_path: Path) -> None:
    run_dir = with_manifest(tmp_path / "run")
    run_dir.manifest.write_text('{"schema": "voice', encoding="utf-8")
    assert not resume_directory(tmp_path / "run", "a").is_new
    with pytest.raises(InputError, match="another input"):
        resume_directory(tmp_path / "run", "b")


def test_a_manifest_that_is_nested_too_deep_is_not_used(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    run_dir.manifest.write_text("[" * 100_000, encoding="utf-8")
    again = resume_directory(tmp_path / "run", "a")
    assert again.running() is None and not again.has_speech()


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    (run_dir.speakers / "S0").mkdir()
    run_dir.stems.mkdir()
    half = (
        run_dir.root / ".mix.0a1b2c3d.part.wav",
        run_dir.stems / ".S0.0a1b2c3d.part.wav",
        run_dir.speakers / "S0" / ".voice.npz.abcd.part",
        run_dir.segments / "0001.wav.77.tmp",
        run_dir.tasks / "task-00001.json",
    )
    kept = (run_dir.segments / "0001.wav", run_dir.speakers / "S0" / "reference.wav", run_dir.mix)
    for path in (*half, *kept):
        path.write_bytes(b"")
    resume_directory(tmp_path / "run", "a")
    assert not any(path.exists() for path in half)
    assert all(path.exists() for path in kept)


def test_force_makes_earlier_results_invalid(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    run_dir.segment_wav("0001").write_bytes(b"sound")
    save_segment_note(run_dir, "0001", "print", {"sha256": sha256(b"sound").hexdigest()})
    StageCache(run_dir.root).save("diarization", 1, {}, {})
    assert run_dir.has_results()
    run_dir.delete_cache()
    assert load_segment_note(run_dir, "0001", "print") is None and not run_dir.has_results()


def test_a_note_is_not_written_into_a_directory_that_is_gone(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    shutil.rmtree(run_dir.root)
    with pytest.raises(RunError) as gone:
        save_segment_note(run_dir, "0001", "print", {})
    assert gone.value.code == "output_vanished" and not run_dir.root.exists()


def test_a_segment_counts_only_with_its_own_fingerprint_and_its_own_sound(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    assert load_segment_note(run_dir, "0001", "print") is None
    run_dir.segment_wav("0001").write_bytes(b"sound")
    assert load_segment_note(run_dir, "0001", "print") is None, "a wav alone is a stale wav"
    save_segment_note(run_dir, "0001", "print", {"seconds": 1.5, "sha256": sha256(b"sound").hexdigest()})
    note = load_segment_note(run_dir, "0001", "print")
    assert note is not None and note["seconds"] == 1.5
    assert load_segment_note(run_dir, "0001", "other inputs") is None
    run_dir.segment_note("0002").write_text("[" * 100_000, encoding="utf-8")
    assert load_segment_note(run_dir, "0002", "print") is None
    run_dir.segment_wav("0001").write_bytes(b"a foreign sound")
    assert load_segment_note(run_dir, "0001", "print") is None
    run_dir.segment_note("0001").write_text("{torn", encoding="utf-8")
    assert load_segment_note(run_dir, "0001", "print") is None


def test_files_that_are_not_kept_are_deleted(tmp_path: Path) -> None:
    run_dir = resume_directory(tmp_path / "run", "a")
    for name in ("0001.wav", "0001.json", "0002.wav", "0002.json", "0001.wav.77.tmp"):
        (run_dir.segments / name).write_bytes(b"")
    remove_temporary_files(run_dir.segments, {"0001.wav", "0001.json"})
    assert sorted(path.name for path in run_dir.segments.iterdir()) == ["0001.json", "0001.wav"]


def test_a_fingerprint_names_its_parts_whatever_their_order() -> None:
    assert fingerprint({"a": 1, "b": "é"}) == fingerprint({"b": "é", "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


FOLDERS = ("logs", "speakers", "segments")


def run_directory(folder: Path) -> Path:
    root = folder / "run"
    for name in ("logs", "speakers/S0"):
        (root / name).mkdir(parents=True)
    (root / "logs" / "worker-1.log").write_text("said")
    (folder / "elsewhere").mkdir()
    return root


def test_a_run_directory_without_links_is_left_as_it_is(tmp_path: Path) -> None:
    root = run_directory(tmp_path)
    before = sorted(root.rglob("*"))
    refuse_links(root, FOLDERS)
    assert sorted(root.rglob("*")) == before


@needs_symlinks
@pytest.mark.parametrize("name", ["segments", "speakers/S1", "speakers/S0/deep"])
@pytest.mark.parametrize("target", ["elsewhere", "run", "run/logs"])
def test_a_folder_that_is_a_link_is_refused_wherever_it_leads(tmp_path: Path, name: str, target: str) -> None:
    root = run_directory(tmp_path)
    (root / name).symlink_to(tmp_path / target, target_is_directory=True)
    with pytest.raises(InputError) as caught:
        refuse_links(root, FOLDERS)
    assert caught.value.code == "link_in_run_dir" and str(root / name) in caught.value.message
    assert (root / name).is_symlink(), "it is its owner's to remove"


@needs_symlinks
@pytest.mark.parametrize("name", ["segments", ".lock"])
def test_a_link_that_leads_nowhere_is_refused_where_it_would_be_made_or_opened(
    tmp_path: Path, name: str
) -> None:
    root = run_directory(tmp_path)
    (root / name).symlink_to(tmp_path / "not there yet")
    with pytest.raises(InputError):
        refuse_links(root, (*FOLDERS, ".lock"))


@needs_symlinks
def test_links_to_files_are_deleted_and_their_targets_stay(tmp_path: Path) -> None:
    root = run_directory(tmp_path)
    theirs = tmp_path / "elsewhere" / "diary.txt"
    theirs.write_text("mine")
    links = [root / "logs" / "worker-2.log", root / "speakers" / "S0" / "reference.wav"]
    for link in links:
        link.symlink_to(theirs)
    (root / "logs" / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "video.mp4").symlink_to(theirs)
    refuse_links(root, FOLDERS)
    assert not any(link.is_symlink() for link in (*links, root / "logs" / "dangling"))
    assert (root / "video.mp4").is_symlink(), "only folders of ours are looked into"
    assert theirs.read_text() == "mine"


@needs_symlinks
def test_the_run_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    root = run_directory(tmp_path)
    (tmp_path / "big disk").symlink_to(root, target_is_directory=True)
    refuse_links(tmp_path / "big disk", FOLDERS)
    assert (tmp_path / "big disk").is_symlink()
