"""The codec: references to codes, codes to speech, with upstream's DAC.

Float32 on every device. The speech of a row depends on its own codes only: not on the other rows, nor on the number
of threads. Torch divides one operation among its threads, and the order of its sums, so the last bit of a sample,
depends on how many there are; so each item is computed on one thread, and several items at once (``compute_all``).

Long signals go through the causal layers at the highest rates in stretches (``Stretches``): four seconds of speech are
tensors of 70 MB there. Memory of that size is returned to the system after every layer and fetched again, which costs
up to a third of the decoding; the memory of a stretch is kept, and does not grow with the length.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import operator
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import soundfile
import torch
from julius.resample import resample_frac

from voiceclone_worker.atomic import write_bytes_atomic
from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.fish.checkpoint import is_out_of_memory, load_codec
from voiceclone_worker.protocol import ReferenceSpec

TRIALS = 3
"""Batches that are computed both ways. The first only warms up: kernels are loaded and chosen in it."""

LONGEST = 30.0
"""Seconds of a reference that fit into the prompt beside the text."""

SHORTEST = 0.5
"""Seconds of a reference below which there is no voice."""

_SILENT = 1e-3
_KERNEL_VALUES = 50_000_000

_CODES_VERSION = "voiceclone.fish-codes/1"
"""Part of the inputs of codes: to be increased when a reference is prepared in another way."""

_SAMPLE = 1 << 20

_MAX_BYTES = 1 << 24
"""Of a file of codes: half an hour, where a reference has seconds."""

_RESIDUAL_UNITS = sum(6 * dilation for dilation in (1, 3, 9))
"""Samples that the three residual units of a codec block look back (kernel 7, dilations 1, 3, 9)."""

_OUTER_CONVOLUTION = 6
"""Samples that the codec's first and last convolution look back (kernel 7)."""

_FAST_DECODER_BLOCKS = 3
"""Last blocks of the decoder, at the highest rates, that are computed in stretches. The blocks before them look back
so far that stretches would cost more than they save."""

_FAST_ENCODER_BLOCKS = 2
"""First blocks of the encoder, at the highest rates, that are computed in stretches."""

MOST_TOGETHER = 8
"""References that are encoded as one batch. One of them fills a GPU already: more take more memory, and little less time."""

Input = TypeVar("Input")
Output = TypeVar("Output")


class Batching(Generic[Output]):
    """The codec's work on rows one by one (``alone``) or as a batch (``together``), whichever is better on the device.

    A batch starts fewer kernels, but has padding; and kernels are chosen by its shape, so sums may come out in another
    order and results differ. A batch is used only where it was faster in the first calls and its results were ``equal``;
    where it runs out of memory, ``alone`` is used from then on. ``note`` gets the decision on the ``work`` ("decodes
    lines").
    """

    def __init__(
        self,
        alone: Callable[[Sequence[torch.Tensor]], list[Output]],
        together: Callable[[Sequence[torch.Tensor]], list[Output]],
        note: Callable[[str], None],
        *,
        work: str,
        equal: Callable[[Output, Output], bool],
    ) -> None:
        self._alone = alone
        self._together = together
        self._note = note
        self._work = work
        self._equal = equal
        self._chosen: Callable[[Sequence[torch.Tensor]], list[Output]] | None = None
        self._trials: list[tuple[float, float]] = []

    def __call__(self, rows: Sequence[torch.Tensor]) -> list[Output]:
        """Return the result of each row, in the faster of the two ways."""
        if len(rows) < 2 or self._chosen is self._alone:
            return self._alone(rows)
        try:
            return self._trial(rows) if self._chosen is None else self._chosen(rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler, since the error refers to the batch's tensors.
        self._choose(self._alone, "one by one: there was no memory for them together")
        return self._alone(rows)

    def _trial(self, rows: Sequence[torch.Tensor]) -> list[Output]:
        started = time.perf_counter()
        results = self._alone(rows)
        between = time.perf_counter()
        if not all(map(self._equal, self._together(rows), results)):
            self._choose(self._alone, "one by one: together they came out different")
            return results
        self._trials.append((between - started, time.perf_counter() - between))
        if len(self._trials) == TRIALS:
            alone, together = (sum(times) for times in zip(*self._trials[1:], strict=True))
            measured = f"{together:.2f} s together, {alone:.2f} s one by one"
            if together < alone:
                self._choose(self._together, f"together, with the same result ({measured})")
            else:
                self._choose(self._alone, f"one by one ({measured})")
        return results

    def _choose(self, chosen: Callable[[Sequence[torch.Tensor]], list[Output]], how: str) -> None:
        self._chosen = chosen
        self._note(f"the codec {self._work} {how}")


def read_codes(path: str, codebooks: int, size: int = 4096) -> torch.Tensor:
    """Return the codes in a file: int64 [codebooks, frames], every code from 0 to ``size`` - 1.

    Raises SegmentError ``codes_unusable``.
    """
    again = "encode the reference again (delete the file and run once more)"
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise ValueError("it is far too large for a reference's")
        codes = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise SegmentError("codes_unusable", f"the codes {path} are not there: {again}") from error
    except Exception as error:  # a damaged file fails in many ways
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
    """Write codes [codebooks, frames], and beside them (``codes.json``) their inputs. Raises OSError."""
    content = io.BytesIO()
    np.save(content, codes.cpu().numpy().astype(np.int64), allow_pickle=False)
    note = {"made_from": inputs, "sha256": hashlib.sha256(content.getbuffer()).hexdigest()}
    write_bytes_atomic(path, bytes(content.getbuffer()))
    write_bytes_atomic(_note_of(path), (json.dumps(note) + "\n").encode())


def are_current(path: Path, inputs: str) -> bool:
    """Return whether the codes in ``path`` are undamaged and were made from these inputs."""
    try:
        note: Any = json.loads(_note_of(path).read_text(encoding="utf-8"))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False
    return bool(note == {"made_from": inputs, "sha256": sha256})


def audio_fingerprint(audio: Path, codec: str) -> str:
    """Return a hash of the inputs of codes: the reference's bytes and the codec. Raises OSError."""
    digest = hashlib.sha256(f"{_CODES_VERSION}\n{codec}\n".encode())
    with audio.open("rb") as file:
        while block := file.read(_SAMPLE):
            digest.update(block)
    return digest.hexdigest()


def codec_identity(checkpoint: Path) -> str:
    """Return a hash of the codec's weights and configuration without reading 1.9 GB. Raises OSError.

    It covers the first and last MiB and the size of ``codec.pth``: a file of ``torch.save`` is a zip archive, and the
    directory at its end has the CRC-32 of every weight. Path and time do not count, so a copy is the same codec.
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


def read_reference(path: str, rate: int) -> tuple[torch.Tensor, bool]:
    """Return the first ``LONGEST`` seconds of a file as mono at ``rate`` Hz, and whether the file is longer.

    Raises SegmentError ``reference_unusable``: unreadable, shorter than ``SHORTEST``, silent, with values that are no
    numbers, or at a sampling rate that cannot be converted.
    """
    try:
        # Opened here: libsndfile's wrapper takes no name that is not Unicode.
        with open(path, "rb") as opened, soundfile.SoundFile(opened) as file:
            own_rate = int(file.samplerate)
            limit = int(LONGEST * own_rate)
            signal = file.read(limit, dtype="float32", always_2d=True)
            cut = file.frames > limit
    except (OSError, RuntimeError, ValueError) as error:
        raise _unusable(path, f"cannot be read ({error}); give a wav or flac file") from error
    samples = torch.from_numpy(signal).mean(dim=1)
    if len(samples) < SHORTEST * own_rate:
        raise _unusable(
            path, f"is {len(samples) / own_rate:.2f} s long; give at least {SHORTEST} s of speech"
        )
    if not torch.isfinite(samples).all():
        raise _unusable(path, "holds values that are no numbers; write it anew, as 16-bit PCM for instance")
    if samples.abs().max() < _SILENT:
        raise _unusable(path, "is silent; give a file with speech")
    # The resampler has one filter for each of the positions that the two rates can have to each other.
    common = math.gcd(own_rate, rate)
    if (own_rate // common) * (rate // common) > _KERNEL_VALUES:
        raise _unusable(path, f"has a sampling rate of {own_rate} Hz; convert it to {rate} Hz")
    return resample_frac(samples, own_rate, rate), cut


def _unusable(path: str, what: str) -> SegmentError:
    return SegmentError("reference_unusable", f"the reference {path} {what}")


def compute_all(
    function: Callable[[Input], Output], items: Sequence[Input], device: torch.device
) -> list[Output]:
    """Return ``function`` of every item, in order, in inference mode.

    On the CPU each on one thread, as many at a time as torch has threads; on other devices one after the other.
    """

    def compute(item: Input) -> Output:
        # Inference mode belongs to a thread.
        with torch.inference_mode():
            return function(item)

    if device.type != "cpu" or not items:
        return [compute(item) for item in items]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # A new pool each time: a thread keeps the number of threads that was set when it first computed.
        with ThreadPoolExecutor(min(threads, len(items)), thread_name_prefix="codec") as pool:
            return list(pool.map(compute, items))
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Stretches:
    """Causal layers over a long signal, a stretch at a time.

    ``layers``: (batch, channels, samples) to the same at ``up / down`` of the rate. ``length`` of a stretch and
    ``context``, which the layers look back, are in input samples, multiples of ``down``. Each stretch is computed with
    its context, whose output is then cut off.
    """

    layers: Callable[[torch.Tensor], torch.Tensor]
    length: int
    context: int
    up: int = 1
    down: int = 1

    def starts(self, signal: torch.Tensor) -> range:
        """Return the starts of the stretches of ``signal``."""
        return range(0, signal.shape[-1], self.length)

    def one(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        """Return the output of the stretch from ``start`` on."""
        before = max(0, start - self.context)
        output = self.layers(signal[..., before : start + self.length])
        return output[..., (start - before) * self.up // self.down :]

    def all(self, signal: torch.Tensor) -> torch.Tensor:
        """Return the output of the whole ``signal``."""
        return torch.cat([self.one(signal, start) for start in self.starts(signal)], dim=-1)


def upsampling_context(rates: Sequence[int]) -> int:
    """Return the input samples that a decoder's blocks of these rates, and what follows them, look back."""
    context = _OUTER_CONVOLUTION
    for rate in reversed(rates):
        # A transposed convolution of kernel 2 * rate spreads each sample over its own step and the next.
        context = math.ceil((context + _RESIDUAL_UNITS) / rate) + 1
    return context


def downsampling_context(rates: Sequence[int]) -> int:
    """Return the input samples that an encoder's first convolution and blocks of these rates look back."""
    context = 0
    for rate in reversed(rates):
        # A strided convolution of kernel 2 * rate reads its own step and the one before.
        context = (context + 1) * rate + _RESIDUAL_UNITS
    step = math.prod(rates)
    return math.ceil((context + _OUTER_CONVOLUTION) / step) * step


class SpeechDecoder:
    """Rows of codes, int64 [codebooks, frames], to 16-bit little-endian mono PCM.

    ``stretch_frames``: frames of speech in a stretch of the last blocks.
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
        """Decode each row by itself: its bytes depend on its own codes only."""
        sounds: list[bytes | SegmentError] = []
        together = torch.get_num_threads() if self._device.type == "cpu" else 1
        for first in range(0, len(rows), together):
            sounds += self._decode_at_once(rows[first : first + together])
        return sounds

    def together(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """Decode all rows as one batch, padded on the right, where no causal layer looks."""
        padded = torch.nn.utils.rnn.pad_sequence([row.T for row in rows], batch_first=True)
        slow = compute_all(self._slow, [padded.mT], self._device)[0]
        starts = self._fast.starts(slow)
        parts = compute_all(lambda start: self._fast.one(slow, start), starts, self._device)
        speech = torch.cat(parts, dim=-1)[:, 0]
        frame_length = int(self._dac.frame_length)
        return [_pcm(line[: row.shape[-1] * frame_length]) for line, row in zip(speech, rows, strict=True)]

    def _decode_at_once(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        slow = compute_all(lambda row: self._slow(row[None]), rows, self._device)
        stretches = [(row, start) for row, signal in enumerate(slow) for start in self._fast.starts(signal)]
        parts = compute_all(lambda at: self._fast.one(slow[at[0]], at[1]), stretches, self._device)
        lines: list[list[torch.Tensor]] = [[] for _ in rows]
        for (row, _), part in zip(stretches, parts, strict=True):
            lines[row].append(part[0, 0])
        return [_pcm(torch.cat(line)) for line in lines]

    def _slow(self, codes: torch.Tensor) -> torch.Tensor:
        signal: torch.Tensor = self._slow_layers(self._dac.quantizer.decode(codes.to(self._device)))
        return signal


def _pcm(samples: torch.Tensor) -> bytes | SegmentError:
    """Return 16-bit samples: full scale is 32767, clipped there, rounded to the nearest step."""
    if not torch.isfinite(samples).all():
        return SegmentError(
            "speech_unusable",
            "the codec made values that are no numbers of this line; if other lines end like this too, "
            "the checkpoint's codec.pth is damaged: fetch it again",
        )
    steps = (samples.clamp(-1.0, 1.0) * 32767.0).round().to(torch.int16)
    pcm: bytes = steps.cpu().numpy().astype("<i2").tobytes()
    return pcm


class CodesEncoder:
    """Samples of references, at the codec's rate, to int64 codes [codebooks, frames] on the CPU.

    ``stretch_frames``: as of :class:`SpeechDecoder`.
    """

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

    def alone(self, signals: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Encode each signal by itself: its codes depend on its own samples only."""
        return compute_all(lambda samples: self._codes(self._filled(samples)[None])[0], signals, self._device)

    def together(self, signals: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Encode all signals as one batch, with silence on the right, where no causal layer looks."""
        filled = [self._filled(samples) for samples in signals]
        padded = torch.nn.utils.rnn.pad_sequence(filled, batch_first=True)
        (codes,) = compute_all(self._codes, [padded], self._device)
        frame_length = int(self._dac.frame_length)
        # Copies, so that a row does not keep the whole batch.
        return [
            row[:, : len(signal) // frame_length].clone() for row, signal in zip(codes, filled, strict=True)
        ]

    def _filled(self, samples: torch.Tensor) -> torch.Tensor:
        """Return ``samples`` with silence up to the end of the last frame."""
        return torch.nn.functional.pad(samples, (0, -len(samples) % int(self._dac.frame_length)))

    def _codes(self, signals: torch.Tensor) -> torch.Tensor:
        features = self._slow_layers(self._fast.all(signals.to(self._device)[:, None]))
        codes: torch.Tensor = self._dac.quantizer(features).codes
        return codes.long().cpu()


Encoded = tuple[ReferenceSpec, SegmentError | None]


class Codec:
    """The codec of a checkpoint, loaded once. ``note`` gets sentences for the user.

    ``rate``: Hz. ``frame_length``: samples of a frame. ``codebooks``: codes of a frame. ``identity``: hash of the
    weights. Raises EngineError ``checkpoint_incomplete``, ``checkpoint_unusable``.
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
        # Measured on the CPU; elsewhere stretches only bound the memory, and a few long ones start fewer kernels.
        stretch_frames = 8 if device.type == "cpu" else 128
        encoder = CodesEncoder(dac, device, stretch_frames)
        decoder = SpeechDecoder(dac, device, stretch_frames)
        self._encode: Callable[[Sequence[torch.Tensor]], list[torch.Tensor]]
        self._decode: Callable[[Sequence[torch.Tensor]], list[bytes | SegmentError]]
        if device.type == "cpu":
            # A batch takes twice the time and changes samples: there is nothing to try.
            self._at_once = torch.get_num_threads()
            self._encode, self._decode = encoder.alone, decoder.alone
        else:
            self._at_once = MOST_TOGETHER
            self._encode = batched_encoding(encoder, note)
            self._decode = batched_decoding(decoder, note)

    def encode(self, references: Sequence[ReferenceSpec]) -> Iterator[Encoded]:
        """Write the codes of each reference to its ``codes``, and yield it when it is done.

        Codes of the same audio by the same codec are kept; they do not depend on the text. Failures of a reference:
        ``reference_unusable``, ``codes_missing`` (no file is named), ``codes_unwritable``.
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
        for first in range(0, len(new), self._at_once):
            yield from self._encode_some(new[first : first + self._at_once])

    def decode(self, rows: Sequence[torch.Tensor]) -> list[bytes | SegmentError]:
        """Return the speech of rows of codes, int64 [codebooks, frames]: mono 16-bit little-endian PCM.

        A row that cannot be decoded is a SegmentError ``speech_unusable`` in its place.
        """
        valid = [index for index, row in enumerate(rows) if 0 < row.shape[-1] <= self._most_frames]
        sounds = dict(zip(valid, self._decode([rows[index] for index in valid]), strict=True))
        error = "{} frames cannot be made speech: the codec takes 1 to {}"
        return [
            sounds.get(index)
            or SegmentError("speech_unusable", error.format(row.shape[-1], self._most_frames))
            for index, row in enumerate(rows)
        ]

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

    def _encode_some(self, new: Sequence[tuple[ReferenceSpec, str]]) -> Iterator[Encoded]:
        """Encode references, each with the inputs of its codes."""
        found = compute_all(self._read, [reference for reference, _ in new], self._device)
        codes = iter(self._encode([signal for signal in found if not isinstance(signal, SegmentError)]))
        for (reference, inputs), signal in zip(new, found, strict=True):
            if isinstance(signal, SegmentError):
                yield reference, signal
            else:
                yield reference, _write(reference, next(codes), inputs)

    def _read(self, reference: ReferenceSpec) -> torch.Tensor | SegmentError:
        try:
            samples, is_cut = read_reference(reference.audio, self.rate)
        except SegmentError as error:
            return error
        if is_cut:
            self._note(
                f"the reference of {reference.speaker} is longer than {LONGEST:.0f} s: only its first "
                f"{LONGEST:.0f} s are used, so its text should end there too"
            )
        return samples


def _write(reference: ReferenceSpec, codes: torch.Tensor, inputs: str) -> SegmentError | None:
    try:
        write_codes(Path(reference.codes), codes, inputs)
    except OSError as error:
        return SegmentError(
            "codes_unwritable", f"{reference.codes} cannot be written ({error.strerror or error})"
        )
    return None


def batched_encoding(encoder: CodesEncoder, note: Callable[[str], None]) -> Batching[torch.Tensor]:
    """Return the encoding of signals in the better way, for devices where a batch may be."""
    return Batching(encoder.alone, encoder.together, note, work="encodes references", equal=torch.equal)


def batched_decoding(decoder: SpeechDecoder, note: Callable[[str], None]) -> Batching[bytes | SegmentError]:
    """Return the decoding of codes in the better way, for devices where a batch may be."""
    return Batching(decoder.alone, decoder.together, note, work="decodes lines", equal=operator.eq)


def _join_weight_norms(dac: Any) -> None:
    """Compute every weight once: upstream's layers compute it from a length and a direction at every call.

    That takes a tenth of a second, with stretches for every stretch.
    """
    for module in list(dac.modules()):
        if torch.nn.utils.parametrize.is_parametrized(module, "weight"):
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
        elif hasattr(module, "weight_g"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                torch.nn.utils.remove_weight_norm(module)
