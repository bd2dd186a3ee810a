"""The class of fish-speech 0.1.0 with weights of the S2 generation, and how long its frames take beside ours.

    python s2_class.py --tool measure CHECKPOINT FRAMES WINDOW ...

S2 has no package that could be installed, but its weights fit the class of fish-speech 0.1.0, which speaks them once it norms
what the fast transformer reads, and samples as S2 does. `python -m benchmarks.compare_s2` runs this in the fish
environment's interpreter, and tests/fish_scripts/upstream_equality.py compares codes with it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    # In place of this folder, whose modules belong to the other environment.
    sys.path[0] = str(Path(__file__).resolve().parents[2] / "worker_env")

import torch
from torch import Tensor

from voiceclone_worker.engines.base import Emit, EngineError
from voiceclone_worker.engines.fish import frame_step
from voiceclone_worker.engines.fish.checkpoint import open_upstream
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine
from voiceclone_worker.engines.fish.generations import S2, check_files, generation_of
from voiceclone_worker.engines.fish.model import Windows
from voiceclone_worker.engines.fish.sampling import RasSampling, SamplingSettings
from voiceclone_worker.engines.fish.weights import Weights
from voiceclone_worker.runtime import Channel, exit_with_parent
from voiceclone_worker.telemetry import refuse_telemetry
from voiceclone_worker.tools import run_tool

CPU = torch.device("cpu")
LINES = 8
_WORDS = "Every morning the old station fills with people who remember another time"
_REFERENCE_FRAMES = 129
"""Six seconds."""


class UpstreamRas(RasSampling):
    """Upstream's random numbers with S2: for the whole vocabulary, twice, then for 4,096 values of each further code."""

    values = 4096

    def __init__(self, weights: Weights, settings: SamplingSettings) -> None:
        super().__init__(weights, settings)
        self._vocabulary = weights.shape.vocabulary

    @property
    def candidates(self) -> Tensor:
        """Ids of the tokens that can follow."""
        return self._ids

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        def draw(size: int) -> Tensor:
            return torch.stack([torch.rand(size, generator=each) for each in generators]).log().neg()

        tokens = [draw(self._vocabulary)[:, self._ids] for _ in range(2)]
        return [torch.stack(tokens, 1)] + [draw(self.values) for _ in range(self._codebooks - 1)]


class UpstreamWindows(Windows):
    """Upstream's windows, which omit the first frame and have zeros where they are not full."""

    def push(self, frames: Tensor) -> None:
        n = len(frames)
        window, counts = self.frames[:n], self.counts[:n]
        held = (counts - 1).clamp(min=0)
        full = (held >= self.length)[:, None, None]
        rolled = torch.where(full, window.roll(-1, 2), window)
        index = held.clamp(max=self.length - 1)[:, None, None].expand(-1, frames.shape[1], 1)
        written = rolled.scatter(2, index, frames[:, :, None])
        window.copy_(torch.where((counts == 0)[:, None, None], window, written))
        counts += 1


class S2Class:
    """Upstream's class, in float32 on the CPU, which attends to ``window`` positions and speaks a line at a time."""

    sampling = UpstreamRas

    def __init__(self, folder: Path, window: int = 1024) -> None:
        from fish_speech.models.text2semantic.llama import DualARModelArgs, DualARTransformer

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text, audio = config["text_config"], config["audio_decoder_config"]
        shared = ("dim", "n_head", "n_local_heads", "head_dim", "intermediate_size")
        shared += ("attention_qk_norm", "attention_qkv_bias", "attention_o_bias")
        arguments = DualARModelArgs(
            vocab_size=text["vocab_size"],
            n_layer=text["n_layer"],
            n_fast_layer=audio["n_layer"],
            rope_base=text["rope_base"],
            norm_eps=text["norm_eps"],
            max_seq_len=window,
            tie_word_embeddings=True,
            codebook_size=audio["vocab_size"],
            num_codebooks=audio["num_codebooks"],
            scale_codebook_embeddings=True,
            **{key: text[key] for key in shared},
            **{f"fast_{key}": audio[key] for key in shared},
        )
        begin, last = config["semantic_start_token_id"], config["semantic_end_token_id"]
        tokens = SimpleNamespace(
            semantic_begin_id=begin,
            semantic_end_id=last,
            semantic_id_to_token_id=dict(enumerate(range(begin, last + 1))),
        )
        self._model = DualARTransformer(arguments, tokens).eval()
        found = self._model.load_state_dict(dict(_upstream_weights(folder)), strict=False)
        assert not found.missing_keys and not found.unexpected_keys, found
        self._window = window
        self._weights, self._prompts = generation_of(folder).load(folder, CPU, torch.float32)

    def speak(
        self, text: str, codes: Tensor, seed: int, most_frames: int, settings: SamplingSettings
    ) -> Tensor:
        """Return the codes [codebooks, frames] of a line by the speaker of ``codes``."""
        frames = list(self.frames("reference words", text, codes, seed, most_frames, settings))
        return torch.stack(frames, 1)[1:]

    @torch.inference_mode()
    def frames(
        self,
        words: str,
        text: str,
        codes: Tensor,
        seed: int,
        most_frames: int,
        settings: SamplingSettings,
    ) -> Iterator[Tensor]:
        """Yield the frames [codebooks + 1] of a line; the prompt is read for the first one.

        Raises EngineError ``s2_usage`` where they do not fit the window.
        """
        model, rule = self._model, UpstreamRas(self._weights, settings)
        generator = torch.Generator().manual_seed(seed)
        model.setup_caches(1, self._window, torch.float32)
        prompt = torch.cat([self._prompts.voice(words, codes), self._prompts.line(text)], 1)
        needed = prompt.shape[1] + most_frames
        if needed > self._window:
            raise EngineError(
                "s2_usage", f"a line needs {needed} positions, and the window has {self._window}"
            )
        frames: list[Tensor] = []
        x, positions = prompt[None], torch.arange(prompt.shape[1])
        while len(frames) < most_frames:
            made = model.forward_generate(x, positions)
            noise = rule.noise([generator])
            window = torch.zeros(1, 11, rule.window, dtype=torch.long)
            for number, frame in enumerate(frames[1:][-rule.window :]):
                window[0, :, number] = frame
            counts = torch.tensor([len(frames)])
            token = rule.token(made.logits[0, -1:][:, rule.candidates], window, counts, noise[0])
            if int(token) == rule.end:
                return
            code = token - rule.begin
            chosen = [token, code]
            model.forward_generate_fast(model.norm(made.hidden_states), torch.tensor([0]))
            for codebook in range(1, 10):
                hidden = model.fast_embeddings(code)
                logits = model.forward_generate_fast(hidden, torch.tensor([codebook]))[0, -1:]
                code = rule.code(logits, window, counts, noise[codebook], codebook)
                chosen.append(code)
            frames.append(torch.cat(chosen))
            yield frames[-1]
            x, positions = frames[-1][None, :, None], torch.tensor([prompt.shape[1] + len(frames) - 1])


def _upstream_weights(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors as the class calls them."""
    from safetensors.torch import load_file

    for path in folder.glob("*.safetensors"):
        for name, weight in load_file(path).items():
            short = name.removeprefix("text_model.model.").removeprefix("audio_decoder.")
            fast = name.startswith("audio_decoder.") and not short.startswith("codebook_embeddings.")
            yield f"fast_{short}" if fast else short, weight.float()


# Measuring


def measure(arguments: Sequence[str], emit: Emit) -> dict[str, Any]:
    """Measure CPU seconds of a frame: ours of one line and of eight, then upstream's class at each window.

    Eight lines with the same random numbers on both sides, so that their codes must be equal. Answers ``ours``
    {rows: seconds}, ``upstream`` {window: seconds} (medians; without the frame for which the prompt is read), ``lines``,
    ``frames`` of them together, and ``equal``: how many have the same codes. Raises EngineError ``s2_usage``,
    and those of the fish engine's loaders.
    """
    match list(arguments):
        case [checkpoint, frames, *windows] if windows and all(map(str.isdecimal, [frames, *windows])):
            pass
        case _:
            raise EngineError("s2_usage", "say: CHECKPOINT FRAMES WINDOW ...")
    folder, most = Path(checkpoint), int(frames)
    if generation_of(folder) is not S2:
        raise EngineError(
            "s2_usage", f"{folder} is of the S1 generation, for which there is benchmarks.compare"
        )
    check_files(folder, S2)
    open_upstream()
    before, frame_step.Windows = frame_step.Windows, UpstreamWindows  # type: ignore[misc]
    try:
        mine, ours = zip(*(_ours(folder, most, rows, emit) for rows in (1, LINES)), strict=True)
    finally:
        frame_step.Windows = before  # type: ignore[misc]
    theirs, upstream = zip(*(_upstream(folder, most, int(window), emit) for window in windows), strict=True)
    every = [*mine[1:], *theirs]
    return {
        "ours": dict(zip((1, LINES), ours, strict=True)),
        "upstream": dict(zip(map(int, windows), upstream, strict=True)),
        "threads": torch.get_num_threads(),
        "lines": LINES,
        "frames": sum(line.shape[1] for line in mine[0]),
        "equal": sum(
            all(torch.equal(line, other[number]) for other in every) for number, line in enumerate(mine[0])
        ),
    }


def _reference() -> Tensor:
    random = torch.Generator().manual_seed(5)
    return torch.cat(
        [
            torch.randint(0, size, (rows, _REFERENCE_FRAMES), generator=random)
            for rows, size in ((1, 1000), (9, 1024))
        ]
    )


def _texts() -> list[str]:
    return [f"{_WORDS}, {number}." for number in range(LINES)]


def _ours(folder: Path, most: int, rows: int, emit: Emit) -> tuple[list[Tensor], float]:
    """Return the codes of every line, and the seconds of a frame with so many lines at a time."""
    emit("measuring", note=f"ours, {rows} at a time")
    weights, prompts = S2.load(folder, CPU, torch.float32)
    decoder = Decoder(weights, UpstreamRas(weights, S2.defaults), rows)
    voice = prompts.voice(_WORDS, _reference())
    for number, text in enumerate(_texts()):
        decoder.submit(DecoderLine(voice, prompts.line(text), number, most, tag=number))
    found, seconds, last = {}, [], 0
    while decoder.busy:
        started = time.process_time()
        ended = decoder.step()
        # Not where lines began in this step, nor where fewer were left.
        if last == rows:
            seconds.append(time.process_time() - started)
        last = 0 if ended else decoder.active
        found |= {line.tag: line.codes for line in ended}
    return [found[number] for number in range(LINES)], statistics.median(seconds) / rows


def _upstream(folder: Path, most: int, window: int, emit: Emit) -> tuple[list[Tensor], float]:
    model, lines, seconds = S2Class(folder, window), [], []
    for number, text in enumerate(_texts()):
        emit("measuring", note=f"fish-speech's class at {window} positions, line {number + 1} of {LINES}")
        frames = []
        started = time.process_time()
        for frame in model.frames(_WORDS, text, _reference(), number, most, S2.defaults):
            if frames:
                seconds.append(time.process_time() - started)
            frames.append(frame)
            started = time.process_time()
        lines.append(torch.stack(frames, 1)[1:])
    return lines, statistics.median(seconds)


if __name__ == "__main__":
    refuse_telemetry()
    exit_with_parent(serving=False)
    raise SystemExit(run_tool(sys.argv[2:], Channel(), {"measure": measure}))
