"""Our decoding against upstream's ``generate_long``, token by token: CHECKPOINT MOST_FRAMES.

Eight lines of mixed lengths by two speakers, the same seeds on both sides, float32. Prints for each
batch size whether each line has upstream's very codes, and how long the lines are.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

import fish_speech.models.text2semantic.inference as upstream  # noqa: E402
from fish_speech.models.text2semantic.llama import DualARTransformer  # noqa: E402

from voiceclone_worker.engines.fish import frame_step  # noqa: E402
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine  # noqa: E402
from voiceclone_worker.engines.fish.generations import S1  # noqa: E402
from voiceclone_worker.engines.fish.model import Windows  # noqa: E402
from voiceclone_worker.engines.fish.sampling import PenaltySampling, SamplingSettings  # noqa: E402
from voiceclone_worker.engines.fish.weights import Weights  # noqa: E402

TEXTS = (
    "Hello world.",
    "What is that?",
    "Ciao, come va",
    "好的。",
    "x" * 100 + "!",
    "Short one",
    "Yet another line; with 7 words",
    "End?",
)
CPU = torch.device("cpu")
upstream.tqdm = lambda steps: steps


class UpstreamSampling(PenaltySampling):
    """Upstream's own way of sampling.

    Every token of the vocabulary is a candidate, the noise comes in upstream's order from torch's exponential, the
    penalty's window is indexed the way upstream does it (its first frame across the codebooks, in place of the
    generated tokens); see also UpstreamWindows.
    """

    def _considered(self, weights: Weights) -> Tensor:
        return torch.arange(weights.shape.vocabulary)

    def noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        def draw(size: int) -> Tensor:
            rows = [torch.empty(size).exponential_(1, generator=generator) for generator in generators]
            return torch.stack(rows).to(self._ids.device)

        return [draw(len(self._ids))] + [draw(self.values) for _ in range(self._codebooks - 1)]

    def _penalised(self, window: Tensor) -> Tensor:
        return window[:, :, 0]


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


def references():
    random = torch.Generator().manual_seed(5)
    return [
        torch.cat(
            [
                torch.randint(0, 1000, (1, frames), generator=random),
                torch.randint(0, 1024, (9, frames), generator=random),
            ]
        )
        for frames in (60, 95)
    ]


def upstreams_codes(folder, most_frames, codes):
    model = DualARTransformer.from_pretrained(str(folder), load_weights=True).eval()
    model.setup_caches(1, model.config.max_seq_len, torch.float32)
    for number, text in enumerate(TEXTS):
        torch.manual_seed(100 + number)
        for part in upstream.generate_long(
            model=model,
            device="cpu",
            decode_one_token=upstream.decode_one_token_ar,
            text=text,
            max_new_tokens=most_frames,
            top_p=0.7,
            temperature=0.7,
            repetition_penalty=1.2,
            prompt_text="reference words",
            prompt_tokens=codes[number % 2],
        ):
            if part.action == "sample":
                yield part.codes.long()


def our_codes(decoder, voices, prompts, most_frames):
    for number, text in enumerate(TEXTS):
        decoder.submit(
            DecoderLine(voices[number % 2], prompts.line(text), 100 + number, most_frames, tag=number)
        )
    found = {}
    while decoder.busy:
        found |= {line.tag: line.codes for line in decoder.step()}
    return [found[number] for number in range(len(TEXTS))]


def agree(mine, theirs):
    # Upstream drops its last frame, the end token for a line that ended: of a line that was cut off
    # it lacks a real one.
    length = theirs.shape[1]
    return mine.shape[1] - length in (0, 1) and torch.equal(mine[:, :length], theirs)


def main(folder, most_frames):
    codes = references()
    theirs = list(upstreams_codes(folder, most_frames, codes))
    weights, prompts = S1.load(folder, CPU, torch.float32)
    voices = [prompts.voice("reference words", reference) for reference in codes]
    frame_step.Windows = UpstreamWindows
    decoder = Decoder(weights, UpstreamSampling(weights, SamplingSettings()), 1)
    equal = {}
    for slots in (1, 2, 4, 8, 3):
        decoder.slots = slots
        mine = our_codes(decoder, voices, prompts, most_frames)
        equal[slots] = [agree(ours, yours) for ours, yours in zip(mine, theirs, strict=True)]
    return {"equal": equal, "frames": [line.shape[1] for line in theirs]}


print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
