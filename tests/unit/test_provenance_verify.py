"""Detection of the watermark from windows, and the origin of files."""

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
    find_origin,
    is_narrow_band,
    split_windows,
    summarise_detection,
)
from voiceclone_cli.provenance.watermark import PERTH_RATE


def found(*confidences: float, narrow: tuple[int, ...] = (), quiet: tuple[int, ...] = ()) -> Detection:
    """Return the detection of a window for each confidence, one a second."""
    return summarise_detection(
        Window(float(n), n + 2.0, n not in quiet, n in narrow, confidence)
        for n, confidence in enumerate(confidences)
    )


def test_certain_window_makes_a_stretch_of_its_likely_neighbours() -> None:
    detection = found(0.1, 0.6, 0.95, 0.6, 0.2)
    (stretch,) = detection.stretches
    assert stretch == (1.0, 5.0, 0.95)
    assert detection.verdict is Verdict.WATERMARKED and detection.marked == 3


def test_likely_windows_without_a_certain_one_are_no_mark() -> None:
    assert found(0.6, 0.8, 0.89, 0.7).verdict is Verdict.NOT_FOUND


def test_unmarked_windows_separate_stretches() -> None:
    assert [start for start, _, _ in found(1.0, 0.1, 0.1, 1.0).stretches] == [0.0, 3.0]


def test_mostly_narrow_sound_cannot_be_decided() -> None:
    assert found(0.0, 0.0, 0.95, narrow=(0, 1)).verdict is Verdict.UNDECIDED
    assert found(0.0, 0.95, 0.95, narrow=(0,)).verdict is Verdict.WATERMARKED


def test_sound_without_speech_cannot_be_decided() -> None:
    assert found(0.0, 0.0, quiet=(0, 1)).verdict is Verdict.UNDECIDED
    assert found().verdict is Verdict.UNDECIDED


def blocks(signal: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    return (signal[start : start + size] for start in range(0, len(signal), size))


@pytest.mark.parametrize("seconds", [0.1, 1.5, 2.0, 2.01, 3.0, 7.3])
@pytest.mark.parametrize("size", [777, PERTH_RATE, 10 * PERTH_RATE])
def test_windows_cover_a_signal_whatever_its_blocks(seconds: float, size: int) -> None:
    signal = np.arange(round(seconds * PERTH_RATE), dtype=np.float32)
    windows = list(split_windows(blocks(signal, size)))
    covered = np.zeros(len(signal), bool)
    for start, window in windows:
        first = round(start * PERTH_RATE)
        assert np.array_equal(window, signal[first : first + len(window)])
        covered[first : first + len(window)] = True
    assert covered.all()
    assert all(len(window) == min(len(signal), 2 * PERTH_RATE) for _, window in windows)


def test_too_little_for_a_mark_makes_no_window() -> None:
    assert list(split_windows(iter([np.ones(100, np.float32)]))) == []


def test_a_band_that_ends_below_the_mark_s_endis_narrow_band() -> None:
    speech = syllables(2.0, PERTH_RATE)
    spectrum = np.fft.rfft(speech)
    spectrum[round(1800 * 2.0) :] = 0
    assert not is_narrow_band(speech)
    assert is_narrow_band(np.fft.irfft(spectrum, len(speech)).astype(np.float32))
    assert is_narrow_band(tone(2.0, PERTH_RATE))


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
        "status": "success",
        "run_dir": str(folder),
        "hashes": hashes,
        "input": {"sha256": file_sha256(tmp_path / "talk.wav")},
    }
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def origin(file: Path, run_dir: Path | None = None) -> Origin:
    return find_origin(file, file_sha256(file), run_dir)


def test_output_of_a_run_is_known_in_its_directory(run: Path) -> None:
    for name in ("mix.wav", "segments/0001.wav"):
        assert origin(run / name) == Origin(OriginState.KNOWN, run, name)


def test_copy_elsewhere_is_known_to_the_named_run(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.wav"
    copy.write_bytes(b"the mix")
    assert origin(copy).state is OriginState.UNKNOWN
    assert origin(copy, run) == Origin(OriginState.KNOWN, run, "mix.wav")


def test_changed_output_is_reported(run: Path) -> None:
    (run / "mix.wav").write_bytes(b"the mix, edited")
    assert origin(run / "mix.wav") == Origin(OriginState.CHANGED, run, "mix.wav")


def test_input_of_a_run(run: Path, tmp_path: Path) -> None:
    assert origin(tmp_path / "talk.wav", run).state is OriginState.INPUT


def test_foreign_file_in_a_run_directory_is_unknown(run: Path) -> None:
    (run / "mine.wav").write_bytes(b"mine")
    assert origin(run / "mine.wav") == Origin(OriginState.UNKNOWN, run)


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"schema": "voiceclone.run/1", "hashes": []}'])
def test_file_beside_a_damaged_manifest_is_unknown(run: Path, manifest: str) -> None:
    (run / "run.json").write_text(manifest, encoding="utf-8")
    assert origin(run / "mix.wav").state is OriginState.UNKNOWN


def test_folder_without_a_manifest_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        origin(run / "mix.wav", tmp_path)
    assert refused.value.code == "not_a_run_directory"
