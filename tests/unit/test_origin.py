"""Whether a run wrote a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voiceclone_cli.errors import InputError
from voiceclone_cli.fingerprints import file_sha256
from voiceclone_cli.provenance.origin import Origin, OriginState, find_origin


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "talk.voiceclone"
    (folder / "segments").mkdir(parents=True)
    (folder / "segments" / "0001.wav").write_bytes(b"a segment")
    (folder / "mix.wav").write_bytes(b"the mix")
    (tmp_path / "talk.wav").write_bytes(b"the input")
    hashes = {name: file_sha256(folder / name) for name in ("segments/0001.wav", "mix.wav")}
    manifest = {
        "schema": "voiceclone.run/1",
        "hashes": hashes,
        "input": {"sha256": file_sha256(tmp_path / "talk.wav")},
    }
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def origin(file: Path, run_dir: Path | None = None) -> Origin:
    return find_origin(file, file_sha256(file), run_dir)


def test_what_a_run_wrote_is_known_in_its_directory(run: Path) -> None:
    for name in ("mix.wav", "segments/0001.wav"):
        assert origin(run / name) == Origin(OriginState.KNOWN, run, name)


def test_a_copy_elsewhere_is_known_to_the_run_that_is_named(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.wav"
    copy.write_bytes(b"the mix")
    assert origin(copy).state is OriginState.UNKNOWN
    assert origin(copy, run) == Origin(OriginState.KNOWN, run, "mix.wav")


def test_what_was_changed_since_is_told(run: Path) -> None:
    (run / "mix.wav").write_bytes(b"the mix, edited")
    assert origin(run / "mix.wav") == Origin(OriginState.CHANGED, run, "mix.wav")


def test_the_input_is_not_taken_for_an_output(run: Path, tmp_path: Path) -> None:
    assert origin(tmp_path / "talk.wav", run).state is OriginState.INPUT


def test_a_foreign_file_in_a_run_directory_is_unknown(run: Path) -> None:
    (run / "mine.wav").write_bytes(b"mine")
    assert origin(run / "mine.wav") == Origin(OriginState.UNKNOWN, run)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"schema": "voiceclone.run/1", "hashes": []}'])
def test_a_damaged_manifest_knows_nothing(run: Path, manifest: str) -> None:
    (run / "run.json").write_text(manifest, encoding="utf-8")
    assert origin(run / "mix.wav").state is OriginState.UNKNOWN


def test_a_folder_that_is_no_run_directory_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        origin(run / "mix.wav", tmp_path)
    assert refused.value.code == "not_a_run_directory"
