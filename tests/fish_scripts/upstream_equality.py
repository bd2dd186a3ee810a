"""Our decoding against fish-speech's own class, token by token: CHECKPOINT.

Eight lines of mixed lengths by two speakers, three settings, the same seeds on both sides, float32. For S1 the other side
is upstream's ``generate_long``. S2 has no package that could be installed, but its weights fit the same class, which
speaks them once it norms what the fast transformer reads, and samples as S2 does. Prints for each setting and batch size
whether each line has the very codes, how long the lines are, and for S2 how many lines differ without either.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from voiceclone_worker.engines.fish.checkpoint import open_upstream

open_upstream()

import fish_speech.models.text2semantic.inference as upstream  # noqa: E402
from fish_speech.models.text2semantic.llama import DualARTransformer, precompute_freqs_cis  # noqa: E402
from fish_speech.tokenizer import FISH_TIKTOKEN_PATTERN  # noqa: E402

from benchmarks.upstream.s2_class import S2Class, UpstreamRas, UpstreamWindows  # noqa: E402
from voiceclone_worker.engines.fish import frame_step  # noqa: E402
from voiceclone_worker.engines.fish.decoder import Decoder, DecoderLine  # noqa: E402
from voiceclone_worker.engines.fish.generations import S1, generation_of  # noqa: E402
from voiceclone_worker.engines.fish.generations.s1 import SPLIT_PATTERN  # noqa: E402
from voiceclone_worker.engines.fish.sampling import PenaltySampling, SamplingSettings  # noqa: E402
from voiceclone_worker.engines.fish.weights import Weights, rotations  # noqa: E402

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
SETTINGS = (
    SamplingSettings(0.7, 0.7, 1.2),
    SamplingSettings(1.0, 0.9, 1.1),
    SamplingSettings(0.2, 0.5, 1.5),
)
SLOTS = (1, 3, 8)
LONGEST, CUT_OFF = 300, 40
"""Frames within which every line ends by itself, and at which one is cut off."""
CPU = torch.device("cpu")
upstream.tqdm = lambda steps: steps


class UpstreamSampling(PenaltySampling):
    """Upstream's own way of sampling with S1.

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


class PlainSampling(UpstreamRas):
    """S2's sampling without the second draw."""

    def token(self, logits: Tensor, window: Tensor, counts: Tensor, noise: Tensor) -> Tensor:
        return super().token(logits, torch.full_like(window, -1), counts, noise)


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


class S1Oracle:
    """Upstream's class and its ``generate_long``."""

    sampling = UpstreamSampling

    def __init__(self, folder):
        self._model = DualARTransformer.from_pretrained(
            str(folder), load_weights=True, max_length=3200
        ).eval()
        self._model.setup_caches(1, self._model.config.max_seq_len, torch.float32)

    def speak(self, text, codes, seed, most_frames, settings):
        torch.manual_seed(seed)
        answers = upstream.generate_long(
            model=self._model,
            device="cpu",
            decode_one_token=upstream.decode_one_token_ar,
            text=text,
            max_new_tokens=most_frames,
            top_p=settings.top_p,
            temperature=settings.temperature,
            repetition_penalty=settings.repetition_penalty,
            prompt_text="reference words",
            prompt_tokens=codes,
        )
        (spoken,) = (answer.codes.long() for answer in answers if answer.action == "sample")
        return spoken


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
    # S1's upstream drops its last frame, the end token for a line that ended: of a line that was cut off it lacks a
    # real one.
    length = theirs.shape[1]
    return mine.shape[1] - length in (0, 1) and torch.equal(mine[:, :length], theirs)


def main(folder):
    codes, generation = references(), generation_of(folder)
    oracle = S1Oracle(folder) if generation is S1 else S2Class(folder)
    frame_step.Windows = UpstreamWindows

    def speak(settings, slots, most_frames, sampling, **changes):
        weights, prompts = generation.load(folder, CPU, torch.float32)
        weights.shape = dataclasses.replace(weights.shape, **changes)
        voices = [prompts.voice("reference words", reference) for reference in codes]
        return our_codes(Decoder(weights, sampling(weights, settings), slots), voices, prompts, most_frames)

    assert SPLIT_PATTERN == FISH_TIKTOKEN_PATTERN
    assert torch.equal(rotations(3000, 64, 1e6), precompute_freqs_cis(3000, 64, 1_000_000).float())
    answer = {"equal": [], "frames": [], "controls": {}}
    rounds = [(SETTINGS[0], (3,), CUT_OFF)] + [(settings, SLOTS, LONGEST) for settings in SETTINGS]
    for settings, sizes, most_frames in rounds:
        theirs = [
            oracle.speak(text, codes[number % 2], 100 + number, most_frames, settings)
            for number, text in enumerate(TEXTS)
        ]
        answer["frames"].append([line.shape[1] for line in theirs])
        for slots in sizes:
            mine = speak(settings, slots, most_frames, oracle.sampling)
            answer["equal"].append([agree(one, other) for one, other in zip(mine, theirs, strict=True)])
    if generation is not S1:
        for name, sampling, changes in (
            ("no second draw", PlainSampling, {}),
            ("not normed", UpstreamRas, {"fast_reads_normed": False}),
        ):
            mine = speak(SETTINGS[-1], 8, LONGEST, sampling, **changes)
            same = [agree(one, other) for one, other in zip(mine, theirs, strict=True)]
            answer["controls"][name] = same.count(False)
    return answer


print(json.dumps(main(Path(sys.argv[1]))))
