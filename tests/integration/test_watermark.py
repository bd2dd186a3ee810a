"""The watermark with its real weights: marking, detection, the verify command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from command import voiceclone
from media_samples import Signal, conversation, tone, write_media, write_wav
from voiceclone_cli.config import resolve
from voiceclone_cli.errors import InputError
from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import download
from voiceclone_cli.provenance.verify import Verdict, Verification, verify
from voiceclone_cli.provenance.watermark import (
    PERTH_RATE,
    Watermark,
    load_watermark,
    resample,
    watermark_and_tag,
    why_unmarkable,
)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def folder() -> Path:
    return download.ensure_models(["perth"])["perth"]


@pytest.fixture(scope="module")
def watermark(folder: Path) -> Watermark:
    return load_watermark(folder, threads=1)


@pytest.fixture(scope="module")
def speech() -> Signal:
    """Return six seconds of a telephone call of two people, at 16 kHz."""
    samples, _ = soundfile.read(conversation(), dtype="float32")
    return samples[7 * 16_000 : 13 * 16_000]


def at_rate(samples: Signal, rate: int) -> Signal:
    return soxr.resample(samples, 16_000, rate, "HQ").astype(np.float32)


def in_16_bits(samples: Signal) -> Signal:
    return (np.rint(np.clip(samples, -1, 1) * 32767) / 32768).astype(np.float32)


def confidence(watermark: Watermark, samples: Signal, rate: int) -> float:
    return float(watermark.confidences(resample(samples, rate, PERTH_RATE)[None])[0])


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100])
def test_marked_speech_is_detected_and_unmarked_is_not(
    watermark: Watermark, speech: Signal, rate: int
) -> None:
    samples = at_rate(speech, rate)
    marked = watermark.mark(samples, rate)
    assert len(marked) == len(samples) and marked.dtype == np.float32
    assert confidence(watermark, in_16_bits(marked), rate) > 0.99
    assert confidence(watermark, samples, rate) < 0.1


def test_nothing_changes_above_two_kilohertz(watermark: Watermark, speech: Signal) -> None:
    samples = at_rate(speech, 44_100) + 0.05 * np.sin(
        2 * np.pi * 18_000 * np.arange(len(at_rate(speech, 44_100))) / 44_100
    ).astype(np.float32)
    added = np.abs(np.fft.rfft(watermark.mark(samples, 44_100) - samples))
    frequencies = np.fft.rfftfreq(len(samples), 1 / 44_100)
    assert added[frequencies > 2_100].max() < 1e-3 * added.max()


@pytest.mark.parametrize("decibels", [-40, -20, 10])
def test_mark_survives_a_change_of_level(watermark: Watermark, speech: Signal, decibels: int) -> None:
    marked = in_16_bits(watermark.mark(speech, 16_000))
    assert confidence(watermark, in_16_bits(marked * np.float32(10 ** (decibels / 20))), 16_000) > 0.9


def test_samples_are_the_same_with_any_number_of_threads(folder: Path, speech: Signal) -> None:
    samples = at_rate(speech, 24_000)
    one, two = (load_watermark(folder, threads).mark(samples, 24_000) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_silence_and_short_signals_are_not_changed(watermark: Watermark, speech: Signal) -> None:
    for samples, why in ((np.zeros(16_000, np.float32), "silent"), (speech[:1_500], "too short")):
        assert why_unmarkable(samples, 16_000) == why
        assert np.array_equal(watermark.mark(samples, 16_000), samples)
    assert confidence(watermark, np.zeros(16_000, np.float32), 16_000) == 0.0


def test_shortest_markable_signal(watermark: Watermark, speech: Signal) -> None:
    for rate in (16_000, 22_050, 44_100):
        shortest = at_rate(speech, rate)[: rate // 10 + 1]
        assert len(watermark.mark(shortest, rate)) == len(shortest)


def test_marking_a_segment_is_deterministic(watermark: Watermark, speech: Signal, tmp_path: Path) -> None:
    hashes = set()
    for name in "ab":
        path = write_wav(tmp_path / f"{name}.wav", at_rate(speech, 24_000), 24_000)
        sha256, unmarked = watermark_and_tag(path, "kokoro", watermark)
        assert unmarked is None and sha256 == file_sha256(path)
        hashes.add(sha256)
    assert len(hashes) == 1


@pytest.fixture(scope="module")
def dub(watermark: Watermark) -> Signal:
    """23 seconds of talk: the first eight and the last seven are marked, line by line."""
    samples, _ = soundfile.read(conversation(), dtype="float32", start=7 * 16_000)
    lines = [watermark.mark(samples[start : start + 32_000], 16_000) for start in range(0, 128_000, 32_000)]
    end = watermark.mark(samples[256_000:], 16_000)
    return in_16_bits(np.concatenate([*lines, samples[128_000:256_000], end]))


def verified(file: Path) -> Verification:
    return verify(file, resolve({}))


@pytest.mark.parametrize("suffix", [".mp3", ".opus"])
def test_mark_is_located_after_lossy_encoding(dub: Signal, tmp_path: Path, suffix: str) -> None:
    detection = verified(write_media(tmp_path / f"dub{suffix}", at_rate(dub, 48_000))).detection
    assert detection.verdict is Verdict.WATERMARKED
    first, last = detection.stretches
    assert first[0] == 0 and abs(first[1] - 8) <= 2
    assert abs(last[0] - 16) <= 2 and last[1] > 22


def test_verify_command_finds_the_mark_in_a_video(dub: Signal, tmp_path: Path) -> None:
    file = write_media(tmp_path / "dub.mp4", at_rate(dub, 48_000), video=True)
    ended = voiceclone("verify", file, "--json")
    assert ended.code == 0
    found = ended.document
    assert found["schema"] == "voiceclone.verify/1" and found["verdict"] == "watermarked"
    assert len(found["stretches"]) == 2 and 8 < found["windows"]["marked"] < found["windows"]["speech"]
    assert found["origin"] == {"state": "unknown", "run_dir": None, "name": None}


def test_verify_command_on_an_unmarked_recording() -> None:
    ended = voiceclone("verify", conversation())
    assert ended.code == 3
    assert ended.out.startswith("not_found: ") and "proves nothing" in ended.out


def test_narrow_band_cannot_be_decided(speech: Signal, tmp_path: Path) -> None:
    narrow = soxr.resample(soxr.resample(speech, 16_000, 3_600, "HQ"), 3_600, 16_000, "HQ")
    found = verified(write_wav(tmp_path / "narrow.wav", narrow))
    assert found.detection.verdict is Verdict.UNDECIDED and "2 kHz" in found.why


def test_sound_without_speech_cannot_be_decided(tmp_path: Path) -> None:
    found = verified(write_wav(tmp_path / "tone.wav", tone(3.0)))
    assert found.detection.verdict is Verdict.UNDECIDED and "no speech" in found.why


def test_short_file_is_refused_in_one_sentence(speech: Signal, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a longer file") as refused:
        verified(write_wav(tmp_path / "short.wav", speech[:1_000]))
    assert refused.value.code == "media_too_short"
