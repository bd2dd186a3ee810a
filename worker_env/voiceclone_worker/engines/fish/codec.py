"""The codec: references to codes, codes to speech, with upstream's DAC.

Float32 on every device. What a row becomes depends on its own codes only: not on the rows beside it,
nor on the number of threads.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile
import torch
from julius.resample import resample_frac

from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.fish.checkpoint import is_out_of_memory, load_codec
from voiceclone_worker.protocol import ReferenceSpec

# Whether a device decodes rows together: tried on the first batches, not assumed.
#
# Together saves starting kernels and pays for padding; and kernels are chosen by the shape of a batch, so
# sums may come out in another order and samples one step higher or lower. Rows go together only where
# that was faster and left every byte as it was.


TRIALS = 3
"""Batches that are decoded both ways. The first only warms up: kernels are loaded and chosen in it."""

Decode = Callable[[Sequence[torch.Tensor]], list[bytes | SegmentError]]


class Batching:
    """``alone`` and ``together`` decode the same rows; a call takes the better way for the device.

    ``note`` hears in a sentence what was decided. Where ``together`` runs out of memory, ``alone``
    takes over for good.
    """

    def __init__(self, alone: Decode, together: Decode, note: Callable[[str], None]) -> None:
        self._alone = alone
        self._together = together
        self._note = note
        self._chosen: Decode | None = None
        self._trials: list[tuple[float, float]] = []

    def __call__(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        if len(rows) < 2 or self._chosen is self._alone:
            return self._alone(rows)
        try:
            return self._trial(rows) if self._chosen is None else self._chosen(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Here, not above: while the error is at hand it holds on to the batch's tensors.
        self._settle(self._alone, "one by one: there was no memory to decode them together")
        return self._alone(rows)

    def _trial(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        started = time.perf_counter()
        made = self._alone(rows)
        between = time.perf_counter()
        if self._together(rows) != made:
            self._settle(self._alone, "one by one: decoding them together changed samples")
            return made
        self._trials.append((between - started, time.perf_counter() - between))
        if len(self._trials) == TRIALS:
            self._decide()
        return made

    def _decide(self) -> None:
        alone, together = (sum(times) for times in zip(*self._trials[1:], strict=True))
        measured = f"{together:.2f} s together, {alone:.2f} s one by one"
        if together < alone:
            self._settle(self._together, f"together, with the same samples ({measured})")
        else:
            self._settle(self._alone, f"one by one ({measured})")

    def _settle(self, chosen: Decode, how: str) -> None:
        self._chosen = chosen
        self._note(f"the codec decodes lines {how}")


# References as codes: the file, and when one can be used again.


_STEPS = "voiceclone.fish-codes/1"
"""Part of what codes are made from: to be raised when a reference is prepared in another way."""

_SAMPLE = 1 << 20

_MOST_BYTES = 1 << 24
"""Of a file of codes: those of half an hour, where a reference has seconds."""


def read_codes(path: str, codebooks: int, size: int = 4096) -> torch.Tensor:
    """The codes in a file: int64 [codebooks, frames], every code from 0 to ``size`` - 1.

    Raises SegmentError ``codes_unusable``.
    """
    again = "encode the reference again (delete the file and run once more)"
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise ValueError("it is far too large for a reference's")
        codes = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise SegmentError("codes_unusable", f"the codes {path} are not there: {again}") from error
    except Exception as error:  # a damaged file fails in many ways, one that promises 2**50 codes in others
        raise SegmentError("codes_unusable", f"the codes {path} cannot be read ({error}): {again}") from error
    if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu":
        raise SegmentError("codes_unusable", f"{path} holds no whole numbers: {again}")
    if codes.ndim != 2 or codes.shape[0] != codebooks or codes.shape[1] == 0:
        shape = " x ".join(map(str, codes.shape))
        raise SegmentError("codes_unusable", f"{path} holds {shape} codes, not {codebooks} x frames: {again}")
    if codes.min() < 0 or codes.max() >= size:
        raise SegmentError("codes_unusable", f"{path} holds codes outside 0 to {size - 1}: {again}")
    return torch.from_numpy(codes.astype(np.int64))


def write_codes(path: Path, codes: torch.Tensor, inputs: str) -> None:
    """Write codes [codebooks, frames], and beside them (``codes.json``) what they were made from.

    Raises OSError.
    """
    content = io.BytesIO()
    np.save(content, codes.cpu().numpy().astype(np.int64), allow_pickle=False)
    note = {"made_from": inputs, "sha256": hashlib.sha256(content.getbuffer()).hexdigest()}
    write_bytes_atomic(path, bytes(content.getbuffer()))
    write_bytes_atomic(_note_of(path), (json.dumps(note) + "\n").encode())


def are_current(path: Path, inputs: str) -> bool:
    """Whether the codes in ``path`` are whole and were made from just this."""
    try:
        note: Any = json.loads(_note_of(path).read_text(encoding="utf-8"))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False
    return bool(note == {"made_from": inputs, "sha256": sha256})


def audio_fingerprint(audio: Path, codec: str) -> str:
    """What codes are made from: the reference's bytes and the codec. Raises OSError."""
    digest = hashlib.sha256(f"{_STEPS}\n{codec}\n".encode())
    with audio.open("rb") as file:
        while block := file.read(_SAMPLE):
            digest.update(block)
    return digest.hexdigest()


def codec_identity(checkpoint: Path) -> str:
    """Names the codec's weights and shape without reading 1.9 GB. Raises OSError.

    The first and last MiB and the size of ``codec.pth`` tell it: a file of ``torch.save`` is a zip
    archive, and the list at its end has the CRC-32 of every weight. Neither path nor time of change
    counts, so a copy of the checkpoint is the same codec.
    """
    digest = hashlib.sha256()
    configuration = checkpoint / "codec.yaml"
    digest.update(configuration.read_bytes() if configuration.is_file() else b"as published")
    weights = checkpoint / "codec.pth"
    size = weights.stat().st_size
    digest.update(f"\n{size}\n".encode())
    with weights.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _note_of(path: Path) -> Path:
    return path.with_suffix(".json")


# A reference's audio file as the codec wants it: mono, at the codec's rate, not too long.


LONGEST = 30.0
"""Seconds: what fits into the prompt beside the text to be spoken."""

SHORTEST = 0.5
"""Seconds: less is no voice."""

_SILENT = 1e-3
_KERNEL_VALUES = 50_000_000


@dataclass(frozen=True)
class ReferenceAudio:
    """``samples``: float32 [samples]. ``cut``: whether the file was longer than ``LONGEST``."""

    samples: torch.Tensor
    cut: bool


def read_reference(path: str, rate: int) -> ReferenceAudio:
    """The first ``LONGEST`` seconds of a file at ``rate`` Hz, all channels mixed.

    Raises SegmentError ``reference_unusable``: unreadable, shorter than ``SHORTEST``, silent, with
    values that are no numbers, or at a sampling rate that cannot be converted.
    """
    try:
        # Opened here: libsndfile's wrapper takes no name that is not Unicode.
        with open(path, "rb") as opened, soundfile.SoundFile(opened) as file:
            own_rate = int(file.samplerate)
            limit = int(LONGEST * own_rate)
            heard = file.read(limit, dtype="float32", always_2d=True)
            cut = file.frames > limit
    except (OSError, RuntimeError, ValueError) as error:
        raise _unusable(path, f"cannot be read ({error}); give a wav or flac file") from error
    samples = torch.from_numpy(heard).mean(dim=1)
    if len(samples) < SHORTEST * own_rate:
        raise _unusable(
            path, f"is {len(samples) / own_rate:.2f} s long; give at least {SHORTEST} s of speech"
        )
    if not torch.isfinite(samples).all():
        raise _unusable(path, "holds values that are no numbers; write it anew, as 16-bit PCM for instance")
    if samples.abs().max() < _SILENT:
        raise _unusable(path, "is silent; give a file with speech")
    if _kernel_values(own_rate, rate) > _KERNEL_VALUES:
        raise _unusable(path, f"has a sampling rate of {own_rate} Hz; convert it to {rate} Hz")
    return ReferenceAudio(resample_frac(samples, own_rate, rate), cut)


def _kernel_values(own_rate: int, rate: int) -> int:
    # One filter for each of the positions that the two rates can have to each other.
    common = math.gcd(own_rate, rate)
    return (own_rate // common) * (rate // common)


def _unusable(path: str, what: str) -> SegmentError:
    return SegmentError("reference_unusable", f"the reference {path} {what}")


# The same sums on any number of threads.
#
# Torch shares one operation among its threads, and the order of its sums, so the last bit of a sample,
# depends on how many there are: about one in five thousand samples of decoded speech comes out one step
# higher or lower. Workers that share a machine have fewer threads than one that has it alone, and a
# segment must not sound different for it. So each piece of work is computed on one thread, and the
# threads are used by computing several pieces at once, which costs less waiting as well.


Piece = TypeVar("Piece")
Made = TypeVar("Made")


def spread(make: Callable[[Piece], Made], pieces: Sequence[Piece], device: torch.device) -> list[Made]:
    """``make`` of every piece, in order, in inference mode.

    On the CPU: each on one thread, as many at a time as torch has threads. Other devices take them one
    after the other. Raises what ``make`` raises.
    """

    def make_one(piece: Piece) -> Made:
        # Inference mode belongs to a thread.
        with torch.inference_mode():
            return make(piece)

    if device.type != "cpu" or not pieces:
        return [make_one(piece) for piece in pieces]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Made anew each time: a thread keeps the number that was set when it first computed.
        with ThreadPoolExecutor(min(threads, len(pieces)), thread_name_prefix="codec") as pool:
            return list(pool.map(make_one, pieces))
    finally:
        torch.set_num_threads(threads)


# Causal convolutions over a long signal, a stretch at a time.
#
# At the codec's highest rates four seconds of speech are tensors of 70 MB each. Memory of that size is
# given back to the system after every layer and fetched anew, which costs up to a third of the decoding;
# that of a stretch is kept, and no longer grows with the length. A causal layer looks back only, and only
# so far; each stretch is computed together with what its layers look back on, which is then cut off.


_RESIDUAL_UNITS = sum(6 * dilation for dilation in (1, 3, 9))
"""Samples that the three residual units of a codec block look back (kernel 7, dilations 1, 3, 9)."""

_OUTER_CONVOLUTION = 6
"""Samples that the codec's first and last convolution look back (kernel 7)."""


@dataclass(frozen=True)
class Stretches:
    """``layers``: causal, (batch, channels, samples) to the same at ``up / down`` of the rate.

    ``length`` of a stretch and the ``context`` that the layers look back count input samples; both are
    multiples of ``down``.
    """

    layers: Callable[[torch.Tensor], torch.Tensor]
    length: int
    context: int
    up: int = 1
    down: int = 1

    def starts(self, signal: torch.Tensor) -> range:
        """Where the stretches of ``signal`` begin."""
        return range(0, signal.shape[-1], self.length)

    def one(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        """The output that belongs to the stretch from ``start`` on."""
        before = max(0, start - self.context)
        made = self.layers(signal[..., before : start + self.length])
        return made[..., (start - before) * self.up // self.down :]

    def all(self, signal: torch.Tensor) -> torch.Tensor:
        """The output of the whole ``signal``."""
        return torch.cat([self.one(signal, start) for start in self.starts(signal)], dim=-1)


def upsampling_context(rates: Sequence[int]) -> int:
    """How far a decoder's blocks of these rates, and what follows them, look back: input samples."""
    context = _OUTER_CONVOLUTION
    for rate in reversed(rates):
        # A transposed convolution of kernel 2 * rate spreads each sample over its own step and the next.
        context = math.ceil((context + _RESIDUAL_UNITS) / rate) + 1
    return context


def downsampling_context(rates: Sequence[int]) -> int:
    """How far an encoder's first convolution and blocks of these rates look back: input samples."""
    context = 0
    for rate in reversed(rates):
        # A strided convolution of kernel 2 * rate reads its own step and the one before.
        context = (context + 1) * rate + _RESIDUAL_UNITS
    step = math.prod(rates)
    return math.ceil((context + _OUTER_CONVOLUTION) / step) * step


# Codes to samples, with upstream's DAC.


_FAST_DECODER_BLOCKS = 3
"""The decoder's last blocks, those at the highest rates, are computed in stretches. What comes before them
looks back so far that stretches would cost more than they save."""


class SpeechDecoder:
    """Rows of codes, int64 [codebooks, frames], to 16-bit little-endian mono PCM.

    ``stretch_frames``: how many frames of speech the last blocks make at a time.
    """

    def __init__(self, dac: Any, device: torch.device, stretch_frames: int) -> None:
        self._dac = dac
        self._device = device
        rates = list(dac.decoder_rates)
        slow = 1 + len(rates) - _FAST_DECODER_BLOCKS
        up = math.prod(rates[-_FAST_DECODER_BLOCKS:])
        self._slow_layers = dac.decoder.model[:slow]
        self._fast = Stretches(
            layers=dac.decoder.model[slow:],
            length=stretch_frames * int(dac.frame_length) // up,
            context=upsampling_context(rates[-_FAST_DECODER_BLOCKS:]),
            up=up,
        )

    def alone(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """Each row for itself: its bytes depend on its own codes only."""
        made: list[bytes | SegmentError] = []
        together = torch.get_num_threads() if self._device.type == "cpu" else 1
        for first in range(0, len(rows), together):
            made += self._at_a_time(rows[first : first + together])
        return made

    def together(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """All rows as one batch, padded on the right: nothing causal looks there."""
        padded = torch.nn.utils.rnn.pad_sequence([row.T for row in rows], batch_first=True)
        slow = spread(self._slow, [padded.mT], self._device)[0]
        starts = self._fast.starts(slow)
        parts = spread(lambda start: self._fast.one(slow, start), starts, self._device)
        speech = torch.cat(parts, dim=-1)[:, 0]
        frame_length = int(self._dac.frame_length)
        return [_pcm(line[: row.shape[-1] * frame_length]) for line, row in zip(speech, rows, strict=True)]

    def _at_a_time(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        slow = spread(lambda row: self._slow(row[None]), rows, self._device)
        pieces = [(row, start) for row, signal in enumerate(slow) for start in self._fast.starts(signal)]
        parts = spread(lambda piece: self._fast.one(slow[piece[0]], piece[1]), pieces, self._device)
        lines: list[list[torch.Tensor]] = [[] for _ in rows]
        for (row, _), part in zip(pieces, parts, strict=True):
            lines[row].append(part[0, 0])
        return [_pcm(torch.cat(line)) for line in lines]

    def _slow(self, codes: torch.Tensor) -> torch.Tensor:
        signal: torch.Tensor = self._slow_layers(self._dac.quantizer.decode(codes.to(self._device)))
        return signal


def _pcm(samples: torch.Tensor) -> bytes | SegmentError:
    """Full scale is 32767; what goes beyond is cut there, the rest rounded to the nearest step."""
    if not torch.isfinite(samples).all():
        return SegmentError(
            "speech_unusable",
            "the codec made values that are no numbers of this line; if other lines end like this too, "
            "the checkpoint's codec.pth is damaged: fetch it again",
        )
    steps = (samples.clamp(-1.0, 1.0) * 32767.0).round().to(torch.int16)
    pcm: bytes = steps.cpu().numpy().astype("<i2").tobytes()
    return pcm


# Samples to codes, with upstream's DAC.


_FAST_ENCODER_BLOCKS = 2
"""The encoder's first blocks, those at the highest rates, are computed in stretches."""


class CodesEncoder:
    """A reference's samples to its codes. ``stretch_frames``: as of :class:`SpeechDecoder`."""

    def __init__(self, dac: Any, device: torch.device, stretch_frames: int) -> None:
        self._dac = dac
        self._device = device
        fast = 1 + _FAST_ENCODER_BLOCKS
        rates = list(dac.encoder_rates)[:_FAST_ENCODER_BLOCKS]
        self._fast = Stretches(
            layers=dac.encoder.block[:fast],
            length=stretch_frames * int(dac.frame_length),
            context=downsampling_context(rates),
            down=math.prod(rates),
        )
        self._slow_layers = dac.encoder.block[fast:]

    def __call__(self, samples: torch.Tensor) -> torch.Tensor:
        """``samples`` [samples] at the codec's rate: int64 codes [codebooks, frames]; the last frame is
        filled up with silence."""
        missing = -len(samples) % int(self._dac.frame_length)
        signal = torch.nn.functional.pad(samples, (0, missing)).to(self._device)[None, None]
        codes: torch.Tensor = self._dac.quantizer(self._slow_layers(self._fast.all(signal))).codes
        return codes[0].long().cpu()


Encoded = tuple[ReferenceSpec, SegmentError | None]


class Codec:
    """Loaded once. ``note`` hears, a sentence at a time, what the user should know.

    ``rate``: Hz. ``frame_length``: samples of a frame. ``codebooks``: codes of a frame. ``identity``
    names the weights. Raises EngineError ``checkpoint_incomplete``, ``checkpoint_unusable``.
    """

    def __init__(self, checkpoint: Path, device: torch.device, note: Callable[[str], None]) -> None:
        dac = load_codec(checkpoint, device)
        if type(dac.encoder.block[0]).__name__ != "CausalConvNet":
            raise EngineError(
                "checkpoint_unusable", f"the codec of {checkpoint} is not causal; use openaudio-s1-mini's"
            )
        _join_weight_norms(dac)
        self.identity = codec_identity(checkpoint)
        self.rate = int(dac.sample_rate)
        self.frame_length = int(dac.frame_length)
        self.codebooks = 1 + int(dac.quantizer.quantizer.n_codebooks)
        self._most_frames = int(dac.quantizer.post_module.config.block_size)
        self._device = device
        self._note = note
        # On the CPU measured; elsewhere stretches only bound the memory, and few long ones start fewer kernels.
        stretch_frames = 8 if device.type == "cpu" else 128
        self._encoder = CodesEncoder(dac, device, stretch_frames)
        decoder = SpeechDecoder(dac, device, stretch_frames)
        # On the CPU a batch takes twice the time and changes samples: there is nothing to try.
        self._decode = (
            decoder.alone if device.type == "cpu" else Batching(decoder.alone, decoder.together, note)
        )

    def encode(self, references: Sequence[ReferenceSpec]) -> Iterator[Encoded]:
        """Write the codes of each reference to its ``codes``, and yield it when it is done.

        Codes that were made from the same audio by the same codec stay as they are; the text is no part
        of them. One reference's failure is its own: SegmentError ``reference_unusable``,
        ``codes_missing`` (no place to write to), ``codes_unwritable``.
        """
        new: list[tuple[ReferenceSpec, str]] = []
        for reference in references:
            try:
                inputs = self._inputs(reference)
            except SegmentError as error:
                yield reference, error
                continue
            if are_current(Path(reference.codes), inputs):
                yield reference, None
            else:
                new.append((reference, inputs))
        at_a_time = torch.get_num_threads() if self._device.type == "cpu" else 1
        for first in range(0, len(new), at_a_time):
            yield from spread(self._encode_one, new[first : first + at_a_time], self._device)

    def decode(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """Speech of each row of codes, int64 [codebooks, frames] with at least one frame: mono 16-bit
        little-endian PCM, ``frame_length`` samples a frame. A row that cannot be spoken is a SegmentError
        ``speech_unusable`` in its place.
        """
        fitting = [index for index, row in enumerate(rows) if 0 < row.shape[-1] <= self._most_frames]
        spoken = dict(zip(fitting, self._decode([rows[index] for index in fitting]), strict=True))
        return [spoken.get(index) or self._no_length(row) for index, row in enumerate(rows)]

    def _no_length(self, row: torch.Tensor) -> SegmentError:
        return SegmentError(
            "speech_unusable",
            f"{row.shape[-1]} frames cannot be made speech: the codec takes 1 to {self._most_frames}",
        )

    def _inputs(self, reference: ReferenceSpec) -> str:
        if not reference.codes:
            raise SegmentError(
                "codes_missing", f'the reference of {reference.speaker} names no "codes" to write'
            )
        try:
            return audio_fingerprint(Path(reference.audio), self.identity)
        except OSError as error:
            raise SegmentError(
                "reference_unusable",
                f"the reference {reference.audio} cannot be read ({error.strerror or error})",
            ) from error

    def _encode_one(self, new: tuple[ReferenceSpec, str]) -> Encoded:
        reference, inputs = new
        try:
            audio = read_reference(reference.audio, self.rate)
            write_codes(Path(reference.codes), self._encoder(audio.samples), inputs)
        except SegmentError as error:
            return reference, error
        except OSError as error:
            return reference, SegmentError(
                "codes_unwritable", f"{reference.codes} cannot be written ({error.strerror or error})"
            )
        if audio.cut:
            self._note(
                f"the reference of {reference.speaker} is longer than {LONGEST:.0f} s: only its first "
                f"{LONGEST:.0f} s are used, so its text should end there too"
            )
        return reference, None


def _join_weight_norms(dac: Any) -> None:
    """Keep every weight as it is used: upstream's layers make it of a length and a direction anew for
    every call, which takes a tenth of a second (and with stretches, for every stretch)."""
    for module in list(dac.modules()):
        if torch.nn.utils.parametrize.is_parametrized(module, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
        elif hasattr(module, "weight_g"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                torch.nn.utils.remove_weight_norm(module)
