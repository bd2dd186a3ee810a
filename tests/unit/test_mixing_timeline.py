"""Segments on the timeline: slots, tempo, loudness, and the files of the mix."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import factories
from factories import recording, settings
from media_samples import Signal, syllables, tone, write_wav
from voiceclone_cli.audio.dsp import speech_level_db
from voiceclone_cli.errors import InputError, RunError
from voiceclone_cli.mixing.render import render_mix
from voiceclone_cli.mixing.slots import GUARD_SECONDS, slot_ends
from voiceclone_cli.mixing.timeline import MAX_DEVIATION_DB, mix_rate
from voiceclone_cli.rundir.manifest import RunPaths
from voiceclone_cli.types import Placement, ProgressEvent, Recording, Segment, Turn


def line(name: str, start: float, end: float, speaker: str = "A") -> Segment:
    return factories.segment(name, speaker, start, end)


def recorded(
    seconds: float = 10.0, rate: int = 24_000, *, frames: int | None = None, samples: Signal | None = None
) -> Recording:
    """A recording with speech (or ``samples``) all along."""
    count = round(seconds * rate) if frames is None else frames
    analysis = syllables(count / rate, level=0.3) if samples is None else samples
    return recording(analysis, rate, seconds=count / rate)


@dataclass
class Rendered:
    placements: Mapping[str, Placement]
    rate: int
    mix: NDArray[np.int16]
    stems: Mapping[str, NDArray[np.int16]]


class Renderer:
    """A folder with synthesized segments, and their mix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Path] = {}
        self.events: list[ProgressEvent] = []

    def add(self, name: str, samples: Signal, rate: int = 24_000) -> None:
        self.files[name] = write_wav(self.folder / f"{name}.segment.wav", samples, rate)

    def render(
        self,
        segments: Sequence[Segment],
        recording: Recording,
        max_stretch: float = 1.3,
        turns: Sequence[Turn] = (),
    ) -> Rendered:
        out = self.folder / "out"
        rendering = render_mix(
            segments,
            self.files,
            recording,
            paths=RunPaths(out),
            turns=turns,
            settings=replace(settings(), max_stretch=max_stretch),
            info={},
            progress=self.events.append,
        )
        mix, rate = soundfile.read(out / "mix.wav", dtype="int16")
        stems = {path.stem: soundfile.read(path, dtype="int16")[0] for path in (out / "stems").iterdir()}
        return Rendered({p.segment_id: p for p in rendering.placements}, rate, mix, stems)


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    return Renderer(tmp_path)


# Slots.


def test_a_slot_extends_to_the_next_segment_minus_a_guard() -> None:
    segments = [line("1", 1, 2, "A"), line("2", 4, 5, "B"), line("3", 7, 8, "A")]
    assert slot_ends(segments, 10.0) == {"1": 4 - GUARD_SECONDS, "2": 7 - GUARD_SECONDS, "3": 10.0}


def test_a_slot_has_at_least_the_segments_own_time() -> None:
    assert slot_ends([line("1", 0, 6, "A"), line("2", 2, 3, "B")], 10.0)["1"] == 6
    assert slot_ends([line("1", 0, 3), line("2", 3, 4)], 10.0)["1"] == 3


def test_segments_that_start_together_share_what_follows() -> None:
    ends = slot_ends([line("1", 1, 2, "A"), line("2", 1, 2, "B"), line("3", 5, 6)], 10.0)
    assert ends["1"] == ends["2"] == 5 - GUARD_SECONDS


def test_a_segment_with_an_overlapped_end_has_only_its_own_time() -> None:
    assert slot_ends([line("1", 0, 6, "A"), line("2", 2, 3, "B"), line("3", 8, 9, "A")], 10.0) == {
        "1": 6,
        "2": 3,
        "3": 10,
    }
    assert slot_ends([line("1", 0, 3, "A"), line("2", 2, 5, "B")], 10.0) == {"1": 3, "2": 10}


def test_a_slot_ends_at_the_next_start_of_its_speaker_whatever_the_segments_say() -> None:
    segments = [line("1", 1, 6, "A"), line("2", 4, 8, "A"), line("3", 5, 9, "B")]
    assert slot_ends(segments, 20.0) == {"1": 4, "2": 8, "3": 20.0}


def test_different_speakers_may_overlap() -> None:
    assert slot_ends([line("1", 1, 6, "A"), line("2", 4, 8, "B")], 20.0)["1"] == 6


times = st.floats(0, 100)


@given(st.lists(st.tuples(times, times), max_size=20), st.randoms())
def test_slots_neither_depend_on_the_order_nor_exceed_the_recording(
    spans: list[tuple[float, float]], random: object
) -> None:
    segments = [line(str(i), min(span), max(span)) for i, span in enumerate(spans)]
    ends = slot_ends(segments, 80.0)
    assert ends == slot_ends(list(reversed(segments)), 80.0)
    starts = sorted({segment.start for segment in segments})
    for segment in segments:
        own_next = min((start for start in starts if start > segment.start), default=80.0)
        assert min(segment.end, own_next, 80.0) <= ends[segment.id] <= 80.0


@pytest.mark.parametrize(
    ("source", "speech", "expected"),
    [
        (48_000, [24_000], 48_000),
        (44_100, [44_100, 24_000], 44_100),
        (16_000, [24_000], 32_000),
        (8_000, [24_000], 24_000),
        (22_050, [44_100], 44_100),
        (16_000, [], 16_000),
    ],
)
def test_the_mix_has_the_recordings_rate_or_a_multiple_that_carries_the_speech(
    source: int, speech: list[int], expected: int
) -> None:
    assert mix_rate(source, speech) == expected


# Files.


@pytest.mark.parametrize(
    ("rate", "frames"), [(16_000, 100_001), (44_100, 123_457), (8_000, 65_537), (48_000, 48_000 * 61 + 1)]
)
def test_mix_and_stems_are_exactly_as_long_as_the_recording(
    renderer: Renderer, rate: int, frames: int
) -> None:
    renderer.add("1", syllables(1.0, 24_000))
    result = renderer.render([line("1", 0.5, 2), line("2", 1, 1.2, "B")], recorded(rate=rate, frames=frames))
    factor = result.rate // rate
    assert result.rate == rate * factor >= 24_000
    assert {len(result.mix), *(len(stem) for stem in result.stems.values())} == {frames * factor}


def test_speech_starts_at_its_segments_time_to_the_sample(renderer: Renderer) -> None:
    starts = {"1": 0.3333, "2": 29.9999, "3": 45.00007}
    for name in starts:
        renderer.add(name, tone(0.5, 48_000, level=0.3), 48_000)
    segments = [line(name, start, start + 0.6) for name, start in starts.items()]
    result = renderer.render(segments, recorded(60.0, 48_000))
    audible = np.flatnonzero(result.mix)
    for name, start in starts.items():
        frame = round(start * 48_000)
        placement = result.placements[name]
        assert (placement.start_frame, placement.frames, placement.stretch) == (frame, 24_000, 1.0)
        own = audible[(audible >= frame - 100) & (audible < frame + 24_100)]
        # A sine begins and ends with a zero.
        assert (own[0], own[-1]) == (frame + 1, frame + 23_999)


def test_speech_across_blocks_is_continuous(renderer: Renderer) -> None:
    speech = tone(65.0, level=0.3)
    renderer.add("1", speech, 16_000)
    result = renderer.render([line("1", 20, 90)], recorded(90.0, 16_000, samples=tone(90.0, level=0.3)))
    assert result.placements["1"].gain_db == pytest.approx(0.0, abs=0.01)
    np.testing.assert_allclose(result.mix[320_000:][: len(speech)] / 32768, speech, atol=1e-3)


def test_the_mix_is_the_sum_of_the_stems(renderer: Renderer) -> None:
    for index, name in enumerate("12345"):
        renderer.add(name, syllables(2.0, 24_000, seed=index))
    segments = [line(name, 0.7 * i, 0.7 * i + 2, "ABC"[i % 3]) for i, name in enumerate("12345")]
    result = renderer.render(segments, recorded(samples=syllables(10.0, level=0.2)))
    assert sorted(result.stems) == ["A", "B", "C"]
    total = sum(stem.astype(np.int32) for stem in result.stems.values())
    assert isinstance(total, np.ndarray)
    assert np.abs(total).max() < 0.9 * 32768
    np.testing.assert_array_equal(result.mix, total)


def test_each_stem_has_only_its_speaker(renderer: Renderer) -> None:
    renderer.add("1", tone(1.0, 24_000))
    renderer.add("2", tone(1.0, 24_000))
    result = renderer.render([line("1", 1, 2, "A"), line("2", 5, 6, "B")], recorded())
    for speaker, start in (("A", 1), ("B", 5)):
        audible = np.flatnonzero(result.stems[speaker]) / result.rate
        assert audible.min() >= start and audible.max() <= start + 1


def test_a_segment_without_a_file_is_silent_and_has_no_placement(renderer: Renderer) -> None:
    result = renderer.render([line("1", 1, 2)], recorded())
    assert result.placements == {}
    assert not result.mix.any() and not result.stems["A"].any()
    assert len(result.mix) == 240_000


def test_the_same_twice_gives_the_same_bytes(renderer: Renderer) -> None:
    renderer.add("1", syllables(4.0, 24_000))
    segments, recording = [line("1", 1, 2), line("2", 4.2, 5)], recorded(rate=44_100)
    first = renderer.render(segments, recording)
    second = renderer.render(segments, recording)
    np.testing.assert_array_equal(first.mix, second.mix)
    assert first.placements == second.placements


def test_only_the_outputs_are_in_the_folder(renderer: Renderer) -> None:
    renderer.add("1", tone(1.0, 24_000))
    renderer.render([line("1", 1, 2)], recorded())
    out = renderer.folder / "out"
    assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {
        "mix.wav",
        "stems",
        "stems/A.wav",
    }


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_full_disk_is_a_clear_error_and_leaves_no_file(renderer: Renderer) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError) as caught:
            renderer.render([line("1", 1, 2)], recorded())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code == "output_unwritable"
    assert [path for path in (renderer.folder / "out").rglob("*") if path.is_file()] == []


def test_progress_counts_seconds_of_the_mix(renderer: Renderer) -> None:
    renderer.render([line("1", 1, 2)], recorded(70.0))
    assert [event.completed for event in renderer.events] == [30.0, 60.0, 70.0]
    assert {(event.stage, event.total) for event in renderer.events} == {("timeline", 70.0)}


# Fitting to slots.


def test_speech_that_fits_is_not_stretched(renderer: Renderer) -> None:
    renderer.add("1", syllables(2.9, 24_000))
    placement = renderer.render([line("1", 1, 2), line("2", 4, 5)], recorded()).placements["1"]
    assert (placement.stretch, placement.overflow_seconds, placement.frames) == (1.0, 0.0, 69_600)


def test_speech_a_little_too_long_is_sped_up_to_fill_its_slot(renderer: Renderer) -> None:
    renderer.add("1", syllables(3.5, 24_000))
    placement = renderer.render([line("1", 1, 2), line("2", 4, 5)], recorded()).placements["1"]
    assert placement.stretch == pytest.approx(3.5 / 2.97, abs=1e-4)
    assert placement.overflow_seconds == 0.0
    assert placement.frames == round(2.97 * 24_000)


@pytest.mark.parametrize("max_stretch", [1.0, 1.3, 1.5])
def test_beyond_the_limit_speech_is_kept_whole_and_its_overflow_reported(
    renderer: Renderer, max_stretch: float
) -> None:
    renderer.add("1", syllables(6.0, 24_000))
    result = renderer.render([line("1", 1, 2), line("2", 3, 4)], recorded(), max_stretch=max_stretch)
    placement = result.placements["1"]
    assert placement.stretch == max_stretch
    assert placement.frames == round(144_000 / max_stretch)
    assert placement.overflow_seconds == pytest.approx(6.0 / max_stretch - 1.97, abs=1e-4)
    assert np.flatnonzero(result.mix).max() > (1 + 6.0 / max_stretch - 0.3) * 24_000


def test_only_the_end_of_the_recording_cuts_speech_and_it_fades(renderer: Renderer) -> None:
    renderer.add("1", tone(5.0, 24_000, level=0.3))
    result = renderer.render([line("1", 8, 9)], recorded(10.0, samples=tone(10.0, level=0.3)))
    placement = result.placements["1"]
    assert placement.frames == 48_000
    assert placement.overflow_seconds == pytest.approx(5.0 / 1.3 - 2.0, abs=1e-4)
    assert "cut" in placement.warnings[0]
    assert np.abs(result.mix[-2000:-1000]).max() > 9000
    assert np.abs(result.mix[-24:]).max() < 1000


@pytest.mark.parametrize("start", [10.0, 12.5])
def test_a_segment_after_the_end_is_reported_and_silent(renderer: Renderer, start: float) -> None:
    renderer.add("1", tone(1.0, 24_000))
    result = renderer.render([line("1", start, start + 1)], recorded(10.0))
    placement = result.placements["1"]
    assert (placement.frames, placement.start_frame) == (0, 240_000)
    assert placement.overflow_seconds > 0 and placement.warnings
    assert not result.mix.any()


def test_a_stretch_out_of_range_is_a_clear_error(renderer: Renderer) -> None:
    for value in (0.9, 2.5, float("nan")):
        with pytest.raises(InputError, match="max-stretch"):
            renderer.render([line("1", 1, 2)], recorded(), max_stretch=value)


def test_an_unreadable_segment_is_a_clear_error_and_leaves_no_file(renderer: Renderer) -> None:
    renderer.files["1"] = renderer.folder / "broken.wav"
    renderer.files["1"].write_bytes(b"RIFF")
    with pytest.raises(RunError) as caught:
        renderer.render([line("1", 1, 2)], recorded())
    assert caught.value.code == "speech_unreadable"
    assert not (renderer.folder / "out").exists()


# Loudness.


@pytest.mark.parametrize("original", [0.05, 0.2, 0.8])
def test_speech_is_as_loud_as_the_original_within_a_decibel(renderer: Renderer, original: float) -> None:
    renderer.add("1", syllables(3.0, 24_000, level=0.25, seed=5))
    recording = recorded(samples=syllables(10.0, level=original))
    result = renderer.render([line("1", 2, 6)], recording)
    level = speech_level_db(result.mix / np.float32(32768), result.rate)
    assert level == pytest.approx(speech_level_db(recording.samples[32_000:96_000], 16_000), abs=1.0)


@pytest.mark.parametrize(("level", "gain"), [(0.9, -15.0), (0.004, 15.0)])
def test_the_gain_stays_within_bounds(renderer: Renderer, level: float, gain: float) -> None:
    renderer.add("1", tone(2.0, 24_000, level=level))
    result = renderer.render([line("1", 2, 6)], recorded(samples=tone(10.0, level=0.06)))
    assert result.placements["1"].gain_db == gain


def test_where_the_original_is_silent_the_usual_level_of_the_speaker_counts(renderer: Renderer) -> None:
    original = np.zeros(160_000, np.float32)
    original[16_000:32_000] = tone(1.0, level=0.2)  # A speaks,
    original[80_000:96_000] = tone(1.0, level=0.02)  # B speaks much more softly.
    segments = [line("1", 1, 2, "A"), line("2", 3, 4, "A"), line("3", 5, 6, "B"), line("4", 7, 8, "B")]
    for segment in segments:
        renderer.add(segment.id, tone(0.8, 24_000, level=0.07))
    placements = renderer.render(segments, recorded(samples=original)).placements
    assert placements["2"].gain_db == pytest.approx(placements["1"].gain_db) == pytest.approx(9.12, abs=0.1)
    assert placements["4"].gain_db == pytest.approx(placements["3"].gain_db) == pytest.approx(-10.88, abs=0.1)


def test_silent_speech_is_reported_and_not_amplified(renderer: Renderer) -> None:
    renderer.add("1", np.zeros(24_000, np.float32))
    placement = renderer.render([line("1", 1, 3)], recorded()).placements["1"]
    assert placement.gain_db == 0.0
    assert placement.warnings


def test_noise_outside_of_the_turns_of_a_speaker_is_not_their_level(renderer: Renderer) -> None:
    original = 0.003 * np.random.default_rng(1).standard_normal(160_000).astype(np.float32)  # -50 dBFS
    original[32_000:64_000] += tone(2.0, level=0.1)
    segments = [line("1", 0.5, 1.5), line("2", 2.0, 4.0), line("3", 3.5, 6.0), line("4", 8.0, 9.0)]
    for segment in segments:
        renderer.add(segment.id, tone(0.4, 24_000, level=0.05))
    found = renderer.render(segments, recorded(samples=original), turns=[Turn(2.0, 4.0, "A")]).placements
    assert len({round(found[segment.id].gain_db, 1) for segment in segments}) == 1, (
        "narration, and a line half over it"
    )


def test_a_speaker_without_a_line_over_speech_has_the_level_of_their_turns(renderer: Renderer) -> None:
    original = np.zeros(160_000, np.float32)
    original[16_000:32_000] = tone(1.0, level=0.2)
    original[80_000:96_000] = tone(1.0, level=0.02)
    turns = [Turn(1.0, 2.0, "A"), Turn(5.0, 6.0, "B")]
    segments = [line("1", 7, 8, "A"), line("2", 8, 9, "B"), line("3", 5, 6, "NARRATOR")]
    for segment in segments:
        renderer.add(segment.id, tone(0.8, 24_000, level=0.07))
    found = renderer.render(segments, recorded(samples=original), turns=turns).placements
    assert found["1"].gain_db - found["2"].gain_db == pytest.approx(20.0, abs=0.2)
    assert found["3"].gain_db == pytest.approx(found["2"].gain_db, abs=0.2), "where anyone speaks"


def test_one_line_is_not_much_softer_than_the_others_of_its_speaker(renderer: Renderer) -> None:
    original = tone(10.0, level=0.2)
    original[:32_000] *= 0.02  # 34 dB
    segments = [line("1", 0, 2), line("2", 3, 5), line("3", 6, 8)]
    for segment in segments:
        renderer.add(segment.id, tone(1.0, 24_000, level=0.07))
    found = renderer.render(segments, recorded(samples=original), turns=[Turn(0, 10, "A")]).placements
    assert found["2"].gain_db - found["1"].gain_db == pytest.approx(MAX_DEVIATION_DB, abs=0.1)


def test_two_lines_of_a_speaker_at_the_same_time_are_reported(renderer: Renderer) -> None:
    segments = [line("1", 1, 3), line("2", 1, 4), line("3", 1, 4, "B")]
    for segment in segments:
        renderer.add(segment.id, tone(1.0, 24_000, level=0.07))
    found = renderer.render(segments, recorded()).placements
    warned = {id for id, placement in found.items() if "same time" in " ".join(placement.warnings)}
    assert warned == {"1", "2"}


def test_loud_voices_at_once_do_not_clip(renderer: Renderer) -> None:
    names = [str(i) for i in range(6)]
    for name in names:
        renderer.add(name, tone(2.0, 24_000, level=0.8))
    segments = [line(name, 1, 4, speaker=f"S{name}") for name in names]
    result = renderer.render(segments, recorded(samples=tone(10.0, level=0.8)))
    total = sum(stem.astype(np.int32) for stem in result.stems.values())
    assert isinstance(total, np.ndarray)
    assert np.abs(total).max() > 4 * 32768
    # Never wrapped: the mix has the sign of the sum everywhere, and full scale where the sum passes it.
    assert (np.sign(result.mix) == np.sign(total)).all()
    assert np.abs(result.mix[np.abs(total) > 32768].astype(np.int32)).min() > 0.95 * 32768
