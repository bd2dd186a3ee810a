"""``--one-video``: a film in several languages, spoken by the echo engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
import soundfile
from av.stream import Disposition

from command import voiceclone
from media_samples import syllables
from short_talk import ShortTalk, short_talk
from translation_programs import translation_program
from video_samples import RATE, Film, decoded, kinds, lag, tracks, write_film
from voiceclone_cli.batch.inputs import find_inputs, gather
from voiceclone_cli.batch.model import Batch
from voiceclone_cli.batch.run import BatchResult, plan_batch, run_batch
from voiceclone_cli.config import resolve
from voiceclone_cli.corrections.edits import Edits
from voiceclone_cli.errors import InputError, Stopped
from voiceclone_cli.pipeline.redo import redo
from voiceclone_cli.pipeline.request import RunRequest
from voiceclone_cli.translation.job import TranslationOptions
from voiceclone_cli.types import ProgressEvent


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> ShortTalk:
    """Return the short talk as a film."""
    folder = tmp_path_factory.mktemp("film")
    talk = short_talk(folder)
    picture = write_film(folder / "film.mp4", Film(12.0, sounds=[syllables(12.0, RATE, seed=1)]))
    return replace(talk, wav=picture)


def batch_of(film: ShortTalk, root: Path, to: Sequence[str] = ("es", "fr"), **more: Any) -> Batch:
    given = {"engine": "echo", "translator_command": translation_program(film.wav.parent), "fit": "off"}
    request = RunRequest(film.wav, resolve(given, {}), script=film.script, turns=film.rttm, out=root, **more)
    return gather([film.wav], None, request, [TranslationOptions(tag) for tag in to], one_video=True)


@pytest.fixture(scope="module")
def finished(film: ShortTalk, tmp_path_factory: pytest.TempPathFactory) -> BatchResult:
    root = tmp_path_factory.mktemp("dubbed")
    return run_batch(batch_of(film, root, keep_original_audio=True))


def test_the_video_has_the_pictures_and_a_track_and_captions_of_each_language(
    film: ShortTalk, finished: BatchResult
) -> None:
    (entry,) = finished.document["videos"]
    path = Path(entry["path"])
    assert path == Path(finished.document["root"]) / "film.mp4"
    assert (finished.exit_code, entry["languages"]) == (0, ["es", "fr"])
    assert kinds(path) == ["video", "audio", "audio", "audio", "subtitle", "subtitle"]
    pictures, spanish, french, original, *captions = tracks(path)
    assert pictures.payloads == tracks(film.wav)[0].payloads
    assert [track.metadata["language"] for track in (spanish, french, original)] == ["spa", "fra", "eng"]
    assert [bool(track.disposition & Disposition.default) for track in (spanish, french, original)] == [
        True,
        False,
        False,
    ]
    assert [track.metadata["handler_name"] for track in (spanish, french, original)] == [
        "Spanish, dubbed by voiceclone (synthetic voices)",
        "French, dubbed by voiceclone (synthetic voices)",
        "Original",
    ]
    assert [(track.metadata["language"], track.metadata["handler_name"]) for track in captions] == [
        ("spa", "Spanish, script"),
        ("fra", "French, script"),
    ]
    assert "la línea número 1 de esta charla" in texts(path, 0)
    assert "la ligne numéro 1 de cet entretien" in texts(path, 1)


def texts(path: Path, track: int) -> str:
    """Return the captions of an mp4."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.subtitles[track])
        return "\n".join(bytes(packet)[2:].decode("utf-8") for packet in packets)


def test_every_track_is_in_time_with_the_pictures(finished: BatchResult) -> None:
    (entry,) = finished.document["videos"]
    for number, row in enumerate(finished.document["inputs"]):
        mix, rate = soundfile.read(row["outputs"]["mix"], dtype="float32")
        start, track_rate, sound = decoded(Path(entry["path"]), number)
        assert (start, track_rate) == (0, rate)
        assert lag(sound[:, 0], mix) == 0


def stop_at_the_video(event: ProgressEvent) -> None:
    if event.stage == "video" and not event.input:
        raise Stopped(130)


def record(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "batch.json").read_text("utf-8"))
    return found


def test_the_video_is_written_again_when_a_sound_has_changed(film: ShortTalk, tmp_path: Path) -> None:
    root = tmp_path / "dubbed"
    batch = batch_of(film, root)
    first = run_batch(batch).document["videos"]
    path = root / "film.mp4"
    written = path.stat().st_mtime_ns
    assert run_batch(batch_of(film, root)).document["videos"] == first
    assert path.stat().st_mtime_ns == written
    assert redo(root / "film.fr", Edits(ids=("0003",), text="quelque chose")).exit_code == 0
    assert run_batch(batch_of(film, root), stop_at_the_video).exit_code == 130
    assert record(root)["status"] == "interrupted"
    assert path.stat().st_mtime_ns == written
    again = run_batch(batch_of(film, root)).document["videos"]
    assert again[0]["languages"] == ["es", "fr"] and again[0]["sha256"] != first[0]["sha256"]
    # What the batch wrote is not taken for a recording of it.
    with pytest.raises(InputError, match="no audio or video file"):
        list(find_inputs([root]))


def test_a_language_without_sound_is_left_out_and_named(film: ShortTalk, tmp_path: Path) -> None:
    result = run_batch(batch_of(film, tmp_path, to=("de", "es")))
    assert [row["status"] for row in result.document["inputs"]] == ["error", "success"]
    assert (result.exit_code, result.document["videos"][0]["languages"]) == (3, ["es"])
    assert kinds(tmp_path / "film.mp4") == ["video", "audio", "subtitle"]
    assert any(note.startswith("film.mp4 has no track in de") for note in result.document["notes"])
    # Of no language there is a sound: the video would be that of an earlier batch.
    result = run_batch(batch_of(film, tmp_path, to=("de", "it")))
    assert result.exit_code not in (0, 3) and result.document["videos"][0]["languages"] == []
    assert not (tmp_path / "film.mp4").exists()


def test_an_incomplete_language_is_kept_and_named(tmp_path: Path, film: ShortTalk) -> None:
    talk = short_talk(tmp_path / "talk", _0003="whatever it is that he is saying here")
    result = run_batch(batch_of(replace(film, script=talk.script), tmp_path))
    assert (result.exit_code, result.document["videos"][0]["languages"]) == (3, ["es", "fr"])
    notes = [note for note in result.document["notes"] if "is not complete" in note]
    assert len(notes) == 2 and str(tmp_path / "film.es") in notes[0]


def test_a_video_that_cannot_be_written_is_an_error_of_the_batch(film: ShortTalk, tmp_path: Path) -> None:
    batch = batch_of(film, tmp_path)
    (tmp_path / "film.mp4").mkdir()
    result = run_batch(batch)
    assert (result.exit_code, result.document["status"]) == (3, "partial")
    assert [error["code"] for error in result.document["errors"]] == ["output_unwritable"]
    assert record(tmp_path) == result.document


def test_a_recording_without_pictures_is_refused(film: ShortTalk, tmp_path: Path) -> None:
    sound = replace(film, wav=film.wav.with_name("talk.wav"))
    with pytest.raises(InputError, match="has no pictures") as caught:
        batch_of(sound, tmp_path)
    assert caught.value.code == "not_a_video"


def test_a_file_of_the_user_is_never_replaced(film: ShortTalk, finished: BatchResult, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"of the user")
    with pytest.raises(InputError, match="is there already") as caught:
        batch_of(film, tmp_path)
    assert caught.value.code == "video_exists"
    # Nor is one that a batch has written, where it is now the input.
    root = Path(finished.document["root"])
    with pytest.raises(InputError, match="is there already"):
        batch_of(replace(film, wav=root / "film.mp4"), root)


def test_the_plan_names_the_video(film: ShortTalk, tmp_path: Path) -> None:
    assert plan_batch(batch_of(film, tmp_path))["videos"] == [str(tmp_path / "film.mp4")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "--one-video is for several languages"),
        (("--to", "es"), "--one-video is for several languages"),
        (("--to", "es,fr", "--until", "script"), "--one-video needs the sound of each language"),
    ],
)
def test_the_command_is_refused_where_there_is_nothing_to_join(
    film: ShortTalk, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    ended = voiceclone("run", film.wav, "--one-video", *options, "--out", tmp_path / "dubbed")
    assert ended.code == 2 and ended.err.startswith(f"voiceclone: {reason}"), ended.err
    assert ended.err.count("\n") == 1 and not (tmp_path / "dubbed").exists()
