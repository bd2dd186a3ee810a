"""The codec in the fish environment, beside upstream's own, on a generated checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from fish_interpreter import in_fish

pytestmark = pytest.mark.engine

RATE = 44100


@pytest.fixture(scope="module")
def decoded(fish_python: Path, tiny_checkpoint: Path) -> dict[str, Any]:
    return in_fish(fish_python, "codec_decoding.py", tiny_checkpoint, 1)


def test_every_row_is_as_long_as_its_frames(decoded: dict[str, Any]) -> None:
    assert decoded["rate"] == RATE
    assert decoded["lengths"] == decoded["expected_lengths"]


def test_speech_is_upstreams_to_the_last_step(decoded: dict[str, Any]) -> None:
    assert decoded["loudest"] > 300
    assert decoded["steps_from_upstream"] <= 1


def test_padding_on_the_right_is_exact_to_the_last_step(decoded: dict[str, Any]) -> None:
    assert decoded["steps_from_batch"] <= 1


def test_a_rows_bytes_do_not_depend_on_its_neighbours(decoded: dict[str, Any]) -> None:
    assert decoded["same_in_any_order"]
    assert decoded["good_row_beside_bad_ones"]


def test_bytes_do_not_depend_on_the_number_of_threads(
    decoded: dict[str, Any], fish_python: Path, tiny_checkpoint: Path
) -> None:
    on_two = in_fish(fish_python, "codec_decoding.py", tiny_checkpoint, 2)
    assert (decoded["threads"], on_two["threads"]) == (1, 2)
    assert on_two["sha256"] == decoded["sha256"]


def test_rows_of_no_length_or_too_much_fail_alone(decoded: dict[str, Any]) -> None:
    assert decoded["bad_rows"] == ["speech_unusable", "speech_unusable"]


def test_codes_are_upstreams(encoder: Encoder, fish_python: Path, tiny_checkpoint: Path) -> None:
    audio = encoder.speech("ana", seconds=3.3, rate=RATE)
    assert encoder.encode("ana")["outcomes"] == {"ana": None}
    theirs = in_fish(fish_python, "upstream_codes.py", tiny_checkpoint, audio)
    ours = encoder.codes("ana")
    assert ours.dtype == np.int64 and ours.shape == (10, 72)
    assert ours.tolist() == theirs["codes"]


def test_references_of_any_rate_and_channels_are_encoded(encoder: Encoder) -> None:
    for name, rate, channels in (("low", 16000, 1), ("wide", 48000, 2), ("odd", 11025, 1)):
        encoder.speech(name, seconds=2.0, rate=rate, channels=channels)
    assert set(encoder.encode("low", "wide", "odd")["outcomes"].values()) == {None}
    assert {name: encoder.codes(name).shape for name in ("low", "wide", "odd")} == dict.fromkeys(
        ("low", "wide", "odd"), (10, 44)
    )


def test_a_long_reference_is_cut_and_the_user_told(encoder: Encoder) -> None:
    encoder.speech("ana", seconds=31.0, rate=16000)
    (note,) = encoder.encode("ana")["notes"]
    assert "the reference of ana is longer than 30 s" in note
    assert encoder.codes("ana").shape == (10, 646)


def test_unusable_references_fail_alone_with_a_sentence(encoder: Encoder) -> None:
    encoder.speech("good", seconds=1.0, rate=RATE)
    encoder.write("short", np.full(RATE // 4, 0.5), RATE)
    encoder.write("empty", np.zeros(0), RATE)
    encoder.write("silent", np.zeros(RATE), RATE)
    encoder.write("broken", np.full(RATE, np.nan), RATE)
    encoder.write("odd", np.sin(np.arange(50000)), 44099)
    encoder.audio("text").write_text("no sound")
    names = ("short", "empty", "silent", "broken", "odd", "text", "absent", "good")
    outcomes = encoder.encode(*names)["outcomes"]
    assert outcomes.pop("good") is None
    assert {failure["code"] for failure in outcomes.values()} == {"reference_unusable"}
    said = {name: failure["message"] for name, failure in outcomes.items()}
    assert "0.25 s long" in said["short"] and "0.00 s long" in said["empty"]
    assert "is silent" in said["silent"] and "no numbers" in said["broken"]
    assert "44099 Hz" in said["odd"] and "cannot be read" in said["text"]
    assert "absent.wav cannot be read (No such file or directory)" in said["absent"]


def test_a_reference_without_a_place_for_its_codes_is_told_so(encoder: Encoder) -> None:
    encoder.speech("ana", seconds=1.0, rate=RATE)
    outcome = encoder.encode("ana", codes="")["outcomes"]["ana"]
    assert outcome["code"] == "codes_missing"


def test_codes_are_made_again_only_when_reference_or_file_changed(encoder: Encoder) -> None:
    encoder.speech("ana", seconds=1.0, rate=RATE)
    encoder.encode("ana")
    path = encoder.folder / "ana.npy"
    first, made = path.read_bytes(), path.stat().st_ino

    encoder.encode("ana")
    assert path.stat().st_ino == made, "unchanged codes were written again"

    path.write_bytes(first[:-8])
    encoder.encode("ana")
    assert path.read_bytes() == first, "damaged codes were kept"

    encoder.speech("ana", seconds=1.5, rate=RATE)
    encoder.encode("ana")
    assert path.read_bytes() != first, "codes of another reference were kept"


@dataclass(frozen=True)
class Encoder:
    """Reference files in a folder, and the codec of the fish environment to encode them."""

    python: Path
    checkpoint: Path
    folder: Path

    def audio(self, name: str) -> Path:
        return self.folder / f"{name}.wav"

    def write(self, name: str, samples: np.ndarray, rate: int) -> Path:
        soundfile.write(self.audio(name), samples, rate, subtype="FLOAT")
        return self.audio(name)

    def speech(self, name: str, seconds: float, rate: int, channels: int = 1) -> Path:
        """A buzz whose pitch and strength move like a voice's."""
        time = np.arange(round(seconds * rate)) / rate
        phase = 2 * np.pi * (120 * time + 5 * np.sin(3 * time))
        buzz = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
        voice = 0.2 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
        return self.write(name, np.repeat(voice[:, None], channels, axis=1), rate)

    def encode(self, *names: str, codes: str | None = None) -> dict[str, Any]:
        rows = [
            {
                "speaker": name,
                "audio": str(self.audio(name)),
                "text": "",
                "codes": str(self.folder / f"{name}.npy") if codes is None else codes,
            }
            for name in names
        ]
        references = self.folder / "references.json"
        references.write_text(json.dumps(rows), encoding="utf-8")
        return in_fish(self.python, "codec_encoding.py", self.checkpoint, references)

    def codes(self, name: str) -> np.ndarray:
        loaded: np.ndarray = np.load(self.folder / f"{name}.npy")
        return loaded


@pytest.fixture
def encoder(fish_python: Path, tiny_checkpoint: Path, tmp_path: Path) -> Encoder:
    return Encoder(fish_python, tiny_checkpoint, tmp_path)
