"""The watermark with its real weights: marking, detection, the verify command, and runs.

In runs, real workers with the echo engine stand in for an engine that makes speech.
"""

from __future__ import annotations

import json
import threading
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from command import voiceclone
from media_samples import Signal, conversation, syllables, tone, write_media, write_wav
from voiceclone_cli.audio.reader import open_audio
from voiceclone_cli.config import resolve
from voiceclone_cli.engines.select import EngineChoice
from voiceclone_cli.errors import InputError, Stopped
from voiceclone_cli.files import file_sha256
from voiceclone_cli.models import download
from voiceclone_cli.pipeline import synth
from voiceclone_cli.pipeline.synthesize import SynthesisResult, synthesize
from voiceclone_cli.pipeline.tasks import SynthesisJob
from voiceclone_cli.provenance import watermark as provenance_watermark
from voiceclone_cli.provenance.verify import Verdict, Verification, verify
from voiceclone_cli.provenance.watermark import (
    PERTH_RATE,
    Watermark,
    load_watermark,
    resample,
    watermark_and_tag,
    why_unmarkable,
)
from voiceclone_cli.rundir.directory import resume_directory
from voiceclone_cli.system import request_stop
from voiceclone_cli.types import Reference, Script, Segment, no_progress
from voiceclone_worker.protocol import EngineSpec, ReferenceSpec, SegmentSpec, SynthesisTask, task_to_json

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
@pytest.mark.numerical
def test_marked_speech_is_detected_and_unmarked_is_not(
    watermark: Watermark, speech: Signal, rate: int
) -> None:
    samples = at_rate(speech, rate)
    marked = watermark.mark(samples, rate)
    assert len(marked) == len(samples) and marked.dtype == np.float32
    assert confidence(watermark, in_16_bits(marked), rate) > 0.99
    assert confidence(watermark, samples, rate) < 0.1


@pytest.mark.numerical
def test_nothing_changes_above_two_kilohertz(watermark: Watermark, speech: Signal) -> None:
    samples = at_rate(speech, 44_100) + 0.05 * np.sin(
        2 * np.pi * 18_000 * np.arange(len(at_rate(speech, 44_100))) / 44_100
    ).astype(np.float32)
    added = np.abs(np.fft.rfft(watermark.mark(samples, 44_100) - samples))
    frequencies = np.fft.rfftfreq(len(samples), 1 / 44_100)
    assert added[frequencies > 2_100].max() < 1e-3 * added.max()


@pytest.mark.parametrize("decibels", [-40, -20, 10])
@pytest.mark.numerical
def test_mark_survives_a_change_of_level(watermark: Watermark, speech: Signal, decibels: int) -> None:
    marked = in_16_bits(watermark.mark(speech, 16_000))
    assert confidence(watermark, in_16_bits(marked * np.float32(10 ** (decibels / 20))), 16_000) > 0.9


@pytest.mark.numerical
def test_samples_are_the_same_with_any_number_of_threads(folder: Path, speech: Signal) -> None:
    samples = at_rate(speech, 24_000)
    one, two = (load_watermark(folder, threads).mark(samples, 24_000) for threads in (1, 2))
    assert np.array_equal(one, two)


def test_silence_and_short_signals_are_not_changed(watermark: Watermark, speech: Signal) -> None:
    for samples, why in ((np.zeros(16_000, np.float32), "silent"), (speech[:1_500], "too short")):
        assert why_unmarkable(samples, 16_000) == why
        assert np.array_equal(watermark.mark(samples, 16_000), samples)
    assert confidence(watermark, np.zeros(16_000, np.float32), 16_000) == 0.0


@pytest.mark.numerical
def test_shortest_markable_signal(watermark: Watermark, speech: Signal) -> None:
    for rate in (16_000, 22_050, 44_100):
        shortest = at_rate(speech, rate)[: rate // 10 + 1]
        assert len(watermark.mark(shortest, rate)) == len(shortest)


@pytest.mark.numerical
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
@pytest.mark.numerical
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


@pytest.mark.numerical
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


@pytest.fixture
def echo_makes_speech(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_watermark, "SPEAKING_ENGINES", frozenset({"echo"}))


def job(folder: Path, **flags: Any) -> SynthesisJob:
    """Six lines of one speaker; ``options`` go to the engine."""
    engine = EngineChoice("echo", "requested", None, options=flags.pop("options", {}))
    lines = tuple(
        Segment(f"{n:04d}", "S0", n - 1.0, n - 0.2, f"this is line number {n}", "en") for n in range(1, 7)
    )
    run_dir = resume_directory(folder / "run", "input")
    (run_dir.speakers / "S0").mkdir(exist_ok=True)
    audio = write_wav(run_dir.speakers / "S0" / "reference.wav", syllables(1.0))
    slots = {segment.id: segment.start + 1.0 for segment in lines}
    references = {"S0": Reference("S0", audio, "", 1.0, ())}
    return SynthesisJob(Script(lines), references, slots, run_dir, engine, resolve(flags))


def sounds(work: SynthesisJob) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in work.run_dir.segments.glob("*.wav")}


def assert_processed(work: SynthesisJob, result: SynthesisResult) -> None:
    """Assert that every segment that is done has its note, its hash and its tags."""
    for row in result.segments.values():
        if row.status == "done":
            path = work.run_dir.segment_wav(row.id)
            note = json.loads(work.run_dir.segment_note(row.id).read_text(encoding="utf-8"))
            assert note["sha256"] == row.sha256 == file_sha256(path)
            with open_audio(path) as stream:
                assert "comment" in provenance_watermark.own_tags(stream.tags)


def test_marked_bytes_are_the_same_in_any_mode(echo_makes_speech: None, tmp_path: Path) -> None:
    versions = []
    for number, flags in enumerate(
        ({"threads": 1}, {"mode": "parallel", "workers": 2, "batch_size": 1, "threads": 2})
    ):
        work = job(tmp_path / str(number), **flags)
        result = synthesize(work, no_progress)
        assert [row.status for row in result.segments.values()] == ["done"] * 6
        assert result.timing["watermark"] > 0
        assert_processed(work, result)
        versions.append(sounds(work))
    assert versions[0] == versions[1]
    plain = job(tmp_path / "plain", watermark=False)
    assert_processed(plain, synthesize(plain, no_progress))
    for name, content in sounds(plain).items():
        assert len(content) == len(versions[0][name]) and content != versions[0][name]


def test_marked_segments_are_reused_only_with_the_mark(
    echo_makes_speech: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesize(job(tmp_path), no_progress)
    with monkeypatch.context() as nothing_to_mark:
        nothing_to_mark.delattr(provenance_watermark, "load_watermark")
        assert len(synthesize(job(tmp_path), no_progress).reused) == 6
    assert len(synthesize(job(tmp_path, watermark=False), no_progress).reused) == 0
    assert len(synthesize(job(tmp_path), no_progress).reused) == 0


def test_segments_before_a_stop_are_processed(echo_makes_speech: None, tmp_path: Path) -> None:
    work = job(tmp_path, options={"delay": 0.4})
    timer = threading.Timer(2.0, request_stop, (Stopped(130),))
    timer.start()
    result = synthesize(work, no_progress)
    timer.join()
    assert result.stopped is not None and len(result.segments) == 6
    assert_processed(work, result)
    assert {row.error.code for row in result.segments.values() if row.error} <= {"interrupted"}
    again = synthesize(job(tmp_path), no_progress)
    assert len(again.reused) == sum(row.status == "done" for row in result.segments.values())


def test_unusable_model_fails_every_segment_without_a_wav(
    echo_makes_speech: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance_watermark, "watermark_folder", lambda settings, progress: tmp_path)
    work = job(tmp_path)
    result = synthesize(work, no_progress)
    assert {row.error.code for row in result.segments.values() if row.error} == {"watermark_failed"}
    assert len(result.segments) == 6 and sounds(work) == {}


def test_silent_segments_are_done_and_reported_as_unmarked(
    echo_makes_speech: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silence(path: Path, engine: str, watermark: object) -> tuple[str, str | None]:
        with wave.open(str(path)) as file:
            frames, rate = file.getnframes(), file.getframerate()
        write_wav(path, syllables(frames / rate, rate, level=0.0), rate)
        return original(path, engine, watermark)

    original = provenance_watermark.watermark_and_tag
    monkeypatch.setattr(provenance_watermark, "watermark_and_tag", silence)
    for _ in range(2):
        result = synthesize(job(tmp_path), no_progress)
        assert result.unmarked == {f"{n:04d}": "silent" for n in range(1, 7)}
        assert any("no watermark is on 0001" in note for note in result.notes)
        assert [row.status for row in result.segments.values()] == ["done"] * 6
    assert len(result.reused) == 6


def test_task_files_are_marked_unless_disabled(echo_makes_speech: None, tmp_path: Path) -> None:
    reference = ReferenceSpec("A", str(tmp_path / "voice.wav"), "", str(tmp_path / "A.txt"))
    lines = tuple(SegmentSpec(f"{n}", "a line of some words", "en", n) for n in range(3))
    made = {}
    for wanted in (True, False):
        task = SynthesisTask("A", EngineSpec("echo"), reference, str(tmp_path / str(wanted)), lines)
        file = tmp_path / f"{wanted}.json"
        file.write_text(task_to_json(replace(task)), encoding="utf-8")
        result = synth.synthesize_tasks([file], resolve({"watermark": wanted}, {}), no_progress)
        assert [row.status for row in result.segments] == ["done"] * 3
        assert all(row.file and row.sha256 == file_sha256(Path(row.file)) for row in result.segments)
        made[wanted] = [Path(row.file).read_bytes() for row in result.segments if row.file]
    assert all(marked != plain for marked, plain in zip(made[True], made[False], strict=True))
