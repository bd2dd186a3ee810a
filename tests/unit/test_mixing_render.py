"""The mix in the channels of the recording, with its background and cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from factories import settings
from media_samples import Signal, syllables, tone, write_wav
from voiceclone_cli.audio.formats import Layout
from voiceclone_cli.audio.reader import read_recording
from voiceclone_cli.audio.writer import open_wav, to_pcm16
from voiceclone_cli.errors import RunError
from voiceclone_cli.mixing.background import DEPTH_DB
from voiceclone_cli.mixing.render import cached_render, load_cached_render, render_mix
from voiceclone_cli.rundir.cache import StageCache
from voiceclone_cli.rundir.manifest import RunPaths
from voiceclone_cli.types import Recording, Segment, Turn, no_progress
from voiceclone_worker.protocol import SegmentRow

RATE = 24_000
TURNS = (Turn(1, 3, "A"), Turn(5, 7, "B"))
LINES = (Segment("1", "A", 1, 3, "...", "en"), Segment("2", "B", 5, 7, "...", "en"))


@dataclass
class Recorded:
    """A recording on disk and its synthesized segments."""

    folder: Path
    recording: Recording
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def render(
        self,
        segments: Sequence[Segment] = LINES,
        turns: Sequence[Turn] = TURNS,
        info: Mapping[str, str] = {},
        **flags: Any,
    ) -> NDArray[np.int16]:
        """Return the mix, shape (frames, channels)."""
        self.sha256 = render_mix(
            segments,
            self.files,
            self.recording,
            paths=RunPaths(self.out),
            turns=turns,
            settings=settings(**flags),
            info=info,
            progress=no_progress,
        ).sha256
        return self.wav("mix.wav")

    def wav(self, name: str) -> NDArray[np.int16]:
        samples: NDArray[np.int16] = soundfile.read(self.out / name, dtype="int16", always_2d=True)[0]
        return samples


def recorded_talk(folder: Path, samples: Signal, rate: int = RATE) -> Recorded:
    path = write_wav(folder / "in.wav", samples, rate, "FLOAT")
    files = {name: write_wav(folder / f"{name}.wav", syllables(1.5, RATE, seed=5), RATE) for name in "12"}
    return Recorded(folder, read_recording(path), files)


def talk(*amplitudes: Sequence[float], seconds: float = 9, rate: int = RATE) -> Signal:
    """A speaks from 1 s, B from 5 s, for two seconds each, with these amplitudes in the channels."""
    samples = np.zeros((round(seconds * rate), len(amplitudes[0])), np.float32)
    for start, places in zip((1, 5), amplitudes, strict=True):
        speech = syllables(2.0, rate, level=0.2, seed=start)
        samples[start * rate :][: len(speech)] = speech[:, None] * np.array(places, np.float32)
    return samples


# Channels.


def test_speakers_are_panned_as_in_the_original(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1, 0), (0.5, 0.5)))
    mix = recorded.render()
    a, b = recorded.wav("stems/A.wav")[:, 0], recorded.wav("stems/B.wav")[:, 0]
    assert a.any() and b.any()
    np.testing.assert_allclose(mix[:, 0], 2.0 * a + b, atol=8)
    np.testing.assert_allclose(mix[:, 1], b, atol=8)


@pytest.mark.parametrize("count", [2, 3, 6, 8])
def test_the_mean_of_the_channels_is_the_sum_of_the_stems(tmp_path: Path, count: int) -> None:
    places = np.random.default_rng(count).uniform(0.2, 1, (2, count)).tolist()
    recorded = recorded_talk(tmp_path, talk(*places))
    mix = recorded.render()
    assert mix.shape == (9 * RATE, count)
    total = sum(recorded.wav(f"stems/{speaker}.wav")[:, 0].astype(int) for speaker in "AB")
    np.testing.assert_allclose(mix.mean(axis=1), total, atol=1)


def test_the_mix_has_the_inputs_loudspeakers(tmp_path: Path) -> None:
    samples = talk((0, 0, 1, 0, 0, 0), (0.5, 0.5, 1, 0.2, 0, 0), rate=48_000)
    path = tmp_path / "surround.wav"
    with open_wav(path, 48_000, len(samples), 6, Layout(("FL", "FR", "FC", "LFE", "BL", "BR")).mask) as file:
        file.write(to_pcm16(samples))
    recorded = recorded_talk(tmp_path, talk((1,), (1,)))
    recorded.recording = read_recording(path)
    mix = recorded.render()
    with av.open(str(recorded.out / "mix.wav")) as container:
        assert container.streams.audio[0].layout.name == "5.1"
    voices = np.abs(mix[:, [0, 1, 3, 4, 5]][48_000 : 3 * 48_000])
    assert mix[48_000 : 3 * 48_000, 2].any() and not voices.any()
    assert not mix[:, 3].any()


def test_more_than_eight_channels_become_one(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1,) * 9, (1,) * 9))
    assert recorded.render().shape == (9 * RATE, 1)


def test_loud_voices_in_one_channel_do_not_wrap(tmp_path: Path) -> None:
    places = (1, 0, 0, 0, 0, 0)
    recorded = recorded_talk(tmp_path, 4 * talk(places, places))
    mix = recorded.render(turns=(Turn(1, 3, "A"), Turn(5, 7, "B")))
    stem = recorded.wav("stems/A.wav")[:, 0].astype(int)
    assert (np.sign(mix[:, 0]) == np.sign(stem + recorded.wav("stems/B.wav")[:, 0])).all()


# Overlaps.


def test_lines_that_overlap_in_the_original_overlap_in_the_mix(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1,), (1,)))
    for name in "12":
        write_wav(recorded.files[name], tone(2.0, RATE, level=0.2), RATE)
    lines = [Segment("1", "A", 1, 3, "...", "en"), Segment("2", "B", 2, 4, "...", "en")]
    mix = recorded.render(lines)[:, 0].astype(int)
    a, b = (recorded.wav(f"stems/{speaker}.wav")[:, 0].astype(int) for speaker in "AB")
    for stem, start in ((a, 1), (b, 2)):
        audible = np.flatnonzero(stem) / RATE
        assert audible.min() == pytest.approx(start, abs=0.001) and audible.max() == pytest.approx(
            start + 2, abs=0.001
        )
    np.testing.assert_array_equal(mix, a + b)


# Background.


def test_without_a_background_nothing_of_the_original_is_in_the_mix(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1, 0.3), (0.3, 1)) + tone(9, RATE)[:, None])
    mix = recorded.render()
    assert not mix[3 * RATE + 10 : 5 * RATE].any() and not mix[: RATE - 10].any()


def test_duck_lowers_the_original_under_the_voices_and_nowhere_else(tmp_path: Path) -> None:
    music = np.stack([tone(9, RATE, 300, level=0.2), tone(9, RATE, 500, level=0.2)], axis=1)
    recorded = recorded_talk(tmp_path, music)
    recorded.files.clear()
    mix = recorded.render(background="duck") / 32768
    for quiet in (slice(0, round(0.8 * RATE)), slice(round(3.6 * RATE), round(4.8 * RATE))):
        np.testing.assert_allclose(mix[quiet], music[quiet], atol=1e-4)
    voices = slice(RATE, 3 * RATE)
    np.testing.assert_allclose(mix[voices], music[voices] * 10 ** (-DEPTH_DB / 20), atol=1e-4)


def test_duck_makes_room_for_a_line_that_runs_past_its_turn(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, tone(9, RATE, level=0.2)[:, None])
    write_wav(recorded.files["1"], syllables(3.0, RATE), RATE)
    mix = recorded.render(LINES[:1], background="duck", turns=[Turn(1, 1.5, "A")])[:, 0].astype(int)
    under = mix - recorded.wav("stems/A.wav")[:, 0]
    lowered = 0.2 * 32768 * 10 ** (-DEPTH_DB / 20)
    assert np.abs(under[round(3.5 * RATE) : round(3.9 * RATE)]).max() == pytest.approx(lowered, rel=0.02)


def test_a_background_is_resampled_where_the_speech_needs_a_higher_rate(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, tone(9, 16_000, level=0.2)[:, None], 16_000)
    mix = recorded.render(background="duck", turns=[])[:, 0]
    assert len(mix) == 9 * 32_000
    np.testing.assert_allclose(
        mix[8 * 32_000 :][:16_000] / 32768, tone(9, 32_000, level=0.2)[8 * 32_000 :][:16_000], atol=2e-3
    )


def test_a_recording_that_was_deleted_is_a_failure_of_the_run(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1, 0), (0, 1)))
    recorded.recording.path.unlink()
    with pytest.raises(RunError) as caught:
        recorded.render()
    assert caught.value.code == "media_missing"
    assert not (recorded.out / "mix.wav").exists()


# Hashes and the cache.


def test_the_rendering_names_the_hash_of_every_file(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1, 0), (0, 1)))
    recorded.render(info={"ISFT": "voiceclone"})
    written = {path.relative_to(recorded.out).as_posix(): path for path in recorded.out.rglob("*.wav")}
    assert recorded.sha256 == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in written.items()
    }
    assert sorted(recorded.sha256) == ["mix.wav", "stems/A.wav", "stems/B.wav"]


def test_a_cached_mix_is_used_for_the_same_inputs_only(tmp_path: Path) -> None:
    recorded = recorded_talk(tmp_path, talk((1, 0), (0, 1)))
    cache = StageCache(recorded.out, "input")
    rows = {
        name: SegmentRow(0, name, "done", str(path), 1.5, 36_000, 0, 1, sha256=name * 64)
        for name, path in recorded.files.items()
    }
    same: dict[str, Any] = {"turns": TURNS, "settings": settings(), "info": {}, "cache": cache}
    assert load_cached_render(LINES, rows, **same) is None
    made = cached_render(
        LINES,
        rows,
        recorded.recording,
        paths=RunPaths(recorded.out),
        progress=no_progress,
        **same,
    )
    assert load_cached_render(LINES, rows, **same) == made
    for other in (
        {"settings": settings(background="duck")},
        {"turns": TURNS[:1]},
        {"info": {"ISFT": "x"}},
        {"settings": settings(max_stretch="1.2")},
        {"settings": settings(borrow="0.5")},
    ):
        assert load_cached_render(LINES, rows, **{**same, **other}) is None
    (recorded.out / "stems" / "A.wav").write_bytes(b"")
    assert load_cached_render(LINES, rows, **same) is None
