"""Upstream's models, called as upstream calls them.

Generating goes through ``init_model`` and ``generate_long``, as upstream's command does. Its
``dac/inference.py`` cannot be imported in a lean environment (it wants a project root, torchaudio and
a global resolver), so its few calls stand here: instantiate the configuration, load the weights over
the initialised ones, ``encode``, ``decode``. ``generate_long`` refuses every window that leaves less
than 2048 positions behind the prompt; for a cut window its ``generate`` is called on the same prompt.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from voiceclone_worker.engines.base import EngineError
from voiceclone_worker.engines.fish import checkpoint
from voiceclone_worker.engines.fish.configuration import codec_plan
from voiceclone_worker.engines.fish.device import PRECISIONS, choose
from voiceclone_worker.engines.fish.generation.length import bounds
from voiceclone_worker.engines.fish.upstream import open_upstream
from voiceclone_worker.tools.memory import peak_mb


class Upstream:
    """Upstream's models in this process, and the seconds that each kind of work has taken.

    ``started`` is when loading began (perf_counter). Raises EngineError as ``open_upstream`` and
    ``checkpoint.check`` do.
    """

    def __init__(self, job: Mapping[str, Any], started: float) -> None:
        self.job = job
        self.seconds: dict[str, float] = {}
        self._folder = Path(job["checkpoint"])
        open_upstream(job["source"])
        checkpoint.check(self._folder)
        place = choose(job["device"], job["precision"])
        # Upstream has no int8 of our kind: there it computes in bfloat16, which is its own default.
        self._device, self._dtype = place.device, place.dtype
        self._spend("load", started)

    def line(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(line for line in self.job["lines"] if line["id"] == name)
        return found

    def save(self, name: str, codes: torch.Tensor) -> None:
        np.save(self._path(f"{name}.npy"), codes.numpy())

    def saved(self, name: str) -> torch.Tensor:
        """Codes that another step has saved, int64 [codebooks, frames]."""
        return torch.from_numpy(np.load(self._path(f"{name}.npy"))).long()

    @property
    def window(self) -> int:
        """Positions over which attention runs."""
        return int(self._model.config.max_seq_len)

    def account(self) -> dict[str, Any]:
        """What this process has needed so far."""
        return {
            "seconds": {stage: round(seconds, 4) for stage, seconds in self.seconds.items()},
            "precision": next(name for name, dtype in PRECISIONS.items() if dtype is self._dtype),
            "device": str(self._device),
            "peak_mb": peak_mb(),
        }

    # --------------------------------------------------------------------------- loading

    def load_codec(self) -> None:
        """As ``dac/inference.py`` does: every weight is initialised, then replaced."""
        from hydra.utils import instantiate

        with self._timed("load"):
            codec = instantiate(codec_plan(self._folder))
            weights = torch.load(
                self._folder / "codec.pth", map_location=self._device, mmap=True, weights_only=True
            )
            weights = weights.get("state_dict", weights)
            if any("generator" in key for key in weights):
                weights = {k.replace("generator.", ""): v for k, v in weights.items() if "generator." in k}
            codec.load_state_dict(weights, strict=False, assign=True)
            self._codec = codec.eval().to(self._device)

    def load_model(self, window: int | None) -> None:
        """``init_model``; for a window of another length than its own, its calls with that length,
        which are never compiled."""
        from fish_speech.models.text2semantic import inference

        with self._timed("load"):
            if window is None:
                self._model, self._decode_one = inference.init_model(
                    str(self._folder), self._device, self._dtype, compile=self.job["compile"]
                )
                return
            model = inference.DualARTransformer.from_pretrained(
                str(self._folder), load_weights=True, max_length=window
            )
            self._model = model.to(device=self._device, dtype=self._dtype).eval()
            self._decode_one = inference.decode_one_token_ar

    def cut_window(self, voices: Mapping[str, torch.Tensor]) -> int:
        """Positions that the longest line may come to in our own engine, in whole 64s."""
        from fish_speech.tokenizer import FishTokenizer

        with self._timed("load"):
            tokenizer = FishTokenizer.from_pretrained(str(self._folder))
            config = json.loads((self._folder / "config.json").read_text(encoding="utf-8"))
            longest = 0
            for line in self.job["lines"]:
                prompt, *_ = self._prompt(tokenizer, config["num_codebooks"], line, voices[line["speaker"]])
                longest = max(longest, prompt.shape[1] + self._cap(line["text"]))
        return min(-(-longest // 64) * 64, int(config["max_seq_len"]))

    def _cap(self, text: str) -> int:
        """Frames at which our engine stops a line that has time."""
        frames_per_second = self._codec.sample_rate / self._codec.frame_length
        return bounds(text, None, frames_per_second, self.job["sampling"]["max_new_tokens"]).most

    # --------------------------------------------------------------------------- working

    def encode(self, speaker: str) -> torch.Tensor:
        """The codes of a reference, int64 [codebooks, frames]. It must be mono at the codec's rate."""
        with self._timed("encode"), torch.no_grad():
            samples, rate = soundfile.read(self.job["references"][speaker]["audio"], dtype="float32")
            if rate != self._codec.sample_rate or samples.ndim != 1:
                raise EngineError(
                    "upstream_usage",
                    f"the reference of {speaker} must be mono at {self._codec.sample_rate} Hz, not {rate} Hz",
                )
            audio = torch.from_numpy(samples)[None, None].to(self._device)
            codes: torch.Tensor
            codes, _ = self._codec.encode(audio, torch.tensor([audio.shape[2]], device=self._device))
            return (codes[0] if codes.ndim == 3 else codes).cpu().long()

    def generate(self, line: Mapping[str, Any], voice: torch.Tensor) -> torch.Tensor:
        """The codes of a line, int64 [codebooks, frames]. Raises what upstream raises, and ValueError
        when it generates nothing."""
        with self._timed("generate"):
            torch.manual_seed(line["seed"])
            cut = self.job["window"] == "cut"
            codes = self._generate(line, voice) if cut else self._generate_long(line, voice)
        if codes.shape[-1] == 0:
            raise ValueError("upstream generated no frame")
        return codes.long()

    def _generate_long(self, line: Mapping[str, Any], voice: torch.Tensor) -> torch.Tensor:
        from fish_speech.models.text2semantic.inference import generate_long

        responses = generate_long(
            model=self._model,
            device=self._device,
            decode_one_token=self._decode_one,
            text=line["text"],
            prompt_text=[self.job["references"][line["speaker"]]["text"]],
            prompt_tokens=[voice],
            **self.job["sampling"],
        )
        codes: torch.Tensor = next(r.codes for r in responses if r.action == "sample")
        return codes.cpu()

    def _generate(self, line: Mapping[str, Any], voice: torch.Tensor) -> torch.Tensor:
        from fish_speech.models.text2semantic.inference import generate

        config = self._model.config
        prompt, masks, parts = self._prompt(self._model.tokenizer, config.num_codebooks, line, voice)
        spoken: torch.Tensor = generate(
            model=self._model,
            prompt=prompt.to(self._device),
            audio_masks=masks,
            audio_parts=parts,
            decode_one_token=self._decode_one,
            **self.job["sampling"],
        )
        # As generate_long: the row of tokens and the last frame, which is the end, are left out.
        return spoken[1:, prompt.shape[1] : -1].cpu()

    def _prompt(
        self, tokenizer: Any, codebooks: int, line: Mapping[str, Any], voice: torch.Tensor
    ) -> tuple[torch.Tensor, Any, Any]:
        """What ``generate_long`` makes of reference and text: tokens [1 + codebooks, positions], and
        two values that matter only to models which hear audio."""
        from fish_speech.content_sequence import ContentSequence, TextPart, VQPart

        words = self.job["references"][line["speaker"]]["text"]
        sequence = ContentSequence(modality="interleave")
        sequence.append([TextPart(text=words), VQPart(codes=voice)], add_end=True, speaker=0)
        sequence.append([TextPart(text=line["text"])], add_end=False, speaker=0)
        prompt, masks, parts = sequence.encode_for_inference(tokenizer, num_codebooks=codebooks)
        return prompt, masks, parts

    def decode(self, name: str, codes: torch.Tensor) -> int:
        """Writes the sound of ``codes``; returns their number of frames."""
        frames = int(codes.shape[-1])
        with self._timed("decode"), torch.no_grad():
            audio, _ = self._codec.decode(codes.to(self._device), torch.tensor([frames], device=self._device))
            samples = audio[0, 0].float().cpu().numpy()
        with self._timed("write"):
            soundfile.write(self._path(f"{name}.wav"), samples, self._codec.sample_rate)
        return frames

    def _path(self, name: str) -> Path:
        return Path(self.job["folder"]) / name

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._spend(stage, started)

    def _spend(self, stage: str, started: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
