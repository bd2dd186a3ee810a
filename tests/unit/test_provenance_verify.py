"""Whether a run wrote a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media_samples import syllables, tone
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.provenance.verify import (
    Detection,
    Origin,
    OriginState,
    Verdict,
    Window,
    _is_narrow,
    _signals,
    find_origin,
    summarise_detection,
)
from voiceclone_cli.provenance.watermark import PERTH_RATE

# From windows to a verdict, and from a stream to windows.


def found(*presences: float, narrow: tuple[int, ...] = (), quiet: tuple[int, ...] = ()) -> Detection:
    """A window for each presence, one a second."""
    return summarise_detection(
        Window(float(n), n + 2.0, n not in quiet, n in narrow, presence)
        for n, presence in enumerate(presences)
    )


def test_a_sure_window_makes_a_stretch_of_its_likely_neighbours() -> None:
    detection = found(0.1, 0.6, 0.95, 0.6, 0.2)
    (stretch,) = detection.stretches
    assert (stretch.start, stretch.end, stretch.presence) == (1.0, 5.0, 0.95)
    assert detection.verdict is Verdict.WATERMARKED and detection.marked == 3


def test_likely_windows_without_a_sure_one_are_no_mark() -> None:
    assert found(0.6, 0.8, 0.89, 0.7).verdict is Verdict.NOT_FOUND


def test_stretches_are_apart_where_the_mark_is_lost_between_them() -> None:
    assert [s.start for s in found(1.0, 0.1, 0.1, 1.0).stretches] == [0.0, 3.0]


def test_where_most_of_the_sound_is_narrow_nobody_can_tell() -> None:
    assert found(0.0, 0.0, 0.95, narrow=(0, 1)).verdict is Verdict.CANNOT_TELL
    assert found(0.0, 0.95, 0.95, narrow=(0,)).verdict is Verdict.WATERMARKED


def test_where_nobody_speaks_nobody_can_tell() -> None:
    assert found(0.0, 0.0, quiet=(0, 1)).verdict is Verdict.CANNOT_TELL
    assert found().verdict is Verdict.CANNOT_TELL


def blocks(signal: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (signal[start : start + size] for start in range(0, len(signal), size))


@pytest.mark.parametrize("seconds", [0.1, 1.5, 2.0, 2.01, 3.0, 7.3])
@pytest.mark.parametrize("size", [777, PERTH_RATE, 10 * PERTH_RATE])
def test_windows_cover_a_signal_whatever_its_blocks(seconds: float, size: int) -> None:
    signal = np.arange(round(seconds * PERTH_RATE), dtype=np.float32)
    windows = list(_signals(blocks(signal, size)))
    heard = np.zeros(len(signal), bool)
    for start, window in windows:
        first = round(start * PERTH_RATE)
        assert np.array_equal(window, signal[first : first + len(window)])
        heard[first : first + len(window)] = True
    assert heard.all()
    assert all(len(window) == min(len(signal), 2 * PERTH_RATE) for _, window in windows)


def test_too_little_for_a_mark_makes_no_window() -> None:
    assert list(_signals(iter([np.ones(100, np.float32)]))) == []


def test_a_band_that_ends_below_the_mark_s_end_is_narrow() -> None:
    speech = syllables(2.0, PERTH_RATE)
    spectrum = np.fft.rfft(speech)
    spectrum[round(1800 * 2.0) :] = 0
    assert not _is_narrow(speech)
    assert _is_narrow(np.fft.irfft(spectrum, len(speech)).astype(np.float32))
    assert _is_narrow(tone(2.0, PERTH_RATE))


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
