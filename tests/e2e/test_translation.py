"""A Spanish video from an English one in one command, with a program that has the translation of the sample."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import pytest
import soundfile

from command import ROOT, voiceclone
from media_samples import write_media

pytestmark = pytest.mark.engine


def test_a_video_is_spoken_in_another_language_and_understood(tmp_path: Path, sample_wav: Path) -> None:
    film = tmp_path / "film.mp4"
    samples, rate = soundfile.read(sample_wav, dtype="float32")
    write_media(film, samples, rate, video=True)
    examples = (ROOT / "examples").as_posix()
    program = f'"{Path(sys.executable).as_posix()}" "{examples}/translation_memory.py"'
    command = f'{program} "{examples}/sample.en.srt" "{examples}/sample.es.srt"'
    given = ("--to", "es", "--engine", "kokoro", "--command", command, "--json")
    ended = voiceclone("run", film, *given, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "from English to Spanish, sent to the program" in ended.err
    found = ended.document
    assert found["run_dir"] == str(tmp_path / "film.es.voiceclone")
    assert {row["language"] for row in found["segments"]} == {"es"}
    assert all(row["original"] for row in found["segments"])
    with av.open(found["outputs"]["video"]) as video:
        assert [track.language for track in video.streams.audio] == ["spa"]
        assert [track.language for track in video.streams.subtitles] == ["spa"]
    checked = voiceclone("check", found["run_dir"])
    assert checked.code == 0, checked.err
    document = json.loads((Path(found["run_dir"]) / "check.json").read_text("utf-8"))
    print(document["summary"])
    assert document["summary"]["wer"] <= 0.35
