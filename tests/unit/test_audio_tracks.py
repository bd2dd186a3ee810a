"""The audio tracks of a file: which one is read, and how it is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from media_samples import tone
from voiceclone_cli.audio.reader import read_recording, read_spans
from voiceclone_cli.audio.tracks import language_code
from voiceclone_cli.errors import InputError
from voiceclone_cli.types import AudioChoice

RATE = 16_000
LEVELS = (0.1, 0.2, 0.4)

Described = tuple[str, str, Disposition]


def write_tracks(path: Path, tracks: Sequence[Described]) -> Path:
    """Write a file with a tone in each track, of another level each: language, title and disposition."""
    with av.open(str(path), "w") as container:
        streams = []
        for language, title, disposition in tracks:
            stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
            stream.metadata.update({"language": language, "title": title})
            stream.disposition = disposition
            streams.append(stream)
        for stream, level in zip(streams, LEVELS, strict=False):
            samples = (tone(1.0, level=level) * 32_767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(stream.encode(frame))
    return path


NONE, DEFAULT = Disposition(0), Disposition.default
FILM: list[Described] = [
    ("eng", "Commentary", NONE),
    ("eng", "", DEFAULT),
    ("fre", "", NONE),
]


def level(path: Path, track: str | None = None) -> float:
    return round(float(read_recording(path, audio=AudioChoice(track)).samples.max()), 1)


def test_the_default_track_is_read_and_all_are_listed(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.mkv", FILM)
    recording = read_recording(path)
    assert level(path) == 0.2
    assert recording.audio == AudioChoice("2")
    assert recording.notes == (
        "3 audio tracks: 1 eng Commentary, 2 eng (default) taken, 3 fra; --audio-track chooses another",
    )


def test_without_a_default_the_first_is_read(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.mkv", [("eng", "", Disposition.original), ("spa", "", NONE)])
    assert level(path) == 0.1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("1", 0.1),
        ("2", 0.2),
        ("3", 0.4),
        ("fr", 0.4),
        ("fre", 0.4),
        ("fra", 0.4),
        ("fr-ca", 0.4),
        ("en", 0.2),
    ],
)
def test_a_track_is_chosen_by_number_or_language(tmp_path: Path, wanted: str, expected: float) -> None:
    assert level(write_tracks(tmp_path / "film.mkv", FILM), wanted) == expected


@pytest.mark.parametrize("wanted", ["4", "de", "zz", "und"])
def test_a_track_that_is_not_there_is_one_sentence_that_lists_them(tmp_path: Path, wanted: str) -> None:
    path = write_tracks(tmp_path / "film.mkv", FILM)
    with pytest.raises(InputError) as caught:
        level(path, wanted)
    assert (caught.value.code, caught.value.exit_code) == ("audio_track", 2)
    assert f"no audio track {wanted!r}; its audio tracks are 1 eng Commentary, 2 eng (default), 3 fra" in str(
        caught.value
    )


def test_a_title_from_the_file_cannot_change_the_terminal(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.mkv", [("eng", "\x1b[31mred\n" + "x" * 99, NONE), ("", "", NONE)])
    (note,) = read_recording(path).notes
    assert note.isprintable() and len(note) < 150


def test_spans_are_read_from_the_track_of_the_recording(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.mkv", FILM)
    recording = read_recording(path, audio=AudioChoice("fra"))
    (span,) = read_spans(path, [(0.25, 0.5)], recording.audio)
    np.testing.assert_array_equal(span, recording.samples[4000:8000])


def test_a_recording_of_another_track_has_another_identity(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "film.mkv", FILM)
    identities = [read_recording(path, audio=AudioChoice(track)).identity for track in ("1", "2", "3")]
    assert identities[0] == ""
    assert len(set(identities)) == 3


def test_codes_of_a_language_are_one() -> None:
    assert {language_code(code) for code in ("de", "deu", "ger", "DE", "de-CH")} == {"deu"}
    assert language_code("q1") == language_code(None) == language_code("") == "und"
