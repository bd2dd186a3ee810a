"""Making a dubbed video: the same again, kept when nothing changed, or refused in one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dubbing import SCRIPT, dub
from small_disk import small_disk
from video_samples import (
    Film,
    noise,
    write_film,
    write_mix,
)
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.types import ProgressEvent, no_progress
from voiceclone_cli.video.mux import cached_video, write_video
from voiceclone_cli.video.source import output_suffix


def test_the_same_inputs_make_the_same_file(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        source = write_film(tmp_path / f"film{suffix}")
        first = dub(source, subtitles=SCRIPT).read_bytes()
        assert dub(source, subtitles=SCRIPT).read_bytes() == first


def test_progress_goes_forward_to_the_end(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    dub(write_film(tmp_path / "film.mp4"), progress=events.append)
    done = [event.completed for event in events]
    assert done == sorted(done) and {event.stage for event in events} == {"video"}
    assert events[-1].completed == events[-1].total == pytest.approx(3.0, abs=0.05)


def test_a_video_cut_off_is_refused(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4")
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(InputError) as caught:
        output_suffix(source, keep_original_audio=False)
    assert caught.value.code == "media_damaged"


def test_a_list_of_other_files_is_not_followed(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4")
    listing = tmp_path / "list.mp4"
    listing.write_text("ffconcat version 1.0\nfile film.mp4\n")
    with pytest.raises(InputError) as caught:
        output_suffix(listing, keep_original_audio=False)
    assert caught.value.code == "media_damaged"


def test_a_mix_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4")
    with pytest.raises(RunError, match="run again") as caught:
        write_video(
            source,
            tmp_path / "none.wav",
            tmp_path / "output.mp4",
            subtitles=None,
            language=None,
            keep_original_audio=False,
            tags={},
            progress=no_progress,
        )
    assert caught.value.code == "mix_unreadable"
    assert not (tmp_path / "output.mp4").exists() and not list(tmp_path.glob(".*"))


WRITE = """
import sys
from pathlib import Path
from voiceclone_cli.errors import RunError
from voiceclone_cli.types import no_progress
from voiceclone_cli.video import write_video
source, mix, out = map(Path, sys.argv[1:])
try:
    options = dict(subtitles=None, language=None, keep_original_audio=False, tags={}, progress=no_progress)
    write_video(source, mix, out, **options)
except RunError as error:
    print(error.code, [path.name for path in out.parent.iterdir()])
"""


@pytest.mark.parametrize(("suffix", "kilobytes"), [(".mp4", 8), (".mp4", 150), (".mkv", 64)])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, suffix: str, kilobytes: int) -> None:
    source = write_film(tmp_path / f"film{suffix}", Film(10.0))
    mix = tmp_path / "mix.wav"
    write_mix(mix, noise(10.0))
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        done = subprocess.run(
            [*disk.prefix(), sys.executable, "-c", WRITE, source, mix, disk.path / f"output{suffix}"],
            capture_output=True,
            encoding="utf-8",
        )
    assert done.stdout.strip() == "disk_full []", (done.returncode, done.stderr)


class TestMemory:
    def made(self, source: Path, stages: StageCache, **changes: object) -> bool:
        """Make the video; whether it was made anew."""
        notes: list[str] = []
        given = {
            "subtitles": SCRIPT,
            "language": "es",
            "keep_original_audio": False,
            "tags": {"comment": "a"},
        }
        video = cached_video(
            source,
            source.with_name("mix.wav"),
            source.with_name("output.mp4"),
            cache=stages,
            progress=lambda event: notes.append(event.note),
            **{**given, **changes},
        )
        assert len(video.sha256) == 64 and video.path.exists()
        return "kept from before" not in notes

    def test_a_video_that_would_come_out_the_same_is_kept(self, tmp_path: Path) -> None:
        source = write_film(tmp_path / "film.mp4")
        write_mix(tmp_path / "mix.wav", noise(3.0))
        stages = StageCache(tmp_path, "input")
        assert self.made(source, stages)
        assert not self.made(source, stages)
        assert stages.reused == ["video"]

    def test_it_is_made_again_when_something_has_changed(self, tmp_path: Path) -> None:
        source = write_film(tmp_path / "film.mp4")
        write_mix(tmp_path / "mix.wav", noise(3.0))
        stages = StageCache(tmp_path, "input")
        self.made(source, stages)
        assert self.made(source, stages, subtitles=None)
        assert self.made(source, stages, subtitles=None, language="fr")
        assert self.made(source, stages, subtitles=None, language="fr", keep_original_audio=True)
        write_mix(tmp_path / "mix.wav", noise(3.0, seed=1))
        assert self.made(source, stages, subtitles=None, language="fr", keep_original_audio=True)
        (tmp_path / "output.mp4").write_bytes(b"edited")
        assert self.made(source, stages, subtitles=None, language="fr", keep_original_audio=True)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="looks with ffprobe, which is not installed")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_another_program_reads_the_same_of_it(tmp_path: Path, suffix: str) -> None:
    source = write_film(tmp_path / f"film{suffix}")
    out = dub(source, subtitles=SCRIPT, keep=True, tags={"comment": "Synthetic voices"})
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-print_format", "json", "-show_streams", "-show_format", out],
        capture_output=True,
        check=True,
    )
    found = json.loads(done.stdout)
    words = {key.lower(): value for key, value in found["format"]["tags"].items()}
    assert words["comment"] == "Synthetic voices"
    assert [stream["codec_type"] for stream in found["streams"]] == ["video", "audio", "audio", "subtitle"]
    _, new, original, script = found["streams"]
    assert new["disposition"]["default"] and not original["disposition"]["default"]
    assert new["tags"]["language"] == script["tags"]["language"] == "spa"
    assert float(new["start_time"]) == 0
