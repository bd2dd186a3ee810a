from __future__ import annotations

from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.rundir.inside import refuse_links

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


@pytest.mark.parametrize("name", ["segments", "speakers/S1", "speakers/S0/deep"])
@pytest.mark.parametrize("target", ["elsewhere", "run", "run/logs"])
def test_a_folder_that_is_a_link_is_refused_wherever_it_leads(tmp_path: Path, name: str, target: str) -> None:
    root = run_directory(tmp_path)
    (root / name).symlink_to(tmp_path / target, target_is_directory=True)
    with pytest.raises(InputError) as caught:
        refuse_links(root, FOLDERS)
    assert caught.value.code == "link_in_run_dir" and str(root / name) in caught.value.message
    assert (root / name).is_symlink(), "it is its owner's to remove"


@pytest.mark.parametrize("name", ["segments", ".lock"])
def test_a_link_that_leads_nowhere_is_refused_where_it_would_be_made_or_opened(
    tmp_path: Path, name: str
) -> None:
    root = run_directory(tmp_path)
    (root / name).symlink_to(tmp_path / "not there yet")
    with pytest.raises(InputError):
        refuse_links(root, (*FOLDERS, ".lock"))


def test_links_to_files_leave_our_folders_and_their_targets_stay(tmp_path: Path) -> None:
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


def test_the_run_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    root = run_directory(tmp_path)
    (tmp_path / "big disk").symlink_to(root, target_is_directory=True)
    refuse_links(tmp_path / "big disk", FOLDERS)
    assert (tmp_path / "big disk").is_symlink()
