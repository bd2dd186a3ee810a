"""The codec: batching, codes as files, and stretches on layers like the codec's."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from voiceclone_worker.engines.base import SegmentError
from voiceclone_worker.engines.fish.codec import (
    TRIALS,
    Batching,
    Stretches,
    are_current,
    audio_fingerprint,
    codec_identity,
    compute_all,
    downsampling_context,
    read_codes,
    upsampling_context,
    write_codes,
)

Decoded = list[bytes | SegmentError]
ROWS = [torch.tensor([[1, 2]]), torch.tensor([[3]])]


def test_rows_go_together_where_that_is_faster_and_changes_nothing() -> None:
    alone, together = Way(seconds=0.02), Way(seconds=0.001)
    notes = decode_often(alone, together)
    assert (alone.calls, together.calls) == (TRIALS, TRIALS + 2)
    assert len(notes) == 1
    assert notes[0].startswith("the codec decodes lines together, with the same result (")


def test_rows_go_alone_where_that_is_faster() -> None:
    alone, together = Way(seconds=0.001), Way(seconds=0.02)
    notes = decode_often(alone, together)
    assert (alone.calls, together.calls) == (TRIALS + 2, TRIALS)
    assert len(notes) == 1 and "one by one (" in notes[0]


def test_the_first_trial_is_not_timed() -> None:
    together = Way(seconds=0.001, first=0.2)
    assert "together, with" in decode_often(Way(seconds=0.02), together)[0]


def test_one_changed_sample_decides_at_once() -> None:
    alone, together = Way(seconds=0.01), Way(seconds=0.001, adds=b"!")
    notes = decode_often(alone, together)
    assert (alone.calls, together.calls) == (TRIALS + 2, 1)
    assert notes == ["the codec decodes lines one by one: together they came out different"]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory")]
)
def test_a_batch_without_memory_is_decoded_alone(error: RuntimeError) -> None:
    alone, together = Way(), Way(raises=error)
    notes = decode_often(alone, together)
    assert together.calls == 1
    assert "no memory" in notes[0]


def test_memory_that_runs_out_later_is_no_failure_either() -> None:
    alone, together = Way(seconds=0.02), Way(seconds=0.001)
    notes: list[str] = []
    decode = batching(alone, together, notes.append)
    for _ in range(TRIALS):
        decode(ROWS)
    together.raises = torch.OutOfMemoryError("CUDA out of memory.")
    assert decode(ROWS) == expected(ROWS)
    assert len(notes) == 2 and "no memory" in notes[1]


def test_any_other_error_is_raised() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"):
        batching(Way(), Way(raises=RuntimeError("device-side assert")), print)(ROWS)


def test_a_row_by_itself_is_no_trial() -> None:
    together = Way()
    assert batching(Way(), together, print)(ROWS[:1]) == expected(ROWS[:1])
    assert together.calls == 0


class Way:
    """A way of decoding that takes the given time, and counts its calls."""

    def __init__(
        self, seconds: float = 0.0, first: float = 0.0, adds: bytes = b"", raises: RuntimeError | None = None
    ) -> None:
        self.seconds, self.first, self.adds, self.raises = seconds, first, adds, raises
        self.calls = 0

    def __call__(self, rows: Sequence[torch.Tensor]) -> Decoded:
        self.calls += 1
        if self.raises is not None:
            raise self.raises
        time.sleep(self.first if self.first and self.calls == 1 else self.seconds)
        return [line + self.adds for line in expected(rows) if isinstance(line, bytes)]


def batching(
    alone: Callable[[Sequence[torch.Tensor]], Decoded],
    together: Callable[[Sequence[torch.Tensor]], Decoded],
    note: Callable[[str], None],
) -> Batching[bytes | SegmentError]:
    return Batching(alone, together, note, work="decodes lines", equal=operator.eq)


def expected(rows: Sequence[torch.Tensor]) -> Decoded:
    return [bytes(row[0].tolist()) for row in rows]


def decode_often(
    alone: Callable[[Sequence[torch.Tensor]], Decoded], together: Callable[[Sequence[torch.Tensor]], Decoded]
) -> list[str]:
    notes: list[str] = []
    decode = batching(alone, together, notes.append)
    for _ in range(TRIALS + 2):
        assert decode(ROWS) == expected(ROWS)
    return notes


CODES = torch.arange(30).reshape(10, 3)


def test_codes_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "speaker" / "codes.npy"
    write_codes(path, CODES, "this")
    assert torch.equal(read_codes(str(path), 10), CODES)
    assert np.load(path).dtype == np.int64
    assert sorted(file.name for file in path.parent.iterdir()) == ["codes.json", "codes.npy"]


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((10, 3)), "no whole numbers"),
        (np.zeros((9, 3), np.int64), "9 x 3 codes, not 10 x frames"),
        (np.zeros((10, 0), np.int64), "10 x 0 codes"),
        (np.zeros(10, np.int64), "10 codes, not 10 x frames"),
        (np.full((10, 3), -1), "outside 0 to 1023"),
        (np.full((10, 3), 1024), "outside 0 to 1023"),
        (np.array([{}]), "cannot be read"),
    ],
)
def test_an_array_that_is_no_codes_is_refused(tmp_path: Path, array: np.ndarray, complaint: str) -> None:
    path = tmp_path / "codes.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(SegmentError, match=complaint) as refused:
        read_codes(str(path), 10, 1024)
    assert refused.value.code == "codes_unusable"


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array"])
def test_a_file_that_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codes.npy"
    path.write_bytes(content)
    with pytest.raises(SegmentError, match="cannot be read"):
        read_codes(str(path), 10)


def test_codes_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SegmentError, match=r"nowhere\.npy are not there"):
        read_codes(str(tmp_path / "nowhere.npy"), 10)


def test_codes_are_current_for_what_they_were_made_from_only(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    assert not are_current(path, "this")
    write_codes(path, CODES, "this")
    assert are_current(path, "this")
    assert not are_current(path, "that")


def test_damaged_codes_are_not_current(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    write_codes(path, CODES, "this")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not are_current(path, "this")


def test_codes_whose_note_is_damaged_are_not_current(tmp_path: Path) -> None:
    path = tmp_path / "codes.npy"
    write_codes(path, CODES, "this")
    path.with_suffix(".json").write_text('{"made_from": "th')
    assert not are_current(path, "this")


def test_the_fingerprint_follows_the_audio_and_the_codec(tmp_path: Path) -> None:
    audio = tmp_path / "a.wav"
    audio.write_bytes(b"one")
    first = audio_fingerprint(audio, "codec")
    assert audio_fingerprint(audio, "codec") == first
    assert audio_fingerprint(audio, "another") != first
    audio.write_bytes(b"two")
    assert audio_fingerprint(audio, "codec") != first


def test_a_copied_checkpoint_is_the_same_codec(tmp_path: Path) -> None:
    first, copy = (_checkpoint(tmp_path / name, torch.zeros(9)) for name in ("first", "copy"))
    assert codec_identity(first) == codec_identity(copy)


def test_one_changed_weight_in_the_middle_is_another_codec(tmp_path: Path) -> None:
    # 8 MB: the change lies outside what is read, and shows in the archive's list of checksums.
    weights = torch.zeros(2_000_000)
    before = codec_identity(_checkpoint(tmp_path / "before", weights))
    weights[1_000_000] = 1
    assert codec_identity(_checkpoint(tmp_path / "after", weights)) != before


def test_another_configuration_is_another_codec(tmp_path: Path) -> None:
    folder = _checkpoint(tmp_path / "checkpoint", torch.zeros(9))
    before = codec_identity(folder)
    (folder / "codec.yaml").write_text("sample_rate: 22050\n")
    assert codec_identity(folder) != before


def _checkpoint(folder: Path, weights: torch.Tensor) -> Path:
    folder.mkdir()
    torch.save({"weights": weights}, folder / "codec.pth")
    return folder


CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def exact_numbers() -> Iterator[None]:
    """In float64 rounding is no excuse: a stretch that looks back too little differs by far more."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("rates", [(2,), (4, 2), (8, 4, 2)])
@torch.inference_mode()
def test_an_upsampling_in_stretches_is_the_same(rates: tuple[int, ...]) -> None:
    layers = nn.Sequential(*(nn.Sequential(Up(rate), *residual()) for rate in rates), Causal(7))
    up = int(torch.tensor(rates).prod())
    signal = torch.randn(2, 3, 700)
    needed = upsampling_context(rates)
    assert_same(layers, signal, Stretches(layers, length=128, context=needed, up=up))


@pytest.mark.parametrize("rates", [(2,), (2, 4), (2, 4, 8)])
@torch.inference_mode()
def test_a_downsampling_in_stretches_is_the_same(rates: tuple[int, ...]) -> None:
    layers = nn.Sequential(
        Causal(7), *(nn.Sequential(*residual(), Causal(2 * rate, step=rate)) for rate in rates)
    )
    down = int(torch.tensor(rates).prod())
    signal = torch.randn(2, 3, 64 * 80)
    needed = downsampling_context(rates)
    assert needed % down == 0
    assert_same(layers, signal, Stretches(layers, length=1024, context=needed, down=down))


@torch.inference_mode()
def test_less_context_would_be_noticed() -> None:
    layers = nn.Sequential(Up(2), *residual(), Causal(7))
    signal = torch.randn(1, 3, 700)
    short = Stretches(layers, length=128, context=upsampling_context([2]) - 2, up=2)
    assert not torch.allclose(short.all(signal), layers(signal))


def test_work_is_spread_in_order_and_the_number_of_threads_stays() -> None:
    before = torch.get_num_threads()
    seen = compute_all(
        lambda item: (item, torch.get_num_threads(), torch.is_inference_mode_enabled()), range(9), CPU
    )
    assert seen == [(item, 1, True) for item in range(9)]
    assert torch.get_num_threads() == before


def test_an_error_in_a_piece_is_raised_and_the_number_of_threads_stays() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        compute_all(lambda item: 1 // item, [1, 0, 2], CPU)
    assert torch.get_num_threads() == before


def assert_same(layers: nn.Module, signal: torch.Tensor, stretches: Stretches) -> None:
    assert len(stretches.starts(signal)) > 3
    torch.testing.assert_close(stretches.all(signal), layers(signal), rtol=0, atol=1e-12)


class Causal(nn.Module):
    """A convolution that looks back, as upstream pads it."""

    def __init__(self, kernel: int, dilation: int = 1, step: int = 1) -> None:
        super().__init__()
        self.before = (kernel - 1) * dilation + 1 - step
        self.inner = nn.Conv1d(3, 3, kernel, dilation=dilation, stride=step)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.inner(nn.functional.pad(signal, (self.before, 0)))
        return output


class Up(nn.Module):
    """A transposed convolution, its tail cut as upstream cuts it."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.inner = nn.ConvTranspose1d(3, 3, 2 * rate, stride=rate)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.inner(signal)[..., : -self.rate]
        return output


def residual() -> list[nn.Module]:
    return [Causal(7, dilation) for dilation in (1, 3, 9)]
