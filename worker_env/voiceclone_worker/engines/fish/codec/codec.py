"""The codec: references to codes, codes to speech, with upstream's DAC.

Float32 on every device. What a row becomes depends on its own codes only: not on the rows beside it,
nor on the number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from voiceclone_worker.contract import ReferenceSpec
from voiceclone_worker.engines.base import EngineError, SegmentError
from voiceclone_worker.engines.fish.checkpoint import load_codec
from voiceclone_worker.engines.fish.codec.batching import Batching
from voiceclone_worker.engines.fish.codec.codes import are_current, codec_identity, fingerprint, write_codes
from voiceclone_worker.engines.fish.codec.decoder import SpeechDecoder
from voiceclone_worker.engines.fish.codec.encoder import CodesEncoder
from voiceclone_worker.engines.fish.codec.reference_audio import LONGEST, read_reference
from voiceclone_worker.engines.fish.codec.spreading import spread

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
                made_from = self._made_from(reference)
            except SegmentError as error:
                yield reference, error
                continue
            if are_current(Path(reference.codes), made_from):
                yield reference, None
            else:
                new.append((reference, made_from))
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

    def _made_from(self, reference: ReferenceSpec) -> str:
        if not reference.codes:
            raise SegmentError(
                "codes_missing", f'the reference of {reference.speaker} names no "codes" to write'
            )
        try:
            return fingerprint(Path(reference.audio), self.identity)
        except OSError as error:
            raise SegmentError(
                "reference_unusable",
                f"the reference {reference.audio} cannot be read ({error.strerror or error})",
            ) from error

    def _encode_one(self, new: tuple[ReferenceSpec, str]) -> Encoded:
        reference, made_from = new
        try:
            audio = read_reference(reference.audio, self.rate)
            write_codes(Path(reference.codes), self._encoder(audio.samples), made_from)
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
